//! The table: what is asked, in the chat API's words, of whom, and what must come of it. Surfaces can put the same
//! requests in their own words.

use fake_provider::{FakeProvider, Plan, Protocol, Refusal, ToolCall};
use serde_json::{Value, json};

/// A provider to ask.
#[derive(Clone, Copy, Debug)]
pub struct Upstream {
    /// Slug of the provider; its model is `test/{slug}`.
    pub slug: &'static str,
    pub protocol: Protocol,
    /// As in the catalog.
    pub dialect: &'static str,
    pub auth: &'static str,
    pub key_setting: &'static str,
    pub model_id: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    /// The request's fields besides the model.
    pub body: fn() -> Value,
    /// What the provider does with it.
    pub plan: fn() -> Plan,
    pub expected: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This text.
    Text(&'static str),
    /// Calls of these functions with these arguments.
    Calls(&'static [(&'static str, &'static str)]),
    /// This call with reasoning, both of which the provider knows again when the conversation goes on.
    ReasonedCall(&'static str, &'static str),
    /// This text, with so many tokens of the prompt from the cache.
    Cached(&'static str, u64),
    /// An error with this status and type before anything else.
    Refused(u16, &'static str),
    /// Text, and then an error.
    BrokenOff,
}

/// Where a provider's protocol makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Works,
    /// Works, with this difference.
    Differs(&'static str),
}

pub const UPSTREAMS: &[Upstream] = &[
    upstream("chat", Protocol::OpenaiChat, "openai-chat", "bearer", "gpt-4.1"),
    upstream(
        "responses",
        Protocol::OpenaiResponses,
        "openai-responses",
        "bearer",
        "o4-mini",
    ),
    upstream(
        "messages",
        Protocol::AnthropicMessages,
        "anthropic-messages",
        "x-api-key",
        "claude-sonnet-4-5",
    ),
    upstream("gemini", Protocol::Gemini, "gemini", "x-goog-api-key", "gemini-3-pro"),
    Upstream {
        key_setting: "VERTEX_SERVICE_ACCOUNT",
        ..upstream("vertex", Protocol::Gemini, "gemini", "google-oauth2", "gemini-3-flash")
    },
    Upstream {
        key_setting: "BEDROCK_ACCESS_KEY_ID",
        ..upstream(
            "bedrock",
            Protocol::BedrockConverse,
            "bedrock-converse",
            "aws-sigv4",
            "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        )
    },
    upstream(
        "cohere",
        Protocol::CohereV2,
        "cohere-v2",
        "bearer",
        "command-a-reasoning-08-2025",
    ),
    Upstream {
        key_setting: "",
        ..upstream("ollama", Protocol::Ollama, "ollama", "none", "qwen3:8b")
    },
];

pub const CASES: &[Case] = &[
    Case {
        name: "plain",
        body: || json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where?"}]}),
        plan: || text("By the lighthouse, in the harbour."),
        expected: Expected::Text("By the lighthouse, in the harbour."),
    },
    Case {
        name: "stream",
        body: || json!({"stream": true, "messages": [{"role": "user", "content": "Where?"}], "temperature": 0.5}),
        plan: || text("By the lighthouse — «é» 🚢."),
        expected: Expected::Text("By the lighthouse — «é» 🚢."),
    },
    Case {
        name: "tools",
        body: || json!({"messages": [{"role": "user", "content": "Weather in Bern?"}], "tools": tools()}),
        plan: || calls(&[("weather", &["{\"city\" :", " \"Bern\"}"])]),
        expected: Expected::Calls(&[("weather", "{\"city\" : \"Bern\"}")]),
    },
    Case {
        name: "parallel tools",
        body: || json!({"stream": true, "messages": [{"role": "user", "content": "Weather and time?"}], "tools": tools()}),
        plan: || {
            calls(&[
                ("weather", &["{\"city\":", "\"Bern\"}"]),
                ("clock", &["{\"zone\"", ":\"CET\"}"]),
            ])
        },
        expected: Expected::Calls(&[("weather", "{\"city\":\"Bern\"}"), ("clock", "{\"zone\":\"CET\"}")]),
    },
    Case {
        name: "structured output",
        body: || {
            let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
                "additionalProperties": false});
            json!({"messages": [{"role": "user", "content": "Capital of Switzerland?"}],
                "response_format": {"type": "json_schema", "json_schema": {"name": "city", "strict": true, "schema": schema}}})
        },
        plan: || text("{\"city\":\"Bern\"}"),
        expected: Expected::Text("{\"city\":\"Bern\"}"),
    },
    Case {
        name: "image input",
        body: || {
            let image = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}});
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]})
        },
        plan: || text("One grey dot."),
        expected: Expected::Text("One grey dot."),
    },
    Case {
        name: "reasoning over two turns",
        body: || {
            json!({"messages": [{"role": "user", "content": "Weather in Bern?"}], "tools": tools(),
                "reasoning": {"effort": "high"}})
        },
        plan: || Plan {
            reasoning_tokens: 6,
            signature: Some(SIGNATURE.to_owned()),
            ..calls(&[("weather", &["{\"city\":\"Bern\"}"])])
        },
        expected: Expected::ReasonedCall("weather", "{\"city\":\"Bern\"}"),
    },
    Case {
        name: "cache control",
        body: || {
            let part = json!({"type": "text", "text": "A long story that is told again and again.",
                "cache_control": {"type": "ephemeral"}});
            json!({"messages": [{"role": "user", "content": [part, {"type": "text", "text": "Go on."}]}]})
        },
        plan: || Plan {
            cached_tokens: 5,
            ..text("And then?")
        },
        expected: Expected::Cached("And then?", 5),
    },
    Case {
        name: "cut mid-stream",
        body: || json!({"stream": true, "messages": [{"role": "user", "content": "Where?"}]}),
        plan: || Plan {
            cut_after_tokens: Some(4),
            ..Plan::default()
        },
        expected: Expected::BrokenOff,
    },
    Case {
        name: "error before the first byte",
        body: || json!({"stream": true, "messages": [{"role": "user", "content": "Where?"}]}),
        plan: || Plan {
            refusal: Some(Refusal {
                status: 429,
                ..Refusal::default()
            }),
            ..Plan::default()
        },
        expected: Expected::Refused(429, "rate_limit_exceeded"),
    },
    Case {
        name: "error after the first byte",
        body: || json!({"stream": true, "messages": [{"role": "user", "content": "Where?"}]}),
        plan: || Plan {
            error_after_tokens: Some(4),
            ..Plan::default()
        },
        expected: Expected::BrokenOff,
    },
];

