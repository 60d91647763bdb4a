//! Bundles a style sheet: `@import`s replaced by what they name, comments and indentation dropped.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The style sheet with every relative import in its place. An import of itself, directly or not, is an error, and so is
/// one that names no file; imports of absolute addresses are an error too, since the site loads nothing from elsewhere.
pub fn bundle(main: &Path) -> Result<String> {
    let mut bundle = String::new();
    append(main, &mut Vec::new(), &mut bundle)?;
    Ok(bundle)
}

/// `@import "path" condition;`
#[derive(Debug, PartialEq, Eq)]
struct Import<'a> {
    path: &'a str,
    condition: &'a str,
}

fn append(file: &Path, open: &mut Vec<PathBuf>, bundle: &mut String) -> Result<()> {
    let file = file
        .canonicalize()
        .with_context(|| format!("the style sheet {} cannot be read", file.display()))?;
    if open.contains(&file) {
        bail!("the style sheet {} imports itself", file.display());
    }
    let source = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let folder = file.parent().context("a file has a folder")?.to_path_buf();
    open.push(file);
    for line in without_comments(&source)
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let Some(import) = parse_import(line)? else {
            bundle.push_str(line);
            bundle.push('\n');
            continue;
        };
        let wrap = wrapper(import.condition);
        if let Some(wrap) = &wrap {
            bundle.push_str(wrap);
            bundle.push_str(" {\n");
        }
        append(&folder.join(import.path), open, bundle)?;
        if wrap.is_some() {
            bundle.push_str("}\n");
        }
    }
    open.pop();
    Ok(())
}

/// The import on a line of its own, which is where style sheets here put them.
fn parse_import(line: &str) -> Result<Option<Import<'_>>> {
    let Some(rest) = line.strip_prefix("@import") else {
        return Ok(None);
    };
    let rest = rest.trim_start();
    let (opened, in_url) = match rest.strip_prefix("url(") {
        Some(opened) => (opened.trim_start(), true),
        None => (rest, false),
    };
    let parsed = opened
        .strip_prefix(['"', '\''])
        .and_then(|text| text.split_once(['"', '\'']));
    let (path, after) = parsed.with_context(|| format!("not an import of a quoted path: {line}"))?;
    let after = if in_url {
        after.trim_start().strip_prefix(')')
    } else {
        Some(after)
    };
    let condition = after.and_then(|after| after.trim().strip_suffix(';'));
    let condition = condition.with_context(|| format!("an import stands alone on its line and ends in ';': {line}"))?;
    if path.contains("://") || path.starts_with("//") {
        bail!("the site loads nothing from elsewhere: {line}");
    }
    Ok(Some(Import {
        path,
        condition: condition.trim(),
    }))
}

/// The rule that holds an import's contents: `layer(x)` and media queries become blocks.
fn wrapper(condition: &str) -> Option<String> {
    if condition.is_empty() {
        return None;
    }
    let layer = condition.strip_prefix("layer(").and_then(|rest| rest.strip_suffix(')'));
    Some(layer.map_or_else(|| format!("@media {condition}"), |name| format!("@layer {name}")))
}

/// The source without `/* … */`, except inside quotes.
fn without_comments(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut chars = source.chars().peekable();
    let mut quote = None;
    while let Some(char) = chars.next() {
        match (quote, char) {
            (None, '/') if chars.peek() == Some(&'*') => {
                skip_comment(&mut chars);
                // A comment separates words, as a space does.
                out.push(' ');
                continue;
            }
            (None, '"' | '\'') => quote = Some(char),
            (Some(_), '\\') => {
                out.push(char);
                out.extend(chars.next());
                continue;
            }
            (Some(open), _) if open == char => quote = None,
            _ => {}
        }
        out.push(char);
    }
    out
}

/// Consumes from the `*` that opens a comment to the `/` that closes it.
fn skip_comment(chars: &mut impl Iterator<Item = char>) {
    chars.next();
    let mut last = ' ';
    for char in chars {
        if last == '*' && char == '/' {
            return;
        }
        last = char;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundled(files: &[(&str, &str)]) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, contents) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        bundle(&folder.path().join("main.css"))
    }

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &str) {
        assert_eq!(bundled(files).unwrap(), expected);
    }

    #[test]
    fn imports_are_replaced_in_order_and_relative_to_their_file() {
        check(
            &[
                (
                    "main.css",
                    "@import \"tokens.css\";\n@import url('parts/card.css');\nbody { margin: 0; }\n",
                ),
                ("tokens.css", ":root { --gap: 1rem; }"),
                (
                    "parts/card.css",
                    "@import \"edge.css\";\n.card { padding: var(--gap); }",
                ),
                ("parts/edge.css", ".edge { border: 0; }"),
            ],
            ":root { --gap: 1rem; }\n.edge { border: 0; }\n.card { padding: var(--gap); }\nbody { margin: 0; }\n",
        );
    }

    #[test]
    fn layers_and_media_queries_become_blocks() {
        check(
            &[
                (
                    "main.css",
                    "@import \"a.css\" layer(base);\n@import \"b.css\" (width < 40rem);",
                ),
                ("a.css", "a{}"),
                ("b.css", "b{}"),
            ],
            "@layer base {\na{}\n}\n@media (width < 40rem) {\nb{}\n}\n",
        );
    }

    #[test]
    fn comments_and_indentation_go_and_quoted_text_stays() {
        check(
            &[(
                "main.css",
                "/* @import \"gone.css\"; */\na {\n    /* why */ content: \"/* \\\" kept */\";\n}\n\n",
            )],
            "a {\ncontent: \"/* \\\" kept */\";\n}\n",
        );
    }

    #[test]
    fn bad_imports_are_named() {
        for (line, expected) in [
            ("@import \"main.css\";", "imports itself"),
            ("@import \"absent.css\";", "absent.css"),
            ("@import \"https://fonts.example/a.css\";", "nothing from elsewhere"),
            ("@import \"a.css\"; b {}", "ends in ';'"),
            ("@import a.css;", "quoted path"),
        ] {
            let error = format!("{:#}", bundled(&[("main.css", line)]).unwrap_err());
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
