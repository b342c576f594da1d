use std::collections::BTreeMap;

use nodedata_core::Partition;

/// Which shard each partition goes to: a function of planned source bytes and splits alone, so that
/// neither threads nor workers can change it.
#[derive(Debug, Clone)]
pub(crate) struct CutPlan {
    /// Split and number of the shard in that split, per partition.
    shards: Vec<(usize, usize)>,
}

impl CutPlan {
    /// Plans shards of about `shard_bytes` of source each. `split_of_episode` gives each episode's split. With
    /// `whole_episodes` a shard ends only where an episode does.
    pub(crate) fn new(
        partitions: &[Partition],
        split_of_episode: &[usize],
        shard_bytes: u64,
        whole_episodes: bool,
    ) -> Self {
        let mut filled: BTreeMap<usize, (usize, u64)> = BTreeMap::new();
        let mut episode = None;
        let shards = partitions
            .iter()
            .map(|partition| {
                let may_end = !whole_episodes || episode != Some(partition.episode);
                episode = Some(partition.episode);
                let split = split_of_episode.get(partition.episode).copied().unwrap_or(0);
                let (number, n_bytes) = filled.entry(split).or_insert((0, 0));
                if *n_bytes >= shard_bytes && may_end {
                    *number += 1;
                    *n_bytes = 0;
                }
                *n_bytes += partition.decoded_bytes;
                (split, *number)
            })
            .collect();
        Self { shards }
    }

    /// Split and shard number of one partition.
    pub(crate) fn shard_of(&self, partition: usize) -> (usize, usize) {
        self.shards[partition]
    }
}

/// Decides when the row group of which table ends, from the sizes of the rows in their order.
#[derive(Debug, Clone)]
pub(crate) struct RowGroupBudget {
    /// A table's row group ends when it holds this much.
    pub(crate) row_group_bytes: u64,
    /// The largest ends early when all together hold this much.
    pub(crate) total_bytes: u64,
    held: BTreeMap<(usize, usize), u64>,
}

impl RowGroupBudget {
    pub(crate) fn new(row_group_bytes: u64, total_bytes: u64) -> Self {
        Self { row_group_bytes, total_bytes, held: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, table: (usize, usize), n_bytes: u64) {
        *self.held.entry(table).or_default() += n_bytes;
    }

    /// The tables whose row group ends now, in order; they start again from nothing. `at_end` tells of a table
    /// whether an episode of it ends here: half a row group is enough then, so that short episodes are not cut.
    pub(crate) fn full(&mut self, at_end: impl Fn(usize) -> bool) -> Vec<(usize, usize)> {
        let enough = |(table, _): &(usize, usize)| {
            if at_end(*table) { self.row_group_bytes / 2 } else { self.row_group_bytes }
        };
        let mut full: Vec<_> =
            self.held.iter().filter(|(key, held)| **held >= enough(key)).map(|(key, _)| *key).collect();
        for key in &full {
            self.held.remove(key);
        }
        while self.held.values().sum::<u64>() > self.total_bytes {
            // On a tie the last table in order gives way: any fixed rule serves.
            let Some(largest) = self.held.iter().max_by_key(|(_, held)| **held).map(|(key, _)| *key) else {
                break;
            };
            self.held.remove(&largest);
            full.push(largest);
        }
        full.sort_unstable();
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_follow_planned_bytes_and_never_mix_splits() {
        let partition = |episode| Partition { episode, decoded_bytes: 10, ..Partition::default() };
        let partitions = [0, 0, 0, 1, 2, 2].map(partition);
        let plan = CutPlan::new(&partitions, &[0, 1, 0], 20, false);
        let shards: Vec<_> = (0..6).map(|it| plan.shard_of(it)).collect();
        assert_eq!(shards, [(0, 0), (0, 0), (0, 1), (1, 0), (0, 1), (0, 2)]);
        let plan = CutPlan::new(&partitions, &[0, 1, 0], 20, true);
        let shards: Vec<_> = (0..6).map(|it| plan.shard_of(it)).collect();
        assert_eq!(
            shards,
            [(0, 0), (0, 0), (0, 0), (1, 0), (0, 1), (0, 1)],
            "an episode never crosses a shard"
        );
    }

    #[test]
    fn the_largest_row_group_gives_way_when_all_together_are_too_large() {
        let mut budget = RowGroupBudget::new(100, 150);
        budget.add((0, 0), 90);
        budget.add((1, 0), 50);
        assert!(budget.full(|_| false).is_empty());
        budget.add((2, 0), 20);
        assert_eq!(budget.full(|_| false), [(0, 0)]);
        budget.add((1, 0), 60);
        assert_eq!(budget.full(|_| false), [(1, 0)]);
        budget.add((1, 0), 50);
        assert_eq!(budget.full(|table| table == 1), [(1, 0)], "half is enough where an episode ends");
    }
}
