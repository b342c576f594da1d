//! How many steps and items a record has values for, told before any value is decoded.

use nodedata_core::{Error, Result};

use crate::{
    example::{ListKind, Values},
    features::{Coding, Leaf},
    keys::Parts,
};

/// What a record has of a leaf, counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted {
    /// Whether there is a key of it that says something.
    pub(crate) is_there: bool,
    /// Whether nothing at all is stored.
    pub(crate) is_empty: bool,
    /// Stored values.
    pub(crate) n_values: u64,
    /// Steps, or items of the outermost list of what is of the whole episode. `None` where only other leaves tell,
    /// because one dimension of it may have any length.
    pub(crate) n_outer: Option<u64>,
    /// Lists of the level that has most of them, where they have lengths of their own: they may be many and have no values.
    pub(crate) n_lists: u64,
    /// Items in all of them, where they tell.
    pub(crate) n_items: Option<u64>,
}

/// No stream of deflate becomes more than so many times longer.
pub(crate) const DEFLATE_RATIO: u64 = 1032;

const SHAPE_HINT: &str = "TFDS writes such tensors with `encoding='zlib'` or `'bytes'` and their shapes beside them; \
                          `--topic` with the names of the other features leaves it out";

impl Leaf {
    /// Counts what is stored, and holds it against what the features say.
    ///
    /// # Errors
    /// `Corrupt` when values are of another kind, or make no whole steps.
    pub(crate) fn counted(&self, record: &[u8], parts: &Parts) -> Result<Counted> {
        let n_values = self.count(record, &parts.values, self.list_kind(), "values")?;
        let n_shapes = self.count(record, &parts.shape, ListKind::Int, "shapes")?;
        let mut counted = Counted {
            is_there: parts.values.kind().is_some() || parts.form.is_ragged,
            is_empty: n_values == 0 && n_shapes == 0,
            n_values,
            ..Counted::default()
        };
        if parts.form.is_ragged {
            self.count_ragged(record, parts, &mut counted)?;
            counted.is_empty &= counted.n_outer == Some(0);
        } else if counted.is_empty
            && parts.values.kind().is_some()
            && self.n_open_stored(parts) > 0
            && self.is_step
        {
            // As many steps as there are, each without a value.
            counted.is_empty = false;
            return Ok(counted);
        } else if counted.is_empty {
            // An empty list and no list are alike.
            let outermost = self.levels.first().or(self.shape.iter().find(|it| it.is_none()));
            counted.is_there = outermost == Some(&None);
            (counted.n_outer, counted.n_items) = (Some(0), Some(0));
            return Ok(counted);
        } else {
            let per_outer = self.inner_levels().iter().flatten().map(|it| u64::from(*it)).product();
            counted.n_outer = self.dense(parts, n_values, n_shapes, per_outer)?;
            counted.n_items = counted.n_outer.map(|it| it.saturating_mul(per_outer));
        }
        if let Some(n_items) = counted.n_items {
            self.check_items(record, parts, (n_items, n_values, n_shapes))?;
        }
        let declared = self.levels.first().copied().flatten().map(u64::from);
        match (counted.n_outer, declared) {
            (Some(n), Some(declared)) if !self.is_step && n != declared => {
                Err(self.wrong(format!("a list of {n}, but `features.json` says that it has {declared}")))
            }
            _ => Ok(counted),
        }
    }

