//! Values and levels of a column as rows of a tensor, of lists, of text.

use nodedata_core::{DType, Error, ErrorKind, Result};

use crate::{
    leaf::{Levels, RawLeaf, Values},
    lists,
    rows::{Data, Ragged, Tensor, element_bytes, room},
    split::Form,
};

/// Some neighbouring rows of a feature, as they are read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    pub(crate) data: Data,
    /// Which rows have a value; `None` for all.
    pub(crate) valid: Option<Vec<bool>>,
}

/// Why a row cannot be what it should be: which of those that were read, and what is wrong.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) row: usize,
    pub(crate) err: Error,
}

impl From<Error> for Flaw {
    fn from(err: Error) -> Self {
        Self { row: 0, err }
    }
}

/// Makes rows of what was read of a column; `dtype` is the type of one of its values.
///
/// # Errors
/// `SchemaMismatch` where a row has another shape, or values are of another type; `Corrupt`, `Limit`.
pub(crate) fn assemble(
    raw: &RawLeaf,
    levels: &Levels,
    n_rows: usize,
    form: &Form,
    dtype: DType,
) -> Result<Block, Flaw> {
    match form {
        Form::Tensor(shape) => tensor(raw, levels, n_rows, shape, dtype),
        Form::Ragged(item) => ragged(raw, levels, n_rows, item, dtype),
        Form::Text => texts(raw, levels, n_rows),
        Form::Json => lists::json(raw, levels, n_rows, dtype),
        Form::Bytes | Form::Pictures(_) | Form::Raw(_) | Form::Sound(_) | Form::Video(_) => {
            Err(Error::new(ErrorKind::Unsupported, "bytes are no rows of numbers or text").into())
        }
    }
}

impl Block {
    /// Bytes in memory.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.data.n_bytes() + self.valid.as_ref().map_or(0, |it| it.len() as u64)
    }
}

