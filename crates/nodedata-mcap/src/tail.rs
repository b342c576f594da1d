use std::collections::BTreeMap;

use nodedata_core::Result;
use nodedata_log::{Definitions, FileView, too_large};

use crate::{
    defined::define,
    fault::corrupt_at,
    records::{ChunkIndex, FOOTER_BYTES, Footer, MAGIC, RECORD_HEAD_BYTES, RecordHead, Statistics, op},
};

/// The end of a complete file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    pub(crate) footer: Footer,
    /// Where the Footer record starts.
    pub(crate) footer_offset: u64,
}

impl Tail {
    /// Reads footer and closing magic.
    ///
    /// # Errors
    /// `Corrupt` when either is missing; `Io`.
    pub(crate) fn read(view: &mut FileView) -> Result<Self> {
        let n_bytes = view.n_bytes();
        let n_tail = FOOTER_BYTES + MAGIC.len() as u64;
        let footer_offset = n_bytes.saturating_sub(n_tail).max(MAGIC.len() as u64);
        let tail = view.up_to(footer_offset, n_tail)?;
        if !tail.ends_with(&MAGIC) {
            return Err(corrupt_at(n_bytes, "file ends without the closing MCAP magic"));
        }
        let head = RecordHead::parse(&tail);
        if head != Some(RecordHead { opcode: op::FOOTER, n_bytes: FOOTER_BYTES - RECORD_HEAD_BYTES }) {
            return Err(corrupt_at(footer_offset, "no Footer record before the closing MCAP magic"));
        }
        let footer = Footer::parse(&tail[RECORD_HEAD_BYTES as usize..])?;
        Ok(Self { footer, footer_offset })
    }
}

/// A summary section whose CRC is right and whose offsets lie inside the file.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) definitions: Definitions,
    pub(crate) statistics: Option<Statistics>,
    /// In file order of their chunks, which do not overlap.
    pub(crate) chunks: Vec<IndexedChunk>,
}

/// A chunk as its index describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexedChunk {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) index_end: u64,
    pub(crate) times: (u64, u64),
    /// Channels with messages; empty when message indexes were not written.
    pub(crate) channels: Vec<u32>,
    /// Messages by channel, as the lengths of its message indexes tell.
    pub(crate) counts: Option<Vec<(u32, u64)>>,
    pub(crate) n_uncompressed: u64,
}

impl Summary {
    /// Reads the summary that `tail` points at; `None` when there is none.
    ///
    /// # Errors
    /// `Corrupt` when the summary lies outside the file, fails its CRC, does not parse, or names chunks
    /// outside the data section; `Limit` when it is larger than a record may be.
    pub(crate) fn read(
        view: &mut FileView,
        tail: &Tail,
        verify_checksums: bool,
        n_bytes_max: u64,
    ) -> Result<Option<Self>> {
        let start = tail.footer.summary_start;
        if start == 0 {
            return Ok(None);
        }
        if start < MAGIC.len() as u64 || tail.footer_offset < start {
            return Err(corrupt_at(
                tail.footer_offset,
                format!(
                    "footer says the summary starts at byte {start}, but it must lie before byte {}",
                    tail.footer_offset
                ),
            ));
        }
        let n_summary = tail.footer_offset - start;
        if n_bytes_max < n_summary {
            return Err(too_large("the summary", n_summary, n_bytes_max));
        }
        // The CRC covers the footer up to itself.
        let bytes = view.bytes(start..tail.footer_offset + FOOTER_BYTES - 4)?;
        if verify_checksums && tail.footer.summary_crc != 0 {
            let found = crc32fast::hash(&bytes);
            if found != tail.footer.summary_crc {
                return Err(corrupt_at(
                    start,
                    format!(
                        "summary has CRC {found:08x}, but the footer says {:08x}",
                        tail.footer.summary_crc
                    ),
                ));
            }
        }
        let mut summary = Self::default();
        summary.parse(&bytes[..n_summary as usize], start)?;
        summary.chunks.sort_by_key(|it| it.start);
        summary.check_chunks(start)?;
        Ok(Some(summary))
    }

    fn parse(&mut self, bytes: &[u8], summary_start: u64) -> Result<()> {
        let mut at = 0;
        while at < bytes.len() {
            let offset = summary_start + at as u64;
            let content = RecordHead::parse(&bytes[at..]).and_then(|head| {
                let start = at + RECORD_HEAD_BYTES as usize;
                let end = start.checked_add(usize::try_from(head.n_bytes).ok()?)?;
                Some((head.opcode, bytes.get(start..end)?, end))
            });
            let Some((opcode, content, end)) = content else {
                return Err(corrupt_at(offset, "summary ends inside a record"));
            };
            let parsed = match opcode {
                op::SCHEMA | op::CHANNEL => define(&mut self.definitions, opcode, content, (offset, 0)),
                op::STATISTICS => Statistics::parse(content).map(|it| self.statistics = Some(it)),
                op::CHUNK_INDEX => ChunkIndex::parse(content).map(|it| self.chunks.push((&it).into())),
                // Attachments and metadata are met while walking between the chunks; the rest is offsets.
                _ => Ok(()),
            };
            parsed.map_err(|err| err.at(nodedata_core::Locus::byte(offset)))?;
            at = end;
        }
        Ok(())
    }

