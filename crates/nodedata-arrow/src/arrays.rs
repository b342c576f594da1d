//! Columns of a data file as columns of a feature: lists of equal length become fixed ones, members of structs and
//! maps are taken out, dictionaries looked up, numbers widened. Values are shared wherever Arrow allows it.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeListArray, ListArray, StringArray, StructArray, UInt32Array,
    builder::{BinaryBuilder, StringBuilder},
    cast::AsArray,
    make_array, new_null_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields};
use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Feature, Locus, Result};

use crate::{
    forms::{is_other_list, looked_up, plain_list, too_many},
    leaves::ENTRY,
    values::{converted, fits},
};

/// The column of a plain feature. `members` are the struct members to take, lists passed through.
///
/// # Errors
/// `Corrupt` when a value has another length than the feature, or is null where none may be; `Unsupported` when its type cannot
/// hold it. With the row of the batch as the step.
pub fn plain_column(array: &ArrayRef, members: &[String], feature: &Feature) -> Result<ArrayRef> {
    let column = shaped(array, Taken { members, load: None }, &feature.arrow_type())
        .map_err(|it| it.into_error().at(Locus::feature(&feature.name)))?;
    if !feature.nullable
        && let Some(row) = (0..column.len()).find(|it| column.is_null(*it))
    {
        let message =
            format!("feature `{}` is null, but the footer of its file counts no nulls", feature.name);
        return Err(Error::new(ErrorKind::Corrupt, message).at(row_of(row)));
    }
    Ok(column)
}

/// Why values cannot be those of a feature, and which of the level they were found at.
pub(crate) struct Flaw {
    pub(crate) item: Option<usize>,
    pub(crate) err: Error,
}

type Shaped<T = ArrayRef> = Result<T, Flaw>;

impl From<Error> for Flaw {
    fn from(err: Error) -> Self {
        Self { item: None, err }
    }
}

impl Flaw {
    pub(crate) fn at(item: usize, err: Error) -> Self {
        Self { item: Some(item), err }
    }

    /// Told of the list that holds the item.
    fn in_lists(self, list_of: impl Fn(usize) -> usize) -> Self {
        Self { item: self.item.map(list_of), ..self }
    }

    fn into_error(self) -> Error {
        match self.item {
            Some(row) => self.err.at(row_of(row)),
            None => self.err,
        }
    }
}

/// A medium by its name, and the name that is kept beside it; `None` where there is none.
pub type Load<'a> = dyn Fn(&str) -> Result<Option<(Bytes, Option<String>)>> + 'a;

/// What is taken from the structs of a column.
#[derive(Clone, Copy)]
struct Taken<'a> {
    /// A member of each, from the outside in.
    members: &'a [String],
    /// Of media, what reads a file by its name where no bytes are there.
    load: Option<&'a Load<'a>>,
}

impl Taken<'_> {
    const WHOLE: Self = Self { members: &[], load: None };

    fn below(self) -> Self {
        Self { members: self.members.get(1..).unwrap_or_default(), ..self }
    }
}

