//! Where a walk goes on after damage.

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_log::{Cost, RecordUnit, UnitKind};

use super::{IndexesOf, Scanner};
use crate::{
    records::{ChunkHead, RECORD_HEAD_BYTES, RecordHead, op},
    resync,
};

/// Bytes that may be decompressed, beyond the file's own length, from what turns out to be no chunk.
const VAIN_BYTES_MAX: u64 = 4 << 30;

/// What the front of a Chunk record says.
struct ChunkFront {
    is_compressed: bool,
    /// Whether the end of the file cuts it off.
    is_cut: bool,
    /// Where it ends by the length of its records, whatever its own length says.
    end_by_records: Option<u64>,
}

impl Scanner<'_> {
    /// Goes on after a record that does not hold together: at its own end when a record follows there,
    /// otherwise at the next place that looks like one, because its length may be what is damaged.
    pub(super) fn skip_damaged(
        &mut self,
        at: u64,
        next: u64,
        end: u64,
        err: Error,
        reason: &'static str,
    ) -> Result<u64> {
        let err = err.at(Locus::byte(at));
        if !self.options.salvage {
            return Err(err.at(Locus::path(self.path)));
        }
        let resume = if next == end || resync::is_record(&mut self.view, next, end)? {
            next
        } else {
            self.data_crc = None;
            if let Some(next) = self.chunk_by_other_length(at, end)? {
                self.damaged(err, Cost::nothing("damaged_length"))?;
                return Ok(next);
            }
            // Bytes made up so that ever new chunks seem to start in each other must not cost for ever.
            self.n_decoded_in_vain += self.decoder.records().len() as u64;
            let gives_up = VAIN_BYTES_MAX.saturating_add(self.view.n_bytes()) < self.n_decoded_in_vain;
            let outside = self.chunk_front(at, end)?.is_some_and(|it| it.is_compressed);
            let found = if gives_up { None } else { resync::find(&mut self.view, at + 1, end, outside)? };
            found.unwrap_or(end)
        };
        let opcode = RecordHead::parse(&self.view.up_to(at, RECORD_HEAD_BYTES)?).map(|it| it.opcode);
        self.damaged(err, Cost::range(reason, at..resume))?;
        self.indexes_of = if opcode == Some(op::CHUNK) { IndexesOf::LastDamage } else { IndexesOf::Nothing };
        Ok(resume)
    }

    /// Finds the next record after the framing broke at `at`. When the record before it has a wrong
    /// length, sound records hide inside it: the search starts there.
    pub(super) fn recover(&mut self, at: u64, end: u64, err: Error) -> Result<u64> {
        if !self.options.salvage || err.kind() == ErrorKind::Io {
            return Err(err.at(Locus::path(self.path)));
        }
        self.data_crc = None;
        if let Some(next) = self.chunk_by_other_length(at, end)? {
            self.damaged(err, Cost::nothing("damaged_length"))?;
            return Ok(next);
        }
        let front = self.chunk_front(at, end)?;
        if front.as_ref().is_some_and(|it| it.is_cut) && end - at <= self.options.record_bytes_max {
            self.cut_chunk(at, end)?;
            self.damaged(err, Cost::nothing("truncated"))?;
            return Ok(end);
        }
        let suspect = self.suspect.take();
        let outside = suspect.is_none() && front.is_some_and(|it| it.is_compressed);
        let found = resync::find(&mut self.view, suspect.unwrap_or(at) + 1, end, outside)?;
        let lost_from = match (suspect, found) {
            (Some(suspect), Some(found)) if found < at => {
                self.take_back(suspect, at);
                suspect
            }
            _ => at,
        };
        let next = found.unwrap_or(end);
        let head = RecordHead::parse(&self.view.up_to(lost_from, RECORD_HEAD_BYTES)?);
        let opcode = head.map(|it| it.opcode);
        let reason = if found.is_some() { "damaged_bytes" } else { "truncated" };
        let mut cost = Cost::range(reason, lost_from..next);
        if found.is_none() && opcode == Some(op::MESSAGE) {
            // Nothing but this message can lie behind its head.
            let content = self.view.up_to(lost_from + RECORD_HEAD_BYTES, 2)?;
            if let Some(id) = content.first_chunk() {
                cost.records.insert(u16::from_le_bytes(*id).into(), 1);
                cost.uncounted = false;
            }
        }
        self.damaged(err, cost)?;
        self.indexes_of = if opcode == Some(op::CHUNK) { IndexesOf::LastDamage } else { IndexesOf::Nothing };
        Ok(next)
    }

    /// Takes a chunk whose own length is damaged at the length that its index or the length of its
    /// records says, if it is sound so, and returns its end.
    fn chunk_by_other_length(&mut self, at: u64, end: u64) -> Result<Option<u64>> {
        let Some(front) = self.chunk_front(at, end)? else { return Ok(None) };
        let indexed = self.indexed.binary_search_by_key(&at, |it| it.start).ok();
        let ends = [indexed.map(|it| self.indexed[it].end), front.end_by_records];
        for next in ends.into_iter().flatten() {
            let content_start = at + RECORD_HEAD_BYTES;
            let fits = content_start < next && next <= end && next - at <= self.options.record_bytes_max;
            if !fits || !(next == end || resync::is_record(&mut self.view, next, end)?) {
                continue;
            }
            let content = self.view.bytes(content_start..next)?;
            if self.decoder.decode(&content).is_ok() {
                self.chunk(at, next, &content)?;
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    /// The front of the chunk at `at`; `None` when what lies there does not look like one.
    fn chunk_front(&mut self, at: u64, end: u64) -> Result<Option<ChunkFront>> {
        let bytes = self.view.up_to(at, 80.min(end - at))?;
        let Some(record) = RecordHead::parse(&bytes).filter(|it| it.opcode == op::CHUNK) else {
            return Ok(None);
        };
        let content = &bytes[RECORD_HEAD_BYTES as usize..];
        let Ok((head, rest)) = ChunkHead::parse(content) else { return Ok(None) };
        if !matches!(head.compression, "" | "lz4" | "zstd") {
            return Ok(None);
        }
        let n_head = (content.len() - rest.len()) as u64;
        let n_by_records = n_head.checked_add(head.n_stored);
        // A recorder that was stopped has not come back to fill in the length.
        let is_unfinished = record.n_bytes == u64::MAX;
        let end_by_records = n_by_records.and_then(|it| it.checked_add(at + RECORD_HEAD_BYTES));
        Ok(Some(ChunkFront {
            is_compressed: !head.compression.is_empty(),
            // Two lengths that agree are not both damaged: it is the file that is too short.
            is_cut: is_unfinished
                || n_by_records == Some(record.n_bytes) && end_by_records.is_none_or(|it| end < it),
            end_by_records,
        }))
    }

    /// Takes the message record `start..end` out of the unit it was gathered into.
    fn take_back(&mut self, start: u64, end: u64) {
        let Some(unit) = self.plan.units.last_mut() else { return };
        if unit.kind != UnitKind::Records || unit.byte_range.end != end {
            return;
        }
        unit.byte_range.end = start;
        unit.n_uncompressed = unit.n_uncompressed.saturating_sub(end - start);
        if unit.byte_range.is_empty() {
            self.plan.units.pop();
        }
    }

    /// Adds the front of a chunk that the end of the file cuts off, with the definitions in it.
    fn cut_chunk(&mut self, at: u64, end: u64) -> Result<()> {
        let start = (at + RECORD_HEAD_BYTES).min(end);
        let content = self.view.bytes(start..end)?;
        let mut unit = RecordUnit::empty(UnitKind::CutChunk, at..end);
        // What cannot be decoded is listed when the unit is read.
        if self.decoder.decode_prefix(&content).is_ok() {
            // The last record is nearly always cut, so the walk ends in an error.
            drop(self.chunk_records(at, &mut unit));
        }
        unit.n_uncompressed = self.decoder.records().len() as u64;
        (unit.channels, unit.times) = (None, None);
        self.plan.units.push(unit);
        Ok(())
    }
}
