use std::{collections::BTreeMap, ops::Range};

use nodedata_core::{Error, ErrorKind, Loss, StreamId};

/// What a user can do about damage in a log.
pub const SALVAGE_HINT: &str = "`--on-error salvage` keeps every sound record and lists what is lost";

/// Bytes that break the rules of their format, at no known place yet.
pub fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, message).with_hint(SALVAGE_HINT)
}

/// A record or chunk that passes the limit on what may be held in memory.
pub fn too_large(what: &str, n_bytes: u64, n_bytes_max: u64) -> Error {
    Error::new(ErrorKind::Limit, format!("{what} has {n_bytes} bytes, but the limit is {n_bytes_max}"))
        .with_hint(
            "records above 1 GiB are refused: check that the file is not damaged, or split the recording",
        )
}

/// That a file does not begin with `magic`, as files of `kind` do: `start` are its first bytes.
pub fn foreign_start(start: &[u8], kind: &str, magic: &[u8]) -> Error {
    if start.is_empty() {
        return Error::new(ErrorKind::Corrupt, "file is empty").with_hint("record it again, or leave it out");
    }
    if start.starts_with(b"version https://git-lfs") {
        let message = format!("found a Git LFS pointer instead of the {kind} file itself");
        return Error::new(ErrorKind::Corrupt, message).with_hint("`git lfs pull` fetches the file");
    }
    let found = start[..start.len().min(magic.len())].escape_ascii();
    let expected = magic.escape_ascii();
    Error::new(
        ErrorKind::Corrupt,
        format!("file starts with `{found}`, but {kind} files start with `{expected}`"),
    )
    .with_hint(format!("check that it is a {kind} file, and was copied in binary mode"))
}

/// Damage whose cost per stream is known once streams have their numbers.
#[derive(Debug)]
pub struct Damage {
    /// What is broken, and where in the file.
    pub error: Error,
    /// What it costs.
    pub cost: Cost,
}

/// What damage costs, by channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes of the file that could not be used.
    pub byte_range: Option<Range<u64>>,
    /// Messages lost, by channel.
    pub records: BTreeMap<u32, u64>,
    /// Whether more may be lost than `records` names.
    pub uncounted: bool,
    /// As [`Loss::reason`].
    pub reason: &'static str,
}

impl Cost {
    /// Damage that takes nothing away.
    pub fn nothing(reason: &'static str) -> Self {
        Self { byte_range: None, records: BTreeMap::new(), uncounted: false, reason }
    }

    /// A range of bytes with nobody knows how many records.
    pub fn range(reason: &'static str, byte_range: Range<u64>) -> Self {
        Self { byte_range: Some(byte_range), records: BTreeMap::new(), uncounted: true, reason }
    }

    /// The cost by stream; channels that are not selected cost nothing.
    pub fn loss(self, stream_of: impl Fn(u32) -> Option<StreamId>) -> Loss {
        let mut records: BTreeMap<StreamId, u64> = BTreeMap::new();
        for (channel, n) in &self.records {
            if let Some(stream) = stream_of(*channel) {
                *records.entry(stream).or_default() += n;
            }
        }
        Loss {
            byte_range: self.byte_range,
            records: records.into_iter().collect(),
            uncounted: self.uncounted,
            reason: self.reason,
        }
    }
}
