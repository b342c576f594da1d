use std::sync::Arc;

use nodedata_core::{DType, Dim, Feature, StreamSchema, meta, placed::Mistake, suggest};

use super::{Compiler, Reach, Way};
use crate::{
    Align, Beyond, FieldSpec, FramesOf, PoseFrom, Tolerance,
    latched::is_latched,
    mapping::{Field, Value},
    path::stream_of,
};

/// Where one frame stands in another, as transforms on topics say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pose {
    pub(crate) of: Arc<str>,
    pub(crate) within: Arc<str>,
    pub(crate) topics: Vec<PoseTopic>,
    /// How far transforms may be from the step; `None` where nobody says it.
    pub(crate) reach_ns: Option<i64>,
}

/// A topic of transforms, by the columns of its stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PoseTopic {
    pub(crate) stream: usize,
    /// Whether its transforms stand for all time.
    pub(crate) is_fixed: bool,
    /// When each transform is true; `None` for when its message happened.
    pub(crate) stamp: Option<usize>,
    pub(crate) parent: usize,
    pub(crate) child: usize,
    /// x, y, z of the translation; x, y, z, w of the rotation.
    pub(crate) numbers: [usize; 7],
}

impl PoseTopic {
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.stamp.into_iter().chain([self.parent, self.child]).chain(self.numbers)
    }

    /// The same topic, counted otherwise.
    pub(crate) fn among(&self, stream: usize, column: impl Fn(usize) -> usize) -> Self {
        Self {
            stream,
            is_fixed: self.is_fixed,
            stamp: self.stamp.map(&column),
            parent: column(self.parent),
            child: column(self.child),
            numbers: self.numbers.map(&column),
        }
    }
}

/// Topics that transforms are on where nobody says which.
const TOPICS: [&str; 2] = ["/tf", "/tf_static"];
/// Members of a transform.
const NUMBERS: [&str; 7] = [
    "translation.x",
    "translation.y",
    "translation.z",
    "rotation.x",
    "rotation.y",
    "rotation.z",
    "rotation.w",
];
/// Names of the elements of a pose.
const NAMES: &str = r#"["x","y","z","qx","qy","qz","qw"]"#;

impl Compiler<'_> {
    /// Checks a field that is the pose of a frame.
    pub(super) fn pose(
        &mut self,
        field: &FieldSpec,
        key: &str,
        pose: &PoseFrom,
        tolerance: Tolerance,
    ) -> Option<Field> {
        let n_before = self.mistakes.len();
        let said = [
            (field.align.is_some(), "align"),
            (field.by_name.is_some(), "by_name"),
            (field.dtype.is_some(), "type"),
            (field.skew == Some(true), "skew"),
            (field.hold_across.is_some(), "hold_across"),
            (field.frames != FramesOf::Same, "frames"),
        ];
        for (_, name) in said.iter().filter(|it| it.0) {
            let mistake = Mistake::new(format!("{key}.{name}"), format!("a pose has no `{name}`"));
            self.mistakes.push(mistake.with_hint(format!("remove `{name}`: transforms are interpolated")));
        }
        let streams = self.streams;
        let named: Vec<(String, &str)> = match pose.from.as_slice() {
            [] => TOPICS
                .into_iter()
                .filter(|it| stream_of(it, streams).is_ok())
                .map(|it| (format!("{key}.pose"), it))
                .collect(),
            topics => topics
                .iter()
                .enumerate()
                .map(|(idx, it)| (format!("{key}.pose.from[{idx}]"), it.as_str()))
                .collect(),
        };
        if named.is_empty() {
            let names = streams.iter().map(|it| &*it.name);
            let mistake = Mistake::new(format!("{key}.pose"), "there is no topic `/tf` or `/tf_static`");
            self.mistakes.push(
                mistake.with_hint(format!(
                    "name the topics of transforms with `from`: {}",
                    suggest("/tf", names)
                )),
            );
        }
        let mut topics: Vec<PoseTopic> = Vec::new();
        for (key, topic) in named {
            let Some(stream) = self.found(&key, stream_of(topic, streams)) else { continue };
            match self.pose_topic(stream) {
                Ok(topic) => topics.push(topic),
                Err(message) => self.mistakes.push(Mistake::new(&key, message)),
            }
        }
        if self.mistakes.len() != n_before {
            return None;
        }
        topics.sort();
        topics.dedup();
        for topic in &topics {
            self.needed[topic.stream].extend(topic.columns());
        }
        let mut feature =
            Feature::new(&field.name, DType::Float64, vec![Dim::Fixed(7)]).with_meta(meta::NAMES, NAMES);
        feature.nullable = tolerance.beyond == Beyond::Null;
        let frame = |it: &str| Arc::from(it.trim_start_matches('/'));
        let pose =
            Pose { of: frame(&pose.of), within: frame(&pose.within), topics, reach_ns: tolerance.max_ns };
        let way = Way { align: Align::Linear, reach: Reach::Endless, crosses: false };
        Some(Field {
            feature,
            value: Value::Pose(Box::new(pose)),
            way,
            beyond: tolerance.beyond,
            absent: tolerance.beyond,
            skew: false,
            beside: Vec::new(),
            frames: None,
            video: None,
        })
    }

    /// The columns of a topic of transforms; a sentence where it is none.
    fn pose_topic(&self, stream: usize) -> Result<PoseTopic, String> {
        let schema: &StreamSchema = &self.streams[stream];
        let column = |name: &str, dtype: DType| {
            let name = format!("transforms.{name}");
            let is_list = |it: &Feature| it.name == name && it.dtype == dtype && it.shape == [Dim::Variable];
            schema.features.iter().position(is_list).ok_or_else(|| {
                format!("`{}` is no topic of transforms: it has no list `{name}` of {dtype}", schema.name)
            })
        };
        let mut numbers = [0; 7];
        for (slot, name) in numbers.iter_mut().zip(NUMBERS) {
            *slot = column(&format!("transform.{name}"), DType::Float64)?;
        }
        // A rule for the topic says when its messages happened; without one each transform says it itself.
        let has_rule = self.spec.topic_times.iter().any(|it| *it.topic == *schema.name);
        let is_fixed = schema.name.rsplit('/').next() == Some("tf_static") || is_latched(schema);
        Ok(PoseTopic {
            stream,
            is_fixed,
            stamp: if has_rule { None } else { column("header.stamp", DType::Int64).ok() },
            parent: column("header.frame_id", DType::String)?,
            child: column("child_frame_id", DType::String)?,
            numbers,
        })
    }
}
