use std::{collections::BTreeMap, fmt, ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Finding, FindingKind, ReadAt, StreamId, StreamSchema};

/// What a source knows before any row is read: plain data, which a source over a source clones and edits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourcePlan {
    /// What the source says of itself as a whole.
    pub facts: DatasetFacts,
    /// The streams every episode may contain.
    pub streams: Vec<StreamSchema>,
    /// Streams whose records are read and counted but are no rows of their own, because rows of other
    /// streams are made of them. Their [`StreamId`]s follow those of `streams`.
    pub counted: Vec<Arc<str>>,
    /// Streams that exist but were not selected, by name.
    pub unselected: Vec<String>,
    /// The files read, in a stable order.
    pub inputs: Vec<InputFile>,
    /// Files that belong to the dataset and of which no row comes, such as its licence: nobody is told that they were not
    /// read.
    pub beside: Vec<PathBuf>,
    /// The episodes, numbered before any row is read.
    pub episodes: Vec<EpisodeInfo>,
    /// Parts that can be read independently, in output order. The unit of parallelism. Parts of one
    /// episode are neighbours and are joined in this order.
    pub partitions: Vec<Partition>,
    /// Files carried inside the source, such as MCAP attachments.
    pub attachments: Vec<Attachment>,
    /// What decoders need beside the samples of coded video columns: one entry per episode and column.
    pub videos: Vec<EpisodeVideo>,
    /// Columns of video that the source codes itself: what decoders need of each episode only its rows tell.
    pub coded: Vec<CodedVideo>,
    /// What opening found wrong, put right, or wants the user to know.
    pub findings: Vec<Finding>,
    /// What opening learned by reading all of the input, in words of the format's own, so that the next opening can do
    /// without; see [`crate::OpenOptions::learned`]. `None` where metadata tells everything.
    pub learned: Option<String>,
}

impl SourcePlan {
    /// The findings of one kind.
    pub fn findings_of(&self, kind: FindingKind) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |it| it.kind == kind)
    }

    /// Name of a stream, or of one whose records are only counted.
    pub fn stream_name(&self, stream: StreamId) -> Option<&Arc<str>> {
        let idx = stream.0 as usize;
        let counted = || self.counted.get(idx.checked_sub(self.streams.len())?);
        self.streams.get(idx).map(|it| &it.name).or_else(counted)
    }

    /// Path of an input, for places in errors.
    pub fn input_path(&self, input: usize) -> Option<PathBuf> {
        self.inputs.get(input).map(|it| it.path.clone())
    }
}

/// What a source says of itself as a whole. Whatever it does not say is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetFacts {
    /// Name or type of the robot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robot: Option<String>,
    /// Steps per second, where constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// The tasks that episodes perform, in the source's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// Under which licence it may be used, as the source spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// How it wants to be cited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citation: Option<String>,
    /// What it is, in the source's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Version of the dataset, or of its layout, as the source spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl DatasetFacts {
    /// Whether the source says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A file of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Relative to the source's root.
    pub path: PathBuf,
    /// Length in bytes.
    pub n_bytes: u64,
}

/// Bytes of one input that decide rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRange {
    /// Position in [`SourcePlan::inputs`].
    pub input: usize,
    /// The bytes. What comes before them in the file (headers, definitions) is taken to decide rows as well: a
    /// proof covers the file up to the end of the range. `0..u64::MAX` is the whole file, whatever its length.
    pub byte_range: Range<u64>,
}

impl InputRange {
    /// All of an input.
    pub fn whole(input: usize) -> Self {
        Self { input, byte_range: 0..u64::MAX }
    }
}

/// An independently readable part of a source. Everything that decides its rows is named in `reads` and `recipe`, so
/// that rows made of it before can be proved to be those it would give now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partition {
    /// Position in [`SourcePlan::episodes`] of the episode that all of its rows belong to.
    pub episode: usize,
    /// The bytes that decide its rows, of as many inputs as it takes; those of its own records first.
    pub reads: Vec<InputRange>,
    /// Bytes of its records after decompression, as the plan knows them: what memory is counted with
    /// and what shards are cut by.
    pub decoded_bytes: u64,
    /// Earliest and latest log time of its records, whatever their stream, where metadata tells: no record lies
    /// outside.
    pub times: Option<(i64, i64)>,
    /// Its records by stream, in the order of streams, where the source's own index counts all that are selected; a stream
    /// without any may be left out.
    pub counts: Option<Vec<(StreamId, u64)>>,
    /// What decides its rows besides bytes and options, such as which steps of an episode it makes. Empty for
    /// nothing.
    pub recipe: String,
    /// Who numbers its steps.
    pub numbering: Numbering,
}

/// Who fills [`crate::STEP_INDEX`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Numbering {
    /// The source.
    #[default]
    Own,
    /// Whoever joins the batches of an episode: a part of it cannot know how many rows others leave out.
    Joined,
}

/// What is known about an episode before its rows are read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EpisodeInfo {
    /// The source's own id, or its path relative to the root: stable when data is added.
    pub key: String,
    /// Position in [`SourcePlan::inputs`] of the file it starts in.
    pub input: usize,
    /// Natural-language task, when there is one.
    pub task: Option<String>,
    /// The split that the source itself puts it in, if it has splits.
    pub split: Option<String>,
    /// What the source says about the episode, such as MCAP metadata records (`<record>.<key>`).
    pub metadata: BTreeMap<Arc<str>, Fact>,
}

/// What only reading tells of an episode. It wins over what the plan says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EpisodeFacts {
    /// Natural-language task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What the source says about the episode.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Fact>,
}

/// A value of an episode's metadata, of the type the source gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fact {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text; also what has no other type, such as a list as JSON.
    Text(String),
}

