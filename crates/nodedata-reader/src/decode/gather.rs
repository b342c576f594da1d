use std::ops::Range;

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};

use crate::{
    assemble::Block,
    rows::{Data, Ragged, Tensor, item_bytes, room},
    split::{FeatureInfo, Form},
};

/// Rows of one feature that are put together from pages.
pub(super) struct Gathered {
    data: Data,
    /// Empty as long as all have a value.
    valid: Vec<bool>,
    n_rows: usize,
}

impl Gathered {
    /// None yet, with room for so many.
    ///
    /// # Errors
    /// `Limit` when they do not fit memory.
    pub(super) fn new(n_rows: usize, info: &FeatureInfo) -> Result<Self> {
        let tensor = |shape: &[usize], n_rows: usize| {
            let n_bytes = item_bytes(info.dtype, shape).and_then(|it| it.checked_mul(n_rows));
            Ok::<_, Error>(Tensor { dtype: info.dtype, shape: shape.to_vec(), bytes: room(n_bytes)?.into() })
        };
        let data = match &info.form {
            Form::Tensor(shape) => Data::Tensor(tensor(shape, n_rows)?),
            Form::Ragged(item) => Data::Ragged(Ragged { values: tensor(item, 0)?, offsets: vec![0] }),
            Form::Text | Form::Json => Data::Text(Vec::new()),
            Form::Bytes | Form::Pictures(_) | Form::Raw(_) | Form::Sound(_) | Form::Video(_) => {
                Data::Bytes(Vec::<Bytes>::new())
            }
        };
        Ok(Self { data, valid: Vec::new(), n_rows: 0 })
    }

    /// Adds rows of a block.
    ///
    /// # Errors
    /// `Corrupt` when it has no such rows; `SchemaMismatch` when its values are of another type or shape.
    pub(super) fn append(&mut self, block: &Block, rows: Range<usize>) -> Result<()> {
        let fewer = || Error::new(ErrorKind::Corrupt, "the page has fewer rows than the index says");
        // Splits may be of several minds about a column, whose pages they share: bytes of another type are no values of this one.
        let tensors = tensor_of(&self.data).zip(tensor_of(&block.data));
        if let Some((mine, _)) = tensors.filter(|(a, b)| (a.dtype, &a.shape) != (b.dtype, &b.shape)) {
            let message = format!("the values of this shard are no {} of {:?}", mine.dtype, mine.shape);
            return Err(Error::new(ErrorKind::SchemaMismatch, message)
                .with_hint("leave the field out, or publish the shards with one schema"));
        }
        match (&mut self.data, &block.data) {
            (Data::Tensor(mine), Data::Tensor(theirs)) => {
                let row_bytes = theirs.row_bytes().unwrap_or(0);
                let bytes = theirs.bytes.get(rows.start * row_bytes..rows.end * row_bytes);
                mine.bytes.extend_from_slice(bytes.ok_or_else(fewer)?);
            }
            (Data::Ragged(mine), Data::Ragged(theirs)) => {
                append_ragged(mine, theirs, &rows).ok_or_else(fewer)?;
            }
            (Data::Text(mine), Data::Text(theirs)) => {
                mine.extend_from_slice(theirs.get(rows.clone()).ok_or_else(fewer)?);
            }
            _ => return Err(fewer()),
        }
        match &block.valid {
            None if self.valid.is_empty() => {}
            None => self.valid.resize(self.n_rows + rows.len(), true),
            Some(valid) => {
                self.valid.resize(self.n_rows, true);
                self.valid.extend_from_slice(valid.get(rows.clone()).ok_or_else(fewer)?);
            }
        }
        self.n_rows += rows.len();
        Ok(())
    }

    /// All of them.
    ///
    /// # Errors
    /// `Corrupt` when they are not as many as there should be.
    pub(super) fn finish(self, n_rows: usize) -> Result<Block> {
        if self.n_rows != n_rows {
            let message = format!("{} rows were read, and there should be {n_rows}", self.n_rows);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let has_null = self.valid.iter().any(|it| !it);
        Ok(Block { data: self.data, valid: has_null.then_some(self.valid) })
    }
}

/// Where numbers are.
fn tensor_of(data: &Data) -> Option<&Tensor> {
    match data {
        Data::Tensor(tensor) => Some(tensor),
        Data::Ragged(ragged) => Some(&ragged.values),
        Data::Text(_) | Data::Bytes(_) => None,
    }
}

fn append_ragged(mine: &mut Ragged, theirs: &Ragged, rows: &Range<usize>) -> Option<()> {
    let offsets = theirs.offsets.get(rows.start..rows.end + 1)?;
    let (first, last) = (*offsets.first()?, *offsets.last()?);
    let item_bytes = theirs.values.row_bytes()? as u64;
    let place = |it: u64| usize::try_from(it.checked_mul(item_bytes)?).ok();
    mine.values.bytes.extend_from_slice(theirs.values.bytes.get(place(first)?..place(last)?)?);
    let base = *mine.offsets.last()?;
    mine.offsets.extend(offsets.iter().skip(1).map(|it| base + (it - first)));
    Some(())
}

#[cfg(test)]
mod tests {
    use nodedata_core::DType;

    use super::*;

    /// What is kept of a page may have been read by somebody to whom its column is of another type.
    #[test]
    fn values_of_another_type_are_not_taken_for_ones_of_this() {
        let tensor = |dtype, shape: &[usize], bytes: Vec<u8>| {
            let bytes = bytes.into();
            Tensor { dtype, shape: shape.to_vec(), bytes }
        };
        let gathered = |data| Gathered { data, valid: Vec::new(), n_rows: 0 };
        let block = |data| Block { data, valid: None };
        let mut mine = gathered(Data::Tensor(tensor(DType::Int32, &[], Vec::new())));
        mine.append(&block(Data::Tensor(tensor(DType::Int32, &[], vec![7; 8]))), 0..2).unwrap();
        let theirs = block(Data::Tensor(tensor(DType::Int64, &[], vec![7; 16])));
        assert_eq!(mine.append(&theirs, 0..2).unwrap_err().kind(), ErrorKind::SchemaMismatch);
        assert_eq!(mine.finish(2).unwrap().data, Data::Tensor(tensor(DType::Int32, &[], vec![7; 8])));

        let ragged = |shape: &[usize]| {
            Data::Ragged(Ragged { values: tensor(DType::UInt8, shape, vec![7; 4]), offsets: vec![0, 2] })
        };
        let err = gathered(ragged(&[2])).append(&block(ragged(&[1])), 0..1).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::SchemaMismatch);
    }
}
