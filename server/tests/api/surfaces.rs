//! The same answers in the words of every API that callers speak.

use crate::support::http::Reply;
use crate::support::providers::{COMPLETION_NANO, PROMPT_NANO};
use crate::support::{Db, TestApp};
use domain::generation::Outcome;
use fake_provider::{Plan, Refusal, Script, ToolCall};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

mod gemini;
mod messages;
mod responses;

on_both_databases!(
    the_same_answer_costs_the_same_in_any_words,
    calls_of_tools_arrive_byte_for_byte_in_any_words,
    failures_before_the_answer_are_told_in_the_callers_words,
    failures_in_mid_stream_are_told_in_the_callers_words_and_free,
);

/// How one API is spoken.
#[derive(Clone, Copy, Debug)]
struct Spoken {
    name: &'static str,
    path: &'static str,
    /// A request of one user message.
    ask: fn(&str) -> Value,
    /// Text of a whole answer.
    text: fn(&Value) -> String,
    /// Text of an event.
    delta: fn(&Value) -> Option<&str>,
    /// The reason of a failure as that API names it, and our own.
    failure: fn(&Value) -> (&Value, &Value),
    /// Input and output tokens, in a whole answer or in the event that has them.
    usage: fn(&Value) -> Option<(u64, u64)>,
    /// Arguments of the calls in a whole answer, as text.
    arguments: fn(&Value) -> Vec<String>,
    /// A part of a call's arguments.
    arguments_delta: fn(&Value) -> Option<&str>,
}

const MESSAGES: Spoken = Spoken {
    name: "messages",
    path: "/api/v1/messages",
    ask: |text| {
        json!({"model": "test/alpha", "max_tokens": 1000, "messages": [{"role": "user", "content": text}],
            "tools": [{"name": "weather", "input_schema": {"type": "object"}}]})
    },
    text: |answer| answer["content"][0]["text"].as_str().unwrap_or_default().to_owned(),
    delta: |event| event["delta"]["text"].as_str(),
    failure: |body| (&body["error"]["type"], &body["error"]["error_type"]),
    usage: |answer| {
        let usage = answer.get("usage")?;
        Some((usage["input_tokens"].as_u64()?, usage["output_tokens"].as_u64()?))
    },
    arguments: |answer| {
        let blocks = answer["content"].as_array().into_iter().flatten();
        blocks
            .filter(|block| block["type"] == "tool_use")
            .map(|block| block["input"].to_string())
            .collect()
    },
    arguments_delta: |event| event["delta"]["partial_json"].as_str(),
};

