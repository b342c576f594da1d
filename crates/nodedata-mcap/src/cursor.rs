use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, Locus, OpenOptions, ReadAt, Result, TimeRange};

use crate::{
    chunk::ChunkDecoder,
    definitions::Place,
    fault::{corrupt, corrupt_at},
    log_plan::{Cost, Damage, LogPlan, Unit, UnitKind},
    records::{Message, MessageIndex, RECORD_HEAD_BYTES, RecordHead, op},
    routes::{Route, Routes},
    walk::{nested_chunk, next_record, short_message},
};

/// The selected messages of consecutive units, in file order, borrowed from the bytes they lie in.
pub(crate) struct MessageCursor {
    file: Arc<dyn ReadAt>,
    plan: Arc<LogPlan>,
    routes: Arc<Routes>,
    time_range: TimeRange,
    /// Whether lengths in the plan win over those in the file.
    trusts_plan: bool,
    decoder: ChunkDecoder,
    /// Units not started yet.
    rest: Range<usize>,
    open: Option<OpenUnit>,
    /// Messages walked in the open unit, by stream; those outside the time range, too.
    n_walked: Vec<u64>,
}

struct OpenUnit {
    idx: usize,
    kind: UnitKind,
    start: u64,
    /// Records outside chunks; those of a chunk are in the decoder.
    records: Bytes,
    at: usize,
    /// Messages of channels nobody declared, by channel.
    n_unknown: BTreeMap<u16, u64>,
}

/// Where a message was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Position of its stream.
    pub(crate) stream: usize,
    /// Position of the unit in the plan.
    pub(crate) unit: usize,
    /// Position among the messages of its stream in the unit, selected or not.
    pub(crate) ordinal: u64,
    /// Offset of the record in the unit.
    pub(crate) place: usize,
    /// Its content in the unit.
    content: Range<usize>,
    /// The chunk, or the record itself when it lies in none.
    pub(crate) byte_range: Range<u64>,
    /// Whether it lies in a chunk.
    pub(crate) in_chunk: bool,
}

impl MessageCursor {
    pub(crate) fn new(
        file: Arc<dyn ReadAt>,
        plan: Arc<LogPlan>,
        routes: Arc<Routes>,
        options: &OpenOptions,
        units: Range<usize>,
    ) -> Self {
        let decoder = ChunkDecoder::new(options.record_bytes_max, options.verify_checksums);
        Self {
            file,
            plan,
            routes,
            time_range: options.time_range,
            trusts_plan: options.salvage,
            decoder,
            rest: units,
            open: None,
            n_walked: Vec::new(),
        }
    }

    /// Whether a unit may hold messages that are selected. When in doubt it does.
    fn is_selected(&self, unit: &Unit) -> bool {
        if let Some(channels) = &unit.channels
            && !channels.iter().any(|it| !matches!(self.routes.of(*it), Route::Unselected))
        {
            return false;
        }
        let Some((first, last)) = unit.times else { return true };
        // Times that no i64 holds are damage, which must be met and not skipped.
        let Some((first, last)) = i64::try_from(first).ok().zip(i64::try_from(last).ok()) else {
            return true;
        };
        self.time_range.overlaps(first, last)
    }

