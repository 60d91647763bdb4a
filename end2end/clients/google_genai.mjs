// Google's client over generateContent.
import assert from "node:assert/strict";
import { FunctionCallingConfigMode, GoogleGenAI } from "@google/genai";

const { CLIENT_BASE_URL: baseUrl, CLIENT_KEY: apiKey, CLIENT_MODEL: model, CLIENT_VERSION: apiVersion } = process.env;
const client = new GoogleGenAI({ apiKey, httpOptions: { baseUrl, apiVersion } });
const question = "What is the capital of France?";
const parametersJsonSchema = { type: "object", properties: { city: { enum: ["Paris", "Rome"] } }, required: ["city"] };
const tools = [{ functionDeclarations: [{ name: "weather", description: "Tells the weather.", parametersJsonSchema }] }];
const calling = (mode) => ({ tools, toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode[mode] } } });
const config = (maxOutputTokens, more = {}) => ({ temperature: 0, maxOutputTokens, ...more });

async function whole() {
  const answer = await client.models.generateContent({ model, contents: question, config: config(16) });
  assert.ok(answer.text);
  assert.ok(answer.usageMetadata.promptTokenCount > 0);
}

async function streamed() {
  let said = "";
  let last;
  for await (const chunk of await client.models.generateContentStream({ model, contents: question, config: config(16) })) {
    said += chunk.text ?? "";
    last = chunk;
  }
  assert.ok(said);
  assert.ok(last.usageMetadata.candidatesTokenCount > 0);
}

async function structured() {
  const responseJsonSchema = {
    type: "object",
    properties: { colour: { enum: ["red", "blue"] }, sure: { type: "boolean" } },
    required: ["colour", "sure"],
  };
  const wanted = config(60, { responseMimeType: "application/json", responseJsonSchema });
  const answer = await client.models.generateContent({ model, contents: question, config: wanted });
  assert.ok(["red", "blue"].includes(JSON.parse(answer.text).colour));
}

async function functions() {
  const asked = { role: "user", parts: [{ text: "What is the weather in Paris?" }] };
  const first = await client.models.generateContent({ model, contents: [asked], config: config(80, calling("ANY")) });
  const [call] = first.functionCalls;
  assert.ok(["Paris", "Rome"].includes(call.args.city));
  const told = { role: "user", parts: [{ functionResponse: { id: call.id, name: "weather", response: { is: "sunny" } } }] };
  const contents = [asked, first.candidates[0].content, told];
  const last = await client.models.generateContent({ model, contents, config: config(16, calling("NONE")) });
  assert.ok(last.text);
}

for (const part of [whole, streamed, structured, functions]) {
  await part();
  console.log(part.name, "ok");
}
