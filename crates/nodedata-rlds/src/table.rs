//! Where the values of a key lie in a record that is not in memory.

use std::ops::Range;

use nodedata_core::Result;

use crate::{
    example::{FIXED_32, LENGTH, ListKind, VARINT, entries, no_example, put_entry, put_length, varint},
    pages::Pages,
};

/// Places that are remembered of one key: where there are more values, the walk to one of them begins some values before it.
const MARKS_MAX: usize = 4096;
/// Integers in a row are looked at in stretches of so many bytes.
const STRETCH_BYTES: u64 = 4 << 10;

/// A place between two values of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Values before it.
    pub(crate) n: u64,
    /// Position among the lists of the key.
    list: usize,
    /// Byte in the record.
    at: u64,
    /// Where the numbers end that lie here one after the other; no further than `at` before the first of them.
    run_end: u64,
}

impl Place {
    /// How many bytes lie between two places: all that the values between them take, where they are in one list.
    pub(crate) fn n_bytes_to(&self, to: &Self) -> u64 {
        to.at.saturating_sub(self.at)
    }
}

/// The values of one key.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// `None` for a key without a value.
    pub(crate) kind: Option<ListKind>,
    /// Where the messages lie that hold them.
    lists: Vec<Range<u64>>,
    pub(crate) n_values: u64,
    marks: Marks,
}

/// Some places, in order, of which there are never too many.
#[derive(Debug, Clone)]
struct Marks {
    places: Vec<Place>,
    /// Values between two of them, at least.
    every: u64,
}

impl Default for Marks {
    fn default() -> Self {
        Self { places: Vec::new(), every: 1 }
    }
}

impl Marks {
    fn add(&mut self, place: Place) {
        if self.places.last().is_some_and(|it| place.n < it.n.saturating_add(self.every)) {
            return;
        }
        if self.places.len() == MARKS_MAX {
            let mut position = 0;
            self.places.retain(|_| {
                position += 1;
                position % 2 == 1
            });
            self.every = self.every.saturating_mul(2);
        }
        self.places.push(place);
    }

    /// The last place that has no more than `n` values before it.
    fn before(&self, n: u64) -> Option<Place> {
        let behind = self.places.partition_point(|it| it.n <= n);
        behind.checked_sub(1).map(|it| self.places[it])
    }
}

impl Table {
    /// Looks through the values of a key, which are in `lists`.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when they are not what a list of their kind holds.
    pub(crate) fn of(kind: Option<ListKind>, lists: Vec<Range<u64>>, pages: &mut Pages<'_>) -> Result<Self> {
        let mut table = Self { kind, lists, n_values: 0, marks: Marks::default() };
        let mut marks = Marks::default();
        let end = table.walk(pages, table.front(), u64::MAX, &mut |it| marks.add(it))?;
        table.n_values = end.n;
        table.marks = marks;
        Ok(table)
    }

    /// Lets go of what only finding places takes.
    pub(crate) fn forget_marks(&mut self) {
        self.marks = Marks::default();
    }

    pub(crate) fn front(&self) -> Place {
        let at = self.lists.first().map_or(0, |it| it.start);
        Place { at, run_end: at, ..Place::default() }
    }

