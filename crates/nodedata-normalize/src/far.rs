use crate::{FAR_STAMP_NS, ORDER_BOUND_NS, StepSpec};

/// Why messages are left out whose stamps are far from log time.
pub(crate) const FAR: &str = "far_from_log_time";

/// One in so many messages at either end says nothing of the others. Where more of them stray, that is how the
/// recording is: a clock that was set, or one that runs at another speed.
const TRIMMED: usize = 20;
/// Of fewer messages none is the stray one.
const MESSAGES_MIN: usize = 3;
/// Messages of one topic that are remembered, at the most.
const KEPT_MAX: usize = 1 << 16;

/// How far stamps of a topic may be from log time, in nanoseconds: stamp minus log time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Near {
    low: i64,
    high: i64,
}

impl Near {
    pub(crate) fn holds(self, offset_ns: i64) -> bool {
        self.low <= offset_ns && offset_ns <= self.high
    }

    /// The nearest to it that is not far.
    pub(crate) fn clamp(self, offset_ns: i64) -> i64 {
        offset_ns.clamp(self.low, self.high)
    }
}

/// Stamps minus log times of a topic, as messages that are looked at have them.
#[derive(Debug, Clone)]
pub(crate) struct Offsets {
    kept: Vec<i64>,
    /// Each how many-th message is kept.
    stride: usize,
    n_seen: usize,
}

impl Default for Offsets {
    fn default() -> Self {
        Self { kept: Vec::new(), stride: 1, n_seen: 0 }
    }
}

impl Extend<i64> for Offsets {
    fn extend<T: IntoIterator<Item = i64>>(&mut self, offsets: T) {
        for offset in offsets {
            if self.n_seen.is_multiple_of(self.stride) {
                if self.kept.len() == KEPT_MAX {
                    let mut idx = 0usize;
                    self.kept.retain(|_| {
                        idx += 1;
                        idx % 2 == 1
                    });
                    self.stride = self.stride.saturating_mul(2);
                }
                self.kept.push(offset);
            }
            self.n_seen += 1;
        }
    }
}

impl Offsets {
    /// Messages looked at.
    pub(crate) fn n_seen(&self) -> usize {
        self.n_seen
    }

    /// How far the messages of the topic may be; `None` where there are too few to tell.
    pub(crate) fn near(mut self, spec: &StepSpec) -> Option<Near> {
        let n = self.kept.len();
        if n < MESSAGES_MIN {
            return None;
        }
        self.kept.sort_unstable();
        let n_trimmed = (n / TRIMMED).max(1);
        let (low, high) = (self.kept.get(n_trimmed)?, self.kept.get(n - 1 - n_trimmed)?);
        let beyond = FAR_STAMP_NS.max(spec.order_bound_ns.unwrap_or(ORDER_BOUND_NS));
        Some(Near { low: low.saturating_sub(beyond), high: high.saturating_add(beyond) })
    }
}

/// Leaves out those of some messages whose stamps are far from log time, by their stamps minus log times. Tells how many these
/// were, and stamp minus log time of the farthest.
pub(crate) fn leave_out<T>(messages: &mut Vec<(T, Option<i64>)>, spec: &StepSpec) -> (u64, Option<i64>) {
    let mut offsets = Offsets::default();
    offsets.extend(messages.iter().filter_map(|it| it.1));
    let Some(near) = offsets.near(spec) else { return (0, None) };
    let far = messages.iter().filter_map(|it| it.1).filter(|it| !near.holds(*it));
    let n_far = far.clone().count() as u64;
    let farthest_ns = far.max_by_key(|it| (it.saturating_abs(), *it));
    messages.retain(|it| it.1.is_none_or(|it| near.holds(it)));
    (n_far, farthest_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, Rate};

    const S: i64 = 1_000_000_000;

    #[track_caller]
    fn check(offsets: impl IntoIterator<Item = i64>, expected: Option<(i64, i64)>) {
        let mut all = Offsets::default();
        all.extend(offsets);
        let spec = StepSpec::new(Clock::Rate(Rate::new(30, 1).unwrap()));
        let near = all.near(&spec).map(|it| (it.low, it.high));
        assert_eq!(near, expected);
    }

    #[test]
    fn one_wild_stamp_says_nothing_and_a_clock_that_drifts_is_followed() {
        check([0, -S], None);
        check([-1, 6000 * S, -2], Some((-1 - 10 * S, -1 + 10 * S)));
        let wild = |it: i64| if it % 25 == 7 { -1_700_000_000 * S } else { -it };
        check((0..100).map(wild), Some((-98 - 10 * S, -5 + 10 * S)));
        // At half the speed for an hour.
        check((0..3600).map(|it| -it * S / 2), Some((-1709 * S - S / 2 - 10 * S, -90 * S + 10 * S)));
        // A clock that was set near the end is no stray stamp.
        check((0..100).map(|it| if it < 90 { 0 } else { 3600 * S }), Some((-10 * S, 3610 * S)));
    }

    #[test]
    fn of_many_messages_some_are_enough() {
        let mut all = Offsets::default();
        all.extend(0..1_000_000);
        assert!(all.kept.len() <= KEPT_MAX && all.n_seen() == 1_000_000);
        let spec = StepSpec::new(Clock::Rate(Rate::new(30, 1).unwrap()));
        let near = all.near(&spec).unwrap();
        assert!((near.high - 10 * S - 950_000).abs() < 100, "{near:?}");
    }
}
