//! `.msg` text: one field or constant a line.

use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::{ErrorKind, Result};

use crate::{
    definition::{
        Constant, Dialect, FieldDef, FieldType, Primitive, StructDef, bad_definition, normalize,
        without_vendor,
    },
    parts::Part,
};

/// The types that the parts of one text define.
#[derive(Debug, Default)]
pub(crate) struct KnownTypes {
    /// Full names.
    names: BTreeSet<String>,
    /// The full name by the last part of it; `None` where that is not the only one.
    by_last: BTreeMap<String, Option<String>>,
}

impl KnownTypes {
    pub(crate) fn new(names: impl Iterator<Item = String>) -> Self {
        let mut known = Self::default();
        for name in names {
            let last = name.rsplit('/').next().unwrap_or_default().to_owned();
            if known.names.insert(name.clone()) {
                known.by_last.entry(last).and_modify(|it| *it = None).or_insert(Some(name));
            }
        }
        known
    }
}

/// Parses the definition of `owner`. Short names are looked up in `known`.
pub(crate) fn parse(owner: &str, part: &Part<'_>, dialect: Dialect, known: &KnownTypes) -> Result<StructDef> {
    let mut structure = StructDef::default();
    let mut names = BTreeSet::new();
    for (idx, line) in part.text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let not_a_field = || {
            let line_number = part.first_line + idx;
            let shown: String = line.chars().take(60).collect();
            bad_definition(
                ErrorKind::Corrupt,
                format!(
                    "line {line_number} of the definition of {owner}: found `{shown}` before `TYPE NAME` was complete"
                ),
            )
        };
        let (type_text, rest) = line.split_once(char::is_whitespace).ok_or_else(not_a_field)?;
        let rest = rest.trim_start();
        let name_end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(name_end);
        let starts_well = name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_');
        // A default value is set off by a space; anything else glued to the name is not a definition.
        let ends_well =
            rest.is_empty() || rest.starts_with(|it: char| it.is_whitespace() || "=#".contains(it));
        if !starts_well || !ends_well {
            return Err(not_a_field());
        }
        let field_type = parse_type(type_text, owner, dialect, known)?.ok_or_else(not_a_field)?;
        if let Some(value) = rest.trim_start().strip_prefix('=') {
            structure.constants.extend(constant(name, &field_type, value));
            continue;
        }
        if !names.insert(name.to_owned()) {
            return Err(bad_definition(
                ErrorKind::Corrupt,
                format!("field `{name}` of {owner} is defined twice"),
            ));
        }
        structure.fields.push(FieldDef {
            name: name.to_owned(),
            field_type,
            member_id: u32::try_from(structure.fields.len()).unwrap_or(u32::MAX),
            optional: false,
            unit: None,
        });
    }
    Ok(structure)
}

/// Integer constants only: text and real ones name no values of a field.
fn constant(name: &str, field_type: &FieldType, value: &str) -> Option<Constant> {
    let FieldType::Primitive(primitive) = field_type else { return None };
    let value = value.split('#').next()?.trim();
    let value = parse_integer(value)?;
    primitive.is_integer().then(|| Constant { name: name.to_owned(), primitive: *primitive, value })
}

/// A decimal, `0x` or `0b` integer with an optional sign.
pub(crate) fn parse_integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|it: char| it.is_ascii_digit()) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let value = if let Some(hex) = lower.strip_prefix("0x") {
        i128::from_str_radix(hex, 16)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        i128::from_str_radix(binary, 2)
    } else {
        lower.parse()
    };
    value.ok().map(|it| if negative { -it } else { it })
}

