use std::sync::Arc;

use nodedata_core::{
    EpisodeInfo, EpisodeStream, Error, ErrorKind, Finding, ReadOptions, Result, Source, SourcePlan,
    StreamKind, StreamSchema, placed::Mistake, suggest,
};

use crate::{
    Cut, EpisodeSpec, StepSpec, Trim, Unfit,
    companions::look_at_frames,
    episodes::{
        Chooser, ChosenSource, DescribedSource, FilteredSource, Rules, TopicColumns, joined, none_left,
    },
    mapping::{Companions, Mapping, has_rows},
    named::NamesMet,
    pace,
    pictures::look_at_videos,
    piece::{STEPS, counted_id},
    plan::PIECE_BYTES,
    planned::Planned,
    pose,
    reading::{Kept, Part, Shared},
    resampled,
    store::Store,
    transform::{self, CodedField},
};

/// The steps of a log, and with `streams: keep` its topics, too.
///
/// Its first stream is `steps`. A piece of an episode cannot know how many steps earlier pieces leave out, or how
/// many messages a clock topic had in them: `step_index` counts on a grid, otherwise from each batch, and whoever
/// joins the batches of an episode numbers them.
pub struct AlignedSource {
    shared: Arc<Shared>,
    plan: SourcePlan,
}

/// All mistakes of a specification for a source that hands out messages, steps or samples.
pub fn mistakes(spec: &StepSpec, streams: &[StreamSchema]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if has_rows(streams) {
        mistakes.extend(transform::step_mistakes(&spec.transform, streams));
    }
    match step_features(spec, streams) {
        Ok(features) if !has_rows(streams) => {
            let steps = StreamSchema { features, ..steps_stream() };
            mistakes.extend(transform::step_mistakes(&spec.transform, &[steps]));
        }
        Ok(_) => {}
        Err(found) => mistakes.extend(found),
    }
    mistakes
}

/// The features of a step, built-in ones first, as a specification makes them of a source.
///
/// # Errors
/// All mistakes.
pub fn step_features(
    spec: &StepSpec,
    streams: &[StreamSchema],
) -> Result<Vec<nodedata_core::Feature>, Vec<Mistake>> {
    let (features, companions) = match has_rows(streams) {
        true => (resampled::features(spec, streams)?, Companions::new()),
        false => {
            let Mapping { features, companions, .. } = Mapping::compile(spec, streams)?;
            (features, companions)
        }
    };
    transform::fitted(&spec.fields, features, &companions)
}

/// A source of steps: messages are aligned, the rows of a source of steps are brought to another clock where one is asked for,
/// and those of steps or samples are selected, joined and cast; then all are transformed.
///
/// # Errors
/// As [`AlignedSource::new`].
pub fn normalized(inner: Box<dyn Source>, spec: &StepSpec) -> Result<Box<dyn Source>, Unfit> {
    let (source, coded) = match has_rows(&inner.plan().streams) {
        true => rows(inner, spec)?,
        false => with_transforms(AlignedSource::new(inner, spec.clone())?, spec)?,
    };
    transform::coded_over(source, coded, spec)
}

/// Rows that are there already, with the transforms of their fields over them, and the fields that become video.
fn rows(inner: Box<dyn Source>, spec: &StepSpec) -> Result<(Box<dyn Source>, Vec<CodedField>), Unfit> {
    let all = vec![true; inner.plan().partitions.len()];
    let inner = transform::under_selection(inner, &spec.transform, &all)?;
    let steps = resampled::on_clock(inner, spec)?;
    transform::over_steps(steps, spec, all, &Companions::new())
}

