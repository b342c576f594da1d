use std::sync::Arc;

use nodedata_core::{Columns, ErrorKind, Layout};
use proptest::prelude::*;

use crate::{
    JsonConflict, JsonInference, JsonKind, JsonType, MessageDecoder, MessageSchema, Place, RowMedia,
    test_rows::Topic,
};

const ARM: &str = r##"{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "ArmState",
    "type": "object", "required": ["t", "q"],
    "properties": {"t": {"type": "integer"},
        "q": {"type": "array", "items": {"type": "number"}, "minItems": 6, "maxItems": 6},
        "gripper": {"type": ["number", "null"]},
        "phase": {"type": "string", "enum": ["reach", "grasp", "lift"]},
        "img": {"type": "string", "contentEncoding": "base64"}, "pose": {"$ref": "#/$defs/pose"}},
    "$defs": {"pose": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}}}}"##;

const ARM_MESSAGE: &str = r#"{"t": 1700000000000000000, "q": [0.0, 0.841471, 0.909297, 0.14112, -0.756802, -0.958924],
    "gripper": null, "phase": "reach", "img": "/9j/4AAQ", "pose": {"x": 1e-300, "y": -0.0}}"#;

const Q: &str = "[0.0,0.841471,0.909297,0.14112,-0.756802,-0.958924]";

#[track_caller]
fn check(schema: &str, message: &str, expected: &[&str]) {
    let row = Topic::json(schema).row(message);
    assert_eq!(row.as_deref(), Ok(expected.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice()));
}

#[track_caller]
fn check_error(schema: &str, message: &str, expected: &str) {
    let found = Topic::json(schema).row(message).unwrap_err();
    assert!(found.contains(expected), "{found}");
}

#[test]
fn a_schema_becomes_dotted_leaves() {
    let topic = Topic::json(ARM);
    assert_eq!(
        topic.types(),
        [
            "t int64",
            "q float64[6]",
            "gripper float64?",
            "phase string?",
            "img bytes?",
            "pose.x float64?",
            "pose.y float64?",
            "_extra string? as json",
        ]
    );
    let rows = topic.decode(&[ARM_MESSAGE]).unwrap();
    let value = |name: &str| rows.column(name)[0].clone();
    assert_eq!(value("t"), "1700000000000000000");
    assert_eq!(value("q"), Q);
    assert_eq!(value("gripper"), "null");
    assert_eq!(value("phase"), "reach");
    assert_eq!(value("img"), "ffd8ffe00010");
    assert_eq!(value("pose.x"), "1e-300");
    assert_eq!(value("pose.y"), "-0.0");
    assert_eq!(value("_extra"), "null");
}

#[test]
fn cbor_is_decoded_along_the_same_schema() {
    use ciborium::{Value, cbor};
    let mut value = cbor!({
        "t" => 1_700_000_000_000_000_000_u64, "q" => [0.0, 0.841471, 0.909297, 0.14112, -0.756802, -0.958924],
        "gripper" => null, "phase" => "reach", "pose" => { "x" => 1e-300, "y" => -0.0 }
    })
    .unwrap();
    let image =
        [Value::Bytes(vec![255, 216, 255]), cbor!([255, 216, 255]).unwrap(), Value::Text("/9j/".into())];
    for image in image {
        value.as_map_mut().unwrap().push((Value::Text("img".into()), image));
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes).unwrap();
        let rows = Topic::encoded("cbor", ARM).decode(&[&bytes]).unwrap();
        assert_eq!(rows.column("img"), ["ffd8ff"]);
        assert_eq!(rows.column("q"), [Q]);
        assert_eq!(rows.column("t"), ["1700000000000000000"]);
        for n_bytes in 0..bytes.len() {
            Topic::encoded("cbor", ARM).decode(&[&bytes[..n_bytes]]).unwrap_err();
        }
        value.as_map_mut().unwrap().pop();
    }
}