/// The type a token spells; `None` when it spells none.
fn parse_type(text: &str, owner: &str, dialect: Dialect, known: &KnownTypes) -> Result<Option<FieldType>> {
    let (base, array) = match text.find('[') {
        Some(at) => {
            let Some(inside) = text[at + 1..].strip_suffix(']') else { return Ok(None) };
            (&text[..at], Some(inside))
        }
        None => (text, None),
    };
    let Some(item) = parse_base(base, owner, dialect, known) else { return Ok(None) };
    let Some(array) = array else { return Ok(Some(item)) };
    let item = Box::new(item);
    if array.is_empty() {
        return Ok(Some(FieldType::Sequence { item, bound: None }));
    }
    let (is_bound, digits) = array.strip_prefix("<=").map_or((false, array), |it| (true, it));
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return Ok(None);
    }
    let n = array_size(digits.parse().ok(), text, owner)?;
    Ok(Some(if is_bound {
        FieldType::Sequence { item, bound: Some(n) }
    } else {
        FieldType::Array { item, dims: vec![n] }
    }))
}

/// A size or bound that Arrow's fixed lists can hold.
pub(crate) fn array_size(n: Option<i128>, text: &str, owner: &str) -> Result<u32> {
    match n {
        Some(n @ 1..=0x7fff_ffff) => Ok(n as u32),
        Some(..=0) => Err(bad_definition(
            ErrorKind::Corrupt,
            format!("`{text}` in {owner} has size {}, expected at least 1", n.unwrap_or(0)),
        )),
        _ => Err(bad_definition(
            ErrorKind::Limit,
            format!("`{text}` in {owner} is larger than 2147483647 items"),
        )),
    }
}

fn parse_base(text: &str, owner: &str, dialect: Dialect, known: &KnownTypes) -> Option<FieldType> {
    let ros1 = dialect == Dialect::Ros1;
    let primitive = match text {
        "bool" => Primitive::Bool,
        "byte" if ros1 => Primitive::SignedByte,
        "byte" | "char" | "uint8" => Primitive::UInt8,
        "int8" => Primitive::Int8,
        "int16" => Primitive::Int16,
        "uint16" => Primitive::UInt16,
        "int32" => Primitive::Int32,
        "uint32" => Primitive::UInt32,
        "int64" => Primitive::Int64,
        "uint64" => Primitive::UInt64,
        "float32" => Primitive::Float32,
        "float64" => Primitive::Float64,
        "time" if ros1 => Primitive::Time,
        "duration" if ros1 => Primitive::Duration,
        "string" => return Some(FieldType::Text { wide: false, bound: None }),
        "wstring" => return Some(FieldType::Text { wide: true, bound: None }),
        _ => return parse_name(text, owner, known),
    };
    Some(FieldType::Primitive(primitive))
}

fn parse_name(text: &str, owner: &str, known: &KnownTypes) -> Option<FieldType> {
    if let Some((base, bound)) = text.split_once("<=") {
        let wide = match base {
            "string" => false,
            "wstring" => true,
            _ => return None,
        };
        return bound.parse().ok().map(|bound| FieldType::Text { wide, bound: Some(bound) });
    }
    let is_name = |it: &str| {
        it.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
            && it.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
    };
    if text.is_empty() || !text.split('/').all(is_name) {
        return None;
    }
    if text.contains('/') {
        return Some(FieldType::Named(without_vendor(&normalize(text))));
    }
    let package = owner.split('/').next().unwrap_or_default();
    let own = format!("{package}/msg/{text}");
    if known.names.contains(&own) {
        return Some(FieldType::Named(own));
    }
    // `Header` without a package is that of std_msgs; other short names from elsewhere occur in texts
    // joined by hand, where only one type can be meant.
    Some(FieldType::Named(match (text, known.by_last.get(text)) {
        ("Header", _) => "std_msgs/msg/Header".to_owned(),
        // Primitives of ROS 1 that converters leave in ROS 2 text; no ROS 2 type has such a name.
        ("time", None) => "builtin_interfaces/msg/Time".to_owned(),
        ("duration", None) => "builtin_interfaces/msg/Duration".to_owned(),
        (_, Some(Some(only))) => only.clone(),
        _ => own,
    }))
}

#[cfg(test)]
#[path = "msg_tests.rs"]
mod tests;
