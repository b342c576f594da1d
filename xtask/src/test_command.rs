use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use crate::{
    check_summary::{self, Counts},
    generated, python_readers, python_wheel, tidy,
    workspace::{self, Result},
};

/// Flags of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Also run what takes long: tests read NODEDATA_TEST_LONG=1 and widen their cases.
    #[arg(long)]
    pub(crate) long: bool,
}

/// Name of the variable that asks tests for their long form.
pub(crate) const LONG: &str = "NODEDATA_TEST_LONG";

/// Name of the variable that names the file in which tests say that they are left out (`nodedata_testkit::skipped`).
const LEFT_OUT: &str = "NODEDATA_TEST_SKIPPED";

/// What every build of a test run covers. Always the same, so that no part builds a dependency again
/// with other features; the bench is in it so that it cannot rot.
pub(crate) const WHOLE_WORKSPACE: [&str; 3] = ["--workspace", "--features", "xtask/bench"];

/// The test binary `name` of a package, as the tests were run from it: another selection of features would build it
/// again.
///
/// # Errors
/// When it does not compile, or there is none.
pub(crate) fn test_binary(package: &str, name: &str) -> Result<PathBuf> {
    let mut command =
        workspace::cargo(&["test", "--no-run", "--quiet", "--message-format", "json-render-diagnostics"]);
    command.args(WHOLE_WORKSPACE).args(["--test", name]);
    let messages = workspace::stdout_of(&mut command)?;
    check_summary::test_executable(&messages, package, name)
        .ok_or_else(|| format!("{} names no test `{name}` of {package}", workspace::shown(&command)))
}

/// What one part of the run says at the end.
struct Part {
    name: &'static str,
    counts: Counts,
    /// Why it failed or was skipped.
    remark: Option<String>,
    took: Duration,
}

/// Runs every part, even when an earlier one failed, and ends with the counts alone on a line.
pub(crate) fn run(options: &Options) -> ExitCode {
    let mut parts = vec![
        check("format", format_check),
        check("tidy", tidy::rules),
        check("clippy", clippy),
        check("lean build", lean_build),
        check("fuzz targets", fuzz_targets),
        check("generated files", || generated::run(true)),
        licences(),
    ];
    parts.push(part("tests", || nextest_or_libtest(options)));
    parts.push(part("doc tests", doc_tests));
    parts.push(part("python readers", || python_readers::run(options.long)));
    parts.push(part("python wheel", || python_wheel::run(options.long)));

    println!();
    let mut total = Counts::default();
    for Part { name, counts, remark, took } in &parts {
        total.add(*counts);
        let remark = remark.as_deref().map(|it| format!(" ({it})")).unwrap_or_default();
        println!(
            "{name}: {} ok, {} not ok, {} left out, {} s{remark}",
            counts.n_passed,
            counts.n_failed,
            counts.n_skipped,
            took.as_secs()
        );
    }
    // CI reads this line: it must be the last one and stand alone.
    println!("{total}");
    if total.n_failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One check that passes or fails as a whole.
fn check(name: &'static str, job: impl FnOnce() -> Result<()>) -> Part {
    part(name, || {
        job()?;
        Ok((Counts::one(true), None))
    })
}

/// A part with counts of its own; an `Err` counts as one failure.
fn part(name: &'static str, job: impl FnOnce() -> Result<(Counts, Option<String>)>) -> Part {
    eprintln!("== {name}");
    let start = Instant::now();
    let (counts, remark) = job().unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        (Counts::one(false), failure.lines().next().map(str::to_owned))
    });
    Part { name, counts, remark, took: start.elapsed() }
}

fn format_check() -> Result<()> {
    workspace::run(&mut workspace::cargo(&["fmt", "--all", "--", "--check"]))
        .map_err(|err| format!("{err}; `cargo fmt --all` puts it right"))
}

fn clippy() -> Result<()> {
    let lints = ["--", "-D", "warnings", "-D", "clippy::too_many_lines"];
    workspace::run(
        workspace::cargo(&["clippy", "--quiet", "--keep-going", "--all-targets"])
            .args(WHOLE_WORKSPACE)
            .args(lints),
    )
}

/// Whether the command compiles without what is on by default, which no other part of the run builds. Warnings are mistakes
/// there as well: what only a left-out part uses has to be left out with it.
fn lean_build() -> Result<()> {
    workspace::run(
        workspace::cargo(&["clippy", "--quiet", "--package", "nodedata-cli", "--no-default-features"])
            .args(["--", "-D", "warnings"]),
    )
}

/// Whether the fuzz targets compile. They are a workspace of their own with the profiles of this one, so that most of what they
/// depend on has been checked already in its target folder.
fn fuzz_targets() -> Result<()> {
    let mut command = workspace::cargo(&["check", "--quiet", "--bins", "--manifest-path", "fuzz/Cargo.toml"]);
    // Without the engine, which wants a C++ compiler.
    command.arg("--no-default-features").arg("--target-dir").arg(workspace::target_dir());
    workspace::run(&mut command)
}

