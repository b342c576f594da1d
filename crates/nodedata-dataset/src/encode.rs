use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::{Array, ArrayRef, cast::AsArray, make_array, types::Int64Type};
use nodedata_core::{Feature, MediaShape, Result, RowSpan, Storage, StreamKind, StreamSchema};
use rayon::prelude::*;

use crate::{
    column_writer::Chunk,
    cut::RowGroupBudget,
    hugging_face::Shown,
    measure::{Column, Contents, Spanning, StreamFacts},
    table::{Slot, Table, episode_column},
    unit::Unit,
    writer::DecodedPart,
};

/// What the encoder hands to the files, in order.
pub(crate) enum Sealed {
    RowGroup {
        shard: ShardId,
        columns: Vec<Vec<Chunk>>,
    },
    Shard(Box<ShardFacts>),
    /// All shards of the unit came before.
    Unit(Box<UnitFacts>),
}

/// What was measured of the rows of one unit, by stream; those without a row are absent.
pub(crate) struct UnitFacts {
    pub(crate) unit: usize,
    pub(crate) streams: BTreeMap<usize, StreamFacts>,
}

/// One shard: a stream, a split, and its number in that split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShardId {
    pub(crate) stream: usize,
    pub(crate) split: usize,
    pub(crate) number: usize,
}

/// Everything known of a shard's rows once the last of them is encoded.
pub(crate) struct ShardFacts {
    pub(crate) id: ShardId,
    pub(crate) n_rows: u64,
    /// What each column shows as to Hugging Face readers.
    pub(crate) shown: Vec<Option<Shown>>,
    /// What all raw frames of each column are, where they are alike and the rows do not say it.
    pub(crate) frames: Vec<Option<MediaShape>>,
    pub(crate) parts: Vec<EpisodePart>,
    pub(crate) origins: Vec<Origin>,
}

/// The rows of one episode in one shard.
#[derive(Debug, Clone)]
pub(crate) struct EpisodePart {
    pub(crate) episode: usize,
    pub(crate) rows: Range<u64>,
    pub(crate) row_groups: Range<u64>,
    pub(crate) start_time_ns: Option<i64>,
    pub(crate) end_time_ns: Option<i64>,
}

/// Rows of a shard and the bytes of the input they come from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) row: u64,
    pub(crate) n_rows: u64,
    pub(crate) input: usize,
    pub(crate) byte_range: Range<u64>,
    /// Which of the stream's records in that range the first row is made of.
    pub(crate) first_record: u64,
}

/// Turns decoded rows into encoded row groups; hashes and measures them on the way. Units are encoded one
/// after the other and share nothing but the content hashes of episodes that run through several of them,
/// so that the bytes of a unit do not depend on which others were encoded before it, or where.
pub(crate) struct Encoder {
    tables: Vec<Arc<Table>>,
    columns: Vec<Vec<Column>>,
    /// By stream, the shards of the unit at hand.
    open: BTreeMap<usize, OpenShard>,
    unit: Option<usize>,
    budget: RowGroupBudget,
    /// What each unit starts from.
    fresh_budget: RowGroupBudget,
    units: Arc<Vec<Unit>>,
    /// Episode of each partition: all that encoding asks of it, where a whole plan may name many files a partition.
    episodes: Vec<usize>,
    spanning: Spanning,
    pixels: Vec<Vec<MediaShape>>,
    time_column: Vec<Option<usize>>,
    /// Whether row groups of a stream end with episodes where sizes allow.
    keeps_episodes: Vec<bool>,
    /// Whether the footers of a stream say what its raw frames are: rows of messages say it themselves.
    says_frames: Vec<bool>,
}

struct OpenShard {
    facts: ShardFacts,
    /// The row group under construction.
    slots: Option<Vec<Slot>>,
    n_row_groups: u64,
    runs: Vec<Run>,
}

/// Batches of one window that go to one row group.
struct Run {
    shard: ShardId,
    slots: Vec<Slot>,
    /// Per column, the pieces in row order.
    columns: Vec<Vec<ArrayRef>>,
    closes: bool,
}

impl Encoder {
    pub(crate) fn new(
        streams: &[StreamSchema],
        tables: Vec<Arc<Table>>,
        episodes: Vec<usize>,
        units: Arc<Vec<Unit>>,
        budget: RowGroupBudget,
    ) -> Self {
        let columns =
            streams.iter().map(|stream| stream.features.iter().map(Column::new).collect()).collect();
        let time_column =
            streams.iter().map(|stream| stream.kind.time_column().and_then(|it| stream.column(it))).collect();
        Self {
            spanning: Spanning::new(&units, &episodes),
            pixels: vec![Vec::new(); tables.len()],
            tables,
            columns,
            open: BTreeMap::new(),
            unit: None,
            fresh_budget: budget.clone(),
            budget,
            units,
            episodes,
            time_column,
            says_frames: streams.iter().map(|it| it.kind == StreamKind::Steps).collect(),
            keeps_episodes: streams.iter().map(|it| it.kind.keeps_episodes_whole()).collect(),
        }
    }

