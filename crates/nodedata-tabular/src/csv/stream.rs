use std::sync::Arc;

use nodedata_core::{Columns, Error, ErrorKind, LeafId, Locus, Loss, Result, human::plural};
use nodedata_io::packed::Content;
use nodedata_steps::{RecordPlace, SALVAGE_HINT, STEPS, SamplePart, SampleReader, SampleRows, key_of};

use super::{
    cells::{Cell, float, int},
    column_types::ColumnType,
    fields::{Field, Fields, Flaw, OPEN_QUOTE, QUOTE_HINT, Row},
    pass::{Dealt, Stretch},
    records::{Record, Records},
    source::{Opened, Table},
};

/// The records of one partition.
pub(crate) struct RowReader {
    source: Arc<Opened>,
    input: usize,
    split: Option<usize>,
    content: Content,
    records: Records,
    fields: Fields,
    dealt: Dealt,
    /// By column of the table behind the step index.
    wanted: Vec<Wanted>,
    /// Number of the next record's first line.
    line: u64,
    /// Number of the next record in its file.
    number: u64,
}

/// A column of the table, as it is in one file.
struct Wanted {
    /// Where in its rows, if it has the column.
    position: Option<usize>,
    column_type: ColumnType,
    is_nullable: bool,
}

impl RowReader {
    pub(crate) fn new(source: Arc<Opened>, part: &SamplePart<Stretch>) -> Result<Self> {
        let content = source.contents.of(part.input)?;
        let file = &source.files[part.input];
        let (text, range) = (Arc::clone(&content.text), part.stretch.text.clone());
        let records = Records::within(text, file.dialect, range, source.record_bytes_max);
        let key = key_of(&source.plan.inputs[part.input].path);
        let features = source.plan.streams[0].features.iter().skip(1);
        let wanted = source.table.columns.iter().zip(features).map(|((name, column_type), feature)| Wanted {
            position: file.names.iter().position(|it| it == name),
            column_type: *column_type,
            is_nullable: feature.nullable,
        });
        Ok(Self {
            input: part.input,
            split: part.split,
            records,
            fields: Fields::new(file.dialect),
            dealt: Dealt::new(source.deal.as_ref(), &key, file),
            wanted: wanted.collect(),
            line: part.stretch.first_line,
            number: part.stretch.first_record,
            source,
            content,
        })
    }

    /// A record that is no row: one is lost, and more where a quote hides the others.
    fn lost(&self, record: &Record, line: u64, step: u64, flaw: Flaw) -> Error {
        let position = |it: u64| u32::try_from(it).unwrap_or(u32::MAX);
        // Of a record of several lines, the one that is meant.
        let terminator = self.source.files[self.input].dialect.terminator;
        let before = &record.bytes[..flaw.at.min(record.bytes.len())];
        let n_lines = memchr::memchr_iter(terminator, before).count();
        let column = before.len() - memchr::memrchr(terminator, before).map_or(0, |it| it + 1);
        let at = Locus {
            line_column: Some((position(line + n_lines as u64), position(column as u64 + 1))),
            byte_offset: Some(record.byte_range.start + flaw.at as u64),
            step_idx: Some(step),
            ..Locus::path(&self.source.plan.inputs[self.input].path)
        };
        let reason = if flaw.kind == ErrorKind::Limit { "over_limit" } else { "undecodable" };
        let hint = if flaw.message == OPEN_QUOTE {
            format!("{QUOTE_HINT}; {SALVAGE_HINT}")
        } else {
            SALVAGE_HINT.to_owned()
        };
        Error::new(flaw.kind, flaw.message).at(at).with_hint(hint).with_loss(Loss {
            byte_range: Some(self.content.in_file(&record.byte_range)),
            records: vec![(STEPS, 1)],
            uncounted: record.open_quote.is_some(),
            reason,
        })
    }
}

