//! Which bytes of which shards some steps are made of.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_dataset::{ChunkIndex, PageRange};
use nodedata_registry::pieces::joined;

use crate::{
    fields::{Field, Fields},
    shard::Shard,
    split::{Form, Split},
};

/// Ranges between which there is less than this are fetched as one: a request takes longer than the bytes.
const GAP_BYTES: u64 = 256 << 10;

/// Some steps of an episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRange {
    /// Position of the episode in its split.
    pub episode: usize,
    /// Its steps.
    pub steps: Range<u64>,
}

/// What has to be fetched so that some steps can be decoded. Nothing of a dataset that is near: it is read where it is.
#[derive(Clone, Default)]
pub struct Needs {
    pub(crate) shards: Vec<ShardNeeds>,
}

/// Ranges of one shard.
#[derive(Clone)]
pub(crate) struct ShardNeeds {
    pub(crate) shard: Arc<Shard>,
    /// In order, with what is fetched between them because it is little.
    pub(crate) ranges: Vec<Range<u64>>,
}

impl Needs {
    /// Bytes that are fetched: those that are needed, what lies in small gaps between them, and what they are verified with.
    pub fn n_bytes(&self) -> u64 {
        let bytes = |it: &Range<u64>| it.end - it.start;
        let of_shard = |it: &ShardNeeds| {
            let aligned = it.ranges.iter().map(|range| it.shard.aligned(range)).collect();
            joined(aligned, 0).iter().map(bytes).sum::<u64>()
        };
        self.shards.iter().map(of_shard).sum()
    }

    /// Whether nothing has to be fetched.
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// These and others, in one round: what both need, or what lies near each other, is fetched once.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut all = Ranges::default();
        for ShardNeeds { shard, ranges } in self.shards.into_iter().chain(other.shards) {
            let (_, of_shard) = all.0.entry(shard.idx).or_insert_with(|| (shard, Vec::new()));
            of_shard.extend(ranges);
        }
        all.finish()
    }

    /// Ranges that are asked for.
    pub fn n_ranges(&self) -> usize {
        self.shards.iter().map(|it| it.ranges.len()).sum()
    }
}

impl std::fmt::Debug for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Needs").field("n_ranges", &self.n_ranges()).field("n_bytes", &self.n_bytes()).finish()
    }
}

/// What the value of a row is read with: the page it lies in, and the dictionary of its chunk.
pub(crate) struct PagePlace<'a> {
    pub(crate) group: usize,
    /// Rows of the shard before the row group.
    pub(crate) group_start: u64,
    pub(crate) chunk: ChunkIndex<'a>,
    pub(crate) page: PageRange,
}

impl PagePlace<'_> {
    /// The rows of the shard that the page holds.
    pub(crate) fn rows(&self) -> Range<u64> {
        let at = |it: u64| self.group_start.saturating_add(it);
        at(self.page.rows.start)..at(self.page.rows.end)
    }

    /// Bytes of the page once it is unpacked, as if all of the chunk were packed alike.
    pub(crate) fn unpacked_bytes(&self) -> u64 {
        let of_chunk = |it: i64| u128::from(u64::try_from(it).unwrap_or(0));
        let (packed, unpacked) =
            (self.chunk.metadata().compressed_size(), self.chunk.metadata().uncompressed_size());
        let page = u128::from(self.page.bytes.end - self.page.bytes.start);
        let unpacked = page * of_chunk(unpacked) / of_chunk(packed).max(1);
        u64::try_from(unpacked).unwrap_or(u64::MAX)
    }
}

impl Shard {
    /// Shows each page of a Parquet column that holds some of the rows, in order.
    ///
    /// # Errors
    /// `Corrupt` when the shard has no such rows; what `see` returns.
    pub(crate) fn each_page<'a>(
        &'a self,
        column: usize,
        rows: Range<u64>,
        mut see: impl FnMut(PagePlace<'a>) -> Result<()>,
    ) -> Result<()> {
        let mut row = rows.start;
        while row < rows.end {
            let missing = || {
                let message = format!("nothing tells where row {row} of the shard lies");
                Error::new(ErrorKind::Corrupt, message)
            };
            let (group, in_group) = self.index.row_group_of(row).ok_or_else(missing)?;
            let chunk = self.index.chunk(group, column).ok_or_else(missing)?;
            let page = chunk.page_of(in_group).ok_or_else(missing)?;
            let place = PagePlace { group, group_start: row - in_group, chunk, page };
            let next = place.rows().end;
            if next <= row {
                return Err(missing());
            }
            see(place)?;
            row = next;
        }
        Ok(())
    }

