//! The episodes of a split in one stream, column by column: there may be a hundred thousand of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use nodedata_dataset::EpisodeTable;

/// Which episodes there are, and where their rows lie.
#[derive(Debug, Default)]
pub(crate) struct Episodes {
    /// Of each, the row of the episode table that its first part is.
    table_rows: Vec<u32>,
    /// Of each, where its parts begin in `parts`; and at last how many there are.
    part_starts: Vec<u32>,
    parts: Vec<Part>,
    /// Steps before each, and at last of all.
    step_starts: Vec<u64>,
}

/// Neighbouring rows of an episode in one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Position of the shard in the manifest.
    pub(crate) shard: u32,
    /// Its first row.
    pub(crate) row: u64,
    /// Rows.
    pub(crate) n_rows: u64,
}

/// Steps of an episode, and where they lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The shard.
    pub(crate) shard: usize,
    /// The rows in it.
    pub(crate) rows: Range<u64>,
    /// The step that the first of them is.
    pub(crate) step: u64,
}

impl Episodes {
    /// Those of `split` that have rows in `stream`, but for some keys, in the order of the table.
    pub(crate) fn of(table: &EpisodeTable, split: &str, stream: &str, excluded: &BTreeSet<&str>) -> Self {
        let mut positions: BTreeMap<(u64, &str), usize> = BTreeMap::new();
        let mut table_rows = Vec::new();
        // What lies in several shards is mostly told in neighbouring rows, and need not be.
        let mut found: Vec<(usize, Part)> = Vec::new();
        for (idx, entry) in table.iter().enumerate() {
            let is_wanted = entry.stream == Some(stream) && entry.split == split && entry.n_rows > 0;
            if !is_wanted || excluded.contains(entry.key) {
                continue;
            }
            let episode = *positions.entry((entry.episode, entry.key)).or_insert_with(|| {
                table_rows.push(u32::try_from(idx).unwrap_or(u32::MAX));
                table_rows.len() - 1
            });
            let shard = u32::try_from(entry.shard).unwrap_or(u32::MAX);
            found.push((episode, Part { shard, row: entry.row, n_rows: entry.n_rows }));
        }
        found.sort_by_key(|it| it.0);
        let mut episodes =
            Self { table_rows, part_starts: Vec::new(), parts: Vec::new(), step_starts: vec![0] };
        let mut n_steps = 0u64;
        for (episode, part) in found {
            if episodes.part_starts.len() <= episode {
                episodes.part_starts.push(episodes.parts.len() as u32);
                episodes.step_starts.push(n_steps);
            }
            n_steps = n_steps.saturating_add(part.n_rows);
            if let Some(last) = episodes.step_starts.last_mut() {
                *last = n_steps;
            }
            episodes.parts.push(part);
        }
        episodes.part_starts.push(episodes.parts.len() as u32);
        episodes
    }

    pub(crate) fn len(&self) -> usize {
        self.table_rows.len()
    }

    pub(crate) fn n_steps(&self) -> u64 {
        self.step_starts.last().copied().unwrap_or(0)
    }

    /// Steps of one.
    pub(crate) fn length(&self, episode: usize) -> Option<u64> {
        let (start, end) = (self.step_starts.get(episode)?, self.step_starts.get(episode.checked_add(1)?)?);
        Some(end - start)
    }

    pub(crate) fn lengths(&self) -> Vec<u64> {
        self.step_starts.windows(2).map(|it| it[1] - it[0]).collect()
    }

    /// Row of the episode table.
    pub(crate) fn table_row(&self, episode: usize) -> Option<usize> {
        self.table_rows.get(episode).map(|it| *it as usize)
    }

    /// Where the rows of one lie.
    pub(crate) fn parts(&self, episode: usize) -> &[Part] {
        let start = self.part_starts.get(episode).map(|it| *it as usize);
        let end = episode.checked_add(1).and_then(|it| self.part_starts.get(it)).map(|it| *it as usize);
        let range = start.zip(end).map(|(start, end)| start..end);
        range.and_then(|it| self.parts.get(it)).unwrap_or_default()
    }

