use std::collections::BTreeMap;

use crate::record_type::{Kind, LEAVES_MAX, Member, Type};

/// Keys of one object below a record's own. One with more is a map whose keys are data: it becomes JSON text.
const MEMBERS_MAX: usize = 512;
/// Nesting that becomes columns; what lies deeper becomes JSON text.
pub(crate) const DEPTH_MAX: usize = 24;

/// Where a record begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Position of its file among the inputs.
    pub(crate) input: u32,
    pub(crate) byte: u64,
}

/// What a value can be, as far as it decides types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
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
    /// What no columns hold: nesting too deep, an object with too many keys.
    Vast,
}

const N_SEEN: usize = Seen::Vast as usize + 1;

/// Everything seen at one place of all records. Parts of an input are looked at alone and merged in their order, so
/// that nothing depends on how it was cut.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// The first record in which it was this.
    first: [Option<Place>; N_SEEN],
    pub(crate) items: Option<Box<Self>>,
    pub(crate) members: Members,
}

/// The members of the objects at one place, in the order they were first met.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) n_objects: u64,
    all: Vec<ObservedMember>,
    by_key: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct ObservedMember {
    key: String,
    /// Objects that had it.
    n_seen: u64,
    /// The number of the last one.
    last_object: u64,
    value: Observed,
}

/// What an object's key turned out to be.
pub(crate) enum Met<'a> {
    Member(&'a mut Observed),
    /// It is the second of this object.
    Again,
    /// There are too many already.
    TooMany,
}

/// A field that no one type holds, which becomes JSON text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) field: String,
    /// What it is, and where first.
    pub(crate) kinds: Vec<(&'static str, Place)>,
}

impl Observed {
    pub(crate) fn note(&mut self, seen: Seen, place: Place) {
        self.first[seen as usize].get_or_insert(place);
    }

    pub(crate) fn note_whole(&mut self, value: i128, place: Place) {
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

    /// Takes in what was seen in records that follow.
    pub(crate) fn merge(&mut self, later: Self) {
        for (mine, its) in self.first.iter_mut().zip(later.first) {
            *mine = mine.or(its);
        }
        if let Some(items) = later.items {
            self.items.get_or_insert_default().merge(*items);
        }
        self.members.n_objects += later.members.n_objects;
        for member in later.members.all {
            let idx = self.members.position(&member.key);
            let mine = &mut self.members.all[idx];
            mine.n_seen += member.n_seen;
            mine.value.merge(member.value);
        }
    }

    /// The type that holds all of it; what no type holds is told.
    pub(crate) fn describe(&self, conflicts: &mut Vec<Conflict>) -> Type {
        let described = self.described("", conflicts);
        if described.n_leaves() <= LEAVES_MAX {
            return described;
        }
        Type { kind: Kind::Json, nullable: false }
    }

    fn described(&self, field: &str, conflicts: &mut Vec<Conflict>) -> Type {
        let nullable = self.has(Seen::Null);
        let kind = self.kind(field, conflicts);
        Type { kind, nullable }
    }

    fn kind(&self, field: &str, conflicts: &mut Vec<Conflict>) -> Kind {
        let max = if field.is_empty() { LEAVES_MAX } else { MEMBERS_MAX };
        if self.has(Seen::Vast) || self.members.all.len() > max {
            return Kind::Json;
        }
        let kinds = self.kinds();
        if kinds.len() > 1 {
            conflicts.push(Conflict { field: field.to_owned(), kinds });
            return Kind::Json;
        }
        if let Some(items) = &self.items {
            return Kind::List(Box::new(items.described(field, conflicts)));
        }
        match self {
            it if it.has(Seen::Object) => it.members.kind(field, conflicts),
            it if it.has(Seen::Bool) => Kind::Bool,
            it if it.has(Seen::Text) => Kind::String,
            it if it.has(Seen::Float) => Kind::Float64,
            it if it.has(Seen::AboveInt64) => Kind::UInt64,
            it if it.has(Seen::Whole) => Kind::Int64,
            // Nothing but null.
            _ => Kind::Json,
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
    fn kind(&self, field: &str, conflicts: &mut Vec<Conflict>) -> Kind {
        if self.all.is_empty() {
            // `{}` everywhere: the text keeps it apart from null.
            return Kind::Json;
        }
        let described = |member: &ObservedMember| {
            let key = member.key.clone();
            let below = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
            let mut value = member.value.described(&below, conflicts);
            value.nullable |= member.n_seen < self.n_objects;
            Member { key, value }
        };
        Kind::Object(self.all.iter().map(described).collect())
    }

    /// The member `key` of the object numbered `n_object`. `expected` is where it is looked for first, and becomes where
    /// the next one probably is: writers keep the order of keys.
    pub(crate) fn meet(&mut self, key: &str, n_object: u64, expected: &mut usize, depth: usize) -> Met<'_> {
        let is_expected = self.all.get(*expected).is_some_and(|it| it.key == key);
        let max = if depth == 0 { LEAVES_MAX } else { MEMBERS_MAX };
        if !is_expected && self.all.len() > max && !self.by_key.contains_key(key) {
            return Met::TooMany;
        }
        let idx = if is_expected { *expected } else { self.position(key) };
        *expected = idx + 1;
        let member = &mut self.all[idx];
        if member.last_object == n_object {
            return Met::Again;
        }
        member.last_object = n_object;
        member.n_seen += 1;
        Met::Member(&mut member.value)
    }

    fn position(&mut self, key: &str) -> usize {
        if let Some(idx) = self.by_key.get(key) {
            return *idx;
        }
        let idx = self.all.len();
        self.by_key.insert(key.to_owned(), idx);
        let value = Observed::default();
        self.all.push(ObservedMember { key: key.to_owned(), n_seen: 0, last_object: 0, value });
        idx
    }
}
