use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int64Array, builder::*};
use expect_test::{Expect, expect};
use nodedata_core::{DType, Dim, Storage, StreamKind};

use super::*;
use crate::Address;

fn stream(features: Vec<Feature>) -> StreamSchema {
    StreamSchema {
        id: StreamId(0),
        name: STEPS.into(),
        kind: StreamKind::Steps,
        features,
        metadata: [].into(),
    }
}

fn schema(fields: &str) -> Schema {
    Schema::from_json(&format!(r#"{{"fields": {{{fields}}}}}"#)).unwrap()
}

fn text<'a>(violations: impl IntoIterator<Item = &'a Violation>) -> String {
    violations.into_iter().map(|it| format!("{it}\n  hint: {}\n", it.hint)).collect()
}

const PLACE: RowPlace = RowPlace { episode: 118, first_row: 40 };

/// Checks one column of the step table.
fn run(declared: &str, feature: &Feature, column: ArrayRef) -> Result<CheckedBatch, Violations> {
    let stream = stream(vec![feature.clone()]);
    let rows = RecordBatch::try_new(stream.arrow(), vec![column]).unwrap();
    let check = SchemaCheck::new(&schema(declared), &[stream]).unwrap();
    check.rows(StreamId(0), rows, &[], PLACE)
}

#[expect(clippy::needless_pass_by_value, reason = "calls read better without a reference")]
#[track_caller]
fn refused(declared: &str, feature: &Feature, column: ArrayRef, expected: Expect) {
    let violations = run(declared, feature, column).expect_err("rows that break the schema");
    expected.assert_eq(&text(violations.iter()));
}

fn lists(rows: &[Option<&[f32]>], feature: &Feature) -> ArrayRef {
    let arrow_schema::DataType::List(item) = feature.arrow_type() else { panic!() };
    let mut builder = ListBuilder::new(Float32Builder::new()).with_field(item);
    for row in rows {
        match row {
            Some(row) => builder.append_value(row.iter().map(|it| Some(*it))),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

fn action() -> Feature {
    Feature::new("action", DType::Float32, vec![Dim::Variable]).nullable()
}

#[test]
fn what_cannot_fit_is_told_before_any_row() {
    let features = vec![
        Feature::new("step_index", DType::Int64, vec![]),
        Feature::new("action", DType::Float64, vec![Dim::Fixed(8)]),
        Feature::new("state", DType::Float32, vec![]),
        Feature::new("rgb", DType::UInt8, vec![Dim::Variable; 3]),
        Feature::new("extra", DType::Bool, vec![]),
    ];
    let declared = r#""action": {"type": "float32", "shape": [-1, 7]}, "states": {"type": "float32", "shape": [-1]},
        "state": {"type": "float32", "shape": [-1, -1]}, "rgb": {"type": "uint8", "shape": [-1, 2, 2, 3], "encoding": "jpeg"}"#;
    let violations = SchemaCheck::new(&schema(declared), &[stream(features)]).expect_err("violations");
    expect![[r#"
        feature `action` is float64, but the schema declares float32 (feature `action`)
          hint: change `fields.action.type` in schema.json
        feature `action` has shape [8], but the schema declares [7] (feature `action`)
          hint: change `fields.action.shape` in schema.json
        feature `states` is missing, but the schema declares it (feature `states`)
          hint: did you mean `state`?
        feature `state` has shape [], but the schema declares [-1] (feature `state`)
          hint: change `fields.state.shape` in schema.json
        feature `rgb` holds plain values, but the schema declares jpeg (feature `rgb`)
          hint: remove `fields.rgb.encoding` in schema.json
        feature `extra` is there, but the schema does not declare it (feature `extra`)
          hint: add `"extra": {"type": "bool", "shape": [-1]}` to `fields`
    "#]]
    .assert_eq(&text(&violations));
}

#[test]
fn rows_that_follow_the_schema_pass() {
    let declared =
        r#""action": {"type": "float32", "shape": [-1, 2], "min": -0.1, "max": 1, "finite": true}"#;
    // A float32 -0.1 lies below the float64 -0.1, but not below what was meant.
    let column = lists(&[Some(&[-0.1, 1.0]), None], &action());
    let checked = run(declared, &action(), column.clone()).unwrap();
    assert_eq!(checked.rows().column(0), &column);
}

#[test]
fn a_row_of_another_shape_is_named() {
    let rows: Vec<Option<&[f32]>> = vec![Some(&[1.0, 2.0]), Some(&[1.0, 2.0, 3.0]), None, Some(&[])];
    refused(
        r#""action": {"type": "float32", "shape": [-1, 2]}"#,
        &action(),
        lists(&rows, &action()),
        expect![[r#"
            feature `action` has shape [3], but the schema declares [2]; so do 1 more rows (episode 118, step 41, feature `action`)
              hint: change `fields.action.shape` in schema.json
        "#]],
    );
}

#[test]
fn values_out_of_bounds_nulls_and_nan_are_named() {
    let rows: Vec<Option<&[f32]>> =
        vec![Some(&[0.0, 2.0, 3.0]), Some(&[f32::NAN]), None, Some(&[-5.0, f32::INFINITY])];
    refused(
        r#""action": {"type": "float32", "shape": [-1, -1], "min": -1, "max": 1.5, "finite": true, "nullable": false}"#,
        &action(),
        lists(&rows, &action()),
        expect![[r#"
            feature `action` is null, but the schema declares it not nullable (episode 118, step 42, feature `action`)
              hint: change `fields.action.nullable` in schema.json, or repair the source
            feature `action` is -5.0, but the schema declares at least -1 (episode 118, step 43, feature `action`)
              hint: change `fields.action.min` in schema.json, or repair the source
            feature `action` is 2.0, but the schema declares at most 1.5; so do 1 more rows (episode 118, step 40, feature `action`)
              hint: change `fields.action.max` in schema.json, or repair the source
            feature `action` is NaN, but the schema declares it finite; so do 1 more rows (episode 118, step 41, feature `action`)
              hint: change `fields.action.finite` in schema.json, or repair the source
        "#]],
    );
}

#[test]
fn values_below_a_null_do_not_count() {
    let fixed = Feature::new("action", DType::Float32, vec![Dim::Fixed(2)]).nullable();
    let arrow_schema::DataType::FixedSizeList(item, _) = fixed.arrow_type() else { panic!() };
    let values: ArrayRef = Arc::new(Float32Array::from(vec![0.0, 0.0, 99.0, 99.0]));
    let nulls = arrow_buffer::NullBuffer::from(vec![true, false]);
    let column = Arc::new(arrow_array::FixedSizeListArray::new(item, 2, values, Some(nulls)));
    assert!(run(r#""action": {"type": "float32", "shape": [-1, 2], "max": 1}"#, &fixed, column).is_ok());
}

#[test]
fn integers_are_compared_exactly() {
    let feature = Feature::new("n", DType::Int64, vec![]);
    let column = || Arc::new(Int64Array::from(vec![9_007_199_254_740_993, 9_007_199_254_740_992]));
    let declared = r#""n": {"type": "int64", "shape": [-1], "max": 9007199254740992}"#;
    let violations = run(declared, &feature, column()).unwrap_err();
    let first = &violations.iter().next().unwrap().first;
    assert_eq!(first, &[Address { episode: 118, row: 40, found: "9007199254740993".to_owned() }]);
    assert!(run(r#""n": {"type": "int64", "shape": [-1], "min": 0.5}"#, &feature, column()).is_ok());
}

#[test]
fn ten_rows_are_named_and_all_are_counted() {
    let feature = Feature::new("n", DType::Int64, vec![]);
    let declared = r#""n": {"type": "int64", "shape": [-1], "min": 0}"#;
    let column = |n: i64| Arc::new(Int64Array::from_iter_values((0..n).map(|it| -it)));
    let mut all = run(declared, &feature, column(9)).unwrap_err();
    all.merge(run(declared, &feature, column(3000)).unwrap_err());
    let violation = all.iter().next().unwrap();
    assert_eq!((violation.count, violation.first.len(), all.count()), (3007, 10, 3007));
    assert_eq!(violation.first[9].found, "-2");
    let error = all.into_error().unwrap();
    assert_eq!(error.kind(), nodedata_core::ErrorKind::SchemaMismatch);
    assert_eq!(
        error.to_string(),
        "feature `n` is -1, but the schema declares at least 0; so do 3006 more rows"
    );
}

#[test]
fn frames_are_held_against_the_declared_tensor() {
    let mut rgb = Feature::new("rgb", DType::Bytes, vec![]);
    rgb.storage = Storage::EncodedMedia;
    let stream = stream(vec![rgb]);
    let declared = schema(r#""rgb": {"type": "uint8", "shape": [-1, 224, -1, 3], "encoding": "jpeg"}"#);
    let check = SchemaCheck::new(&declared, std::slice::from_ref(&stream)).unwrap();
    let rows = RecordBatch::new_empty(stream.arrow());
    let pixels = |encoding: &str, dtype, shape: &[u32]| MediaShape {
        column: 0,
        dtype,
        shape: shape.to_vec(),
        encoding: encoding.to_owned(),
        rate_hz: None,
        n_rows: 3,
    };
    let good = [pixels("jpeg", DType::UInt8, &[224, 500, 3]), pixels("jpeg", DType::Bytes, &[])];
    assert!(check.rows(StreamId(0), rows.clone(), &good, PLACE).is_ok());
    let bad = [pixels("jpeg", DType::UInt8, &[480, 640]), pixels("png", DType::UInt16, &[224, 1, 3])];
    let violations = check.rows(StreamId(0), rows, &bad, PLACE).unwrap_err();
    expect![[r#"
        frames of feature `rgb` decode to uint16, but the schema declares uint8; so do 2 more rows (feature `rgb`)
          hint: change the type of `rgb` in schema.json
        feature `rgb` has shape [480, 640], but the schema declares [224, -1, 3]; so do 2 more rows (feature `rgb`)
          hint: change `fields.rgb.shape` in schema.json
        feature `rgb` is coded as png, but the schema declares jpeg; so do 2 more rows (feature `rgb`)
          hint: change `fields.rgb.encoding` in schema.json
    "#]]
    .assert_eq(&text(violations.iter()));
}

#[test]
fn clips_are_held_against_the_declared_rate() {
    let mut talk = Feature::new("talk", DType::Bytes, vec![]);
    talk.storage = Storage::EncodedMedia;
    let stream = stream(vec![talk]);
    let declared =
        schema(r#""talk": {"type": "int16", "shape": [-1, -1, 1], "encoding": "flac", "rate_hz": 16000}"#);
    let check = SchemaCheck::new(&declared, std::slice::from_ref(&stream)).unwrap();
    let rows = RecordBatch::new_empty(stream.arrow());
    let clip = |rate_hz| MediaShape {
        column: 0,
        dtype: DType::Int16,
        shape: vec![800, 1],
        encoding: "flac".to_owned(),
        rate_hz,
        n_rows: 3,
    };
    let good = [clip(Some(16_000)), clip(None)];
    assert!(check.rows(StreamId(0), rows.clone(), &good, PLACE).is_ok());
    let violations = check.rows(StreamId(0), rows, &[clip(Some(8_000))], PLACE).unwrap_err();
    expect![[r#"
        feature `talk` has 8000 samples a second, but the schema declares 16000; so do 2 more rows (feature `talk`)
          hint: change `fields.talk.rate_hz` in schema.json
    "#]]
    .assert_eq(&text(violations.iter()));
}

/// Whatever the coding is declared as, a rate is that of clips; where both may be there, each is what it is.
#[test]
fn pictures_are_no_clips_of_a_rate() {
    let mut front = Feature::new("front", DType::Bytes, vec![]);
    front.storage = Storage::EncodedMedia;
    let stream = stream(vec![front]);
    let rows = RecordBatch::new_empty(stream.arrow());
    let found = |encoding: &str| MediaShape {
        column: 0,
        dtype: DType::UInt8,
        shape: vec![],
        encoding: encoding.to_owned(),
        rate_hz: None,
        n_rows: 3,
    };
    let check = |text: &str, encoding: &str| {
        let check = SchemaCheck::new(&schema(text), std::slice::from_ref(&stream)).unwrap();
        check.rows(StreamId(0), rows.clone(), &[found(encoding)], PLACE).map(drop)
    };
    let open = r#""front": {"type": "bytes", "shape": [-1], "rate_hz": 16000}"#;
    let mixed = r#""front": {"type": "bytes", "shape": [-1], "encoding": "mixed", "rate_hz": 16000}"#;
    let violations = check(open, "png").unwrap_err();
    expect![[r#"
        feature `front` holds pictures coded as png, but the schema declares clips of 16000 samples a second; so do 2 more rows (feature `front`)
          hint: remove `fields.front.rate_hz` in schema.json
    "#]]
    .assert_eq(&text(violations.iter()));
    // Bytes that do not tell contradict nothing.
    assert!(check(open, "unknown").is_ok() && check(open, "mp3").is_ok());
    assert!(check(mixed, "png").is_ok());
}

#[test]
fn plain_values_have_no_rate() {
    let plain = stream(vec![Feature::new("talk", DType::Int16, vec![])]);
    let declared = schema(r#""talk": {"type": "int16", "shape": [-1], "rate_hz": 16000}"#);
    let violations = SchemaCheck::new(&declared, &[plain]).expect_err("violations");
    expect![[r#"
        feature `talk` holds plain values, but the schema declares clips of 16000 samples a second (feature `talk`)
          hint: remove `fields.talk.rate_hz` in schema.json
    "#]]
    .assert_eq(&text(&violations));
}

/// Frames in lists of the given lengths, none of them null.
fn frames(lengths: &[usize], feature: &Feature) -> ArrayRef {
    let arrow_schema::DataType::List(item) = feature.arrow_type() else { panic!() };
    let bytes = arrow_array::BinaryArray::from_iter_values((0..lengths.iter().sum()).map(|_| b"jpeg"));
    let offsets = arrow_buffer::OffsetBuffer::from_lengths(lengths.iter().copied());
    Arc::new(arrow_array::ListArray::new(item, offsets, Arc::new(bytes), None))
}

fn frame_lists(dim: Dim) -> Feature {
    let mut feature = Feature::new("views", DType::Bytes, vec![]).in_lists(vec![dim]);
    feature.storage = Storage::RawMedia;
    feature
}

#[test]
fn lists_of_frames_are_held_against_the_first_dimensions() {
    let feature = frame_lists(Dim::Variable);
    let stream = stream(vec![feature.clone()]);
    // The plain form leaves it to the data which dimensions are lists; the key pins them.
    for lists in ["", r#", "lists": 1"#] {
        let declared = format!(r#""views": {{"type": "uint8", "shape": [-1, 2, 8, -1, 3]{lists}}}"#);
        let rows = |lengths| RecordBatch::try_new(stream.arrow(), vec![frames(lengths, &feature)]).unwrap();
        let check = SchemaCheck::new(&schema(&declared), std::slice::from_ref(&stream)).unwrap();
        let pixels = |shape: &[u32]| MediaShape {
            column: 0,
            dtype: DType::UInt8,
            shape: shape.to_vec(),
            encoding: "jpeg".to_owned(),
            rate_hz: None,
            n_rows: 2,
        };
        assert!(check.rows(StreamId(0), rows(&[2, 2]), &[pixels(&[8, 9, 3])], PLACE).is_ok());
        let mut broken = check.rows(StreamId(0), rows(&[2, 3, 2]), &[], PLACE).unwrap_err();
        expect![[r#"
            feature `views` has shape [3], but the schema declares [2] (episode 118, step 41, feature `views`)
              hint: change `fields.views.shape` in schema.json
        "#]]
        .assert_eq(&text(broken.iter()));
        broken = check.rows(StreamId(0), rows(&[2, 2]), &[pixels(&[8, 9])], PLACE).unwrap_err();
        expect![[r#"
            feature `views` has shape [8, 9], but the schema declares [8, -1, 3]; so do 1 more rows (feature `views`)
              hint: change `fields.views.shape` in schema.json
        "#]]
        .assert_eq(&text(broken.iter()));
    }
}

#[test]
fn lists_that_the_column_does_not_have_are_refused() {
    let told = |declared: &str, feature: Feature| {
        text(&SchemaCheck::new(&schema(declared), &[stream(vec![feature])]).expect_err("violations"))
    };
    let two = r#""views": {"type": "uint8", "shape": [-1, 2, 2, 8, 8], "encoding": "png", "lists": 2}"#;
    let none = r#""views": {"type": "uint8", "shape": [-1, 8, 8], "lists": 0}"#;
    let four = r#""views": {"type": "uint8", "shape": [-1, 4, 8, 8], "encoding": "png"}"#;
    let scalar = r#""views": {"type": "bytes", "shape": [-1]}"#;
    let all = [
        told(two, frame_lists(Dim::Variable)),
        told(none, frame_lists(Dim::Variable)),
        told(four, frame_lists(Dim::Fixed(2))),
        told(scalar, frame_lists(Dim::Fixed(2))),
    ];
    expect![[r#"
        feature `views` holds media in 1 lists, but the schema declares 2 around them (feature `views`)
          hint: change `fields.views.lists` in schema.json
        feature `views` holds media in 1 lists, but the schema declares 0 around them (feature `views`)
          hint: change `fields.views.lists` in schema.json
        feature `views` has shape [2] around its media, but the schema declares [4] (feature `views`)
          hint: change `fields.views.shape` in schema.json
        feature `views` has shape [2] around its media, but the schema declares [] (feature `views`)
          hint: change `fields.views.shape` in schema.json
    "#]]
    .assert_eq(&all.concat());
    // What others wrote without a mark is media where the schema says how deep it lies.
    let unmarked = Feature::new("views", DType::Bytes, vec![Dim::Variable]);
    let declared = r#""views": {"type": "uint8", "shape": [-1, -1, 8, 8], "encoding": "png", "lists": 1}"#;
    assert!(SchemaCheck::new(&schema(declared), &[stream(vec![unmarked])]).is_ok());
}

#[test]
fn streams_are_declared_by_topic() {
    let topic = |name: &str| StreamSchema { name: name.into(), ..stream(vec![]) };
    let declared = Schema::from_json(r#"{"streams": {"/tf": {"fields": {}}}}"#).unwrap();
    let violations = SchemaCheck::new(&declared, &[topic("/tf2")]).expect_err("violations");
    expect![[r#"
        stream `/tf` is missing, but the schema declares it (topic /tf)
          hint: did you mean `/tf2`?
        stream `/tf2` is there, but the schema does not declare it (topic /tf2)
          hint: add `streams./tf2` to schema.json, or leave the topic out with `--topic`
    "#]]
    .assert_eq(&text(&violations));
    assert!(SchemaCheck::new(&declared, &[topic("/tf")]).is_ok());
}

#[test]
fn a_footer_is_held_against_the_schema() {
    let mut rgb = Feature::new("rgb", DType::UInt8, vec![]).with_meta(nodedata_core::meta::ENCODING, "h264");
    rgb.storage = Storage::RawMedia;
    let columns = [
        Feature::new("episode_index", DType::Int64, vec![]),
        rgb,
        Feature::new("rgb.keyframe", DType::Bool, vec![]),
        Feature::new("action", DType::Float32, vec![Dim::Fixed(7)]),
    ];
    let arrow = arrow_schema::Schema::new(columns.iter().map(Feature::arrow_field).collect::<Vec<_>>());
    let declared = r#""rgb": {"type": "uint8", "shape": [-1, 8, 8, 3], "encoding": "h264"}"#;
    let both = schema(&format!(r#"{declared}, "action": {{"type": "float32", "shape": [-1, 7]}}"#));
    assert_eq!(check_arrow(&both, STEPS, StreamKind::Steps, &arrow), Ok(()));
    let violations = check_arrow(&schema(declared), STEPS, StreamKind::Steps, &arrow).unwrap_err();
    assert_eq!(violations.iter().map(|it| it.rule).collect::<Vec<_>>(), [Rule::Extra]);
}

#[test]
fn without_a_schema_everything_passes() {
    let stream = stream(vec![action()]);
    let rows = RecordBatch::try_new(stream.arrow(), vec![lists(&[None], &action())]).unwrap();
    let check = SchemaCheck::undeclared(&[stream]);
    assert!(check.rows(StreamId(0), rows, &[], PLACE).is_ok());
}
