use std::collections::BTreeMap;

use nodedata_core::{Locus, Result};

use crate::corrupt;

/// Where a record lies: offset in the file of it or of the chunk it is in, then offset in the chunk.
pub type Position = (u64, u64);

/// A schema kept for the whole time the file is open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogSchema {
    /// The name of the type.
    pub name: String,
    /// What the content is written in.
    pub encoding: String,
    /// The content.
    pub data: Vec<u8>,
}

impl LogSchema {
    /// Whether an empty content may be the definition of a type without fields.
    pub(crate) fn may_be_empty(&self) -> bool {
        self.encoding == "ros2msg"
    }
}

/// A channel kept for the whole time the file is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChannel {
    /// `None`: the messages have no schema.
    pub schema_id: Option<u32>,
    /// The topic its messages were published on.
    pub topic: String,
    /// How they are encoded.
    pub message_encoding: String,
    /// What else its declaration says.
    pub metadata: BTreeMap<String, String>,
    /// From here on another definition claims the id, so nobody knows whose messages follow.
    ambiguous_from: Option<Position>,
}

/// A schema as a file declares it.
#[derive(Debug, Clone, Copy)]
pub struct SchemaRecord<'a> {
    /// What channels call it.
    pub id: u32,
    /// As [`LogSchema::name`].
    pub name: &'a str,
    /// As [`LogSchema::encoding`].
    pub encoding: &'a str,
    /// As [`LogSchema::data`].
    pub data: &'a [u8],
}

/// A channel as a file declares it.
#[derive(Debug, Clone, Copy)]
pub struct ChannelRecord<'a> {
    /// What messages call it.
    pub id: u32,
    /// As [`LogChannel::schema_id`].
    pub schema_id: Option<u32>,
    /// As [`LogChannel::topic`].
    pub topic: &'a str,
    /// As [`LogChannel::message_encoding`].
    pub message_encoding: &'a str,
    /// As [`LogChannel::metadata`].
    pub metadata: &'a [(&'a str, &'a str)],
}

/// The schemas and channels of one file.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    /// By id.
    pub schemas: BTreeMap<u32, LogSchema>,
    /// By id.
    pub channels: BTreeMap<u32, LogChannel>,
    /// Schemas that are declared twice with other content, and from where on.
    ambiguous_schemas: BTreeMap<u32, Position>,
}

impl Definitions {
    /// From where on nobody knows whose messages come on a channel, if anywhere.
    pub fn ambiguous_from(&self, channel: &LogChannel) -> Option<Position> {
        let schema = channel.schema_id.and_then(|it| self.ambiguous_schemas.get(&it)).copied();
        channel.ambiguous_from.into_iter().chain(schema).min()
    }

    /// Adds a schema that is declared at `place`. Repetitions are normal, in every chunk and in a summary.
    ///
    /// # Errors
    /// `Corrupt` when the id has another definition already. The first one stays, and from `place` on messages that
    /// depend on it belong to nobody.
    pub fn add_schema(&mut self, schema: &SchemaRecord<'_>, place: Position) -> Result<()> {
        let SchemaRecord { id, name, encoding, data } = *schema;
        let Some(known) = self.schemas.get(&id) else {
            let owned =
                LogSchema { name: name.to_owned(), encoding: encoding.to_owned(), data: data.to_vec() };
            self.schemas.insert(id, owned);
            return Ok(());
        };
        if known.name == name && known.encoding == encoding && known.data == data {
            return Ok(());
        }
        let from = self.ambiguous_schemas.entry(id).or_insert(place);
        *from = place.min(*from);
        Err(corrupt(format!(
            "schema {id} is `{name}` here, but was declared before as `{}` with other content",
            known.name
        )))
    }

    /// Adds a channel that is declared at `place`, as [`Self::add_schema`] adds a schema.
    ///
    /// # Errors
    /// As for [`Self::add_schema`].
    pub fn add_channel(&mut self, channel: &ChannelRecord<'_>, place: Position) -> Result<()> {
        let Some(known) = self.channels.get_mut(&channel.id) else {
            self.channels.insert(channel.id, LogChannel::new(channel));
            return Ok(());
        };
        // Metadata may grow while recording; only what decides how messages are read must not change.
        if known.topic == channel.topic
            && known.schema_id == channel.schema_id
            && known.message_encoding == channel.message_encoding
        {
            return Ok(());
        }
        known.ambiguous_from = Some(known.ambiguous_from.map_or(place, |it| it.min(place)));
        Err(corrupt(format!(
            "channel {} is topic `{}` with {} and encoding `{}` here, but was declared before as `{}` with {} and \
             encoding `{}`",
            channel.id,
            channel.topic,
            schema_of(channel.schema_id),
            channel.message_encoding,
            known.topic,
            schema_of(known.schema_id),
            known.message_encoding
        ))
        .at(Locus::topic(channel.topic)))
    }
}

impl LogChannel {
    fn new(channel: &ChannelRecord<'_>) -> Self {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Self {
            schema_id: channel.schema_id,
            topic: channel.topic.to_owned(),
            message_encoding: channel.message_encoding.to_owned(),
            metadata: channel.metadata.iter().map(owned).collect(),
            ambiguous_from: None,
        }
    }
}

fn schema_of(id: Option<u32>) -> String {
    id.map_or_else(|| "no schema".to_owned(), |it| format!("schema {it}"))
}
