//! Columns of a data file as columns of a feature: lists of equal length become fixed ones, members of structs
//! are taken out, numbers widened. Values are shared wherever Arrow allows it.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeListArray, ListArray, PrimitiveArray, StringArray, StructArray,
    UInt32Array, builder::BinaryBuilder, cast::AsArray, make_array, new_null_array, types::*,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields};
use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Feature, Locus, Nested, Result};

use crate::{floats, integers};

/// The column of a plain feature. `members` are the struct members to take, lists passed through.
///
/// # Errors
/// `Corrupt` when a value has another length than the feature, or is null where none may be, with the row
/// of the batch as the step.
pub fn plain_column(array: &ArrayRef, members: &[String], feature: &Feature) -> Result<ArrayRef> {
    let column = shaped(array, Taken::Members(members), &feature.arrow_type())
        .map_err(|err| err.at(Locus::feature(&feature.name)))?;
    if !feature.nullable
        && let Some(row) = (0..column.len()).find(|it| column.is_null(*it))
    {
        let message =
            format!("feature `{}` is null, but the footer of its file counts no nulls", feature.name);
        return Err(Error::new(ErrorKind::Corrupt, message).at(row_of(row)));
    }
    Ok(column)
}

/// What is taken from the structs of a column.
#[derive(Clone, Copy)]
enum Taken<'a> {
    /// A member of each, from the outside in.
    Members(&'a [String]),
    /// The medium that it is, its bytes or the file that it names. That file is read by name and for the struct at
    /// that place.
    Medium(&'a dyn Fn(&str, usize) -> Result<Bytes>),
}

fn shaped(array: &ArrayRef, taken: Taken<'_>, target: &DataType) -> Result<ArrayRef> {
    match (array.data_type(), target) {
        (DataType::Null, _) => Ok(new_null_array(target, array.len())),
        (DataType::Struct(_), _) => match (taken, target) {
            (Taken::Medium(load), DataType::Struct(fields)) => medium(array.as_struct(), fields, load),
            (Taken::Members(members), _) => {
                let below = Taken::Members(members.get(1..).unwrap_or_default());
                shaped(&member(array, members)?, below, target)
            }
            (Taken::Medium(_), _) => widened(array, target),
        },
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let (offsets, values) = whole(list);
            let values = shaped(&values, taken, item.data_type())?;
            let list = ListArray::try_new(Arc::clone(item), offsets, values, list.nulls().cloned());
            Ok(Arc::new(list.map_err(wrong_nulls)?))
        }
        (DataType::List(_), DataType::FixedSizeList(item, n)) => fixed(array.as_list(), taken, item, *n),
        (DataType::FixedSizeList(_, found), DataType::FixedSizeList(item, n)) if found == n => {
            let list = array.as_fixed_size_list();
            let values = shaped(list.values(), taken, item.data_type())?;
            let list = FixedSizeListArray::try_new(Arc::clone(item), *n, values, list.nulls().cloned());
            Ok(Arc::new(list.map_err(wrong_nulls)?))
        }
        (found, target) if found == target => Ok(Arc::clone(array)),
        _ => widened(array, target),
    }
}

/// One member of a struct; null where the struct is.
fn member(array: &ArrayRef, members: &[String]) -> Result<ArrayRef> {
    let all = array.as_struct();
    let name = members.first().map_or("", String::as_str);
    let Some(column) = all.column_by_name(name) else {
        return Err(Error::new(ErrorKind::Corrupt, format!("the struct has no member `{name}`")));
    };
    match NullBuffer::union(all.nulls(), column.nulls()) {
        Some(nulls) if all.null_count() > 0 => {
            let data = column.to_data().into_builder().nulls(Some(nulls)).build();
            Ok(make_array(data.map_err(wrong_nulls)?))
        }
        _ => Ok(Arc::clone(column)),
    }
}

/// Offsets from 0 and just the values they span.
fn whole(list: &ListArray) -> (OffsetBuffer<i32>, ArrayRef) {
    let offsets = list.value_offsets();
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let values = list.values().slice(first as usize, (last - first) as usize);
    if first == 0 {
        return (list.offsets().clone(), values);
    }
    let rebased: Vec<i32> = offsets.iter().map(|it| it - first).collect();
    (OffsetBuffer::new(rebased.into()), values)
}

/// Lists that must all have `n` items.
fn fixed(list: &ListArray, taken: Taken<'_>, item: &Arc<Field>, n: i32) -> Result<ArrayRef> {
    let (offsets, mut values) = whole(list);
    let length = |row: usize| offsets[row + 1] - offsets[row];
    let differs = |row: &usize| list.is_valid(*row) && length(*row) != n;
    if let Some(row) = (0..list.len()).find(differs) {
        let message = format!("the value has {} items, but the feature has {n}", length(row));
        return Err(Error::new(ErrorKind::Corrupt, message).at(row_of(row)));
    }
    if list.null_count() > 0 {
        // A null list holds no items, a null of fixed size holds them hidden.
        let mut picked = Vec::with_capacity(list.len() * n.max(0) as usize);
        for row in 0..list.len() {
            let start = offsets[row] as u32;
            picked.extend((0..n.max(0) as u32).map(|it| list.is_valid(row).then_some(start + it)));
        }
        values = arrow_select::take::take(&values, &UInt32Array::from(picked), None).map_err(wrong_nulls)?;
    }
    let values = shaped(&values, taken, item.data_type())?;
    let list = FixedSizeListArray::try_new(Arc::clone(item), n, values, list.nulls().cloned());
    Ok(Arc::new(list.map_err(wrong_nulls)?))
}

