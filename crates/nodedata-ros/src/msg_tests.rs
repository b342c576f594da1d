use super::*;

fn parse_text(text: &str, dialect: Dialect) -> Result<StructDef> {
    let part = Part { name: "lab/msg/T", is_idl: false, text, first_line: 1 };
    parse(
        "lab/msg/T",
        &part,
        dialect,
        &KnownTypes::new(["lab/msg/Near", "far/msg/Away", "far/msg/Near"].into_iter().map(str::to_owned)),
    )
}

#[track_caller]
fn check(text: &str, dialect: Dialect, expected: &[&str]) {
    let structure = parse_text(text, dialect).unwrap();
    let found: Vec<String> =
        structure.fields.iter().map(|it| format!("{} {}", it.field_type, it.name)).collect();
    assert_eq!(found, expected);
}

#[test]
fn fields() {
    check("", Dialect::Ros2, &[]);
    check(
        "# comment\r\n\r\n  float64\tx  1.5 # default\r\nstring s \"a # b\"\r\nint8[] l [1, 2]",
        Dialect::Ros2,
        &["float64 x", "string s", "int8[] l"],
    );
    check(
        "string<=16[<=3] a\nwstring<=2 b\nbyte[4] c\nchar d\nint16[<=4] e",
        Dialect::Ros2,
        &["string<=16[<=3] a", "wstring<=2 b", "uint8[4] c", "uint8 d", "int16[<=4] e"],
    );
    check(
        "byte b\nchar c\ntime t\nduration d",
        Dialect::Ros1,
        &["byte b", "uint8 c", "time t", "duration d"],
    );
}

#[test]
fn names() {
    check(
        "Near n\nAway a\nHeader h\nother/Type o\nother/srv/Type_Request r\nGone g",
        Dialect::Ros2,
        &[
            "lab/msg/Near n",
            "far/msg/Away a",
            "std_msgs/msg/Header h",
            "other/msg/Type o",
            "other/srv/Type_Request r",
            "lab/msg/Gone g",
        ],
    );
    check(
        "time t\nduration[] d\nfastdds/other/msg/Type f",
        Dialect::Ros2,
        &["builtin_interfaces/msg/Time t", "builtin_interfaces/msg/Duration[] d", "other/msg/Type f"],
    );
}

#[test]
fn constants_are_no_fields() {
    let text = "uint8 A=1\nint32 B = -0x10 # why\nstring S=text # kept in ROS 1\nstring Q=\"= # \"\nfloat32 F=1e3\nuint8 x\nuint8 C=2";
    let structure = parse_text(text, Dialect::Ros1).unwrap();
    let found: Vec<_> = structure.constants.iter().map(|it| (it.name.as_str(), it.value)).collect();
    assert_eq!(found, [("A", 1), ("B", -16), ("C", 2)]);
    assert_eq!(structure.fields.len(), 1);
}

#[test]
fn what_is_not_a_definition() {
    for text in [
        "uint8",
        "uint8 9x",
        "uint8[ x",
        "uint8[-1] x",
        "uint8[<=] x",
        "uint8[0] x",
        "string<=x y",
        "a//b c",
        "int32<=5 x",
        "uint8 x-y",
        "uint8 x\nuint8 x",
        "---",
        "<html> x",
    ] {
        let err = parse_text(text, Dialect::Ros2).expect_err(text);
        assert_eq!(err.kind(), ErrorKind::Corrupt, "{text}: {err}");
        assert!(err.hint().is_some());
    }
    for text in ["float64[4294967296] x", "float64[99999999999999999999999999999999999999999999] x"] {
        assert_eq!(parse_text(text, Dialect::Ros2).unwrap_err().kind(), ErrorKind::Limit);
    }
}
