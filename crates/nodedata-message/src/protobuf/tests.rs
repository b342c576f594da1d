use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    cast::AsArray,
    types::{
        Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
        UInt32Type, UInt64Type,
    },
};
use arrow_schema::{DataType, Schema};
use nodedata_core::{Columns, ErrorKind, Feature, Layout, Result, meta};
use nodedata_testkit::corpus;
use proptest::prelude::*;
use prost_reflect::{DescriptorPool, DynamicMessage, prost::Message};
use serde_json::{Value as Json, json};

use self::{
    reference::{Random, expected, hex},
    schema::{find, pool},
};
use super::{ProtobufPlan, wire::write_varint};

pub(crate) mod reference;
pub(crate) mod schema;

/// One value of a column as JSON: floats as text, bytes as hexadecimal digits.
pub(crate) fn cell(array: &dyn Array, row: usize) -> Json {
    if array.is_null(row) {
        return Json::Null;
    }
    let items = |it: ArrayRef| Json::Array((0..it.len()).map(|idx| cell(&it, idx)).collect());
    match array.data_type() {
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Int8 => json!(array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => json!(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => json!(array.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => json!(array.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => json!(array.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => json!(array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => json!(format!("{:?}", array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => json!(format!("{:?}", array.as_primitive::<Float64Type>().value(row))),
        DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
        DataType::Binary => json!(hex(array.as_binary::<i32>().value(row))),
        DataType::List(_) => items(array.as_list::<i32>().value(row)),
        DataType::FixedSizeList(..) => items(array.as_fixed_size_list().value(row)),
        other => panic!("no column has the type {other}"),
    }
}

/// The rows in `columns`, as a batch: its schema is checked against the arrays.
pub(crate) fn batch(columns: &mut Columns) -> RecordBatch {
    let fields: Vec<_> = columns.layout().features().map(Feature::arrow_field).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.finish()).unwrap()
}

/// The cell of a named column.
pub(crate) fn at(batch: &RecordBatch, name: &str, row: usize) -> Json {
    cell(batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}")), row)
}

fn plan_of(pool: &DescriptorPool, name: &str) -> (ProtobufPlan, Columns) {
    let mut layout = Layout::default();
    let plan = ProtobufPlan::compile(&mut layout, name, &pool.encode_to_vec()).unwrap();
    (plan, Columns::new(Arc::new(layout)))
}

fn decode_row(plan: &ProtobufPlan, columns: &mut Columns, payload: &[u8]) -> Result<()> {
    let result = plan.decode(payload, columns);
    match &result {
        Ok(()) => columns.end_row(),
        Err(_) => columns.abort_row(),
    }
    result
}

#[track_caller]
fn check_against_reference(batch: &RecordBatch, row: usize, message: &DynamicMessage) {
    for field in batch.schema().fields() {
        if field.name() == "_unknown" {
            continue;
        }
        let path: Vec<&str> = field.name().split('.').collect();
        assert_eq!(at(batch, field.name(), row), expected(message, &path), "{} in row {row}", field.name());
    }
}

/// As [`check_against_reference`], for messages that an encoder would write otherwise: the reference
/// has no raw bytes of theirs.
#[track_caller]
fn check_meaning(batch: &RecordBatch, message: &DynamicMessage) {
    let schema = batch.schema();
    let is_raw = |it: &arrow_schema::FieldRef| {
        it.metadata().get(meta::SOURCE_TYPE).is_some_and(|it| it.ends_with("(protobuf bytes)"))
    };
    let kept: Vec<usize> = (0..schema.fields().len()).filter(|idx| !is_raw(&schema.fields()[*idx])).collect();
    check_against_reference(&batch.project(&kept).unwrap(), 0, message);
}

/// The fields of the message below.
const ROOT: &str = "single double a 1
    single float b 2
    single int32 c 3
    single int64 d 4
    single uint32 e 5
    single uint64 f 6
    single sint32 g 7
    single sint64 h 8
    single fixed32 i 9
    single fixed64 j 10
    single sfixed32 k 11
    single sfixed64 l 12
    single bool m 13
    single string n 14
    single bytes o 15
    single Mode mode 16
    optional double maybe_a 17
    optional string maybe_n 18
    optional bool maybe_m 19
    repeated double as 20
    repeated float bs 21
    repeated sint32 gs 22
    repeated sfixed64 ls 23
    repeated bool ms 24
    repeated string ns 25
    repeated bytes os 26
    repeated Mode modes 27
    pick string picked_text 28
    pick Joint picked_joint 29
    pick int32 picked_number 30
    pick google.protobuf.Empty picked_nothing 31
    map double gains 32
    map Joint named 33
    single google.protobuf.Timestamp stamp 34
    repeated google.protobuf.Duration waits 35
    single google.protobuf.DoubleValue wrapped 36
    single google.protobuf.StringValue wrapped_text 37
    repeated google.protobuf.UInt32Value wrapped_many 38
    single Arm arm 39
    repeated Arm arms 40
    single Tree tree 1000
    repeated Tree trees 1001
    single google.protobuf.Struct json 536870911
    repeated Nothing nothings 300";

/// Everything proto3 has.
fn everything() -> DescriptorPool {
    pool(
        "proto3",
        &[
            ("Root", ROOT),
            (
                "Joint",
                "single string name 1
                 optional double position 2
                 repeated float torques 3
                 single google.protobuf.Timestamp stamp 4",
            ),
            (
                "Arm",
                "single Joint base 1
                 repeated Joint joints 2
                 single uint32 id 3
                 repeated google.protobuf.Timestamp stamps 4",
            ),
            (
                "Tree",
                "single int32 weight 1
                 single Tree left 2
                 repeated Tree branches 3",
            ),
            ("Nothing", ""),
        ],
    )
}

#[test]
fn random_messages_read_as_the_reference_reads_them() {
    let pool = everything();
    let root = find(&pool, "t.Root");
    let (plan, mut columns) = plan_of(&pool, "t.Root");
    let mut random = Random(0x5eed);
    let messages: Vec<DynamicMessage> = (0..300).map(|_| random.message(&root, 3)).collect();
    for message in &messages {
        decode_row(&plan, &mut columns, &message.encode_to_vec()).unwrap();
    }
    let batch = batch(&mut columns);
    for (row, message) in messages.iter().enumerate() {
        check_against_reference(&batch, row, message);
        assert_eq!(at(&batch, "_unknown", row), Json::Null);
    }
}

#[test]
fn columns_follow_the_declaration() {
    let (_, columns) = plan_of(&everything(), "t.Root");
    let layout = columns.layout();
    let of = |name: &str| layout.features().find(|it| it.name == name).unwrap().clone();
    let described = |name: &str| {
        let it = of(name);
        let nullable = if it.nullable { "?" } else { "" };
        let shape: Vec<i64> = it.shape.iter().map(|dim| dim.as_i64()).collect();
        format!("{}{nullable}{shape:?}", it.dtype.name())
    };
    for (name, wanted) in [
        ("a", "float64[]"),
        ("mode", "int32[]"),
        ("maybe_a", "float64?[]"),
        ("as", "float64[-1]"),
        ("picked_text", "string?[]"),
        ("picked_joint.name", "string?[]"),
        ("picked_joint.torques", "float32?[-1]"),
        ("picked_nothing", "bool?[]"),
        ("gains.key", "string[-1]"),
        ("gains.value", "float64[-1]"),
        ("named.value.position", "float64?[-1]"),
        ("named.value.torques", "float32[-1, -1]"),
        ("stamp", "int64?[]"),
        ("waits", "int64[-1]"),
        ("wrapped", "float64?[]"),
        ("wrapped_many", "uint32[-1]"),
        ("arm.id", "uint32?[]"),
        ("arms.base.torques", "float32?[-1, -1]"),
        ("arms.joints.name", "string[-1, -1]"),
        ("tree.left", "bytes?[]"),
        ("trees.branches", "bytes[-1, -1]"),
        ("json", "bytes?[]"),
        ("nothings", "bool[-1]"),
        ("_unknown", "bytes?[]"),
    ] {
        assert_eq!(described(name), wanted, "{name}");
    }
    assert_eq!(of("mode").metadata[meta::CONSTANTS], "OFF=0,ON=1,BACK=-3");
    assert_eq!(of("stamp").metadata[meta::UNIT], "ns");
    assert_eq!(of("json").metadata[meta::SOURCE_TYPE], "google.protobuf.Struct (protobuf bytes)");
    assert_eq!(layout.features().last().unwrap().name, "_unknown");
}

/// A field with a varint.
fn varint(out: &mut Vec<u8>, number: u32, value: u64) {
    write_varint(out, u64::from(number) << 3);
    write_varint(out, value);
}

/// A field with a length.
fn bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    write_varint(out, u64::from(number) << 3 | 2);
    write_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn built(build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    build(&mut out);
    out
}

/// Reads one message of `everything`.
#[track_caller]
fn read_one(payload: &[u8]) -> RecordBatch {
    let (plan, mut columns) = plan_of(&everything(), "t.Root");
    decode_row(&plan, &mut columns, payload).unwrap();
    batch(&mut columns)
}

#[test]
fn the_last_value_wins_and_submessages_merge() {
    let payload = built(|out| {
        varint(out, 3, 7);
        // arm: its id, one joint, and half of its base …
        let base = built(|it| bytes(it, 1, b"shoulder"));
        bytes(
            out,
            39,
            &built(|it| {
                varint(it, 3, 4);
                bytes(it, 1, &base);
                bytes(it, 2, &built(|it| bytes(it, 1, b"first")));
            }),
        );
        varint(out, 3, 8);
        // … then another id, another joint and the rest of the base.
        bytes(
            out,
            39,
            &built(|it| {
                bytes(it, 2, &built(|it| bytes(it, 1, b"second")));
                bytes(it, 1, &built(|it| bytes(it, 3, &1.5f32.to_le_bytes())));
                varint(it, 3, 5);
            }),
        );
        bytes(out, 34, &built(|it| varint(it, 1, 2)));
        bytes(out, 34, &built(|it| varint(it, 2, 5)));
    });
    let row = read_one(&payload);
    assert_eq!(at(&row, "c", 0), json!(8));
    assert_eq!(at(&row, "arm.id", 0), json!(5));
    assert_eq!(at(&row, "arm.base.name", 0), json!("shoulder"));
    assert_eq!(at(&row, "arm.base.torques", 0), json!(["1.5"]));
    assert_eq!(at(&row, "arm.joints.name", 0), json!(["first", "second"]));
    assert_eq!(at(&row, "stamp", 0), json!(2_000_000_005i64));
    let reference = DynamicMessage::decode(find(&everything(), "t.Root"), &payload[..]).unwrap();
    check_against_reference(&row, 0, &reference);
}

#[test]
fn the_last_member_of_a_oneof_wins() {
    let joint = |name: &[u8]| built(|it| bytes(it, 1, name));
    let torque = built(|it| bytes(it, 3, &2.0f32.to_le_bytes()));
    let row = read_one(&built(|out| {
        bytes(out, 29, &joint(b"replaced"));
        bytes(out, 29, &torque);
        bytes(out, 28, b"text");
        bytes(out, 29, &joint(b"kept"));
        bytes(out, 29, &torque);
    }));
    assert_eq!(at(&row, "picked_text", 0), Json::Null);
    assert_eq!(at(&row, "picked_joint.name", 0), json!("kept"));
    assert_eq!(at(&row, "picked_joint.torques", 0), json!(["2.0"]));
    assert_eq!(at(&row, "picked_number", 0), Json::Null);

    let row = read_one(&built(|out| {
        bytes(out, 29, &joint(b"replaced"));
        varint(out, 30, 0);
    }));
    assert_eq!(at(&row, "picked_number", 0), json!(0));
    assert_eq!(at(&row, "picked_joint.name", 0), Json::Null);
    assert_eq!(at(&row, "picked_joint.torques", 0), Json::Null);
}

#[test]
fn packed_and_single_items_mix() {
    let row = read_one(&built(|out| {
        varint(out, 22, 1);
        bytes(out, 22, &[2, 3]);
        bytes(out, 22, &[]);
        varint(out, 22, 4);
    }));
    assert_eq!(at(&row, "gs", 0), json!([-1, 1, -2, 2]));
}

#[test]
fn what_the_schema_does_not_name_is_kept() {
    let known = built(|out| varint(out, 3, 7));
    let joint = built(|it| bytes(it, 1, b"elbow"));
    let strange_joint = built(|it| {
        bytes(it, 1, b"wrist");
        varint(it, 99, 5);
    });
    let payload = built(|out| {
        varint(out, 2999, 1);
        out.extend_from_slice(&known);
        bytes(
            out,
            39,
            &built(|arm| {
                bytes(arm, 2, &joint);
                bytes(arm, 2, &strange_joint);
            }),
        );
        // A known number with another wire type, and a group.
        bytes(out, 3, b"text");
        write_varint(out, 2998 << 3 | 3);
        bytes(out, 1, b"inside");
        write_varint(out, 2998 << 3 | 4);
    });
    let row = read_one(&payload);
    assert_eq!(at(&row, "c", 0), json!(7));
    assert_eq!(at(&row, "arm.joints.name", 0), json!(["elbow", "wrist"]));
    let unknown = built(|out| {
        varint(out, 2999, 1);
        bytes(
            out,
            39,
            &built(|arm| {
                bytes(arm, 2, &[]);
                bytes(arm, 2, &built(|it| varint(it, 99, 5)));
            }),
        );
        bytes(out, 3, b"text");
        write_varint(out, 2998 << 3 | 3);
        bytes(out, 1, b"inside");
        write_varint(out, 2998 << 3 | 4);
    });
    assert_eq!(at(&row, "_unknown", 0), json!(hex(&unknown)));
}

#[test]
fn groups_of_proto2_are_submessages() {
    let pool = pool(
        "proto2",
        &[
            (
                "Old",
                "optional group:Part part 1\nrequired int32 id 2\nrepeated group:Part parts 3\noptional bool set 4",
            ),
            ("Part", "optional string name 1\nrepeated fixed32 codes 2"),
        ],
    );
    let (plan, mut columns) = plan_of(&pool, "t.Old");
    let mut random = Random(77);
    let old = find(&pool, "t.Old");
    let messages: Vec<DynamicMessage> = (0..50).map(|_| random.message(&old, 3)).collect();
    for message in &messages {
        decode_row(&plan, &mut columns, &message.encode_to_vec()).unwrap();
    }
    let batch = batch(&mut columns);
    for (row, message) in messages.iter().enumerate() {
        check_against_reference(&batch, row, message);
    }
    // A required field that is missing is a null, not a lost row.
    assert!(batch.schema().field_with_name("id").unwrap().is_nullable());
}

#[test]
fn editions_say_presence_in_features() {
    // file { package e, syntax editions, edition 2023, message M { int32 a; int32 b [implicit] } }
    let field = |name: &[u8], number: u64, options: &[u8]| {
        built(|it| {
            bytes(it, 1, name);
            varint(it, 3, number);
            varint(it, 4, 1);
            varint(it, 5, 5);
            bytes(it, 8, options);
        })
    };
    let implicit = built(|it| bytes(it, 21, &built(|it| varint(it, 1, 2))));
    let set = built(|set| {
        bytes(
            set,
            1,
            &built(|file| {
                bytes(file, 2, b"e");
                bytes(file, 12, b"editions");
                varint(file, 14, 1000);
                bytes(
                    file,
                    4,
                    &built(|message| {
                        bytes(message, 1, b"M");
                        bytes(message, 2, &field(b"a", 1, &[]));
                        bytes(message, 2, &field(b"b", 2, &implicit));
                    }),
                );
            }),
        );
    });
    let mut layout = Layout::default();
    ProtobufPlan::compile(&mut layout, "e.M", &set).unwrap();
    let nullable: Vec<bool> = layout.features().map(|it| it.nullable).collect();
    assert_eq!(nullable, [true, false, true]);
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
    use ErrorKind::{Corrupt, Limit, Unsupported};
    check_error(
        &[0x08 | 2, 200, 1, 0],
        Corrupt,
        "value reaches beyond the end of its message, at byte 1 of a protobuf message of 4 bytes",
        None,
    );
    check_error(
        &built(|out| bytes(out, 14, b"\xff")),
        Corrupt,
        "text that is not UTF-8, at byte 2 of a protobuf message of 3 bytes",
        Some("n"),
    );
    check_error(
        &[0x1b, 0x24],
        Corrupt,
        "end of a group that was not started, at byte 1 of a protobuf message of 2 bytes",
        None,
    );
    check_error(
        &[0x06],
        Corrupt,
        "field number outside 1..2^29, at byte 0 of a protobuf message of 1 bytes",
        None,
    );
    check_error(
        &[0x0f],
        Corrupt,
        "wire type 6 or 7, but 0 to 5 exist, at byte 0 of a protobuf message of 1 bytes",
        None,
    );
    check_error(
        &built(|out| bytes(out, 20, &[0; 9])),
        Corrupt,
        "packed field whose length is no multiple of its items, at byte 3 of a protobuf message of 12 bytes",
        Some("as"),
    );
    check_error(
        &built(|out| bytes(out, 34, &built(|it| varint(it, 1, 1 << 40)))),
        Unsupported,
        "time outside the range of int64 nanoseconds, at byte 3 of a protobuf message of 10 bytes",
        Some("stamp"),
    );
    let many_arms = built(|out| {
        for _ in 0..130_000 {
            out.extend_from_slice(&[0xc2, 0x02, 0]);
        }
    });
    let (plan, mut columns) = plan_of(&wide(), "t.Wide");
    let err = decode_row(&plan, &mut columns, &many_arms).unwrap_err();
    assert_eq!(err.kind(), Limit, "{err}");
}

/// A repeated message whose items have far more columns than bytes.
fn wide() -> DescriptorPool {
    let fields: String = (1..100).map(|it| format!("single double f{it} {it}\n")).collect();
    pool("proto3", &[("Wide", "repeated Item items 40"), ("Item", &fields)])
}

#[test]
fn schemas_that_cannot_be_read_leave_the_layout_alone() {
    let mut layout = Layout::default();
    let set = everything().encode_to_vec();
    let err = ProtobufPlan::compile(&mut layout, "t.Missing", &set).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Corrupt);
    let err = ProtobufPlan::compile(&mut layout, "t.Root", &set[..set.len() / 2]).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Corrupt);
    // Ten levels of four submessages each: a million columns.
    let names: Vec<String> = (0..11).map(|it| format!("L{it}")).collect();
    let bodies: Vec<String> = (0..11)
        .map(|level| match level {
            10 => "single double x 1".to_owned(),
            _ => (1..5).map(|it| format!("single L{} f{it} {it}\n", level + 1)).collect(),
        })
        .collect();
    let messages: Vec<(&str, &str)> =
        names.iter().zip(&bodies).map(|(name, body)| (name.as_str(), body.as_str())).collect();
    let err =
        ProtobufPlan::compile(&mut layout, "t.L0", &pool("proto3", &messages).encode_to_vec()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Limit);
    assert_eq!(layout.features().len(), 0);
}

/// Wherever the reference reads a damaged message, we read the same; and nothing makes us panic.
#[test]
fn damaged_messages_read_as_the_reference_reads_them() {
    let pool = everything();
    let root = find(&pool, "t.Root");
    let (plan, mut columns) = plan_of(&pool, "t.Root");
    let mut random = Random(0xdead_beef);
    let (mut n_read, mut n_refused) = (0, 0);
    for _ in 0..400 {
        let mut message = random.message(&root, 2);
        // The reference drops equal keys of a map, and floats may become NaN of any kind.
        message.clear_field_by_name("gains");
        message.clear_field_by_name("named");
        let whole = message.encode_to_vec();
        for _ in 0..10 {
            let mut payload = whole.clone();
            if payload.is_empty() {
                continue;
            }
            let at = random.below(payload.len());
            if random.below(4) == 0 {
                payload.truncate(at);
            } else {
                payload[at] ^= 1 << random.below(8);
            }
            let ours = decode_row(&plan, &mut columns, &payload);
            let reference = DynamicMessage::decode(root.clone(), &payload[..]);
            match (ours, reference) {
                (Ok(()), Ok(reference)) => {
                    let row = batch(&mut columns);
                    if !has_map(&reference) {
                        check_meaning(&row, &reference);
                        n_read += 1;
                    }
                }
                // Another wire type than the schema's: an error to the reference, unknown to us.
                (Ok(()), Err(_)) => drop(columns.finish()),
                (Err(err), Ok(_)) => assert_eq!(err.kind(), ErrorKind::Unsupported, "{err} {payload:02x?}"),
                (Err(_), Err(_)) => n_refused += 1,
            }
        }
    }
    assert!(n_read > 500 && n_refused > 500, "{n_read} read, {n_refused} refused");
}

fn has_map(message: &DynamicMessage) -> bool {
    ["gains", "named"].iter().any(|it| message.has_field_by_name(it))
}

proptest! {
    #[test]
    fn random_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let (plan, mut columns) = plan_of(&everything(), "t.Arm");
        if decode_row(&plan, &mut columns, &payload).is_ok() {
            batch(&mut columns);
        }
        let mut layout = Layout::default();
        drop(ProtobufPlan::compile(&mut layout, "t.Arm", &payload));
    }

    #[test]
    fn damaged_schemas_never_panic(seed in 1u64.., n_flips in 1usize..6) {
        let mut set = pool("proto3", &[("Arm", "repeated Arm arms 1\nmap Arm named 2\nsingle Mode mode 3")])
            .get_file_by_name("t.proto").unwrap().file_descriptor_proto().encode_to_vec();
        let mut random = Random(seed);
        for _ in 0..n_flips {
            let at = random.below(set.len());
            set[at] ^= 1 << random.below(8);
        }
        let set = built(|out| bytes(out, 1, &set));
        let mut layout = Layout::default();
        if let Ok(plan) = ProtobufPlan::compile(&mut layout, "t.Arm", &set) {
            let mut columns = Columns::new(Arc::new(layout));
            for _ in 0..5 {
                let payload: Vec<u8> = (0..random.below(30)).map(|_| (random.next() % 64) as u8).collect();
                drop(decode_row(&plan, &mut columns, &payload));
            }
            batch(&mut columns);
        }
    }
}

/// The messages of a topic of a recorded file: schema name, schema and payloads.
pub(crate) fn recorded(name: &str, topic: &str) -> (String, Vec<u8>, Vec<Vec<u8>>) {
    let log = std::fs::read(corpus::recording(name)).unwrap();
    let mut found = (String::new(), Vec::new(), Vec::new());
    for message in mcap::MessageStream::new(&log).unwrap().map(Result::unwrap) {
        if message.channel.topic == topic {
            let schema = message.channel.schema.as_ref().unwrap();
            found.0.clone_from(&schema.name);
            found.1 = schema.data.to_vec();
            found.2.push(message.data.to_vec());
        }
    }
    found
}

/// What an independent reader found in a recorded file: the topics by `<name>#<channel>`.
pub(crate) fn truth(name: &str) -> Json {
    let truth = std::fs::read(corpus::recording(name).with_extension("truth.json")).unwrap();
    let found: Json = serde_json::from_slice(&truth).unwrap();
    found["topics"].clone()
}

#[test]
fn recorded_messages_read_as_the_reference_reads_them() {
    for (file, topics) in [
        ("foxglove_protobuf_none", &["/joints", "/camera", "/depth", "/log", "/tf"][..]),
        ("foxglove_sdk_lz4", &["/joints", "/camera", "/tf"]),
        ("foxglove_video_h264", &["/video"]),
    ] {
        for topic in topics {
            let (name, set, payloads) = recorded(file, topic);
            let pool = DescriptorPool::decode(&set[..]).unwrap();
            let (plan, mut columns) = plan_of(&pool, &name);
            for payload in &payloads {
                decode_row(&plan, &mut columns, payload).unwrap();
            }
            let batch = batch(&mut columns);
            for (row, payload) in payloads.iter().enumerate() {
                let reference = DynamicMessage::decode(find(&pool, &name), &payload[..]).unwrap();
                check_against_reference(&batch, row, &reference);
                assert_eq!(at(&batch, "_unknown", row), Json::Null, "{file} {topic}");
            }
            let truth = truth(file);
            let key = truth.as_object().unwrap().keys().find(|it| it.split('#').next() == Some(topic));
            assert_eq!(truth[key.unwrap()]["count"], json!(batch.num_rows()), "{file} {topic}");
        }
    }
}

#[test]
fn recorded_joints_keep_presence() {
    let file = "foxglove_protobuf_none";
    let (name, set, payloads) = recorded(file, "/joints");
    let (plan, mut columns) = plan_of(&DescriptorPool::decode(&set[..]).unwrap(), &name);
    for payload in &payloads {
        decode_row(&plan, &mut columns, payload).unwrap();
    }
    let batch = batch(&mut columns);
    let truth = truth(file);
    let topic = truth.as_object().unwrap().iter().find(|it| it.1["topic"] == "/joints").unwrap().1;
    for (row, end) in [(0, "first"), (payloads.len() - 1, "last")] {
        let decoded = &topic[end]["decoded"]["_protobuf"];
        let joints = decoded["joints"].as_array().unwrap();
        for column in ["name", "position", "velocity", "acceleration", "effort"] {
            let wanted: Vec<Json> = joints
                .iter()
                .map(|joint| match &joint[column] {
                    Json::Number(it) => json!(format!("{:?}", it.as_f64().unwrap())),
                    other => other.clone(),
                })
                .collect();
            assert_eq!(at(&batch, &format!("joints.{column}"), row), Json::Array(wanted), "{column} {end}");
        }
        assert_eq!(at(&batch, "timestamp", row), topic[end]["publish_time"], "{end}");
    }
    assert!(matches!(at(&batch, "joints.velocity", 0), Json::Array(it) if it[5].is_null()));
}
