use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float32Array,
    Int64Array, LargeStringArray, ListArray, NullArray, StringArray, StructArray,
    builder::{FixedSizeListBuilder, Int32Builder, ListBuilder, UInt8Builder},
    make_array,
    types::Int8Type,
};
use arrow_schema::{Field, Fields};
use proptest::prelude::*;

use super::*;

/// Every kind of column that a feature has, of so many rows.
fn columns(values: &[Option<i32>]) -> Vec<ArrayRef> {
    let text = || values.iter().map(|it| it.map(|it| it.to_string()));
    let mut list = ListBuilder::new(Int32Builder::new());
    let mut fixed = FixedSizeListBuilder::new(UInt8Builder::new(), 3);
    let mut lists = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
    for value in values {
        let n = value.unwrap_or(0).rem_euclid(4);
        list.append_option(value.map(|it| (0..n).map(move |nth| (nth != 1).then_some(it ^ nth))));
        fixed.values().append_slice(&[n as u8, 7, 9]);
        fixed.append(value.is_some());
        for nth in 0..n {
            lists.values().append_value((0..nth).map(Some));
        }
        lists.append(n != 2);
    }
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter(text()));
    let path: ArrayRef = Arc::new(StringArray::from_iter(text()));
    let fields = [Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)];
    let nulls = NullBuffer::from_iter(values.iter().map(|it| it.is_some_and(|it| it % 3 != 0)));
    let media = StructArray::new(
        Fields::from(fields.to_vec()),
        vec![Arc::clone(&bytes), Arc::clone(&path)],
        Some(nulls),
    );
    let digests = values.iter().map(|it| it.map(i32::to_le_bytes));
    vec![
        Arc::new(Int64Array::from_iter(values.iter().map(|it| it.map(i64::from)))),
        Arc::new(Float32Array::from_iter_values(values.iter().map(|it| it.unwrap_or(3) as f32))),
        Arc::new(BooleanArray::from_iter(values.iter().map(|it| it.map(|it| it % 2 == 0)))),
        bytes,
        path,
        Arc::new(LargeStringArray::from_iter(text())),
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(digests, 4).unwrap()),
        Arc::new(list.finish()),
        Arc::new(fixed.finish()),
        Arc::new(lists.finish()),
        Arc::new(media),
        Arc::new(NullArray::new(values.len())),
    ]
}

fn size(array: &dyn Array) -> usize {
    array.to_data().get_slice_memory_size().unwrap()
}

proptest! {
    /// The values, and the size that row groups are cut by, also of slices of arrays.
    #[test]
    fn an_array_comes_back_as_large_as_it_was(
        values in prop::collection::vec(prop::option::weighted(0.8, any::<i32>()), 0..40),
        cut in any::<(usize, usize)>(),
    ) {
        let start = cut.0 % (values.len() + 1);
        let len = cut.1 % (values.len() - start + 1);
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for column in columns(&values) {
            for array in [column.slice(start, len), column] {
                put(&array.to_data(), &mut bytes).unwrap();
                expected.push(array);
            }
        }
        let mut left = bytes.as_slice();
        for array in &expected {
            let found = make_array(take(array.data_type(), &mut left).unwrap());
            prop_assert_eq!(&found, array);
            prop_assert_eq!(size(&found), size(array), "{}", array.data_type());
        }
        prop_assert!(left.is_empty());
    }

    /// Bytes that are cut short or changed give another array or none, and never a panic.
    #[test]
    fn damage_is_no_array(
        values in prop::collection::vec(prop::option::weighted(0.8, any::<i32>()), 1..8),
        (at, byte) in any::<(prop::sample::Index, u8)>(),
    ) {
        for column in columns(&values) {
            let mut bytes = Vec::new();
            put(&column.to_data(), &mut bytes).unwrap();
            prop_assert!(take(column.data_type(), &mut &bytes[..at.index(bytes.len())]).is_none());
            let at = at.index(bytes.len());
            bytes[at] = byte;
            drop(take(column.data_type(), &mut bytes.as_slice()));
        }
    }
}

#[test]
fn what_no_feature_has_is_not_put() {
    let dictionary: DictionaryArray<Int8Type> = ["a", "b", "a"].into_iter().collect();
    assert!(put(&dictionary.to_data(), &mut Vec::new()).is_none());
    let views = arrow_array::StringViewArray::from(vec!["a longer text than a view holds itself"]);
    assert!(put(&views.to_data(), &mut Vec::new()).is_none());
    let inside = ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>([Some([Some(1)])]);
    assert!(put(&inside.to_data(), &mut Vec::new()).is_some());
}
