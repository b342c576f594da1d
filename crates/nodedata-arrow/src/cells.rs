use std::fmt::Write as _;

use arrow_array::{Array, ArrayRef, cast::AsArray, types::*};
use arrow_schema::DataType;
use serde_json::{Map, Number, Value};

/// One cell of a metadata table as JSON. Types that JSON has no word for are null.
pub fn cell(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Float32 => float(f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let members = columns.map(|(field, column)| (field.name().clone(), cell(column, row)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        _ => items_of(array, row).map_or(Value::Null, |it| items(&it)),
    }
}

/// What a list holds; `None` for other types.
fn items_of(array: &ArrayRef, row: usize) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::List(_) => Some(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => Some(array.as_fixed_size_list().value(row)),
        _ => None,
    }
}

/// One cell as text: text as it is, everything else as JSON; `None` for a null. Lists of numbers, which a table of
/// statistics is full of, do not become values on the way.
pub fn cell_text(array: &ArrayRef, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    let mut text = String::new();
    if items_of(array, row).is_some_and(|it| put_numbers(&it, &mut text)) {
        return Some(text);
    }
    match cell(array, row) {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// Puts a list of 64-bit numbers; leaves `text` alone and returns false for lists of anything else.
fn put_numbers(values: &ArrayRef, text: &mut String) -> bool {
    if values.null_count() > 0 {
        return false;
    }
    let number = |number: Number, text: &mut String| {
        text.push(if text.is_empty() { '[' } else { ',' });
        // Writing to a text cannot fail.
        write!(text, "{number}").unwrap_or_default();
    };
    match values.data_type() {
        DataType::Float64 => {
            let values = values.as_primitive::<Float64Type>().values();
            if !values.iter().all(|it| it.is_finite()) {
                return false;
            }
            values.iter().filter_map(|it| Number::from_f64(*it)).for_each(|it| number(it, text));
        }
        DataType::Int64 => {
            let values = values.as_primitive::<Int64Type>().values();
            values.iter().for_each(|it| number((*it).into(), text));
        }
        _ => return false,
    }
    if text.is_empty() {
        text.push('[');
    }
    text.push(']');
    true
}

fn items(values: &ArrayRef) -> Value {
    (0..values.len()).map(|row| cell(values, row)).collect()
}

/// NaN and infinities have no JSON number: they are told as text.
fn float(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int32Array, ListArray, StringArray};

    use super::*;

    #[test]
    fn texts_are_those_of_the_values() {
        let lists = |rows: Vec<Option<Vec<Option<f64>>>>| -> ArrayRef {
            Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows))
        };
        let floats = vec![Some(vec![Some(0.1), Some(-1e-7), Some(3.0)]), Some(vec![]), None];
        let odd = vec![Some(vec![Some(f64::NAN), Some(f64::INFINITY)]), Some(vec![Some(1.0), None])];
        let whole = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(-3), Some(0)])]);
        let arrays: Vec<ArrayRef> = vec![
            lists(floats),
            lists(odd),
            Arc::new(whole),
            Arc::new(StringArray::from(vec![Some("a \"b\""), None])),
            Arc::new(Int32Array::from(vec![7])),
            Arc::new(Float64Array::from(vec![0.5, f64::NAN])),
        ];
        for array in arrays {
            for row in 0..array.len() {
                let expected = match cell(&array, row) {
                    Value::Null => None,
                    Value::String(text) => Some(text),
                    other => Some(other.to_string()),
                };
                assert_eq!(cell_text(&array, row), expected, "row {row} of {array:?}");
            }
        }
    }
}
