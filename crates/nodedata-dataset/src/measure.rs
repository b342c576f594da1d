use std::collections::BTreeMap;

use arrow_array::ArrayRef;
use nodedata_core::Feature;

use crate::{
    logical_hash::{FieldHasher, episode_hash},
    stats::FeatureStats,
    unit::Unit,
};

/// Content hash by (episode, stream).
pub(crate) type Contents = BTreeMap<(usize, usize), [u8; 32]>;

/// What was measured of the rows of one stream in one unit.
pub(crate) struct StreamFacts {
    /// By feature.
    pub(crate) stats: Vec<FeatureStats>,
    /// Content hash of each episode that lies in the unit as a whole.
    pub(crate) contents: Vec<(usize, [u8; 32])>,
}

/// Content hashes and statistics of one column, unit by unit.
pub(crate) struct Column {
    feature: Feature,
    stats: FeatureStats,
    /// The episode at hand; without a hasher when its hash cannot be made here.
    current: Option<(usize, Option<FieldHasher>)>,
    /// Finished hashes by episode.
    hashes: Vec<(usize, [u8; 32])>,
    /// Hashers of episodes that go on in a later unit.
    carried: BTreeMap<usize, FieldHasher>,
    queue: Vec<(usize, ArrayRef)>,
}

impl Column {
    pub(crate) fn new(feature: &Feature) -> Self {
        Self {
            feature: feature.clone(),
            stats: FeatureStats::new(feature),
            current: None,
            hashes: Vec::new(),
            carried: BTreeMap::new(),
            queue: Vec::new(),
        }
    }

    /// Leaves rows to be measured.
    pub(crate) fn push(&mut self, episode: usize, rows: ArrayRef) {
        self.queue.push((episode, rows));
    }

    pub(crate) fn has_rows_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Measures what was left.
    pub(crate) fn measure(&mut self, spanning: &Spanning) {
        for (episode, array) in std::mem::take(&mut self.queue) {
            if self.current.as_ref().is_none_or(|(it, _)| *it != episode) {
                self.leave_episode(spanning);
                let hasher = match spanning.episodes.get(&episode) {
                    Some(it) if !it.hashed_here => None,
                    _ => self.carried.remove(&episode).or_else(|| Some(FieldHasher::new(&self.feature))),
                };
                self.current = Some((episode, hasher));
            }
            if let Some((_, Some(hasher))) = &mut self.current {
                hasher.update(array.as_ref());
            }
            self.stats.update(array.as_ref());
        }
    }

    fn leave_episode(&mut self, spanning: &Spanning) {
        let Some((episode, Some(hasher))) = self.current.take() else { return };
        if spanning.episodes.contains_key(&episode) {
            self.carried.insert(episode, hasher);
        } else {
            self.hashes.push((episode, hasher.finish()));
        }
    }
}

/// The episodes that run through several units. Their content hash is that of all their rows in order, so a
/// hasher is carried from unit to unit; where one of the units is not encoded here, the hash is made from
/// the finished shards instead.
pub(crate) struct Spanning {
    episodes: BTreeMap<usize, Span>,
    contents: Contents,
}

struct Span {
    last_unit: usize,
    hashed_here: bool,
}

impl Spanning {
    pub(crate) fn new(units: &[Unit], episodes: &[usize]) -> Self {
        let mut seen: BTreeMap<usize, (usize, bool)> = BTreeMap::new();
        for (idx, unit) in units.iter().enumerate() {
            for partition in &unit.partitions {
                let (last_unit, several) = seen.entry(episodes[*partition]).or_insert((idx, false));
                *several |= *last_unit != idx;
                *last_unit = idx;
            }
        }
        let spans = seen.into_iter().filter(|(_, (_, several))| *several);
        let episodes =
            spans.map(|(episode, (last_unit, _))| (episode, Span { last_unit, hashed_here: true })).collect();
        Self { episodes, contents: Contents::new() }
    }

    pub(crate) fn skip(&mut self, skipped: &[usize], units: &[Unit], episodes: &[usize]) {
        for partition in skipped.iter().flat_map(|it| &units[*it].partitions) {
            if let Some(span) = self.episodes.get_mut(&episodes[*partition]) {
                span.hashed_here = false;
            }
        }
    }

    /// Positions of the episodes.
    pub(crate) fn episodes(&self) -> impl Iterator<Item = usize> + '_ {
        self.episodes.keys().copied()
    }

    pub(crate) fn take_contents(&mut self) -> Contents {
        std::mem::take(&mut self.contents)
    }

    /// Ends a unit for the columns of a stream; `None` when the stream had no rows in it.
    pub(crate) fn end_unit(
        &mut self,
        unit: usize,
        stream: usize,
        columns: &mut [Column],
    ) -> Option<StreamFacts> {
        columns.iter_mut().for_each(|it| it.leave_episode(self));
        for (episode, _) in self.episodes.iter().filter(|(_, it)| it.last_unit == unit) {
            // All columns of a stream have the same rows, so all of them carry the episode, or none.
            let mut hashes = Vec::with_capacity(columns.len());
            for column in &mut *columns {
                let hasher = column.carried.remove(episode);
                hashes.extend(hasher.map(|it| (column.feature.name.as_str(), it.finish())));
            }
            if !hashes.is_empty() {
                self.contents.insert((*episode, stream), episode_hash(&hashes));
            }
        }
        if columns.iter().all(|it| it.stats.is_empty()) {
            return None;
        }
        let mut fields: BTreeMap<usize, Vec<(&str, [u8; 32])>> = BTreeMap::new();
        let mut stats = Vec::with_capacity(columns.len());
        for column in columns {
            let Column { feature, hashes, stats: of_column, .. } = column;
            for (episode, hash) in hashes.drain(..) {
                fields.entry(episode).or_default().push((&feature.name, hash));
            }
            stats.push(std::mem::replace(of_column, FeatureStats::new(feature)));
        }
        let contents = fields.into_iter().map(|(episode, it)| (episode, episode_hash(&it))).collect();
        Some(StreamFacts { stats, contents })
    }
}
