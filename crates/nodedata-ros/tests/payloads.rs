//! Payloads written here by hand, in every encoding, and what happens when they are damaged.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod support;

use nodedata_core::{ErrorKind, Result};
use nodedata_ros::{Definitions, Dialect};
use serde_json::{Value, json};
use support::{
    Topic,
    cdr::{Encoding, Writer},
};

const TEXT: &str = "uint8 a\nfloat64 b\nint16[3] c\nfloat64[] d\nstring[] e\nInner[] f\nInner[2] g\nbool[] h\n\
                    uint64[] empty\nuint8[] raw\nbuiltin_interfaces/Time t\nuint8 last\n\
                    ================\nMSG: lab/Inner\nuint32 x\nfloat32[] y\nstring z\n";

fn topic(text: &str, dialect: Dialect) -> Topic {
    Topic::new(&Definitions::from_msg("lab/Root", text, dialect).unwrap(), "lab/Root")
}

fn inner(writer: &mut Writer, k: u32) {
    writer.u32(k).u32(k);
    for it in 0..k {
        writer.number((it as f32 + 0.5).to_le_bytes());
    }
    writer.string(&"é".repeat(k as usize));
}

fn payload(encoding: Encoding) -> Vec<u8> {
    let mut writer = Writer::new(encoding);
    writer.u8(7).f64(-0.25);
    for it in [-1i16, 0, 300] {
        writer.number(it.to_le_bytes());
    }
    writer.u32(2).f64(1e300).f64(f64::MIN_POSITIVE);
    writer.framed(|it| {
        it.u32(2).string("").string("word");
    });
    writer.framed(|it| {
        it.u32(3);
        (0..3).for_each(|k| inner(it, k));
    });
    writer.framed(|it| (1..3).for_each(|k| inner(it, k)));
    writer.u32(3).u8(1).u8(0).u8(1);
    // An empty list of 8-byte items does not align.
    writer.u32(0).bytes(&[9, 8, 7]);
    writer.number((-2i32).to_le_bytes()).u32(5).u8(255);
    writer.finish()
}

fn row() -> Vec<(&'static str, Value)> {
    vec![
        ("a", json!(7)),
        ("b", json!(-0.25)),
        ("c", json!([-1, 0, 300])),
        ("d", json!([1e300, f64::MIN_POSITIVE])),
        ("e", json!(["", "word"])),
        ("f.x", json!([0, 1, 2])),
        ("f.y", json!([[], [0.5], [0.5, 1.5]])),
        ("f.z", json!(["", "é", "éé"])),
        ("g.x", json!([1, 2])),
        ("g.y", json!([[0.5], [0.5, 1.5]])),
        ("g.z", json!(["é", "éé"])),
        ("h", json!([true, false, true])),
        ("empty", json!([])),
        ("raw", json!([9, 8, 7])),
        ("t", json!(-1_999_999_995i64)),
        ("last", json!(255)),
    ]
}

#[track_caller]
fn check(found: Result<Vec<(String, Value)>>) {
    let found = found.unwrap_or_else(|err| panic!("{err} at {}", err.locus()));
    let found: Vec<(&str, Value)> =
        found.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(found, row());
}

#[test]
fn every_encoding_round_trips() {
    let topic = topic(TEXT, Dialect::Ros2);
    for encoding in Encoding::CDR {
        check(topic.cdr(&payload(encoding)));
    }
    // RTPS numbers plain XCDR2 0x10 and 0x11.
    for big in [false, true] {
        let mut payload = payload(Encoding::Xcdr2 { big });
        payload[1] += 10;
        check(topic.cdr(&payload));
    }
    check(topic.ros1(&payload(Encoding::Ros1)));
}