/// The entries of each row: where they begin, and at last how many there are.
///
/// # Errors
/// `Corrupt` when the levels tell another number of rows.
pub(crate) fn row_starts(raw: &RawLeaf, n_rows: usize) -> Result<Vec<usize>> {
    let n_entries = raw.n_entries();
    let mut starts: Vec<usize> = match raw.repetitions.is_empty() {
        true => (0..n_entries).collect(),
        false => (0..n_entries).filter(|it| raw.repetitions.get(*it) == Some(&0)).collect(),
    };
    if starts.len() != n_rows || starts.first().is_some_and(|it| *it != 0) {
        let message = format!("the pages tell {} rows where there should be {n_rows}", starts.len());
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    starts.push(n_entries);
    Ok(starts)
}

/// Where a value of each entry is among the values; `None` for an entry without one.
fn has_value(raw: &RawLeaf, levels: &Levels, entry: usize) -> bool {
    raw.definition(entry, levels) == levels.value
}

fn tensor(
    raw: &RawLeaf,
    levels: &Levels,
    n_rows: usize,
    shape: &[usize],
    dtype: DType,
) -> Result<Block, Flaw> {
    let n_items = shape.iter().try_fold(1usize, |n, it| n.checked_mul(*it)).unwrap_or(usize::MAX);
    let width = element_bytes(dtype).ok_or_else(|| not_numbers(dtype))?;
    if levels.lists.len() != shape.len() {
        return Err(other_lists(levels.lists.len(), shape.len()).into());
    }
    let values = encoded(&raw.values, dtype)?;
    let whole = |bytes: Vec<u8>, valid| {
        let bytes = bytes.into();
        Ok(Block { data: Data::Tensor(Tensor { dtype, shape: shape.to_vec(), bytes }), valid })
    };
    let starts = row_starts(raw, n_rows)?;
    let pattern = repetitions(shape, raw.n_entries());
    let is_full = n_items > 0 && Some(raw.values.len()) == n_rows.checked_mul(n_items);
    let is_alike =
        raw.repetitions.is_empty() || raw.repetitions.chunks(n_items.max(1)).all(|it| it == pattern);
    if is_full && raw.n_entries() == raw.values.len() && is_alike {
        return whole(values, None);
    }
    let row_bytes = n_items.checked_mul(width);
    let mut bytes = room(row_bytes.and_then(|it| it.checked_mul(n_rows)))?;
    let row_bytes = row_bytes.unwrap_or(0);
    let mut valid = Vec::with_capacity(n_rows);
    let mut next = values.chunks_exact(width);
    let absent = absent(dtype);
    let is_null_below = levels.lists.first().map_or(levels.value, |it| it - 1);
    for row in 0..n_rows {
        let (start, end) = (starts[row], starts[row + 1]);
        if raw.definition(start, levels) < is_null_below {
            valid.push(false);
            (0..n_items).for_each(|_| bytes.extend_from_slice(absent));
            continue;
        }
        let is_empty = levels.lists.first().is_some_and(|it| raw.definition(start, levels) < *it);
        let is_shaped = match n_items {
            0 => is_empty || !levels.lists.iter().all(|it| *it <= raw.definition(start, levels)),
            _ => !is_empty && is_row(raw, start..end, &pattern),
        };
        if !is_shaped {
            let err = other_shape(if is_empty { 0 } else { end - start }, shape);
            return Err(Flaw { row, err });
        }
        valid.push(true);
        for entry in start..end.min(start.saturating_add(n_items)) {
            let value = has_value(raw, levels, entry).then(|| next.next()).flatten();
            bytes.extend_from_slice(value.unwrap_or(absent));
        }
    }
    if bytes.len() != row_bytes * n_rows {
        return Err(
            Error::new(ErrorKind::Corrupt, "the pages have fewer values than their levels tell").into()
        );
    }
    let all = valid.iter().all(|it| *it);
    whole(bytes, (!all).then_some(valid))
}

/// The repetition levels of a row of that shape; none, which no row has, where all that was read is less than such a row: a schema may
/// tell any shape.
fn repetitions(shape: &[usize], n_entries: usize) -> Vec<i16> {
    let n_items = shape.iter().try_fold(1usize, |n, it| n.checked_mul(*it));
    if n_items.is_none_or(|it| it == 0 || n_entries < it) {
        return Vec::new();
    }
    let mut pattern: Vec<i16> = vec![0];
    for (depth, n) in (1..).zip(shape) {
        let one: Vec<i16> = pattern
            .iter()
            .flat_map(|first| (0..*n).map(move |idx| if idx == 0 { *first } else { depth }))
            .collect();
        pattern = one;
    }
    pattern
}

fn is_row(raw: &RawLeaf, entries: std::ops::Range<usize>, pattern: &[i16]) -> bool {
    if raw.repetitions.is_empty() {
        return entries.len() == pattern.len();
    }
    raw.repetitions.get(entries) == Some(pattern)
}

fn ragged(
    raw: &RawLeaf,
    levels: &Levels,
    n_rows: usize,
    item: &[usize],
    dtype: DType,
) -> Result<Block, Flaw> {
    let n_item = item.iter().try_fold(1usize, |n, it| n.checked_mul(*it)).unwrap_or(usize::MAX);
    let width = element_bytes(dtype).ok_or_else(|| not_numbers(dtype))?;
    if levels.lists.len() != item.len() + 1 {
        return Err(other_lists(levels.lists.len(), item.len() + 1).into());
    }
    let starts = row_starts(raw, n_rows)?;
    let values = encoded(&raw.values, dtype)?;
    let mut next = values.chunks_exact(width);
    let mut bytes = room(raw.n_entries().checked_mul(width))?;
    let absent = absent(dtype);
    // Within a row, an item begins at repetition level 1, and what is in it lies deeper.
    let pattern: Vec<i16> = repetitions(item, raw.n_entries()).into_iter().map(|it| it + 1).collect();
    let first_list = levels.lists.first().copied().unwrap_or(0);
    let mut offsets = Vec::with_capacity(n_rows + 1);
    offsets.push(0u64);
    let mut valid = Vec::with_capacity(n_rows);
    for row in 0..n_rows {
        let (start, end) = (starts[row], starts[row + 1]);
        let definition = raw.definition(start, levels);
        valid.push(first_list - 1 <= definition);
        let before = offsets.last().copied().unwrap_or(0);
        if definition < first_list {
            offsets.push(before);
            continue;
        }
        let repetitions = raw.repetitions.get(start + 1..end).unwrap_or_default();
        // The first entry of a row is told by a 0.
        let is_shaped = n_item > 0
            && (end - start).is_multiple_of(n_item)
            && repetitions.get(..n_item - 1) == pattern.get(1..)
            && repetitions.get(n_item - 1..).unwrap_or_default().chunks(n_item).all(|it| it == pattern);
        if !is_shaped {
            let told: Vec<usize> = item.to_vec();
            return Err(Flaw { row, err: other_shape(end - start, &told) });
        }
        for entry in start..end {
            let value = has_value(raw, levels, entry).then(|| next.next()).flatten();
            bytes.extend_from_slice(value.unwrap_or(absent));
        }
        offsets.push(before + ((end - start) / n_item) as u64);
    }
    let values = Tensor { dtype, shape: item.to_vec(), bytes: bytes.into() };
    let all = valid.iter().all(|it| *it);
    Ok(Block { data: Data::Ragged(Ragged { values, offsets }), valid: (!all).then_some(valid) })
}

fn texts(raw: &RawLeaf, levels: &Levels, n_rows: usize) -> Result<Block, Flaw> {
    let Values::Bytes(values) = &raw.values else { return Err(not_numbers(DType::String).into()) };
    row_starts(raw, n_rows)?;
    let (mut texts, mut valid) = (Vec::with_capacity(n_rows), Vec::with_capacity(n_rows));
    let mut next = values.iter();
    for row in 0..n_rows {
        let value = has_value(raw, levels, row).then(|| next.next()).flatten();
        valid.push(value.is_some());
        let text = value.map(|it| std::str::from_utf8(it.data()).map(str::to_owned)).transpose();
        let text = text.map_err(|err| {
            let err = Error::new(ErrorKind::Corrupt, "the text is not UTF-8").with_source(err);
            Flaw { row, err }
        })?;
        texts.push(text.unwrap_or_default());
    }
    let all = valid.iter().all(|it| *it);
    Ok(Block { data: Data::Text(texts), valid: (!all).then_some(valid) })
}

/// What stands where there is no value.
fn absent(dtype: DType) -> &'static [u8] {
    match dtype {
        DType::Float16 => &[0x00, 0x7e],
        DType::Float32 => &[0x00, 0x00, 0xc0, 0x7f],
        DType::Float64 => &[0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf8, 0x7f],
        DType::Bool | DType::Int8 | DType::UInt8 => &[0],
        DType::Int16 | DType::UInt16 => &[0; 2],
        DType::Int32 | DType::UInt32 => &[0; 4],
        DType::Int64 | DType::UInt64 => &[0; 8],
        DType::String | DType::Bytes => &[],
    }
}

