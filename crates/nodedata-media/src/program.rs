//! A program that works for this one: it ends with the value that started it, and what it said is told when it fails.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    process::{Child, ChildStdin, Command, ExitStatus},
};

use nodedata_core::{Error, ErrorKind};

/// Of what the program says, so much is told.
const MESSAGE_BYTES: u64 = 4096;

pub(crate) struct Program {
    child: Child,
    /// What the program has to say, in a file without a name: nobody has to empty it.
    messages: File,
}

impl Program {
    /// Starts a command, whose messages are kept.
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Self> {
        let messages = tempfile::tempfile()?;
        let child = command.stderr(messages.try_clone()?).spawn()?;
        Ok(Self { child, messages })
    }

    /// The pipe into the program, once.
    pub(crate) fn take_input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The pipe out of the program, once.
    #[cfg(feature = "video-decode")]
    pub(crate) fn take_output(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Whether the program has said something so far.
    #[cfg(feature = "video-decode")]
    pub(crate) fn has_spoken(&self) -> std::io::Result<bool> {
        Ok(self.messages.metadata()?.len() > 0)
    }

    /// The number of its process.
    #[cfg(test)]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the program has ended.
    pub(crate) fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait()
    }

    /// That the program could not do `what`, with what it said of that.
    pub(crate) fn failed(&self, kind: ErrorKind, what: &str, how: &str) -> Error {
        let mut said = Vec::new();
        let mut messages = &self.messages;
        let read = messages.seek(SeekFrom::Start(0));
        let read = read.and_then(|_| messages.take(MESSAGE_BYTES).read_to_end(&mut said));
        let said = match read {
            Ok(_) => String::from_utf8_lossy(&said).trim().to_owned(),
            Err(err) => format!("what it says cannot be read: {err}"),
        };
        Error::new(kind, format!("`ffmpeg` could not {what} the video ({how})"))
            .with_source(std::io::Error::other(said))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Neither matters for a program that has ended, and there is nobody to tell for one that has not.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
