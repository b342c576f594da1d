//! Large records, cut into pieces of steps: how many values of each key belong to a step, and the record that a piece would be
//! if it were an episode of its own.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::{ErrorKind, ReadAt, Result};
use nodedata_steps::cut;

use crate::{
    container::{Frame, RecordFile},
    example::{ListKind, put_entry},
    features::PerStep,
    kept::{Kept, Lease},
    lengths::{Ragged, ragged_parts},
    pages::{HEAD_BYTES, PAGE_BYTES, Pages, Passed},
    reading::Reading,
    semantics::Told,
    skim::{Tables, skim},
    table::{Place, Table},
    tfrecord::wrong_checksum,
    view::View,
};

/// What is fetched to find a place that is not remembered: twice as far as one that is may lie.
const NEAR_BYTES: u64 = 8 << 10;
/// What is fetched at once of the values of a piece.
const FETCHED_BYTES_MAX: u64 = 8 << 20;
/// What a piece gets room for before it is there.
const PIECE_BYTES_MAX: u64 = 64 << 20;
/// What an entry takes beside key and values.
const ENTRY_BYTES: u64 = 64;

/// A record that is cut into pieces.
pub(crate) struct CutRecord {
    /// Where pieces begin, and where the last one ends, in steps.
    bounds: Vec<u64>,
    keys: Vec<CutKey>,
    n_bytes: u64,
    /// What was fetched or unpacked to cut it.
    kept: Option<Kept>,
}

/// A key of a record, and where its values lie.
#[derive(Debug)]
struct CutKey {
    key: Vec<u8>,
    leaf: usize,
    table: Table,
    /// By bound.
    places: Vec<Place>,
}

impl CutRecord {
    pub(crate) fn n_steps(&self) -> u64 {
        self.bounds.last().copied().unwrap_or(0)
    }

    pub(crate) fn steps(&self, piece: usize) -> Range<u64> {
        self.bounds[piece]..self.bounds[piece + 1]
    }

    pub(crate) fn pieces(&self) -> impl Iterator<Item = Range<u64>> {
        self.bounds.windows(2).map(|it| it[0]..it[1])
    }

    /// Bytes of the record.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// The record of a piece: the same keys, with the values of its steps alone. `view` has the whole record again, where no copy is kept.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when the record is not what it was; those of `view`.
    pub(crate) fn record(&self, piece: usize, view: impl FnOnce() -> Result<View>) -> Result<Bytes> {
        let copy = self.kept.as_ref().and_then(Kept::get);
        let record = match copy {
            Some(copy) => self.put(copy.as_ref(), piece),
            None => self.put(&view()?, piece),
        };
        if let Some(kept) = &self.kept {
            kept.had(piece);
        }
        record
    }

    fn put(&self, view: &dyn ReadAt, piece: usize) -> Result<Bytes> {
        let n_bytes: u64 = self.keys.iter().map(|it| it.n_bytes(piece)).sum();
        // Places lie within the record, so that a piece has no more than that, and no more is taken for it at once.
        let mut record = Vec::with_capacity(n_bytes.min(PIECE_BYTES_MAX) as usize);
        for it in &self.keys {
            it.put(view, it.places[piece], it.places[piece + 1], &mut record)?;
        }
        Ok(record.into())
    }
}

impl CutKey {
    /// Bytes that a piece has of it, about.
    fn n_bytes(&self, piece: usize) -> u64 {
        let heads = self.key.len() as u64 + ENTRY_BYTES;
        self.places[piece].n_bytes_to(&self.places[piece + 1]).saturating_add(heads)
    }

    /// Appends the values between two places as an entry of an `Example`.
    fn put(&self, view: &dyn ReadAt, from: Place, to: Place, record: &mut Vec<u8>) -> Result<()> {
        let n_bytes = from.n_bytes_to(&to).min(FETCHED_BYTES_MAX);
        // With what is looked at of the last of them.
        let mut pages = Pages::of(view, n_bytes + HEAD_BYTES);
        put_entry(&self.key, self.table.kind, record, |list| self.table.copy(from, to, &mut pages, list))
    }
}

