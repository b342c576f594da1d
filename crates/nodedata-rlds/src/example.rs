//! The wire form of `tf.train.Example`, walked in place: a map of keys to one list of bytes, floats or integers each.

use std::ops::Range;

use nodedata_core::{DType, Error, ErrorKind, Result};

/// What a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    Bytes,
    Float,
    Int,
}

impl ListKind {
    pub(crate) fn of_field(field: u64) -> Option<Self> {
        match field {
            1 => Some(Self::Bytes),
            2 => Some(Self::Float),
            3 => Some(Self::Int),
            _ => None,
        }
    }

    /// As what values of a type are stored.
    pub(crate) fn of(dtype: DType) -> Self {
        match dtype {
            DType::String | DType::Bytes => Self::Bytes,
            DType::Float16 | DType::Float32 | DType::Float64 => Self::Float,
            DType::Bool
            | DType::Int8
            | DType::Int16
            | DType::Int32
            | DType::Int64
            | DType::UInt8
            | DType::UInt16
            | DType::UInt32
            | DType::UInt64 => Self::Int,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Float => "floats",
            Self::Int => "integers",
        }
    }
}

/// Wire types: a number, something with a length, four bytes.
pub(crate) const VARINT: u64 = 0;
pub(crate) const LENGTH: u64 = 2;
pub(crate) const FIXED_32: u64 = 5;

/// Lists of one key; TFDS writes one.
pub(crate) const LISTS_MAX: usize = 4096;

/// What a key with more lists than any is.
pub(crate) fn too_many_lists() -> Error {
    let message = format!("the values of a key are in more than {LISTS_MAX} lists");
    Error::new(ErrorKind::Limit, message)
}

/// The value of a key: its lists, which are one after the other. None for a key without a value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    kind: Option<ListKind>,
    /// Where the messages that hold the values lie in the record.
    lists: Vec<Range<usize>>,
}

impl Values {
    /// What they are; `None` for no values at all.
    pub(crate) fn kind(&self) -> Option<ListKind> {
        self.kind
    }

    /// How many values there are, after a look at each.
    pub(crate) fn count(&self, record: &[u8]) -> Result<u64> {
        let mut cursor = self.cursor();
        let mut n = 0u64;
        while let Some(run) = cursor.next_run(record)? {
            n += match self.kind {
                Some(ListKind::Float) => run.len() as u64 / 4,
                Some(ListKind::Int) => record[run].iter().filter(|it| **it < 0x80).count() as u64,
                Some(ListKind::Bytes) | None => 1,
            };
        }
        Ok(n)
    }

    /// Where the messages that hold them lie in the record.
    pub(crate) fn lists(&self) -> &[Range<usize>] {
        &self.lists
    }

    /// Bytes that they take in the record, their tags included.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.lists.iter().map(|it| it.len() as u64).sum()
    }

    /// Starts reading them.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { values: self.clone(), n_lists: 0, list: 0..0, run: 0..0 }
    }
}

/// Hands every key of a record, with its value, to `found`, in the order in which they lie there.
///
/// # Errors
/// `Corrupt` when the bytes are no `Example`; `Limit` when a key has too many lists; what `found` returns.
pub(crate) fn entries<'a>(
    record: &'a [u8],
    mut found: impl FnMut(&'a [u8], Values) -> Result<()>,
) -> Result<()> {
    let mut example = Wire { bytes: record, left: 0..record.len() };
    while let Some(features) = example.part()? {
        let mut map = Wire { bytes: record, left: features };
        while let Some(entry) = map.part()? {
            let (key, values) = entry_of(record, entry)?;
            found(&record[key], values)?;
        }
    }
    Ok(())
}

fn entry_of(record: &[u8], range: Range<usize>) -> Result<(Range<usize>, Values)> {
    let mut entry = Wire { bytes: record, left: range };
    let (mut key, mut values) = (0..0, Values::default());
    while let Some(tag) = entry.tag()? {
        match tag {
            (1, LENGTH) => key = entry.length_prefixed()?,
            (2, LENGTH) => {
                let mut feature = Wire { bytes: record, left: entry.length_prefixed()? };
                while let Some((field, wire)) = feature.tag()? {
                    let kind = ListKind::of_field(field).filter(|_| wire == LENGTH);
                    let kind = kind.ok_or_else(|| feature.wrong("a field that no feature has"))?;
                    // Of several kinds the last is meant; pieces of one kind are one list.
                    if values.kind != Some(kind) {
                        values = Values { kind: Some(kind), lists: Vec::new() };
                    }
                    if values.lists.len() == LISTS_MAX {
                        return Err(too_many_lists());
                    }
                    let list = feature.length_prefixed()?;
                    if !list.is_empty() {
                        values.lists.push(list);
                    }
                }
            }
            _ => return Err(entry.wrong("a field that no entry has")),
        }
    }
    Ok((key, values))
}

