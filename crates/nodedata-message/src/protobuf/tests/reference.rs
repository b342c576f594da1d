//! What the columns must hold, told by an independent reader; and random messages.

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value, prost::Message,
};
use serde_json::{Value as Json, json};

/// The value of the column called `path` in a message.
pub(crate) fn expected(message: &DynamicMessage, path: &[&str]) -> Json {
    let field = message.descriptor().get_field_by_name(path[0]).expect("columns are named after fields");
    let value = message.get_field(&field);
    let rest = &path[1..];
    if let Value::Map(entries) = value.as_ref() {
        let items = entries.iter().map(|(key, value)| match rest[0] {
            "key" => of_key(key),
            _ => of_value(value, &rest[1..]),
        });
        return Json::Array(items.collect());
    }
    if let Value::List(items) = value.as_ref() {
        return Json::Array(items.iter().map(|it| of_value(it, rest)).collect());
    }
    if field.supports_presence() && !message.has_field(&field) {
        return Json::Null;
    }
    of_value(&value, rest)
}

fn of_key(key: &MapKey) -> Json {
    match key {
        MapKey::String(it) => json!(it),
        other => panic!("tests use maps from strings, found {other:?}"),
    }
}

fn of_value(value: &Value, rest: &[&str]) -> Json {
    match value {
        Value::Bool(it) => json!(it),
        Value::I32(it) | Value::EnumNumber(it) => json!(it),
        Value::I64(it) => json!(it),
        Value::U32(it) => json!(it),
        Value::U64(it) => json!(it),
        Value::F32(it) => json!(format!("{it:?}")),
        Value::F64(it) => json!(format!("{it:?}")),
        Value::String(it) => json!(it),
        Value::Bytes(it) => json!(hex(it)),
        Value::Message(it) => of_message(it, rest),
        Value::List(_) | Value::Map(_) => unreachable!("items are no lists"),
    }
}

fn of_message(message: &DynamicMessage, rest: &[&str]) -> Json {
    let descriptor = message.descriptor();
    let part = |name| message.get_field_by_name(name).unwrap().into_owned();
    match descriptor.full_name() {
        "google.protobuf.Timestamp" | "google.protobuf.Duration" => {
            let seconds = part("seconds").as_i64().unwrap();
            json!(seconds * 1_000_000_000 + i64::from(part("nanos").as_i32().unwrap()))
        }
        name if name.starts_with("google.protobuf.") && name.ends_with("Value") && name.len() > 21 => {
            match descriptor.get_field_by_name("value") {
                Some(field) if field.number() == 1 => of_value(&part("value"), &[]),
                _ => json!(hex(&message.encode_to_vec())),
            }
        }
        "google.protobuf.Empty" => json!(true),
        _ if rest.is_empty() && descriptor.fields().len() == 0 => json!(true),
        _ if rest.is_empty() => json!(hex(&message.encode_to_vec())),
        _ => expected(message, rest),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

/// A small generator with a seed, so that every run sees the same messages.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    /// A message with every field absent, present or default.
    pub(crate) fn message(&mut self, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        if descriptor.full_name() == "google.protobuf.Timestamp" {
            message.set_field_by_name("seconds", Value::I64(1_700_000_000 - self.below(4_000_000) as i64));
            message.set_field_by_name("nanos", Value::I32(self.below(1_000_000_000) as i32));
            return message;
        }
        if descriptor.full_name() == "google.protobuf.Duration" {
            message.set_field_by_name("seconds", Value::I64(-(self.below(5) as i64)));
            message.set_field_by_name("nanos", Value::I32(-(self.below(1_000_000_000) as i32)));
            return message;
        }
        for field in descriptor.fields() {
            let is_deep = depth == 0 && matches!(field.kind(), Kind::Message(_)) && !field.is_map();
            if is_deep || self.below(3) == 0 {
                continue;
            }
            if field.is_map() {
                let Kind::Message(entry) = field.kind() else { unreachable!("maps are messages") };
                let of = entry.map_entry_value_field();
                let entries = (0..self.below(4).min(depth))
                    .map(|idx| (MapKey::String(format!("k{idx}")), self.value(&of, depth)))
                    .collect();
                message.set_field(&field, Value::Map(entries));
            } else if field.is_list() {
                let items = (0..self.below(4)).map(|_| self.value(&field, depth)).collect();
                message.set_field(&field, Value::List(items));
            } else {
                let value = self.value(&field, depth);
                message.set_field(&field, value);
            }
        }
        message
    }

    fn value(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        let bits = if self.below(4) == 0 { 0 } else { self.next() >> self.below(64) };
        match field.kind() {
            Kind::Double => Value::F64(f64::from_bits(bits)),
            Kind::Float => Value::F32(f32::from_bits(bits as u32)),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(bits as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(bits.cast_signed()),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(bits as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(bits),
            Kind::Bool => Value::Bool(bits & 1 == 1),
            Kind::String => Value::String("grüße ".repeat(self.below(3))),
            Kind::Bytes => Value::Bytes(bits.to_le_bytes()[..self.below(9)].to_vec().into()),
            Kind::Enum(_) => Value::EnumNumber([0, 1, -3, 77][self.below(4)]),
            Kind::Message(it) => Value::Message(self.message(&it, depth.saturating_sub(1))),
        }
    }
}
