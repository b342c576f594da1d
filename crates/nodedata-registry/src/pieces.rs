//! Stretches of a file: which of them are fetched, and those that are in memory.

use std::{
    ops::Range,
    sync::{Arc, Weak},
};

use bytes::Bytes;

use crate::tree::PART_BYTES_MIN;

/// The ranges without what two of them have in common, in order; those with less than `gap` bytes between them are one.
pub fn joined(mut ranges: Vec<Range<u64>>, gap: u64) -> Vec<Range<u64>> {
    ranges.retain(|it| it.start < it.end);
    ranges.sort_unstable_by_key(|it| it.start);
    let mut runs: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match runs.last_mut() {
            Some(last) if range.start <= last.end || range.start - last.end < gap => {
                last.end = last.end.max(range.end);
            }
            _ => runs.push(range),
        }
    }
    runs
}

/// Ranges as they are asked for: what is long is cut into multiples of a grain, so that it is fetched side by side. All begin at a grain.
pub fn cut(runs: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let cut = |run: Range<u64>| {
        let starts = (run.start..run.end).step_by(PART_BYTES_MIN as usize);
        starts.map(move |start| start..start.saturating_add(PART_BYTES_MIN).min(run.end))
    };
    runs.into_iter().flat_map(cut).collect()
}

/// Stretches of a file by where they begin, in order, none reaching into another. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Pieces(Arc<Vec<(u64, Bytes)>>);

/// Stretches that somebody else may let go of.
#[derive(Debug)]
pub struct WeakPieces(Weak<Vec<(u64, Bytes)>>);

impl WeakPieces {
    /// The stretches, as long as somebody has them.
    pub fn upgrade(&self) -> Option<Pieces> {
        self.0.upgrade().map(Pieces)
    }

