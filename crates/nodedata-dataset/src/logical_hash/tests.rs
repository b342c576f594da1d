use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, FixedSizeListArray, Float32Array, Int32Array,
    LargeListArray, LargeStringArray, ListArray, StringArray, StringViewArray, StructArray, types::*,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::Field;
use proptest::prelude::*;

use nodedata_core::Storage;

use super::*;

fn hash(feature: &Feature, batches: &[ArrayRef]) -> [u8; 32] {
    let mut hasher = FieldHasher::new(feature);
    batches.iter().for_each(|it| hasher.update(it));
    hasher.finish()
}

fn hex(hash: [u8; 32]) -> String {
    hash.iter().map(|it| format!("{it:02x}")).collect()
}

/// Cuts an array at the places given.
fn cut(array: &dyn Array, cuts: &[usize]) -> Vec<ArrayRef> {
    let mut cuts: Vec<usize> = cuts.iter().map(|it| it % (array.len() + 1)).collect();
    cuts.extend([0, array.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|it| array.slice(it[0], it[1] - it[0])).collect()
}

type Row = Option<Vec<Option<f32>>>;

fn lists_feature() -> Feature {
    Feature::new("x.y", DType::Float32, vec![Dim::Variable]).nullable()
}

/// The record as the module's documentation describes it, written without regard to speed.
fn by_the_book(name: &str, rows: &[Row]) -> [u8; 32] {
    let number = |it: usize| (it as u64).to_le_bytes();
    let positions = |nulls: Vec<bool>| {
        let all: Vec<u8> =
            nulls.iter().enumerate().filter(|(_, it)| **it).flat_map(|(idx, _)| number(idx)).collect();
        let n_nulls = nulls.iter().filter(|it| **it).count();
        [&number(nulls.len())[..], &number(n_nulls), blake3::hash(&all).as_bytes()].concat()
    };
    let items: Vec<Option<f32>> = rows.iter().flatten().flatten().copied().collect();
    let values: Vec<f32> = items.iter().flatten().copied().collect();
    let mut record = Vec::new();
    record.extend(number(name.len()));
    record.extend(name.bytes());
    record.extend(number(6));
    record.extend(b"f32[?]");
    record.extend(positions(rows.iter().map(Option::is_none).collect()));
    record.extend(positions(items.iter().map(Option::is_none).collect()));
    let lengths: Vec<u8> = rows.iter().flatten().flat_map(|it| number(it.len())).collect();
    record.extend(blake3::hash(&lengths).as_bytes());
    record.extend(number(values.len()));
    let bytes: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
    record.extend(blake3::hash(&bytes).as_bytes());
    blake3::derive_key("nodedata logical v1", &record)
}

/// The same rows with values hidden below null lists and null items.
fn with_hidden_values(rows: &[Row], hidden: usize) -> ListArray {
    let mut offsets = vec![0i32];
    let mut items: Vec<f32> = Vec::new();
    let mut valid = Vec::new();
    for row in rows {
        match row {
            Some(row) => row.iter().for_each(|it| {
                items.push(it.unwrap_or(77.0));
                valid.push(it.is_some());
            }),
            None => {
                items.extend(vec![99.0; hidden]);
                valid.extend(vec![true; hidden]);
            }
        }
        offsets.push(i32::try_from(items.len()).unwrap());
    }
    let values = Float32Array::new(items.into(), Some(valid.into()));
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect::<Vec<bool>>().into();
    let field = Arc::new(Field::new("element", DataType::Float32, true));
    ListArray::new(field, OffsetBuffer::new(offsets.into()), Arc::new(values), Some(nulls))
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let item = prop_oneof![4 => any::<f32>().prop_map(Some), 1 => Just(None)];
    let row = prop_oneof![5 => proptest::collection::vec(item, 0..6).prop_map(Some), 1 => Just(None)];
    proptest::collection::vec(row, 0..40)
}

proptest! {
    #[test]
    fn lists_hash_by_the_book_however_they_come(
        rows in rows(),
        cuts in proptest::collection::vec(0usize..100, 0..6),
        hidden in 0usize..3,
    ) {
        let expected = hex(by_the_book("x.y", &rows));
        let feature = lists_feature();
        let small = ListArray::from_iter_primitive::<Float32Type, _, _>(rows.clone());
        let large = LargeListArray::from_iter_primitive::<Float32Type, _, _>(rows.clone());
        for array in [&small as &dyn Array, &large, &with_hidden_values(&rows, hidden)] {
            prop_assert_eq!(&hex(hash(&feature, &cut(array, &cuts))), &expected);
        }
        // One bit more or less is another hash.
        let mut others = rows;
        others.push(None);
        prop_assert_ne!(hex(by_the_book("x.y", &others)), expected);
    }

    #[test]
    fn text_hashes_alike_in_every_encoding(
        rows in proptest::collection::vec(proptest::option::of("[a-c]{0,2}"), 0..60),
        cuts in proptest::collection::vec(0usize..100, 0..6),
    ) {
        let feature = Feature::new("task", DType::String, vec![]).nullable();
        let plain = StringArray::from_iter(rows.iter().map(Option::as_deref));
        let expected = hash(&feature, &[Arc::new(plain.clone())]);
        let dictionary: DictionaryArray<Int32Type> = rows.iter().map(Option::as_deref).collect();
        let narrow: DictionaryArray<UInt8Type> = rows.iter().map(Option::as_deref).collect();
        let large = LargeStringArray::from_iter(rows.iter().map(Option::as_deref));
        let view = StringViewArray::from_iter(rows.iter().map(Option::as_deref));
        for array in [&plain as &dyn Array, &dictionary, &narrow, &large, &view] {
            prop_assert_eq!(hash(&feature, &cut(array, &cuts)), expected);
        }
    }

    #[test]
    fn fixed_sizes_bools_and_numbers_survive_any_cut(
        rows in proptest::collection::vec(proptest::option::of(any::<[i32; 3]>()), 0..50),
        cuts in proptest::collection::vec(0usize..100, 0..6),
    ) {
        let feature = Feature::new("v", DType::Int32, vec![Dim::Fixed(3)]).nullable();
        let array = |hidden: i32| {
            let values: Vec<i32> = rows.iter().flat_map(|it| it.unwrap_or([hidden; 3])).collect();
            let nulls: NullBuffer = rows.iter().map(Option::is_some).collect::<Vec<bool>>().into();
            let field = Arc::new(Field::new("element", DataType::Int32, false));
            FixedSizeListArray::new(field, 3, Arc::new(Int32Array::from(values)), Some(nulls))
        };
        prop_assert_eq!(hash(&feature, &cut(&array(0), &cuts)), hash(&feature, &[Arc::new(array(5))]));
        let flags: BooleanArray = rows.iter().map(|it| it.map(|it| it[0] > 0)).collect();
        let feature = Feature::new("b", DType::Bool, vec![]).nullable();
        prop_assert_eq!(hash(&feature, &cut(&flags, &cuts)), hash(&feature, &[Arc::new(flags)]));
        let numbers: Int32Array = rows.iter().map(|it| it.map(|it| it[0])).collect();
        let feature = Feature::new("n", DType::Int32, vec![]).nullable();
        prop_assert_eq!(hash(&feature, &cut(&numbers, &cuts)), hash(&feature, &[Arc::new(numbers)]));
    }
}

/// Rows that look alike but are not: each must have a hash of its own.
#[test]
fn different_rows_have_different_hashes() {
    let feature = lists_feature();
    let rows: [&[Row]; 8] = [
        &[],
        &[None],
        &[Some(vec![])],
        &[Some(vec![None])],
        &[Some(vec![Some(0.0)])],
        &[Some(vec![Some(-0.0)])],
        &[Some(vec![Some(1.0)]), Some(vec![Some(2.0)])],
        &[Some(vec![Some(1.0), Some(2.0)]), Some(vec![])],
    ];
    let mut hashes: Vec<[u8; 32]> = rows
        .iter()
        .map(|it| {
            hash(&feature, &[Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(it.to_vec()))])
        })
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), rows.len());
    let text = |rows: &[&str]| {
        hash(&Feature::new("t", DType::String, vec![]), &[Arc::new(StringArray::from(rows.to_vec()))])
    };
    assert_ne!(text(&["ab", "c"]), text(&["a", "bc"]));
    let named = |name: &str| hash(&Feature::new(name, DType::String, vec![]), &[]);
    assert_ne!(named("a"), named("b"));
}

