//! Where a walk goes on after damage.

use std::ops::Range;

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_log::{Cost, RecordUnit, UnitKind};

use super::{
    super::{
        chunk::ChunkHead,
        file_record::FileRecord,
        record::{message_of, op},
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
        let outside = suspect.is_none() && self.is_compressed(at)?;
        let found = resync::find(&mut self.view, suspect.unwrap_or(at) + 1, end, outside)?;
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
        let is_chunk = self.is_chunk(lost_from..next)?;
        self.indexes_of = if is_chunk { IndexesOf::LastDamage } else { IndexesOf::Nothing };
        Ok(next)
    }

    /// Whether lost bytes look like a chunk that message indexes follow: they start with its header, however damaged.
    fn is_chunk(&mut self, lost: Range<u64>) -> Result<bool> {
        let front = self.view.up_to(lost.start, (lost.end - lost.start).min(128))?;
        let mut marks = [&b"compression="[..], b"\x04\0\0\0op=\x05"].into_iter();
        Ok(marks.any(|mark| front.windows(mark.len()).any(|it| it == mark)))
    }

    /// Whether what lies at `at` looks like the header of a chunk that is compressed, however damaged.
    fn is_compressed(&mut self, at: u64) -> Result<bool> {
        let front = self.view.up_to(at, 128)?;
        let field = b"compression=";
        let place = front.windows(field.len()).position(|it| it == field);
        Ok(place.is_some_and(|it| !front[it + field.len()..].starts_with(b"none")))
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
        let found = resync::find(&mut self.view, data_at, end, true)?;
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
                // What is missing of it is counted, or not, as a whole.
                self.strays.forget(at);
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
            // The unit in front of it is the last one again, and its counts are told anew when it ends.
            let last = self.units.last().filter(|it| it.kind == UnitKind::Records);
            self.gathered = last.and_then(|it| it.counts.clone()).into_iter().flatten().collect();
        }
        Ok(())
    }
}
