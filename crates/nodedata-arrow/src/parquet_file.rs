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
    errors::ParquetError,
};

use crate::{Batches, Ranges, RowGroup};

/// A Parquet file that somebody else wrote: its bytes by range, and its footer.
pub struct ParquetFile {
    /// Where it lies among the files of its source.
    pub path: PathBuf,
    bytes: Ranges,
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
        let file = files.open(path).map_err(|err| err.at(Locus::path(path)))?;
        let bytes = Ranges(file);
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let footer = crate::footer(&bytes, options)
            .map_err(|err| corrupt(err, path, hint, "the Parquet file cannot be read"))?;
        Ok(Self { path: path.to_owned(), bytes, footer, hint })
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
        let descriptor = self.footer.parquet_schema();
        let wanted = descriptor.root_schema().get_fields().iter().enumerate();
        let roots: Vec<usize> =
            wanted.filter(|(_, it)| columns.contains(&it.name())).map(|(idx, _)| idx).collect();
        let mask = ProjectionMask::roots(descriptor, roots);
        let groups: Vec<(usize, RowGroup)> = self
            .row_groups()
            .into_iter()
            .enumerate()
            .filter(|(_, it)| it.first_row < rows.end && rows.start < it.first_row + it.n_rows)
            .collect();
        let first = groups.first().map_or(rows.start, |(_, it)| it.first_row);
        let last = groups.last().map_or(first, |(_, it)| it.first_row + it.n_rows);
        let picked = (rows.start.max(first) - first) as usize..(rows.end.min(last) - first) as usize;
        let selection =
            RowSelection::from_consecutive_ranges(std::iter::once(picked), (last - first) as usize);
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.footer.clone())
                .with_projection(mask)
                .with_row_groups(groups.iter().map(|(idx, _)| *idx).collect())
                .with_row_selection(selection)
                .with_batch_size(batch_rows.max(1));
        let batches = Batches::of(builder)
            .map_err(|err| corrupt(err, &self.path, self.hint, "the rows cannot be read"))?;
        Ok(Rows { path: self.path.clone(), hint: self.hint, batches })
    }
}

/// Batches of rows, in order.
pub struct Rows {
    path: PathBuf,
    hint: &'static str,
    batches: Batches,
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = "a page of the Parquet file cannot be read";
        self.batches.next().map(|it| it.map_err(|err| corrupt(err, &self.path, self.hint, message)))
    }
}

fn corrupt(err: ParquetError, path: &Path, hint: &str, message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message).with_source(err).at(Locus::path(path)).with_hint(hint)
}
