use std::{collections::BTreeMap, ops::Range, path::Path};

use bytes::Bytes;
use nodedata_core::{Attachment, Error, ErrorKind, Locus, OpenOptions, Result};

use crate::{
    chunk::ChunkDecoder,
    definitions::Place,
    fault::{corrupt, corrupt_at, too_large},
    log_plan::{Cost, Damage, LogPlan, Unit, UnitKind},
    records::{self, Channel, MAGIC, Message, MessageIndex, Metadata, RECORD_HEAD_BYTES, RecordHead, op},
    resync,
    tail::IndexedChunk,
    view::FileView,
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
        self.plan.damage.push(Damage { error, cost });
        Ok(())
    }

    /// What was found, with one warning for each unknown opcode.
    pub(crate) fn finish(mut self) -> LogPlan {
        for (opcode, n) in &self.n_unknown {
            let message = format!("skipped {n} records with the unknown opcode {opcode:#04x}");
            let warning = Error::new(ErrorKind::Unsupported, message).at(Locus::path(self.path));
            self.plan.warnings.push(warning);
        }
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
        if !is_known && self.data_crc.is_none() {
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

    /// Goes on after a record that does not hold together: at its own end when a record follows there,
    /// otherwise at the next place that looks like one, because its length may be what is damaged.
    fn skip_damaged(
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

    fn content(&mut self, at: u64, next: u64, opcode: u8, content: &Bytes) -> Result<()> {
        if !matches!(opcode, op::MESSAGE_INDEX) {
            self.indexes_of = IndexesOf::Nothing;
        }
        match opcode {
            op::SCHEMA => self.plan.definitions.add_schema(content),
            op::CHANNEL => self.channel(&Channel::parse(content)?, (at, 0)),
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

    fn channel(&mut self, channel: &Channel<'_>, place: Place) -> Result<()> {
        let added = self.plan.definitions.add_channel(channel, place);
        added.or_else(|err| self.damaged(err.at(Locus::byte(place.0)), Cost::nothing("channel_redefined")))
    }

    /// Adds a message outside chunks to the unit of records being gathered.
    fn message(&mut self, at: u64, next: u64, content: &[u8]) -> Result<()> {
        self.indexes_of = IndexesOf::Nothing;
        let Some(message) = Message::parse(content) else {
            let err =
                corrupt_at(at, format!("message record has {} bytes, but the least is 22", content.len()));
            return self.damaged(err, Cost::range("damaged_record", at..next));
        };
        if !self.options.salvage && !self.plan.definitions.channels.contains_key(&message.channel_id) {
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
            self.plan.units.push(Unit::empty(UnitKind::Records, at..at));
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
        let mut unit = Unit::empty(UnitKind::Chunk, at..next);
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

    fn chunk_records(&mut self, at: u64, unit: &mut Unit) -> Result<()> {
        let mut walk = ChunkWalk::new(self.decoder.records());
        while let Some((place, opcode, content)) = walk.next_record()? {
            match opcode {
                op::SCHEMA => self.plan.definitions.add_schema(content)?,
                op::CHANNEL => {
                    let channel = Channel::parse(content)?;
                    let added = self.plan.definitions.add_channel(&channel, (at, place as u64));
                    if let Err(err) = added {
                        let error = err.at(Locus::byte(at)).at(Locus::path(self.path));
                        if !self.options.salvage {
                            return Err(error);
                        }
                        self.plan.damage.push(Damage { error, cost: Cost::nothing("channel_redefined") });
                    }
                }
                op::MESSAGE => {
                    let Some(message) = Message::parse(content) else {
                        return Err(short_message(place, content.len()));
                    };
                    if !self.options.salvage
                        && !self.plan.definitions.channels.contains_key(&message.channel_id)
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
                if let Some(damage) = self.plan.damage.last_mut() {
                    *damage.cost.records.entry(index.channel_id).or_default() +=
                        index.log_times().count() as u64;
                    damage.cost.uncounted = false;
                }
            }
        }
        Ok(())
    }

    fn attachment(&mut self, at: u64, next: u64, content: &Bytes) -> Result<()> {
        let attachment = match records::Attachment::parse(content) {
            Ok(attachment) => attachment,
            Err(err) => return self.damaged(err.at(Locus::byte(at)), lost_attachment(at..next)),
        };
        if self.options.verify_checksums && attachment.crc != 0 {
            let found = crc32fast::hash(&content[..attachment.n_covered]);
            if found != attachment.crc {
                let err = corrupt_at(
                    at,
                    format!(
                        "attachment `{}` has CRC {found:08x}, but its record says {:08x}",
                        attachment.name, attachment.crc
                    ),
                );
                return self.damaged(err, lost_attachment(at..next));
            }
        }
        let nanos = |it: u64| i64::try_from(it).ok();
        let Some((log_time_ns, create_time_ns)) =
            nanos(attachment.log_time).zip(nanos(attachment.create_time))
        else {
            let err =
                corrupt_at(at, format!("attachment `{}` has a time after the year 2262", attachment.name));
            return self.damaged(err, lost_attachment(at..next));
        };
        self.plan.attachments.push(Attachment {
            episode: 0,
            name: attachment.name.to_owned(),
            media_type: attachment.media_type.to_owned(),
            log_time_ns,
            create_time_ns,
            data: content.slice_ref(attachment.data),
        });
        Ok(())
    }

    fn metadata(&mut self, content: &[u8]) -> Result<()> {
        let Metadata { name, entries } = Metadata::parse(content)?;
        // rosbag2 writes its record once when it opens a file and once when it closes it: the last wins.
        let prefix = format!("{name}.");
        self.plan.metadata.retain(|key, _| !key.starts_with(&prefix));
        for (key, value) in entries {
            self.plan.metadata.insert(format!("{prefix}{key}"), value.to_owned());
        }
        Ok(())
    }

    fn data_end(&mut self, at: u64, content: &[u8]) -> Result<()> {
        let expected = records::parse_data_end(content)?;
        let Some(hasher) = self.data_crc.take() else { return Ok(()) };
        let found = hasher.finalize();
        if expected == 0 || found == expected {
            return Ok(());
        }
        let err = corrupt_at(
            at,
            format!("data section has CRC {found:08x}, but its end record says {expected:08x}"),
        );
        self.damaged(err, Cost::nothing("data_crc"))
    }

    /// Finds the next record after the framing broke at `at`. When the record before it has a wrong
    /// length, sound records hide inside it: the search starts there.
    fn recover(&mut self, at: u64, end: u64, err: Error) -> Result<u64> {
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

/// The records inside a decoded chunk.
pub(crate) struct ChunkWalk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> ChunkWalk<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset in the chunk, opcode and content of the next record.
    pub(crate) fn next_record(&mut self) -> Result<Option<(usize, u8, &'a [u8])>> {
        let place = self.at;
        Ok(next_record(self.bytes, &mut self.at)?.map(|(opcode, content)| (place, opcode, content)))
    }
}

/// Takes the record at `at` and moves past it; `None` at the end.
///
/// # Errors
/// `Corrupt` when the bytes end inside it; `at` then stays.
#[inline]
pub(crate) fn next_record<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Option<(u8, &'a [u8])>> {
    let rest = &bytes[*at..];
    if rest.is_empty() {
        return Ok(None);
    }
    let content = RecordHead::parse(rest).and_then(|head| {
        let end = (RECORD_HEAD_BYTES as usize).checked_add(usize::try_from(head.n_bytes).ok()?)?;
        Some((head.opcode, rest.get(RECORD_HEAD_BYTES as usize..end)?, end))
    });
    match content {
        Some((opcode, content, end)) if opcode != 0 => {
            *at += end;
            Ok(Some((opcode, content)))
        }
        _ => Err(corrupt(format!("no sound record at byte {at} of the {} of the chunk", bytes.len()))),
    }
}

pub(crate) fn short_message(place: usize, n_bytes: usize) -> Error {
    corrupt(format!("message record at byte {place} of the chunk has {n_bytes} bytes, but the least is 22"))
}

pub(crate) fn nested_chunk(place: usize) -> Error {
    corrupt(format!("a chunk lies inside the chunk, at its byte {place}, but chunks do not nest"))
}

fn lost_attachment(byte_range: Range<u64>) -> Cost {
    Cost { byte_range: Some(byte_range), ..Cost::nothing("damaged_attachment") }
}