#[test]
fn a_number_that_is_not_finite_fits_columns_of_floats_alone() {
    for kind in ["string", "integer", "boolean"] {
        let schema = format!(r#"{{"properties": {{"s": {{"type": "{kind}"}}}}}}"#);
        let topic = Topic::json(&schema);
        let respelled = topic.decoder.respelled(br#"{"s": NaN}"#).unwrap();
        // {"s": NaN}
        let cbor = Topic::encoded("cbor", &schema).row(b"\xa1\x61s\xf9\x7e\x00");
        for refused in [topic.row(respelled), cbor] {
            let err = refused.unwrap_err();
            assert!(err.contains("feature `s`: ") && err.contains("floating point"), "{err}");
        }
    }
    let topic = Topic::json(r#"{"properties": {"s": {"type": "number"}}}"#);
    let respelled = topic.decoder.respelled(br#"{"s": -Infinity}"#).unwrap();
    assert_eq!(topic.row(respelled).unwrap()[0], "-inf");
}

#[test]
fn every_cut_of_a_message_is_an_error_and_leaves_nothing() {
    let topic = Topic::json(ARM);
    for n_bytes in 0..ARM_MESSAGE.len() {
        let err = topic.decode(&[ARM_MESSAGE, &ARM_MESSAGE[..n_bytes]]).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn errors_name_the_value_and_what_was_expected() {
    check_error(ARM, r#"{"t": 1, "q": [1,2,3,4,5]}"#, "feature `q`: ");
    check_error(ARM, r#"{"t": 1, "q": [1,2,3,4,5]}"#, "invalid length 5, expected a list of 6");
    check_error(ARM, r#"{"t": 1, "q": [1,2,3,4,5,6,7]}"#, "more than 6 items");
    check_error(
        ARM,
        r#"{"t": 1}"#,
        "feature `q`: message does not fit its schema: required key `q` is missing",
    );
    check_error(
        ARM,
        r#"{"t": 1.5, "q": [1,2,3,4,5,6]}"#,
        "feature `t`: message does not fit its schema: invalid",
    );
    check_error(ARM, r#"{"t": 9223372036854775808}"#, "9223372036854775808 does not fit int64");
    check_error(ARM, r#"{"pose": {"x": "far"}}"#, "feature `pose.x`: ");
    check_error(ARM, r#"{"t": null}"#, "feature `t`: ");
    check_error(ARM, r#"{"t": 1, "t": 1}"#, "key `t` appears twice");
    check_error(ARM, r#"{"img": "%%"}"#, "feature `img`: message does not fit its schema: base64");
    check_error(ARM, "null", "expected an object");
    check_error(ARM, "{", "EOF while parsing");
    check_error(ARM, r#"{"t": 1, "q": [1,2,3,4,5]} x"#, "expected a list of 6");
    check_error(ARM, "{}", "required key `t` is missing");
    check_error(r#"{"properties": {"a": {}}}"#, "{} x", "trailing characters");
    let number = r#"{"properties": {"a": {"type": "number"}}, "required": ["a"]}"#;
    check_error(number, r#"{"a": 9007199254740993}"#, "9007199254740993 does not fit float64 exactly");
    // The parser would round these without a word.
    let beyond = "the whole number 123456789012345678901234567891 at its byte 6 is beyond 64 bits";
    check_error(number, r#"{"a": 123456789012345678901234567891}"#, beyond);
    check_error(number, r#"{"a": 1, "b": [-99999999999999999999]}"#, "at its byte 15 is beyond 64 bits");
    let points =
        r#"{"properties": {"p": {"type": "array", "items": {"properties": {"x": {"type": "boolean"}}}}}}"#;
    check_error(points, r#"{"p": [{"x": true}, {"x": 1}]}"#, "feature `p[1].x`: ");
    let long = format!(r#"{{"t": "{}"}}"#, "é".repeat(100_000));
    assert!(Topic::json(ARM).row(long).unwrap_err().len() < 1000);
}

#[test]
fn lists_of_objects_become_parallel_ragged_leaves() {
    let schema = r#"{"type": "object", "required": ["points"], "additionalProperties": false, "properties": {
        "points": {"type": "array", "items": {"type": "object", "required": ["x"], "properties": {
            "x": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}}}}}}"#;
    let types = Topic::json(schema).types();
    assert_eq!(types, ["points.x int64[-1]", "points.tags string[-1][-1]?", "_extra string? as json"]);
    let message =
        r#"{"points": [{"x": 1, "tags": ["a", "b"]}, {"x": 2}, {"x": 3, "tags": [], "z": {"k": [1]}}]}"#;
    check(schema, message, &["[1,2,3]", "[[a,b],null,[]]", r#"{"points[2].z":{"k":[1]}}"#]);
    check(schema, r#"{"points": []}"#, &["[]", "[]", "null"]);
    check_error(schema, r#"{"points": [{"x": 1}, {}]}"#, "feature `points[1].x`: ");
    check_error(schema, r#"{"points": [], "other": 1}"#, "key `other` is not in the schema");
}

#[test]
fn nested_and_fixed_lists_keep_their_shape() {
    let schema = r#"{"required": ["m", "r"], "properties": {
        "m": {"type": "array", "minItems": 2, "maxItems": 2, "items":
            {"type": "array", "minItems": 3, "maxItems": 3, "items": {"type": "number"}}},
        "r": {"type": "array", "items": {"type": "array", "items": {"type": ["integer", "null"]}}}}}"#;
    assert_eq!(Topic::json(schema).types()[..2], ["m float64[2][3]", "r int64[-1][-1]?"]);
    let message = r#"{"m": [[1,2,3],[4,5,6]], "r": [[], [1, null]]}"#;
    check(schema, message, &["[[1.0,2.0,3.0],[4.0,5.0,6.0]]", "[[],[1,null]]", "null"]);
    check_error(schema, r#"{"m": [[1,2,3],[4,5]], "r": []}"#, "expected a list of 3");
}

#[test]
fn unknown_keys_are_kept_as_text() {
    let schema = r#"{"properties": {"a": {"type": "integer"}}}"#;
    let message = r#"{"x": [1, 2.5, "é\n"], "a": 1, "y": {"b": null, "b": 2}, "z": 1e400}"#;
    check_error(schema, message, "number out of range");
    let message = r#"{"x": [1, 2.5, "é\n"], "a": 1, "y": {"b": null, "b": 2}}"#;
    check(schema, message, &["1", r#"{"x":[1,2.5,"é\n"],"y":{"b":null,"b":2}}"#]);
}

#[test]
fn free_form_values_are_json_text() {
    let schema = r##"{"required": ["any"], "additionalProperties": false, "properties": {
        "any": {}, "map": {"type": "object", "additionalProperties": {"type": "number"}},
        "mixed": {"type": ["string", "integer"]}, "self": {"$ref": "#"},
        "tuple": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]},
        "v": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}"##;
    let topic = Topic::json(schema);
    let text = |name: &str| format!("{name} string? as json");
    assert_eq!(topic.types()[..3], ["any string as json".to_owned(), text("map"), text("mixed")]);
    let message = r#"{"any": null, "map": {"b": 1, "a": 2}, "mixed": "1", "tuple": ["a", 1], "v": 3}"#;
    let rows = topic.decode(&[message]).unwrap();
    assert_eq!(rows.column("any"), ["null"]);
    assert_eq!(rows.column("map"), [r#"{"b":1,"a":2}"#]);
    assert_eq!(rows.column("mixed"), [r#""1""#]);
    assert_eq!(rows.column("tuple"), [r#"["a",1]"#]);
    assert_eq!(rows.column("v"), ["3"]);
}

#[test]
fn times_of_foxglove_schemas_are_nanoseconds() {
    let time = r#"{"type": "object", "title": "time", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}"#;
    let schema = format!(r#"{{"additionalProperties": false, "properties": {{"stamp": {time}}}}}"#);
    assert_eq!(Topic::json(&schema).types(), ["stamp int64?"]);
    check(&schema, r#"{"stamp": {"sec": 1700000000, "nsec": 5}}"#, &["1700000000000000005"]);
    check(&schema, r#"{"stamp": {"nsec": 999999999, "sec": -1}}"#, &["-1"]);
    check(&schema, "{}", &["null"]);
    check_error(&schema, r#"{"stamp": {"sec": 1, "nsec": 1000000000}}"#, "not within one second");
    check_error(&schema, r#"{"stamp": {"sec": 9223372037, "nsec": 0}}"#, "do not fit");
    check_error(&schema, r#"{"stamp": {"sec": 1}}"#, "missing field");
    check_error(&schema, r#"{"stamp": {"sec": 1, "nsec": 1, "x": 1}}"#, "unknown field");
}

#[test]
fn a_schema_that_allows_anything_keeps_bytes() {
    for schema in ["{}", "true", r#"{"title": "Any", "description": "?"}"#] {
        let topic = Topic::json(schema);
        assert!(topic.decoder.is_opaque());
        let rows = topic.decode(&[&b"{\"a\": 1}"[..], b"{\"a\": ", b"NaN", b"[1, \"x\", null]"]).unwrap();
        assert_eq!(rows.column("data")[2], "4e614e");
    }
}

#[test]
fn schemas_that_cannot_be_used_are_errors() {
    let compile = |schema: &str| {
        let schema = MessageSchema {
            message_encoding: "json",
            schema_encoding: "jsonschema",
            schema_name: "Test",
            schema: schema.as_bytes(),
        };
        Topic::new(|layout| MessageDecoder::compile(layout, &schema)).map(|_| ()).unwrap_err().kind()
    };
    assert_eq!(compile(" "), ErrorKind::Corrupt);
    assert_eq!(compile("{"), ErrorKind::Corrupt);
    assert_eq!(compile("[]"), ErrorKind::Corrupt);
    assert_eq!(compile(r##"{"properties": {"a": {"$ref": "#/$defs/gone"}}}"##), ErrorKind::Corrupt);
    assert_eq!(compile(r#"{"type": 3}"#), ErrorKind::Corrupt);
    // Each definition holds the next one twice: 2^20 columns.
    let defs: Vec<String> = (0..20)
        .map(|it| {
            let below = format!(r##"{{"$ref": "#/$defs/d{}"}}"##, it + 1);
            format!(r#""d{it}": {{"properties": {{"a": {below}, "b": {below}}}}}"#)
        })
        .collect();
    let bomb = format!(
        r##"{{"$ref": "#/$defs/d0", "$defs": {{{}, "d20": {{"type": "integer"}}}}}}"##,
        defs.join(",")
    );
    assert_eq!(compile(&bomb), ErrorKind::Limit);
}

#[test]
fn objects_that_cost_nothing_in_the_message_are_bounded() {
    let properties: Vec<String> = (0..100).map(|it| format!(r#""p{it}": {{"type": "integer"}}"#)).collect();
    let schema = format!(r#"{{"type": "array", "items": {{"properties": {{{}}}}}}}"#, properties.join(","));
    let described = super::describe_schema(schema.as_bytes()).unwrap().unwrap();
    let mut layout = Layout::default();
    let mut plan = super::JsonPlan::compile(&mut layout, &described, super::Wire::Json).unwrap();
    plan.row_bytes_max = 100_000;
    let mut columns = Columns::new(Arc::new(layout));
    let message = |n_items: usize| format!("[{}{{}}]", "{},".repeat(n_items - 1));
    plan.decode(message(100).as_bytes(), &mut columns, &mut RowMedia::default()).unwrap();
    columns.end_row();
    let err = plan.decode(message(200).as_bytes(), &mut columns, &mut RowMedia::default()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Limit);
    columns.abort_row();
    // A number that no column holds is told as such, however much lies in front of it.
    let message = format!(r#"[{}{{"p0":99999999999999999999}}]"#, "{},".repeat(200));
    let err = plan.decode(message.as_bytes(), &mut columns, &mut RowMedia::default()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Corrupt);
    assert!(err.to_string().contains("is beyond 64 bits"), "{err}");
    columns.abort_row();
    assert_eq!(columns.finish()[0].len(), 1);
}

#[test]
fn fixed_shapes_that_cost_much_when_absent_are_refused() {
    let fixed = r#"{"type": "array", "minItems": 65536, "maxItems": 65536, "items": {"type": "number"}}"#;
    let properties: Vec<String> = (0..200).map(|it| format!(r#""p{it}": {fixed}"#)).collect();
    let schema = format!(r#"{{"properties": {{{}}}}}"#, properties.join(","));
    let described = super::describe_schema(schema.as_bytes()).unwrap().unwrap();
    let outcome = super::JsonPlan::compile(&mut Layout::default(), &described, super::Wire::Json);
    assert_eq!(outcome.map(|_| ()).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn more_than_64_keys_are_told_apart() {
    let properties: Vec<String> =
        (0..200).map(|it| format!(r#""p{it:03}": {{"type": "integer"}}"#)).collect();
    let schema = format!(r#"{{"properties": {{{}}}}}"#, properties.join(","));
    let message: Vec<String> = (0..200).rev().map(|it| format!(r#""p{it:03}": {it}"#)).collect();
    let rows = Topic::json(&schema).decode(&[format!("{{{}}}", message.join(","))]).unwrap();
    assert_eq!(rows.column("p000"), ["0"]);
    assert_eq!(rows.column("p199"), ["199"]);
    check_error(&schema, r#"{"p150": 1, "p150": 1}"#, "appears twice");
}

#[track_caller]
fn check_inferred(messages: &[&str], types: &[&str], rows: &[&str]) {
    let topic = Topic::inferred(JsonInference::default(), messages);
    assert_eq!(topic.types(), types);
    let decoded = topic.decode(messages).unwrap();
    let found: Vec<String> = decoded.columns.iter().map(|it| it.1.join(" ")).collect();
    assert_eq!(found, rows);
}

#[test]
fn messages_without_a_schema_tell_their_types() {
    check_inferred(
        &[
            r#"{"any": 0, "nested": [{"a": 1}, {"b": "é"}], "big": 9223372036854775808}"#,
            r#"{"any": 39, "nested": [{"a": 1}, {"b": "é"}], "big": 9223372036854775847}"#,
        ],
        &["any int64", "nested.a int64[-1]?", "nested.b string[-1]?", "big uint64"],
        &["0 39", "[1,null] [1,null]", "[null,é] [null,é]", "9223372036854775808 9223372036854775847"],
    );
    check_inferred(
        &[r#"{"a": 1, "b": true}"#, r#"{"a": 2.5, "c": null}"#, r#"{"c": [], "a": 3}"#],
        &["a float64", "b bool?", "c string[-1]? as json"],
        &["1.0 2.5 3.0", "true null null", "null null []"],
    );
    check_inferred(
        &[r#"{"l": [{"m": [1]}, {}, {"m": null}]}"#, r#"{"l": [null]}"#, "{}"],
        &["l.m int64[-1][-1]?"],
        &["[[1],null,null] [null] null"],
    );
}

#[test]
fn types_that_conflict_become_json_text() {
    check_inferred(
        &[r#"{"a": 1}"#, r#"{"a": "x"}"#, r#"{"a": {"k": [1, 2]}}"#, r#"{"a": null}"#],
        &["a string? as json"],
        &[r#"1 "x" {"k":[1,2]} null"#],
    );
    // 2^53 + 1 is no float64, and no 64-bit type holds both of the second pair.
    check_inferred(
        &[r#"{"a": 9007199254740993, "b": -1}"#, r#"{"a": 0.5, "b": 18446744073709551615}"#],
        &["a string as json", "b string as json"],
        &["9007199254740993 0.5", "-1 18446744073709551615"],
    );
    check_inferred(&["1", "2"], &["value int64"], &["1 2"]);
    check_inferred(&["{}", "{}"], &["value string as json"], &["{} {}"]);
    check_inferred(&["[1]", r#"{"a": 1}"#], &["value string as json"], &[r#"[1] {"a":1}"#]);
}

#[test]
fn maps_with_data_as_keys_become_json_text() {
    let keys: Vec<String> = (0..600).map(|it| format!(r#""k{it}": {it}"#)).collect();
    let message = format!(r#"{{"map": {{{}}}}}"#, keys.join(","));
    let topic = Topic::inferred(JsonInference::default(), &[&message]);
    assert_eq!(topic.types(), ["map string as json"]);
    assert!(topic.decode(&[&message]).unwrap().column("map")[0].ends_with(r#""k599":599}"#));
}

#[test]
fn messages_that_are_not_json_stay_bytes() {
    for broken in ["{", "NaN", r#"{"a": 1, "a": 2}"#, "", "{} {}"] {
        let topic = Topic::inferred(JsonInference::default(), &[r#"{"a": 1}"#, broken]);
        assert!(topic.decoder.is_opaque(), "{broken}");
        assert_eq!(topic.types(), ["data bytes"]);
    }
    assert!(Topic::inferred(JsonInference::default(), &[""; 0]).decoder.is_opaque());
    let deep = format!("{}{}", "[".repeat(60), "]".repeat(60));
    let topic = Topic::inferred(JsonInference::default(), &[&deep]);
    assert!(topic.types()[0].ends_with("string[-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1][-1] as json"));
    topic.decode(&[&deep]).unwrap();
}

#[test]
fn cbor_without_a_schema_has_bytes_and_tags() {
    use ciborium::cbor;
    let value = cbor!({"q" => [0.5, 1.5], "n" => 3}).unwrap();
    let mut bytes = Vec::new();
    ciborium::into_writer(&value, &mut bytes).unwrap();
    let topic = Topic::inferred(JsonInference::cbor(), &[&bytes]);
    assert_eq!(topic.types(), ["q float64[-1]", "n int64"]);
    assert_eq!(topic.decode(&[&bytes]).unwrap().column("q"), ["[0.5,1.5]"]);
    // {"b": h'01ff', "t": 1(2)}
    let tagged = [0xa2, 0x61, b'b', 0x42, 1, 0xff, 0x61, b't', 0xc1, 2];
    let topic = Topic::inferred(JsonInference::cbor(), &[&tagged]);
    assert_eq!(topic.types(), ["b bytes", "t string as json"]);
    assert_eq!(topic.row(tagged).unwrap(), ["01ff", r#"{"@tag":1,"@value":2}"#]);
}

const CONFLICTING: [&str; 6] = [
    r#"{"a": 1, "b": {"c": [1]}}"#,
    r#"{"b": {"c": [0.5], "d": null}, "e": "x"}"#,
    r#"{"a": -3, "b": {"c": []}}"#,
    r#"{"a": "text", "b": {"c": ["y"], "f": 18446744073709551615}}"#,
    r#"{"a": true}"#,
    r#"{"a": null, "b": null, "g": [{"h": 1}, {}]}"#,
];

fn observed(messages: &[&str], first: usize) -> JsonInference {
    let mut inference = JsonInference::default();
    for (at, message) in messages.iter().enumerate() {
        inference.observe(message.as_bytes(), Place { input: 0, at: (first + at) as u64 }).unwrap();
    }
    inference
}

#[test]
fn what_is_seen_in_parts_and_stored_is_what_is_seen_at_once() {
    let whole = observed(&CONFLICTING, 0).types();
    for cut in 0..=CONFLICTING.len() {
        let mut parts = observed(&CONFLICTING[..cut], 0);
        parts.merge(observed(&CONFLICTING[cut..], cut));
        assert_eq!(parts.types(), whole, "cut at {cut}");
        let stored = serde_json::to_string(&observed(&CONFLICTING[..cut], 0)).unwrap();
        let mut again: JsonInference = serde_json::from_str(&stored).unwrap();
        for (at, message) in CONFLICTING.iter().enumerate().skip(cut) {
            again.observe(message.as_bytes(), Place { input: 0, at: at as u64 }).unwrap();
        }
        assert_eq!(again.types(), whole, "stored at {cut}");
    }
    let at = |at: u64| Place { input: 0, at };
    let expected = [
        ("a", vec![("a number", at(0)), ("true or false", at(4)), ("text", at(3))]),
        ("b.c", vec![("a number", at(0)), ("text", at(3))]),
    ];
    let expected = expected.map(|(field, kinds)| JsonConflict { field: field.to_owned(), kinds });
    assert_eq!(whole.1, expected);
    let types: JsonType = serde_json::from_str(&serde_json::to_string(&whole.0).unwrap()).unwrap();
    assert_eq!(types, whole.0);
    let topic = Topic::new(|layout| types.compile(layout)).unwrap();
    assert_eq!(topic.decode(&CONFLICTING).unwrap().column("a")[3..], ["\"text\"", "true", "null"]);
}

/// As many keys as may be, in both parts together one more: the same whether they come at once or in parts.
#[test]
fn too_many_keys_of_two_parts_are_too_many() {
    let message = |range: std::ops::Range<usize>| {
        let keys: Vec<String> = range.map(|it| format!(r#""k{it}": {it}"#)).collect();
        format!("{{{}}}", keys.join(","))
    };
    for (n, is_text) in [(512, false), (513, true), (2000, true)] {
        let (one, other) = (message(0..300), message(300..n));
        let mut parts = observed(&[&one], 0);
        parts.merge(observed(&[&other], 1));
        assert_eq!(parts.types(), observed(&[&one, &other], 0).types());
        assert_eq!(parts.types().0.kind == JsonKind::Json, is_text, "{n} keys");
        let mut rows = JsonInference::rows();
        rows.observe(message(0..n).as_bytes(), Place { input: 0, at: 0 }).unwrap();
        assert_eq!(rows.types().0.n_leaves(), n);
    }
}

/// Whether a key comes twice does not depend on how many others were met before.
#[test]
fn a_key_that_comes_twice_is_told_beyond_those_that_are_kept() {
    let keys: Vec<String> = (0..600).map(|it| format!(r#""k{it}": {it}"#)).collect();
    let vast = format!(r#"{{"map": {{{}}}}}"#, keys.join(","));
    let mut inference = observed(&[&vast, r#"{"map": {"y": 1, "z": 2}}"#], 0);
    let err = inference.observe(br#"{"map": {"z": 1, "z": 2}}"#, Place { input: 0, at: 2 }).unwrap_err();
    assert_eq!(err.to_string(), "a key appears twice");
}

#[test]
fn a_message_that_cannot_be_read_is_refused_at_its_byte() {
    let check = |mut inference: JsonInference, payload: &[u8], message: &str, byte: u64| {
        let err = inference.observe(payload, Place { input: 0, at: 0 }).unwrap_err();
        assert_eq!((err.to_string().as_str(), err.locus().byte_offset), (message, Some(byte)));
        assert!(inference.is_broken());
    };
    let json = JsonInference::default;
    check(json(), br#"{"a": 1, "a": 2}"#, "a key appears twice", 11);
    check(json(), b"{\"a\":\n 1,\n x}", "key must be a string", 11);
    check(json(), b"", "EOF while parsing a value", 0);
    check(JsonInference::cbor(), &[0xa1, 0x61], "0 bytes are left, but 1 are declared at byte 2", 2);
}

/// What nests as deep as columns go is stored, and read again.
#[test]
fn the_deepest_that_is_seen_can_be_stored() {
    for depth in [24, 25, 100] {
        let message = format!("{}1{}", r#"{"k":"#.repeat(depth), "}".repeat(depth));
        let seen = observed(&[&message], 0);
        let stored = serde_json::to_string(&seen).unwrap();
        let again: JsonInference = serde_json::from_str(&stored).unwrap();
        assert_eq!(again.types(), seen.types(), "{depth}");
    }
}

/// The sample with some bytes changed, and a cut or some bytes more.
fn damaged(sample: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let flips = prop::collection::vec((0..sample.len(), any::<u8>()), 0..4);
    (flips, 0..sample.len() * 2).prop_map(|(flips, n_bytes)| {
        let mut bytes = sample.to_vec();
        for (at, byte) in flips {
            bytes[at] = byte;
        }
        if n_bytes < bytes.len() && n_bytes % 2 == 0 {
            bytes.truncate(n_bytes);
        }
        bytes
    })
}

/// {"t": 1, "q": [0.0, ...], "points": [{"x": 1}], "img": h'01'} in CBOR.
const CBOR: &[u8] = b"\xa4\x61t\x01\x61q\x86\x00\xfa\x3f\x80\x00\x00\x02\x03\x04\x05\x66points\x81\xa1\x61x\x01\x63img\x41\x01";

proptest! {
    #[test]
    fn damaged_messages_never_panic(json in damaged(ARM_MESSAGE.as_bytes()), cbor in damaged(CBOR)) {
        // `decode` takes a failed row back and finishes what is left; after it, rows still fit.
        for message in [&json, &cbor] {
            for topic in [Topic::json(ARM), Topic::encoded("cbor", ARM)] {
                drop(topic.decode(&[message]));
            }
            let inferences = [JsonInference::default(), JsonInference::cbor()];
            for inference in inferences {
                let topic = Topic::inferred(inference, &[message]);
                // What was inferred from a message decodes it.
                topic.decode(&[message]).unwrap();
            }
        }
    }

    #[test]
    fn failed_rows_leave_their_neighbours_alone(messages in prop::collection::vec(damaged(ARM_MESSAGE.as_bytes()), 1..6)) {
        let topic = Topic::json(ARM);
        let good: Vec<&Vec<u8>> = messages.iter().filter(|it| topic.decode(&[it]).is_ok()).collect();
        let mut columns = Columns::new(Arc::clone(&topic.layout));
        let mut pixels = crate::Pixels::default();
        for message in &messages {
            match topic.decoder.decode(message, &mut columns, &mut pixels) {
                Ok(_) => columns.end_row(),
                Err(_) => columns.abort_row(),
            }
        }
        let mut alone = Columns::new(Arc::clone(&topic.layout));
        for message in good {
            topic.decoder.decode(message, &mut alone, &mut pixels).unwrap();
            alone.end_row();
        }
        prop_assert_eq!(columns.finish(), alone.finish());
    }
}
