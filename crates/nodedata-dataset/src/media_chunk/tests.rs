//! Against the Parquet crate's own writer, byte for byte, and read back by its reader.

use arrow_array::{
    Array as _, BinaryArray, FixedSizeListArray, ListArray, RecordBatch, StringArray, StructArray,
    cast::AsArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Schema, SchemaRef};
use nodedata_core::{DType, Dim, Feature, Storage, meta};
use parquet::{
    arrow::{
        ArrowSchemaConverter,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
        arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    file::{metadata::PageIndexPolicy, properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::SchemaDescriptor,
};
use proptest::prelude::*;

use super::*;
use crate::{access::Access, properties};

struct Columns {
    feature: Feature,
    schema: SchemaRef,
    parquet: SchemaDescriptor,
    properties: Arc<WriterProperties>,
    n_step: usize,
    page_rows: usize,
    is_compressed: bool,
}

impl Columns {
    fn new(storage: Storage, nullable: bool) -> Self {
        Self::in_lists(storage, nullable, &[], Access::Balanced)
    }

    fn in_lists(storage: Storage, nullable: bool, lists: &[Dim], access: Access) -> Self {
        let mut feature = Feature::new("camera", DType::UInt8, Vec::new()).in_lists(lists.to_vec());
        feature.storage = storage;
        let feature = if nullable { feature.nullable() } else { feature };
        let schema = Arc::new(Schema::new(vec![feature.arrow_field()]));
        let parquet = ArrowSchemaConverter::new().convert(&schema).unwrap();
        let properties = Arc::new(properties::media(&feature, "tests", access));
        let page_rows = access.page_rows();
        Self { feature, schema, parquet, properties, n_step: page_rows, page_rows, is_compressed: false }
    }

    /// Raw pictures, which compression makes smaller or not.
    fn raw(nullable: bool, is_compressed: bool, access: Access) -> Self {
        let mut columns = Self::in_lists(Storage::RawMedia, nullable, &[], access);
        columns.feature = columns.feature.with_meta(meta::ENCODING, "raw");
        columns.properties = Arc::new(match is_compressed {
            true => properties::plain(&columns.feature, "tests", access),
            false => properties::stored(&columns.feature, "tests", access),
        });
        columns.is_compressed = is_compressed;
        columns.n_step = properties::batch_rows(&columns.feature, access);
        columns
    }

    fn writer(&self) -> MediaWriter {
        MediaWriter::new(self.parquet.column(0), self.n_step, self.page_rows, self.is_compressed)
    }

    fn file(&self) -> SerializedFileWriter<Vec<u8>> {
        let root = self.parquet.root_schema_ptr();
        SerializedFileWriter::new(Vec::new(), root, Arc::clone(&self.properties)).unwrap()
    }

    fn reference_writers(&self, file: &SerializedFileWriter<Vec<u8>>) -> Vec<ArrowColumnWriter> {
        ArrowRowGroupWriterFactory::new(file, Arc::clone(&self.schema)).create_column_writers(0).unwrap()
    }

    /// One row group; what stands beside the bytes is always written by the Parquet crate.
    fn write(&self, pieces: &[ArrayRef], ours: bool) -> Vec<u8> {
        let mut file = self.file();
        let mut reference = self.reference_writers(&file);
        let mut media = self.writer();
        let field = self.schema.field(0);
        for piece in pieces {
            for (writer, leaf) in reference.iter_mut().zip(compute_leaves(field, piece).unwrap()) {
                writer.write(&leaf).unwrap();
            }
            media.write(field, piece).unwrap();
        }
        let mut group = file.next_row_group().unwrap();
        for (idx, writer) in reference.into_iter().enumerate() {
            let chunk = writer.close().unwrap();
            if !ours || idx > 0 {
                chunk.append_to_row_group(&mut group).unwrap();
            } else {
                std::mem::replace(&mut media, self.writer())
                    .close()
                    .unwrap()
                    .append_to_row_group(&mut group)
                    .unwrap();
            }
        }
        group.close().unwrap();
        file.into_inner().unwrap()
    }

    fn array(&self, values: &[Option<Vec<u8>>]) -> ArrayRef {
        let bytes = BinaryArray::from_iter(values.iter().map(Option::as_deref));
        match self.feature.storage {
            Storage::EncodedMedia => {
                let one = self.feature.clone().in_lists(Vec::new());
                let DataType::Struct(fields) = one.arrow_type() else { unreachable!("media") };
                let nulls = bytes.nulls().filter(|_| self.feature.nullable).cloned();
                let path = StringArray::from_iter(values.iter().map(|it| it.as_ref().map(|_| "a.jpg")));
                Arc::new(StructArray::new(fields, vec![Arc::new(bytes), Arc::new(path)], nulls))
            }
            Storage::RawMedia | Storage::Plain => Arc::new(bytes),
        }
    }
}

/// An item of a column under construction.
#[derive(Debug, Clone)]
enum Item {
    Null,
    Bytes(usize),
    List(Vec<Self>),
}

impl Columns {
    /// Items as an array of `data_type`. Below nulls of fixed size hide values.
    fn nested(&self, items: &[&Item], data_type: &DataType) -> ArrayRef {
        let nulls: NullBuffer = items.iter().map(|it| !matches!(it, Item::Null)).collect();
        let nulls = Some(nulls).filter(|it| it.null_count() > 0);
        let below = |n_hidden: usize| -> Vec<&Item> {
            let hidden: &Item = &Item::Bytes(3);
            items
                .iter()
                .flat_map(|it| match it {
                    Item::List(items) => items.iter().collect(),
                    Item::Null | Item::Bytes(_) => vec![hidden; n_hidden],
                })
                .collect()
        };
        match data_type {
            DataType::List(item) => {
                let lengths = items.iter().map(|it| if let Item::List(items) = it { items.len() } else { 0 });
                let values = self.nested(&below(0), item.data_type());
                let offsets = OffsetBuffer::from_lengths(lengths);
                Arc::new(ListArray::new(Arc::clone(item), offsets, values, nulls))
            }
            DataType::FixedSizeList(item, n) => {
                let values = self.nested(&below(*n as usize), item.data_type());
                Arc::new(FixedSizeListArray::new(Arc::clone(item), *n, values, nulls))
            }
            _ => {
                let bytes = |(idx, item): (usize, &&Item)| match item {
                    Item::Bytes(n) => Some((0..*n).map(|it| (it + idx) as u8).collect()),
                    Item::Null | Item::List(_) => None,
                };
                self.array(&items.iter().enumerate().map(bytes).collect::<Vec<_>>())
            }
        }
    }
}

/// Rows of a column in lists, of which about one item in ten is null wherever the column allows it.
fn items(dims: &[Dim], storage: Storage, nullable: bool) -> BoxedStrategy<Item> {
    let n_bytes = prop_oneof![30 => 0usize..200, 4 => 20_000usize..300_000, 1 => 900_000usize..1_300_000];
    let mut items = n_bytes.prop_map(Item::Bytes).boxed();
    for (idx, dim) in dims.iter().enumerate().rev() {
        let below = &dims[idx + 1..];
        let is_last_list = *dim == Dim::Variable && !below.contains(&Dim::Variable);
        let has_nulls = nullable
            && (storage == Storage::EncodedMedia || is_last_list || below.first() == Some(&Dim::Variable));
        let item = with_nulls(items, has_nulls);
        let lengths = match dim {
            Dim::Fixed(n) => *n as usize..*n as usize + 1,
            Dim::Variable => 0..5,
        };
        items = proptest::collection::vec(item, lengths).prop_map(Item::List).boxed();
    }
    with_nulls(items, nullable)
}

fn with_nulls(items: BoxedStrategy<Item>, has_nulls: bool) -> BoxedStrategy<Item> {
    match has_nulls {
        true => prop_oneof![9 => items, 1 => Just(Item::Null)].boxed(),
        false => items,
    }
}

/// Pictures of any size, in batches of which some have nulls, some none, and some say of each that it is none.
fn pictures() -> impl Strategy<Value = Vec<(Vec<usize>, usize, bool)>> {
    let n_bytes = prop_oneof![Just(3_000_usize..3_001), Just(100..40_000), Just(600_000..1_300_000)];
    let batch = n_bytes.prop_flat_map(|n_bytes| {
        let n_rows = 1..if n_bytes.end > 600_000 { 20 } else { 1_500 };
        proptest::collection::vec(n_bytes, n_rows)
    });
    let null_every = prop_oneof![Just(1), 2usize..40, Just(usize::MAX)];
    proptest::collection::vec((batch, null_every, any::<bool>()), 1..4)
}

fn lists() -> impl Strategy<Value = Vec<Dim>> {
    let dim = prop_oneof![3 => Just(Dim::Variable), 1 => Just(Dim::Fixed(1)), 2 => Just(Dim::Fixed(4))];
    proptest::collection::vec(dim, 1..3)
}

/// A column of lists with batches of its rows.
fn batches_of_lists() -> impl Strategy<Value = (Storage, bool, Vec<Dim>, Vec<Vec<Item>>)> {
    let storage = prop_oneof![Just(Storage::EncodedMedia), Just(Storage::RawMedia)];
    (storage, any::<bool>(), lists()).prop_flat_map(|(storage, nullable, dims)| {
        let batch = proptest::collection::vec(items(&dims, storage, nullable), 1..20);
        let batches = proptest::collection::vec(batch, 1..4);
        (Just(storage), Just(nullable), Just(dims), batches)
    })
}

fn read(file: Vec<u8>) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

/// Frames, a few of them of more than a page, in batches of any length.
fn frames() -> impl Strategy<Value = Vec<Vec<usize>>> {
    let n_bytes = prop_oneof![20 => 0usize..200, 4 => 20_000usize..300_000, 1 => 900_000usize..1_300_000];
    proptest::collection::vec(proptest::collection::vec(n_bytes, 1..30), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn files_are_those_of_the_parquet_crate(
        frames in frames(),
        encoded in any::<bool>(),
        nullable in any::<bool>(),
        null_every in 2usize..40,
        access in prop::sample::select(Access::ALL.to_vec()),
    ) {
        let storage = if encoded { Storage::EncodedMedia } else { Storage::RawMedia };
        let columns = Columns::in_lists(storage, nullable, &[], access);
        let mut n = 0;
        let mut pieces = Vec::new();
        for batch in &frames {
            let values: Vec<Option<Vec<u8>>> = batch.iter().map(|n_bytes| {
                n += 1;
                let is_null = nullable && n % null_every == 0;
                (!is_null).then(|| (0..*n_bytes).map(|it| (it + n) as u8).collect())
            }).collect();
            pieces.push(columns.array(&values));
        }
        let (ours, theirs) = (columns.write(&pieces, true), columns.write(&pieces, false));
        prop_assert_eq!(read(ours.clone()), read(theirs.clone()));
        prop_assert!(ours == theirs, "{} and {} bytes", ours.len(), theirs.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn raw_pictures_are_those_of_the_parquet_crate(
        batches in pictures(),
        nullable in any::<bool>(),
        is_compressed in any::<bool>(),
        access in prop::sample::select(Access::ALL.to_vec()),
    ) {
        let columns = Columns::raw(nullable, is_compressed, access);
        let mut pieces: Vec<ArrayRef> = Vec::new();
        for (lengths, null_every, says_it) in batches {
            let of_row = |(idx, n): (usize, &usize)| {
                let is_null = nullable && (idx + 1).is_multiple_of(null_every);
                (!is_null).then(|| vec![idx as u8; *n])
            };
            let pictures = BinaryArray::from_iter(lengths.iter().enumerate().map(of_row));
            let (offsets, bytes, nulls) = pictures.into_parts();
            let all = NullBuffer::new_valid(lengths.len());
            let nulls = nulls.or((nullable && says_it).then_some(all));
            pieces.push(Arc::new(BinaryArray::new(offsets, bytes, nulls)));
        }
        // The Parquet crate has a column index of nothing but nulls.
        pieces.push(Arc::new(BinaryArray::from_iter_values([[1; 5]; 16])));
        let (ours, theirs) = (columns.write(&pieces, true), columns.write(&pieces, false));
        prop_assert_eq!(read(ours.clone()), read(theirs.clone()));
        prop_assert!(ours == theirs, "{} and {} bytes", ours.len(), theirs.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn lists_are_those_of_the_parquet_crate(
        (storage, nullable, dims, batches) in batches_of_lists(),
        cut in 0usize..20,
        access in prop::sample::select(Access::ALL.to_vec()),
    ) {
        let columns = Columns::in_lists(storage, nullable, &dims, access);
        let data_type = columns.feature.arrow_type();
        let mut pieces: Vec<ArrayRef> = Vec::new();
        for batch in &batches {
            let array = columns.nested(&batch.iter().collect::<Vec<_>>(), &data_type);
            let cut = cut.min(array.len());
            pieces.extend([array.slice(0, cut), array.slice(cut, array.len() - cut)]);
        }
        // Two pages without a null, because the Parquet crate takes pages for empty whose nulls are as many as
        // their rows, and keeps an index of them as long as there are no others.
        let mut item = Item::Bytes(5);
        for dim in dims.iter().rev() {
            let n = if let Dim::Fixed(n) = dim { *n as usize } else { 1 };
            item = Item::List(vec![item; n]);
        }
        pieces.push(columns.nested(&[&item; 16], &data_type));
        let (ours, theirs) = (columns.write(&pieces, true), columns.write(&pieces, false));
        prop_assert_eq!(read(ours.clone()), read(theirs.clone()));
        prop_assert!(ours == theirs, "{} and {} bytes of {:?} {:?}", ours.len(), theirs.len(), storage, dims);
    }
}

/// The crate of the reference is one way to be wrong alike: the rows must also come back as they were.
#[test]
fn lists_are_read_back() {
    let dims = [Dim::Variable, Dim::Fixed(2)];
    let columns = Columns::in_lists(Storage::EncodedMedia, true, &dims, Access::Balanced);
    let stack = |a: usize, b: usize| Item::List(vec![Item::Bytes(a), Item::Bytes(b)]);
    let half = Item::List(vec![Item::Null, Item::Bytes(7)]);
    let rows = [
        Item::List(vec![stack(1, 2), Item::Null, half]),
        Item::Null,
        Item::List(Vec::new()),
        Item::List(vec![stack(2_000_000, 3), stack(0, 1)]),
    ];
    let all = columns.nested(&rows.iter().collect::<Vec<_>>(), &columns.feature.arrow_type());
    for piece in [all.slice(0, 4), all.slice(1, 3), all.slice(2, 1), all.slice(3, 1), all.slice(0, 0)] {
        let file = Bytes::from(columns.write(std::slice::from_ref(&piece), true));
        // Parquet itself has no lists of fixed size; a shard's footer tells them.
        let options = ArrowReaderOptions::new().with_schema(Arc::clone(&columns.schema));
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
        let found: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), piece.len());
        assert!(piece.is_empty() || found[0].column(0) == &piece);
    }
}

#[test]
fn a_column_of_nulls_and_a_slice_are_read_back() {
    let columns = Columns::new(Storage::RawMedia, true);
    let values: Vec<Option<Vec<u8>>> = (0..20).map(|it| (it > 11).then(|| vec![it; 3])).collect();
    let all = columns.array(&values);
    for piece in [all.slice(0, 10), all.slice(5, 9), all.slice(19, 1), all.slice(3, 0)] {
        let file = columns.write(std::slice::from_ref(&piece), true);
        let found: Vec<ArrayRef> = read(file).iter().map(|it| Arc::clone(it.column(0))).collect();
        assert_eq!(found.iter().map(|it| it.len()).sum::<usize>(), piece.len());
        assert!(piece.is_empty() || found[0] == piece);
    }
}

#[test]
fn chunks_are_read_from_any_place() {
    let columns = Columns::new(Storage::RawMedia, true);
    let values: Vec<Option<Vec<u8>>> = (0..20).map(|it| (it % 3 > 0).then(|| vec![it; 5])).collect();
    let mut writer = columns.writer();
    writer.write(columns.schema.field(0), &columns.array(&values)).unwrap();
    let chunk = writer.close().unwrap();
    let pages = Pages { pages: &chunk.pages, n_bytes: chunk.n_bytes };
    let mut whole = Vec::new();
    pages.get_read(0).unwrap().read_to_end(&mut whole).unwrap();
    assert_eq!(whole.len() as u64, pages.len());
    for start in 0..whole.len() {
        assert_eq!(pages.get_bytes(start as u64, 3).ok().as_deref(), whole.get(start..start + 3), "{start}");
        let mut by_byte = Vec::new();
        let mut reader = pages.get_read(start as u64).unwrap();
        let mut byte = [0];
        while reader.read(&mut byte).unwrap() == 1 {
            by_byte.push(byte[0]);
        }
        assert_eq!(by_byte, whole[start..]);
    }
}

#[test]
fn a_few_rows_of_a_large_batch_do_not_keep_the_batch() {
    let columns = Columns::new(Storage::RawMedia, true);
    let values: Vec<Option<Vec<u8>>> = (0..100).map(|it| (it != 7).then(|| vec![it; 10_000])).collect();
    let batch = columns.array(&values);
    let few = batch.slice(5, 4);
    let kept = Values::new(columns.schema.field(0), &few);
    assert_eq!(kept.bytes, *few.as_binary());
    assert!(kept.bytes.values().capacity() < 100_000, "{}", kept.bytes.values().capacity());
    let all = Values::new(columns.schema.field(0), &batch);
    assert_eq!(all.bytes.values().as_ptr(), batch.as_binary::<i32>().values().as_ptr());
}

/// A setting that is taken is not yet obeyed: the limits of a page are looked at once a step.
#[test]
fn pages_hold_as_many_rows_as_they_are_made_for() {
    for (access, rows_of_page) in [(Access::Random, 1), (Access::Balanced, 8), (Access::Scan, 64)] {
        for columns in [
            Columns::in_lists(Storage::EncodedMedia, false, &[], access),
            Columns::in_lists(Storage::EncodedMedia, true, &[], access),
            Columns::in_lists(Storage::RawMedia, false, &[], access),
        ] {
            let values: Vec<Option<Vec<u8>>> = (0..200).map(|it| Some(vec![it; 50])).collect();
            let all = columns.array(&values);
            // A page may have more rows where a batch ends inside of it, but for pages of one.
            let cuts = if access == Access::Random { [150, 3, 47] } else { [64, 128, 8] };
            let mut start = 0;
            let pieces = cuts.map(|n| {
                start += n;
                all.slice(start - n, n)
            });
            let file = Bytes::from(columns.write(&pieces, true));
            let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Required);
            let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
            let index = reader.metadata().page_index_for_row_group(0);
            let first_rows: Vec<i64> =
                index.page_locations(0).unwrap().iter().map(|it| it.first_row_index).collect();
            let expected: Vec<i64> = (0..200).step_by(rows_of_page).collect();
            assert_eq!(first_rows, expected, "{access:?}");
        }
        if access == Access::Balanced {
            continue;
        }
        let columns = Columns::raw(false, true, access);
        let rows: Vec<Option<Vec<u8>>> = (0..200).map(|it| Some(vec![it; 50])).collect();
        let file = Bytes::from(columns.write(&[columns.array(&rows)], true));
        let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Required);
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
        let index = reader.metadata().page_index_for_row_group(0);
        assert_eq!(index.num_data_pages(0), Some(200usize.div_ceil(rows_of_page)), "{access:?}");
    }
}

#[test]
fn a_value_of_many_megabytes_is_compressed_piece_by_piece() {
    let columns = Columns::raw(false, true, Access::Balanced);
    let value: Vec<u8> = (0..WHOLE_BYTES_MAX + 1000).map(|it| (it / 300 % 251) as u8).collect();
    let piece: ArrayRef = Arc::new(BinaryArray::from_iter_values([value.as_slice()]));
    let file = columns.write(&[piece], true);
    assert!(file.len() < value.len() / 20, "{} bytes", file.len());
    let rows = read(file);
    assert_eq!(rows[0].column(0).as_binary::<i32>().value(0), value.as_slice());
}
