//! Whether the schema in a footer is one that may be built. The Parquet reader reserves as many places as a group says that it
//! has children, and goes down as deep as they say, so a few bytes of others would end the program: out of memory, or out of
//! stack. What it takes to know that is read here first, by fields whose types are held against the format, so that both read
//! the same.

use crate::thrift::{BINARY, BYTE, I32, LIST, STRUCT, Walk, is_bool};

/// Longest footer that is read, in bytes: the reader makes structs of many times that.
pub(crate) const FOOTER_BYTES_MAX: u64 = 2 << 20;
/// Groups and columns of a schema.
pub(crate) const ELEMENTS_MAX: u64 = 1024;
/// Groups within groups.
pub(crate) const DEPTH_MAX: usize = 16;

// Fields of a file, and of an element of its schema.
const VERSION: i16 = 1;
const SCHEMA: i16 = 2;
const NAME: i16 = 4;
const N_CHILDREN: i16 = 5;
const LOGICAL_TYPE: i16 = 10;

/// Whether the schema of a footer has no more elements than it says, and few enough, not too deep.
pub(crate) fn is_sound_schema(footer: &[u8]) -> bool {
    let mut walk = Walk { bytes: footer };
    walk.schema().is_some_and(|children| is_tree(&children))
}

/// Whether elements, each with how many of those behind it are its own, are one tree.
fn is_tree(children: &[u64]) -> bool {
    // How many children of each open group are still to come.
    let mut open: Vec<u64> = Vec::new();
    for (idx, n_children) in children.iter().enumerate() {
        match open.last_mut() {
            Some(n_left) => *n_left -= 1,
            None if idx == 0 => {}
            // Something stands behind the root.
            None => return false,
        }
        if 0 < *n_children {
            let n_behind = (children.len() - idx - 1) as u64;
            if n_behind < *n_children || open.len() == DEPTH_MAX {
                return false;
            }
            open.push(*n_children);
        }
        while open.last() == Some(&0) {
            open.pop();
        }
    }
    !children.is_empty() && open.is_empty()
}