    /// Moves to the next selected message; [`Self::message`] then borrows it.
    ///
    /// # Errors
    /// Damage with its cost; the next call goes on behind it.
    pub(crate) fn advance(&mut self) -> Result<Option<Found>, Box<Damage>> {
        loop {
            if self.open.is_none() && !self.open_next()? {
                return Ok(None);
            }
            match self.next_in_unit() {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {
                    if let Some(open) = self.open.take()
                        && !open.n_unknown.is_empty()
                    {
                        return Err(self.unknown_channels(&open));
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
    pub(crate) fn message(&self, found: &Found) -> Option<Message<'_>> {
        let open = self.open.as_ref()?;
        let records = if open.kind == UnitKind::Records { &open.records[..] } else { self.decoder.records() };
        Message::parse(records.get(found.content.clone())?)
    }

    /// Opens the next selected unit; `false` at the end.
    fn open_next(&mut self) -> Result<bool, Box<Damage>> {
        while let Some(idx) = self.rest.next() {
            let plan = Arc::clone(&self.plan);
            let unit = &plan.units[idx];
            if !self.is_selected(unit) {
                continue;
            }
            let mut open = OpenUnit {
                idx,
                kind: unit.kind,
                start: unit.byte_range.start,
                records: Bytes::new(),
                at: 0,
                n_unknown: BTreeMap::new(),
            };
            if let Err(err) = self.load(unit, &mut open) {
                return Err(self.broken_unit(&open, err));
            }
            self.open = Some(open);
            self.n_walked.clear();
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
            let Some(message) = Message::parse(content) else {
                return Err(short_message(place, content.len()));
            };
            let channel_id = message.channel_id;
            let position: Place = match open.kind {
                UnitKind::Records => (open.start + place as u64, 0),
                UnitKind::Chunk | UnitKind::CutChunk => (open.start, place as u64),
            };
            let stream = match self.routes.of(channel_id) {
                Route::Unselected => continue,
                Route::Stream(stream) if !self.routes.is_ambiguous(channel_id, position) => stream,
                Route::Stream(_) | Route::Unknown => {
                    *open.n_unknown.entry(channel_id).or_default() += 1;
                    continue;
                }
            };
            if self.n_walked.len() <= stream {
                self.n_walked.resize(stream + 1, 0);
            }
            let ordinal = self.n_walked[stream];
            self.n_walked[stream] += 1;
            if !selects_time(self.time_range, message.log_time) {
                continue;
            }
            return Ok(Some(Found {
                stream,
                unit: open.idx,
                ordinal,
                place,
                content: open.at - content.len()..open.at,
                in_chunk: open.kind != UnitKind::Records,
                byte_range: match open.kind {
                    UnitKind::Records => position.0..open.start + open.at as u64,
                    UnitKind::Chunk | UnitKind::CutChunk => self.plan.units[open.idx].byte_range.clone(),
                },
            }));
        }
    }

    /// The cost of a unit that broke after the messages already seen: what its message indexes count
    /// and was not handed out.
    fn broken_unit(&self, open: &OpenUnit, err: Error) -> Box<Damage> {
        let unit = &self.plan.units[open.idx];
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
    fn counts_before(&self, open: &OpenUnit) -> BTreeMap<u16, u64> {
        let mut counts = BTreeMap::new();
        let mut at = 0;
        while at < open.at
            && let Ok(Some((opcode, content))) = next_record(self.decoder.records(), &mut at)
        {
            if opcode == op::MESSAGE
                && let Some(message) = Message::parse(content)
                && selects_time(self.time_range, message.log_time)
            {
                *counts.entry(message.channel_id).or_default() += 1;
            }
        }
        counts
    }

    /// Selected messages of a chunk by channel, as its message indexes count them; `None` when they are
    /// absent or not sound themselves.
    fn indexed_counts(&self, unit: &Unit) -> Option<BTreeMap<u16, u64>> {
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
            let n = index.log_times().filter(|it| selects_time(self.time_range, *it)).count() as u64;
            *counts.entry(index.channel_id).or_default() += n;
        }
        Some(counts)
    }

    fn unknown_channels(&self, open: &OpenUnit) -> Box<Damage> {
        let ids: Vec<String> =
            open.n_unknown.iter().map(|(id, n)| format!("{id} ({n} of its messages)")).collect();
        let error =
            corrupt_at(open.start, format!("no sound Channel record declares channel {}", ids.join(", ")));
        let unit = &self.plan.units[open.idx];
        Box::new(Damage { error, cost: Cost::range("unknown_channel", unit.byte_range.clone()) })
    }
}

#[inline]
fn selects_time(range: TimeRange, log_time: u64) -> bool {
    match i64::try_from(log_time) {
        Ok(log_time) => range.contains(log_time),
        // Later than any end there can be; without an end it is damage, which reading reports.
        Err(_) => range.end_ns.is_none(),
    }
}
