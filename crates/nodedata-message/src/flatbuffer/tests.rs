use std::sync::Arc;

use arrow_array::RecordBatch;
use nodedata_core::{Columns, ErrorKind, Layout, Result, meta};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use self::writer::{Node, behind, enumeration, field, finish, of, schema, structure, table};
use super::FlatBufferPlan;
use crate::{
    inline,
    protobuf::tests::{
        at, batch, recorded,
        reference::{Random, hex},
        truth,
    },
};

pub(crate) mod writer;

const UTYPE: u8 = 1;
const BOOL: u8 = 2;
const UBYTE: u8 = 4;
const SHORT: u8 = 5;
const INT: u8 = 7;
const UINT: u8 = 8;
const FLOAT: u8 = 11;
const DOUBLE: u8 = 12;
const STRING: u8 = 13;
const VECTOR: u8 = 14;
const OBJ: u8 = 15;
const UNION: u8 = 16;
const ARRAY: u8 = 17;

/// A name, its type, and more facts of `reflection.Field`.
type Declared = (&'static str, Node, Vec<(usize, Node)>);

/// The fields of a table, numbered in the order of the declaration.
fn numbered(fields: Vec<Declared>) -> Vec<Node> {
    let fields = fields.into_iter().zip(0u16..);
    // Reflection sorts fields by name; ids give the order of the declaration.
    let mut fields: Vec<(&str, Node)> =
        fields.map(|((name, of, more), id)| (name, field(name, id, 4 + 2 * id, of, more))).collect();
    fields.sort_by_key(|it| it.0);
    fields.into_iter().map(|it| it.1).collect()
}

/// Everything a schema can say. Objects: 0 Root, 1 Joint, 2 Vec3, 3 Pose, 4 Empty, 5 Time, 6 Duration.
fn everything() -> Vec<u8> {
    let one = |base| of(base, 0, -1, 0);
    let many = |element| of(VECTOR, element, -1, 0);
    let object = |idx| of(OBJ, 0, idx, 0);
    let objects = |idx| of(VECTOR, OBJ, idx, 0);
    let root = numbered(vec![
        ("stamp", object(5), vec![]),
        ("count", one(INT), vec![(4, inline!(7i64))]),
        ("ratio", one(DOUBLE), vec![(5, inline!(0.5f64))]),
        ("maybe", one(SHORT), vec![(11, inline!(1u8))]),
        ("ok", one(BOOL), vec![(4, inline!(1i64))]),
        ("mode", of(UBYTE, 0, 0, 0), vec![]),
        ("name", one(STRING), vec![]),
        ("data", many(UBYTE), vec![]),
        ("values", many(FLOAT), vec![]),
        ("names", many(STRING), vec![]),
        ("pose", object(3), vec![]),
        ("joints", objects(1), vec![]),
        ("points", objects(2), vec![]),
        ("what_type", of(UTYPE, 0, 1, 0), vec![]),
        ("what", of(UNION, 0, 1, 0), vec![]),
        ("empty", object(4), vec![]),
        ("flags", many(BOOL), vec![]),
        ("child", object(0), vec![]),
        ("modes", of(VECTOR, UBYTE, 0, 0), vec![]),
    ]);
    let joint = numbered(vec![
        ("name", one(STRING), vec![]),
        ("gains", many(INT), vec![]),
        ("delay", object(6), vec![]),
        ("parent", object(1), vec![]),
        ("torque", one(FLOAT), vec![(5, inline!(1.5f64))]),
    ]);
    let xyz = ["x", "y", "z"].into_iter().zip(0u16..);
    let xyz = xyz.map(|(name, id)| field(name, id, 8 * id, one(DOUBLE), vec![])).collect();
    let pose = vec![
        field("position", 0, 0, object(2), vec![]),
        field("covariance", 1, 24, of(ARRAY, FLOAT, -1, 4), vec![]),
        field("marks", 2, 40, of(ARRAY, OBJ, 2, 2), vec![]),
        field("flag", 3, 88, one(BOOL), vec![]),
    ];
    let time = |sec| vec![field("sec", 0, 0, one(sec), vec![]), field("nsec", 1, 4, one(UINT), vec![])];
    schema(
        vec![
            table("t.Root", root),
            table("t.Joint", joint),
            structure("t.Vec3", 24, xyz),
            structure("t.Pose", 96, pose),
            table("t.Empty", vec![]),
            structure("foxglove.Time", 8, time(UINT)),
            structure("foxglove.Duration", 8, time(INT)),
        ],
        vec![
            enumeration("t.Mode", vec![("OFF", 0, None), ("ON", 1, None)]),
            enumeration(
                "t.What",
                vec![
                    ("NONE", 0, Some(of(0, 0, -1, 0))),
                    ("Joint", 1, Some(object(1))),
                    ("Vec3", 2, Some(object(2))),
                    ("Text", 3, Some(one(STRING))),
                ],
            ),
        ],
    )
}

fn plan_of(schema: &[u8], name: &str) -> (FlatBufferPlan, Columns) {
    let mut layout = Layout::default();
    let plan = FlatBufferPlan::compile(&mut layout, name, schema).unwrap();
    (plan, Columns::new(Arc::new(layout)))
}

fn decode_row(plan: &FlatBufferPlan, columns: &mut Columns, payload: &[u8]) -> Result<()> {
    let result = plan.decode(payload, columns);
    match &result {
        Ok(()) => columns.end_row(),
        Err(_) => columns.abort_row(),
    }
    result
}

#[track_caller]
fn read_one(root: &Node) -> RecordBatch {
    let (plan, mut columns) = plan_of(&everything(), "t.Root");
    decode_row(&plan, &mut columns, &finish(root, b"")).unwrap();
    batch(&mut columns)
}

fn pose() -> Node {
    let numbers: Vec<u8> = [1.0f64, 2.0, 3.0].iter().flat_map(|it| it.to_le_bytes()).collect();
    let covariance: Vec<u8> = [0.5f32, 0.25, 0.125, 0.0].iter().flat_map(|it| it.to_le_bytes()).collect();
    let marks: Vec<u8> = (4..10).flat_map(|it| f64::from(it).to_le_bytes()).collect();
    Node::Inline([numbers, covariance, marks, vec![1, 0, 0, 0, 0, 0, 0, 0]].concat())
}

fn full() -> Node {
    let floats: Vec<u8> = [1.0f32, -2.0].iter().flat_map(|it| it.to_le_bytes()).collect();
    let points: Vec<u8> = (1..7).flat_map(|it| f64::from(it).to_le_bytes()).collect();
    let gains: Vec<u8> = [10i32, 20, 30].iter().flat_map(|it| it.to_le_bytes()).collect();
    let joints = vec![
        Node::Table(vec![(0, Node::Text("elbow")), (1, Node::Vector(3, gains))]),
        Node::Table(vec![(2, inline!(-2i32, 500_000_000u32)), (4, inline!(9.0f32))]),
        Node::Table(vec![(1, Node::Vector(0, vec![]))]),
    ];
    Node::Table(vec![
        (0, inline!(3u32, 5u32)),
        (1, inline!(-1i32)),
        (3, inline!(-300i16)),
        (4, inline!(0u8)),
        (5, inline!(1u8)),
        (6, Node::Text("grüße")),
        (7, Node::Vector(3, vec![1, 2, 255])),
        (8, Node::Vector(2, floats)),
        (9, Node::Nodes(vec![Node::Text("a"), Node::Text("")])),
        (10, pose()),
        (11, Node::Nodes(joints)),
        (12, Node::Vector(2, points)),
        (13, inline!(1u8)),
        (14, Node::Table(vec![(0, Node::Text("member"))])),
        (15, Node::Table(vec![])),
        (16, Node::Vector(2, vec![0, 2])),
        (18, Node::Vector(2, vec![1, 0])),
    ])
}

#[test]
fn every_type_has_its_columns() {
    let row = read_one(&full());
    for (name, wanted) in [
        ("stamp", json!(3_000_000_005i64)),
        ("count", json!(-1)),
        ("ratio", json!("0.5")),
        ("maybe", json!(-300)),
        ("ok", json!(false)),
        ("mode", json!(1)),
        ("name", json!("grüße")),
        ("data", json!("0102ff")),
        ("values", json!(["1.0", "-2.0"])),
        ("names", json!(["a", ""])),
        ("pose.position.y", json!("2.0")),
        ("pose.covariance", json!(["0.5", "0.25", "0.125", "0.0"])),
        ("pose.marks.x", json!(["4.0", "7.0"])),
        ("pose.marks.z", json!(["6.0", "9.0"])),
        ("pose.flag", json!(true)),
        ("joints.name", json!(["elbow", null, null])),
        ("joints.gains", json!([[10, 20, 30], null, []])),
        ("joints.delay", json!([null, -1_500_000_000i64, null])),
        ("joints.torque", json!(["1.5", "9.0", "1.5"])),
        ("points.x", json!(["1.0", "4.0"])),
        ("what_type", json!(1)),
        ("what.Joint.name", json!("member")),
        ("what.Joint.gains", Json::Null),
        ("what.Vec3.x", Json::Null),
        ("what.Text", Json::Null),
        ("empty", json!(true)),
        ("flags", json!([false, true])),
        ("modes", json!([1, 0])),
        ("_unknown", Json::Null),
    ] {
        assert_eq!(at(&row, name, 0), wanted, "{name}");
    }
    assert!(row.column_by_name("child").is_none() && row.column_by_name("joints.parent").is_none());
    let schema = row.schema();
    let metadata = |name: &str| schema.field_with_name(name).unwrap().metadata().clone();
    assert_eq!(metadata("mode")[meta::CONSTANTS], "OFF=0,ON=1");
    assert_eq!(metadata("what_type")[meta::CONSTANTS], "NONE=0,Joint=1,Vec3=2,Text=3");
    assert_eq!(metadata("stamp")[meta::UNIT], "ns");
    assert!(metadata("_unknown")[meta::DESCRIPTION].ends_with("joints.parent, what.Joint.parent, child"));
    assert!(!schema.field_with_name("count").unwrap().is_nullable());
    assert!(schema.field_with_name("maybe").unwrap().is_nullable());
}

#[test]
fn what_is_absent_is_null_or_the_default() {
    let row = read_one(&Node::Table(vec![]));
    for field in row.schema().fields() {
        let wanted = match field.name().as_str() {
            "count" => json!(7),
            "ratio" => json!("0.5"),
            "ok" => json!(true),
            "mode" | "what_type" => json!(0),
            _ => Json::Null,
        };
        assert_eq!(at(&row, field.name(), 0), wanted, "{}", field.name());
    }
}

#[test]
fn unions_hold_structs_and_text_too() {
    let row = read_one(&Node::Table(vec![(13, inline!(2u8)), (14, behind(inline!(1.0f64, 2.0f64, 3.0f64)))]));
    assert_eq!(at(&row, "what.Vec3.z", 0), json!("3.0"));
    assert_eq!(at(&row, "what.Joint.torque", 0), Json::Null);
    let row = read_one(&Node::Table(vec![(13, inline!(3u8)), (14, Node::Text("hello"))]));
    assert_eq!(at(&row, "what.Text", 0), json!("hello"));
    assert_eq!(at(&row, "_unknown", 0), Json::Null);
}

/// Messages that the columns cannot hold entirely are kept whole.
#[test]
fn what_has_no_columns_is_kept() {
    let joint = Node::Table(vec![(3, Node::Table(vec![(0, Node::Text("base"))]))]);
    for root in [
        Node::Table(vec![(17, Node::Table(vec![]))]),
        Node::Table(vec![(11, Node::Nodes(vec![joint]))]),
        // A field that the schema does not name, and an unknown member of the union.
        Node::Table(vec![(30, inline!(1u8))]),
        Node::Table(vec![(13, inline!(9u8)), (14, Node::Text("new"))]),
    ] {
        let row = read_one(&root);
        assert_eq!(at(&row, "_unknown", 0), json!(hex(&finish(&root, b""))));
    }
}

#[track_caller]
fn check_error(payload: &[u8], kind: ErrorKind, message: &str, feature: Option<&str>) {
    let (plan, mut columns) = plan_of(&everything(), "t.Root");
    let err = decode_row(&plan, &mut columns, payload).unwrap_err();
    assert_eq!((err.kind(), err.locus().feature.as_deref()), (kind, feature), "{err}");
    assert_eq!(err.to_string(), message);
    assert!(err.hint().is_some());
}

#[test]
fn broken_messages_say_what_and_where() {
    use ErrorKind::Corrupt;
    check_error(
        &[],
        Corrupt,
        "offset or value beyond the end, at byte 0 of a FlatBuffers message of 0 bytes",
        None,
    );
    let mut text = finish(&Node::Table(vec![(6, Node::Text("abc"))]), b"");
    let last = text.len() - 2;
    text[last] = 0xff;
    check_error(
        &text,
        Corrupt,
        "text that is not UTF-8, at byte 28 of a FlatBuffers message of 40 bytes",
        Some("name"),
    );
    let mut vector = finish(&Node::Table(vec![(8, Node::Vector(1, vec![0; 4]))]), b"");
    let at = vector.len() - 8;
    vector[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    check_error(
        &vector,
        Corrupt,
        &format!(
            "offset or value beyond the end, at byte {} of a FlatBuffers message of {} bytes",
            at + 4,
            at + 8
        ),
        Some("values"),
    );
}

/// Offsets may share their target, so that few bytes stand for many.
#[test]
fn shared_targets_are_bounded() {
    let n_items = 60_000usize;
    let mut names = Vec::new();
    names.extend_from_slice(&u32::try_from(n_items).unwrap().to_le_bytes());
    let text_at = 4 + 4 * n_items;
    for idx in 0..n_items {
        names.extend_from_slice(&u32::try_from(text_at - (4 + 4 * idx)).unwrap().to_le_bytes());
    }
    let n_text = 100_000u32;
    names.extend_from_slice(&n_text.to_le_bytes());
    names.resize(names.len() + n_text as usize, b'x');
    let items = names.split_off(4);
    let payload = finish(&Node::Table(vec![(9, Node::Vector(n_items, items))]), b"");
    let (plan, mut columns) = plan_of(&everything(), "t.Root");
    let err = decode_row(&plan, &mut columns, &payload).unwrap_err();
    assert_eq!((err.kind(), err.locus().feature.as_deref()), (ErrorKind::Limit, Some("names")), "{err}");
}

#[test]
fn schemas_that_cannot_be_read_leave_the_layout_alone() {
    let mut layout = Layout::default();
    let schema = everything();
    for (name, bytes) in [
        ("t.Missing", &schema[..]),
        ("t.Vec3", &schema[..]),
        ("t.Root", &schema[..schema.len() / 2]),
        ("t.Root", &[][..]),
        ("t.Root", &b"\x08\0\0\0XXXX"[..]),
    ] {
        let err = FlatBufferPlan::compile(&mut layout, name, bytes).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Corrupt, "{name}: {err}");
    }
    assert_eq!(layout.features().len(), 0);
}

#[test]
fn damaged_messages_never_panic() {
    let (plan, mut columns) = plan_of(&everything(), "t.Root");
    let whole = finish(&full(), b"");
    for n_bytes in 0..whole.len() {
        drop(decode_row(&plan, &mut columns, &whole[..n_bytes]));
    }
    let mut random = Random(0xf1a7);
    let (mut n_read, mut n_refused) = (0, 0);
    for _ in 0..4000 {
        let mut payload = whole.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(payload.len());
            payload[at] = match random.below(3) {
                0 => 0xff,
                1 => payload[at] ^ (1 << random.below(8)),
                _ => (random.next() % 32) as u8,
            };
        }
        match decode_row(&plan, &mut columns, &payload) {
            Ok(()) => n_read += 1,
            Err(_) => n_refused += 1,
        }
    }
    assert_eq!(batch(&mut columns).num_rows(), n_read);
    assert!(n_read > 100 && n_refused > 100, "{n_read} read, {n_refused} refused");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(payload in prop::collection::vec(0u8..40, 0..200)) {
        let (plan, mut columns) = plan_of(&everything(), "t.Root");
        drop(decode_row(&plan, &mut columns, &payload));
        batch(&mut columns);
        let mut layout = Layout::default();
        drop(FlatBufferPlan::compile(&mut layout, "t.Root", &payload));
    }

    #[test]
    fn damaged_schemas_never_panic(seed in 1u64.., n_flips in 1usize..4) {
        let mut bytes = everything();
        let mut random = Random(seed);
        for _ in 0..n_flips {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        let mut layout = Layout::default();
        if let Ok(plan) = FlatBufferPlan::compile(&mut layout, "t.Root", &bytes) {
            let mut columns = Columns::new(Arc::new(layout));
            drop(decode_row(&plan, &mut columns, &finish(&full(), b"")));
            drop(decode_row(&plan, &mut columns, &finish(&Node::Table(vec![]), b"")));
            batch(&mut columns);
        }
    }
}

#[test]
fn recorded_joints_and_images_read_as_an_independent_reader_reads_them() {
    let file = "foxglove_flatbuffer";
    for (topic, key) in [("/joints", "/joints#1"), ("/camera", "/camera#2")] {
        let (name, schema, payloads) = recorded(file, topic);
        let (plan, mut columns) = plan_of(&schema, &name);
        for payload in &payloads {
            decode_row(&plan, &mut columns, payload).unwrap();
        }
        let batch = batch(&mut columns);
        let truth = truth(file)[key].clone();
        assert_eq!(truth["count"], json!(batch.num_rows()));
        for (row, end) in [(0, "first"), (payloads.len() - 1, "last")] {
            let decoded = &truth[end]["decoded"];
            assert_eq!(at(&batch, "timestamp", row), truth[end]["publish_time"]);
            if topic == "/camera" {
                assert_eq!(at(&batch, "frame_id", row), decoded["frame_id"]);
                assert_eq!(at(&batch, "format", row), decoded["format"]);
                let data = at(&batch, "data", row);
                let digits = data.as_str().unwrap();
                assert_eq!(json!(digits.len() / 2), decoded["data"]["len"]);
                assert!(digits.starts_with("ffd8") && digits.ends_with("ffd9"));
                continue;
            }
            for column in ["name", "position", "velocity", "acceleration", "effort"] {
                let joints = decoded["joints"].as_array().unwrap();
                let wanted = joints.iter().map(|joint| match &joint[column] {
                    Json::Number(it) => json!(format!("{:?}", it.as_f64().unwrap())),
                    other => other.clone(),
                });
                let found = at(&batch, &format!("joints.{column}"), row);
                assert_eq!(found, Json::Array(wanted.collect()), "{column} {end}");
            }
        }
        for row in 0..batch.num_rows() {
            assert_eq!(at(&batch, "_unknown", row), Json::Null);
        }
    }
}
