use std::sync::Arc;

use nodedata_core::{
    Attachment, EpisodeInfo, EpisodeStream, Error, ErrorKind, InputFile, Partition, ReadOptions, Result,
    Source, StreamClock, StreamSchema,
    placed::{Mistake, mistakes_to_error},
    suggest,
};

use crate::{
    Cut, StepSpec,
    mapping::{Mapping, has_steps},
    piece::{STEPS, counted_id},
    plan::PIECE_BYTES,
    planned::Planned,
    reading::{Kept, Part, Shared, retold},
    store::Store,
};

/// The steps of a log, and with `streams: keep` its topics, too.
///
/// Its first stream is `steps`. A piece of an episode cannot know how many steps earlier pieces leave out, or how
/// many messages a clock topic had in them: `step_index` counts on a grid, otherwise from each batch, and whoever
/// joins the batches of an episode numbers them.
pub struct AlignedSource {
    shared: Arc<Shared>,
    streams: Vec<StreamSchema>,
    counted: Vec<Arc<str>>,
    episodes: Vec<EpisodeInfo>,
    partitions: Vec<Partition>,
    damage: Vec<Error>,
    unselected: Vec<String>,
    attachments: Vec<Attachment>,
}

/// All mistakes of a specification for a source that hands out messages or steps.
pub fn mistakes(spec: &StepSpec, streams: &[StreamSchema]) -> Vec<Mistake> {
    if has_steps(streams) {
        return crate::selected::mistakes(spec, streams);
    }
    Mapping::compile(spec, streams).err().unwrap_or_default()
}

/// The features of a step, built-in ones first, as a specification makes them of a source.
///
/// # Errors
/// All mistakes.
pub fn step_features(
    spec: &StepSpec,
    streams: &[StreamSchema],
) -> Result<Vec<nodedata_core::Feature>, Vec<Mistake>> {
    if has_steps(streams) {
        return crate::selected::features(spec, streams);
    }
    Mapping::compile(spec, streams).map(|it| it.features)
}

/// A source of steps: messages are aligned, the steps of a step source are selected, joined and cast.
///
/// # Errors
/// As [`AlignedSource::new`].
pub fn normalized(inner: Box<dyn Source>, spec: StepSpec) -> Result<Box<dyn Source>> {
    if has_steps(inner.streams()) {
        return Ok(Box::new(crate::selected::SelectedSource::new(inner, &spec)?));
    }
    Ok(Box::new(AlignedSource::new(inner, spec)?))
}

impl AlignedSource {
    /// Plans the steps of a source of messages: metadata and a few samples are read; markers and gaps need the
    /// messages of their topic.
    ///
    /// # Errors
    /// `Config` with all mistakes of the specification, or when it finds no episode; `Limit` for an episode of
    /// more steps than can be meant; what reading the source reports.
    pub fn new(inner: Box<dyn Source>, spec: StepSpec) -> Result<Self> {
        Self::in_pieces(inner, spec, PIECE_BYTES)
    }