    /// Says which units are not encoded here: episodes that run through one of them get no content hash.
    pub(crate) fn skip(&mut self, units: &[usize]) {
        self.spanning.skip(units, &self.units, &self.episodes);
    }

    /// Encodes some parts of one unit, which must come in partition order. A unit ends where the next one
    /// begins.
    ///
    /// # Errors
    /// What the Parquet encoders report.
    pub(crate) fn encode(&mut self, unit: usize, parts: Vec<DecodedPart>) -> Result<Vec<Sealed>> {
        let mut sealed = Vec::new();
        if self.unit != Some(unit) {
            self.end_unit(&mut sealed)?;
            self.unit = Some(unit);
        }
        for part in parts {
            self.accept(unit, part)?;
        }
        self.run_jobs()?;
        self.collect(&mut sealed);
        Ok(sealed)
    }

    /// Ends the unit at hand.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub(crate) fn finish(&mut self) -> Result<Vec<Sealed>> {
        let mut sealed = Vec::new();
        self.end_unit(&mut sealed)?;
        Ok(sealed)
    }

    /// Content hashes of the episodes that ran through several units, all of them encoded here.
    pub(crate) fn take_spanning_contents(&mut self) -> Contents {
        self.spanning.take_contents()
    }

    /// Positions of the episodes that run through several units.
    pub(crate) fn spanning_episodes(&self) -> Vec<usize> {
        self.spanning.episodes().collect()
    }

    fn end_unit(&mut self, sealed: &mut Vec<Sealed>) -> Result<()> {
        let Some(unit) = self.unit.take() else { return Ok(()) };
        for stream in self.open.keys().copied().collect::<Vec<_>>() {
            self.close_shard(stream, sealed)?;
        }
        self.budget = self.fresh_budget.clone();
        self.pixels.iter_mut().for_each(Vec::clear);
        let mut streams = BTreeMap::new();
        for (stream, columns) in self.columns.iter_mut().enumerate() {
            if let Some(facts) = self.spanning.end_unit(unit, stream, columns) {
                streams.insert(stream, facts);
            }
        }
        sealed.push(Sealed::Unit(Box::new(UnitFacts { unit, streams })));
        Ok(())
    }

    /// Assigns the batches of one partition to row groups.
    fn accept(&mut self, unit: usize, part: DecodedPart) -> Result<()> {
        let Unit { split, number, .. } = self.units[unit];
        let episode = self.episodes[part.partition];
        for batch in part.batches {
            let stream = batch.rows.stream().0 as usize;
            merge_pixels(&mut self.pixels[stream], batch.pixels);
            let rows = batch.rows.rows();
            for (column, array) in self.columns[stream].iter_mut().zip(rows.columns()) {
                column.push(episode, Arc::clone(array));
            }
            let start = batch.clock_start_ns;
            let by_source =
                |(first, last): (i64, i64)| (first.saturating_add(start), last.saturating_add(start));
            let times = self.time_column[stream].and_then(|it| time_bounds(rows.column(it))).map(by_source);
            let table = &self.tables[stream];
            let id = ShardId { stream, split, number };
            let shard = self.open.entry(stream).or_insert_with(|| OpenShard::new(id));
            let n_bytes = shard.push(table, rows.columns(), episode, &batch.spans, times)?;
            self.budget.add((stream, split), n_bytes);
        }
        let next = self.episodes.get(part.partition + 1);
        let episode_ends = next.is_none_or(|it| *it != episode);
        for (stream, _) in self.budget.full(|stream| episode_ends && self.keeps_episodes[stream]) {
            if let Some(shard) = self.open.get_mut(&stream) {
                shard.cut();
            }
        }
        Ok(())
    }

    /// Does the work of the window: every column of every run on its own.
    fn run_jobs(&mut self) -> Result<()> {
        let tables = &self.tables;
        let mut jobs = Vec::new();
        for shard in self.open.values_mut() {
            for run in &mut shard.runs {
                let table = &tables[run.shard.stream];
                let closes = run.closes;
                for (idx, (slot, pieces)) in run.slots.iter_mut().zip(run.columns.drain(..)).enumerate() {
                    jobs.push(Job::Encode { table, column: idx, slot, pieces, closes });
                }
            }
        }
        let spanning = &self.spanning;
        let columns = self.columns.iter_mut().flatten().filter(|it| it.has_rows_waiting());
        jobs.extend(columns.map(|column| Job::Measure { column, spanning }));
        jobs.into_par_iter().with_max_len(1).try_for_each(Job::run)
    }

    /// Takes what the jobs finished, in a fixed order.
    fn collect(&mut self, sealed: &mut Vec<Sealed>) {
        for shard in self.open.values_mut() {
            for run in shard.runs.drain(..) {
                if run.closes {
                    let columns = run.slots.into_iter().map(|it| it.chunks).collect();
                    sealed.push(Sealed::RowGroup { shard: run.shard, columns });
                } else {
                    shard.slots = Some(run.slots);
                }
            }
        }
    }

    fn close_shard(&mut self, stream: usize, sealed: &mut Vec<Sealed>) -> Result<()> {
        let Some(mut shard) = self.open.remove(&stream) else { return Ok(()) };
        if let Some(mut slots) = shard.slots.take() {
            slots.par_iter_mut().try_for_each(Slot::close)?;
            let columns = slots.into_iter().map(|it| it.chunks).collect();
            sealed.push(Sealed::RowGroup { shard: shard.facts.id, columns });
        }
        shard.facts.frames = match self.says_frames[stream] {
            true => raw_frames(&self.tables[stream].features, &self.pixels[stream]),
            false => Vec::new(),
        };
        shard.facts.shown = shown(&self.tables[stream].features, &self.pixels[stream]);
        sealed.push(Sealed::Shard(Box::new(shard.facts)));
        Ok(())
    }
}

