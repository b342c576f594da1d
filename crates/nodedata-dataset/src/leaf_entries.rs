//! Where the values of a column stand in its rows, as Parquet tells it: how many of the lists and optional fields around
//! a value are there (its definition), and which list it goes on with (its repetition).

use std::ops::Range;

use arrow_array::{Array, ArrayRef, cast::AsArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field};

/// The values of a column, and what stands around them in each row: of a column of values, or of a struct's first
/// field, alone or in lists.
pub(crate) struct Leaf {
    levels: Vec<Level>,
    pub(crate) values: ArrayRef,
}

/// The entries of some rows, in their order: values, and what says that there is none, which is an empty list or a null
/// of any depth.
pub(crate) struct LeafEntries {
    pub(crate) definitions: Vec<u16>,
    pub(crate) repetitions: Vec<u16>,
    /// Which of the values, where the definition says that it is there.
    values: Vec<u32>,
    /// The definition of a value that is there.
    max_definition: u16,
}

impl Leaf {
    pub(crate) fn of(field: &Field, array: &ArrayRef) -> Self {
        let mut levels = Vec::new();
        let values = descend(field, array, &mut levels);
        Self { levels, values }
    }

    /// The entries of some rows.
    pub(crate) fn entries(&self, rows: Range<usize>) -> LeafEntries {
        let room = rows.len().max(self.values.len() * usize::from(rows.len() > 1));
        let mut entries = LeafEntries {
            definitions: Vec::with_capacity(room),
            repetitions: Vec::with_capacity(room),
            values: Vec::with_capacity(room),
            max_definition: self.levels.len() as u16,
        };
        for row in rows {
            entries.put(&self.levels, row, Start { definition: 0, repetition: 0 }, 1);
        }
        entries
    }

    /// How many values a row has, where all rows have as many, at least one, and nothing is null.
    pub(crate) fn n_values_of_each_row(&self) -> Option<usize> {
        self.levels.iter().try_fold(1, |n_values, level| {
            let n_items = match level {
                Level::Optional(nulls) => usize::from(nulls.as_ref().is_none_or(|it| it.null_count() == 0)),
                Level::Ragged(offsets) => {
                    let n_items = offsets.get(1)? - offsets[0];
                    let all = offsets.windows(2).fold(true, |all, it| all & (it[1] - it[0] == n_items));
                    if all { n_items as usize } else { 0 }
                }
                Level::Fixed(n_items) => *n_items,
            };
            (n_items > 0).then_some(n_values * n_items)
        })
    }
}

impl LeafEntries {
    pub(crate) fn len(&self) -> usize {
        self.definitions.len()
    }

    /// Which value an entry is, where it is there.
    #[inline]
    pub(crate) fn value(&self, idx: usize) -> Option<usize> {
        (self.definitions[idx] == self.max_definition).then(|| self.values[idx] as usize)
    }

    /// The first entry from `idx` on that begins a row, or the end.
    pub(crate) fn next_row(&self, idx: usize) -> usize {
        let of_this_row = self.repetitions[idx..].iter().take_while(|it| **it != 0);
        idx + of_this_row.count()
    }

    /// The entries of each row.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let row = start..self.next_row(self.len().min(start + 1));
            start = row.end;
            (!row.is_empty()).then_some(row)
        })
    }

    /// Adds the entries of item `idx` of the outermost level. `depth` is the repetition of the items of the next list.
    fn put(&mut self, levels: &[Level], idx: usize, start: Start, depth: u16) {
        let Some((level, below)) = levels.split_first() else { return self.push(start, idx) };
        let items = match level {
            Level::Optional(nulls) if nulls.as_ref().is_some_and(|it| it.is_null(idx)) => 0..0,
            Level::Optional(_) => {
                return self.put(below, idx, Start { definition: start.definition + 1, ..start }, depth);
            }
            Level::Ragged(offsets) => {
                (offsets[idx] - offsets[0]) as usize..(offsets[idx + 1] - offsets[0]) as usize
            }
            Level::Fixed(n) => idx * n..(idx + 1) * n,
        };
        if items.is_empty() {
            return self.push(start, 0);
        }
        let definition = start.definition + 1;
        let mut repetition = start.repetition;
        for item in items {
            self.put(below, item, Start { definition, repetition }, depth + 1);
            repetition = depth;
        }
    }

    fn push(&mut self, start: Start, value: usize) {
        self.definitions.push(start.definition);
        self.repetitions.push(start.repetition);
        // Arrow counts the values of an array of text or bytes in 32 bits.
        self.values.push(value as u32);
    }
}

/// What the first entry of an item has from further out.
#[derive(Clone, Copy)]
struct Start {
    definition: u16,
    repetition: u16,
}

/// What stands around the values: optional fields and lists, from the outside in. Each that is there adds one to
/// the definition: a field that is not null, a list that is not empty.
enum Level {
    Optional(Option<NullBuffer>),
    Ragged(OffsetBuffer<i32>),
    Fixed(usize),
}

/// Walks to the values of a column and notes the levels on the way.
fn descend(field: &Field, array: &ArrayRef, levels: &mut Vec<Level>) -> ArrayRef {
    if field.is_nullable() {
        levels.push(Level::Optional(array.logical_nulls()));
    }
    match field.data_type() {
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            levels.push(Level::Ragged(list.offsets().clone()));
            let (first, last) = (list.value_offsets()[0], list.value_offsets()[list.len()]);
            descend(item, &list.values().slice(first as usize, (last - first) as usize), levels)
        }
        DataType::FixedSizeList(item, n) => {
            levels.push(Level::Fixed(usize::try_from(*n).unwrap_or(0)));
            descend(item, array.as_fixed_size_list().values(), levels)
        }
        DataType::Struct(fields) => descend(&fields[0], array.as_struct().column(0), levels),
        _ => ArrayRef::clone(array),
    }
}
