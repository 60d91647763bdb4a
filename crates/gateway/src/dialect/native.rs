//! A request in an endpoint's own words goes there as it is written: only the model, the stream, the limit of the answer
//! and who asks are put anew, all at the top level. Nothing below is looked at.

use super::{Call, anthropic, gemini, responses};
use crate::openai::Object;
use crate::request::{Field, Native};
use domain::catalog::{Dialect, Endpoint, Provider};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// `None` where the request is in other words than the endpoint's.
pub(super) fn encode(
    native: &Native,
    dialect: Dialect,
    provider: &Provider,
    endpoint: &Endpoint,
    cap: Option<u64>,
    user: Option<&str>,
) -> Option<Call> {
    if native.dialect != dialect {
        return None;
    }
    let size: usize = native
        .fields
        .iter()
        .map(|field| field.name.len() + field.value.len() + 4)
        .sum();
    let mut body = Object::with_room(size + 256);
    let model = endpoint.provider_model_id.as_str();
    match dialect {
        Dialect::AnthropicMessages => {
            if gemini::is_vertex(provider, endpoint) {
                body.text("anthropic_version", anthropic::VERTEX_VERSION);
            } else {
                body.text("model", model);
            }
            body.raw("stream", b"true");
            if let Some(user) = user {
                body.raw("metadata", format!("{{\"user_id\":\"{user}\"}}").as_bytes());
            }
            let replaced = ["model", "stream", "metadata", "anthropic_version"];
            rest(&mut body, native, &replaced, "max_tokens", cap);
            Some(anthropic::call(provider, endpoint, body.finish()))
        }
        Dialect::OpenaiResponses => {
            body.text("model", model);
            body.raw("stream", b"true");
            // What is kept is kept here.
            body.raw("store", b"false");
            if let Some(user) = user {
                body.text("user", user);
            }
            let replaced = ["model", "stream", "store", "user", "safety_identifier"];
            rest(&mut body, native, &replaced, "max_output_tokens", cap);
            Some(Call::new(responses::PATH, body.finish()))
        }
        Dialect::Gemini => {
            let replaced = ["model", "stream", "generationConfig"];
            rest(&mut body, native, &replaced, "", None);
            let config = native.fields.iter().find(|field| field.name == "generationConfig");
            match (config, cap) {
                (Some(config), None) => body.raw(&config.name, &config.value),
                (config, Some(cap)) => body.raw("generationConfig", &capped(config, cap)),
                (None, None) => {}
            }
            Some(gemini::call(provider, endpoint, body.finish()))
        }
        Dialect::OpenaiChat | Dialect::BedrockConverse | Dialect::CohereV2 | Dialect::Ollama | Dialect::Other => None,
    }
}

fn rest(body: &mut Object, native: &Native, replaced: &[&str], limit: &str, cap: Option<u64>) {
    if let Some(cap) = cap {
        body.raw(limit, cap.to_string().as_bytes());
    }
    for Field { name, value } in &native.fields {
        let is_ours = replaced.contains(&name.as_str()) || (cap.is_some() && name == limit);
        if !is_ours {
            body.raw(name, value);
        }
    }
}

/// Gemini keeps the limit one level down, among other small settings.
fn capped(config: Option<&Field>, cap: u64) -> Vec<u8> {
    let members: Option<BTreeMap<String, &RawValue>> =
        config.and_then(|config| serde_json::from_slice(&config.value).ok());
    let mut body = Object::with_room(256);
    body.raw("maxOutputTokens", cap.to_string().as_bytes());
    for (name, value) in members.unwrap_or_default() {
        if name != "maxOutputTokens" {
            body.raw(&name, value.get().as_bytes());
        }
    }
    body.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn encoded(dialect: Dialect, auth: &str, body: &'static str, cap: Option<u64>) -> (String, String) {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(body).unwrap();
        let native = Native {
            dialect,
            fields: fields
                .into_iter()
                .map(|(name, value)| Field {
                    name,
                    value: Bytes::from_static(value.get().as_bytes()),
                })
                .collect(),
            says: Vec::new(),
            translate: |_| Ok(Vec::new()),
        };
        let provider = serde_json::from_value(serde_json::json!({"slug": "p", "name": "P", "base_url": "http://x",
            "dialect": "openai-chat", "auth": auth}))
        .unwrap();
        let endpoint = serde_json::from_value(serde_json::json!({"id": "a/b|p", "model": "a/b", "provider": "p",
            "provider_model_id": "real/b", "context_length": 10, "prices": {"prompt": 1, "completion": 1}}))
        .unwrap();
        let call = encode(&native, dialect, &provider, &endpoint, cap, Some("tw-1")).unwrap();
        (call.path, String::from_utf8(call.body).unwrap())
    }

    #[test]
    fn what_the_caller_wrote_goes_as_written() {
        let messages = r#"{"model":"a/b","max_tokens":9,"messages":[ {"x" : 1.0} ],"metadata":{"user_id":"me"},"thinking":{"type":"adaptive"}}"#;
        assert_eq!(
            encoded(Dialect::AnthropicMessages, "x-api-key", messages, None),
            (
                "/messages".to_owned(),
                r#"{"model":"real/b","stream":true,"metadata":{"user_id":"tw-1"},"max_tokens":9,"messages":[ {"x" : 1.0} ],"thinking":{"type":"adaptive"}}"#.to_owned()
            )
        );
        assert_eq!(
            encoded(Dialect::AnthropicMessages, "google-oauth2", messages, Some(5)),
            (
                "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/real%2Fb:streamRawPredict".to_owned(),
                r#"{"anthropic_version":"vertex-2023-10-16","stream":true,"metadata":{"user_id":"tw-1"},"max_tokens":5,"messages":[ {"x" : 1.0} ],"thinking":{"type":"adaptive"}}"#.to_owned()
            )
        );
        let responses = r#"{"input":"hi","model":"a/b","store":true,"stream":false,"user":"me"}"#;
        assert_eq!(
            encoded(Dialect::OpenaiResponses, "bearer", responses, Some(7)).1,
            r#"{"model":"real/b","stream":true,"store":false,"user":"tw-1","max_output_tokens":7,"input":"hi"}"#
        );
        let gemini = r#"{"contents":[{"parts":[]}],"generationConfig":{"maxOutputTokens":900,"topK": 4}}"#;
        assert_eq!(
            encoded(Dialect::Gemini, "x-goog-api-key", gemini, Some(7)),
            (
                "/models/real%2Fb:streamGenerateContent?alt=sse".to_owned(),
                r#"{"contents":[{"parts":[]}],"generationConfig":{"maxOutputTokens":7,"topK":4}}"#.to_owned()
            )
        );
        assert_eq!(
            encoded(Dialect::Gemini, "x-goog-api-key", gemini, None).1,
            r#"{"contents":[{"parts":[]}],"generationConfig":{"maxOutputTokens":900,"topK": 4}}"#
        );
    }
}
