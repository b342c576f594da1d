use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use nodedata_core::{Error, Locus, Result};
use nodedata_log::{
    Cost, Damage, Message, MessageCursor, MessagePlace, Picked, SALVAGE_HINT, Selector, corrupt, too_large,
};

use super::{Messages, message::MessageHead};
use crate::sqlite::cell::{Cell, TablePage};

/// The selected messages of consecutive units, in the order of their rows, borrowed from the pages they lie in.
pub(crate) struct SqliteCursor {
    messages: Arc<Messages>,
    selector: Selector,
    record_bytes_max: u64,
    /// Units not started yet.
    rest: Range<usize>,
    unit: usize,
    /// Leaves of the unit that are not open yet.
    leaves: Range<usize>,
    is_open: bool,
    leaf: Option<TablePage>,
    next_cell: usize,
    /// A record that does not lie in one piece.
    buffer: Vec<u8>,
    read_up_to: u64,
}

/// A selected message and where its payload lies.
struct Found {
    picked: Picked,
    log_time: u64,
    /// Where in the page its cell is.
    at: usize,
    /// In the page, or in the buffer.
    data: Range<usize>,
    in_buffer: bool,
}

impl SqliteCursor {
    pub(crate) fn new(
        messages: Arc<Messages>,
        rest: Range<usize>,
        selector: Selector,
        record_bytes_max: u64,
    ) -> Self {
        Self {
            messages,
            selector,
            record_bytes_max,
            unit: rest.start,
            rest,
            leaves: 0..0,
            is_open: false,
            leaf: None,
            next_cell: 0,
            buffer: Vec::new(),
            read_up_to: 0,
        }
    }

    fn advance(&mut self) -> Result<Option<Found>, Box<Damage>> {
        loop {
            if let Some(found) = self.next_in_leaf()? {
                return Ok(Some(found));
            }
            self.leaf = None;
            if let Some(leaf) = self.leaves.next() {
                self.open_leaf(leaf)?;
            } else if self.is_open {
                self.is_open = false;
                let unknown = self.selector.take_unknown();
                if !unknown.is_empty() {
                    return Err(self.unknown_topics(&unknown));
                }
            } else if !self.open_unit() {
                return Ok(None);
            }
        }
    }

    /// Starts the next selected unit; `false` at the end.
    fn open_unit(&mut self) -> bool {
        for idx in self.rest.by_ref() {
            let unit = &self.messages.units[idx];
            let channels = unit.counts.as_ref().map(|it| it.iter().map(|it| it.0).collect::<BTreeSet<u32>>());
            if self.selector.may_select(channels.as_ref(), unit.times) {
                (self.unit, self.leaves, self.is_open) = (idx, unit.leaves.clone(), true);
                self.selector.start_unit();
                return true;
            }
        }
        false
    }

    fn open_leaf(&mut self, leaf: usize) -> Result<(), Box<Damage>> {
        let pages = &self.messages.database.pages;
        let no = self.messages.leaves[leaf];
        let read = TablePage::read(pages, no).and_then(|it| match it.is_leaf {
            true => Ok(it),
            false => Err(corrupt(format!("page {no} holds no rows, where the tree has a leaf"))
                .at(pages.locus(it.page.place))),
        });
        (self.leaf, self.next_cell) = (None, 0);
        let byte_range = pages.own_bytes(no);
        let cost = Cost { byte_range, uncounted: true, ..Cost::nothing("damaged_page") };
        let leaf = read.map_err(|error| Box::new(Damage { error, cost }))?;
        leaf.touch_cells();
        self.leaf = Some(leaf);
        Ok(())
    }

    fn next_in_leaf(&mut self) -> Result<Option<Found>, Box<Damage>> {
        let Some(leaf) = &self.leaf else { return Ok(None) };
        let columns = &self.messages.columns;
        while self.next_cell < leaf.n_cells() {
            let idx = self.next_cell;
            self.next_cell += 1;
            let nobody = Cost { uncounted: true, ..Cost::nothing("damaged_row") };
            let broken = |cell, err, cost| damaged(&self.messages, leaf, cell, err, cost);
            let cell = leaf.cell(idx).map_err(|err| broken(None, err, nobody.clone()))?;
            let front = leaf.local(&cell);
            let head = columns.head(front, cell.n_payload);
            let head = head.map_err(|err| broken(Some(&cell), err, nobody.clone()))?;
            let mut in_buffer = false;
            let head = match head {
                Some(head) => head,
                // What says whose message it is lies in overflow pages, as no recorder writes it.
                None => {
                    in_buffer = true;
                    let whole = gather(
                        &self.messages,
                        leaf,
                        &cell,
                        self.record_bytes_max,
                        (&mut self.buffer, &mut self.read_up_to),
                    );
                    let head = whole.and_then(|()| columns.head(&self.buffer, cell.n_payload));
                    let head = head.and_then(|it| it.ok_or_else(|| corrupt("row ends inside its head")));
                    head.map_err(|err| damaged(&self.messages, leaf, Some(&cell), err, nobody))?
                }
            };
            let MessageHead { channel, time, data } = head;
            let offset = leaf.page.place.offset + cell.at as u64;
            // What is no time is met as damage, but where a range has an end: it counts as later than any.
            let log_time = time.map_or(u64::MAX, |it| u64::try_from(it).unwrap_or(u64::MAX));
            let Some(picked) = self.selector.pick(channel, log_time, (offset, 0)) else { continue };
            let lost = |reason| Cost { records: [(channel, 1)].into(), ..Cost::nothing(reason) };
            let broken = |err, cost| damaged(&self.messages, leaf, Some(&cell), err, cost);
            let Some(time) = time else {
                return Err(broken(corrupt("message has no timestamp"), lost("damaged_row")));
            };
            let Ok(log_time) = u64::try_from(time) else {
                let message = format!("timestamp is {time} ns, but the earliest is 0 ns");
                return Err(broken(corrupt(message), lost("time_out_of_range")));
            };
            let Some(data) = data else {
                return Err(broken(corrupt("message has no data"), lost("damaged_row")));
            };
            if cell.spills() && !in_buffer {
                in_buffer = true;
                let gathered = gather(
                    &self.messages,
                    leaf,
                    &cell,
                    self.record_bytes_max,
                    (&mut self.buffer, &mut self.read_up_to),
                );
                gathered
                    .map_err(|err| damaged(&self.messages, leaf, Some(&cell), err, lost("damaged_row")))?;
            }
            // Fields end inside the record, which is in memory.
            let front = if in_buffer { 0 } else { cell.local.start };
            let data = front + data.start as usize..front + data.end as usize;
            return Ok(Some(Found { picked, log_time, at: cell.at, data, in_buffer }));
        }
        Ok(None)
    }

