"""OpenAI's client over the older completions of a text."""

import os

import openai

client = openai.OpenAI(base_url=os.environ["CLIENT_BASE_URL"], api_key=os.environ["CLIENT_KEY"], max_retries=0)
ask = {"model": os.environ["CLIENT_MODEL"], "prompt": "The capital of France is", "temperature": 0, "max_tokens": 8}

completion = client.completions.create(**ask)
assert completion.object == "text_completion" and completion.choices[0].text, completion
assert completion.usage.prompt_tokens > 0 and completion.usage.completion_tokens > 0, completion
print("whole ok", flush=True)

chunks = list(client.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices), chunks
assert chunks[-1].usage.completion_tokens > 0, chunks[-1]
print("streamed ok", flush=True)
