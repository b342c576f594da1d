use nodedata_core::{Layout, Result};
use serde::{Deserialize, Serialize};

use super::{
    describe::{Described, DescribedMember, Kind, Scalar, UnknownKeys},
    plan::{JsonPlan, LEAVES_MAX, Wire},
};
use crate::MessageDecoder;

/// What one value of all messages holds. It can be stored, and what decodes by it is compiled again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonType {
    /// What it is where it is there.
    pub kind: JsonKind,
    /// Whether it is null or left out somewhere.
    pub nullable: bool,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JsonKind {
    /// True or false.
    Bool,
    /// A whole number.
    Int64,
    /// A whole number that is never negative, and sometimes more than int64 holds.
    UInt64,
    /// A number.
    Float64,
    /// Text.
    String,
    /// A byte string of CBOR.
    Bytes,
    /// Anything, as JSON text.
    Json,
    /// Text that refers to a medium, in whose place the medium is put: see [`crate::RowMedia`].
    Media,
    /// A list of values.
    List(Box<JsonType>),
    /// Keys with a value each, in the order of columns.
    Object(Vec<JsonMember>),
}

/// One key of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonMember {
    /// As it is written.
    pub key: String,
    /// Its value.
    pub value: JsonType,
}

impl From<JsonKind> for JsonType {
    fn from(kind: JsonKind) -> Self {
        Self { kind, nullable: false }
    }
}

impl JsonType {
    /// Columns that a message may become.
    pub const LEAVES_MAX: usize = LEAVES_MAX;

    /// Columns that it becomes.
    pub fn n_leaves(&self) -> usize {
        match &self.kind {
            JsonKind::List(item) => item.n_leaves(),
            JsonKind::Object(members) => members.iter().map(|it| it.value.n_leaves()).sum(),
            _ => 1,
        }
    }

    /// Compiles the decoder of JSON messages that hold what was seen and nothing else, and appends their columns to
    /// `layout`.
    ///
    /// # Errors
    /// `Limit` when it is more than a row may have.
    pub fn compile(&self, layout: &mut Layout) -> Result<MessageDecoder> {
        self.compile_as(Wire::Json, layout)
    }

    /// As [`Self::compile`], for JSON that is the value of something called `name`: its columns are `name.key`, or `name` where it
    /// is no object. No heed is taken of columns that are called so already.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_below(&self, name: &str, layout: &mut Layout) -> Result<MessageDecoder> {
        self.compile_wire_below(Wire::Json, name, layout)
    }

    /// As [`Self::compile_below`], for CBOR.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_cbor_below(&self, name: &str, layout: &mut Layout) -> Result<MessageDecoder> {
        self.compile_wire_below(Wire::Cbor, name, layout)
    }

    fn compile_wire_below(&self, wire: Wire, name: &str, layout: &mut Layout) -> Result<MessageDecoder> {
        JsonPlan::compile_below(layout, &self.described(), wire, name).map(MessageDecoder::of_plan)
    }

    pub(super) fn compile_as(&self, wire: Wire, layout: &mut Layout) -> Result<MessageDecoder> {
        let first = layout.features().len();
        let plan = JsonPlan::compile(layout, &self.described(), wire)?;
        Ok(MessageDecoder::from_json(layout, first, plan))
    }

    fn described(&self) -> Described {
        let member = |it: &JsonMember| DescribedMember {
            key: it.key.clone(),
            required: !it.value.nullable,
            value: it.value.described(),
        };
        let kind = match &self.kind {
            JsonKind::Bool => Kind::Scalar(Scalar::Bool),
            JsonKind::Int64 => Kind::Scalar(Scalar::Int64),
            JsonKind::UInt64 => Kind::Scalar(Scalar::UInt64),
            JsonKind::Float64 => Kind::Scalar(Scalar::Float64),
            JsonKind::String => Kind::Scalar(Scalar::String),
            JsonKind::Bytes => Kind::Scalar(Scalar::Bytes),
            JsonKind::Json => Kind::Scalar(Scalar::JsonText),
            JsonKind::Media => Kind::Scalar(Scalar::Media),
            JsonKind::List(item) => Kind::List(Box::new(item.described())),
            JsonKind::Object(members) => {
                Kind::Object { members: members.iter().map(member).collect(), unknown: UnknownKeys::Refused }
            }
        };
        Described { kind, nullable: self.nullable, description: None }
    }
}