    /// Chunks must lie between the magic and the summary, one after the other.
    fn check_chunks(&self, summary_start: u64) -> Result<()> {
        let mut free_from = MAGIC.len() as u64;
        for chunk in &self.chunks {
            if chunk.start < free_from
                || chunk.end < chunk.start + RECORD_HEAD_BYTES
                || summary_start < chunk.index_end
            {
                return Err(corrupt_at(
                    summary_start,
                    format!(
                        "chunk index names bytes {}..{}, but chunks lie one after the other in bytes {}..{summary_start}",
                        chunk.start,
                        chunk.end,
                        MAGIC.len()
                    ),
                ));
            }
            free_from = chunk.end;
        }
        Ok(())
    }

    /// Whether the counts of the chunks are those of the statistics, channel by channel. A writer may put something else
    /// between its indexes, or messages outside of chunks: then nothing is counted without a walk.
    pub(crate) fn counts_every_message(&self) -> bool {
        let Some(statistics) = &self.statistics else { return false };
        let mut of_chunks: BTreeMap<u32, u64> = BTreeMap::new();
        for chunk in &self.chunks {
            let Some(counts) = &chunk.counts else { return false };
            for (channel, n) in counts {
                let sum = of_chunks.entry(*channel).or_default();
                *sum = sum.saturating_add(*n);
            }
        }
        let told = statistics.channel_message_counts.iter().map(|(channel, n)| (u32::from(*channel), *n));
        let told: BTreeMap<u32, u64> = told.filter(|(_, n)| *n != 0).collect();
        of_chunks.retain(|_, n| *n != 0);
        of_chunks == told
    }

    /// Whether every channel with messages is known to be among the summary's channels.
    ///
    /// Statistics alone prove nothing when they say less than is there (libmcap 1.1), and a channel may
    /// lie inside a chunk only: then the file is walked.
    pub(crate) fn names_every_channel(&self) -> bool {
        let known = &self.definitions.channels;
        let n_counted = self.statistics.as_ref().map(|it| it.channel_count as usize);
        if known.is_empty() && n_counted != Some(0) || n_counted.is_some_and(|it| known.len() < it) {
            return false;
        }
        if self
            .definitions
            .channels
            .values()
            .any(|it| it.schema_id.is_some_and(|it| !self.definitions.schemas.contains_key(&it)))
        {
            return false;
        }
        let is_indexed = self.chunks.iter().all(|it| !it.channels.is_empty());
        if !is_indexed && n_counted.is_none() {
            return false;
        }
        let counted = self.statistics.iter().flat_map(|it| &it.channel_message_counts).map(|it| it.0.into());
        let indexed = self.chunks.iter().flat_map(|it| it.channels.iter().copied());
        indexed.chain(counted).all(|it| known.contains_key(&it))
    }
}

/// Bytes of a message index beside its entries: head, channel, and the length of the entries.
const INDEX_FRAME_BYTES: u64 = RECORD_HEAD_BYTES + 2 + 4;
/// Bytes of one entry of a message index.
const INDEX_ENTRY_BYTES: u64 = 16;

/// How many messages of each channel a chunk has: its message indexes lie one behind the other, and their entries have one
/// length. `None` where they do not lie like that.
fn counts(index: &ChunkIndex<'_>) -> Option<Vec<(u32, u64)>> {
    let end = index.chunk_start_offset.checked_add(index.chunk_length)?;
    let end = end.checked_add(index.message_index_length)?;
    let mut starts: Vec<(u64, u32)> =
        index.message_index_offsets.iter().map(|(channel, at)| (*at, u32::from(*channel))).collect();
    starts.sort_unstable();
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([end]);
    let count = |((start, channel), end): (&(u64, u32), u64)| {
        let entries = end.checked_sub(*start)?.checked_sub(INDEX_FRAME_BYTES)?;
        entries.is_multiple_of(INDEX_ENTRY_BYTES).then_some((*channel, entries / INDEX_ENTRY_BYTES))
    };
    starts.iter().zip(ends).map(count).collect()
}

impl From<&ChunkIndex<'_>> for IndexedChunk {
    fn from(index: &ChunkIndex<'_>) -> Self {
        let end = index.chunk_start_offset.saturating_add(index.chunk_length);
        let mut channels: Vec<u32> = index.message_index_offsets.iter().map(|it| it.0.into()).collect();
        channels.sort_unstable();
        channels.dedup();
        Self {
            start: index.chunk_start_offset,
            end,
            index_end: end.saturating_add(index.message_index_length),
            times: (index.start_time, index.end_time),
            channels,
            counts: counts(index),
            n_uncompressed: index.uncompressed_size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(offsets: &[(u16, u64)], n_index_bytes: u64) -> Option<Vec<(u32, u64)>> {
        counts(&ChunkIndex {
            start_time: 0,
            end_time: 0,
            chunk_start_offset: 100,
            chunk_length: 50,
            message_index_offsets: offsets.to_vec(),
            message_index_length: n_index_bytes,
            compression: "",
            compressed_size: 0,
            uncompressed_size: 0,
        })
    }

    #[test]
    fn message_indexes_are_counted_by_their_lengths() {
        // Two entries of channel 7, then one of channel 3.
        let (two, one) = (15 + 32, 15 + 16);
        assert_eq!(counted(&[(3, 150 + two), (7, 150)], two + one), Some(vec![(7, 2), (3, 1)]));
        assert_eq!(counted(&[], 0), Some(vec![]));
        for (offsets, n_bytes) in [
            // Something lies behind the last one.
            (&[(7, 150)][..], two + 1),
            // Two at one place.
            (&[(3, 150), (7, 150)], two),
            // Outside of the indexes.
            (&[(7, 150 + two)], two),
            (&[(7, u64::MAX)], two),
        ] {
            assert_eq!(counted(offsets, n_bytes), None, "{offsets:?}");
        }
    }
}
