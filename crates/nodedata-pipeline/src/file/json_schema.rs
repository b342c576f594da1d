use nodedata_core::Moment;
use serde_json::{Map, Value, json};

use super::{
    keys::{FILE, Key, Kind},
    transforms,
};

/// The JSON Schema of pipeline files, for editors: made of the table that the parser goes by.
pub fn pipeline_json_schema() -> Value {
    let mut schema = mapping(FILE, None);
    if let Value::Object(members) = &mut schema {
        members.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        members.insert("title".to_owned(), json!("node-data pipeline"));
    }
    schema
}

fn mapping(keys: &[Key], names: Option<&Kind>) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let mut value = of(&key.kind);
        if let Value::Object(members) = &mut value {
            members.insert("description".to_owned(), json!(key.about));
        }
        properties.insert(key.name.to_owned(), value);
    }
    let required: Vec<&str> = keys.iter().filter(|it| it.required).map(|it| it.name).collect();
    let others = names.map_or(Value::Bool(false), of);
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": others});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A text with a variable in it may stand for any scalar.
const VARIABLE: &str = r"\$\{env:[^}]+\}";

pub(super) fn or_variable(schema: &Value) -> Value {
    json!({"anyOf": [schema, {"type": "string", "pattern": VARIABLE}]})
}

fn of(kind: &Kind) -> Value {
    match kind {
        Kind::Text => json!({"type": ["string", "number", "boolean"]}),
        Kind::Bool => or_variable(&json!({"type": "boolean"})),
        Kind::Integer(min, max) => or_variable(&json!({"type": "integer", "minimum": min, "maximum": max})),
        Kind::Number(min, max) => or_variable(&json!({"type": "number", "minimum": min, "maximum": max})),
        Kind::Rate => or_variable(&json!({"anyOf": [
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000},
            {"type": "string", "pattern": r"^\d+(\.\d{1,9}|/\d+)?$"},
        ]})),
        Kind::Moment(takes_offsets) => {
            let pattern = Moment::pattern(*takes_offsets);
            or_variable(&json!({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": pattern}]}))
        }
        Kind::Choice(words) => {
            let mut words: Vec<Value> = words.iter().map(|it| json!(it)).collect();
            // YAML reads them so.
            if words.contains(&json!("null")) {
                words.push(Value::Null);
            }
            if words.contains(&json!("off")) {
                words.push(json!(false));
            }
            or_variable(&json!({"enum": words}))
        }
        Kind::Secret => json!({
            "type": "object",
            "properties": {"env": {"type": "string", "pattern": "^[A-Za-z0-9_]+$"}},
            "required": ["env"],
            "additionalProperties": false,
        }),
        Kind::Constant => json!({"anyOf": [
            {"type": ["string", "number", "boolean"]},
            {"type": "array", "items": {"type": "number"}, "minItems": 1},
        ]}),
        Kind::List(each) => json!({"type": "array", "items": of(each), "minItems": 1}),
        Kind::Map(keys) => mapping(keys, None),
        Kind::Names(keys, each) => mapping(keys, Some(each)),
        Kind::Transforms(scope) => transforms::json_schema(*scope),
        Kind::Either(kinds) => json!({"anyOf": kinds.iter().map(of).collect::<Vec<_>>()}),
    }
}
