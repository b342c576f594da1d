use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_select::filter::filter;
use nodedata_core::{
    Batch, EpisodeStream, Error, ErrorKind, Fate, InputRange, Locus, Loss, MediaShape, Result, RowSpan,
    Storage, StreamId,
};
use nodedata_steps::media_shapes;

use super::grid::ResampledSource;
use crate::{
    Align,
    absent::{Absent, Missing},
    align::{Borders, Choice, Rule, choose},
    cast::Misfit,
    cut::STEPS_MAX,
    mapping::{Field, Way},
    piece::{STEPS, counted_id, is_beyond, schema_of, settle_missing},
    reading::again,
    track::{Messages, Place, Track},
    transform::{Beside, Pulled},
    values::{column, skews},
};

/// A part of an episode that steps are made of.
pub(super) struct Part<'a> {
    pub(super) source: &'a ResampledSource,
    pub(super) partition: usize,
    pub(super) before: &'a Beside,
    pub(super) after: &'a Beside,
    pub(super) origin_ns: Option<i64>,
}

/// What came of it.
pub(super) struct ResampledRows {
    own: Pulled,
    ready: VecDeque<Result<Batch>>,
    records_read: Vec<(StreamId, u64)>,
    fates: Vec<Fate>,
    looked_at: Vec<InputRange>,
}

/// The steps of a part, and the rows they are chosen of.
struct Line {
    track: Track,
    /// Which of its rows are the part's own.
    own: Range<usize>,
    /// Steps that may take a row of the part: those of the part, and some before it.
    steps: Vec<i64>,
    /// Which of them are the part's own.
    made: Range<usize>,
    /// Number of the first of these.
    first: u64,
    n_timeless: u64,
}

/// Makes the steps of a part, and accounts for its rows.
///
/// # Errors
/// `Corrupt` for a value that does not fit its type, and for a step without a value where the pipeline says `fail`; `Limit` for
/// more steps than can be meant.
pub(super) fn made(part: &Part<'_>, mut own: Pulled, looked_at: Vec<InputRange>) -> Result<ResampledRows> {
    let rows = counted_id(STEPS);
    let mut ready = VecDeque::new();
    let mut batches = Vec::new();
    for result in std::mem::take(&mut own.results) {
        match result {
            Ok(batch) if batch.stream == STEPS => batches.push(batch),
            Ok(_) => {}
            Err(err) => ready.push_back(Err(recounted(&err))),
        }
    }
    let n_read = own.records_read().iter().filter(|it| it.0 == STEPS).map(|it| it.1).sum();
    let mut fates: Vec<Fate> = own.fates().iter().map(|it| Fate { stream: rows, ..it.clone() }).collect();
    let line = part.line(&batches)?;
    let chosen = part.chosen(&line);
    fates.push(part.fate(rows, &line, &chosen));
    let n_made = line.made.len();
    let mut missing = Missing::new(STEPS, n_made);
    if let Some(batch) = part.batch(&line, &chosen, &mut missing)? {
        ready.push_back(Ok(batch));
    }
    fates.extend(missing.fate());
    let records_read = vec![(STEPS, n_made as u64), (rows, n_read)];
    Ok(ResampledRows { own, ready, records_read, fates, looked_at })
}

/// The same damage, of the rows that steps are made of.
fn recounted(err: &Error) -> Error {
    let Some(loss) = err.loss() else { return again(err) };
    let of_rows = |it: &(StreamId, u64)| (counted_id(it.0), it.1);
    again(err).with_loss(Loss { records: loss.records.iter().map(of_rows).collect(), ..loss.clone() })
}

