//! Every kind of feature that TFDS writes, in every form that `features.json` has: what becomes of its values.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;

use std::{io::Write as _, sync::Arc};

use built::{Value, cells::value, example, framed};
use flate2::{Compression, write::ZlibEncoder};
use nodedata_core::{
    DType, EpisodeFacts, Error, ErrorKind, Fact, Format as _, OpenOptions, ReadOptions, Source, meta,
};
use nodedata_io::MemoryFiles;
use nodedata_media::{Decoded, encode_png};
use nodedata_rlds::RLDS;
use nodedata_testkit::corpus;
use serde_json::{Value as Json, json};

const SHARD: &str = "a-train.tfrecord-00000-of-00001";

fn opened(features: &str, record: &[u8], labels: &[(&str, &str)]) -> Result<Box<dyn Source>, Error> {
    let files = MemoryFiles::default().with("features.json", features.as_bytes().to_vec());
    let files = labels.iter().fold(files, |all, (name, text)| all.with(*name, text.as_bytes().to_vec()));
    RLDS.open(Arc::new(files.with(SHARD, framed(record))), &OpenOptions::default())
}

/// The rows of a column, and what the episode says of itself.
fn rows(source: &dyn Source, name: &str, batch_bytes_max: usize) -> Result<(Json, EpisodeFacts), Error> {
    let mut stream = source.read(0, &ReadOptions { batch_bytes_max, ..ReadOptions::default() }).unwrap();
    let mut all = Vec::new();
    while let Some(batch) = stream.next_batch()? {
        let column = batch.rows.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
        all.extend((0..column.len()).map(|row| value(column, row)));
    }
    Ok((all.into(), stream.facts().cloned().unwrap()))
}

/// Features of steps, one of which counts them, and of the episode.
fn features(step: &str, episode: &str) -> String {
    format!(
        r#"{{"featuresDict": {{"features": {{"steps": {{"sequence": {{"feature": {{"featuresDict": {{"features": {{
        "n": {{"tensor": {{"dtype": "int64", "shape": {{}}}}}}{step}}}}}}}}}}}{episode}}}}}}}"#
    )
}

/// An episode of so many steps with these values besides.
fn record(n_steps: i64, entries: &[(&str, Value)]) -> Vec<u8> {
    let mut all = vec![("steps/n", Value::Ints((0..n_steps).collect()))];
    all.extend(entries.iter().map(|(key, value)| (*key, value.clone())));
    example(&all)
}

