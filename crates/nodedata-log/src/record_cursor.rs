use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};

use crate::{
    Cost, Damage, Message, MessageCursor, MessagePlace, Picked, Position, RecordUnit, Selector, UnitKind,
    corrupt,
};

/// How the records of a format are framed in chunks and outside of them; what [`RecordCursor`] leaves to the format.
pub trait RecordReader: Send {
    /// Why the end of a [`UnitKind::CutChunk`] is missing.
    const CUT: &'static str;

    /// Whether what the plan says of a unit is held against its messages: where there are no checksums, that is what shows that
    /// bits have flipped in one.
    const CHECKS_PLAN: bool = false;

    /// Opens a unit, of which `bytes` are those of its range: its records are then those of [`Self::records`]. Of a chunk that
    /// is cut they are those that come out before it ends.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported` or `Limit` for a chunk that cannot be decoded.
    fn load(&mut self, unit: &RecordUnit, bytes: Bytes) -> Result<()>;

    /// The records of the unit that was loaded last.
    fn records(&self) -> &[u8];

    /// The next message at `at` or behind it, and moves past it; `None` at the end of the records.
    ///
    /// # Errors
    /// `Corrupt` where records stop following one another.
    fn next_message(records: &[u8], at: &mut usize) -> Result<Option<MessageRecord>>;

    /// Messages by channel, of those logged at times that `selects` takes, as the message indexes of a chunk count them; `None`
    /// when they are not sound themselves.
    fn indexed_counts(indexes: &[u8], selects: impl Fn(u64) -> bool) -> Option<BTreeMap<u32, u64>>;

    /// That no sound record declares these channels.
    fn undeclared(channels: &str) -> String;
}

/// A message among the records of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRecord {
    /// Its channel.
    pub channel: u32,
    /// As [`Message::log_time`].
    pub log_time: u64,
    /// As [`Message::publish_time`].
    pub publish_time: Option<u64>,
    /// As [`Message::sequence`].
    pub sequence: Option<u32>,
    /// Where its record starts.
    pub start: usize,
    /// Its bytes, with which the record ends.
    pub payload: Range<usize>,
}

/// The selected messages of consecutive units, in file order, borrowed from the bytes they lie in.
pub struct RecordCursor<R> {
    file: Arc<dyn ReadAt>,
    units: Arc<[RecordUnit]>,
    selector: Selector,
    reader: R,
    /// Units not started yet.
    rest: Range<usize>,
    open: Option<OpenUnit>,
}

impl<R> std::fmt::Debug for RecordCursor<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordCursor").field("rest", &self.rest).finish_non_exhaustive()
    }
}

struct OpenUnit {
    idx: usize,
    kind: UnitKind,
    start: u64,
    at: usize,
}

impl<R: RecordReader> RecordCursor<R> {
    /// Starts in front of the units `rest`.
    pub fn new(
        file: Arc<dyn ReadAt>,
        units: Arc<[RecordUnit]>,
        rest: Range<usize>,
        selector: Selector,
        reader: R,
    ) -> Self {
        Self { file, units, selector, reader, rest, open: None }
    }

