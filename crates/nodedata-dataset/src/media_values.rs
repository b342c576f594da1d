//! The values of a media column and the levels that Parquet keeps of them: how many of the lists and optional
//! fields around a value are there (its definition), and which list it goes on with (its repetition).

use arrow_array::{Array, ArrayRef, BinaryArray, cast::AsArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field};

/// Bytes that a batch may keep in memory besides those of its values: as much as these, and this much more.
const SLACK_BYTES: usize = 64 << 10;

/// The bytes of a batch, and where each stands in its rows.
pub(crate) struct Values {
    pub(crate) bytes: BinaryArray,
    entries: Vec<Entry>,
    /// The definition of a value that is there.
    max_definition: u16,
}

/// A value in a row, or what says that there is none: an empty list, or a null of any depth.
struct Entry {
    definition: u16,
    repetition: u16,
    /// Which of the bytes, where the definition says that they are there.
    value: u32,
}

impl Values {
    pub(crate) fn new(field: &Field, array: &ArrayRef) -> Self {
        let mut levels = Vec::new();
        let bytes = descend(field, array, &mut levels);
        let mut entries = Vec::with_capacity(array.len());
        for row in 0..array.len() {
            put_entries(&levels, row, Entry { definition: 0, repetition: 0, value: 0 }, 1, &mut entries);
        }
        Self { bytes: lean(&bytes), entries, max_definition: levels.len() as u16 }
    }

    pub(crate) fn n_entries(&self) -> usize {
        self.entries.len()
    }

    /// The value of an entry, where it is there.
    pub(crate) fn value(&self, idx: usize) -> Option<&[u8]> {
        let entry = &self.entries[idx];
        (entry.definition == self.max_definition).then(|| self.bytes.value(entry.value as usize))
    }

    pub(crate) fn definition(&self, idx: usize) -> usize {
        usize::from(self.entries[idx].definition)
    }

    pub(crate) fn repetition(&self, idx: usize) -> usize {
        usize::from(self.entries[idx].repetition)
    }

    /// The first entry from `idx` on that begins a row, or the end.
    pub(crate) fn next_row(&self, idx: usize) -> usize {
        let of_this_row = self.entries[idx..].iter().take_while(|it| it.repetition != 0);
        idx + of_this_row.count()
    }
}

/// What stands around the values: optional fields and lists, from the outside in. Each that is there adds one to
/// the definition: a field that is not null, a list that is not empty.
enum Level {
    Optional(Option<NullBuffer>),
    Ragged(OffsetBuffer<i32>),
    Fixed(usize),
}

/// Walks to the bytes of a column and notes the levels on the way.
fn descend(field: &Field, array: &ArrayRef, levels: &mut Vec<Level>) -> BinaryArray {
    if field.is_nullable() {
        levels.push(Level::Optional(array.nulls().cloned()));
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
        _ => array.as_binary().clone(),
    }
}

/// Adds the entries of item `idx` of the outermost level. `start` is what its first entry has from further out, and
/// `depth` the repetition of the items of the next list.
fn put_entries(levels: &[Level], idx: usize, start: Entry, depth: u16, entries: &mut Vec<Entry>) {
    let Some((level, below)) = levels.split_first() else {
        // Arrow counts the values of a binary array in 32 bits.
        return entries.push(Entry { value: idx as u32, ..start });
    };
    let items = match level {
        Level::Optional(nulls) if nulls.as_ref().is_some_and(|it| it.is_null(idx)) => 0..0,
        Level::Optional(_) => {
            let there = Entry { definition: start.definition + 1, ..start };
            return put_entries(below, idx, there, depth, entries);
        }
        Level::Ragged(offsets) => {
            (offsets[idx] - offsets[0]) as usize..(offsets[idx + 1] - offsets[0]) as usize
        }
        Level::Fixed(n) => idx * n..(idx + 1) * n,
    };
    if items.is_empty() {
        return entries.push(start);
    }
    let definition = start.definition + 1;
    let mut repetition = start.repetition;
    for item in items {
        put_entries(below, item, Entry { definition, repetition, value: 0 }, depth + 1, entries);
        repetition = depth;
    }
}

/// The values alone, where they are a small part of the memory that they keep.
fn lean(values: &BinaryArray) -> BinaryArray {
    let offsets = values.value_offsets();
    let n_bytes = (offsets[values.len()] - offsets[0]) as usize;
    match values.values().capacity() > 2 * n_bytes + SLACK_BYTES {
        true => values.iter().collect(),
        false => values.clone(),
    }
}
