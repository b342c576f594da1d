use std::{fmt::Write as _, ops::Range};

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

/// What the rows of a file are dealt by where no field tells: one text, into which each row's number is written.
pub(crate) struct Places {
    text: String,
    n_prefix: usize,
}

impl Places {
    pub(crate) fn of(file: &str) -> Self {
        let text = format!("{file}#");
        Self { n_prefix: text.len(), text }
    }

    fn key(&mut self, row: u64) -> &[u8] {
        self.text.truncate(self.n_prefix);
        // Writing to a text cannot fail.
        write!(self.text, "{row}").unwrap_or_default();
        self.text.as_bytes()
    }
}

/// Position of the split that a row is dealt to: by the value of a field, or by its file and number. Rows that are added behind it
/// do not move it.
pub(crate) fn split_of(deal: &RowDeal, value: Option<&[u8]>, places: &mut Places, row: u64) -> usize {
    match value {
        Some(value) => deal.split_of(value),
        None => deal.split_of(places.key(row)),
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
    let mut places = Places::of(file);
    for (idx, row) in rows.enumerate() {
        let value = values.get(idx).and_then(Option::as_deref);
        if split_of(deal, value, &mut places, row) != split {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_dealt_by_their_file_and_number() {
        let fractions = vec![("a".to_owned(), 0.5), ("b".to_owned(), 0.5)];
        let deal = RowDeal { fractions, key: RowKey::Row };
        // From longer numbers to shorter ones, too.
        let mut places = Places::of("x.csv");
        for row in (95..105).rev().chain([7, 1000, 8]) {
            let expected = deal.split_of(format!("x.csv#{row}").as_bytes());
            assert_eq!(split_of(&deal, None, &mut places, row), expected, "row {row}");
        }
        let of = |split| own_rows(&deal, split, "x.csv", 0..200, &[]).into_iter().flatten();
        let (first, second): (Vec<u64>, Vec<u64>) = (of(0).collect(), of(1).collect());
        assert!(first.iter().all(|row| deal.split_of(format!("x.csv#{row}").as_bytes()) == 0));
        assert!(second.iter().all(|row| deal.split_of(format!("x.csv#{row}").as_bytes()) == 1));
        assert_eq!(first.len() + second.len(), 200);
    }
}
