//! Which libavcodec is loaded: the one that is named, or the newest that the system knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use nodedata_core::{Error, ErrorKind, Result};

use super::{
    super::Libavcodec,
    ffi::{self, Library, LoadError},
    versions::VERSIONS,
};

/// What was looked up so far; libraries stay loaded as long as the process runs.
static LOADED: Mutex<BTreeMap<Libavcodec, Option<&'static Library>>> = Mutex::new(BTreeMap::new());

/// The library that is chosen; `None` where there is none, or none is wanted.
///
/// # Errors
/// `Config` when one is named that cannot be used.
pub(super) fn library(choice: &Libavcodec) -> Result<Option<&'static Library>> {
    if let Some(known) = LOADED.lock().unwrap_or_else(PoisonError::into_inner).get(choice) {
        return Ok(*known);
    }
    // Not under the lock: a process that is forked meanwhile would have it locked for ever.
    let library = match choice {
        Libavcodec::Off => None,
        Libavcodec::Installed => installed(),
        Libavcodec::Named(path) => Some(named(path)?),
    };
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    // Another thread may have been faster.
    Ok(*loaded.entry(choice.clone()).or_insert_with(|| library.map(|it| &*Box::leak(Box::new(it)))))
}

/// One that cannot be used is as good as none.
fn installed() -> Option<Library> {
    VERSIONS.iter().flat_map(|it| names(it.avcodec)).find_map(|name| Library::load(&name).ok())
}

fn named(path: &Path) -> Result<Library> {
    with_neighbours(path, Library::load, &mut BTreeSet::new()).map_err(|err| {
        let message = format!("`{}` cannot be used as libavcodec", path.display());
        let hint = "name the libavcodec of FFmpeg 5 to 8 in NODEDATA_LIBAVCODEC, or leave that out to have it looked up; `off` is without";
        Error::new(ErrorKind::Config, message).with_source(err).with_hint(hint)
    })
}

/// Loads a library and, before it, what it needs of its folder where the system does not find that by itself.
fn with_neighbours<T>(
    path: &Path,
    load: fn(&OsStr) -> Result<T, LoadError>,
    seen: &mut BTreeSet<PathBuf>,
) -> Result<T, LoadError> {
    loop {
        let err = match load(path.as_os_str()) {
            Ok(loaded) => return Ok(loaded),
            Err(err) => err,
        };
        match missing(&err.to_string()).and_then(|it| neighbour(path, it)) {
            Some(file) if seen.insert(file.clone()) => with_neighbours(&file, ffi::load_needed, seen)?,
            _ => return Err(err),
        }
    }
}

/// The name of a library that another one needs, by what the system says where it is missing.
fn missing(said: &str) -> Option<&str> {
    said.split_once(": cannot open shared object file").map(|it| it.0)
}

fn neighbour(path: &Path, name: &str) -> Option<PathBuf> {
    let is_name = Path::new(name).file_name().is_some_and(|it| it == name);
    Some(path.parent()?.join(name)).filter(|it| is_name && it.is_file())
}

/// Names to look up a major version by.
fn names(major: u32) -> Vec<OsString> {
    if cfg!(target_os = "macos") {
        let name = format!("libavcodec.{major}.dylib");
        // Where Homebrew puts libraries macOS does not look.
        let homebrew = Path::new("/opt/homebrew/lib").join(&name);
        return vec![name.into(), homebrew.into()];
    }
    vec![format!("libavcodec.so.{major}").into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_looked_for_beside_what_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, needed) = (folder.path().join("libavcodec.so.62"), folder.path().join("libavutil.so.60"));
        std::fs::write(&needed, "").unwrap();
        let said = "libavutil.so.60: cannot open shared object file: No such file or directory";
        assert_eq!(neighbour(&path, missing(said).unwrap()), Some(needed));
        // What was named is itself not there; and names lead to no other folder.
        for (name, said) in [
            ("libx264.so", "libx264.so: cannot open shared object file: No such file or directory"),
            ("/libavutil.so.60", "/libavutil.so.60: cannot open shared object file: Permission denied"),
        ] {
            assert_eq!(missing(said), Some(name));
            assert_eq!(neighbour(&path, name), None, "{name}");
        }
        assert_eq!(missing("libavcodec.so.62: invalid ELF header"), None);
    }
}
