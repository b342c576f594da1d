use std::{ops::Range, vec::IntoIter};

use bytes::Bytes;
use nodedata_core::Error;
use nodedata_log::{Cost, Damage, Message, MessageCursor, MessagePlace, Picked, Selector, corrupt};

use super::file::{Entry, Record, ToyFile};

/// The messages of some leaves, in the order of their directories.
pub(super) struct ToyCursor {
    file: ToyFile,
    left: Range<usize>,
    selector: Selector,
    leaf: usize,
    /// What is left of the leaf.
    entries: IntoIter<Entry>,
    payload: Bytes,
}

impl ToyCursor {
    pub(super) fn new(file: ToyFile, left: Range<usize>, selector: Selector) -> Self {
        let (entries, payload) = (Vec::new().into_iter(), Bytes::new());
        Self { file, leaf: left.start, left, selector, entries, payload }
    }

    fn next_record(&mut self) -> Result<Option<(Record, Picked)>, Box<Damage>> {
        loop {
            for entry in self.entries.by_ref() {
                let record = self.file.record(self.leaf, entry);
                let record =
                    record.map_err(|it| lost(it, Cost { uncounted: true, ..Cost::nothing("damaged") }))?;
                let position = (record.byte_range.start, 0);
                if let Some(picked) = self.selector.pick(record.channel, record.log_time, position) {
                    return Ok(Some((record, picked)));
                }
            }
            let unknown = self.selector.take_unknown();
            if !unknown.is_empty() {
                let message = format!("leaf {} has messages on channels nobody declared", self.leaf);
                let cost = Cost { records: unknown, ..Cost::nothing("unknown_channel") };
                return Err(lost(corrupt(message), cost));
            }
            let Some(leaf) = self.left.next() else { return Ok(None) };
            self.leaf = leaf;
            self.selector.start_unit();
            let entries = self.file.entries(leaf);
            let cost = || Cost::range("damaged", self.file.directory(leaf));
            self.entries = entries.map_err(|it| lost(it, cost()))?.into_iter();
        }
    }
}

fn lost(error: Error, cost: Cost) -> Box<Damage> {
    Box::new(Damage { error, cost })
}

impl MessageCursor for ToyCursor {
    fn next_message(&mut self) -> Result<Option<Message<'_>>, Box<Damage>> {
        let Some((record, Picked { stream, ordinal, channel })) = self.next_record()? else {
            return Ok(None);
        };
        let Record { log_time, payload, byte_range, .. } = record;
        self.payload = payload;
        let place = MessagePlace { unit: self.leaf, ordinal, part: 0, byte_range, in_chunk: None };
        let (publish_time, sequence) = (None, None);
        Ok(Some(Message { stream, channel, log_time, publish_time, sequence, payload: &self.payload, place }))
    }
}
