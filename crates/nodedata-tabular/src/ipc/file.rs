use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::Fields;
use arrow_select::take::take_record_batch;
use nodedata_arrow::{RowGroup, guarded};
use nodedata_core::{Error, ErrorKind, Files, Locus, OpenOptions, ReadAt, Result};

use super::{
    bodies::Bodies,
    messages::{CONTINUATION, Kind, Messages},
    nulls::noted,
};
use crate::inputs::RESTORE_HINT;

const FILE_MAGIC: &[u8] = b"ARROW1\0\0";
const FEATHER_V1: &[u8] = b"FEA1";
/// By how much a packed body may be taken to grow, where only its bytes tell.
const GROWTH: u64 = 4;

/// An Arrow file or stream that somebody else wrote.
pub(crate) struct IpcFile {
    path: PathBuf,
    messages: Messages,
    /// As its record batches fill them.
    pub(crate) fields: Fields,
    pub(crate) groups: Vec<RowGroup>,
    /// By row group, its position among the messages.
    positions: Vec<usize>,
    bodies: Bodies,
    partition_bytes: u64,
}

/// Whether bytes begin an Arrow file, or a stream.
pub(crate) fn begins(head: &[u8]) -> bool {
    if head.starts_with(FILE_MAGIC) || head.starts_with(FEATHER_V1) {
        return true;
    }
    // The schema's message: a length, and the place of a table in it.
    let Some(rest) = head.strip_prefix(&CONTINUATION) else { return false };
    let number = |at: usize| Some(u32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    let (Some(length), Some(root)) = (number(0), number(4)) else { return false };
    let is_plausible = (16..1 << 28).contains(&length) && length.is_multiple_of(8) && root < length;
    match rest.get(4..4 + length as usize) {
        Some(message) => {
            guarded(|| arrow_ipc::root_as_message(message).is_ok_and(|it| it.header_as_schema().is_some()))
                .unwrap_or(false)
        }
        None => is_plausible && root.is_multiple_of(4) && root <= 64,
    }
}

impl IpcFile {
    /// Looks at the heads of all messages.
    ///
    /// # Errors
    /// `Io`; `Corrupt`; `Unsupported`.
    pub(crate) fn open(files: &dyn Files, path: &Path, options: &OpenOptions) -> Result<Self> {
        let file = files.open(path).map_err(|err| err.at(Locus::path(path)))?;
        let messages = messages(&*file).map_err(|err| {
            let err = if err.hint().is_some() { err } else { err.with_hint(RESTORE_HINT) };
            err.at(Locus::path(path))
        })?;
        let fields = noted(messages.schema.fields(), &messages.nulls, &messages.null_dictionaries);
        let (mut groups, mut positions, mut first_row) = (Vec::new(), Vec::new(), 0u64);
        // Bytes that a row of text has in the dictionaries so far, as all of them tell together.
        let (mut n_words, mut word_bytes) = (0u64, 0u64);
        for (position, found) in messages.all.iter().enumerate() {
            let growth = if found.is_packed { GROWTH } else { 1 };
            let n_bytes = found.n_body.saturating_mul(growth);
            if let Kind::Dictionary { .. } = found.kind {
                n_words = n_words.saturating_add(found.n_rows);
                word_bytes = word_bytes.saturating_add(n_bytes);
                continue;
            }
            let looked_up = (word_bytes / n_words.max(1)).saturating_mul(found.n_rows);
            groups.push(RowGroup {
                first_row,
                n_rows: found.n_rows,
                byte_range: found.byte_range(),
                n_decoded: n_bytes.saturating_add(looked_up),
            });
            positions.push(position);
            first_row = first_row.saturating_add(found.n_rows);
        }
        let bodies = Bodies::new(file, options.record_bytes_max);
        let partition_bytes = options.partition_bytes;
        Ok(Self { path: path.to_owned(), messages, fields, groups, positions, bodies, partition_bytes })
    }

    /// What the file says of itself under a key.
    pub(crate) fn key_value(&self, key: &str) -> Option<&str> {
        self.messages.schema.metadata().get(key).map(String::as_str)
    }

    /// What ended it before its end.
    pub(crate) fn take_damage(&mut self) -> Option<Error> {
        let damage = self.messages.damage.take()?;
        Some(damage.at(Locus::path(&self.path)).with_hint(RESTORE_HINT))
    }

    /// Bytes behind the end of the stream.
    pub(crate) fn n_behind(&self) -> u64 {
        self.messages.n_behind
    }

    /// Batches of some rows, of the columns called so.
    pub(crate) fn picked_rows(
        self: &Arc<Self>,
        columns: &[&str],
        rows: &[Range<u64>],
        batch_rows: usize,
    ) -> IpcRows {
        let fields = self.fields.iter().enumerate();
        let columns = fields.filter(|(_, it)| columns.contains(&it.name().as_str())).map(|(idx, _)| idx);
        IpcRows {
            columns: columns.collect(),
            file: Arc::clone(self),
            rows: rows.iter().filter(|it| !it.is_empty()).cloned().rev().collect(),
            batch_rows: batch_rows.max(1),
            current: None,
        }
    }

    /// The rows of a row group, which are as many as its head says.
    fn group(&self, group: usize, columns: &[usize]) -> Result<Arc<RecordBatch>> {
        let is_large = self.partition_bytes < self.groups[group].n_decoded;
        let rows = self.bodies.rows(&self.messages, self.positions[group], columns, is_large);
        rows.map_err(|err| err.at(Locus::path(&self.path)))
    }
}

fn messages(file: &dyn ReadAt) -> Result<Messages> {
    let head = file.peek_at(0..file.n_bytes().min(8))?;
    if head.starts_with(FEATHER_V1) {
        let message = "the file is Feather of version 1, from before Arrow had a format for files";
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint(
            "`pyarrow.feather.write_feather(pyarrow.feather.read_table(FILE), FILE)` writes version 2",
        ));
    }
    if head.starts_with(FILE_MAGIC) { Messages::of_file(file) } else { Messages::of_stream(file, 0) }
}

