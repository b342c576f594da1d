use nodedata_core::{Locus, Result};
use nodedata_log::{ChannelRecord, Definitions, Position, SchemaRecord, corrupt};

use super::record::{Fields, Record};

/// What stands for any type, and for the MD5 sum of its definition.
const ANY: &str = "*";

/// MD5 of nothing: the sum of a type without fields, whose definition is empty for a reason.
const MD5_OF_NOTHING: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// A connection: a publisher of a topic, as the recorder met it.
#[derive(Debug, Default)]
struct Connection<'a> {
    type_name: &'a str,
    md5sum: &'a str,
    definition: &'a [u8],
    /// What else its header says.
    others: Vec<(&'a str, &'a str)>,
}

/// Adds the connection of a record that lies at `place`. Of an encrypted bag only the topic can be read.
///
/// # Errors
/// `Corrupt` when it does not parse, or when the id has another definition already.
pub(crate) fn define(
    definitions: &mut Definitions,
    record: &Record<'_>,
    is_encrypted: bool,
    place: Position,
) -> Result<()> {
    let id = record.header.u32("conn")?;
    // The name that messages are stored under; the header of the publisher may say another.
    let topic = record.header.text("topic")?;
    let parsed = Connection::parse(record.data).map_err(|err| err.at(Locus::topic(topic)));
    let connection = match parsed {
        Err(_) if is_encrypted => Connection::default(),
        parsed => parsed?,
    };
    let schema_id = (!connection.type_name.is_empty()).then_some(id);
    if schema_id.is_some() {
        definitions.add_schema(&connection.schema(id), place).map_err(|err| err.at(Locus::topic(topic)))?;
    }
    let mut metadata = connection.others;
    if !connection.md5sum.is_empty() {
        metadata.push(("md5sum", connection.md5sum));
    }
    let channel = ChannelRecord { id, schema_id, topic, message_encoding: "ros1", metadata: &metadata };
    definitions.add_channel(&channel, place)
}

impl<'a> Connection<'a> {
    fn parse(data: &'a [u8]) -> Result<Self> {
        let mut connection = Self::default();
        for field in Fields::new(data) {
            let Some((name, value)) = field else {
                return Err(corrupt("the fields of a connection do not fill its data"));
            };
            if name == b"message_definition" {
                connection.definition = value;
                continue;
            }
            let not_text = |err| corrupt("a field of a connection is not UTF-8").with_source(err);
            let text = |it: &'a [u8]| str::from_utf8(it).map_err(not_text);
            match (text(name)?, text(value)?) {
                ("type", value) => connection.type_name = value,
                ("md5sum", value) => connection.md5sum = value,
                ("topic", _) => {}
                ("latching", "1") => connection.others.push(("latching", "true")),
                ("latching", "0") => connection.others.push(("latching", "false")),
                (name, value) => connection.others.push((name, value)),
            }
        }
        if connection.type_name.is_empty() {
            return Err(corrupt("a connection names no type"));
        }
        Ok(connection)
    }

    /// The definition; where the publisher sent none, only the name of the type.
    fn schema(&self, id: u32) -> SchemaRecord<'a> {
        let is_empty = self.definition.iter().all(u8::is_ascii_whitespace);
        let is_unknown =
            self.md5sum == ANY || self.type_name == ANY || is_empty && self.md5sum != MD5_OF_NOTHING;
        let (encoding, data) = if is_unknown { ("", &b""[..]) } else { ("ros1msg", self.definition) };
        SchemaRecord { id, name: self.type_name, encoding, data }
    }
}
