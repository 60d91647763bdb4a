//! How many tests ran, read from what each runner writes about itself.

use anyhow::{Context as _, Result, bail};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Counts {
    /// From nextest's JUnit report, which begins `<testsuites … tests="5" … failures="1" errors="0">`.
    pub fn of_junit(report: &str) -> Result<Self> {
        let start = report
            .find("<testsuites")
            .context("no <testsuites> in the JUnit report")?;
        let tag = report
            .get(start..)
            .and_then(|rest| rest.split('>').next())
            .unwrap_or_default();
        let attribute = |name: &str| -> Result<u64> {
            let text = tag
                .split(&format!(" {name}=\""))
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            Ok(text.with_context(|| format!("no {name} in {tag}"))?.parse()?)
        };
        let failed = attribute("failures")? + attribute("errors")?;
        let all = attribute("tests")?;
        let Some(passed) = all.checked_sub(failed) else {
            bail!("more failures than tests in {tag}")
        };
        Ok(Self {
            passed,
            failed,
            skipped: 0,
        })
    }

    /// From what one test program prints: `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`. A program that
    /// printed none has crashed.
    pub fn of_libtest(output: &str) -> Option<Self> {
        let summary = output
            .lines()
            .rev()
            .find_map(|line| line.trim().strip_prefix("test result:"))?;
        let after_verdict = summary.split_once('.')?.1;
        let number = |what: &str| {
            after_verdict
                .split(';')
                .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
        };
        Some(Self {
            passed: number("passed")?,
            failed: number("failed")?,
            skipped: number("ignored")?,
        })
    }

    /// From Playwright's JSON report. A test that passed only when tried again has failed once and counts as failed.
    pub fn of_playwright(report: &str) -> Result<Self> {
        let report: serde_json::Value = serde_json::from_str(report).context("Playwright's report is not JSON")?;
        let stats = report.get("stats").context("no stats in Playwright's report")?;
        let number = |name: &str| {
            stats
                .get(name)
                .and_then(serde_json::Value::as_u64)
                .with_context(|| format!("no stats.{name} in the report"))
        };
        let broken = report
            .get("errors")
            .and_then(serde_json::Value::as_array)
            .map_or(0, Vec::len);
        Ok(Self {
            passed: number("expected")?,
            failed: number("unexpected")? + number("flaky")? + u64::try_from(broken)?,
            skipped: number("skipped")?,
        })
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_junit() {
        let report = "<?xml version=\"1.0\"?>\n<testsuites name=\"nextest-run\" tests=\"12\" failures=\"2\" errors=\"1\" \
                      uuid=\"x\" time=\"0.1\">\n  <testsuite name=\"a\" tests=\"12\">";
        assert_eq!(
            Counts::of_junit(report).unwrap(),
            Counts {
                passed: 9,
                failed: 3,
                skipped: 0
            }
        );
        assert!(Counts::of_junit("").is_err());
        assert!(Counts::of_junit("<testsuites tests=\"1\" failures=\"2\" errors=\"0\">").is_err());
    }

    #[test]
    fn reads_the_last_summary_of_libtest() {
        let output = "running 3 tests\ntest a ... ok\n\n\
                      test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(
            Counts::of_libtest(output),
            Some(Counts {
                passed: 2,
                failed: 1,
                skipped: 4
            })
        );
        assert_eq!(Counts::of_libtest("memory allocation failed"), None);
    }

    #[test]
    fn reads_playwright_with_flaky_tests_and_broken_files_as_failures() {
        let report = r#"{"errors":[{"message":"x"}],"stats":{"expected":5,"skipped":1,"unexpected":2,"flaky":1}}"#;
        assert_eq!(
            Counts::of_playwright(report).unwrap(),
            Counts {
                passed: 5,
                failed: 4,
                skipped: 1
            }
        );
        assert!(Counts::of_playwright("{}").is_err());
    }
}
