use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, Locus, OpenOptions, ReadAt, Result};
use nodedata_log::{Cost, Damage, Message, MessageCursor, MessagePlace, Picked, Position, Selector, corrupt};

use crate::{
    chunk::ChunkDecoder,
    fault::corrupt_at,
    log_plan::{Unit, UnitKind},
    records::{self, MessageIndex, RECORD_HEAD_BYTES, RecordHead, op},
    walk::{nested_chunk, next_record, short_message},
};

/// The selected messages of consecutive units, in file order, borrowed from the bytes they lie in.
pub(crate) struct McapCursor {
    file: Arc<dyn ReadAt>,
    units: Arc<[Unit]>,
    selector: Selector,
    /// Whether lengths in the plan win over those in the file.
    trusts_plan: bool,
    decoder: ChunkDecoder,
    /// Units not started yet.
    rest: Range<usize>,
    open: Option<OpenUnit>,
}

struct OpenUnit {
    idx: usize,
    kind: UnitKind,
    start: u64,
    /// Records outside chunks; those of a chunk are in the decoder.
    records: Bytes,
    at: usize,
}

/// A selected message and where its record starts and ends in the unit.
struct Found {
    picked: Picked,
    message: Range<usize>,
    /// Offset of the record in the unit.
    place: usize,
}

impl McapCursor {
    pub(crate) fn new(
        file: Arc<dyn ReadAt>,
        units: Arc<[Unit]>,
        rest: Range<usize>,
        selector: Selector,
        options: &OpenOptions,
    ) -> Self {
        let decoder = ChunkDecoder::new(options.record_bytes_max, options.verify_checksums);
        Self { file, units, selector, trusts_plan: options.salvage, decoder, rest, open: None }
    }

    /// Moves to the next selected message; [`Self::message`] then borrows it.
    fn advance(&mut self) -> Result<Option<Found>, Box<Damage>> {
        loop {
            if self.open.is_none() && !self.open_next()? {
                return Ok(None);
            }
            match self.next_in_unit() {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {
                    let unknown = self.selector.take_unknown();
                    if let Some(open) = self.open.take()
                        && !unknown.is_empty()
                    {
                        return Err(self.unknown_channels(&open, &unknown));
                    }
                }
                Err(err) => {
                    let Some(open) = self.open.take() else { continue };
                    return Err(self.broken_unit(&open, err));
                }
            }
        }
    }

