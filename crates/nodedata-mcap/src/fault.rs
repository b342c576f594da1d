use nodedata_core::{Error, ErrorKind, Locus};

/// What a user can do about damage in the container.
pub(crate) const SALVAGE_HINT: &str = "`--on-error salvage` keeps every sound record and lists what is lost";

/// Bytes that break MCAP's rules, at no known place yet.
pub(crate) fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, message).with_hint(SALVAGE_HINT)
}

/// The same at an offset of the file; the path is added where it is known.
pub(crate) fn corrupt_at(byte_offset: u64, message: impl Into<String>) -> Error {
    corrupt(message).at(Locus::byte(byte_offset))
}

/// A record or chunk that passes the limit on what may be held in memory.
pub(crate) fn too_large(what: &str, n_bytes: u64, n_bytes_max: u64) -> Error {
    Error::new(ErrorKind::Limit, format!("{what} has {n_bytes} bytes, but the limit is {n_bytes_max}"))
        .with_hint(
            "records above 1 GiB are refused: check that the file is not damaged, or split the recording",
        )
}
