"""Anthropic's client over Messages: streams, counting, tools, the tool runner and structured answers."""

import os
from typing import Literal

import anthropic
import pydantic
from anthropic import beta_tool

client = anthropic.Anthropic(base_url=os.environ["CLIENT_BASE_URL"], api_key=os.environ["CLIENT_KEY"], max_retries=0)
model = os.environ["CLIENT_MODEL"]
messages = [{"role": "user", "content": "What is the capital of France?"}]
# This client has no word for it.
sober = {"extra_body": {"temperature": 0}}
ask = {"model": model, "messages": messages, **sober}


class Answer(pydantic.BaseModel):
    colour: Literal["red", "blue"]
    count: Literal[1, 2, 3]


tool = {
    "name": "weather",
    "description": "Tells the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]},
}


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def whole():
    message = client.messages.create(**ask, max_tokens=16, system="Be brief.")
    assert message.type == "message" and message.role == "assistant" and text_of(message), message
    assert message.stop_reason in ("end_turn", "max_tokens"), message
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0, message


def streamed():
    with client.messages.stream(**ask, max_tokens=16) as stream:
        said = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert said and said == text_of(final), (said, final)
    assert final.stop_reason in ("end_turn", "max_tokens") and final.usage.output_tokens > 0, final


def counted():
    assert client.messages.count_tokens(model=model, messages=messages).input_tokens > 0


def tools():
    common = {"model": model, **sober, "tools": [tool]}
    conversation = [{"role": "user", "content": "What is the weather in Paris?"}]
    forced = {"type": "tool", "name": "weather"}
    first = client.messages.create(**common, messages=conversation, tool_choice=forced, max_tokens=80)
    use = next(block for block in first.content if block.type == "tool_use")
    assert first.stop_reason == "tool_use" and use.input["city"] in ("Paris", "Rome"), first
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}
    conversation += [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": [result]},
    ]
    last = client.messages.create(**common, messages=conversation, tool_choice={"type": "none"}, max_tokens=16)
    assert text_of(last), last


def streamed_tools():
    conversation = [{"role": "user", "content": "What is the weather in Rome?"}]
    common = {"model": model, **sober, "tools": [tool], "tool_choice": {"type": "any"}, "max_tokens": 80}
    with client.messages.stream(**common, messages=conversation) as stream:
        parts = [event.partial_json for event in stream if event.type == "input_json"]
        final = stream.get_final_message()
    use = next(block for block in final.content if block.type == "tool_use")
    assert "".join(parts) and use.input["city"] in ("Paris", "Rome"), (parts, final)


def tool_runner():
    asked = []

    @beta_tool
    def weather(city: Literal["Paris", "Rome"]) -> str:
        """Tells the weather of a city."""
        asked.append(city)
        return "sunny"

    runner = client.beta.messages.tool_runner(
        model=model,
        **sober,
        max_tokens=80,
        max_iterations=2,
        tools=[weather],
        tool_choice={"type": "tool", "name": "weather"},
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
    )
    replies = list(runner)
    assert len(replies) == 2 and asked, (replies, asked)


def structured():
    parsed = client.messages.parse(**ask, max_tokens=60, output_format=Answer)
    assert isinstance(parsed.parsed_output, Answer), parsed


def refused():
    try:
        client.messages.create(**{**ask, "model": "nobody/nothing"}, max_tokens=16)
        raise SystemExit("an unknown model was answered")
    except anthropic.NotFoundError as error:
        assert error.body["type"] == "error" and error.body["error"]["type"] == "not_found_error", error.body


ours = (counted, refused) if os.environ.get("CLIENT_OURS") else ()
for part in (whole, streamed, tools, streamed_tools, tool_runner, structured, *ours):
    part()
    print(part.__name__, "ok", flush=True)
