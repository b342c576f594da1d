mod beside;
mod element_names;
mod field;
mod pose;
mod video;

use std::{collections::BTreeSet, sync::Arc};

use arrow_schema::SchemaRef;
use nodedata_core::{
    DType, EPISODE_INDEX, Feature, STEP_INDEX, StreamId, StreamSchema, TIMESTAMP_NS, meta,
    placed::{Mistake, Place},
};

use self::beside::with_companions;
pub(crate) use self::{
    beside::{Companions, Frames},
    field::{Field, Part, Pick, Value},
    pose::{Pose, PoseTopic},
    video::{Video, is_video},
};
use crate::{
    Align, Change, Clock, Cut, FieldFrom, FieldSpec, Marker, StepSpec, TimeSource, Tolerance,
    path::{Lost, column_of, resolve, stream_of},
    stamp::Stamp,
};

/// A step specification checked against the streams of a source.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    /// The streams that steps are made of, in the source's order.
    pub(crate) streams: Vec<MappedStream>,
    pub(crate) fields: Vec<Field>,
    /// Position of the clock topic among the mapped streams.
    pub(crate) clock: Option<usize>,
    pub(crate) marker: Option<MarkerColumns>,
    /// Position of the stream whose silence cuts episodes; `None` for all paced ones.
    pub(crate) gap: Option<usize>,
    /// The columns of a step, built-in ones first.
    pub(crate) features: Vec<Feature>,
    /// Which of them say what the values of others are.
    pub(crate) companions: Companions,
}

/// The stream whose messages cut episodes, by its own columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MarkerColumns {
    pub(crate) id: StreamId,
    pub(crate) value: usize,
    pub(crate) task: Option<usize>,
    pub(crate) stamp: Stamp,
}

/// A stream that steps are made of.
#[derive(Debug, Clone)]
pub(crate) struct MappedStream {
    pub(crate) id: StreamId,
    pub(crate) name: Arc<str>,
    /// Columns of the source's stream that are kept, ascending.
    pub(crate) columns: Vec<usize>,
    pub(crate) schema: SchemaRef,
    /// By position among the columns kept.
    pub(crate) stamp: Stamp,
    /// How fields look at this stream, each way once.
    pub(crate) ways: Vec<Way>,
    /// Where poses are made of its transforms, whether these stand for all time.
    pub(crate) transforms: Option<bool>,
}

/// One way of choosing messages of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    pub(crate) align: Align,
    pub(crate) reach: Reach,
    /// Whether a message of an earlier episode may be held.
    pub(crate) crosses: bool,
}

/// How far from a step a message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// So many nanoseconds.
    Within(i64),
    /// As [`crate::PERIODS_MAX`] says, which each recording measures for itself.
    Measured,
    /// Any distance.
    Endless,
}

impl Reach {
    /// Nanoseconds, where they are given.
    pub(crate) fn given_ns(self) -> Option<i64> {
        match self {
            Self::Within(max_ns) => Some(max_ns),
            Self::Measured | Self::Endless => None,
        }
    }
}

impl Mapping {
    /// How far from a piece steps may lie that take messages of it although the steps next to it do not: a step
    /// between two messages needs both in the reach that is given, which one in the middle has first. Without one it is the
    /// distance of the two that counts, which is the same for all steps between them.
    pub(crate) fn margin_ns(&self) -> i64 {
        let mixes = |it: &&Way| matches!(it.align, Align::Linear | Align::Slerp);
        let ways = self.streams.iter().flat_map(|it| it.ways.iter().filter(mixes));
        ways.filter_map(|it| it.reach.given_ns()).max().unwrap_or(0)
    }
}

impl MappedStream {
    /// The farthest that a way looks; `None` when one looks for the next message wherever that is.
    pub(crate) fn reach_ns(&self) -> Option<i64> {
        self.ways.iter().try_fold(0, |far, way| way.reach.given_ns().map(|it| far.max(it)))
    }

    /// Whether messages at this time are a part of a tree of transforms that steps are made of.
    pub(crate) fn is_in_tree(&self, is_in_episode: bool) -> bool {
        self.transforms.is_some_and(|is_fixed| is_fixed || is_in_episode)
    }

