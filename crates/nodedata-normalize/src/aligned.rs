use std::{collections::VecDeque, sync::Arc};

use nodedata_core::{
    Attachment, Batch, EpisodeInfo, EpisodeStream, Error, ErrorKind, Fate, InputFile, Locus, Loss, Partition,
    ReadOptions, Result, Source, StreamClock, StreamId, StreamSchema,
};

use crate::{
    Cut, Mistake, StepSpec,
    cut::episodes,
    mapping::{Mapping, has_steps},
    mistake::{mistakes_to_error, nearest},
    piece::{PieceReader, STEPS, counted_id},
    plan::{PIECE_BYTES, Piece, pieces, step_bytes},
    recording::Recording,
    store::{Held, Store},
    survey::Survey,
};

/// The steps of a log, and with `streams: keep` its topics, too.
///
/// Its first stream is `steps`. `step_index` counts the steps of the clock; where steps may be left out, or a topic
/// is the clock, it counts from each batch, and [`Self::numbers_steps`] tells: whoever joins the batches of an
/// episode numbers them.
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

/// What the readers of partitions share.
struct Shared {
    store: Store,
    spec: StepSpec,
    recordings: Vec<Recording>,
    parts: Vec<Part>,
}

/// What a partition is.
enum Part {
    /// Steps, with messages that were read for the cut alone: those of the marker.
    Piece(Piece, u64),
    /// A partition of the source handed on.
    Kept(usize),
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
        let mapping = Mapping::compile(&spec, inner.streams()).map_err(|it| mistakes_to_error(&it))?;
        let unknown = unknown_recordings(&spec, inner.episodes());
        if !unknown.is_empty() {
            return Err(mistakes_to_error(&unknown));
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

    /// Whether `step_index` counts the steps of an episode as they are; if not, it counts from each batch.
    pub fn numbers_steps(&self) -> bool {
        self.shared.store.mapping.clock.is_none()
            && self.shared.store.mapping.fields.iter().all(|it| it.beyond != crate::Beyond::Drop)
    }
}

/// The plan under construction.
#[derive(Default)]
struct Planned {
    recordings: Vec<Recording>,
    parts: Vec<Part>,
    partitions: Vec<Partition>,
    episodes: Vec<EpisodeInfo>,
    /// By episode of the source, the first of those it is cut into.
    first_episodes: Vec<usize>,
}

impl Planned {
    /// Plans one episode of the source.
    fn recording(&mut self, store: &Store, spec: &StepSpec, episode: usize, piece_bytes: u64) -> Result<()> {
        let source = store.source.as_ref();
        let info = &source.episodes()[episode];
        let numbers: Vec<usize> =
            source.partitions().iter().filter(|it| it.episode == episode).map(|it| it.index).collect();
        let survey = Survey::new(store, spec, numbers.clone())?;
        let (cuts, mut n_markers) = episodes(store, spec, &survey, &info.key)?;
        let bytes: Vec<u64> = numbers.iter().map(|it| source.partitions()[*it].decoded_bytes).collect();
        let recording = self.recordings.len();
        let pieces = pieces(spec, &store.mapping, &survey, recording, &cuts, &bytes, piece_bytes);
        let first_episode = self.episodes.len();
        self.first_episodes.push(first_episode);
        let is_cut = spec.episodes != Cut::Whole;
        for (number, cut) in cuts.iter().enumerate() {
            let key = if is_cut { format!("{}#{number}", info.key) } else { info.key.clone() };
            let task = cut.task.clone().or_else(|| info.task.clone());
            self.episodes.push(EpisodeInfo { key, task, ..info.clone() });
        }
        let step_bytes = step_bytes(&store.mapping, &survey);
        let mut at = first_episode;
        for piece in pieces {
            // Messages between episodes are accounted for with the episode before them.
            at = piece.episode.map_or(at, |it| first_episode + it);
            let episode = at.min(self.episodes.len().saturating_sub(1));
            self.partitions.push(partition_of(
                source,
                &survey,
                &piece,
                episode,
                step_bytes,
                self.partitions.len(),
                info.input,
            ));
            self.parts.push(Part::Piece(piece, std::mem::take(&mut n_markers)));
        }
        if spec.keep_streams {
            for number in numbers {
                let kept = source.partitions()[number].clone();
                self.partitions.push(Partition {
                    index: self.partitions.len(),
                    episode: first_episode,
                    ..kept
                });
                self.parts.push(Part::Kept(number));
            }
        }
        self.recordings.push(Recording { survey, episodes: cuts });
        Ok(())
    }