/// Values in their own width, little endian.
///
/// # Errors
/// `SchemaMismatch` when they are stored as another type; `Corrupt` when one does not fit the type.
pub(crate) fn encoded(values: &Values, dtype: DType) -> Result<Vec<u8>> {
    let beyond = |_| Error::new(ErrorKind::Corrupt, format!("a value is none of {dtype}"));
    macro_rules! narrow {
        ($values:expr, $kind:ty) => {{
            let mut bytes = room($values.len().checked_mul(size_of::<$kind>()))?;
            for value in $values {
                bytes.extend_from_slice(&<$kind>::try_from(*value).map_err(beyond)?.to_le_bytes());
            }
            bytes
        }};
    }
    macro_rules! whole {
        ($values:expr, $kind:ty) => {{
            const WIDTH: usize = size_of::<$kind>();
            let mut bytes = room($values.len().checked_mul(WIDTH))?;
            bytes.resize($values.len() * WIDTH, 0);
            for (value, place) in $values.iter().zip(bytes.as_chunks_mut::<WIDTH>().0) {
                *place = value.to_le_bytes();
            }
            bytes
        }};
    }
    Ok(match (values, dtype) {
        (Values::Bool(values), DType::Bool) => values.iter().copied().map(u8::from).collect(),
        (Values::Int32(values), DType::Int8) => narrow!(values, i8),
        (Values::Int32(values), DType::Int16) => narrow!(values, i16),
        (Values::Int32(values), DType::UInt8) => narrow!(values, u8),
        (Values::Int32(values), DType::UInt16) => narrow!(values, u16),
        // Without sign or with, the bits are the same.
        (Values::Int32(values), DType::Int32 | DType::UInt32) => whole!(values, i32),
        (Values::Int64(values), DType::Int64 | DType::UInt64) => whole!(values, i64),
        (Values::Float(values), DType::Float32) => whole!(values, f32),
        (Values::Double(values), DType::Float64) => whole!(values, f64),
        (Values::Fixed(values), DType::Float16) if values.iter().all(|it| it.data().len() == 2) => {
            values.iter().flat_map(|it| it.data().iter().copied()).collect()
        }
        _ => return Err(not_numbers(dtype)),
    })
}

