use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, Float32Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    UInt32Array, types::Float64Type,
};
use arrow_schema::{Field, Schema};
use serde_json::{Value, json};

use super::{MessageTruth, sha256};

fn truth(decoded: Value) -> MessageTruth {
    MessageTruth {
        log_time: 7,
        publish_time: Some(6),
        sequence: Some(5),
        sha256: String::new(),
        size: 0,
        decoded: Some(decoded),
    }
}

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let built_in: [(&str, ArrayRef); 3] = [
        ("log_time_ns", Arc::new(Int64Array::from(vec![7]))),
        ("publish_time_ns", Arc::new(Int64Array::from(vec![6]))),
        ("sequence", Arc::new(UInt32Array::from(vec![5]))),
    ];
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = built_in
        .into_iter()
        .chain(columns)
        .map(|(name, array)| {
            let field = Field::new(name, array.data_type().clone(), true);
            let constants = [("nodedata:constants".to_owned(), "OFF=0,ON=3".to_owned())];
            (field.with_metadata(constants), array)
        })
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

#[track_caller]
fn check(decoded: Value, columns: Vec<(&str, ArrayRef)>, differing: &[&str]) {
    let found = truth(decoded).differences(&table(columns), 0).unwrap();
    let names: Vec<&str> = found.iter().map(|it| it.split(':').next().unwrap_or_default()).collect();
    assert_eq!(names, differing, "{found:#?}");
}

fn int(value: i32) -> ArrayRef {
    Arc::new(Int32Array::from(vec![value]))
}

fn nanos(value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

fn doubles(values: &[Option<f64>]) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some(values.to_vec())]))
}

#[test]
fn structs_lists_and_times_become_columns() {
    let decoded = json!({"header": {"stamp": {"sec": -1, "nanosec": 500_000_000}}, "points": [{"x": 1.0}, {"y": 2.0}], "gone": []});
    let columns = |stamp, x: &[Option<f64>]| {
        vec![
            ("header.stamp", nanos(stamp)),
            ("points.x", doubles(x)),
            ("points.y", doubles(&[None, Some(2.0)])),
            ("gone.z", doubles(&[])),
        ]
    };
    check(decoded.clone(), columns(-500_000_000, &[Some(1.0), None]), &[]);
    check(decoded.clone(), columns(-500_000_001, &[Some(1.0), Some(0.0)]), &["header.stamp", "points.x"]);
    check(decoded, columns(-500_000_000, &[Some(1.0)]), &["points.x"]);
}

#[test]
fn a_column_too_many_or_too_few_is_a_difference() {
    check(json!({"a": 1}), vec![("a", int(1)), ("b", int(0))], &["b"]);
    check(json!({"a": 1, "b": [1.0]}), vec![("a", int(1))], &["b"]);
    check(json!({"sequence": 9}), vec![("message.sequence", int(9))], &[]);
    let late = MessageTruth { log_time: 8, ..truth(json!({})) };
    assert_eq!(late.differences(&table(vec![]), 0).unwrap().len(), 1);
}

#[test]
fn protobuf_spells_numbers_as_text() {
    let decoded =
        json!({"_protobuf": {"at": "2024-02-29T00:00:01.5Z", "span": "-1.25s", "big": "-9", "level": "ON"}});
    let columns = |level| {
        vec![
            ("at", nanos(1_709_164_801_500_000_000)),
            ("span", nanos(-1_250_000_000)),
            ("big", nanos(-9)),
            ("level", int(level)),
        ]
    };
    check(decoded.clone(), columns(3), &[]);
    check(decoded, columns(0), &["level"]);
}

#[test]
fn floats_are_compared_by_their_bits() {
    let zero: ArrayRef = Arc::new(Float32Array::from(vec![-0.0]));
    check(json!({"f": -0.0}), vec![("f", zero.clone())], &[]);
    check(json!({"f": 0.0}), vec![("f", zero)], &["f"]);
    let tenth: ArrayRef = Arc::new(Float32Array::from(vec![0.1]));
    check(json!({"f": 0.1}), vec![("f", tenth.clone())], &[]);
    check(json!({"f": 0.100_000_001_490_116_12}), vec![("f", tenth.clone())], &[]);
    check(json!({"f": "nan"}), vec![("f", tenth)], &["f"]);
    check(json!({"f": ["nan", "-inf"]}), vec![("f", doubles(&[Some(f64::NAN), Some(-f64::INFINITY)]))], &[]);
}

#[test]
fn bytes_are_told_in_three_ways() {
    let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"abc"]));
    for told in [json!("YWJj"), json!([97, 98, 99]), json!({"len": 3, "sha256": sha256(b"abc")})] {
        check(json!({"data": told}), vec![("data", bytes.clone())], &[]);
    }
    check(json!({"data": "YWJk"}), vec![("data", bytes)], &["data"]);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["YWJj"]));
    check(json!({"data": "YWJj"}), vec![("data", text)], &[]);
}

#[test]
fn pixels_are_worked_out_from_the_payload() {
    let payload = b"head\x01\x02\x03\xff\x04\x05\x06\xfftail";
    let told = json!({"encoding": "bgr8", "width": 1, "height": 2, "step": 4, "is_bigendian": 0,
        "data": {"len": 8, "sha256": sha256(&payload[4..12])}});
    let message = MessageTruth { sha256: sha256(payload), ..truth(told) }.with_stored_pixels(payload);
    assert_eq!(message.decoded.unwrap()["data"], json!({"len": 6, "sha256": sha256(&[3, 2, 1, 6, 5, 4])}));
}
