//! Where pages lie, column by column: there are many of them, millions in a large dataset.

use std::sync::Arc;

use arrow_array::{
    Array, RecordBatch,
    builder::{Int64Builder, StringBuilder, UInt32Builder, UInt64Builder},
    cast::AsArray,
    types,
};
use arrow_schema::{DataType, Field, Schema};
use nodedata_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::index::TableWriter;

/// Pages after which a row group of `index/pages.parquet` ends with the next shard: what whoever wants those of one shard reads at
/// most besides. A row group for each of many small shards would make the footer larger than the table.
const GROUP_PAGES: usize = 4096;

/// The pages of one shard: by row group, then by column, then by row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct PageTable {
    /// The columns, in the order in which they were met first.
    names: Vec<String>,
    row_group: Vec<u32>,
    /// Positions in `names`.
    column: Vec<u32>,
    offset: Vec<u64>,
    n_bytes: Vec<u64>,
    first_row: Vec<i64>,
}

/// One data or dictionary page of a shard, or a whole column chunk where nothing tells its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<'a> {
    /// Its row group.
    pub row_group: u32,
    /// The Parquet column, its parts joined by dots.
    pub column: &'a str,
    /// First byte in the file.
    pub offset: u64,
    /// Bytes, its header counted.
    pub n_bytes: u64,
    /// First row, counted from the row group's; -1 for a dictionary page.
    pub first_row: i64,
}

impl PageTable {
    /// Adds a page behind the others.
    pub fn push(&mut self, page: Page<'_>) {
        // A page's column is mostly that of the page before or the next one, also where there are thousands of them.
        let last = self.column.last().map_or(0, |it| *it as usize);
        let is_it = |at: &usize| self.names.get(*at).is_some_and(|it| it == page.column);
        let near = [last, last + 1, 0].into_iter().find(is_it);
        let known = near.or_else(|| self.names.iter().position(|it| it == page.column));
        let column = known.unwrap_or_else(|| {
            self.names.push(page.column.to_owned());
            self.names.len() - 1
        });
        self.row_group.push(page.row_group);
        self.column.push(column as u32);
        self.offset.push(page.offset);
        self.n_bytes.push(page.n_bytes);
        self.first_row.push(page.first_row);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.row_group.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.row_group.is_empty()
    }

    /// The page at a position.
    pub fn get(&self, idx: usize) -> Option<Page<'_>> {
        Some(Page {
            row_group: *self.row_group.get(idx)?,
            column: self.names.get(*self.column.get(idx)? as usize)?,
            offset: *self.offset.get(idx)?,
            n_bytes: *self.n_bytes.get(idx)?,
            first_row: *self.first_row.get(idx)?,
        })
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Page<'_>> {
        (0..self.len()).filter_map(|idx| self.get(idx))
    }
}

/// A table as it was read, whose columns may not fit each other.
#[derive(Deserialize)]
struct Unchecked {
    names: Vec<String>,
    row_group: Vec<u32>,
    column: Vec<u32>,
    offset: Vec<u64>,
    n_bytes: Vec<u64>,
    first_row: Vec<i64>,
}

impl TryFrom<Unchecked> for PageTable {
    type Error = &'static str;

    fn try_from(read: Unchecked) -> Result<Self, Self::Error> {
        let Unchecked { names, row_group, column, offset, n_bytes, first_row } = read;
        let lengths = [column.len(), offset.len(), n_bytes.len(), first_row.len()];
        if lengths.iter().any(|it| *it != row_group.len()) {
            return Err("columns of the pages have different lengths");
        }
        if column.iter().any(|it| names.len() <= *it as usize) {
            return Err("a page is of a column that has no name");
        }
        Ok(Self { names, row_group, column, offset, n_bytes, first_row })
    }
}

/// The bytes of `index/pages.parquet`: where every page of every shard lies. Its row groups end where a shard does.
///
/// # Errors
/// What encoding reports.
pub fn page_table<'a>(shards: impl Iterator<Item = &'a PageTable>) -> Result<Vec<u8>> {
    let field = |name: &str, data_type| Field::new(name, data_type, false);
    let schema = Arc::new(Schema::new(vec![
        field("shard", DataType::UInt32),
        field("row_group", DataType::UInt32),
        field("column", DataType::Utf8),
        field("offset", DataType::UInt64),
        field("length", DataType::UInt64),
        field("first_row", DataType::Int64),
    ]));
    let mut writer = TableWriter::with_own_groups(&schema)?;
    let mut group = Group::default();
    for (shard, pages) in shards.enumerate() {
        group.add(shard as u32, pages);
        if GROUP_PAGES <= group.n_pages {
            writer.group(&group.finish(&schema)?)?;
        }
    }
    writer.group(&group.finish(&schema)?)?;
    writer.finish()
}

/// Rows of a row group under construction.
#[derive(Default)]
struct Group {
    n_pages: usize,
    shard: UInt32Builder,
    row_group: UInt32Builder,
    column: StringBuilder,
    offset: UInt64Builder,
    length: UInt64Builder,
    first_row: Int64Builder,
}

impl Group {
    fn add(&mut self, shard: u32, pages: &PageTable) {
        for page in pages.iter() {
            self.shard.append_value(shard);
            self.row_group.append_value(page.row_group);
            self.column.append_value(page.column);
            self.offset.append_value(page.offset);
            self.length.append_value(page.n_bytes);
            self.first_row.append_value(page.first_row);
        }
        self.n_pages += pages.len();
    }