/// Batches of rows, in order.
pub(crate) struct IpcRows {
    file: Arc<IpcFile>,
    columns: Vec<usize>,
    /// Those still to come, the next ones last.
    rows: Vec<Range<u64>>,
    batch_rows: usize,
    /// The row group of the last batch, decoded.
    current: Option<(usize, Arc<RecordBatch>)>,
}

impl IpcRows {
    /// The rows of a row group, decoded once for all batches of it.
    fn group(&mut self, group: usize) -> Result<Arc<RecordBatch>> {
        if let Some((_, rows)) = self.current.as_ref().filter(|it| it.0 == group) {
            return Ok(Arc::clone(rows));
        }
        // It is not held while the next one is decoded.
        self.current = None;
        let rows = self.file.group(group, &self.columns)?;
        self.current = Some((group, Arc::clone(&rows)));
        Ok(rows)
    }

    fn batch(&mut self, first: u64) -> Result<RecordBatch> {
        let groups = &self.file.groups;
        let group = groups.partition_point(|it| it.first_row + it.n_rows <= first);
        let Some(of) = groups.get(group).cloned() else {
            return Err(Error::new(ErrorKind::Corrupt, "there are fewer rows than the plan counted"));
        };
        let end = of.first_row + of.n_rows;
        // Of the next rows, those of this row group.
        let mut picked: Vec<Range<u64>> = Vec::new();
        let mut n_rows = 0;
        while let Some(next) =
            self.rows.last_mut().filter(|it| it.start < end && n_rows < self.batch_rows as u64)
        {
            let n = (next.end.min(end) - next.start).min(self.batch_rows as u64 - n_rows);
            picked.push(next.start..next.start + n);
            n_rows += n;
            next.start += n;
            if next.is_empty() {
                self.rows.pop();
            }
        }
        let rows = self.group(group)?;
        if rows.num_rows() as u64 != of.n_rows {
            return Err(Error::new(ErrorKind::Corrupt, "a record batch has other rows than its head says")
                .at(Locus::byte(of.byte_range.start)));
        }
        let within = |row: u64| (row - of.first_row) as usize;
        if let [only] = &picked[..] {
            return Ok(rows.slice(within(only.start), (only.end - only.start) as usize));
        }
        let places = picked.into_iter().flatten().map(|it| within(it) as u32);
        let places: UInt32Array = places.collect();
        match guarded(|| take_record_batch(&rows, &places)) {
            Some(Ok(rows)) => Ok(rows),
            Some(Err(err)) => Err(Error::new(ErrorKind::Corrupt, "rows cannot be picked").with_source(err)),
            None => Err(Error::new(ErrorKind::Corrupt, "rows cannot be picked")),
        }
    }
}

impl Iterator for IpcRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.rows.last()?.start;
        let batch = self.batch(first);
        if batch.is_err() {
            self.rows.clear();
        }
        Some(batch)
    }
}
