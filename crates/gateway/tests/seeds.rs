//! The fuzz targets of `fuzz/`, with what they begin from: so that they compile, and hold for every golden file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../../../fuzz/src/dialect.rs"]
mod dialect;
#[path = "../../../fuzz/src/framing.rs"]
mod framing;

use domain::catalog::Dialect;
use std::fs;
use std::path::Path;

const DIALECTS: [Dialect; 7] = [
    Dialect::OpenaiChat,
    Dialect::OpenaiResponses,
    Dialect::AnthropicMessages,
    Dialect::Gemini,
    Dialect::BedrockConverse,
    Dialect::CohereV2,
    Dialect::Ollama,
];

#[test]
fn every_golden_file_does_no_harm_anywhere() {
    feed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
}

fn feed(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            feed(&path);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        framing::sse(&bytes);
        framing::lines(&bytes);
        for dialect in DIALECTS {
            dialect::decode(dialect, &bytes);
            dialect::encode(dialect, &bytes);
        }
    }
}
