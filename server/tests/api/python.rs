//! OpenAI's own Python client, unchanged.

use crate::support::{Db, TestApp};
use std::process::Command;

on_both_databases!(the_official_python_client_works_unchanged);

const SCRIPT: &str = include_str!("openai_client.py");

async fn the_official_python_client_works_unchanged(db: Db) {
    let python = std::env::var("TOLLWAY_TEST_PYTHON").expect(
        "TOLLWAY_TEST_PYTHON is not set: run these tests with `cargo xtask test`, which installs the openai package",
    );
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let mut client = Command::new(python);
    client
        .args(["-c", SCRIPT])
        .env("OPENAI_BASE_URL", app.url("/api/v1"))
        .env("OPENAI_API_KEY", &customer.key);
    let output = tokio::task::spawn_blocking(move || client.output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    app.finish().await;
}
