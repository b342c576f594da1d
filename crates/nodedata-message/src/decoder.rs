use std::collections::BTreeSet;

use nodedata_core::{Columns, DType, EPISODE_INDEX, Feature, Layout, LeafId, Result, free_name, meta};

use crate::{
    flatbuffer::FlatBufferPlan,
    images::Images,
    json::{JsonPlan, RowMedia, Wire, describe_schema, respelled},
    pixels::Pixels,
    protobuf::ProtobufPlan,
    ros::RosMessages,
};

/// What a log says of the messages of one topic. All names are case sensitive, as MCAP's registry has them.
#[derive(Debug, Clone, Copy)]
pub struct MessageSchema<'a> {
    /// `cdr`, `ros1`, `protobuf`, `flatbuffer`, `json`, `cbor`, or anything else.
    pub message_encoding: &'a str,
    /// `ros2msg`, `ros2idl`, `omgidl`, `ros1msg`, `protobuf`, `flatbuffer`, `jsonschema`; empty for none.
    pub schema_encoding: &'a str,
    /// The root type, such as `sensor_msgs/msg/Image`.
    pub schema_name: &'a str,
    /// The definitions; may be empty for a type without fields.
    pub schema: &'a [u8],
}

impl MessageSchema<'_> {
    /// Whether the messages describe themselves and nothing else does, so that their types need a full
    /// pass: see [`crate::JsonInference`].
    pub fn needs_inference(&self) -> bool {
        let has_schema = self.schema_encoding == "jsonschema"
            && !self.schema.is_empty()
            && !matches!(describe_schema(self.schema), Ok(None));
        matches!(self.message_encoding, "json" | "cbor") && !has_schema
    }
}

/// Decodes the messages of one schema into columns.
#[derive(Debug)]
pub struct MessageDecoder {
    body: Body,
    images: Option<Images>,
    told_apart: Vec<(String, String)>,
}

/// How much of a message is in its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// All of it.
    Whole,
    /// Some of its values stand as text in `_extra`, because the schema does not allow them.
    Partly,
}

/// Whether a message may hold values that its schema does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fitting {
    Strict,
    Loose,
}

/// The column of messages that do not fit any other.
const UNKNOWN: &str = "_unknown";

#[derive(Debug)]
enum Body {
    Opaque(LeafId),
    Json(JsonPlan),
    Protobuf(ProtobufPlan),
    FlatBuffer(FlatBufferPlan),
    Ros(RosMessages),
}

impl MessageDecoder {
    /// Compiles a schema and appends the message's columns to `layout`, which already has those of the
    /// log. A field whose name is taken becomes `message.<name>`.
    ///
    /// Messages of an encoding that is not known, and those without a schema, become one column of bytes.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported` or `Limit` when the schema itself cannot be used; `layout` may then have
    /// gained columns and is best thrown away.
    pub fn compile(layout: &mut Layout, schema: &MessageSchema<'_>) -> Result<Self> {
        Self::compile_as(layout, schema, Fitting::Strict)
    }

