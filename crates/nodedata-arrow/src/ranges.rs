use std::{io, sync::Arc};

use arrow_array::RecordBatch;
use bytes::{Buf, Bytes};
use nodedata_core::ReadAt;
use parquet::{
    arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    },
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};

use crate::guarded::guarded_pages;

/// What a page's header takes, and more: the rest of a page is asked for by its length.
const HEADER_BYTES: u64 = 8 << 10;

/// A file read by range, as the Parquet reader asks for it.
#[derive(Clone)]
pub struct Ranges(pub Arc<dyn ReadAt>);

impl Length for Ranges {
    fn len(&self) -> u64 {
        self.0.n_bytes()
    }
}

impl ChunkReader for Ranges {
    type T = Cursor;

    fn get_read(&self, start: u64) -> Result<Cursor> {
        Ok(Cursor { file: Arc::clone(&self.0), next: start, window: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.checked_add(length as u64).filter(|it| *it <= self.0.n_bytes());
        let end =
            end.ok_or_else(|| ParquetError::EOF("the file ends before the bytes it points at".to_owned()))?;
        self.0.read_at(start..end).map_err(|err| ParquetError::External(Box::new(err)))
    }
}

/// Reads on from a place, a header's worth at a time: a file in a bucket would otherwise be fetched to its end.
pub struct Cursor {
    file: Arc<dyn ReadAt>,
    next: u64,
    window: Bytes,
}

impl io::Read for Cursor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.window.is_empty() {
            let end = self.next.saturating_add(HEADER_BYTES).min(self.file.n_bytes());
            if end <= self.next {
                return Ok(0);
            }
            self.window = self.file.read_at(self.next..end).map_err(io::Error::other)?;
            self.next = end;
        }
        let n_bytes = into.len().min(self.window.len());
        self.window.copy_to_slice(&mut into[..n_bytes]);
        Ok(n_bytes)
    }
}

/// The footer of a file that may be damaged.
///
/// # Errors
/// When it is no whole Parquet file. The caller knows which file it is, and what can be done about it.
pub fn footer<F: ChunkReader>(file: &F, options: ArrowReaderOptions) -> Result<ArrowReaderMetadata> {
    let footer = guarded_pages(|| ArrowReaderMetadata::load(file, options))?;
    let groups = footer.metadata().row_groups();
    // The Parquet reader takes offsets and lengths below zero for a mistake of ours.
    let is_negative = groups.iter().flat_map(|it| it.columns()).any(|it| {
        it.data_page_offset() < 0
            || it.dictionary_page_offset().is_some_and(|it| it < 0)
            || it.compressed_size() < 0
    });
    if is_negative || groups.iter().any(|it| it.num_rows() < 0) {
        return Err(ParquetError::General(
            "a column chunk starts or ends before the file, or a row group has less than no rows".to_owned(),
        ));
    }
    Ok(footer)
}

/// Batches of rows of a file that may be damaged, in order.
pub struct Batches(ParquetRecordBatchReader);

impl Batches {
    /// Those that a reader would hand out.
    ///
    /// # Errors
    /// When its columns cannot be read.
    pub fn of<F: ChunkReader + 'static>(builder: ParquetRecordBatchReaderBuilder<F>) -> Result<Self> {
        guarded_pages(|| builder.build()).map(Self)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        guarded_pages(|| self.0.next().transpose().map_err(ParquetError::from)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, ops::Range, sync::Mutex};

    use arrow_array::{ArrayRef, Int64Array};
    use parquet::{
        arrow::ArrowWriter,
        file::metadata::{ColumnChunkMetaDataBuilder, ParquetMetaData, ParquetMetaDataWriter},
    };

    use super::*;

    /// Remembers what was asked of it.
    struct Told(Bytes, Mutex<Vec<Range<u64>>>);

    impl ReadAt for Told {
        fn n_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, range: Range<u64>) -> nodedata_core::Result<Bytes> {
            self.1.lock().unwrap().push(range.clone());
            Ok(self.0.slice(range.start as usize..range.end as usize))
        }
    }

    #[test]
    fn what_follows_a_place_is_fetched_by_small_pieces_only() {
        let bytes: Vec<u8> = (0..100_000u32).map(|it| it as u8).collect();
        let told = Arc::new(Told(Bytes::from(bytes.clone()), Mutex::default()));
        let mut read = vec![0; 9000];
        Ranges(told.clone()).get_read(50_000).unwrap().read_exact(&mut read).unwrap();
        assert_eq!(read, bytes[50_000..59_000]);
        assert_eq!(*told.1.lock().unwrap(), [50_000..58_192, 58_192..66_384]);
        let mut end = Vec::new();
        Ranges(told).get_read(99_990).unwrap().read_to_end(&mut end).unwrap();
        assert_eq!(end, bytes[99_990..]);
    }

    #[test]
    fn what_lies_behind_the_end_is_an_error() {
        let file = Ranges(Arc::new(Told(Bytes::from_static(b"PAR1"), Mutex::default())));
        assert!(file.get_bytes(2, 3).is_err());
        assert!(file.get_bytes(u64::MAX, 2).is_err());
        assert_eq!(file.get_bytes(1, 3).unwrap(), &b"AR1"[..]);
        assert!(footer(&file, ArrowReaderOptions::new()).is_err());
    }

    /// A small file, whose footer says of its one column chunk and its one row group what the changes make of them.
    fn file_whose_footer_says(
        column: impl FnOnce(ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder,
        n_rows: i64,
    ) -> Ranges {
        let array: ArrayRef = Arc::new(Int64Array::from_iter_values(0..9));
        let rows = RecordBatch::try_from_iter([("a", array)]).unwrap();
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        let told = writer.close().unwrap();
        let group = &told.row_groups()[0];
        let chunk = column(group.columns()[0].clone().into_builder()).build().unwrap();
        let group = group.clone().into_builder().set_column_metadata(vec![chunk]).set_num_rows(n_rows);
        let told = ParquetMetaData::new(told.file_metadata().clone(), vec![group.build().unwrap()]);
        let mut changed = Vec::new();
        changed.extend(&file[..4]);
        ParquetMetaDataWriter::new(&mut changed, &told).finish().unwrap();
        Ranges(Arc::new(Told(Bytes::from(changed), Mutex::default())))
    }

    #[test]
    fn places_and_numbers_below_zero_are_damage() {
        let read = |file: &Ranges| footer(file, ArrowReaderOptions::new());
        read(&file_whose_footer_says(|it| it, 9)).expect("nothing is wrong with it");
        for (what, file) in [
            ("pages", file_whose_footer_says(|it| it.set_data_page_offset(-1), 9)),
            ("dictionary", file_whose_footer_says(|it| it.set_dictionary_page_offset(Some(i64::MIN)), 9)),
            ("length", file_whose_footer_says(|it| it.set_total_compressed_size(-1), 9)),
            ("rows", file_whose_footer_says(|it| it, -1)),
        ] {
            let err = read(&file).map(drop).expect_err(what);
            assert!(err.to_string().contains("before the file"), "{what}: {err}");
        }
    }
}
