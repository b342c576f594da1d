use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Askers that are remembered; the one that is full for longest goes first.
const ASKERS_MAX: usize = 10_000;

/// How often each asker may ask: a bucket of `burst` tokens that fills at a rate.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    per_second: f64,
    burst: f64,
    askers: Mutex<BTreeMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl RateLimiter {
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: f64::from(per_second.max(1)),
            burst: f64::from(burst.max(1)),
            askers: Mutex::default(),
        }
    }

    /// Takes a request in, or says how many seconds to wait.
    pub(crate) fn admit(&self, asker: &str, now: Instant) -> Result<(), u64> {
        let mut askers = self.askers.lock().unwrap_or_else(PoisonError::into_inner);
        if askers.len() >= ASKERS_MAX && !askers.contains_key(asker) {
            // Those whose bucket is full again lose nothing when they are forgotten.
            let (per_second, burst) = (self.per_second, self.burst);
            askers.retain(|_, it| filled(it, now, per_second, burst) < burst);
            if askers.len() >= ASKERS_MAX {
                return Err(1);
            }
        }
        let bucket = askers.entry(asker.to_owned()).or_insert(Bucket { left: self.burst, at: now });
        let left = filled(bucket, now, self.per_second, self.burst);
        *bucket = Bucket { left, at: now };
        if left < 1.0 {
            return Err(((1.0 - left) / self.per_second).ceil().max(1.0) as u64);
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

fn filled(bucket: &Bucket, now: Instant, per_second: f64, burst: f64) -> f64 {
    let seconds = now.saturating_duration_since(bucket.at).as_secs_f64();
    (bucket.left + seconds * per_second).min(burst)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_counts_for_each_alone() {
        let limiter = RateLimiter::new(2, 3);
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        for _ in 0..3 {
            limiter.admit("a", start).unwrap();
        }
        assert_eq!(limiter.admit("a", start), Err(1));
        limiter.admit("b", start).unwrap();
        limiter.admit("a", at(500)).unwrap();
        assert_eq!(limiter.admit("a", at(500)), Err(1));
        for _ in 0..3 {
            limiter.admit("a", at(100_000)).unwrap();
        }
        assert_eq!(limiter.admit("a", at(100_000)), Err(1), "it fills no higher than the burst");
    }
}
