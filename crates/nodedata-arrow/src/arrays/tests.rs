use arrow_array::{
    Float32Array, Int16Array, StringArray,
    builder::{Float32Builder, ListBuilder},
};
use nodedata_core::{DType, Dim, Storage};

use arrow_array::types::{Float32Type, Float64Type, Int64Type};

use super::*;

fn lists(rows: &[Option<&[f32]>]) -> ArrayRef {
    let mut builder = ListBuilder::new(Float32Builder::new());
    for row in rows {
        match row {
            Some(values) => {
                builder.values().append_slice(values);
                builder.append(true);
            }
            None => builder.append(false),
        }
    }
    Arc::new(builder.finish())
}

#[test]
fn lists_of_equal_length_become_fixed_without_a_copy() {
    let feature = Feature::new("state", DType::Float32, vec![Dim::Fixed(2)]);
    let rows = lists(&[Some(&[9.0]), Some(&[1.0, 2.0]), Some(&[3.0, 4.0])]).slice(1, 2);
    let column = plain_column(&rows, &[], &feature).unwrap();
    assert_eq!(column.data_type(), &feature.arrow_type());
    let values = column.as_fixed_size_list().values().as_primitive::<Float32Type>().values().clone();
    assert_eq!(&*values, [1.0, 2.0, 3.0, 4.0]);
    let original = rows.as_list::<i32>().values().as_primitive::<Float32Type>().values().as_ptr();
    assert_eq!(values.as_ptr(), original.wrapping_add(1));
}

#[test]
fn a_value_of_another_length_is_named() {
    let feature = Feature::new("state", DType::Float32, vec![Dim::Fixed(2)]);
    let err = plain_column(&lists(&[Some(&[1.0, 2.0]), Some(&[3.0])]), &[], &feature).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Corrupt);
    assert_eq!(err.locus().to_string(), "step 1, feature `state`");
}

#[test]
fn nulls_keep_their_place_in_fixed_lists() {
    let feature = Feature::new("state", DType::Float32, vec![Dim::Fixed(2)]).nullable();
    let column = plain_column(&lists(&[Some(&[1.0, 2.0]), None, Some(&[3.0, 4.0])]), &[], &feature).unwrap();
    assert!(column.is_null(1));
    let last = column.as_fixed_size_list().value(2);
    assert_eq!(last.as_primitive::<Float32Type>().values().as_ref(), [3.0, 4.0]);
    let never = Feature { nullable: false, ..feature };
    let err = plain_column(&lists(&[None]), &[], &never).unwrap_err();
    assert_eq!(err.locus().step_idx, Some(0));
}

#[test]
fn numbers_are_widened_and_members_taken_out() {
    let feature = Feature::new("s.n", DType::Int64, Vec::new()).nullable();
    let numbers: ArrayRef = Arc::new(Int16Array::from(vec![Some(-3), None]));
    let field = Arc::new(Field::new("n", DataType::Int16, true));
    let nested: ArrayRef = Arc::new(StructArray::from(vec![(field, numbers)]));
    let column = plain_column(&nested, &["n".to_owned()], &feature).unwrap();
    assert_eq!(column.as_primitive::<Int64Type>().value(0), -3);
    assert!(column.is_null(1));
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![0.5]));
    let wide = Feature::new("f", DType::Float64, Vec::new());
    assert_eq!(plain_column(&floats, &[], &wide).unwrap().as_primitive::<Float64Type>().value(0), 0.5);
}

#[test]
fn media_come_in_any_order_and_from_files() {
    let mut feature = Feature::new("front", DType::UInt8, Vec::new());
    feature.storage = Storage::EncodedMedia;
    let bytes: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"inside"), None, None]));
    let path: ArrayRef = Arc::new(StringArray::from(vec![None, Some("a.png"), None]));
    let column: ArrayRef = Arc::new(StructArray::from(vec![
        (Arc::new(Field::new("path", DataType::Utf8, true)), path),
        (Arc::new(Field::new("bytes", DataType::Binary, true)), bytes),
    ]));
    let load = |name: &str| Ok(Some((Bytes::from(format!("file {name}")), Some(name.to_owned()))));
    let column = media_column(&column, &[], &feature, &load).unwrap();
    assert_eq!(column.data_type(), &feature.arrow_type());
    let bytes = column.as_struct().column(0).as_binary::<i32>();
    assert_eq!((bytes.value(0), bytes.value(1)), (b"inside".as_slice(), b"file a.png".as_slice()));
    assert!(column.is_null(2));
}

