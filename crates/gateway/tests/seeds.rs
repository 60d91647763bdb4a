//! The fuzz targets of `fuzz/`, with what they begin from: so that they compile, and hold for every golden file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../../../fuzz/src/dialect.rs"]
mod dialect;
#[path = "../../../fuzz/src/framing.rs"]
mod framing;
#[path = "../../../fuzz/src/surface.rs"]
mod surface;

use dialect::DIALECTS;
use gateway::surface::Surface;
use std::fs;
use std::path::Path;

const SURFACES: [Surface; 5] = [
    Surface::Chat,
    Surface::Completions,
    Surface::Responses,
    Surface::Messages,
    Surface::Gemini,
];

#[test]
fn every_golden_file_does_no_harm_anywhere() {
    for folder in ["tests/golden", "tests/surfaces"] {
        feed(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    }
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
        for surface in SURFACES {
            surface::parse(surface, &bytes);
        }
    }
}
