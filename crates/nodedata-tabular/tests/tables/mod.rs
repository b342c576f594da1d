//! Tables of random nested types, and what a value of theirs is in plain words, told by the arrays alone.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, DictionaryArray, FixedSizeListArray,
    Float32Array, Float64Array, Int32Array, Int64Array, LargeListArray, LargeStringArray, ListArray,
    MapArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, UInt8Array, cast::AsArray,
    types::*,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use nodedata_testkit::damaged::Random;
use serde_json::Value;

/// A table of some columns of random types.
pub(crate) fn table(random: &mut Random, n_rows: usize, is_parquet: bool) -> RecordBatch {
    let n_columns = 1 + random.below(4);
    let columns: Vec<(Field, ArrayRef)> = (0..n_columns)
        .map(|idx| {
            let nullable = random.below(3) != 0;
            let array = column(random, 3, n_rows, nullable, is_parquet);
            (Field::new(format!("c{idx}"), array.data_type().clone(), nullable), array)
        })
        .collect();
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn nulls(random: &mut Random, n: usize, nullable: bool) -> Option<NullBuffer> {
    nullable.then(|| NullBuffer::from((0..n).map(|_| random.below(4) != 0).collect::<Vec<bool>>()))
}

#[expect(clippy::too_many_lines, reason = "an arm for each type")]
fn column(random: &mut Random, depth: usize, n: usize, nullable: bool, is_parquet: bool) -> ArrayRef {
    let nulls_of = nulls(random, n, nullable);
    let kind = random.below(if depth == 0 { 9 } else { 15 });
    match kind {
        0 => Arc::new(BooleanArray::new((0..n).map(|_| random.below(2) == 0).collect(), nulls_of)),
        1 => Arc::new(Int64Array::new((0..n).map(|_| random.below(1 << 40) as i64 - 9).collect(), nulls_of)),
        2 => Arc::new(UInt8Array::new((0..n).map(|_| random.below(256) as u8).collect(), nulls_of)),
        3 => Arc::new(Float32Array::new((0..n).map(|_| random.below(1000) as f32 / 8.0).collect(), nulls_of)),
        4 => Arc::new(Float64Array::new((0..n).map(|_| random.below(1000) as f64 / 8.0).collect(), nulls_of)),
        5 => {
            let texts = (0..n).map(|row| {
                let there = nulls_of.as_ref().is_none_or(|it| it.is_valid(row));
                there.then(|| "ä".repeat(random.below(4)))
            });
            let texts: Vec<Option<String>> = texts.collect();
            if is_parquet {
                Arc::new(StringArray::from(texts))
            } else {
                Arc::new(LargeStringArray::from(texts))
            }
        }
        6 => {
            let bytes: Vec<Vec<u8>> =
                (0..n).map(|_| vec![random.below(256) as u8; random.below(4)]).collect();
            let bytes = bytes.iter().enumerate().map(|(row, it)| {
                nulls_of.as_ref().is_none_or(|nulls| nulls.is_valid(row)).then_some(it.as_slice())
            });
            Arc::new(bytes.collect::<BinaryArray>())
        }
        7 => {
            let times = (0..n).map(|_| random.below(1 << 50) as i64 - 77).collect();
            Arc::new(TimestampMicrosecondArray::new(times, nulls_of).with_timezone("UTC"))
        }
        8 => {
            let numbers = (0..n).map(|_| random.below(1 << 40) as i128 - 1000).collect();
            Arc::new(Decimal128Array::new(numbers, nulls_of).with_precision_and_scale(20, 3).unwrap())
        }
        9 | 10 => list(random, depth, n, nulls_of, is_parquet),
        11 | 12 => {
            let members = 1 + random.below(3);
            let members: Vec<(Field, ArrayRef)> = (0..members)
                .map(|idx| {
                    let nullable = random.below(2) == 0;
                    let array = column(random, depth - 1, n, nullable, is_parquet);
                    (Field::new(format!("m{idx}"), array.data_type().clone(), nullable), array)
                })
                .collect();
            let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = members.into_iter().unzip();
            Arc::new(StructArray::new(Fields::from(fields), arrays, nulls_of))
        }
        13 => {
            let (offsets, n_items) = offsets(random, n, nulls_of.as_ref());
            let keys: ArrayRef =
                Arc::new(StringArray::from_iter_values((0..n_items).map(|it| it.to_string())));
            let values = column(random, depth - 1, n_items, true, is_parquet);
            let fields = Fields::from(vec![
                Field::new("keys", DataType::Utf8, false),
                Field::new("values", values.data_type().clone(), true),
            ]);
            let entries = StructArray::new(fields.clone(), vec![keys, values], None);
            let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
            Arc::new(MapArray::new(field, offsets, entries, nulls_of, false))
        }
        _ if is_parquet => list(random, depth, n, nulls_of, is_parquet),
        _ => match random.below(2) {
            0 => {
                let n_items = 1 + random.below(3);
                let nullable = random.below(2) == 0;
                let values = column(random, depth - 1, n * n_items, nullable, is_parquet);
                let item = Arc::new(Field::new("item", values.data_type().clone(), nullable));
                Arc::new(FixedSizeListArray::new(item, n_items as i32, values, nulls_of))
            }
            _ => {
                let words: ArrayRef = Arc::new(StringArray::from(vec![Some("one"), None, Some("three")]));
                let keys = Int32Array::new((0..n).map(|_| random.below(3) as i32).collect(), nulls_of);
                let words = if nullable { words } else { Arc::new(StringArray::from(vec!["a", "b", "c"])) };
                Arc::new(DictionaryArray::<Int32Type>::new(keys, words))
            }
        },
    }
}

fn offsets(random: &mut Random, n: usize, nulls: Option<&NullBuffer>) -> (OffsetBuffer<i32>, usize) {
    let there = |row: usize| nulls.is_none_or(|it| it.is_valid(row));
    let lengths: Vec<usize> = (0..n).map(|row| if there(row) { random.below(4) } else { 0 }).collect();
    let n_items = lengths.iter().sum();
    (OffsetBuffer::from_lengths(lengths), n_items)
}

fn list(
    random: &mut Random,
    depth: usize,
    n: usize,
    nulls: Option<NullBuffer>,
    is_parquet: bool,
) -> ArrayRef {
    let (offsets, n_items) = offsets(random, n, nulls.as_ref());
    let nullable = random.below(2) == 0;
    let values = column(random, depth - 1, n_items, nullable, is_parquet);
    let item = Arc::new(Field::new("item", values.data_type().clone(), nullable));
    if is_parquet || random.below(2) == 0 {
        return Arc::new(ListArray::new(item, offsets, values, nulls));
    }
    let offsets: Vec<i64> = offsets.iter().map(|it| i64::from(*it)).collect();
    Arc::new(LargeListArray::new(item, OffsetBuffer::new(offsets.into()), values, nulls))
}

/// The value of one leaf in one row: null where anything above it is, lists passed through.
pub(crate) fn value(array: &ArrayRef, row: usize, members: &[&str]) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    let items =
        |items: ArrayRef, members: &[&str]| (0..items.len()).map(|it| value(&items, it, members)).collect();
    match array.data_type() {
        DataType::Struct(_) => {
            value(array.as_struct().column_by_name(members[0]).unwrap(), row, &members[1..])
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            items(Arc::clone(entries.column(usize::from(members[0] == "value"))), &members[1..])
        }
        DataType::List(_) => items(array.as_list::<i32>().value(row), members),
        DataType::LargeList(_) => items(array.as_list::<i64>().value(row), members),
        DataType::FixedSizeList(..) => items(array.as_fixed_size_list().value(row), members),
        DataType::Dictionary(..) => {
            let dictionary = array.as_dictionary::<Int32Type>();
            value(dictionary.values(), dictionary.keys().value(row) as usize, members)
        }
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        DataType::Float32 => f64::from(array.as_primitive::<Float32Type>().value(row)).into(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).into(),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Binary => format!("{:?}", array.as_binary::<i32>().value(row)).into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            (array.as_primitive::<TimestampMicrosecondType>().value(row) * 1000).into()
        }
        DataType::Decimal128(..) => {
            let number = array.as_primitive::<Decimal128Type>().value(row);
            let sign = if number < 0 { "-" } else { "" };
            format!("{sign}{}.{:03}", number.abs() / 1000, number.abs() % 1000).into()
        }
        other => panic!("{other}"),
    }
}
