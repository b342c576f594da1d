use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde_json::Value;

/// How many checks and tests came out which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) n_passed: u64,
    pub(crate) n_failed: u64,
    pub(crate) n_skipped: u64,
}

impl Counts {
    /// One check that passed or failed.
    pub(crate) fn one(passed: bool) -> Self {
        Self { n_passed: u64::from(passed), n_failed: u64::from(!passed), n_skipped: 0 }
    }

    /// Adds the counts of another part of the run.
    pub(crate) fn add(&mut self, other: Self) {
        self.n_passed += other.n_passed;
        self.n_failed += other.n_failed;
        self.n_skipped += other.n_skipped;
    }

    /// Tests that ended early because something was not there: their programs call them passed.
    pub(crate) fn without(mut self, left_out: &BTreeMap<String, String>) -> Self {
        // One that failed all the same, or that nothing has counted, is no pass to take away.
        let n = self.n_passed.min(left_out.len() as u64);
        self.n_passed -= n;
        self.n_skipped += n;
        self
    }

    /// A part that says it failed must count as a failure even when its own counts show none, such as
    /// a test binary that did not compile.
    pub(crate) fn with_exit(mut self, succeeded: bool) -> Self {
        if !succeeded && self.n_failed == 0 {
            self.n_failed = 1;
        }
        self
    }
}

impl fmt::Display for Counts {
    /// The plain line that CI reads, alone on its line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.n_passed, self.n_failed, self.n_skipped)
    }
}

/// Why each test was left out, by its name: lines of name, tab and reason, as `nodedata_testkit::skipped` writes them. A
/// test that says it twice counts once.
pub(crate) fn left_out(lines: &str) -> BTreeMap<String, String> {
    let pairs = lines.lines().filter_map(|line| line.split_once('\t'));
    pairs.map(|(name, reason)| (name.to_owned(), reason.to_owned())).collect()
}

/// The counts in the last `Summary` line of nextest, such as
/// `Summary [ 0.013s] 4 tests run: 2 passed (1 slow), 1 failed, 1 timed out, 3 skipped`.
pub(crate) fn nextest(output: &str) -> Option<Counts> {
    let line = output.lines().rev().find(|line| line.trim_start().starts_with("Summary ["))?;
    let (_, parts) = line.split_once(" run: ")?;
    let mut counts = Counts::default();
    for part in parts.split(',') {
        let mut words = part.split_whitespace();
        let Some(n) = words.next().and_then(|it| it.parse::<u64>().ok()) else { continue };
        match words.next() {
            Some("passed") => counts.n_passed += n,
            Some("skipped") => counts.n_skipped += n,
            // "failed", "timed out", "exec failed", "leaky failed": whatever else there is, is not a pass.
            _ => counts.n_failed += n,
        }
    }
    Some(counts)
}

/// The sum of all `test result:` lines of libtest:
/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
pub(crate) fn libtest(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines().filter_map(|line| line.trim().strip_prefix("test result: ")) {
        for part in line.split([';', '.']) {
            let mut words = part.split_whitespace();
            let Some(n) = words.next().and_then(|it| it.parse::<u64>().ok()) else { continue };
            match words.next() {
                Some("passed") => counts.n_passed += n,
                Some("failed") => counts.n_failed += n,
                Some("ignored") => counts.n_skipped += n,
                _ => {}
            }
        }
    }
    counts
}

/// The counts at the end of a run of Python's `unittest`: `Ran 5 tests in 0.1s` and then `OK`,
/// `OK (skipped=1)`, `FAILED (failures=1, errors=1, skipped=1)` or `NO TESTS RAN (skipped=1)`.
pub(crate) fn unittest(output: &str) -> Option<Counts> {
    let ran = output.lines().rev().find_map(|line| line.strip_prefix("Ran "))?;
    let n_ran: u64 = ran.split_whitespace().next()?.parse().ok()?;
    let is_verdict = |line: &&str| ["OK", "FAILED", "NO TESTS RAN"].iter().any(|it| line.starts_with(it));
    let verdict = output.lines().rev().find(is_verdict)?;
    let mut counts = Counts::default();
    if let Some((_, inside)) = verdict.trim_end_matches(')').split_once('(') {
        for part in inside.split(", ") {
            let Some((what, n)) = part.split_once('=') else { continue };
            let n: u64 = n.parse().ok()?;
            match what {
                "failures" | "errors" | "unexpected successes" => counts.n_failed += n,
                "skipped" => counts.n_skipped += n,
                _ => {}
            }
        }
    }
    counts.n_passed = n_ran.saturating_sub(counts.n_failed + counts.n_skipped);
    Some(counts)
}