    /// Bytes that the values have in memory, as far as that can be told before they are decoded, and else at most.
    ///
    /// # Errors
    /// `Corrupt` when shapes are none.
    pub(crate) fn decoded_bytes(&self, record: &[u8], parts: &Parts, counted: &Counted) -> Result<u64> {
        let width = self.feature.dtype.byte_width().unwrap_or(1) as u64;
        let n_items = counted.n_items.unwrap_or(0);
        Ok(match self.coding {
            Coding::Values if self.list_kind() != ListKind::Bytes => counted.n_values.saturating_mul(width),
            Coding::Values | Coding::Raw | Coding::Image => parts.values.n_bytes(),
            Coding::Zlib if parts.form.is_shaped => {
                let n_shapes = n_items.saturating_mul(self.shape.len() as u64);
                self.shaped_values(record, parts, n_shapes)?.saturating_mul(width)
            }
            Coding::Zlib | Coding::FloatImage if self.n_open() == 0 => {
                n_items.saturating_mul(self.n_known()).saturating_mul(width)
            }
            Coding::Zlib | Coding::FloatImage => parts.values.n_bytes().saturating_mul(DEFLATE_RATIO),
        })
    }

    /// The length of the one dimension that only the number of values tells; 0 where there is none.
    ///
    /// # Errors
    /// `Corrupt` when no length fits, or there is more than one such dimension.
    pub(crate) fn open(&self, parts: &Parts, counted: &Counted, n_outer: Option<u64>) -> Result<usize> {
        let n_open = self.n_open_stored(parts);
        if n_open == 0 || counted.n_values == 0 {
            return Ok(0);
        }
        let Some(n_outer) = n_outer.filter(|_| n_open == 1) else {
            let message = "more than one dimension may have any length, and the record tells none of them";
            return Err(self.wrong(message).with_hint(SHAPE_HINT));
        };
        let per_outer: u64 = match parts.form.is_ragged {
            true => 1,
            false => self.inner_levels().iter().flatten().map(|it| u64::from(*it)).product(),
        };
        let n_items = counted.n_items.unwrap_or_else(|| n_outer.saturating_mul(per_outer));
        let per_item = match (self.coding, parts.form.is_shaped) {
            (Coding::Values, false) => self.n_known(),
            _ => 1,
        };
        let whole = n_items.saturating_mul(per_item);
        match counted.n_values.checked_rem(whole) {
            Some(0) => Ok((counted.n_values / whole) as usize),
            _ => {
                let n = counted.n_values;
                let message =
                    format!("{n} values cannot be told apart: they make no {n_items} items of one length");
                Err(self.wrong(message).with_hint(SHAPE_HINT))
            }
        }
    }

    /// Dimensions of which the record says nothing but how many values there are.
    fn n_open_stored(&self, parts: &Parts) -> usize {
        let lists = self.inner_levels().iter().filter(|it| it.is_none()).count();
        let lists = if parts.form.is_ragged { 0 } else { lists };
        let is_open_item = self.coding == Coding::Values && !parts.form.is_shaped;
        lists + if is_open_item { self.n_open() } else { 0 }
    }

    /// How many values there are, which must be of a kind.
    fn count(&self, record: &[u8], values: &Values, expected: ListKind, what: &str) -> Result<u64> {
        let n = values.count(record).map_err(|err| err.at(self.place()))?;
        match values.kind() {
            Some(found) if found != expected && n > 0 => {
                Err(self.wrong(format!("the {what} are {}, expected {}", found.name(), expected.name())))
            }
            _ => Ok(n),
        }
    }

    /// [`Counted::n_outer`] of values that lie one after the other.
    fn dense(&self, parts: &Parts, n_values: u64, n_shapes: u64, per_outer: u64) -> Result<Option<u64>> {
        let n_open = self.n_open_stored(parts);
        if !self.is_step && self.levels.is_empty() {
            return Ok(Some(1));
        }
        let (per_item, n) = match (self.coding, parts.form.is_shaped) {
            (_, true) => (self.shape.len() as u64, n_shapes),
            (Coding::Values, false) => (self.n_known(), n_values),
            (Coding::Raw | Coding::Zlib | Coding::Image | Coding::FloatImage, false) => (1, n_values),
        };
        let whole = per_outer.saturating_mul(per_item).max(1);
        match n_open {
            0 if n.is_multiple_of(whole) => Ok(Some(n / whole)),
            0 => {
                let of = if self.is_step { "steps" } else { "items" };
                Err(self.wrong(format!("{n} values make no whole {of} of {whole}")))
            }
            _ if self.is_step => Ok(None),
            _ => Ok(self.levels.first().copied().flatten().map(u64::from)),
        }
    }

