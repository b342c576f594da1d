use std::{collections::BTreeMap, fmt};

use nodedata_core::{Error, ErrorKind, Locus, STEPS};
use serde::Serialize;

/// How many rows that break one rule are named; the others are counted.
const ADDRESSES_MAX: usize = 10;

/// What a schema asks of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A declared stream is there.
    MissingStream,
    /// A stream is declared.
    ExtraStream,
    /// A declared feature is there.
    Missing,
    /// A feature is declared.
    Extra,
    /// The element type is the declared one.
    Type,
    /// The number of dimensions and their lengths are the declared ones.
    Shape,
    /// Media are coded as declared.
    Encoding,
    /// Clips of sound have the declared samples a second.
    Rate,
    /// `nullable: false`.
    Null,
    /// No value is below `min`.
    Min,
    /// No value is above `max`.
    Max,
    /// No value is NaN or infinite.
    Finite,
}

/// One rule broken by one feature of one stream, by one row or many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// `steps` or the topic.
    pub stream: String,
    /// The feature; `None` where the whole stream is meant.
    pub feature: Option<String>,
    /// What it breaks.
    pub rule: Rule,
    /// What was found (in the first row concerned) and what the schema declares.
    pub message: String,
    /// What the user can do.
    pub hint: String,
    /// Rows concerned; 1 for what is known before any row is read.
    pub count: u64,
    /// The first of them, in row order.
    pub first: Vec<Address>,
}

/// A row that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// Episode index.
    pub episode: u64,
    /// Row in the episode's rows of the stream.
    pub row: u64,
    /// The value found, or its shape.
    pub found: String,
}

impl Violation {
    /// The violation as an error of kind `SchemaMismatch`, at its first row.
    pub fn to_error(&self) -> Error {
        let first = self.first.first();
        let locus = Locus {
            topic: (self.stream != STEPS).then(|| self.stream.clone()),
            feature: self.feature.clone(),
            episode_idx: first.map(|it| it.episode),
            step_idx: first.map(|it| it.row),
            ..Locus::default()
        };
        let message = match self.count {
            0 | 1 => self.message.clone(),
            n => format!("{}; so do {} more rows", self.message, n - 1),
        };
        Error::new(ErrorKind::SchemaMismatch, message).at(locus).with_hint(self.hint.clone())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.to_error();
        write!(f, "{error}")?;
        if !error.locus().is_empty() {
            write!(f, " ({})", error.locus())?;
        }
        Ok(())
    }
}

/// Everything that breaks a schema, each (stream, feature, rule) once with its count and first rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations(BTreeMap<Key, Violation>);

/// Stream and column by position, so that the order is that of the tables.
pub(crate) type Key = (u32, usize, Rule);

impl Violations {
    /// Whether nothing was broken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Rows concerned, over all rules.
    pub fn count(&self) -> u64 {
        self.0.values().map(|it| it.count).sum()
    }

    /// The violations, by stream, column and rule.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Violation> {
        self.0.values()
    }

    /// Takes in violations of later rows.
    pub fn merge(&mut self, later: Self) {
        for (key, violation) in later.0 {
            match self.0.get_mut(&key) {
                None => {
                    self.0.insert(key, violation);
                }
                Some(mine) => {
                    mine.count += violation.count;
                    mine.first.extend(violation.first);
                    mine.first.truncate(ADDRESSES_MAX);
                }
            }
        }
    }

    /// One error of kind `SchemaMismatch` for all of them: the first in full, the others below it. `None`
    /// when there is none.
    pub fn into_error(self) -> Option<Error> {
        let mut all = self.0.into_values();
        let mut first = all.next()?;
        let others: Vec<String> = all.map(|it| format!("also {it}")).collect();
        if others.is_empty() {
            return Some(first.to_error());
        }
        if first.count > 1 {
            first.message.push_str(&format!("; so do {} more rows", first.count - 1));
            first.count = 1;
        }
        Some(first.to_error().with_others(others))
    }

    /// Notes one row. `describe` makes the message and hint and is called for the first row only.
    pub(crate) fn note(&mut self, key: Key, address: Address, describe: impl FnOnce(&str) -> Violation) {
        let violation = self.0.entry(key).or_insert_with(|| describe(&address.found));
        violation.count += 1;
        if violation.first.len() < ADDRESSES_MAX {
            violation.first.push(address);
        }
    }

    /// Notes rows whose place is not known.
    pub(crate) fn note_rows(&mut self, key: Key, n_rows: u64, describe: impl FnOnce() -> Violation) {
        self.0.entry(key).or_insert_with(describe).count += n_rows;
    }

    /// Whether another row under this key would still be named.
    pub(crate) fn wants_address(&self, key: &Key) -> bool {
        self.0.get(key).is_none_or(|it| it.first.len() < ADDRESSES_MAX)
    }

    /// Counts rows without naming them.
    pub(crate) fn count_more(&mut self, key: &Key, n_rows: u64) {
        if let Some(violation) = self.0.get_mut(key) {
            violation.count += n_rows;
        }
    }
}
