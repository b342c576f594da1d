use arrow_array::RecordBatch;
use nodedata_core::Feature;

use crate::logical_hash::{FieldHasher, episode_hash};

/// Hashes what the rows of one episode hold in one stream, as the index of a dataset does.
#[derive(Debug, Clone)]
pub struct ContentHasher {
    names: Vec<String>,
    fields: Vec<FieldHasher>,
}

impl ContentHasher {
    /// Gets ready for rows with these features, in order.
    pub fn new(features: &[Feature]) -> Self {
        let names = features.iter().map(|it| it.name.clone()).collect();
        Self { names, fields: features.iter().map(FieldHasher::new).collect() }
    }

    /// Takes in rows. Where batches end makes no difference.
    pub fn update(&mut self, rows: &RecordBatch) {
        for (field, column) in self.fields.iter_mut().zip(rows.columns()) {
            field.update(column.as_ref());
        }
    }

    /// The hash.
    pub fn finish(self) -> [u8; 32] {
        let Self { names, fields } = self;
        let hashes = fields.into_iter().map(FieldHasher::finish);
        let hashes: Vec<(&str, [u8; 32])> = names.iter().map(String::as_str).zip(hashes).collect();
        episode_hash(&hashes)
    }
}
