use std::{
    ops::Range,
    path::{Path, PathBuf},
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
    file::metadata::PageIndexPolicy,
};

use crate::{
    Batches, Ranges, RowGroup,
    far_times::{self, FarTimes},
};

/// A Parquet file that somebody else wrote: its bytes by range, and its footer.
pub struct ParquetFile {
    /// Where it lies among the files of its source.
    pub path: PathBuf,
    bytes: Ranges,
    /// How times of 96 bits are held against what 64 bits make of them; `None` where it has none.
    far_times: Option<FarTimes>,
    /// Types come from Parquet alone: what writers put beside it in Arrow's own spelling differs between
    /// versions of them, and is often dropped.
    pub(crate) footer: ArrowReaderMetadata,
    hint: &'static str,
}

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
        refuse_encrypted(&bytes).map_err(|err| err.at(Locus::path(path)))?;
        let footer = crate::footer(&bytes, options)
            .map_err(|err| corrupt(err, path, hint, "the Parquet file cannot be read"))?;
        let far_times = FarTimes::of(&footer)
            .map_err(|err| corrupt(err, path, hint, "the Parquet file cannot be read"))?;
        Ok(Self { path: path.to_owned(), bytes, far_times, footer, hint })
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
        let batches = |footer: &ArrowReaderMetadata, mask| self.batches(footer, mask, picked, batch_rows);
        let seconds = match &self.far_times {
            Some(it) if it.columns.iter().any(|it| is_wanted(it)) => {
                let has_times = |name: &str| is_wanted(name) && it.columns.iter().any(|it| it == name);
                Some(batches(&it.seconds, roots(&has_times))?)
            }
            Some(_) | None => None,
        };
        let batches = batches(&self.footer, roots(&is_wanted))?;
        Ok(Rows { path: self.path.clone(), hint: self.hint, batches, seconds })
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
    ) -> Result<Batches> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), footer.clone())
            .with_projection(mask)
            .with_row_groups(picked.groups.clone())
            .with_row_selection(picked.rows.clone())
            .with_batch_size(batch_rows.max(1));
        Batches::of(builder).map_err(|err| corrupt(err, &self.path, self.hint, "the rows cannot be read"))
    }
}

/// Row groups, and which rows of all of them together.
struct Picked {
    groups: Vec<usize>,
    rows: RowSelection,
}

/// A file whose footer is encrypted ends otherwise; one whose columns are shows it only where they are read.
fn refuse_encrypted(bytes: &Ranges) -> Result<()> {
    let n_bytes = bytes.0.n_bytes();
    if n_bytes < 8 || bytes.0.read_at(n_bytes - 4..n_bytes)? != b"PARE"[..] {
        return Ok(());
    }
    let message = "the Parquet file is encrypted, and this build has no keys";
    Err(Error::new(ErrorKind::Unsupported, message)
        .with_hint("decrypt it where its keys are: write it again without encryption"))
}

/// Batches of rows, in order.
pub struct Rows {
    path: PathBuf,
    hint: &'static str,
    batches: Batches,
    /// The same rows of columns with times of 96 bits, in seconds.
    seconds: Option<Batches>,
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = "a page of the Parquet file cannot be read";
        let damaged = |err| corrupt(err, &self.path, self.hint, message);
        let rows = match self.batches.next()? {
            Ok(rows) => rows,
            Err(err) => return Some(Err(damaged(err))),
        };
        let seconds = match self.seconds.as_mut().and_then(Iterator::next).transpose() {
            Ok(seconds) => seconds,
            Err(err) => return Some(Err(damaged(err))),
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
