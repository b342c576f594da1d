use nodedata_core::{DType, MediaEncoding};
use serde::{Deserialize, Serialize};

use crate::{FieldTransform, Rate, StepTransform};

/// How messages become steps. Plain data: everything is checked against a source by [`crate::mistakes`].
///
/// It is a part of recipes, by the names that things have here. What is as by default is left out there, so that a new
/// option changes no recipe that does without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    /// How recordings are cut into episodes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub episodes: Cut,
    /// What one step is.
    pub clock: Clock,
    /// When a message happened, for topics without a rule of their own. [`TimeSource::Field`] applies to
    /// the topics that have the field; the others go by log time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub time: TimeSource,
    /// Rules for single topics; these must fit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub topic_times: Vec<TopicTime>,
    /// Alignment of fields without one of their own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub align: Align,
    /// Tolerance of fields without one of their own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tolerance: Tolerance,
    /// Whether fields without a rule of their own bring a column `<feature>.skew_ns`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub skew: bool,
    /// Where an episode starts when its fields do not start together.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start: Start,
    /// Whether a grid may be finer than every topic that it reads, so that messages are repeated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub upsample: bool,
    /// How far stamps may stray from log times beyond what the sampled parts of a recording show, in
    /// nanoseconds. `None` is [`ORDER_BOUND_NS`]. A message that strays farther is counted and reported.
    #[serde(default, skip_serializing_if = "is_default")]
    pub order_bound_ns: Option<i64>,
    /// Whether fields that hold, without a rule of their own, keep values of an earlier episode of the recording.
    /// Those of latched topics always do.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hold_across: bool,
    /// What becomes of messages whose stamps are far from log time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub far_stamps: FarStamps,
    /// The features of a step, in column order.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fields: Vec<FieldSpec>,
    /// Whether the topics are written as tables of their own, too (`streams: keep`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub keep_streams: bool,
    /// What becomes of whole steps, in order, before the values of fields are transformed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub transform: Vec<StepTransform>,
}

/// See [`StepSpec::order_bound_ns`]: half a second.
pub const ORDER_BOUND_NS: i64 = 500_000_000;

impl StepSpec {
    /// Features of the source whose frames are needed as pictures: where they are coded video, they are to be decoded.
    pub fn frames(&self) -> Vec<String> {
        let needs = self.fields.iter().filter(|it| it.transform.iter().any(FieldTransform::is_of_images));
        let path = |it: &FieldSpec| match &it.from {
            FieldFrom::Paths(paths) => <[String; 1]>::try_from(paths.clone()).ok().map(|[path]| path),
            FieldFrom::Constant(_) | FieldFrom::Pose(_) => None,
        };
        needs.filter_map(path).collect()
    }

    /// Whole recordings on `clock`: nearest by log time, no older than [`PERIODS_MAX`] says, no fields yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            episodes: Cut::Whole,
            clock,
            time: TimeSource::LogTime,
            topic_times: Vec::new(),
            align: Align::Nearest,
            tolerance: Tolerance::default(),
            skew: false,
            start: Start::First,
            upsample: false,
            order_bound_ns: None,
            hold_across: false,
            far_stamps: FarStamps::Drop,
            fields: Vec::new(),
            keep_streams: false,
            transform: Vec::new(),
        }
    }
}

/// How a recording is cut into episodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Cut {
    /// An episode is what the source says it is: a file, or its own episodes.
    #[default]
    Whole,
    /// Messages of one topic say where episodes start and end.
    Marker(Marker),
    /// An episode lasts as long as a field of one topic has the same value.
    Change(Change),
    /// An episode ends where a topic is silent for longer than `gap_ns`.
    Gap {
        /// Longest silence inside an episode, in nanoseconds.
        gap_ns: i64,
        /// The topic listened to; `None` for all mapped topics that are not held.
        #[serde(default, skip_serializing_if = "is_default")]
        topic: Option<String>,
    },
    /// The times given, each half open, in the clock of the stamps. They must not overlap.
    Ranges(Vec<EpisodeRange>),
}

