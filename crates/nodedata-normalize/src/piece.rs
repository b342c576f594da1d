use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{Schema, SchemaRef};
use arrow_select::filter::filter;
use nodedata_core::{
    Batch, Error, ErrorKind, Fate, Feature, Finding, InputRange, Locus, MediaShape, Partition, Result,
    RowSpan, StreamId,
};

use crate::{
    Beyond, Clock, StepSpec,
    absent::{Absent, Missing},
    align::{Borders, Choice, NO_ROW, Rule, choose},
    cast::Misfit,
    companions::{OtherFrame, companions},
    episodes::skipped,
    fates::Judge,
    mapping::{Field, Mapping, Part, Value, Way},
    origin::{FieldOrigin, StepAt, field_origin},
    pictures::{self, PictureColumn},
    plan::{Piece, window},
    planned::{joined, needed},
    recording::Recording,
    store::{Held, Store},
    track::{Place, Track},
    values::{column, skews},
};

/// Number of the step stream.
pub(crate) const STEPS: StreamId = StreamId(0);

/// What a piece is read with.
pub(crate) struct PieceReader<'a> {
    pub(crate) store: &'a Store,
    pub(crate) spec: &'a StepSpec,
    pub(crate) recording: &'a Recording,
    pub(crate) piece: &'a Piece,
    /// The partition that stands for the piece.
    pub(crate) partition: &'a Partition,
    pub(crate) held: &'a Held,
}

/// What came of a piece.
pub(crate) struct Made {
    pub(crate) batch: Option<Batch>,
    /// Steps that the clock has in the piece.
    pub(crate) n_steps: u64,
    /// Those of the messages, and that of the steps where some were left out or lack a name.
    pub(crate) fates: Vec<Fate>,
    /// What the user should know of the steps.
    pub(crate) warnings: Vec<Finding>,
    /// Bytes outside the partition that decided rows.
    pub(crate) looked_at: Vec<InputRange>,
}

/// The steps of a piece, and what they are made of.
struct Steps {
    /// The steps of the piece, and on either side of it those that may take messages of it.
    around: Vec<i64>,
    /// Which of them are the piece's own.
    own: std::ops::Range<usize>,
    /// What of other episodes they may not take.
    borders: Borders,
    /// Rows of the clock topic that are the steps.
    clock_rows: Option<Vec<u32>>,
}

/// The messages around a piece, and which of them its steps take.
struct Chosen {
    tracks: Vec<Track>,
    /// By stream.
    chosen: Vec<BTreeMap<Way, Choice>>,
    steps: Steps,
    /// Positions of the partitions that decided it.
    looked_at: BTreeSet<usize>,
}

