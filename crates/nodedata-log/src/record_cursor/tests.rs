//! Chunks of the smallest kind: a message is its channel and its time, a byte each, and an index as many bytes as messages,
//! each the channel of one.

use nodedata_core::TimeRange;

use super::*;
use crate::{Route, Routes};

/// Bytes that say that what follows is damaged.
const BROKEN: u8 = 0xff;

#[derive(Default)]
struct Pairs(Bytes);

impl RecordReader for Pairs {
    const CUT: &'static str = "the chunk is cut off";
    const CHECKS_PLAN: bool = true;

    fn load(&mut self, _: &RecordUnit, bytes: Bytes) -> Result<()> {
        self.0 = bytes;
        Ok(())
    }

    fn records(&self) -> &[u8] {
        &self.0
    }

    fn next_message(records: &[u8], at: &mut usize) -> Result<Option<MessageRecord>> {
        let start = *at;
        let Some(&[channel, time]) = records.get(start..start + 2) else { return Ok(None) };
        if channel == BROKEN {
            return Err(corrupt("broken"));
        }
        *at += 2;
        let (channel, log_time) = (channel.into(), time.into());
        let (publish_time, sequence) = (None, None);
        let payload = start + 2..start + 2;
        Ok(Some(MessageRecord { channel, log_time, publish_time, sequence, start, payload }))
    }

    fn indexed_counts(indexes: &[u8], _: impl Fn(u64) -> bool) -> Option<BTreeMap<u32, u64>> {
        let mut counts = BTreeMap::new();
        for channel in indexes {
            *counts.entry(u32::from(*channel)).or_default() += 1;
        }
        Some(counts)
    }

    fn undeclared(channels: &str) -> String {
        format!("nothing declares {channels}")
    }
}

struct File(Option<Bytes>);

impl ReadAt for File {
    fn n_bytes(&self) -> u64 {
        self.0.as_ref().map_or(10, |it| it.len() as u64)
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        let away = || Error::new(ErrorKind::Io, "the line is cut");
        self.0.as_ref().map(|it| it.slice(range.start as usize..range.end as usize)).ok_or_else(away)
    }
}

/// What one unit costs, whose first bytes are its messages and the others its index; channels 1 and 2 are declared.
fn damage_of(kind: UnitKind, file: File, n_messages: u64, counts: &[(u32, u64)]) -> Damage {
    let mut unit = RecordUnit::empty(kind, 0..n_messages * 2);
    unit.index_range = n_messages * 2..file.n_bytes();
    (unit.times, unit.counts) = (Some((0, 9)), Some(counts.to_vec()));
    let mut routes = Routes::default();
    routes.set(1, Route::Stream(0));
    routes.set(2, Route::Stream(1));
    let selector = Selector::new(Arc::new(routes), TimeRange::ALL);
    let mut cursor = RecordCursor::new(Arc::new(file), Arc::new([unit]), 0..1, selector, Pairs::default());
    loop {
        match cursor.next_message() {
            Ok(found) => assert!(found.is_some(), "the end, without damage"),
            Err(damage) => return *damage,
        }
    }
}

#[test]
fn a_fetch_that_fails_is_no_damage_of_the_file() {
    let damage = damage_of(UnitKind::CutChunk, File(None), 2, &[]);
    assert_eq!((damage.error.kind(), damage.error.to_string().as_str()), (ErrorKind::Io, "the line is cut"));
    let whole = File(Some(Bytes::from_static(&[1, 0])));
    let damage = damage_of(UnitKind::CutChunk, whole, 1, &[]);
    assert_eq!((damage.error.kind(), damage.cost.reason), (ErrorKind::Corrupt, "truncated"));
}

#[test]
fn indexes_that_are_cut_short_do_not_tell_less_than_the_plan() {
    // One message, then damage; the index has two of channel 1 and was to go on with channel 2.
    let file = || File(Some(Bytes::from_static(&[1, 0, BROKEN, 0, 1, 1])));
    let cost = damage_of(UnitKind::Chunk, file(), 2, &[(1, 2), (2, 3)]).cost;
    assert_eq!((cost.records, cost.uncounted), ([(1, 1), (2, 3)].into(), false));
    // What it has itself is not taken from it.
    assert_eq!(damage_of(UnitKind::Chunk, file(), 2, &[(1, 1)]).cost.records, [(1, 1)].into());
}

#[test]
fn what_the_plan_counts_is_missing_where_a_message_names_a_channel_that_is_not() {
    let file = || File(Some(Bytes::from_static(&[1, 0, 9, 1])));
    let damage = damage_of(UnitKind::Chunk, file(), 2, &[(1, 2)]);
    assert_eq!((damage.cost.reason, damage.cost.uncounted), ("unknown_channel", true));
    assert_eq!(damage.cost.records, [(1, 1)].into());
    // Those that it counts on that channel are nobody's.
    assert!(damage_of(UnitKind::Chunk, file(), 2, &[(1, 1), (9, 1)]).cost.records.is_empty());
}