/// The episodes of a source, with `steps` as [`normalized`] makes them: some are left out, others are told more of.
///
/// # Errors
/// As [`normalized`], and all mistakes of `episodes`; `Config` where no episode is left.
pub fn with_episodes(
    inner: Box<dyn Source>,
    steps: Option<&StepSpec>,
    episodes: &EpisodeSpec,
) -> Result<Box<dyn Source>, Unfit> {
    let aligns = steps.filter(|_| !has_rows(&inner.plan().streams));
    let topics = TopicColumns::resolve(episodes, aligns, &inner.plan().streams).map_err(Unfit::Mistakes)?;
    let ((source, coded), topics, is_cut) = match (steps, aligns) {
        (_, Some(steps)) => {
            let aligned = AlignedSource::of_episodes(inner, steps.clone(), episodes)?;
            (with_transforms(aligned, steps)?, Vec::new(), steps.episodes != Cut::Whole)
        }
        (steps, None) => {
            refuse_trim(&inner.plan().streams, episodes)?;
            let inner = joined(inner, episodes.join.as_ref())?;
            let chosen = match episodes.chooses() {
                true => Box::new(ChosenSource::new(inner, &mut Chooser::new(episodes))?),
                false => inner,
            };
            let source = match steps {
                Some(steps) => rows(chosen, steps)?,
                None => (chosen, Vec::new()),
            };
            (source, topics, false)
        }
    };
    let source = match episodes.drop_steps.as_slice() {
        [] => source,
        drops => Box::new(FilteredSource::new(source, drops)?),
    };
    let source = match steps {
        Some(steps) => transform::coded_over(source, coded, steps)?,
        None => source,
    };
    if episodes.metadata.is_empty() && episodes.columns.is_empty() {
        return Ok(source);
    }
    Ok(Box::new(DescribedSource::new(source, episodes, &topics, is_cut)?))
}

/// Refuses to leave out steps by time of what is not made of messages.
fn refuse_trim(streams: &[StreamSchema], episodes: &EpisodeSpec) -> Result<(), Unfit> {
    if episodes.trim == Trim::default() {
        return Ok(());
    }
    let (message, hint) = match streams.first().map(|it| it.kind) {
        Some(StreamKind::Messages) | None => {
            ("topics have no steps that could be left out", "add `steps: {clock: {rate_hz: 30}}`")
        }
        Some(StreamKind::Steps | StreamKind::Samples) => (
            "only steps that are made of the messages of a log are trimmed",
            "remove it: the source says itself which its steps are",
        ),
    };
    Err(Unfit::Mistakes(vec![Mistake::new("episodes.trim", message).with_hint(hint)]))
}

fn with_transforms(
    aligned: AlignedSource,
    spec: &StepSpec,
) -> Result<(Box<dyn Source>, Vec<CodedField>), Unfit> {
    let makes_steps = aligned.makes_steps();
    let companions = aligned.shared.store.mapping.companions.clone();
    let steps = transform::under_selection(Box::new(aligned), &spec.transform, &makes_steps)?;
    transform::over_steps(steps, spec, makes_steps, &companions)
}

impl AlignedSource {
    /// Plans the steps of a source of messages: metadata and a few samples are read; markers and gaps need the
    /// messages of their topic, and so does a name that no sample holds.
    ///
    /// # Errors
    /// All mistakes of the specification; `Config` for a grid finer than every topic, or when it finds no episode; `Empty`
    /// for a range of time without a message; `Limit` for an episode of more steps than can be meant; what reading the
    /// source reports.
    pub fn new(inner: Box<dyn Source>, spec: StepSpec) -> Result<Self, Unfit> {
        Self::of_episodes(inner, spec, &EpisodeSpec::default())
    }

    /// As [`Self::new`], without the episodes that `episodes` leaves out.
    ///
    /// # Errors
    /// As [`Self::new`], and the mistakes of `episodes`; `Config` where no episode is left.
    pub fn of_episodes(
        inner: Box<dyn Source>,
        spec: StepSpec,
        episodes: &EpisodeSpec,
    ) -> Result<Self, Unfit> {
        let aligned = Self::planned(inner, spec, episodes, PIECE_BYTES)?;
        let shared = &aligned.shared;
        crate::idle_ranges::refuse(&shared.spec, &shared.recordings, shared.store.source.plan())?;
        Ok(aligned)
    }

