use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray, types::Int64Type};
use arrow_schema::SchemaRef;
use nodedata_core::{
    Batch, EpisodeStream, EpisodeVideo, Error, ErrorKind, Fate, Feature, Locus, ReadOptions, Result,
    STEP_INDEX, Source, SourcePlan, StreamId, StreamKind, StreamSchema, placed::Mistake,
};

use crate::{
    Align, Beyond, Clock, Cut, StepSpec, TimeSource, Unfit,
    absent::{Absent, Missing},
    align::Choice,
    cast::Misfit,
    mapping::{Field, MappedStream, Mapping, Reach, Way},
    named::NamesMet,
    piece::schema_of,
    resampled,
    stamp::Stamp,
    track::{Messages, Place, Track},
    values::column,
};

/// The rows of a source whose rows are steps already, or samples: selected, joined, renamed and cast.
pub(crate) struct SelectedSource {
    inner: Box<dyn Source>,
    shared: Arc<Shared>,
    plan: SourcePlan,
}

struct Shared {
    mapping: Mapping,
    /// Columns of the source that stay in front: the built-in ones it has.
    built_in: Vec<usize>,
    schema: SchemaRef,
}

/// The features of a step.
pub(crate) fn features(spec: &StepSpec, streams: &[StreamSchema]) -> Result<Vec<Feature>, Vec<Mistake>> {
    Shared::new(spec, streams).map(|it| it.mapping.features)
}

impl SelectedSource {
    /// # Errors
    /// All mistakes; what reading reports, where names are wanted that the first rows do not hold.
    pub(crate) fn new(inner: Box<dyn Source>, spec: &StepSpec) -> Result<Self, Unfit> {
        let of_source = inner.plan();
        let shared = Shared::new(spec, &of_source.streams).map_err(Unfit::Mistakes)?;
        let mut names = NamesMet::new(&shared.mapping);
        names.read_steps(inner.as_ref(), &shared.mapping)?;
        let unknown = names.mistakes(spec, &shared.mapping);
        if !unknown.is_empty() && !of_source.partitions.is_empty() {
            return Err(Unfit::Mistakes(unknown));
        }
        let selected =
            |it: &StreamSchema| StreamSchema { features: shared.mapping.features.clone(), ..it.clone() };
        let plan = SourcePlan {
            streams: of_source.streams.iter().map(selected).collect(),
            videos: shared.videos(of_source),
            ..of_source.clone()
        };
        Ok(Self { plan, shared: Arc::new(shared), inner })
    }
}

impl Shared {
    fn new(spec: &StepSpec, streams: &[StreamSchema]) -> Result<Self, Vec<Mistake>> {
        let kind = streams.first().map_or(StreamKind::Steps, |it| it.kind);
        let of_stream =
            |it: &StreamSchema| resampled::without_meaning(spec, it, resampled::beat(spec, streams));
        let mut mistakes = streams.first().map(of_stream).unwrap_or_default();
        let spec = StepSpec { align: Align::Nearest, skew: false, ..of_rows(spec) };
        let mut mapping = Mapping::compile_steps(&spec, streams).map_err(|found| {
            let mut all = std::mem::take(&mut mistakes);
            all.extend(found);
            all
        })?;
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let features = streams.first().map(|it| it.features.as_slice()).unwrap_or_default();
        let built_in: Vec<usize> =
            (0..features.len()).filter(|it| kind.has_built_in(&features[*it].name)).collect();
        let own = mapping.features.split_off(2);
        mapping.features = built_in.iter().map(|it| features[*it].clone()).chain(own).collect();
        let schema = schema_of(&mapping);
        Ok(Self { mapping, built_in, schema })
    }

    fn rows(&self, batch: &Batch, missing: &mut Missing) -> Result<RecordBatch, (usize, Error)> {
        let rows = &batch.rows;
        let n_rows = rows.num_rows();
        let mut columns: Vec<ArrayRef> =
            self.built_in.iter().map(|it| Arc::clone(rows.column(*it))).collect();
        let tracks: Vec<Track> = self.mapping.streams.iter().map(|it| track(it, rows)).collect();
        let every: Vec<u32> = (0u32..).take(n_rows).collect();
        let own = Choice { rows: every, skew_ns: vec![0; n_rows], ..Choice::default() };
        let choices = vec![Some(own); tracks.len()];
        for field in &self.mapping.fields {
            let array = column(field, &self.mapping, &tracks, &choices, n_rows).map_err(|it| {
                let hint = format!("give `fields.{}` another `type`, or none", field.feature.name);
                (it.idx, refusal(field, it, hint))
            })?;
            if array.null_count() != 0 {
                let absent = Absent::of(field, &self.mapping, &tracks, &choices, n_rows);
                judge(field, array.as_ref(), absent.as_ref(), missing).map_err(|it| {
                    let hint = "`beyond: null` and `absent: null` let the run go on".to_owned();
                    (it.idx, refusal(field, it, hint))
                })?;
            }
            columns.push(array);
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns).expect("columns follow the features"))
    }

    /// The coded video behind the fields that take a whole column of it.
    fn videos(&self, source: &SourcePlan) -> Vec<EpisodeVideo> {
        let mut videos = Vec::new();
        for field in &self.mapping.fields {
            let [part] = field.value.parts() else { continue };
            let stream = &self.mapping.streams[part.stream];
            let name = &source.streams[stream.id.0 as usize].features[stream.columns[part.column]].name;
            let own = source.videos.iter().filter(|it| it.stream == stream.id && it.feature == *name);
            videos.extend(own.map(|it| EpisodeVideo { feature: field.feature.name.clone(), ..it.clone() }));
        }
        videos
    }

    fn pixels(&self, batch: &Batch) -> Vec<nodedata_core::MediaShape> {
        let mut pixels = Vec::new();
        for (idx, field) in self.mapping.fields.iter().enumerate() {
            for part in field.value.parts() {
                let source = self.mapping.streams[part.stream].columns[part.column];
                let found = batch.pixels.iter().filter(|it| it.column == source);
                pixels.extend(
                    found.map(|it| nodedata_core::MediaShape {
                        column: self.built_in.len() + idx,
                        ..it.clone()
                    }),
                );
            }
        }
        pixels
    }
}

