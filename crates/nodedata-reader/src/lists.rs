//! Lists of lists, of text and of bytes as JSON: they are no tensors.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nodedata_core::{DType, Error, ErrorKind, Result};
use serde_json::{Number, Value};

use crate::{
    assemble::{Block, Flaw, row_starts},
    leaf::{Levels, RawLeaf, Values},
    rows::Data,
};

/// Each row as JSON text, of values of type `dtype`. NaN and infinities, for which JSON has no number, are told as text; bytes as base64.
///
/// # Errors
/// `Corrupt` for text that is not UTF-8, and for levels that cannot be.
pub(crate) fn json(raw: &RawLeaf, levels: &Levels, n_rows: usize, dtype: DType) -> Result<Block, Flaw> {
    let starts = row_starts(raw, n_rows)?;
    let mut walk = Walk { raw, levels, dtype, next: 0 };
    let (mut texts, mut valid) = (Vec::with_capacity(n_rows), Vec::with_capacity(n_rows));
    for row in 0..n_rows {
        let value = walk.list(starts[row], starts[row + 1], 0).map_err(|err| Flaw { row, err })?;
        valid.push(!value.is_null());
        texts.push(if value.is_null() { String::new() } else { value.to_string() });
    }
    let all = valid.iter().all(|it| *it);
    Ok(Block { data: Data::Text(texts), valid: (!all).then_some(valid) })
}

struct Walk<'a> {
    raw: &'a RawLeaf,
    levels: &'a Levels,
    /// Of the values.
    dtype: DType,
    /// The value that comes next.
    next: usize,
}

impl Walk<'_> {
    /// The list at a depth that some entries are; below the last list, the value that one of them is.
    fn list(&mut self, start: usize, end: usize, depth: usize) -> Result<Value> {
        let definition = self.raw.definition(start, self.levels);
        let Some(has_items) = self.levels.lists.get(depth) else {
            return if definition == self.levels.value { self.value() } else { Ok(Value::Null) };
        };
        if definition < *has_items {
            let is_there = definition == has_items - 1;
            return Ok(if is_there { Value::Array(Vec::new()) } else { Value::Null });
        }
        let deepest = i16::try_from(depth + 1).unwrap_or(i16::MAX);
        let begins = |it: &usize| self.raw.repetitions.get(*it).is_some_and(|it| *it <= deepest);
        let mut starts: Vec<usize> = (start + 1..end).filter(begins).collect();
        starts.insert(0, start);
        starts.push(end);
        let items = starts.windows(2).map(|it| self.list(it[0], it[1], depth + 1));
        items.collect::<Result<Vec<_>>>().map(Value::Array)
    }

    fn value(&mut self) -> Result<Value> {
        let idx = self.next;
        self.next += 1;
        let float = |it: f64| Number::from_f64(it).map_or_else(|| it.to_string().into(), Value::Number);
        let value = match &self.raw.values {
            Values::Bool(values) => values.get(idx).map(|it| Value::from(*it)),
            Values::Int32(values) => values.get(idx).map(|it| match self.dtype {
                DType::UInt32 => Value::from(it.cast_unsigned()),
                _ => Value::from(*it),
            }),
            Values::Int64(values) => values.get(idx).map(|it| match self.dtype {
                DType::UInt64 => Value::from(it.cast_unsigned()),
                _ => Value::from(*it),
            }),
            Values::Float(values) => values.get(idx).map(|it| float(f64::from(*it))),
            Values::Double(values) => values.get(idx).map(|it| float(*it)),
            Values::Bytes(values) if self.dtype == DType::String => {
                values.get(idx).map(|it| text(it.data())).transpose()?
            }
            Values::Bytes(values) => values.get(idx).map(|it| STANDARD.encode(it.data()).into()),
            Values::Fixed(values) => values.get(idx).map(|it| half(it.data())),
        };
        value.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "the pages have fewer values than their levels tell")
        })
    }
}

fn text(bytes: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(bytes)
        .map_err(|err| Error::new(ErrorKind::Corrupt, "the text is not UTF-8").with_source(err))?;
    Ok(text.into())
}

fn half(bytes: &[u8]) -> Value {
    let Ok(bits) = <[u8; 2]>::try_from(bytes) else { return STANDARD.encode(bytes).into() };
    let value = half::f16::from_le_bytes(bits).to_f64();
    Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}
