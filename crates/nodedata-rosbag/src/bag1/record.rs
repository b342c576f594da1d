//! Records of the bag format 2.0: a header of `name=value` fields behind their lengths, then data. Integers are little endian.

use std::collections::BTreeMap;

use nodedata_core::{Error, Locus, Result};
use nodedata_log::corrupt;

/// First bytes of a bag.
pub(crate) const MAGIC: &[u8] = b"#ROSBAG V2.0\n";

/// First bytes of a bag of whatever version.
pub(crate) const MAGIC_OF_ANY_VERSION: &[u8] = b"#ROSBAG V";

/// Longest header of a record that is believed. The longest that recorders write holds a topic and few bytes more.
pub(crate) const HEADER_BYTES_MAX: u64 = 1 << 20;

/// Bytes of the two lengths of a record.
pub(crate) const LENGTHS_BYTES: u64 = 8;

/// Values of the field `op`.
pub(crate) mod op {
    pub(crate) const MESSAGE: u8 = 0x02;
    pub(crate) const BAG: u8 = 0x03;
    pub(crate) const INDEX: u8 = 0x04;
    pub(crate) const CHUNK: u8 = 0x05;
    pub(crate) const CHUNK_INFO: u8 = 0x06;
    pub(crate) const CONNECTION: u8 = 0x07;
}

/// Bytes that break the rules of bags at an offset of the file; the path is added where it is known.
pub(crate) fn corrupt_at(byte_offset: u64, message: impl Into<String>) -> Error {
    corrupt(message).at(Locus::byte(byte_offset))
}

/// The fields of a header, each `name=value` behind its length.
#[derive(Debug)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Of the bytes of a header, or of the data of a connection.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    /// `None` where a length passes the end of the header, or a field has no `=`; nothing follows it.
    type Item = Option<(&'a [u8], &'a [u8])>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = || {
            let (length, rest) = self.0.split_first_chunk()?;
            let (field, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            let at = field.iter().position(|it| *it == b'=')?;
            Some(((&field[..at], &field[at + 1..]), rest))
        };
        let (field, rest) = field().unzip();
        self.0 = rest.unwrap_or_default();
        Some(field)
    }
}

/// The header of a record, whose fields hold together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header<'a> {
    /// What the record is; see [`op`].
    pub(crate) op: u8,
    bytes: &'a [u8],
    /// Connection and time as bytes, as far as they were met on the way: what nearly all headers are read for.
    message: (Option<&'a [u8]>, Option<&'a [u8]>),
}

impl<'a> Header<'a> {
    /// # Errors
    /// `Corrupt` when the fields do not fill the header, or none says what the record is.
    #[inline]
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (mut op, mut conn, mut time) = (None, None, None);
        for field in Fields(bytes) {
            match field {
                Some((b"op", [value])) => op = Some(*value),
                Some((b"conn", value)) => conn = conn.or(Some(value)),
                Some((b"time", value)) => time = time.or(Some(value)),
                Some(_) => {}
                None => return Err(corrupt("the fields of a record's header do not fill it")),
            }
        }
        let Some(op) = op else { return Err(corrupt("a record has no field `op` that says what it is")) };
        Ok(Self { op, bytes, message: (conn, time) })
    }

    /// A header that was parsed before.
    pub(crate) fn of(op: u8, bytes: &'a [u8]) -> Self {
        Self { op, bytes, message: (None, None) }
    }

    /// The value of a field, if there is one.
    pub(crate) fn get(&self, name: &str) -> Option<&'a [u8]> {
        Fields(self.bytes).flatten().find(|it| it.0 == name.as_bytes()).map(|it| it.1)
    }

    /// # Errors
    /// `Corrupt` when there is no such field, or it is no u32.
    pub(crate) fn u32(&self, name: &'static str) -> Result<u32> {
        self.array(name).map(u32::from_le_bytes)
    }

    /// # Errors
    /// `Corrupt` when there is no such field, or it is no u64.
    pub(crate) fn u64(&self, name: &'static str) -> Result<u64> {
        self.array(name).map(u64::from_le_bytes)
    }

    /// # Errors
    /// `Corrupt` when there is no such field, or it is no time.
    pub(crate) fn time(&self, name: &'static str) -> Result<u64> {
        self.array(name).map(nanos)
    }

    /// # Errors
    /// `Corrupt` when there is no such field, or it is no text.
    pub(crate) fn text(&self, name: &'static str) -> Result<&'a str> {
        let bytes = self.get(name).ok_or_else(|| self.without(name))?;
        let not_text = |err| corrupt(format!("`{name}` of a {} is not UTF-8", self.what())).with_source(err);
        str::from_utf8(bytes).map_err(not_text)
    }

    fn array<const N: usize>(&self, name: &'static str) -> Result<[u8; N]> {
        let bytes = self.get(name).ok_or_else(|| self.without(name))?;
        bytes.try_into().map_err(|_| {
            corrupt(format!("`{name}` of a {} has {} bytes, but it must have {N}", self.what(), bytes.len()))
        })
    }

    fn without(&self, name: &str) -> Error {
        corrupt(format!("a {} has no field `{name}`", self.what()))
    }

    fn what(&self) -> String {
        match self.op {
            op::MESSAGE => "message record".to_owned(),
            op::BAG => "bag header".to_owned(),
            op::INDEX => "message index".to_owned(),
            op::CHUNK => "chunk record".to_owned(),
            op::CHUNK_INFO => "chunk info".to_owned(),
            op::CONNECTION => "connection record".to_owned(),
            other => format!("record with op {other:#04x}"),
        }
    }
}

