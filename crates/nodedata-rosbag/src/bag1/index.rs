use std::{collections::BTreeMap, ops::Range};

use bytes::Bytes;
use nodedata_core::{Locus, Result};
use nodedata_log::{Definitions, FileView, corrupt};

use super::{
    connection::define,
    file_record::FileRecord,
    record::{Counted, Header, MAGIC, Record, corrupt_at, op},
};

/// What the bag header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BagHeader {
    /// Where the index starts; 0: the recorder did not come to write one.
    pub(crate) index_pos: u64,
    conn_count: u32,
    chunk_count: u32,
    /// What the chunks are encrypted with, if they are.
    pub(crate) encryptor: Option<String>,
    /// Where the first record behind it starts.
    pub(crate) end: u64,
}

impl BagHeader {
    /// Reads it, where it must lie.
    ///
    /// # Errors
    /// `Corrupt` when it does not; `Io`.
    pub(crate) fn read(view: &mut FileView) -> Result<Self> {
        let (at, n_bytes) = (MAGIC.len() as u64, view.n_bytes());
        let record = FileRecord::read(view, at, n_bytes)?;
        let read = |header: Header<'_>| {
            if header.op != op::BAG {
                return Err(corrupt(format!(
                    "first record has op {:#04x}, but it must be the bag header (0x03)",
                    header.op
                )));
            }
            let encryptor = header.get("encryptor").filter(|it| !it.is_empty());
            Ok(Self {
                index_pos: header.u64("index_pos")?,
                conn_count: header.u32("conn_count")?,
                chunk_count: header.u32("chunk_count")?,
                encryptor: encryptor.map(|it| String::from_utf8_lossy(it).into_owned()),
                end: record.data.end,
            })
        };
        let header = read(record.header()).map_err(|err| err.at(Locus::byte(at)))?;
        if n_bytes < header.end {
            return Err(corrupt_at(at, format!("file ends inside its bag header, at byte {n_bytes}")));
        }
        Ok(header)
    }
}

/// A chunk as the index describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexedChunk {
    /// Where its record starts.
    pub(crate) start: u64,
    /// Earliest and latest log time.
    pub(crate) times: (u64, u64),
    /// Messages by connection.
    pub(crate) counts: BTreeMap<u32, u64>,
}

/// Bytes of a connection and its count in a chunk info.
const COUNT_BYTES: usize = 8;

impl IndexedChunk {
    /// # Errors
    /// `Corrupt` when a field is missing, or the counts are not as many as it says.
    pub(crate) fn parse(record: &Record<'_>) -> Result<Self> {
        let (start, times) = Self::parse_head(&record.header, record.data.len() as u64)?;
        let mut counts = BTreeMap::new();
        for it in record.data.as_chunks::<COUNT_BYTES>().0 {
            let [a, b, c, d, e, f, g, h] = *it;
            let n = u64::from(u32::from_le_bytes([e, f, g, h]));
            *counts.entry(u32::from_le_bytes([a, b, c, d])).or_default() += n;
        }
        counts.retain(|_, n| *n != 0);
        Ok(Self { start, times, counts })
    }

    /// Whether the message indexes behind the chunk say the same.
    pub(crate) fn agrees(&self, counted: &Counted) -> bool {
        self.counts == counted.counts && counted.times.is_none_or(|it| it == self.times)
    }

    /// Its place and times, where its data may have `n_data` bytes.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub(crate) fn parse_head(header: &Header<'_>, n_data: u64) -> Result<(u64, (u64, u64))> {
        let (ver, count) = (header.u32("ver")?, header.u32("count")?);
        if ver != 1 || u64::from(count) * COUNT_BYTES as u64 != n_data {
            return Err(corrupt(format!(
                "a chunk info of version {ver} with {count} counts has {n_data} bytes"
            )));
        }
        Ok((header.u64("chunk_pos")?, (header.time("start_time")?, header.time("end_time")?)))
    }
}

/// The index at the end of a bag that was closed.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) definitions: Definitions,
    /// In file order.
    pub(crate) chunks: Vec<IndexedChunk>,
    /// Where it ends, which is where the bag does.
    pub(crate) end: u64,
}

impl Index {
    /// Reads the index that the header points at.
    ///
    /// # Errors
    /// `Corrupt` when it lies outside the file or in the header, does not hold what the header says, or names chunks that
    /// cannot be; `Limit`; `Io`.
    pub(crate) fn read(
        view: &mut FileView,
        header: &BagHeader,
        n_bytes_max: u64,
        is_encrypted: bool,
    ) -> Result<Self> {
        let (start, n_bytes) = (header.index_pos, view.n_bytes());
        if n_bytes < start {
            return Err(corrupt_at(
                n_bytes,
                format!(
                    "file ends at byte {n_bytes}, but its header says that the index starts at byte {start}"
                ),
            ));
        }
        if start < header.end {
            return Err(corrupt_at(
                MAGIC.len() as u64,
                format!(
                    "the bag header says that the index starts at byte {start}, which lies in the header itself"
                ),
            ));
        }
        let mut index = Self::default();
        let (mut n_connections, mut n_chunks) = (0, 0);
        let mut at = start;
        while (n_connections, n_chunks) != (header.conn_count, header.chunk_count) {
            if at == n_bytes {
                return Err(corrupt_at(
                    at,
                    format!(
                        "file ends after {n_connections} connections and {n_chunks} chunks of its index, but its header \
                         says {} and {}",
                        header.conn_count, header.chunk_count
                    ),
                ));
            }
            let record = FileRecord::read(view, at, n_bytes)?;
            match record.op {
                op::CONNECTION if n_connections < header.conn_count => n_connections += 1,
                op::CHUNK_INFO if n_chunks < header.chunk_count => n_chunks += 1,
                other => {
                    return Err(corrupt_at(
                        at,
                        format!("a record with op {other:#04x} lies in the index where none may"),
                    ));
                }
            }
            if n_bytes < record.data.end {
                return Err(corrupt_at(at, "file ends inside a record of its index"));
            }
            let data = record.fetch(view, n_bytes_max)?;
            index.add(&record, &data, is_encrypted).map_err(|err| err.at(Locus::byte(at)))?;
            at = record.data.end;
        }
        index.end = at;
        index.chunks.sort_by_key(|it| it.start);
        index.check_chunks(header.end..start)?;
        Ok(index)
    }

    /// Takes a connection or a chunk info.
    fn add(&mut self, record: &FileRecord, data: &Bytes, is_encrypted: bool) -> Result<()> {
        let whole = record.with(data);
        match record.op {
            op::CONNECTION => define(&mut self.definitions, &whole, is_encrypted, (record.start, 0)),
            _ => IndexedChunk::parse(&whole).map(|it| self.chunks.push(it)),
        }
    }

    /// Chunks must lie between the header and the index, each at a place of its own.
    fn check_chunks(&self, between: Range<u64>) -> Result<()> {
        let mut free_from = between.start;
        for chunk in &self.chunks {
            if !(free_from..between.end).contains(&chunk.start) {
                return Err(corrupt_at(
                    between.end,
                    format!(
                        "the index names a chunk at byte {}, but chunks lie one after the other in bytes {}..{}",
                        chunk.start, between.start, between.end
                    ),
                ));
            }
            free_from = chunk.start + 1;
        }
        Ok(())
    }

    /// Whether every connection with messages is declared in the index.
    pub(crate) fn names_every_connection(&self) -> bool {
        let mut counted = self.chunks.iter().flat_map(|it| it.counts.keys());
        counted.all(|it| self.definitions.channels.contains_key(it))
    }
}