    /// Counts outer items, lists and items of ragged values; every length is looked at.
    fn count_ragged(&self, record: &[u8], parts: &Parts, counted: &mut Counted) -> Result<()> {
        let mut n_outer = None;
        let mut n_items = 0u64;
        for (level, (declared, lengths)) in self.inner_levels().iter().zip(&parts.lengths).enumerate() {
            let n_lists = self.count(record, lengths, ListKind::Int, "lengths")?;
            if n_outer.is_some() && n_lists != n_items {
                let message = format!(
                    "there are {n_lists} lists of level {level}, but those around them have room for {n_items}"
                );
                return Err(self.wrong(message));
            }
            n_outer = n_outer.or(Some(n_lists));
            counted.n_lists = counted.n_lists.max(n_lists);
            n_items = 0;
            let sum = lengths.cursor().ints(record, n_lists as usize, |length| {
                n_items += u64::from(self.size(length, *declared)?);
                Ok(())
            });
            sum.map_err(|err| err.at(self.place()))?;
        }
        (counted.n_outer, counted.n_items) = (Some(n_outer.unwrap_or(0)), Some(n_items));
        Ok(())
    }

    /// A length that a record tells, which must be the one that the features say where they do.
    ///
    /// # Errors
    /// `Corrupt` when it is another, or none.
    pub(crate) fn size(&self, length: i64, declared: Option<u32>) -> Result<u32> {
        let size = u32::try_from(length).ok().filter(|it| i32::try_from(*it).is_ok());
        let size = size.ok_or_else(|| self.wrong(format!("{length} is no length")))?;
        match declared {
            Some(declared) if declared != size => {
                Err(self.wrong(format!("a length of {size}, but `features.json` says that it is {declared}")))
            }
            _ => Ok(size),
        }
    }

    /// Holds what is stored against the number of items.
    fn check_items(&self, record: &[u8], parts: &Parts, counts: (u64, u64, u64)) -> Result<()> {
        let (n_items, n_values, n_shapes) = counts;
        let differ = |n: u64, expected: u64, what: &str| -> Error {
            let message = match (expected, self.levels.is_empty()) {
                (1, true) => format!("{n} {what} where one is expected"),
                _ => format!("{n} {what} where {expected} are expected, for {n_items} items"),
            };
            self.wrong(message)
        };
        let expected = match self.coding {
            Coding::Values if parts.form.is_shaped => self.shaped_values(record, parts, n_shapes)?,
            Coding::Values if self.n_open() > 0 => n_values,
            Coding::Values => n_items.saturating_mul(self.n_known()),
            Coding::Raw | Coding::Zlib | Coding::Image | Coding::FloatImage => n_items,
        };
        if parts.form.is_shaped && n_shapes != n_items.saturating_mul(self.shape.len() as u64) {
            return Err(differ(
                n_shapes,
                n_items.saturating_mul(self.shape.len() as u64),
                "numbers of shapes",
            ));
        }
        if n_values == expected { Ok(()) } else { Err(differ(n_values, expected, "values")) }
    }

    /// How many values the shapes have room for.
    fn shaped_values(&self, record: &[u8], parts: &Parts, n_shapes: u64) -> Result<u64> {
        let (mut sum, mut product, mut axis) = (0u64, 1u64, 0);
        let walked = parts.shape.cursor().ints(record, n_shapes as usize, |size| {
            product = product.saturating_mul(u64::from(self.size(size, self.shape[axis])?));
            axis += 1;
            if axis == self.shape.len() {
                sum = sum.saturating_add(product);
                (product, axis) = (1, 0);
            }
            Ok(())
        });
        walked.map_err(|err| err.at(self.place()))?;
        Ok(sum)
    }
}