/// Bytes of a length that is written before it is known: as many as 32 GiB take. A number may have more bytes than it needs.
const OPEN_LENGTH_BYTES: usize = 5;

/// Appends an entry to a record: a key, and the message of a list of its values, which `put_list` appends. A record may have its entries
/// in any number of parts.
///
/// # Errors
/// What `put_list` returns; the record is none then.
pub(crate) fn put_entry(
    key: &[u8],
    kind: Option<ListKind>,
    record: &mut Vec<u8>,
    put_list: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let field = match kind {
        Some(ListKind::Bytes) => Some(1),
        Some(ListKind::Float) => Some(2),
        Some(ListKind::Int) => Some(3),
        None => None,
    };
    // Of the map and the entry, and of the feature and the list; each goes to the end.
    let mut open = vec![put_open(1, record), put_open(1, record)];
    put_length(1, key.len() as u64, record);
    record.extend_from_slice(key);
    if let Some(field) = field {
        open.extend([put_open(2, record), put_open(field, record)]);
        put_list(record)?;
    }
    let end = record.len();
    for at in open {
        let mut left = end - at - OPEN_LENGTH_BYTES;
        for byte in &mut record[at..at + OPEN_LENGTH_BYTES] {
            *byte = left as u8 | 0x80;
            left >>= 7;
        }
        record[at + OPEN_LENGTH_BYTES - 1] &= 0x7f;
    }
    Ok(())
}

/// Appends the tag of a field whose length is not known yet, and room for that; where the room is.
fn put_open(number: u8, out: &mut Vec<u8>) -> usize {
    out.push(number << 3 | LENGTH as u8);
    let at = out.len();
    out.extend([0; OPEN_LENGTH_BYTES]);
    at
}

/// Appends the tag of a field that has a length, and the length.
pub(crate) fn put_length(number: u8, n_bytes: u64, out: &mut Vec<u8>) {
    out.push(number << 3 | LENGTH as u8);
    let mut left = n_bytes;
    while 0x80 <= left {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// A position among values.
#[derive(Debug)]
pub(crate) struct Cursor {
    values: Values,
    /// Lists begun.
    n_lists: usize,
    /// What is left of the last of them.
    list: Range<usize>,
    /// What is left of the last run of floats or integers.
    run: Range<usize>,
}

impl Cursor {
    /// The next value of bytes, or floats or integers that lie one after the other.
    fn next_run(&mut self, record: &[u8]) -> Result<Option<Range<usize>>> {
        while self.list.is_empty() {
            let Some(list) = self.values.lists.get(self.n_lists) else { return Ok(None) };
            self.list = list.clone();
            self.n_lists += 1;
        }
        let mut wire = Wire { bytes: record, left: self.list.clone() };
        let run = match (wire.tag()?, self.values.kind) {
            (Some((1, LENGTH)), Some(kind)) => {
                let run = wire.length_prefixed()?;
                let is_whole = match kind {
                    ListKind::Bytes => true,
                    ListKind::Float => run.len().is_multiple_of(4),
                    ListKind::Int => record[run.clone()].last().is_none_or(|it| *it < 0x80),
                };
                if !is_whole {
                    return Err(wire.wrong("a number that is cut"));
                }
                run
            }
            (Some((1, FIXED_32)), Some(ListKind::Float)) => wire.take(4)?,
            (Some((1, VARINT)), Some(ListKind::Int)) => {
                let start = wire.left.start;
                wire.varint()?;
                start..wire.left.start
            }
            _ => return Err(wire.wrong("a field that no list has")),
        };
        self.list = wire.left;
        Ok(Some(run))
    }

    /// The next value of bytes.
    ///
    /// # Errors
    /// `Corrupt` when there is none.
    pub(crate) fn bytes<'a>(&mut self, record: &'a [u8]) -> Result<&'a [u8]> {
        Ok(&record[self.place(record)?])
    }

    /// How many bytes the next `n` values of bytes have together. The position stays.
    ///
    /// # Errors
    /// `Corrupt` when there are not so many.
    pub(crate) fn bytes_ahead(&self, record: &[u8], n: usize) -> Result<usize> {
        let mut ahead = Self { values: self.values.clone(), list: self.list.clone(), run: 0..0, ..*self };
        (0..n).try_fold(0, |sum, _| Ok(sum + ahead.place(record)?.len()))
    }

    /// Where the next value of bytes lies.
    ///
    /// # Errors
    /// `Corrupt` when there is none.
    pub(crate) fn place(&mut self, record: &[u8]) -> Result<Range<usize>> {
        self.next_run(record)?.ok_or_else(too_few)
    }

    /// Hands the next `n` integers to `take`, one by one.
    ///
    /// # Errors
    /// `Corrupt` when there are not so many, or one has more than 64 bits; what `take` returns.
    pub(crate) fn ints(
        &mut self,
        record: &[u8],
        mut n: usize,
        mut take: impl FnMut(i64) -> Result<()>,
    ) -> Result<()> {
        while n > 0 {
            let run = self.run(record)?;
            let bytes = &record[run.clone()];
            let mut at = 0;
            while n > 0 && at < bytes.len() {
                let first = bytes[at];
                let (value, n_bytes) = match first < 0x80 {
                    true => (u64::from(first), 1),
                    false => varint(&bytes[at..]).map_err(|it| no_example(it, (run.start + at) as u64))?,
                };
                take(value.cast_signed())?;
                at += n_bytes;
                n -= 1;
            }
            self.run.start += at;
        }
        Ok(())
    }

    /// The next integer.
    ///
    /// # Errors
    /// `Corrupt` when there is none, or it has more than 64 bits.
    pub(crate) fn int(&mut self, record: &[u8]) -> Result<i64> {
        let mut found = 0;
        self.ints(record, 1, |it| {
            found = it;
            Ok(())
        })?;
        Ok(found)
    }

    /// Hands the next `n` floats to `take`, as many at once as lie together, each in four bytes from the lowest.
    ///
    /// # Errors
    /// `Corrupt` when there are not so many; what `take` returns.
    pub(crate) fn floats(
        &mut self,
        record: &[u8],
        mut n: usize,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        while n > 0 {
            let run = self.run(record)?;
            let n_now = n.min(run.len() / 4);
            take(&record[run.start..run.start + n_now * 4])?;
            self.run.start += n_now * 4;
            n -= n_now;
        }
        Ok(())
    }

    /// What is left of numbers that lie together, at least one.
    fn run(&mut self, record: &[u8]) -> Result<Range<usize>> {
        while self.run.is_empty() {
            self.run = self.next_run(record)?.ok_or_else(too_few)?;
        }
        Ok(self.run.clone())
    }
}

