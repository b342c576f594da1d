//! What the contents of one member are, by the name of its field.

pub(crate) mod msgpack;
pub(crate) mod npy;
pub(crate) mod npz;
mod numpy_header;

use std::borrow::Cow;

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_io::packed::{Packing, unpack, unpacked_max};

/// How the contents of a field are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Text,
    /// A whole number as text.
    Int,
    Json,
    Cbor,
    Msgpack,
    Npy,
    Npz,
    /// What can only be read by running what is in it, or by its own program.
    Never,
    /// A picture, a clip of sound, or a video, by its name.
    Media,
    /// Whatever the bytes say.
    Other,
}

impl Coding {
    /// That of a field, and whether it is packed: the last of its endings tells.
    pub(crate) fn of(field: &str) -> (Self, bool) {
        let (field, is_packed) = match field.strip_suffix(".gz") {
            Some(inner) => (inner, true),
            None => (field, false),
        };
        let coding = match field.rsplit('.').next().unwrap_or(field) {
            "txt" | "text" | "transcript" => Self::Text,
            "cls" | "cls2" | "index" | "inx" | "id" => Self::Int,
            "json" | "jsn" => Self::Json,
            "cbor" => Self::Cbor,
            "mp" | "msg" => Self::Msgpack,
            "npy" => Self::Npy,
            "npz" => Self::Npz,
            "pkl" | "pickle" | "pyd" | "pt" | "pth" | "ten" | "tb" => Self::Never,
            "jpg" | "jpeg" | "png" | "webp" | "gif" | "tif" | "tiff" | "bmp" | "avif" | "jp2" | "j2k" => {
                Self::Media
            }
            "flac" | "wav" | "mp3" | "ogg" | "opus" | "mp4" | "m4a" | "mov" | "webm" | "mkv" => Self::Media,
            _ => Self::Other,
        };
        (coding, is_packed)
    }
}

/// Bounds on what comes out of a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes_max: u64,
    pub(crate) ratio_max: u64,
}

impl Bounds {
    /// Bytes that may come out of so many.
    pub(crate) fn of(self, n_packed: u64) -> u64 {
        unpacked_max(n_packed, self.ratio_max).min(self.bytes_max)
    }
}

/// The contents of a member that is packed.
///
/// # Errors
/// `Corrupt`; `Limit`.
pub(crate) fn unpacked(contents: Bytes, bounds: Bounds) -> Result<Bytes> {
    if Packing::of(&contents) != Some(Packing::Gzip) {
        return Err(Error::new(ErrorKind::Corrupt, "the member does not begin as gzip does"));
    }
    let bytes_max = bounds.of(contents.len() as u64);
    // Places in it are none of the archive.
    unpack(contents, Packing::Gzip, bytes_max)
        .map(Bytes::from)
        .map_err(|err| Error::new(err.kind(), err.chain()))
}

/// The number that a member is; `None` where writing that would not give the same text.
pub(crate) fn int_of(contents: &[u8]) -> Option<i64> {
    let text = str::from_utf8(contents.trim_ascii()).ok()?;
    text.parse().ok().filter(|it: &i64| it.to_string() == text)
}

/// What of a member deals rows by it: text and numbers without the blanks around them.
pub(crate) fn dealt_by(coding: Coding, contents: &[u8]) -> Cow<'_, [u8]> {
    match coding {
        Coding::Int => Cow::Borrowed(contents.trim_ascii()),
        _ => Cow::Borrowed(contents),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ending_tells_how_a_field_is_written() {
        assert_eq!(Coding::of("json"), (Coding::Json, false));
        assert_eq!(Coding::of("seg.final.png"), (Coding::Media, false));
        assert_eq!(Coding::of("caption.txt.gz"), (Coding::Text, true));
        assert_eq!(Coding::of("gz"), (Coding::Other, false));
        assert_eq!(Coding::of("tar.gz"), (Coding::Other, true));
        assert_eq!(Coding::of("model.pth"), (Coding::Never, false));
    }

    #[test]
    fn numbers_are_those_that_come_back_as_they_were() {
        assert_eq!(int_of(b" -7\n"), Some(-7));
        for text in ["007", "+1", "1.0", "", "1_000", "9223372036854775808", "x"] {
            assert_eq!(int_of(text.as_bytes()), None, "{text}");
        }
    }
}