/// Holds the rows without a value against what is to become of them.
fn judge(
    field: &Field,
    array: &dyn Array,
    absent: Option<&Absent>,
    missing: &mut Missing,
) -> Result<(), Misfit> {
    for idx in (0..array.len()).filter(|it| array.is_null(*it)) {
        let (rule, message) = match absent.and_then(|it| it.at(idx)) {
            Some(name) => (field.absent, format!("the row has no `{name}`")),
            None => (field.beyond, "the row has no value".to_owned()),
        };
        if rule == Beyond::Fail {
            return Err(Misfit { idx, message });
        }
    }
    if let Some(absent) = absent {
        absent.count(&field.feature.name, &mut missing.absent);
    }
    Ok(())
}

fn refusal(field: &Field, misfit: Misfit, hint: String) -> Error {
    Error::new(ErrorKind::Corrupt, misfit.message).at(Locus::feature(&field.feature.name)).with_hint(hint)
}

/// Every step takes the row it is, or is made of rows, whatever the specification says of logs.
pub(crate) fn of_rows(spec: &StepSpec) -> StepSpec {
    StepSpec {
        clock: Clock::Own,
        topic_times: Vec::new(),
        time: TimeSource::LogTime,
        episodes: Cut::Whole,
        keep_streams: false,
        hold_across: false,
        ..spec.clone()
    }
}

/// All rows of a batch, in their order.
fn track(stream: &MappedStream, rows: &RecordBatch) -> Track {
    let kept = rows.project(&stream.columns).expect("the columns are those of the stream");
    let places = (0u32..).zip(0i64..).take(rows.num_rows());
    let places = places.map(|(row, stamp)| Place { stamp, partition: 0, batch: 0, row });
    Track::new(
        vec![Arc::new(Messages { rows: kept, pixels: Vec::new(), spans: Vec::new() })],
        places.collect(),
    )
}

impl Mapping {
    /// Checks fields against a stream of rows that need no times to align by.
    fn compile_steps(spec: &StepSpec, streams: &[StreamSchema]) -> Result<Self, Vec<Mistake>> {
        let clock = Stamp::LogTime(0);
        let mut mapping = Self::compile_with(spec, streams, Some(clock))?;
        for field in &mut mapping.fields {
            field.way = Way { align: Align::Nearest, reach: Reach::Endless, crosses: false };
        }
        Ok(mapping)
    }
}

impl Source for SelectedSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let inner = self.inner.read(partition, options)?;
        let told = &self.plan.partitions[partition];
        let path = told.reads.first().and_then(|it| self.plan.input_path(it.input));
        let (shared, episode) = (Arc::clone(&self.shared), told.episode as u64);
        Ok(Box::new(SelectedRows {
            inner,
            shared,
            path,
            episode,
            absent: BTreeMap::new(),
            fates: Vec::new(),
        }))
    }
}

struct SelectedRows {
    inner: Box<dyn EpisodeStream>,
    shared: Arc<Shared>,
    path: Option<PathBuf>,
    episode: u64,
    /// How many rows lack a name, by field and name.
    absent: BTreeMap<String, u64>,
    /// What the source says, and the above.
    fates: Vec<Fate>,
}

impl EpisodeStream for SelectedRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let next = self.inner.next_batch();
        self.fates = self.inner.fates().to_vec();
        if !self.absent.is_empty() {
            self.fates.push(Fate { absent: self.absent.clone(), ..Fate::new(StreamId(0)) });
        }
        let Some(batch) = next? else { return Ok(None) };
        let mut missing = Missing::new(batch.stream, batch.rows.num_rows());
        let step_of = |row: usize| {
            let steps = batch.rows.column_by_name(STEP_INDEX)?.as_primitive_opt::<Int64Type>()?;
            u64::try_from(steps.value(row)).ok()
        };
        let locus = |row: usize| Locus {
            path: self.path.clone(),
            episode_idx: Some(self.episode),
            step_idx: step_of(row),
            ..Locus::default()
        };
        let rows = self.shared.rows(&batch, &mut missing).map_err(|(idx, err)| err.at(locus(idx)))?;
        for (name, n) in missing.absent {
            *self.absent.entry(name).or_default() += n;
        }
        let pixels = self.shared.pixels(&batch);
        Ok(Some(Batch { rows, pixels, ..batch }))
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        self.inner.records_read()
    }

    fn fates(&self) -> &[Fate] {
        &self.fates
    }

    fn below(&self) -> Option<&dyn EpisodeStream> {
        Some(self.inner.as_ref())
    }
}
