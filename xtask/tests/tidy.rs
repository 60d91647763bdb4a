//! Rules that no compiler checks: which crate may use which, and where code may lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const SOURCE_LINES_MAX: usize = 700;
const NOT_OURS: [&str; 5] = ["target", "node_modules", "data", "test-results", "playwright-report"];

/// Crates of the workspace and what each may never use, from docs/ARCHITECTURE.md.
const ARROWS: [(&str, &[&str]); 5] = [
    (
        "crates/domain",
        &[
            "axum", "leptos", "sqlx", "reqwest", "tokio", "app", "gateway", "server", "store",
        ],
    ),
    (
        "crates/gateway",
        &["axum", "leptos", "sqlx", "reqwest", "tokio", "app", "server", "store"],
    ),
    (
        "crates/store",
        &["axum", "leptos", "reqwest", "gateway", "app", "server"],
    ),
    ("app", &["axum", "reqwest", "sqlx", "gateway", "server"]),
    (
        "frontend",
        &["axum", "reqwest", "sqlx", "tokio", "gateway", "server", "store"],
    ),
];

#[test]
fn crates_use_only_what_the_architecture_allows() {
    for (folder, forbidden) in ARROWS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        for dependency in dependencies(&manifest) {
            assert!(
                !forbidden.contains(&dependency.as_str()),
                "{folder} must not use {dependency}"
            );
        }
    }
}

#[test]
fn app_contains_no_sql() {
    complain("SQL belongs in crates/store", &rust_files("app/src"), |line| {
        let starts = ["INSERT INTO ", "DELETE FROM ", "CREATE TABLE "];
        starts.iter().any(|start| line.contains(start))
            || (line.contains("SELECT ") && line.contains(" FROM "))
            || (line.contains("UPDATE ") && line.contains(" SET "))
    });
}

#[test]
fn only_config_reads_the_environment() {
    let config = root().join("server/src/config.rs");
    let mut files = rust_files("");
    files.retain(|path| *path != config && !is_tooling(path));
    complain("only server/src/config.rs reads the environment", &files, |line| {
        line.contains("env::var")
    });
}

#[test]
fn modules_are_named_after_themselves() {
    let mut files = rust_files("");
    // In `tests/` cargo takes every file beside the folders for a program of its own: what programs share needs a mod.rs.
    files.retain(|path| path.ends_with("mod.rs") && !is_test(path));
    assert!(files.is_empty(), "foo.rs beside foo/ instead of foo/mod.rs: {files:?}");
}

#[test]
fn source_files_stay_readable() {
    for path in rust_files("").into_iter().filter(|path| !is_test(path)) {
        let lines = before_tests(&fs::read_to_string(&path).unwrap()).count();
        assert!(
            lines <= SOURCE_LINES_MAX,
            "{} has {lines} lines, more than {SOURCE_LINES_MAX}",
            path.display()
        );
    }
}

#[test]
fn migrations_are_numbered_and_named() {
    let mut numbers = BTreeSet::new();
    for path in files_below(&root().join("migrations")) {
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        let number = migration_number(&name).unwrap_or_else(|| panic!("{name} is not named NNNN_name.sql"));
        assert!(
            numbers.insert(number.to_string()),
            "two migrations have the number {number}"
        );
    }
}

/// The names under `[dependencies]`, `[build-dependencies]` and their forms for one target or one dependency. What only
/// tests use is free.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut in_table = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let last_two = section
                .rsplit_once('.')
                .map_or(("", section), |(before, last)| (before, last));
            let is_table = |name: &str| name == "dependencies" || name == "build-dependencies";
            in_table = is_table(last_two.1);
            let parent = last_two.0.rsplit('.').next().unwrap_or_default();
            if is_table(parent) {
                found.insert(last_two.1.to_string());
            }
        } else if in_table && !line.starts_with('#') && line.contains('=') {
            let key = line.split(['=', '.', ' ']).next().unwrap_or_default();
            found.insert(key.trim_matches('"').to_string());
        }
    }
    found
}

fn migration_number(name: &str) -> Option<&str> {
    let (number, rest) = name.strip_suffix(".sql")?.split_once('_')?;
    let is_number = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = !rest.is_empty()
        && rest
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    (is_number && is_name).then_some(number)
}

/// Fails with every place where `is_wrong` holds of a line outside the tests of its file.
fn complain(rule: &str, files: &[PathBuf], is_wrong: impl Fn(&str) -> bool) {
    let mut places = Vec::new();
    for path in files.iter().filter(|path| !is_test(path)) {
        let source = fs::read_to_string(path).unwrap();
        for (index, line) in before_tests(&source).enumerate().filter(|(_, line)| is_wrong(line)) {
            places.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
        }
    }
    assert!(places.is_empty(), "{rule}:\n{}", places.join("\n"));
}

/// A file's lines up to its test module, which is its last part.
fn before_tests(source: &str) -> impl Iterator<Item = &str> {
    let mut lines = source.lines().peekable();
    std::iter::from_fn(move || {
        let line = lines.next()?;
        let begins_tests = line == "#[cfg(test)]"
            && lines
                .peek()
                .is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        (!begins_tests).then_some(line)
    })
}

/// Files that only tests compile: those of `tests/`, and modules behind `#[cfg(test)]` in files of their own.
fn is_test(path: &Path) -> bool {
    let relative = path.strip_prefix(root()).unwrap();
    relative.components().any(|part| part.as_os_str() == "tests")
        || relative
            .file_stem()
            .is_some_and(|stem| stem == "tests" || stem == "testing")
}

fn is_tooling(path: &Path) -> bool {
    let relative = path.strip_prefix(root()).unwrap();
    relative.starts_with("xtask") || relative.starts_with("bench") || path.ends_with("build.rs")
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let files = files_below(&root().join(folder));
    files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with('.') || NOT_OURS.contains(&name) {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn dependencies_are_found_in_every_form() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = { path = \"b\" }\n# c = 1\n\
                    [dependencies.d]\nversion = \"1\"\n[target.'cfg(unix)'.dependencies]\n\"e\" = \"1\"\n\
                    [dev-dependencies]\nf = \"1\"\n[dev-dependencies.g]\nversion = \"1\"\n[build-dependencies]\nh = \"1\"\n";
    assert_eq!(dependencies(manifest).into_iter().collect::<String>(), "abdeh");
}

#[test]
fn a_migration_s_name_is_four_digits_and_words() {
    assert_eq!(migration_number("0001_accounts.sql"), Some("0001"));
    for name in [
        "1_accounts.sql",
        "0001.sql",
        "0001_Accounts.sql",
        "0001_accounts.txt",
        "abcd_accounts.sql",
    ] {
        assert_eq!(migration_number(name), None, "{name}");
    }
}
