use std::ops::Range;

use arrow_array::{Array as _, ArrayRef, cast::AsArray as _, types::Float16Type};
use arrow_schema::DataType;
use nodedata_arrow::cell_text;
use nodedata_core::{RowDeal, RowKey};

/// The field that rows are dealt by; `None` where they are by their place.
pub(crate) fn field_of(deal: &RowDeal) -> Option<&str> {
    match &deal.key {
        RowKey::Row => None,
        RowKey::Field(name) => Some(name),
    }
}

/// Position of the split that a row is dealt to: by the value of a field, or by its file and number. Rows that are added behind it
/// do not move it.
pub(crate) fn split_of(deal: &RowDeal, value: Option<&[u8]>, file: &str, row: u64) -> usize {
    match value {
        Some(value) => deal.split_of(value),
        None => deal.split_of(format!("{file}#{row}").as_bytes()),
    }
}

/// The rows that are dealt to one split. `values` has the values of the field for the first of them, where they are dealt by one.
pub(crate) fn own_rows(
    deal: &RowDeal,
    split: usize,
    file: &str,
    rows: Range<u64>,
    values: &[Option<Vec<u8>>],
) -> Vec<Range<u64>> {
    let mut own: Vec<Range<u64>> = Vec::new();
    for (idx, row) in rows.enumerate() {
        let value = values.get(idx).and_then(Option::as_deref);
        if split_of(deal, value, file, row) != split {
            continue;
        }
        match own.last_mut().filter(|it| it.end == row) {
            Some(last) => last.end += 1,
            None => own.push(row..row + 1),
        }
    }
    own
}

/// What rows are dealt by in a column: text and bytes as they are, everything else as JSON; `None` for a null.
pub(crate) fn key_of_value(array: &ArrayRef, row: usize) -> Option<Vec<u8>> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Binary => Some(array.as_binary::<i32>().value(row).to_vec()),
        DataType::Float16 => Some(array.as_primitive::<Float16Type>().value(row).to_string().into_bytes()),
        _ => cell_text(array, row).map(String::into_bytes),
    }
}
