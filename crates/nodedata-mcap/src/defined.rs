use nodedata_core::Result;
use nodedata_log::{ChannelRecord, Definitions, Position, SchemaRecord};

use crate::records::{Channel, Schema, op};

/// Adds the content of a Schema or Channel record that lies at `place`.
///
/// # Errors
/// `Corrupt` when it does not parse, or when the id has another definition already.
pub(crate) fn define(
    definitions: &mut Definitions,
    opcode: u8,
    content: &[u8],
    place: Position,
) -> Result<()> {
    if opcode == op::SCHEMA {
        let Schema { id, name, encoding, data } = Schema::parse(content)?;
        if id == 0 {
            return Ok(());
        }
        definitions.add_schema(&SchemaRecord { id: id.into(), name, encoding, data }, place)
    } else {
        let Channel { id, schema_id, topic, message_encoding, metadata } = Channel::parse(content)?;
        let schema_id = (schema_id != 0).then_some(schema_id.into());
        let metadata = &metadata[..];
        let channel = ChannelRecord { id: id.into(), schema_id, topic, message_encoding, metadata };
        definitions.add_channel(&channel, place)
    }
}