    /// Whether somebody has them.
    pub fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Pieces {
    /// Stretches in any order, of which none reaches into another.
    pub fn of(mut pieces: Vec<(u64, Bytes)>) -> Self {
        pieces.sort_unstable_by_key(|it| it.0);
        Self(Arc::new(pieces))
    }

    /// The same for somebody who does not keep them.
    pub fn downgrade(&self) -> WeakPieces {
        WeakPieces(Arc::downgrade(&self.0))
    }

    /// Bytes of all of them.
    pub fn n_bytes(&self) -> u64 {
        self.0.iter().map(|(_, it)| it.len() as u64).sum()
    }

    /// The bytes of a range; `None` unless all of them are here. Only a range that lies in several stretches is copied.
    pub fn get(&self, range: &Range<u64>) -> Option<Bytes> {
        if range.end <= range.start {
            return (range.start == range.end).then(Bytes::new);
        }
        let first = self.0.partition_point(|(start, _)| *start <= range.start).checked_sub(1)?;
        let (start, bytes) = self.0.get(first)?;
        let (at, end) = (usize::try_from(range.start - start).ok()?, range.end - start);
        if let Ok(end) = usize::try_from(end)
            && end <= bytes.len()
        {
            return Some(bytes.slice(at..end));
        }
        // There is room for as much as is here, whatever a footer says of its length.
        let mut n_bytes = 0_usize;
        self.each_part(first, range, |it| n_bytes += it.len())?;
        let mut all = Vec::<u8>::with_capacity(n_bytes);
        self.each_part(first, range, |it| all.extend_from_slice(it))?;
        Some(all.into())
    }

    /// Whether all bytes of a range are here.
    pub fn has(&self, range: &Range<u64>) -> bool {
        if range.end <= range.start {
            return range.start == range.end;
        }
        let first = self.0.partition_point(|(start, _)| *start <= range.start).checked_sub(1);
        first.and_then(|it| self.each_part(it, range, |_| {})).is_some()
    }

    /// Shows what a range consists of, from a stretch on; `None` where something is missing.
    fn each_part(&self, first: usize, range: &Range<u64>, mut see: impl FnMut(&[u8])) -> Option<()> {
        let mut next = range.start;
        for (start, bytes) in self.0.get(first..)? {
            let at = usize::try_from(next.checked_sub(*start)?).ok()?;
            let left = usize::try_from(range.end - next).ok()?;
            let some = bytes.get(at..).filter(|it| !it.is_empty())?;
            let some = some.get(..left.min(some.len()))?;
            see(some);
            next += some.len() as u64;
            if next == range.end {
                return Some(());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::GRAIN_BYTES;

    #[test]
    fn what_touches_is_one_and_what_is_long_is_cut() {
        let (g, p) = (GRAIN_BYTES, PART_BYTES_MIN);
        let asked_for = |ranges| cut(joined(ranges, 0));
        let touching = vec![4 * g..5 * g, 0..g, 2 * g..3 * g, g..2 * g, 0..g];
        assert_eq!(asked_for(touching), [0..3 * g, 4 * g..5 * g]);
        let (long, short) = (g..g + 2 * p + 1, 0..p);
        assert_eq!(asked_for(vec![long]), [g..g + p, g + p..g + 2 * p, g + 2 * p..g + 2 * p + 1]);
        assert_eq!(asked_for(vec![short.clone()]), vec![short]);
        assert_eq!(asked_for(Vec::new()), Vec::<Range<u64>>::new());
    }

    #[test]
    fn what_is_near_is_one() {
        assert_eq!(joined(vec![40..50, 0..10, 12..20, 20..20, 5..9], 3), [0..20, 40..50]);
        assert_eq!(joined(vec![0..10, 13..20], 3), [0..10, 13..20]);
        let whole = 0..20;
        assert_eq!(joined(vec![0..10, 10..20], 0), vec![whole]);
        assert_eq!(joined(Vec::new(), 3), Vec::<Range<u64>>::new());
    }

    #[test]
    fn a_range_is_there_when_all_of_it_is() {
        let file: Bytes = (0..100).collect();
        let of = [(10, 20), (20, 30), (40, 50)];
        let pieces = Pieces::of(of.iter().map(|(a, b)| (*a as u64, file.slice(*a..*b))).collect());
        for range in [10..20, 12..15, 20..30, 15..25, 10..30, 40..50, 45..45, 70..70] {
            let expected = file.slice(range.start as usize..range.end as usize);
            assert_eq!(pieces.get(&range), Some(expected), "{range:?}");
            assert!(pieces.has(&range), "{range:?}");
        }
        for range in [0..5, 5..12, 25..31, 25..45, 30..40, 49..51, 60..70] {
            assert_eq!(pieces.get(&range), None, "{range:?}");
            assert!(!pieces.has(&range), "{range:?}");
        }
        assert_eq!((Pieces::default().get(&(0..1)), pieces.n_bytes()), (None, 30));
    }

    proptest! {
        /// Whatever was asked for is at hand afterwards, and is what the file holds there.
        #[test]
        fn all_that_was_asked_for_is_at_hand(
            asked in prop::collection::vec((0_u64..90, 1_u64..40), 1..12), n_grains in 1_u64..40,
        ) {
            let n_bytes = n_grains * 100;
            let file: Bytes = (0..n_bytes).map(|it| (it % 251) as u8).collect();
            let asked: Vec<Range<u64>> = asked
                .into_iter()
                .map(|(start, n)| start.min(n_bytes - 1)..(start + n).min(n_bytes))
                .collect();
            let fetched = cut(joined(asked.clone(), 0));
            prop_assert!(fetched.windows(2).all(|it| it[0].end < it[1].start), "{fetched:?}");
            let read = |it: &Range<u64>| (it.start, file.slice(it.start as usize..it.end as usize));
            let found = Pieces::of(fetched.iter().map(read).collect());
            for range in asked {
                let expected = file.slice(range.start as usize..range.end as usize);
                prop_assert_eq!(found.get(&range), Some(expected), "{:?}", range);
            }
        }

        /// Whatever was asked for lies in what is fetched, which is in order and never nearer than the gap.
        #[test]
        fn all_that_was_asked_for_is_fetched(
            asked in prop::collection::vec((0_u64..90, 1_u64..40), 1..12), gap in 0_u64..20,
        ) {
            let asked: Vec<Range<u64>> = asked.into_iter().map(|(start, n)| start..start + n).collect();
            let fetched = joined(asked.clone(), gap);
            prop_assert!(fetched.windows(2).all(|it| it[0].end + gap <= it[1].start));
            for range in asked {
                prop_assert!(fetched.iter().any(|it| it.start <= range.start && range.end <= it.end));
            }
        }
    }
}