    /// The message that [`Self::advance`] found.
    #[inline]
    fn message(&self, found: &Found) -> Option<Message<'_>> {
        let open = self.open.as_ref()?;
        let records::Message { log_time, publish_time, sequence, data, .. } =
            records::Message::parse(self.records(open).get(found.message.clone())?)?;
        let byte_range = match open.kind {
            UnitKind::Records => open.start + found.place as u64..open.start + found.message.end as u64,
            UnitKind::Chunk | UnitKind::CutChunk => self.units[open.idx].byte_range.clone(),
        };
        let in_chunk = (open.kind != UnitKind::Records).then_some(found.place as u64);
        let ordinal = found.picked.ordinal;
        Some(Message {
            stream: found.picked.stream,
            channel: found.picked.channel,
            log_time,
            publish_time: Some(publish_time),
            sequence: Some(sequence),
            payload: data,
            place: MessagePlace { unit: open.idx, ordinal, part: 0, byte_range, in_chunk },
        })
    }

    fn records<'a>(&'a self, open: &'a OpenUnit) -> &'a [u8] {
        if open.kind == UnitKind::Records { &open.records } else { self.decoder.records() }
    }

    /// Opens the next selected unit; `false` at the end.
    fn open_next(&mut self) -> Result<bool, Box<Damage>> {
        while let Some(idx) = self.rest.next() {
            let units = Arc::clone(&self.units);
            let unit = &units[idx];
            if !self.selector.may_select(unit.channels.as_ref(), unit.log_times()) {
                continue;
            }
            let mut open =
                OpenUnit { idx, kind: unit.kind, start: unit.byte_range.start, records: Bytes::new(), at: 0 };
            if let Err(err) = self.load(unit, &mut open) {
                return Err(self.broken_unit(&open, err));
            }
            self.open = Some(open);
            self.selector.start_unit();
            return Ok(true);
        }
        Ok(false)
    }

    fn load(&mut self, unit: &Unit, open: &mut OpenUnit) -> Result<()> {
        let bytes = self.file.read_at(unit.byte_range.clone())?;
        match unit.kind {
            UnitKind::Records => open.records = bytes,
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

    fn next_in_unit(&mut self) -> Result<Option<Found>> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let records = if open.kind == UnitKind::Records { &open.records[..] } else { self.decoder.records() };
        loop {
            let place = open.at;
            let Some((opcode, content)) = next_record(records, &mut open.at)? else {
                return match open.kind {
                    // However far it goes, its end is missing.
                    UnitKind::CutChunk => Err(corrupt("no further record of the chunk is there")),
                    UnitKind::Chunk | UnitKind::Records => Ok(None),
                };
            };
            if opcode == op::CHUNK {
                return Err(nested_chunk(place));
            }
            if opcode != op::MESSAGE {
                continue;
            }
            let Some(message) = records::Message::parse(content) else {
                return Err(short_message(place, content.len()));
            };
            let position: Position = match open.kind {
                UnitKind::Records => (open.start + place as u64, 0),
                UnitKind::Chunk | UnitKind::CutChunk => (open.start, place as u64),
            };
            if let Some(picked) = self.selector.pick(message.channel_id, message.log_time, position) {
                return Ok(Some(Found { picked, message: open.at - content.len()..open.at, place }));
            }
        }
    }

    /// The cost of a unit that broke after the messages already seen: what its message indexes count
    /// and was not handed out.
    fn broken_unit(&self, open: &OpenUnit, err: Error) -> Box<Damage> {
        let unit = &self.units[open.idx];
        let err = match open.kind {
            UnitKind::CutChunk => corrupt("the end of the file cuts this chunk off").with_source(err),
            UnitKind::Chunk | UnitKind::Records => err,
        };
        let reason = match open.kind {
            UnitKind::CutChunk => "truncated",
            UnitKind::Chunk => "damaged_chunk",
            UnitKind::Records => "damaged_bytes",
        };
        let mut cost = Cost::range(reason, unit.byte_range.clone());
        if let Some(counts) = self.indexed_counts(unit) {
            cost.uncounted = false;
            let seen = self.counts_before(open);
            for (channel, n) in counts {
                let n_lost = n.saturating_sub(seen.get(&channel).copied().unwrap_or(0));
                if n_lost != 0 {
                    cost.records.insert(channel, n_lost);
                }
            }
        }
        Box::new(Damage { error: err.at(Locus::byte(open.start)), cost })
    }

    /// Selected messages by channel in front of where the walk of a chunk stands.
    fn counts_before(&self, open: &OpenUnit) -> BTreeMap<u32, u64> {
        let mut counts = BTreeMap::new();
        let mut at = 0;
        while at < open.at
            && let Ok(Some((opcode, content))) = next_record(self.decoder.records(), &mut at)
        {
            if opcode == op::MESSAGE
                && let Some(message) = records::Message::parse(content)
                && self.selector.selects_time(message.log_time)
            {
                *counts.entry(message.channel_id).or_default() += 1;
            }
        }
        counts
    }

    /// Selected messages of a chunk by channel, as its message indexes count them; `None` when they are
    /// absent or not sound themselves.
    fn indexed_counts(&self, unit: &Unit) -> Option<BTreeMap<u32, u64>> {
        if unit.index_range.is_empty() {
            return None;
        }
        let bytes = self.file.read_at(unit.index_range.clone()).ok()?;
        let mut counts = BTreeMap::new();
        let mut at = 0;
        while let Some((opcode, content)) = next_record(&bytes, &mut at).ok()? {
            if opcode != op::MESSAGE_INDEX {
                continue;
            }
            let index = MessageIndex::parse(content).ok()?;
            let n = index.log_times().filter(|it| self.selector.selects_time(*it)).count() as u64;
            *counts.entry(index.channel_id).or_default() += n;
        }
        Some(counts)
    }

    fn unknown_channels(&self, open: &OpenUnit, unknown: &BTreeMap<u32, u64>) -> Box<Damage> {
        let ids: Vec<String> = unknown.iter().map(|(id, n)| format!("{id} ({n} of its messages)")).collect();
        let error =
            corrupt_at(open.start, format!("no sound Channel record declares channel {}", ids.join(", ")));
        let unit = &self.units[open.idx];
        Box::new(Damage { error, cost: Cost::range("unknown_channel", unit.byte_range.clone()) })
    }
}

impl MessageCursor for McapCursor {
    fn next_message(&mut self) -> Result<Option<Message<'_>>, Box<Damage>> {
        Ok(self.advance()?.and_then(|found| self.message(&found)))
    }
}
