use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::{atomic_dir::entries, atomic_file::io_error};

/// Files and folders on disk that a command reads. No output takes their place, nor that of a folder above them, nor
/// that of anything within: told by what the disk says they are, through links and `..`, not by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(Vec<PathBuf>);

/// What a file or folder is, whatever it is called.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

impl Places {
    /// These paths. What is not on disk is in nobody's way.
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self(paths.into_iter().map(Into::into).collect())
    }

    /// Adds others.
    pub fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.iter().cloned());
    }

    /// Refuses what is at `out` as a thing to replace when it is one of these, above one of them, or within one.
    ///
    /// # Errors
    /// `Config`; `Io` when a folder cannot be looked at.
    pub fn refuse(&self, out: &Path) -> Result<()> {
        let Some(there) = identity(out) else { return Ok(()) };
        let above_out = above(out)?;
        for place in &self.0 {
            let Some(read) = identity(place) else { continue };
            if read == there {
                return Err(refused("the output is the source itself", out));
            }
            if above(place)?.contains(&there) {
                return Err(refused("the output is a folder that the source lies in", out));
            }
            if above_out.contains(&read) {
                return Err(refused("the output lies within the source", out));
            }
            for target in linked_below(place)? {
                if identity(&target).is_some_and(|it| it == there) || above(&target)?.contains(&there) {
                    let message = "the output holds what a link in the source leads to";
                    return Err(refused(message, out));
                }
            }
        }
        Ok(())
    }
}

fn refused(message: &str, out: &Path) -> Error {
    Error::new(ErrorKind::Config, format!("{message}, which is never replaced"))
        .at(Locus::path(out))
        .with_hint("choose an output beside the source")
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).ok().map(|it| (it.dev(), it.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    fs::canonicalize(path).ok()
}

/// The folders that something lies in, once links are followed.
fn above(path: &Path) -> Result<HashSet<Identity>> {
    let real = fs::canonicalize(path).map_err(|err| io_error("cannot look at", path, err))?;
    Ok(real.ancestors().skip(1).filter_map(identity).collect())
}

/// What links to files lead to, in a folder and those below. Links to folders are not followed by any reader.
fn linked_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut targets = Vec::new();
    let mut pending: Vec<PathBuf> = Some(folder.to_owned()).filter(|it| it.is_dir()).into_iter().collect();
    while let Some(at) = pending.pop() {
        for path in entries(&at)? {
            let Ok(found) = fs::symlink_metadata(&path) else { continue };
            if found.is_dir() {
                pending.push(path);
            } else if found.is_symlink() && path.is_file() {
                targets.push(path);
            }
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_told_by_what_it_is_and_not_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for folder in ["runs/day", "other", "data"] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        fs::write(path("runs/day/a.mcap"), "x").unwrap();
        let refuses = |places: &[&str], out: &str| {
            Places::new(places.iter().map(|it| path(it))).refuse(&path(out)).err().map(|it| it.to_string())
        };
        for (place, out, part) in [
            ("runs", "runs", "is the source itself"),
            ("runs", "other/../runs", "is the source itself"),
            ("runs/day/a.mcap", "runs/day/a.mcap", "is the source itself"),
            ("runs/day/a.mcap", "runs/day", "the source lies in"),
            ("runs/day", "runs", "the source lies in"),
            ("runs", "runs/day", "lies within the source"),
        ] {
            let refused = refuses(&["other", place], out).unwrap_or_else(|| panic!("{place} and {out}"));
            assert!(refused.contains(part), "{place} and {out}: {refused}");
        }
        for (place, out) in
            [("runs", "other"), ("runs", "new"), ("nowhere", "runs"), ("runs/day/a.mcap", "data")]
        {
            assert_eq!(refuses(&[place], out), None, "{place} and {out}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_on_both_sides() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("real/day")).unwrap();
        fs::create_dir_all(path("runs/deep")).unwrap();
        fs::write(path("real/day/a.mcap"), "x").unwrap();
        symlink(path("real"), path("link")).unwrap();
        symlink(path("real/day/a.mcap"), path("runs/deep/a.mcap")).unwrap();
        fs::hard_link(path("real/day/a.mcap"), path("same.mcap")).unwrap();
        let refuses = |place: &str, out: &str| Places::new([path(place)]).refuse(&path(out)).is_err();
        for (place, out) in [
            ("real", "link"),
            ("link", "real"),
            ("link/day/a.mcap", "real"),
            ("real", "link/day"),
            ("runs", "real"),
            ("runs", "real/day"),
            ("runs/deep/a.mcap", "real/day"),
            ("same.mcap", "real/day/a.mcap"),
        ] {
            assert!(refuses(place, out), "{place} and {out}");
        }
        assert!(!refuses("real", "runs"));
    }
}
