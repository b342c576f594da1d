use std::{collections::BTreeSet, ops::Range};

use nodedata_core::{Error, ErrorKind, Result};

use crate::episode_table::EpisodeTable;

/// Which rows of which shards stay when some episodes go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// By position in the manifest.
    pub shards: Vec<KeptShard>,
    /// Positions in the dataset of the episodes that go.
    pub episodes: BTreeSet<u64>,
}

/// What stays of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptShard {
    n_rows: u64,
    /// Rows that go, in order, apart from each other.
    gone: Vec<Range<u64>>,
}

impl LeftOut {
    /// What becomes of shards of so many rows each without the episodes for which `goes` says so, by split and key.
    ///
    /// # Errors
    /// `Corrupt` when the index places rows where no shard has any.
    pub fn of(table: &EpisodeTable, shard_rows: &[u64], goes: &dyn Fn(&str, &str) -> bool) -> Result<Self> {
        let shards = shard_rows.iter().map(|n_rows| KeptShard { n_rows: *n_rows, gone: Vec::new() });
        let mut left_out = Self { shards: shards.collect(), episodes: BTreeSet::new() };
        for entry in table.iter().filter(|it| goes(it.split, it.key)) {
            left_out.episodes.insert(entry.episode);
            if entry.stream.is_none() || entry.n_rows == 0 {
                continue;
            }
            let end = entry.row.checked_add(entry.n_rows);
            let place = left_out.shards.get_mut(entry.shard).zip(end).filter(|(it, end)| *end <= it.n_rows);
            let Some((shard, end)) = place else {
                let message = format!("the index places episode {} where no shard has rows", entry.episode);
                return Err(Error::new(ErrorKind::Corrupt, message));
            };
            shard.gone.push(entry.row..end);
        }
        left_out.shards.iter_mut().for_each(KeptShard::put_in_order);
        Ok(left_out)
    }

    /// The position of each shard among those of which something stays.
    pub fn positions(&self) -> Vec<Option<usize>> {
        let mut next = 0;
        let position = |shard: &KeptShard| {
            let here = (!shard.is_gone()).then_some(next);
            next += usize::from(here.is_some());
            here
        };
        self.shards.iter().map(position).collect()
    }
}

impl KeptShard {
    fn put_in_order(&mut self) {
        self.gone.sort_unstable_by_key(|it| (it.start, it.end));
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in self.gone.drain(..) {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        self.gone = joined;
    }

    /// Whether rows of it go.
    pub fn is_touched(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Whether all of them do.
    pub fn is_gone(&self) -> bool {
        self.is_touched() && self.n_rows() == 0
    }

    /// Rows that go.
    pub fn n_gone(&self) -> u64 {
        self.gone.iter().map(|it| it.end - it.start).sum()
    }

    /// Rows that stay.
    pub fn n_rows(&self) -> u64 {
        self.n_rows - self.n_gone()
    }

    /// Where a row that stays lies then.
    pub fn place(&self, row: u64) -> u64 {
        let before = self.gone.iter().take_while(|it| it.start < row);
        row - before.map(|it| it.end.min(row) - it.start).sum::<u64>()
    }

    /// The parts of a range that stay, as they lie now.
    pub fn parts(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut parts = Vec::new();
        let mut start = range.start;
        for gone in self.gone.iter().filter(|it| it.start < range.end && range.start < it.end) {
            if start < gone.start {
                parts.push(start..gone.start);
            }
            start = start.max(gone.end);
        }
        if start < range.end {
            parts.push(start..range.end);
        }
        parts
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "one range is meant, not the numbers in it")]
mod tests {
    use super::*;

    fn kept(n_rows: u64, gone: &[Range<u64>]) -> KeptShard {
        let mut shard = KeptShard { n_rows, gone: gone.to_vec() };
        shard.put_in_order();
        shard
    }

    #[test]
    fn places_follow_from_what_goes_before_them() {
        let shard = kept(100, &[50..60, 10..20, 20..25, 99..100]);
        assert_eq!((shard.n_gone(), shard.n_rows(), shard.is_gone()), (26, 74, false));
        for (row, place) in [(0, 0), (9, 9), (25, 10), (49, 34), (60, 35), (98, 73)] {
            assert_eq!(shard.place(row), place, "{row}");
        }
        assert_eq!(shard.parts(0..100), [0..10, 25..50, 60..99]);
        assert_eq!(shard.parts(15..55), [25..50]);
        assert_eq!((shard.parts(11..24), shard.parts(70..80)), (vec![], vec![70..80]));
    }

    #[test]
    fn shards_without_rows_have_no_place() {
        let left_out = LeftOut {
            shards: vec![kept(3, &[]), kept(3, &[0..3]), kept(3, &[1..2]), kept(0, &[])],
            episodes: BTreeSet::new(),
        };
        assert_eq!(left_out.positions(), [Some(0), None, Some(1), Some(2)]);
    }
}
