"""Uses the official client as its documentation shows; the address and the key come from the environment."""

import openai

client = openai.OpenAI(max_retries=0)
ask = {"model": "test/alpha", "messages": [{"role": "user", "content": "12345678"}]}
text = " the sea has two old red big oak the sea has two old red big oak"

completion = client.chat.completions.create(**ask)
assert completion.choices[0].message.content == text, completion
assert completion.choices[0].finish_reason == "stop", completion
assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (2, 16), completion
assert abs(completion.usage.cost - 0.000034) < 1e-12, completion

chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text, chunks
assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 18, chunks[-1]

without_usage = list(client.chat.completions.create(**ask, stream=True))
assert "".join(chunk.choices[0].delta.content or "" for chunk in without_usage if chunk.choices) == text

models = {model.id for model in client.models.list()}
assert "test/alpha" in models and len(models) > 500, len(models)

try:
    client.chat.completions.create(**{**ask, "model": "test/nothing-like-it"})
    raise SystemExit("an unknown model was answered")
except openai.NotFoundError as error:
    assert error.status_code == 404, error

try:
    openai.OpenAI(api_key="sk-wrong", max_retries=0).chat.completions.create(**ask)
    raise SystemExit("a wrong key was accepted")
except openai.AuthenticationError as error:
    assert error.status_code == 401, error

print("ok")