const RESPONSES: Spoken = Spoken {
    name: "responses",
    path: "/api/v1/responses",
    ask: |text| {
        json!({"model": "test/alpha", "input": [{"role": "user", "content": text}],
            "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}]})
    },
    text: |answer| {
        answer["output"][0]["content"][0]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    },
    delta: |event| {
        event["delta"]
            .as_str()
            .filter(|_| event["type"] == "response.output_text.delta")
    },
    failure: |body| {
        let error = body
            .get("response")
            .unwrap_or(body)
            .get("error")
            .unwrap_or(&Value::Null);
        (&error["code"], &error["error_type"])
    },
    usage: |answer| {
        let usage = &answer.get("response").unwrap_or(answer)["usage"];
        Some((usage["input_tokens"].as_u64()?, usage["output_tokens"].as_u64()?))
    },
    arguments: |answer| {
        let items = answer["output"].as_array().into_iter().flatten();
        items
            .filter_map(|item| item["arguments"].as_str().map(str::to_owned))
            .collect()
    },
    arguments_delta: |event| {
        event["delta"]
            .as_str()
            .filter(|_| event["type"] == "response.function_call_arguments.delta")
    },
};

const COMPLETIONS: Spoken = Spoken {
    name: "completions",
    path: "/api/v1/completions",
    ask: |text| json!({"model": "test/alpha", "prompt": text}),
    text: |answer| answer["choices"][0]["text"].as_str().unwrap_or_default().to_owned(),
    delta: |event| event["choices"][0]["text"].as_str().filter(|text| !text.is_empty()),
    failure: |body| (&body["error"]["message"], &body["error"]["metadata"]["error_type"]),
    usage: |answer| {
        let usage = answer.get("usage")?;
        Some((usage["prompt_tokens"].as_u64()?, usage["completion_tokens"].as_u64()?))
    },
    arguments: |_| Vec::new(),
    arguments_delta: |_| None,
};

const GEMINI: Spoken = Spoken {
    name: "gemini",
    path: "/api/v1beta/models/test/alpha:generateContent",
    ask: |text| {
        json!({"contents": [{"role": "user", "parts": [{"text": text}]}],
            "tools": [{"functionDeclarations": [{"name": "weather", "parameters": {"type": "OBJECT"}}]}]})
    },
    text: |answer| {
        answer["candidates"][0]["content"]["parts"][0]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    },
    delta: |event| event["candidates"][0]["content"]["parts"][0]["text"].as_str(),
    failure: |body| (&body["error"]["status"], &body["error"]["error_type"]),
    usage: |answer| {
        let usage = answer.get("usageMetadata")?;
        Some((
            usage["promptTokenCount"].as_u64()?,
            usage["candidatesTokenCount"].as_u64()?,
        ))
    },
    arguments: |answer| {
        let parts = answer["candidates"][0]["content"]["parts"]
            .as_array()
            .into_iter()
            .flatten();
        let calls = parts.filter_map(|part| part.get("functionCall"));
        calls.map(|call| call["args"].to_string()).collect()
    },
    // Whole, as Google has it.
    arguments_delta: |_| None,
};

const ALL: &[Spoken] = &[MESSAGES, RESPONSES, COMPLETIONS, GEMINI];
const TEXT: &str = " the sea has two old red big oak the sea has two old red big oak";

fn post(app: &TestApp, key: &str, path: &str, body: &Value) -> RequestBuilder {
    let request = app.http.post(app.url(path)).bearer_auth(key);
    request
        .header("content-type", "application/json")
        .body(body.to_string())
}

async fn asked(app: &TestApp, key: &str, path: &str, body: &Value) -> Reply {
    Reply::read(post(app, key, path, body).send().await.unwrap()).await
}

/// Data of all events, and the generation's id.
async fn streamed(app: &TestApp, key: &str, path: &str, body: &Value) -> (Vec<Value>, String) {
    let mut body = body.clone();
    let path = path.replace(":generateContent", ":streamGenerateContent?alt=sse");
    if !path.contains("alt=sse") {
        body["stream"] = json!(true);
    }
    let reply = asked(app, key, &path, &body).await.expect_ok();
    assert!(
        reply.header("content-type").starts_with("text/event-stream"),
        "{reply:?}"
    );
    (events(&reply.text), reply.generation_id())
}

fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let data = data.filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}")))
        .collect()
}

async fn the_same_answer_costs_the_same_in_any_words(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.providers.alpha.set_script(Script::always(Plan {
        prompt_tokens: Some(20),
        cached_tokens: 5,
        ..Plan::default()
    }));
    let cost = 15 * PROMPT_NANO + 5 * crate::support::providers::CACHED_NANO + 16 * COMPLETION_NANO;
    for spoken in ALL {
        let body = (spoken.ask)("12345678");
        let whole = asked(&app, &customer.key, spoken.path, &body).await.expect_ok();
        assert_eq!((spoken.text)(&whole.body), TEXT, "{}", whole.text);
        let told = (spoken.usage)(&whole.body).unwrap();
        assert_eq!(told.1, 16, "{}", whole.text);
        let (events, id) = streamed(&app, &customer.key, spoken.path, &body).await;
        let text: String = events.iter().filter_map(spoken.delta).collect();
        assert_eq!(text, TEXT, "{spoken:?}");
        let reports: Vec<_> = events
            .iter()
            .filter_map(spoken.usage)
            .filter(|usage| *usage != (0, 0))
            .collect();
        assert_eq!(reports, [told], "{spoken:?}");
        for (id, is_streamed) in [(whole.generation_id(), false), (id, true)] {
            let generation = app.generation(&id).await;
            assert_eq!(
                (generation.cost.get(), generation.surface.as_str()),
                (cost, spoken.name)
            );
            assert_eq!(
                (generation.outcome, generation.streamed),
                (Outcome::Completed, is_streamed)
            );
        }
    }
    app.finish().await;
}

