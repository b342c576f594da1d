use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use arrow_array::RecordBatch;
use nodedata_core::{Error, ErrorKind, Files, Locus, Result};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
        },
    },
    basic::Type as PhysicalType,
    errors::ParquetError,
    file::metadata::{PageIndexPolicy, ParquetMetaData},
};

use crate::{
    Batches, Ranges, RowGroup,
    embedded::with_embedded_types,
    encryption::{encrypted, encrypted_columns, refuse_encrypted},
    far_times::{self, FarTimes},
    guarded::guarded_pages,
    page_walk::with_page_starts,
    watched::{OTHER_CHECKSUM, Seen, Watched},
};

/// Row groups whose pages were looked through that are remembered: parts of few are read at a time.
const WALKED_GROUPS_KEPT: usize = 8;

/// A Parquet file that somebody else wrote: its bytes by range, and its footer.
pub struct ParquetFile {
    /// Where it lies among the files of its source.
    pub path: PathBuf,
    bytes: Ranges,
    /// How times of 96 bits are held against what 64 bits make of them; `None` where it has none.
    far_times: Option<FarTimes>,
    /// Types come from Parquet: of what writers put beside it in Arrow's own spelling, which differs between versions of them and is
    /// often dropped, only what Parquet has no word for.
    pub(crate) footer: ArrowReaderMetadata,
    /// Positions of the columns that are encrypted.
    pub(crate) encrypted: BTreeSet<usize>,
    verifies: bool,
    /// Whether rows in the middle of a row group are read without those before them as far as possible.
    by_pages: bool,
    /// By row group, what looking through its pages told.
    walked: Mutex<BTreeMap<usize, Walked>>,
    hint: &'static str,
}

/// A row group alone, with where its pages begin.
struct Alone {
    footer: ArrowReaderMetadata,
    /// As [`FarTimes::seconds`].
    seconds: Option<ArrowReaderMetadata>,
}

/// Nothing where looking at pages told nothing more than the file does.
type Walked = Arc<OnceLock<Option<Arc<Alone>>>>;

impl ParquetFile {
    /// Opens a file and reads its footer. `hint` is what the user can do about the file when it is damaged.
    ///
    /// # Errors
    /// `Io` when it is not there, `Corrupt` when it is no whole Parquet file.
    pub fn open(files: &dyn Files, path: &Path, hint: &'static str) -> Result<Self> {
        Self::load(files, path, hint, PageIndexPolicy::Skip)
    }