    /// The rows so far; none are left.
    fn finish(&mut self, schema: &Arc<Schema>) -> Result<RecordBatch> {
        self.n_pages = 0;
        let columns: Vec<Arc<dyn Array>> = vec![
            Arc::new(self.shard.finish()),
            Arc::new(self.row_group.finish()),
            Arc::new(self.column.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.length.finish()),
            Arc::new(self.first_row.finish()),
        ];
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(crate::index::table_error)
    }
}

/// Shows each page of a batch of `index/pages.parquet` with its shard's position in the manifest.
///
/// # Errors
/// `Corrupt` when a column is missing or has another type, and what `see` returns.
pub(crate) fn each_page(
    batch: &RecordBatch,
    mut see: impl FnMut(usize, Page<'_>) -> Result<()>,
) -> Result<()> {
    let column = |name: &str| {
        let found = batch.column_by_name(name);
        found.ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("the index has no column `{name}`")))
    };
    let wrong = |name: &str| {
        Error::new(
            ErrorKind::Corrupt,
            format!("column `{name}` of the index has another type, or lacks values"),
        )
    };
    macro_rules! values {
        ($name:literal, $t:ty) => {{
            let array = column($name)?.as_primitive_opt::<$t>().filter(|it| it.null_count() == 0);
            array.ok_or_else(|| wrong($name))?.values()
        }};
    }
    let shard = values!("shard", types::UInt32Type);
    let row_group = values!("row_group", types::UInt32Type);
    let names = column("column")?.as_string_opt::<i32>().filter(|it| it.null_count() == 0);
    let names = names.ok_or_else(|| wrong("column"))?;
    let offset = values!("offset", types::UInt64Type);
    let length = values!("length", types::UInt64Type);
    let first_row = values!("first_row", types::Int64Type);
    for idx in 0..batch.num_rows() {
        let page = Page {
            row_group: row_group[idx],
            column: names.value(idx),
            offset: offset[idx],
            n_bytes: length[idx],
            first_row: first_row[idx],
        };
        see(shard[idx] as usize, page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::{
        arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
        file::{
            reader::{FileReader, SerializedFileReader},
            statistics::Statistics,
        },
    };

    use super::*;

    /// So many pages of two columns.
    fn pages(n: usize, seed: u64) -> PageTable {
        let mut table = PageTable::default();
        for idx in 0..n {
            table.push(Page {
                row_group: (idx / 10) as u32,
                column: if idx.is_multiple_of(2) { "a" } else { "b.list.element" },
                offset: seed + 4 + idx as u64 * 9,
                n_bytes: 9,
                first_row: idx as i64 - 1,
            });
        }
        table
    }

    #[test]
    fn tables_come_back_and_their_row_groups_end_with_shards() {
        let shards = [pages(3000, 0), pages(0, 0), pages(3000, 7), pages(9000, 1), pages(5, 2)];
        let bytes = Bytes::from(page_table(shards.iter()).unwrap());
        let mut read = vec![PageTable::default(); shards.len()];
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap().build().unwrap() {
            let see = |shard: usize, page: Page<'_>| {
                read[shard].push(page);
                Ok(())
            };
            each_page(&batch.unwrap(), see).unwrap();
        }
        assert_eq!(read, shards);
        let file = SerializedFileReader::new(bytes).unwrap();
        let groups: Vec<(i64, i32, i32)> = file
            .metadata()
            .row_groups()
            .iter()
            .map(|it| {
                let Some(Statistics::Int32(told)) = it.column(0).statistics() else {
                    panic!("no statistics")
                };
                (it.num_rows(), *told.min_opt().unwrap(), *told.max_opt().unwrap())
            })
            .collect();
        assert_eq!(groups, [(6000, 0, 2), (9000, 3, 3), (5, 4, 4)]);
    }

    /// Wherever it is met: once more, in the next row group, or out of turn.
    #[test]
    fn a_column_has_one_name() {
        let met = ["a", "b", "b", "c", "a", "b", "c", "b", "d", "a", "d", "c"];
        let mut table = PageTable::default();
        for column in met {
            table.push(Page { row_group: 0, column, offset: 4, n_bytes: 9, first_row: 0 });
        }
        assert_eq!(table.names, ["a", "b", "c", "d"]);
        assert_eq!(table.iter().map(|it| it.column).collect::<Vec<_>>(), met);
    }

    #[test]
    fn a_dataset_without_pages_has_a_table() {
        let bytes = Bytes::from(page_table(std::iter::empty()).unwrap());
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        assert_eq!((builder.metadata().num_row_groups(), builder.schema().fields().len()), (0, 6));
    }

    #[test]
    fn a_record_of_columns_that_do_not_fit_is_refused() {
        let table = pages(3, 0);
        let text = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<PageTable>(&text).unwrap(), table);
        for (from, to) in [("\"column\":[0,1,0]", "\"column\":[0,2,0]"), ("[9,9,9]", "[9,9]")] {
            assert!(text.contains(from), "{text}");
            assert!(serde_json::from_str::<PageTable>(&text.replace(from, to)).is_err(), "{to}");
        }
    }
}