/// What a provider signs its reasoning with.
pub const SIGNATURE: &str = "c2lnbmVkLWJ5LXRoZS1mYWtl";
/// One grey dot.
pub const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";

impl Upstream {
    /// What is different here.
    pub fn cell(&self, case: &Case) -> Cell {
        match (case.name, self.protocol) {
            ("reasoning over two turns", Protocol::CohereV2 | Protocol::Ollama) => {
                Cell::Differs("reasoning is given back; the protocol does not sign it")
            }
            ("cache control", Protocol::Ollama) => {
                Cell::Differs("marks are dropped, and the protocol does not say what was cached")
            }
            ("cache control", Protocol::OpenaiResponses | Protocol::Gemini | Protocol::CohereV2) => {
                Cell::Differs("marks are dropped, since the provider caches by itself; what was cached is told")
            }
            ("tools" | "parallel tools", Protocol::Gemini | Protocol::Ollama) => {
                Cell::Differs("arguments are the same JSON, written anew")
            }
            ("structured output", Protocol::BedrockConverse) => {
                Cell::Differs("by a tool whose arguments are the answer, where the model takes no schema")
            }
            _ => Cell::Works,
        }
    }

    pub fn model(&self) -> String {
        format!("test/{}", self.slug)
    }

    /// Its rows of the catalog, below `provider`.
    pub fn provider(&self, provider: &FakeProvider) -> Value {
        let base_url = match self.auth {
            "google-oauth2" => format!("http://{}", provider.address()),
            _ => provider.base_url_of(self.protocol),
        };
        let mut row = json!({"slug": self.slug, "name": self.slug, "base_url": base_url, "dialect": self.dialect,
            "auth": self.auth, "cancel": "stops"});
        if !self.key_setting.is_empty() {
            row["key_setting"] = json!(self.key_setting);
        }
        row
    }
}

const fn upstream(
    slug: &'static str,
    protocol: Protocol,
    dialect: &'static str,
    auth: &'static str,
    model_id: &'static str,
) -> Upstream {
    Upstream {
        slug,
        protocol,
        dialect,
        auth,
        key_setting: "FAKE_API_KEY",
        model_id,
    }
}

fn text(text: &str) -> Plan {
    Plan {
        text: Some(text.to_owned()),
        ..Plan::default()
    }
}

fn calls(calls: &[(&str, &[&str])]) -> Plan {
    let mut all = calls.iter().map(|(name, arguments)| ToolCall {
        id: format!("call_{name}"),
        name: (*name).to_owned(),
        arguments: arguments.iter().map(|part| (*part).to_owned()).collect(),
    });
    Plan {
        tokens: 0,
        tool_call: all.next(),
        more_tool_calls: all.collect(),
        finish_reason: "tool_calls".to_owned(),
        ..Plan::default()
    }
}

fn tools() -> Value {
    let tool = |name: &str, argument: &str| {
        json!({"type": "function", "function": {"name": name, "description": "Tells it.", "parameters": {
            "type": "object", "properties": {(argument): {"type": "string"}}, "required": [argument]}}})
    };
    json!([tool("weather", "city"), tool("clock", "zone")])
}