/// `cargo deny` where it is installed. `tidy` has checked the licences in any case; what is left out
/// without it are bans and sources. Advisories need the network and are no part of this.
fn licences() -> Part {
    if workspace::works(&mut workspace::cargo(&["deny", "--version"])) {
        return check("cargo deny", || {
            workspace::run(&mut workspace::cargo(&[
                "deny",
                "--offline",
                "check",
                "licenses",
                "bans",
                "sources",
            ]))
        });
    }
    part("cargo deny", || {
        let remark = "cargo-deny is not installed; licences were checked by tidy, bans and sources were not";
        eprintln!("skipped: {remark}");
        Ok((Counts { n_skipped: 1, ..Counts::default() }, Some(remark.to_owned())))
    })
}

fn nextest_or_libtest(options: &Options) -> Result<(Counts, Option<String>)> {
    // Tests of the command line run the binary, which a test build alone does not make.
    generated::build_node_data()?;
    let list = workspace::target_dir().join("tests-left-out.txt");
    std::fs::write(&list, "").map_err(|err| format!("cannot write {}: {err}", list.display()))?;
    let (counts, remark) = run_tests(options, &list)?;
    let lines =
        std::fs::read_to_string(&list).map_err(|err| format!("cannot read {}: {err}", list.display()))?;
    let left_out = check_summary::left_out(&lines);
    for (test, reason) in &left_out {
        eprintln!("left out: {test}: {reason}");
    }
    let reasons: BTreeSet<&str> = left_out.values().map(String::as_str).collect();
    let remarks: Vec<&str> = remark.as_deref().into_iter().chain(reasons).collect();
    Ok((counts.without(&left_out), (!remarks.is_empty()).then(|| remarks.join("; "))))
}

/// Runs the tests, which write to `left_out` when they are left out.
fn run_tests(options: &Options, left_out: &Path) -> Result<(Counts, Option<String>)> {
    if workspace::works(&mut workspace::cargo(&["nextest", "--version"])) {
        let mut command = workspace::cargo(&["nextest", "run", "--no-fail-fast", "--color", "never"]);
        command.args(WHOLE_WORKSPACE);
        command.env(LEFT_OUT, left_out);
        set_long(&mut command, options.long);
        let (succeeded, output) = echoed(&mut command, Stream::Stderr)?;
        let counts = check_summary::nextest(&output).unwrap_or_default();
        return Ok((counts.with_exit(succeeded), None));
    }
    let mut command = workspace::cargo(&["test", "--no-fail-fast", "--all-targets"]);
    // It has no tests of its own, and only Python can link it.
    command.args(WHOLE_WORKSPACE).args(["--exclude", "nodedata-python"]).env(LEFT_OUT, left_out);
    set_long(&mut command, options.long);
    let (succeeded, output) = echoed(&mut command, Stream::Stdout)?;
    let remark = "cargo-nextest is not installed, so `cargo test` ran them".to_owned();
    Ok((check_summary::libtest(&output).with_exit(succeeded), Some(remark)))
}

fn doc_tests() -> Result<(Counts, Option<String>)> {
    let mut command = workspace::cargo(&["test", "--quiet", "--doc", "--no-fail-fast"]);
    command.args(WHOLE_WORKSPACE);
    let (succeeded, output) = echoed(&mut command, Stream::Stdout)?;
    Ok((check_summary::libtest(&output).with_exit(succeeded), None))
}

fn set_long(command: &mut Command, long: bool) {
    if long {
        command.env(LONG, "1");
    }
}

/// Which output of a command is read; the other goes where ours goes.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Runs a command, showing one of its outputs line by line on stderr while keeping it. Returns whether the command
/// exited with 0, and the text.
///
/// # Errors
/// When it cannot be started or its output cannot be read.
pub(crate) fn echoed(command: &mut Command, stream: Stream) -> Result<(bool, String)> {
    let name = workspace::shown(command);
    match stream {
        Stream::Stdout => command.stdout(Stdio::piped()),
        Stream::Stderr => command.stderr(Stdio::piped()),
    };
    let mut child =
        command.stdin(Stdio::null()).spawn().map_err(|err| format!("cannot start {name}: {err}"))?;
    let pipe: Option<Box<dyn Read>> = match stream {
        Stream::Stdout => child.stdout.take().map(|it| Box::new(it) as Box<dyn Read>),
        Stream::Stderr => child.stderr.take().map(|it| Box::new(it) as Box<dyn Read>),
    };
    let mut text = String::new();
    if let Some(pipe) = pipe {
        for line in BufReader::new(pipe).split(b'\n') {
            let line = line.map_err(|err| format!("cannot read from {name}: {err}"))?;
            let line = String::from_utf8_lossy(&line);
            eprintln!("{line}");
            text.push_str(&line);
            text.push('\n');
        }
    }
    let status = child.wait().map_err(|err| format!("cannot wait for {name}: {err}"))?;
    Ok((status.success(), text))
}
