use std::{cell::Cell, ops::Range, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use bytes::Bytes;
use nodedata_arrow::{Leaf, guarded, media_column, plain_column, spans};
use nodedata_core::{EpisodeStream, Error, ErrorKind, Feature, Locus, MediaShape, ReadOptions, Result};
use nodedata_steps::{
    Piece, PieceReader, PieceStream, StepRows, batch_rows, key_of, media_shapes, step_indices,
};

use crate::{
    deal::{key_of_value, own_rows},
    format::{NULL_COUNTS, REFERENCES},
    source::{Opened, Read, roots},
    table::{Column, Origin, has_leaf},
    table_file::{Kind, TableFile, TableRows},
};

/// The rows of one part of a file that are its split's own.
struct OwnRows {
    source: Arc<Opened>,
    input: usize,
    rows: TableRows,
    /// Those still to come, the next ones last.
    left: Vec<Range<u64>>,
    /// Rows whose media are too much for the batch before, or that follow one which is lost.
    pending: Option<RecordBatch>,
    /// How many rows are tried at once. Behind a batch that was too much, and behind a row that is lost, no more than turned out to be
    /// possible, and from there on twice as many: what is named behind a row that is lost is not read again for each such row.
    tried_max: usize,
    /// Whether the last row that was asked for is lost alone, because of what it names.
    is_row_lost: bool,
    /// Bytes that media of several rows may have together that come into them by name.
    named_bytes_max: u64,
    /// Whether nothing is read of the file behind this part.
    is_last: bool,
    /// Why rows behind those cannot be dealt.
    failure: Option<Error>,
    /// Whether they are some of the part's.
    is_dealt: bool,
}

/// Starts reading a partition.
///
/// # Errors
/// `Config` when there is no such partition; `Io` or `Corrupt` when a file that the plan has seen cannot be read any more.
pub(crate) fn row_stream(
    source: &Arc<Opened>,
    partition: usize,
    options: &ReadOptions,
) -> Result<Box<dyn EpisodeStream>> {
    let (Some(read), Some(planned)) = (source.reads.get(partition), source.plan.partitions.get(partition))
    else {
        return Err(Error::new(ErrorKind::Config, format!("there is no partition {partition}")));
    };
    let file = source.file(read.input)?;
    let n_rows = read.part.rows.end - read.part.rows.start;
    let batch_rows = batch_rows(read.part.n_decoded, n_rows, options).min(file.batch_rows_max());
    let Own { rows: own, failure, n_lost } = Own::of(source, &file, read, batch_rows)?;
    let n_own = own.iter().map(|it| it.end - it.start).sum::<u64>();
    let first = match read.split {
        None => read.part.rows.start,
        // Whoever joins the parts numbers their rows.
        Some(_) => 0,
    };
    let piece = Piece {
        schema: Arc::clone(&source.table.schema),
        steps: first..first + n_own + n_lost,
        place: Locus::path(&source.plan.inputs[read.input].path),
        byte_range: planned.reads.first().map_or(0..0, |it| it.byte_range.clone()),
    };
    let rows = file.rows(&roots(&source.table.columns), &own, batch_rows)?;
    let left = own.into_iter().rev().collect();
    let reader = OwnRows {
        source: Arc::clone(source),
        input: read.input,
        rows,
        left,
        pending: None,
        tried_max: usize::MAX,
        is_row_lost: false,
        named_bytes_max: options.batch_bytes_max as u64,
        is_last: source.reads.get(partition + 1).is_none_or(|it| it.input != read.input),
        failure,
        is_dealt: read.split.is_some(),
    };
    Ok(Box::new(PieceStream::new(piece, reader)))
}

/// Which rows of a part are its split's own.
struct Own {
    rows: Vec<Range<u64>>,
    /// Why rows behind those cannot be dealt, and how many of these count as the split's.
    failure: Option<Error>,
    n_lost: u64,
}

impl Own {
    fn of(source: &Opened, file: &TableFile, read: &Read, batch_rows: usize) -> Result<Self> {
        let all = read.part.rows.clone();
        let Some((deal, split)) = source.deal.as_ref().zip(read.split) else {
            return Ok(Self { rows: vec![all], failure: None, n_lost: 0 });
        };
        let path = key_of(&source.plan.inputs[read.input].path);
        let is_here = |it: &&Column| match &it.origin {
            Origin::StepIndex => false,
            Origin::Leaf(leaf) => has_leaf(&source.ways[read.input], leaf),
        };
        let (values, failure) = match source.table.dealt_by.as_ref().filter(is_here) {
            None => (Vec::new(), None),
            Some(column) => values(file, column, &all, batch_rows)?,
        };
        if failure.is_none() {
            let rows = own_rows(deal, split, &path, all, &values);
            return Ok(Self { rows, failure, n_lost: 0 });
        }
        // Rows whose value cannot be read are lost, and counted by the split that their place deals them to.
        let known = all.start..all.start + values.len() as u64;
        let lost = own_rows(deal, split, &path, known.end..all.end, &[]);
        let n_lost = lost.iter().map(|it| it.end - it.start).sum();
        let failure = failure.filter(|_| n_lost != 0);
        Ok(Self { rows: own_rows(deal, split, &path, known, &values), failure, n_lost })
    }
}

/// What rows are dealt by, and why that of those behind it cannot be read.
type Values = (Vec<Option<Vec<u8>>>, Option<Error>);

fn values(file: &TableFile, column: &Column, rows: &Range<u64>, batch_rows: usize) -> Result<Values> {
    let mut values = Vec::new();
    let Origin::Leaf(leaf) = &column.origin else { return Ok((values, None)) };
    let n_rows = rows.end - rows.start;
    for batch in file.rows(&[&leaf.root], std::slice::from_ref(rows), batch_rows)? {
        let array = batch.and_then(|batch| {
            let array = column_of(&batch, leaf);
            array.map(|it| plain_column(it, &leaf.members, &column.feature)).transpose()
        });
        match array {
            Ok(Some(array)) => values.extend((0..array.len()).map(|row| key_of_value(&array, row))),
            // A file without the column.
            Ok(None) => break,
            Err(err) => return Ok((values, Some(err))),
        }
        if n_rows <= values.len() as u64 {
            break;
        }
    }
    Ok((values, None))
}

fn column_of<'b>(batch: &'b RecordBatch, leaf: &Leaf) -> Option<&'b ArrayRef> {
    batch.column_by_name(&leaf.root)
}

