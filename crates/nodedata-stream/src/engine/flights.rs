use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::engine::queue::Errand;

/// Fetches by whose times the slowest are told, and how many of them it takes.
const TIMES_MAX: usize = 256;
const TIMES_MIN: usize = 32;
/// Nothing is asked for again before this time.
const LEAST: Duration = Duration::from_millis(50);
/// How often it is looked for what is slow.
pub(super) const LOOK: Duration = Duration::from_millis(25);

/// What is being fetched. What takes longer than 99 of 100 did lately is asked for once more, and whichever answer comes first is taken:
/// of many requests to a store a few always take very long, and all that comes behind them in the order waits.
#[derive(Debug, Default)]
pub(super) struct Flights {
    all: BTreeMap<u64, Flight>,
    /// How long the last ones took, each until its first answer.
    times: VecDeque<Duration>,
}

#[derive(Debug)]
struct Flight {
    errand: Arc<Errand>,
    started: Instant,
    n_under_way: u32,
    is_asked_again: bool,
    is_answered: bool,
}

/// What an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is the first, or the last of several without one that is good.
    Taken,
    /// There was one before, or another is on its way.
    Passed,
}

impl Flights {
    /// Something is asked for.
    pub(super) fn start(&mut self, id: u64, errand: &Arc<Errand>, now: Instant) {
        let errand = Arc::clone(errand);
        let flight =
            Flight { errand, started: now, n_under_way: 1, is_asked_again: false, is_answered: false };
        self.all.insert(id, flight);
    }

    /// Whether something is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Something that is slow, and is to be asked for again.
    pub(super) fn again(&mut self, now: Instant) -> Option<Arc<Errand>> {
        let slow = self.slow()?;
        let is_slow = |it: &Flight| !it.is_asked_again && slow < now.saturating_duration_since(it.started);
        let flight = self.all.values_mut().find(|it| is_slow(it))?;
        flight.is_asked_again = true;
        flight.n_under_way += 1;
        Some(Arc::clone(&flight.errand))
    }

    /// An answer has come.
    pub(super) fn answered(&mut self, id: u64, is_good: bool, now: Instant) -> Answer {
        let Some(flight) = self.all.get_mut(&id) else { return Answer::Passed };
        flight.n_under_way -= 1;
        let answer = match flight.is_answered || (!is_good && flight.n_under_way > 0) {
            true => Answer::Passed,
            false => Answer::Taken,
        };
        if answer == Answer::Taken {
            flight.is_answered = true;
            self.times.push_back(now.saturating_duration_since(flight.started));
        }
        if flight.n_under_way == 0 {
            self.all.remove(&id);
        }
        if self.times.len() > TIMES_MAX {
            self.times.pop_front();
        }
        answer
    }

    /// The time that all but the slowest hundredth took less than; `None` before it is known.
    fn slow(&self) -> Option<Duration> {
        if self.all.is_empty() || self.times.len() < TIMES_MIN {
            return None;
        }
        let mut times: Vec<Duration> = self.times.iter().copied().collect();
        let last = times.len() - 1;
        let (_, slow, _) = times.select_nth_unstable(last * 99 / 100);
        Some(LEAST.max(*slow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flights that took so many milliseconds each.
    fn flights(millis: impl IntoIterator<Item = u64>) -> (Flights, Arc<Errand>, Instant) {
        let (mut flights, errand, now) = (Flights::default(), Arc::new(Errand::default()), Instant::now());
        for (id, millis) in millis.into_iter().enumerate() {
            flights.start(id as u64, &errand, now);
            assert_eq!(flights.answered(id as u64, true, now + Duration::from_millis(millis)), Answer::Taken);
        }
        (flights, errand, now)
    }

    #[test]
    fn the_slowest_are_asked_for_once_more() {
        let (mut flights, errand, now) = flights((0..200).map(|it| 10 + it));
        flights.start(1000, &errand, now);
        let after = |millis| now + Duration::from_millis(millis);
        assert!(flights.again(after(205)).is_none());
        assert!(flights.again(after(210)).is_some());
        assert!(flights.again(after(900)).is_none(), "once");
        // The first good answer is taken.
        assert_eq!(flights.answered(1000, false, after(910)), Answer::Passed);
        assert_eq!(flights.answered(1000, true, after(920)), Answer::Taken);
        assert!(flights.is_empty());
        flights.start(1001, &errand, now);
        assert!(flights.again(after(900)).is_some());
        assert_eq!(flights.answered(1001, true, after(910)), Answer::Taken);
        assert_eq!(flights.answered(1001, true, after(920)), Answer::Passed);
        // Where none is good the last one says so.
        flights.start(1002, &errand, now);
        assert!(flights.again(after(2000)).is_some());
        assert_eq!(flights.answered(1002, false, after(2010)), Answer::Passed);
        assert_eq!(flights.answered(1002, false, after(2020)), Answer::Taken);
        assert!(flights.is_empty());
    }

    #[test]
    fn nothing_is_slow_before_it_is_known_what_that_is() {
        let (mut few, errand, now) = flights([1; TIMES_MIN - 1]);
        few.start(1000, &errand, now);
        assert!(few.again(now + Duration::from_secs(60)).is_none());
        let (mut quick, errand, now) = flights([1; TIMES_MIN]);
        quick.start(1000, &errand, now);
        assert!(quick.again(now + LEAST).is_none());
        assert!(quick.again(now + LEAST + Duration::from_millis(1)).is_some());
    }
}