    /// As [`Self::open`], and reads where pages lie as far as the file tells, so that rows in the middle of a row group can be read
    /// without those before them.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_pages(files: &dyn Files, path: &Path, hint: &'static str) -> Result<Self> {
        // Where it is damaged, the pages themselves are still there.
        Self::load(files, path, hint, PageIndexPolicy::Optional).or_else(|err| match err.kind() {
            ErrorKind::Corrupt => Self::open(files, path, hint),
            _ => Err(err),
        })
    }

    fn load(files: &dyn Files, path: &Path, hint: &'static str, pages: PageIndexPolicy) -> Result<Self> {
        let file = files.open(path).map_err(|err| err.at(Locus::path(path)))?;
        let bytes = Ranges(file);
        let options =
            ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_offset_index_policy(pages);
        refuse_encrypted(&*bytes.0).map_err(|err| err.at(Locus::path(path)))?;
        let seen = Arc::default();
        let footer = crate::footer(&Watched::new(&bytes, &seen), options);
        let encrypted_columns = encrypted_columns(&*bytes.0);
        let damaged = |err| match seen.take_failure() {
            Some(failure) => failure.at(Locus::path(path)),
            None if !encrypted_columns.is_empty() => {
                encrypted("columns of the Parquet file are").at(Locus::path(path))
            }
            None => corrupt(err, path, hint, "the Parquet file cannot be read"),
        };
        let footer = with_embedded_types(footer.map_err(damaged)?);
        let far_times = FarTimes::of(&footer).map_err(damaged)?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
            far_times,
            footer,
            encrypted: encrypted_columns,
            verifies: true,
            by_pages: pages != PageIndexPolicy::Skip,
            walked: Mutex::default(),
            hint,
        })
    }

    /// Whether pages that have a checksum are held against it, as they are unless this says otherwise.
    #[must_use]
    pub fn verifying(self, verifies: bool) -> Self {
        Self { verifies, ..self }
    }

    /// What the file says of itself under a key.
    pub fn key_value(&self, key: &str) -> Option<&str> {
        let all = self.footer.metadata().file_metadata().key_value_metadata()?;
        all.iter().find(|it| it.key == key)?.value.as_deref()
    }

    /// Whether rows in the middle of a row group are reached only through those before them: those of lists, whose pages say how many
    /// values they hold and not of how many rows.
    pub fn walks_through_pages(&self) -> bool {
        let schema = self.footer.parquet_schema();
        let metadata = self.footer.metadata();
        let is_list = |column: &usize| 0 < schema.column(*column).max_rep_level();
        let is_told = |group: usize, column: usize| {
            metadata.page_index().is_some_and(|it| it.page_locations(group, column).is_some())
        };
        let n_groups = metadata.num_row_groups();
        (0..schema.num_columns()).filter(is_list).any(|column| (0..n_groups).any(|it| !is_told(it, column)))
    }

    /// Whether it has columns of text or bytes, whose values may be long where a dictionary holds them once.
    pub fn has_byte_arrays(&self) -> bool {
        let schema = self.footer.parquet_schema();
        schema.columns().iter().any(|it| it.physical_type() == PhysicalType::BYTE_ARRAY)
    }

    /// Rows that the footer counts.
    pub fn n_rows(&self) -> u64 {
        self.footer
            .metadata()
            .row_groups()
            .iter()
            .fold(0, |sum: u64, it| sum.saturating_add(it.num_rows().max(0) as u64))
    }

    /// Length of the file.
    pub fn n_bytes(&self) -> u64 {
        self.bytes.0.n_bytes()
    }

    /// The names of the top-level columns, in order.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        self.footer.schema().fields().iter().map(|it| it.name().as_str())
    }

    /// The row groups in order: first row, rows, bytes in the file, bytes after decompression.
    pub fn row_groups(&self) -> Vec<RowGroup> {
        let mut first_row = 0;
        let groups = self.footer.metadata().row_groups().iter();
        groups
            .map(|group| {
                let ranges = group.columns().iter().map(|it| {
                    let (start, n) = it.byte_range();
                    start..start.saturating_add(n)
                });
                let start = ranges.clone().map(|it| it.start).min().unwrap_or(0).min(self.n_bytes());
                let end = ranges.map(|it| it.end).max().unwrap_or(0).clamp(start, self.n_bytes());
                let n_rows = group.num_rows().max(0) as u64;
                let n_decoded = group.total_byte_size().max(0) as u64;
                let row_group = RowGroup { first_row, n_rows, byte_range: start..end, n_decoded };
                // Rows past what any file can have are refused where they are read.
                first_row = first_row.saturating_add(n_rows);
                row_group
            })
            .collect()
    }

    /// Batches of the rows of one range, of the top-level columns called `columns`, in the file's own order of
    /// columns. Names that the file does not have are left out.
    ///
    /// # Errors
    /// `Corrupt` when a page cannot be read.
    pub fn rows(&self, columns: &[&str], rows: Range<u64>, batch_rows: usize) -> Result<Rows> {
        self.picked_rows(columns, &[rows], batch_rows)
    }

    /// As [`Self::rows`], of several ranges, in order.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn picked_rows(&self, columns: &[&str], rows: &[Range<u64>], batch_rows: usize) -> Result<Rows> {
        self.read(columns, &self.picked(rows), batch_rows)
    }

    /// As [`Self::rows`], of one row group by its position: the others are not looked through for it.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn group_rows(&self, columns: &[&str], group: usize, batch_rows: usize) -> Result<Rows> {
        let n_rows =
            self.footer.metadata().row_groups().get(group).map_or(0, |it| it.num_rows().max(0) as usize);
        let rows = RowSelection::from_consecutive_ranges(std::iter::once(0..n_rows), n_rows);
        let groups = if n_rows == 0 { Vec::new() } else { vec![group] };
        self.read(columns, &Picked { groups, rows }, batch_rows)
    }

    fn read(&self, columns: &[&str], picked: &Picked, batch_rows: usize) -> Result<Rows> {
        let roots = |is_wanted: &dyn Fn(&str) -> bool| {
            let descriptor = self.footer.parquet_schema();
            let fields = descriptor.root_schema().get_fields().iter().enumerate();
            let roots = fields.filter(|(_, it)| is_wanted(it.name())).map(|(idx, _)| idx);
            ProjectionMask::roots(descriptor, roots)
        };
        let is_wanted = |name: &str| columns.contains(&name);
        let alone = self.alone(picked, &is_wanted);
        let footer = alone.as_ref().map_or(&self.footer, |it| &it.footer);
        let first = Picked { groups: vec![0], rows: picked.rows.clone() };
        let picked = if alone.is_some() { &first } else { picked };
        let seen = Arc::default();
        let batches =
            |footer: &ArrowReaderMetadata, mask| self.batches(footer, mask, picked, batch_rows, &seen);
        let seconds = match &self.far_times {
            Some(it) if it.columns.iter().any(|it| is_wanted(it)) => {
                let has_times = |name: &str| is_wanted(name) && it.columns.iter().any(|it| it == name);
                let footer = alone.as_ref().and_then(|it| it.seconds.as_ref()).unwrap_or(&it.seconds);
                Some(batches(footer, roots(&has_times))?)
            }
            Some(_) | None => None,
        };
        let batches = batches(footer, roots(&is_wanted))?;
        let footer = Arc::clone(self.footer.metadata());
        Ok(Rows { path: self.path.clone(), hint: self.hint, footer, batches, seconds, seen })
    }

    /// The one row group that some rows are of, where these are not all of it, lists are wanted of them, and there is more to know of its
    /// pages than the file tells.
    fn alone(&self, picked: &Picked, is_wanted: &dyn Fn(&str) -> bool) -> Option<Arc<Alone>> {
        let [group] = picked.groups[..] else { return None };
        let n_rows = self.footer.metadata().row_groups().get(group)?.num_rows();
        let is_whole = u64::try_from(n_rows) == Ok(picked.rows.row_count() as u64);
        let has_lists = || {
            let mut lists = self.footer.parquet_schema().columns().iter().filter(|it| 0 < it.max_rep_level());
            lists.any(|it| it.path().parts().first().is_some_and(|root| is_wanted(root)))
        };
        if is_whole || !self.by_pages || !has_lists() {
            return None;
        }
        let walked = {
            let mut all = self.walked.lock().unwrap_or_else(PoisonError::into_inner);
            if WALKED_GROUPS_KEPT <= all.len() && !all.contains_key(&group) {
                all.pop_first();
            }
            Arc::clone(all.entry(group).or_default())
        };
        walked.get_or_init(|| self.walk(group).map(Arc::new)).clone()
    }

    fn walk(&self, group: usize) -> Option<Alone> {
        let metadata = Arc::new(with_page_starts(&self.bytes, self.footer.metadata(), group)?);
        let with_types = |of: &ArrowReaderMetadata| {
            let options = ArrowReaderOptions::new().with_schema(Arc::clone(of.schema()));
            guarded_pages(|| ArrowReaderMetadata::try_new(Arc::clone(&metadata), options)).ok()
        };
        let seconds = match &self.far_times {
            Some(it) => Some(with_types(&it.seconds)?),
            None => None,
        };
        Some(Alone { footer: with_types(&self.footer)?, seconds })
    }

    /// The row groups that have any of these rows.
    fn picked(&self, rows: &[Range<u64>]) -> Picked {
        let (start, end) = (rows.first().map_or(0, |it| it.start), rows.last().map_or(0, |it| it.end));
        let groups: Vec<(usize, RowGroup)> = self
            .row_groups()
            .into_iter()
            .enumerate()
            .filter(|(_, it)| it.first_row < end && start < it.first_row + it.n_rows)
            .collect();
        let first = groups.first().map_or(start, |(_, it)| it.first_row);
        let last = groups.last().map_or(first, |(_, it)| it.first_row + it.n_rows);
        let within = |row: u64| (row.clamp(first, last) - first) as usize;
        let picked = rows.iter().map(|it| within(it.start)..within(it.end)).filter(|it| !it.is_empty());
        let rows = RowSelection::from_consecutive_ranges(picked, (last - first) as usize);
        Picked { groups: groups.iter().map(|(idx, _)| *idx).collect(), rows }
    }

    fn batches(
        &self,
        footer: &ArrowReaderMetadata,
        mask: ProjectionMask,
        picked: &Picked,
        batch_rows: usize,
        seen: &Arc<Seen>,
    ) -> Result<Batches> {
        let file = Watched::new(&self.bytes, seen).verifying(self.verifies);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer.clone())
            .with_projection(mask)
            .with_row_groups(picked.groups.clone())
            .with_row_selection(picked.rows.clone())
            .with_batch_size(batch_rows.max(1));
        Batches::of(builder).map_err(|err| match seen.take_failure() {
            Some(failure) => failure.at(Locus::path(&self.path)),
            None => corrupt(err, &self.path, self.hint, "the rows cannot be read"),
        })
    }
}