fn shaped(array: &ArrayRef, taken: Taken<'_>, target: &DataType) -> Shaped {
    match (array.data_type(), target) {
        (DataType::Null, _) => Ok(new_null_array(target, array.len())),
        (DataType::Dictionary(..) | DataType::RunEndEncoded(..), _) => {
            shaped(&looked_up(array)?, taken, target)
        }
        (DataType::Struct(_), DataType::Struct(fields)) if taken.members.is_empty() => match taken.load {
            Some(load) => medium(array.as_struct(), fields, load),
            None => converted(array, target),
        },
        (DataType::Struct(_), _) => shaped(&member(array, taken.members)?, taken.below(), target),
        (DataType::Map(..), DataType::List(_)) => {
            shaped(&entries(array, taken.members)?, taken.below(), target)
        }
        (found, DataType::Struct(fields)) if is_text(found) => match taken.load {
            Some(load) => medium(&named(array)?, fields, load),
            None => converted(array, target),
        },
        (found, DataType::List(_) | DataType::FixedSizeList(..)) if is_other_list(found) => {
            shaped(&plain_list(array)?, taken, target)
        }
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let (offsets, values) = whole(list);
            let values = shaped(&values, taken, item.data_type())
                .map_err(|it| it.in_lists(|at| list_of(&offsets, at)))?;
            let list = ListArray::try_new(Arc::clone(item), offsets, values, list.nulls().cloned());
            Ok(Arc::new(list.map_err(wrong_nulls)?))
        }
        (DataType::List(_), DataType::FixedSizeList(item, n)) => fixed(array.as_list(), taken, item, *n),
        (DataType::FixedSizeList(_, n), DataType::List(item)) => {
            let list = array.as_fixed_size_list();
            let per_list = usize::try_from(*n).unwrap_or(0);
            let end = list.len().checked_mul(per_list).and_then(|it| i32::try_from(it).ok());
            end.ok_or_else(too_many)?;
            let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(per_list, list.len()));
            let values = shaped(list.values(), taken, item.data_type())
                .map_err(|it| it.in_lists(|at| at.checked_div(per_list).unwrap_or(0)))?;
            let list = ListArray::try_new(Arc::clone(item), offsets, values, list.nulls().cloned());
            Ok(Arc::new(list.map_err(wrong_nulls)?))
        }
        (DataType::FixedSizeList(_, found), DataType::FixedSizeList(item, n)) if found == n => {
            let list = array.as_fixed_size_list();
            let per_list = usize::try_from(*n).unwrap_or(0);
            let values = shaped(list.values(), taken, item.data_type())
                .map_err(|it| it.in_lists(|at| at.checked_div(per_list).unwrap_or(0)))?;
            let list = FixedSizeListArray::try_new(Arc::clone(item), *n, values, list.nulls().cloned());
            Ok(Arc::new(list.map_err(wrong_nulls)?))
        }
        (found, target) if found == target => Ok(Arc::clone(array)),
        _ => converted(array, target),
    }
}

/// One member of a struct; null where the struct is.
fn member(array: &ArrayRef, members: &[String]) -> Result<ArrayRef> {
    let all = array.as_struct();
    let name = members.first().map_or("", String::as_str);
    let Some(column) = all.column_by_name(name) else {
        return Err(Error::new(ErrorKind::Corrupt, format!("the struct has no member `{name}`")));
    };
    under(column, all.nulls())
}

/// Null where what holds it is.
fn under(column: &ArrayRef, above: Option<&NullBuffer>) -> Result<ArrayRef> {
    if above.is_none_or(|it| it.null_count() == 0) || *column.data_type() == DataType::Null {
        return Ok(Arc::clone(column));
    }
    // Runs have no nulls of their own.
    let column =
        if let DataType::RunEndEncoded(..) = column.data_type() { &looked_up(column)? } else { column };
    let nulls = NullBuffer::union(above, column.nulls());
    let data = column.to_data().into_builder().nulls(nulls).build();
    Ok(make_array(data.map_err(wrong_nulls)?))
}

