use std::collections::{BTreeMap, BTreeSet};

use arrow_array::RecordBatch;
use base64::Engine as _;
use serde_json::Value;

use super::{
    MessageTruth,
    leaves::{is_hash, leaves},
    sha256,
};
use crate::cell::Cell;

/// Columns that are not of the message.
const BUILT_IN: [&str; 4] = ["episode_index", "log_time_ns", "publish_time_ns", "sequence"];

/// What the built-in columns say differently.
pub(super) fn times(message: &MessageTruth, rows: &RecordBatch, row: usize) -> Vec<String> {
    let wanted = [
        ("log_time_ns", Some(message.log_time)),
        ("publish_time_ns", message.publish_time),
        ("sequence", message.sequence),
    ];
    let mut found = Vec::new();
    for (name, wanted) in wanted {
        let cell = rows.column_by_name(name).map(|it| Cell::of(it.as_ref(), row));
        if cell != Some(wanted.map_or(Cell::Null, |it| Cell::Int(it.into()))) {
            found.push(format!("{name}: found {cell:?}, expected {wanted:?}"));
        }
    }
    found
}

/// What the columns of the message say differently. A column the truth does not name must be empty.
pub(super) fn message(message: &Value, rows: &RecordBatch, row: usize) -> Vec<String> {
    let schema = rows.schema();
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, wanted) in leaves(message) {
        let prefixed = format!("message.{name}");
        let column = if schema.index_of(&prefixed).is_ok() { prefixed } else { name.clone() };
        let Ok(idx) = schema.index_of(&column) else {
            // An empty list of structs, or an absent struct: the columns below it are held to be empty.
            let below = format!("{column}.");
            let is_above = schema.fields().iter().any(|it| it.name().starts_with(&below));
            if !is_above || !is_nothing(&wanted) {
                found.push(format!("{name}: no such column, expected {wanted}"));
            }
            continue;
        };
        seen.insert(column);
        let constants = constants(schema.field(idx).metadata().get("nodedata:constants"));
        let cell = Cell::of(rows.column(idx).as_ref(), row);
        if !same(&cell, &wanted, &constants) {
            found.push(format!("{name}: found {cell:?}, expected {wanted}"));
        }
    }
    for (field, column) in schema.fields().iter().zip(rows.columns()) {
        let name = field.name();
        if BUILT_IN.contains(&name.as_str()) || seen.contains(name) || is_companion(name) {
            continue;
        }
        let cell = Cell::of(column.as_ref(), row);
        if !cell.is_empty() {
            found.push(format!("{name}: found {cell:?}, but the message has no such field"));
        }
    }
    found
}

/// What we say beside frames ourselves: the layout of stored pixels, and which coded sample is a key
/// frame. No source says the like.
fn is_companion(name: &str) -> bool {
    ["data.encoding", "data.keyframe"].iter().any(|it| name.ends_with(it))
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// `NAME=VALUE,…` as a map.
fn constants(text: Option<&String>) -> BTreeMap<String, i128> {
    let pairs = text.map(String::as_str).unwrap_or_default().split(',');
    pairs
        .filter_map(|it| it.split_once('='))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

/// Whether a value of a table is the one the official decoder returned.
pub(super) fn same(cell: &Cell, wanted: &Value, constants: &BTreeMap<String, i128>) -> bool {
    match (cell, wanted) {
        (Cell::Null, wanted) => wanted.is_null(),
        (_, Value::Null) => false,
        (cell, Value::Object(object)) if is_hash(object) => bytes_of(cell).is_some_and(|bytes| {
            object["len"].as_u64() == Some(bytes.len() as u64) && object["sha256"] == sha256(&bytes)
        }),
        (Cell::Bytes(bytes), Value::String(text)) => from_base64(text).as_ref() == Some(bytes),
        (Cell::Bytes(bytes), Value::Array(_)) => {
            let items: Option<Vec<u8>> = serde_json::from_value(wanted.clone()).ok();
            items.as_ref() == Some(bytes)
        }
        (Cell::List(items), Value::Array(wanted)) => {
            items.len() == wanted.len()
                && items.iter().zip(wanted).all(|(item, wanted)| same(item, wanted, constants))
        }
        (Cell::Bool(found), Value::Bool(wanted)) => found == wanted,
        (Cell::Text(found), Value::String(wanted)) => found == wanted,
        (Cell::Int(found), Value::Number(wanted)) => wanted.as_i128() == Some(*found),
        (Cell::Int(found), Value::String(text)) => {
            let names = constants.get(text).copied();
            names.or_else(|| text.parse().ok()).or_else(|| span(text)).or_else(|| moment(text))
                == Some(*found)
        }
        (Cell::Float(found), wanted) => float(wanted).is_some_and(|it| same_float(*found, it)),
        // A float32 is told with its own shortest digits, or with those of the double equal to it.
        (Cell::Float32(found), wanted) => {
            float(wanted).is_some_and(|it| same_float(f64::from(*found), f64::from(it as f32)))
        }
        _ => false,
    }
}

fn same_float(found: f64, wanted: f64) -> bool {
    found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan())
}

/// A number, or a number that JSON cannot spell.
fn float(wanted: &Value) -> Option<f64> {
    match wanted {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Bytes, or a list of numbers that each fit one.
fn bytes_of(cell: &Cell) -> Option<Vec<u8>> {
    match cell {
        Cell::Bytes(bytes) => Some(bytes.clone()),
        Cell::List(items) => items
            .iter()
            .map(|it| match it {
                Cell::Int(value) => {
                    u8::try_from(*value).ok().or_else(|| Some(i8::try_from(*value).ok()? as u8))
                }
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// A span as protobuf's JSON spells it, such as `-1.5s`, in nanoseconds.
fn span(text: &str) -> Option<i128> {
    let digits = text.strip_suffix('s')?;
    let (sign, digits) = digits.strip_prefix('-').map_or((1, digits), |it| (-1, it));
    Some(sign * seconds(digits)?)
}

/// `12` or `12.5` seconds in nanoseconds.
fn seconds(digits: &str) -> Option<i128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let nanos: i128 = format!("{fraction:0<9}").parse().ok()?;
    Some(whole.parse::<i128>().ok()? * 1_000_000_000 + nanos)
}

/// A time as protobuf's JSON spells it, such as `2023-11-14T22:13:21.5Z`, in nanoseconds since 1970.
fn moment(text: &str) -> Option<i128> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|it| it.parse::<i128>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let hours: i128 = time.next()?.parse().ok()?;
    let minutes: i128 = time.next()?.parse().ok()?;
    let nanos = seconds(time.next()?)?;
    // Years begin in March, so that the leap day is their last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = days + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some((days * 86_400 + hours * 3_600 + minutes * 60) * 1_000_000_000 + nanos)
}
