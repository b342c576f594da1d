//! How a revision is opened.

use std::path::PathBuf;

use nodedata_reader::{CacheOptions, OpenOptions};
use pyo3::{prelude::*, types::PyDict};

use crate::{arguments::Arguments, errors::mistake};

/// Bytes of a cache whose folder alone is named, where there is no default that tells.
const CACHE_BYTES: u64 = 64 << 30;

/// What `cache` says: nothing for the user's own folder, or a dictionary with any of `folder`, `max_bytes` and `off`.
///
/// # Errors
/// `ConfigError` for anything else.
pub(crate) fn open_options(py: Python<'_>, cache: Option<&Bound<'_, PyAny>>) -> PyResult<OpenOptions> {
    let Some(cache) = cache.filter(|it| !it.is_none()) else { return Ok(OpenOptions::default()) };
    let given = cache.cast::<PyDict>().map_err(|_| {
        mistake(py, "`cache` is no dictionary", "give any of `folder`, `max_bytes` and `off`, or nothing")
    })?;
    let mut given = Arguments::of("cache", given)?;
    let folder = given.take::<PathBuf>("folder")?;
    let max_bytes = given.take::<u64>("max_bytes")?;
    let is_off = given.take_or("off", false)?;
    given.finish()?;
    if is_off {
        return match (folder, max_bytes) {
            (None, None) => Ok(OpenOptions { cache: CacheOptions::Off }),
            _ => Err(mistake(py, "`cache` is off, and has a folder or a size", "leave out one of them")),
        };
    }
    let (default_folder, default_bytes) = CacheOptions::Default.place().unzip();
    let folder = folder
        .or(default_folder)
        .ok_or_else(|| mistake(py, "there is no home folder to keep a cache in", "name a `folder`"))?;
    let max_bytes = max_bytes.or(default_bytes).unwrap_or(CACHE_BYTES);
    Ok(OpenOptions { cache: CacheOptions::At { folder, max_bytes } })
}