impl Part<'_> {
    /// Puts the rows of the part and those next to it in order, and says which steps are made of them.
    fn line(&self, batches: &[Batch]) -> Result<Line> {
        let stream = &self.source.mapping.streams[0];
        let mut messages: Vec<Arc<Messages>> = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        let mut n_timeless = 0;
        let mut add = |rows: RecordBatch, pixels: Vec<MediaShape>, partition: u32| {
            let batch = u32::try_from(messages.len()).unwrap_or(u32::MAX);
            let times = rows.column(match stream.stamp {
                crate::stamp::Stamp::LogTime(it) | crate::stamp::Stamp::Nanos(it) => it,
                crate::stamp::Stamp::Pair(it, _) => it,
            });
            for (row, stamp) in (0u32..).zip(stream.stamp.times(&rows)) {
                if times.is_null(row as usize) {
                    n_timeless += u64::from(partition == OWN);
                } else {
                    places.push(Place { stamp, partition, batch, row });
                }
            }
            messages.push(Arc::new(Messages { rows, pixels, spans: Vec::new() }));
        };
        self.before.rows.iter().for_each(|it| add(it.clone(), Vec::new(), OWN - 1));
        for batch in batches {
            let rows = batch.rows.project(&stream.columns).expect("the columns are those of the steps");
            let kept = |column: usize| stream.columns.binary_search(&column).ok();
            let pixels = batch
                .pixels
                .iter()
                .filter_map(|it| Some(MediaShape { column: kept(it.column)?, ..it.clone() }));
            add(rows, pixels.collect(), OWN);
        }
        self.after.rows.iter().for_each(|it| add(it.clone(), Vec::new(), OWN + 1));
        let n_of = |partition: u32| places.iter().filter(|it| it.partition == partition).count();
        let (n_before, n_own) = (n_of(OWN - 1), n_of(OWN));
        let track = Track::new(messages, places);
        let own = n_before..n_before + n_own;
        let (Some(origin), true) = (self.origin_ns, n_own != 0) else {
            return Ok(Line { track, own, steps: Vec::new(), made: 0..0, first: 0, n_timeless });
        };
        let rate = self.source.rate;
        let from = track.stamps[own.start];
        let end =
            track.stamps.get(own.end).copied().unwrap_or_else(|| track.stamps[own.end - 1].saturating_add(1));
        let numbers = rate.first_at_or_after(origin, from)..rate.first_at_or_after(origin, end);
        // Steps before the part may lie between its first row and the last before it.
        let reach = stream.ways.iter().filter_map(|it| it.reach.given_ns()).max().unwrap_or(0);
        let start = match own.start.checked_sub(1) {
            Some(before) => {
                let past = track.stamps[before].saturating_add(1).max(from.saturating_sub(reach));
                rate.first_at_or_after(origin, past).min(numbers.start.saturating_sub(1))
            }
            None => numbers.start,
        };
        if STEPS_MAX < numbers.end.saturating_sub(start) {
            let from = from.min(rate.time_ns(origin, start));
            let message = format!(
                "{} steps would lie between two rows, from {from} ns to {end} ns",
                numbers.end - start
            );
            return Err(Error::new(ErrorKind::Limit, message)
                .at(self.locus(None))
                .with_hint("a row has a time of another clock: `clock: {every: …}` counts rows instead"));
        }
        let steps: Vec<i64> = (start..numbers.end.max(start)).map(|it| rate.time_ns(origin, it)).collect();
        let n_ahead = usize::try_from(numbers.start - start).unwrap_or(usize::MAX).min(steps.len());
        Ok(Line { track, own, made: n_ahead..steps.len(), steps, first: numbers.start, n_timeless })
    }

    fn chosen(&self, line: &Line) -> BTreeMap<Way, Choice> {
        let ways = &self.source.mapping.streams[0].ways;
        let all = Borders::default();
        let choice = |way: &Way| {
            let rule = Rule::new(*way, self.source.measured_ns);
            (*way, choose(&line.track.stamps, &line.steps, &all, rule))
        };
        ways.iter().map(choice).collect()
    }

    /// What became of the rows of the part.
    fn fate(&self, rows: StreamId, line: &Line, chosen: &BTreeMap<Way, Choice>) -> Fate {
        let mut used = vec![false; line.track.stamps.len()];
        chosen.values().flat_map(Choice::used).for_each(|row| used[row] = true);
        let n_used = used[line.own.clone()].iter().filter(|it| **it).count();
        let reason = match self.source.mapping.streams[0].ways.first().map(|it| it.align) {
            Some(Align::Nearest) => "not_nearest",
            Some(Align::Hold) => "replaced",
            Some(Align::Linear | Align::Slerp) => "not_adjacent",
            None => "not_mapped",
        };
        let mut fate = Fate { used: n_used as u64, ..Fate::new(rows) };
        if n_used < line.own.len() {
            fate.superseded.insert(reason, (line.own.len() - n_used) as u64);
        }
        if line.n_timeless != 0 {
            fate.dropped.insert("no_time", line.n_timeless);
        }
        fate
    }

    /// The rows of the steps; `None` when there are none.
    fn batch(
        &self,
        line: &Line,
        chosen: &BTreeMap<Way, Choice>,
        missing: &mut Missing,
    ) -> Result<Option<Batch>> {
        let own = &line.steps[line.made.clone()];
        if own.is_empty() {
            return Ok(None);
        }
        let mapping = &self.source.mapping;
        let tracks = std::slice::from_ref(&line.track);
        let first = i64::try_from(line.first).unwrap_or(i64::MAX);
        let numbers = Int64Array::from_iter_values((first..).take(own.len()));
        let mut columns: Vec<ArrayRef> = vec![Arc::new(numbers), Arc::new(Int64Array::from(own.to_vec()))];
        let mut media = Vec::new();
        for field in &mapping.fields {
            let choices = [chosen.get(&field.way).map(|it| it.part(&line.made))];
            let array = column(field, mapping, tracks, &choices, own.len())
                .map_err(|it| self.misfit(&it, field, own))?;
            if array.null_count() != 0 {
                let absent = Absent::of(field, mapping, tracks, &choices, own.len());
                self.judge(field, array.as_ref(), own, &choices, absent.as_ref(), missing)?;
            }
            for part in field.value.parts().iter().filter(|_| field.feature.storage != Storage::EncodedMedia)
            {
                if let Some(choice) = &choices[part.stream] {
                    let found = line.track.pixels(part.column, &choice.rows);
                    media.extend(found.into_iter().map(|it| MediaShape { column: columns.len(), ..it }));
                }
            }
            let skew = field.skew.then(|| skews(field, &choices, array.as_ref()));
            columns.push(array);
            columns.extend(skew);
        }
        if let Some(keep) = missing.kept() {
            let kept = |it: &ArrayRef| filter(it.as_ref(), &keep).expect("a filter of equal length");
            columns = columns.iter().map(kept).collect();
        }
        for (idx, feature) in mapping.features.iter().enumerate() {
            if feature.storage == Storage::EncodedMedia {
                media.extend(media_shapes(idx, &columns[idx]));
            }
        }
        media.sort_unstable();
        let rows = RecordBatch::try_new(schema_of(mapping), columns)
            .expect("columns follow the features of the mapping");
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        let InputRange { input, byte_range } = self.source.plan.partitions[self.partition].reads[0].clone();
        let span = RowSpan { input, n_rows: rows.num_rows() as u64, byte_range, first_record: 0 };
        Ok(Some(Batch { stream: STEPS, rows, spans: vec![span], pixels: media }))
    }

    /// Holds the steps without a value against what is to become of them.
    fn judge(
        &self,
        field: &Field,
        array: &dyn Array,
        own: &[i64],
        choices: &[Option<Choice>],
        absent: Option<&Absent>,
        missing: &mut Missing,
    ) -> Result<()> {
        let name = &field.feature.name;
        let n_beyond = (0..own.len()).filter(|it| is_beyond(field, choices, *it)).count() as u64;
        if n_beyond != 0 {
            *missing.beyond.entry(name.clone()).or_default() += n_beyond;
        }
        settle_missing(field, array, absent, missing, |step, lacked| {
            let what = lacked.map_or_else(|| "no value".to_owned(), |it| format!("no `{it}`"));
            let message = format!("field `{name}` has {what} at the step at {} ns", own[step]);
            let hint =
                "a wider `tolerance_ms`, or `beyond` and `absent` of `null` or `drop`, lets the run go on";
            Error::new(ErrorKind::Corrupt, message).at(self.locus(Some(field))).with_hint(hint)
        })
    }

    fn misfit(&self, misfit: &Misfit, field: &Field, own: &[i64]) -> Error {
        let at = own.get(misfit.idx).copied().unwrap_or_default();
        Error::new(ErrorKind::Corrupt, format!("{}, at {at} ns", misfit.message))
            .at(self.locus(Some(field)))
            .with_hint(format!("give `fields.{}` another `type`, or none", field.feature.name))
    }

    fn locus(&self, field: Option<&Field>) -> Locus {
        let partition = &self.source.plan.partitions[self.partition];
        Locus {
            path: partition.reads.first().and_then(|it| self.source.plan.input_path(it.input)),
            episode_idx: Some(partition.episode as u64),
            feature: field.map(|it| it.feature.name.clone()),
            ..Locus::default()
        }
    }
}

/// Stands for the part's own rows in [`Place::partition`]: between those before and those behind it.
const OWN: u32 = 1;

impl EpisodeStream for ResampledRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        self.ready.pop_front().transpose()
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }

    fn fates(&self) -> &[Fate] {
        &self.fates
    }

    fn looked_at(&self) -> &[InputRange] {
        &self.looked_at
    }

    fn below(&self) -> Option<&dyn EpisodeStream> {
        Some(&self.own)
    }
}
