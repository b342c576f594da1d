//! A file of a bag that was compressed as a whole: it is unpacked once, and its rows lie in all of the packed file.

use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc};

use nodedata_core::{Attachment, Error, ErrorKind, Locus, OpenOptions, ReadAt, Result, TimeRange};
use nodedata_io::packed::{Packing, Spool, UNPACK_RATIO_MAX, ratio_max, spool, unpacked_max};
use nodedata_log::{
    ClockColumns, Cost, Damage, LogFacts, LogFile, LogStorage, Message, MessageCursor, MessagePlace, Route,
    Routes, SALVAGE_HINT, Selector, StoredFile, Unit,
};

/// How the names of packed files end: `ros2 bag` writes the first, `zstd` the second.
pub(crate) const ENDINGS: [&str; 2] = ["zstd", "zst"];

/// The name of a file without the ending that says that it is packed; `None` where it has none.
pub(crate) fn unpacked_name(path: &Path) -> Option<&Path> {
    let ending = path.extension()?.to_str()?;
    let is_packed = ENDINGS.iter().any(|it| it.eq_ignore_ascii_case(ending));
    path.file_stem().filter(|_| is_packed).map(Path::new)
}

/// Whether a packed file begins so.
pub(crate) fn begins(head: &[u8]) -> bool {
    Packing::of(head) == Some(Packing::Zstd)
}

/// Unpacks a file and plans what comes out of it.
///
/// # Errors
/// As [`LogStorage::open`]; `Limit` for a file of which too much comes out; not opened to salvage, `Corrupt` for one that ends
/// early, `Unsupported` for one with attachments.
pub(crate) fn open(
    storage: &dyn LogStorage,
    path: &Path,
    file: Arc<dyn ReadAt>,
    options: &OpenOptions,
) -> Result<(Box<dyn LogFile>, LogFacts)> {
    let n_packed = file.n_bytes();
    let n_bytes_max = unpacked_max(n_packed, ratio_max(options));
    let spool = spool(file, Packing::Zstd, n_bytes_max, options.scratch.as_deref());
    let spool = Arc::new(spool.map_err(with_option)?);
    let broken = spool.damage().map(|it| ends_early(it, &spool));
    if (!options.salvage || spool.n_bytes() == 0)
        && let Some(error) = broken
    {
        return Err(error);
    }
    let unpacked = Arc::clone(&spool) as Arc<dyn ReadAt>;
    let opened = storage.open(StoredFile { path, file: unpacked, companions: Vec::new() }, options);
    let (log, mut facts) = opened.map_err(|err| within(&spool, err))?;
    let met = std::mem::take(&mut facts.damage).into_iter();
    facts.damage = met.map(|it| damage_within(&spool, n_packed, it)).collect();
    if let Some(error) = broken {
        let cost = Cost { uncounted: true, ..Cost::nothing("truncated") };
        facts.damage.push(Damage { error, cost });
    }
    for attachment in std::mem::take(&mut facts.attachments) {
        let error = without_address(&spool, &attachment);
        if !options.salvage {
            return Err(error);
        }
        let cost = Cost { uncounted: true, ..Cost::nothing("packed_attachment") };
        facts.damage.push(Damage { error, cost });
    }
    let counts = counts_by_unit(&*log, &facts, options)?;
    Ok((Box::new(PackedLog { log, spool, n_packed, counts: counts.into() }), facts))
}

/// A limit on what comes out of a file, with the option that lifts it.
fn with_option(err: Error) -> Error {
    match err.kind() {
        ErrorKind::Limit => err.with_hint(format!(
            "`--set source.{}=N` lets more come out, or unpack it first: `{}`",
            UNPACK_RATIO_MAX.name,
            Packing::Zstd.command()
        )),
        _ => err,
    }
}

/// That an attachment cannot be carried over: its bytes are in what comes out, and an input is the packed file.
fn without_address(spool: &Spool, attachment: &Attachment) -> Error {
    let message = format!("attachment `{}` lies in a packed file, where it has no address", attachment.name);
    let packed = spool.packed_range(&attachment.content.byte_range);
    let hint = format!("unpack the file first: `{}`", Packing::Zstd.command());
    Error::new(ErrorKind::Unsupported, message).at(Locus::byte(packed.start)).with_hint(hint)
}

/// What ended the packed file. A spool keeps it, so this is a copy.
fn ends_early(cause: &Error, spool: &Spool) -> Error {
    let message = match spool.n_bytes() {
        0 => format!("the packed file is damaged, and nothing came out of it ({})", cause.chain()),
        n => format!("the packed file is damaged: {n} bytes came out in front of that ({})", cause.chain()),
    };
    let hint = cause.hint().unwrap_or(SALVAGE_HINT).to_owned();
    Error::new(cause.kind(), message).at(cause.locus().clone()).with_hint(hint)
}

/// An error in what came out, with its place in the packed file.
fn within(spool: &Spool, cause: Error) -> Error {
    let Some(at) = cause.locus().byte_offset else { return cause };
    let packed = spool.packed_range(&(at..at + 1));
    let locus = Locus { byte_offset: Some(packed.start), ..cause.locus().clone() };
    let hint = cause.hint().unwrap_or(SALVAGE_HINT).to_owned();
    let message = format!("what comes out of the file is damaged at its byte {at}");
    Error::new(cause.kind(), message).at(locus).with_hint(hint).with_source(cause)
}

