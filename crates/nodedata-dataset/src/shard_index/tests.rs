use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{ArrayRef, BinaryArray, Int64Array, ListArray, RecordBatch, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use parquet::{
    arrow::ArrowWriter,
    basic::Type,
    file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
};

use super::*;
use crate::{page_table::Page, pages::pages_of};

const N_ROWS: u64 = 500;

/// Frames that each hold their own row, words in a dictionary, and lists.
fn rows(n: u64) -> RecordBatch {
    let frames: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..n).map(frame)));
    let words: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..n).map(|it| format!("word {}", it % 9))));
    let item = Arc::new(Field::new("element", DataType::Int64, false));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..2 * n as i64));
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(2, n as usize));
    let lists: ArrayRef = Arc::new(ListArray::new(item, offsets, values, None));
    RecordBatch::try_from_iter([("cam.rgb", frames), ("word", words), ("state", lists)]).unwrap()
}

fn frame(row: u64) -> Vec<u8> {
    format!("<frame {row}>").into_bytes()
}

fn settings(rows_of_page: usize, rows_of_group: usize) -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_write_batch_size(rows_of_page)
        .set_data_page_row_count_limit(rows_of_page)
        .set_max_row_group_row_count(Some(rows_of_group))
        .set_column_dictionary_enabled(vec!["cam.rgb".to_owned()].into(), false)
}

fn written(rows: &RecordBatch, properties: WriterProperties) -> Memory {
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    Memory(Bytes::from(writer.into_inner().unwrap()), AtomicU64::new(0))
}

/// A file that counts how often it was read.
struct Memory(Bytes, AtomicU64);

impl ReadAt for Memory {
    fn n_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(self.0.slice(range.start as usize..range.end as usize))
    }
}

fn holds(bytes: &[u8], value: &[u8]) -> bool {
    bytes.windows(value.len()).any(|it| it == value)
}

#[test]
fn a_step_of_a_feature_is_one_range() {
    let file = written(&rows(N_ROWS), settings(8, 200).build());
    let index = ShardIndex::open("shard", &file).unwrap();
    assert_eq!(file.1.load(Ordering::Relaxed), 1, "one read is enough");
    assert_eq!((index.n_rows(), index.lacks_pages()), (N_ROWS, false));
    assert_eq!(index.leaves_of("cam.rgb"), 0..1);
    assert_eq!((index.leaves_of("state"), index.leaves_of("nothing").len()), (2..3, 0));
    for row in 0..N_ROWS {
        let (group, in_group) = index.row_group_of(row).unwrap();
        assert_eq!((group as u64, in_group), (row / 200, row % 200));
        let (of, page) = index.page_of(0, row).unwrap();
        assert_eq!(of, group);
        assert!(page.rows.contains(&in_group) && page.rows.end - page.rows.start <= 8, "{page:?}");
        let bytes = &file.0[page.bytes.start as usize..page.bytes.end as usize];
        for neighbour in page.rows.clone() {
            assert!(holds(bytes, &frame(group as u64 * 200 + neighbour)));
        }
        assert!(!holds(bytes, &frame((row + 100) % N_ROWS)));
    }
    assert_eq!(index.page_of(0, N_ROWS), None);
    assert_eq!((index.row_group_of(u64::MAX), index.page_of(7, 0)), (None, None));
    assert!(index.chunk(3, 0).is_none() && index.chunk(0, 3).is_none());
}