    /// As [`Self::new`], in pieces of about `piece_bytes`. They decide no value.
    pub(crate) fn in_pieces(inner: Box<dyn Source>, spec: StepSpec, piece_bytes: u64) -> Result<Self> {
        let mapping = Mapping::compile(&spec, inner.streams()).map_err(|it| mistakes_to_error(&it, None))?;
        let unknown = unknown_recordings(&spec, inner.episodes());
        if !unknown.is_empty() {
            return Err(mistakes_to_error(&unknown, None));
        }
        let store = Store::new(inner, mapping);
        let mut planned = Planned::default();
        for episode in 0..store.source.episodes().len() {
            planned.recording(&store, &spec, episode, piece_bytes)?;
        }
        if planned.episodes.is_empty() && !store.source.episodes().is_empty() {
            return Err(Error::new(ErrorKind::Config, "no episode was found").with_hint(
                match spec.episodes {
                    Cut::Marker(_) => {
                        "no marker has a value of `episodes.start`: `node-data inspect` shows the topic"
                    }
                    Cut::Gap { .. } => "the topics listened to have no messages",
                    Cut::Ranges(_) => {
                        "no message lies in the ranges: `node-data inspect` shows the times there are"
                    }
                    Cut::Whole => "the source holds none",
                },
            ));
        }
        planned.count_uses(&store);
        let source = store.source.as_ref();
        let streams = streams(source, &store.mapping, &spec);
        let counted = match spec.keep_streams {
            true => Vec::new(),
            false => source.streams().iter().map(|it| Arc::clone(&it.name)).collect(),
        };
        let damage = source.damage().iter().map(|it| retold(it, &store.mapping, spec.keep_streams)).collect();
        let unselected = unselected(source, &store.mapping, spec.keep_streams);
        let attachments = planned.attachments(source);
        let Planned { recordings, parts, partitions, episodes, .. } = planned;
        let shared = Arc::new(Shared { store, spec, recordings, parts });
        Ok(Self { shared, streams, counted, episodes, partitions, damage, unselected, attachments })
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

fn streams(source: &dyn Source, mapping: &Mapping, spec: &StepSpec) -> Vec<StreamSchema> {
    let steps = StreamSchema {
        id: STEPS,
        name: "steps".into(),
        clock: StreamClock::Step,
        features: mapping.features.clone(),
        metadata: Default::default(),
    };
    let kept = source.streams().iter().filter(|_| spec.keep_streams);
    let kept = kept.map(|it| StreamSchema { id: counted_id(it.id), ..it.clone() });
    std::iter::once(steps).chain(kept).collect()
}

fn unselected(source: &dyn Source, mapping: &Mapping, keeps: bool) -> Vec<String> {
    let is_read = |it: &&StreamSchema| {
        keeps
            || mapping.streams.iter().any(|mapped| mapped.id == it.id)
            || mapping.marker.is_some_and(|marker| marker.id == it.id)
    };
    let mut names = source.unselected().to_vec();
    names.extend(source.streams().iter().filter(|it| !is_read(it)).map(|it| it.name.to_string()));
    names.sort_unstable();
    names
}

impl Source for AlignedSource {
    fn streams(&self) -> &[StreamSchema] {
        &self.streams
    }

    fn inputs(&self) -> &[InputFile] {
        self.shared.store.source.inputs()
    }

    fn episodes(&self) -> &[EpisodeInfo] {
        &self.episodes
    }

    fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    fn read(&self, partition: &Partition, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let shared = &self.shared;
        match shared.parts.get(partition.index) {
            Some(Part::Piece(piece, n_markers)) => {
                shared.piece(piece, *n_markers, partition).map(|it| Box::new(it) as Box<dyn EpisodeStream>)
            }
            Some(Part::Kept(number)) => {
                let source = shared.store.source.as_ref();
                let inner = source.read(&source.partitions()[*number], options)?;
                Ok(Box::new(Kept::new(inner, Arc::clone(shared))))
            }
            None => {
                let message = format!(
                    "partition {} was asked for, but there are {}",
                    partition.index,
                    shared.parts.len()
                );
                Err(Error::new(ErrorKind::Config, message))
            }
        }
    }

    fn counted(&self) -> &[Arc<str>] {
        &self.counted
    }

    fn plan_of(&self, partition: &Partition) -> Option<String> {
        match self.shared.parts.get(partition.index)? {
            Part::Piece(piece, _) => Some(format!("steps {:?} of {}..{}", piece.steps, piece.from, piece.to)),
            Part::Kept(_) => None,
        }
    }

    fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    fn damage(&self) -> &[Error] {
        &self.damage
    }

    fn repairs(&self) -> &[Error] {
        self.shared.store.source.repairs()
    }

    fn warnings(&self) -> &[Error] {
        self.shared.store.source.warnings()
    }

    fn unselected(&self) -> &[String] {
        &self.unselected
    }
}
