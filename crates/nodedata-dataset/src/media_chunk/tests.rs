//! Against the Parquet crate's own writer, byte for byte, and read back by its reader.

use arrow_array::{RecordBatch, StringArray, StructArray};
use arrow_schema::{Schema, SchemaRef};
use nodedata_core::{DType, Feature, Storage};
use parquet::{
    arrow::{
        ArrowSchemaConverter,
        arrow_reader::ParquetRecordBatchReaderBuilder,
        arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::SchemaDescriptor,
};
use proptest::prelude::*;

use super::*;
use crate::properties;

struct Columns {
    feature: Feature,
    schema: SchemaRef,
    parquet: SchemaDescriptor,
    properties: Arc<WriterProperties>,
}

impl Columns {
    fn new(storage: Storage, nullable: bool) -> Self {
        let mut feature = Feature::new("camera", DType::UInt8, Vec::new());
        feature.storage = storage;
        let feature = if nullable { feature.nullable() } else { feature };
        let schema = Arc::new(Schema::new(vec![feature.arrow_field()]));
        let parquet = ArrowSchemaConverter::new().convert(&schema).unwrap();
        let properties = Arc::new(properties::media(std::slice::from_ref(&feature), "tests"));
        Self { feature, schema, parquet, properties }
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
        let mut media = MediaWriter::new(self.parquet.column(0));
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
                std::mem::replace(&mut media, MediaWriter::new(self.parquet.column(0)))
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
                let DataType::Struct(fields) = self.feature.arrow_type() else { unreachable!("media") };
                let nulls = bytes.nulls().filter(|_| self.feature.nullable).cloned();
                let path = StringArray::from_iter(values.iter().map(|it| it.as_ref().map(|_| "a.jpg")));
                Arc::new(StructArray::new(fields, vec![Arc::new(bytes), Arc::new(path)], nulls))
            }
            Storage::RawMedia | Storage::Plain => Arc::new(bytes),
        }
    }
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
    ) {
        let columns = Columns::new(if encoded { Storage::EncodedMedia } else { Storage::RawMedia }, nullable);
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
    let mut writer = MediaWriter::new(columns.parquet.column(0));
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
