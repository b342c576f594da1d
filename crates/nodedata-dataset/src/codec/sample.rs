use std::ops::Range;

use arrow_array::{Array, ArrayRef, make_array, new_empty_array};
use arrow_buffer::{Buffer, MutableBuffer, NullBuffer};
use nodedata_core::{DType, Nested};
use parquet::errors::Result;

use crate::stats::leaf_values::{for_each_bytes, number_bytes};

/// The rows whose values decide are the first that hold this many bytes of them.
pub(super) const SAMPLE_BYTES: usize = 128 << 10;
/// Where the last of those rows holds much more, such as a picture, so many stretches are taken from all of it: the sky
/// at its top says little of the rest.
const N_STRETCHES: usize = 16;

/// The least number of rows whose values have `n_wanted` bytes, or the bytes of all rows where those are fewer. Nulls,
/// and what they hide, are no values.
pub(super) fn rows_holding(
    dtype: DType,
    array: &ArrayRef,
    n_wanted: usize,
) -> std::result::Result<usize, usize> {
    let held = |n_rows: usize| n_bytes(dtype, &Nested::of(&array.slice(0, n_rows)));
    let (mut below, mut above) = (0, array.len().min(1));
    let mut n_held = held(above);
    while n_held < n_wanted && above < array.len() {
        below = above;
        above = array.len().min(above * 2);
        n_held = held(above);
    }
    if n_held < n_wanted {
        return Err(n_held);
    }
    while above - below > 1 {
        let middle = below.midpoint(above);
        if held(middle) < n_wanted {
            below = middle;
        } else {
            above = middle;
        }
    }
    Ok(above)
}

/// The values that decide, out of those of some rows: an array without lists and nulls.
///
/// # Errors
/// When the rows do not have the type.
pub(super) fn values(dtype: DType, rows: &[ArrayRef]) -> Result<ArrayRef> {
    let leaves: Vec<Nested> = rows.iter().map(|it| Nested::of(it)).collect();
    let n_bytes = leaves.iter().map(|it| n_bytes(dtype, it)).sum();
    let mut picked = Picked::new(dtype, n_bytes);
    leaves.iter().for_each(|it| picked.take(dtype, it));
    let (n_values, buffers) = match dtype.byte_width() {
        Some(width) => (picked.bytes.len() / width, vec![picked.bytes.into()]),
        None => (picked.offsets.len() - 1, vec![Buffer::from_vec(picked.offsets), picked.bytes.into()]),
    };
    let array = new_empty_array(&dtype.arrow()).to_data().into_builder();
    Ok(make_array(array.len(n_values).buffers(buffers).build()?))
}

fn n_bytes(dtype: DType, leaf: &Nested) -> usize {
    let valid = valid(leaf);
    match dtype.byte_width() {
        Some(width) => (leaf.values.len() - valid.map_or(0, NullBuffer::null_count)) * width,
        None => {
            let mut n_bytes = 0;
            for_each_bytes(leaf.values.as_ref(), |idx, value| {
                n_bytes += if valid.is_none_or(|it| it.is_valid(idx)) { value.len() } else { 0 };
            });
            n_bytes
        }
    }
}

fn valid(leaf: &Nested) -> Option<&NullBuffer> {
    leaf.items.last().and_then(|it| it.valid.as_ref())
}

/// What was taken of values that pass by.
struct Picked {
    /// Which bytes of all are taken.
    wanted: Vec<Range<usize>>,
    /// Bytes that passed.
    at: usize,
    bytes: MutableBuffer,
    /// Of text and bytes, with a leading 0.
    offsets: Vec<i32>,
}

impl Picked {
    /// Nothing yet, of values that have `n_bytes`.
    fn new(dtype: DType, n_bytes: usize) -> Self {
        let wanted = match dtype {
            // A piece of a text may be none.
            DType::String => std::iter::once(0..SAMPLE_BYTES).collect(),
            _ if n_bytes <= 2 * SAMPLE_BYTES => std::iter::once(0..n_bytes).collect(),
            _ => {
                let width = dtype.byte_width().unwrap_or(1);
                let start = |idx: usize| n_bytes / N_STRETCHES * idx / width * width;
                (0..N_STRETCHES).map(|it| start(it)..start(it) + SAMPLE_BYTES / N_STRETCHES).collect()
            }
        };
        Self { wanted, at: 0, bytes: MutableBuffer::new(2 * SAMPLE_BYTES), offsets: vec![0] }
    }

    fn take(&mut self, dtype: DType, leaf: &Nested) {
        let (values, valid) = (leaf.values.as_ref(), valid(leaf));
        match dtype.byte_width() {
            Some(width) => {
                let bytes = number_bytes(values, dtype);
                match valid {
                    None => self.pass(&bytes),
                    Some(valid) => valid
                        .valid_slices()
                        .for_each(|(start, end)| self.pass(&bytes[start * width..end * width])),
                }
            }
            None => for_each_bytes(values, |idx, value| {
                if valid.is_none_or(|it| it.is_valid(idx)) {
                    if dtype == DType::String { self.pass_whole(value) } else { self.pass(value) }
                }
            }),
        }
    }

    /// Takes of bytes what is wanted of them.
    fn pass(&mut self, bytes: &[u8]) {
        let (start, end) = (self.at, self.at + bytes.len());
        for wanted in &self.wanted {
            let (from, to) = (wanted.start.max(start), wanted.end.min(end));
            if from < to {
                self.bytes.extend_from_slice(&bytes[from - start..to - start]);
                self.offsets.push(offset(self.bytes.len()));
            }
        }
        self.at = end;
    }

    /// Takes a value as a whole, if its first byte is wanted.
    fn pass_whole(&mut self, value: &[u8]) {
        if self.wanted.iter().any(|it| it.contains(&self.at)) {
            self.bytes.extend_from_slice(value);
            self.offsets.push(offset(self.bytes.len()));
        }
        self.at += value.len();
    }
}

/// The sample has at most its size and one value, which had a 32 bit offset before.
fn offset(n_bytes: usize) -> i32 {
    i32::try_from(n_bytes).unwrap_or(i32::MAX)
}