#[test]
fn every_shorter_payload_is_an_error_with_its_field() {
    let topic = topic(TEXT, Dialect::Ros2);
    for encoding in Encoding::CDR {
        let whole = payload(encoding);
        for n in 0..whole.len() {
            let err = topic.cdr(&whole[..n]).expect_err("a payload cut short");
            assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
            assert!(n < 4 || err.locus().feature.is_some(), "{encoding:?} {n}: {err}");
        }
    }
    let whole = payload(Encoding::Ros1);
    for n in 0..whole.len() {
        assert_eq!(topic.ros1(&whole[..n]).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn bytes_behind_a_message() {
    let topic = topic("uint8 x", Dialect::Ros2);
    let with = |rest: &[u8]| topic.cdr(&[&[0, 1, 0, 0, 5][..], rest].concat());
    assert!(with(&[1, 2, 3]).is_ok());
    assert!(with(&[0; 7]).is_ok());
    // Four bytes that are not zero are more likely a field than padding.
    for rest in [&[0, 0, 0, 1][..], &[0; 8]] {
        let err = with(rest).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Corrupt);
        assert!(
            err.to_string().starts_with(&format!("{} bytes left after the message at byte 5", rest.len())),
            "{err}"
        );
    }
    assert!(topic.ros1(&[5]).is_ok());
    assert!(topic.ros1(&[5, 0]).is_err());
}

#[test]
fn messages_without_fields() {
    let topic = topic("", Dialect::Ros2);
    for payload in [&[0, 1, 0, 0, 0][..], &[0, 1, 0, 0], &[0, 1, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(topic.cdr(payload).unwrap(), []);
    }
    assert!(topic.cdr(&[]).is_err());
    assert_eq!(topic.ros1(&[]).unwrap(), []);
}

#[track_caller]
fn check_error(text: &str, payload: &[u8], kind: ErrorKind, message: &str, feature: Option<&str>) {
    let err = topic(text, Dialect::Ros2).cdr(payload).expect_err("a damaged payload");
    assert_eq!(err.kind(), kind);
    assert_eq!(err.to_string(), message);
    assert_eq!(err.locus().feature.as_deref(), feature);
    assert!(err.hint().is_some());
}

#[test]
fn damage_is_named() {
    use ErrorKind::{Corrupt, Unsupported};
    let le = |body: &[u8]| [&[0, 1, 0, 0][..], body].concat();
    check_error(
        "bool b",
        &[],
        Corrupt,
        "payload has 0 bytes, expected at least the 4 of its encapsulation header",
        None,
    );
    check_error(
        "bool b",
        &[0, 4, 0, 0, 1],
        Unsupported,
        "payload has representation id 0x0004, expected CDR",
        None,
    );
    check_error("bool b", &le(&[2]), Corrupt, "bool at byte 4 is 2, expected 0 or 1", Some("b"));
    let text = le(&[3, 0, 0, 0, b'a', 0xff, 0]);
    check_error("string s", &text, Corrupt, "string is not UTF-8 at byte 9", Some("s"));
    let huge = le(&[0xff, 0xff, 0xff, 0xff, 0]);
    check_error(
        "float64[] v",
        &huge,
        Corrupt,
        "list at byte 8 claims 4294967295 items of at least 8 bytes, but 1 bytes are left",
        Some("v"),
    );
    check_error(
        "float64[1000000000] v",
        &huge,
        Corrupt,
        "list at byte 4 claims 1000000000 items of at least 8 bytes, but 5 bytes are left",
        Some("v"),
    );
    // The third number of a run is the one that does not fit.
    let run = le(&[0; 20]);
    check_error(
        "float64 a\nfloat64 b\nfloat64 c",
        &run,
        Corrupt,
        "payload has 20 bytes left at byte 4, but 24 are needed",
        Some("c"),
    );
}

#[test]
fn text_with_and_without_nul() {
    let topic = topic("string s", Dialect::Ros2);
    for (body, expected) in [
        (&[0, 0, 0, 0][..], ""),
        (&[1, 0, 0, 0, 0], ""),
        (&[1, 0, 0, 0, b'a'], "a"),
        (&[2, 0, 0, 0, b'a', 0], "a"),
        (&[3, 0, 0, 0, b'a', 0, 0], "a\0"),
    ] {
        let row = topic.cdr(&[&[0, 1, 0, 0], body].concat()).unwrap();
        assert_eq!(row[0].1, json!(expected));
    }
    assert_eq!(topic.ros1(&[2, 0, 0, 0, b'a', 0]).unwrap()[0].1, json!("a\0"));
}

#[test]
fn times() {
    let ros1 = topic("time t\nduration d", Dialect::Ros1);
    let body =
        [u32::MAX.to_le_bytes(), 7u32.to_le_bytes(), (-1i32).to_le_bytes(), (-5i32).to_le_bytes()].concat();
    let row = ros1.ros1(&body).unwrap();
    assert_eq!(row[0].1, json!(4_294_967_295_000_000_007i64));
    assert_eq!(row[1].1, json!(-1_000_000_005i64));
    let ros2 = topic("builtin_interfaces/Duration d", Dialect::Ros2);
    let row = ros2.cdr(&[&[0, 1, 0, 0], &body[8..12], &5u32.to_le_bytes()[..]].concat()).unwrap();
    assert_eq!(row[0].1, json!(-999_999_995i64));
}

#[test]
fn wide_text_of_every_width() {
    let topic = topic("wstring[] w\nfloat64 x\nwstring v", Dialect::Ros2);
    let words = ["", "añ", "日本語", "🤖!"];
    for width in [2, 4, 0] {
        for encoding in Encoding::CDR {
            let mut writer = Writer::new(encoding);
            let wide = |writer: &mut Writer, text: &str| {
                let units: Vec<u16> = text.encode_utf16().collect();
                writer.u32(units.len() as u32 * if width == 0 { 2 } else { 1 });
                for unit in units {
                    if width == 4 {
                        writer.u32(u32::from(unit));
                    } else {
                        writer.number(unit.to_le_bytes());
                    }
                }
            };
            writer.framed(|it| {
                it.u32(4);
                words.iter().for_each(|word| wide(it, word));
            });
            writer.f64(0.5);
            wide(&mut writer, "end");
            let row = topic.cdr(&writer.finish()).unwrap_or_else(|err| panic!("{width} {encoding:?} {err}"));
            let values: Vec<Value> = row.into_iter().map(|(_, value)| value).collect();
            assert_eq!(values, [json!(words), json!(0.5), json!("end")], "{width} {encoding:?}");
        }
    }
    let lone_surrogate = [0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0xd8, 0, 0];
    assert!(topic.cdr(&lone_surrogate).is_err());
}

/// The width is found all the same, so that the text is named that is none.
#[test]
fn a_text_that_is_none_beside_wide_text_is_named() {
    let topic = topic("wstring w\nstring s\nfloat64 x", Dialect::Ros2);
    for (n, width) in [(2, 2), (2, 4), (4, 2)] {
        let mut writer = Writer::new(Encoding::CDR[0]);
        writer.u32(n);
        for unit in "hi".encode_utf16() {
            if width == 4 {
                writer.u32(u32::from(unit))
            } else {
                writer.number(unit.to_le_bytes())
            };
        }
        writer.string("ab").f64(0.5);
        let mut payload = writer.finish();
        let at = 8 + 2 * width + 4;
        assert_eq!(payload[at..at + 2], *b"ab");
        assert_eq!(topic.cdr(&payload).unwrap()[1].1, json!("ab"), "{n} units of {width} bytes");
        payload[at] = 0xff;
        let err = topic.cdr(&payload).unwrap_err();
        assert_eq!(
            err.to_string(),
            format!("string is not UTF-8 at byte {at}"),
            "{n} units of {width} bytes"
        );
        assert_eq!(err.locus().feature.as_deref(), Some("s"));
    }
}

#[test]
fn optional_members() {
    let text = "struct In { long a; @optional sequence<float> l; };
                struct Out { octet o; @optional double d; @optional In in_; @optional string s; sequence<In> list;
                @optional long fixed_[2]; octet end; };";
    let topic = Topic::new(&Definitions::from_idl("Out", text).unwrap(), "Out");
    for big in [false, true] {
        let mut writer = Writer::new(Encoding::Xcdr2 { big });
        writer.u8(1).u8(1).f64(2.5).u8(1).u32(3).u8(0).u8(0);
        writer.framed(|it| {
            it.u32(2).u32(8).u8(1).u32(1).number(0.5f32.to_le_bytes()).u32(9).u8(0);
        });
        writer.u8(0).u8(6);
        let row = topic.cdr(&writer.finish()).unwrap_or_else(|err| panic!("{err} at {}", err.locus()));
        let expected = json!({"o": 1, "d": 2.5, "in_.a": 3, "in_.l": null, "s": null, "list.a": [8, 9],
                              "list.l": [[0.5], null], "fixed_": null, "end": 6});
        assert_eq!(Value::Object(row.into_iter().collect()), expected);
    }
    // XCDR1 puts a parameter header in front of an optional member; length 0 means absent.
    let mut writer = Writer::new(Encoding::Xcdr1 { big: false });
    writer.u8(1).u32(0x0008_0001);
    let mut payload = writer.finish();
    payload.extend(2.5f64.to_le_bytes());
    payload.extend([2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6]);
    let row = topic.cdr(&payload).unwrap_or_else(|err| panic!("{err} at {}", err.locus()));
    let expected = json!({"o": 1, "d": 2.5, "in_.a": null, "in_.l": null, "s": null, "list.a": [],
                          "list.l": [], "fixed_": null, "end": 6});
    assert_eq!(Value::Object(row.into_iter().collect()), expected);
}

#[test]
fn framed_times_and_unknown_members() {
    let topic = topic("builtin_interfaces/Time t\nuint8 x", Dialect::Ros2);
    // XCDR2 parameter list, members and halves of the time in reverse order.
    let body: Vec<u32> = vec![44, 0x0000_0001, 9, 0x4000_0000, 20, 16, 0x2000_0001, 5, 0x2000_0000, 3];
    let mut payload = vec![0, 0x0b, 0, 0];
    payload.extend(body.iter().flat_map(|it| it.to_le_bytes()));
    payload[4] = 36;
    let row = topic.cdr(&payload).unwrap_or_else(|err| panic!("{err} at {}", err.locus()));
    assert_eq!([&row[0].1, &row[1].1], [&json!(3_000_000_005i64), &json!(9)]);
    let mut unknown = payload.clone();
    unknown[8] = 7;
    let err = topic.cdr(&unknown).unwrap_err();
    assert_eq!(err.to_string(), "member id 7 at byte 12 is not in the definition of the struct");
    let mut missing = payload[..16].to_vec();
    missing[4] = 8;
    let err = topic.cdr(&missing).unwrap_err();
    assert_eq!(err.locus().feature.as_deref(), Some("t"));
    assert!(err.to_string().starts_with("member is missing"), "{err}");
}

#[test]
fn absent_members_cost_no_more_than_a_multiple_of_the_payload() {
    let members: String = (0..1000).map(|it| format!("double d{it};")).collect();
    let text = format!(
        "struct Big {{ {members} }}; struct In {{ @optional Big big; }}; struct Out {{ sequence<In> l; }};"
    );
    let topic = Topic::new(&Definitions::from_idl("Out", &text).unwrap(), "Out");
    let payload = |n: u32| {
        let mut writer = Writer::new(Encoding::Xcdr2 { big: false });
        writer.framed(|it| {
            it.u32(n);
            (0..n).for_each(|_| {
                it.u8(0);
            });
        });
        writer.finish()
    };
    assert!(topic.cdr(&payload(100)).is_ok());
    let err = topic.cdr(&payload(10_000)).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Limit, "{err}");
}

/// Items without a field have no columns; how many there are is told all the same.
#[test]
fn lists_of_empty_structs_keep_their_length() {
    let text = "Inner[] f\nNothing[] n\nuint8 last\n========\nMSG: lab/Inner\nNothing[] deep\n========\nMSG: lab/Nothing\n";
    let topic = topic(text, Dialect::Ros2);
    for big in [false, true] {
        let mut writer = Writer::new(Encoding::Xcdr1 { big });
        // An empty struct takes a byte.
        let nothing = |writer: &mut Writer, n: u32| {
            writer.u32(n);
            (0..n).for_each(|_| {
                writer.u8(0);
            });
        };
        writer.u32(2);
        nothing(&mut writer, 3);
        nothing(&mut writer, 0);
        nothing(&mut writer, 2);
        writer.u8(9);
        let expected = [("f.deep.length", json!([3, 0])), ("n.length", json!(2)), ("last", json!(9))];
        let expected: Vec<_> = expected.into_iter().map(|(name, it)| (name.to_owned(), it)).collect();
        assert_eq!(topic.cdr(&writer.finish()).unwrap(), expected);
    }
}

/// The value that the discriminator says is there, and the others are null; what follows stays where it is.
#[test]
fn unions_have_a_column_for_each_branch() {
    let text = "module m { enum Kind { LOW, @value(7) HIGH };
        union U switch (long) { case 1: case 3: long a; case 2: string b; default: sequence<short> c; };
        union E switch (Kind) { case LOW: octet low; case Kind::HIGH: double high; };
        struct T { long id; U u; E e; sequence<U> many; octet last; }; };";
    let topic = Topic::new(&Definitions::from_idl("m::T", text).unwrap(), "m::T");
    for encoding in Encoding::CDR {
        let mut writer = Writer::new(encoding);
        writer.u32(5).u32(3).u32(42).u32(7).f64(0.5);
        writer.framed(|it| {
            it.u32(2).u32(2).string("x");
            it.number((-9i32).to_le_bytes()).u32(2);
            it.number(4i16.to_le_bytes()).number(5i16.to_le_bytes());
        });
        writer.u8(1);
        let expected = [
            ("id", json!(5)),
            ("u.discriminator", json!(3)),
            ("u.a", json!(42)),
            ("u.b", json!(null)),
            ("u.c", json!(null)),
            ("e.discriminator", json!(7)),
            ("e.low", json!(null)),
            ("e.high", json!(0.5)),
            ("many.discriminator", json!([2, -9])),
            ("many.a", json!([null, null])),
            ("many.b", json!(["x", null])),
            ("many.c", json!([null, [4, 5]])),
            ("last", json!(1)),
        ];
        let expected: Vec<_> = expected.into_iter().map(|(name, it)| (name.to_owned(), it)).collect();
        assert_eq!(topic.cdr(&writer.finish()).unwrap(), expected, "{encoding:?}");
    }
    // Of the default there is nothing where no branch is one.
    let mut writer = Writer::new(Encoding::Xcdr1 { big: false });
    writer.u32(5).u32(1).u32(42).u32(1).u32(0).u8(1);
    let row = topic.cdr(&writer.finish()).unwrap();
    assert_eq!((&row[5].1, &row[6].1, &row[7].1), (&json!(1), &json!(null), &json!(null)));
}
