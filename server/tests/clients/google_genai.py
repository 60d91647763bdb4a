"""Google's client over generateContent: streams, function calls and structured answers."""

import os
from typing import Literal

import pydantic
from google import genai
from google.genai import types

options = types.HttpOptions(base_url=os.environ["CLIENT_BASE_URL"], api_version=os.environ["CLIENT_VERSION"])
client = genai.Client(api_key=os.environ["CLIENT_KEY"], http_options=options)
model = os.environ["CLIENT_MODEL"]
question = "What is the capital of France?"


class Answer(pydantic.BaseModel):
    colour: Literal["red", "blue"]
    count: int = pydantic.Field(ge=1, le=3)


weather = types.FunctionDeclaration(
    name="weather",
    description="Tells the weather of a city.",
    parameters_json_schema={"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]},
)
tools = [types.Tool(function_declarations=[weather])]


def calling(mode):
    return types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=mode))


def config(tokens, **more):
    return types.GenerateContentConfig(temperature=0, max_output_tokens=tokens, **more)


def whole():
    answer = client.models.generate_content(model=model, contents=question, config=config(16, system_instruction="Be brief."))
    assert answer.text and answer.candidates[0].finish_reason in ("STOP", "MAX_TOKENS"), answer
    usage = answer.usage_metadata
    assert usage.prompt_token_count > 0 and usage.candidates_token_count > 0, usage


def streamed():
    chunks = list(client.models.generate_content_stream(model=model, contents=question, config=config(16)))
    assert "".join(chunk.text or "" for chunk in chunks), chunks
    assert chunks[-1].usage_metadata.candidates_token_count > 0, chunks[-1]


def structured():
    wanted = config(60, response_mime_type="application/json", response_schema=Answer)
    answer = client.models.generate_content(model=model, contents=question, config=wanted)
    assert isinstance(answer.parsed, Answer), answer


def functions():
    asked = types.Content(role="user", parts=[types.Part(text="What is the weather in Paris?")])
    first = client.models.generate_content(model=model, contents=[asked], config=config(80, tools=tools, tool_config=calling("ANY")))
    call = first.function_calls[0]
    assert call.name == "weather" and call.args["city"] in ("Paris", "Rome"), first
    told = types.Part.from_function_response(name="weather", response={"weather": "sunny"})
    contents = [asked, first.candidates[0].content, types.Content(role="user", parts=[told])]
    last = client.models.generate_content(model=model, contents=contents, config=config(16, tools=tools, tool_config=calling("NONE")))
    assert last.text, last


def streamed_functions():
    wanted = config(80, tools=tools, tool_config=calling("ANY"))
    stream = client.models.generate_content_stream(model=model, contents="What is the weather in Rome?", config=wanted)
    calls = [call for chunk in stream for call in chunk.function_calls or []]
    assert len(calls) == 1 and calls[0].args["city"] in ("Paris", "Rome"), calls


for part in (whole, streamed, structured, functions, streamed_functions):
    part()
    print(part.__name__, "ok", flush=True)
