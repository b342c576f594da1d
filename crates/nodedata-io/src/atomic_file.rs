use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use nodedata_core::{Error, ErrorKind, Locus, Result};

/// What a file may replace, and who may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Takes the place of what is there.
    Replace,
    /// Refuses when something is there.
    New,
    /// Refuses when something is there; only its owner may read it.
    NewSecret,
    /// Replaces what is there; only its owner may read it, whoever could read what it replaces.
    ReplaceSecret,
}

/// How the temporary names of files begin and end.
pub(crate) const PARTIAL_PREFIX: &str = ".nodedata-";
pub(crate) const PARTIAL_SUFFIX: &str = ".partial";

/// Writes a file that is there whole or not at all: under a temporary name beside its place, synced, then renamed.
/// What is no file, such as a terminal or a pipe, is written as it is; behind a link, what it leads to is replaced.
///
/// # Errors
/// `Io`, also when something is there that must not be replaced.
pub fn write_file(path: &Path, bytes: &[u8], writing: Writing) -> Result<()> {
    let failed = |err| io_error("cannot write the file", path, err);
    let there = fs::metadata(path).ok();
    if writing == Writing::Replace && there.as_ref().is_some_and(|it| !it.is_file()) {
        return fs::write(path, bytes).map_err(failed);
    }
    let target = match there {
        Some(_) => fs::canonicalize(path).map_err(failed)?,
        None => path.to_owned(),
    };
    let folder = target
        .parent()
        .filter(|it| !it.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_owned);
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL_PREFIX).suffix(PARTIAL_SUFFIX);
    let mode = permissions(there.as_ref(), writing);
    if let Some(mode) = mode {
        builder.permissions(mode);
    }
    let mut file = builder.tempfile_in(&folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    if let (Writing::Replace, Some(there)) = (writing, there) {
        // Whole: the umask took a part of it.
        file.as_file().set_permissions(there.permissions()).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    let named = match writing {
        Writing::Replace | Writing::ReplaceSecret => file.persist(&target),
        Writing::New | Writing::NewSecret => file.persist_noclobber(&target),
    };
    named.map_err(|err| failed(err.error))?;
    sync_folder(&folder)
}

/// As what is replaced, or as any new file. The library's own default is a secret.
#[cfg(unix)]
fn permissions(there: Option<&fs::Metadata>, writing: Writing) -> Option<fs::Permissions> {
    use std::os::unix::fs::PermissionsExt as _;
    match (writing, there) {
        (Writing::NewSecret | Writing::ReplaceSecret, _) => None,
        (Writing::Replace, Some(there)) => Some(there.permissions()),
        (Writing::Replace | Writing::New, _) => Some(fs::Permissions::from_mode(0o666)),
    }
}

#[cfg(not(unix))]
fn permissions(_there: Option<&fs::Metadata>, _writing: Writing) -> Option<fs::Permissions> {
    None
}

/// Makes the names in a folder durable.
///
/// # Errors
/// `Io`.
pub fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        #[expect(clippy::disallowed_methods, reason = "a folder of our own output, to flush it")]
        let handle = File::open(folder);
        handle
            .and_then(|it| it.sync_all())
            .map_err(|err| io_error("cannot flush the folder", folder, err))?;
    }
    Ok(())
}

/// A failure of the file system at a path.
pub fn io_error(what: &str, path: &Path, err: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, what).with_source(err).at(Locus::path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        entries.map(|it| it.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_file(&path, b"one", Writing::Replace).unwrap();
        write_file(&path, b"two", Writing::Replace).unwrap();
        assert_eq!(
            (fs::read(&path).unwrap().as_slice(), names(dir.path())),
            (b"two".as_slice(), vec!["a.json".to_owned()])
        );
        let nowhere = dir.path().join("no/a.json");
        assert_eq!(write_file(&nowhere, b"x", Writing::Replace).unwrap_err().kind(), ErrorKind::Io);
    }

    #[test]
    fn what_must_be_new_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_file(&path, b"one", Writing::NewSecret).unwrap();
        for writing in [Writing::New, Writing::NewSecret] {
            assert_eq!(write_file(&path, b"two", writing).unwrap_err().kind(), ErrorKind::Io);
        }
        assert_eq!((fs::read(&path).unwrap().as_slice(), names(dir.path()).len()), (b"one".as_slice(), 1));
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_stay() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().mode() & 0o777;
        let write = |name: &str, writing| write_file(&dir.path().join(name), b"x", writing).unwrap();
        write("secret", Writing::NewSecret);
        fs::write(dir.path().join("plain"), b"as the umask says").unwrap();
        write("new", Writing::New);
        assert_eq!((mode("secret"), mode("new")), (0o600, mode("plain")));
        fs::set_permissions(dir.path().join("plain"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("plain", dir.path().join("link")).unwrap();
        write("link", Writing::Replace);
        assert!(fs::symlink_metadata(dir.path().join("link")).unwrap().is_symlink());
        assert_eq!(
            (mode("plain"), fs::read(dir.path().join("plain")).unwrap().as_slice()),
            (0o640, b"x".as_slice())
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_written_as_it_is() {
        write_file(Path::new("/dev/null"), b"x", Writing::Replace).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
