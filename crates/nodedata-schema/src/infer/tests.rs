use std::sync::Arc;

use arrow_array::RecordBatch;
use expect_test::expect;
use nodedata_core::{Columns, Feature, Layout, Level, Storage, StreamKind, meta};

use super::*;

/// A topic with stamps, a joint list, a list of lists of text and a camera.
fn stream() -> (StreamSchema, Arc<Layout>) {
    let mut layout = Layout::default();
    let stamp = |name: &str| Feature::new(name, DType::Int64, vec![]);
    layout.leaf(stamp("log_time_ns"), &[]);
    layout.leaf(stamp("publish_time_ns"), &[]);
    layout.leaf(Feature::new("sequence", DType::UInt32, vec![]), &[]);
    let joints = layout.list(&[], true);
    let feature = Feature::new("position", DType::Float64, vec![Dim::Variable]).with_meta(meta::UNIT, "rad");
    layout.leaf(feature.nullable(), &[Level::List(joints)]);
    let outer = layout.list(&[], false);
    let inner = layout.list(&[Level::List(outer)], false);
    let levels = [Level::List(outer), Level::List(inner)];
    layout.leaf(Feature::new("tags", DType::Bool, Layout::shape(&levels)), &levels);
    let mut camera = Feature::new("data", DType::Bytes, vec![]);
    camera.storage = Storage::EncodedMedia;
    layout.leaf(camera, &[]);
    let views = layout.list(&[], false);
    let mut feature = Feature::new("views", DType::Bytes, vec![]).in_lists(vec![Dim::Variable]);
    feature.storage = Storage::EncodedMedia;
    layout.leaf(feature, &[Level::List(views)]);
    let stream = StreamSchema {
        id: StreamId(0),
        name: "/robot".into(),
        kind: StreamKind::Messages,
        features: layout.features().cloned().collect(),
        metadata: [].into(),
    };
    (stream, Arc::new(layout))
}

struct Row {
    joints: Option<usize>,
    tags: Vec<usize>,
    views: usize,
}

fn batch(rows: &[Row], pixels: &[(&str, DType, &[u32])]) -> Batch {
    let (stream, layout) = stream();
    let [time, publish, sequence, position, tag, data, view] =
        [0, 1, 2, 3, 4, 5, 6].map(nodedata_core::LeafId);
    let [joints, outer, inner, views] = [0, 1, 2, 3].map(nodedata_core::ListId);
    let mut columns = Columns::new(layout);
    for row in rows {
        columns.push_zeroed(time, 8);
        columns.push_zeroed(publish, 8);
        columns.push_zeroed(sequence, 4);
        match row.joints {
            Some(n) => {
                columns.push_len(joints, n);
                columns.push_zeroed(position, 8 * n);
                columns.push_valid_n(position, n);
            }
            None => columns.push_null_list(joints),
        }
        columns.push_len(outer, row.tags.len());
        for n in &row.tags {
            columns.push_len(inner, *n);
            (0..*n).for_each(|_| columns.push_bool(tag, true));
        }
        columns.push_bytes(data, b"jpeg");
        columns.push_len(views, row.views);
        (0..row.views).for_each(|_| columns.push_bytes(view, b"png"));
        columns.end_row();
    }
    Batch {
        stream: StreamId(0),
        rows: RecordBatch::try_new(stream.arrow(), columns.finish()).unwrap(),
        spans: vec![],
        pixels: pixels
            .iter()
            .flat_map(|it| [(5, it), (6, it)])
            .map(|(column, (encoding, dtype, shape))| MediaShape {
                column,
                dtype: *dtype,
                shape: shape.to_vec(),
                encoding: (*encoding).to_owned(),
                rate_hz: None,
                n_rows: 1,
            })
            .collect(),
    }
}

fn row(joints: Option<usize>, tags: &[usize]) -> Row {
    Row { joints, tags: tags.to_vec(), views: joints.unwrap_or(7) }
}

const GREY: (&str, DType, &[u32]) = ("png", DType::UInt8, &[480, 640]);
const COLOR: (&str, DType, &[u32]) = ("jpeg", DType::UInt8, &[480, 640, 3]);
const WIDE: (&str, DType, &[u32]) = ("jpeg", DType::UInt8, &[480, 800, 3]);
const MUTE: (&str, DType, &[u32]) = ("jpeg", DType::Bytes, &[]);

