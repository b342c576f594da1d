//! What the test files share: columns as JSON, and a CDR writer of its own.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod cdr;
pub(crate) mod mcap;

use std::sync::Arc;

use arrow_array::{
    Array,
    cast::AsArray,
    types::{
        Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
        UInt32Type, UInt64Type,
    },
};
use nodedata_core::{Columns, DType, Layout, Result};
use nodedata_ros::{Definitions, RosPlan};
use serde_json::{Value, json};

/// A compiled message and its columns.
pub(crate) struct Topic {
    pub(crate) plan: RosPlan,
    pub(crate) layout: Arc<Layout>,
}

impl Topic {
    #[track_caller]
    pub(crate) fn new(definitions: &Definitions, root: &str) -> Self {
        let mut layout = Layout::default();
        let plan = RosPlan::compile(&mut layout, definitions, root).unwrap();
        Self { plan, layout: Arc::new(layout) }
    }

    pub(crate) fn columns(&self) -> Columns {
        Columns::new(Arc::clone(&self.layout))
    }

    /// One CDR payload as one JSON value per column.
    pub(crate) fn cdr(&self, payload: &[u8]) -> Result<Vec<(String, Value)>> {
        let mut columns = self.columns();
        self.plan.decode_cdr(payload, &mut columns)?;
        columns.end_row();
        Ok(self.last_row(&mut columns))
    }

    pub(crate) fn ros1(&self, payload: &[u8]) -> Result<Vec<(String, Value)>> {
        let mut columns = self.columns();
        self.plan.decode_ros1(payload, &mut columns)?;
        columns.end_row();
        Ok(self.last_row(&mut columns))
    }

    fn last_row(&self, columns: &mut Columns) -> Vec<(String, Value)> {
        let row = columns.n_rows() - 1;
        let arrays = columns.finish();
        for (array, feature) in arrays.iter().zip(self.layout.features()) {
            assert_eq!(*array.data_type(), feature.arrow_type(), "{}", feature.name);
        }
        let cells = self.layout.features().zip(&arrays);
        cells.map(|(it, array)| (it.name.clone(), cell(array.as_ref(), row))).collect()
    }
}

/// One value of an Arrow column as JSON; bytes become a list of numbers.
pub(crate) fn cell(array: &dyn Array, row: usize) -> Value {
    use arrow_schema::DataType as T;
    if array.is_null(row) {
        return Value::Null;
    }
    let items = |items: &dyn Array| (0..items.len()).map(|it| cell(items, it)).collect();
    match array.data_type() {
        T::Boolean => json!(array.as_boolean().value(row)),
        T::Int8 => json!(array.as_primitive::<Int8Type>().value(row)),
        T::Int16 => json!(array.as_primitive::<Int16Type>().value(row)),
        T::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
        T::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
        T::UInt8 => json!(array.as_primitive::<UInt8Type>().value(row)),
        T::UInt16 => json!(array.as_primitive::<UInt16Type>().value(row)),
        T::UInt32 => json!(array.as_primitive::<UInt32Type>().value(row)),
        T::UInt64 => json!(array.as_primitive::<UInt64Type>().value(row)),
        T::Float32 => float(f64::from(array.as_primitive::<Float32Type>().value(row))),
        T::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        T::Utf8 => json!(array.as_string::<i32>().value(row)),
        T::Binary => json!(array.as_binary::<i32>().value(row)),
        T::List(_) => Value::Array(items(array.as_list::<i32>().value(row).as_ref())),
        T::FixedSizeList(..) => Value::Array(items(array.as_fixed_size_list().value(row).as_ref())),
        other => panic!("no JSON for {other}"),
    }
}

/// As the corpus spells what JSON has no numbers for.
fn float(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(value.to_string().to_lowercase()) }
}

/// The value a column should have, found in the message as nested JSON.
pub(crate) fn expected(message: &Value, column: &str) -> Value {
    let path: Vec<&str> = column.split('.').collect();
    find(message, &path)
}

fn find(value: &Value, path: &[&str]) -> Value {
    match (value, path) {
        (Value::Array(items), _) => items.iter().map(|it| find(it, path)).collect(),
        (Value::Object(fields), [first, rest @ ..]) => match fields.get(*first) {
            Some(field) => find(field, rest),
            None => panic!("no field {first} in {value}"),
        },
        // What is too long for the truth file stands there as its length and hash.
        (Value::Object(fields), []) if fields.contains_key("len") => value.clone(),
        (Value::Object(fields), []) => {
            let part = |names: [&str; 2]| names.iter().find_map(|it| fields.get(*it)?.as_i64());
            let (seconds, nanos) = (part(["sec", "secs"]), part(["nanosec", "nsecs"]));
            json!(seconds.unwrap() * 1_000_000_000 + nanos.unwrap())
        }
        (plain, []) => plain.clone(),
        (plain, rest) => panic!("{plain} has no fields {rest:?}"),
    }
}

/// The columns' type of one feature, for assertions on metadata.
pub(crate) fn dtype(layout: &Layout, name: &str) -> DType {
    layout.features().find(|it| it.name == name).unwrap_or_else(|| panic!("no column {name}")).dtype
}