impl PieceReader<'_> {
    /// Makes the steps of the piece, and accounts for its messages.
    ///
    /// # Errors
    /// `Corrupt` for a value that does not fit its type; `Config` for a step without a value where the
    /// pipeline says `fail`; what reading reports.
    pub(crate) fn make(&self) -> Result<Made> {
        let Chosen { tracks, chosen, steps, mut looked_at } = self.chosen()?;
        let mut fates = self.fates(&tracks, &chosen, &steps);
        let own = &steps.around[steps.own.clone()];
        let mut missing = Missing::new(STEPS, own.len());
        let choices = |field: &Field| choices_of(field, &chosen, &steps.own);
        let pictures = pictures::columns(self, &tracks, choices, &mut looked_at)?;
        let batch = self.batch(&tracks, &chosen, &steps, pictures, &mut missing)?;
        let mut warnings = std::mem::take(&mut missing.warnings);
        warnings.extend(self.unpictured(&fates));
        fates.extend(missing.fate());
        let n_left_out = self.left_out(&tracks);
        if let Some(left_out) = self.piece.left_out.filter(|_| n_left_out != 0) {
            fates.push(Fate { dropped: [(left_out.reason, n_left_out)].into(), ..Fate::new(STEPS) });
        }
        let n_steps = own.len() as u64 + n_left_out;
        Ok(Made { batch, n_steps, fates, warnings, looked_at: self.outside(&looked_at) })
    }

    /// Steps that the piece would have, were they not left out.
    fn left_out(&self, tracks: &[Track]) -> u64 {
        let Some(left_out) = self.piece.left_out else { return 0 };
        match (&self.spec.clock, self.store.mapping.clock) {
            (Clock::Topic(_), Some(clock)) => {
                let is_step = |stamp: i64| {
                    self.piece.holds(stamp)
                        && left_out.start <= stamp
                        && (stamp < left_out.end || left_out.end == i64::MAX)
                };
                tracks[clock].stamps.iter().filter(|it| is_step(**it)).count() as u64
            }
            (Clock::Rate(_) | Clock::Topic(_) | Clock::Every(_) | Clock::Own, _) => left_out.n_steps,
        }
    }

    /// Of which messages each field of a step is made; `None` where the piece has no such step.
    ///
    /// # Errors
    /// What reading reports.
    pub(crate) fn made_of(&self, step: StepAt) -> Result<Option<Vec<FieldOrigin>>> {
        let Chosen { tracks, chosen, steps, .. } = self.chosen()?;
        let own = steps.own.clone();
        let mut at_time = own.filter(|it| steps.around[*it] == step.time_ns);
        let Some(idx) = at_time.nth(step.nth) else { return Ok(None) };
        let of_field = |field: &Field| field_origin(&self.store.mapping, field, &tracks, &chosen, idx);
        Ok(Some(self.store.mapping.fields.iter().map(of_field).collect()))
    }

    /// Puts the messages around the piece in order, and chooses among them for each step.
    fn chosen(&self) -> Result<Chosen> {
        let mapping = &self.store.mapping;
        let mut gathered: Vec<Gathered> = (0..mapping.streams.len()).map(|it| self.gather(it)).collect();
        let mut clock_track = mapping.clock.map(|it| gathered[it].track());
        let mut looked_at = BTreeSet::new();
        let steps = self.steps(clock_track.as_ref(), &mut looked_at)?;
        for (stream, gathered) in gathered.iter_mut().enumerate() {
            if mapping.clock != Some(stream) && mapping.streams[stream].reach_ns().is_none() {
                self.add_edges(stream, gathered, &steps, &mut looked_at)?;
            }
        }
        let tracks: Vec<Track> = gathered
            .into_iter()
            .enumerate()
            .map(|(stream, it)| match mapping.clock {
                Some(clock) if clock == stream => clock_track.take().expect("made above"),
                _ => it.into_track(),
            })
            .collect();
        let chosen = self.choose(&tracks, &steps);
        Ok(Chosen { tracks, chosen, steps, looked_at })
    }

    /// The bytes of partitions that are not among those the piece was planned with.
    fn outside(&self, looked_at: &BTreeSet<usize>) -> Vec<InputRange> {
        let partitions = &self.recording.survey.partitions;
        let known: BTreeSet<usize> = needed(self.piece).collect();
        let others =
            looked_at.difference(&known).map(|it| &self.store.source.plan().partitions[partitions[*it]]);
        joined(others.flat_map(|it| &it.reads))
    }

    /// The messages of a stream in the window of the piece.
    fn gather(&self, stream: usize) -> Gathered {
        let (first, last) = window(self.piece.from, self.piece.to, &self.store.mapping, stream);
        let mut gathered =
            Gathered { first, last, batches: Vec::new(), places: Vec::new(), origins: Vec::new() };
        let survey = &self.recording.survey;
        for position in &self.piece.load {
            let Some(loaded) = self.held.get(&survey.partitions[*position]) else { continue };
            let loaded = &loaded.streams[stream];
            let span = survey.lookups[stream].spans[*position];
            let base = number(gathered.batches.len());
            gathered.batches.extend(loaded.batches.iter().cloned());
            let origin = |batch: u32| Place { stamp: 0, partition: number(*position), batch, row: 0 };
            gathered.origins.extend((0u32..).take(loaded.batches.len()).map(origin));
            let rows = loaded.between(span.0.max(first), span.1.min(last)).iter();
            gathered.places.extend(rows.map(|(stamp, batch, row)| Place {
                stamp: *stamp,
                partition: number(*position),
                batch: base + batch,
                row: *row,
            }));
        }
        gathered
    }

    /// The times of the steps in the piece and on either side of it.
    fn steps(&self, clock: Option<&Track>, looked_at: &mut BTreeSet<usize>) -> Result<Steps> {
        let (piece, recording) = (self.piece, self.recording);
        let episode = piece.episode.map(|it| &recording.episodes[it]);
        let (own, clock_rows): (Vec<i64>, _) = match (&self.spec.clock, clock, episode) {
            (Clock::Rate(rate), _, Some(episode)) => {
                (piece.steps.clone().map(|it| rate.time_ns(episode.start, it)).collect(), None)
            }
            (Clock::Topic(_), Some(clock), Some(episode)) => {
                let is_step = |stamp: i64| {
                    piece.holds(stamp)
                        && episode.start <= stamp
                        && (stamp < episode.end || episode.end == i64::MAX)
                };
                let rows = (0u32..).zip(&clock.stamps).filter(|it| is_step(*it.1));
                let (rows, times): (Vec<u32>, Vec<i64>) = rows.map(|(row, stamp)| (row, *stamp)).unzip();
                (times, Some(rows))
            }
            _ => (Vec::new(), clock.map(|_| Vec::new())),
        };
        let (before, after) = (self.steps_before(clock, looked_at)?, self.steps_after(clock, looked_at)?);
        let own_range = before.len()..before.len() + own.len();
        let around: Vec<i64> = before.into_iter().chain(own).chain(after).collect();
        let borders = Borders::new(&around, &recording.cuts);
        Ok(Steps { around, own: own_range, borders, clock_rows })
    }

    /// The steps before the piece that may take messages of it, in order.
    fn steps_before(&self, clock: Option<&Track>, looked_at: &mut BTreeSet<usize>) -> Result<Vec<i64>> {
        let from = self.piece.from;
        if from == i64::MIN {
            return Ok(Vec::new());
        }
        let first = from.saturating_sub(self.store.mapping.margin_ns());
        let clock = clock.map(|it| it.stamps.as_slice());
        let near = self.recording.steps_between(self.spec, clock, first, from.saturating_sub(1));
        let far = self.recording.step_before(self.store, self.spec, self.held, first)?;
        if let Some(clock) = self.store.mapping.clock {
            let lookup = &self.recording.survey.lookups[clock];
            looked_at.extend(lookup.around(far.unwrap_or(i64::MIN), first));
        }
        Ok(far.into_iter().chain(near).collect())
    }

    /// The steps after the piece that may take messages of it, in order.
    fn steps_after(&self, clock: Option<&Track>, looked_at: &mut BTreeSet<usize>) -> Result<Vec<i64>> {
        let to = self.piece.to;
        if to == i64::MAX {
            return Ok(Vec::new());
        }
        let last = to.saturating_add(self.store.mapping.margin_ns());
        let clock = clock.map(|it| it.stamps.as_slice());
        let mut steps = self.recording.steps_between(self.spec, clock, to, last);
        let after = last.saturating_add(1);
        let far = self.recording.step_from(self.store, self.spec, self.held, after)?;
        if let Some(clock) = self.store.mapping.clock {
            let lookup = &self.recording.survey.lookups[clock];
            looked_at.extend(lookup.around(after, far.unwrap_or(i64::MAX)));
        }
        steps.extend(far);
        Ok(steps)
    }

    /// Adds the messages outside the window that a field which looks without end may need.
    fn add_edges(
        &self,
        stream: usize,
        gathered: &mut Gathered,
        steps: &Steps,
        looked_at: &mut BTreeSet<usize>,
    ) -> Result<()> {
        let lookup = &self.recording.survey.lookups[stream];
        // Between its own first and last step nothing is asked that these do not answer.
        let own = &steps.around[steps.own.clone()];
        let mut times: Vec<i64> = steps.around[..steps.own.start].to_vec();
        times.extend(own.first().into_iter().chain(own.last()));
        times.extend_from_slice(&steps.around[steps.own.end..]);
        times.dedup();
        let needs_after = self.store.mapping.streams[stream].is_paced();
        let (first, last) = (gathered.first, gathered.last);
        let earliest = gathered.places.iter().map(|it| it.stamp).min();
        let latest = gathered.places.iter().map(|it| it.stamp).max();
        let mut edges = BTreeMap::new();
        for time in times {
            let knows_before = time <= last && earliest.is_some_and(|it| it <= time);
            let knows_after = first <= time && latest.is_some_and(|it| time < it);
            if needs_after && !knows_after {
                let after = lookup.after(self.store, self.held, time)?;
                looked_at.extend(lookup.around(time, after.as_ref().map_or(i64::MAX, |it| it.place.stamp)));
                edges.extend(after.map(|it| (it.place, it.message)));
            }
            if !knows_before {
                let before = lookup.before(self.store, self.held, time)?;
                looked_at.extend(lookup.around(before.as_ref().map_or(i64::MIN, |it| it.place.stamp), time));
                edges.extend(before.map(|it| (it.place, it.message)));
            }
        }
        // In order of place, so that messages of one time keep their order.
        for (place, message) in edges.into_iter().filter(|(it, _)| it.stamp < first || last < it.stamp) {
            gathered.places.push(Place { batch: number(gathered.batches.len()), row: 0, ..place });
            gathered.origins.push(place);
            gathered.batches.push(message);
        }
        Ok(())
    }

    /// The rows that give all steps around their values, by stream and way.
    fn choose(&self, tracks: &[Track], steps: &Steps) -> Vec<BTreeMap<Way, Choice>> {
        let mapping = &self.store.mapping;
        let of_stream = |(idx, track): (usize, &Track)| {
            let ways = mapping.streams[idx].ways.iter();
            let choose = |way: &Way| match &steps.clock_rows {
                Some(rows) if mapping.clock == Some(idx) => {
                    (*way, Choice::own(rows, steps.around.len(), steps.own.start))
                }
                _ => {
                    let rule = Rule::new(*way, self.recording.survey.measured_ns[idx]);
                    (*way, choose(&track.stamps, &steps.around, &steps.borders, rule))
                }
            };
            ways.map(choose).collect()
        };
        tracks.iter().enumerate().map(of_stream).collect()
    }

    fn fates(&self, tracks: &[Track], chosen: &[BTreeMap<Way, Choice>], steps: &Steps) -> Vec<Fate> {
        let mapping = &self.store.mapping;
        let of_stream = |(idx, track): (usize, &Track)| {
            let mut used = vec![false; track.stamps.len()];
            chosen[idx].values().flat_map(Choice::used).for_each(|row| used[row] = true);
            if let Some(rows) = steps.clock_rows.as_ref().filter(|_| mapping.clock == Some(idx)) {
                rows.iter().for_each(|row| used[*row as usize] = true);
            }
            let stream = &mapping.streams[idx];
            let judge = Judge {
                stream,
                measured_ns: self.recording.survey.measured_ns[idx],
                piece: self.piece,
                steps: &steps.around,
                borders: &steps.borders,
                pictured_from: self.recording.pictured_from[idx],
            };
            judge.fates(counted_id(stream.id), &track.stamps, &used)
        };
        tracks.iter().enumerate().map(of_stream).collect()
    }

    /// The rows of the steps; `None` when there are none.
    fn batch(
        &self,
        tracks: &[Track],
        chosen: &[BTreeMap<Way, Choice>],
        steps: &Steps,
        mut pictures: BTreeMap<usize, PictureColumn>,
        missing: &mut Missing,
    ) -> Result<Option<Batch>> {
        let own = &steps.around[steps.own.clone()];
        if own.is_empty() {
            return Ok(None);
        }
        let mapping = &self.store.mapping;
        let left_out = own.iter().enumerate().filter_map(|(step, time)| Some((step, self.skipped(*time)?)));
        left_out.for_each(|(step, reason)| missing.leave_out(step, reason));
        let first = i64::try_from(self.piece.steps.start).unwrap_or(i64::MAX);
        let numbers = Int64Array::from_iter_values((first..).take(own.len()));
        let mut columns: Vec<ArrayRef> = vec![Arc::new(numbers), Arc::new(Int64Array::from(own.to_vec()))];
        let mut pixels = Vec::new();
        for (idx, field) in mapping.fields.iter().enumerate() {
            if let Value::Pose(pose) = &field.value {
                columns.push(self.posed(field, pose, own, missing)?);
                continue;
            }
            let choices = choices_of(field, chosen, &steps.own);
            let picture = pictures.remove(&idx);
            let array = match &picture {
                Some(picture) => Arc::clone(&picture.array),
                None => column(field, mapping, tracks, &choices, own.len())
                    .map_err(|it| self.misfit(&it, field, own))?,
            };
            if picture.is_some() {
                self.judge_pictures(field, array.as_ref(), own, &choices, missing)?;
            }
            if array.null_count() != 0 {
                let absent = Absent::of(field, mapping, tracks, &choices, own.len());
                self.judge(field, array.as_ref(), own, &choices, absent.as_ref(), missing)?;
            }
            let of_pictures = picture.iter().flat_map(|it| it.pixels.iter().cloned());
            pixels.extend(of_pictures.map(|it| MediaShape { column: columns.len(), ..it }));
            for part in field.value.parts().iter().filter(|_| picture.is_none()) {
                if let Some(choice) = &choices[part.stream] {
                    let found = tracks[part.stream].pixels(part.column, &choice.rows);
                    pixels.extend(found.into_iter().map(|it| MediaShape { column: columns.len(), ..it }));
                }
            }
            let skew = field.skew.then(|| skews(field, &choices, array.as_ref()));
            let beside = companions(field, mapping, tracks, &choices)
                .map_err(|it| self.other_frame(it, field, own))?;
            columns.push(array);
            columns.extend(skew);
            columns.extend(beside);
        }
        if let Some(keep) = missing.kept() {
            let kept = |it: &ArrayRef| filter(it.as_ref(), &keep).expect("a filter of equal length");
            columns = columns.iter().map(kept).collect();
        }
        let rows = RecordBatch::try_new(schema_of(mapping), columns)
            .expect("columns follow the features of the mapping");
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        // A step is made of messages from all over the piece. Where a recording goes on in another file, the bytes
        // named are those of the first.
        let InputRange { input, byte_range } = self.partition.reads[0].clone();
        let span = RowSpan { input, n_rows: rows.num_rows() as u64, byte_range, first_record: 0 };
        Ok(Some(Batch { stream: STEPS, rows, spans: vec![span], pixels }))
    }

    /// Why the step of that time is left out of the episode that the piece is part of.
    pub(crate) fn skipped(&self, time_ns: i64) -> Option<&'static str> {
        let episode = self.piece.episode.and_then(|it| self.recording.episodes.get(it))?;
        skipped(&episode.skips, time_ns)
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
        let lacks = |it: &usize| is_beyond(field, choices, *it) && self.skipped(own[*it]).is_none();
        let n_beyond = (0..own.len()).filter(lacks).count() as u64;
        if n_beyond != 0 {
            *missing.beyond.entry(field.feature.name.clone()).or_default() += n_beyond;
        }
        settle_missing(field, array, absent, missing, |step, name| match name {
            Some(name) => self.lacking(field, own, step, name),
            None => self.missing(field, own, step),
        })
    }

    fn misfit(&self, misfit: &Misfit, field: &Field, own: &[i64]) -> Error {
        let at = own.get(misfit.idx).copied().unwrap_or_default();
        Error::new(ErrorKind::Corrupt, format!("{}, at {at} ns", misfit.message))
            .at(self.locus(field, misfit.idx))
            .with_hint(format!("give `fields.{}` another `type`, or none", field.feature.name))
    }

    fn other_frame(&self, other: OtherFrame, field: &Field, own: &[i64]) -> Error {
        let at = own.get(other.idx).copied().unwrap_or_default();
        Error::new(ErrorKind::SchemaMismatch, format!("{}, at {at} ns", other.message))
            .at(self.locus(field, other.idx))
            .with_hint(other.hint)
    }

    fn missing(&self, field: &Field, own: &[i64], idx: usize) -> Error {
        let measured_ns = |it: &Part| self.recording.survey.measured_ns[it.stream];
        let max_ns = |it: &Part| Rule::new(field.way, measured_ns(it)).max_ns();
        let reach = match field.value.parts().iter().map(max_ns).min() {
            Some(max_ns) if max_ns != i64::MAX => format!(" within {} ms", max_ns as f64 / 1e6),
            Some(_) | None => String::new(),
        };
        let message =
            format!("field `{}` has no value{reach} of the step at {} ns", field.feature.name, own[idx]);
        Error::new(ErrorKind::Corrupt, message)
            .at(self.locus(field, idx))
            .with_hint("a wider `tolerance_ms`, or `beyond: null` or `beyond: drop`, lets the run go on")
    }

    fn lacking(&self, field: &Field, own: &[i64], idx: usize, name: &str) -> Error {
        let feature = &field.feature.name;
        let message =
            format!("field `{feature}`: the message of the step at {} ns has no `{name}`", own[idx]);
        Error::new(ErrorKind::Corrupt, message)
            .at(self.locus(field, idx))
            .with_hint("`by_name: {names: […], absent: null}` or `absent: drop` lets the run go on")
    }

    pub(crate) fn locus(&self, field: &Field, idx: usize) -> Locus {
        let topic =
            field.value.parts().first().map(|it| self.store.mapping.streams[it.stream].name.to_string());
        let is_grid = matches!(self.spec.clock, Clock::Rate(_));
        Locus {
            path: self.store.source.plan().input_path(self.partition.reads[0].input),
            topic,
            episode_idx: Some(self.partition.episode as u64),
            step_idx: is_grid.then_some(self.piece.steps.start + idx as u64),
            feature: Some(field.feature.name.clone()),
            ..Locus::default()
        }
    }
}

