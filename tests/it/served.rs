use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::command::Work;

/// `node-data serve` over the folder `store`, ended with the test.
pub(crate) struct Served {
    process: Child,
    /// Where it listens.
    pub(crate) url: String,
}

impl Served {
    /// With its database in the folder `server`, where tokens can be made.
    pub(crate) fn new(work: &Work) -> Self {
        Self::with(work, &[])
    }

    /// The same with more flags.
    pub(crate) fn with(work: &Work, flags: &[&str]) -> Self {
        Self::over(work, "server", flags)
    }

    /// The same over another folder of data.
    pub(crate) fn over(work: &Work, data: &str, flags: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_node-data"))
            .args(["serve", "--listen", "127.0.0.1:0", "--quiet", "--data"])
            .arg(work.path(data))
            .arg("--store")
            .arg(work.path("store"))
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { process, url: url.trim().to_owned() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
