use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    builder::{MapBuilder, StringBuilder},
    new_null_array,
    types::Int32Type,
};
use arrow_schema::Field;
use bytes::Bytes;
use nodedata_core::ReadAt;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder, arrow_writer::ArrowWriterOptions},
    basic::{Encoding, GzipLevel, ZstdLevel},
    file::{
        metadata::{ParquetMetaData, ParquetMetaDataWriter},
        properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion},
    },
    schema::types::ColumnPath,
};

use super::*;
use crate::Batches;

struct Memory(Bytes);

impl ReadAt for Memory {
    fn n_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, range: std::ops::Range<u64>) -> Result<Bytes> {
        Ok(self.0.slice(range.start as usize..range.end as usize))
    }
}

fn in_memory(bytes: Vec<u8>) -> Ranges {
    Ranges(Arc::new(Memory(Bytes::from(bytes))))
}

fn zstd() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
}

/// A file of one column `a`, without what Arrow calls its type.
fn written(column: ArrayRef, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter_with_nullable([("a", column, true)]).unwrap();
    let options =
        ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), rows.schema(), options).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

fn texts(n: usize, text: impl Fn(usize) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..n).map(text)))
}

fn maps(n: usize) -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for row in 0..n {
        for entry in 0..row % 4 {
            builder.keys().append_value(format!("key {entry}"));
            builder.values().append_value("a value that comes again and again");
        }
        builder.append(true).unwrap();
    }
    Arc::new(builder.finish())
}

/// Bytes of all rows, as Arrow lays them out.
fn decoded(file: &Ranges, footer: ArrowReaderMetadata) -> parquet::errors::Result<u64> {
    let mut n_bytes = 0;
    for rows in Batches::of(ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), footer))? {
        let columns = rows?.columns().to_vec();
        n_bytes += columns.iter().map(|it| it.to_data().get_slice_memory_size().unwrap() as u64).sum::<u64>();
    }
    Ok(n_bytes)
}

fn kind_of(bytes: Vec<u8>, bytes_max: u64) -> ErrorKind {
    footer_within(&in_memory(bytes), bytes_max).map(drop).unwrap_err().kind()
}

/// What is counted beforehand is no less than what the rows take, and not much more.
#[test]
fn a_table_that_fits_takes_no_more_than_was_counted() {
    let columns: [ArrayRef; 5] = [
        texts(5000, |row| format!("episode {}", row % 7)),
        texts(5000, |row| format!("episode {row}")),
        Arc::new(Int64Array::from_iter((0..5000).map(|it| (it % 3 > 0).then_some(it)))),
        Arc::new(FixedSizeBinaryArray::try_from_iter((0..5000u32).map(|it| it.to_le_bytes())).unwrap()),
        maps(5000),
    ];
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for has_dictionary in [true, false] {
            for column in &columns {
                let properties = zstd()
                    .set_writer_version(version)
                    .set_dictionary_enabled(has_dictionary)
                    // Without these, version 2 encodes values as differences.
                    .set_encoding(Encoding::PLAIN)
                    .set_data_page_row_count_limit(700)
                    .set_write_batch_size(100);
                let file = in_memory(written(Arc::clone(column), properties));
                let (mut refused, mut taken) = (0u64, 1 << 40);
                while 1 < taken - refused {
                    let middle = u64::midpoint(refused, taken);
                    match footer_within(&file, middle) {
                        Ok(_) => taken = middle,
                        Err(err) => {
                            assert_eq!(err.kind(), ErrorKind::Limit, "{}", err.chain());
                            refused = middle;
                        }
                    }
                }
                let n_bytes = decoded(&file, footer_within(&file, taken).unwrap()).unwrap();
                let told = format!("{}: {n_bytes} decoded, {taken} counted", column.data_type());
                assert!(n_bytes <= taken && taken <= 8 * n_bytes, "{told}");
            }
        }
    }
}

