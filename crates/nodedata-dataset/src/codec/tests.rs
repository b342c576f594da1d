//! What is compressed, and that nothing but the rows decides it.

use arrow_array::{
    Array, BinaryArray, Float64Array, Int64Array, ListArray, StringArray,
    builder::{FixedSizeListBuilder, Float32Builder},
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use nodedata_core::{Dim, Storage, meta};
use parquet::{
    basic::Compression,
    file::{
        reader::{FileReader, SerializedFileReader},
        writer::SerializedRowGroupWriter,
    },
};
use proptest::prelude::*;

use super::*;

/// A generator of noise that is the same everywhere.
fn noise(seed: u64, n_bytes: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..n_bytes).map(|_| next()).collect()
}

fn raw_media() -> Feature {
    let mut feature = Feature::new("pixels", DType::UInt8, Vec::new()).with_meta(meta::ENCODING, "raw");
    feature.storage = Storage::RawMedia;
    feature
}

/// A file of one column in one row group. `encode` appends the chunk.
fn file(feature: &Feature, encode: impl FnOnce(&mut SerializedRowGroupWriter<'_, Vec<u8>>)) -> Vec<u8> {
    let arrow = Schema::new(vec![feature.arrow_field()]);
    let columns = ArrowSchemaConverter::new().convert(&arrow).unwrap();
    let properties = properties::plain(feature, "tests", Access::Balanced);
    let mut file =
        SerializedFileWriter::new(Vec::new(), columns.root_schema_ptr(), Arc::new(properties)).unwrap();
    let mut group = file.next_row_group().unwrap();
    encode(&mut group);
    group.close().unwrap();
    file.into_inner().unwrap()
}

/// As the dataset's writer encodes the pieces.
fn ours(feature: &Feature, pieces: &[ArrayRef]) -> Vec<u8> {
    let mut writer =
        PlainWriter::new(Arc::new(PlainColumn::new(feature, "tests", Access::Balanced).unwrap())).unwrap();
    pieces.iter().for_each(|it| writer.write(it).unwrap());
    file(feature, |group| writer.close().unwrap().append_to_row_group(group).unwrap())
}

/// As the Parquet crate does with one codec; where it gets text row by row, it looks at the limits after each.
fn theirs(feature: &Feature, pieces: &[ArrayRef], compressed: bool) -> Vec<u8> {
    let column = PlainColumn::new(feature, "tests", Access::Balanced).unwrap();
    let factory = if compressed { &column.compressed } else { &column.stored };
    let rows = |it: &ArrayRef| (0..it.len()).map(|row| it.slice(row, 1)).collect::<Vec<_>>();
    let pieces = match feature.dtype {
        DType::String => pieces.iter().flat_map(rows).collect(),
        _ => pieces.to_vec(),
    };
    file(feature, |group| factory.encode(&pieces).unwrap().append_to_row_group(group).unwrap())
}

fn is_compressed(file: Vec<u8>) -> bool {
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    reader.metadata().row_group(0).column(0).compression() != Compression::UNCOMPRESSED
}

#[track_caller]
fn check(feature: &Feature, array: &ArrayRef, compressed: bool) {
    let found = ours(feature, std::slice::from_ref(array));
    assert_eq!(found, theirs(feature, std::slice::from_ref(array), compressed), "the bytes of the chunk");
    assert_eq!(is_compressed(found), compressed);
}

fn pictures(pixels: impl Fn(usize) -> Vec<u8>) -> ArrayRef {
    Arc::new(BinaryArray::from_iter_values((0..4).map(pixels)))
}

#[test]
fn noise_is_stored_and_what_repeats_is_compressed() {
    const N: usize = 500_000;
    check(&raw_media(), &pictures(|it| noise(it as u64 + 1, N)), false);
    check(&raw_media(), &pictures(|_| vec![7; N]), true);
    let flat_above = |it: usize| [vec![7; N / 5], noise(it as u64 + 1, N / 5 * 4)].concat();
    check(&raw_media(), &pictures(flat_above), true);
    let hardly_flat = |it: usize| [vec![7; N / 20], noise(it as u64 + 1, N / 20 * 19)].concat();
    check(&raw_media(), &pictures(hardly_flat), false);
}

#[test]
fn few_values_are_compressed_whatever_they_are() {
    let short: ArrayRef = Arc::new(BinaryArray::from_iter_values([noise(1, 10_000)]));
    check(&raw_media(), &short, true);
    let enough: ArrayRef = Arc::new(BinaryArray::from_iter_values([noise(1, 60_000)]));
    check(&raw_media(), &enough, false);
    let none: ArrayRef = Arc::new(BinaryArray::from_iter_values(Vec::<Vec<u8>>::new()));
    check(&raw_media(), &none, true);
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(
        noise(3, 100_000).iter().map(|it| format!("joint_{}", it % 7)),
    ));
    check(&Feature::new("name", DType::String, Vec::new()), &names, true);
    let flags: ArrayRef =
        Arc::new(arrow_array::BooleanArray::from_iter(noise(3, 500_000).iter().map(|it| Some(it % 2 == 0))));
    check(&Feature::new("flag", DType::Bool, Vec::new()), &flags, true);
}