fn not_numbers(dtype: DType) -> Error {
    let message =
        format!("the values of this shard are stored otherwise than {dtype}, which the schema says");
    Error::new(ErrorKind::SchemaMismatch, message)
        .with_hint("leave the field out, or publish the shards with one schema")
}

fn other_lists(found: usize, expected: usize) -> Error {
    let message = format!("the values of this shard lie in {found} lists, and the schema says {expected}");
    Error::new(ErrorKind::SchemaMismatch, message)
        .with_hint("leave the field out, or publish the shards with one schema")
}

fn other_shape(n_found: usize, shape: &[usize]) -> Error {
    let message = format!("the row has {n_found} values, which is no shape {shape:?}");
    Error::new(ErrorKind::SchemaMismatch, message)
        .with_hint("leave the field out, or correct the shape that schema.json says")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_from_a_shape_that_can_be() {
        assert_eq!(repetitions(&[], 1), [0]);
        assert_eq!(repetitions(&[3], 9), [0, 1, 1]);
        assert_eq!(repetitions(&[2, 3], 6), [0, 2, 2, 1, 2, 2]);
        for shape in [&[2_usize, 3][..], &[usize::MAX], &[usize::MAX, 2], &[usize::MAX, 0], &[0]] {
            assert_eq!(repetitions(shape, 5), Vec::<i16>::new(), "{shape:?}");
        }
    }

    #[test]
    fn values_have_the_width_of_their_type() {
        let of = |values: Values, dtype| encoded(&values, dtype).unwrap();
        assert_eq!(of(Values::Int32(vec![-2, 258]), DType::Int16), [254, 255, 2, 1]);
        assert_eq!(of(Values::Int32(vec![-2]), DType::UInt32), (u32::MAX - 1).to_le_bytes());
        assert_eq!(of(Values::Int64(vec![1 << 40, 7]), DType::Int64)[5..9], [1, 0, 0, 7]);
        assert_eq!(of(Values::Float(vec![1.5, -2.0]), DType::Float32)[4..], (-2.0_f32).to_le_bytes());
        assert_eq!(of(Values::Double(vec![1.5]), DType::Float64), 1.5_f64.to_le_bytes());
        assert_eq!(encoded(&Values::Int32(vec![300]), DType::Int8).unwrap_err().kind(), ErrorKind::Corrupt);
        let err = encoded(&Values::Float(vec![1.0]), DType::Float64).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::SchemaMismatch);
    }
}