#[test]
fn media_hash_as_their_encoded_bytes() {
    let bytes = BinaryArray::from_vec(vec![b"jpeg one", b"two"]);
    let mut raw = Feature::new("rgb", DType::UInt8, vec![Dim::Fixed(2), Dim::Variable]);
    raw.storage = Storage::RawMedia;
    let mut encoded = Feature::new("rgb", DType::Bytes, vec![]);
    encoded.storage = Storage::EncodedMedia;
    let DataType::Struct(fields) = encoded.arrow_type() else { panic!() };
    let path = arrow_array::new_null_array(&DataType::Utf8, 2);
    let media = StructArray::new(fields, vec![Arc::new(bytes.clone()), path], None);
    assert_eq!(hash(&encoded, &[Arc::new(media)]), hash(&raw, &[Arc::new(bytes)]));
}

/// Lists of media hash as lists of the bytes of each, whatever they are stored as; a stack of a fixed size is another
/// type than a list that happens to have it.
#[test]
fn media_in_lists_hash_as_lists_of_bytes() {
    let rows = [vec![Some(&b"jpeg one"[..]), None], vec![], vec![Some(b"two")]];
    let bytes = BinaryArray::from_iter(rows.iter().flatten().copied());
    let offsets = OffsetBuffer::<i32>::from_lengths(rows.iter().map(Vec::len));
    let feature = |storage, lists: &[Dim]| {
        let feature = Feature::new("rgb", DType::UInt8, vec![]).in_lists(lists.to_vec()).nullable();
        Feature { storage, ..feature }
    };
    let list = |values: ArrayRef, feature: &Feature| -> ArrayRef {
        let DataType::List(item) = feature.arrow_type() else { panic!() };
        Arc::new(ListArray::new(item, offsets.clone(), values, None))
    };
    let media = |nulls: Option<NullBuffer>| -> ArrayRef {
        let DataType::Struct(fields) = feature(Storage::EncodedMedia, &[]).arrow_type() else { panic!() };
        let path = arrow_array::new_null_array(&DataType::Utf8, bytes.len());
        Arc::new(StructArray::new(fields, vec![Arc::new(bytes.clone()), path], nulls))
    };
    let raw = feature(Storage::RawMedia, &[Dim::Variable]);
    let encoded = feature(Storage::EncodedMedia, &[Dim::Variable]);
    let plain = Feature::new("rgb", DType::Bytes, vec![Dim::Variable]).nullable();
    let expected = hash(&raw, &[list(Arc::new(bytes.clone()), &raw)]);
    let encoded_rows = list(media(bytes.nulls().cloned()), &encoded);
    assert_eq!(hash(&encoded, &cut(&encoded_rows, &[1, 2])), expected);
    // A frame without bytes is absent, whether or not its struct is.
    assert_eq!(hash(&encoded, &[list(media(None), &encoded)]), expected);
    assert_eq!(hash(&plain, &[list(Arc::new(bytes.clone()), &plain)]), expected);
    let stack = feature(Storage::EncodedMedia, &[Dim::Fixed(3)]);
    let DataType::FixedSizeList(item, n) = stack.arrow_type() else { panic!() };
    let stacks: ArrayRef = Arc::new(FixedSizeListArray::new(item, n, media(None), None));
    let DataType::List(item) = encoded.arrow_type() else { panic!() };
    let list = ListArray::new(item, OffsetBuffer::from_lengths([3]), media(None), None);
    assert_ne!(hash(&stack, &[stacks]), hash(&encoded, &[Arc::new(list)]));
}

