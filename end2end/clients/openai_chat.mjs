// OpenAI's client over chat completions: helpers for streams, tools and structured answers. The model is small: what it
// says is not looked at, only that it comes in the right form.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const { CLIENT_BASE_URL: baseURL, CLIENT_KEY: apiKey, CLIENT_MODEL: model } = process.env;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const ask = { model, temperature: 0, messages: [{ role: "user", content: "What is the capital of France?" }] };
const Answer = z.object({ colour: z.enum(["red", "blue"]), count: z.literal([1, 2, 3]) });
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "Tells the weather of a city.",
    parameters: { type: "object", properties: { city: { enum: ["Paris", "Rome"] } }, required: ["city"] },
  },
};
const forced = { type: "function", function: { name: "weather" } };

async function whole() {
  const completion = await client.chat.completions.create({ ...ask, max_tokens: 16 });
  assert.equal(completion.object, "chat.completion");
  assert.ok(completion.choices[0].message.content);
  assert.ok(completion.usage.prompt_tokens > 0);
}

async function streamed() {
  const stream = client.chat.completions.stream({ ...ask, max_tokens: 16, stream_options: { include_usage: true } });
  let said = "";
  stream.on("content", (delta) => (said += delta));
  const final = await stream.finalChatCompletion();
  assert.ok(said);
  assert.equal(said, final.choices[0].message.content);
  assert.ok(["stop", "length"].includes(final.choices[0].finish_reason));
  assert.ok((await stream.totalUsage()).completion_tokens > 0);
}

async function structured() {
  const response_format = zodResponseFormat(Answer, "answer");
  const parsed = await client.chat.completions.parse({ ...ask, max_tokens: 60, response_format });
  assert.ok(Answer.parse(parsed.choices[0].message.parsed));
}

async function tools() {
  let asked = 0;
  const tool = {
    type: "function",
    function: { ...weather.function, parse: JSON.parse, function: () => (asked++, "sunny") },
  };
  const messages = [{ role: "user", content: "What is the weather in Paris?" }];
  const runner = client.chat.completions.runTools(
    { model, temperature: 0, max_tokens: 80, tools: [tool], tool_choice: forced, messages },
    { maxChatCompletions: 2 },
  );
  await runner.done();
  assert.equal(asked, 1);
}

async function streamedTools() {
  const messages = [{ role: "user", content: "What is the weather in Rome?" }];
  const wanted = { model, temperature: 0, max_tokens: 80, tools: [weather], tool_choice: forced, messages };
  const final = await client.chat.completions.stream(wanted).finalChatCompletion();
  const call = final.choices[0].message.tool_calls[0];
  assert.ok(["Paris", "Rome"].includes(JSON.parse(call.function.arguments).city));
}

for (const part of [whole, streamed, structured, tools, streamedTools]) {
  await part();
  console.log(part.name, "ok");
}
