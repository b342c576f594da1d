use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// How ROS 2, ROS 1 and Foxglove spell a time.
const TIMES: [(&str, &str); 3] = [("sec", "nanosec"), ("secs", "nsecs"), ("sec", "nsec")];

/// The columns of one decoded message, by dotted name. An empty list of structs names no columns.
pub(super) fn leaves(message: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    walk(String::new(), message, &mut found);
    found
}

/// Whether an object tells bytes by length and hash.
pub(super) fn is_hash(object: &Map<String, Value>) -> bool {
    object.len() == 2 && object.contains_key("len") && object.contains_key("sha256")
}

fn walk(name: String, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if is_hash(fields) => {
            found.insert(name, value.clone());
        }
        Value::Object(fields) => {
            if let Some(nanos) = time(fields) {
                found.insert(name, nanos.into());
                return;
            }
            for (key, inner) in fields {
                let inner_name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                walk(inner_name, inner, found);
            }
        }
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_object) => {
            let items: Vec<BTreeMap<String, Value>> = items
                .iter()
                .map(|it| {
                    let mut inner = BTreeMap::new();
                    walk(name.clone(), it, &mut inner);
                    inner
                })
                .collect();
            for key in items.iter().flat_map(BTreeMap::keys) {
                let column = items.iter().map(|it| it.get(key).cloned().unwrap_or(Value::Null)).collect();
                found.insert(key.clone(), Value::Array(column));
            }
        }
        other => {
            found.insert(name, other.clone());
        }
    }
}

fn time(fields: &Map<String, Value>) -> Option<i64> {
    if fields.len() != 2 {
        return None;
    }
    let (seconds, nanos) = TIMES.iter().find_map(|(seconds, nanos)| {
        Some((fields.get(*seconds)?.as_i64()?, fields.get(*nanos)?.as_i64()?))
    })?;
    Some(seconds * 1_000_000_000 + nanos)
}
