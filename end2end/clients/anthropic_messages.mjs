// Anthropic's client over Messages.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

const { CLIENT_BASE_URL: baseURL, CLIENT_KEY: apiKey, CLIENT_MODEL: model, CLIENT_OURS: ours } = process.env;
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const ask = { model, temperature: 0, messages };
const Answer = z.object({ colour: z.enum(["red", "blue"]), count: z.literal([1, 2, 3]) });
const tool = {
  name: "weather",
  description: "Tells the weather of a city.",
  input_schema: { type: "object", properties: { city: { enum: ["Paris", "Rome"] } }, required: ["city"] },
};
const forced = { type: "tool", name: "weather" };
const textOf = (message) => message.content.map((block) => (block.type === "text" ? block.text : "")).join("");

async function whole() {
  const message = await client.messages.create({ ...ask, max_tokens: 16 });
  assert.equal(message.type, "message");
  assert.ok(textOf(message));
  assert.ok(message.usage.input_tokens > 0 && message.usage.output_tokens > 0);
}

async function streamed() {
  let said = "";
  const stream = client.messages.stream({ ...ask, max_tokens: 16 }).on("text", (text) => (said += text));
  const final = await stream.finalMessage();
  assert.ok(said);
  assert.equal(said, textOf(final));
  assert.ok(["end_turn", "max_tokens"].includes(final.stop_reason));
}

async function counted() {
  assert.ok((await client.messages.countTokens({ model, messages })).input_tokens > 0);
}

async function streamedTools() {
  const wanted = { model, temperature: 0, max_tokens: 80, tools: [tool], tool_choice: forced };
  const question = { role: "user", content: "What is the weather in Rome?" };
  const final = await client.messages.stream({ ...wanted, messages: [question] }).finalMessage();
  const use = final.content.find((block) => block.type === "tool_use");
  assert.ok(["Paris", "Rome"].includes(use.input.city));
}

async function toolRunner() {
  let asked = 0;
  const weather = betaZodTool({
    name: "weather",
    description: "Tells the weather of a city.",
    inputSchema: z.object({ city: z.enum(["Paris", "Rome"]) }),
    run: () => (asked++, "sunny"),
  });
  const runner = client.beta.messages.toolRunner({
    model,
    temperature: 0,
    max_tokens: 80,
    max_iterations: 2,
    tools: [weather],
    tool_choice: forced,
    messages: [{ role: "user", content: "What is the weather in Paris?" }],
  });
  await runner.runUntilDone();
  assert.ok(asked >= 1);
}

async function structured() {
  const output_config = { format: zodOutputFormat(Answer) };
  const parsed = await client.messages.parse({ ...ask, max_tokens: 60, output_config });
  assert.ok(Answer.parse(parsed.parsed_output));
}

async function refused() {
  const wanted = { ...ask, model: "nobody/nothing", max_tokens: 16 };
  await assert.rejects(client.messages.create(wanted), Anthropic.NotFoundError);
}

for (const part of [whole, streamed, streamedTools, toolRunner, structured, ...(ours ? [counted, refused] : [])]) {
  await part();
  console.log(part.name, "ok");
}