    /// Moves to the next selected message; [`Self::message`] then borrows it.
    fn advance(&mut self) -> Result<Option<(Picked, MessageRecord)>, Box<Damage>> {
        loop {
            if self.open.is_none() && !self.open_next()? {
                return Ok(None);
            }
            match self.next_in_unit() {
                Ok(Some(found)) if R::CHECKS_PLAN && self.is_misplaced(&found.1) => {
                    return Err(self.misplaced(&found.1));
                }
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {
                    let Some(open) = self.open.take() else { continue };
                    let unknown = self.selector.take_unknown();
                    if !unknown.is_empty() {
                        return Err(self.unknown_channels(&open, &unknown));
                    }
                    if R::CHECKS_PLAN
                        && let Some(damage) = self.too_few(&open)
                    {
                        return Err(damage);
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
    fn message(&self, (picked, found): (Picked, MessageRecord)) -> Option<Message<'_>> {
        let open = self.open.as_ref()?;
        let byte_range = match open.kind {
            UnitKind::Records => open.start + found.start as u64..open.start + found.payload.end as u64,
            UnitKind::Chunk | UnitKind::CutChunk => self.units[open.idx].byte_range.clone(),
        };
        let in_chunk = (open.kind != UnitKind::Records).then_some(found.start as u64);
        Some(Message {
            stream: picked.stream,
            channel: picked.channel,
            log_time: found.log_time,
            publish_time: found.publish_time,
            sequence: found.sequence,
            payload: self.reader.records().get(found.payload)?,
            place: MessagePlace { unit: open.idx, ordinal: picked.ordinal, part: 0, byte_range, in_chunk },
        })
    }

    /// Opens the next selected unit; `false` at the end.
    fn open_next(&mut self) -> Result<bool, Box<Damage>> {
        while let Some(idx) = self.rest.next() {
            let units = Arc::clone(&self.units);
            let unit = &units[idx];
            if !self.selector.may_select(unit.channels.as_ref(), unit.log_times()) {
                continue;
            }
            let open = OpenUnit { idx, kind: unit.kind, start: unit.byte_range.start, at: 0 };
            let loaded = self.file.read_at(unit.byte_range.clone());
            if let Err(err) = loaded.and_then(|bytes| self.reader.load(unit, bytes)) {
                return Err(self.broken_unit(&open, err));
            }
            self.open = Some(open);
            self.selector.start_unit();
            return Ok(true);
        }
        Ok(false)
    }

    fn next_in_unit(&mut self) -> Result<Option<(Picked, MessageRecord)>> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let records = self.reader.records();
        while let Some(message) = R::next_message(records, &mut open.at)? {
            let position: Position = match open.kind {
                UnitKind::Records => (open.start + message.start as u64, 0),
                UnitKind::Chunk | UnitKind::CutChunk => (open.start, message.start as u64),
            };
            if let Some(picked) = self.selector.pick(message.channel, message.log_time, position) {
                return Ok(Some((picked, message)));
            }
        }
        match open.kind {
            // However far it goes, its end is missing.
            UnitKind::CutChunk => Err(corrupt("no further record of the chunk is there")),
            UnitKind::Chunk | UnitKind::Records => Ok(None),
        }
    }

    /// The cost of a unit that broke after the messages already seen: what its indexes count and was not handed out.
    fn broken_unit(&self, open: &OpenUnit, err: Error) -> Box<Damage> {
        let unit = &self.units[open.idx];
        let (err, reason) = match open.kind {
            // A fetch that failed says nothing of the file.
            UnitKind::CutChunk if err.kind() != ErrorKind::Io => {
                (corrupt(R::CUT).with_source(err), "truncated")
            }
            UnitKind::Chunk | UnitKind::CutChunk => (err, "damaged_chunk"),
            UnitKind::Records => (err, "damaged_bytes"),
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

    /// Selected messages by channel in front of where the walk of a unit stands.
    fn counts_before(&self, open: &OpenUnit) -> BTreeMap<u32, u64> {
        let mut counts = BTreeMap::new();
        let mut at = 0;
        while at < open.at
            && let Ok(Some(message)) = R::next_message(self.reader.records(), &mut at)
            && message.start < open.at
        {
            if self.selector.selects_time(message.log_time) {
                *counts.entry(message.channel).or_default() += 1;
            }
        }
        counts
    }

    /// Selected messages of a chunk by channel, as its message indexes or the index of the file count them; `None` when these
    /// are absent or not sound themselves.
    fn indexed_counts(&self, unit: &RecordUnit) -> Option<BTreeMap<u32, u64>> {
        let selects = |it: u64| self.selector.selects_time(it);
        let behind = Some(unit.index_range.clone()).filter(|it| !it.is_empty());
        let behind = behind.and_then(|it| self.file.read_at(it).ok());
        let indexed = behind.and_then(|it| R::indexed_counts(&it, selects));
        let Some(planned) = self.planned_counts(unit) else { return indexed };
        // Damage may have cut the message indexes short.
        let mut counts = indexed.unwrap_or_default();
        for (channel, n) in planned {
            let known = counts.entry(*channel).or_default();
            *known = (*known).max(*n);
        }
        Some(counts)
    }

    /// What the plan counts of a unit; `None` where a time range may not take all of it, since it does not tell what it takes.
    fn planned_counts<'a>(&self, unit: &'a RecordUnit) -> Option<&'a [(u32, u64)]> {
        let (first, last) = unit.times?;
        let takes_all = self.selector.selects_time(first) && self.selector.selects_time(last);
        unit.counts.as_deref().filter(|_| takes_all)
    }

    /// Whether the plan says that no message of the open unit was logged then.
    fn is_misplaced(&self, message: &MessageRecord) -> bool {
        let times = self.open.as_ref().and_then(|it| self.units[it.idx].times);
        times.is_some_and(|(first, last)| !(first..=last).contains(&message.log_time))
    }

    fn misplaced(&self, message: &MessageRecord) -> Box<Damage> {
        let unit = self.open.as_ref().map(|it| &self.units[it.idx]);
        let (first, last) = unit.and_then(|it| it.times).unwrap_or_default();
        let byte_range = unit.map(|it| it.byte_range.clone());
        let (at, time) = (message.start, message.log_time);
        let error = corrupt(format!(
            "message at byte {at} of its chunk was logged at {time} ns, but the indexes say that all were from {first} to {last} ns"
        ));
        let error = error.at(Locus::byte(byte_range.as_ref().map_or(0, |it| it.start)));
        let records = [(message.channel, 1)].into();
        Box::new(Damage { error, cost: Cost { byte_range, records, ..Cost::nothing("damaged_record") } })
    }

    /// That a unit has fewer messages than the plan counts, if it has; where a time range takes all of them.
    fn too_few(&self, open: &OpenUnit) -> Option<Box<Damage>> {
        let unit = &self.units[open.idx];
        let records = self.selector.missing(self.planned_counts(unit)?);
        if records.is_empty() {
            return None;
        }
        let n: u64 = records.values().sum();
        let error = corrupt(format!("{n} messages that the indexes count are not in their chunk"));
        let byte_range = Some(unit.byte_range.clone());
        let cost = Cost { byte_range, records, ..Cost::nothing("damaged_chunk") };
        Some(Box::new(Damage { error: error.at(Locus::byte(open.start)), cost }))
    }

    /// That some messages of a unit belong to nobody. Others that the plan counts are missing because of that.
    fn unknown_channels(&self, open: &OpenUnit, unknown: &BTreeMap<u32, u64>) -> Box<Damage> {
        let ids: Vec<String> = unknown.iter().map(|(id, n)| format!("{id} ({n} of its messages)")).collect();
        let error = corrupt(R::undeclared(&ids.join(", "))).at(Locus::byte(open.start));
        let unit = &self.units[open.idx];
        let mut cost = Cost::range("unknown_channel", unit.byte_range.clone());
        if R::CHECKS_PLAN
            && let Some(planned) = self.planned_counts(unit)
        {
            let found = |id: &u32| unknown.get(id).copied().unwrap_or(0);
            let others: Vec<(u32, u64)> =
                planned.iter().map(|(id, n)| (*id, n.saturating_sub(found(id)))).collect();
            cost.records = self.selector.missing(&others);
        }
        Box::new(Damage { error, cost })
    }
}

impl<R: RecordReader> MessageCursor for RecordCursor<R> {
    fn next_message(&mut self) -> Result<Option<Message<'_>>, Box<Damage>> {
        Ok(self.advance()?.and_then(|found| self.message(found)))
    }
}

#[cfg(test)]
mod tests;