#[test]
fn a_column_of_another_type_matches_nothing() {
    let feature = Feature::new("n", DType::Float32, vec![]);
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![0.0]));
    let integers: ArrayRef = Arc::new(Int32Array::from(vec![0]));
    let mut all = vec![hash(&feature, &[]), hash(&feature, std::slice::from_ref(&floats))];
    all.extend([hash(&feature, std::slice::from_ref(&integers)), hash(&feature, &[floats, integers])]);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4);
}

#[test]
fn long_values_bypass_the_stage() {
    let feature = Feature::new("rgb", DType::Bytes, vec![]);
    let long = vec![7u8; STAGE_BYTES + 1];
    let mut values = Vec::new();
    for value in [&b"a"[..], &long, b"b"] {
        values.extend((value.len() as u64).to_le_bytes());
        values.extend(value);
    }
    let mut hasher = FieldHasher::new(&feature);
    hasher.update(&BinaryArray::from_vec(vec![b"a", &long, b"b"]));
    assert_eq!(hasher.values.finalize(), blake3::hash(&values));
}

#[test]
fn values_are_hashed_wherever_stages_end() {
    let feature = Feature::new("rgb", DType::Bytes, vec![]);
    let around =
        [0, 1, STAGE_BYTES - 9, STAGE_BYTES - 8, STAGE_BYTES - 7, 2 * STAGE_BYTES - 16, 3 * STAGE_BYTES + 5];
    let mut values = Vec::new();
    let mut hasher = FieldHasher::new(&feature);
    // A batch of its own for each length, so that stages start anywhere, too.
    for n_bytes in around.into_iter().chain(around.into_iter().rev()) {
        let batch: Vec<Vec<u8>> = (0..3).map(|it| vec![it + n_bytes as u8; n_bytes]).collect();
        for value in &batch {
            values.extend((value.len() as u64).to_le_bytes());
            values.extend(value);
        }
        hasher.update(&BinaryArray::from_iter_values(&batch));
    }
    assert_eq!(hasher.values.finalize(), blake3::hash(&values));
}