#[expect(clippy::needless_pass_by_value, reason = "calls read better without a reference")]
#[track_caller]
fn check(batches: &[Batch], expected: expect_test::Expect) {
    let (stream, _) = stream();
    let mut one = SchemaBuilder::new(std::slice::from_ref(&stream));
    batches.iter().for_each(|it| one.observe(it));
    // Any way to share the batches out must give the same schema.
    let mut backwards = SchemaBuilder::new(std::slice::from_ref(&stream));
    for batch in batches.iter().rev() {
        let mut part = SchemaBuilder::new(std::slice::from_ref(&stream));
        part.observe(batch);
        backwards.merge(part);
    }
    // And so must what is kept as text in between.
    let mut kept = SchemaBuilder::new(std::slice::from_ref(&stream));
    for batch in batches {
        let mut part = SchemaBuilder::new(std::slice::from_ref(&stream));
        part.observe(batch);
        let text = serde_json::to_string(&part.observations()).unwrap();
        assert!(kept.take_in(&serde_json::from_str(&text).unwrap()));
    }
    let schema = one.finish();
    assert_eq!(schema, backwards.finish());
    assert_eq!(schema, kept.finish());
    assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
    // Rows follow what was inferred from them, and so does the file they are written to.
    let rule = crate::SchemaCheck::new(&schema, std::slice::from_ref(&stream)).unwrap();
    for batch in batches {
        let checked = rule.batch(batch, crate::RowPlace::default()).unwrap();
        assert_eq!(checked.rows(), &batch.rows);
    }
    assert_eq!(crate::check_arrow(&schema, "/robot", stream.kind, &stream.arrow()), Ok(()));
    let lines: Vec<String> =
        schema.streams["/robot"].iter().map(|(name, it)| format!("{name}: {}\n", it.to_json())).collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn constant_lengths_become_dimensions() {
    let first = batch(&[row(Some(7), &[2, 2]), row(None, &[2, 2])], &[COLOR]);
    let second = batch(&[row(Some(7), &[2, 2])], &[COLOR, MUTE]);
    check(
        &[first, second],
        expect![[r#"
            position: {"type": "float64", "shape": [-1, 7], "unit": "rad", "nullable": true}
            tags: {"type": "bool", "shape": [-1, 2, 2]}
            data: {"type": "uint8", "shape": [-1, 480, 640, 3], "encoding": "jpeg"}
            views: {"type": "uint8", "shape": [-1, 7, 480, 640, 3], "lists": 1, "encoding": "jpeg"}
        "#]],
    );
}

#[test]
fn lengths_that_vary_stay_open() {
    let first = batch(&[row(Some(7), &[1, 3]), row(Some(7), &[3, 1])], &[COLOR, WIDE]);
    let second = batch(&[row(Some(8), &[1, 1])], &[COLOR]);
    check(
        &[first, second],
        expect![[r#"
            position: {"type": "float64", "shape": [-1, -1], "unit": "rad", "nullable": true}
            tags: {"type": "bool", "shape": [-1, 2, -1]}
            data: {"type": "uint8", "shape": [-1, 480, -1, 3], "encoding": "jpeg"}
            views: {"type": "uint8", "shape": [-1, -1, 480, -1, 3], "lists": 1, "encoding": "jpeg"}
        "#]],
    );
}

#[test]
fn frames_of_different_rank_are_only_bytes() {
    check(
        &[batch(&[row(None, &[])], &[COLOR, GREY]), batch(&[row(None, &[])], &[])],
        expect![[r#"
            position: {"type": "float64", "shape": [-1, -1], "unit": "rad", "nullable": true}
            tags: {"type": "bool", "shape": [-1, 0, -1]}
            data: {"type": "bytes", "shape": [-1], "encoding": "mixed"}
            views: {"type": "bytes", "shape": [-1, 7], "lists": 1, "encoding": "mixed"}
        "#]],
    );
}

#[test]
fn without_rows_only_types_are_known() {
    check(
        &[],
        expect![[r#"
            position: {"type": "float64", "shape": [-1, -1], "unit": "rad", "nullable": true}
            tags: {"type": "bool", "shape": [-1, -1, -1]}
            data: {"type": "bytes", "shape": [-1]}
            views: {"type": "bytes", "shape": [-1, -1], "lists": 1}
        "#]],
    );
}

#[test]
fn clips_have_a_rate_where_all_have_the_same() {
    let clip = |n_samples, rate_hz| MediaShape {
        column: 5,
        dtype: DType::Int16,
        shape: vec![n_samples, 1],
        encoding: "flac".to_owned(),
        rate_hz: Some(rate_hz),
        n_rows: 1,
    };
    let with = |pixels: &[MediaShape]| Batch { pixels: pixels.to_vec(), ..batch(&[row(None, &[])], &[]) };
    let alike = with(&[clip(16_000, 16_000), clip(8_000, 16_000)]);
    check(
        &[alike.clone(), with(&[clip(7, 16_000)])],
        expect![[r#"
            position: {"type": "float64", "shape": [-1, -1], "unit": "rad", "nullable": true}
            tags: {"type": "bool", "shape": [-1, 0, -1]}
            data: {"type": "int16", "shape": [-1, -1, 1], "encoding": "flac", "rate_hz": 16000}
            views: {"type": "bytes", "shape": [-1, 7], "lists": 1}
        "#]],
    );
    check(
        &[alike, with(&[clip(7, 44_100)])],
        expect![[r#"
            position: {"type": "float64", "shape": [-1, -1], "unit": "rad", "nullable": true}
            tags: {"type": "bool", "shape": [-1, 0, -1]}
            data: {"type": "int16", "shape": [-1, -1, 1], "encoding": "flac"}
            views: {"type": "bytes", "shape": [-1, 7], "lists": 1}
        "#]],
    );
}
