use nodedata_core::{RowDeal, RowKey, StreamKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a built-in name of the source is called, because the table has a column of its own of that name.
pub(crate) const SOURCE: &str = "source.";

/// A deal as recipes and what was learned have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DealText {
    fractions: Vec<(String, f64)>,
    /// `None` for the row itself.
    field: Option<String>,
}

impl DealText {
    pub(crate) fn new(deal: &RowDeal) -> Self {
        let field = match &deal.key {
            RowKey::Row => None,
            RowKey::Field(name) => Some(name.clone()),
        };
        Self { fractions: deal.fractions.clone(), field }
    }
}

/// Position of the split that a record is dealt to: by its bytes, or the value of a field. One without the field, or
/// that is no JSON, is dealt by its bytes.
pub(crate) fn split_of(deal: &RowDeal, record: &[u8]) -> usize {
    match &deal.key {
        RowKey::Row => deal.split_of(record),
        RowKey::Field(name) => match value_of(record, name) {
            Some(value) => deal.split_of(&value),
            None => deal.split_of(record),
        },
    }
}

/// The value of a field: text as it is, everything else as compact JSON. `None` for null, and where no
/// object has it.
fn value_of(record: &[u8], name: &str) -> Option<Vec<u8>> {
    let own = name.strip_prefix(SOURCE).filter(|it| StreamKind::Samples.has_built_in(it));
    let value: Value = serde_json::from_slice(record).ok()?;
    match member(&value, own.unwrap_or(name))? {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        other => Some(other.to_string().into_bytes()),
    }
}

/// The member at a dotted path, whose keys may have dots themselves.
fn member<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let Value::Object(members) = value else { return None };
    let below = |(at, _): (usize, &str)| member(members.get(&path[..at])?, &path[at + 1..]);
    members.get(path).or_else(|| path.match_indices('.').find_map(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_path() {
        let record = br#"{"a": {"b": 1, "c.d": "x"}, "e.f": [1, 2], "g": null, "step_index": 7}"#;
        let found = |name| value_of(record, name).map(|it| String::from_utf8(it).unwrap());
        assert_eq!(found("a.b").as_deref(), Some("1"));
        assert_eq!(found("a.c.d").as_deref(), Some("x"));
        assert_eq!(found("e.f").as_deref(), Some("[1,2]"));
        assert_eq!(found("source.step_index").as_deref(), Some("7"));
        assert_eq!((found("g"), found("h"), found("a.b.c")), (None, None, None));
    }
}