/// By stream, what was chosen for some of the steps; of those alone that a field is made of.
fn choices_of(
    field: &Field,
    chosen: &[BTreeMap<Way, Choice>],
    steps: &std::ops::Range<usize>,
) -> Vec<Option<Choice>> {
    let mut choices = vec![None; chosen.len()];
    for Part { stream, .. } in field.value.parts() {
        if choices[*stream].is_none() {
            choices[*stream] = chosen[*stream].get(&field.way).map(|it| it.part(steps));
        }
    }
    choices
}

/// Whether a step has no message of one of the topics of a field in reach.
pub(crate) fn is_beyond(field: &Field, choices: &[Option<Choice>], step: usize) -> bool {
    let choice = |part: &Part| choices.get(part.stream).and_then(Option::as_ref);
    let mut choices = field.value.parts().iter().filter_map(choice);
    choices.any(|it| it.rows.get(step) == Some(&NO_ROW))
}

/// Decides what becomes of the steps without a value of a field. `refused` is the error of one that ends the run, by its position
/// and the name that its message lacks.
///
/// # Errors
/// The first of these.
pub(crate) fn settle_missing(
    field: &Field,
    array: &dyn Array,
    absent: Option<&Absent>,
    missing: &mut Missing,
    refused: impl Fn(usize, Option<&str>) -> Error,
) -> Result<()> {
    if field.beyond == Beyond::Null && absent.is_none() {
        return Ok(());
    }
    for step in (0..array.len()).filter(|it| array.is_null(*it)) {
        if missing.is_left_out(step) {
            continue;
        }
        let name = absent.and_then(|it| it.at(step));
        let (rule, reason) = match name {
            Some(_) => (field.absent, "absent_name"),
            None => (field.beyond, "beyond_tolerance"),
        };
        match rule {
            Beyond::Null => {}
            Beyond::Drop => missing.leave_out(step, reason),
            Beyond::Fail => return Err(refused(step, name)),
        }
    }
    if let Some(absent) = absent {
        absent.count(&field.feature.name, &mut missing.absent);
    }
    Ok(())
}