    /// As [`Self::compile`], where messages may hold values that their schema does not allow: JSON keeps such a value as
    /// text in `_extra` and the rest of the message in its columns, each of which may be null.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_loose(layout: &mut Layout, schema: &MessageSchema<'_>) -> Result<Self> {
        Self::compile_as(layout, schema, Fitting::Loose)
    }

    fn compile_as(layout: &mut Layout, schema: &MessageSchema<'_>, fitting: Fitting) -> Result<Self> {
        let first = layout.features().len();
        let MessageSchema { message_encoding, schema_encoding, schema_name, schema } = *schema;
        let body = match (message_encoding, schema_encoding) {
            ("json" | "cbor", "jsonschema") if schema.is_empty() => None,
            ("json", "jsonschema") => json(layout, schema, Wire::Json, fitting)?,
            ("cbor", "jsonschema") => json(layout, schema, Wire::Cbor, fitting)?,
            ("protobuf", "protobuf") => {
                Some(Body::Protobuf(ProtobufPlan::compile(layout, schema_name, schema)?))
            }
            ("flatbuffer", "flatbuffer") => {
                Some(Body::FlatBuffer(FlatBufferPlan::compile(layout, schema_name, schema)?))
            }
            ("cdr", "ros2msg" | "ros2idl" | "omgidl") | ("ros1", "ros1msg") => {
                Some(Body::Ros(RosMessages::compile(layout, schema_encoding, schema_name, schema)?))
            }
            _ => None,
        };
        let Some(body) = body else { return Ok(Self::opaque(layout)) };
        let told_apart = rename_taken(layout, first);
        let images = Images::compile(layout, first, schema_name);
        Ok(Self { body, images, told_apart })
    }

    /// Keeps each message as it is in one column of bytes, `data`.
    pub fn opaque(layout: &mut Layout) -> Self {
        let first = layout.features().len();
        let id = layout.leaf(Feature::new("data", DType::Bytes, Vec::new()), &[]);
        let told_apart = rename_taken(layout, first);
        Self { body: Body::Opaque(id), images: None, told_apart }
    }

    /// The column that holds the payload of a message without any other column: the one for what the schema does not name,
    /// if there is one, or a new one. `first` is the message's first column.
    pub fn hold_misfits(&self, layout: &mut Layout, first: LeafId) -> LeafId {
        layout.allow_absent_from(first);
        if let Body::Protobuf(plan) = &self.body {
            return plan.unknown();
        }
        let name = free_name(UNKNOWN, |it| layout.features().any(|feature| feature.name == it));
        let about = "the message as it came, where it does not fit the other columns";
        let feature = Feature::new(name, DType::Bytes, Vec::new()).nullable();
        layout.leaf(feature.with_meta(meta::DESCRIPTION, about), &[])
    }

    /// Whether decoding fills this column, which [`Self::hold_misfits`] named.
    pub fn fills(&self, unknown: LeafId) -> bool {
        matches!(&self.body, Body::Protobuf(plan) if plan.unknown() == unknown)
    }

    /// Whether messages stay undecoded.
    pub fn is_opaque(&self) -> bool {
        matches!(self.body, Body::Opaque(_))
    }

    /// Pushes the message columns of one row, and tells whether all of the message is in them or some of its values stand as
    /// text in `_extra`. The caller ends the row, or aborts it after an error.
    ///
    /// # Errors
    /// `Corrupt` when `payload` is not what the schema says, `Limit` when it would take too much memory.
    pub fn decode(&self, payload: &[u8], columns: &mut Columns, pixels: &mut Pixels) -> Result<Fit> {
        self.decode_with(payload, columns, pixels, &mut RowMedia::default())
    }

    /// As [`Self::decode`], with the media that the message refers to: those of its fields of the kind
    /// [`crate::JsonKind::Media`], in their order.
    ///
    /// # Errors
    /// As [`Self::decode`]; `Corrupt`, too, when a medium is not among them.
    pub fn decode_with(
        &self,
        payload: &[u8],
        columns: &mut Columns,
        pixels: &mut Pixels,
        media: &mut RowMedia,
    ) -> Result<Fit> {
        let mut fit = Fit::Whole;
        match &self.body {
            Body::Opaque(id) => columns.push_bytes(*id, payload),
            Body::Json(plan) => fit = plan.decode(payload, columns, media)?,
            Body::Protobuf(plan) => plan.decode(payload, columns)?,
            Body::FlatBuffer(plan) => plan.decode(payload, columns)?,
            Body::Ros(messages) => messages.decode(payload, columns)?,
        }
        if let Some(images) = &self.images {
            images.finish_row(columns, pixels);
        }
        Ok(fit)
    }

    /// Fields whose column is called otherwise than one would look for it, because another field has that name: what the
    /// field is called, and what the column.
    pub fn told_apart(&self) -> &[(String, String)] {
        &self.told_apart
    }

    /// A message that could not be decoded, spelled so that it can: JSON with `NaN` or `Infinity` in it. `None` where that is
    /// not why.
    pub fn respelled(&self, payload: &[u8]) -> Option<Vec<u8>> {
        match &self.body {
            Body::Json(plan) if plan.wire == Wire::Json => respelled(payload),
            _ => None,
        }
    }

    /// Without a look at what other columns are called.
    pub(crate) fn of_plan(plan: JsonPlan) -> Self {
        Self { body: Body::Json(plan), images: None, told_apart: Vec::new() }
    }

    pub(crate) fn from_json(layout: &mut Layout, first: usize, plan: JsonPlan) -> Self {
        let told_apart = rename_taken(layout, first);
        Self { body: Body::Json(plan), images: None, told_apart }
    }
}

/// A JSON schema's plan; `None` when it allows anything, even what is not JSON.
fn json(layout: &mut Layout, schema: &[u8], wire: Wire, fitting: Fitting) -> Result<Option<Body>> {
    let Some(described) = describe_schema(schema)? else { return Ok(None) };
    if fitting == Fitting::Loose {
        return Ok(Some(Body::Json(JsonPlan::compile_loose(layout, described, wire)?)));
    }
    Ok(Some(Body::Json(JsonPlan::compile(layout, &described, wire)?)))
}

/// Columns from `first` on whose name an earlier column has become `message.<name>`; so do those that are
/// called as the column that datasets put first. Where the message itself has a field of the new name, or
/// two become one, `message.` is put in front once more.
/// Returns those of which that was so, with their new names.
fn rename_taken(layout: &mut Layout, first: usize) -> Vec<(String, String)> {
    let mut reserved: BTreeSet<String> = layout.features().take(first).map(|it| it.name.clone()).collect();
    reserved.insert(EPISODE_INDEX.to_owned());
    let mut names: BTreeSet<String> = layout.features().map(|it| it.name.clone()).collect();
    names.insert(EPISODE_INDEX.to_owned());
    let n_features = layout.features().len();
    let mut told_apart = Vec::new();
    for idx in first..n_features {
        let feature = layout.feature_mut(LeafId(idx));
        if reserved.contains(&feature.name) {
            let (own, plain) = (feature.name.clone(), format!("message.{}", feature.name));
            while names.contains(&feature.name) {
                feature.name.insert_str(0, "message.");
            }
            names.insert(feature.name.clone());
            if feature.name != plain {
                told_apart.push((own, feature.name.clone()));
            }
        }
    }
    told_apart
}

#[cfg(test)]
mod tests;
