use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::example::{ListKind, Values, entries};

/// What keys of values for each step begin with.
pub(super) const STEPS_PREFIX: &str = "steps/";
/// Keys with one value a step, by which steps are counted, the surest first.
const COUNTERS: [&str; 5] =
    ["steps/is_first", "steps/is_last", "steps/is_terminal", "steps/reward", "steps/discount"];
/// Keys of all records together: each becomes a column.
const KEYS_MAX: usize = 10_000;

/// What the values of a key are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Int,
    Float,
    Bytes,
    /// Bytes that are UTF-8 throughout.
    Text,
}

/// What was learned of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LearnedKey {
    pub(super) key: String,
    pub(super) kind: Kind,
    /// How many values a record has, or a step where they are of steps; `None` where that differs.
    pub(super) size: Option<u32>,
    /// Whether some records have none.
    pub(super) is_optional: bool,
    /// Why its values have no type, where they have none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) conflict: Option<String>,
}

/// Where a record lies: position of the file among the inputs, and byte in it.
pub(super) type Place = (usize, u64);

/// Key, kind, number of values, and whether they are text.
type SeenInRecord<'a> = (&'a str, Option<ListKind>, u64, bool);

/// What a record holds, by key.
///
/// # Errors
/// `Corrupt` when it is no `Example`, or a key is no text; `Limit`.
fn keys_of(record: &[u8]) -> Result<Vec<SeenInRecord<'_>>> {
    let mut found: BTreeMap<&str, Values> = BTreeMap::new();
    entries(record, |key, values| {
        let key = str::from_utf8(key).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "a key of the record is no text").with_source(err)
        })?;
        // Of a key that comes twice the last is meant, as in every map on the wire.
        found.insert(key, values);
        Ok(())
    })?;
    let mut seen = Vec::with_capacity(found.len());
    for (key, values) in &found {
        let n = values.count(record)?;
        let is_text = values.kind() == Some(ListKind::Bytes) && is_text(values, record, n)?;
        seen.push((*key, values.kind(), n, is_text));
    }
    Ok(seen)
}

/// What some records hold, key by key. Those of several parts of the input are merged in their order.
#[derive(Debug, Default)]
pub(super) struct Types {
    n_records: u64,
    keys: BTreeMap<String, Seen>,
}

/// What was seen of a key.
#[derive(Debug)]
struct Seen {
    /// The kinds of its values, at most two, each with the first record of it.
    kinds: Vec<(ListKind, Place)>,
    /// Values of a record that has any: least and most.
    counts: (u64, u64),
    /// The same by step; `None` where a record has values that make no whole steps.
    per_step: Option<(u64, u64)>,
    /// Records that have values.
    n_records: u64,
    is_text: bool,
}

impl Types {
    /// Takes in a record, all of it or, where it is damaged, nothing: reading it says what is wrong, and what that costs.
    ///
    /// # Errors
    /// `Limit` for too many keys.
    pub(super) fn observe(&mut self, record: &[u8], place: Place) -> Result<()> {
        match keys_of(record) {
            Ok(seen) => self.take(seen, place),
            Err(_) => Ok(()),
        }
    }

    fn take(&mut self, seen: Vec<SeenInRecord<'_>>, place: Place) -> Result<()> {
        let n_steps = n_steps(&seen);
        self.n_records += 1;
        for (key, kind, n, is_text) in seen {
            let Some(kind) = kind.filter(|_| n > 0) else { continue };
            let per_step = n.checked_div(n_steps).filter(|it| it * n_steps == n).map(|it| (it, it));
            let new = Seen { kinds: vec![(kind, place)], counts: (n, n), per_step, n_records: 1, is_text };
            self.add(key.to_owned(), new)?;
        }
        Ok(())
    }

    /// Takes in what was seen of later records.
    ///
    /// # Errors
    /// `Limit` for too many keys.
    pub(super) fn merge(&mut self, later: Self) -> Result<()> {
        self.n_records += later.n_records;
        later.keys.into_iter().try_for_each(|(key, seen)| self.add(key, seen))
    }

    fn add(&mut self, key: String, seen: Seen) -> Result<()> {
        if let Some(known) = self.keys.get_mut(&key) {
            known.merge(seen);
            return Ok(());
        }
        if self.keys.len() == KEYS_MAX {
            let message = format!("the records have more than {KEYS_MAX} keys, which would each be a column");
            return Err(Error::new(ErrorKind::Limit, message)
                .with_hint("keys that hold data belong into values: write the files anew"));
        }
        self.keys.insert(key, seen);
        Ok(())
    }

    /// What there is to say of each key, in order. `at` tells where a record lies in words.
    pub(super) fn finish(self, at: impl Fn(Place) -> String) -> Vec<LearnedKey> {
        let Self { n_records, keys } = self;
        let learned = keys.into_iter().map(|(key, seen)| {
            let sizes = match key.starts_with(STEPS_PREFIX) {
                true => seen.per_step,
                false => Some(seen.counts),
            };
            let size = sizes.filter(|(least, most)| least == most).and_then(|it| u32::try_from(it.0).ok());
            let kind = match seen.kinds[0].0 {
                ListKind::Int => Kind::Int,
                ListKind::Float => Kind::Float,
                ListKind::Bytes if seen.is_text => Kind::Text,
                ListKind::Bytes => Kind::Bytes,
            };
            let conflict = seen.kinds.get(1).map(|(second, place)| {
                let (first, first_place) = seen.kinds[0];
                let (one, other) = (first.name(), second.name());
                format!("is {one} in {} and {other} in {}", at(first_place), at(*place))
            });
            let size = size.filter(|it| *it <= i32::MAX as u32);
            LearnedKey { key, kind, size, is_optional: seen.n_records < n_records, conflict }
        });
        learned.collect()
    }
}

impl Seen {
    fn merge(&mut self, later: Self) {
        for kind in later.kinds {
            if !self.kinds.iter().any(|it| it.0 == kind.0) {
                self.kinds.push(kind);
            }
        }
        let both = |one: (u64, u64), other: (u64, u64)| (one.0.min(other.0), one.1.max(other.1));
        self.counts = both(self.counts, later.counts);
        self.per_step = self.per_step.zip(later.per_step).map(|(one, other)| both(one, other));
        self.n_records += later.n_records;
        self.is_text &= later.is_text;
    }
}

/// How many steps a record has: as many as there are of what each has one of, or of what there is least.
fn n_steps(seen: &[(&str, Option<ListKind>, u64, bool)]) -> u64 {
    let counted = |key: &str| seen.iter().find(|it| it.0 == key && it.2 > 0).map(|it| it.2);
    let least = || seen.iter().filter(|it| it.0.starts_with(STEPS_PREFIX) && it.2 > 0).map(|it| it.2).min();
    COUNTERS.iter().find_map(|it| counted(it)).or_else(least).unwrap_or(0)
}

fn is_text(values: &Values, record: &[u8], n: u64) -> Result<bool> {
    let mut cursor = values.cursor();
    for _ in 0..n {
        if str::from_utf8(cursor.bytes(record)?).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}
