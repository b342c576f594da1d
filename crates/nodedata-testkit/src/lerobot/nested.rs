use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, FixedSizeListArray, ListArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{Field, Fields};

fn item(values: &ArrayRef) -> Arc<Field> {
    Arc::new(Field::new("element", values.data_type().clone(), true))
}

/// Tensors of one shape as nested lists.
///
/// # Panics
/// When the values do not fill them.
pub fn tensors(values: ArrayRef, shape: &[usize]) -> ArrayRef {
    shape.iter().rev().fold(values, |values, n| list_of(vec![*n; values.len() / n], values))
}

/// Tensors of one shape as nested fixed-size lists.
///
/// # Panics
/// When the values do not fill them.
pub fn fixed_tensors(values: ArrayRef, shape: &[usize]) -> ArrayRef {
    let fixed = |values: ArrayRef, n: &usize| -> ArrayRef {
        Arc::new(FixedSizeListArray::new(item(&values), *n as i32, values, None))
    };
    shape.iter().rev().fold(values, fixed)
}

/// Lists of these lengths.
///
/// # Panics
/// When the lengths do not add up to the values.
pub fn list_of(lengths: impl IntoIterator<Item = usize>, values: ArrayRef) -> ArrayRef {
    Arc::new(ListArray::new(item(&values), OffsetBuffer::from_lengths(lengths), values, None))
}

/// Structs of these members.
///
/// # Panics
/// When the members differ in length.
pub fn struct_of(members: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let fields: Fields =
        members.iter().map(|(name, it)| Field::new(*name, it.data_type().clone(), true)).collect();
    Arc::new(StructArray::new(fields, members.into_iter().map(|it| it.1).collect(), None))
}
