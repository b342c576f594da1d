use expect_test::{Expect, expect};
use nodedata_core::placed::mistakes_to_error;
use proptest::prelude::*;

use super::*;

const PLAIN: &str = r#"{"splits":["train","val"],"fields":{"rgb":{"type":"uint8","shape":[-1,224,224,3]},
"action":{"type":"float32","shape":[-1,7]}}}"#;

#[expect(clippy::needless_pass_by_value, reason = "calls read better without a reference")]
#[track_caller]
fn refused(text: &str, expected: Expect) {
    let mistakes = Schema::from_json(text).expect_err("mistakes");
    let told = |it: &Mistake| {
        let plain = Mistake { hint: None, ..it.clone() };
        format!("{plain} [{}]\n", it.hint.as_deref().unwrap_or("-"))
    };
    let lines: Vec<String> = mistakes.iter().map(told).collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn the_plain_form_is_accepted() {
    let schema = Schema::from_json(PLAIN).unwrap();
    assert_eq!(schema.splits, ["train", "val"]);
    let rgb = FieldSchema::new(DType::UInt8, vec![Dim::Fixed(224), Dim::Fixed(224), Dim::Fixed(3)]);
    assert_eq!(schema.fields.get("rgb"), Some(&rgb));
    assert_eq!(schema.fields.get("action"), Some(&FieldSchema::new(DType::Float32, vec![Dim::Fixed(7)])));
    assert_eq!(schema.mode, None);
}

#[test]
fn a_full_document_survives_a_round_trip() {
    let text = r#"{
  "nd": "schema/1",
  "mode": "declared",
  "splits": ["train", "val", "test"],
  "fields": {
    "rgb": {"type": "uint8", "shape": [-1, 224, 224, 3], "encoding": "jpeg", "role": "observation.image", "sensitive": ["face"]},
    "depth": {"type": "float16", "shape": [-1, 224, 224], "encoding": "png16", "unit": "m", "scale": 0.001},
    "q": {"type": "float32", "shape": [-1, 2], "unit": "rad", "names": ["q1", "q2"], "finite": true},
    "action": {"type": "float32", "shape": [-1, 7], "min": -1.0, "max": 1.0, "nullable": false},
    "stamp": {"type": "uint64", "shape": [-1], "max": 18446744073709551615, "description": "a \"quoted\" ü"},
    "tags": {"type": "string", "shape": [-1, -1]},
    "stack": {"type": "uint8", "shape": [-1, 4, 84, 84], "lists": 1, "encoding": "png"},
    "talk": {"type": "int16", "shape": [-1, -1, 2], "encoding": "flac", "rate_hz": 16000}
  },
  "streams": {
    "/joint_states": {
      "fields": {
        "position": {"type": "float64", "shape": [-1, 7]}
      }
    },
    "/tf": {
      "fields": {}
    }
  },
  "time": {"field": "t_ns", "unit": "ns", "monotonic": true, "fps": 30.0, "tolerance_ns": 100000}
}
"#;
    let schema = Schema::from_json(text).unwrap();
    assert_eq!(schema.to_json(), text);
}

