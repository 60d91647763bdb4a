//! The chat API's stream towards the caller: chunks, the last chunk with usage and cost, error events, comments.

use crate::openai::Piece;
use domain::generation::Generation;
use domain::money::NanoUsd;
use domain::price::Cost;
use domain::usage::Usage;
use serde_json::{Value, json};

/// What every chunk and the whole answer carry.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub id: String,
    /// Seconds since the epoch.
    pub created: i64,
    /// Slug of the model that serves.
    pub model: String,
    /// Display name of the provider.
    pub provider: String,
}

/// Writes the events of one stream.
#[derive(Debug, Clone)]
pub struct Emitter {
    /// Everything before the part that changes.
    prefix: String,
}

pub const DONE: &[u8] = b"data: [DONE]\n\n";
/// Keeps proxies and clients from giving up while the provider is silent.
pub const KEEP_ALIVE: &[u8] = b": TOLLWAY PROCESSING\n\n";

impl Emitter {
    #[must_use]
    pub fn new(envelope: &Envelope) -> Self {
        let Envelope {
            id,
            created,
            model,
            provider,
        } = envelope;
        let text = |text: &str| Value::from(text).to_string();
        Self {
            prefix: format!(
                "data: {{\"id\":{},\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":{},\"provider\":{}",
                text(id),
                text(model),
                text(provider)
            ),
        }
    }

    /// One event with the pieces of one upstream event.
    pub fn chunk(&self, out: &mut Vec<u8>, pieces: &[Piece]) {
        out.extend_from_slice(self.prefix.as_bytes());
        out.extend_from_slice(b",\"choices\":[");
        for (place, piece) in pieces.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            choice(out, piece);
        }
        out.extend_from_slice(b"]}\n\n");
    }

    /// The last chunk: no choices, usage and cost.
    pub fn usage(&self, out: &mut Vec<u8>, usage: &Usage, cost: &Cost) {
        out.extend_from_slice(self.prefix.as_bytes());
        out.extend_from_slice(b",\"choices\":[],\"usage\":");
        out.extend_from_slice(usage_json(usage, cost).as_bytes());
        out.extend_from_slice(b"}\n\n");
    }

    /// An error after the stream began: `error` is the envelope's inner object.
    pub fn error(&self, out: &mut Vec<u8>, error: &Value) {
        out.extend_from_slice(self.prefix.as_bytes());
        let tail = format!(
            ",\"error\":{error},\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"\"}},\"finish_reason\":\"error\",\"native_finish_reason\":\"error\",\"logprobs\":null}}]}}\n\n"
        );
        out.extend_from_slice(tail.as_bytes());
    }
}

/// The `usage` object with its cost as exact decimal numbers.
#[must_use]
pub fn usage_json(usage: &Usage, cost: &Cost) -> String {
    let Usage {
        prompt,
        completion,
        reasoning,
        cache_read,
        cache_write,
        audio_in,
        audio_out,
        image_out,
        ..
    } = *usage;
    format!(
        "{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\"total_tokens\":{total},\
         \"cost\":{cost},\"is_byok\":false,\
         \"cost_details\":{{\"upstream_inference_cost\":null,\"upstream_inference_prompt_cost\":{prompt_cost},\
         \"upstream_inference_completions_cost\":{completion_cost}}},\
         \"prompt_tokens_details\":{{\"cached_tokens\":{cache_read},\"cache_write_tokens\":{cache_write},\"audio_tokens\":{audio_in},\"video_tokens\":0}},\
         \"completion_tokens_details\":{{\"reasoning_tokens\":{reasoning},\"audio_tokens\":{audio_out},\"image_tokens\":{image_out}}}}}",
        total = usage.total(),
        cost = cost.total.to_decimal(),
        prompt_cost = cost.prompt.to_decimal(),
        completion_cost = cost.completion.to_decimal(),
    )
}

/// Usage and cost as told to the caller of a generation that is over: what is charged, to the nano-dollar.
#[must_use]
pub fn settled_cost(generation: &Generation) -> Cost {
    if generation.cost == NanoUsd::ZERO {
        Cost::default()
    } else {
        generation.prices.cost(&generation.usage)
    }
}

