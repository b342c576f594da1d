//! What a record says of its episode as a whole, as values of the episode's metadata.

use nodedata_core::{DType, Fact, Result};
use serde_json::{Number, Value};

use crate::{
    counts::Counted,
    example::{Cursor, ListKind, Values},
    features::Leaf,
    numbers::{out_of_range, range_of, text},
    record::Held,
};

/// A value, or a list as JSON. It is one that metadata is for.
///
/// # Errors
/// `Corrupt` when a value is none of its type.
pub(crate) fn fact(leaf: &Leaf, held: &Held, counted: &Counted, record: &[u8]) -> Result<Fact> {
    let mut cursor = held.parts.values.cursor();
    if leaf.is_scalar() {
        return value(leaf.feature.dtype, &mut cursor, record);
    }
    let mut items = Vec::new();
    for _ in 0..counted.n_values {
        items.push(json(value(leaf.feature.dtype, &mut cursor, record)?));
    }
    // From the innermost dimension outwards: those of a tensor, of which the outermost is the list itself where there is
    // no other, and then the lists around it.
    let is_list_itself = usize::from(leaf.levels.is_empty());
    for size in leaf.shape.iter().skip(is_list_itself).rev() {
        items = evenly(&items, size.map_or(held.open, |it| it as usize));
    }
    for (level, declared) in leaf.inner_levels().iter().enumerate().rev() {
        items = match held.parts.lengths.get(level) {
            Some(lengths) => in_lists(items, lists(leaf, *declared, lengths, record)?),
            None => evenly(&items, declared.map_or(held.open, |it| it as usize)),
        };
    }
    Ok(Fact::Text(Value::Array(items).to_string()))
}

/// The lengths of the lists of a level.
fn lists(leaf: &Leaf, declared: Option<u32>, lengths: &Values, record: &[u8]) -> Result<Vec<usize>> {
    let n_lists = lengths.count(record)?;
    let mut told = Vec::new();
    lengths.cursor().ints(record, n_lists as usize, |it| {
        told.push(leaf.size(it, declared)? as usize);
        Ok(())
    })?;
    Ok(told)
}

/// Lists of so many items each.
fn evenly(items: &[Value], size: usize) -> Vec<Value> {
    let lists = items.chunks(size.max(1));
    lists.map(|it| Value::Array(it.to_vec())).collect()
}

/// Lists of these lengths.
fn in_lists(items: Vec<Value>, lengths: Vec<usize>) -> Vec<Value> {
    let mut left = items.into_iter();
    lengths.into_iter().map(|it| Value::Array(left.by_ref().take(it).collect())).collect()
}

fn json(fact: Fact) -> Value {
    match fact {
        Fact::Bool(it) => it.into(),
        Fact::Int(it) => it.into(),
        Fact::Float(it) => Number::from_f64(it).map_or_else(|| it.to_string().into(), Value::Number),
        Fact::Text(it) => it.into(),
    }
}

fn value(dtype: DType, cursor: &mut Cursor, record: &[u8]) -> Result<Fact> {
    Ok(match ListKind::of(dtype) {
        ListKind::Float => {
            let mut stored = [0; 4];
            cursor.floats(record, 1, |it| {
                stored.copy_from_slice(it);
                Ok(())
            })?;
            Fact::Float(f32::from_le_bytes(stored).into())
        }
        ListKind::Bytes => Fact::Text(text(cursor.bytes(record)?)?.to_owned()),
        ListKind::Int => int(dtype, cursor.int(record)?)?,
    })
}

fn int(dtype: DType, value: i64) -> Result<Fact> {
    match (dtype, value) {
        _ if range_of(dtype).is_some_and(|it| !it.contains(&value)) => Err(out_of_range(value, dtype)),
        (DType::Bool, it) => Ok(Fact::Bool(it == 1)),
        // What lies above the largest signed number is stored as a negative one.
        (DType::UInt64, ..0) => Ok(Fact::Text(value.cast_unsigned().to_string())),
        (_, it) => Ok(Fact::Int(it)),
    }
}
