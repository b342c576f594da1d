use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    inference::JsonConflict,
    json_type::{JsonKind, JsonMember, JsonType},
};

/// Keys of one object. One with more is a map whose keys are data: it becomes JSON text.
pub(super) const MEMBERS_MAX: usize = 512;
/// Members among which the next key of an object is looked for one by one.
const MEMBERS_AHEAD_MAX: usize = 8;
/// Nesting that becomes columns; what lies deeper becomes JSON text.
pub(super) const DEPTH_MAX: usize = 24;

/// Where a message begins, as whoever looks at it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Position of its file among the inputs.
    pub input: u32,
    /// In that file.
    pub at: u64,
}

/// How much becomes columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// Keys of a message itself.
    pub(super) root_members_max: usize,
}

impl Limits {
    pub(super) fn members_max(self, depth: usize) -> usize {
        if depth == 0 { self.root_members_max } else { MEMBERS_MAX }
    }
}

/// What a value can be, as far as it decides types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Null,
    Bool,
    Text,
    Whole,
    /// A whole number below 0.
    Negative,
    /// A whole number above what int64 holds.
    AboveInt64,
    /// A whole number that float64 does not hold.
    Inexact,
    Float,
    List,
    Object,
    /// A CBOR byte string.
    Bytes,
    /// What no columns hold: nesting too deep, an object with too many keys, a number beyond 64 bits, a CBOR tag, what is kept
    /// as its raw text.
    Other,
}

const N_SEEN: usize = Seen::Other as usize + 1;

/// Everything seen at one place of all messages. Parts of an input are looked at alone and merged in their order, so
/// that nothing depends on how it was cut.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Observed {
    /// The first message in which it was this.
    first: [Option<Place>; N_SEEN],
    pub(super) items: Option<Box<Self>>,
    pub(super) members: Members,
}

/// The members of the objects at one place, in the order they were first met.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(from = "StoredMembers", into = "StoredMembers")]
pub(super) struct Members {
    pub(super) n_objects: u64,
    all: Vec<ObservedMember>,
    by_key: BTreeMap<String, usize>,
}

/// Objects, and of each member its key, the objects that had it, and its values: without names, because what nests as
/// deep as columns go must not nest deeper than readers of JSON follow.
#[derive(Serialize, Deserialize)]
struct StoredMembers(u64, Vec<(String, u64, Observed)>);

#[derive(Debug, Clone)]
struct ObservedMember {
    key: String,
    /// Objects that had it.
    n_seen: u64,
    /// The number of the last one, as this inference counts them; 0 for none of its own.
    last_object: u64,
    value: Observed,
}

/// What an object's key turned out to be.
pub(super) enum Met<'a> {
    Member(&'a mut Observed),
    /// It is the second of this object.
    Again,
    /// There are too many already to keep it.
    TooMany(String),
}

impl Observed {
    pub(super) fn note(&mut self, seen: Seen, place: Place) {
        self.first[seen as usize].get_or_insert(place);
    }

    pub(super) fn note_whole(&mut self, value: i128, place: Place) {
        self.note(Seen::Whole, place);
        if value < 0 {
            self.note(Seen::Negative, place);
        }
        if value > i128::from(i64::MAX) {
            self.note(Seen::AboveInt64, place);
        }
        if value as f64 as i128 != value {
            self.note(Seen::Inexact, place);
        }
    }

    /// Takes in what was seen in messages that follow.
    pub(super) fn merge(&mut self, later: Self, limits: Limits, depth: usize) {
        for (mine, its) in self.first.iter_mut().zip(later.first) {
            *mine = mine.or(its);
        }
        if let Some(items) = later.items {
            self.items.get_or_insert_default().merge(*items, limits, depth + 1);
        }
        self.members.n_objects += later.members.n_objects;
        let members_max = limits.members_max(depth);
        for member in later.members.all {
            let Some(idx) = self.members.position(&member.key, members_max) else { continue };
            let mine = &mut self.members.all[idx];
            mine.n_seen += member.n_seen;
            mine.value.merge(member.value, limits, depth + 1);
        }
    }

    /// The type that holds all of it; what no type holds is told.
    pub(super) fn describe(&self, limits: Limits, conflicts: &mut Vec<JsonConflict>) -> JsonType {
        self.described("", limits.root_members_max, conflicts)
    }

    fn described(&self, field: &str, members_max: usize, conflicts: &mut Vec<JsonConflict>) -> JsonType {
        let nullable = self.has(Seen::Null);
        let kind = self.kind(field, members_max, conflicts);
        JsonType { kind, nullable }
    }

