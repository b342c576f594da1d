use std::sync::Arc;

use bytes::Bytes;
use nodedata_core::{DType, Error, ErrorKind, Result};

use crate::memory::Memory;

/// Decoded rows of one episode, column by column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// How many.
    pub n_rows: usize,
    /// Their columns, in the order in which they were asked for.
    pub columns: Vec<Column>,
}

/// The values of one feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The feature.
    pub name: Arc<str>,
    /// A value for each row. Of a row without one it is NaN where there is one, otherwise 0, `false`, an empty text or nothing.
    pub data: Data,
    /// Which rows have a value; `None` for all.
    pub valid: Option<Vec<bool>>,
}

/// Values, a row after the other.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Numbers or truth values of one shape.
    Tensor(Tensor),
    /// As many numbers as each row has.
    Ragged(Ragged),
    /// Text, that of JSON as well.
    Text(Vec<String>),
    /// Bytes as they are stored, such as those of a coded picture. They may be views of what was fetched, all of which then stays in
    /// memory as long as one of them does.
    Bytes(Vec<Bytes>),
}

/// Numbers or truth values of which each row has as many.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Type of one element. A truth value is a byte, 0 or 1.
    pub dtype: DType,
    /// Shape of one row; empty for a scalar. Pictures are height, width and, where there is more than one, channels.
    pub shape: Vec<usize>,
    /// The elements of all rows, the last dimension first, little endian.
    pub bytes: Memory,
}

/// Numbers of which each row has its own count.
#[derive(Debug, Clone, PartialEq)]
pub struct Ragged {
    /// The items of all rows, each of the shape that it tells.
    pub values: Tensor,
    /// Where the items of each row begin, in items, and at last how many there are.
    pub offsets: Vec<u64>,
}

impl Rows {
    /// The column of a feature.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|it| *it.name == *name)
    }

    /// Bytes of all values in memory.
    pub fn n_bytes(&self) -> u64 {
        self.columns.iter().map(Column::n_bytes).sum()
    }
}

impl Column {
    /// How many rows it has.
    pub fn n_rows(&self) -> usize {
        self.data.n_rows().or_else(|| Some(self.valid.as_ref()?.len())).unwrap_or(0)
    }

    /// Bytes of its values in memory.
    pub fn n_bytes(&self) -> u64 {
        self.data.n_bytes() + self.valid.as_ref().map_or(0, |it| it.len() as u64)
    }

    /// The column of these rows of it, in any order, also more than once.
    ///
    /// # Errors
    /// `Limit` when they do not fit memory; `Config` when there is no such row.
    pub fn take(&self, rows: &[usize]) -> Result<Self> {
        let valid = match &self.valid {
            None => None,
            Some(valid) => Some(picked(valid, rows)?),
        };
        let data = match &self.data {
            Data::Tensor(tensor) => Data::Tensor(tensor.take(rows)?),
            Data::Ragged(ragged) => Data::Ragged(ragged.take(rows)?),
            Data::Text(texts) => Data::Text(picked(texts, rows)?),
            Data::Bytes(bytes) => Data::Bytes(picked(bytes, rows)?),
        };
        Ok(Self { name: Arc::clone(&self.name), data, valid })
    }
}

impl Data {
    /// How many rows; `None` where nothing tells, because a row has no bytes.
    fn n_rows(&self) -> Option<usize> {
        match self {
            Self::Tensor(tensor) => tensor.bytes.len().checked_div(tensor.row_bytes()?),
            Self::Ragged(ragged) => ragged.offsets.len().checked_sub(1),
            Self::Text(texts) => Some(texts.len()),
            Self::Bytes(bytes) => Some(bytes.len()),
        }
    }

    /// Bytes of the values in memory.
    pub fn n_bytes(&self) -> u64 {
        match self {
            Self::Tensor(tensor) => tensor.bytes.len() as u64,
            Self::Ragged(ragged) => (ragged.values.bytes.len() + 8 * ragged.offsets.len()) as u64,
            Self::Text(texts) => texts.iter().map(|it| (it.len() + size_of::<String>()) as u64).sum(),
            Self::Bytes(bytes) => bytes.iter().map(|it| (it.len() + size_of::<Bytes>()) as u64).sum(),
        }
    }
}

impl Tensor {
    /// Bytes of one row; `None` where memory has no such place, or the type has no width.
    pub fn row_bytes(&self) -> Option<usize> {
        item_bytes(self.dtype, &self.shape)
    }

    fn take(&self, rows: &[usize]) -> Result<Self> {
        let row_bytes = self.row_bytes().unwrap_or(0);
        let mut bytes = room(rows.len().checked_mul(row_bytes))?;
        for row in rows {
            let start = row.checked_mul(row_bytes);
            let found = start.and_then(|start| self.bytes.get(start..start.checked_add(row_bytes)?));
            bytes.extend_from_slice(found.ok_or_else(|| no_row(*row))?);
        }
        Ok(Self { dtype: self.dtype, shape: self.shape.clone(), bytes: bytes.into() })
    }
}

