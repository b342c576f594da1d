//! Samples of a log whose messages are their own positions: ten of two channels a unit.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use super::*;
use crate::{ClockColumns, Damage, MessageCursor, MessagePlace, Times, Unit, corrupt};

const PER_UNIT: usize = 10;

/// Messages of channel 1, of which each tenth is one of channel 2.
struct Numbers {
    n_units: usize,
    /// Whether a unit says what is in it.
    counts: Vec<Option<Vec<(u32, u64)>>>,
    /// Units that were read.
    read: Arc<Mutex<Vec<usize>>>,
    broken: Option<usize>,
}

impl Numbers {
    fn new(n_units: usize, is_counted: impl Fn(usize) -> bool) -> Self {
        let counts = (0..n_units).map(|it| is_counted(it).then(|| vec![(1, 9), (2, 1)])).collect();
        Self { n_units, counts, read: Arc::default(), broken: None }
    }

    /// Units that were read since the last look.
    fn taken(&self) -> Vec<usize> {
        std::mem::take(&mut self.read.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct NumbersCursor {
    left: Range<usize>,
    selector: Selector,
    payload: Vec<u8>,
    is_broken: bool,
}

impl LogFile for Numbers {
    fn clock(&self) -> ClockColumns {
        ClockColumns { publish_time: false, sequence: false }
    }

    fn n_units(&self) -> usize {
        self.n_units
    }

    fn unit(&self, _: usize) -> Unit {
        Unit { byte_range: 0..10, decoded_bytes: 10, times: Times::Unknown }
    }

    fn counts(&self, idx: usize) -> Option<&[(u32, u64)]> {
        self.counts[idx].as_deref()
    }

    fn messages(
        &self,
        units: Range<usize>,
        mut selector: Selector,
        _: &OpenOptions,
    ) -> Box<dyn MessageCursor> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).extend(units.clone());
        selector.start_unit();
        let is_broken = self.broken.is_some_and(|it| units.contains(&it));
        let left = units.start * PER_UNIT..units.end * PER_UNIT;
        Box::new(NumbersCursor { left, selector, payload: Vec::new(), is_broken })
    }
}

impl MessageCursor for NumbersCursor {
    fn next_message(&mut self) -> Result<Option<Message<'_>>, Box<Damage>> {
        if std::mem::take(&mut self.is_broken) {
            return Err(Box::new(Damage { error: corrupt("broken"), cost: crate::Cost::nothing("broken") }));
        }
        for at in self.left.by_ref() {
            let channel = if at % PER_UNIT == 3 { 2 } else { 1 };
            let Some(picked) = self.selector.pick(channel, 5, (0, 0)) else { continue };
            self.payload = (at as u32).to_le_bytes().to_vec();
            let (publish_time, sequence) = (None, None);
            let (unit, ordinal) = (at / PER_UNIT, picked.ordinal);
            let place = MessagePlace { unit, ordinal, part: 0, byte_range: 0..10, in_chunk: None };
            let (stream, payload) = (picked.stream, &self.payload[..]);
            return Ok(Some(Message {
                stream,
                channel,
                log_time: 5,
                publish_time,
                sequence,
                payload,
                place,
            }));
        }
        Ok(None)
    }
}

/// What is looked at of each stream, as positions among all messages of their file.
fn looked_at(files: &[Option<Numbers>], is_wanted: impl Fn(usize) -> bool) -> BTreeMap<usize, Vec<u32>> {
    let mut routes = Routes::default();
    routes.set(1, Route::Stream(0));
    routes.set(2, Route::Stream(1));
    let routes: Vec<Arc<Routes>> = std::iter::repeat_n(Arc::new(routes), files.len()).collect();
    let found = sample(&is_wanted, files, &routes, &OpenOptions::default()).unwrap();
    let number = |it: &[u8]| u32::from_le_bytes(it.try_into().unwrap());
    found.into_iter().map(|(stream, it)| (stream, it.payloads().into_iter().map(number).collect())).collect()
}

#[test]
fn the_first_the_last_and_some_between_are_looked_at() {
    let files = [Some(Numbers::new(250, |_| true)), None, Some(Numbers::new(1, |_| true))];
    let found = looked_at(&files, |_| true);
    // Those of channel 1, nine a unit: the 1,000th and the 2,000th, and the last one, which lies in the other file.
    let one: Vec<u32> = (0..20).filter(|it| it % 10 != 3).take(16).collect();
    assert_eq!(found[&0], [one, vec![1110, 2221, 9]].concat());
    let two: Vec<u32> = (0..16).map(|it| it * 10 + 3).collect();
    assert_eq!(found[&1], [two, vec![3]].concat());
    // Only units with one of these are read.
    let taken = files[0].as_ref().unwrap().taken();
    assert_eq!(taken, [(0..16).collect::<Vec<_>>(), vec![111, 222]].concat());
    assert_eq!(files[2].as_ref().unwrap().taken(), [0]);
    // Of what is not wanted nothing is read.
    assert_eq!(looked_at(&files, |it| it == 1).keys().collect::<Vec<_>>(), [&1]);
    assert_eq!(files[0].as_ref().unwrap().taken(), (0..16).collect::<Vec<_>>());
    assert!(looked_at(&files, |_| false).is_empty());
    assert!(files[0].as_ref().unwrap().taken().is_empty());
}

#[test]
fn the_sample_is_the_same_where_nothing_counts() {
    let counted = looked_at(&[Some(Numbers::new(250, |_| true))], |_| true);
    let partly: [fn(usize) -> bool; 3] = [|_| false, |it| it % 2 == 0, |it| it < 120];
    for is_counted in partly {
        assert_eq!(looked_at(&[Some(Numbers::new(250, is_counted))], |_| true), counted);
    }
    // The last of a stream may be one that is looked at anyway.
    let files = [Some(Numbers::new(1, |_| true))];
    assert_eq!(looked_at(&files, |_| true)[&1], [3]);
    assert_eq!(files[0].as_ref().unwrap().taken(), [0]);
    // Damage is passed over.
    let broken = Numbers { broken: Some(0), ..Numbers::new(1, |_| false) };
    assert_eq!(looked_at(&[Some(broken)], |_| true)[&1], [3]);
}

#[test]
fn payloads_are_bounded_by_their_bytes() {
    let mut sample = Sample::default();
    let large = vec![0; SAMPLE_BYTES_MAX - 10];
    (0..3).for_each(|_| sample.add(&large));
    sample.add(&[1; 10]);
    sample.add(&[2; 11]);
    let lengths: Vec<usize> = sample.payloads().iter().map(|it| it.len()).collect();
    assert_eq!(lengths, [SAMPLE_BYTES_MAX - 10, 10]);
    let mut sample = Sample::default();
    sample.add(&vec![0; SAMPLE_BYTES_MAX + 1]);
    sample.add(&[1]);
    assert_eq!(sample.payloads().len(), 1);
}
