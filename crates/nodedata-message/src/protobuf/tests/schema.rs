//! Descriptor sets from a few words, for tests: `repeated sint32 counts 7` is a field.

use prost_reflect::{
    DescriptorPool, MessageDescriptor,
    prost_types::{
        DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
        FileDescriptorProto, MessageOptions, OneofDescriptorProto,
        field_descriptor_proto::{Label, Type},
    },
};

const SCALARS: [(&str, Type); 15] = [
    ("double", Type::Double),
    ("float", Type::Float),
    ("int64", Type::Int64),
    ("uint64", Type::Uint64),
    ("int32", Type::Int32),
    ("fixed64", Type::Fixed64),
    ("fixed32", Type::Fixed32),
    ("bool", Type::Bool),
    ("string", Type::String),
    ("bytes", Type::Bytes),
    ("uint32", Type::Uint32),
    ("sfixed32", Type::Sfixed32),
    ("sfixed64", Type::Sfixed64),
    ("sint32", Type::Sint32),
    ("sint64", Type::Sint64),
];

/// A file of package `t`, with the enumeration `t.Mode`, beside the well-known types.
pub(crate) fn pool(syntax: &str, messages: &[(&str, &str)]) -> DescriptorPool {
    let mut pool = DescriptorPool::global();
    let well_known = ["any", "duration", "empty", "struct", "timestamp", "wrappers"];
    let modes = [("OFF", 0), ("ON", 1), ("BACK", -3)].map(|(name, number)| EnumValueDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        ..Default::default()
    });
    let file = FileDescriptorProto {
        name: Some("t.proto".to_owned()),
        package: Some("t".to_owned()),
        syntax: Some(syntax.to_owned()),
        dependency: well_known.iter().map(|it| format!("google/protobuf/{it}.proto")).collect(),
        message_type: messages.iter().map(|(name, fields)| message(name, fields, syntax)).collect(),
        enum_type: vec![EnumDescriptorProto {
            name: Some("Mode".to_owned()),
            value: modes.to_vec(),
            ..Default::default()
        }],
        ..Default::default()
    };
    pool.add_file_descriptor_proto(file).expect("a valid file");
    pool
}

/// One message type and the set it is in.
pub(crate) fn find(pool: &DescriptorPool, name: &str) -> MessageDescriptor {
    pool.get_message_by_name(name).expect("a declared message")
}

fn message(name: &str, fields: &str, syntax: &str) -> DescriptorProto {
    let mut found = DescriptorProto { name: Some(name.to_owned()), ..Default::default() };
    for line in fields.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [label, type_name, field_name, number] = words[..] else { panic!("bad field {line}") };
        let mut field = field(type_name, field_name, number.parse().unwrap());
        match label {
            "repeated" => field.set_label(Label::Repeated),
            "required" => field.set_label(Label::Required),
            "optional" if syntax == "proto3" => {
                field.oneof_index = Some(oneof(&mut found, &format!("_{field_name}")));
                field.proto3_optional = Some(true);
            }
            "single" | "optional" => {}
            "map" => map_entry(&mut found, name, &mut field),
            oneof_name => field.oneof_index = Some(oneof(&mut found, oneof_name)),
        }
        found.field.push(field);
    }
    found
}

fn field(type_name: &str, name: &str, number: i32) -> FieldDescriptorProto {
    let mut field =
        FieldDescriptorProto { name: Some(name.to_owned()), number: Some(number), ..Default::default() };
    field.set_label(Label::Optional);
    if let Some((_, scalar)) = SCALARS.iter().find(|it| it.0 == type_name) {
        field.set_type(*scalar);
    } else if let Some(group) = type_name.strip_prefix("group:") {
        field.set_type(Type::Group);
        field.type_name = Some(format!(".t.{group}"));
    } else {
        field.set_type(if type_name == "Mode" { Type::Enum } else { Type::Message });
        let scope = if type_name.starts_with("google.") { "" } else { "t." };
        field.type_name = Some(format!(".{scope}{type_name}"));
    }
    field
}

fn oneof(message: &mut DescriptorProto, name: &str) -> i32 {
    let known = message.oneof_decl.iter().position(|it| it.name() == name);
    let at = known.unwrap_or_else(|| {
        message.oneof_decl.push(OneofDescriptorProto { name: Some(name.to_owned()), options: None });
        message.oneof_decl.len() - 1
    });
    i32::try_from(at).unwrap()
}

/// Makes the entry type of a map from strings.
fn map_entry(message: &mut DescriptorProto, message_name: &str, value: &mut FieldDescriptorProto) {
    let mut letters = value.name().chars();
    let capital = letters.next().unwrap().to_ascii_uppercase();
    let entry_name = format!("{capital}{}Entry", letters.as_str());
    let of = FieldDescriptorProto { name: Some("value".to_owned()), number: Some(2), ..value.clone() };
    message.nested_type.push(DescriptorProto {
        name: Some(entry_name.clone()),
        field: vec![field("string", "key", 1), of],
        options: Some(MessageOptions { map_entry: Some(true), ..Default::default() }),
        ..Default::default()
    });
    value.set_label(Label::Repeated);
    value.set_type(Type::Message);
    value.type_name = Some(format!(".t.{message_name}.{entry_name}"));
}