impl PieceReader for OwnRows {
    fn next_rows(&mut self, first_step: u64) -> Result<Option<StepRows>> {
        self.is_row_lost = false;
        let rows = match self.pending.take() {
            Some(rows) => Some(rows),
            None => self.rows.next().transpose()?,
        };
        let Some(rows) = rows else {
            return self.failure.take().map_or(Ok(None), Err);
        };
        let tried = rows.slice(0, rows.num_rows().min(self.tried_max));
        let (n_rows, read) = self.first_columns(&tried, first_step);
        let was_too_much = n_rows < tried.num_rows();
        self.tried_max = if was_too_much { n_rows } else { self.tried_max.saturating_mul(2) };
        self.is_row_lost = matches!(read, Made::Lost(_));
        if n_rows < rows.num_rows() {
            self.pending = Some(rows.slice(n_rows, rows.num_rows() - n_rows));
        }
        let runs = self.take(n_rows as u64);
        let read = match read {
            Made::Whole(columns) => Ok(columns),
            Made::Lost(err) | Made::Failed(err) => Err(err),
        };
        let (columns, pixels) = read.map_err(|err| if self.is_dealt { in_file(&err, &runs) } else { err })?;
        let spans = spans(self.input, &self.source.groups[self.input], &runs);
        Ok(Some(StepRows { n_rows, columns, spans, pixels }))
    }

    fn n_lost(&self) -> Option<u64> {
        self.is_row_lost.then_some(1)
    }
}

