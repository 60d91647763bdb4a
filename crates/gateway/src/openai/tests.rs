use super::*;

fn request(extra: &str) -> ChatRequest {
    let body = format!(r#"{{"model":"a/b","messages":[{{"role":"user","content":"é\u00e9"}}]{extra}}}"#);
    ChatRequest::parse(&Bytes::from(body)).unwrap()
}

fn provider(progress: &str) -> Provider {
    serde_json::from_value(serde_json::json!({
        "slug": "p", "name": "P", "base_url": "http://x", "dialect": "openai-chat", "auth": "bearer", "progress": progress
    }))
    .unwrap()
}

fn endpoint() -> Endpoint {
    serde_json::from_value(serde_json::json!({
        "id": "a/b|p", "model": "a/b", "provider": "p", "provider_model_id": "real-b", "context_length": 10,
        "prices": {"prompt": 1, "completion": 1}
    }))
    .unwrap()
}

fn encoded(extra: &str, cap: Option<u64>) -> String {
    String::from_utf8(encode(&request(extra), &provider("at-end"), &endpoint(), cap, None)).unwrap()
}

#[test]
fn the_callers_fields_pass_as_written_and_ours_do_not() {
    let body = encoded(
        r#","provider":{},"models":["c/d"],"stream":false,"top_k" : 5,"safe_prompt":true"#,
        None,
    );
    assert_eq!(
        body,
        r#"{"model":"real-b","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"é\u00e9"}],"top_k":5,"safe_prompt":true}"#
    );
}

#[test]
fn a_cap_replaces_the_limit_under_the_name_the_caller_used() {
    assert!(encoded("", Some(7)).contains(r#""max_tokens":7,"#));
    let body = encoded(r#","max_completion_tokens":9"#, Some(7));
    assert!(
        body.contains(r#""max_completion_tokens":7"#) && !body.contains(":9"),
        "{body}"
    );
}

#[test]
fn the_effort_of_a_reasoning_object_becomes_the_dialects_field() {
    assert!(encoded(r#","reasoning":{"effort":"low"}"#, None).ends_with(r#""reasoning_effort":"low"}"#));
    assert!(!encoded(r#","reasoning":{"max_tokens":5}"#, None).contains("reasoning"));
}

#[test]
fn progress_is_asked_for_where_the_provider_has_it() {
    let body =
        |progress| String::from_utf8(encode(&request(""), &provider(progress), &endpoint(), None, Some("u"))).unwrap();
    assert!(body("timings").contains(r#""timings_per_token":true"#));
    assert!(body("continuous-usage").contains("continuous_usage_stats"));
    assert!(body("at-end").contains(r#""user":"u""#));
}

fn decoded(data: &str) -> Decoded {
    decode(&Bytes::copy_from_slice(data.as_bytes())).unwrap()
}

#[test]
fn a_chunk_keeps_its_delta_byte_for_byte() {
    let raw = r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\" :1.0"}}]}"#;
    let chunk = decoded(&format!(
        r#"{{"id":"x","choices":[{{"index":1,"delta":{raw},"finish_reason":null}}]}}"#
    ));
    assert_eq!(chunk.choices[0].delta.as_ref(), raw.as_bytes());
    assert_eq!((chunk.choices[0].index, chunk.choices[0].text_bytes), (1, 11));
}

#[test]
fn reasoning_is_recognised_under_both_names() {
    let chunk = decoded(r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#);
    assert_eq!(chunk.choices[0].reasoning_alias.as_deref(), Some(br#""hm""#.as_slice()));
    assert!(chunk.choices[0].is_reasoning);
    let chunk = decoded(r#"{"choices":[{"delta":{"reasoning":"hm","reasoning_content":"hm"}}]}"#);
    assert!(chunk.choices[0].reasoning_alias.is_none() && chunk.choices[0].is_reasoning);
}

fn check_usage(usage: &str, expected: Usage) {
    assert_eq!(
        decoded(&format!(r#"{{"choices":[],"usage":{usage}}}"#)).usage,
        Some(expected),
        "{usage}"
    );
}

#[test]
fn usage_has_one_meaning() {
    let plain = Usage {
        prompt: 10,
        completion: 5,
        ..Usage::default()
    };
    check_usage(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#, plain);
    check_usage(
        r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"completion_tokens_details":{"reasoning_tokens":4},"prompt_tokens_details":{"cached_tokens":3}}"#,
        Usage {
            reasoning: 4,
            cache_read: 3,
            ..plain
        },
    );
    // xAI counts reasoning apart.
    check_usage(
        r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":19,"completion_tokens_details":{"reasoning_tokens":4}}"#,
        Usage {
            completion: 9,
            reasoning: 4,
            ..plain
        },
    );
    check_usage(
        r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":8}"#,
        Usage { cache_read: 8, ..plain },
    );
    check_usage(
        r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":30}}"#,
        Usage {
            cache_read: 10,
            ..plain
        },
    );
}

#[test]
fn timings_are_progress_and_not_the_bill() {
    let chunk = decoded(
        r#"{"choices":[{"delta":{"content":"a"}}],"timings":{"prompt_n":3,"cache_n":4,"predicted_n":2,"predicted_ms":1.5}}"#,
    );
    assert_eq!(
        chunk.progress,
        Some(Usage {
            prompt: 7,
            completion: 2,
            cache_read: 4,
            ..Usage::default()
        })
    );
    assert_eq!(chunk.usage, None);
}

#[test]
fn errors_and_the_end_are_told_from_chunks() {
    assert!(decoded("[DONE]").done);
    let error = decoded(r#"{"error":{"code":429,"message":"slow down"}}"#)
        .error
        .unwrap();
    assert_eq!((error.status, error.message.as_str()), (429, "slow down"));
    assert!(decode(&Bytes::from_static(b"<html>")).is_err());
    assert!(decode(&Bytes::from_static(b"{}")).is_err());
}

#[test]
fn a_whole_answer_is_one_large_chunk() {
    let whole = decoded(
        r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
    );
    assert_eq!(whole.choices[0].native_finish_reason.as_deref(), Some("stop"));
    assert_eq!(whole.choices[0].text_bytes, 5);
    assert_eq!(whole.usage.unwrap().completion, 2);
}

#[test]
fn what_a_provider_writes_on_several_lines_is_passed_on_in_one() {
    let answer = "{\"choices\": [{\"index\": 0,\n \"message\": {\r\n\"content\": \"a\\nb\"\n}}]}";
    let decoded = decode(&Bytes::from(answer)).unwrap();
    assert_eq!(decoded.choices[0].delta.as_ref(), br#"{  "content": "a\nb" }"#);
    assert!(decode(&Bytes::from("{\"choices\":[{\"message\":{\"content\":\"a\nb\"}}]}")).is_err());
}
