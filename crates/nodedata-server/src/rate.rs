use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::{asker::Asker, limits::Limits};

/// Askers that are remembered; those who have used least are forgotten first, which costs them nothing or little.
const ASKERS_MAX: usize = 10_000;

/// How much each asker may use: a bucket of units of cost that fills at a rate.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    per_second: f64,
    burst: f64,
    askers: Mutex<BTreeMap<Asker, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl RateLimiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            per_second: f64::from(limits.cost_per_second.max(1)),
            burst: f64::from(limits.cost_burst.max(1)),
            askers: Mutex::default(),
        }
    }

    /// Takes a request in, or says how many seconds to wait. What costs more than a full bucket empties it and leaves a
    /// debt, so that it can be had at all.
    pub(crate) fn admit(&self, asker: &Asker, cost: u64, now: Instant) -> Result<(), u64> {
        let mut askers = self.askers.lock().unwrap_or_else(PoisonError::into_inner);
        if askers.len() >= ASKERS_MAX && !askers.contains_key(asker) {
            self.forget(&mut askers, now);
        }
        let bucket = askers.entry(asker.clone()).or_insert(Bucket { left: self.burst, at: now });
        let left = self.filled(bucket, now);
        let cost = cost as f64;
        let needed = cost.min(self.burst);
        if left < needed {
            *bucket = Bucket { left, at: now };
            return Err(((needed - left) / self.per_second).ceil().max(1.0) as u64);
        }
        *bucket = Bucket { left: left - cost, at: now };
        Ok(())
    }

    /// Forgets the half that has used least: a crowd of new askers must neither shut out others nor take memory.
    fn forget(&self, askers: &mut BTreeMap<Asker, Bucket>, now: Instant) {
        let mut left: Vec<f64> = askers.values().map(|it| self.filled(it, now)).collect();
        let middle = left.len() / 2;
        let (_, middle, _) = left.select_nth_unstable_by(middle, f64::total_cmp);
        let middle = *middle;
        askers.retain(|_, it| self.filled(it, now) < middle);
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.left + seconds * self.per_second).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(account: &str) -> Asker {
        Asker::Account(account.to_owned())
    }

    fn limiter(per_second: u32, burst: u32) -> RateLimiter {
        RateLimiter::new(&Limits { cost_per_second: per_second, cost_burst: burst, ..Limits::default() })
    }

    #[test]
    fn a_burst_passes_then_the_rate_counts_for_each_alone() {
        let limiter = limiter(2, 3);
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        for _ in 0..3 {
            limiter.admit(&of("a"), 1, start).unwrap();
        }
        assert_eq!(limiter.admit(&of("a"), 1, start), Err(1));
        limiter.admit(&of("b"), 1, start).unwrap();
        limiter.admit(&of("a"), 1, at(500)).unwrap();
        assert_eq!(limiter.admit(&of("a"), 1, at(500)), Err(1));
        for _ in 0..3 {
            limiter.admit(&of("a"), 1, at(100_000)).unwrap();
        }
        assert_eq!(limiter.admit(&of("a"), 1, at(100_000)), Err(1), "it fills no higher than the burst");
    }

    #[test]
    fn what_is_dear_counts_for_more() {
        let limiter = limiter(10, 100);
        let start = Instant::now();
        limiter.admit(&of("a"), 95, start).unwrap();
        assert_eq!(limiter.admit(&of("a"), 45, start), Err(4));
        for _ in 0..5 {
            limiter.admit(&of("a"), 1, start).unwrap();
        }
        assert_eq!(limiter.admit(&of("a"), 1, start), Err(1));
        // Dearer than the bucket: it goes when the bucket is full, and is paid for afterwards.
        limiter.admit(&of("b"), 150, start).unwrap();
        assert_eq!(limiter.admit(&of("b"), 1, start), Err(6));
    }

    #[test]
    fn a_crowd_shuts_nobody_out() {
        let limiter = limiter(1, 10);
        let start = Instant::now();
        limiter.admit(&of("heavy"), 10, start).unwrap();
        for n in 0..3 * ASKERS_MAX {
            limiter.admit(&of(&n.to_string()), 1, start).unwrap();
        }
        let n_known = limiter.askers.lock().unwrap().len();
        assert!(n_known <= ASKERS_MAX, "{n_known}");
        assert_eq!(limiter.admit(&of("heavy"), 1, start), Err(1), "who has used most is not forgotten");
    }
}