    fn unknown_topics(&self, unknown: &BTreeMap<u32, u64>) -> Box<Damage> {
        let ids: Vec<String> = unknown.iter().map(|(id, n)| format!("{id} ({n} of its messages)")).collect();
        let unit = &self.messages.units[self.unit];
        let error = corrupt(format!("no row of `topics` declares topic {}", ids.join(", ")))
            .at(Locus::byte(unit.bytes.start));
        let byte_range = (unit.part == 0).then(|| unit.bytes.clone());
        let cost = Cost { byte_range, uncounted: true, ..Cost::nothing("unknown_channel") };
        Box::new(Damage { error, cost })
    }

    /// The message that [`Self::advance`] found.
    fn message(&self, found: Found) -> Option<Message<'_>> {
        let Found { picked: Picked { stream, ordinal, channel }, log_time, at, data, in_buffer } = found;
        let leaf = self.leaf.as_ref()?;
        let unit = &self.messages.units[self.unit];
        let bytes = if in_buffer { &self.buffer[..] } else { &leaf.page.bytes[..] };
        let in_unit = leaf.page.place.offset + at as u64 - unit.bytes.start;
        Some(Message {
            stream,
            channel,
            log_time,
            publish_time: None,
            sequence: None,
            payload: bytes.get(data)?,
            place: MessagePlace {
                unit: self.unit,
                ordinal,
                part: unit.part,
                byte_range: unit.bytes.clone(),
                in_chunk: Some(in_unit),
            },
        })
    }
}

/// Copies a record that does not lie in one piece.
fn gather(
    messages: &Messages,
    leaf: &TablePage,
    cell: &Cell,
    limit: u64,
    (buffer, read_up_to): (&mut Vec<u8>, &mut u64),
) -> Result<()> {
    if limit < cell.n_payload {
        return Err(too_large("a message", cell.n_payload, limit));
    }
    messages.database.pages.gather(leaf, cell, buffer, read_up_to)
}

/// Damage in a row, with its number and the place of its cell.
fn damaged(
    messages: &Messages,
    leaf: &TablePage,
    cell: Option<&Cell>,
    cause: Error,
    cost: Cost,
) -> Box<Damage> {
    let mut place = messages.database.pages.locus(leaf.page.place);
    let page = leaf.page.no;
    let message = match cell {
        Some(cell) => {
            place.byte_offset = place.byte_offset.map(|it| it + cell.at as u64);
            format!("row {} of `messages`, in page {page}, cannot be read", cell.rowid)
        }
        None => format!("a row of `messages`, in page {page}, cannot be read"),
    };
    let hint = cause.hint().unwrap_or(SALVAGE_HINT).to_owned();
    // Where the row is says more than where its chain of pages breaks, which the cause says.
    let error = Error::new(cause.kind(), message).at(place).with_hint(hint).with_source(cause);
    Box::new(Damage { error, cost })
}

impl MessageCursor for SqliteCursor {
    fn next_message(&mut self) -> Result<Option<Message<'_>>, Box<Damage>> {
        let Some(found) = self.advance()? else { return Ok(None) };
        // Fields end inside their record. Were it otherwise, that would be damage and not the end.
        let (channel, start) = (found.picked.channel, self.messages.units[self.unit].bytes.start);
        self.message(found).map(Some).ok_or_else(|| {
            let error = corrupt("payload of a message ends outside of its record").at(Locus::byte(start));
            let cost = Cost { records: [(channel, 1)].into(), ..Cost::nothing("damaged_row") };
            Box::new(Damage { error, cost })
        })
    }

    fn read_up_to(&self) -> u64 {
        self.read_up_to
    }
}
