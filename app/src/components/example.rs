//! The first call, in three languages.

/// Examples for [`super::code::CodeTabs`] that stream an answer from `model`.
#[must_use]
pub fn first_call(base_url: &str, model: &str) -> Vec<(&'static str, String)> {
    vec![
        ("curl", curl(base_url, model)),
        ("Python", python(base_url, model)),
        ("TypeScript", typescript(base_url, model)),
    ]
}

#[must_use]
pub fn curl(base_url: &str, model: &str) -> String {
    format!(
        r#"curl -N {base_url}/api/v1/chat/completions \
  -H "Authorization: Bearer $TOLLWAY_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{{
    "model": "{model}",
    "stream": true,
    "messages": [{{"role": "user", "content": "Say hello in five words."}}]
  }}'"#
    )
}

#[must_use]
pub fn python(base_url: &str, model: &str) -> String {
    format!(
        r#"import os
from openai import OpenAI

client = OpenAI(
    base_url="{base_url}/api/v1",
    api_key=os.environ["TOLLWAY_API_KEY"],
)

stream = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Say hello in five words."}}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)"#
    )
}

#[must_use]
pub fn typescript(base_url: &str, model: &str) -> String {
    format!(
        r#"import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: "{base_url}/api/v1",
  apiKey: process.env.TOLLWAY_API_KEY,
}});

const stream = await client.chat.completions.create({{
  model: "{model}",
  messages: [{{ role: "user", content: "Say hello in five words." }}],
  stream: true,
}});
for await (const chunk of stream) {{
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}}"#
    )
}
