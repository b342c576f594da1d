use std::collections::BTreeMap;

use nodedata_core::{InputRange, Partition, SourcePlan};
use serde_json::{Value, json};

use crate::{
    canonical::canonical_json,
    cut::CutPlan,
    digest::b3_of,
    provenance::writer_settings,
    writer::{WriterOptions, created_by},
};

/// What is made, recorded and reused as a whole: the shards of all streams that have one split and one
/// number. Which partitions it covers follows from planned source bytes alone, and its bytes follow from
/// those partitions alone: nothing goes from one unit into the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Position of the split.
    pub split: usize,
    /// Number of its shards in that split.
    pub number: usize,
    /// Positions of its partitions, in order.
    pub partitions: Vec<usize>,
}

impl Unit {
    /// What its shards are called, such as `train-00003`.
    pub fn name(&self, splits: &[String]) -> String {
        format!("{}-{:05}", splits[self.split], self.number)
    }
}

/// The units of a source in the order of their first partitions, which is also the order in which they are
/// folded into the dataset.
pub(crate) fn units(partitions: &[Partition], cuts: &CutPlan) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut by_shard: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for partition in 0..partitions.len() {
        let (split, number) = cuts.shard_of(partition);
        let at = *by_shard.entry((split, number)).or_insert_with(|| {
            units.push(Unit { split, number, partitions: Vec::new() });
            units.len() - 1
        });
        units[at].partitions.push(partition);
    }
    units
}

/// The recipe of each unit: a hash over everything that decides its bytes, but for what the input files
/// hold, which [`crate::UnitInput`] proves. Neither its number nor the other units are part of it, so that
/// a unit is found again when splits, shard sizes or inputs beside its own have changed.
pub(crate) fn recipes(units: &[Unit], source: &SourcePlan, options: &WriterOptions) -> Vec<String> {
    let common = canonical_json(&json!({
        "nd": "unit-recipe/2",
        "created_by": created_by(),
        "recipe": options.unit_recipe,
        "writer": writer_settings(options.access),
        "row_group_bytes": options.row_group_bytes,
        "open_row_groups_bytes": options.open_row_groups_bytes,
    }));
    let common = b3_of(common.as_bytes());
    let of_unit = |unit: &Unit| {
        let partitions: Vec<Value> =
            unit.partitions
                .iter()
                .map(|idx| {
                    // Sizes, times and counts are for planning; what they decide is which partitions a unit has.
                    let Partition {
                        episode,
                        reads,
                        recipe,
                        numbering: _,
                        decoded_bytes: _,
                        times: _,
                        counts: _,
                    } = &source.partitions[*idx];
                    let read = |it: &InputRange| {
                        let path = source.inputs[it.input].path.to_string_lossy();
                        json!([path, it.byte_range.start, it.byte_range.end])
                    };
                    json!([episode, reads.iter().map(read).collect::<Vec<_>>(), recipe])
                })
                .collect();
        b3_of(canonical_json(&json!([common, partitions])).as_bytes())
    };
    units.iter().map(of_unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_their_first_partition() {
        let partition = |episode| Partition { episode, decoded_bytes: 10, ..Partition::default() };
        let partitions = [0, 1, 1, 2, 3].map(partition);
        let cuts = CutPlan::new(&partitions, &[1, 0, 1, 0], 20, false);
        let found: Vec<_> = units(&partitions, &cuts)
            .into_iter()
            .map(|it| (it.name(&["train".to_owned(), "val".to_owned()]), it.partitions))
            .collect();
        let expected = [("val-00000", vec![0, 3]), ("train-00000", vec![1, 2]), ("train-00001", vec![4])];
        assert_eq!(found, expected.map(|(name, it)| (name.to_owned(), it)));
    }
}