/// Messages of one stream before they are put in order.
struct Gathered {
    /// All messages from here …
    first: i64,
    /// … to here are there.
    last: i64,
    batches: Vec<Arc<crate::track::Messages>>,
    places: Vec<Place>,
    /// By batch, where its first row stands in its partition.
    origins: Vec<Place>,
}

impl Gathered {
    fn track(&self) -> Track {
        Track::new(self.batches.clone(), self.places.clone()).with_origins(self.origins.clone())
    }

    fn into_track(self) -> Track {
        Track::new(self.batches, self.places).with_origins(self.origins)
    }
}

impl Choice {
    /// Every step takes the row it is.
    fn own(rows: &[u32], n_around: usize, start: usize) -> Self {
        let mut all = vec![NO_ROW; n_around];
        all[start..start + rows.len()].copy_from_slice(rows);
        Self { after: all.clone(), rows: all, weights: vec![0.0; n_around], skew_ns: vec![0; n_around] }
    }

    /// What was chosen for some of the steps.
    pub(crate) fn part(&self, steps: &std::ops::Range<usize>) -> Self {
        Self {
            rows: self.rows[steps.clone()].to_vec(),
            after: self.after.get(steps.clone()).unwrap_or_default().to_vec(),
            weights: self.weights.get(steps.clone()).unwrap_or_default().to_vec(),
            skew_ns: self.skew_ns[steps.clone()].to_vec(),
        }
    }
}

/// The number under which the source's streams are counted: after that of the steps.
pub(crate) fn counted_id(id: StreamId) -> StreamId {
    StreamId(id.0.saturating_add(1))
}

pub(crate) fn schema_of(mapping: &Mapping) -> SchemaRef {
    Arc::new(Schema::new(mapping.features.iter().map(Feature::arrow_field).collect::<Vec<_>>()))
}

fn number(idx: usize) -> u32 {
    u32::try_from(idx).expect("a piece is far smaller")
}
