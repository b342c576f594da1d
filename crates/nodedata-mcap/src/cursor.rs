use std::collections::BTreeMap;

use bytes::Bytes;
use nodedata_core::{OpenOptions, Result};
use nodedata_log::{MessageRecord, RecordReader, RecordUnit, UnitKind, corrupt};

use crate::{
    chunk::ChunkDecoder,
    records::{MESSAGE_HEAD_BYTES, Message, MessageIndex, RECORD_HEAD_BYTES, RecordHead, op},
    walk::{nested_chunk, next_record, short_message},
};

/// How records lie in MCAP.
pub(crate) struct McapReader {
    decoder: ChunkDecoder,
    /// Whether lengths in the plan win over those in the file.
    trusts_plan: bool,
}

impl McapReader {
    /// Of one file.
    pub(crate) fn new(options: &OpenOptions) -> Self {
        let decoder = ChunkDecoder::new(options.record_bytes_max, options.verify_checksums);
        Self { decoder, trusts_plan: options.salvage }
    }
}

impl RecordReader for McapReader {
    const CUT: &'static str = "the end of the file cuts this chunk off";

    fn load(&mut self, unit: &RecordUnit, bytes: Bytes) -> Result<()> {
        match unit.kind {
            UnitKind::Records => self.decoder.hold(bytes),
            UnitKind::Chunk => {
                let n_bytes = unit.byte_range.end - unit.byte_range.start - RECORD_HEAD_BYTES;
                let head = RecordHead::parse(&bytes).filter(|it| it.opcode == op::CHUNK);
                // When salvaging, a chunk may have been found by its index because its length is damaged.
                if head.is_none_or(|it| it.n_bytes != n_bytes && !self.trusts_plan) {
                    return Err(corrupt(format!(
                        "the chunk index says a chunk of {} bytes lies here, but none does",
                        bytes.len()
                    )));
                }
                self.decoder.decode(&bytes.slice(RECORD_HEAD_BYTES as usize..))?;
            }
            UnitKind::CutChunk => {
                let content = bytes.slice((RECORD_HEAD_BYTES as usize).min(bytes.len())..);
                self.decoder.decode_prefix(&content)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn records(&self) -> &[u8] {
        self.decoder.records()
    }

    #[inline]
    fn next_message(records: &[u8], at: &mut usize) -> Result<Option<MessageRecord>> {
        loop {
            let start = *at;
            let Some((opcode, content)) = next_record(records, at)? else { return Ok(None) };
            if opcode == op::CHUNK {
                return Err(nested_chunk(start));
            }
            if opcode != op::MESSAGE {
                continue;
            }
            let Some(message) = Message::parse(content) else {
                return Err(short_message(start, content.len()));
            };
            return Ok(Some(MessageRecord {
                channel: message.channel_id,
                log_time: message.log_time,
                publish_time: Some(message.publish_time),
                sequence: Some(message.sequence),
                start,
                payload: start + RECORD_HEAD_BYTES as usize + MESSAGE_HEAD_BYTES..*at,
            }));
        }
    }

    fn indexed_counts(indexes: &[u8], selects: impl Fn(u64) -> bool) -> Option<BTreeMap<u32, u64>> {
        let mut counts = BTreeMap::new();
        let mut at = 0;
        while let Some((opcode, content)) = next_record(indexes, &mut at).ok()? {
            if opcode != op::MESSAGE_INDEX {
                continue;
            }
            let index = MessageIndex::parse(content).ok()?;
            let n = index.log_times().filter(|it| selects(*it)).count() as u64;
            *counts.entry(index.channel_id).or_default() += n;
        }
        Some(counts)
    }

    fn undeclared(channels: &str) -> String {
        format!("no sound Channel record declares channel {channels}")
    }
}
