mod losses;
mod recover;
mod strays;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, OpenOptions, Result};
use nodedata_log::{Cost, Damage, FileView, LogFacts, RecordUnit, UnitKind, corrupt, too_large};

use self::strays::Strays;
use super::{
    chunk::{ChunkDecoder, ChunkHead},
    connection::define,
    cursor::nested_chunk,
    file_record::FileRecord,
    index::{BagHeader, Index, IndexedChunk},
    metadata::Storage,
    open::BagPlan,
    record::{Counted, MessageIndex, Stray, corrupt_at, message_of, n_entries, next_record, op},
};

/// Walks records from front to back and writes down what is needed to read them later.
///
/// Opened to fail, the first damage ends the walk. Opened to salvage, damage is listed and the walk goes on at the next place
/// where a record starts.
pub(crate) struct Scanner<'a> {
    pub(crate) view: FileView,
    facts: LogFacts,
    units: Vec<RecordUnit>,
    options: &'a OpenOptions,
    path: &'a Path,
    decoder: ChunkDecoder,
    is_encrypted: bool,
    storage: Storage,
    /// What the chunk infos of the index say, as far as they were met.
    infos: Vec<IndexedChunk>,
    /// Messages by connection of the unit of records being gathered.
    gathered: BTreeMap<u32, u64>,
    /// Whether message indexes that come next belong to the last unit, or to the last damage.
    indexes_of: IndexesOf,
    /// What the message indexes say that follow the last unit.
    behind_unit: Counted,
    /// The same of chunks of which they say more or something else than their messages, by the start of the chunk.
    disputed: BTreeMap<u64, Counted>,
    /// Messages by connection that message indexes count behind a damage, by its position.
    behind_damage: BTreeMap<usize, BTreeMap<u32, u64>>,
    /// Start of the message just walked, whose length may be what is damaged.
    suspect: Option<u64>,
    /// Records in chunks whose op is damaged.
    strays: Strays,
}

/// Connection records of a chunk that are damaged: the first, which stands for the others, of which there may be as many as bytes.
#[derive(Debug, Default)]
struct Faults {
    first: Option<Error>,
    n_more: u64,
}

impl Faults {
    fn add(&mut self, err: Error) {
        match &self.first {
            None => self.first = Some(err),
            Some(_) => self.n_more += 1,
        }
    }