/// Takes a record apart, as far as it is one: no longer than `bytes_max`, with a field for each of the file's columns.
fn parse<'r>(
    fields: &'r mut Fields,
    record: &'r Record,
    n_columns: usize,
    bytes_max: u64,
) -> Result<Row<'r>, Flaw> {
    if let Some(at) = record.open_quote {
        return Err(Flaw::corrupt(usize::try_from(at).unwrap_or(usize::MAX), OPEN_QUOTE));
    }
    if !record.is_whole {
        let n_bytes = record.byte_range.end - record.byte_range.start;
        let message =
            format!("the row has {n_bytes} bytes, more than the {bytes_max} that a record may have");
        return Err(Flaw { kind: ErrorKind::Limit, at: 0, message });
    }
    let row = fields.parse(&record.bytes)?;
    if row.len() != n_columns {
        let at = row.get(n_columns).map_or(record.bytes.len(), |it| it.at);
        let (fields, columns) = (plural(row.len() as u64, "field"), plural(n_columns as u64, "column"));
        let message = format!("the row has {fields}, and the file has {columns}");
        return Err(Flaw::corrupt(at, message));
    }
    row.check_text()?;
    Ok(row)
}

/// Pushes the fields of a row, all of them or, where one is not what was learned, some.
fn fill(row: Row<'_>, wanted: &[Wanted], table: &Table, columns: &mut Columns) -> Result<(), Flaw> {
    for (idx, Wanted { position, column_type, is_nullable }) in wanted.iter().enumerate() {
        let id = LeafId(1 + idx);
        let field = position.and_then(|it| row.get(it)).filter(|it| !it.is_absent());
        let pushed = match field {
            None if *is_nullable => {
                columns.push_null(id);
                continue;
            }
            None => Err("nothing"),
            Some(field) => push(columns, id, *column_type, field),
        };
        if let Err(found) = pushed {
            let message = format!(
                "column `{}` has {found} here, which it had nowhere when its type was learned: \
                 the file is another one",
                table.columns[idx].0
            );
            return Err(Flaw::corrupt(field.map_or(0, |it| it.at), message));
        }
    }
    Ok(())
}

/// Pushes a field that is there; tells what it is where that is not the column's type.
fn push(
    columns: &mut Columns,
    id: LeafId,
    column_type: ColumnType,
    field: Field<'_>,
) -> Result<(), &'static str> {
    match column_type {
        // Whether it is a number does not matter, and is not looked for.
        ColumnType::Text => columns.push_bytes(id, field.bytes),
        ColumnType::Int => match int(field.bytes) {
            Cell::Int(value) => columns.push_le(id, &value.to_le_bytes()),
            Cell::Float(_) | Cell::NotFinite(_) => return Err("a number with a fraction"),
            Cell::Text => return Err("text"),
        },
        ColumnType::Float => {
            let Some(value) = float(field.bytes) else { return Err("text") };
            columns.push_le(id, &value.to_le_bytes());
        }
    }
    columns.push_valid(id);
    Ok(())
}

impl SampleReader for RowReader {
    fn step(&mut self, rows: &mut SampleRows) -> Result<bool> {
        let path = &self.source.plan.inputs[self.input].path;
        let Some(record) = self.records.next_record().map_err(|err| err.at(Locus::path(path)))? else {
            return Ok(false);
        };
        let line = self.line;
        self.line += record.n_lines;
        if record.is_blank() {
            return Ok(true);
        }
        let number = self.number;
        self.number += 1;
        let n_columns = self.source.files[self.input].names.len();
        let parsed = parse(&mut self.fields, &record, n_columns, self.source.record_bytes_max);
        if let Some(split) = self.split
            && self.dealt.split_of(parsed.as_ref().ok().copied(), number) != split
        {
            rows.skip();
            return Ok(true);
        }
        let (step, n_bytes) = (rows.next_row(), record.bytes.len() as u64);
        let byte_range = self.content.in_file(&record.byte_range);
        // All of a file that is packed as one member lies in the same bytes.
        let place = RecordPlace { byte_range, position: self.content.is_packed_as_one().then_some(number) };
        let (wanted, table) = (&self.wanted, &self.source.table);
        rows.push(place, n_bytes, |columns| parsed.and_then(|row| fill(row, wanted, table, columns)))
            .map_err(|flaw| self.lost(&record, line, step, flaw))?;
        Ok(true)
    }
}
