//! Reads what a plan needs of a serialized `google.protobuf.FileDescriptorSet`.
//!
//! Our own walk rather than a descriptor library: those at hand know no editions (the presence rules
//! of edition 2023 hide in `FeatureSet`), and refuse a set in which an import that the message
//! does not need is missing.

use std::collections::BTreeMap;

use super::wire::{Fault, FaultKind, Walk, Wire, WireValue};

/// Messages declared inside messages; protoc itself stops far earlier.
const NESTING_MAX: usize = 64;

/// The types of a descriptor set, by full name without a leading dot.
#[derive(Debug, Default)]
pub(super) struct DescriptorSet<'a> {
    pub(super) messages: BTreeMap<String, Message<'a>>,
    pub(super) enums: BTreeMap<String, Enum<'a>>,
}

/// One message type.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    /// In the order of the declaration.
    pub(super) fields: Vec<Field<'a>>,
    /// Whether protoc made it up for a `map<k, v>` field.
    pub(super) map_entry: bool,
}

/// One field of a message type.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) number: u32,
    pub(super) repeated: bool,
    /// `FieldDescriptorProto.Type`, 0 where the set leaves it to `type_name`.
    pub(super) type_number: u64,
    pub(super) type_name: &'a str,
    /// Real oneofs only, not the one protoc makes up for a proto3 `optional`.
    pub(super) oneof: Option<u32>,
    /// Whether absence differs from the default value.
    pub(super) explicit_presence: bool,
}

/// One enumeration: names and numbers in the order of the declaration.
#[derive(Debug, Default)]
pub(super) struct Enum<'a> {
    pub(super) values: Vec<(&'a str, i32)>,
}

/// What decides on presence where a field does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Explicit,
    Implicit,
}

impl<'a> DescriptorSet<'a> {
    /// Parses a serialized set. Types that it declares twice count as declared last.
    pub(super) fn parse(bytes: &'a [u8]) -> Walk<Self> {
        let mut set = Self::default();
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next()? {
            if let (1, WireValue::Bytes(file)) = (field.number, field.value) {
                set.file(file)?;
            }
        }
        Ok(set)
    }