#[test]
fn a_missing_time_axis_is_put_in_front() {
    let schema = Schema::from_json(r#"{"fields":{"task":{"type":"string","shape":[]}}}"#).unwrap();
    assert_eq!(schema.fields.get("task").unwrap().document_shape(), [-1]);
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    refused(
        "{\n  \"split\": [\"train\"],\n  \"fields\": {\n    \"rgb\": {\"type\": \"unit8\", \"shape\": [-1, 2.5], \
         \"encodings\": 1},\n    \"action\": {\"shape\": \"7\", \"nullable\": \"no\"},\n    \"rgb\": 3,\n    \
         \"x\": {\"type\": \"float32\", \"shape\": [3, -1]}\n  }\n}",
        expect![[r#"
            line 2, column 3: unknown key `split` in the schema [did you mean `splits`?]
            line 4, column 21: unknown type `unit8` [did you mean `uint8`?]
            line 4, column 44: a dimension that is neither -1 nor a length [-1 stands for any length]
            line 4, column 50: unknown key `encodings` in field `rgb` [did you mean `encoding`?]
            line 5, column 5: field `action` has no `type` [add `"type": "float32"`]
            line 5, column 25: `shape` is a string, expected a list of integers [write a list of integers]
            line 5, column 42: `nullable` is a string, expected true or false [write true or false]
            line 6, column 5: `rgb` stands twice in `fields` [remove one of them]
            line 6, column 12: field `rgb` is a number, expected an object [see `node-data schema --help`]
            line 7, column 39: the first -1 of a shape is time, but it is not the first dimension [put -1 for time in front: [-1, 3, -1]]
        "#]],
    );
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    refused(
        r#"{"fields": {
            "a": {"type": "uint8", "shape": [-1], "min": -1, "max": 300},
            "b": {"type": "string", "shape": [-1], "min": 0, "finite": true},
            "c": {"type": "float32", "shape": [-1, 2], "min": 1, "max": 0.5, "names": ["x"]}}, "nd": "schema/2"}"#,
        expect![[r#"
            line 2, column 51: `min` of field `a` is -1, which no uint8 can be [change it, or the type]
            line 2, column 62: `max` of field `a` is 300, which no uint8 can be [change it, or the type]
            line 3, column 52: `min` of field `b` needs a numeric type, but it is string [remove it]
            line 3, column 62: `finite` of field `b` needs a float type, but it is string [remove it]
            line 4, column 66: `max` of field `c` is 0.5, less than its `min` 1 [swap them]
            line 4, column 78: field `c` has 1 names, but its last dimension is 2 [name every element once]
            line 4, column 102: `nd` is `schema/2`, expected `schema/1` [a newer node-data may read it]
        "#]],
    );
    refused(
        r#"{"fields": {
            "a": {"type": "uint8", "shape": [-1, 4, 8, 8], "lists": 4},
            "b": {"type": "uint8", "shape": [-1, 4], "lists": 1.5},
            "c": {"type": "uint8", "shape": [-1, 4], "lists": [4]}}}"#,
        expect![[r#"
            line 2, column 60: `lists` of field `a` is 4, but its shape has 3 dimensions [count the dimensions after time that are lists of media]
            line 3, column 63: `lists` is not a count [write an integer]
            line 4, column 63: `lists` is a list, expected a number [write a number]
        "#]],
    );
    refused(
        "[]",
        expect![[r#"
        line 1, column 1: the schema is a list, expected an object [see `node-data schema --help`]
    "#]],
    );
    refused(
        r#"{"splits": ["a", "a"]}"#,
        expect![[r#"
        line 1, column 1: the schema has neither `fields` nor `streams` [add `"fields": {"action": {"type": "float32", "shape": [-1, 7]}}`]
        line 1, column 18: `a` stands twice in `splits` [remove one of them]
    "#]],
    );
}

#[test]
fn a_mistake_becomes_an_error_with_line_and_column() {
    let mistakes = Schema::from_json("{\"fields\": {\"a\": {\"tpye\": 1}}}").unwrap_err();
    let error = mistakes_to_error(&mistakes, Some(std::path::Path::new("schema.json")));
    assert_eq!(error.locus().to_string(), "schema.json, line 1, column 13");
    assert!(error.to_string().contains("unknown key `tpye` in field `a` (did you mean `type`?)"), "{error}");
}

#[test]
fn a_rate_is_some_samples_a_second() {
    for rate in ["0", "-1", "4294967296", "16000.5", "\"fast\""] {
        let text = format!(
            r#"{{"splits": ["a"], "fields": {{"talk": {{"type": "int16", "shape": [-1], "rate_hz": {rate}}}}}}}"#
        );
        let mistakes = Schema::from_json(&text).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].message.contains("rate_hz"), "{rate}: {mistakes:?}");
    }
}

#[test]
fn pictures_have_no_rate() {
    let field = |encoding: &str| {
        let field = format!(r#"{{"type": "uint8", "shape": [-1], "encoding": "{encoding}", "rate_hz": 30}}"#);
        Schema::from_json(&format!(r#"{{"splits": ["a"], "fields": {{"front": {field}}}}}"#))
    };
    for encoding in ["jpeg", "png", "raw", "h264"] {
        let mistakes = field(encoding).unwrap_err();
        let expected = format!(
            "`rate_hz` of field `front` is 30 samples a second, but pictures coded as {encoding} have none"
        );
        assert_eq!((mistakes.len(), &mistakes[0].message), (1, &expected));
    }
    // What may hold clips as well has one.
    for encoding in ["mixed", "flac", "mp4"] {
        assert!(field(encoding).is_ok(), "{encoding}");
    }
}

fn any_field() -> impl Strategy<Value = FieldSchema> {
    let dim = prop_oneof![(0u32..1000).prop_map(Dim::Fixed), Just(Dim::Variable)];
    let text = || proptest::option::of("\\PC{0,6}");
    let flag = || proptest::option::of(any::<bool>());
    (
        (0..14usize, proptest::collection::vec(dim, 0..4), text(), text(), text(), text()),
        (proptest::option::of(-1.0e3..1.0e3), proptest::option::of(-100i128..100), flag()),
        proptest::collection::btree_set("[a-z]{1,3}", 0..3),
        (proptest::option::of(0usize..5), proptest::option::of(1u32..)),
    )
        .prop_map(
            |(
                (dtype, shape, encoding, unit, role, description),
                (scale, min, nullable),
                sensitive,
                (lists, rate_hz),
            )| {
                let dtype = DType::ALL[dtype];
                FieldSchema {
                    encoding,
                    rate_hz,
                    unit,
                    role,
                    description,
                    scale,
                    min: min.map(Bound::Integer).filter(|it| fits(*it, dtype)),
                    max: Some(Bound::Float(101.5)).filter(|it| fits(*it, dtype)),
                    nullable,
                    sensitive: sensitive.into_iter().collect(),
                    lists: lists.map(|it| it.min(shape.len())),
                    ..FieldSchema::new(dtype, shape)
                }
            },
        )
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        fields in proptest::collection::vec(("\\PC{1,5}", any_field()), 0..5),
        topic in proptest::collection::vec(("[a-z.]{1,5}", any_field()), 0..3),
    ) {
        let schema = Schema {
            splits: vec!["train".to_owned()],
            fields: fields.into_iter().collect(),
            streams: [("/topic".to_owned(), topic.into_iter().collect())].into(),
            mode: Some(Mode::Inferred),
            time: None,
        };
        let text = schema.to_json();
        prop_assert_eq!(Schema::from_json(&text).unwrap(), schema);
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]{}\",:0-9a-z\\\\ \n-]{0,60}", cut in 0..PLAIN.len()) {
        drop(Schema::from_json(&text));
        prop_assert!(Schema::from_json(&PLAIN[..cut]).is_err());
    }
}
