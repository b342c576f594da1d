//! Steps of a leaf into its column, as many at once as a batch has.

use std::io::Read as _;

use flate2::bufread::ZlibDecoder;
use nodedata_core::{Columns, DType, Error, ErrorKind, LeafId, ListId, Locus, Result};

use crate::{
    counts::DEFLATE_RATIO,
    example::Cursor,
    features::{Coding, Leaf},
    image,
    numbers::{halved, out_of_range, range_of, text},
    record::Held,
};

/// Lists of a tensor without a value.
const EMPTY_LISTS_MAX: usize = 1 << 10;

/// The column of a leaf.
#[derive(Debug)]
pub(crate) struct Target {
    /// Position of the leaf.
    pub(crate) leaf: usize,
    pub(crate) id: LeafId,
    /// By dimension: its list, where its length is not always the same.
    pub(crate) lists: Vec<Option<ListId>>,
}

/// A position among what a record holds of a leaf.
#[derive(Debug)]
pub(crate) struct LeafCursor {
    values: Cursor,
    /// By level; empty where values are not ragged.
    lengths: Vec<Cursor>,
    /// Where shapes are stored beside the values.
    shape: Option<Cursor>,
    open: usize,
}

impl Held {
    /// The position of the first step.
    pub(crate) fn cursor(&self) -> LeafCursor {
        LeafCursor {
            values: self.parts.values.cursor(),
            lengths: self.parts.lengths.iter().map(|it| it.cursor()).collect(),
            shape: self.parts.form.is_shaped.then(|| self.parts.shape.cursor()),
            open: self.open,
        }
    }
}

/// Decodes the steps of one leaf.
pub(crate) struct Decoder<'a> {
    pub(crate) leaf: &'a Leaf,
    pub(crate) target: &'a Target,
    pub(crate) columns: &'a mut Columns,
    pub(crate) record: &'a [u8],
    /// Bytes that one tensor may have once it is inflated.
    pub(crate) tensor_bytes_max: u64,
}

/// By row: where its items end. `None` where each row has one.
type Ends = Option<Vec<usize>>;

