//! Against the Parquet crate's own writer, byte for byte, and read back by its reader.

use arrow_array::{
    Array, DictionaryArray, FixedSizeListArray, Int32Array, ListArray, RecordBatch, StringArray,
    StringViewArray, cast::AsArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Schema};
use nodedata_core::{DType, Dim, Feature};
use parquet::{
    arrow::{
        ArrowSchemaConverter,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
    file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
};
use proptest::prelude::*;

use super::*;
use crate::{access::Access, properties};

struct Column {
    feature: Feature,
    is_compressed: bool,
}

impl Column {
    fn new(dims: &[Dim], nullable: bool, is_compressed: bool) -> Self {
        let feature = Feature::new("name", DType::String, dims.to_vec());
        Self { feature: if nullable { feature.nullable() } else { feature }, is_compressed }
    }

    fn factory(&self) -> ColumnFactory {
        let properties = match self.is_compressed {
            true => properties::plain(&self.feature, "tests", Access::Balanced),
            false => properties::stored(&self.feature, "tests", Access::Balanced),
        };
        ColumnFactory::new(&self.feature, properties).unwrap()
    }

    fn file(&self, append: impl FnOnce(&mut SerializedRowGroupWriter<'_, Vec<u8>>)) -> Vec<u8> {
        let arrow = Schema::new(vec![self.feature.arrow_field()]);
        let columns = ArrowSchemaConverter::new().convert(&arrow).unwrap();
        let properties = Arc::new(properties::plain(&self.feature, "tests", Access::Balanced));
        let root = columns.root_schema_ptr();
        let mut file =
            parquet::file::writer::SerializedFileWriter::new(Vec::new(), root, properties).unwrap();
        let mut group = file.next_row_group().unwrap();
        append(&mut group);
        group.close().unwrap();
        file.into_inner().unwrap()
    }

    fn ours(&self, pieces: &[ArrayRef]) -> Vec<u8> {
        let arrow = Schema::new(vec![self.feature.arrow_field()]);
        let leaf = ArrowSchemaConverter::new().convert(&arrow).unwrap().column(0);
        let alone = Self::new(&[], false, true);
        let mut writer = TextWriter::new(leaf, self.is_compressed, Arc::new(alone.factory()));
        let field = self.feature.arrow_field();
        pieces.iter().for_each(|it| writer.write(&field, it).unwrap());
        self.file(|group| writer.close().unwrap().append_to_row_group(group).unwrap())
    }

    /// Row by row, so that the crate looks at its limits after each.
    fn theirs(&self, pieces: &[ArrayRef]) -> Vec<u8> {
        let rows: Vec<ArrayRef> =
            pieces.iter().flat_map(|it| (0..it.len()).map(|row| it.slice(row, 1))).collect();
        self.file(|group| self.factory().encode(&rows).unwrap().append_to_row_group(group).unwrap())
    }

    #[track_caller]
    fn check(&self, pieces: &[ArrayRef]) -> ParquetMetaData {
        let (ours, theirs) = (self.ours(pieces), self.theirs(pieces));
        assert_eq!(metadata(&ours), metadata(&theirs));
        assert!(ours == theirs, "{} and {} bytes", ours.len(), theirs.len());
        assert_eq!(self.read(&ours), pieces.iter().flat_map(texts).collect::<Vec<_>>());
        metadata(&ours)
    }

    /// Every row as text.
    fn read(&self, file: &[u8]) -> Vec<String> {
        let schema = Arc::new(Schema::new(vec![self.feature.arrow_field()]));
        let options = ArrowReaderOptions::new().with_schema(schema);
        let file = Bytes::copy_from_slice(file);
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
        let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        batches.iter().flat_map(|it| texts(it.column(0))).collect()
    }
}

fn metadata(file: &[u8]) -> ParquetMetaData {
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        .parse_and_finish(&Bytes::copy_from_slice(file))
        .unwrap()
}

/// Every row as one text, whatever holds it.
fn texts(array: &ArrayRef) -> Vec<String> {
    let of_row = |row: usize| -> String {
        if array.is_null(row) {
            return "null".to_owned();
        }
        let below = match array.data_type() {
            DataType::List(_) => array.as_list::<i32>().value(row),
            DataType::FixedSizeList(..) => array.as_fixed_size_list().value(row),
            _ => return format!("{:?}", array.as_string::<i32>().value(row)),
        };
        format!("{:?}", texts(&below))
    };
    (0..array.len()).map(of_row).collect()
}

/// Items of a column under construction.
#[derive(Debug, Clone)]
enum Item {
    Null,
    Text(String),
    List(Vec<Self>),
}

fn items_below<'a>(items: &[&'a Item], n_hidden: usize, hidden: &'a Item) -> Vec<&'a Item> {
    let below = |it: &&'a Item| match *it {
        Item::List(items) => items.iter().collect(),
        Item::Null | Item::Text(_) => vec![hidden; n_hidden],
    };
    items.iter().flat_map(below).collect()
}

