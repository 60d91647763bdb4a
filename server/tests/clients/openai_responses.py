"""OpenAI's client over Responses: streams, tools, structured answers, and answers that are stored and gone on from."""

import json
import os
from typing import Literal

import openai
import pydantic

client = openai.OpenAI(base_url=os.environ["CLIENT_BASE_URL"], api_key=os.environ["CLIENT_KEY"], max_retries=0)
model = os.environ["CLIENT_MODEL"]
ask = {"model": model, "temperature": 0, "input": "What is the capital of France?"}


class Answer(pydantic.BaseModel):
    colour: Literal["red", "blue"]
    count: Literal[1, 2, 3]


class Weather(pydantic.BaseModel):
    """Tells the weather of a city."""

    city: Literal["Paris", "Rome"]


weather = openai.pydantic_function_tool(Weather)["function"]
weather = {"type": "function", **weather}
forced = {"type": "function", "name": "Weather"}


def whole():
    response = client.responses.create(**ask, max_output_tokens=16)
    assert response.object == "response" and response.output_text, response
    assert response.status in ("completed", "incomplete"), response
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens, response


def streamed():
    kinds, said = [], ""
    with client.responses.stream(**ask, max_output_tokens=16) as stream:
        for event in stream:
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                said += event.delta
        final = stream.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] in ("response.completed", "response.incomplete"), kinds
    assert said and said == final.output_text, (said, final)
    for kind in ("response.output_item.added", "response.content_part.added", "response.output_text.done"):
        assert kind in kinds, kinds


def structured():
    parsed = client.responses.parse(**ask, max_output_tokens=60, text_format=Answer)
    assert isinstance(parsed.output_parsed, Answer), parsed
    with client.responses.stream(**ask, max_output_tokens=60, text_format=Answer) as stream:
        final = stream.until_done().get_final_response()
    assert isinstance(final.output_parsed, Answer), final


def tools():
    common = {"model": model, "temperature": 0, "tools": [weather], "store": False}
    items = [{"role": "user", "content": "What is the weather in Paris?"}]
    first = client.responses.create(**common, input=items, tool_choice=forced, max_output_tokens=80)
    call = next(item for item in first.output if item.type == "function_call")
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome"), first
    items += [
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": json.dumps({"weather": "sunny"})},
    ]
    last = client.responses.create(**common, input=items, tool_choice="none", max_output_tokens=16)
    assert last.output_text, last


def streamed_tools():
    common = {"model": model, "temperature": 0, "tools": [weather], "tool_choice": forced, "max_output_tokens": 80}
    arguments = ""
    with client.responses.stream(**common, input="What is the weather in Rome?") as stream:
        for event in stream:
            if event.type == "response.function_call_arguments.delta":
                arguments += event.delta
        final = stream.get_final_response()
    call = next(item for item in final.output if item.type == "function_call")
    assert json.loads(arguments) == json.loads(call.arguments), (arguments, call)


def stored():
    first = client.responses.create(**ask, max_output_tokens=16, store=True)
    assert client.responses.retrieve(first.id).output_text == first.output_text, first
    going_on = {"model": model, "temperature": 0, "input": "And of Italy?", "max_output_tokens": 16}
    second = client.responses.create(**going_on, previous_response_id=first.id, store=True)
    assert second.previous_response_id == first.id and second.usage.input_tokens > first.usage.input_tokens, second
    client.responses.delete(first.id)
    try:
        client.responses.retrieve(first.id)
        raise SystemExit("a deleted response was found")
    except openai.NotFoundError:
        pass


for part in (whole, streamed, structured, tools, streamed_tools, *((stored,) if os.environ.get("CLIENT_STORES") else ())):
    part()
    print(part.__name__, "ok", flush=True)
