//! A request made fit for a provider whose OpenAI chat is not quite OpenAI's.

use super::Object;
use crate::dialect::{Inexpressible, cannot};
use crate::request::{ChatRequest, top_level};
use bytes::Bytes;
use domain::catalog::Provider;
use domain::quirks::{Quirks, ReasoningForm};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What the caller wants of reasoning, from `reasoning` or `reasoning_effort`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Reasoning {
    enabled: Option<bool>,
    effort: Option<String>,
    max_tokens: Option<u64>,
}

/// Names the first parameter that the provider refuses, where the caller requires its parameters to be taken.
pub(crate) fn refuse_required(request: &ChatRequest, provider: &Provider) -> Result<(), Inexpressible> {
    let mut unsupported = provider.quirks.unsupported.iter();
    let said = unsupported.find(|name| request.preferences.require_parameters && request.says(name));
    said.map_or(Ok(()), |name| {
        Err(cannot(name.as_str(), "is not taken by this provider"))
    })
}

/// Whether a field of the request stays behind.
pub(super) fn drops(quirks: &Quirks, name: &str) -> bool {
    let is_reasoning = match quirks.reasoning {
        ReasoningForm::Effort => name == "reasoning",
        ReasoningForm::Object => false,
        _ => matches!(name, "reasoning" | "reasoning_effort"),
    };
    is_reasoning || quirks.unsupported.iter().any(|unsupported| unsupported == name)
}

/// What the provider calls a parameter.
pub(super) fn name<'q>(quirks: &'q Quirks, name: &'q str) -> &'q str {
    quirks.renamed.get(name).map_or(name, String::as_str)
}

/// The value of a field in the provider's words.
pub(super) fn value<'v>(quirks: &Quirks, name: &str, value: &'v Bytes) -> Cow<'v, [u8]> {
    if name == "messages" && quirks.no_developer_role {
        without_developer(value).map_or(Cow::Borrowed(value), Cow::Owned)
    } else {
        Cow::Borrowed(value)
    }
}

/// Asks for reasoning as the provider wants to be asked.
pub(super) fn reasoning(body: &mut Object, quirks: &Quirks, request: &ChatRequest) {
    if matches!(quirks.reasoning, ReasoningForm::Effort | ReasoningForm::Object) {
        let effort = wanted(request).and_then(|wanted| wanted.effort);
        // The dialect's own field goes as it is.
        if let (Some(effort), None) = (effort, request.field("reasoning_effort"))
            && quirks.reasoning == ReasoningForm::Effort
            && !quirks.unsupported.iter().any(|name| name == "reasoning_effort")
        {
            body.text("reasoning_effort", &effort);
        }
        return;
    }
    let Some(wanted) = wanted(request) else { return };
    let is_off = wanted.enabled == Some(false) || wanted.effort.as_deref() == Some("none");
    let flag: &[u8] = if is_off { b"false" } else { b"true" };
    match quirks.reasoning {
        ReasoningForm::Thinking => {
            let kind = if is_off { "disabled" } else { "enabled" };
            body.raw("thinking", format!("{{\"type\":\"{kind}\"}}").as_bytes());
        }
        ReasoningForm::EnableThinking => {
            body.raw("enable_thinking", flag);
            if let (Some(budget), false) = (wanted.max_tokens, is_off) {
                body.raw("thinking_budget", budget.to_string().as_bytes());
            }
        }
        ReasoningForm::Template if request.field("chat_template_kwargs").is_none() => {
            let flag = if is_off { "false" } else { "true" };
            body.raw(
                "chat_template_kwargs",
                format!("{{\"enable_thinking\":{flag}}}").as_bytes(),
            );
        }
        ReasoningForm::Template | ReasoningForm::Effort | ReasoningForm::Object => {}
    }
}

fn wanted(request: &ChatRequest) -> Option<Reasoning> {
    if let Some(raw) = request.field("reasoning") {
        return serde_json::from_slice(raw).ok();
    }
    let effort = serde_json::from_slice(request.field("reasoning_effort")?).ok()?;
    Some(Reasoning {
        effort: Some(effort),
        ..Reasoning::default()
    })
}

