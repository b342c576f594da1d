use super::*;
use crate::parts;

fn types(text: &str) -> Result<Vec<(String, TypeDef)>> {
    parse(&parts::split(text, "lab/msg/Root"))
}

/// Compares `Struct: type name, …` lines.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found: Vec<String> = types(text)
        .unwrap()
        .iter()
        .map(|(name, definition)| match definition {
            TypeDef::Struct(it) => {
                let fields: Vec<String> = it
                    .fields
                    .iter()
                    .map(|it| {
                        let optional = if it.optional { "?" } else { "" };
                        format!("{} {}{optional}={}", it.field_type, it.name, it.member_id)
                    })
                    .collect();
                format!("{name}: {}", fields.join(", "))
            }
            TypeDef::Enum(it) => format!("{name}: {:?} {:?}", it.primitive, it.values),
            TypeDef::Union(it) => {
                let branch = |it: &crate::definition::BranchDef| {
                    let default = if it.is_default { " default" } else { "" };
                    format!("{:?}{default} {} {}", it.labels, it.field.field_type, it.field.name)
                };
                let branches: Vec<String> = it.branches.iter().map(branch).collect();
                format!("{name}: by {}: {}", it.discriminator.field_type, branches.join(", "))
            }
            TypeDef::Refused(what) => format!("{name}: {what}"),
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn parts_in_any_order() {
    let separator = "=".repeat(80);
    let text = format!(
        "{separator}\nIDL: lab/msg/Root\n#include \"lab/msg/Axis.idl\"\nmodule lab {{ module msg {{
        module Root_Constants {{ const uint8 KIND_RAW = 0; const string UNIT = \"N\"; const int32 LOW = -0x2; }};
        typedef double double__3[3];
        @verbatim (language=\"comment\", text=\"one ) reading\" \"more\")
        struct Root {{ @key uint32 id; @default (value=1) uint8 kind; string<8> label;
          sequence<lab::msg::Axis, 4> axes; double__3 offset; sequence<float> samples; wstring note;
          boolean ok; octet raw; long long ticks; Kind near; }}; }}; }};
        {separator}\nIDL: lab/msg/Axis\nmodule lab {{ module msg {{ enum Kind {{ LINEAR, @value(5) ROTARY, LAST }};
        struct Axis {{ ::lab::msg::Kind kind; double value; }}; }}; }};"
    );
    check(
        &text,
        &[
            "lab/msg/Axis: lab/msg/Kind kind=0, float64 value=1",
            "lab/msg/Kind: Int32 [(\"LINEAR\", 0), (\"ROTARY\", 5), (\"LAST\", 6)]",
            "lab/msg/Root: uint32 id=0, uint8 kind=1, string<=8 label=2, lab/msg/Axis[<=4] axes=3, \
             float64[3] offset=4, float32[] samples=5, wstring note=6, bool ok=7, uint8 raw=8, int64 ticks=9, \
             lab/msg/Kind near=10",
        ],
    );
    let (_, root) = types(&text).unwrap().pop().unwrap();
    let TypeDef::Struct(root) = root else { panic!("a struct") };
    let constants: Vec<_> = root.constants.iter().map(|it| (it.name.as_str(), it.value)).collect();
    assert_eq!(constants, [("KIND_RAW", 0), ("LOW", -2)]);
}

#[test]
fn plain_omg_idl() {
    check(
        "const long N = 3; typedef sequence<double, N> Row; typedef Row Rows[N][2];
         @appendable struct Base { unsigned short a, b[2]; };
         @mutable struct Top : Base { @id(9) @optional long x; unsigned long long y; Rows rows; map<string, long> m; };
         @mutable @autoid(HASH) struct H { long x; };
         union U switch (long) { case 1: long a; default: short b; }; struct Fwd; struct None {};
         union V switch (char) { case 'a': long a; }; union W switch (long) { long a; };
         @bit_bound(8) enum Small { A };",
        &[
            "Base: uint16 a=0, uint16[2] b=1",
            "H: a mutable struct with hashed member ids",
            "None: ",
            "Small: Int8 [(\"A\", 0)]",
            "Top: uint16 a=0, uint16[2] b=1, int32 x?=9, uint64 y=10, float64[<=3][3][2] rows=11, a map m=12",
            "U: by int32: [1] int32 a, [] default int16 b",
            "V: a union whose labels are no numbers",
            "W: a union of a kind that is not known",
        ],
    );
}

#[test]
fn damage() {
    for text in [
        "module a {",
        "struct",
        "struct A { long x }",
        "struct A { long x[3; };",
        "struct A : Gone { long x; };",
        "struct A { long x; long x; };",
        "struct A { sequence<long x; };",
        "struct A { long x[0]; };",
        "what is this",
        "}",
        "@x(",
        "enum A { B C };",
    ] {
        let err = types(text).expect_err(text);
        assert_eq!(err.kind(), ErrorKind::Corrupt, "{text}: {err}");
    }
    for text in [
        "typedef A B; typedef B A; struct S { A a; };".to_owned(),
        format!("struct S {{ {}long{} x; }};", "sequence<".repeat(1000), ">".repeat(1000)),
        "module a { ".repeat(1000),
        "struct A : A { long x; };".to_owned(),
        "struct A { long x[4294967296]; };".to_owned(),
        format!("struct A {{ long x{}; }};", "[1]".repeat(65)),
        format!(
            "struct B {{ {} }}; {}",
            (0..1000).map(|it| format!("long x{it};")).collect::<String>(),
            (0..1000).map(|it| format!("struct D{it} : B {{}};")).collect::<String>()
        ),
    ] {
        let err = types(&text).expect_err(&text);
        assert_eq!(err.kind(), ErrorKind::Limit, "{text}: {err}");
    }
    for text in ["const long N = N; struct A { long x[N]; };", "struct A { long x[1 + 2]; };"] {
        assert_eq!(types(text).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
