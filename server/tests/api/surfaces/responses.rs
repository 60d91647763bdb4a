//! Responses that are kept, continued, listed and forgotten.

use super::{asked, streamed};
use crate::support::http::Reply;
use crate::support::{Db, TestApp};
use serde_json::{Value, json};

on_both_databases!(
    a_kept_response_is_continued_read_and_deleted,
    responses_are_their_owners_alone,
    an_operator_can_keep_none,
);

const PATH: &str = "/api/v1/responses";

async fn a_kept_response_is_continued_read_and_deleted(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let first = json!({"model": "test/alpha", "input": "One", "instructions": "Be brief.", "metadata": {"k": "v"}});
    let first = asked(&app, &customer.key, PATH, &first).await.expect_ok();
    let id = first.body["id"].as_str().unwrap();
    assert!(id.starts_with("resp_") && first.body["store"] == true, "{}", first.text);
    let second = json!({"model": "test/alpha", "input": "Two", "previous_response_id": id});
    let (events, _) = streamed(&app, &customer.key, PATH, &second).await;
    let second = &events.last().unwrap()["response"];
    let third = json!({"model": "test/alpha", "input": [{"role": "user", "content": "Three"}], "store": false,
        "previous_response_id": second["id"]});
    let third = asked(&app, &customer.key, PATH, &third).await.expect_ok();
    let received = app.providers.alpha.requests().pop().unwrap().body;
    let said: Vec<&str> = received["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            assert!(message["content"].is_string(), "{message}");
            message["role"].as_str().unwrap()
        })
        .collect();
    // Instructions are of their own request only.
    assert_eq!(said, ["user", "assistant", "user", "assistant", "user"]);
    assert_eq!(received["messages"][4]["content"], "Three");

    let kept = app.get(&customer.key, &format!("{PATH}/{id}")).await.expect_ok();
    assert_eq!(kept.text, first.text);
    let streamed = app
        .get(&customer.key, &format!("{PATH}/{}", second["id"].as_str().unwrap()))
        .await;
    assert_eq!(&streamed.expect_ok().body, second);
    let items = app
        .get(&customer.key, &format!("{PATH}/{id}/input_items"))
        .await
        .expect_ok();
    assert_eq!(
        items.body["data"][0]["content"],
        json!([{"type": "input_text", "text": "One"}]),
        "{}",
        items.text
    );
    assert_eq!(
        (&items.body["has_more"], items.body["data"].as_array().unwrap().len()),
        (&json!(false), 1)
    );
    let unkept = app
        .get(&customer.key, &format!("{PATH}/{}", third.body["id"].as_str().unwrap()))
        .await;
    assert_eq!(unkept.status.as_u16(), 404, "{}", unkept.text);

    let delete = app
        .http
        .delete(app.url(&format!("{PATH}/{id}")))
        .bearer_auth(&customer.key);
    let deleted = Reply::read(delete.send().await.unwrap()).await.expect_ok();
    assert_eq!(deleted.body, json!({"id": id, "object": "response", "deleted": true}));
    let gone = json!({"model": "test/alpha", "input": "Four", "previous_response_id": second["id"]});
    let gone = asked(&app, &customer.key, PATH, &gone).await;
    assert_eq!(gone.status.as_u16(), 400, "{}", gone.text);
    assert_eq!(gone.body["error"]["param"], "previous_response_id", "{}", gone.text);
    app.finish().await;
}

async fn responses_are_their_owners_alone(db: Db) {
    let app = TestApp::start(db).await;
    let (one, other) = (app.customer("1").await, app.customer("1").await);
    let kept = asked(&app, &one.key, PATH, &json!({"model": "test/alpha", "input": "Hi"}))
        .await
        .expect_ok();
    let id = kept.body["id"].as_str().unwrap();
    let path = format!("{PATH}/{id}");
    for path in [path.clone(), format!("{path}/input_items")] {
        assert_eq!(app.get(&other.key, &path).await.status.as_u16(), 404);
    }
    let delete = app
        .http
        .delete(app.url(&path))
        .bearer_auth(&other.key)
        .send()
        .await
        .unwrap();
    assert_eq!(delete.status().as_u16(), 404);
    let stolen = json!({"model": "test/alpha", "input": "What was that?", "previous_response_id": id});
    assert_eq!(asked(&app, &other.key, PATH, &stolen).await.status.as_u16(), 400);
    app.get(&one.key, &path).await.expect_ok();
    app.finish().await;
}

async fn an_operator_can_keep_none(db: Db) {
    let app = TestApp::start_with(db, &[("TOLLWAY_RESPONSES_RETENTION_DAYS", "0")]).await;
    let customer = app.customer("1").await;
    let ask = |store: Value| json!({"model": "test/alpha", "input": "Hi", "store": store});
    let unkept = asked(&app, &customer.key, PATH, &ask(Value::Null)).await.expect_ok();
    assert_eq!(unkept.body["store"], false);
    let refused = asked(&app, &customer.key, PATH, &ask(json!(true))).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body["error"]["param"]),
        (400, &json!("store")),
        "{}",
        refused.text
    );
    app.finish().await;
}
