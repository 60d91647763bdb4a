//! Lists of files pinned by hash, in the format of `sha256sum`, and the check of files against them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

#[derive(Debug, PartialEq, Eq)]
pub struct Pin {
    pub file: String,
    pub sha256: String,
}

/// One pin a line: 64 hex digits, two spaces, the file's name.
pub fn parse(list: &str) -> Result<Vec<Pin>> {
    list.lines()
        .filter(|line| !line.trim().is_empty())
        .map(parse_line)
        .collect()
}

impl Pin {
    /// What apt calls the package of this file: `name=version` of `name_version_architecture.deb`.
    pub fn deb_package(&self) -> Result<String> {
        let mut parts = self
            .file
            .strip_suffix(".deb")
            .with_context(|| format!("{} is no .deb", self.file))?
            .split('_');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(version), Some(_), None) => Ok(format!("{name}={}", version.replace("%3a", ":"))),
            _ => bail!("{} is not named as Debian names its files", self.file),
        }
    }
}

/// Whether every pinned file is in `folder` and has its hash.
pub fn hold(pins: &[Pin], folder: &Path) -> Result<bool> {
    if pins.iter().any(|pin| !folder.join(&pin.file).is_file()) {
        return Ok(false);
    }
    let mut child = Command::new("sha256sum")
        .args(["--check", "--status", "--strict"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .spawn()
        .context("starting sha256sum")?;
    let mut stdin = child.stdin.take().context("sha256sum has a stdin")?;
    for pin in pins {
        writeln!(stdin, "{}  {}", pin.sha256, pin.file)?;
    }
    drop(stdin);
    Ok(child.wait()?.success())
}

fn parse_line(line: &str) -> Result<Pin> {
    match line.split_once("  ") {
        Some((hash, file))
            if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) && !file.is_empty() =>
        {
            Ok(Pin {
                file: file.to_string(),
                sha256: hash.to_string(),
            })
        }
        _ => bail!("not a line of sha256sum: {line:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn a_deb_file_names_its_package_and_version() {
        let pins = parse(&format!("{OF_HELLO}  libllama0_1%3a0.7.0+dfsg-2_amd64.deb\n")).unwrap();
        assert_eq!(pins[0].deb_package().unwrap(), "libllama0=1:0.7.0+dfsg-2");
    }

    #[test]
    fn malformed_lines_are_refused() {
        for line in [
            "abc  file",
            &format!("{OF_HELLO} one-space"),
            &format!("{}  file", "g".repeat(64)),
            OF_HELLO,
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        for file in ["a.deb", "a_1_amd64.rpm", "a_1_b_c.deb"] {
            assert!(
                Pin {
                    file: file.into(),
                    sha256: OF_HELLO.into()
                }
                .deb_package()
                .is_err(),
                "{file}"
            );
        }
    }

    #[test]
    fn a_file_holds_its_pin_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let pins = parse(&format!("{OF_HELLO}  greeting")).unwrap();
        assert!(!hold(&pins, folder.path()).unwrap(), "absent");
        std::fs::write(folder.path().join("greeting"), "hello").unwrap();
        assert!(hold(&pins, folder.path()).unwrap(), "as pinned");
        std::fs::write(folder.path().join("greeting"), "hullo").unwrap();
        assert!(!hold(&pins, folder.path()).unwrap(), "changed");
    }
}