    /// As [`Self::new`], in pieces of about `piece_bytes`. They decide no value.
    #[cfg(test)]
    pub(crate) fn in_pieces(inner: Box<dyn Source>, spec: StepSpec, piece_bytes: u64) -> Result<Self, Unfit> {
        Self::planned(inner, spec, &EpisodeSpec::default(), piece_bytes)
    }

    pub(crate) fn planned(
        inner: Box<dyn Source>,
        spec: StepSpec,
        of_episodes: &EpisodeSpec,
        piece_bytes: u64,
    ) -> Result<Self, Unfit> {
        let inner = joined(inner, of_episodes.join.as_ref())?;
        let mapping = Mapping::compile(&spec, &inner.plan().streams).map_err(Unfit::Mistakes)?;
        let mut rules = Rules::new(of_episodes, &spec, &inner.plan().streams).map_err(Unfit::Mistakes)?;
        let mut unknown = unknown_recordings(&spec, &inner.plan().episodes);
        if spec.keep_streams && of_episodes.leaves_out() {
            let message = "topic tables are kept of whole recordings only, but episodes are left out";
            unknown.push(
                Mistake::new("streams", message)
                    .with_hint("convert the topics without `steps` into a dataset of their own"),
            );
        }
        if !unknown.is_empty() {
            return Err(Unfit::Mistakes(unknown));
        }
        let mut store = Store::new(inner, mapping);
        store.looked = look_at_videos(&mut store)?;
        let mut planned = Planned::new(NamesMet::new(&store.mapping));
        for episode in 0..store.source.plan().episodes.len() {
            planned.recording(&store, &spec, &mut rules, episode, piece_bytes)?;
        }
        let found = rules.mistakes();
        if !found.is_empty() {
            return Err(Unfit::Mistakes(found));
        }
        if planned.episodes.is_empty() && rules.n_left_out != 0 {
            return Err(none_left(rules.n_left_out).into());
        }
        if planned.episodes.is_empty() && !store.source.plan().episodes.is_empty() {
            crate::idle_ranges::refuse(&spec, &planned.recordings, store.source.plan())?;
            return Err(none_found(&spec.episodes).into());
        }
        planned.names.read_on(&store, &planned.recordings)?;
        let unknown = planned.names.mistakes(&spec, &store.mapping);
        // Of an input without any recording nothing is known.
        if !unknown.is_empty() && !planned.recordings.is_empty() {
            return Err(Unfit::Mistakes(unknown));
        }
        let unknown = pose::mistakes(&store, &spec, &planned.recordings)?;
        if !unknown.is_empty() {
            return Err(Unfit::Mistakes(unknown));
        }
        pace::refuse_finer(&store, &spec, &planned.recordings)?;
        look_at_frames(&mut store, &planned.recordings)?;
        planned.count_uses(&store);
        let inner = store.source.plan();
        let (mapping, keeps) = (&store.mapping, spec.keep_streams);
        let counted = match keeps {
            true => Vec::new(),
            false => inner.streams.iter().map(|it| Arc::clone(&it.name)).collect(),
        };
        let mut findings: Vec<Finding> =
            inner.findings.iter().map(|it| as_read(it, inner, mapping, keeps)).collect();
        findings.extend(planned.cut.warnings(&spec.episodes));
        findings.extend(store.looked.findings.iter().cloned());
        let mut plan = SourcePlan {
            streams: streams(&inner.streams, mapping, &spec),
            counted,
            unselected: unselected(inner, mapping, &rules, keeps),
            attachments: planned.attachments(&inner.attachments),
            findings,
            videos: Vec::new(),
            ..inner.clone()
        };
        let Planned { recordings, parts, partitions, episodes, .. } = planned;
        plan.partitions = partitions;
        plan.episodes = episodes;
        Ok(Self { shared: Arc::new(Shared { store, spec, recordings, parts }), plan })
    }
}