/// The column `x` of an episode, whatever the size of batches.
fn column(x: &str, n_steps: i64, entries: &[(&str, Value)]) -> Result<Json, Error> {
    let source = opened(&features(&format!(r#", "x": {x}"#), ""), &record(n_steps, entries), &[])?;
    let (at_once, _) = rows(source.as_ref(), "x", 64 << 20)?;
    let (one_by_one, _) = rows(source.as_ref(), "x", 1)?;
    assert_eq!(at_once, one_by_one);
    Ok(at_once)
}

/// What the episode says of itself where it has a feature `x`.
fn fact(x: &str, entries: &[(&str, Value)]) -> Result<Option<Fact>, Error> {
    let source = opened(&features("", &format!(r#", "x": {x}"#)), &record(1, entries), &[])?;
    Ok(rows(source.as_ref(), "n", 1)?.1.metadata.get("x").cloned())
}

fn tensor(dtype: &str, shape: &str, encoding: &str) -> String {
    format!(
        r#"{{"tensor": {{"dtype": "{dtype}", "shape": {{"dimensions": {shape}}}, "encoding": "{encoding}"}}}}"#
    )
}

fn sequence(of: &str, length: &str) -> String {
    format!(r#"{{"pythonClassName": "a.Sequence", "sequence": {{"feature": {of}, "length": "{length}"}}}}"#)
}

fn ints(all: &[i64]) -> Value {
    Value::Ints(all.to_vec())
}

fn floats(all: &[f32]) -> Value {
    Value::Floats(all.to_vec())
}

fn texts<T: AsRef<[u8]>>(all: &[T]) -> Value {
    Value::Texts(all.iter().map(|it| it.as_ref().to_vec()).collect())
}

/// Deflated, as `zlib.compress` does it.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn le_i16(all: &[i16]) -> Vec<u8> {
    all.iter().flat_map(|it| it.to_le_bytes()).collect()
}

#[test]
fn lists_in_steps() {
    let open = sequence(&tensor("float32", "[2]", ""), "-1");
    let ragged = [
        ("steps/x/ragged_flat_values", floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
        ("steps/x/ragged_row_lengths_0", ints(&[1, 0, 2])),
    ];
    let lists = json!([[[1.0, 2.0]], [], [[3.0, 4.0], [5.0, 6.0]]]);
    assert_eq!(column(&open, 3, &ragged).unwrap(), lists);
    let deep = sequence(&sequence(&tensor("int8", "[]", ""), "-1"), "-1");
    let ragged = [
        ("steps/x/ragged_flat_values", ints(&[7, -8])),
        ("steps/x/ragged_row_lengths_0", ints(&[2, 0, 1])),
        ("steps/x/ragged_row_lengths_1", ints(&[0, 2, 0])),
    ];
    assert_eq!(column(&deep, 3, &ragged).unwrap(), json!([[[], [7, -8]], [], [[]]]));
    // Nothing at all, with the values there and without.
    let empty = ("steps/x/ragged_row_lengths_0", ints(&[0, 0, 0]));
    assert_eq!(column(&open, 3, std::slice::from_ref(&empty)).unwrap(), json!([[], [], []]));
    assert_eq!(
        column(&open, 3, &[empty, ("steps/x/ragged_flat_values", floats(&[]))]).unwrap(),
        json!([[], [], []])
    );
    assert_eq!(column(&open, 0, &[]).unwrap(), json!([]));
}

/// What TFDS writes and cannot read: keys tell how values lie, not the features.
#[test]
fn keys_rule_where_features_say_another_form() {
    let fixed = sequence(&tensor("float32", "[]", ""), "3");
    let expected = json!([[0.0, 0.5, 1.0], [1.0, 1.5, 2.0]]);
    let values = floats(&[0.0, 0.5, 1.0, 1.0, 1.5, 2.0]);
    let ragged =
        [("steps/x/ragged_flat_values", values.clone()), ("steps/x/ragged_row_lengths_0", ints(&[3, 3]))];
    assert_eq!(column(&fixed, 2, &ragged).unwrap(), expected);
    assert_eq!(column(&fixed, 2, &[("steps/x", values.clone())]).unwrap(), expected);
    // Lists of any length that are all as long as one another, stored without lengths.
    let open = sequence(&tensor("float32", "[]", ""), "-1");
    assert_eq!(column(&open, 2, &[("steps/x", values.clone())]).unwrap(), expected);
    assert_eq!(
        column(&tensor("float32", r#"["-1"]"#, ""), 2, &[("steps/x", values.clone())]).unwrap(),
        expected
    );
    let rows = tensor("float32", r#"["-1", "1"]"#, "");
    let expected = json!([[[0.0], [0.5], [1.0]], [[1.0], [1.5], [2.0]]]);
    assert_eq!(column(&rows, 2, &[("steps/x", values)]).unwrap(), expected);
    assert_eq!(column(&rows, 2, &[("steps/x", floats(&[]))]).unwrap(), json!([[], []]));
    // Images of unequal size.
    let crops = sequence(
        r#"{"image": {"shape": {"dimensions": ["-1", "-1", "3"]}, "encodingFormat": "jpeg"}}"#,
        "-1",
    );
    let gif = b"GIF89a\x02\0\x01\0\0\0\0";
    let images = texts(&[&built::PNG[..], gif]);
    let ragged = [("steps/x/ragged_flat_values", images), ("steps/x/ragged_row_lengths_0", ints(&[0, 2]))];
    assert_eq!(column(&crops, 2, &ragged).unwrap(), json!([[], [&built::PNG[..], gif]]));
}

#[test]
fn tensors_of_bytes() {
    let pair = [le_i16(&[1, -2]), le_i16(&[3, 4])];
    let expected = json!([[1, -2], [3, 4]]);
    for shape in [r#"["2"]"#, r#"["-1"]"#] {
        let raw = tensor("int16", shape, "bytes");
        assert_eq!(column(&raw, 2, &[("steps/x", texts(&pair))]).unwrap(), expected);
        let short = pair.clone().map(|it| deflated(&it));
        let zlib = tensor("int16", shape, "ZLIB");
        assert_eq!(column(&zlib, 2, &[("steps/x", texts(&short))]).unwrap(), expected);
    }
    let flags = tensor("bool", "[3]", "bytes");
    assert_eq!(column(&flags, 1, &[("steps/x", texts(&[[1, 0, 1]]))]).unwrap(), json!([[true, false, true]]));
    let wide = tensor("float64", "[]", "bytes");
    let pi = std::f64::consts::PI;
    assert_eq!(column(&wide, 1, &[("steps/x", texts(&[pi.to_le_bytes()]))]).unwrap(), json!([pi]));
    // Of any length each, as only bytes tell.
    let open = tensor("int16", r#"["-1", "2"]"#, "bytes");
    let differing = [le_i16(&[1, 2, 3, 4]), Vec::new()];
    assert_eq!(column(&open, 2, &[("steps/x", texts(&differing))]).unwrap(), json!([[[1, 2], [3, 4]], []]));
}

#[test]
fn shapes_beside_values() {
    let open = tensor("int16", r#"["-1", "-1"]"#, "zlib");
    let values = [deflated(&le_i16(&[1, 2, 3, 4, 5, 6])), deflated(&le_i16(&[7])), deflated(&[])];
    let entries = [("steps/x/shape", ints(&[2, 3, 1, 1, 2, 0])), ("steps/x/value", texts(&values))];
    let expected = json!([[[1, 2, 3], [4, 5, 6]], [[7]], [[], []]]);
    assert_eq!(column(&open, 3, &entries).unwrap(), expected);
    // In lists.
    let lists = sequence(&open, "-1");
    let entries = [
        ("steps/x/shape/ragged_flat_values", ints(&[2, 3, 1, 1, 2, 0])),
        ("steps/x/shape/ragged_row_lengths_0", ints(&[0, 3])),
        ("steps/x/value/ragged_flat_values", texts(&values)),
        ("steps/x/value/ragged_row_lengths_0", ints(&[0, 3])),
    ];
    assert_eq!(column(&lists, 2, &entries).unwrap(), json!([[], expected]));
    // Values that are not encoded, of writers other than TFDS.
    let plain = tensor("float32", r#"["-1", "2", "-1"]"#, "");
    let entries =
        [("steps/x/shape", ints(&[1, 2, 2, 0, 2, 5])), ("steps/x/value", floats(&[1.0, 2.0, 3.0, 4.0]))];
    assert_eq!(column(&plain, 2, &entries).unwrap(), json!([[[[1.0, 2.0], [3.0, 4.0]]], []]));
}

#[test]
fn floats_of_a_png_are_floats() {
    let pixels = [1f32, -2.0].iter().flat_map(|it| it.to_le_bytes()).collect();
    let png = encode_png(&Decoded { height: 2, width: 1, channels: 4, dtype: DType::UInt8, pixels }).unwrap();
    for shape in [r#"["2", "1", "1"]"#, r#"["-1", "-1", "1"]"#] {
        let image = format!(r#"{{"image": {{"dtype": "float32", "shape": {{"dimensions": {shape}}}}}}}"#);
        let found = column(&image, 1, &[("steps/x", texts(&[&png]))]).unwrap();
        assert_eq!(found, json!([[[[1.0]], [[-2.0]]]]));
    }
}

#[test]
fn numbers_are_of_the_types_that_features_say() {
    for (dtype, stored, expected) in [
        ("bool", ints(&[0, 1]), json!([false, true])),
        ("int8", ints(&[-128, 127]), json!([-128, 127])),
        ("int16", ints(&[-300, 300]), json!([-300, 300])),
        ("uint8", ints(&[0, 255]), json!([0, 255])),
        ("uint64", ints(&[-1, 1]), json!([u64::MAX, 1])),
        ("float16", floats(&[0.5, 65504.0]), json!([0.5, 65504.0])),
        ("float64", floats(&[0.1, -0.0]), json!([f64::from(0.1f32), -0.0])),
        ("string", texts(&["", "é"]), json!(["", "é"])),
    ] {
        assert_eq!(
            column(&tensor(dtype, "[]", "none"), 2, &[("steps/x", stored)]).unwrap(),
            expected,
            "{dtype}"
        );
    }
}

#[test]
fn labels_have_names() {
    let label = r#", "a": {"featuresDict": {"features": {"x": {"classLabel": {"numClasses": "2"}}}}}"#;
    let record = record(2, &[("steps/a/x", ints(&[1, 0]))]);
    for (text, key, told) in [
        ("idle\n\n reach \n", meta::CONSTANTS, "idle=0,reach=1"),
        ("a, b\nc=d\n", "tfds:labels", r#"["a, b","c=d"]"#),
    ] {
        let source = opened(&features(label, ""), &record, &[("steps-a-x.labels.txt", text)]).unwrap();
        let plan = source.plan();
        let feature = plan.streams[0].features.iter().find(|it| it.name == "a.x").unwrap();
        assert_eq!(feature.metadata.get(key).map(String::as_str), Some(told));
        assert!(plan.inputs.iter().any(|it| it.path.ends_with("steps-a-x.labels.txt")));
        assert_eq!(rows(source.as_ref(), "a.x", 1).unwrap().0, json!([1, 0]));
    }
}

#[test]
fn features_of_features() {
    let image = built::PNG;
    // A video is its frames; a translation a text for each language.
    let video = r#"{"video": {"shape": {"dimensions": ["-1", "1", "1", "3"]}, "encodingFormat": "png"}}"#;
    let frames = [
        ("steps/x/ragged_flat_values", texts(&[image, image])),
        ("steps/x/ragged_row_lengths_0", ints(&[2])),
    ];
    assert_eq!(column(video, 1, &frames).unwrap(), json!([[&image[..], &image[..]]]));
    let translation = r#", "x": {"translation": {"languages": ["de", "en"]}}"#;
    let entries = [("steps/x/de", texts(&["Arm"])), ("steps/x/en", texts(&["arm"]))];
    let source = opened(&features(translation, ""), &record(1, &entries), &[]).unwrap();
    assert_eq!(rows(source.as_ref(), "x.de", 1).unwrap().0, json!(["Arm"]));
    let bbox =
        r#"{"boundingBox": {"bboxFormat": "XYXY", "shape": {"dimensions": ["4"]}, "dtype": "float32"}}"#;
    let audio = r#"{"audio": {"dtype": "int64", "shape": {"dimensions": ["-1"]}, "sampleRate": "16000", "encoding": "NONE"}}"#;
    let lazy = r#"{"audio": {"dtype": "int64", "shape": {"dimensions": ["-1"]}, "fileFormat": "flac", "lazyDecode": true}}"#;
    for (feature, stored, expected, key, told) in [
        (bbox, floats(&[0.0, 0.25, 0.5, 1.0]), json!([[0.0, 0.25, 0.5, 1.0]]), "tfds:bbox_format", "XYXY"),
        (audio, ints(&[1, -1, 2]), json!([[1, -1, 2]]), "tfds:sample_rate", "16000"),
        (lazy, texts(&["fLaC"]), json!([b"fLaC"]), "tfds:file_format", "flac"),
    ] {
        let entries = [("steps/x", stored)];
        assert_eq!(column(feature, 1, &entries).unwrap(), expected);
        let features = features(&format!(r#", "x": {feature}"#), "");
        let source = opened(&features, &record(1, &entries), &[]).unwrap();
        let feature = source.plan().streams[0].features.iter().find(|it| it.name == "x").unwrap().clone();
        assert_eq!(feature.metadata.get(key).map(String::as_str), Some(told));
    }
}

#[test]
fn older_forms_say_the_same() {
    let tensor =
        r#"{"type": "t.core.features.feature.Tensor", "content": {"shape": [null, 2], "dtype": "int8"}}"#;
    // For a time TFDS wrote the message as a text.
    let message = r#"{"type": "t.Tensor", "proto_cls": "tensorflow_datasets.TensorFeature",
        "content": "{\"shape\": {\"dimensions\": [\"-1\", \"2\"]}, \"dtype\": \"int8\"}"}"#;
    let in_dict = message.replace(r#""{\"#, r#"{"#).replace(r#"\"}""#, r#""}"#).replace('\\', "");
    let json_feature = r#"{"jsonFeature": {"json": "{\"dtype\": \"int8\", \"shape\": [null, 2]}"},
        "pythonClassName": "mine.Grid"}"#;
    for x in [tensor, message, &in_dict, json_feature] {
        let legacy = format!(
            r#"{{"type": "a.FeaturesDict", "content": {{"steps": {{"type": "a.Dataset", "content": {{"length": null,
            "feature": {{"content": {{"n": {{"type": "a.Tensor", "content": {{"shape": [], "dtype": "int64"}}}},
            "t": {{"type": "a.Text", "content": {{}}}}, "x": {x},
            "i": {{"type": "a.Image", "content": {{"shape": [1, 1, 1], "dtype": "uint8", "encoding_format": null}}}},
            "l": {{"type": "a.ClassLabel", "content": {{"num_classes": 3}}}},
            "b": {{"type": "a.BBoxFeature", "content": {{}}}},
            "s": {{"type": "a.Sequence", "content": {{"feature": {{"type": "a.Text", "content": {{}}}}, "length": 2}}}}
            }}, "type": "a.FeaturesDict"}}}}}}}}}}"#
        );
        let entries = [
            ("steps/x", ints(&[1, 2, 3, 4])),
            ("steps/t", texts(&["go"])),
            ("steps/i", texts(&[built::PNG])),
            ("steps/l", ints(&[2])),
            ("steps/b", floats(&[0.0, 0.0, 1.0, 1.0])),
            ("steps/s", texts(&["a", "b"])),
        ];
        let source = opened(&legacy, &record(1, &entries), &[]).unwrap_or_else(|err| panic!("{x}: {err}"));
        for (name, expected) in [
            ("x", json!([[[1, 2], [3, 4]]])),
            ("t", json!(["go"])),
            ("i", json!([&built::PNG[..]])),
            ("l", json!([2])),
            ("b", json!([[0.0, 0.0, 1.0, 1.0]])),
            ("s", json!([["a", "b"]])),
        ] {
            assert_eq!(rows(source.as_ref(), name, 1).unwrap().0, expected, "{x}");
        }
    }
}

#[test]
fn short_lists_of_an_episode_are_its_metadata() {
    let text = r#"{"text": {}}"#;
    for (feature, entries, expected) in [
        (sequence(text, "-1"), vec![("x", texts(&["a", "\"b\""]))], Some(r#"["a","\"b\""]"#)),
        (sequence(text, "-1"), vec![("x", texts::<&str>(&[]))], Some("[]")),
        (sequence(text, "-1"), vec![], Some("[]")),
        (
            tensor("float32", "[2, 2]", ""),
            vec![("x", floats(&[1.0, 0.5, -1.0, 2.0]))],
            Some("[[1.0,0.5],[-1.0,2.0]]"),
        ),
        (tensor("int32", "[3]", ""), vec![], None),
        (
            tensor("uint64", r#"["-1"]"#, ""),
            vec![("x", ints(&[-1, 1]))],
            Some(r#"["18446744073709551615",1]"#),
        ),
        (
            sequence(&sequence(&tensor("int32", "[]", ""), "-1"), "-1"),
            vec![("x/ragged_flat_values", ints(&[7])), ("x/ragged_row_lengths_0", ints(&[0, 1]))],
            Some("[[],[7]]"),
        ),
        (sequence(&tensor("int32", "[2]", ""), "2"), vec![("x", ints(&[1, 2, 3, 4]))], Some("[[1,2],[3,4]]")),
    ] {
        let found = fact(&feature, &entries).unwrap();
        assert_eq!(found, expected.map(|it| Fact::Text(it.to_owned())), "{feature}");
    }
}

/// What is more than metadata is for lies in the record, and is attached from there.
#[test]
fn what_is_much_of_an_episode_is_attached() {
    let text = r#"{"text": {}}"#;
    let image = r#"{"image": {"dtype": "uint8"}}"#.to_owned();
    let lazy = r#"{"audio": {"dtype": "int64", "shape": [-1], "fileFormat": "flac", "lazyDecode": true}}"#
        .to_owned();
    let many: Vec<f32> = (0..17).map(|it| it as f32).collect();
    let packed: Vec<u8> = many.iter().flat_map(|it| it.to_le_bytes()).collect();
    let of_list = |bytes: &[u8]| [&[0x0a, bytes.len() as u8], bytes].concat();
    let png = &built::PNG[..];
    let floats_type = "application/x-protobuf; messageType=tensorflow.FloatList";
    let ints_type = "application/x-protobuf; messageType=tensorflow.Int64List";
    for (feature, entries, expected) in [
        (image.clone(), vec![("x", texts(&[png]))], vec![("x", "image/png", png.to_vec())]),
        (lazy, vec![("x", texts(&["fLaC"]))], vec![("x", "audio/flac", b"fLaC".to_vec())]),
        (
            sequence(&image, "-1"),
            vec![("x", texts(&[png, b"GIF89a\x02\0\x01\0\0\0\0"]))],
            vec![
                ("x/0", "image/png", png.to_vec()),
                ("x/1", "image/gif", b"GIF89a\x02\0\x01\0\0\0\0".to_vec()),
            ],
        ),
        (
            tensor("float32", r#"["-1"]"#, ""),
            vec![("x", floats(&many))],
            vec![("x", floats_type, of_list(&packed))],
        ),
        (
            sequence(&sequence(&tensor("int8", "[]", ""), "-1"), "-1"),
            vec![("x/ragged_flat_values", ints(&[])), ("x/ragged_row_lengths_0", ints(&[0; 17]))],
            vec![("x/ragged_row_lengths_0", ints_type, of_list(&[0; 17]))],
        ),
        (
            tensor("int16", "[1]", "bytes"),
            vec![("x", texts(&[[1, 2]]))],
            vec![("x", "application/octet-stream", vec![1, 2])],
        ),
        (sequence(text, "-1"), vec![("x", texts(&["a"; 16]))], vec![]),
        (image, vec![], vec![]),
    ] {
        let features = features("", &format!(r#", "x": {feature}"#));
        let record = record(1, &entries);
        let file = framed(&record);
        let source = opened(&features, &record, &[]).unwrap();
        let plan = source.plan();
        let found: Vec<_> = plan
            .attachments
            .iter()
            .map(|it| {
                let range = &it.content.byte_range;
                let content = file[range.start as usize..range.end as usize].to_vec();
                (it.episode, it.name.as_str(), it.media_type.as_str(), content)
            })
            .collect();
        let expected: Vec<_> =
            expected.into_iter().map(|(name, kind, bytes)| (0, name, kind, bytes)).collect();
        assert_eq!(found, expected, "{feature}");
        let (_, facts) = rows(source.as_ref(), "n", 1).unwrap();
        assert_eq!(facts.metadata.contains_key("x"), feature.contains("text"), "{feature}");
        // Who selects features selects those as well.
        let files = MemoryFiles::default().with("features.json", features.into_bytes()).with(SHARD, file);
        let options = OpenOptions { topics: Some(vec!["n".to_owned()]), ..OpenOptions::default() };
        let source = RLDS.open(Arc::new(files), &options).unwrap();
        assert_eq!((source.plan().attachments.len(), &source.plan().unselected), (0, &vec!["x".to_owned()]));
        rows(source.as_ref(), "n", 1).unwrap();
    }
}

/// Each with the feature, and the step where one is to blame.
#[test]
fn what_does_not_fit_is_told_with_its_place() {
    let ragged = sequence(&tensor("int8", "[]", ""), "-1");
    let fixed = sequence(&tensor("int8", "[]", ""), "2");
    let dynamic = tensor("int16", r#"["-1", "-1"]"#, "bytes");
    let float_image =
        r#"{"image": {"dtype": "float32", "shape": {"dimensions": ["1", "1", "1"]}}}"#.to_owned();
    let image = r#"{"image": {"dtype": "uint8"}}"#.to_owned();
    let flat = |all: &[i64], lengths: &[i64]| {
        vec![("steps/x/ragged_flat_values", ints(all)), ("steps/x/ragged_row_lengths_0", ints(lengths))]
    };
    let shaped = |shape: &[i64], bytes: &[u8]| {
        vec![("steps/x/shape", ints(shape)), ("steps/x/value", texts(&[&[][..], bytes]))]
    };
    let raw = tensor("int16", "[2]", "bytes");
    let zlib = tensor("int16", "[2]", "zlib");
    // Two steps, of which the second is at fault where one is.
    type Case<'a> = (&'a str, Vec<(&'a str, Value)>, &'a str, Option<u64>);
    let cases: Vec<Case<'_>> = vec![
        (&ragged, flat(&[1, 2], &[1, 2]), "2 values where 3 are expected", None),
        (&ragged, flat(&[1, 2], &[3, -1]), "-1 is no length", None),
        (&ragged, flat(&[1, 2], &[2]), "there are values for 1 steps", None),
        (&ragged, flat(&[1, 200], &[1, 1]), "200 is no int8", Some(1)),
        (&ragged, flat(&[1, 1 << 40], &[0, 1 << 40]), "1099511627776 is no length", None),
        (&ragged, vec![("steps/x/ragged_flat_values", ints(&[1]))], "lengths of all 1 levels", None),
        (&ragged, vec![("steps/x", ints(&[1, 2, 3]))], "cannot be told apart", None),
        (&fixed, flat(&[1, 2, 3], &[2, 1]), "a length of 1, but `features.json` says that it is 2", None),
        (&dynamic, shaped(&[0, 0, 3, 1], &le_i16(&[1, 2])), "[3, 1] of int16 have 6", Some(1)),
        (&dynamic, shaped(&[0, 0, 2], &[0; 4]), "no whole steps", None),
        (&dynamic, shaped(&[0, 0, 1 << 30, 0], &[]), "no tensor has the shape", Some(1)),
        (&dynamic, shaped(&[0, 0, i64::MAX, 2], &[]), "is no length", Some(1)),
        (&dynamic, vec![("steps/x", texts(&[&[0; 4], &[0; 4]]))], "more than one dimension", Some(0)),
        (
            &raw,
            vec![("steps/x", texts(&[&[0; 4][..], &[0; 3]]))],
            "a tensor of 3 bytes, but [2] of int16 have 4",
            Some(1),
        ),
        (&zlib, vec![("steps/x", texts(&[deflated(&[0; 4]), vec![1, 2, 3]]))], "cannot be inflated", Some(1)),
        (
            &zlib,
            vec![("steps/x", texts(&[deflated(&[0; 4]), deflated(&[0; 5])]))],
            "more than 4 bytes, as its shape",
            Some(1),
        ),
        (
            &zlib,
            vec![("steps/x", texts(&[deflated(&[0; 4]), deflated(&[0; 3])]))],
            "a tensor of 3 bytes",
            Some(1),
        ),
        (&image, vec![("steps/x", texts(&[&built::PNG[..], b"no"]))], "2 bytes are no image", Some(1)),
        (
            &image,
            vec![("steps/x", texts(&[&built::PNG[..], b"\x89PNG\r\n\x1a\n..."]))],
            "its header is damaged",
            Some(1),
        ),
        (&float_image, vec![("steps/x", texts(&[built::PNG; 2]))], "a PNG of four channels", Some(0)),
        (&raw, vec![], "no values under `steps/x`, but for 2 steps under `steps/n`", None),
    ];
    for (feature, entries, told, step) in cases {
        let err = column(feature, 2, &entries).unwrap_err();
        assert!(err.chain().contains(told), "{feature}, {told}: {}", err.chain());
        let at = err.locus();
        assert_eq!((at.feature.as_deref(), at.step_idx), (Some("x"), step), "{told}: {err}");
        assert!(
            at.path.is_some() && at.byte_offset.is_some() && err.hint().is_some() && err.loss().is_some(),
            "{told}"
        );
    }
}

/// A few bytes say that they become 4 GB.
#[test]
fn bombs_do_not_go_off() {
    let huge = tensor("float64", r#"["-1", "-1"]"#, "zlib");
    let entries =
        [("steps/x/shape", ints(&[20_000, 20_000])), ("steps/x/value", texts(&[deflated(&[0; 8])]))];
    let err = column(&huge, 1, &entries).unwrap_err();
    assert_eq!((err.kind(), err.locus().step_idx), (ErrorKind::Limit, Some(0)), "{err}");
    // A shape that does not tell how many come out.
    let open = features(&format!(r#", "x": {}"#, tensor("uint8", r#"["-1"]"#, "zlib")), "");
    let record = record(1, &[("steps/x", texts(&[deflated(&vec![0; 4 << 20])]))]);
    assert!(record.len() < 10_000);
    let files = MemoryFiles::default().with("features.json", open.into_bytes()).with(SHARD, framed(&record));
    let options = OpenOptions { record_bytes_max: 1 << 20, ..OpenOptions::default() };
    let source = RLDS.open(Arc::new(files), &options).unwrap();
    let err = rows(source.as_ref(), "x", 1).unwrap_err();
    assert_eq!((err.kind(), err.locus().step_idx), (ErrorKind::Limit, Some(0)), "{err}");
}

/// Entries in any order, in several messages, and twice: of one that comes twice the last is meant.
#[test]
fn maps_have_no_order() {
    let tensor = tensor("int8", "[]", "");
    let features = features(&format!(r#", "x": {tensor}"#), "");
    let (n, first, last) = (("steps/n", ints(&[0, 1])), ("steps/x", ints(&[5])), ("steps/x", ints(&[7, 8])));
    let one = example(&[first.clone(), n.clone(), last.clone()]);
    let alone = |it| example(std::slice::from_ref(it));
    let pieces = [alone(&first), alone(&last), alone(&n)].concat();
    let other = example(&[last, n]);
    for record in [one, pieces, other] {
        let source = opened(&features, &record, &[]).unwrap();
        assert_eq!(rows(source.as_ref(), "x", 1).unwrap().0, json!([7, 8]));
    }
}

#[test]
fn values_under_two_keys_are_refused() {
    let x = sequence(&tensor("int8", "[]", ""), "-1");
    let entries = [
        ("steps/x", ints(&[1])),
        ("steps/x/ragged_flat_values", ints(&[1])),
        ("steps/x/ragged_row_lengths_0", ints(&[1])),
    ];
    let err = column(&x, 1, &entries).unwrap_err();
    assert!(err.to_string().contains("under several keys"), "{err}");
}

#[test]
fn features_too_deep_are_refused() {
    let nested =
        |n: usize, open: &str, close: &str| [open.repeat(n), "{}".to_owned(), close.repeat(n)].concat();
    // What the parser of JSON refuses, with its place; and what lies in texts, which it begins anew for.
    let deep = nested(1000, r#"{"sequence": {"feature": "#, "}}");
    let err = opened(&features(&format!(r#", "x": {deep}"#), ""), &[], &[]).err().unwrap();
    assert_eq!(
        (err.kind(), err.locus().line_column.is_some()),
        (ErrorKind::Corrupt, true),
        "{}",
        err.chain()
    );
    let mut text = r#"{"shape": [], "dtype": "int8"}"#.to_owned();
    for _ in 0..12 {
        let inner = nested(10, r#"{"feature": {"type": "a.Sequence", "content": "#, "}}").replace("{}", "@");
        let leaf = json!({"pythonClassName": "mine.Grid", "jsonFeature": {"json": text}}).to_string();
        text = inner.replace("@", &format!(r#"{{"feature": {leaf}}}"#));
        if text.len() > 1 << 22 {
            break;
        }
    }
    let x = json!({"pythonClassName": "a.Sequence", "jsonFeature": {"json": text}});
    let err = opened(&features(&format!(r#", "x": {x}"#), ""), &[], &[]).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Limit, "{}", err.chain());
    assert!(err.locus().feature.is_some() && err.locus().path.is_some() && err.hint().is_some(), "{err}");
    // Arrays have a bounded number of dimensions.
    let dims = vec!["1"; 40].join(",");
    let err =
        opened(&features(&format!(r#", "x": {}"#, tensor("int8", &format!("[{dims}]"), "")), ""), &[], &[]);
    assert!(err.err().unwrap().to_string().contains("more than 32 dimensions"));
}

/// Many keys cost what they are long, and end where the first is unknown.
#[test]
fn very_many_keys_are_read_to_the_first_that_is_unknown() {
    // Ten million entries that have neither key nor value.
    let mut body = Vec::with_capacity(20_000_000);
    for _ in 0..10_000_000 {
        body.extend([0x0a, 0]);
    }
    let n_bytes = body.len();
    let mut record = vec![0x0a];
    let mut left = n_bytes;
    while left >= 0x80 {
        record.push(left as u8 | 0x80);
        left >>= 7;
    }
    record.push(left as u8);
    record.extend(body);
    // A large record is looked through when the dataset is opened.
    let err = opened(&features("", ""), &record, &[]).err().unwrap();
    assert!(err.to_string().contains("a key ``"), "{err}");
    // A varint of eleven bytes, and a key without a value.
    let long = [&[0x0a][..], &[0xff; 10], &[1]].concat();
    let source = opened(&features("", ""), &long, &[]).unwrap();
    assert!(rows(source.as_ref(), "n", 1).unwrap_err().to_string().contains("more than 64 bits"));
    let no_value = example(&[("steps/n", Value::Nothing)]);
    let source = opened(&features("", ""), &no_value, &[]).unwrap();
    assert_eq!(rows(source.as_ref(), "n", 1).unwrap().0, json!([]));
}

/// The fixture of rare kinds, against the values it was made of.
#[test]
fn the_fixture_has_the_values_it_was_made_of() {
    let folder = corpus::fixtures("rlds/kinds");
    let files = built::kinds().into_iter();
    let files = files.fold(MemoryFiles::default(), |all, (name, bytes)| all.with(name, bytes));
    let source = RLDS.open(Arc::new(files), &OpenOptions::default()).unwrap();
    let truth: Json = serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap();
    let truth = truth.as_array().unwrap();
    assert_eq!((truth.len(), source.plan().partitions.len()), (3, 3));
    for (partition, truth) in truth.iter().enumerate() {
        let mut stream =
            source.read(partition, &ReadOptions { batch_bytes_max: 1, ..ReadOptions::default() }).unwrap();
        let mut step = 0;
        let steps = truth["steps"].as_object().unwrap();
        while let Some(batch) = stream.next_batch().unwrap() {
            // `step_index` is not of the dataset.
            assert_eq!(batch.rows.num_columns(), steps.len() + 1);
            for row in 0..batch.rows.num_rows() {
                for (name, truth) in steps {
                    let found = value(batch.rows.column_by_name(name).unwrap(), row);
                    assert_eq!(found, truth[step], "episode {partition}, step {step}: {name}");
                }
                step += 1;
            }
        }
        assert!(steps.values().all(|it| it.as_array().unwrap().len() == step), "episode {partition}");
        for (name, told) in truth["metadata"].as_object().unwrap() {
            let fact = &stream.facts().unwrap().metadata[name];
            assert_eq!(fact, &Fact::Text(told.to_string()), "episode {partition}: {name}");
        }
    }
}