#[test]
fn what_nulls_hide_does_not_decide() {
    let random = noise(5, 8 * 40_000);
    let there = |it: usize| it.is_multiple_of(2);
    let column = |hidden: i64| -> ArrayRef {
        let words = random.as_chunks::<8>().0.iter().enumerate();
        let values = words.map(|(idx, it)| if there(idx) { i64::from_le_bytes(*it) } else { hidden });
        let nulls = (0..40_000).map(there).collect::<NullBuffer>();
        Arc::new(Int64Array::new(values.collect(), Some(nulls)))
    };
    let feature = Feature::new("word", DType::Int64, Vec::new()).nullable();
    check(&feature, &column(0), false);
    assert_eq!(ours(&feature, &[column(0)]), ours(&feature, &[column(-1)]));
}

#[test]
fn lists_of_numbers_are_judged_by_their_numbers() {
    let mut lists = FixedSizeListBuilder::new(Float32Builder::new(), 3).with_field(Field::new(
        "element",
        arrow_schema::DataType::Float32,
        false,
    ));
    for (idx, it) in noise(9, 300_000).iter().enumerate() {
        lists.values().append_value(f32::from(*it));
        if idx % 3 == 2 {
            lists.append(true);
        }
    }
    let feature = Feature::new("force", DType::Float32, vec![Dim::Fixed(3)]);
    // Whole numbers below 256: two of four bytes say something, and those little.
    check(&feature, &(Arc::new(lists.finish()) as ArrayRef), true);
}

/// Pieces of a column, cut at some rows.
fn cut(array: &ArrayRef, cuts: &[usize]) -> Vec<ArrayRef> {
    let mut bounds: Vec<usize> = cuts.iter().map(|it| it % (array.len() + 1)).collect();
    bounds.extend([0, array.len()]);
    bounds.sort_unstable();
    bounds.windows(2).map(|it| array.slice(it[0], it[1] - it[0])).collect()
}

fn lists(dtype: DType, lengths: &[usize], seed: u64, n_noisy: usize) -> ArrayRef {
    let n: usize = lengths.iter().sum();
    let random = noise(seed, 8 * n);
    let words = random.as_chunks::<8>().0.iter().enumerate();
    let words = words.map(|(idx, it)| if idx % 8 < n_noisy { i64::from_le_bytes(*it) } else { idx as i64 });
    let values: ArrayRef = match dtype {
        DType::Int64 => Arc::new(Int64Array::from_iter_values(words)),
        DType::Float64 => {
            Arc::new(Float64Array::from_iter_values(words.map(|it| f64::from_bits(it as u64 >> 2))))
        }
        _ => Arc::new(StringArray::from_iter_values(words.map(|it| it.to_string()))),
    };
    let item = Arc::new(Field::new("element", dtype.arrow(), false));
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    Arc::new(ListArray::new(item, offsets, values, None))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn neither_batches_nor_what_comes_later_decide(
        dtype in prop::sample::select(vec![DType::Int64, DType::Float64, DType::String]),
        lengths in prop::collection::vec(0_usize..40, 0..2_500),
        seed in any::<u64>(),
        n_noisy in 0_usize..=8,
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        let feature = Feature::new("x", dtype, vec![Dim::Variable]);
        let column = lists(dtype, &lengths, seed, n_noisy);
        let whole = ours(&feature, std::slice::from_ref(&column));
        let compressed = is_compressed(whole.clone());
        prop_assert_eq!(&whole, &theirs(&feature, std::slice::from_ref(&column), compressed));
        let pieces = cut(&column, &cuts);
        // The crate's own cuts into pages may follow the pieces; the codec must not.
        prop_assert_eq!(is_compressed(ours(&feature, &pieces)), compressed);
        prop_assert_eq!(ours(&feature, &pieces), theirs(&feature, &pieces, compressed));
        // Once enough rows are there, the rest has no say.
        if n_values_bytes(dtype, &column) > 2 * sample::SAMPLE_BYTES {
            let more = lists(dtype, &[40; 1000], seed + 1, 8 - n_noisy);
            prop_assert_eq!(is_compressed(ours(&feature, &[column, more])), compressed);
        }
    }
}

fn n_values_bytes(dtype: DType, column: &ArrayRef) -> usize {
    sample::rows_holding(dtype, column, usize::MAX).unwrap_err()
}