/// The keys, or the values, of maps as lists.
fn entries(array: &ArrayRef, members: &[String]) -> Result<ArrayRef> {
    let map = array.as_map();
    let position = ENTRY.iter().position(|it| members.first().is_some_and(|member| member == it));
    let Some(column) = position.and_then(|it| map.entries().columns().get(it)) else {
        return Err(Error::new(ErrorKind::Corrupt, "the map has no such member"));
    };
    let values = under(column, map.entries().nulls())?;
    let item = Arc::new(Field::new("item", values.data_type().clone(), true));
    let list = ListArray::try_new(item, map.offsets().clone(), values, map.nulls().cloned());
    Ok(Arc::new(list.map_err(wrong_nulls)?))
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

/// The list that holds an item.
fn list_of(offsets: &[i32], item: usize) -> usize {
    offsets.partition_point(|end| *end as usize <= item).saturating_sub(1)
}

/// Lists that must all have `n` items.
fn fixed(list: &ListArray, taken: Taken<'_>, item: &Arc<Field>, n: i32) -> Shaped {
    let (offsets, mut values) = whole(list);
    let length = |row: usize| offsets[row + 1] - offsets[row];
    let differs = |row: &usize| list.is_valid(*row) && length(*row) != n;
    if let Some(row) = (0..list.len()).find(differs) {
        let message = format!("the value has {} items, but the feature has {n}", length(row));
        return Err(Flaw::at(row, Error::new(ErrorKind::Corrupt, message)));
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
    let per_list = n.max(0) as usize;
    let values = shaped(&values, taken, item.data_type())
        .map_err(|it| it.in_lists(|at| at.checked_div(per_list).unwrap_or(0)))?;
    let list = FixedSizeListArray::try_new(Arc::clone(item), n, values, list.nulls().cloned());
    Ok(Arc::new(list.map_err(wrong_nulls)?))
}

/// The column of an encoded medium, or of lists of them: `bytes`, then `path`, whatever the order in the file. `members` are the
/// struct members to take on the way, lists passed through. Where a struct holds only a path, or there is text in its place, `load`
/// reads the file it names.
///
/// # Errors
/// What `load` reports, with the row of the batch as the step.
pub fn media_column(
    array: &ArrayRef,
    members: &[String],
    feature: &Feature,
    load: &Load<'_>,
) -> Result<ArrayRef> {
    shaped(array, Taken { members, load: Some(load) }, &feature.arrow_type())
        .map_err(|it| it.into_error().at(Locus::feature(&feature.name)))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Names of files as media that have nothing but these.
fn named(names: &ArrayRef) -> Shaped<StructArray> {
    let paths = shaped(names, Taken::WHOLE, &DataType::Utf8)?;
    let nulls = paths.nulls().cloned();
    let fields = vec![Field::new("path", DataType::Utf8, true)];
    Ok(StructArray::try_new(fields.into(), vec![paths], nulls).map_err(wrong_nulls)?)
}

fn medium(all: &StructArray, fields: &Fields, load: &Load<'_>) -> Shaped {
    let column = |name: &str, target: &DataType| match all.column_by_name(name) {
        Some(column) => shaped(column, Taken::WHOLE, target),
        None => Ok(new_null_array(target, all.len())),
    };
    let mut bytes = column("bytes", &DataType::Binary)?;
    let mut path = column("path", &DataType::Utf8)?;
    let names_file = |idx: usize| all.is_valid(idx) && bytes.is_null(idx) && path.is_valid(idx);
    if (0..all.len()).any(names_file) {
        (bytes, path) = loaded(all.nulls(), bytes.as_binary(), path.as_string(), load)?;
    }
    let absent = |idx: usize| all.is_null(idx) || bytes.is_null(idx);
    let nulls: NullBuffer = (0..all.len()).map(|idx| !absent(idx)).collect();
    let nulls = (nulls.null_count() > 0).then_some(nulls);
    let media = StructArray::try_new(fields.clone(), vec![bytes, path], nulls).map_err(wrong_nulls)?;
    Ok(Arc::new(media))
}

fn loaded(
    there: Option<&NullBuffer>,
    bytes: &BinaryArray,
    path: &StringArray,
    load: &Load<'_>,
) -> Shaped<(ArrayRef, ArrayRef)> {
    let (mut all, mut paths) = (BinaryBuilder::new(), StringBuilder::new());
    let mut n_bytes = 0u64;
    for idx in 0..bytes.len() {
        let name = path.is_valid(idx).then(|| path.value(idx));
        let held = bytes.is_valid(idx).then(|| bytes.value(idx));
        let asked_for = name.filter(|_| held.is_none() && there.is_none_or(|it| it.is_valid(idx)));
        let loaded = asked_for.map(load).transpose().map_err(|err| Flaw::at(idx, err))?.flatten();
        let medium = loaded.as_ref().map_or(held, |it| Some(&it.0[..]));
        n_bytes += medium.map_or(0, |it| it.len() as u64);
        fits(n_bytes).map_err(|err| Flaw::at(idx, err))?;
        all.append_option(medium);
        paths.append_option(loaded.as_ref().map_or(name, |it| it.1.as_deref()));
    }
    Ok((Arc::new(all.finish()), Arc::new(paths.finish())))
}

pub(crate) fn wrong_nulls(err: arrow_schema::ArrowError) -> Error {
    Error::new(ErrorKind::Corrupt, "the values do not have the shape and nulls of the feature")
        .with_source(err)
}

fn row_of(row: usize) -> Locus {
    Locus { step_idx: Some(row as u64), ..Locus::default() }
}

#[cfg(test)]
mod tests;