impl Decoder<'_> {
    /// Appends the next rows.
    ///
    /// # Errors
    /// `Corrupt` at the row to blame, as its step; `Limit` when a tensor is too large.
    pub(crate) fn rows(&mut self, cursor: &mut LeafCursor, n_rows: usize) -> Result<()> {
        let (n_items, ends) = self.levels(cursor, n_rows)?;
        let is_even = self.leaf.coding == Coding::Values && self.leaf.n_open() == 0;
        let per_item = if is_even { self.leaf.n_known() as usize } else { 1 };
        let mut n_done = 0;
        let decoded = match self.leaf.coding {
            Coding::Values if is_even => self.values(&mut cursor.values, n_items * per_item, &mut n_done),
            Coding::Values => self.shaped_values(cursor, n_items, &mut n_done),
            Coding::Raw | Coding::Zlib => self.tensors(cursor, n_items, &mut n_done),
            Coding::Image => self.images(&mut cursor.values, n_items, &mut n_done),
            Coding::FloatImage => self.float_images(&mut cursor.values, n_items, &mut n_done),
        };
        decoded.map_err(|err| {
            let item = n_done / per_item;
            let row = ends.map_or(item, |ends| ends.partition_point(|end| *end <= item));
            err.at(Locus { step_idx: Some(row as u64), ..Locus::default() })
        })
    }

    /// Appends the lists around items; how many items there are in them, and where those of each row end.
    fn levels(&mut self, cursor: &mut LeafCursor, n_rows: usize) -> Result<(usize, Ends)> {
        let mut n = n_rows;
        let mut ends: Ends = None;
        for (level, declared) in self.leaf.inner_levels().iter().enumerate() {
            let list = self.target.lists[level];
            // Where the items of each list end.
            let mut sums = Vec::with_capacity(n + 1);
            sums.push(0);
            let mut total = 0;
            let mut push = |size: usize| {
                total += size;
                sums.push(total);
                if let Some(list) = list {
                    self.columns.push_len(list, size);
                }
            };
            match cursor.lengths.get_mut(level) {
                Some(lengths) => lengths.ints(self.record, n, |size| {
                    push(self.leaf.size(size, *declared)? as usize);
                    Ok(())
                })?,
                None => (0..n).for_each(|_| push(declared.map_or(cursor.open, |it| it as usize))),
            }
            ends = Some(match ends {
                None => sums[1..].to_vec(),
                Some(ends) => ends.into_iter().map(|it| sums[it]).collect(),
            });
            n = total;
        }
        Ok((n, ends))
    }

    /// Appends values of which each item has as many.
    fn values(&mut self, cursor: &mut Cursor, n: usize, n_done: &mut usize) -> Result<()> {
        let (id, record, dtype) = (self.target.id, self.record, self.leaf.feature.dtype);
        let columns = &mut *self.columns;
        match dtype {
            DType::Float32 => cursor.floats(record, n, |run| {
                columns.push_le(id, run);
                Ok(())
            }),
            DType::Float64 => cursor.floats(record, n, |run| {
                let room = columns.push_zeroed(id, run.len() * 2);
                for (wide, stored) in room.as_chunks_mut().0.iter_mut().zip(run.as_chunks().0) {
                    *wide = f64::from(f32::from_le_bytes(*stored)).to_le_bytes();
                }
                Ok(())
            }),
            DType::Float16 => cursor.floats(record, n, |run| {
                let room = columns.push_zeroed(id, run.len() / 2);
                for (narrow, stored) in room.as_chunks_mut().0.iter_mut().zip(run.as_chunks().0) {
                    *narrow = halved(f32::from_le_bytes(*stored))?;
                    *n_done += 1;
                }
                Ok(())
            }),
            DType::Bool | DType::Int8 | DType::UInt8 => self.ints::<1>(cursor, n, n_done),
            DType::Int16 | DType::UInt16 => self.ints::<2>(cursor, n, n_done),
            DType::Int32 | DType::UInt32 => self.ints::<4>(cursor, n, n_done),
            DType::Int64 | DType::UInt64 => self.ints::<8>(cursor, n, n_done),
            DType::String | DType::Bytes => {
                columns.reserve(id, cursor.bytes_ahead(record, n)?, n);
                (0..n).try_for_each(|_| {
                    let bytes = cursor.bytes(record)?;
                    columns
                        .push_bytes(id, if dtype == DType::String { text(bytes)?.as_bytes() } else { bytes });
                    *n_done += 1;
                    Ok(())
                })
            }
        }
    }

    /// Integers of `N` bytes, of which a column has the lowest ones.
    fn ints<const N: usize>(&mut self, cursor: &mut Cursor, n: usize, n_done: &mut usize) -> Result<()> {
        let dtype = self.leaf.feature.dtype;
        let range = range_of(dtype).unwrap_or(0..=0);
        let mut room = self.columns.push_zeroed(self.target.id, n * N).as_chunks_mut::<N>().0.iter_mut();
        cursor.ints(self.record, n, |value| {
            if !range.contains(&value) {
                return Err(out_of_range(value, dtype));
            }
            if let (Some(room), Some(low)) = (room.next(), value.to_le_bytes().first_chunk()) {
                *room = *low;
            }
            *n_done += 1;
            Ok(())
        })
    }

    /// Appends values of items whose shapes differ, or could.
    fn shaped_values(&mut self, cursor: &mut LeafCursor, n_items: usize, n_done: &mut usize) -> Result<()> {
        let mut sizes = Vec::new();
        for _ in 0..n_items {
            let open = Some(cursor.open * self.leaf.n_known() as usize);
            let n_values = self.shape(cursor, open, &mut sizes)?;
            self.push_shape(&sizes, n_values)?;
            self.values(&mut cursor.values, n_values, &mut 0)?;
            *n_done += 1;
        }
        Ok(())
    }

    /// Appends tensors that are bytes.
    fn tensors(&mut self, cursor: &mut LeafCursor, n_items: usize, n_done: &mut usize) -> Result<()> {
        let dtype = self.leaf.feature.dtype;
        // A bool is a byte.
        let width = dtype.byte_width().unwrap_or(1);
        let (mut sizes, mut inflated) = (Vec::new(), Vec::new());
        // Its window is as large as many a tensor: one for all of them.
        let mut inflater = None;
        let mut n_bytes = 0usize;
        for _ in 0..n_items {
            let stored = cursor.values.bytes(self.record)?;
            let is_told = self.leaf.n_open() == 0 || cursor.shape.is_some();
            let told = if is_told { Some(self.shape(cursor, None, &mut sizes)?) } else { None };
            let bytes = match self.leaf.coding {
                Coding::Zlib => {
                    let inflater = inflater.get_or_insert_with(|| ZlibDecoder::new(&[][..]));
                    inflater.reset(stored);
                    self.inflate(inflater, told.map(|it| it.saturating_mul(width)), &mut inflated)?;
                    &inflated[..]
                }
                Coding::Values | Coding::Raw | Coding::Image | Coding::FloatImage => stored,
            };
            let found = bytes.len() / width;
            let n_values = told.map_or_else(|| self.shape(cursor, Some(found), &mut sizes), Ok)?;
            if n_values.checked_mul(width) != Some(bytes.len()) {
                let n = bytes.len();
                let message = format!(
                    "a tensor of {n} bytes, but {sizes:?} of {dtype} have {}",
                    n_values.saturating_mul(width)
                );
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            if dtype == DType::Bool
                && let Some(other) = bytes.iter().find(|it| **it > 1)
            {
                return Err(out_of_range(i64::from(*other), dtype));
            }
            // Steps are batched by what they have in the mean; Arrow counts in 31 bits.
            n_bytes = n_bytes.saturating_add(bytes.len());
            if i32::try_from(n_bytes).is_err() {
                let message = "the tensors of one batch of steps take more than 2 GiB";
                return Err(Error::new(ErrorKind::Limit, message));
            }
            self.push_shape(&sizes, n_values)?;
            self.columns.push_le(self.target.id, bytes);
            *n_done += 1;
        }
        Ok(())
    }

    /// Inflates a tensor, into as many bytes as it is told to have.
    fn inflate(
        &self,
        stored: &mut ZlibDecoder<&[u8]>,
        told: Option<usize>,
        inflated: &mut Vec<u8>,
    ) -> Result<()> {
        let max = usize::try_from(self.tensor_bytes_max).unwrap_or(usize::MAX);
        let n_stored = stored.get_ref().len();
        let longest = n_stored.saturating_mul(DEFLATE_RATIO as usize).min(max);
        if let Some(told) = told.filter(|it| *it > longest) {
            let message =
                format!("a tensor of {told} bytes cannot come of {n_stored}, or is larger than {max}");
            return Err(Error::new(ErrorKind::Limit, message));
        }
        inflated.clear();
        let limit = told.unwrap_or(max);
        let mut bounded = stored.take(limit as u64 + 1);
        bounded.read_to_end(inflated).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "the bytes of a tensor cannot be inflated").with_source(err)
        })?;
        if inflated.len() > limit {
            let (kind, what) = match told {
                Some(_) => (ErrorKind::Corrupt, "as its shape says"),
                None => (ErrorKind::Limit, "as a record may have"),
            };
            return Err(Error::new(kind, format!("a tensor inflates to more than {limit} bytes, {what}")));
        }
        Ok(())
    }

    /// The shape of the next item, and how many values that has: what is stored beside it, or what the features say, with
    /// the one dimension that they leave open following from `n_values`.
    fn shape(
        &self,
        cursor: &mut LeafCursor,
        n_values: Option<usize>,
        sizes: &mut Vec<usize>,
    ) -> Result<usize> {
        sizes.clear();
        let open = n_values.unwrap_or(0).checked_div(self.leaf.n_known() as usize).unwrap_or(0);
        for declared in &self.leaf.shape {
            sizes.push(match (&mut cursor.shape, declared) {
                (Some(shape), declared) => self.leaf.size(shape.int(self.record)?, *declared)? as usize,
                (None, Some(size)) => *size as usize,
                (None, None) => open,
            });
        }
        if cursor.shape.is_none() && self.leaf.n_open() > 1 {
            let message =
                "more than one dimension of a tensor may have any length, and the record tells none of them";
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let product = sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
        product.ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("no tensor has the shape {sizes:?}")))
    }

    /// Appends the lists of an item whose values have been counted.
    fn push_shape(&mut self, sizes: &[usize], n_values: usize) -> Result<()> {
        // A shape with a zero in it has no values, but as many lists as it likes.
        let n_lists_max = n_values.max(EMPTY_LISTS_MAX);
        let mut n_lists = 1usize;
        let lists = &self.target.lists[self.leaf.inner_levels().len()..];
        for (size, list) in sizes.iter().zip(lists) {
            if n_lists > n_lists_max {
                return Err(Error::new(ErrorKind::Corrupt, format!("no tensor has the shape {sizes:?}")));
            }
            if let Some(list) = list {
                (0..n_lists).for_each(|_| self.columns.push_len(*list, *size));
            }
            n_lists = n_lists.saturating_mul(*size);
        }
        Ok(())
    }

    fn images(&mut self, cursor: &mut Cursor, n_items: usize, n_done: &mut usize) -> Result<()> {
        self.columns.reserve(self.target.id, cursor.bytes_ahead(self.record, n_items)?, n_items);
        for _ in 0..n_items {
            let bytes = cursor.bytes(self.record)?;
            image::check(bytes)?;
            self.columns.push_bytes(self.target.id, bytes);
            *n_done += 1;
        }
        Ok(())
    }

    fn float_images(&mut self, cursor: &mut Cursor, n_items: usize, n_done: &mut usize) -> Result<()> {
        for _ in 0..n_items {
            let ([height, width], floats) = image::floats(cursor.bytes(self.record)?, &self.leaf.shape)?;
            self.push_shape(&[height as usize, width as usize, 1], floats.len() / 4)?;
            self.columns.push_le(self.target.id, &floats);
            *n_done += 1;
        }
        Ok(())
    }
}