fn damage_within(spool: &Spool, n_packed: u64, damage: Damage) -> Damage {
    let Damage { error, cost } = damage;
    let byte_range = cost.byte_range.as_ref().map(|_| 0..n_packed);
    Damage { error: within(spool, error), cost: Cost { byte_range, ..cost } }
}

/// The messages of each unit by channel, only of those that have some in it: a bag may have many units, and many channels. What the
/// log does not count is walked.
pub(crate) fn counts_by_unit(
    log: &dyn LogFile,
    facts: &LogFacts,
    options: &OpenOptions,
) -> Result<Vec<Vec<(u32, u64)>>> {
    let mut routes = Routes::default();
    for (idx, channel) in facts.definitions.channels.keys().enumerate() {
        routes.set(*channel, Route::Stream(idx));
    }
    let routes = Arc::new(routes);
    let mut by_unit = Vec::with_capacity(log.n_units());
    for unit in 0..log.n_units() {
        if let Some(counts) = log.counts(unit) {
            by_unit.push(counts.to_vec());
            continue;
        }
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        let selector = Selector::new(Arc::clone(&routes), TimeRange::ALL);
        let mut messages = log.messages(unit..unit + 1, selector, options);
        loop {
            match messages.next_message() {
                Ok(Some(message)) => *counts.entry(message.channel).or_default() += 1,
                Ok(None) => break,
                Err(damage) if damage.error.kind() == ErrorKind::Io => return Err(damage.error),
                // Reading meets it again.
                Err(_) => {}
            }
        }
        by_unit.push(counts.into_iter().collect());
    }
    Ok(by_unit)
}

/// The log in a packed file.
struct PackedLog {
    log: Box<dyn LogFile>,
    spool: Arc<Spool>,
    n_packed: u64,
    /// See [`counts_by_unit`].
    counts: Arc<[Vec<(u32, u64)>]>,
}

impl LogFile for PackedLog {
    fn clock(&self) -> ClockColumns {
        self.log.clock()
    }

    fn n_units(&self) -> usize {
        self.log.n_units()
    }

    fn unit(&self, idx: usize) -> Unit {
        Unit { byte_range: 0..self.n_packed, ..self.log.unit(idx) }
    }

    fn counts(&self, idx: usize) -> Option<&[(u32, u64)]> {
        self.log.counts(idx)
    }

    fn messages(
        &self,
        units: Range<usize>,
        selector: Selector,
        options: &OpenOptions,
    ) -> Box<dyn MessageCursor> {
        let (routes, by_unit) = (Arc::clone(selector.routes()), Arc::clone(&self.counts));
        let counts = CountsBefore { routes, by_unit, n_summed: 0, by_stream: Vec::new() };
        let (spool, n_packed) = (Arc::clone(&self.spool), self.n_packed);
        Box::new(PackedCursor {
            cursor: self.log.messages(units, selector, options),
            counts,
            spool,
            n_packed,
        })
    }
}

struct PackedCursor {
    cursor: Box<dyn MessageCursor>,
    counts: CountsBefore,
    spool: Arc<Spool>,
    n_packed: u64,
}

/// The messages of streams in front of a unit, summed on the way.
struct CountsBefore {
    routes: Arc<Routes>,
    by_unit: Arc<[Vec<(u32, u64)>]>,
    /// Units that are in `by_stream`.
    n_summed: usize,
    by_stream: Vec<u64>,
}

impl CountsBefore {
    fn before(&mut self, unit: usize, stream: usize) -> u64 {
        // Cursors walk units in order.
        for (channel, n) in self.by_unit[self.n_summed.min(unit)..unit].iter().flatten() {
            if let Route::Stream(stream) = self.routes.of(*channel) {
                if self.by_stream.len() <= stream {
                    self.by_stream.resize(stream + 1, 0);
                }
                self.by_stream[stream] += n;
            }
        }
        self.n_summed = unit;
        self.by_stream.get(stream).copied().unwrap_or(0)
    }
}

impl MessageCursor for PackedCursor {
    fn next_message(&mut self) -> Result<Option<Message<'_>>, Box<Damage>> {
        let Self { cursor, counts, spool, n_packed } = self;
        match cursor.next_message() {
            Ok(Some(message)) => {
                let MessagePlace { unit, ordinal, byte_range, in_chunk, .. } = &message.place;
                let place = MessagePlace {
                    // All of the file is one unit, as far as places go.
                    unit: 0,
                    ordinal: counts.before(*unit, message.stream) + ordinal,
                    part: 0,
                    byte_range: 0..*n_packed,
                    in_chunk: Some(byte_range.start + in_chunk.unwrap_or(0)),
                };
                Ok(Some(Message { place, ..message }))
            }
            Ok(None) => Ok(None),
            Err(damage) => Err(Box::new(damage_within(spool, *n_packed, *damage))),
        }
    }
}