/// The executable of a package's test target among the messages that cargo prints as JSON, one a line.
pub(crate) fn test_executable(messages: &str, package: &str, target: &str) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|it| {
        // Package ids have had several forms; a folder has the name of its package here.
        let manifest = PathBuf::from(it["manifest_path"].as_str()?);
        let is_it = it["reason"] == "compiler-artifact"
            && manifest.parent()?.ends_with(package)
            && it["target"]["kind"].as_array()?.iter().any(|kind| kind == "test")
            && it["target"]["name"] == target;
        if is_it { it["executable"].as_str().map(PathBuf::from) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: Option<Counts>, n_passed: u64, n_failed: u64, n_skipped: u64) {
        assert_eq!(found, Some(Counts { n_passed, n_failed, n_skipped }));
    }

    #[test]
    fn nextest_summary_lines() {
        check(nextest("x\n     Summary [   0.013s] 12 tests run: 12 passed, 0 skipped\n"), 12, 0, 0);
        check(nextest("     Summary [   1.0s] 1 test run: 1 passed (1 slow), 2 skipped"), 1, 0, 2);
        check(
            nextest(
                "     Summary [   1.0s] 5 tests run: 2 passed, 1 failed, 1 timed out, 1 exec failed, 0 skipped",
            ),
            2,
            3,
            0,
        );
        check(nextest("     Summary [   1.0s] 3/9 tests run: 2 passed, 1 failed, 0 skipped"), 2, 1, 0);
        assert_eq!(nextest("error: could not compile"), None);
    }

    #[test]
    fn libtest_results_add_up() {
        let output = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
                      test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.00s\n";
        check(Some(libtest(output)), 4, 2, 1);
    }

    #[test]
    fn unittest_verdicts() {
        check(unittest("Ran 5 tests in 0.1s\n\nOK\n"), 5, 0, 0);
        check(unittest("Ran 5 tests in 0.1s\n\nOK (skipped=2)\n"), 3, 0, 2);
        check(unittest("Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=1)\n"), 1, 3, 1);
        check(unittest("Ran 0 tests in 0.0s\n\nNO TESTS RAN (skipped=13)\n"), 0, 0, 13);
        check(unittest("Ran 0 tests in 0.0s\n\nNO TESTS RAN\n"), 0, 0, 0);
        assert_eq!(unittest("Traceback (most recent call last):"), None);
    }

    #[test]
    fn executables_are_found_among_messages() {
        let line = |package: &str, kind: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/x/{package}/Cargo.toml","target":{{"kind":["{kind}"],"name":"kit"}},"executable":{executable}}}"#
            )
        };
        let messages = [
            line("nodedata-server", "test", r#""/t/other""#),
            line("nodedata-registry", "lib", "null"),
            "not json".to_owned(),
            line("nodedata-registry", "test", r#""/t/kit-0""#),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ]
        .join("\n");
        let found = |package, target| test_executable(&messages, package, target);
        assert_eq!(found("nodedata-registry", "kit"), Some("/t/kit-0".into()));
        assert_eq!(found("nodedata-registry", "kits"), None);
        assert_eq!(found("registry", "kit"), None);
    }

    #[test]
    fn a_test_that_was_left_out_is_no_pass() {
        let found = left_out("it-1 a::b\tno corpus\nit-1 a::b\tno truth\nit-1 c\tno ffmpeg\nhalf a li");
        assert_eq!(found.keys().collect::<Vec<_>>(), ["it-1 a::b", "it-1 c"]);
        let counts = Counts { n_passed: 5, n_failed: 1, n_skipped: 1 };
        assert_eq!(counts.without(&found).to_string(), "3 passed, 1 failed, 3 skipped");
        assert_eq!(Counts::default().without(&found), Counts::default());
    }

    #[test]
    fn a_failed_exit_is_never_a_pass() {
        let counts = Counts { n_passed: 3, n_failed: 0, n_skipped: 0 };
        assert_eq!(counts.with_exit(false).n_failed, 1);
        assert_eq!(counts.with_exit(true).n_failed, 0);
        assert_eq!(Counts::one(false).to_string(), "0 passed, 1 failed, 0 skipped");
    }
}