impl OpenShard {
    fn new(id: ShardId) -> Self {
        let facts = ShardFacts {
            id,
            n_rows: 0,
            shown: Vec::new(),
            frames: Vec::new(),
            parts: Vec::new(),
            origins: Vec::new(),
        };
        Self { facts, slots: None, n_row_groups: 0, runs: Vec::new() }
    }

    /// Adds the rows of one batch to the current run; returns their size.
    fn push(
        &mut self,
        table: &Table,
        arrays: &[ArrayRef],
        episode: usize,
        spans: &[RowSpan],
        times: Option<(i64, i64)>,
    ) -> Result<u64> {
        let n_rows = arrays.first().map_or(0, |it| it.len());
        if self.runs.last().is_none_or(|it| it.closes) {
            let slots = match self.slots.take() {
                Some(slots) => slots,
                None => table.open_row_group()?,
            };
            let columns = vec![Vec::new(); slots.len()];
            self.runs.push(Run { shard: self.facts.id, slots, columns, closes: false });
        }
        let run = self.runs.last_mut().expect("just pushed");
        let with_episode = std::iter::once(episode_column(episode, n_rows)).chain(arrays.iter().cloned());
        let mut n_bytes = 0;
        for (pieces, array) in run.columns.iter_mut().zip(with_episode) {
            // Pages end otherwise for values that may be null and are not: that they may be is forgotten here, as it is by whoever
            // keeps rows for a later run.
            let data = array.to_data();
            n_bytes += data.get_slice_memory_size().unwrap_or(0) as u64;
            pieces.push(make_array(data));
        }
        self.note(episode, n_rows as u64, spans, times);
        Ok(n_bytes)
    }

    /// Records where the rows come from and whose they are.
    fn note(&mut self, episode: usize, n_rows: u64, spans: &[RowSpan], times: Option<(i64, i64)>) {
        let facts = &mut self.facts;
        let mut row = facts.n_rows;
        for span in spans {
            match facts.origins.last_mut() {
                Some(last)
                    if last.input == span.input
                        && last.byte_range == span.byte_range
                        && last.first_record + last.n_rows == span.first_record =>
                {
                    last.n_rows += span.n_rows;
                }
                _ => facts.origins.push(Origin {
                    row,
                    n_rows: span.n_rows,
                    input: span.input,
                    byte_range: span.byte_range.clone(),
                    first_record: span.first_record,
                }),
            }
            row += span.n_rows;
        }
        if facts.parts.last().is_none_or(|it| it.episode != episode) {
            facts.parts.push(EpisodePart {
                episode,
                rows: facts.n_rows..facts.n_rows,
                row_groups: self.n_row_groups..self.n_row_groups,
                start_time_ns: None,
                end_time_ns: None,
            });
        }
        facts.n_rows += n_rows;
        if let Some(part) = facts.parts.last_mut() {
            part.rows.end = facts.n_rows;
            part.row_groups.end = self.n_row_groups + 1;
            if let Some((first, last)) = times {
                part.start_time_ns = Some(part.start_time_ns.map_or(first, |it| it.min(first)));
                part.end_time_ns = Some(part.end_time_ns.map_or(last, |it| it.max(last)));
            }
        }
    }

