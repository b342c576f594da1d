use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::tree::PART_BYTES_MIN;

/// What is fetched by one request: a multiple of a grain, so that what is longer is fetched side by side.
const PIECE_BYTES_MAX: u64 = PART_BYTES_MIN;

/// The ranges without what two of them have in common, in order: those that touch are one, and what is long is cut.
/// All begin at a grain.
pub(super) fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|it| it.start);
    let mut runs: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match runs.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => runs.push(range),
        }
    }
    let cut = |run: Range<u64>| {
        let starts = (run.start..run.end).step_by(PIECE_BYTES_MAX as usize);
        starts.map(move |start| start..start.saturating_add(PIECE_BYTES_MAX).min(run.end))
    };
    runs.into_iter().flat_map(cut).collect()
}

/// Stretches of a file in memory, in order, none reaching into another.
#[derive(Default)]
pub(super) struct Pieces(Vec<(u64, Bytes)>);

impl Pieces {
    /// Stretches by where they begin, as [`joined`] has them.
    pub(super) fn of(pieces: Vec<(u64, Bytes)>) -> Self {
        Self(pieces)
    }

    /// The bytes of a range; `None` unless all of them are here. Only a range that was cut is copied.
    pub(super) fn get(&self, range: &Range<u64>) -> Option<Bytes> {
        let first = self.0.partition_point(|(start, _)| *start <= range.start).checked_sub(1)?;
        let (start, bytes) = self.0.get(first)?;
        let (mut at, end) = (usize::try_from(range.start - start).ok()?, range.end.checked_sub(*start)?);
        let end = usize::try_from(end).ok()?;
        if at <= end && end <= bytes.len() {
            return Some(bytes.slice(at..end));
        }
        let mut all = BytesMut::new();
        let mut left = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        let mut next = *start;
        for (start, bytes) in self.0.get(first..)? {
            let some = bytes.get(at..).filter(|it| !it.is_empty() && *start == next)?;
            let some = some.get(..left.min(some.len()))?;
            all.extend_from_slice(some);
            left -= some.len();
            if left == 0 {
                return Some(all.freeze());
            }
            (at, next) = (0, start + bytes.len() as u64);
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
        let (g, p) = (GRAIN_BYTES, PIECE_BYTES_MAX);
        assert_eq!(joined(vec![4 * g..5 * g, 0..g, 2 * g..3 * g, g..2 * g, 0..g]), [0..3 * g, 4 * g..5 * g]);
        let (long, short) = (g..g + 2 * p + 1, 0..p);
        assert_eq!(joined(vec![long]), [g..g + p, g + p..g + 2 * p, g + 2 * p..g + 2 * p + 1]);
        assert_eq!(joined(vec![short.clone()]), vec![short]);
        assert_eq!(joined(Vec::new()), Vec::<Range<u64>>::new());
    }

    fn pieces(of: &[(u64, u64)], file: &Bytes) -> Pieces {
        Pieces(of.iter().map(|(a, b)| (*a, file.slice(*a as usize..*b as usize))).collect())
    }

    #[test]
    fn a_range_is_there_when_all_of_it_is() {
        let file: Bytes = (0..100).collect();
        let found = pieces(&[(10, 20), (20, 30), (40, 50)], &file);
        for range in [10..20, 12..15, 20..30, 15..25, 10..30, 40..50, 45..45, 30..30] {
            let expected = file.slice(range.start as usize..range.end as usize);
            assert_eq!(found.get(&range), Some(expected), "{range:?}");
        }
        for range in [0..5, 5..12, 25..31, 30..40, 25..45, 49..51, 60..70] {
            assert_eq!(found.get(&range), None, "{range:?}");
        }
        assert_eq!(Pieces::default().get(&(0..0)), None);
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
            let fetched = joined(asked.clone());
            prop_assert!(fetched.windows(2).all(|it| it[0].end < it[1].start), "{fetched:?}");
            let of: Vec<(u64, u64)> = fetched.iter().map(|it| (it.start, it.end)).collect();
            let found = pieces(&of, &file);
            for range in asked {
                let expected = file.slice(range.start as usize..range.end as usize);
                prop_assert_eq!(found.get(&range), Some(expected), "{:?}", range);
            }
        }
    }
}
