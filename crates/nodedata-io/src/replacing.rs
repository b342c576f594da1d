use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::{Places, atomic_dir::entries, atomic_file::io_error};

/// What a folder is to whoever is about to put an output in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognised {
    /// Written by this tool, and nothing else is in it.
    Ours,
    /// Not, or not only, and why, as a part of a sentence: `it holds thesis.txt`.
    Foreign(String),
}

/// What an output may take the place of. The one place that decides it, for every command that writes a folder.
#[derive(Clone, Copy)]
pub struct Replacing<'a> {
    /// Whether the user asked for it.
    pub asked: bool,
    /// What the command reads.
    pub reads: &'a Places,
    /// Tells what the command's own outputs look like.
    pub recognise: &'a dyn Fn(&Path) -> Result<Recognised>,
    /// What to say of an output of this tool that is not to be replaced.
    pub there: &'a str,
    /// What to do then.
    pub hint: &'a str,
}

impl Replacing<'_> {
    /// Refuses an `out` that is there and must stay. An empty folder holds nothing to lose and makes way, since a
    /// rename may not replace it on every system.
    ///
    /// # Errors
    /// `Config`; `Io` when what is there cannot be looked at.
    pub fn check(&self, out: &Path) -> Result<()> {
        let Ok(found) = fs::symlink_metadata(out) else { return Ok(()) };
        self.reads.refuse(out)?;
        let refused = |message: String, hint: &str| {
            Err(Error::new(ErrorKind::Config, message).at(Locus::path(out)).with_hint(hint))
        };
        if found.is_symlink() {
            let to = fs::read_link(out).unwrap_or_default();
            let message = format!("the output is a link, to {}", to.display());
            return refused(message, "name the folder itself, or another one");
        }
        if !found.is_dir() {
            return refused(
                "a file is there already, and the output is a folder".to_owned(),
                "choose another name: the file is left as it is",
            );
        }
        if entries(out)?.is_empty() {
            return fs::remove_dir(out).map_err(|err| io_error("cannot replace the empty folder", out, err));
        }
        match (self.recognise)(out)? {
            Recognised::Foreign(why) => {
                let message = format!("the folder is no dataset that this tool wrote alone: {why}");
                refused(message, "choose another folder: this one is left as it is, also with `--overwrite`")
            }
            Recognised::Ours if self.asked => Ok(()),
            Recognised::Ours => refused(self.there.to_owned(), self.hint),
        }
    }
}

/// Bytes at the start of a file that tell whether this tool wrote it.
const HEAD_BYTES: u64 = 64 << 10;

/// Refuses to replace a file that this tool did not write: `is_ours` is shown how it begins, `what` says what it would be,
/// such as `plan`. What is empty, or is no file, such as a pipe, has nothing to lose.
///
/// # Errors
/// `Config`; `Io` when the file cannot be read.
pub fn refuse_foreign_file(path: &Path, what: &str, is_ours: impl Fn(&str) -> bool) -> Result<()> {
    if !fs::metadata(path).is_ok_and(|it| it.is_file() && it.len() > 0) {
        return Ok(());
    }
    let mut head = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "an output of an earlier run, to see whether it is one")]
    let read = File::open(path).and_then(|it| it.take(HEAD_BYTES).read_to_end(&mut head));
    read.map_err(|err| io_error("cannot read what is there", path, err))?;
    if is_ours(&String::from_utf8_lossy(&head)) {
        return Ok(());
    }
    let message = format!("a file is there already, and it is no {what} that this tool wrote");
    Err(Error::new(ErrorKind::Config, message)
        .at(Locus::path(path))
        .with_hint("choose another name: the file is left as it is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(out: &Path, asked: bool) -> Result<(), String> {
        let recognise = |folder: &Path| {
            Ok(match folder.join("ours").is_file() && entries(folder)?.len() == 1 {
                true => Recognised::Ours,
                false => Recognised::Foreign("it holds more".to_owned()),
            })
        };
        let reads = Places::default();
        let replacing = Replacing { asked, reads: &reads, recognise: &recognise, there: "there", hint: "h" };
        replacing.check(out).map_err(|it| it.to_string())
    }

    #[test]
    fn a_folder_is_replaced_when_it_is_ours_alone_and_somebody_asked() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        assert_eq!(check(&out, false), Ok(()));
        fs::create_dir(&out).unwrap();
        assert_eq!(check(&out, false), Ok(()));
        assert!(!out.exists(), "an empty folder makes way");
        fs::create_dir(&out).unwrap();
        fs::write(out.join("ours"), "x").unwrap();
        assert_eq!(check(&out, false), Err("there".to_owned()));
        assert_eq!(check(&out, true), Ok(()));
        fs::write(out.join("thesis.txt"), "x").unwrap();
        for asked in [false, true] {
            assert!(check(&out, asked).unwrap_err().contains("it holds more"));
        }
        assert!(check(&out.join("ours"), true).unwrap_err().contains("a file is there already"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_named_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(dir.path().join("real/ours"), "x").unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        assert!(check(&dir.path().join("link"), true).unwrap_err().contains("is a link, to real"));
    }

    #[test]
    fn files_are_told_by_how_they_begin() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let refused = || refuse_foreign_file(&path, "plan", |it| it.starts_with("plan/1")).is_err();
        assert!(!refused(), "nothing is there");
        for (text, expected) in [("", false), ("plan/1 and more", false), ("my notes", true)] {
            fs::write(&path, text).unwrap();
            assert_eq!(refused(), expected, "{text}");
        }
    }
}
