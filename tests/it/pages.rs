//! The writer's settings, read back from what was written: a setting that is taken is not yet obeyed.

use arrow_array::{cast::AsArray as _, types};
use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    basic::{Compression, Encoding},
    file::metadata::PageIndexPolicy,
};

use crate::{command::Work, logs::fixture, tables::Dataset};

const CAMERA: &str = "streams/camera.scene.image.compressed/train-00000.parquet";

fn converted() -> (Work, Dataset) {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.run(["convert", &log, "--out", "ds"]).exits(0);
    let dataset = Dataset::open(work.path("ds"));
    (work, dataset)
}

/// Pages of one column as `index/pages.parquet` has them: offset, length, first row.
fn index_pages(dataset: &Dataset, shard_path: &str, column: &str) -> Vec<(u64, u64, i64)> {
    let shards = dataset.manifest["shards"].as_array().unwrap();
    let shard = shards.iter().position(|it| it["path"] == shard_path).unwrap();
    let table = dataset.table("index/pages.parquet");
    let shard_of = table.column_by_name("shard").unwrap().as_primitive::<types::UInt32Type>();
    let column_of = table.column_by_name("column").unwrap().as_string::<i32>();
    let number = |name: &str, row: usize| {
        table.column_by_name(name).unwrap().as_primitive::<types::UInt64Type>().value(row)
    };
    let first_row = table.column_by_name("first_row").unwrap().as_primitive::<types::Int64Type>();
    (0..table.num_rows())
        .filter(|row| shard_of.value(*row) as usize == shard && column_of.value(*row) == column)
        .map(|row| (number("offset", row), number("length", row), first_row.value(row)))
        .collect()
}

#[test]
fn frames_lie_in_small_uncompressed_pages_where_the_index_says() {
    let (_work, dataset) = converted();
    let bytes = Bytes::from(std::fs::read(dataset.root.join(CAMERA)).unwrap());
    let options = parquet::arrow::arrow_reader::ArrowReaderOptions::new()
        .with_page_index_policy(PageIndexPolicy::Required);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options).unwrap();
    let metadata = reader.metadata().clone();
    let group = metadata.row_group(0);
    let column = group.columns().iter().position(|it| it.column_path().string() == "data.bytes").unwrap();
    let chunk = group.column(column);
    assert_eq!(chunk.compression(), Compression::UNCOMPRESSED);
    assert!(chunk.encodings().all(|it| matches!(it, Encoding::PLAIN | Encoding::RLE)));
    assert_eq!(chunk.dictionary_page_offset(), None);
    let pages = index_pages(&dataset, CAMERA, "data.bytes");
    let footer = metadata.page_index_for_row_group(0);
    let in_footer: Vec<_> = footer
        .page_locations(column)
        .unwrap()
        .iter()
        .map(|it| (it.offset as u64, it.compressed_page_size as u64, it.first_row_index))
        .collect();
    assert_eq!(pages, in_footer);
    assert_eq!(pages.len(), 60usize.div_ceil(8), "60 frames, 8 to a page");
    for (idx, (offset, length, first_row)) in pages.iter().enumerate() {
        assert_eq!(*first_row, idx as i64 * 8);
        let page = &bytes[*offset as usize..(offset + length) as usize];
        let n_frames = page.windows(3).filter(|it| *it == b"\xff\xd8\xff").count();
        assert!((1..=8).contains(&n_frames), "page {idx} holds {n_frames} frames");
    }
}

#[test]
fn numbers_are_split_into_bytes_and_times_are_deltas() {
    let (_work, dataset) = converted();
    let path = "streams/joint_states/train-00000.parquet";
    let bytes = Bytes::from(std::fs::read(dataset.root.join(path)).unwrap());
    let metadata = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().metadata().clone();
    let group = metadata.row_group(0);
    let encodings = |name: &str| -> Vec<Encoding> {
        let found = group.columns().iter().find(|it| it.column_path().string() == name);
        found.unwrap_or_else(|| panic!("no column {name}")).encodings().collect()
    };
    assert!(encodings("position.list.element").contains(&Encoding::BYTE_STREAM_SPLIT));
    assert!(encodings("header.stamp").contains(&Encoding::DELTA_BINARY_PACKED));
    assert!(encodings("name.list.element").contains(&Encoding::RLE_DICTIONARY));
    let created_by = metadata.file_metadata().created_by().unwrap();
    assert!(created_by.starts_with("node-data "), "{created_by}");
}