/// `None` when no developer says anything.
fn without_developer(messages: &Bytes) -> Option<Vec<u8>> {
    const ROLE: &[u8] = b"\"developer\"";
    if !messages.windows(ROLE.len()).any(|window| window == ROLE) {
        return None;
    }
    let all: Vec<&RawValue> = serde_json::from_slice(messages).ok()?;
    let mut out = Vec::with_capacity(messages.len());
    for message in all {
        out.push(if out.is_empty() { b'[' } else { b',' });
        let message = messages.slice_ref(message.get().as_bytes());
        let Ok(fields) = top_level(&message) else {
            out.extend_from_slice(&message);
            continue;
        };
        let mut object = Object::with_room(message.len());
        for field in &fields {
            let says_developer = field.name == "role" && field.value.as_ref() == ROLE;
            let value: &[u8] = if says_developer { b"\"system\"" } else { &field.value };
            object.raw(&field.name, value);
        }
        out.extend_from_slice(&object.finish());
    }
    out.push(b']');
    Some(out)
}

#[cfg(test)]
mod tests {
    use crate::openai::encode;
    use crate::request::ChatRequest;
    use bytes::Bytes;
    use domain::catalog::{Endpoint, Provider};
    use serde_json::{Value, json};

    fn encoded(quirks: &Value, extra: &str, cap: Option<u64>) -> Value {
        let provider: Provider = serde_json::from_value(json!({"slug": "p", "name": "P", "base_url": "http://x",
            "dialect": "openai-chat", "auth": "bearer", "quirks": quirks}))
        .unwrap();
        let endpoint: Endpoint = serde_json::from_value(json!({"id": "a/b|p", "model": "a/b", "provider": "p",
            "provider_model_id": "b", "context_length": 10, "prices": {"prompt": 1, "completion": 1}}))
        .unwrap();
        let body = format!(
            r#"{{"model":"a/b","messages":[{{"role":"developer","content":"Be a \"developer\"."}},{{"role":"user","content":"hi"}}]{extra}}}"#
        );
        let request = ChatRequest::parse(&Bytes::from(body)).unwrap();
        let body = encode(&request, &provider, &endpoint, cap, Some("tw-1"));
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        for name in ["model", "stream"] {
            body.as_object_mut().unwrap().remove(name);
        }
        body
    }

    fn check(quirks: &Value, extra: &str, cap: Option<u64>, expected: &Value) {
        let mut body = encoded(quirks, extra, cap);
        for name in ["messages", "stream_options", "user"] {
            body.as_object_mut().unwrap().remove(name);
        }
        assert_eq!(body, *expected, "{quirks} {extra}");
    }

    #[test]
    fn parameters_are_renamed_dropped_and_limited_as_the_provider_wants() {
        let mistral = json!({"limit": "max_tokens", "renamed": {"seed": "random_seed"}, "unsupported": ["logit_bias"]});
        let said = r#","max_completion_tokens":9,"seed":4,"logit_bias":{},"temperature":0.5"#;
        check(
            &mistral,
            said,
            None,
            &json!({"max_tokens": 9, "random_seed": 4, "temperature": 0.5}),
        );
        check(&mistral, "", Some(7), &json!({"max_tokens": 7}));
        let openai = json!({"limit": "max_completion_tokens"});
        check(
            &openai,
            r#","max_tokens":9"#,
            None,
            &json!({"max_completion_tokens": 9}),
        );
        check(
            &openai,
            r#","max_tokens":9,"max_completion_tokens":8"#,
            None,
            &json!({"max_completion_tokens": 8}),
        );
    }

    #[test]
    fn reasoning_is_asked_for_in_the_providers_form() {
        let high = r#","reasoning":{"effort":"high","max_tokens":500}"#;
        let off = r#","reasoning_effort":"none""#;
        for (form, said, expected) in [
            ("effort", high, json!({"reasoning_effort": "high"})),
            ("effort", off, json!({"reasoning_effort": "none"})),
            (
                "object",
                high,
                json!({"reasoning": {"effort": "high", "max_tokens": 500}}),
            ),
            ("thinking", high, json!({"thinking": {"type": "enabled"}})),
            ("thinking", off, json!({"thinking": {"type": "disabled"}})),
            (
                "enable-thinking",
                high,
                json!({"enable_thinking": true, "thinking_budget": 500}),
            ),
            ("enable-thinking", off, json!({"enable_thinking": false})),
            (
                "template",
                off,
                json!({"chat_template_kwargs": {"enable_thinking": false}}),
            ),
            ("template", "", json!({})),
        ] {
            check(&json!({"reasoning": form}), said, None, &expected);
        }
    }

    #[test]
    fn a_developer_is_called_system_and_the_rest_stays() {
        let body = encoded(
            &json!({"no_developer_role": true, "no_user": true, "no_stream_options": true}),
            "",
            None,
        );
        assert_eq!(
            body,
            json!({"messages": [{"role": "system", "content": "Be a \"developer\"."}, {"role": "user", "content": "hi"}]})
        );
        assert_eq!(encoded(&json!({}), "", None)["messages"][0]["role"], "developer");
    }
}
