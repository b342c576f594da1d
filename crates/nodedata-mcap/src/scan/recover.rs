//! Where a walk goes on after damage.

use nodedata_core::{Error, ErrorKind, Locus, Result};

use super::{IndexesOf, Scanner};
use crate::{
    log_plan::{Cost, Unit, UnitKind},
    records::{RECORD_HEAD_BYTES, RecordHead, op},
    resync,
};

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
            resync::find(&mut self.view, at + 1, end)?.unwrap_or(end)
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
        if let Some(next) = self.chunk_by_index(at, end)? {
            self.damaged(err, Cost::nothing("damaged_length"))?;
            return Ok(next);
        }
        let suspect = self.suspect.take();
        let found = resync::find(&mut self.view, suspect.unwrap_or(at) + 1, end)?;
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
        if found.is_none() && opcode == Some(op::CHUNK) {
            self.cut_chunk(at, end)?;
            self.damaged(err, Cost::nothing("truncated"))?;
            return Ok(end);
        }
        let reason = if found.is_some() { "damaged_bytes" } else { "truncated" };
        let mut cost = Cost::range(reason, lost_from..next);
        if found.is_none() && opcode == Some(op::MESSAGE) {
            // Nothing but this message can lie behind its head.
            let content = self.view.up_to(lost_from + RECORD_HEAD_BYTES, 2)?;
            if let Some(id) = content.first_chunk() {
                cost.records.insert(u16::from_le_bytes(*id), 1);
                cost.uncounted = false;
            }
        }
        self.damaged(err, cost)?;
        self.indexes_of = if opcode == Some(op::CHUNK) { IndexesOf::LastDamage } else { IndexesOf::Nothing };
        Ok(next)
    }

    /// Takes a chunk whose own length is damaged at the length its index has, and returns its end.
    fn chunk_by_index(&mut self, at: u64, end: u64) -> Result<Option<u64>> {
        let Ok(idx) = self.indexed.binary_search_by_key(&at, |it| it.start) else { return Ok(None) };
        let next = self.indexed[idx].end;
        let content_start = at + RECORD_HEAD_BYTES;
        if end < next || next <= content_start || self.options.record_bytes_max < next - at {
            return Ok(None);
        }
        let content = self.view.bytes(content_start..next)?;
        if self.view.up_to(at, 1)?.first() != Some(&op::CHUNK) || self.decoder.decode(&content).is_err() {
            return Ok(None);
        }
        self.chunk(at, next, &content)?;
        Ok(Some(next))
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
        let mut unit = Unit::empty(UnitKind::CutChunk, at..end);
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