    /// Where some steps of one lie, shard by shard, in order.
    pub(crate) fn stretches(&self, episode: usize, steps: Range<u64>) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        let mut first = 0u64;
        for part in self.parts(episode) {
            let end = first.saturating_add(part.n_rows);
            let (from, to) = (steps.start.max(first), steps.end.min(end));
            if from < to {
                let row = part.row.saturating_add(from - first);
                let rows = row..row.saturating_add(to - from);
                stretches.push(Stretch { shard: part.shard as usize, rows, step: from });
            }
            first = end;
        }
        stretches
    }

    /// The shards that hold rows of it, rising.
    pub(crate) fn shards(&self) -> Vec<usize> {
        let shards: BTreeSet<u32> = self.parts.iter().map(|it| it.shard).collect();
        shards.into_iter().map(|it| it as usize).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use bytes::Bytes;
    use nodedata_core::ReadAt;
    use nodedata_dataset::{EpisodePlace, EpisodeRow, episode_table};

    use super::*;

    struct Memory(Bytes);

    impl ReadAt for Memory {
        fn n_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, range: Range<u64>) -> nodedata_core::Result<Bytes> {
            Ok(self.0.slice(range.start as usize..range.end as usize))
        }
    }

    /// Episode, key, split, stream, shard, row, rows.
    type TableRow<'a> = (u64, &'a str, &'a str, Option<&'a str>, usize, u64, u64);

    fn table(rows: &[TableRow<'_>]) -> EpisodeTable {
        let metadata = BTreeMap::new();
        let rows: Vec<EpisodeRow<'_>> = rows
            .iter()
            .map(|&(episode, key, split, stream, shard, row, n_rows)| EpisodeRow {
                episode,
                key,
                split,
                place: stream.map(|stream| EpisodePlace {
                    stream,
                    shard,
                    row,
                    n_rows,
                    row_group: 0,
                    n_row_groups: 1,
                    start_time_ns: None,
                    end_time_ns: None,
                }),
                task: None,
                source: "a".into(),
                content: None,
                metadata: &metadata,
            })
            .collect();
        EpisodeTable::read("t", Arc::new(Memory(episode_table(&rows).unwrap().into()))).unwrap()
    }

    #[test]
    fn episodes_are_those_of_split_and_stream_in_the_order_of_the_table() {
        let table = table(&[
            (0, "a", "train", Some("steps"), 0, 0, 5),
            (1, "b", "val", Some("steps"), 3, 0, 9),
            (2, "c", "train", Some("steps"), 0, 5, 3),
            (3, "d", "train", Some("/imu"), 4, 0, 3),
            (2, "c", "train", Some("steps"), 1, 0, 4),
            (4, "e", "train", None, 0, 0, 0),
            (5, "f", "train", Some("steps"), 1, 4, 2),
        ]);
        let all = Episodes::of(&table, "train", "steps", &BTreeSet::new());
        assert_eq!((all.len(), all.n_steps(), all.lengths()), (3, 14, vec![5, 7, 2]));
        assert_eq!([0, 1, 2, 3].map(|it| all.table_row(it)), [Some(0), Some(2), Some(6), None]);
        let stretch = |shard, rows: Range<u64>, step| Stretch { shard, rows, step };
        assert_eq!(all.stretches(1, 1..6), [stretch(0, 6..8, 1), stretch(1, 0..3, 3)]);
        assert_eq!(all.stretches(1, 3..7), [stretch(1, 0..4, 3)]);
        assert_eq!(all.stretches(1, 7..9), []);
        assert_eq!(all.stretches(9, 0..1), []);
        assert_eq!((all.shards(), all.length(2), all.length(3)), (vec![0, 1], Some(2), None));
        let less = Episodes::of(&table, "train", "steps", &BTreeSet::from(["c", "x"]));
        assert_eq!((less.len(), less.lengths()), (2, vec![5, 2]));
        let none = Episodes::of(&table, "test", "steps", &BTreeSet::new());
        assert_eq!((none.len(), none.n_steps(), none.lengths(), none.parts(0).len()), (0, 0, vec![], 0));
    }
}
