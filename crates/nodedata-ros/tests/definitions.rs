//! Definitions compiled to columns: public definitions, limits, metadata.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{collections::BTreeMap, fmt::Write, io::Read};

use nodedata_core::{DType, Dim, ErrorKind, Feature, Layout, meta};
use nodedata_ros::{Definitions, Dialect, RosPlan};
use nodedata_testkit::corpus;

/// The definitions of an archive by full name (`pkg/msg/Name`).
fn archive(name: &str) -> Option<BTreeMap<String, String>> {
    let bytes = std::fs::read(corpus::folder(&format!("logs/public/{name}.tar.zst"))?).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(bytes.as_slice()).unwrap());
    let mut texts = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        if let Some((name, "msg" | "srv" | "action")) = path.rsplit_once('.') {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            texts.insert(name.to_owned(), text);
        }
    }
    Some(texts)
}

#[test]
fn public_definitions_compile() {
    let (Some(mut all), Some(vendor)) = (archive("ros2_msgdefs"), archive("vendor_msgdefs")) else { return };
    assert!(all.len() > 200 && vendor.len() > 300, "{} and {} definitions", all.len(), vendor.len());
    all.extend(vendor);
    // One text with every definition, as a recording would join them.
    let mut text = "uint8 nothing".to_owned();
    for (name, other) in &all {
        write!(text, "\n{}\nMSG: {}\n{other}", "=".repeat(80), name.replace("/msg/", "/")).unwrap();
    }
    let definitions = Definitions::from_msg("lab/Root", &text, Dialect::Ros2).unwrap();
    let (mut failed, mut n_leaves) = (Vec::new(), 0);
    for name in all.keys() {
        let root = match name.split('/').nth(1) {
            Some("srv") => format!("{name}_Event"),
            Some("action") => format!("{name}_FeedbackMessage"),
            _ => name.clone(),
        };
        let mut layout = Layout::default();
        let result = RosPlan::compile(&mut layout, &definitions, &root);
        n_leaves += layout.features().len();
        failed.extend(result.err().map(|err| format!("{name}: {err}")));
    }
    // These use types that are not in the archives, or only as IDL.
    let missing = |owner: &str, field: &str, type_name: &str| {
        format!("{owner}: field `{field}` has type {type_name}, which the definition leaves out")
    };
    let idl = "rosbag2_test_msgdefs/msg/BasicIdl";
    let expected = [
        missing("autoware_map_msgs/msg/MapProjectorInfo", "map_origin", "geographic_msgs/msg/GeoPoint"),
        missing("rosbag2_test_msgdefs/msg/ComplexMsgDependsOnIdl", "a", idl),
        missing("rosbag2_test_msgdefs/srv/ComplexSrvIdl", "request.req", idl),
        missing("test_msgs/action/NestedMessage", "feedback.nested_field", "test_msgs/msg/BasicTypes"),
    ];
    assert_eq!(failed, expected);
    assert!(n_leaves > 5000, "{n_leaves} columns");
}

fn layout_of(text: &str, dialect: Dialect) -> Result<Vec<Feature>, nodedata_core::Error> {
    let definitions = Definitions::from_msg("lab/Root", text, dialect)?;
    let mut layout = Layout::default();
    RosPlan::compile(&mut layout, &definitions, "lab/Root")?;
    Ok(layout.features().cloned().collect())
}

fn shapes(features: &[Feature]) -> Vec<String> {
    features
        .iter()
        .map(|it| {
            let dims: Vec<i64> = it.shape.iter().map(|it| it.as_i64()).collect();
            format!("{} {} {dims:?}", it.name, it.dtype)
        })
        .collect()
}

#[test]
fn columns_of_a_message() {
    let text =
        "std_msgs/Header header\nInner[] list\nInner[2] pair\nuint8[] data\nuint8[<=4][] nested_is_no_msg\n";
    assert!(layout_of(text, Dialect::Ros2).is_err());
    let text = format!(
        "std_msgs/Header header\nInner[] list\nInner[2] pair\nuint8[<=9] data\nuint8[3] rgb\nbool[] on\n\
         {}\nMSG: lab/Inner\nfloat32[3] v\nstring[] words\nbuiltin_interfaces/Duration d\nchar[] raw\n",
        "=".repeat(80)
    );
    let expected = [
        "header.stamp int64 []",
        "header.frame_id string []",
        "list.v float32 [-1, 3]",
        "list.words string [-1, -1]",
        "list.d int64 [-1]",
        "list.raw bytes [-1]",
        "pair.v float32 [2, 3]",
        "pair.words string [2, -1]",
        "pair.d int64 [2]",
        "pair.raw bytes [2]",
        "data bytes []",
        "rgb uint8 [3]",
        "on bool [-1]",
    ];
    let features = layout_of(&text, Dialect::Ros2).unwrap();
    assert_eq!(shapes(&features), expected);
    assert_eq!(features[0].metadata[meta::UNIT], "ns");
    assert_eq!(features[10].metadata[meta::SOURCE_TYPE], "uint8[<=9]");
    let ros1 =
        layout_of("Header header\ntime t\nduration d\nbyte b\nbyte[] raw\nchar c", Dialect::Ros1).unwrap();
    let expected = [
        "header.seq uint32 []",
        "header.stamp int64 []",
        "header.frame_id string []",
        "t int64 []",
        "d int64 []",
        "b int8 []",
        "raw bytes []",
        "c uint8 []",
    ];
    assert_eq!(shapes(&ros1), expected);
}

