use std::sync::Arc;

use arrow_array::RecordBatch;
use nodedata_core::{
    Batch, Columns, EpisodeStream, Error, ErrorKind, LeafId, Locus, Loss, ReadOptions, Result, RowSpan,
    StreamId,
};
use nodedata_steps::{SALVAGE_HINT, STEPS};

use super::{
    cells::{Cell, cell},
    contents::Content,
    fields::{Field, Fields, Flaw, OPEN_QUOTE},
    pass::Dealt,
    records::{Record, Records},
    source::{Opened, Part},
    types::ColumnType,
};
use crate::inputs::key_of;

const STEP_INDEX: LeafId = LeafId(0);

/// Bytes of a batch at most, whatever is asked for: with the longest record behind it stays below what its offsets count.
const BATCH_BYTES_MAX: usize = 256 << 20;
/// Rows of a batch at most, however narrow they are.
const BATCH_ROWS_MAX: usize = 1 << 20;
/// Rows, and bytes of their records, between two looks at how many bytes the columns hold.
const ROWS_PER_SIZE_CHECK: usize = 64;
const BYTES_PER_SIZE_CHECK: usize = 1 << 20;

/// The rows of one partition.
pub(crate) struct RowStream {
    source: Arc<Opened>,
    part: Part,
    content: Content,
    records: Records,
    fields: Fields,
    dealt: Dealt,
    /// By column of the table behind the step index, its position in the file.
    positions: Vec<Option<usize>>,
    batch_bytes_max: usize,
    /// Number of the next record's first line.
    line: u64,
    /// Number of the next record in its file.
    row: u64,
    columns: Columns,
    spans: Vec<RowSpan>,
    /// Whether the next row goes on where the last span ends.
    is_adjacent: bool,
    records_read: [(StreamId, u64); 1],
    /// Rows and bytes of records since the last look at the columns.
    unchecked: (usize, usize),
    /// Damage behind the rows that were handed out.
    pending: Option<Error>,
}

impl RowStream {
    pub(crate) fn new(source: Arc<Opened>, part: Part, options: &ReadOptions) -> Result<Self> {
        let content = source.contents.of(part.input)?;
        let file = &source.files[part.input];
        let text = Arc::clone(&content.text);
        let range = part.stretch.byte_range.clone();
        let records = Records::within(text, file.dialect, range, source.record_bytes_max);
        let key = key_of(&source.plan.inputs[part.input].path);
        let dealt = Dealt::new(source.deal.as_ref(), key, file);
        let position = |name: &String| file.names.iter().position(|it| it == name);
        Ok(Self {
            records,
            fields: Fields::new(file.dialect),
            dealt,
            positions: source.table.columns.iter().map(|(name, _)| position(name)).collect(),
            batch_bytes_max: options.batch_bytes_max.min(BATCH_BYTES_MAX),
            line: part.first_line,
            row: part.first_row,
            columns: Columns::new(Arc::clone(&source.table.layout)),
            spans: Vec::new(),
            is_adjacent: false,
            records_read: [(STEPS, 0)],
            unchecked: (0, 0),
            pending: None,
            source,
            part,
            content,
        })
    }

    /// Takes the next record in. Tells whether there was one.
    fn step(&mut self) -> Result<bool> {
        let path = &self.source.plan.inputs[self.part.input].path;
        let Some(record) = self.records.next_record().map_err(|err| err.at(Locus::path(path)))? else {
            return Ok(false);
        };
        let line = self.line;
        self.line += record.n_lines;
        if record.is_blank() {
            return Ok(true);
        }
        let row = self.row;
        self.row += 1;
        let flaw = self.parse(&record).err();
        if let Some(split) = self.part.split {
            if self.dealt.split_of(flaw.is_none().then_some(&self.fields), row) != split {
                self.is_adjacent = false;
                return Ok(true);
            }
        }
        let step = self.part.first_step + self.records_read[0].1;
        self.records_read[0].1 += 1;
        if let Some(flaw) = flaw.or_else(|| self.push(step).err()) {
            self.is_adjacent = false;
            return Err(self.lost(&record, line, step, flaw));
        }
        let byte_range = self.content.in_file(&record.byte_range);
        match self.spans.last_mut().filter(|_| self.is_adjacent) {
            Some(span) => {
                span.n_rows += 1;
                span.byte_range.end = byte_range.end;
            }
            None => {
                // All of a file that is packed as one member lies in the same bytes.
                let is_one = self.content.spool.as_ref().is_some_and(|it| it.members().len() == 1);
                let first_record = if is_one { row } else { 0 };
                self.spans.push(RowSpan { input: self.part.input, n_rows: 1, byte_range, first_record });
            }
        }
        self.is_adjacent = true;
        self.unchecked = (self.unchecked.0 + 1, self.unchecked.1 + record.bytes.len());
        Ok(true)
    }