/// Numbers in a wider type. The plan allows no others, so that none fails to fit.
fn widened(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let refused = || {
        let message = format!("values of {} do not fit {target}", array.data_type());
        Error::new(ErrorKind::SchemaMismatch, message)
    };
    macro_rules! whole_numbers {
        ($kind:ty) => {{
            let values = integers(array).ok_or_else(refused)?;
            let fitting =
                |it: Option<i64>| it.map(<$kind as ArrowPrimitiveType>::Native::try_from).transpose();
            let values: Result<Vec<_>, _> = values.into_iter().map(fitting).collect();
            let values: PrimitiveArray<$kind> = values.map_err(|_| refused())?.into_iter().collect();
            Ok(Arc::new(values))
        }};
    }
    match target {
        DataType::Int16 => whole_numbers!(Int16Type),
        DataType::Int32 => whole_numbers!(Int32Type),
        DataType::Int64 => whole_numbers!(Int64Type),
        DataType::UInt16 => whole_numbers!(UInt16Type),
        DataType::UInt32 => whole_numbers!(UInt32Type),
        DataType::UInt64 => whole_numbers!(UInt64Type),
        DataType::Float32 => {
            let values: Vec<f32> =
                floats(array).ok_or_else(refused)?.into_iter().map(|it| it as f32).collect();
            Ok(Arc::new(PrimitiveArray::<Float32Type>::new(values.into(), array.nulls().cloned())))
        }
        DataType::Float64 => {
            let values = floats(array).ok_or_else(refused)?;
            Ok(Arc::new(PrimitiveArray::<Float64Type>::new(values.into(), array.nulls().cloned())))
        }
        _ => Err(refused()),
    }
}

/// The column of an encoded medium, or of lists of them: `bytes`, then `path`, whatever the order in the file. Where
/// a struct holds only a path, `load` reads the file it names.
///
/// # Errors
/// What `load` reports, with the row of the batch as the step.
pub fn media_column(
    array: &ArrayRef,
    feature: &Feature,
    load: &dyn Fn(&str) -> Result<Bytes>,
) -> Result<ArrayRef> {
    let load = |name: &str, idx: usize| {
        load(name).map_err(|err| {
            let nested = Nested::of(array);
            err.at(row_of(nested.row_of(nested.dims.len(), idx)))
        })
    };
    shaped(array, Taken::Medium(&load), &feature.arrow_type())
}

fn medium(
    all: &StructArray,
    fields: &Fields,
    load: &dyn Fn(&str, usize) -> Result<Bytes>,
) -> Result<ArrayRef> {
    let column = |name: &str| all.column_by_name(name).map(Arc::clone);
    let bytes = column("bytes").filter(|it| it.data_type() == &DataType::Binary);
    let mut bytes = bytes.unwrap_or_else(|| new_null_array(&DataType::Binary, all.len()));
    let path = column("path").filter(|it| it.data_type() == &DataType::Utf8);
    let path = path.unwrap_or_else(|| new_null_array(&DataType::Utf8, all.len()));
    let names_file = |idx: usize| all.is_valid(idx) && bytes.is_null(idx) && path.is_valid(idx);
    if (0..all.len()).any(names_file) {
        bytes = loaded(bytes.as_binary(), path.as_string(), load)?;
    }
    let absent = |idx: usize| all.is_null(idx) || bytes.is_null(idx);
    let nulls: NullBuffer = (0..all.len()).map(|idx| !absent(idx)).collect();
    let nulls = (nulls.null_count() > 0).then_some(nulls);
    let media = StructArray::try_new(fields.clone(), vec![bytes, path], nulls).map_err(wrong_nulls)?;
    Ok(Arc::new(media))
}

fn loaded(
    bytes: &BinaryArray,
    path: &StringArray,
    load: &dyn Fn(&str, usize) -> Result<Bytes>,
) -> Result<ArrayRef> {
    let mut all = BinaryBuilder::new();
    for idx in 0..bytes.len() {
        if bytes.is_valid(idx) {
            all.append_value(bytes.value(idx));
        } else if path.is_valid(idx) {
            all.append_value(load(path.value(idx), idx)?);
        } else {
            all.append_null();
        }
    }
    Ok(Arc::new(all.finish()))
}

fn wrong_nulls(err: arrow_schema::ArrowError) -> Error {
    Error::new(ErrorKind::Corrupt, "the values do not have the shape and nulls of the feature")
        .with_source(err)
}

fn row_of(row: usize) -> Locus {
    Locus { step_idx: Some(row as u64), ..Locus::default() }
}

#[cfg(test)]
mod tests;