impl Fact {
    /// Name of its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "text",
        }
    }

    /// The value that `text` is in the type called `type_name`.
    pub fn parse(type_name: &str, text: &str) -> Option<Self> {
        match type_name {
            "bool" => text.parse().ok().map(Self::Bool),
            "int" => text.parse().ok().map(Self::Int),
            "float" => text.parse().ok().map(Self::Float),
            "text" => Some(Self::Text(text.to_owned())),
            _ => None,
        }
    }
}

/// The value as text, from which [`Fact::parse`] makes it again.
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(it) => it.fmt(f),
            Self::Int(it) => it.fmt(f),
            Self::Float(it) => write!(f, "{it:?}"),
            Self::Text(it) => f.write_str(it),
        }
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// The coded video of one episode behind one column, whose rows hold one sample each in presentation order.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeVideo {
    /// Position in [`SourcePlan::episodes`].
    pub episode: usize,
    /// The stream of the column.
    pub stream: StreamId,
    /// Name of the column.
    pub feature: String,
    /// `h264`, `h265`, `av1` …
    pub codec: String,
    /// What a decoder needs before the first sample: the payload of `avcC`, `hvcC` or `av1C`.
    pub codec_config: Bytes,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames per second.
    pub fps: f64,
    /// Frames, which are the rows of the episode.
    pub n_frames: u64,
    /// Position in [`SourcePlan::inputs`] of the file.
    pub input: usize,
    /// Position of the episode's first frame in that file, in presentation order.
    pub first_frame: u64,
    /// Steps of the episode at whose samples decoding can start, rising.
    pub keyframes: Arc<[u32]>,
    /// The samples that decoding its frames takes and that no row holds, in decode order: those before the first row of an
    /// episode that starts inside a group of frames, and those of other episodes that lie among its own.
    pub preroll: Arc<[PrerollSample]>,
}

/// A column of video whose samples are coded while rows are read, in the order they are shown, the first of each partition a key
/// frame. Beside it stands a column `X.keyframe`, and batches say the size of the frames.
#[derive(Debug, Clone, PartialEq)]
pub struct CodedVideo {
    /// The stream of the column.
    pub stream: StreamId,
    /// Name of the column.
    pub feature: String,
    /// As [`EpisodeVideo::codec`]; each key frame has what a decoder needs before it.
    pub codec: String,
    /// Frames per second.
    pub fps: f64,
}

/// A sample that is decoded beside those of an episode's rows. Its bytes stay in the source until they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrerollSample {
    /// Place in decode order, counted from the first sample of the episode's own; negative before it.
    pub decode_index: i32,
    /// Place of its frame among those of the episode in the order they are shown; negative before the first.
    pub step: i32,
    /// Where it lies in the input.
    pub byte_range: Range<u64>,
}

/// A file carried inside the source. Its content stays there until it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Position in [`SourcePlan::episodes`].
    pub episode: usize,
    /// Name as the source gives it: data, never a path to write to.
    pub name: String,
    /// Media type as the source gives it.
    pub media_type: String,
    /// When it was logged, in nanoseconds.
    pub log_time_ns: i64,
    /// When it was made, in nanoseconds; 0 where unknown.
    pub create_time_ns: i64,
    /// Where its content lies.
    pub content: InputRange,
    /// What that has, where it is not the content as it is.
    pub unpacked: Option<Unpacked>,
}

impl Attachment {
    /// Length of its content.
    pub fn n_bytes(&self) -> u64 {
        match &self.unpacked {
            Some(Unpacked(content)) => content.n_bytes(),
            None => self.content.byte_range.end.saturating_sub(self.content.byte_range.start),
        }
    }
}

/// Content that lies in its file in another form, such as compressed. It comes out of there when it is read.
#[derive(Clone)]
pub struct Unpacked(pub Arc<dyn ReadAt>);

impl fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unpacked").field(&self.0.n_bytes()).finish()
    }
}

/// Where it lies says what it is; of what comes out of there only the length is compared.
impl PartialEq for Unpacked {
    fn eq(&self, other: &Self) -> bool {
        self.0.n_bytes() == other.0.n_bytes()
    }
}

impl Eq for Unpacked {}

/// Half-open range of log times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    /// First time inside.
    pub start_ns: i64,
    /// First time after; `None` for no end.
    pub end_ns: Option<i64>,
}

impl TimeRange {
    /// Everything.
    pub const ALL: Self = Self { start_ns: i64::MIN, end_ns: None };

    /// Whether `time_ns` lies inside.
    pub fn contains(&self, time_ns: i64) -> bool {
        self.start_ns <= time_ns && self.end_ns.is_none_or(|end| time_ns < end)
    }

    /// Whether any of `first..=last` lies inside.
    pub fn overlaps(&self, first_ns: i64, last_ns: i64) -> bool {
        self.start_ns <= last_ns && self.end_ns.is_none_or(|end| first_ns < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_being_text() {
        let float = |it: f64| Fact::Float(it);
        let facts = [Fact::Bool(true), Fact::Int(-3), float(0.1), float(1.0), Fact::Text("1".to_owned())];
        for fact in facts {
            assert_eq!(Fact::parse(fact.type_name(), &fact.to_string()), Some(fact));
        }
        assert_eq!(Fact::parse("int", "1.5"), None);
    }

    #[test]
    fn streams_that_are_only_counted_are_named_after_the_others() {
        let plan = SourcePlan { counted: vec!["/a".into()], ..SourcePlan::default() };
        assert_eq!(plan.stream_name(StreamId(0)).map(|it| &**it), Some("/a"));
        assert_eq!(plan.stream_name(StreamId(1)), None);
    }
}
