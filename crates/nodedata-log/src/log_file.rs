use std::{collections::BTreeMap, ops::Range};

use nodedata_core::{Attachment, Error, OpenOptions, Result};

use crate::{Damage, Definitions, Selector};

/// One file of a log, opened and planned: what a log format has to supply.
///
/// Its units are the smallest parts that can be read alone (a chunk, some records, some pages), in file order.
/// They depend on the file alone, never on what is selected.
pub trait LogFile: Send + Sync + 'static {
    /// Which columns beside the log time every message has.
    fn clock(&self) -> ClockColumns;

    /// Whether the messages of a unit lie in the file in the order in which they are handed out, with none of another
    /// unit between them. Where not, every row names the bytes of its own message alone.
    fn in_file_order(&self) -> bool {
        true
    }

    /// How many units there are.
    fn n_units(&self) -> usize;

    /// What is known of a unit without reading it.
    fn unit(&self, idx: usize) -> Unit;

    /// The messages of a unit by channel, where an index of the file counts all of them; a channel without any may be left
    /// out.
    fn counts(&self, idx: usize) -> Option<&[(u32, u64)]> {
        let _ = idx;
        None
    }

    /// Bytes of the file that decide the messages of consecutive units, those of the messages first. Units may share
    /// some of them, as they do in a tree of pages.
    fn reads(&self, units: Range<usize>) -> Vec<Range<u64>> {
        let all = || units.clone().map(|it| self.unit(it).byte_range);
        let start = all().map(|it| it.start).min();
        start.zip(all().map(|it| it.end).max()).map(|(start, end)| start..end).into_iter().collect()
    }

    /// Starts walking the messages of consecutive units that `selector` picks.
    fn messages(
        &self,
        units: Range<usize>,
        selector: Selector,
        options: &OpenOptions,
    ) -> Box<dyn MessageCursor>;
}

/// A file of one storage among files of others.
impl LogFile for Box<dyn LogFile> {
    fn clock(&self) -> ClockColumns {
        (**self).clock()
    }

    fn in_file_order(&self) -> bool {
        (**self).in_file_order()
    }

    fn n_units(&self) -> usize {
        (**self).n_units()
    }

    fn unit(&self, idx: usize) -> Unit {
        (**self).unit(idx)
    }

    fn counts(&self, idx: usize) -> Option<&[(u32, u64)]> {
        (**self).counts(idx)
    }

    fn reads(&self, units: Range<usize>) -> Vec<Range<u64>> {
        (**self).reads(units)
    }

    fn messages(
        &self,
        units: Range<usize>,
        selector: Selector,
        options: &OpenOptions,
    ) -> Box<dyn MessageCursor> {
        (**self).messages(units, selector, options)
    }
}

/// The selected messages of consecutive units, those of one unit in an order that never changes.
pub trait MessageCursor: Send {
    /// Moves to the next selected message; `None` at the end.
    ///
    /// # Errors
    /// Damage with its cost; the next call goes on behind it and never returns the same damage again. Every
    /// message that a [`Selector`] picked is handed out or counted in a cost.
    fn next_message(&mut self) -> Result<Option<Message<'_>>, Box<Damage>>;

    /// Up to where bytes of the file have decided the messages so far, where only reading shows that and it may be
    /// farther than [`LogFile::reads`] says; 0 where that says all of it.
    fn read_up_to(&self) -> u64 {
        0
    }
}

/// Which columns beside the log time every message of a format has; a column that not every message has may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockColumns {
    /// When the message was published.
    pub publish_time: bool,
    /// Its number on its channel.
    pub sequence: bool,
}

impl ClockColumns {
    /// Those that messages have on either side.
    #[must_use]
    pub fn shared_with(self, other: Self) -> Self {
        Self {
            publish_time: self.publish_time && other.publish_time,
            sequence: self.sequence && other.sequence,
        }
    }
}

/// One message, borrowed from the bytes it lies in; times are nanoseconds.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// Position of its stream.
    pub stream: usize,
    /// Its channel, as its file calls it.
    pub channel: u32,
    /// When it was logged.
    pub log_time: u64,
    /// When it was published; `None` only where [`LogFile::clock`] says so.
    pub publish_time: Option<u64>,
    /// Its number on its channel; `None` only where [`LogFile::clock`] says so.
    pub sequence: Option<u32>,
    /// Its bytes, which may still be compressed by themselves.
    pub payload: &'a [u8],
    /// Where it lies.
    pub place: MessagePlace,
}

/// Where a message lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePlace {
    /// Position of its unit among those of the file.
    pub unit: usize,
    /// Position among the messages of its stream in the unit, selected or not.
    pub ordinal: u64,
    /// Which file it lies in: 0 is the log itself, others are its [`crate::PlannedFile::companions`], counted from 1.
    pub part: usize,
    /// Bytes of the file: the chunk, or the record itself when it lies in none.
    pub byte_range: Range<u64>,
    /// Offset of the record in its chunk; `None` when it lies in none.
    pub in_chunk: Option<u64>,
}

/// What is known of a unit without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its bytes in the file.
    pub byte_range: Range<u64>,
    /// Bytes of its records after decompression, as far as known.
    pub decoded_bytes: u64,
    /// The log times of its messages.
    pub times: Times,
}

/// The log times of some messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Nothing trustworthy tells.
    Unknown,
    /// There are no messages.
    Nothing,
    /// Earliest and latest.
    Within(u64, u64),
}

/// What one file declares and carries besides messages.
#[derive(Debug, Default)]
pub struct LogFacts {
    /// Its schemas and channels.
    pub definitions: Definitions,
    /// What it says about the recording.
    pub metadata: BTreeMap<String, String>,
    /// Files carried in it; which episode and which input they belong to is filled in later.
    pub attachments: Vec<Attachment>,
    /// What was found broken while planning; reading does not meet it again.
    pub damage: Vec<Damage>,
    /// Remarks that lose nothing.
    pub warnings: Vec<Error>,
}
