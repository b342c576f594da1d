use std::{ops::Range, path::Path, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, OpenOptions, ReadAt, Result};
use nodedata_log::{Cost, FileView, LogFacts, RecordUnit, SALVAGE_HINT, UnitKind, foreign_start};

use super::{
    chunk::{ChunkHead, encrypted},
    file_record::FileRecord,
    index::{BagHeader, Index, IndexedChunk},
    metadata::Storage,
    record::{Counted, MAGIC, MAGIC_OF_ANY_VERSION, MessageIndex, corrupt_at, n_entries, op},
    resync,
    scan::Scanner,
};

/// What is known of a bag before any row is read.
#[derive(Debug)]
pub(crate) struct BagPlan {
    /// What it declares and carries.
    pub(crate) facts: LogFacts,
    /// In file order.
    pub(crate) units: Vec<RecordUnit>,
    /// Whether its chunks cannot be read without a key.
    pub(crate) is_encrypted: bool,
}

/// Finds out what one bag holds: from its index when that can be trusted, otherwise by walking it.
///
/// # Errors
/// `Corrupt`, `Unsupported` or `Limit` with the byte offset of the first damage when the bag is not opened to salvage, and
/// always when it is no bag at all; `Io`.
pub(crate) fn plan_bag(file: Arc<dyn ReadAt>, path: &Path, options: &OpenOptions) -> Result<BagPlan> {
    let mut view = FileView::new(file);
    let start = view.up_to(0, 64)?;
    let magic = check_magic(&start);
    let header = BagHeader::read(&mut view);
    if let Err(err) = magic {
        // With a header behind them it is the first bytes that are damaged.
        if !options.salvage || err.kind() == ErrorKind::Unsupported || header.is_err() {
            return Err(err.at(Locus::path(path)));
        }
        let mut scanner = Scanner::new(view, path, options);
        scanner.damaged(err, Cost::nothing("magic"))?;
        return walk(scanner, header);
    }
    if options.salvage {
        return walk(Scanner::new(view, path, options), header);
    }
    let header = header.map_err(|err| err.at(Locus::path(path)))?;
    if let Some(name) = &header.encryptor {
        let err = encrypted().at(Locus::byte(MAGIC.len() as u64)).at(Locus::path(path));
        return Err(err.with_source(Error::new(ErrorKind::Unsupported, format!("with `{name}`"))));
    }
    if header.index_pos == 0 {
        return walk(Scanner::new(view, path, options), Ok(header));
    }
    let index = Index::read(&mut view, &header, options.record_bytes_max, false);
    let index = index.map_err(|err| err.at(Locus::path(path)))?;
    if !index.names_every_connection() {
        return walk(Scanner::new(view, path, options), Ok(header));
    }
    let n_bytes_max = options.record_bytes_max;
    let (storage, warnings) = (Storage::default(), Vec::new());
    Indexed { view, header, path, storage, warnings, disputed: None, n_bytes_max }.plan(index)
}

/// Walks every record, decoding every chunk.
fn walk(mut scanner: Scanner<'_>, header: Result<BagHeader>) -> Result<BagPlan> {
    let n_bytes = scanner.view.n_bytes();
    let at = MAGIC.len() as u64;
    let start = match header {
        Ok(header) => {
            if header.encryptor.is_some() {
                scanner.set_encrypted();
                scanner.damaged(encrypted().at(Locus::byte(at)), Cost::nothing("encrypted"))?;
            }
            if header.index_pos == 0 {
                scanner.warn(not_closed(n_bytes));
            } else if let Err(err) = scanner.check_index(&header) {
                scanner.damaged(err, Cost::nothing("index"))?;
            }
            header.end
        }
        Err(err) => {
            // Without one the records start somewhere behind it.
            let found = resync::find(&mut scanner.view, at.min(n_bytes), n_bytes, false)?;
            scanner.damaged(err.with_hint(SALVAGE_HINT), Cost::nothing("header"))?;
            found.unwrap_or(n_bytes)
        }
    };
    scanner.walk(start..n_bytes)?;
    scanner.finish()
}

fn not_closed(n_bytes: u64) -> Error {
    corrupt_at(
        n_bytes,
        "the recorder did not close the bag, so it has no index and was walked: what had not been written when it stopped is \
         not in it",
    )
    .with_hint("`rosbag reindex BAG` writes the index, and bags that end in `.active` are still open or were left so")
}

/// How bytes that no index names come to be in front of it.
const CUT_OFF: &str = "`rosbag reindex` leaves there what it could not read";

/// How they come to be behind it.
const APPENDED: &str = "a bag ends with its index, and something else was appended to this one";

/// Plans a bag by its index.
struct Indexed<'a> {
    view: FileView,
    header: BagHeader,
    path: &'a Path,
    storage: Storage,
    warnings: Vec<Error>,
    /// Chunks of which the two indexes do not say the same: where the first starts, and how many.
    disputed: Option<(u64, u64)>,
    n_bytes_max: u64,
}

