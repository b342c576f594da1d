//! The command, run until it ends or is killed.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::command::{Ran, Work};

/// How often what was killed, or refused for what a storm does, is run again before the test takes it for stuck.
const TRIES_MAX: u32 = 200;

/// As whom a command runs, and at which registry.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    /// A folder, or the address of a server.
    pub(super) store: &'a str,
    /// Empty for folders.
    pub(super) token: &'a str,
    pub(super) user: &'a str,
}

/// How a process ended.
pub(super) enum Ended {
    /// By us.
    Killed,
    ByItself(Ran),
}

/// Starts the command, and kills it at the moment, if there is one and the command still runs then.
pub(super) fn run(work: &Work, side: Side<'_>, args: &[&str], moment: Option<Duration>) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node-data"));
    command
        .args(args)
        .current_dir(work.path(""))
        .env("NODEDATA_STORE", side.store)
        .env("NODEDATA_TOKEN", side.token)
        .env("NODEDATA_USER", side.user)
        .env("XDG_CACHE_HOME", work.path("cache"))
        .env("XDG_CONFIG_HOME", work.path("config"))
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    if let Some(moment) = moment {
        let since = Instant::now();
        while since.elapsed() < moment && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    match output.status.code() {
        Some(code) => Ended::ByItself(Ran { code, stdout: text(output.stdout), stderr: text(output.stderr) }),
        None => Ended::Killed,
    }
}

/// What became of a command that was run until it said that it was done.
#[derive(Default)]
pub(super) struct Tries {
    pub(super) n: u64,
    pub(super) killed: u64,
    pub(super) refused: u64,
    /// What the last one printed.
    pub(super) stdout: String,
}

/// Runs a command again and again until it is done. `moment` says when each try is killed, if it is; `is_weather` whether what a
/// refused one said is what this storm does to it: everything else is a failure of the test.
#[track_caller]
pub(super) fn run_until_done(
    work: &Work,
    side: Side<'_>,
    args: &[&str],
    mut moment: impl FnMut() -> Option<Duration>,
    mut after_kill: impl FnMut(),
    is_weather: impl Fn(&str) -> bool,
) -> Tries {
    let mut tries = Tries::default();
    for _ in 0..TRIES_MAX {
        tries.n += 1;
        match run(work, side, args, moment()) {
            Ended::Killed => {
                tries.killed += 1;
                after_kill();
            }
            Ended::ByItself(ran) if ran.code == 0 => return Tries { stdout: ran.stdout, ..tries },
            Ended::ByItself(ran) => {
                let Ran { code, stdout, stderr } = &ran;
                assert!(
                    *code == 1 && is_weather(stderr) && stderr.contains("hint"),
                    "{args:?} exits with {code}\n--- stdout\n{stdout}--- stderr\n{stderr}"
                );
                tries.refused += 1;
            }
        }
    }
    panic!("{args:?} is not done after {TRIES_MAX} tries");
}
