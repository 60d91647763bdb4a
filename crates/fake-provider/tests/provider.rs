//! The provider as its callers see it, over plain sockets so that every byte and every hang-up is ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use fake_provider::{Bill, Cancel, FakeProvider, Outcome, Plan, Refusal, Script};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(10);

fn start(plan: Plan) -> FakeProvider {
    FakeProvider::start(Script::always(plan)).unwrap()
}

async fn send(provider: &FakeProvider, headers: &str, body: &Value) -> TcpStream {
    let body = body.to_string();
    let mut socket = TcpStream::connect(provider.address()).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: fake\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body.as_bytes()).await.unwrap();
    socket
}

async fn read_to_end(mut socket: TcpStream) -> String {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn read_until(socket: &mut TcpStream, needle: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(needle) {
        let read = tokio::time::timeout(PATIENCE, socket.read(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert!(read > 0, "ended without {needle}: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

fn streaming(text: &str) -> Value {
    json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": text}]})
}

fn bill(provider: &FakeProvider) -> Bill {
    provider.tally().bills[0].clone()
}

#[tokio::test]
async fn a_whole_answer_is_counted_as_finished() {
    let provider = start(Plan::default());
    let answer = read_to_end(send(&provider, "", &streaming("12345678")).await).await;
    assert!(
        answer.contains("content-type: text/event-stream") && answer.contains("data: [DONE]"),
        "{answer}"
    );
    let bill = bill(&provider);
    assert_eq!(
        (bill.outcome, bill.billed_prompt_tokens, bill.billed_completion_tokens),
        (Outcome::Finished, 2, 16)
    );
}

#[tokio::test]
async fn an_answer_in_one_piece_has_the_same_count() {
    let provider = start(Plan::default());
    let body = json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    let answer = read_to_end(send(&provider, "", &body).await).await;
    assert!(
        answer.contains(r#""finish_reason":"length""#) && answer.contains(r#""completion_tokens":5"#),
        "{answer}"
    );
    assert_eq!(bill(&provider).billed_completion_tokens, 5);
}

async fn hang_up_after_first_token(cancel: Cancel) -> Bill {
    let provider = start(Plan {
        tokens: 1_000,
        token_ms: 10,
        cancel,
        ..Plan::default()
    });
    let mut socket = send(&provider, "", &streaming("hi")).await;
    read_until(&mut socket, " the").await;
    drop(socket);
    assert!(provider.idle(PATIENCE).await);
    bill(&provider)
}

#[tokio::test]
async fn a_hang_up_stops_the_work_and_the_bill() {
    let bill = hang_up_after_first_token(Cancel::Stops).await;
    assert_eq!(
        (bill.outcome, bill.billed_completion_tokens),
        (Outcome::Cancelled, bill.produced_tokens)
    );
    assert!(bill.produced_tokens < 100, "{bill:?}");
    assert!(bill.hang_up_ms.is_some());
}

#[tokio::test]
async fn a_provider_that_cannot_cancel_bills_to_the_end() {
    let bill = hang_up_after_first_token(Cancel::BillsToEnd).await;
    assert_eq!(
        (bill.outcome, bill.billed_completion_tokens),
        (Outcome::Cancelled, 1_000)
    );
    assert!(bill.produced_tokens < 100, "{bill:?}");
}

#[tokio::test]
async fn a_hang_up_before_the_head_is_seen_too() {
    let provider = start(Plan {
        headers_ms: 60_000,
        ..Plan::default()
    });
    let socket = send(&provider, "", &streaming("hi")).await;
    while provider.tally().running() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(socket);
    assert!(provider.idle(PATIENCE).await);
    assert_eq!(
        (bill(&provider).outcome, bill(&provider).billed_completion_tokens),
        (Outcome::Cancelled, 0)
    );
}

#[tokio::test]
async fn a_refusal_has_the_scripted_status_headers_and_body() {
    let provider = start(Plan {
        refusal: Some(Refusal {
            status: 429,
            headers: [("retry-after".to_owned(), "7".to_owned())].into(),
            body: Some("<html>slow down</html>".to_owned()),
        }),
        ..Plan::default()
    });
    let answer = read_to_end(send(&provider, "", &streaming("hi")).await).await;
    assert!(
        answer.starts_with("HTTP/1.1 429") && answer.contains("retry-after: 7"),
        "{answer}"
    );
    assert!(answer.ends_with("<html>slow down</html>"), "{answer}");
    assert_eq!(
        (bill(&provider).outcome, bill(&provider).billed_prompt_tokens),
        (Outcome::Refused, 0)
    );
}

#[tokio::test]
async fn a_cut_closes_the_connection_after_what_was_sent() {
    let provider = start(Plan {
        cut_after_tokens: Some(3),
        ..Plan::default()
    });
    let answer = read_to_end(send(&provider, "", &streaming("hi")).await).await;
    assert!(
        answer.contains(" has") && !answer.contains(" two") && !answer.ends_with("0\r\n\r\n"),
        "{answer}"
    );
    assert_eq!(
        (bill(&provider).outcome, bill(&provider).billed_completion_tokens),
        (Outcome::Failed, 3)
    );
}

#[tokio::test]
async fn a_request_scripts_itself_by_header_or_message() {
    let provider = start(Plan::default());
    let by_message = streaming("please fake:{\"tokens\": 3} thanks");
    read_to_end(send(&provider, "x-fake-script: {\"reasoning_tokens\": 2}\r\n", &by_message).await).await;
    assert_eq!(bill(&provider).billed_completion_tokens, 5);
    let received = &provider.requests()[0];
    assert_eq!(received.body, by_message);
    assert_eq!(received.header("host"), Some("fake"));
}

#[tokio::test]
async fn keep_alive_comments_come_while_the_first_token_is_awaited() {
    let provider = start(Plan {
        first_token_ms: 50,
        keep_alive_ms: 10,
        ..Plan::default()
    });
    let answer = read_to_end(send(&provider, "", &streaming("hi")).await).await;
    assert_eq!(answer.matches(": keep-alive").count(), 5);
}

#[tokio::test]
async fn the_script_and_the_tally_are_reachable_over_http() {
    let provider = start(Plan::default());
    let script = r#"{"models": {"x": {"tokens": 1}}}"#;
    let mut socket = TcpStream::connect(provider.address()).await.unwrap();
    let put = format!(
        "PUT /script HTTP/1.1\r\nhost: fake\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{script}",
        script.len()
    );
    socket.write_all(put.as_bytes()).await.unwrap();
    read_until(&mut socket, "204").await;
    socket
        .write_all(b"GET /v1/models HTTP/1.1\r\nhost: fake\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut socket, r#""id":"x""#).await;
    socket
        .write_all(b"GET /tally HTTP/1.1\r\nhost: fake\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut socket, r#"{"bills":[]}"#).await;
}

#[tokio::test]
async fn shutting_down_closes_the_port() {
    let provider = start(Plan::default());
    let address = provider.address();
    provider.shutdown();
    assert!(TcpStream::connect(address).await.is_err());
}