impl Indexed<'_> {
    fn plan(mut self, index: Index) -> Result<BagPlan> {
        let mut units = Vec::new();
        let mut at = self.header.end;
        for (idx, chunk) in index.chunks.iter().enumerate() {
            self.unnamed(at..chunk.start, CUT_OFF);
            let end = index.chunks.get(idx + 1).map_or(self.header.index_pos, |it| it.start);
            let unit = self.chunk(chunk, end).map_err(|err| err.at(Locus::path(self.path)))?;
            at = unit.index_range.end;
            units.push(unit);
        }
        self.unnamed(at..self.header.index_pos, CUT_OFF);
        self.unnamed(index.end..self.view.n_bytes(), APPENDED);
        self.warn_of_disputed();
        let facts = LogFacts {
            definitions: index.definitions,
            metadata: self.storage.into_metadata(),
            warnings: self.warnings,
            ..LogFacts::default()
        };
        Ok(BagPlan { facts, units, is_encrypted: false })
    }

    /// A chunk and the message indexes behind it, which end at `end` or before it.
    fn chunk(&mut self, chunk: &IndexedChunk, end: u64) -> Result<RecordUnit> {
        let record = FileRecord::read(&mut self.view, chunk.start, end)?;
        let header = record.header();
        if header.op != op::CHUNK {
            return Err(corrupt_at(
                chunk.start,
                format!(
                    "the index says that a chunk lies here, but a record with op {:#04x} does",
                    header.op
                ),
            ));
        }
        if end < record.data.end {
            return Err(corrupt_at(
                chunk.start,
                format!(
                    "chunk has {} bytes, but the next or the index starts at byte {end}",
                    record.data.end - chunk.start
                ),
            ));
        }
        let head = ChunkHead::parse(&header).map_err(|err| err.at(Locus::byte(chunk.start)))?;
        self.storage.saw_chunk(head.compression);
        let mut unit = RecordUnit::empty(UnitKind::Chunk, chunk.start..record.data.end);
        unit.n_uncompressed = u64::from(head.size).max(record.n_data());
        let mut counted = Counted::default();
        let mut at = record.data.end;
        while at < end
            && let Some((record, data)) = self.message_index(at, end)?
        {
            counted.add(&MessageIndex::parse(&record.with(&data)).map_err(|err| err.at(Locus::byte(at)))?);
            at = record.data.end;
        }
        unit.index_range = record.data.end..at;
        // Two that agree are believed; otherwise only the messages themselves are.
        if chunk.agrees(&counted) {
            unit.channels = Some(counted.counts.keys().copied().collect());
            unit.times = counted.times;
            unit.counts = Some(counted.counts.into_iter().collect());
        } else {
            let (_, n) = self.disputed.get_or_insert((chunk.start, 0));
            *n += 1;
        }
        Ok(unit)
    }

    /// Warns of chunks of which nothing tells how many messages they had.
    fn warn_of_disputed(&mut self) {
        let Some((first, n)) = self.disputed else { return };
        let message = format!(
            "the index of the bag and the message indexes behind {n} of its chunks do not say the same, so that nothing tells \
             whether messages are missing there; the first of these chunks lies here"
        );
        let warning = corrupt_at(first, message)
            .at(Locus::path(self.path))
            .with_hint("`--on-error salvage` holds the messages against both, and lists what is lost");
        self.warnings.push(warning);
    }

    /// The message index at `at` with its data; `None` when none lies there.
    fn message_index(&mut self, at: u64, end: u64) -> Result<Option<(FileRecord, Bytes)>> {
        let record = match FileRecord::read(&mut self.view, at, end) {
            Ok(record) => record,
            Err(err) if err.kind() == ErrorKind::Io => return Err(err),
            Err(_) => return Ok(None),
        };
        let header = record.header();
        let is_sound = n_entries(&header, record.n_data()).is_ok() && header.u32("conn").is_ok();
        if header.op != op::INDEX || end < record.data.end || !is_sound || self.n_bytes_max < record.n_data()
        {
            return Ok(None);
        }
        let data = self.view.bytes(record.data.clone())?;
        Ok(Some((record, data)))
    }

    /// Warns of bytes that no index names, and says how they come to be there.
    fn unnamed(&mut self, bytes: Range<u64>, how: &str) {
        if bytes.is_empty() {
            return;
        }
        let message = format!(
            "the index names nothing in bytes {}..{}, so they are not read: {how}",
            bytes.start, bytes.end
        );
        let warning = corrupt_at(bytes.start, message)
            .at(Locus::path(self.path))
            .with_hint("`--on-error salvage` reads every sound record, also there");
        self.warnings.push(warning);
    }
}

/// Checks the first bytes of a file.
fn check_magic(start: &Bytes) -> Result<()> {
    if start.starts_with(MAGIC) {
        return Ok(());
    }
    let at_start = |err: Error| Err(err.at(Locus::byte(0)));
    if let Some(version) = start.strip_prefix(MAGIC_OF_ANY_VERSION) {
        let version: Vec<u8> = version.iter().copied().take_while(|it| !it.is_ascii_whitespace()).collect();
        if version != b"2.0" {
            let version = version.escape_ascii();
            let message = format!("file is a bag of version `{version}`, but only `2.0` is known");
            return at_start(
                Error::new(ErrorKind::Unsupported, message)
                    .with_hint("`rosbag fix OLD.bag NEW.bag` of ROS 1 writes bags of old versions anew"),
            );
        }
    }
    at_start(foreign_start(start, "ROS 1 bag", MAGIC))
}
