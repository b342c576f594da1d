//! Any bytes as a JSON Schema and a message of it, and as messages that describe themselves; JSON and CBOR alike.
#![no_main]

mod message;

use libfuzzer_sys::fuzz_target;
use message::{check, check_inferred};
use nodedata_message::JsonInference;

const ARM: &[u8] = br#"{"type": "object", "required": ["q"], "properties": {
    "q": {"type": "array", "items": {"type": "number"}}, "name": {"type": "string"}, "n": {"type": "integer"},
    "list": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "boolean"}}}},
    "raw": {"type": "string", "contentEncoding": "base64"}, "any": {}}}"#;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (schema, payload) = input;
    for wire in ["json", "cbor"] {
        check([wire, "jsonschema", "Arm"], ARM, payload, 32);
        check([wire, "jsonschema", "Arm"], schema, payload, usize::MAX);
    }
    // The first one shapes the columns that both are read into.
    check_inferred(JsonInference::default(), [schema, payload]);
    check_inferred(JsonInference::cbor(), [schema, payload]);
});
