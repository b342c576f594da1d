use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, ListArray, StringArray, StructArray, cast::AsArray as _};
use arrow_schema::DataType;

/// The names that media of one column are kept under: those that are there, in order.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<Option<String>>);

impl Names {
    pub(crate) fn push(&mut self, name: Option<String>) {
        self.0.push(name);
    }

    /// Puts the names into the column of a batch, which has all media since it was last done.
    pub(crate) fn put_into(&mut self, column: &ArrayRef) -> ArrayRef {
        let mut names = std::mem::take(&mut self.0).into_iter();
        with_names(column, &mut names)
    }
}

fn with_names(column: &ArrayRef, names: &mut impl Iterator<Item = Option<String>>) -> ArrayRef {
    match column.data_type() {
        DataType::List(item) => {
            let list = column.as_list::<i32>();
            let values = with_names(list.values(), names);
            Arc::new(ListArray::new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned()))
        }
        DataType::Struct(fields) => {
            let media = column.as_struct();
            let name = |idx: usize| if media.is_valid(idx) { names.next().flatten() } else { None };
            let paths: StringArray = (0..media.len()).map(name).collect();
            let columns = vec![Arc::clone(media.column(0)), Arc::new(paths) as ArrayRef];
            Arc::new(StructArray::new(fields.clone(), columns, media.nulls().cloned()))
        }
        _ => Arc::clone(column),
    }
}