    fn kind(&self, field: &str, members_max: usize, conflicts: &mut Vec<JsonConflict>) -> JsonKind {
        if self.has(Seen::Other) || self.members.all.len() > members_max {
            return JsonKind::Json;
        }
        let kinds = self.kinds();
        if kinds.len() > 1 {
            conflicts.push(JsonConflict { field: field.to_owned(), kinds });
            return JsonKind::Json;
        }
        if let Some(items) = &self.items {
            return JsonKind::List(Box::new(items.described(field, MEMBERS_MAX, conflicts)));
        }
        match self {
            it if it.has(Seen::Object) => it.members.kind(field, conflicts),
            it if it.has(Seen::Bool) => JsonKind::Bool,
            it if it.has(Seen::Text) => JsonKind::String,
            it if it.has(Seen::Bytes) => JsonKind::Bytes,
            it if it.has(Seen::Float) => JsonKind::Float64,
            it if it.has(Seen::AboveInt64) => JsonKind::UInt64,
            it if it.has(Seen::Whole) => JsonKind::Int64,
            // Nothing but null.
            _ => JsonKind::Json,
        }
    }

    /// What it is, in words: more than one, where no type holds all.
    fn kinds(&self) -> Vec<(&'static str, Place)> {
        let number = match (self.has(Seen::Float), self.has(Seen::Whole)) {
            (true, true) if self.has(Seen::Inexact) => vec![
                ("a whole number that no float64 holds", Seen::Inexact),
                ("a number with a fraction", Seen::Float),
            ],
            (false, true) if self.has(Seen::AboveInt64) && self.has(Seen::Negative) => {
                vec![("a number above 2^63", Seen::AboveInt64), ("a negative number", Seen::Negative)]
            }
            (_, true) => vec![("a number", Seen::Whole)],
            (_, false) => vec![("a number", Seen::Float)],
        };
        let others = [
            ("true or false", Seen::Bool),
            ("text", Seen::Text),
            ("bytes", Seen::Bytes),
            ("a list", Seen::List),
            ("an object", Seen::Object),
        ];
        let all = number.into_iter().chain(others);
        all.filter_map(|(words, seen)| Some((words, self.first[seen as usize]?))).collect()
    }

    fn has(&self, seen: Seen) -> bool {
        self.first[seen as usize].is_some()
    }
}

impl Members {
    fn kind(&self, field: &str, conflicts: &mut Vec<JsonConflict>) -> JsonKind {
        if self.all.is_empty() {
            // `{}` everywhere: the text keeps it apart from null.
            return JsonKind::Json;
        }
        let described = |member: &ObservedMember| {
            let key = member.key.clone();
            let below = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
            let mut value = member.value.described(&below, MEMBERS_MAX, conflicts);
            value.nullable |= member.n_seen < self.n_objects;
            JsonMember { key, value }
        };
        JsonKind::Object(self.all.iter().map(described).collect())
    }

    /// The member `key` of the object numbered `n_object`. `expected` is where it is looked for first, and becomes where
    /// the next one probably is: writers keep the order of keys.
    pub(super) fn meet(
        &mut self,
        key: &str,
        n_object: u64,
        expected: &mut usize,
        members_max: usize,
    ) -> Met<'_> {
        let is_expected = self.all.get(*expected).is_some_and(|it| it.key == key);
        let known = if is_expected { Some(*expected) } else { self.position(key, members_max) };
        let Some(idx) = known else { return Met::TooMany(key.to_owned()) };
        *expected = idx + 1;
        let member = &mut self.all[idx];
        if member.last_object == n_object {
            return Met::Again;
        }
        member.last_object = n_object;
        member.n_seen += 1;
        Met::Member(&mut member.value)
    }

    /// The member `key`, known already, at `from` or behind it, and its position; one more object has it, or with `step` -1 one
    /// less.
    pub(super) fn count_behind(
        &mut self,
        key: &[u8],
        from: usize,
        step: u64,
    ) -> Option<(usize, &mut Observed)> {
        let ahead = self.all.get(from..)?.iter().take(MEMBERS_AHEAD_MAX);
        let idx = from + ahead.into_iter().position(|it| it.key.as_bytes() == key)?;
        let member = &mut self.all[idx];
        member.n_seen = member.n_seen.wrapping_add(step);
        Some((idx, &mut member.value))
    }

    /// Where `key` is, or now is; `None` when there are too many already. One more than may be is kept: it says that
    /// there are too many.
    fn position(&mut self, key: &str, members_max: usize) -> Option<usize> {
        if let Some(idx) = self.by_key.get(key) {
            return Some(*idx);
        }
        let idx = self.all.len();
        if members_max < idx {
            return None;
        }
        self.by_key.insert(key.to_owned(), idx);
        let value = Observed::default();
        self.all.push(ObservedMember { key: key.to_owned(), n_seen: 0, last_object: 0, value });
        Some(idx)
    }
}

impl From<StoredMembers> for Members {
    fn from(StoredMembers(n_objects, stored): StoredMembers) -> Self {
        let by_key = stored.iter().enumerate().map(|(idx, it)| (it.0.clone(), idx)).collect();
        let member = |(key, n_seen, value)| ObservedMember { key, n_seen, last_object: 0, value };
        Self { n_objects, all: stored.into_iter().map(member).collect(), by_key }
    }
}

impl From<Members> for StoredMembers {
    fn from(members: Members) -> Self {
        let stored = members.all.into_iter().map(|it| (it.key, it.n_seen, it.value));
        Self(members.n_objects, stored.collect())
    }
}