impl Walk<'_> {
    /// How many children each element of the schema has, which stands behind the version: writers write nothing else before.
    fn schema(&mut self) -> Option<Vec<u64>> {
        let mut id = 0;
        if self.field(&mut id)? != Some((VERSION, I32)) {
            return None;
        }
        self.skip(I32, 0)?;
        if self.field(&mut id)? != Some((SCHEMA, LIST)) {
            return None;
        }
        let n = self.structs().filter(|it| *it <= ELEMENTS_MAX)?;
        (0..n).map(|_| self.element()).collect()
    }

    fn element(&mut self) -> Option<u64> {
        let (mut id, mut n_children) = (0, 0);
        while let Some(field) = self.field(&mut id)? {
            match field {
                (N_CHILDREN, I32) => n_children = u64::try_from(self.signed()?).ok()?,
                (NAME, BINARY) | (1..=3 | 6..=9, I32) => self.skip(field.1, 0)?,
                (LOGICAL_TYPE, STRUCT) => self.logical_type()?,
                _ => return None,
            }
        }
        Some(n_children)
    }

    /// What a column means: one struct of several.
    fn logical_type(&mut self) -> Option<()> {
        let mut id = 0;
        let (kind, STRUCT) = self.field(&mut id)?? else { return None };
        match kind {
            // Texts, maps, lists, enums, dates, and others that need no more words.
            1..=4 | 6 | 11..=15 => self.end()?,
            // Decimals.
            5 => self.pair(|kind| kind == I32, |walk, kind| walk.passed(kind, kind == I32))?,
            // Times and moments: whether they are of UTC, and their unit.
            7 | 8 => self.pair(is_bool, Self::unit)?,
            // Whole numbers: how many bits, and whether they have a sign.
            10 => self.pair(|kind| kind == BYTE, |walk, kind| walk.passed(kind, is_bool(kind)))?,
            _ => return None,
        }
        self.end()
    }

    /// A struct of two fields, in order.
    fn pair(
        &mut self,
        is_first: impl Fn(u8) -> bool,
        second: impl Fn(&mut Self, u8) -> Option<()>,
    ) -> Option<()> {
        let mut id = 0;
        let (1, kind) = self.field(&mut id)?? else { return None };
        self.passed(kind, is_first(kind))?;
        let (2, kind) = self.field(&mut id)?? else { return None };
        second(self, kind)?;
        self.end()
    }

    fn unit(&mut self, kind: u8) -> Option<()> {
        let mut id = 0;
        if kind != STRUCT || !matches!(self.field(&mut id)??, (1..=3, STRUCT)) {
            return None;
        }
        self.end()?;
        self.end()
    }

    fn passed(&mut self, kind: u8, is_right: bool) -> Option<()> {
        is_right.then(|| self.skip(kind, 0)).flatten()
    }

    /// The end of a struct.
    fn end(&mut self) -> Option<()> {
        self.field(&mut 0)?.is_none().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
    use parquet::arrow::ArrowWriter;

    use super::*;

    /// The footer of an empty file with these columns.
    fn written(fields: Vec<Field>) -> Vec<u8> {
        let schema = Arc::new(Schema::new(fields));
        let bytes = ArrowWriter::try_new(Vec::new(), schema, None).unwrap().into_inner().unwrap();
        let n = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
        bytes[bytes.len() - 8 - n..bytes.len() - 8].to_vec()
    }

    /// A footer whose elements have so many children, each called `m`.
    fn saying(children: &[i64]) -> Vec<u8> {
        let mut bytes = vec![0x15, 0x04, 0x19, 0xfc];
        let number = |bytes: &mut Vec<u8>, mut number: u64| {
            while 0x80 <= number {
                bytes.push((number & 0x7f) as u8 | 0x80);
                number >>= 7;
            }
            bytes.push(number as u8);
        };
        number(&mut bytes, children.len() as u64);
        for n in children {
            bytes.extend([0x48, 1, b'm', 0x15]);
            number(&mut bytes, ((n << 1) ^ (n >> 63)).cast_unsigned());
            bytes.push(0);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn schemas_of_writers_are_sound() {
        let text = Arc::new(Field::new("item", DataType::Utf8, true));
        let entries = Fields::from(vec![
            Field::new("keys", DataType::Utf8, false),
            Field::new("values", DataType::Utf8, true),
        ]);
        let entries = Arc::new(Field::new("entries", DataType::Struct(entries), false));
        let fields = [
            DataType::Boolean,
            DataType::Int8,
            DataType::UInt64,
            DataType::Float16,
            DataType::Decimal128(20, 3),
            DataType::Date32,
            DataType::Time64(TimeUnit::Nanosecond),
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::FixedSizeBinary(32),
            DataType::Utf8,
            DataType::List(text),
            DataType::Map(entries, false),
        ];
        let fields = fields.into_iter().enumerate().map(|(idx, it)| Field::new(format!("f{idx}"), it, true));
        assert!(is_sound_schema(&written(fields.collect())));
    }

    #[test]
    fn a_schema_says_no_more_children_than_there_are_and_is_not_deep() {
        assert!(is_sound_schema(&saying(&[2, 0, 1, 0])));
        let deep = |n: usize| [vec![1; n], vec![0]].concat();
        assert!(is_sound_schema(&saying(&deep(DEPTH_MAX))));
        assert!(!is_sound_schema(&saying(&deep(DEPTH_MAX + 1))));
        assert!(!is_sound_schema(&saying(&deep(1000))));
        for bad in [&[][..], &[1], &[i64::from(i32::MAX), 0], &[-1, 0], &[1, 0, 0], &[2, 1, 0], &[0, 0]] {
            assert!(!is_sound_schema(&saying(bad)), "{bad:?}");
        }
        assert!(!is_sound_schema(&saying(&vec![0; ELEMENTS_MAX as usize + 1])));
    }

    /// What the reader would read otherwise than this does is refused.
    #[test]
    fn fields_have_the_types_of_the_format() {
        let sound = saying(&[1, 0]);
        // The number of children as another type of number, and a name as one.
        for (at, kind) in [(8, 0x16), (8, 0x14), (5, 0x45)] {
            let mut bytes = sound.clone();
            assert_ne!(bytes[at], kind);
            bytes[at] = kind;
            assert!(!is_sound_schema(&bytes), "{at} {kind:x}");
        }
        // Something before the schema.
        assert!(!is_sound_schema(&sound[2..]));
        for end in 0..sound.len() - 1 {
            assert!(!is_sound_schema(&sound[..end]), "{end} bytes");
        }
    }
}