    /// What the source carries, with the first episode of its recording.
    fn attachments(&self, source: &dyn Source) -> Vec<Attachment> {
        let last = self.episodes.len().saturating_sub(1);
        let episode = |it: usize| self.first_episodes.get(it).copied().unwrap_or(0).min(last);
        source
            .attachments()
            .iter()
            .map(|it| Attachment { episode: episode(it.episode), ..it.clone() })
            .collect()
    }

    /// Tells the store how many pieces will ask for each partition.
    fn count_uses(&self, store: &Store) {
        let mut n_uses = vec![0usize; store.source.partitions().len()];
        for part in &self.parts {
            let Part::Piece(piece, _) = part else { continue };
            let partitions = &self.recordings[piece.recording].survey.partitions;
            for position in needed(piece) {
                n_uses[partitions[position]] += 1;
            }
        }
        for (partition, n_uses) in n_uses.into_iter().enumerate() {
            store.plan_uses(partition, n_uses);
        }
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
        Some(mistake.with_hint(nearest(key, keys, "recordings")))
    });
    unknown.collect()
}

/// Positions of the partitions a piece reads.
fn needed(piece: &Piece) -> impl Iterator<Item = usize> + '_ {
    let only_counted = piece.own.iter().filter(|it| piece.load.binary_search(it).is_err());
    piece.load.iter().chain(only_counted).copied()
}