#[test]
fn what_no_page_header_says_is_told_of_each_chunk() {
    let file = written(&rows(N_ROWS), settings(50, 1000).build());
    let index = ShardIndex::open("shard", &file).unwrap();
    let told = |column: usize| {
        let chunk = index.chunk(0, column).unwrap();
        let leaf = chunk.column();
        (leaf.physical_type(), leaf.max_rep_level(), chunk.codec(), chunk.dictionary().is_some())
    };
    assert_eq!(told(0), (Type::BYTE_ARRAY, 0, Compression::UNCOMPRESSED, false));
    assert_eq!(told(1), (Type::BYTE_ARRAY, 0, Compression::UNCOMPRESSED, true));
    assert_eq!((told(2).0, told(2).1), (Type::INT64, 1));
    // A dictionary and the pages behind it are all of a chunk.
    let words = index.chunk(0, 1).unwrap();
    let dictionary = words.dictionary().unwrap();
    assert!(holds(&file.0[dictionary.start as usize..dictionary.end as usize], b"word 8"));
    let pages: Vec<PageRange> = words.pages().collect();
    assert_eq!(pages.len(), 10);
    assert_eq!((dictionary.start, dictionary.end), (words.bytes().start, pages[0].bytes.start));
    assert!(
        pages.windows(2).all(|it| it[0].bytes.end == it[1].bytes.start && it[0].rows.end == it[1].rows.start)
    );
    assert_eq!((pages[9].bytes.end, pages[9].rows.end), (words.bytes().end, N_ROWS));
}

#[test]
fn more_is_asked_for_where_the_end_is_not_enough() {
    // An offset index of more than a tail.
    let file = written(&rows(30_000), settings(1, 1 << 20).build());
    let n_bytes = file.n_bytes();
    let tail = ShardIndex::tail_of(n_bytes);
    assert!(ShardIndex::TAIL_BYTES < n_bytes);
    let touch = |start: u64| ShardIndex::of_tail("shard", n_bytes, file.0.slice(start as usize..)).unwrap();
    let FirstTouch::Needs(more) = touch(tail.start) else { panic!("the index is larger than the tail") };
    assert!(more.start < tail.start && more.end == n_bytes);
    let FirstTouch::Known(index) = touch(more.start) else { panic!("that was all it needed") };
    assert!(!index.lacks_pages());
    let (_, page) = index.page_of(0, 12_345).unwrap();
    assert_eq!(page.rows, 12_345..12_346);
    assert!(holds(&file.0[page.bytes.start as usize..page.bytes.end as usize], &frame(12_345)));
    let opened = ShardIndex::open("shard", &file).unwrap();
    assert_eq!(opened.page_of(0, 7), index.page_of(0, 7));
    // From a few bytes on: the footer first.
    let FirstTouch::Needs(footer) = touch(n_bytes - 8) else { panic!("eight bytes are no footer") };
    assert!(footer.start < n_bytes - 8);
}

#[test]
fn files_without_an_index_take_their_pages_from_the_table() {
    let plain = |builder: WriterPropertiesBuilder| {
        // As pyarrow writes it when it is not asked for more.
        builder.set_offset_index_disabled(true).set_statistics_enabled(EnabledStatistics::Chunk).build()
    };
    let file = written(&rows(N_ROWS), plain(settings(8, 200)));
    let index = ShardIndex::open("shard", &file).unwrap();
    assert!(index.lacks_pages() && index.chunk(0, 0).unwrap().is_whole());
    let (group, whole) = index.page_of(0, 250).unwrap();
    assert_eq!((group, whole.rows.clone()), (1, 0..200));
    assert_eq!(whole.bytes, index.chunk(1, 0).unwrap().bytes());
    let bytes: Arc<dyn ReadAt> = Arc::new(Memory(file.0.clone(), AtomicU64::new(0)));
    let found = pages_of(index.metadata(), Some(&Ranges(bytes)));
    // Lists are read by the chunk.
    let lists: Vec<(u32, &str)> = found.whole.iter().map(|it| (it.0, it.1.as_str())).collect();
    assert_eq!(lists, [0, 1, 2].map(|it| (it, "state.list.element")));
    let index = index.with_pages(&found.pages);
    for row in 0..N_ROWS {
        let (_, page) = index.page_of(0, row).unwrap();
        assert!(page.rows.end - page.rows.start <= 8);
        assert!(holds(&file.0[page.bytes.start as usize..page.bytes.end as usize], &frame(row)));
    }
    assert!(index.chunk(0, 1).unwrap().dictionary().is_some());
    assert!(index.chunk(0, 2).unwrap().is_whole() && index.lacks_pages());
    // The same places as an offset index tells.
    let indexed = written(&rows(N_ROWS), settings(8, 200).build());
    let indexed = ShardIndex::open("shard", &indexed).unwrap();
    for column in [0, 1] {
        let pages = |index: &ShardIndex| index.chunk(1, column).unwrap().pages().collect::<Vec<_>>();
        assert_eq!(pages(&index), pages(&indexed));
    }
}

