use std::{
    ops::Range,
    panic::resume_unwind,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bytes::Bytes;
use nodedata_core::Result;

use crate::remote::RANGES_AT_ONCE;

/// Reads several ranges, each as a question of its own with tries of its own, up to [`RANGES_AT_ONCE`] at a time. The
/// bytes come in the order of the ranges. After a failure no further range is begun.
pub(super) fn side_by_side(
    ranges: &[Range<u64>],
    read: impl Fn(Range<u64>) -> Result<Bytes> + Sync,
) -> Result<Vec<Bytes>> {
    if ranges.len() < 2 {
        return ranges.iter().cloned().map(read).collect();
    }
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut done = Vec::new();
        while !has_failed.load(Ordering::Relaxed) {
            let idx = next.fetch_add(1, Ordering::Relaxed);
            let Some(range) = ranges.get(idx) else { break };
            let bytes = read(range.clone());
            has_failed.fetch_or(bytes.is_err(), Ordering::Relaxed);
            done.push((idx, bytes));
        }
        done
    };
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..ranges.len().min(RANGES_AT_ONCE)).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|it| it.join().unwrap_or_else(|panic| resume_unwind(panic)));
        done.flatten().collect::<Vec<_>>()
    });
    all.sort_unstable_by_key(|(idx, _)| *idx);
    all.into_iter().map(|(_, bytes)| bytes).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use nodedata_core::{Error, ErrorKind};

    use super::*;

    fn ranges(n: u64) -> Vec<Range<u64>> {
        (0..n).map(|it| it * 10..it * 10 + 3).collect()
    }

    fn told(range: &Range<u64>) -> Bytes {
        Bytes::from(format!("{range:?}"))
    }

    /// So many are under way, and never more: none of the first ends before all places are taken.
    #[test]
    fn as_many_are_under_way_as_may_be_and_all_come_in_order() {
        let all = ranges(3 * RANGES_AT_ONCE as u64);
        // Under way now, and most that ever were.
        let (seen, changed) = (Mutex::new((0, 0)), Condvar::new());
        let found = side_by_side(&all, |range| {
            let mut now = seen.lock().unwrap();
            now.0 += 1;
            now.1 = now.1.max(now.0);
            changed.notify_all();
            now = changed.wait_while(now, |it| it.1 < RANGES_AT_ONCE).unwrap();
            now.0 -= 1;
            Ok(told(&range))
        });
        assert_eq!(found.unwrap(), all.iter().map(told).collect::<Vec<_>>());
        assert_eq!(seen.into_inner().unwrap(), (0, RANGES_AT_ONCE));
    }

    /// Each worker fails once and begins nothing more; the first range tells why.
    #[test]
    fn after_a_failure_nothing_is_begun() {
        let all = ranges(1000);
        let n_read = AtomicUsize::new(0);
        let err = side_by_side(&all, |range| {
            n_read.fetch_add(1, Ordering::Relaxed);
            Err(Error::new(ErrorKind::Denied, format!("not {}", range.start)))
        })
        .unwrap_err();
        assert_eq!((err.kind(), err.to_string().as_str()), (ErrorKind::Denied, "not 0"));
        assert!(n_read.into_inner() <= RANGES_AT_ONCE);
        assert_eq!(side_by_side(&[], |_| panic!("nothing is asked for")).unwrap(), Vec::<Bytes>::new());
        assert_eq!(side_by_side(&all[1..2], |range| Ok(told(&range))).unwrap(), [told(&all[1])]);
    }
}
