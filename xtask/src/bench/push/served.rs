use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::ACCOUNT;
use crate::workspace::{self, Result};

/// A server on a free port of this machine; ended when dropped.
pub(super) struct Served {
    child: Child,
    pub(super) url: String,
    /// May do everything with the account's datasets.
    pub(super) token: String,
}

impl Served {
    /// Starts `program` as a server over `store`, whose database is new, and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started, or makes no token.
    pub(super) fn start(program: &Path, data: &Path, store: &Path) -> Result<Self> {
        let serve = || {
            let mut command = Command::new(program);
            command.arg("serve").arg("--data").arg(data);
            command
        };
        let mut new_token = serve();
        new_token.args(["--new-token", ACCOUNT, "--scope", "read"]);
        new_token.args(["--scope", &format!("publish:{ACCOUNT}/*")]);
        let token = workspace::stdout_of(&mut new_token)?.trim().to_owned();
        let mut command = serve();
        command.args(["--listen", "127.0.0.1:0", "--quiet", "--store"]).arg(store);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|err| format!("cannot start {}: {err}", workspace::shown(&command)))?;
        let mut served = Self { child, url: String::new(), token };
        let Some(stdout) = served.child.stdout.take() else {
            return Err("the server has no output".to_owned());
        };
        // It says where it listens once it does.
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(|err| format!("cannot hear the server: {err}"))?;
        served.url = line.trim().to_owned();
        if served.url.is_empty() {
            return Err("the server ended before it listened".to_owned());
        }
        Ok(served)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that has ended by itself is fine, too.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
