//! The whole numbers that requests bring in their paths, queries and headers. Each is declared once, with its maximum: the
//! table of routes names it, the description tells it, and no handler is asked before it was held against it.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use nodedata_core::{Error, ErrorKind, Locus};
use nodedata_registry::{BLOB_BYTES_MAX, POSITION_MAX, at_most, http::BLOB_BYTES, tree::PARTS_MAX};

use crate::refusal::{Answered, Refusal};

/// A whole number that a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// What it is, for people.
    pub(crate) what: &'static str,
    pub(crate) max: u64,
    /// What it is when it does not come; without one it must.
    pub(crate) default: Option<u64>,
}

/// Where a number stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

/// Length of the blob that is asked about.
pub(crate) const BYTES: Number = Number {
    name: "bytes",
    place: Place::Query,
    what: "Length of the blob",
    max: BLOB_BYTES_MAX,
    default: None,
};
/// Length of the blob that a part belongs to.
pub(crate) const BYTES_OF_PART: Number = Number { name: BLOB_BYTES, place: Place::Header, ..BYTES };
/// Which part of it.
pub(crate) const PART: Number = Number {
    name: "part",
    place: Place::Path,
    what: "Position of the part",
    max: PARTS_MAX - 1,
    default: None,
};
/// Which shard of a revision.
pub(crate) const SHARD: Number = Number {
    name: "idx",
    place: Place::Path,
    what: "Position of the shard",
    max: POSITION_MAX,
    default: None,
};
/// Where a page of a log begins.
pub(crate) const FROM: Number = Number {
    name: "from",
    place: Place::Query,
    what: "Number of the first record",
    max: POSITION_MAX,
    default: Some(0),
};
/// Where a page of the audit log begins.
pub(crate) const SINCE: Number = Number { name: "since", what: "Number of the first line", ..FROM };

/// Longest page of a list of datasets.
pub(crate) const LIMIT: Number =
    Number { name: "limit", place: Place::Query, what: "Datasets of a page", max: 1000, default: Some(100) };

/// What a request says besides its body.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
}

impl Number {
    /// The number as a request says it.
    pub(crate) fn of(&self, said: &Said) -> Answered<u64> {
        let text = match self.place {
            Place::Path => said.params.get(self.name).map(String::as_str),
            Place::Query => said.query.get(self.name).map(String::as_str),
            // What is no text is no number either.
            Place::Header => said.headers.get(self.name).map(|it| it.to_str().unwrap_or_default()),
        };
        let (name, max) = (self.name, self.max);
        let number = match (text, self.default) {
            (None, Some(default)) => Some(default),
            // Digits alone: no sign, no space, nothing behind.
            (Some(text), _) if text.bytes().all(|it| it.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        let refused = |err: Error| Refusal::of(422, "number", &err);
        let Some(number) = number else {
            let err =
                Error::new(ErrorKind::Config, format!("`{name}` is no number")).at(Locus::feature(name));
            return Err(refused(err.with_hint(format!("write a whole number from 0 to {max}"))));
        };
        at_most(name, number, max).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(number: &Number, text: &str) -> Option<u64> {
        let mut said = Said::default();
        match number.place {
            Place::Path => drop(said.params.insert(number.name.to_owned(), text.to_owned())),
            Place::Query => drop(said.query.insert(number.name.to_owned(), text.to_owned())),
            Place::Header => drop(said.headers.insert(number.name, text.parse().unwrap())),
        }
        number.of(&said).ok()
    }

    #[test]
    fn numbers_are_read_up_to_their_maximum() {
        for number in [BYTES, BYTES_OF_PART, PART, SHARD, FROM, SINCE, LIMIT] {
            for taken in [0, 1, number.max - 1, number.max] {
                assert_eq!(read(&number, &taken.to_string()), Some(taken), "{number:?}");
            }
            let above = [number.max + 1, 1 << 63, u64::MAX].map(|it| it.to_string());
            for bad in
                above.iter().map(String::as_str).chain(["", "-1", "+1", " 1", "1 ", "0x1", "1e3", "1.0"])
            {
                assert_eq!(read(&number, bad), None, "{number:?} {bad:?}");
            }
            assert_eq!(read(&number, "18446744073709551616"), None, "{number:?}");
            assert_eq!(number.of(&Said::default()).ok(), number.default, "{number:?}");
        }
    }

    #[test]
    fn a_number_that_is_too_great_is_named_with_its_maximum() {
        let said = Said {
            query: BTreeMap::from([("bytes".to_owned(), (1u64 << 56).to_string())]),
            ..Said::default()
        };
        let problem = BYTES.of(&said).unwrap_err().problem;
        assert_eq!((problem.status, problem.code.as_str()), (422, "number"));
        let told = problem.fix.unwrap();
        assert!(problem.title.contains("`bytes`") && told.contains(&BYTES.max.to_string()), "{told}");
    }
}
