use std::sync::{Arc, Mutex, PoisonError};

use nodedata_core::Result;

use crate::{
    store::{Held, Store},
    track::{Messages, Place},
};

/// One message alone, found by its time.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    /// Where it stands; its batch and row are those of the partition it was found in.
    pub(crate) place: Place,
    /// The message.
    pub(crate) message: Arc<Messages>,
}

/// No stamp lies in it.
pub(crate) const EMPTY_SPAN: (i64, i64) = (i64::MAX, i64::MIN);

/// Answers asked before that are kept. Pieces ask in order of time, so the last few are enough.
const ANSWERS_MAX: usize = 24;

/// Finds single messages of one stream by their time without reading the recording in between.
#[derive(Debug)]
pub(crate) struct Lookup {
    stream: usize,
    /// Numbers of the recording's partitions in the source.
    partitions: Arc<[usize]>,
    /// Where the stamps of each partition lie, at the most.
    pub(crate) spans: Vec<(i64, i64)>,
    /// Positions of partitions, latest end first.
    by_end: Vec<u32>,
    /// Positions of partitions, earliest start first.
    by_start: Vec<u32>,
    before: Mutex<Answers>,
    after: Mutex<Answers>,
}

/// Question and answer, in order of the question.
type Answers = Vec<(i64, Option<Edge>)>;

impl Lookup {
    pub(crate) fn new(stream: usize, partitions: Arc<[usize]>, spans: Vec<(i64, i64)>) -> Self {
        let holds_any = |it: &u32| spans[*it as usize].0 <= spans[*it as usize].1;
        let mut by_end: Vec<u32> = (0u32..).take(spans.len()).filter(holds_any).collect();
        let mut by_start = by_end.clone();
        by_end.sort_by_key(|it| std::cmp::Reverse((spans[*it as usize].1, *it)));
        by_start.sort_by_key(|it| (spans[*it as usize].0, *it));
        Self {
            stream,
            partitions,
            spans,
            by_end,
            by_start,
            before: Mutex::default(),
            after: Mutex::default(),
        }
    }

    /// Positions of the partitions that may have a message from `first_ns` to `last_ns`: what decides that the last
    /// one before a time, or the first one after it, is the one that was found.
    pub(crate) fn around(&self, first_ns: i64, last_ns: i64) -> impl Iterator<Item = usize> + '_ {
        let overlaps = move |it: &usize| {
            let (first, last) = self.spans[*it];
            first <= last && first <= last_ns && first_ns <= last
        };
        (0..self.spans.len()).filter(overlaps)
    }

    /// Positions of the partitions that may hold a message, latest end first.
    pub(crate) fn latest_first(&self) -> &[u32] {
        &self.by_end
    }

    /// The same, earliest start first.
    pub(crate) fn earliest_first(&self) -> &[u32] {
        &self.by_start
    }

    /// The last message at or before `time_ns`.
    pub(crate) fn before(&self, store: &Store, held: &Held, time_ns: i64) -> Result<Option<Edge>> {
        let known = answer(&self.before, time_ns);
        if let Some((_, found)) = known.as_ref().filter(|it| it.0 == time_ns) {
            return Ok(found.clone());
        }
        let (asked, mut best) = known.map_or((None, None), |(asked, found)| (Some(asked), found));
        for position in &self.by_end {
            let (first, last) = self.spans[*position as usize];
            // What an earlier answer covers holds nothing later than that answer.
            let is_covered = asked.is_some_and(|it| last <= it);
            if is_covered || best.as_ref().is_some_and(|it: &Edge| last < it.place.stamp) {
                break;
            }
            if time_ns < first {
                continue;
            }
            let loaded = store.stream_of(self.partitions[*position as usize], self.stream, held)?;
            let stream = &loaded.streams[self.stream];
            if let Some((stamp, batch, row)) = stream.between(first, last.min(time_ns)).last().copied() {
                let place = Place { stamp, partition: *position, batch, row };
                if best.as_ref().is_none_or(|it| it.place < place) {
                    let message = Arc::new(stream.batches[batch as usize].single(row as usize));
                    best = Some(Edge { place, message });
                }
            }
        }
        remember(&self.before, time_ns, best.clone());
        Ok(best)
    }

    /// The first message after `time_ns`.
    pub(crate) fn after(&self, store: &Store, held: &Held, time_ns: i64) -> Result<Option<Edge>> {
        match answer(&self.after, time_ns) {
            Some((_, None)) => return Ok(None),
            Some((_, Some(found))) if time_ns < found.place.stamp => return Ok(Some(found)),
            _ => {}
        }
        let mut best: Option<Edge> = None;
        for position in &self.by_start {
            let (first, last) = self.spans[*position as usize];
            if best.as_ref().is_some_and(|it| it.place.stamp < first) {
                break;
            }
            if last <= time_ns {
                continue;
            }
            let loaded = store.stream_of(self.partitions[*position as usize], self.stream, held)?;
            let stream = &loaded.streams[self.stream];
            let after = stream.between(first.max(time_ns.saturating_add(1)), last).first().copied();
            if let Some((stamp, batch, row)) = after {
                let place = Place { stamp, partition: *position, batch, row };
                if best.as_ref().is_none_or(|it| place < it.place) {
                    let message = Arc::new(stream.batches[batch as usize].single(row as usize));
                    best = Some(Edge { place, message });
                }
            }
        }
        remember(&self.after, time_ns, best.clone());
        Ok(best)
    }
}

/// The answer to the latest question that is not after `time_ns`.
fn answer(answers: &Mutex<Answers>, time_ns: i64) -> Option<(i64, Option<Edge>)> {
    let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    answers[..answers.partition_point(|it| it.0 <= time_ns)].last().cloned()
}

fn remember(answers: &Mutex<Answers>, time_ns: i64, found: Option<Edge>) {
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    let at = answers.partition_point(|it| it.0 < time_ns);
    if answers.get(at).is_none_or(|it| it.0 != time_ns) {
        answers.insert(at, (time_ns, found));
    }
    if ANSWERS_MAX < answers.len() {
        answers.remove(0);
    }
}
