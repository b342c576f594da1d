//! What the fields of samples are, learned from all members of each.

mod arrays;
mod seen;

use nodedata_message::{JsonKind, JsonType};
use serde::{Deserialize, Serialize};

pub(crate) use arrays::{ArrayType, LearnedArray};
pub(crate) use seen::{Contents, SeenField};

/// What was learned of a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LearnedField {
    pub(crate) name: String,
    pub(crate) kind: FieldKind,
    /// Whether some samples are without it.
    pub(crate) is_optional: bool,
}

/// What the members of a field become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FieldKind {
    /// As they are.
    Bytes,
    Text,
    Int,
    /// Pictures, clips of sound, videos: as they are.
    Media,
    Array(ArrayType),
    Arrays(Vec<LearnedArray>),
    Json(JsonType),
    Cbor(JsonType),
    Msgpack(JsonType),
}

impl FieldKind {
    /// Columns that it becomes.
    pub(crate) fn n_columns(&self) -> usize {
        match self {
            Self::Bytes | Self::Text | Self::Int | Self::Media | Self::Array(_) => 1,
            Self::Arrays(arrays) => arrays.len(),
            Self::Json(types) | Self::Cbor(types) | Self::Msgpack(types) => types.n_leaves(),
        }
    }

    /// Whether rows can be dealt by each of its columns: by all of a member, or one value of JSON.
    pub(crate) fn can_deal(&self) -> Vec<bool> {
        match self {
            Self::Json(types) => have_one_value(types),
            Self::Cbor(types) | Self::Msgpack(types) => vec![!is_of_objects(types); types.n_leaves()],
            Self::Arrays(arrays) => vec![false; arrays.len()],
            Self::Bytes | Self::Text | Self::Int | Self::Media | Self::Array(_) => vec![true],
        }
    }

    /// Whether what was handed back can be what was learned.
    pub(crate) fn is_sound(&self) -> bool {
        match self {
            Self::Json(types) | Self::Cbor(types) | Self::Msgpack(types) => {
                types.n_leaves() <= JsonType::LEAVES_MAX
            }
            Self::Array(types) => types.is_sound(),
            Self::Arrays(arrays) => arrays.iter().all(|it| it.types.is_sound()),
            Self::Bytes | Self::Text | Self::Int | Self::Media => true,
        }
    }
}

/// For each column of a type, in order, whether there is one value for it: in a list of objects there are many.
fn have_one_value(types: &JsonType) -> Vec<bool> {
    match &types.kind {
        JsonKind::Object(members) => members.iter().flat_map(|it| have_one_value(&it.value)).collect(),
        _ => vec![!is_of_objects(types); types.n_leaves()],
    }
}

/// Whether it is an object, or a list of them.
fn is_of_objects(types: &JsonType) -> bool {
    match &types.kind {
        JsonKind::List(item) => is_of_objects(item),
        other => matches!(other, JsonKind::Object(_)),
    }
}
