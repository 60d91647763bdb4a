use super::*;
use crate::script::ToolCall;
use proptest::prelude::*;

fn asked() -> Asked {
    Asked {
        protocol: Protocol::OpenaiChat,
        model: "m".to_owned(),
        streamed: true,
        include_usage: true,
        continuous_usage: true,
        timings: true,
        max_tokens: None,
        prompt_tokens: 3,
    }
}

fn plan(tokens: u64) -> Plan {
    Plan {
        tokens,
        ..Plan::default()
    }
}

fn steps(plan: &Plan) -> Vec<Step> {
    Answer::new(plan, &asked(), "id").stream()
}

fn bytes(plan: &Plan) -> Vec<u8> {
    steps(plan)
        .iter()
        .filter_map(sent)
        .flat_map(|(bytes, _)| bytes.to_vec())
        .collect()
}

fn wire(plan: &Plan) -> String {
    String::from_utf8(bytes(plan)).unwrap()
}

fn tokens(plan: &Plan) -> u64 {
    steps(plan).iter().filter_map(sent).map(|(_, tokens)| tokens).sum()
}

fn sent(step: &Step) -> Option<(&Bytes, u64)> {
    match step {
        Step::Send { bytes, tokens } => Some((bytes, *tokens)),
        _ => None,
    }
}

fn events(plan: &Plan) -> Vec<Value> {
    wire(plan)
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[test]
fn every_token_has_a_chunk_of_its_own_and_usage_comes_last() {
    let events = events(&plan(2));
    let choice = |delta: Value, finish: Value| {
        json!({
            "id": "id", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    };
    assert_eq!(
        events[0],
        choice(json!({"role": "assistant", "content": ""}), Value::Null)
    );
    assert_eq!(events[1], choice(json!({"content": " the"}), Value::Null));
    assert_eq!(events[2], choice(json!({"content": " sea"}), Value::Null));
    assert_eq!(events[3], choice(json!({}), json!("stop")));
    assert_eq!(
        (&events[4]["choices"], &events[4]["usage"]["total_tokens"]),
        (&json!([]), &json!(5))
    );
    assert_eq!(events.len(), 5);
    assert!(wire(&plan(2)).ends_with("\n\ndata: [DONE]\n\n"));
    assert_eq!(tokens(&plan(2)), 2);
}

#[test]
fn the_requests_limit_cuts_the_answer_and_is_the_reason_for_its_end() {
    let plan = plan(9);
    let asked = Asked {
        max_tokens: Some(4),
        ..asked()
    };
    let answer = Answer::new(&plan, &asked, "id");
    assert_eq!(answer.planned_tokens(), 4);
    assert_eq!(answer.completion()["choices"][0]["finish_reason"], "length");
}

#[test]
fn arguments_of_a_tool_call_come_in_the_given_pieces() {
    let fragments = ["{\"a\":", " \"\\u00fc", "\"}"];
    let call = ToolCall {
        id: "call_1".to_owned(),
        name: "f".to_owned(),
        arguments: fragments.map(str::to_owned).to_vec(),
    };
    let plan = Plan {
        tokens: 0,
        tool_call: Some(call),
        finish_reason: "tool_calls".to_owned(),
        ..Plan::default()
    };
    let pieces: Vec<Value> = events(&plan)
        .iter()
        .filter_map(|event| {
            event
                .pointer("/choices/0/delta/tool_calls/0/function/arguments")
                .cloned()
        })
        .collect();
    assert_eq!(pieces, fragments);
    let asked = asked();
    let whole = Answer::new(&plan, &asked, "id").completion();
    let message = &whole["choices"][0]["message"];
    let function = json!({"name": "f", "arguments": fragments.concat()});
    assert_eq!(
        message["tool_calls"],
        json!([{"id": "call_1", "type": "function", "function": function}])
    );
    assert_eq!(message["content"], Value::Null);
}

#[test]
fn reasoning_comes_first_and_is_part_of_the_completion() {
    let plan = Plan {
        reasoning_tokens: 2,
        ..plan(3)
    };
    let last = events(&plan).pop().unwrap();
    assert_eq!(last["usage"]["completion_tokens"], 5);
    assert_eq!(last["usage"]["completion_tokens_details"]["reasoning_tokens"], 2);
    assert_eq!(
        events(&plan)[1]["choices"][0]["delta"],
        json!({"reasoning_content": " the"})
    );
}

#[test]
fn usage_is_reported_where_the_plan_says() {
    use UsageReport::{Duplicated, Late, Normal, Omit, WithFinish};
    let reports = |usage| {
        let plan = Plan { usage, ..plan(1) };
        events(&plan)
            .iter()
            .filter(|event| event.get("usage").is_some())
            .count()
    };
    assert_eq!(
        [Normal, Omit, Late, WithFinish, Duplicated].map(reports),
        [1, 0, 1, 1, 2]
    );
}

#[test]
fn usage_and_timings_come_with_every_chunk_on_request() {
    let plan = Plan {
        timings: true,
        continuous_usage: true,
        ..plan(2)
    };
    let events = events(&plan);
    let produced: Vec<&Value> = events[..4]
        .iter()
        .map(|event| &event["timings"]["predicted_n"])
        .collect();
    assert_eq!(produced, [0, 1, 2, 2]);
    assert_eq!(events[1]["usage"]["completion_tokens"], 1);
}

#[test]
fn a_stream_ends_early_as_planned() {
    let error = Plan {
        error_after_tokens: Some(2),
        ..plan(9)
    };
    let cut = Plan {
        cut_after_tokens: Some(0),
        ..plan(9)
    };
    let hang = Plan {
        hang_after_tokens: Some(9),
        ..plan(9)
    };
    assert_eq!(events(&error).pop().unwrap(), json!({"error": error.error_event}));
    assert_eq!((tokens(&error), tokens(&cut), tokens(&hang)), (2, 0, 9));
    assert_eq!(
        (steps(&cut).pop(), steps(&hang).pop()),
        (Some(Step::Cut), Some(Step::Hang))
    );
}

#[test]
fn several_tokens_share_a_chunk_when_asked() {
    let plan = Plan {
        tokens_per_chunk: 3,
        reasoning_tokens: 1,
        ..plan(4)
    };
    let texts: Vec<String> = events(&plan)
        .iter()
        .filter_map(|event| event.pointer("/choices/0/delta/content")?.as_str().map(str::to_owned))
        .collect();
    assert_eq!(texts, ["", " the sea has", " two"]);
    assert_eq!(tokens(&plan), 5);
}

proptest! {
    #[test]
    fn a_cut_falls_on_the_exact_byte(at in 0u64..3_000, crlf: bool, comment_every in 0u64..3) {
        let text = Some("zwölf Boxkämpfer jagen Viktor über den Sylter Deich €€".to_owned());
        let whole = Plan { text, crlf, comment_every, ..Plan::default() };
        let cut = Plan { cut_after_bytes: Some(at), ..whole.clone() };
        let all = bytes(&whole);
        let expected = &all[..usize::try_from(at).unwrap().min(all.len())];
        prop_assert_eq!(bytes(&cut), expected);
    }

    #[test]
    fn a_trickle_brings_the_same_bytes_and_tokens(count in 0u64..20) {
        let slow = Plan { trickle_ms: 1, ..plan(count) };
        prop_assert_eq!(wire(&slow), wire(&plan(count)));
        prop_assert_eq!(tokens(&slow), count);
    }
}
