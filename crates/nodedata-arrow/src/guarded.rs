use parquet::errors::{ParquetError, Result};

/// Runs a piece of a reader of others' bytes: what is damaged comes from outside, and no input may end the program. `None` where
/// the reader took damage for a mistake of its own.
pub fn guarded<T>(read: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).ok()
}

/// A piece of the Parquet reader.
pub(crate) fn guarded_pages<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    let broken = || Err(ParquetError::General("the page breaks the rules of its encoding".to_owned()));
    guarded(read).unwrap_or_else(broken)
}