/// A copy of a record, and the room that it takes.
type Leased = (Arc<dyn ReadAt>, Lease);

/// A large record that is to be cut.
pub(crate) struct Cutting<'a> {
    pub(crate) reading: &'a Reading,
    pub(crate) file: &'a RecordFile<'a>,
    pub(crate) frame: &'a Frame,
}

impl Cutting<'_> {
    /// Looks through the record, and cuts it into pieces of about `partition_bytes`; with what it tells of its episode.
    /// `None` for a record of one piece or below `bytes_min`, and for one whose values do not belong to its steps as they should: reading
    /// that whole says what is wrong.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when it is no `Example`, or not what its checksum says; `Limit`; those of unpacking.
    pub(crate) fn cut(&self, partition_bytes: u64, bytes_min: u64) -> Result<Option<(CutRecord, Told)>> {
        let whole = self.file.view(self.frame)?;
        let n_bytes = whole.n_bytes();
        if n_bytes < bytes_min {
            return Ok(None);
        }
        let (tables, copy) = self.skim(&whole)?;
        let view = copy.as_ref().map_or(&whole as &dyn ReadAt, |it| it.0.as_ref());
        let mut pages = Pages::alone(view, NEAR_BYTES);
        let Some(shares) = Shares::of(&tables, self.reading, &mut pages)? else { return Ok(None) };
        let bytes_per_step = n_bytes / shares.n_steps;
        let pieces: Vec<Range<u64>> = cut(0..shares.n_steps, bytes_per_step, partition_bytes).collect();
        if pieces.len() < 2 {
            return Ok(None);
        }
        let bounds: Vec<u64> = std::iter::once(0).chain(pieces.iter().map(|it| it.end)).collect();
        let mut record = CutRecord { bounds, keys: Vec::new(), n_bytes, kept: None };
        let mut of_episode = Vec::new();
        for (key, (leaf, mut table)) in tables {
            let of = &self.reading.keys.leaves[leaf];
            if !of.is_step && of.is_bytes() {
                // It is attached, and tells nothing else.
                continue;
            }
            let Some(share) = shares.by_key.get(&key) else {
                let ends = vec![table.front(), table.place(u64::MAX, Place::default(), &mut pages)?];
                of_episode.push(CutKey { key, leaf, table, places: ends });
                continue;
            };
            let mut places = Vec::with_capacity(record.bounds.len());
            for bound in &record.bounds {
                let near = places.last().copied().unwrap_or_default();
                places.push(table.place(share.before(*bound), near, &mut pages)?);
            }
            table.forget_marks();
            record.keys.push(CutKey { key, leaf, table, places });
        }
        let told = self.told(view, &record, &of_episode)?;
        record.keys.retain(|it| self.reading.is_read(it.leaf));
        record.kept = copy.map(|(copy, lease)| Kept::new(copy, lease, pieces.len()));
        Ok(Some((record, told)))
    }

    /// The tables of a record whose bytes are what its checksum says, and a copy of it where it is far away, or was unpacked.
    fn skim(&self, view: &View) -> Result<(Tables, Option<Leased>)> {
        let stored = self.file.stored_checksum(self.frame)?;
        let (scratch, lease) = self.file.scratch(self.frame).unzip();
        let mut pages = Pages::of(view, PAGE_BYTES);
        if stored.is_some() || scratch.is_some() {
            pages = pages.passing(scratch);
        }
        let tables = skim(&mut pages, |key| self.reading.keys.leaf_of(key));
        if let Err(err) = tables.as_ref()
            && err.kind() == ErrorKind::Io
        {
            return tables.map(|it| (it, None));
        }
        let Passed { checksum, copy } = pages.finish()?;
        // What is no record because bits have flipped is told as what it is.
        match (stored, checksum) {
            (Some(stored), Some(found)) if stored[..] != found => Err(wrong_checksum()),
            _ => tables.map(|it| (it, copy.zip(lease).or_else(|| self.file.keep(self.frame, view)))),
        }
    }

    /// What the record tells of its episode: piece by piece, so that it need not be in memory.
    fn told(&self, view: &dyn ReadAt, record: &CutRecord, of_episode: &[CutKey]) -> Result<Told> {
        let mut watch = self.reading.semantics.watch();
        let mut facts = None;
        for piece in 0..record.bounds.len() - 1 {
            let mut bytes = Vec::new();
            for it in record.keys.iter().filter(|it| self.reading.semantics.wants(it.leaf)) {
                it.put(view, it.places[piece], it.places[piece + 1], &mut bytes)?;
            }
            for it in of_episode.iter().filter(|_| piece == 0) {
                it.put(view, it.places[0], it.places[1], &mut bytes)?;
            }
            let mut bound = self.reading.keys_of_episode.bind(&bytes)?;
            bound.n_steps = record.bounds[piece + 1] - record.bounds[piece];
            watch.see(&bytes, &bound)?;
            facts.get_or_insert(bound.facts);
        }
        Ok(watch.told(facts.unwrap_or_default()))
    }
}

