//! What becomes of the values of steps that are there: transforms by name and version.
//!
//! A version is a promise: what `action/clip@1` makes of a value never changes. Arguments are written out in recipes, those
//! that nobody gave as well, so that a new default changes no dataset that was made before.

mod catalog;
mod clips;
mod coded;
mod codes;
mod dropped;
mod field;
mod fit;
mod fit_ops;
mod frame_coding;
mod images;
mod lists;
mod mapped;
mod minus;
mod neighbours;
mod numbers;
mod points;
mod raw_frame;
mod rotation;
mod rows;
mod shifted;
mod slice;
mod stacked;
mod units;

use std::fmt;

use nodedata_core::{Feature, StreamSchema, meta, placed::Mistake};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use catalog::{ALL, Argument, ArgumentKind, Arguments, Given, Scope, Transform, TransformKind, find};
pub use coded::settle_encoders;
pub(crate) use coded::{CodedField, over as coded_over};
pub use field::{Against, Degenerate, DeltaEnd, End, FieldTransform, Items, ResizeWay, RotationForm, Zero};
pub(crate) use fit::{fitted, shift_of};
pub use frame_coding::FrameCoding;
pub(crate) use neighbours::{Beside, Edges, Neighbours, Pulled};
pub(crate) use raw_frame::{RawFrame, frame_type};
pub(crate) use rows::{kept, picked};
pub(crate) use stacked::{in_parts, over_steps, under_selection};

/// What becomes of whole steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum StepTransform {
    /// The last step of an episode is left out where `field` says that it is the last.
    #[serde(rename = "rlds/drop_last_padding@1")]
    DropLastPadding {
        /// A bool that is true at the last step.
        field: String,
    },
}

/// Why steps are left out, as ledgers say it.
pub(crate) const SHIFTED: &str = "action/shift@1";
/// As [`SHIFTED`].
pub(crate) const PADDING: &str = "rlds/drop_last_padding@1";
/// As [`SHIFTED`].
pub(crate) const DELTA: &str = "delta@1";

impl StepTransform {
    /// Its entry in the list of transforms.
    pub fn kind(&self) -> &'static TransformKind {
        match self {
            Self::DropLastPadding { .. } => &catalog::DROP_LAST_PADDING,
        }
    }

    fn arguments(&self) -> Vec<(&'static str, Value)> {
        match self {
            Self::DropLastPadding { field } => vec![("field", json!(field))],
        }
    }
}

/// As a pipeline would say it: `action/clip@1 {min: -1.0, max: 1.0}`.
impl fmt::Display for FieldTransform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tell(f, self.kind(), &self.arguments())
    }
}

/// As a pipeline would say it.
impl fmt::Display for StepTransform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tell(f, self.kind(), &self.arguments())
    }
}

fn tell(f: &mut fmt::Formatter<'_>, kind: &TransformKind, arguments: &[(&str, Value)]) -> fmt::Result {
    f.write_str(kind.full_name)?;
    if arguments.is_empty() {
        return Ok(());
    }
    let told = arguments.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name}: {text}"),
        value => format!("{name}: {value}"),
    });
    write!(f, " {{{}}}", told.collect::<Vec<_>>().join(", "))
}

/// The feature with what was done to its values among its facts: a JSON list of names, or of names with arguments.
pub(crate) fn with_fact(mut feature: Feature, transforms: &[FieldTransform]) -> Feature {
    let told = transforms.iter().map(|it| {
        let arguments: serde_json::Map<String, Value> =
            it.arguments().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if arguments.is_empty() {
            json!(it.kind().full_name)
        } else {
            json!({ it.kind().full_name: arguments })
        }
    });
    feature.metadata.insert(meta::TRANSFORM.to_owned(), Value::from_iter(told).to_string());
    feature
}

/// What transforms of steps say wrongly of the streams that they are to work on.
pub(crate) fn step_mistakes(transforms: &[StepTransform], streams: &[StreamSchema]) -> Vec<Mistake> {
    let features = streams.first().map(|it| it.features.as_slice()).unwrap_or_default();
    let refused = transforms.iter().enumerate().filter_map(|(idx, it)| match it {
        StepTransform::DropLastPadding { field } => dropped::mistake(field, features, idx),
    });
    refused.collect()
}
