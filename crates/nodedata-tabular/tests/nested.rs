//! Tables of random nested types with nulls at every level, written by the Arrow project's own writers, come back as they are.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod tables;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::{
    CompressionType,
    writer::{FileWriter, IpcWriteOptions, StreamWriter},
};
use nodedata_core::{Format, OpenOptions, Source};
use nodedata_io::MemoryFiles;
use nodedata_tabular::{ARROW, PARQUET};
use nodedata_testkit::damaged::Random;
use nodedata_testkit::reading::read;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
};
use tables::{table, value};

/// Tables of each way to write one.
const N_TABLES: usize = 200;

fn open(format: &dyn Format, name: &str, bytes: Vec<u8>, partition_bytes: u64) -> Box<dyn Source> {
    let files = MemoryFiles::default().with(name, bytes);
    let options = OpenOptions { partition_bytes, ..OpenOptions::default() };
    format.open(Arc::new(files), &options).unwrap_or_else(|err| panic!("{err} at {}", err.locus()))
}

/// Holds every value of every column against the table it was written from.
fn check(at: &str, source: &dyn Source, written: &RecordBatch) {
    let (found, damage) = read(source);
    assert!(damage.is_empty(), "{at}: {damage:?} of {:?}", written.schema());
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), written.num_rows(), "{at}");
    let features = &source.plan().streams[0].features;
    assert!(1 < features.len(), "{at}");
    for (column, feature) in features.iter().enumerate().skip(1) {
        let way: Vec<&str> = feature.name.split('.').collect();
        let root = written.column_by_name(way[0]).unwrap();
        let mut row = 0;
        for batch in &found {
            let array = batch.column(column);
            assert_eq!(array.data_type(), &feature.arrow_type(), "{at}");
            for idx in 0..batch.num_rows() {
                let (found, expected) = (value(array, idx, &[]), value(root, row, &way[1..]));
                assert_eq!(found, expected, "{at}: row {row} of {} in {:?}", feature.name, written.schema());
                row += 1;
            }
        }
    }
}

#[test]
fn parquet() {
    let mut random = Random::new(41);
    for round in 0..N_TABLES {
        let written = table(&mut random, 30, true);
        let statistics =
            [EnabledStatistics::None, EnabledStatistics::Chunk, EnabledStatistics::Page][round % 3];
        let codec = [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::LZ4,
            Compression::LZ4_RAW,
            Compression::GZIP(Default::default()),
            Compression::BROTLI(Default::default()),
            Compression::ZSTD(ZstdLevel::default()),
        ][round % 7];
        let version = [
            parquet::file::properties::WriterVersion::PARQUET_1_0,
            parquet::file::properties::WriterVersion::PARQUET_2_0,
        ];
        let properties = WriterProperties::builder()
            .set_compression(codec)
            .set_statistics_enabled(statistics)
            .set_writer_version(version[round % 2])
            .set_data_page_row_count_limit(3)
            .set_write_batch_size(2)
            .set_max_row_group_row_count(Some([7, 1000][round % 2]))
            .build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, written.schema(), Some(properties)).unwrap();
        writer.write(&written).unwrap();
        writer.close().unwrap();
        let partition_bytes = [1, 300, 1 << 20][round % 3];
        let source = open(&PARQUET, "a.parquet", bytes, partition_bytes);
        check(&format!("table {round}"), source.as_ref(), &written);
    }
}

fn ipc(written: &RecordBatch, is_file: bool, packed: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(packed).unwrap();
    let mut bytes = Vec::new();
    let slices = [written.slice(0, 11), written.slice(11, written.num_rows() - 11)];
    let schema = written.schema();
    if is_file {
        let mut writer = FileWriter::try_new_with_options(&mut bytes, &schema, options).unwrap();
        slices.iter().for_each(|it| writer.write(it).unwrap());
        writer.finish().unwrap();
    } else {
        let mut writer = StreamWriter::try_new_with_options(&mut bytes, &schema, options).unwrap();
        slices.iter().for_each(|it| writer.write(it).unwrap());
        writer.finish().unwrap();
    }
    bytes
}

#[test]
fn arrow() {
    let mut random = Random::new(43);
    for round in 0..N_TABLES {
        let written = table(&mut random, 30, false);
        let packed = [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)][round % 3];
        let bytes = ipc(&written, round % 2 == 0, packed);
        let partition_bytes = [1, 300, 1 << 20][round % 3];
        let source = open(&ARROW, "a.arrow", bytes, partition_bytes);
        check(&format!("table {round}"), source.as_ref(), &written);
    }
}
