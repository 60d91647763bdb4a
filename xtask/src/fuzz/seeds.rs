//! What fuzzing begins with: the golden files of the target's dialect, and the words that stand in all of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

const GOLDEN: &str = "crates/gateway/tests/golden";
const WORD_BYTES_MAX: usize = 40;

/// Writes the seeds of a target into a folder, and the dictionary.
pub fn write(root: &Path, target: &str, folder: &Path, words: &Path) -> Result<()> {
    let files = files_below(&root.join(GOLDEN))?;
    let mut vocabulary = BTreeSet::new();
    for file in &files {
        let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        collect_words(&String::from_utf8_lossy(&bytes), &mut vocabulary);
        if let Some(seed) = seed(target, file, &bytes) {
            fs::write(folder.join(name_of(root, file)), seed)?;
        }
    }
    fs::write(words, dictionary(&vocabulary))?;
    Ok(())
}

/// What a golden file gives to a target.
fn seed(target: &str, file: &Path, bytes: &[u8]) -> Option<Vec<u8>> {
    let name = file.file_name()?.to_str()?;
    let is_of = |dialect: &str| {
        let folder = dialect.replace('_', "-");
        file.components().any(|part| part.as_os_str() == folder.as_str())
    };
    let is_wanted = match target.split_once('_') {
        _ if target == "sse" => name.ends_with(".sse"),
        _ if target == "lines" => name.ends_with(".ndjson") || name.ends_with(".events"),
        Some(("decode", dialect)) => (name.starts_with("stream.") || name == "answer.json") && is_of(dialect),
        Some(("surface", surface)) => name.ends_with(".json") && is_of(surface),
        Some(("encode", _)) if name == "case.json" => return request(bytes),
        _ => false,
    };
    is_wanted.then(|| bytes.to_vec())
}

fn request(case: &[u8]) -> Option<Vec<u8>> {
    let case: Value = serde_json::from_slice(case).ok()?;
    Some(case.get("request")?.to_string().into_bytes())
}

/// Everything between quotes that is no text.
fn collect_words(text: &str, vocabulary: &mut BTreeSet<String>) {
    let words = text.split('"').filter(|word| {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/');
        !word.is_empty() && word.len() <= WORD_BYTES_MAX && word.bytes().all(is_word)
    });
    vocabulary.extend(words.map(str::to_owned));
}

/// In libFuzzer's form: each word as a member's name, and as it is.
fn dictionary(vocabulary: &BTreeSet<String>) -> String {
    let lines = vocabulary
        .iter()
        .map(|word| format!("\"\\\"{word}\\\":\"\n\"\\\"{word}\\\"\"\n"));
    lines.collect()
}

fn name_of(root: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(root.join(GOLDEN)).unwrap_or(file);
    inside.to_string_lossy().replace('/', "--")
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_gets_what_its_dialect_has() {
        let check = |target: &str, file: &str, bytes: &str, expected: Option<&str>| {
            let seed = seed(target, Path::new(file), bytes.as_bytes());
            assert_eq!(seed.as_deref(), expected.map(str::as_bytes), "{target} {file}");
        };
        check("sse", "golden/gemini/text/stream.sse", "x", Some("x"));
        check("sse", "golden/gemini/text/case.json", "x", None);
        check("lines", "golden/ollama/text/stream.ndjson", "x", Some("x"));
        check("decode_cohere_v2", "golden/cohere-v2/text/stream.sse", "x", Some("x"));
        check("decode_cohere_v2", "golden/gemini/text/stream.sse", "x", None);
        check(
            "encode_gemini",
            "golden/ollama/text/case.json",
            r#"{"request": {"a": 1}}"#,
            Some(r#"{"a":1}"#),
        );
    }

    #[test]
    fn words_are_found_between_quotes() {
        let mut words = BTreeSet::new();
        collect_words(r#"{"type": "tool_use", "text": "two words"}"#, &mut words);
        assert_eq!(words.into_iter().collect::<Vec<_>>(), ["text", "tool_use", "type"]);
    }
}