    /// The place that has `n` values before it, or the end; `near` is one that may lie shortly before.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn place(&self, n: u64, near: Place, pages: &mut Pages<'_>) -> Result<Place> {
        let marked = self.marks.before(n).unwrap_or_else(|| self.front());
        let from = if near.n <= n && marked.n < near.n { near } else { marked };
        self.walk(pages, from, n, &mut |_| ())
    }

    /// Goes on from a place until `n` values are before it, or to the end.
    fn walk(
        &self,
        pages: &mut Pages<'_>,
        mut place: Place,
        n: u64,
        met: &mut dyn FnMut(Place),
    ) -> Result<Place> {
        while place.n < n {
            let Some(list) = self.lists.get(place.list) else { break };
            if place.at < place.run_end {
                met(place);
                place = self.walk_run(pages, place, n)?;
            } else if place.at < list.end {
                place = self.enter(pages, place, list.end, met)?;
            } else {
                let Some(next) = self.lists.get(place.list + 1) else { break };
                place = Place { n: place.n, list: place.list + 1, at: next.start, run_end: next.start };
            }
        }
        Ok(place)
    }

    /// Goes behind a value, or into a run of numbers.
    fn enter(
        &self,
        pages: &mut Pages<'_>,
        place: Place,
        end: u64,
        met: &mut dyn FnMut(Place),
    ) -> Result<Place> {
        let field = field(pages, place.at..end)?;
        let behind = Place { n: place.n + 1, at: field.end, run_end: field.end, ..place };
        match (field.number, field.wire, self.kind) {
            (1, LENGTH, Some(ListKind::Bytes)) => {
                met(place);
                Ok(behind)
            }
            (1, LENGTH, Some(kind)) => {
                let is_whole = kind == ListKind::Int || (field.end - field.content).is_multiple_of(4);
                if !is_whole {
                    return Err(no_example("a number that is cut", field.content));
                }
                Ok(Place { at: field.content, run_end: field.end, ..place })
            }
            (1, FIXED_32, Some(ListKind::Float)) | (1, VARINT, Some(ListKind::Int)) => {
                met(place);
                Ok(behind)
            }
            _ => Err(no_example("a field that no list has", place.at)),
        }
    }

    /// Goes on within a run of numbers: to its end, a stretch, or until `n` values are before it.
    fn walk_run(&self, pages: &mut Pages<'_>, place: Place, n: u64) -> Result<Place> {
        if self.kind != Some(ListKind::Int) {
            let taken = (n - place.n).min((place.run_end - place.at) / 4);
            return Ok(Place { n: place.n + taken, at: place.at + 4 * taken, ..place });
        }
        // Places are between two values, also where a page ends within one.
        let (mut at, mut behind) = (place.at, place);
        while at < place.run_end {
            for byte in pages.front(at..place.run_end)? {
                at += 1;
                if *byte < 0x80 {
                    behind = Place { n: behind.n + 1, at, ..behind };
                    if behind.n == n || STRETCH_BYTES <= at - place.at {
                        return Ok(behind);
                    }
                }
            }
        }
        if behind.at == place.run_end {
            Ok(behind)
        } else {
            Err(no_example("a number that is cut", behind.at))
        }
    }

    /// All of its values, where they are integers.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn ints(&self, pages: &mut Pages<'_>) -> Result<Vec<i64>> {
        let end = self.place(u64::MAX, Place::default(), pages)?;
        let mut record = Vec::new();
        put_entry(b"", self.kind, &mut record, |list| self.copy(self.front(), end, pages, list))?;
        let mut found = Vec::new();
        entries(&record, |_, values| {
            let mut cursor = values.cursor();
            for _ in 0..values.count(&record)? {
                found.push(cursor.int(&record)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Appends the values between two places to `out`, as the message of a list.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn copy(
        &self,
        mut from: Place,
        to: Place,
        pages: &mut Pages<'_>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let position = |it: &Place| (it.list, it.at);
        while position(&from) < position(&to) {
            let Some(list) = self.lists.get(from.list) else { break };
            let end = if from.list == to.list { to.at } else { list.end };
            if from.at < from.run_end {
                let end = end.min(from.run_end);
                put_length(1, end - from.at, out);
                append(pages, from.at..end, out)?;
                from.at = end;
            } else if from.at < list.end {
                let next = self.enter(pages, from, list.end, &mut |_| ())?;
                if next.n != from.n {
                    append(pages, from.at..next.at, out)?;
                }
                from = next;
            } else {
                let start = self.lists.get(from.list + 1).map_or(u64::MAX, |it| it.start);
                from = Place { list: from.list + 1, at: start, run_end: start, ..from };
            }
        }
        Ok(())
    }
}

/// Appends bytes of the record to `out`.
pub(crate) fn append(pages: &mut Pages<'_>, mut range: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
    while !range.is_empty() {
        let front = pages.front(range.clone())?;
        if front.is_empty() {
            return Err(no_example("a length past the end", range.start));
        }
        out.extend_from_slice(front);
        range.start += front.len() as u64;
    }
    Ok(())
}

/// A field of a message.
pub(crate) struct Field {
    pub(crate) number: u64,
    pub(crate) wire: u64,
    /// Where its content begins.
    pub(crate) content: u64,
    /// Where it ends.
    pub(crate) end: u64,
}

/// The field that a message goes on with, of which `left` is left. Nothing of its content but its length is looked at.
///
/// # Errors
/// `Io`; `Corrupt`.
pub(crate) fn field(pages: &mut Pages<'_>, left: Range<u64>) -> Result<Field> {
    let head = pages.head(left.start)?;
    let head = &head[..head.len().min(usize::try_from(left.end - left.start).unwrap_or(usize::MAX))];
    let wrong = |what| no_example(what, left.start);
    let (tag, n_tag) = varint(head).map_err(wrong)?;
    let (number, wire) = (tag >> 3, tag & 7);
    let rest = &head[n_tag..];
    let start = left.start + n_tag as u64;
    let (content, n_bytes) = match wire {
        VARINT => (start, varint(rest).map_err(wrong)?.1 as u64),
        FIXED_32 => (start, 4),
        LENGTH => {
            let (n_bytes, n) = varint(rest).map_err(wrong)?;
            (start + n as u64, n_bytes)
        }
        _ => return Err(wrong("a field of a kind that no `tf.train.Example` has")),
    };
    let end = content.checked_add(n_bytes).filter(|it| *it <= left.end);
    let end = end.ok_or_else(|| wrong("a length past the end"))?;
    Ok(Field { number, wire, content, end })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use nodedata_core::ReadAt;

    use super::*;
    use crate::skim::skim;

    /// A record that is nowhere in memory.
    struct Far(Vec<u8>);

    impl ReadAt for Far {
        fn n_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
            Ok(self.0[range.start as usize..range.end as usize].to_vec().into())
        }
    }

    /// The values of the one key of a record, each as the bytes it is stored as.
    fn values(record: &[u8], kind: ListKind) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        entries(record, |_, values| {
            let mut cursor = values.cursor();
            for _ in 0..values.count(record)? {
                found.push(match kind {
                    ListKind::Bytes => cursor.bytes(record)?.to_vec(),
                    ListKind::Int => cursor.int(record)?.to_le_bytes().to_vec(),
                    ListKind::Float => {
                        let mut value = Vec::new();
                        cursor.floats(record, 1, |it| {
                            value.extend_from_slice(it);
                            Ok(())
                        })?;
                        value
                    }
                });
            }
            Ok(())
        })
        .unwrap();
        found
    }

    /// A record of one key.
    fn record(kind: ListKind, list: &[u8]) -> Vec<u8> {
        let mut record = Vec::new();
        let put_list = |out: &mut Vec<u8>| {
            out.extend_from_slice(list);
            Ok(())
        };
        put_entry(b"k", Some(kind), &mut record, put_list).unwrap();
        record
    }

    #[track_caller]
    fn check(kind: ListKind, list: &[u8], bounds: &[u64]) {
        let record = record(kind, list);
        let all = values(&record, kind);
        let file = Far(record);
        for page_bytes in [20, 37, 1 << 20] {
            let mut pages = Pages::of(&file, page_bytes);
            let (_, table) = skim(&mut pages, |_| Ok(Some(0))).unwrap().remove(&b"k"[..]).unwrap();
            assert_eq!(table.n_values, all.len() as u64);
            let mut near = Place::default();
            for bound in bounds.windows(2) {
                let [from, to] = [bound[0], bound[1]].map(|it| {
                    near = table.place(it, near, &mut pages).unwrap();
                    near
                });
                assert_eq!((from.n, to.n), (bound[0], bound[1]));
                let mut part = Vec::new();
                put_entry(b"k", table.kind, &mut part, |list| table.copy(from, to, &mut pages, list))
                    .unwrap();
                let expected = &all[bound[0] as usize..bound[1] as usize];
                assert_eq!(values(&part, kind), expected, "{kind:?}, pages of {page_bytes}, {bound:?}");
            }
        }
    }

    /// Numbers of one to ten bytes, packed; more than places are remembered of.
    #[test]
    fn any_stretch_of_values_is_found_and_copied() {
        let mut packed = Vec::new();
        for idx in 0..10_000u64 {
            let mut left = u64::MAX >> (idx * 7 % 64);
            while 0x80 <= left {
                packed.push(left as u8 | 0x80);
                left >>= 7;
            }
            packed.push(left as u8);
        }
        let mut ints = Vec::new();
        put_length(1, packed.len() as u64, &mut ints);
        ints.extend_from_slice(&packed);
        // And some apart, behind an empty run.
        put_length(1, 0, &mut ints);
        ints.extend([8, 1, 8, 0xac, 2]);
        check(ListKind::Int, &ints, &[0, 1, 7, 4096, 4097, 9_998, 10_000, 10_001, 10_002]);

        let mut texts = Vec::new();
        for idx in 0..5_000u64 {
            let text = vec![idx as u8; idx as usize % 40];
            put_length(1, text.len() as u64, &mut texts);
            texts.extend(text);
        }
        check(ListKind::Bytes, &texts, &[0, 1, 2, 2_500, 4_999, 5_000]);

        let mut floats = Vec::new();
        put_length(1, 4 * 300, &mut floats);
        floats.extend((0..300).flat_map(|it| (it as f32).to_le_bytes()));
        floats.extend([[13].as_slice(), &1f32.to_le_bytes()].concat());
        check(ListKind::Float, &floats, &[0, 3, 299, 300, 301]);
    }

    #[test]
    fn what_is_no_list_is_told_where_it_is_not() {
        let told = |kind, list: &[u8]| {
            let file = Far(record(kind, list));
            skim(&mut Pages::of(&file, 20), |_| Ok(Some(0))).unwrap_err().to_string()
        };
        for (kind, list, what) in [
            (ListKind::Int, [0x0a, 1, 0x80].as_slice(), "a number that is cut"),
            (ListKind::Float, &[0x0a, 3, 0, 0, 0], "a number that is cut"),
            (ListKind::Bytes, &[0x0a, 3, 0], "a length past the end"),
            (ListKind::Bytes, &[8, 1], "a field that no list has"),
            (ListKind::Int, &[8, 0x80], "a number without an end"),
        ] {
            assert!(told(kind, list).contains(what), "{}", told(kind, list));
        }
    }
}