fn too_few() -> Error {
    Error::new(ErrorKind::Corrupt, "there are fewer values than were counted")
}

/// What is left of a message.
struct Wire<'a> {
    bytes: &'a [u8],
    left: Range<usize>,
}

impl Wire<'_> {
    /// Field and wire type of what comes next; `None` at the end.
    fn tag(&mut self) -> Result<Option<(u64, u64)>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        Ok(Some((tag >> 3, tag & 7)))
    }

    /// What the one field of a message holds next, where that is its first and another message.
    fn part(&mut self) -> Result<Option<Range<usize>>> {
        match self.tag()? {
            None => Ok(None),
            Some((1, LENGTH)) => self.length_prefixed().map(Some),
            Some(_) => Err(self.wrong("a field that no `tf.train.Example` has")),
        }
    }

    fn length_prefixed(&mut self) -> Result<Range<usize>> {
        let n = self.varint()?;
        let n = usize::try_from(n).map_err(|_| self.wrong("a length past the end"))?;
        self.take(n)
    }

    fn take(&mut self, n: usize) -> Result<Range<usize>> {
        if n > self.left.len() {
            return Err(self.wrong("a length past the end"));
        }
        let taken = self.left.start..self.left.start + n;
        self.left.start = taken.end;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64> {
        let (value, n_bytes) = varint(&self.bytes[self.left.clone()]).map_err(|it| self.wrong(it))?;
        self.left.start += n_bytes;
        Ok(value)
    }

    fn wrong(&self, what: &str) -> Error {
        no_example(what, self.left.start as u64)
    }
}

/// The number that bytes begin with, and how many of them it takes; or what is wrong.
pub(crate) fn varint(bytes: &[u8]) -> Result<(u64, usize), &'static str> {
    let mut value = 0u64;
    for (idx, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if idx == 9 && bits > 1 {
            return Err("a number of more than 64 bits");
        }
        value |= bits << (7 * idx);
        if *byte < 0x80 {
            return Ok((value, idx + 1));
        }
    }
    Err("a number without an end")
}