/// An error in one of some rows, told by the row of the file: that of the split tells little.
fn in_file(err: &Error, runs: &[Range<u64>]) -> Error {
    let place = err.locus().clone();
    let row = place.step_idx.and_then(|it| runs.iter().cloned().flatten().nth(usize::try_from(it).ok()?));
    let row = row.map(|it| format!(", in row {it} of the file")).unwrap_or_default();
    let told = Error::new(err.kind(), format!("{}{row}", err.chain())).at(Locus { step_idx: None, ..place });
    match err.hint() {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

impl Drop for OwnRows {
    fn drop(&mut self) {
        if self.is_last {
            self.source.let_go(self.input);
        }
    }
}

/// Bytes that the media of one row may have together that come into it by name: they are held at once.
const ROW_BYTES_MAX: u64 = 256 << 20;

/// How many more bytes may come into some rows by name.
struct Room {
    left: Cell<u64>,
    is_full: Cell<bool>,
    /// Whether a name is that of nothing that may be read.
    is_refused: Cell<bool>,
}

impl Room {
    fn take(&self, n_bytes: u64) -> Result<()> {
        match self.left.get().checked_sub(n_bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.is_full.set(true);
                let message =
                    format!("the files that the row names have more than {ROW_BYTES_MAX} bytes together");
                Err(Error::new(ErrorKind::Limit, message))
            }
        }
    }
}

type Columns = (Vec<ArrayRef>, Vec<MediaShape>);

/// What was made of some rows.
enum Made {
    Whole(Columns),
    /// The first row, and nothing else, is lost.
    Lost(Error),
    Failed(Error),
}

impl OwnRows {
    /// The columns of the first of some rows, and how many these are: all of them, unless what they name is too much at once, or one
    /// names what may not be read.
    fn first_columns(&self, rows: &RecordBatch, first_step: u64) -> (usize, Made) {
        let mut n_rows = rows.num_rows();
        loop {
            let room = Room {
                left: Cell::new(if n_rows == 1 { ROW_BYTES_MAX } else { self.named_bytes_max }),
                is_full: Cell::new(false),
                is_refused: Cell::new(false),
            };
            let read = guarded(|| self.columns(&rows.slice(0, n_rows), first_step, &room));
            if room.is_full.get() && 1 < n_rows {
                n_rows /= 2;
                continue;
            }
            let broken = || Err(Error::new(ErrorKind::Corrupt, "the values break the rules of their type"));
            let err = match read.unwrap_or_else(broken) {
                Ok(columns) => return (n_rows, Made::Whole(columns)),
                Err(err) => err,
            };
            let is_row = room.is_refused.get() || room.is_full.get();
            let row = err.locus().step_idx.and_then(|it| usize::try_from(it).ok());
            match row.filter(|it| is_row && *it < n_rows) {
                None => return (n_rows, Made::Failed(err)),
                Some(0) => return (1, Made::Lost(err)),
                // Those in front of it come first.
                Some(row) => n_rows = row,
            }
        }
    }

    fn columns(&self, rows: &RecordBatch, first_step: u64, room: &Room) -> Result<Columns> {
        let n_rows = rows.num_rows();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.source.table.columns.len());
        let mut pixels = Vec::new();
        let ways = &self.source.ways[self.input];
        for (idx, Column { feature, origin }) in self.source.table.columns.iter().enumerate() {
            let array = match origin {
                Origin::StepIndex => step_indices(&(first_step..first_step + n_rows as u64)),
                Origin::Leaf(leaf) => match column_of(rows, leaf).filter(|_| has_leaf(ways, leaf)) {
                    // Another file has it.
                    None => new_null_array(&feature.arrow_type(), n_rows),
                    Some(array) if leaf.is_media => {
                        let field = self.source.table.field_of(leaf);
                        let load = |name: &str| self.medium(field, name, room);
                        let array = media_column(array, &leaf.members, feature, &load)?;
                        pixels.extend(media_shapes(idx, &array));
                        array
                    }
                    Some(array) => self.plain(array, leaf, feature)?,
                },
            };
            columns.push(array);
        }
        Ok((columns, pixels))
    }

    /// The column of a leaf that is no medium.
    fn plain(&self, array: &ArrayRef, leaf: &Leaf, feature: &Feature) -> Result<ArrayRef> {
        let err = match plain_column(array, &leaf.members, feature) {
            Ok(column) => return Ok(column),
            Err(err) => err,
        };
        if self.source.kind != Kind::Parquet || feature.nullable {
            return Err(err);
        }
        // Where nothing but nulls is wrong with it, the footer counts them wrongly.
        let nullable = Feature { nullable: true, ..feature.clone() };
        match plain_column(array, &leaf.members, &nullable) {
            Ok(_) => Err(err.with_hint(format!(
                "`--set source.{}=ignore` reads files whose footers count nulls wrongly",
                NULL_COUNTS.name
            ))),
            Err(_) => Err(err),
        }
    }

    /// What a medium is that the table only names, and what it is called beside it. `field` is that of a column that is embedded.
    fn medium(
        &self,
        field: Option<usize>,
        name: &str,
        room: &Room,
    ) -> Result<Option<(Bytes, Option<String>)>> {
        let source = &self.source;
        if let Some(field) = field {
            let from = &source.plan.inputs[self.input].path;
            let medium = source.references.load(field, from, name).inspect_err(|err| {
                // What could not be read now, another time can be.
                room.is_refused.set(err.kind() != ErrorKind::Io);
            })?;
            if let Some((bytes, _)) = &medium {
                room.take(bytes.len() as u64)?;
            }
            return Ok(medium);
        }
        if source.allows_references {
            return Ok(None);
        }
        let message = format!("the table holds the name `{name}` of a file, and not its bytes");
        Err(Error::new(ErrorKind::Unsupported, message).with_hint(format!(
            "`--embed COLUMN=path` puts files in that lie where the table names them; `--set source.{}=null` leaves them out, and \
             `=path` keeps the names",
            REFERENCES.name
        )))
    }

    /// The next rows of those still to come.
    fn take(&mut self, n_rows: u64) -> Vec<Range<u64>> {
        let (mut runs, mut n_left) = (Vec::new(), n_rows);
        while let Some(run) = self.left.last_mut().filter(|_| n_left != 0) {
            let n = n_left.min(run.end - run.start);
            runs.push(run.start..run.start + n);
            run.start += n;
            n_left -= n;
            if run.is_empty() {
                self.left.pop();
            }
        }
        runs
    }
}
