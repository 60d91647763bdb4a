// OpenAI's client over Responses.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const { CLIENT_BASE_URL: baseURL, CLIENT_KEY: apiKey, CLIENT_MODEL: model, CLIENT_STORES: stores } = process.env;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const ask = { model, temperature: 0, input: "What is the capital of France?" };
const Answer = z.object({ colour: z.enum(["red", "blue"]), count: z.literal([1, 2, 3]) });
const weather = {
  type: "function",
  name: "weather",
  description: "Tells the weather of a city.",
  parameters: { type: "object", properties: { city: { enum: ["Paris", "Rome"] } }, required: ["city"] },
  strict: false,
};
const forced = { type: "function", name: "weather" };

async function whole() {
  const response = await client.responses.create({ ...ask, max_output_tokens: 16 });
  assert.equal(response.object, "response");
  assert.ok(response.output_text);
  assert.ok(response.usage.input_tokens > 0);
}

async function streamed() {
  const kinds = [];
  let said = "";
  const stream = client.responses.stream({ ...ask, max_output_tokens: 16 });
  for await (const event of stream) {
    kinds.push(event.type);
    if (event.type === "response.output_text.delta") said += event.delta;
  }
  const final = await stream.finalResponse();
  assert.equal(kinds[0], "response.created");
  assert.ok(said);
  assert.equal(said, final.output_text);
}

async function structured() {
  const text = { format: zodTextFormat(Answer, "answer") };
  const parsed = await client.responses.parse({ ...ask, max_output_tokens: 60, text });
  assert.ok(Answer.parse(parsed.output_parsed));
}

async function tools() {
  const common = { model, temperature: 0, tools: [weather], store: false };
  const input = [{ role: "user", content: "What is the weather in Paris?" }];
  const first = await client.responses.create({ ...common, input, tool_choice: forced, max_output_tokens: 80 });
  const call = first.output.find((item) => item.type === "function_call");
  assert.ok(["Paris", "Rome"].includes(JSON.parse(call.arguments).city));
  input.push(
    { type: "function_call", call_id: call.call_id, name: call.name, arguments: call.arguments },
    { type: "function_call_output", call_id: call.call_id, output: '{"weather":"sunny"}' },
  );
  const last = await client.responses.create({ ...common, input, tool_choice: "none", max_output_tokens: 16 });
  assert.ok(last.output_text);
}

async function stored() {
  const first = await client.responses.create({ ...ask, max_output_tokens: 16, store: true });
  assert.equal((await client.responses.retrieve(first.id)).output_text, first.output_text);
  await client.responses.delete(first.id);
  await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
}

for (const part of [whole, streamed, structured, tools, ...(stores ? [stored] : [])]) {
  await part();
  console.log(part.name, "ok");
}