/// Why there is no episode at all.
fn none_found(cut: &Cut) -> Error {
    let hint = match cut {
        Cut::Marker(_) => "no marker has a value of `episodes.start`: `node-data inspect` shows the topic",
        Cut::Change(_) => "the field of `episodes.field` has no value but those of `episodes.without`",
        Cut::Gap { .. } => "the topics listened to have no messages",
        Cut::Ranges(_) => "`episodes.ranges` names none",
        Cut::Whole => "the source holds none",
    };
    Error::new(ErrorKind::Config, "no episode was found").with_hint(hint)
}

impl AlignedSource {
    /// By partition, whether steps may come of it: not of topics that are kept, nor of the time between episodes.
    pub(crate) fn makes_steps(&self) -> Vec<bool> {
        let makes = |it: &Part| matches!(it, Part::Piece(piece, _) if piece.episode.is_some());
        self.shared.parts.iter().map(makes).collect()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// Ranges of recordings that are not there.
fn unknown_recordings(spec: &StepSpec, episodes: &[EpisodeInfo]) -> Vec<Mistake> {
    let Cut::Ranges(ranges) = &spec.episodes else { return Vec::new() };
    let unknown = ranges.iter().enumerate().filter_map(|(idx, range)| {
        let key = range.recording.as_ref().filter(|key| episodes.iter().all(|it| it.key != **key))?;
        let keys = episodes.iter().map(|it| it.key.as_str());
        let mistake =
            Mistake::new(format!("episodes.ranges[{idx}]"), format!("there is no recording `{key}`"));
        Some(mistake.with_hint(suggest(key, keys)))
    });
    unknown.collect()
}

fn streams(of_source: &[StreamSchema], mapping: &Mapping, spec: &StepSpec) -> Vec<StreamSchema> {
    let steps = StreamSchema { features: mapping.features.clone(), ..steps_stream() };
    let kept = of_source.iter().filter(|_| spec.keep_streams);
    let kept = kept.map(|it| StreamSchema { id: counted_id(it.id), ..it.clone() });
    std::iter::once(steps).chain(kept).collect()
}

/// The stream of the steps that messages become, without its features.
fn steps_stream() -> StreamSchema {
    StreamSchema {
        id: STEPS,
        name: nodedata_core::STEPS.into(),
        kind: StreamKind::Steps,
        features: Vec::new(),
        metadata: Default::default(),
    }
}

/// A finding of the source, without the records of streams that nobody reads: they lose nothing.
fn as_read(finding: &Finding, source: &SourcePlan, mapping: &Mapping, keeps: bool) -> Finding {
    let is_read = |name: &String| {
        let stream = source.streams.iter().find(|it| *it.name == **name);
        keeps || stream.is_some_and(|stream| mapping.streams.iter().any(|it| it.id == stream.id))
    };
    let mut finding = finding.clone();
    finding.records.retain(|name, _| is_read(name));
    finding
}

fn unselected(source: &SourcePlan, mapping: &Mapping, rules: &Rules<'_>, keeps: bool) -> Vec<String> {
    let is_read = |it: &&StreamSchema| {
        keeps
            || mapping.streams.iter().any(|mapped| mapped.id == it.id)
            || mapping.marker.is_some_and(|marker| marker.id == it.id)
            || rules.reads(it.id)
    };
    let mut names = source.unselected.clone();
    names.extend(source.streams.iter().filter(|it| !is_read(it)).map(|it| it.name.to_string()));
    names.sort_unstable();
    names
}

impl Source for AlignedSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let shared = &self.shared;
        match shared.parts.get(partition) {
            Some(Part::Piece(piece, read)) => {
                let partition = &self.plan.partitions[partition];
                Ok(Box::new(shared.piece(piece, read, partition)?))
            }
            Some(Part::LeftOut(number, reason)) => Ok(Box::new(shared.left_out(*number, reason)?)),
            Some(Part::Kept(number)) => {
                let inner = shared.store.source.read(*number, options)?;
                Ok(Box::new(Kept::new(inner, Arc::clone(shared))))
            }
            None => {
                let message =
                    format!("partition {partition} was asked for, but there are {}", shared.parts.len());
                Err(Error::new(ErrorKind::Config, message))
            }
        }
    }
}
