//! The vendors' own clients, unchanged, in Python and JavaScript: each a program that uses every helper for streams, tools
//! and structured answers that its client has.

use std::path::Path;
use std::process::Command;

/// Where a client finds a server, and what it asks there.
pub struct Place<'a> {
    pub base_url: String,
    pub key: &'a str,
    pub model: &'a str,
    /// Further settings: what this server can besides.
    pub settings: &'a [(&'a str, &'a str)],
}

/// Runs a program of `server/tests/clients` (Python) or `end2end/clients` (JavaScript) to its end; it must succeed.
pub async fn run(program: &str, place: Place<'_>) {
    let mut command = command(program);
    command
        .env("CLIENT_BASE_URL", place.base_url)
        .env("CLIENT_KEY", place.key)
        .env("CLIENT_MODEL", place.model)
        .envs(place.settings.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}:\n{said}");
    eprintln!("{program}:\n{said}");
}

fn command(program: &str) -> Command {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    if program.ends_with(".py") {
        let mut python = Command::new(setting("TOLLWAY_TEST_PYTHON"));
        python.arg(server.join("tests/clients").join(program));
        python
    } else {
        // The packages lie beside the programs.
        let folder = setting("TOLLWAY_TEST_END2END");
        let mut node = Command::new("node");
        node.arg(Path::new(&folder).join("clients").join(program));
        node
    }
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run these tests with `cargo xtask test`, which installs the vendors' clients")
    })
}
