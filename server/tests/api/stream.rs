//! Chat completions streamed.

use crate::support::http::text_of;
use crate::support::providers::{COMPLETION_NANO, PROMPT_NANO, ask_stream};
use crate::support::{Db, Event, TestApp};
use domain::generation::Outcome;
use fake_provider::{Plan, Script, UsageReport};
use serde_json::{Value, json};

on_both_databases!(
    a_stream_has_the_published_chunks_then_usage_then_done,
    usage_counts_once_wherever_the_provider_reports_it,
    odd_framing_from_the_provider_changes_nothing_for_the_caller,
    a_failure_in_mid_stream_is_an_error_event_and_free,
    a_connection_cut_at_any_byte_is_an_error_event_and_free,
);

async fn a_stream_has_the_published_chunks_then_usage_then_done(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let stream = app.stream(&customer.key, &ask_stream("test/alpha", "12345678")).await;
    assert_eq!(stream.status.as_u16(), 200);
    assert!(
        stream.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/event-stream")
    );
    let id = stream.generation_id();
    let events = stream.rest().await;
    assert_eq!(events.last(), Some(&Event::Done));
    let chunks: Vec<&Value> = events.iter().filter_map(Event::data).collect();
    for chunk in &chunks {
        assert_eq!(
            (&chunk["id"], &chunk["object"]),
            (&json!(id), &json!("chat.completion.chunk"))
        );
        assert_eq!(
            (&chunk["model"], &chunk["provider"]),
            (&json!("test/alpha"), &json!("Alpha"))
        );
        assert_eq!(chunk["created"], chunks[0]["created"]);
    }
    let text: String = events.iter().filter_map(text_of).collect();
    assert_eq!(text, " the sea has two old red big oak the sea has two old red big oak");
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let [.., finish, usage] = chunks.as_slice() else {
        panic!("{chunks:?}")
    };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(finish["choices"][0]["native_finish_reason"], "stop");
    assert_eq!(
        (&usage["choices"], &usage["usage"]["total_tokens"]),
        (&json!([]), &json!(18))
    );
    assert_eq!(usage["usage"]["cost"].to_string(), "0.000034");
    assert_eq!(
        chunks
            .iter()
            .filter(|chunk| chunk.get("usage").is_some_and(|usage| !usage.is_null()))
            .count(),
        1
    );
    let generation = app.generation(&id).await;
    assert_eq!(generation.cost.get(), 2 * PROMPT_NANO + 16 * COMPLETION_NANO);
    assert!(generation.streamed && generation.first_token_us.is_some());
    app.finish().await;
}

async fn usage_counts_once_wherever_the_provider_reports_it(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    for usage in [UsageReport::Late, UsageReport::WithFinish, UsageReport::Duplicated] {
        let plan = Plan {
            usage,
            tokens: 7,
            ..Plan::default()
        };
        app.providers.alpha.set_script(Script::always(plan));
        let stream = app.stream(&customer.key, &ask_stream("test/alpha", "12345678")).await;
        let id = stream.generation_id();
        let events = stream.rest().await;
        let reports = events
            .iter()
            .filter_map(|event| event.data()?.get("usage"))
            .filter(|usage| usage.is_object());
        assert_eq!(reports.count(), 1, "{usage:?}: {events:?}");
        let generation = app.generation(&id).await;
        assert_eq!(
            generation.cost.get(),
            2 * PROMPT_NANO + 7 * COMPLETION_NANO,
            "{usage:?}"
        );
        assert!(!generation.estimated);
    }
    app.finish().await;
}

async fn odd_framing_from_the_provider_changes_nothing_for_the_caller(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let text = "zwölf Boxkämpfer jagen Viktor über den großen Sylter Deich – €5".to_owned();
    let plain = Plan {
        text: Some(text.clone()),
        ..Plan::default()
    };
    let odd = [
        Plan {
            crlf: true,
            ..plain.clone()
        },
        Plan {
            comment_every: 1,
            ..plain.clone()
        },
        Plan {
            trickle_ms: 1,
            text: Some("Grüße €".to_owned()),
            ..plain.clone()
        },
        Plan {
            tokens_per_chunk: 5,
            ..plain.clone()
        },
        Plan {
            done: false,
            ..plain.clone()
        },
    ];
    for plan in odd {
        let expected = plan.text.clone().unwrap();
        app.providers.alpha.set_script(Script::always(plan.clone()));
        let events = app
            .stream(&customer.key, &ask_stream("test/alpha", "hi"))
            .await
            .rest()
            .await;
        let text: String = events.iter().filter_map(text_of).collect();
        assert_eq!((text, events.last()), (expected, Some(&Event::Done)), "{plan:?}");
    }
    app.finish().await;
}

async fn a_failure_in_mid_stream_is_an_error_event_and_free(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.providers.alpha.set_script(Script::always(Plan {
        error_after_tokens: Some(4),
        ..Plan::default()
    }));
    let stream = app.stream(&customer.key, &ask_stream("test/alpha", "hi")).await;
    let id = stream.generation_id();
    assert_failed_in_mid_stream(&stream.rest().await, 4);
    let generation = app.generation(&id).await;
    assert_eq!((generation.outcome, generation.cost.get()), (Outcome::Failed, 0));
    assert!(
        generation.house_cost.get() > 0,
        "the house bears what the provider bills"
    );
    assert_eq!(customer.credits(&app.store).await.used.get(), 0);
    app.finish().await;
}

async fn a_connection_cut_at_any_byte_is_an_error_event_and_free(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    // In the first event, in the middle of a character, between events.
    for bytes in [40, 700, 701, 702, 703, 1_024, 2_000] {
        app.providers.alpha.set_script(Script::always(Plan {
            text: Some("ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€".to_owned()),
            cut_after_bytes: Some(bytes),
            ..Plan::default()
        }));
        let stream = app.stream(&customer.key, &ask_stream("test/alpha", "hi")).await;
        let status = stream.status.as_u16();
        let events = stream.rest().await;
        if status == 200 {
            let text = events.iter().filter_map(text_of).count();
            assert_failed_in_mid_stream(&events, text);
        } else {
            // Nothing had been sent on yet, so the failure could still be an honest status.
            assert!(matches!(status, 502 | 503), "{status}");
        }
        assert_eq!(customer.credits(&app.store).await.used.get(), 0, "cut at {bytes}");
    }
    app.finish().await;
}

fn assert_failed_in_mid_stream(events: &[Event], tokens: usize) {
    assert_eq!(events.iter().filter_map(text_of).count(), tokens);
    let errors: Vec<&Value> = events.iter().filter_map(|event| event.data()?.get("error")).collect();
    assert_eq!(errors.len(), 1, "{events:?}");
    assert!(
        errors[0]["code"].is_number() && errors[0]["message"].is_string(),
        "{events:?}"
    );
    assert!(errors[0]["metadata"]["error_type"].is_string(), "{events:?}");
    let finish = events
        .iter()
        .rev()
        .find_map(|event| event.data()?.pointer("/choices/0/finish_reason"));
    assert_eq!(finish, Some(&json!("error")));
}