    /// Whether the period of the stream bounds a value of it.
    pub(crate) fn is_measured(&self) -> bool {
        self.ways.iter().any(|it| it.reach == Reach::Measured)
    }

    /// Whether episodes may start with this stream: one that is only held says nothing of the pace.
    pub(crate) fn is_paced(&self) -> bool {
        self.ways.iter().any(|it| it.align != Align::Hold)
    }
}

/// Gathers what is found and what is wrong.
pub(super) struct Compiler<'a> {
    spec: &'a StepSpec,
    streams: &'a [StreamSchema],
    /// Position of the clock topic in the source.
    clock: Option<usize>,
    mistakes: Vec<Mistake>,
    /// Columns needed, by position of the stream in the source.
    needed: Vec<BTreeSet<usize>>,
    ways: Vec<BTreeSet<Way>>,
}

impl Mapping {
    /// Checks a specification against streams of messages.
    ///
    /// # Errors
    /// All mistakes.
    pub(crate) fn compile(spec: &StepSpec, streams: &[StreamSchema]) -> Result<Self, Vec<Mistake>> {
        Self::compile_with(spec, streams, None)
    }

    /// As [`Self::compile`]; `stamp` stands for the stamps of all streams where they need none.
    pub(crate) fn compile_with(
        spec: &StepSpec,
        streams: &[StreamSchema],
        stamp: Option<Stamp>,
    ) -> Result<Self, Vec<Mistake>> {
        let mut compiler = Compiler {
            spec,
            streams,
            clock: None,
            mistakes: Vec::new(),
            needed: vec![BTreeSet::new(); streams.len()],
            ways: vec![BTreeSet::new(); streams.len()],
        };
        compiler.clock = compiler.clock();
        let stamps = match stamp {
            Some(stamp) => vec![Some(stamp); streams.len()],
            None => compiler.stamps(),
        };
        let (marker, gap) = compiler.cut(&stamps);
        compiler.numbers();
        compiler.hold_across();
        let fields: Vec<Field> = spec.fields.iter().filter_map(|it| compiler.field(it)).collect();
        compiler.two_of_a_name(&fields);
        if !compiler.mistakes.is_empty() {
            return Err(compiler.mistakes);
        }
        Ok(compiler.finish(fields, &stamps, marker, gap))
    }
}