/// A field whose values open and close episodes. Values are compared as text: `1`, `true`, `start`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// The field, such as `/episode.kind`.
    pub field: String,
    /// Values that start an episode; an open one ends there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start: Vec<String>,
    /// Values that end it. The step at this time is not part of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub end: Vec<String>,
    /// Values that end it and throw it away.
    #[serde(default, skip_serializing_if = "is_default")]
    pub discard: Vec<String>,
    /// A text field of the same topic: the task of an episode is its value at the start.
    #[serde(default, skip_serializing_if = "is_default")]
    pub task: Option<String>,
}

/// A field each value of which is an episode. Values are compared as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The field, such as `/episode.id`.
    pub field: String,
    /// Values that are no episode.
    #[serde(default, skip_serializing_if = "is_default")]
    pub without: Vec<String>,
    /// A text field of the same topic: the task of an episode is its value at the start.
    #[serde(default, skip_serializing_if = "is_default")]
    pub task: Option<String>,
}

/// One episode given by its times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodeRange {
    /// The recording it belongs to, by episode key; `None` for every recording that has messages there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub recording: Option<String>,
    /// First nanosecond inside.
    pub start_ns: i64,
    /// First nanosecond after.
    pub end_ns: i64,
}

/// What one step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Clock {
    /// One point of a grid that starts with the episode.
    Rate(Rate),
    /// One message of a topic.
    Topic(String),
    /// One in so many rows of a source whose rows are steps already: the first of each episode, and so on.
    Every(u64),
    /// One row of a source whose rows are steps, or samples, already.
    Own,
}

/// When a message happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TimeSource {
    /// When it was recorded.
    #[default]
    LogTime,
    /// When it was sent.
    PublishTime,
    /// What a field says: whole nanoseconds, or a pair of leaves `sec` and `nanosec`. `header.stamp`.
    Field(String),
}

/// The time source of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicTime {
    /// The topic.
    pub topic: String,
    /// Its time source.
    pub time: TimeSource,
}

/// Which message gives a step its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Align {
    /// The one nearest in time; of two equally near the earlier one.
    #[default]
    Nearest,
    /// The last one at or before the step.
    Hold,
    /// Between the last one at or before the step and the first one after it. Numbers only.
    Linear,
    /// As `Linear` along the shortest arc. Quaternions x, y, z, w only.
    Slerp,
}

/// How far from a step the message may be that gives it its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Nanoseconds, inclusive; the largest i64 for any distance; `None` for [`PERIODS_MAX`] periods of the topic.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_ns: Option<i64>,
    /// What becomes of a step without a message in reach.
    #[serde(default, skip_serializing_if = "is_default")]
    pub beyond: Beyond,
}

/// Without a tolerance a message is at most so many periods of its topic from the step, and messages that are interpolated
/// between are at most so far apart. The period is the mean time between the messages of the topic in the recording,
/// where there are [`PERIOD_MESSAGES_MIN`] of them; fewer have none, and only the episode bounds them. What is held of
/// a latched topic is good until the next message, however old it is.
pub const PERIODS_MAX: i64 = 10;

/// Messages of a topic from which its period is known.
pub const PERIOD_MESSAGES_MIN: u64 = 3;

/// A stamp is far from log time where it lies so many nanoseconds, or [`StepSpec::order_bound_ns`] where that is more,
/// outside of what the messages of its topic that are looked at show, but for the twentieth of them at either end.
pub const FAR_STAMP_NS: i64 = 10_000_000_000;

/// What becomes of messages whose stamps are far from log time, as [`FAR_STAMP_NS`] says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FarStamps {
    /// They are left out, counted and told.
    #[default]
    Drop,
    /// The run fails.
    Fail,
}

/// What becomes of a step for which a field has no value: no message in reach, or, where [`ByName::absent`] says
/// nothing else, a name that the message does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Beyond {
    /// The field is null.
    #[default]
    Null,
    /// The step is left out, and counted.
    Drop,
    /// The run fails with the step's address.
    Fail,
}

/// Where an episode starts when its fields do not start together. Fields that are held do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Start {
    /// Where it is cut; without a cut, with the first message. Fields that start later are null before.
    #[default]
    First,
    /// With the first message of the last field to start.
    All,
}