impl Ragged {
    fn take(&self, rows: &[usize]) -> Result<Self> {
        let item_bytes = self.values.row_bytes().unwrap_or(0) as u64;
        let range = |row: usize| {
            let (start, end) = (*self.offsets.get(row)?, *self.offsets.get(row.checked_add(1)?)?);
            (start <= end).then_some(start..end)
        };
        let ranges = rows.iter().map(|row| range(*row).ok_or_else(|| no_row(*row)));
        let ranges: Vec<_> = ranges.collect::<Result<_>>()?;
        let n_items = ranges.iter().try_fold(0u64, |sum, it| sum.checked_add(it.end - it.start));
        let n_bytes = n_items.and_then(|it| it.checked_mul(item_bytes));
        let mut bytes = room(n_bytes.and_then(|it| usize::try_from(it).ok()))?;
        let mut offsets = Vec::with_capacity(rows.len() + 1);
        offsets.push(0);
        let mut n_items = 0;
        for (row, range) in rows.iter().zip(ranges) {
            n_items += range.end - range.start;
            offsets.push(n_items);
            let place = |it: u64| usize::try_from(it.checked_mul(item_bytes)?).ok();
            let place = place(range.start).zip(place(range.end));
            let found = place.and_then(|(start, end)| self.values.bytes.get(start..end));
            bytes.extend_from_slice(found.ok_or_else(|| no_row(*row))?);
        }
        let Tensor { dtype, shape, .. } = &self.values;
        let values = Tensor { dtype: *dtype, shape: shape.clone(), bytes: bytes.into() };
        Ok(Self { values, offsets })
    }
}

/// Bytes of one element in memory, where truth values have one; `None` for text and bytes.
pub(crate) fn element_bytes(dtype: DType) -> Option<usize> {
    if dtype == DType::Bool { Some(1) } else { dtype.byte_width() }
}

/// Bytes of a tensor of that shape; `None` where memory has no such place.
pub(crate) fn item_bytes(dtype: DType, shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(element_bytes(dtype)?, |n_bytes, side| n_bytes.checked_mul(*side))
}

/// An empty vector with room for so many bytes.
///
/// # Errors
/// `Limit` when there is none, or when nobody could count them.
pub(crate) fn room(n_bytes: Option<usize>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let is_there = n_bytes.is_some_and(|it| bytes.try_reserve_exact(it).is_ok());
    if is_there { Ok(bytes) } else { Err(no_memory(n_bytes)) }
}

/// That there is no room for so many bytes, or that nobody could count them.
pub(crate) fn no_memory(n_bytes: Option<usize>) -> Error {
    let message = match n_bytes {
        Some(n_bytes) => format!("the rows decode to {n_bytes} bytes, for which there is no memory"),
        None => "the rows decode to more bytes than memory can have".to_owned(),
    };
    Error::new(ErrorKind::Limit, message)
        .with_hint("read fewer steps at once, name the fields that are wanted, or resize pictures")
}

fn picked<T: Clone>(values: &[T], rows: &[usize]) -> Result<Vec<T>> {
    rows.iter().map(|row| values.get(*row).cloned().ok_or_else(|| no_row(*row))).collect()
}

fn no_row(row: usize) -> Error {
    Error::new(ErrorKind::Config, format!("there is no row {row} among those that were read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(data: Data, valid: Option<Vec<bool>>) -> Column {
        Column { name: "x".into(), data, valid }
    }

    #[test]
    fn rows_are_taken_in_any_order() {
        let tensor = Tensor { dtype: DType::UInt16, shape: vec![2], bytes: (0..12).collect() };
        let found = column(Data::Tensor(tensor), Some(vec![true, false, true])).take(&[2, 0, 2]).unwrap();
        let Data::Tensor(tensor) = &found.data else { panic!("{found:?}") };
        assert_eq!(tensor.bytes, [8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]);
        assert_eq!((found.valid.clone(), found.n_rows()), (Some(vec![true, true, true]), 3));
        let texts = column(Data::Text(vec!["a".into(), "b".into()]), None);
        assert_eq!(texts.take(&[1, 1]).unwrap().data, Data::Text(vec!["b".into(), "b".into()]));
        assert_eq!(texts.take(&[2]).unwrap_err().kind(), ErrorKind::Config);
    }

    #[test]
    fn ragged_rows_keep_their_items() {
        let values = Tensor { dtype: DType::UInt8, shape: vec![2], bytes: (0..8).collect() };
        let ragged = column(Data::Ragged(Ragged { values, offsets: vec![0, 1, 1, 4] }), None);
        let found = ragged.take(&[2, 1, 0]).unwrap();
        let Data::Ragged(Ragged { values, offsets }) = &found.data else { panic!("{found:?}") };
        assert_eq!(
            (&values.bytes[..], offsets.as_slice()),
            (&[2, 3, 4, 5, 6, 7, 0, 1][..], &[0, 3, 3, 4][..])
        );
        assert_eq!(found.n_rows(), 3);
        assert_eq!(ragged.take(&[3]).unwrap_err().kind(), ErrorKind::Config);
    }

    #[test]
    fn what_does_not_fit_memory_is_an_error() {
        for n_bytes in [None, Some(usize::MAX / 2)] {
            let err = room(n_bytes).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Limit);
            assert!(err.hint().is_some());
        }
        assert_eq!(item_bytes(DType::Float64, &[usize::MAX, 2]), None);
        assert_eq!(item_bytes(DType::Bool, &[3, 0]), Some(0));
    }
}
