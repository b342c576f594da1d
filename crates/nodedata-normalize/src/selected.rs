use std::{path::PathBuf, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use nodedata_core::{
    Batch, EpisodeFacts, EpisodeStream, EpisodeVideo, Error, ErrorKind, Fate, Feature, InputRange, Locus,
    ReadOptions, Result, STEP_INDEX, Source, SourcePlan, StreamId, StreamSchema, TIMESTAMP_NS,
    placed::{Mistake, mistakes_to_error},
};

use crate::{
    Align, Clock, Cut, StepSpec,
    align::Choice,
    cast::Misfit,
    mapping::{MappedStream, Mapping, Way},
    piece::schema_of,
    stamp::Stamp,
    track::{Messages, Place, Track},
    values::column,
};

/// The steps of a source whose steps are there already: selected, joined, renamed and cast.
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

/// What a specification says wrongly of a source of steps.
pub(crate) fn mistakes(spec: &StepSpec, streams: &[StreamSchema]) -> Vec<Mistake> {
    Shared::new(spec, streams).err().unwrap_or_default()
}

/// The features of a step.
pub(crate) fn features(spec: &StepSpec, streams: &[StreamSchema]) -> Result<Vec<Feature>, Vec<Mistake>> {
    Shared::new(spec, streams).map(|it| it.mapping.features)
}

impl SelectedSource {
    /// # Errors
    /// `Config` with all mistakes.
    pub(crate) fn new(inner: Box<dyn Source>, spec: &StepSpec) -> Result<Self> {
        let of_source = inner.plan();
        let shared = Shared::new(spec, &of_source.streams).map_err(|it| mistakes_to_error(&it, None))?;
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
        let mut mistakes = Vec::new();
        if spec.episodes != Cut::Whole {
            mistakes.push(Mistake::new(
                "episodes.by",
                "the source has episodes of its own, which are not cut again",
            ));
        }
        if let Clock::Topic(_) = spec.clock {
            mistakes.push(Mistake::new(
                "steps.clock",
                "the source has steps already, so there is no clock to choose",
            ));
        }
        if spec.fields.iter().any(|it| !matches!(it.align, None | Some(Align::Nearest | Align::Hold))) {
            mistakes.push(Mistake::new("fields", "the steps of the source are not interpolated"));
        }
        // Every step takes the row it is, whatever the specification says of logs.
        let spec = StepSpec {
            align: Align::Nearest,
            topic_times: Vec::new(),
            time: crate::TimeSource::LogTime,
            skew: false,
            episodes: Cut::Whole,
            keep_streams: false,
            ..spec.clone()
        };
        let mut mapping = Mapping::compile_steps(&spec, streams).map_err(|found| {
            let mut all = std::mem::take(&mut mistakes);
            all.extend(found);
            all
        })?;
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let is_built_in = |it: &Feature| matches!(it.name.as_str(), STEP_INDEX | TIMESTAMP_NS);
        let features = streams.first().map(|it| it.features.as_slice()).unwrap_or_default();
        let built_in: Vec<usize> = (0..features.len()).filter(|it| is_built_in(&features[*it])).collect();
        let own = mapping.features.split_off(2);
        mapping.features = built_in.iter().map(|it| features[*it].clone()).chain(own).collect();
        let schema = schema_of(&mapping);
        Ok(Self { mapping, built_in, schema })
    }

    fn rows(&self, batch: &Batch) -> Result<RecordBatch, (usize, Misfit)> {
        let rows = &batch.rows;
        let n_rows = rows.num_rows();
        let mut columns: Vec<ArrayRef> =
            self.built_in.iter().map(|it| Arc::clone(rows.column(*it))).collect();
        let tracks: Vec<Track> = self.mapping.streams.iter().map(|it| track(it, rows)).collect();
        let every: Vec<u32> = (0u32..).take(n_rows).collect();
        let own = Choice { rows: every, skew_ns: vec![0; n_rows], ..Choice::default() };
        let choices = vec![Some(own); tracks.len()];
        for (idx, field) in self.mapping.fields.iter().enumerate() {
            columns.push(column(field, &self.mapping, &tracks, &choices, n_rows).map_err(|it| (idx, it))?);
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

    fn pixels(&self, batch: &Batch) -> Vec<nodedata_core::PixelShape> {
        let mut pixels = Vec::new();
        for (idx, field) in self.mapping.fields.iter().enumerate() {
            for part in field.value.parts() {
                let source = self.mapping.streams[part.stream].columns[part.column];
                let found = batch.pixels.iter().filter(|it| it.column == source);
                pixels.extend(
                    found.map(|it| nodedata_core::PixelShape {
                        column: self.built_in.len() + idx,
                        ..it.clone()
                    }),
                );
            }
        }
        pixels
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
    /// Checks fields against a stream of steps, which has no times to align by.
    fn compile_steps(spec: &StepSpec, streams: &[StreamSchema]) -> Result<Self, Vec<Mistake>> {
        let clock = Stamp::LogTime(0);
        let mut mapping = Self::compile_with(spec, streams, Some(clock))?;
        for field in &mut mapping.fields {
            field.way = Way { align: Align::Nearest, max_ns: None };
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
        let start = self.plan.partitions[partition].reads.first();
        let path = start.and_then(|it| self.plan.input_path(it.input));
        Ok(Box::new(SelectedRows { inner, shared: Arc::clone(&self.shared), path }))
    }
}

struct SelectedRows {
    inner: Box<dyn EpisodeStream>,
    shared: Arc<Shared>,
    path: Option<PathBuf>,
}

impl EpisodeStream for SelectedRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Some(batch) = self.inner.next_batch()? else { return Ok(None) };
        let rows = self.shared.rows(&batch).map_err(|(field, misfit)| {
            let feature = &self.shared.mapping.fields[field].feature.name;
            Error::new(ErrorKind::Corrupt, misfit.message)
                .at(Locus {
                    path: self.path.clone(),
                    step_idx: Some(misfit.idx as u64),
                    ..Locus::feature(feature)
                })
                .with_hint(format!("give `fields.{feature}` another `type`, or none"))
        })?;
        let pixels = self.shared.pixels(&batch);
        Ok(Some(Batch { rows, pixels, ..batch }))
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        self.inner.records_read()
    }

    fn fates(&self) -> &[Fate] {
        self.inner.fates()
    }

    fn facts(&self) -> Option<&EpisodeFacts> {
        self.inner.facts()
    }

    fn looked_at(&self) -> &[InputRange] {
        self.inner.looked_at()
    }
}