/// One feature of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSpec {
    /// Its name.
    pub name: String,
    /// Where its values come from.
    pub from: FieldFrom,
    /// Picks values by the names that each message carries beside them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub by_name: Option<ByName>,
    /// `None` for that of the steps.
    #[serde(default, skip_serializing_if = "is_default")]
    pub align: Option<Align>,
    /// `None` for that of the steps.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tolerance: Option<Tolerance>,
    /// Element type to cast to; a value that does not fit is an error. `None` for the source's own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dtype: Option<DType>,
    /// Whether a column `<name>.skew_ns` says how far the message was from the step: message minus step,
    /// of the farthest message where several topics give one feature. `None` for that of the steps.
    #[serde(default, skip_serializing_if = "is_default")]
    pub skew: Option<bool>,
    /// As [`StepSpec::hold_across`]; `None` for that of the steps.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hold_across: Option<bool>,
    /// Unit of the values; written down, never converted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unit: Option<String>,
    /// What the values are, for people.
    #[serde(default, skip_serializing_if = "is_default")]
    pub description: Option<String>,
    /// What becomes of the values, in order, once they are aligned, selected and cast.
    #[serde(default, skip_serializing_if = "is_default")]
    pub transform: Vec<FieldTransform>,
    /// What the frames of transformed images, and the pictures of a log's coded video, are stored as; `None` for PNG, and for video that is
    /// the clock to pass through as it is coded. Of other values it says nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub encoding: Option<MediaEncoding>,
    /// What may be said of bare frames.
    #[serde(default, skip_serializing_if = "is_default")]
    pub frames: FramesOf,
    /// Whether every step may be without a value (`nullable: always`). It decides no row, only whether a run may
    /// end so: it is no part of recipes, and a run that was refused goes on where it stopped.
    #[serde(skip)]
    pub may_be_empty: bool,
}

impl FieldSpec {
    /// A feature taken from one path, with every default.
    pub fn new(name: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            from: FieldFrom::Paths(vec![path.into()]),
            by_name: None,
            align: None,
            tolerance: None,
            dtype: None,
            skew: None,
            hold_across: None,
            unit: None,
            description: None,
            transform: Vec::new(),
            encoding: None,
            frames: FramesOf::Same,
            may_be_empty: false,
        }
    }
}

/// What bare frames of messages are: rows of pixels that do not say themselves how many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FramesOf {
    /// All of one height, width and layout, which the metadata of the field says. Another one is an error.
    #[default]
    Same,
    /// Each step says it, in columns beside the field: `<name>.height`, `<name>.width` and `<name>.encoding`.
    Vary,
}

/// Where the values of a feature come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FieldFrom {
    /// Paths such as `/joint_states.position`, `/cmd.data[0:7]`, `/state.data[3]`, `/state.data[0,2]`, or
    /// a topic alone: its image, or its only field. Several are joined to one vector.
    Paths(Vec<String>),
    /// The same value at every step.
    Constant(Constant),
    /// Where one frame stands in another, by the transforms of the recording: x, y, z, and a rotation x, y, z, w.
    Pose(PoseFrom),
}

/// Where one frame stands in another at the time of each step: the tree of transforms as whoever listens to their topics has
/// it. Between two transforms of a frame translations lie on the line and rotations on the arc.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoseFrom {
    /// The frame.
    pub of: String,
    /// The frame that it is seen in.
    #[serde(rename = "in")]
    pub within: String,
    /// Topics of transforms, those that stand still among them; empty for those of `/tf` and `/tf_static` that are there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub from: Vec<String>,
}

/// A value that every step has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Constant {
    /// A bool.
    Bool(bool),
    /// A whole number; int64 unless a type is given.
    Int(i64),
    /// A number; float64 unless a type is given.
    Float(#[serde(with = "nodedata_core::exact")] f64),
    /// Text.
    Text(String),
    /// A vector; float64 unless a type is given.
    Floats(#[serde(with = "nodedata_core::exact")] Vec<f64>),
}

/// Values picked by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByName {
    /// The names wanted, in order; for each path of the field all of them.
    pub names: Vec<String>,
    /// The array of names, relative to the topic; `None` for `name` beside the values.
    #[serde(default, skip_serializing_if = "is_default")]
    pub at: Option<String>,
    /// What becomes of a step whose message lacks one of the names; `None` for what becomes of one without a
    /// message. A name that no message holds is a mistake.
    #[serde(default, skip_serializing_if = "is_default")]
    pub absent: Option<Beyond>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
