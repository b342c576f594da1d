use std::collections::BTreeMap;

use bytes::Bytes;
use nodedata_core::{OpenOptions, Result};
use nodedata_log::{MessageRecord, RecordReader, RecordUnit, UnitKind, corrupt};

use super::{
    chunk::{ChunkDecoder, ChunkHead},
    record::{Header, LENGTHS_BYTES, MessageIndex, Stray, message_of, next_record, op},
};

/// How records lie in bags.
pub(crate) struct BagReader {
    decoder: ChunkDecoder,
}

impl BagReader {
    /// Of one bag.
    pub(crate) fn new(is_encrypted: bool, options: &OpenOptions) -> Self {
        Self { decoder: ChunkDecoder::new(options.record_bytes_max, is_encrypted) }
    }
}

impl RecordReader for BagReader {
    const CUT: &'static str = "this chunk is cut off: what follows its front is not the rest of it";

    // Chunks have no checksums.
    const CHECKS_PLAN: bool = true;

    fn load(&mut self, unit: &RecordUnit, bytes: Bytes) -> Result<()> {
        if unit.kind == UnitKind::Records {
            self.decoder.hold(bytes);
            return Ok(());
        }
        let (header, stored) = split_chunk(&bytes)?;
        let head = ChunkHead::parse(&header)?;
        match unit.kind {
            UnitKind::CutChunk => self.decoder.decode_prefix(&head, &stored),
            UnitKind::Chunk | UnitKind::Records => {
                self.decoder.decode(&head, &stored)?;
                // Where nothing counts its messages, nothing else would tell that one is passed over.
                if unit.counts.is_none() { no_strays(self.decoder.records()) } else { Ok(()) }
            }
        }
    }

    #[inline]
    fn records(&self) -> &[u8] {
        self.decoder.records()
    }

    #[inline]
    fn next_message(records: &[u8], at: &mut usize) -> Result<Option<MessageRecord>> {
        loop {
            let start = *at;
            let Some(record) = next_record(records, at)? else { return Ok(None) };
            match record.header.op {
                op::MESSAGE => {}
                op::CHUNK => return Err(nested_chunk(start)),
                _ => continue,
            }
            let (channel, log_time) = message_of(&record.header).inspect_err(|_| *at = start)?;
            let payload = *at - record.data.len()..*at;
            let (publish_time, sequence) = (None, None);
            return Ok(Some(MessageRecord { channel, log_time, publish_time, sequence, start, payload }));
        }
    }

    fn indexed_counts(indexes: &[u8], selects: impl Fn(u64) -> bool) -> Option<BTreeMap<u32, u64>> {
        let mut counts = BTreeMap::new();
        let mut at = 0;
        while let Some(record) = next_record(indexes, &mut at).ok()? {
            let index = MessageIndex::parse(&record).ok().filter(|_| record.header.op == op::INDEX)?;
            let n = index.log_times().filter(|it| selects(*it)).count() as u64;
            *counts.entry(index.conn).or_default() += n;
        }
        Some(counts)
    }

    fn undeclared(channels: &str) -> String {
        format!("no sound connection record declares connection {channels}")
    }
}

/// That all records of a chunk are of a kind that may be there. A chunk that does not hold together is met by reading, which hands
/// out what is in front of the break.
fn no_strays(records: &[u8]) -> Result<()> {
    let (mut start, mut at, mut first) = (0, 0, None);
    loop {
        let header = match next_record(records, &mut at) {
            Ok(Some(record)) if record.header.op != op::CHUNK => record.header,
            Ok(None) => break,
            Ok(Some(_)) | Err(_) => return Ok(()),
        };
        if first.is_none() {
            first = Stray::of(&header).map(|it| (start, it, header.op));
        }
        start = at;
    }
    let Some((start, stray, found)) = first else { return Ok(()) };
    let what = match stray {
        Stray::Message(conn) => format!("the fields of a message of connection {conn}"),
        Stray::Unknown => "no known fields".to_owned(),
    };
    Err(corrupt(format!(
        "a record at byte {start} of its chunk has {what}, but its op is {found:#04x}: that is damaged"
    )))
}

/// Header and data of the chunk record that `bytes` are. Of a chunk that is cut the data is what is there.
fn split_chunk(bytes: &Bytes) -> Result<(Header<'_>, Bytes)> {
    let n_header = bytes.first_chunk().map(|it| u32::from_le_bytes(*it) as usize);
    let data_at = n_header.and_then(|it| it.checked_add(LENGTHS_BYTES as usize));
    let parts = n_header.zip(data_at.filter(|it| *it <= bytes.len()));
    let Some((n_header, data_at)) = parts else { return Err(corrupt("the header of a chunk is cut off")) };
    let header = Header::parse(&bytes[4..4 + n_header])?;
    if header.op != op::CHUNK {
        return Err(corrupt(format!(
            "a chunk should lie here, but a record with op {:#04x} does",
            header.op
        )));
    }
    Ok((header, bytes.slice(data_at..)))
}

pub(crate) fn nested_chunk(place: usize) -> nodedata_core::Error {
    corrupt(format!("a chunk lies inside the chunk, at its byte {place}, but chunks do not nest"))
}
