use std::collections::BTreeMap;

use nodedata_core::StreamSchema;
use serde::{Deserialize, Serialize};

use crate::stats::FeatureStats;

/// How many rows of a feature have no value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NullCount {
    /// Rows without a value.
    pub nulls: u64,
    /// All rows.
    pub rows: u64,
}

impl NullCount {
    /// Whether there are rows, and none of them has a value.
    pub fn is_all(self) -> bool {
        self.rows != 0 && self.nulls == self.rows
    }
}

/// Rows without a value, by stream and feature; features that always have one are left out.
pub type Nulls = BTreeMap<String, BTreeMap<String, NullCount>>;

/// What the statistics of all columns have counted on the way.
pub(crate) fn nulls_of(streams: &[StreamSchema], stats: &[Vec<FeatureStats>]) -> Nulls {
    let mut nulls = Nulls::new();
    for (stream, stats) in streams.iter().zip(stats) {
        for (feature, stats) in stream.features.iter().zip(stats) {
            let count = stats.nulls();
            if count.nulls != 0 {
                let of_stream = nulls.entry(stream.name.to_string()).or_default();
                of_stream.insert(feature.name.clone(), count);
            }
        }
    }
    nulls
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;
    use nodedata_core::{DType, Feature, STEPS, StreamId, StreamKind};

    use super::*;

    #[test]
    fn only_features_with_nulls_are_named() {
        let features: Vec<Feature> =
            ["whole", "some", "none"].map(|it| Feature::new(it, DType::Int64, Vec::new()).nullable()).into();
        let columns = [[Some(1), Some(2)], [None, Some(2)], [None, None]];
        let stats = features.iter().zip(columns).map(|(feature, values)| {
            let mut stats = FeatureStats::new(feature);
            stats.update(&Int64Array::from(values.to_vec()));
            stats
        });
        let stats = vec![stats.collect()];
        let kind = StreamKind::Steps;
        let steps =
            StreamSchema { id: StreamId(0), name: STEPS.into(), kind, features, metadata: BTreeMap::new() };
        let nulls = nulls_of(&[steps], &stats);
        let found: Vec<(&str, NullCount)> =
            nulls[STEPS].iter().map(|(name, it)| (name.as_str(), *it)).collect();
        let count = |nulls| NullCount { nulls, rows: 2 };
        assert_eq!(found, [("none", count(2)), ("some", count(1))]);
        assert!(count(2).is_all() && !count(1).is_all() && !NullCount::default().is_all());
    }
}