#[test]
fn constants_go_to_the_field_they_name() {
    let text = "uint8 MODE_POSITION=0\nuint8 MODE_FORCE=1\nint32 MAX=-4\nuint8 mode\nuint8 mode_extra\nint32 ticks\n\
                int8 UNKNOWN=-1\nint8 state\nstring<=4 label\n";
    let features = layout_of(text, Dialect::Ros2).unwrap();
    let constants: Vec<_> =
        features.iter().map(|it| it.metadata.get(meta::CONSTANTS).map(String::as_str)).collect();
    assert_eq!(constants, [Some("MODE_POSITION=0,MODE_FORCE=1"), None, None, Some("UNKNOWN=-1"), None]);
    assert_eq!(features[4].metadata[meta::SOURCE_TYPE], "string<=4");
    let definitions = Definitions::from_idl(
        "a::B",
        "module a { enum K { X, @value(7) Y }; struct B { K kind; @unit(\"m\") double d[2][3]; }; };",
    );
    let mut layout = Layout::default();
    RosPlan::compile(&mut layout, &definitions.unwrap(), "a::B").unwrap();
    let features: Vec<&Feature> = layout.features().collect();
    assert_eq!(features[0].dtype, DType::Int32);
    assert_eq!(features[0].metadata[meta::CONSTANTS], "X=0,Y=7");
    assert_eq!(features[0].metadata[meta::SOURCE_TYPE], "a/K");
    assert_eq!(features[1].metadata[meta::UNIT], "m");
    assert_eq!(features[1].shape, [Dim::Fixed(2), Dim::Fixed(3)]);
}

#[test]
fn a_taken_name_gets_a_prefix() {
    let definitions = Definitions::from_msg("lab/Root", "uint32 sequence", Dialect::Ros2).unwrap();
    let mut layout = Layout::default();
    layout.leaf(Feature::new("sequence", DType::UInt32, vec![]), &[]);
    RosPlan::compile(&mut layout, &definitions, "lab/Root").unwrap();
    let names: Vec<&str> = layout.features().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["sequence", "message.sequence"]);
}

#[track_caller]
fn check_error(text: &str, kind: ErrorKind, message: &str) {
    let err = layout_of(text, Dialect::Ros2).expect_err("a definition without columns");
    assert_eq!(err.kind(), kind, "{err}");
    assert!(err.to_string().contains(message), "{err}");
    assert!(err.hint().is_some());
}

#[test]
fn definitions_without_columns() {
    let separator = format!("\n{}\nMSG: lab/", "=".repeat(80));
    check_error("other/Gone x", ErrorKind::Corrupt, "`x` has type other/msg/Gone");
    check_error(&format!("A a{separator}A\nRoot[] r"), ErrorKind::Unsupported, "contains itself");
    let deep: String = (0..100).map(|it| format!("{separator}T{it}\nT{} t", it + 1)).collect();
    check_error(&format!("T0 t{deep}{separator}T100\nbool b"), ErrorKind::Limit, "deeper than 64");
    let wide: String = (0..5000).map(|it| format!("bool b{it}\n")).collect();
    check_error(&wide, ErrorKind::Limit, "more than 4096 columns");
    // Each type doubles the one below: 2^40 fields, none of which is a column.
    let double: String = (0..40).map(|it| format!("{separator}T{it}\nT{n} a\nT{n} b", n = it + 1)).collect();
    check_error(&format!("T0 t{double}{separator}T40\n"), ErrorKind::Limit, "more than 65536 fields");
    let product = format!("A[60000] a{separator}A\nB[60000] b{separator}B\nbool x");
    check_error(&product, ErrorKind::Limit, "2147483647 values");
    check_error(&format!("bool {}", "x".repeat(2000)), ErrorKind::Limit, "name of 2000 bytes");
    let refused = Definitions::from_idl("B", "struct B { long double x; };").unwrap();
    let err = RosPlan::compile(&mut Layout::default(), &refused, "B").unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Unsupported);
}
