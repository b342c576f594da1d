//! What is found where a shard should be.

use nodedata_core::{Error, ErrorKind, ReadAt, Result};
use nodedata_io::packed::Packing;

const FETCH_HINT: &str = "fetch the file again: what was saved is a page that some server answered with";

/// What the file is instead, by how it begins, where that can be told.
///
/// # Errors
/// `Io`.
pub(crate) fn foreign(file: &dyn ReadAt) -> Result<Option<Error>> {
    let head = file.peek_at(0..file.n_bytes().min(512))?;
    let text = head.trim_ascii_start();
    let begins = |with: &[u8]| text.get(..with.len()).is_some_and(|it| it.eq_ignore_ascii_case(with));
    let told =
        |message: &str, hint: &str| Some(Error::new(ErrorKind::Corrupt, message.to_owned()).with_hint(hint));
    Ok(if begins(b"version https://git-lfs") || begins(b"version https://hawser") {
        told("the file is a Git LFS pointer", "`git lfs pull` fetches the file that it stands for")
    } else if begins(b"<!doctype html") || begins(b"<html") {
        told("the file is a web page (HTML)", FETCH_HINT)
    } else if begins(b"<?xml") || begins(b"<error>") {
        told("the file is an XML document, as stores answer with when they refuse", FETCH_HINT)
    } else if let Some(packing) = Packing::of(&head) {
        // Files that are packed as a whole are unpacked before anybody looks for records, so this one is within another.
        let hint = format!("it is packed twice: unpack it first, `{}`", packing.command());
        told("the file holds another that is packed", &hint)
    } else if head.starts_with(b"PAR1") {
        told("the file is Parquet", "`fileFormat` of `dataset_info.json` says what the shards are")
    } else if head.starts_with(b"\x89HDF") {
        told("the file is HDF5", "`fileFormat` of `dataset_info.json` says what the shards are")
    } else {
        None
    })
}