/// A time: seconds and nanoseconds, each a u32. Their sum never passes an i64 of nanoseconds.
#[inline]
pub(crate) fn nanos(bytes: [u8; 8]) -> u64 {
    let [a, b, c, d, e, f, g, h] = bytes;
    u64::from(u32::from_le_bytes([a, b, c, d])) * 1_000_000_000 + u64::from(u32::from_le_bytes([e, f, g, h]))
}

/// A record in the bytes of a chunk, or of a part of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) header: Header<'a>,
    pub(crate) data: &'a [u8],
}

/// Takes the record at `at` and moves past it; `None` at the end.
///
/// # Errors
/// `Corrupt` when the bytes end inside it or its header does not hold together; `at` then stays.
#[inline]
pub(crate) fn next_record<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Option<Record<'a>>> {
    let rest = &bytes[*at..];
    if rest.is_empty() {
        return Ok(None);
    }
    let parts = block(rest).and_then(|(header, rest)| Some((header, block(rest)?)));
    let Some((header, (data, rest))) = parts else {
        return Err(corrupt(format!("a record is cut off at byte {at} of {} bytes of records", bytes.len())));
    };
    let header = Header::parse(header)?;
    *at = bytes.len() - rest.len();
    Ok(Some(Record { header, data }))
}

/// Bytes behind a u32 length, and what follows them.
#[inline]
fn block(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// Connection and time of a message record.
///
/// # Errors
/// `Corrupt` when one is missing.
#[inline]
pub(crate) fn message_of(header: &Header<'_>) -> Result<(u32, u64)> {
    let conn = header.message.0.and_then(|it| it.try_into().ok()).map(u32::from_le_bytes);
    let time = header.message.1.and_then(|it| it.try_into().ok()).map(nanos);
    match (conn, time) {
        (Some(conn), Some(time)) => Ok((conn, time)),
        _ => Ok((header.u32("conn")?, header.time("time")?)),
    }
}

/// What a record in a chunk is that has the op of none that may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stray {
    /// Its fields are those of a message of this connection.
    Message(u32),
    /// Nothing says what it was.
    Unknown,
}

impl Stray {
    /// `None` for a record that belongs there, or costs nothing because it is no message.
    pub(crate) fn of(header: &Header<'_>) -> Option<Self> {
        if matches!(header.op, op::MESSAGE | op::CONNECTION | op::CHUNK) {
            return None;
        }
        match message_of(header) {
            Ok((conn, _)) => Some(Self::Message(conn)),
            Err(_) => (!matches!(header.op, op::INDEX | op::CHUNK_INFO | op::BAG)).then_some(Self::Unknown),
        }
    }
}

/// What a message index counts: its connection, and the time of every message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageIndex<'a> {
    pub(crate) conn: u32,
    entries: &'a [u8],
}

/// Bytes of an entry of a message index: a time and an offset in the chunk.
const ENTRY_BYTES: usize = 12;

impl<'a> MessageIndex<'a> {
    /// # Errors
    /// `Corrupt` when the entries are not as many as it says.
    pub(crate) fn parse(record: &Record<'a>) -> Result<Self> {
        let conn = record.header.u32("conn")?;
        n_entries(&record.header, record.data.len() as u64)?;
        Ok(Self { conn, entries: record.data })
    }

    pub(crate) fn log_times(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.entries.as_chunks::<ENTRY_BYTES>().0.iter().filter_map(|it| it.first_chunk().copied().map(nanos))
    }
}

/// What the message indexes behind a chunk say of its messages.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Messages by connection.
    pub(crate) counts: BTreeMap<u32, u64>,
    /// Earliest and latest log time.
    pub(crate) times: Option<(u64, u64)>,
}

impl Counted {
    pub(crate) fn add(&mut self, index: &MessageIndex<'_>) {
        let mut n = 0;
        for time in index.log_times() {
            let (first, last) = self.times.get_or_insert((time, time));
            (*first, *last) = (time.min(*first), time.max(*last));
            n += 1;
        }
        if n != 0 {
            *self.counts.entry(index.conn).or_default() += n;
        }
    }
}

/// How many messages a message index counts, of which the data has `n_data` bytes.
///
/// # Errors
/// `Corrupt` when these are not as many as it says.
pub(crate) fn n_entries(header: &Header<'_>, n_data: u64) -> Result<u64> {
    let (ver, count) = (header.u32("ver")?, header.u32("count")?);
    if ver != 1 || u64::from(count) * ENTRY_BYTES as u64 != n_data {
        return Err(corrupt(format!(
            "a message index of version {ver} with {count} entries has {n_data} bytes"
        )));
    }
    Ok(count.into())
}
