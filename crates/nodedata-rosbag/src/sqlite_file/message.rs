use std::ops::Range;

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_log::corrupt;

use crate::sqlite::{
    record::{Field, Value, fields},
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
        let mut found = [Field::default(); COLUMNS_MAX];
        let Some(n) = fields(front, n_payload, &mut found[..self.n])? else { return Ok(None) };
        let found = &found[..n];
        let number = |column: usize| match found.get(column) {
            Some(field) if front.len() as u64 >= field.end() => match field.value(front) {
                Some(Value::Int(it)) => Some(Some(it)),
                _ => Some(None),
            },
            // Behind the front.
            Some(_) => None,
            None => Some(None),
        };
        let Some((topic, time)) = number(self.topic).zip(number(self.time)) else { return Ok(None) };
        let Some(topic) = topic else { return Err(corrupt("message names no topic")) };
        let channel = u32::try_from(topic).unwrap_or(NO_CHANNEL);
        let data = found.get(self.data).and_then(Field::bytes);
        Ok(Some(MessageHead { channel, time, data }))
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