/// Row groups, and which rows of all of them together.
struct Picked {
    groups: Vec<usize>,
    rows: RowSelection,
}

/// Batches of rows, in order.
pub struct Rows {
    path: PathBuf,
    hint: &'static str,
    footer: Arc<ParquetMetaData>,
    batches: Batches,
    /// The same rows of columns with times of 96 bits, in seconds.
    seconds: Option<Batches>,
    seen: Arc<Seen>,
}

impl Rows {
    /// Why rows cannot be read.
    fn damaged(&self, err: ParquetError) -> Error {
        let at = Locus::path(&self.path);
        if let Some(failure) = self.seen.take_failure() {
            return failure.at(at);
        }
        if err.to_string().contains(OTHER_CHECKSUM)
            && let Some(page) = self.last_page()
        {
            return page.at(at).with_hint(self.hint);
        }
        corrupt(err, &self.path, self.hint, "a page of the Parquet file cannot be read")
    }

    /// That the page which was read last has another checksum than was written.
    fn last_page(&self) -> Option<Error> {
        let at = self.seen.last();
        let groups = self.footer.row_groups().iter().enumerate();
        let mut chunks = groups.flat_map(|(group, it)| it.columns().iter().map(move |it| (group, it)));
        let (group, chunk) = chunks.find(|(_, it)| {
            let (start, n_bytes) = it.byte_range();
            (start..start.saturating_add(n_bytes)).contains(&at)
        })?;
        let column = chunk.column_path().parts().first()?;
        let message = format!(
            "a page of column `{column}` in row group {group} has another checksum than was written with it: \
             its bytes are not what they were"
        );
        let at = Locus { byte_offset: Some(at), ..Locus::feature(column) };
        Some(Error::new(ErrorKind::Corrupt, message).at(at))
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = match self.batches.next()? {
            Ok(rows) => rows,
            Err(err) => return Some(Err(self.damaged(err))),
        };
        let seconds = match self.seconds.as_mut().and_then(Iterator::next).transpose() {
            Ok(seconds) => seconds,
            Err(err) => return Some(Err(self.damaged(err))),
        };
        let checked = seconds.map_or(Ok(()), |it| far_times::check(&rows, &it));
        Some(checked.map(|()| rows).map_err(|err| err.at(Locus::path(&self.path))))
    }
}