/// An array of `data_type`. Below nulls of fixed size hide texts.
fn nested(items: &[&Item], data_type: &DataType) -> ArrayRef {
    let nulls: NullBuffer = items.iter().map(|it| !matches!(it, Item::Null)).collect();
    let nulls = Some(nulls).filter(|it| it.null_count() > 0);
    let hidden = Item::Text("hidden".to_owned());
    match data_type {
        DataType::List(item) => {
            let lengths = items.iter().map(|it| if let Item::List(it) = it { it.len() } else { 0 });
            let offsets = OffsetBuffer::from_lengths(lengths);
            let values = nested(&items_below(items, 0, &hidden), item.data_type());
            Arc::new(ListArray::new(Arc::clone(item), offsets, values, nulls))
        }
        DataType::FixedSizeList(item, n) => {
            let values = nested(&items_below(items, *n as usize, &hidden), item.data_type());
            Arc::new(FixedSizeListArray::new(Arc::clone(item), *n, values, nulls))
        }
        _ => Arc::new(StringArray::from_iter(items.iter().map(|it| match it {
            Item::Text(text) => Some(text.as_str()),
            Item::Null | Item::List(_) => None,
        }))),
    }
}

/// Texts that repeat, or not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[ab]{0,2}", 2 => "panda_joint[1-7]", 1 => "[äß☃a-z]{60,90}", 1 => "[a-z]{2000,3000}"]
}

/// Rows of a column in lists, of which about one item in ten is null wherever the column allows it.
fn items(dims: &[Dim], nullable: bool) -> BoxedStrategy<Item> {
    let mut items = text().prop_map(Item::Text).boxed();
    for (idx, dim) in dims.iter().enumerate().rev() {
        let has_nulls = nullable && item_is_nullable(dims, idx);
        let item = if has_nulls { with_nulls(items) } else { items };
        let lengths = match dim {
            Dim::Fixed(n) => *n as usize..*n as usize + 1,
            Dim::Variable => 0..5,
        };
        items = proptest::collection::vec(item, lengths).prop_map(Item::List).boxed();
    }
    if nullable { with_nulls(items) } else { items }
}

/// Whether the field of the items of a list may be null.
fn item_is_nullable(dims: &[Dim], idx: usize) -> bool {
    let mut data_type = Feature::new("name", DType::String, dims.to_vec()).nullable().arrow_type();
    for _ in 0..idx {
        let (DataType::List(item) | DataType::FixedSizeList(item, _)) = data_type else { return false };
        data_type = item.data_type().clone();
    }
    matches!(data_type, DataType::List(item) | DataType::FixedSizeList(item, _) if item.is_nullable())
}

fn with_nulls(items: BoxedStrategy<Item>) -> BoxedStrategy<Item> {
    prop_oneof![9 => items, 1 => Just(Item::Null)].boxed()
}

fn dims() -> impl Strategy<Value = Vec<Dim>> {
    let dim = prop_oneof![3 => Just(Dim::Variable), 1 => Just(Dim::Fixed(1)), 2 => Just(Dim::Fixed(3))];
    proptest::collection::vec(dim, 0..3)
}

/// A column with stretches of its rows: each row, and how many times it follows itself.
fn rows() -> impl Strategy<Value = (Vec<Dim>, bool, Vec<(Item, usize)>)> {
    (dims(), any::<bool>()).prop_flat_map(|(dims, nullable)| {
        let n_times = prop_oneof![3 => Just(1), 2 => 1usize..40];
        let rows = proptest::collection::vec((items(&dims, nullable), n_times), 0..60);
        (Just(dims), Just(nullable), rows)
    })
}