#[test]
fn few_bytes_that_make_many_are_refused_before_they_are_decoded() {
    let max = 16 << 20;
    // One text, named by every row.
    let text: ArrayRef = texts(1, |_| "x".repeat(20_000));
    let named = DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0; 2_000]), text);
    let bytes = written(Arc::new(named), zstd());
    assert!(bytes.len() < 100_000, "{} bytes", bytes.len());
    assert_eq!(kind_of(bytes, max), ErrorKind::Limit);
    // Values that are not there.
    let bytes = written(new_null_array(&DataType::Int64, 3_000_000), zstd());
    assert!(bytes.len() < 100_000, "{} bytes", bytes.len());
    assert_eq!(kind_of(bytes, max), ErrorKind::Limit);
    let bytes = written(new_null_array(&DataType::FixedSizeBinary(1 << 20), 10), zstd());
    assert_eq!(kind_of(bytes, max), ErrorKind::Limit);
    // A page of nothing but one letter.
    let bytes = written(texts(40, |_| "x".repeat(1 << 20)), zstd().set_dictionary_enabled(false));
    assert!(bytes.len() < 100_000, "{} bytes", bytes.len());
    assert_eq!(kind_of(bytes.clone(), max), ErrorKind::Limit);
    assert!(footer_within(&in_memory(bytes), 100 << 20).is_ok());
}

#[test]
fn what_tells_no_size_is_not_read() {
    let column = || texts(100, |row| format!("episode {row}"));
    let gzip = WriterProperties::builder().set_compression(Compression::GZIP(GzipLevel::default()));
    let err = footer_within(&in_memory(written(column(), gzip)), 1 << 30).map(drop).unwrap_err();
    assert_eq!((err.kind(), err.locus().feature.as_deref()), (ErrorKind::Unsupported, Some("a")));
    for encoding in [Encoding::DELTA_BYTE_ARRAY, Encoding::DELTA_LENGTH_BYTE_ARRAY] {
        let properties =
            zstd().set_dictionary_enabled(false).set_column_encoding(ColumnPath::from("a"), encoding);
        assert_eq!(kind_of(written(column(), properties), 1 << 30), ErrorKind::Unsupported, "{encoding}");
    }
    // With the type that Arrow has for it: a list of a million values for each row that is null.
    let item = Arc::new(Field::new("item", DataType::Int8, true));
    let column = new_null_array(&DataType::FixedSizeList(item, 1 << 20), 3);
    let rows = RecordBatch::try_from_iter_with_nullable([("a", column, true)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    assert_eq!(kind_of(writer.into_inner().unwrap(), 1 << 30), ErrorKind::Unsupported);
}

/// What could not be fetched says nothing of whether it is whole.
#[test]
fn a_file_that_cannot_be_read_is_no_damaged_one() {
    struct Lost;
    impl ReadAt for Lost {
        fn n_bytes(&self) -> u64 {
            100
        }

        fn read_at(&self, _: std::ops::Range<u64>) -> Result<Bytes> {
            Err(Error::new(ErrorKind::Io, "the connection is lost"))
        }
    }
    let err = footer_within(&Ranges(Arc::new(Lost)), 1 << 20).map(drop).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Io);
}

/// A few bytes say any number of rows.
#[test]
fn rows_are_counted_whatever_they_hold() {
    let sound = written(Arc::new(Int64Array::from_iter_values(0..9)), zstd());
    let told = footer_within(&in_memory(sound.clone()), 1 << 20).unwrap();
    let group = told.metadata().row_groups()[0].clone().into_builder().set_num_rows(1 << 60);
    let told = ParquetMetaData::new(told.metadata().file_metadata().clone(), vec![group.build().unwrap()]);
    let mut changed = sound[..sound.len() - 8].to_vec();
    ParquetMetaDataWriter::new(&mut changed, &told).finish().unwrap();
    assert_eq!(kind_of(changed, 1 << 30), ErrorKind::Limit);
}

/// The reader is never handed what it would die of: the process would not reach the end of this test.
#[test]
fn damage_is_refused_or_stays_within_the_budget() {
    let max = 1 << 20;
    let sound = written(maps(40), zstd().set_data_page_row_count_limit(10).set_write_batch_size(5));
    let (mut n_refused, mut n_read) = (0, 0);
    for at in 0..sound.len() {
        for bits in [0x01, 0x08, 0x40, 0x80, 0xff] {
            let mut bytes = sound.clone();
            bytes[at] ^= bits;
            let file = in_memory(bytes);
            match footer_within(&file, max) {
                Ok(footer) => {
                    n_read += 1;
                    if let Ok(n_bytes) = decoded(&file, footer) {
                        assert!(n_bytes <= max, "{n_bytes} bytes by {bits:x} at {at}");
                    }
                }
                Err(_) => n_refused += 1,
            }
        }
    }
    assert!(100 < n_refused && 100 < n_read, "{n_refused} refused, {n_read} read");
    for end in 0..sound.len() {
        assert!(footer_within(&in_memory(sound[..end].to_vec()), max).is_err(), "{end} bytes");
    }
}
