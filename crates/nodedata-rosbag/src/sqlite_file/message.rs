use std::ops::Range;

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_log::corrupt;

use crate::sqlite::{
    record::{Field, Value, each_field, fields},
    schema::Table,
};

/// Columns of a message's row that are looked at, at most.
const COLUMNS_MAX: usize = 8;
/// The channel of topic numbers that no channel can have.
const NO_CHANNEL: u32 = u32::MAX;

/// Which columns of the table of messages hold what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageColumns {
    topic: usize,
    time: usize,
    data: usize,
    /// How many there are, as far as they are looked at.
    n: usize,
}

/// What a row of a message says, its payload left where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageHead {
    pub(crate) channel: u32,
    /// `None` where there is no number.
    pub(crate) time: Option<i64>,
    /// Where in the record the payload is; `None` where there is none.
    pub(crate) data: Option<Range<u64>>,
}

impl MessageColumns {
    /// # Errors
    /// `Corrupt` when there is no such column, `Unsupported` for tables without rowids.
    pub(crate) fn of(table: &Table) -> Result<Self> {
        if table.columns.without_rowid {
            let error = Error::new(ErrorKind::Unsupported, "table `messages` has no rowids");
            return Err(error.at(Locus::byte(0)).with_hint("write it again with `ros2 bag convert`"));
        }
        let column = |name: &str| {
            let at = table.columns.position(name).filter(|it| *it < COLUMNS_MAX);
            let names = table.columns.names.join("`, `");
            let message =
                format!("table `messages` has no column `{name}` among its first: they are `{names}`");
            at.ok_or_else(|| corrupt(message).at(Locus::byte(0)))
        };
        let (topic, time, data) = (column("topic_id")?, column("timestamp")?, column("data")?);
        Ok(Self { topic, time, data, n: table.columns.names.len().min(COLUMNS_MAX) })
    }

    /// What the front of a row says; `None` when that does not reach far enough.
    ///
    /// # Errors
    /// `Corrupt` when the row is not sound, or of no topic.
    #[inline]
    pub(crate) fn head(&self, front: &[u8], n_payload: u64) -> Result<Option<MessageHead>> {
        // Of a column that the row does not have, nothing.
        let (mut topic, mut time, mut data) = <(Field, Field, Field)>::default();
        let n = each_field(front, n_payload, self.n, |idx, field| {
            if idx == self.topic {
                topic = field;
            } else if idx == self.time {
                time = field;
            } else if idx == self.data {
                data = field;
            }
        })?;
        let is_behind = |it: Field| (front.len() as u64) < it.end();
        if n.is_none() || is_behind(topic) || is_behind(time) {
            return Ok(None);
        }
        let number = |it: Field| match it.value(front) {
            Some(Value::Int(it)) => Some(it),
            _ => None,
        };
        let Some(topic) = number(topic) else { return Err(no_topic()) };
        let channel = u32::try_from(topic).unwrap_or(NO_CHANNEL);
        Ok(Some(MessageHead { channel, time: number(time), data: data.bytes() }))
    }

    /// How many columns a row has.
    pub(crate) fn n_columns(&self) -> usize {
        self.n
    }

    /// How many columns a row in front of which these bytes are has; `None` when it is not sound.
    pub(crate) fn n_found(&self, front: &[u8], n_payload: u64) -> Option<usize> {
        let mut found = [Field::default(); COLUMNS_MAX + 1];
        fields(front, n_payload, &mut found).ok().flatten()
    }
}

#[cold]
fn no_topic() -> Error {
    corrupt("message names no topic")
}