fn cut(array: &ArrayRef, cuts: &[usize]) -> Vec<ArrayRef> {
    let mut bounds: Vec<usize> = cuts.iter().map(|it| it % (array.len() + 1)).collect();
    bounds.extend([0, array.len()]);
    bounds.sort_unstable();
    bounds.windows(2).map(|it| array.slice(it[0], it[1] - it[0])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn chunks_are_those_of_the_parquet_crate(
        (dims, nullable, rows) in rows(),
        is_compressed in any::<bool>(),
        cuts in prop::collection::vec(any::<usize>(), 0..5),
    ) {
        let column = Column::new(&dims, nullable, is_compressed);
        let rows: Vec<&Item> = rows.iter().flat_map(|(row, n)| vec![row; *n]).collect();
        let array = nested(&rows, &column.feature.arrow_type());
        column.check(&cut(&array, &cuts));
    }
}

fn scalars<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(texts))
}

#[test]
fn pages_end_with_the_row_that_fills_them_wherever_batches_end() {
    let names = ["", "a", "panda_joint1", "b"];
    let rows = scalars((0..45_000).map(|it| names[it / 3 % names.len()]));
    let column = Column::new(&[], false, true);
    let metadata = column.check(std::slice::from_ref(&rows));
    let pages = metadata.page_index_for_row_group(0);
    let first_rows: Vec<i64> = pages.page_locations(0).unwrap().iter().map(|it| it.first_row_index).collect();
    assert_eq!(first_rows, [0, 20_000, 40_000]);
    assert_eq!(column.ours(&cut(&rows, &[1, 19_999, 20_001, 44_000])), column.ours(&[rows]));
}

#[test]
fn texts_are_plain_once_the_dictionary_is_full() {
    for is_compressed in [false, true] {
        let column = Column::new(&[], false, is_compressed);
        // Some 36 bytes each: full after some 29,000, and the last hundred are known from before that.
        let text = |it: usize| format!("{it:0>32}");
        let rows = scalars((0..60_000).map(text).chain((0..100).map(text)));
        let metadata = column.check(&cut(&rows, &[20_000, 33_000]));
        let encodings: Vec<_> = metadata.row_group(0).column(0).encodings().collect();
        assert!(encodings.contains(&Encoding::PLAIN) && encodings.contains(&Encoding::RLE_DICTIONARY));
        let long = scalars((0..9).map(|it| "xyz"[it % 3..it % 3 + 1].repeat(700_000 + it)));
        column.check(&[long]);
    }
}

#[test]
fn a_page_of_many_numbers_ends_by_its_size() {
    let column = Column::new(&[Dim::Variable], false, false);
    let n_values = 400_000;
    let words: Vec<String> = (0..5_000).map(|it| format!("w{it}")).collect();
    let values = StringArray::from_iter_values((0..9 * n_values).map(|it| &words[it % words.len()]));
    let DataType::List(item) = column.feature.arrow_type() else { panic!("a list") };
    let offsets = OffsetBuffer::from_repeated_length(n_values, 9);
    let rows: ArrayRef = Arc::new(ListArray::new(item, offsets, Arc::new(values), None));
    let metadata = column.check(&[rows.slice(0, 4), rows.slice(4, 5)]);
    assert!(metadata.page_index_for_row_group(0).page_locations(0).unwrap().len() > 2);
}

#[test]
fn chunks_without_a_text_are_those_of_the_parquet_crate() {
    for dims in [&[][..], &[Dim::Variable], &[Dim::Fixed(2)]] {
        let column = Column::new(dims, true, true);
        let nulls = nested(&[&Item::Null; 30], &column.feature.arrow_type());
        column.check(&[nulls.slice(0, 11), nulls.slice(11, 19)]);
        column.check(&[]);
        column.check(&[nulls.slice(3, 0)]);
    }
}

#[test]
fn texts_of_views_and_dictionaries_are_the_same_texts() {
    let column = Column::new(&[], true, true);
    let rows = [Some("b"), Some("b"), None, Some("a text that is too long for a view"), Some("a"), Some("b")];
    let plain: ArrayRef = Arc::new(StringArray::from_iter(rows));
    let views: ArrayRef = Arc::new(StringViewArray::from_iter(rows));
    let words = StringArray::from(vec![Some("a"), None, Some("b"), rows[3], Some("unused")]);
    let keys = Int32Array::from(vec![Some(2), Some(2), Some(1), Some(3), Some(0), Some(2)]);
    let words: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(words)));
    let expected = column.ours(std::slice::from_ref(&plain));
    column.check(&[plain]);
    assert_eq!(column.ours(&[views]), expected);
    assert_eq!(column.ours(&[words]), expected);
}
