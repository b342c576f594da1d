mod carried;
mod recover;

use std::{collections::BTreeMap, ops::Range, path::Path};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, OpenOptions, Result};
use nodedata_log::{Cost, Damage, FileView, RecordUnit, UnitKind, corrupt, too_large};

use crate::{
    chunk::ChunkDecoder,
    defined::define,
    fault::corrupt_at,
    log_plan::LogPlan,
    metadata,
    records::{self, MAGIC, Message, MessageIndex, RECORD_HEAD_BYTES, RecordHead, op},
    resync,
    tail::IndexedChunk,
    walk::{ChunkWalk, nested_chunk, short_message},
};

/// Walks records from front to back and writes down what is needed to read them later.
///
/// Opened to fail, the first damage ends the walk. Opened to salvage, damage is listed and the walk goes
/// on at the next place that looks like a record.
pub(crate) struct Scanner<'a> {
    pub(crate) view: FileView,
    pub(crate) plan: LogPlan,
    options: &'a OpenOptions,
    path: &'a Path,
    decoder: ChunkDecoder,
    /// CRC of everything from byte 0 on, while nothing was skipped and it is wanted.
    data_crc: Option<crc32fast::Hasher>,
    /// Records skipped because their opcode is unknown, by opcode.
    n_unknown: BTreeMap<u8, u64>,
    /// Whether message indexes that come next belong to the last unit, or to the last damage.
    indexes_of: IndexesOf,
    footer_seen: bool,
    /// Bytes decompressed from chunks that were none after all.
    n_decoded_in_vain: u64,
    /// What the summary says of the chunks, for those whose own length is damaged; by start.
    indexed: Vec<IndexedChunk>,
    /// Start of the record just walked, when its length may be what is damaged.
    suspect: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IndexesOf {
    Nothing,
    LastUnit,
    LastDamage,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(view: FileView, path: &'a Path, options: &'a OpenOptions) -> Self {
        Self {
            view,
            plan: LogPlan::default(),
            options,
            path,
            decoder: ChunkDecoder::new(options.record_bytes_max, options.verify_checksums),
            data_crc: None,
            n_unknown: BTreeMap::new(),
            indexes_of: IndexesOf::Nothing,
            footer_seen: false,
            n_decoded_in_vain: 0,
            indexed: Vec::new(),
            suspect: None,
        }
    }

    /// Checks the data section's CRC on the way; the walk must start at byte 0 plus the magic.
    pub(crate) fn check_data_crc(&mut self) {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&MAGIC);
        self.data_crc = self.options.verify_checksums.then_some(hasher);
    }

    /// Trusts the summary for the length of chunks whose own is damaged.
    pub(crate) fn trust_index(&mut self, chunks: Vec<IndexedChunk>) {
        self.indexed = chunks;
    }

    /// Walks the records in `range`.
    ///
    /// # Errors
    /// `Io`; `Limit`; opened to fail, also `Corrupt` and `Unsupported` for the first damage.
    pub(crate) fn walk(&mut self, range: Range<u64>) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            at = match self.head(at, range.end) {
                Ok(head) => {
                    // A message has nothing that would prove its length; the next record's head does.
                    self.suspect = (head.opcode == op::MESSAGE || 0x0f < head.opcode).then_some(at);
                    self.record(at, head, range.end)?
                }
                Err(err) => self.recover(at, range.end, err)?,
            };
        }
        Ok(())
    }

    /// Whether a Footer record was met.
    pub(crate) fn footer_seen(&self) -> bool {
        self.footer_seen
    }

    /// Lists damage, or returns it when the file was not opened to salvage.
    pub(crate) fn damaged(&mut self, error: Error, cost: Cost) -> Result<()> {
        let error = error.at(Locus::path(self.path));
        if !self.options.salvage || error.kind() == ErrorKind::Io {
            return Err(error);
        }
        self.plan.facts.damage.push(Damage { error, cost });
        Ok(())
    }

    /// What was found, with one warning for each unknown opcode.
    pub(crate) fn finish(mut self) -> LogPlan {
        for (opcode, n) in &self.n_unknown {
            let message = format!("skipped {n} records with the unknown opcode {opcode:#04x}");
            let warning = Error::new(ErrorKind::Unsupported, message).at(Locus::path(self.path));
            self.plan.facts.warnings.push(warning);
        }
        self.plan.facts.metadata = metadata::joined(&self.plan.metadata);
        self.plan
    }

    fn head(&mut self, at: u64, end: u64) -> Result<RecordHead> {
        let bytes = self.view.up_to(at, RECORD_HEAD_BYTES.min(end - at))?;
        let Some(head) = RecordHead::parse(&bytes) else {
            return Err(corrupt_at(
                at,
                format!("{} bytes are left where a record should start", bytes.len()),
            ));
        };
        let n_left = end - at - RECORD_HEAD_BYTES;
        if head.opcode == 0 {
            return Err(corrupt_at(at, "a record has the opcode 0, which none may have"));
        }
        if n_left < head.n_bytes {
            return Err(corrupt_at(
                at,
                format!(
                    "file ends inside a record: {n_left} bytes are left, but the record with opcode {:#04x} \
                     has {}",
                    head.opcode, head.n_bytes
                ),
            ));
        }
        Ok(head)
    }

    /// Handles one record and returns where the next starts.
    fn record(&mut self, at: u64, head: RecordHead, end: u64) -> Result<u64> {
        let next = at + RECORD_HEAD_BYTES + head.n_bytes;
        let is_known = matches!(head.opcode, 0x01..=0x0f);
        if is_known && self.options.record_bytes_max < head.n_bytes {
            let error = too_large("a record", head.n_bytes, self.options.record_bytes_max);
            return self.skip_damaged(at, next, end, error, "too_large");
        }
        if head.opcode == op::MESSAGE && self.data_crc.is_none() {
            // The payload is not needed yet, so it is not even fetched.
            let n_head = head.n_bytes.min(records::MESSAGE_HEAD_BYTES as u64);
            let content = self.view.up_to(at + RECORD_HEAD_BYTES, n_head)?;
            self.message(at, next, &content)?;
            return Ok(next);
        }
        if !is_known && (self.data_crc.is_none() || self.options.record_bytes_max < head.n_bytes) {
            // Whatever it is, it is not read, and so the CRC of everything cannot be told.
            self.data_crc = None;
            *self.n_unknown.entry(head.opcode).or_default() += 1;
            return Ok(next);
        }
        let whole = self.view.bytes(at..next)?;
        let content = whole.slice(RECORD_HEAD_BYTES as usize..);
        let handled = self.content(at, next, head.opcode, &content);
        if head.opcode != op::DATA_END
            && let Some(hasher) = &mut self.data_crc
        {
            hasher.update(&whole);
        }
        match handled {
            Ok(()) => Ok(next),
            Err(err) => self.skip_damaged(at, next, end, err, "damaged_record"),
        }
    }

    fn content(&mut self, at: u64, next: u64, opcode: u8, content: &Bytes) -> Result<()> {
        if !matches!(opcode, op::MESSAGE_INDEX) {
            self.indexes_of = IndexesOf::Nothing;
        }
        match opcode {
            op::SCHEMA | op::CHANNEL => {
                let defined = define(&mut self.plan.facts.definitions, opcode, content, (at, 0));
                defined.or_else(|err| self.damaged(err.at(Locus::byte(at)), Cost::nothing("definition")))
            }
            op::MESSAGE => self.message(at, next, content),
            op::CHUNK => self.chunk(at, next, content),
            op::MESSAGE_INDEX => self.message_index(at, next, content),
            op::ATTACHMENT => self.attachment(at, next, content),
            op::METADATA => self.metadata(content),
            op::DATA_END => self.data_end(at, content),
            op::FOOTER => {
                self.footer_seen = true;
                Ok(())
            }
            // The header was checked before the walk; the rest of the summary only says where things lie.
            0x01..=0x0f => Ok(()),
            unknown => {
                *self.n_unknown.entry(unknown).or_default() += 1;
                Ok(())
            }
        }
    }

    /// Adds a message outside chunks to the unit of records being gathered.
    fn message(&mut self, at: u64, next: u64, content: &[u8]) -> Result<()> {
        self.indexes_of = IndexesOf::Nothing;
        let Some(message) = Message::parse(content) else {
            let err =
                corrupt_at(at, format!("message record has {} bytes, but the least is 22", content.len()));
            return self.damaged(err, Cost::range("damaged_record", at..next));
        };
        if !self.options.salvage && !self.plan.facts.definitions.channels.contains_key(&message.channel_id) {
            let err = corrupt_at(
                at,
                format!("message for channel {} comes before its Channel record", message.channel_id),
            );
            return Err(err.at(Locus::path(self.path)));
        }
        let n_bytes = next - at;
        let joins = self.plan.units.last().is_some_and(|it| {
            it.kind == UnitKind::Records
                && it.byte_range.end == at
                && it.n_uncompressed.saturating_add(n_bytes) <= self.options.partition_bytes
        });
        if !joins {
            self.plan.units.push(RecordUnit::empty(UnitKind::Records, at..at));
        }
        if let Some(unit) = self.plan.units.last_mut() {
            unit.byte_range.end = next;
            unit.n_uncompressed += n_bytes;
            unit.saw(message.channel_id, message.log_time);
        }
        Ok(())
    }

    /// Decodes a chunk for its definitions and for what selects it later.
    ///
    /// Opened to salvage, a damaged chunk is not listed here: reading meets it again and knows the cost.
    fn chunk(&mut self, at: u64, next: u64, content: &Bytes) -> Result<()> {
        let mut unit = RecordUnit::empty(UnitKind::Chunk, at..next);
        let walked = match self.decoder.decode(content) {
            Ok(()) => self.chunk_records(at, &mut unit),
            Err(err) => Err(err),
        };
        unit.n_uncompressed = self.decoder.records().len().max(content.len()) as u64;
        unit.index_range = next..next;
        if let Err(err) = walked {
            let err = err.at(Locus::byte(at)).at(Locus::path(self.path));
            if !self.options.salvage || err.kind() == ErrorKind::Io {
                return Err(err);
            }
            let end = self.view.n_bytes();
            if next != end && !resync::is_record(&mut self.view, next, end)? {
                // Its length is what is damaged: let the caller look for the next record.
                return Err(err);
            }
            unit.channels = None;
            unit.times = None;
        }
        self.plan.units.push(unit);
        self.indexes_of = IndexesOf::LastUnit;
        Ok(())
    }

    fn chunk_records(&mut self, at: u64, unit: &mut RecordUnit) -> Result<()> {
        let mut walk = ChunkWalk::new(self.decoder.records());
        let mut faults = Vec::new();
        while let Some((place, opcode, content)) = walk.next_record()? {
            match opcode {
                op::SCHEMA | op::CHANNEL => {
                    let defined =
                        define(&mut self.plan.facts.definitions, opcode, content, (at, place as u64));
                    faults.extend(defined.err());
                }
                op::MESSAGE => {
                    let Some(message) = Message::parse(content) else {
                        return Err(short_message(place, content.len()));
                    };
                    if !self.options.salvage
                        && !self.plan.facts.definitions.channels.contains_key(&message.channel_id)
                    {
                        return Err(corrupt(format!(
                            "message for channel {} at byte {place} of the chunk comes before its Channel record",
                            message.channel_id
                        )));
                    }
                    unit.saw(message.channel_id, message.log_time);
                }
                op::CHUNK => return Err(nested_chunk(place)),
                0x01..=0x0f => {}
                unknown => *self.n_unknown.entry(unknown).or_default() += 1,
            }
        }
        for err in faults {
            self.damaged(err.at(Locus::byte(at)), Cost::nothing("definition"))?;
        }
        // A chunk without messages needs no reading at all.
        unit.channels.get_or_insert_default();
        Ok(())
    }

    fn message_index(&mut self, at: u64, next: u64, content: &[u8]) -> Result<()> {
        let index = MessageIndex::parse(content)?;
        match self.indexes_of {
            IndexesOf::Nothing => {}
            IndexesOf::LastUnit => {
                if let Some(unit) = self.plan.units.last_mut()
                    && unit.index_range.end == at
                {
                    unit.index_range.end = next;
                }
            }
            IndexesOf::LastDamage => {
                if let Some(damage) = self.plan.facts.damage.last_mut() {
                    *damage.cost.records.entry(index.channel_id).or_default() +=
                        index.log_times().count() as u64;
                    damage.cost.uncounted = false;
                }
            }
        }
        Ok(())
    }
}