fn corrupt(err: ParquetError, path: &Path, hint: &str, message: &str) -> Error {
    // What a codec or an encoding is called that the reader does not have.
    let kind = if let ParquetError::NYI(_) = err { ErrorKind::Unsupported } else { ErrorKind::Corrupt };
    Error::new(kind, message).with_source(err).at(Locus::path(path)).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int64Array, ListArray};
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::{DataType, Field};
    use bytes::Bytes;
    use nodedata_core::ReadAt;
    use parquet::{
        arrow::ArrowWriter,
        file::properties::{EnabledStatistics, WriterProperties},
    };

    use super::*;

    /// One file, whatever it is called.
    struct One(Bytes);

    struct OneFile(Bytes);

    impl Files for One {
        fn list(&self) -> Result<Vec<PathBuf>> {
            Ok(vec![PathBuf::from("a.parquet")])
        }

        fn open(&self, _path: &Path) -> Result<Arc<dyn ReadAt>> {
            Ok(Arc::new(OneFile(self.0.clone())))
        }
    }

    impl ReadAt for OneFile {
        fn n_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
            Ok(self.0.slice(range.start as usize..range.end as usize))
        }
    }

    /// Numbers, and lists whose pages no index tells.
    fn file() -> ParquetFile {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..2000));
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(2, 1000));
        let lists: ArrayRef = Arc::new(ListArray::new(item, offsets, values, None));
        let rows = RecordBatch::try_from_iter([("n", numbers), ("v", lists)]).unwrap();
        let properties = WriterProperties::builder()
            .set_offset_index_disabled(true)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_data_page_row_count_limit(100)
            .set_write_batch_size(50)
            .build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        ParquetFile::open_with_pages(&One(Bytes::from(bytes)), Path::new("a.parquet"), "").unwrap()
    }

    /// Lists may be nearly all of a file: who wants none of them does not pay for where their pages begin.
    #[test]
    fn pages_of_lists_are_looked_through_for_lists_alone() {
        let file = file();
        assert!(file.walks_through_pages());
        let n_walked = |columns: &[&str]| {
            let rows = file.rows(columns, 500..600, 1000).unwrap();
            assert_eq!(rows.map(|it| it.unwrap().num_rows()).sum::<usize>(), 100);
            file.walked.lock().unwrap().len()
        };
        assert_eq!(n_walked(&["n"]), 0);
        assert_eq!(n_walked(&["n", "v"]), 1);
    }
}