#[test]
fn media_in_lists_keep_their_places() {
    let lists = vec![Dim::Variable];
    let feature = Feature::new("views", DType::UInt8, Vec::new()).in_lists(lists).nullable();
    let feature = Feature { storage: Storage::EncodedMedia, ..feature };
    let bytes: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"one"), None, Some(b"two"), None]));
    let path: ArrayRef = Arc::new(StringArray::from(vec![None, None, Some("kept.png"), Some("b.png")]));
    let items = StructArray::from(vec![
        (Arc::new(Field::new("path", DataType::Utf8, true)), path),
        (Arc::new(Field::new("bytes", DataType::Binary, true)), bytes),
    ]);
    let item = Arc::new(Field::new("item", items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([1, 0, 2, 0, 1]);
    let nulls = NullBuffer::from(vec![true, true, true, false, true]);
    let rows: ArrayRef = Arc::new(ListArray::new(item, offsets, Arc::new(items), Some(nulls)));
    let load = |name: &str| Ok(Some((Bytes::from(format!("file {name}")), Some(name.to_owned()))));
    let column = media_column(&rows.slice(1, 4), &[], &feature, &load).unwrap();
    assert_eq!(column.data_type(), &feature.arrow_type());
    let lists = column.as_list::<i32>();
    assert_eq!((lists.value(0).len(), lists.is_null(2)), (0, true));
    let second = lists.value(1);
    assert!(second.is_null(0));
    let last = lists.value(3);
    let frame = |of: &ArrayRef, idx| of.as_struct().column(0).as_binary::<i32>().value(idx).to_vec();
    assert_eq!((frame(&second, 1), frame(&last, 0)), (b"two".to_vec(), b"file b.png".to_vec()));
    let missing = |_: &str| Err(Error::new(ErrorKind::Corrupt, "not there"));
    let err = media_column(&rows.slice(1, 4), &[], &feature, &missing).unwrap_err();
    assert_eq!(err.locus().step_idx, Some(3));
}

#[test]
fn a_time_that_is_too_far_away_is_named_by_its_row() {
    use arrow_array::TimestampSecondArray;
    let times: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(1), None, Some(-2), Some(i64::MAX)]));
    let item = Arc::new(Field::new("item", times.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([0, 2, 0, 2]);
    let rows: ArrayRef = Arc::new(ListArray::new(item, offsets, times, None));
    let feature = Feature::new("t", DType::Int64, vec![Dim::Variable]).nullable();
    let err = plain_column(&rows, &[], &feature).unwrap_err();
    assert_eq!(
        (err.kind(), err.locus().to_string().as_str()),
        (ErrorKind::Unsupported, "step 3, feature `t`")
    );
    let column = plain_column(&rows.slice(0, 3), &[], &feature).unwrap();
    let second = column.as_list::<i32>().value(1);
    assert_eq!((second.as_primitive::<Int64Type>().value(0), second.is_null(1)), (1_000_000_000, true));
}

#[test]
fn other_forms_of_lists_and_values_are_the_plain_ones() {
    use arrow_array::{
        DictionaryArray, LargeListArray, LargeStringArray, ListViewArray, RunArray, StringViewArray,
        types::Int32Type,
    };
    let texts = |column: &ArrayRef| {
        column.as_string::<i32>().iter().map(|it| it.map(str::to_owned)).collect::<Vec<_>>()
    };
    let expected = [Some("a".to_owned()), None, Some("b".to_owned()), Some("a".to_owned())];
    let keys = arrow_array::Int32Array::from(vec![Some(0), None, Some(1), Some(0)]);
    let words = || Arc::new(LargeStringArray::from(vec!["a", "b"]));
    let run_ends = arrow_array::Int32Array::from(vec![1, 2, 3, 4]);
    let runs = StringArray::from(vec![Some("a"), None, Some("b"), Some("a")]);
    let feature = Feature::new("w", DType::String, Vec::new()).nullable();
    let forms: Vec<ArrayRef> = vec![
        Arc::new(DictionaryArray::<Int32Type>::new(keys, words())),
        Arc::new(RunArray::<Int32Type>::try_new(&run_ends, &runs).unwrap()),
        Arc::new(StringViewArray::from(vec![Some("a"), None, Some("b"), Some("a")])),
        Arc::new(LargeStringArray::from(vec![Some("x"), Some("a"), None, Some("b"), Some("a")]).slice(1, 4)),
    ];
    for form in forms {
        let column = plain_column(&form, &[], &feature).unwrap();
        assert_eq!(texts(&column), expected, "{:?}", form.data_type());
        assert_eq!(texts(&plain_column(&form.slice(1, 2), &[], &feature).unwrap()), expected[1..3]);
    }
    // Views may lie in any order and show the same items.
    let item = || Arc::new(Field::new("item", DataType::Int16, false));
    let values: ArrayRef = Arc::new(Int16Array::from(vec![1, 2, 3]));
    let views =
        ListViewArray::new(item(), vec![1, 0, 1].into(), vec![2, 1, 1].into(), Arc::clone(&values), None);
    let large = LargeListArray::new(item(), OffsetBuffer::new(vec![0i64, 2, 3].into()), values, None);
    let feature = Feature::new("l", DType::Int16, vec![Dim::Variable]);
    let lists = |array: ArrayRef| {
        let column = plain_column(&array, &[], &feature).unwrap();
        let lists = column.as_list::<i32>().iter().flatten();
        lists
            .map(|it| it.as_primitive::<arrow_array::types::Int16Type>().values().to_vec())
            .collect::<Vec<_>>()
    };
    assert_eq!(lists(Arc::new(views)), [vec![2, 3], vec![1], vec![2]]);
    assert_eq!(lists(Arc::new(large.slice(1, 1))), [vec![3]]);
}

#[test]
fn large_types_and_null_structs_are_media_like_others() {
    use arrow_array::{LargeBinaryArray, StringViewArray};
    let feature =
        Feature { storage: Storage::EncodedMedia, ..Feature::new("i", DType::UInt8, Vec::new()).nullable() };
    let bytes: ArrayRef = Arc::new(LargeBinaryArray::from_opt_vec(vec![Some(b"one"), Some(b"hidden"), None]));
    let path: ArrayRef = Arc::new(StringViewArray::from(vec![None, Some("hidden"), None]));
    let fields =
        vec![Field::new("path", DataType::Utf8View, true), Field::new("bytes", DataType::LargeBinary, true)];
    let nulls = Some(NullBuffer::from(vec![true, false, true]));
    let column: ArrayRef = Arc::new(StructArray::new(fields.into(), vec![path, bytes], nulls));
    let never = |_: &str| Err(Error::new(ErrorKind::Corrupt, "nothing is to be loaded"));
    let column = media_column(&column, &[], &feature, &never).unwrap();
    assert_eq!(column.data_type(), &feature.arrow_type());
    assert_eq!([0, 1, 2].map(|it| column.is_null(it)), [false, true, true]);
    assert_eq!(column.as_struct().column(0).as_binary::<i32>().value(0), b"one");
}

/// Of members of structs, of lists of them, and where a column has nothing but names.
#[test]
fn media_lie_below_members_and_text_may_name_them() {
    let feature = Feature {
        storage: Storage::EncodedMedia,
        nullable: true,
        ..Feature::new("turns.image", DType::UInt8, Vec::new())
    };
    let DataType::Struct(fields) = feature.arrow_type() else { panic!("a medium is a struct") };
    let bytes: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"inside"), None, None]));
    let path: ArrayRef = Arc::new(StringArray::from(vec![Some("kept.png"), Some("a.png"), None]));
    let image: ArrayRef = Arc::new(StructArray::new(fields, vec![bytes, Arc::clone(&path)], None));
    let outer: ArrayRef = Arc::new(StructArray::from(vec![(
        Arc::new(Field::new("image", image.data_type().clone(), true)),
        Arc::clone(&image),
    )]));
    let load = |name: &str| match name {
        "lost.png" => Ok(None),
        name => Ok(Some((Bytes::from(format!("file {name}")), (name != "data").then(|| name.to_owned())))),
    };
    let members = ["image".to_owned()];
    let column = media_column(&outer, &members, &feature, &load).unwrap();
    let told = |column: &ArrayRef| -> Vec<Option<(String, Option<String>)>> {
        let media = column.as_struct();
        let (bytes, path) = (media.column(0).as_binary::<i32>(), media.column(1).as_string::<i32>());
        let one = |row: usize| {
            let bytes = String::from_utf8(bytes.value(row).to_vec()).unwrap();
            media.is_valid(row).then(|| (bytes, path.is_valid(row).then(|| path.value(row).to_owned())))
        };
        (0..media.len()).map(one).collect()
    };
    let of = |bytes: &str, path: Option<&str>| Some((bytes.to_owned(), path.map(str::to_owned)));
    assert_eq!(told(&column), [of("inside", Some("kept.png")), of("file a.png", Some("a.png")), None]);

    let names: ArrayRef =
        Arc::new(StringArray::from(vec![Some("b.png"), None, Some("data"), Some("lost.png")]));
    let column = media_column(&names, &[], &feature, &load).unwrap();
    assert_eq!(told(&column), [of("file b.png", Some("b.png")), None, of("file data", None), None]);
}
