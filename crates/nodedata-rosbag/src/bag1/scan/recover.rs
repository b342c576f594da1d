//! Where a walk goes on after damage, and what that cost.

use std::{collections::BTreeMap, ops::Range};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_log::{Cost, Damage, RecordUnit, UnitKind};

use super::{
    super::{
        chunk::ChunkHead,
        file_record::FileRecord,
        record::{corrupt_at, message_of, op},
        resync,
    },
    IndexesOf, Scanner,
};

impl Scanner<'_> {
    /// Whether a record or the end of the file comes at `at`.
    pub(super) fn is_followed(&mut self, at: u64, end: u64) -> Result<bool> {
        Ok(at == end || resync::is_record(&mut self.view, at, end)?)
    }

    /// Finds the next record after the framing broke at `at`. When the message before it has a wrong length, sound records hide
    /// inside it: the search starts there.
    pub(super) fn recover(&mut self, at: u64, end: u64, err: Error) -> Result<u64> {
        if !self.options.salvage || err.kind() == ErrorKind::Io {
            return Err(err.at(Locus::path(self.path)));
        }
        let suspect = self.suspect.take();
        let found = resync::find(&mut self.view, suspect.unwrap_or(at) + 1, end)?;
        let lost_from = match (suspect, found) {
            (Some(suspect), Some(found)) if found < at => {
                self.take_back(suspect, at)?;
                suspect
            }
            _ => at,
        };
        let next = found.unwrap_or(end);
        let mut cost =
            Cost::range(if found.is_some() { "damaged_bytes" } else { "truncated" }, lost_from..next);
        if let Some(conn) = self.message_at(lost_from, end)?
            && found.is_none()
        {
            // Nothing but this message can lie behind its header.
            cost.records.insert(conn, 1);
            cost.uncounted = false;
        }
        self.damaged(err, cost)?;
        self.indexes_of = IndexesOf::LastDamage;
        Ok(next)
    }

    /// The connection of the message whose header lies at `at`, if one does.
    fn message_at(&mut self, at: u64, end: u64) -> Result<Option<u32>> {
        match FileRecord::read(&mut self.view, at, end) {
            Ok(record) if record.op == op::MESSAGE => Ok(message_of(&record.header()).ok().map(|it| it.0)),
            Err(err) if err.kind() == ErrorKind::Io => Err(err),
            _ => Ok(None),
        }
    }

    /// Goes on with a chunk whose data is not as long as it says: the end of the file cuts it off, its length is damaged, or its
    /// recorder never came to write it.
    pub(super) fn cut_off(
        &mut self,
        record: &FileRecord,
        head: &ChunkHead<'_>,
        end: u64,
        err: Error,
    ) -> Result<u64> {
        if !self.options.salvage || err.kind() == ErrorKind::Io {
            return Err(err.at(Locus::path(self.path)));
        }
        let (at, data_at) = (record.start, record.data.start.min(end));
        if head.compression == "none" && !self.is_encrypted {
            // Its records lie there as they are.
            let cost = Cost { byte_range: Some(at..data_at), ..Cost::nothing("damaged_length") };
            self.damaged(err, cost)?;
            return Ok(data_at);
        }
        let found = resync::find(&mut self.view, data_at, end)?;
        let next = found.unwrap_or(end);
        if self.options.record_bytes_max < next - data_at {
            self.damaged(err, Cost::range("damaged_bytes", at..next))?;
            self.indexes_of = IndexesOf::LastDamage;
            return Ok(next);
        }
        let stored = self.view.bytes(data_at..next)?;
        let mut unit = RecordUnit::empty(UnitKind::Chunk, at..next);
        if self.decode(head, &stored, &mut unit).is_ok() {
            self.damaged(err, Cost::nothing("damaged_length"))?;
        } else {
            unit = RecordUnit::empty(UnitKind::CutChunk, at..next);
            // What cannot be decoded is listed when the unit is read.
            if self.decoder.decode_prefix(head, &stored).is_ok() {
                // The last record is nearly always cut, so the walk ends in an error.
                drop(self.chunk_records(&mut unit));
            }
            unit.n_uncompressed = (self.decoder.records().len() as u64).max(next - at);
            (unit.channels, unit.times, unit.counts) = (None, None, None);
            let reason = if found.is_none() { "truncated" } else { "damaged_length" };
            self.damaged(err, Cost::nothing(reason))?;
        }
        unit.index_range = next..next;
        self.push(unit);
        self.indexes_of = IndexesOf::LastUnit;
        Ok(next)
    }

    /// Takes the message record `start..end` out of the unit it was gathered into.
    fn take_back(&mut self, start: u64, end: u64) -> Result<()> {
        let conn = self.message_at(start, end)?;
        let Some(unit) = self.units.last_mut() else { return Ok(()) };
        if unit.kind != UnitKind::Records || unit.byte_range.end != end {
            return Ok(());
        }
        unit.byte_range.end = start;
        unit.n_uncompressed = unit.n_uncompressed.saturating_sub(end - start);
        if let Some(n) = conn.and_then(|it| self.gathered.get_mut(&it)) {
            *n = n.saturating_sub(1);
        }
        if unit.byte_range.is_empty() {
            self.units.pop();
            self.gathered.clear();
        }
        Ok(())
    }

    /// Says what is known of the messages of chunks that are damaged: what the index counts of them, or else the message indexes
    /// behind them, less what was found of them after all.
    pub(super) fn count_losses(&mut self) {
        let mut infos = std::mem::take(&mut self.infos);
        infos.sort_by_key(|it| it.start);
        infos.dedup_by_key(|it| it.start);
        // The walk lists damage and units in the order of the file.
        let ranges = self.facts.damage.iter().enumerate();
        let ranges = ranges.filter_map(|(idx, it)| Some((it.cost.byte_range.clone()?, idx)));
        let ranges: Vec<(Range<u64>, usize)> = ranges.collect();
        let nexts: Vec<u64> = infos.iter().skip(1).map(|it| it.start).chain([u64::MAX]).collect();
        let mut missing: Option<(u64, u64, Cost)> = None;
        for (info, next) in infos.into_iter().zip(nexts) {
            let at = self.units.partition_point(|it| it.byte_range.start < info.start);
            if let Some(unit) = self.units.get_mut(at)
                && (unit.byte_range.start, unit.kind != UnitKind::Records) == (info.start, true)
            {
                if unit.counts.is_none() {
                    unit.counts = Some(info.counts.into_iter().collect());
                    unit.times.get_or_insert(info.times);
                }
                continue;
            }
            let found = self.gathered_between(info.start..next);
            let before = ranges.partition_point(|it| it.0.start <= info.start);
            let position =
                before.checked_sub(1).map(|it| &ranges[it]).filter(|it| it.0.contains(&info.start));
            if let Some((_, position)) = position {
                add_lost(&mut self.facts.damage[*position].cost, info.counts, &found);
                self.behind_damage.remove(position);
            } else {
                let nothing = || (info.start, 0, Cost::nothing("missing_chunk"));
                let (_, n, cost) = missing.get_or_insert_with(nothing);
                *n += 1;
                add_lost(cost, info.counts, &found);
            }
        }
        if let Some((first, n, cost)) = missing {
            let message = format!("the index names {n} chunks where none was found, the first of them here");
            let error = corrupt_at(first, message).at(Locus::path(self.path));
            self.facts.damage.push(Damage { error, cost });
        }
        for (position, counts) in std::mem::take(&mut self.behind_damage) {
            let Some(range) = self.facts.damage[position].cost.byte_range.clone() else { continue };
            let behind = self.units.partition_point(|it| it.byte_range.start < range.end);
            let next = self.units[behind..].iter().find(|it| it.kind != UnitKind::Records);
            let next = next.map_or(u64::MAX, |it| it.byte_range.start);
            let found = self.gathered_between(range.start..next);
            add_lost(&mut self.facts.damage[position].cost, counts, &found);
        }
    }

    /// Messages by connection that were found outside of chunks in a part of the file.
    fn gathered_between(&self, part: Range<u64>) -> BTreeMap<u32, u64> {
        let mut found = BTreeMap::new();
        let start = self.units.partition_point(|it| it.byte_range.start < part.start);
        let inside = self.units[start..].iter().take_while(|it| it.byte_range.start < part.end);
        for unit in inside.filter(|it| it.kind == UnitKind::Records) {
            for (conn, n) in unit.counts.iter().flatten() {
                *found.entry(*conn).or_default() += n;
            }
        }
        found
    }
}

/// Adds what is counted and was not found.
fn add_lost(cost: &mut Cost, counted: BTreeMap<u32, u64>, found: &BTreeMap<u32, u64>) {
    cost.uncounted = false;
    for (conn, n) in counted {
        let n_lost = n.saturating_sub(found.get(&conn).copied().unwrap_or(0));
        if n_lost != 0 {
            *cost.records.entry(conn).or_default() += n_lost;
        }
    }
}
