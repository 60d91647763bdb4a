//! The database goes away and comes back.

use crate::support::database::{Database, Proxy, postgres_is_skipped};
use crate::support::providers::ask;
use crate::support::{Db, TestApp, eventually};

/// SQLite is a file in the server's own directory, so only PostgreSQL can be away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_key_keeps_working_and_others_are_asked_to_wait() {
    if postgres_is_skipped() {
        return;
    }
    let database = Database::create(Db::Postgres).await;
    let proxy = Proxy::start(database.postgres_address()).await;
    let url = database.url().replace(&database.postgres_address(), &proxy.address);
    let app = TestApp::start_at(database, &url).await;
    let (known, unknown) = (app.customer("1").await, app.customer("1").await);
    assert_eq!(
        app.chat(&known.key, &ask("test/alpha", "hi")).await.status.as_u16(),
        200
    );
    proxy.cut();
    let mut limited = ask("test/alpha", "hi");
    limited["max_tokens"] = serde_json::json!(16);
    app.chat(&known.key, &limited).await.expect_ok();
    let answered = app.chat(&known.key, &ask("test/alpha", "hi")).await.expect_ok();
    let refused = app.chat(&unknown.key, &ask("test/alpha", "hi")).await;
    refused.error(503, "service_unavailable");
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    let credits = app.get(&known.key, "/api/v1/credits").await;
    credits.error(503, "service_unavailable");
    assert!(!credits.header("retry-after").is_empty(), "{credits:?}");
    proxy.mend();
    eventually("the other key works again", async || {
        (app.chat(&unknown.key, &ask("test/alpha", "hi")).await.status.as_u16() == 200).then_some(())
    })
    .await;
    let generation = app.generation(&answered.generation_id()).await;
    assert!(generation.cost.get() > 0, "what was answered meanwhile is charged");
    app.finish().await;
}