/// The inner object of the error envelope.
#[must_use]
pub fn error_json(code: u16, message: &str, error_type: &str, mut metadata: Value) -> Value {
    if let Some(fields) = metadata.as_object_mut() {
        fields.insert("error_type".to_owned(), error_type.into());
    }
    json!({"code": code, "message": message, "metadata": metadata})
}

fn choice(out: &mut Vec<u8>, piece: &Piece) {
    out.extend_from_slice(b"{\"index\":");
    out.extend_from_slice(piece.index.to_string().as_bytes());
    out.extend_from_slice(b",\"delta\":");
    delta(out, piece);
    out.extend_from_slice(b",\"finish_reason\":");
    match (&piece.native_finish_reason, piece.finish_reason()) {
        (Some(native), Some(reason)) => {
            let text = format!("\"{reason}\",\"native_finish_reason\":{}", Value::from(native.as_str()));
            out.extend_from_slice(text.as_bytes());
        }
        _ => out.extend_from_slice(b"null,\"native_finish_reason\":null"),
    }
    out.extend_from_slice(b",\"logprobs\":");
    out.extend_from_slice(piece.logprobs.as_deref().unwrap_or(b"null"));
    out.push(b'}');
}

/// The provider's delta as written, with `reasoning` added where it came under another name.
fn delta(out: &mut Vec<u8>, piece: &Piece) {
    let Some(reasoning) = &piece.reasoning_alias else {
        out.extend_from_slice(&piece.delta);
        return;
    };
    out.extend_from_slice(b"{\"reasoning\":");
    out.extend_from_slice(reasoning);
    out.push(b',');
    out.extend_from_slice(piece.delta[1..].trim_ascii_start());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai;
    use bytes::Bytes;
    use domain::money::PicoUsd;
    use domain::price::Prices;

    fn emitter() -> Emitter {
        Emitter::new(&Envelope {
            id: "gen-1".into(),
            created: 7,
            model: "a/b".into(),
            provider: "P \"x\"".into(),
        })
    }

    fn emitted(write: impl FnOnce(&Emitter, &mut Vec<u8>)) -> Value {
        let mut out = Vec::new();
        write(&emitter(), &mut out);
        let text = String::from_utf8(out).unwrap();
        serde_json::from_str(text.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap()).unwrap()
    }

    fn chunk(data: &str) -> Value {
        let decoded = openai::decode(&Bytes::copy_from_slice(data.as_bytes())).unwrap();
        emitted(|emitter, out| emitter.chunk(out, &decoded.choices))
    }

    #[test]
    fn a_chunk_is_the_providers_with_our_names() {
        let chunk = chunk(
            r#"{"id":"x","model":"real","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"eos"}]}"#,
        );
        assert_eq!(
            chunk,
            json!({
                "id": "gen-1", "object": "chat.completion.chunk", "created": 7, "model": "a/b", "provider": "P \"x\"",
                "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop", "native_finish_reason": "eos", "logprobs": null}]
            })
        );
    }

    #[test]
    fn reasoning_appears_under_our_name_too() {
        let chunk = chunk(r#"{"choices":[{"delta": { "reasoning_content":"hm"}}]}"#);
        assert_eq!(
            chunk["choices"][0]["delta"],
            json!({"reasoning": "hm", "reasoning_content": "hm"})
        );
    }

    #[test]
    fn the_cost_is_an_exact_decimal() {
        let prices = Prices {
            prompt: PicoUsd::new(50_000),
            completion: PicoUsd::new(200_000),
            ..Prices::default()
        };
        let usage = Usage {
            prompt: 31,
            completion: 7,
            ..Usage::default()
        };
        let text = usage_json(&usage, &prices.cost(&usage));
        assert!(text.contains("\"cost\":0.00000295,"), "{text}");
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["total_tokens"], 38);
    }

    #[test]
    fn an_error_event_says_so_in_its_finish_reason() {
        let error = error_json(502, "gone", "provider_unavailable", json!({"provider_name": "P"}));
        let event = emitted(|emitter, out| emitter.error(out, &error));
        assert_eq!(event["error"]["metadata"]["error_type"], "provider_unavailable");
        assert_eq!(event["choices"][0]["finish_reason"], "error");
    }
}