    fn file(&mut self, bytes: &'a [u8]) -> Walk<()> {
        let (mut package, mut syntax, mut options_presence) = ("", "proto2", None);
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next()? {
            match (field.number, field.value) {
                (2, WireValue::Bytes(it)) => package = text(it)?,
                (8, WireValue::Bytes(it)) => {
                    options_presence = features_presence(it, 50)?.or(options_presence);
                }
                (12, WireValue::Bytes(it)) => syntax = text(it)?,
                _ => {}
            }
        }
        let presence = options_presence.unwrap_or(match syntax {
            "proto3" => Presence::Implicit,
            // proto2, and every edition so far.
            _ => Presence::Explicit,
        });
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next()? {
            match (field.number, field.value) {
                (4, WireValue::Bytes(it)) => self.message(it, package, presence, 0)?,
                (5, WireValue::Bytes(it)) => self.enumeration(it, package)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn message(&mut self, bytes: &'a [u8], scope: &str, outer: Presence, depth: usize) -> Walk<()> {
        if depth > NESTING_MAX {
            return Err(Fault::in_slice(FaultKind::GroupDepth, bytes));
        }
        let mut name = "";
        let mut presence = outer;
        let mut message = Message::default();
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next()? {
            match (field.number, field.value) {
                (1, WireValue::Bytes(it)) => name = text(it)?,
                (7, WireValue::Bytes(it)) => {
                    message.map_entry = varint_field(it, 7)?.is_some_and(|it| it != 0);
                    presence = features_presence(it, 12)?.unwrap_or(presence);
                }
                _ => {}
            }
        }
        let full_name = join(scope, name);
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next()? {
            match (field.number, field.value) {
                (2, WireValue::Bytes(it)) => message.fields.push(Field::parse(it, presence)?),
                (3, WireValue::Bytes(it)) => self.message(it, &full_name, presence, depth + 1)?,
                (4, WireValue::Bytes(it)) => self.enumeration(it, &full_name)?,
                _ => {}
            }
        }
        self.messages.insert(full_name, message);
        Ok(())
    }

    fn enumeration(&mut self, bytes: &'a [u8], scope: &str) -> Walk<()> {
        let mut name = "";
        let mut found = Enum::default();
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next()? {
            match (field.number, field.value) {
                (1, WireValue::Bytes(it)) => name = text(it)?,
                (2, WireValue::Bytes(it)) => found.values.push(enum_value(it)?),
                _ => {}
            }
        }
        self.enums.insert(join(scope, name), found);
        Ok(())
    }

    /// The full name of the type that a field of `scope` calls `type_name`.
    pub(super) fn resolve(&self, scope: &str, type_name: &str) -> String {
        if let Some(absolute) = type_name.strip_prefix('.') {
            return absolute.to_owned();
        }
        // protoc writes absolute names only; other writers may leave them relative: innermost first.
        let mut scope = scope;
        loop {
            let candidate = join(scope, type_name);
            if scope.is_empty()
                || self.messages.contains_key(&candidate)
                || self.enums.contains_key(&candidate)
            {
                return candidate;
            }
            scope = scope.rfind('.').map_or("", |at| &scope[..at]);
        }
    }
}

impl<'a> Field<'a> {
    fn parse(bytes: &'a [u8], outer: Presence) -> Walk<Self> {
        let mut found = Self::default();
        let (mut oneof, mut label, mut proto3_optional, mut presence) = (None, 0, false, outer);
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next()? {
            match (field.number, field.value) {
                (1, WireValue::Bytes(it)) => found.name = text(it)?,
                (3, WireValue::Varint(it)) => found.number = u32::try_from(it).unwrap_or(0),
                (4, WireValue::Varint(it)) => label = it,
                (5, WireValue::Varint(it)) => found.type_number = it,
                (6, WireValue::Bytes(it)) => found.type_name = text(it)?,
                (8, WireValue::Bytes(it)) => presence = features_presence(it, 21)?.unwrap_or(presence),
                (9, WireValue::Varint(it)) => oneof = Some(u32::try_from(it).unwrap_or(u32::MAX)),
                (17, WireValue::Varint(it)) => proto3_optional = it != 0,
                _ => {}
            }
        }
        if found.number == 0 || found.number >= 1 << 29 {
            return Err(Fault::in_slice(FaultKind::FieldNumber, bytes));
        }
        found.repeated = label == 3;
        found.oneof = if proto3_optional { None } else { oneof };
        found.explicit_presence = presence == Presence::Explicit || proto3_optional || oneof.is_some();
        Ok(found)
    }
}

/// `FeatureSet.field_presence` inside the options message of a file, message or field.
fn features_presence(options: &[u8], features_number: u32) -> Walk<Option<Presence>> {
    let mut presence = None;
    let mut wire = Wire::new(options);
    while let Some(field) = wire.next()? {
        if let WireValue::Bytes(features) = field.value
            && field.number == features_number
        {
            presence = match varint_field(features, 1)? {
                // EXPLICIT and LEGACY_REQUIRED: a required value that is missing is a null, not a lost row.
                Some(1 | 3) => Some(Presence::Explicit),
                Some(2) => Some(Presence::Implicit),
                _ => presence,
            };
        }
    }
    Ok(presence)
}

/// The last value of a varint field of a message.
fn varint_field(bytes: &[u8], number: u32) -> Walk<Option<u64>> {
    let mut found = None;
    let mut wire = Wire::new(bytes);
    while let Some(field) = wire.next()? {
        if let WireValue::Varint(it) = field.value
            && field.number == number
        {
            found = Some(it);
        }
    }
    Ok(found)
}

fn enum_value(bytes: &[u8]) -> Walk<(&str, i32)> {
    let mut found = ("", 0);
    let mut wire = Wire::new(bytes);
    while let Some(field) = wire.next()? {
        match (field.number, field.value) {
            (1, WireValue::Bytes(it)) => found.0 = text(it)?,
            // Negative numbers are written as 64-bit varints; the low half is the value.
            (2, WireValue::Varint(it)) => found.1 = it as i32,
            _ => {}
        }
    }
    Ok(found)
}

fn text(bytes: &[u8]) -> Walk<&str> {
    std::str::from_utf8(bytes).map_err(|_| Fault::in_slice(FaultKind::Text, bytes))
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}
