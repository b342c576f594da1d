use std::{ops::Range, sync::Arc};

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
    table::{Column, Origin},
    table_file::{Kind, TableFile, TableRows},
};

/// The rows of one part of a file that are its split's own.
struct OwnRows {
    source: Arc<Opened>,
    input: usize,
    rows: TableRows,
    /// Those still to come, the next ones last.
    left: Vec<Range<u64>>,
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
        let (values, failure) = match &source.table.dealt_by {
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
        let Some(rows) = self.rows.next().transpose()? else {
            return self.failure.take().map_or(Ok(None), Err);
        };
        let n_rows = rows.num_rows();
        let read = guarded(|| self.columns(&rows, first_step));
        let broken = || Err(Error::new(ErrorKind::Corrupt, "the values break the rules of their type"));
        let read = read.unwrap_or_else(broken);
        let runs = self.take(n_rows as u64);
        let (columns, pixels) = read.map_err(|err| if self.is_dealt { in_file(&err, &runs) } else { err })?;
        let spans = spans(self.input, &self.source.groups[self.input], &runs);
        Ok(Some(StepRows { n_rows, columns, spans, pixels }))
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

impl OwnRows {
    fn columns(&self, rows: &RecordBatch, first_step: u64) -> Result<(Vec<ArrayRef>, Vec<MediaShape>)> {
        let n_rows = rows.num_rows();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.source.table.columns.len());
        let mut pixels = Vec::new();
        for (idx, Column { feature, origin }) in self.source.table.columns.iter().enumerate() {
            let array = match origin {
                Origin::StepIndex => step_indices(&(first_step..first_step + n_rows as u64)),
                Origin::Leaf(leaf) => match column_of(rows, leaf) {
                    // Another file has it.
                    None => new_null_array(&feature.arrow_type(), n_rows),
                    Some(array) if leaf.is_media => {
                        let array = media_column(array, feature, &|name| self.reference(name))?;
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

    /// What a medium is that the table only names.
    fn reference(&self, name: &str) -> Result<Option<Bytes>> {
        if self.source.allows_references {
            return Ok(None);
        }
        let message = format!("the table holds the name `{name}` of a file, and not its bytes");
        Err(Error::new(ErrorKind::Unsupported, message).with_hint(format!(
            "put the files into the table (`datasets` does with `embed_external_files=True`), or let \
             `--set source.{}=null` leave them out",
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