/// What bytes that are no `Example` are. `at` counts in the record.
pub(crate) fn no_example(what: &str, at: u64) -> Error {
    let message = format!("the record is no `tf.train.Example`: {what}, before byte {at} of it");
    Error::new(ErrorKind::Corrupt, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with bytes, which are short.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    fn example(feature: &[u8]) -> Vec<u8> {
        field(1, &field(1, &[field(1, b"k"), field(2, feature)].concat()))
    }

    fn values(record: &[u8]) -> Result<Values> {
        let mut found = Values::default();
        entries(record, |key, values| {
            assert_eq!(key, b"k");
            found = values;
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn integers_are_read_packed_and_apart_and_in_pieces() {
        let packed = field(3, &field(1, &[1, 0xac, 2]));
        let apart = field(3, &[8, 5, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
        let record = example(&[packed, field(3, b""), apart].concat());
        let values = values(&record).unwrap();
        assert_eq!((values.kind(), values.count(&record).unwrap()), (Some(ListKind::Int), 4));
        let mut cursor = values.cursor();
        let mut found = vec![cursor.int(&record).unwrap()];
        let take = |it| {
            found.push(it);
            Ok(())
        };
        cursor.ints(&record, 3, take).unwrap();
        assert_eq!(found, [1, 300, 5, -1]);
        assert!(cursor.int(&record).is_err());
    }

    #[test]
    fn floats_are_read_across_runs() {
        let all: Vec<u8> = [1f32, 2.0, 3.0].iter().flat_map(|it| it.to_le_bytes()).collect();
        let apart = [&[1 << 3 | 5], &all[8..]].concat();
        let record = example(&field(2, &[field(1, &all[..8]), apart].concat()));
        let values = values(&record).unwrap();
        assert_eq!(values.count(&record).unwrap(), 3);
        let mut cursor = values.cursor();
        let (mut found, mut n_runs) = (Vec::new(), 0);
        for n in [1, 2] {
            let take = |run: &[u8]| {
                found.extend_from_slice(run);
                n_runs += 1;
                Ok(())
            };
            cursor.floats(&record, n, take).unwrap();
        }
        assert_eq!((found, n_runs), (all, 3));
        assert!(cursor.floats(&record, 1, |_| Ok(())).is_err());
    }

    #[test]
    fn of_two_kinds_the_last_is_meant() {
        let record = example(
            &[field(3, &field(1, &[1])), field(1, &[field(1, b""), field(1, b"ab")].concat())].concat(),
        );
        let values = values(&record).unwrap();
        assert_eq!((values.kind(), values.count(&record).unwrap()), (Some(ListKind::Bytes), 2));
        let mut cursor = values.cursor();
        assert_eq!([cursor.bytes(&record).unwrap(), cursor.bytes(&record).unwrap()], [&b""[..], b"ab"]);
        let empty = example(&[]);
        assert_eq!(super::tests::values(&empty).unwrap().kind(), None);
    }

    /// Each list takes memory, and a record of nothing but such is no larger than any other.
    #[test]
    fn a_key_has_no_more_lists_than_any() {
        let one = field(3, &field(1, &[1]));
        let told = |n: usize| {
            let lists = one.repeat(n);
            let mut feature = Vec::new();
            put_length(2, lists.len() as u64, &mut feature);
            feature.extend(lists);
            let (mut entry, mut record) = (Vec::new(), Vec::new());
            put_length(1, feature.len() as u64 + 3, &mut entry);
            entry.extend(field(1, b"k"));
            entry.extend(feature);
            put_length(1, entry.len() as u64, &mut record);
            record.extend(entry);
            let found = values(&record)?;
            found.count(&record)
        };
        assert_eq!(told(LISTS_MAX).unwrap(), LISTS_MAX as u64);
        assert_eq!(told(LISTS_MAX + 1).unwrap_err().kind(), ErrorKind::Limit);
    }

    #[test]
    fn what_is_no_example_is_refused() {
        let long = [vec![0xff; 10], vec![1]].concat();
        let wrong_lists = [field(3, &field(1, &[0x80])), field(2, &field(1, &[0; 5])), field(2, &[8, 1])];
        for record in [
            vec![0x0a, 5, 0],
            vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            field(2, b""),
            vec![8, 1],
            field(1, &field(1, &[3 << 3, 1])),
            long,
            example(&field(4, b"")),
        ] {
            assert!(values(&record).is_err(), "{record:?}");
        }
        for list in wrong_lists {
            let record = example(&list);
            assert!(values(&record).unwrap().count(&record).is_err(), "{record:?}");
        }
    }
}
