use arrow_array::Array;
use nodedata_core::{StreamKind, StreamSchema};

use crate::{Rule, Rules};

/// Rows without a value, of one feature in one episode.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NullRows {
    pub(crate) n: u64,
    /// The first of them.
    pub(crate) first: Option<u64>,
}

impl NullRows {
    /// Takes in the next rows, of which `n_before` were taken in so far.
    pub(crate) fn observe(&mut self, column: &dyn Array, n_before: u64) {
        self.n += column.null_count() as u64;
        if self.first.is_none() && column.null_count() != 0 {
            let first = (0..column.len()).find(|it| column.is_null(*it));
            self.first = first.map(|it| n_before + it as u64);
        }
    }
}

/// Positions of the features that are looked at.
pub(crate) fn columns_of(rules: &Rules, stream: &StreamSchema) -> Vec<usize> {
    if !rules.is_on(Rule::Nulls) {
        return Vec::new();
    }
    let is_meant = |feature: &str| match rules.null_fields.as_slice() {
        [] => stream.kind == StreamKind::Steps,
        fields => fields.iter().any(|it| it.fits(&stream.name, feature)),
    };
    let own = (0..stream.features.len()).filter(|it| !stream.is_built_in(*it));
    own.filter(|it| is_meant(&stream.features[*it].name)).collect()
}