    /// The Parquet column that holds the values of a field: of coded media their bytes, not the names beside them.
    ///
    /// # Errors
    /// `SchemaMismatch` when the shard has none.
    pub(crate) fn column_of(&self, name: &str) -> Result<usize> {
        let mut columns = self.index.leaves_of(name);
        let descriptors = self.index.metadata().file_metadata().schema_descr();
        let is_bytes = |it: &usize| {
            let column = descriptors.columns().get(*it);
            column.is_some_and(|it| it.path().parts().last().is_some_and(|it| it == "bytes"))
        };
        let found = match columns.len() {
            1 => Some(columns.start),
            _ => columns.find(is_bytes),
        };
        found.ok_or_else(|| {
            Error::new(ErrorKind::SchemaMismatch, format!("the shard has no column `{name}`"))
                .with_hint("leave the field out, or publish the shards with one schema")
        })
    }
}

/// Gathers ranges by shard.
#[derive(Default)]
pub(crate) struct Ranges(BTreeMap<usize, (Arc<Shard>, Vec<Range<u64>>)>);

impl Ranges {
    /// The pages of a column that hold rows of a shard, and its dictionaries; but for pages that `is_there` already.
    pub(crate) fn add(
        &mut self,
        shard: &Arc<Shard>,
        column: usize,
        rows: Range<u64>,
        is_there: impl Fn(&PagePlace<'_>) -> bool,
    ) -> Result<()> {
        let (_, ranges) = self.0.entry(shard.idx).or_insert_with(|| (Arc::clone(shard), Vec::new()));
        shard.each_page(column, rows, |place| {
            if !is_there(&place) {
                ranges.extend(place.chunk.dictionary());
                ranges.push(place.page.bytes);
            }
            Ok(())
        })
    }

    pub(crate) fn finish(self) -> Needs {
        let of_shard = |(shard, ranges): (Arc<Shard>, Vec<Range<u64>>)| ShardNeeds {
            shard,
            ranges: joined(ranges, GAP_BYTES),
        };
        let shards = self.0.into_values().map(of_shard).filter(|it| !it.ranges.is_empty());
        Needs { shards: shards.collect() }
    }
}

impl Split {
    /// What has to be fetched for some steps. Opens the shards that they lie in, those that are not open yet side by side.
    ///
    /// # Errors
    /// `Config` for steps that are not there; `Corrupt`, `Io`, `Denied`.
    pub fn needs(&self, wanted: &[StepRange], fields: &Fields) -> Result<Needs> {
        let mut stretches = Vec::new();
        for it in wanted {
            self.check_steps(it.episode, &it.steps)?;
            for field in fields.iter() {
                let steps = self.steps_read(it.episode, &it.steps, field)?;
                let found = self.episodes().stretches(it.episode, steps);
                stretches.extend(found.into_iter().map(|it| (it, field)));
            }
        }
        let mut shards: Vec<usize> = stretches.iter().map(|(it, _)| it.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        let opened =
            self.reader().shards().get_all(&shards).map_err(|err| self.reader().placed_unopened(err))?;
        let opened: BTreeMap<usize, Arc<Shard>> = shards.into_iter().zip(opened).collect();
        let mut ranges = Ranges::default();
        for (stretch, field) in stretches {
            let Some(shard) = opened.get(&stretch.shard).filter(|it| it.is_far()) else { continue };
            for name in columns_read(field) {
                let at = |err| self.placed_in(err, shard, &stretch);
                let column = shard.column_of(&name).map_err(at)?;
                let is_numbers = !is_media(field) || *name != *field.info.name;
                let is_there = |place: &PagePlace<'_>| {
                    let key = (shard.idx, place.group, column, place.page.rows.start);
                    is_numbers && self.reader().pages().has(&key)
                };
                ranges.add(shard, column, stretch.rows.clone(), is_there).map_err(at)?;
            }
        }
        Ok(ranges.finish())
    }
}

/// Whether values of a field are bytes that are decoded one by one, so that no page of them is kept.
pub(crate) fn is_media(field: &Field) -> bool {
    match field.info.form {
        Form::Bytes | Form::Pictures(_) | Form::Raw(_) | Form::Sound(_) | Form::Video(_) => true,
        Form::Tensor(_) | Form::Ragged(_) | Form::Text | Form::Json => false,
    }
}

/// The columns that are read for a field.
fn columns_read(field: &Field) -> Vec<String> {
    let name = field.info.name.to_string();
    match &field.info.form {
        Form::Video(form) if form.has_order => vec![format!("{name}.decode_index"), name],
        _ => vec![name],
    }
}