impl Compiler<'_> {
    fn found<T>(&mut self, key: impl Into<Place>, found: Result<T, Lost>) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(lost) => {
                self.mistakes.push(Mistake::new(key, lost.message).with_hint(lost.hint));
                None
            }
        }
    }

    fn clock(&mut self) -> Option<usize> {
        let topic = match &self.spec.clock {
            Clock::Topic(topic) => topic,
            Clock::Rate(_) => return None,
            Clock::Own | Clock::Every(_) if has_rows(self.streams) => return None,
            Clock::Every(_) => {
                let message = "only a source of steps has rows to take one in so many of";
                let mistake = Mistake::new("steps.clock.every", message);
                self.mistakes.push(mistake.with_hint("messages become steps by `rate_hz` or `topic`"));
                return None;
            }
            Clock::Own => {
                let mistake = Mistake::new("fields", "messages become steps by a clock, and there is none");
                let hint = "add `steps: {clock: {rate_hz: 30}}`, or remove the key for tables per topic";
                self.mistakes.push(mistake.with_hint(hint));
                return None;
            }
        };
        let stream = self.found("steps.clock.topic", stream_of(topic, self.streams))?;
        self.needed[stream].insert(0);
        Some(stream)
    }

    /// The stamp of every stream: its own rule, else the rule of all where it applies, else log time.
    fn stamps(&mut self) -> Vec<Option<Stamp>> {
        let mut rules: Vec<Option<(String, &TimeSource)>> = vec![None; self.streams.len()];
        for rule in &self.spec.topic_times {
            let key = format!("steps.time.{}", rule.topic);
            if let Some(stream) = self.found(&key, stream_of(&rule.topic, self.streams)) {
                rules[stream] = Some((key, &rule.time));
            }
        }
        let mut applies_anywhere = self.streams.is_empty();
        let mut stamps = Vec::new();
        for (stream, rule) in self.streams.iter().zip(rules) {
            let general = Stamp::resolve(stream, &self.spec.time);
            applies_anywhere |= general.is_ok();
            stamps.push(match (rule, general) {
                (Some((key, time)), _) => self.found(key, Stamp::resolve(stream, time)),
                (None, Ok(stamp)) => Some(stamp),
                (None, Err(_)) => Stamp::resolve(stream, &TimeSource::LogTime).ok(),
            });
        }
        if !applies_anywhere && let TimeSource::Field(field) = &self.spec.time {
            let mistake = Mistake::new("steps.time", format!("no topic has a time `{field}`"));
            self.mistakes.push(
                mistake.with_hint("`log_time` is there always, `header.stamp` is what most ROS topics have"),
            );
        }
        stamps
    }

    /// The columns of the marker, or the stream whose silence counts.
    fn cut(&mut self, stamps: &[Option<Stamp>]) -> (Option<MarkerColumns>, Option<usize>) {
        match &self.spec.episodes {
            Cut::Whole => (None, None),
            Cut::Marker(marker) => (self.marker(marker, stamps), None),
            Cut::Change(Change { field, task, without: _ }) => {
                (self.marker_columns(field, task.as_deref(), stamps), None)
            }
            Cut::Gap { gap_ns, topic } => {
                if *gap_ns <= 0 {
                    self.mistakes.push(Mistake::new("episodes.gap_ms", "a gap must be longer than nothing"));
                }
                let stream =
                    topic.as_ref().and_then(|it| self.found("episodes.topic", stream_of(it, self.streams)));
                if let Some(stream) = stream {
                    self.needed[stream].insert(0);
                }
                (None, stream)
            }
            Cut::Ranges(ranges) => {
                for (idx, range) in ranges.iter().enumerate() {
                    let clash = ranges[..idx].iter().position(|it| {
                        let one_recording = it.recording == range.recording
                            || it.recording.is_none()
                            || range.recording.is_none();
                        one_recording && it.start_ns < range.end_ns && range.start_ns < it.end_ns
                    });
                    let key = format!("episodes.ranges[{idx}]");
                    if range.end_ns <= range.start_ns {
                        self.mistakes.push(Mistake::new(&key, "the range ends before it starts"));
                    } else if let Some(other) = clash {
                        self.mistakes.push(Mistake::new(&key, format!("the range overlaps range {other}")));
                    }
                }
                (None, None)
            }
        }
    }

    fn marker(&mut self, marker: &Marker, stamps: &[Option<Stamp>]) -> Option<MarkerColumns> {
        if marker.start.is_empty() {
            let mistake = Mistake::new("episodes.start", "no value starts an episode");
            self.mistakes.push(mistake.with_hint("name the values of the marker that do: `start: [1]`"));
        }
        self.marker_columns(&marker.field, marker.task.as_deref(), stamps)
    }

    /// The columns of a field whose values cut episodes.
    fn marker_columns(
        &mut self,
        field: &str,
        task: Option<&str>,
        stamps: &[Option<Stamp>],
    ) -> Option<MarkerColumns> {
        let found = self.found("episodes.field", resolve(field, self.streams))?;
        let stream = &self.streams[found.stream];
        let [value] = found.columns.as_slice() else {
            self.mistakes.push(Mistake::new("episodes.field", "a marker is one value, but this is several"));
            return None;
        };
        let feature = &stream.features[*value];
        let is_value =
            !matches!(feature.dtype, DType::Bytes | DType::Float16 | DType::Float32 | DType::Float64);
        if !feature.shape.is_empty() || !is_value || found.pick.is_some() {
            let message = format!("a marker is a whole number, a bool or a text, but `{field}` is not");
            self.mistakes.push(Mistake::new("episodes.field", message));
        }
        let task = task.and_then(|task| self.found("episodes.task", column_of(stream, task)));
        Some(MarkerColumns { id: stream.id, value: *value, task, stamp: stamps[found.stream]? })
    }

    /// Numbers that cannot be meant.
    fn numbers(&mut self) {
        if self.spec.tolerance.max_ns.is_some_and(|it| it < 0) {
            self.mistakes.push(Mistake::new("steps.tolerance_ms", "a tolerance cannot be negative"));
        }
        if self.spec.order_bound_ns.is_some_and(|it| it < 0) {
            self.mistakes.push(Mistake::new("steps.order_bound_ms", "a bound cannot be negative"));
        }
        if self.spec.fields.is_empty() {
            let mistake = Mistake::new("fields", "no field is mapped, so steps would be empty");
            let has_video =
                self.streams.iter().any(|it| (0..it.features.len()).any(|column| is_video(it, column)));
            self.mistakes.push(mistake.with_hint(match has_video {
                true => "video is decoded where that is asked for: by `--decode TOPIC=jpeg`, or with its topic under `fields`",
                false => "`node-data init SRC` proposes fields",
            }));
        }
        if self.spec.keep_streams && self.spec.episodes != Cut::Whole {
            let mistake = Mistake::new(
                "streams",
                "topic tables are kept of whole recordings only, but episodes are cut",
            );
            self.mistakes
                .push(mistake.with_hint("convert the topics without `steps` into a dataset of their own"));
        }
    }

    /// Columns must differ in name.
    fn two_of_a_name(&mut self, fields: &[Field]) {
        let mut seen: BTreeSet<String> =
            [EPISODE_INDEX, STEP_INDEX, TIMESTAMP_NS].map(str::to_owned).into_iter().collect();
        for field in fields {
            let name = &field.feature.name;
            let skew = field.skew.then(|| skew_name(name));
            let beside = field.beside.iter().map(|it| it.feature.name.clone());
            let frames = field.frames.iter().flat_map(|it| it.features(name)).map(|it| it.name);
            for column in std::iter::once(name.clone()).chain(skew).chain(beside).chain(frames) {
                if !seen.insert(column.clone()) {
                    let message = format!("a step has two columns called `{column}`");
                    self.mistakes.push(Mistake::new(format!("fields.{name}"), message));
                }
            }
        }
    }

    /// `is_latched` says whether all that the field takes messages of is.
    fn way(&self, field: &FieldSpec, align: Align, tolerance: Tolerance, is_latched: bool) -> Way {
        let is_held = align == Align::Hold;
        let reach = match tolerance.max_ns {
            Some(i64::MAX) => Reach::Endless,
            Some(max_ns) => Reach::Within(max_ns),
            None if is_held && is_latched => Reach::Endless,
            None => Reach::Measured,
        };
        let crosses = field.hold_across.unwrap_or(self.spec.hold_across) || is_latched;
        Way { align, reach, crosses: is_held && crosses }
    }

    /// Refuses to hold from one episode to the next what is not held, or where there is no next one.
    fn hold_across(&mut self) {
        const HELD: &str = "only `align: hold` keeps a message";
        let align = |it: &FieldSpec| it.align.unwrap_or(self.spec.align);
        let is_constant = |it: &FieldSpec| matches!(it.from, FieldFrom::Constant(_));
        let mut mistakes = Vec::new();
        for field in self.spec.fields.iter().filter(|it| it.hold_across == Some(true)) {
            if align(field) != Align::Hold && !is_constant(field) {
                let key = format!("fields.{}.hold_across", field.name);
                mistakes.push(Mistake::new(key, "the field is not held").with_hint(HELD));
            }
        }
        let holds = |it: &FieldSpec| align(it) == Align::Hold && !is_constant(it);
        if self.spec.hold_across && !self.spec.fields.iter().any(holds) {
            mistakes.push(Mistake::new("steps.hold_across", "no field is held").with_hint(HELD));
        }
        let says = self.spec.hold_across || self.spec.fields.iter().any(|it| it.hold_across == Some(true));
        if says && self.spec.episodes == Cut::Whole {
            let message = "every recording is one episode, so there is none to hold messages from";
            let hint = "remove `hold_across`, or cut recordings: `episodes: {by: marker, …}`";
            mistakes.push(Mistake::new("steps.hold_across", message).with_hint(hint));
        }
        self.mistakes.extend(mistakes);
    }

    /// Counts streams and columns among those kept.
    fn finish(
        self,
        mut fields: Vec<Field>,
        stamps: &[Option<Stamp>],
        marker: Option<MarkerColumns>,
        gap: Option<usize>,
    ) -> Mapping {
        let clock = self.clock;
        let mut position = vec![None; self.streams.len()];
        let mut streams: Vec<MappedStream> = Vec::new();
        for (idx, (stream, mut needed)) in self.streams.iter().zip(self.needed).enumerate() {
            let Some(stamp) = stamps[idx].filter(|_| !needed.is_empty()) else { continue };
            needed.extend(stamp.columns());
            let columns: Vec<usize> = needed.into_iter().collect();
            let schema = stream.arrow().project(&columns).expect("the columns are those of the stream");
            position[idx] = Some(streams.len());
            streams.push(MappedStream {
                id: stream.id,
                name: Arc::clone(&stream.name),
                schema: Arc::new(schema),
                stamp: stamp.among(&columns),
                columns,
                ways: self.ways[idx].iter().copied().collect(),
                transforms: None,
            });
        }
        let at = |stream: usize| position[stream].expect("a stream with columns is mapped");
        for field in &mut fields {
            // They lie beside the one part of their field, which is not counted anew yet.
            let stream = field.value.parts().first().map(|it| at(it.stream));
            let Some(kept) = stream.map(|it| &streams[it].columns) else { continue };
            let among = |column: usize| kept.binary_search(&column).expect("the column is kept");
            field.beside.iter_mut().for_each(|it| it.column = among(it.column));
            let of_frames = field.frames.iter_mut().flat_map(Frames::columns_mut);
            of_frames.for_each(|it| *it = among(*it));
            let format = field.video.as_mut().and_then(|it| it.format.as_mut());
            format.into_iter().for_each(|it| *it = among(*it));
        }
        for part in fields.iter_mut().flat_map(|it| it.value.parts_mut()) {
            part.stream = at(part.stream);
            let kept = &streams[part.stream].columns;
            let among = |column: usize| kept.binary_search(&column).expect("the column is kept");
            part.column = among(part.column);
            if let Pick::Names { at, .. } = &mut part.pick {
                *at = among(*at);
            }
        }
        for pose in fields.iter_mut().filter_map(|it| it.value.pose_mut()) {
            for topic in &mut pose.topics {
                let stream = at(topic.stream);
                let kept = &streams[stream].columns;
                let among = |column: usize| kept.binary_search(&column).expect("the column is kept");
                *topic = topic.among(stream, among);
                streams[stream].transforms = Some(topic.is_fixed);
            }
        }
        let (features, companions) = step_features(&fields);
        Mapping { streams, fields, clock: clock.map(at), marker, gap: gap.map(at), features, companions }
    }
}

/// Name of the column that says how far messages were from their steps.
pub(crate) fn skew_name(field: &str) -> String {
    format!("{field}.skew_ns")
}

fn step_features(fields: &[Field]) -> (Vec<Feature>, Companions) {
    let int64 = |name: &str| Feature::new(name, DType::Int64, Vec::new());
    let time = int64(TIMESTAMP_NS)
        .with_meta(meta::UNIT, "ns")
        .with_meta(meta::DESCRIPTION, "time since the start of the episode");
    let skew = |field: &Field| {
        let skew = int64(&skew_name(&field.feature.name)).nullable();
        field.skew.then(|| skew.with_meta(meta::UNIT, "ns"))
    };
    with_companions(fields, vec![int64(STEP_INDEX), time], skew)
}

/// Whether a source hands out rows that need no alignment: steps, or samples.
pub(crate) fn has_rows(streams: &[StreamSchema]) -> bool {
    matches!(streams, [only] if only.kind.is_one_table())
}
