use serde_json::Value;

/// The value at a dotted path of a JSON record, whose keys may have dots themselves: text as it is, everything else as
/// compact JSON. `None` for null, where no object has it, and of what is no JSON.
pub fn value_at(record: &[u8], path: &str) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_slice(record).ok()?;
    match member(&value, path)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        other => Some(other.to_string().into_bytes()),
    }
}

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
        let found = |name| value_at(record, name).map(|it| String::from_utf8(it).unwrap());
        assert_eq!(found("a.b").as_deref(), Some("1"));
        assert_eq!(found("a.c.d").as_deref(), Some("x"));
        assert_eq!(found("e.f").as_deref(), Some("[1,2]"));
        assert_eq!(found("step_index").as_deref(), Some("7"));
        assert_eq!((found("g"), found("h"), found("a.b.c")), (None, None, None));
    }
}
