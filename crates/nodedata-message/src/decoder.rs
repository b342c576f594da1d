use std::collections::BTreeSet;

use nodedata_core::{Columns, DType, EPISODE_INDEX, Feature, Layout, LeafId, Result, free_name};

use crate::{
    flatbuffer::FlatBufferPlan,
    images::Images,
    json::{JsonPlan, Wire, describe_schema},
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
        let has_schema = self.schema_encoding == "jsonschema" && !self.schema.is_empty();
        matches!(self.message_encoding, "json" | "cbor") && !has_schema
    }
}

/// Decodes the messages of one schema into columns.
#[derive(Debug)]
pub struct MessageDecoder {
    body: Body,
    images: Option<Images>,
}

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
        let first = layout.features().len();
        let MessageSchema { message_encoding, schema_encoding, schema_name, schema } = *schema;
        let body = match (message_encoding, schema_encoding) {
            ("json" | "cbor", "jsonschema") if schema.is_empty() => None,
            ("json", "jsonschema") => json(layout, schema, Wire::Json)?,
            ("cbor", "jsonschema") => json(layout, schema, Wire::Cbor)?,
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
        rename_taken(layout, first);
        let images = Images::compile(layout, first, schema_name);
        Ok(Self { body, images })
    }

    /// Keeps each message as it is in one column of bytes, `data`.
    pub fn opaque(layout: &mut Layout) -> Self {
        let first = layout.features().len();
        let id = layout.leaf(Feature::new("data", DType::Bytes, Vec::new()), &[]);
        rename_taken(layout, first);
        Self { body: Body::Opaque(id), images: None }
    }

    /// Whether messages stay undecoded.
    pub fn is_opaque(&self) -> bool {
        matches!(self.body, Body::Opaque(_))
    }

    /// Pushes the message columns of one row. The caller ends the row, or aborts it after an error.
    ///
    /// # Errors
    /// `Corrupt` when `payload` is not what the schema says, `Limit` when it would take too much memory.
    pub fn decode(&self, payload: &[u8], columns: &mut Columns, pixels: &mut Pixels) -> Result<()> {
        match &self.body {
            Body::Opaque(id) => columns.push_bytes(*id, payload),
            Body::Json(plan) => plan.decode(payload, columns)?,
            Body::Protobuf(plan) => plan.decode(payload, columns)?,
            Body::FlatBuffer(plan) => plan.decode(payload, columns)?,
            Body::Ros(messages) => messages.decode(payload, columns)?,
        }
        if let Some(images) = &self.images {
            images.finish_row(columns, pixels);
        }
        Ok(())
    }

    pub(crate) fn from_json(layout: &mut Layout, first: usize, plan: JsonPlan) -> Self {
        rename_taken(layout, first);
        Self { body: Body::Json(plan), images: None }
    }
}

/// A JSON schema's plan; `None` when it allows anything, even what is not JSON.
fn json(layout: &mut Layout, schema: &[u8], wire: Wire) -> Result<Option<Body>> {
    let Some(described) = describe_schema(schema)? else { return Ok(None) };
    Ok(Some(Body::Json(JsonPlan::compile(layout, &described, wire)?)))
}

/// Columns from `first` on whose name an earlier column has become `message.<name>`; so do those that are
/// called as the column that datasets put first. Where the message itself has a field of the new name, or
/// two become one, a number tells them apart.
fn rename_taken(layout: &mut Layout, first: usize) {
    let mut reserved: BTreeSet<String> = layout.features().take(first).map(|it| it.name.clone()).collect();
    reserved.insert(EPISODE_INDEX.to_owned());
    let mut names: BTreeSet<String> = layout.features().map(|it| it.name.clone()).collect();
    let n_features = layout.features().len();
    for idx in first..n_features {
        let feature = layout.feature_mut(LeafId(idx));
        if reserved.contains(&feature.name) {
            feature.name = free_name(&format!("message.{}", feature.name), |it| names.contains(it));
            names.insert(feature.name.clone());
        }
    }
}

#[cfg(test)]
mod tests;