    fn told(self) -> Option<Error> {
        let Self { first, n_more } = self;
        let all = || corrupt(format!("{} connection records of the chunk are damaged", n_more + 1));
        first.map(|it| if n_more == 0 { it } else { all().with_source(it) })
    }
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
            facts: LogFacts::default(),
            units: Vec::new(),
            options,
            path,
            decoder: ChunkDecoder::new(options.record_bytes_max, false),
            is_encrypted: false,
            storage: Storage::default(),
            infos: Vec::new(),
            gathered: BTreeMap::new(),
            indexes_of: IndexesOf::Nothing,
            behind_unit: Counted::default(),
            disputed: BTreeMap::new(),
            behind_damage: BTreeMap::new(),
            suspect: None,
            strays: Strays::default(),
        }
    }

    /// Chunks can then be counted and not read.
    pub(crate) fn set_encrypted(&mut self) {
        self.is_encrypted = true;
        self.decoder = ChunkDecoder::new(self.options.record_bytes_max, true);
    }

    /// Lists damage, or returns it when the file was not opened to salvage.
    pub(crate) fn damaged(&mut self, error: Error, cost: Cost) -> Result<()> {
        let error = error.at(Locus::path(self.path));
        if !self.options.salvage || error.kind() == ErrorKind::Io {
            return Err(error);
        }
        self.facts.damage.push(Damage { error, cost });
        Ok(())
    }

    pub(crate) fn warn(&mut self, warning: Error) {
        self.facts.warnings.push(warning.at(Locus::path(self.path)));
    }

    /// Whether the index is as it should be. The walk meets its records again, and needs no others.
    pub(crate) fn check_index(&mut self, header: &BagHeader) -> Result<()> {
        let limit = self.options.record_bytes_max;
        Index::read(&mut self.view, header, limit, self.is_encrypted).map(drop)
    }

    /// Walks the records in `range`.
    ///
    /// # Errors
    /// `Io`; `Limit`; opened to fail, also `Corrupt` and `Unsupported` for the first damage.
    pub(crate) fn walk(&mut self, range: Range<u64>) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            at = match FileRecord::read(&mut self.view, at, range.end) {
                Ok(record) => self.record(&record, range.end)?,
                Err(err) => self.recover(at, range.end, err)?,
            };
        }
        Ok(())
    }

    /// What was found.
    ///
    /// # Errors
    /// Opened to fail, `Corrupt` for a message on a connection that nothing declares, or one that is counted and not there.
    pub(crate) fn finish(mut self) -> Result<BagPlan> {
        self.end_gathering();
        self.end_indexes();
        self.count_losses()?;
        self.facts.metadata = self.storage.into_metadata();
        let declared: BTreeSet<u32> = self.facts.definitions.channels.keys().copied().collect();
        if !self.options.salvage {
            for unit in &self.units {
                let met = unit.channels.iter().flatten();
                if let Some(conn) = met.copied().find(|it| !declared.contains(it)) {
                    let message = format!(
                        "messages here are of connection {conn}, but no connection record declares it"
                    );
                    return Err(corrupt_at(unit.byte_range.start, message).at(Locus::path(self.path)));
                }
            }
        }
        Ok(BagPlan { facts: self.facts, units: self.units, is_encrypted: self.is_encrypted })
    }

    /// Handles one record and returns where the next starts.
    fn record(&mut self, record: &FileRecord, end: u64) -> Result<u64> {
        let (at, next) = (record.start, record.data.end);
        if !matches!(record.op, op::INDEX) {
            self.end_indexes();
        }
        if record.op == op::CHUNK {
            let next = self.chunk(record, end)?;
            // The message in front of it is as long as it says.
            self.suspect = None;
            return Ok(next);
        }
        if end < next {
            let n_left = end - record.data.start;
            let message = format!(
                "file ends inside a record: {n_left} bytes are left, but the record with op {:#04x} has {}",
                record.op,
                record.n_data()
            );
            return self.recover(at, end, corrupt_at(at, message));
        }
        // A message has nothing that would prove its length; the next record's header does.
        self.suspect = (record.op == op::MESSAGE).then_some(at);
        let handled = match record.op {
            op::MESSAGE => self.message(record),
            op::CONNECTION => self.connection(record),
            op::INDEX => self.message_index(record),
            op::CHUNK_INFO => self.chunk_info(record),
            _ => self.other(record),
        };
        match handled {
            Ok(()) => Ok(next),
            Err(err) => self.skip(record, err),
        }
    }

    /// A record of a kind that there is not; the fields of a chunk or of a message show that only its `op` is damaged.
    ///
    /// # Errors
    /// `Corrupt`, but for the header of another bag.
    fn other(&self, record: &FileRecord) -> Result<()> {
        let header = record.header();
        let what = if ChunkHead::parse(&header).is_ok() {
            "the fields of a chunk"
        } else if message_of(&header).is_ok() {
            "the fields of a message"
        } else if record.op == op::BAG {
            return Ok(());
        } else {
            "no known fields"
        };
        let message = format!("a record has {what}, but its op is {:#04x}: that is damaged", record.op);
        Err(corrupt_at(record.start, message))
    }

    /// Lists a record that is of no use, at the cost of what its fields show it to be, and returns where the next starts.
    fn skip(&mut self, record: &FileRecord, err: Error) -> Result<u64> {
        let (at, next) = (record.start, record.data.end);
        let err = err.at(Locus::byte(at));
        let reason = if err.kind() == ErrorKind::Limit { "too_large" } else { "damaged_record" };
        let header = record.header();
        if let Ok(head) = ChunkHead::parse(&header) {
            if head.compression == "none" && !self.is_encrypted {
                // Its records lie there as they are.
                let byte_range = Some(at..record.data.start);
                self.damaged(err, Cost { byte_range, ..Cost::nothing(reason) })?;
                return Ok(record.data.start);
            }
            self.damaged(err, Cost::range(reason, at..next))?;
            self.indexes_of = IndexesOf::LastDamage;
            return Ok(next);
        }
        let of_message = message_of(&header).ok().map(|it| (it.0, 1));
        let cost = match record.op {
            op::MESSAGE => Cost::range(reason, at..next),
            op::CONNECTION | op::INDEX | op::CHUNK_INFO | op::BAG => {
                let records = of_message.into_iter().collect();
                Cost { byte_range: Some(at..next), records, ..Cost::nothing(reason) }
            }
            _ => {
                let (records, uncounted) = (of_message.into_iter().collect(), of_message.is_none());
                Cost { records, uncounted, ..Cost::range(reason, at..next) }
            }
        };
        self.damaged(err, cost)?;
        Ok(next)
    }

    fn connection(&mut self, record: &FileRecord) -> Result<()> {
        let data = record.fetch(&mut self.view, self.options.record_bytes_max)?;
        let place = (record.start, 0);
        define(&mut self.facts.definitions, &record.with(&data), self.is_encrypted, place)
    }

    /// No more message indexes come for the last unit or damage.
    fn end_indexes(&mut self) {
        let counted = std::mem::take(&mut self.behind_unit);
        if self.indexes_of == IndexesOf::LastUnit
            && let Some(unit) = self.units.last()
            && let Some(found) = &unit.counts
        {
            let found: BTreeMap<u32, u64> = found.iter().copied().collect();
            if found != counted.counts || unit.times != counted.times {
                self.disputed.insert(unit.byte_range.start, counted);
            }
        }
        self.indexes_of = IndexesOf::Nothing;
    }

    fn chunk_info(&mut self, record: &FileRecord) -> Result<()> {
        let data = record.fetch(&mut self.view, self.options.record_bytes_max)?;
        self.infos.push(IndexedChunk::parse(&record.with(&data))?);
        Ok(())
    }

    fn message_index(&mut self, record: &FileRecord) -> Result<()> {
        let header = record.header();
        let (conn, n) = (header.u32("conn")?, n_entries(&header, record.n_data())?);
        match self.indexes_of {
            IndexesOf::Nothing => {}
            IndexesOf::LastUnit => {
                if let Some(unit) = self.units.last_mut()
                    && unit.index_range.end == record.start
                {
                    unit.index_range.end = record.data.end;
                    let data = record.fetch(&mut self.view, self.options.record_bytes_max)?;
                    self.behind_unit.add(&MessageIndex::parse(&record.with(&data))?);
                }
            }
            IndexesOf::LastDamage => {
                let last = self.facts.damage.len().saturating_sub(1);
                *self.behind_damage.entry(last).or_default().entry(conn).or_default() += n;
            }
        }
        Ok(())
    }

    /// Adds a message outside chunks to the unit of records being gathered.
    fn message(&mut self, record: &FileRecord) -> Result<()> {
        let (conn, log_time) = message_of(&record.header())?;
        let (at, next) = (record.start, record.data.end);
        let n_bytes = next - at;
        if self.options.record_bytes_max < n_bytes {
            return Err(too_large("a record", n_bytes, self.options.record_bytes_max));
        }
        let joins = self.units.last().is_some_and(|it| {
            it.kind == UnitKind::Records
                && it.byte_range.end == at
                && it.n_uncompressed.saturating_add(n_bytes) <= self.options.partition_bytes
        });
        if !joins {
            self.push(RecordUnit::empty(UnitKind::Records, at..at));
        }
        if let Some(unit) = self.units.last_mut() {
            unit.byte_range.end = next;
            unit.n_uncompressed += n_bytes;
            unit.saw(conn, log_time);
            *self.gathered.entry(conn).or_default() += 1;
        }
        Ok(())
    }

    fn push(&mut self, unit: RecordUnit) {
        self.end_gathering();
        self.units.push(unit);
    }

    /// The unit of records being gathered, if any, is whole.
    fn end_gathering(&mut self) {
        let gathered = std::mem::take(&mut self.gathered);
        if let Some(unit) = self.units.last_mut()
            && unit.kind == UnitKind::Records
        {
            unit.counts = Some(gathered.into_iter().collect());
        }
    }

    /// Decodes a chunk for its connections and for what selects it later, and returns where the next record starts.
    ///
    /// Opened to salvage, a damaged chunk is not listed here: reading meets it again and knows the cost.
    fn chunk(&mut self, record: &FileRecord, end: u64) -> Result<u64> {
        let (at, next) = (record.start, record.data.end);
        let header = record.header();
        let head = match ChunkHead::parse(&header) {
            Ok(head) => head,
            Err(err) => return self.recover(at, end, err.at(Locus::byte(at))),
        };
        self.storage.saw_chunk(head.compression);
        if end < next {
            let message = format!(
                "file ends inside a chunk: {} bytes are left, but it has {}",
                end - record.data.start,
                record.n_data()
            );
            return self.cut_off(record, &head, end, corrupt_at(at, message));
        }
        // A recorder that was stopped has not come back to fill in the lengths. What it stored plainly are records all the same.
        let is_unfinished = record.n_data() == 0 && head.size == 0 && head.compression != "none";
        if is_unfinished && !self.is_followed(next, end)? {
            let err =
                corrupt_at(at, "the recorder did not finish this chunk, and no record follows its header");
            return self.cut_off(record, &head, end, err);
        }
        if self.options.record_bytes_max < record.n_data() {
            let err = too_large("a chunk", record.n_data(), self.options.record_bytes_max);
            self.damaged(err.at(Locus::byte(at)), Cost::range("too_large", at..next))?;
            self.indexes_of = IndexesOf::LastDamage;
            return Ok(next);
        }
        let stored = self.view.bytes(record.data.clone())?;
        let mut unit = RecordUnit::empty(UnitKind::Chunk, at..next);
        match self.decode(&head, &stored, &mut unit) {
            Ok(()) => {}
            Err(err) if !self.options.salvage || err.kind() == ErrorKind::Io => {
                return Err(err.at(Locus::byte(at)).at(Locus::path(self.path)));
            }
            Err(err) if !self.is_followed(next, end)? => {
                return self.cut_off(record, &head, end, err.at(Locus::byte(at)));
            }
            Err(_) => (unit.channels, unit.times, unit.counts) = (None, None, None),
        }
        unit.index_range = next..next;
        self.push(unit);
        self.indexes_of = IndexesOf::LastUnit;
        Ok(next)
    }

    /// Decodes a chunk and walks its records.
    fn decode(&mut self, head: &ChunkHead<'_>, stored: &Bytes, unit: &mut RecordUnit) -> Result<()> {
        let decoded = self.decoder.decode(head, stored);
        unit.n_uncompressed = (self.decoder.records().len() as u64).max(stored.len() as u64);
        decoded.and_then(|()| self.chunk_records(unit))
    }

    fn chunk_records(&mut self, unit: &mut RecordUnit) -> Result<()> {
        let records = self.decoder.records();
        let (mut at, mut counts, mut faults) = (0, BTreeMap::new(), Faults::default());
        let mut strays = self.strays.of_chunk();
        let chunk_start = unit.byte_range.start;
        loop {
            let start = at;
            let Some(record) = next_record(records, &mut at)? else { break };
            match record.header.op {
                op::CONNECTION => {
                    let place = (chunk_start, start as u64);
                    let defined = define(&mut self.facts.definitions, &record, false, place);
                    match (defined, message_of(&record.header)) {
                        (Err(_), Ok((conn, _))) => strays.add(Stray::Message(conn)),
                        (Err(err), Err(_)) => faults.add(err),
                        (Ok(()), _) => {}
                    }
                }
                op::MESSAGE => {
                    let (conn, log_time) = message_of(&record.header)?;
                    unit.saw(conn, log_time);
                    *counts.entry(conn).or_default() += 1;
                }
                op::CHUNK => return Err(nested_chunk(start)),
                _ => {
                    if let Some(stray) = Stray::of(&record.header) {
                        strays.add(stray);
                    }
                }
            }
        }
        self.strays.add(chunk_start, strays);
        if let Some(err) = faults.told() {
            self.damaged(err.at(Locus::byte(chunk_start)), Cost::nothing("definition"))?;
        }
        // A chunk without messages needs no reading at all.
        unit.channels.get_or_insert_default();
        unit.counts = Some(counts.into_iter().collect());
        Ok(())
    }
}
