//! Where the pages of a column begin, where a file does not tell: as the headers of its pages do. The values are not read, so whoever
//! wants an index of a file of gigabytes has it at the price of its headers.

use std::sync::Arc;

use parquet::{
    basic::Compression,
    column::page::PageReader as _,
    file::{
        metadata::ColumnChunkMetaData, page_index::offset_index::PageLocation,
        serialized_reader::SerializedPageReader,
    },
};

use crate::{
    Ranges,
    guarded::guarded,
    watched::{Seen, Watched},
};

/// The data pages of a chunk in a row group of `n_rows` rows, each with its first row. `None` of a column of lists, whose pages say
/// how many values they hold and not of how many rows, and where a header cannot be read or the pages do not add up to the rows.
pub fn page_headers(file: &Ranges, chunk: &ColumnChunkMetaData, n_rows: u64) -> Option<Vec<PageLocation>> {
    if 0 < chunk.column_descr().max_rep_level() {
        return None;
    }
    guarded(|| walk(file, chunk, n_rows)).flatten()
}

fn walk(file: &Ranges, chunk: &ColumnChunkMetaData, n_rows: u64) -> Option<Vec<PageLocation>> {
    // No value is unpacked, so that no codec is needed.
    let chunk = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build().ok()?;
    let seen = Arc::<Seen>::default();
    let watched = Arc::new(Watched::new(file, &seen));
    let mut reader = SerializedPageReader::new(watched, &chunk, usize::try_from(n_rows).ok()?, None).ok()?;
    let (start, n_bytes) = chunk.byte_range();
    let chunk_end = start.checked_add(n_bytes).filter(|it| *it <= file.0.n_bytes())?;
    let (mut pages, mut first_row) = (Vec::new(), 0u64);
    // A page ends where the next one begins.
    let mut open: Option<(u64, u64)> = None;
    loop {
        let next = reader.peek_next_page().ok()?;
        let at = if next.is_some() { seen.header() } else { chunk_end };
        if let Some((start, first_row)) = open.take() {
            pages.push(PageLocation {
                offset: i64::try_from(start).ok()?,
                compressed_page_size: i32::try_from(at.checked_sub(start)?).ok()?,
                first_row_index: i64::try_from(first_row).ok()?,
            });
        }
        let Some(next) = next else { break };
        if !next.is_dict {
            open = Some((at, first_row));
            // Without lists a value is a row.
            let n = next.num_rows.or(next.num_levels)?;
            first_row = first_row.checked_add(u64::try_from(n).ok()?)?;
        }
        reader.skip_next_page().ok()?;
    }
    (first_row == n_rows).then_some(pages)
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray};
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::{DataType, Field};
    use bytes::Bytes;
    use nodedata_core::ReadAt;
    use parquet::{
        arrow::{ArrowWriter, arrow_reader::ArrowReaderOptions},
        basic::{Compression, ZstdLevel},
        file::{
            metadata::PageIndexPolicy,
            properties::{WriterProperties, WriterVersion},
        },
    };

    use super::*;

    /// Numbers, some of them null, words that repeat, and lists.
    fn rows() -> RecordBatch {
        let numbers: ArrayRef =
            Arc::new(Int64Array::from_iter((0..5000).map(|it| (it % 7 > 0).then_some(it))));
        let words = (0..5000).map(|it| format!("word {}", it % 50));
        let words: ArrayRef = Arc::new(StringArray::from_iter_values(words));
        let item = Arc::new(Field::new("element", DataType::Float32, false));
        let values: ArrayRef = Arc::new(Float32Array::from_iter_values((0..10_000u16).map(f32::from)));
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(2, 5000));
        let lists: ArrayRef = Arc::new(arrow_array::ListArray::new(item, offsets, values, None));
        RecordBatch::try_from_iter([("numbers", numbers), ("words", words), ("lists", lists)]).unwrap()
    }

    fn written(version: WriterVersion, compression: Compression) -> Vec<u8> {
        let properties = WriterProperties::builder()
            .set_writer_version(version)
            .set_compression(compression)
            .set_data_page_row_count_limit(700)
            .set_write_batch_size(100)
            .set_max_row_group_row_count(Some(3000))
            .build();
        let rows = rows();
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        writer.into_inner().unwrap()
    }

    fn in_memory(bytes: Vec<u8>) -> Ranges {
        struct Memory(Bytes);
        impl ReadAt for Memory {
            fn n_bytes(&self) -> u64 {
                self.0.len() as u64
            }
            fn read_at(&self, range: std::ops::Range<u64>) -> nodedata_core::Result<Bytes> {
                Ok(self.0.slice(range.start as usize..range.end as usize))
            }
        }
        Ranges(Arc::new(Memory(Bytes::from(bytes))))
    }

    #[test]
    fn headers_tell_what_an_offset_index_does() {
        let zstd = Compression::ZSTD(ZstdLevel::try_new(1).unwrap());
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for compression in [Compression::UNCOMPRESSED, zstd] {
                let file = in_memory(written(version, compression));
                let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Required);
                let footer = crate::footer(&file, options).unwrap();
                let mut n_pages = 0;
                for (idx, group) in footer.metadata().row_groups().iter().enumerate() {
                    let n_rows = group.num_rows() as u64;
                    let told = footer.metadata().page_index_for_row_group(idx);
                    for column in 0..2 {
                        let walked = page_headers(&file, group.column(column), n_rows);
                        assert_eq!(walked.as_ref(), told.page_locations(column));
                        n_pages += walked.map_or(0, |it| it.len());
                        // The footer counts other rows than the pages have.
                        assert_eq!(page_headers(&file, group.column(column), n_rows - 1), None);
                    }
                    assert_eq!(page_headers(&file, group.column(2), n_rows), None, "lists");
                }
                assert_eq!(n_pages, 2 * (5 + 3), "{version:?}");
            }
        }
    }

    /// Damage is `None`, or other places within the file; never a panic, and never a place that is not there.
    #[test]
    fn damaged_headers_lead_nowhere_else() {
        let sound = written(WriterVersion::PARQUET_1_0, Compression::UNCOMPRESSED);
        let footer = crate::footer(&in_memory(sound.clone()), ArrowReaderOptions::new()).unwrap();
        let group = footer.metadata().row_group(0);
        let (start, n_bytes) = group.column(0).byte_range();
        let mut n_refused = 0;
        for at in start..start + 24 {
            for bits in [0x01, 0x40, 0xff] {
                let mut bytes = sound.clone();
                bytes[at as usize] ^= bits;
                let walked = page_headers(&in_memory(bytes), group.column(0), group.num_rows() as u64);
                n_refused += usize::from(walked.is_none());
                for page in walked.unwrap_or_default() {
                    let end = page.offset as u64 + page.compressed_page_size as u64;
                    assert!(start <= page.offset as u64 && end <= start + n_bytes, "{page:?}");
                }
            }
        }
        assert!(0 < n_refused);
        let cut = in_memory(sound[..(start + n_bytes / 2) as usize].to_vec());
        assert_eq!(page_headers(&cut, group.column(0), group.num_rows() as u64), None);
    }
}
