"""OpenAI's client over chat completions: helpers for streams, tools and structured answers. The model is small, so what it
says is not looked at, only that it comes in the right form."""

import json
import os
from typing import Literal

import openai
import pydantic

client = openai.OpenAI(base_url=os.environ["CLIENT_BASE_URL"], api_key=os.environ["CLIENT_KEY"], max_retries=0)
model = os.environ["CLIENT_MODEL"]
ask = {"model": model, "temperature": 0, "messages": [{"role": "user", "content": "What is the capital of France?"}]}


class Answer(pydantic.BaseModel):
    colour: Literal["red", "blue"]
    count: Literal[1, 2, 3]


class Weather(pydantic.BaseModel):
    """Tells the weather of a city."""

    city: Literal["Paris", "Rome"]


weather = openai.pydantic_function_tool(Weather)
forced = {"type": "function", "function": {"name": "Weather"}}


def whole():
    completion = client.chat.completions.create(**ask, max_tokens=16)
    assert completion.object == "chat.completion" and completion.choices[0].message.role == "assistant", completion
    assert completion.choices[0].message.content, completion
    usage = completion.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens and usage.prompt_tokens > 0, usage


def streamed():
    with client.chat.completions.stream(**ask, max_tokens=16, stream_options={"include_usage": True}) as stream:
        said = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert said and said == final.choices[0].message.content, (said, final)
    assert final.choices[0].finish_reason in ("stop", "length"), final
    assert final.usage.completion_tokens > 0, final


def structured():
    parsed = client.chat.completions.parse(**ask, max_tokens=60, response_format=Answer)
    assert isinstance(parsed.choices[0].message.parsed, Answer), parsed
    with client.chat.completions.stream(**ask, max_tokens=60, response_format=Answer) as stream:
        done = [event.parsed for event in stream if event.type == "content.done"]
    assert len(done) == 1 and isinstance(done[0], Answer), done


def tools():
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    common = {"model": model, "temperature": 0, "max_tokens": 80, "tools": [weather]}
    first = client.chat.completions.parse(**common, messages=messages, tool_choice=forced)
    message = first.choices[0].message
    call = message.tool_calls[0]
    assert isinstance(call.function.parsed_arguments, Weather) and call.id, first
    messages += [
        {
            "role": "assistant",
            "content": message.content,
            "tool_calls": [{"id": call.id, "type": "function", "function": {"name": "Weather", "arguments": call.function.arguments}}],
        },
        {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"weather": "sunny"})},
    ]
    last = client.chat.completions.create(**{**common, "max_tokens": 16}, messages=messages, tool_choice="none")
    assert last.choices[0].message.content and not last.choices[0].message.tool_calls, last


def streamed_tools():
    messages = [{"role": "user", "content": "What is the weather in Rome?"}]
    common = {"model": model, "temperature": 0, "max_tokens": 80, "tools": [weather], "tool_choice": forced}
    with client.chat.completions.stream(**common, messages=messages) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion()
    assert len(done) == 1 and isinstance(done[0].parsed_arguments, Weather), done
    assert final.choices[0].message.tool_calls[0].function.parsed_arguments == done[0].parsed_arguments, final


for part in (whole, streamed, structured, tools, streamed_tools):
    part()
    print(part.__name__, "ok", flush=True)
