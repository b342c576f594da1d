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
            Ok::<_, Error>(Tensor { dtype: info.dtype, shape: shape.to_vec(), bytes: room(n_bytes)? })
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
    /// `Corrupt` when it has no such rows.
    pub(super) fn append(&mut self, block: &Block, rows: Range<usize>) -> Result<()> {
        let fewer = || Error::new(ErrorKind::Corrupt, "the page has fewer rows than the index says");
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