/// A table of pages comes from elsewhere, too: what cannot be is not believed.
#[test]
fn pages_that_cannot_be_are_passed_over() {
    let file = written(
        &rows(N_ROWS),
        settings(50, 1000)
            .set_offset_index_disabled(true)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .build(),
    );
    let index = ShardIndex::open("shard", &file).unwrap();
    let chunk = index.chunk(0, 0).unwrap().bytes();
    let with = |pages: &[(u64, u64, i64)]| {
        let mut table = PageTable::default();
        for (offset, n_bytes, first_row) in pages.iter().copied() {
            table.push(Page { row_group: 0, column: "cam.rgb", offset, n_bytes, first_row });
        }
        index.clone().with_pages(&table).chunk(0, 0).unwrap().is_whole()
    };
    let middle = chunk.start + 100;
    let end = chunk.end;
    assert!(!with(&[(chunk.start, 100, 0), (middle, end - middle, 7)]));
    for pages in [
        vec![(chunk.start, 100, 1)],
        vec![(chunk.start, 200, 0), (middle, 10, 7)],
        vec![(chunk.start, 100, 0), (middle, end, 7)],
        vec![(chunk.start, 100, 0), (middle, 10, N_ROWS as i64 + 1)],
        vec![(middle, 10, 0), (chunk.start, 10, 7)],
        vec![(0, 100, 0)],
        vec![(u64::MAX, 1, 0)],
        vec![(chunk.start, u64::MAX, 0)],
        vec![(chunk.start, 100, 0), (middle, u64::MAX, 7), (middle + 10, 10, 9)],
        vec![(chunk.start, end - chunk.start, 0)],
    ] {
        assert!(with(&pages), "{pages:?}");
    }
}

/// Any damage of the end is an error or another index, whose ranges lie in the file.
#[test]
fn damage_is_an_error_or_leads_nowhere_else() {
    let sound = written(&rows(60), settings(8, 40).build());
    let n_bytes = sound.n_bytes();
    let first = ShardIndex::open("shard", &sound).unwrap();
    let end_of_pages = first.chunk(1, 2).unwrap().bytes().end;
    let mut n_errors = 0;
    for at in end_of_pages..n_bytes {
        for bits in [0x01, 0x80, 0x55] {
            let mut bytes = sound.0.to_vec();
            bytes[at as usize] ^= bits;
            let file = Memory(Bytes::from(bytes), AtomicU64::new(0));
            let Ok(index) = ShardIndex::open("shard", &file) else {
                n_errors += 1;
                continue;
            };
            for (_, chunk) in index.all_chunks().filter(|(_, it)| !it.is_whole()) {
                let bytes = chunk.bytes();
                assert!(chunk.pages().all(|it| bytes.start <= it.bytes.start && it.bytes.end <= bytes.end));
            }
            let _ = index.page_of(0, 59);
        }
    }
    assert!(0 < n_errors);
    for n in [0, 4, 8, n_bytes as usize - 1] {
        let cut = Memory(sound.0.slice(..n), AtomicU64::new(0));
        assert_eq!(ShardIndex::open("shard", &cut).unwrap_err().kind(), ErrorKind::Corrupt, "{n}");
    }
    assert!(ShardIndex::of_tail("shard", 3, sound.0).is_err());
}
