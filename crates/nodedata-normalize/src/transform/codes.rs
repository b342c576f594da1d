use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, StringArray,
    cast::AsArray,
    types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type},
};
use arrow_buffer::{Buffer, OffsetBuffer};
use nodedata_core::{DType, Nested, NestedDim};

use crate::cast::Misfit;

/// The text of each row of a column of vectors of whole numbers: its UTF-8 bytes are those that are not 0.
///
/// # Errors
/// The first row that is no such text.
pub(super) fn texts(column: &ArrayRef) -> Result<ArrayRef, Misfit> {
    let nested = Nested::of(column.as_ref());
    macro_rules! of {
        ($of:ty) => {{
            let values = nested.values.as_primitive::<$of>();
            collect(column, &nested, |idx| i128::from(values.value(idx)))
        }};
    }
    match DType::from_arrow(nested.values.data_type()) {
        Some(DType::Int8) => of!(Int8Type),
        Some(DType::Int16) => of!(Int16Type),
        Some(DType::Int32) => of!(Int32Type),
        Some(DType::Int64) => of!(Int64Type),
        Some(DType::UInt8) => of!(UInt8Type),
        Some(DType::UInt16) => of!(UInt16Type),
        Some(DType::UInt32) => of!(UInt32Type),
        Some(DType::UInt64) => of!(UInt64Type),
        Some(
            DType::Bool | DType::Float16 | DType::Float32 | DType::Float64 | DType::String | DType::Bytes,
        )
        | None => Err(Misfit { idx: 0, message: format!("{} holds no codes of text", column.data_type()) }),
    }
}

fn collect(column: &ArrayRef, nested: &Nested, code: impl Fn(usize) -> i128) -> Result<ArrayRef, Misfit> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut lengths = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        let start = bytes.len();
        let items = match nested.dims.first() {
            Some(NestedDim::Fixed(n)) => row * n..(row + 1) * n,
            Some(NestedDim::List(offsets)) => offsets.range(row),
            None => row..row + 1,
        };
        for idx in items.filter(|_| column.is_valid(row)) {
            if nested.values.is_null(idx) {
                return Err(Misfit { idx: row, message: "a code is null".to_owned() });
            }
            match code(idx) {
                0 => {}
                code => bytes.push(u8::try_from(code).map_err(|_| Misfit {
                    idx: row,
                    message: format!("the code {code} is no byte, so it is no part of UTF-8 text"),
                })?),
            }
        }
        if let Err(err) = std::str::from_utf8(&bytes[start..]) {
            let message = format!("the codes are no UTF-8 text: {err}");
            return Err(Misfit { idx: row, message });
        }
        lengths.push(bytes.len() - start);
    }
    let too_long = |_| Misfit { idx: 0, message: "the texts of one batch are longer than 2 GiB".to_owned() };
    i32::try_from(bytes.len()).map_err(too_long)?;
    let texts = StringArray::try_new(
        OffsetBuffer::from_lengths(lengths),
        Buffer::from_vec(bytes),
        column.nulls().cloned(),
    );
    Ok(Arc::new(texts.map_err(|err| Misfit { idx: 0, message: err.to_string() })?))
}

#[cfg(test)]
mod tests {
    use arrow_array::{FixedSizeListArray, ListArray};

    use super::*;

    fn list(rows: Vec<Option<Vec<Option<i32>>>>) -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows))
    }

    #[test]
    fn zeros_are_filling_and_a_null_row_is_null() {
        let row = |text: &str, n: usize| {
            let codes = text.bytes().map(i32::from).chain(std::iter::repeat(0)).take(n);
            Some(codes.map(Some).collect::<Vec<_>>())
        };
        let rows = vec![row("push", 6), None, row("blå", 6), row("", 6)];
        let expected: ArrayRef = Arc::new(StringArray::from(vec![Some("push"), None, Some("blå"), Some("")]));
        assert_eq!(&texts(&list(rows.clone())).unwrap(), &expected);
        let fixed: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(rows, 6));
        assert_eq!(&texts(&fixed).unwrap(), &expected);
        assert_eq!(&texts(&fixed.slice(2, 2)).unwrap(), &expected.slice(2, 2));
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_row() {
        let refused =
            |codes: Vec<Option<i32>>| texts(&list(vec![Some(vec![Some(104)]), Some(codes)])).unwrap_err();
        for (codes, told) in [
            (vec![Some(256)], "the code 256 is no byte"),
            (vec![Some(-1)], "the code -1 is no byte"),
            (vec![Some(0xff)], "no UTF-8 text"),
            (vec![Some(104), None], "a code is null"),
        ] {
            let misfit = refused(codes);
            assert_eq!(misfit.idx, 1);
            assert!(misfit.message.contains(told), "{}", misfit.message);
        }
    }
}
