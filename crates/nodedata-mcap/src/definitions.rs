use std::collections::BTreeMap;

use nodedata_core::{Locus, Result};

use crate::{
    fault::corrupt,
    records::{Channel, Schema, op},
};

/// Where a record lies: offset in the file of it or of the chunk it is in, then offset in the chunk.
pub(crate) type Place = (u64, u64);

/// A Schema record kept for the whole time the file is open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OwnedSchema {
    pub(crate) name: String,
    pub(crate) encoding: String,
    pub(crate) data: Vec<u8>,
}

/// A Channel record kept for the whole time the file is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedChannel {
    /// 0: no schema.
    pub(crate) schema_id: u16,
    pub(crate) topic: String,
    pub(crate) message_encoding: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// From here on another definition claims the id, so nobody knows whose messages follow.
    ambiguous_from: Option<Place>,
}

/// The schemas and channels of one file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Definitions {
    pub(crate) schemas: BTreeMap<u16, OwnedSchema>,
    pub(crate) channels: BTreeMap<u16, OwnedChannel>,
    /// Schemas that are declared twice with other content, and from where on.
    ambiguous_schemas: BTreeMap<u16, Place>,
}

impl Definitions {
    /// Adds the content of a Schema or Channel record that lies at `place`. Repetitions are normal, in
    /// every chunk and in the summary.
    ///
    /// # Errors
    /// `Corrupt` when it does not parse, or when the id has another definition already. The first one
    /// stays, and from `place` on messages that depend on it belong to nobody.
    pub(crate) fn add(&mut self, opcode: u8, content: &[u8], place: Place) -> Result<()> {
        if opcode == op::SCHEMA {
            self.add_schema(&Schema::parse(content)?, place)
        } else {
            self.add_channel(&Channel::parse(content)?, place)
        }
    }

    /// From where on nobody knows whose messages come on a channel, if anywhere.
    pub(crate) fn ambiguous_from(&self, channel: &OwnedChannel) -> Option<Place> {
        let schema = self.ambiguous_schemas.get(&channel.schema_id).copied();
        channel.ambiguous_from.into_iter().chain(schema).min()
    }

    fn add_schema(&mut self, schema: &Schema<'_>, place: Place) -> Result<()> {
        let Schema { id, name, encoding, data } = *schema;
        if id == 0 {
            return Ok(());
        }
        let Some(known) = self.schemas.get(&id) else {
            let owned =
                OwnedSchema { name: name.to_owned(), encoding: encoding.to_owned(), data: data.to_vec() };
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

    fn add_channel(&mut self, channel: &Channel<'_>, place: Place) -> Result<()> {
        let Some(known) = self.channels.get_mut(&channel.id) else {
            self.channels.insert(channel.id, OwnedChannel::new(channel));
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
            "channel {} is topic `{}` with schema {} and encoding `{}` here, but was declared before as \
             `{}` with schema {} and encoding `{}`",
            channel.id,
            channel.topic,
            channel.schema_id,
            channel.message_encoding,
            known.topic,
            known.schema_id,
            known.message_encoding
        ))
        .at(Locus::topic(channel.topic)))
    }
}

impl OwnedChannel {
    fn new(channel: &Channel<'_>) -> Self {
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