/// How many values of each key of the steps belong to a step.
struct Shares {
    n_steps: u64,
    by_key: BTreeMap<Vec<u8>, Share>,
}

/// How many values belong to the steps before one.
enum Share {
    /// So many to each.
    Even(u64),
    /// As lists of several lengths have it: by step, and in all of them.
    Uneven(Vec<u64>),
}

impl Share {
    fn before(&self, step: u64) -> u64 {
        match self {
            Self::Even(n) => n * step,
            // There are as many as steps, and one more.
            Self::Uneven(before) => before[step as usize],
        }
    }
}

impl Shares {
    /// `None` where they do not agree.
    fn of(tables: &Tables, reading: &Reading, pages: &mut Pages<'_>) -> Result<Option<Self>> {
        let leaves = &reading.keys.leaves;
        // Also of what is not selected: a record read whole is held against all of its leaves.
        let is_of_kind = |(key, (leaf, table)): (&Vec<u8>, &(usize, Table))| {
            let leaf = &leaves[*leaf];
            let is_shape = key.ends_with(b"/shape") && *key != leaf.key.as_bytes();
            let is_length = ragged_parts(key).is_some_and(|it| it.1.is_some());
            let kind = if is_shape || is_length { ListKind::Int } else { leaf.list_kind() };
            leaf.unsupported.is_some() || table.n_values == 0 || table.kind == Some(kind)
        };
        if !tables.iter().all(is_of_kind) {
            return Ok(None);
        }
        let of_steps = || tables.iter().filter(|it| leaves[it.1.0].is_step);
        let are_all_there = leaves
            .iter()
            .enumerate()
            .all(|(leaf, it)| !it.is_step || it.unsupported.is_some() || of_steps().any(|it| it.1.0 == leaf));
        let known = of_steps().find_map(|(key, (leaf, table))| match leaves[*leaf].per_step(key) {
            PerStep::Always(per_step) => table.n_values.checked_div(per_step),
            PerStep::Even | PerStep::Varies => None,
        });
        let Some(n_steps) = known.filter(|it| *it != 0 && are_all_there) else { return Ok(None) };
        let mut by_key = BTreeMap::new();
        for (key, (leaf, table)) in of_steps().filter(|it| ragged_parts(it.0).is_none()) {
            let per_step = table.n_values / n_steps;
            let is_so = match leaves[*leaf].per_step(key) {
                PerStep::Always(told) => told == per_step,
                PerStep::Even => true,
                PerStep::Varies => false,
            };
            if !is_so || table.n_values != per_step * n_steps {
                return Ok(None);
            }
            by_key.insert(key.clone(), Share::Even(per_step));
        }
        for ragged in Ragged::all(of_steps().map(|(key, (_, table))| (key.as_slice(), table))) {
            let Some(before) = ragged.values_before(n_steps, pages)? else { return Ok(None) };
            by_key.extend(before.into_iter().map(|(key, before)| (key.to_vec(), Share::Uneven(before))));
        }
        let is_whole = of_steps().count() == by_key.len();
        Ok(is_whole.then_some(Self { n_steps, by_key }))
    }
}