fn partition_of(
    source: &dyn Source,
    survey: &Survey,
    piece: &Piece,
    episode: usize,
    step_bytes: u64,
    index: usize,
    input: usize,
) -> Partition {
    let of = |position: usize| &source.partitions()[survey.partitions[position]];
    let input = needed(piece).next().map_or(input, |it| of(it).input);
    // A recording may go on in another file; the bytes named are those of the first.
    let ranges: Vec<_> =
        needed(piece).map(of).filter(|it| it.input == input).map(|it| &it.byte_range).collect();
    let start = ranges.iter().map(|it| it.start).min().unwrap_or(0);
    let end = ranges.iter().map(|it| it.end).max().unwrap_or(start);
    let read: u64 = piece.own.iter().map(|it| of(*it).decoded_bytes).sum();
    let made = (piece.steps.end - piece.steps.start).saturating_mul(step_bytes);
    Partition { index, episode, input, byte_range: start..end, decoded_bytes: read.max(made).max(1) }
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

/// A loss in the numbers of this source. Streams that nobody reads lose nothing.
fn loss_of(loss: &Loss, mapping: &Mapping, keeps: bool) -> Loss {
    let is_read = |id: StreamId| keeps || mapping.streams.iter().any(|it| it.id == id);
    let records = loss.records.iter().filter(|it| is_read(it.0));
    Loss { records: records.map(|(id, n)| (counted_id(*id), *n)).collect(), ..loss.clone() }
}

/// The same error for another reader.
fn retold(err: &Error, mapping: &Mapping, keeps: bool) -> Error {
    let mut told = Error::new(err.kind(), err.to_string()).at(err.locus().clone());
    if let Some(hint) = err.hint() {
        told = told.with_hint(hint);
    }
    if let Some(loss) = err.loss() {
        told = told.with_loss(loss_of(loss, mapping, keeps));
    }
    let chain = err.chain();
    match chain.strip_prefix(&format!("{err}: ")) {
        Some(cause) => told.with_source(cause.to_owned()),
        None => told,
    }
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
                Ok(Box::new(Kept { inner, shared: Arc::clone(shared), records_read: Vec::new() }))
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

    fn warnings(&self) -> &[Error] {
        self.shared.store.source.warnings()
    }

    fn unselected(&self) -> &[String] {
        &self.unselected
    }
}

impl Shared {
    /// Reads one piece.
    fn piece(&self, piece: &Piece, n_markers: u64, partition: &Partition) -> Result<PieceRows> {
        let recording = &self.recordings[piece.recording];
        let partitions = &recording.survey.partitions;
        let mut held = Held::new();
        for position in needed(piece) {
            held.insert(partitions[position], self.store.take(partitions[position])?);
        }
        let reader =
            PieceReader { store: &self.store, spec: &self.spec, recording, piece, partition, held: &held };
        let made = reader.make()?;
        let mut rows = PieceRows::default();
        rows.records_read.push((STEPS, made.n_steps));
        rows.fates = made.fates;
        let n_left_out = made.n_steps - made.batch.as_ref().map_or(0, |it| it.rows.num_rows() as u64);
        if n_left_out != 0 {
            let mut fate = Fate::new(STEPS);
            fate.dropped.insert("beyond_tolerance", n_left_out);
            rows.fates.push(fate);
        }
        self.account(piece, &held, partition, &mut rows);
        if let Some(marker) = self.store.mapping.marker.filter(|_| n_markers != 0) {
            let id = counted_id(marker.id);
            rows.records_read.push((id, n_markers));
            rows.fates.push(Fate { used: n_markers, ..Fate::new(id) });
        }
        rows.ready.extend(made.batch.map(Ok));
        Ok(rows)
    }

    /// Counts the records of the partitions that the piece owns, and reports what they lack.
    fn account(&self, piece: &Piece, held: &Held, partition: &Partition, rows: &mut PieceRows) {
        let mapping = &self.store.mapping;
        let recording = &self.recordings[piece.recording];
        for position in &piece.own {
            let Some(loaded) = held.get(&recording.survey.partitions[*position]) else { continue };
            if !self.spec.keep_streams {
                rows.ready.extend(loaded.damage.iter().map(|it| Err(retold(it, mapping, false))));
            }
            for (idx, (stream, mapped)) in loaded.streams.iter().zip(&mapping.streams).enumerate() {
                let id = counted_id(mapped.id);
                if !self.spec.keep_streams {
                    rows.count(id, stream.n_read);
                }
                let span = recording.survey.lookups[idx].spans[*position];
                let n_strays = stream.strays(span) as u64;
                for (reason, n) in [("no_time", stream.n_timeless), ("beyond_order_bound", n_strays)] {
                    if n == 0 {
                        continue;
                    }
                    if self.spec.keep_streams {
                        // The table has them; only the steps go without.
                        let mut fate = Fate::new(id);
                        fate.superseded.insert(reason, n);
                        rows.fates.push(fate);
                        continue;
                    }
                    rows.ready.push_back(Err(self.unplaced(&mapped.name, id, reason, n, partition)));
                }
            }
        }
    }

    fn unplaced(
        &self,
        topic: &str,
        id: StreamId,
        reason: &'static str,
        n: u64,
        partition: &Partition,
    ) -> Error {
        let (message, hint) = match reason {
            "no_time" => (
                format!("{n} messages have no stamp (null or 0), so no step can be found for them"),
                format!("`time: {{{topic}: log_time}}` places the topic by when it was recorded"),
            ),
            _ => (
                format!("{n} messages are stamped farther from their log time than the bound allows"),
                "raise `steps.order_bound_ms`, or place the topic by `log_time`".to_owned(),
            ),
        };
        let loss = Loss { byte_range: None, records: vec![(id, n)], uncounted: false, reason };
        let path = self.store.source.inputs().get(partition.input).map(|it| it.path.clone());
        Error::new(ErrorKind::Corrupt, message)
            .at(Locus { path, topic: Some(topic.to_owned()), ..Locus::default() })
            .at(Locus::byte(partition.byte_range.start))
            .with_hint(hint)
            .with_loss(loss)
    }
}

/// What came of a piece, handed out bit by bit.
#[derive(Default)]
struct PieceRows {
    ready: VecDeque<Result<Batch>>,
    records_read: Vec<(StreamId, u64)>,
    fates: Vec<Fate>,
}

impl PieceRows {
    fn count(&mut self, id: StreamId, n: u64) {
        match self.records_read.iter_mut().find(|it| it.0 == id) {
            Some(known) => known.1 += n,
            None => self.records_read.push((id, n)),
        }
    }
}

impl EpisodeStream for PieceRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        self.ready.pop_front().transpose()
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }

    fn fates(&self) -> &[Fate] {
        &self.fates
    }
}

/// Rows of the source under the numbers of this one.
struct Kept {
    inner: Box<dyn EpisodeStream>,
    shared: Arc<Shared>,
    records_read: Vec<(StreamId, u64)>,
}

impl EpisodeStream for Kept {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let next = self.inner.next_batch();
        self.records_read = self.inner.records_read().iter().map(|(id, n)| (counted_id(*id), *n)).collect();
        match next {
            Ok(batch) => Ok(batch.map(|it| Batch { stream: counted_id(it.stream), ..it })),
            Err(err) => Err(match err.loss().cloned() {
                Some(loss) => err.with_loss(loss_of(&loss, &self.shared.store.mapping, true)),
                None => err,
            }),
        }
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }
}