    /// Ends the row group after the rows pushed so far.
    fn cut(&mut self) {
        if self.runs.last().is_none_or(|it| it.closes) {
            // Its rows came in an earlier window: a run of no rows only closes it.
            let Some(slots) = self.slots.take() else { return };
            let columns = vec![Vec::new(); slots.len()];
            let shard = self.facts.id;
            self.runs.push(Run { shard, slots, columns, closes: false });
        }
        if let Some(run) = self.runs.last_mut() {
            run.closes = true;
            self.n_row_groups += 1;
        }
    }
}

enum Job<'a> {
    Encode { table: &'a Table, column: usize, slot: &'a mut Slot, pieces: Vec<ArrayRef>, closes: bool },
    Measure { column: &'a mut Column, spanning: &'a Spanning },
}

impl Job<'_> {
    fn run(self) -> Result<()> {
        match self {
            Self::Measure { column, spanning } => {
                column.measure(spanning);
                Ok(())
            }
            Self::Encode { table, column, slot, pieces, closes } => {
                for piece in &pieces {
                    slot.write(table.arrow.field(column), piece)?;
                }
                if closes { slot.close() } else { Ok(()) }
            }
        }
    }
}

/// First and last time of a column of nanoseconds.
fn time_bounds(array: &ArrayRef) -> Option<(i64, i64)> {
    let values = array.as_primitive_opt::<Int64Type>()?.values();
    Some((values.iter().copied().min()?, values.iter().copied().max()?))
}

fn merge_pixels(all: &mut Vec<MediaShape>, found: Vec<MediaShape>) {
    for shape in found {
        let alike = |it: &MediaShape| it.column == shape.column && it.encoding == shape.encoding;
        let same = |it: &MediaShape| alike(it) && it.dtype == shape.dtype && it.shape == shape.shape;
        match all.iter().position(same) {
            Some(known) => {
                let known = &mut all[known];
                known.n_rows += shape.n_rows;
                // Clips of one length at two rates have none.
                known.rate_hz = known.rate_hz.filter(|it| Some(*it) == shape.rate_hz);
            }
            // Two tell already that frames differ: how many kinds there are, nobody asks.
            None if all.iter().filter(|it| alike(it)).count() < 2 => all.push(shape),
            None => {}
        }
    }
}

/// What the raw frames of each column are, where all of the unit are alike.
fn raw_frames(features: &[Feature], pixels: &[MediaShape]) -> Vec<Option<MediaShape>> {
    let of_column = |(column, feature): (usize, &Feature)| {
        // `episode_index` comes before the source's features.
        let of_column: Vec<&MediaShape> = pixels.iter().filter(|it| it.column + 1 == column).collect();
        match of_column.as_slice() {
            [one]
                if feature.storage == Storage::RawMedia && one.encoding == "raw" && !one.shape.is_empty() =>
            {
                Some((*one).clone())
            }
            _ => None,
        }
    };
    features.iter().enumerate().map(of_column).collect()
}

/// A column of encoded media shows as images when everything in the unit is one, as sound when everything is, and as video.
fn shown(features: &[Feature], pixels: &[MediaShape]) -> Vec<Option<Shown>> {
    let seen = |column: usize| {
        // Findings count from the source's first feature; `episode_index` comes before it.
        let of_column = pixels.iter().filter(|it| it.column + 1 == column);
        let mut shown = of_column.map(|it| Shown::of_encoding(&it.encoding));
        let first = shown.next()?;
        first.filter(|_| shown.all(|it| it == first))
    };
    (0..features.len()).map(seen).collect()
}

#[cfg(test)]
mod tests {
    use nodedata_core::DType;

    use super::*;

    fn clip(n_samples: u32, rate_hz: Option<u32>, n_rows: u64) -> MediaShape {
        let (dtype, shape, encoding) = (DType::Int16, vec![n_samples, 1], "flac".to_owned());
        MediaShape { column: 0, dtype, shape, encoding, rate_hz, n_rows }
    }

    #[test]
    fn clips_at_several_rates_have_none_together() {
        let merged = |found: &[MediaShape]| {
            let mut all = Vec::new();
            found.iter().for_each(|it| merge_pixels(&mut all, vec![it.clone()]));
            all
        };
        let same = [clip(800, Some(16_000), 3), clip(800, Some(16_000), 4)];
        assert_eq!(merged(&same), [clip(800, Some(16_000), 7)]);
        let differ = [clip(800, Some(16_000), 1), clip(800, Some(8_000), 2), clip(800, Some(16_000), 3)];
        assert_eq!(merged(&differ), [clip(800, None, 6)]);
        assert_eq!(merged(&[clip(800, Some(8_000), 1), clip(800, None, 1)]), [clip(800, None, 2)]);
        // Another length is another shape, with a rate of its own.
        let lengths = [clip(800, Some(16_000), 1), clip(400, Some(8_000), 1)];
        assert_eq!(merged(&lengths), lengths);
    }
}