/// Frozen: these hashes stand in published manifests. Only a new version of the hash may change them.
#[test]
fn frozen_vectors() {
    let joints = Feature::new("joints", DType::Float64, vec![Dim::Fixed(2)]);
    let field = Arc::new(Field::new("element", DataType::Float64, false));
    let values = arrow_array::Float64Array::from(vec![0.0, 1.5, -2.0, 1e300]);
    let joints = hash(&joints, &[Arc::new(FixedSizeListArray::new(field, 2, Arc::new(values), None))]);
    let task = Feature::new("task", DType::String, vec![]).nullable();
    let task = hash(&task, &[Arc::new(StringArray::from(vec![Some("pick"), None, Some("place ü")]))]);
    let rows = vec![Some(vec![Some(1.0), None]), None, Some(vec![])];
    let ragged =
        hash(&lists_feature(), &[Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))]);
    let mut images = Feature::new("images", DType::UInt8, vec![]).in_lists(vec![Dim::Variable]);
    images.storage = Storage::RawMedia;
    let DataType::List(item) = images.arrow_type() else { panic!() };
    let frames = Arc::new(BinaryArray::from_vec(vec![b"one", b"two", b""]));
    let frames = ListArray::new(item, OffsetBuffer::from_lengths([2, 0, 1]), frames, None);
    let images = hash(&images, &[Arc::new(frames)]);
    let episode = episode_hash(&[("task", task), ("joints", joints), ("x.y", ragged)]);
    assert_eq!(episode, episode_hash(&[("joints", joints), ("task", task), ("x.y", ragged)]));
    expect_test::expect![[r#"
        joints ad2accf05d35e1a3c34d0f4a06e1d0d56764074030dadb0dd8fa78c5c60f78d0
        task b40d477718faf18cd08f584b3a253361d3c4a4c34e589bbee4191cd8da7ad8d3
        x.y e45d6c3944da4dc38a9497d29aec43d82a43304b1937b55380a4bcbfc787808c
        images 07fc99697c60f8a698e345827dfb7d06ea819f0cf2a089a155a3233478b299c6
        episode 6ecec4d07180904b40f69d9adaa2161efb3eaaa767f2927da32c93fb25c994c4
    "#]]
    .assert_eq(&format!(
        "joints {}\ntask {}\nx.y {}\nimages {}\nepisode {}\n",
        hex(joints),
        hex(task),
        hex(ragged),
        hex(images),
        hex(episode)
    ));
}