async fn calls_of_tools_arrive_byte_for_byte_in_any_words(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let fragments = [
        "{\"city\":  ",
        "\"Z\\u00fcrich\",",
        "\"n\": 1.0,\n",
        "\"deep\":{\"€\":[ ]}}",
    ];
    app.providers.alpha.set_script(Script::always(Plan {
        tokens: 2,
        tool_call: Some(ToolCall {
            id: "call_7".to_owned(),
            name: "weather".to_owned(),
            arguments: fragments.map(str::to_owned).to_vec(),
        }),
        finish_reason: "tool_calls".to_owned(),
        ..Plan::default()
    }));
    for spoken in ALL.iter().filter(|spoken| spoken.name != "completions") {
        let body = (spoken.ask)("weather?");
        let whole = asked(&app, &customer.key, spoken.path, &body).await.expect_ok();
        let calls = (spoken.arguments)(&whole.body);
        let same = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(calls.len(), 1, "{}", whole.text);
        assert_eq!(same(&calls[0]), same(&fragments.concat()), "{}", whole.text);
        let (events, _) = streamed(&app, &customer.key, spoken.path, &body).await;
        let arguments: String = events.iter().filter_map(spoken.arguments_delta).collect();
        let is_whole = spoken.name == "gemini";
        assert_eq!(
            arguments,
            if is_whole { String::new() } else { fragments.concat() },
            "{spoken:?}"
        );
        if is_whole {
            let calls: Vec<String> = events.iter().flat_map(spoken.arguments).collect();
            assert_eq!(same(&calls[0]), same(&fragments.concat()), "{events:?}");
        }
        let received = app.providers.alpha.requests().pop().unwrap().body;
        assert_eq!(received["tools"][0]["function"]["name"], "weather", "{spoken:?}");
        assert_eq!(
            received["messages"],
            json!([{"role": "user", "content": "weather?"}]),
            "{spoken:?}"
        );
    }
    app.finish().await;
}

async fn failures_before_the_answer_are_told_in_the_callers_words(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.providers.alpha.set_script(Script::always(Plan {
        refusal: Some(Refusal {
            status: 400,
            ..Refusal::default()
        }),
        ..Plan::default()
    }));
    for spoken in ALL {
        let told = |reply: &Reply, status: u16, kind: &str| {
            let (theirs, ours) = (spoken.failure)(&reply.body);
            assert_eq!(reply.status.as_u16(), status, "{}", reply.text);
            assert_eq!(ours, kind, "{}", reply.text);
            assert!(theirs.is_string(), "{}", reply.text);
        };
        let body = (spoken.ask)("hi");
        for stream in [false, true] {
            let mut body = body.clone();
            if spoken.name != "gemini" {
                body["stream"] = json!(stream);
            }
            let reply = asked(&app, &customer.key, spoken.path, &body).await;
            told(&reply, 400, "invalid_request");
        }
        told(
            &asked(&app, "sk-tw-v1-no", spoken.path, &body).await,
            401,
            "authentication",
        );
        told(
            &asked(&app, &customer.key, spoken.path, &json!([])).await,
            400,
            "invalid_request",
        );
        // The model stands in the body, or in the address.
        let mut unknown = body.clone();
        if body.get("model").is_some() {
            unknown["model"] = json!("test/nothing");
        }
        let path = spoken.path.replace("test/alpha", "test/nothing");
        told(&asked(&app, &customer.key, &path, &unknown).await, 404, "not_found");
        let request = app.http.delete(app.url(spoken.path)).bearer_auth(&customer.key);
        let reply = Reply::read(request.send().await.unwrap()).await;
        told(&reply, 405, "method_not_allowed");
    }
    app.finish().await;
}

async fn failures_in_mid_stream_are_told_in_the_callers_words_and_free(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let failing = Plan {
        error_after_tokens: Some(4),
        ..Plan::default()
    };
    let cut = Plan {
        cut_after_tokens: Some(4),
        ..Plan::default()
    };
    for spoken in ALL {
        for plan in [failing.clone(), cut.clone()] {
            app.providers.alpha.set_script(Script::always(plan));
            let (events, id) = streamed(&app, &customer.key, spoken.path, &(spoken.ask)("hi")).await;
            let text: Vec<&str> = events.iter().filter_map(spoken.delta).collect();
            assert_eq!(text.len(), 4, "{events:?}");
            let (theirs, ours) = (spoken.failure)(events.last().unwrap());
            assert!(theirs.is_string() && ours.is_string(), "{events:?}");
            let generation = app.generation(&id).await;
            assert_eq!(
                (generation.outcome, generation.cost.get()),
                (Outcome::Failed, 0),
                "{spoken:?}"
            );
        }
    }
    assert_eq!(customer.credits(&app.store).await.used.get(), 0);
    app.finish().await;
}
