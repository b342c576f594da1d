//! What becomes of the values of steps that are there: transforms by name and version.
//!
//! A version is a promise: what `action/clip@1` makes of a value never changes. Arguments are written out in recipes, those
//! that nobody gave as well, so that a new default changes no dataset that was made before.

mod catalog;
mod clips;
mod codes;
mod dropped;
mod fit;
mod images;
mod lists;
mod mapped;
mod neighbours;
mod numbers;
mod rows;
mod shifted;
mod stacked;

use std::fmt;

use nodedata_core::{Feature, StreamSchema, meta, placed::Mistake};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use catalog::{ALL, Argument, ArgumentKind, Arguments, Given, Scope, Transform, TransformKind, find};
pub(crate) use fit::{fitted, shift_of};
pub(crate) use rows::kept;
pub(crate) use stacked::{over_steps, under_selection};

/// What becomes of the values of one field, step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum FieldTransform {
    /// The value of another step.
    #[serde(rename = "action/shift@1")]
    Shift {
        /// How many steps later; negative for earlier. Never 0.
        steps: i32,
        /// What becomes of steps for which there is no such step.
        end: End,
    },
    /// One minus the value.
    #[serde(rename = "gripper/invert@1")]
    Invert {
        /// The one element of a vector, from the end where negative; `None` for all.
        item: Option<i32>,
    },
    /// 1 above a threshold, else 0.
    #[serde(rename = "gripper/binarize@1")]
    Binarize {
        /// The greatest value that is 0.
        #[serde(with = "nodedata_core::exact")]
        threshold: f64,
        /// As in `Invert`.
        item: Option<i32>,
    },
    /// The nearest value inside of bounds.
    #[serde(rename = "action/clip@1")]
    Clip {
        /// Least value; `None` for none.
        #[serde(with = "nodedata_core::exact")]
        min: Option<f64>,
        /// Greatest value; `None` for none.
        #[serde(with = "nodedata_core::exact")]
        max: Option<f64>,
        /// As in `Invert`.
        item: Option<i32>,
    },
    /// Clips of sound as FLAC.
    #[serde(rename = "audio/flac@1")]
    Flac {},
    /// Text of the UTF-8 bytes that whole numbers are, without zeros.
    #[serde(rename = "text/from_codes@1")]
    FromCodes {},
    /// First and third channel change places.
    #[serde(rename = "image/flip_channels@1")]
    FlipChannels {},
    /// Turned by half a turn.
    #[serde(rename = "image/rotate_180@1")]
    Rotate180 {},
}

/// What becomes of steps whose value would be that of a step outside of the episode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The field is null.
    #[default]
    Null,
    /// The step is left out, and counted.
    Drop,
}

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

impl FieldTransform {
    /// Its entry in the list of transforms.
    pub fn kind(&self) -> &'static TransformKind {
        match self {
            Self::Shift { .. } => &catalog::SHIFT,
            Self::Invert { .. } => &catalog::INVERT,
            Self::Binarize { .. } => &catalog::BINARIZE,
            Self::Clip { .. } => &catalog::CLIP,
            Self::Flac {} => &catalog::FLAC,
            Self::FromCodes {} => &catalog::FROM_CODES,
            Self::FlipChannels {} => &catalog::FLIP_CHANNELS,
            Self::Rotate180 {} => &catalog::ROTATE_180,
        }
    }

    /// Whether it needs the pixels of an image.
    pub fn is_of_images(&self) -> bool {
        match self {
            Self::FlipChannels {} | Self::Rotate180 {} => true,
            Self::Shift { .. }
            | Self::Invert { .. }
            | Self::Binarize { .. }
            | Self::Clip { .. }
            | Self::Flac {}
            | Self::FromCodes {} => false,
        }
    }

    /// The arguments that say something.
    fn arguments(&self) -> Vec<(&'static str, Value)> {
        let item = |it: &Option<i32>| it.map(|it| ("item", json!(it)));
        let number = |name, it: &Option<f64>| it.map(|it| (name, json!(it)));
        match self {
            Self::Shift { steps, end } => vec![("steps", json!(steps)), ("end", json!(end))],
            Self::Invert { item: it } => item(it).into_iter().collect(),
            Self::Binarize { threshold, item: it } => {
                std::iter::once(("threshold", json!(threshold))).chain(item(it)).collect()
            }
            Self::Clip { min, max, item: it } => {
                [number("min", min), number("max", max), item(it)].into_iter().flatten().collect()
            }
            Self::Flac {} | Self::FromCodes {} | Self::FlipChannels {} | Self::Rotate180 {} => Vec::new(),
        }
    }
}

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