    /// Takes a record apart, as far as it is one.
    fn parse(&mut self, record: &Record) -> Result<(), Flaw> {
        if let Some(at) = record.open_quote {
            return Err(Flaw::corrupt(usize::try_from(at).unwrap_or(usize::MAX), OPEN_QUOTE));
        }
        if !record.is_whole {
            let (n_bytes, most) =
                (record.byte_range.end - record.byte_range.start, self.source.record_bytes_max);
            let message = format!("the row has {n_bytes} bytes, more than the {most} that a record may have");
            return Err(Flaw { kind: ErrorKind::Limit, at: 0, message });
        }
        self.fields.parse(&record.bytes)?;
        let (n_fields, n_columns) = (self.fields.len(), self.source.files[self.part.input].names.len());
        if n_fields != n_columns {
            let at = self.fields.get(n_columns).map_or(record.bytes.len(), |it| it.at);
            return Err(Flaw::corrupt(
                at,
                format!("the row has {n_fields} fields, and the file {n_columns} columns"),
            ));
        }
        match str::from_utf8(&record.bytes) {
            Ok(_) => Ok(()),
            Err(err) => Err(Flaw::corrupt(err.valid_up_to(), "the row is not UTF-8")),
        }
    }

    fn push(&mut self, step: u64) -> Result<(), Flaw> {
        self.columns.push_le(STEP_INDEX, &(step as i64).to_le_bytes());
        let columns = self.source.table.columns.iter().zip(&self.positions).enumerate();
        for (idx, ((name, column_type), position)) in columns {
            let id = LeafId(1 + idx);
            let field = position.and_then(|it| self.fields.get(it)).filter(|it| !it.is_absent());
            let pushed = match field {
                None if self.source.plan.streams[0].features[1 + idx].nullable => {
                    self.columns.push_null(id);
                    continue;
                }
                None => Err("nothing"),
                Some(field) => push(&mut self.columns, id, *column_type, field),
            };
            if let Err(found) = pushed {
                self.columns.abort_row();
                let message = format!(
                    "column `{name}` has {found} here, which it had nowhere when its type was learned: \
                     the file is another one"
                );
                return Err(Flaw::corrupt(field.map_or(0, |it| it.at), message));
            }
        }
        self.columns.end_row();
        Ok(())
    }

    /// A record that is no row: one is lost, and more where a quote hides the others.
    fn lost(&self, record: &Record, line: u64, step: u64, flaw: Flaw) -> Error {
        let position = |it: u64| u32::try_from(it).unwrap_or(u32::MAX);
        // Of a record of several lines, the one that is meant.
        let terminator = self.source.files[self.part.input].dialect.terminator;
        let before = &record.bytes[..flaw.at.min(record.bytes.len())];
        let n_lines = memchr::memchr_iter(terminator, before).count();
        let column = before.len() - memchr::memrchr(terminator, before).map_or(0, |it| it + 1);
        let at = Locus {
            line_column: Some((position(line + n_lines as u64), position(column as u64 + 1))),
            byte_offset: Some(record.byte_range.start + flaw.at as u64),
            step_idx: Some(step),
            ..Locus::path(&self.source.plan.inputs[self.part.input].path)
        };
        let reason = if flaw.kind == ErrorKind::Limit { "over_limit" } else { "undecodable" };
        Error::new(flaw.kind, flaw.message).at(at).with_hint(SALVAGE_HINT).with_loss(Loss {
            byte_range: Some(self.content.in_file(&record.byte_range)),
            records: vec![(STEPS, 1)],
            uncounted: record.open_quote.is_some(),
            reason,
        })
    }

    fn is_full(&mut self) -> bool {
        if BATCH_ROWS_MAX <= self.columns.n_rows() {
            return true;
        }
        let (n_rows, n_bytes) = self.unchecked;
        if n_rows < ROWS_PER_SIZE_CHECK && n_bytes < BYTES_PER_SIZE_CHECK.min(self.batch_bytes_max) {
            return false;
        }
        self.unchecked = (0, 0);
        self.batch_bytes_max <= self.columns.n_bytes()
    }

    /// The rows so far; `None` when there are none.
    fn take(&mut self) -> Option<Batch> {
        if self.columns.n_rows() == 0 {
            return None;
        }
        self.unchecked = (0, 0);
        self.is_adjacent = false;
        let schema = Arc::clone(&self.source.table.schema);
        let rows = RecordBatch::try_new(schema, self.columns.finish())
            .expect("the schema comes from the layout the columns follow");
        Some(Batch { stream: STEPS, rows, spans: std::mem::take(&mut self.spans), pixels: Vec::new() })
    }
}

/// Pushes a field that is there; tells what it is where that is not the column's type.
fn push(
    columns: &mut Columns,
    id: LeafId,
    column_type: ColumnType,
    field: Field<'_>,
) -> Result<(), &'static str> {
    match (column_type, cell(field.bytes)) {
        (ColumnType::Text, _) => columns.push_bytes(id, field.bytes),
        (ColumnType::Int, Cell::Int(value)) => columns.push_le(id, &value.to_le_bytes()),
        (ColumnType::Float, Cell::Float(value) | Cell::NotFinite(value)) => {
            columns.push_le(id, &value.to_le_bytes());
        }
        (ColumnType::Float, Cell::Int(value)) => columns.push_le(id, &(value as f64).to_le_bytes()),
        (_, Cell::Float(_) | Cell::NotFinite(_)) => return Err("a number with a fraction"),
        (_, Cell::Text) => return Err("text"),
    }
    columns.push_valid(id);
    Ok(())
}

impl EpisodeStream for RowStream {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        if let Some(damage) = self.pending.take() {
            return Err(damage);
        }
        while !self.is_full() {
            match self.step() {
                Ok(true) => {}
                Ok(false) => break,
                // Rows in front of damage come first.
                Err(damage) => {
                    let Some(batch) = self.take() else { return Err(damage) };
                    self.pending = Some(damage);
                    return Ok(Some(batch));
                }
            }
        }
        Ok(self.take())
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }
}
