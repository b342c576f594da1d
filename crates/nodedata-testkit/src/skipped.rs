//! How a test says that it was left out. Test programs know two ends, passed and failed; a test that returns early
//! because something is not there would count as passed.

use std::{env, fs::OpenOptions, io::Write as _};

/// Names the file in which `cargo xtask test` counts tests that were left out (`xtask/src/test_command.rs`).
const FILE: &str = "NODEDATA_TEST_SKIPPED";

/// Says that the test which runs in this thread is left out, as a whole or in part, and why. The caller returns.
///
/// # Panics
/// When the file in which such tests are counted cannot be written.
#[expect(clippy::print_stdout, reason = "a test that is skipped must say so")]
pub fn skipped(reason: &str) {
    println!("skipped: {reason}");
    let Some(path) = env::var_os(FILE) else { return };
    let line = format!("{}\t{reason}\n", test_name(reason));
    let file = OpenOptions::new().create(true).append(true).open(path);
    // One write, so that lines of tests that run at the same time do not mix.
    file.and_then(|mut it| it.write_all(line.as_bytes())).expect("skipped tests can be counted");
}

/// Program and name of the running test, so that one that says it twice counts once.
fn test_name(reason: &str) -> String {
    let program = env::current_exe().unwrap_or_default();
    let program = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    // nextest runs each test in a process of its own and names it behind `--exact`, before or after other flags.
    let arguments: Vec<String> = env::args().collect();
    let exact = arguments.iter().any(|it| it == "--exact");
    let named = arguments.iter().skip(1).find(|it| exact && !it.starts_with("--"));
    // Otherwise the thread has the test's name, unless all run on the main one.
    let thread = std::thread::current();
    let name = named.map(String::as_str).or(thread.name().filter(|it| *it != "main")).unwrap_or(reason);
    format!("{program} {name}")
}
