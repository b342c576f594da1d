use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, StringArray};
use parquet::{
    data_type::ByteArray,
    errors::{ParquetError, Result},
    file::statistics::{Statistics, ValueStatistics},
};

use crate::codec::ColumnFactory;

/// The least and the greatest of some texts, by their bytes.
#[derive(Default)]
pub(super) struct Bounds {
    least: Option<Vec<u8>>,
    greatest: Option<Vec<u8>>,
}

impl Bounds {
    pub(super) fn include(&mut self, text: &[u8]) {
        if self.least.as_deref().is_none_or(|it| text < it) {
            self.least = Some(text.to_vec());
        }
        if self.greatest.as_deref().is_none_or(|it| it < text) {
            self.greatest = Some(text.to_vec());
        }
    }

    /// As the Parquet crate says them: long texts are cut.
    pub(super) fn statistics(&self, texts_alone: &ColumnFactory, n_nulls: u64) -> Result<Statistics> {
        let both = BinaryArray::from_iter_values([&self.least, &self.greatest].into_iter().flatten());
        let both: ArrayRef = Arc::new(StringArray::try_from_binary(both)?);
        let chunk = texts_alone.encode(&[both])?;
        let Some(Statistics::ByteArray(found)) = chunk.close().metadata.statistics() else {
            return Err(ParquetError::General(
                "a column of text has other statistics than those of text".to_owned(),
            ));
        };
        let bound = |it: Option<&ByteArray>| it.cloned();
        let all =
            ValueStatistics::new(bound(found.min_opt()), bound(found.max_opt()), None, Some(n_nulls), false)
                .with_min_is_exact(found.min_is_exact())
                .with_max_is_exact(found.max_is_exact())
                .with_backwards_compatible_min_max(found.is_min_max_backwards_compatible());
        Ok(Statistics::ByteArray(all))
    }
}
