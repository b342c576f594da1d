use std::{path::Path, sync::Arc};

use arrow_array::{
    Array as _, ArrayRef, RecordBatch, StructArray,
    builder::{BinaryBuilder, StringBuilder},
    cast::AsArray as _,
    types::Int64Type,
};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use bytes::Bytes;
use nodedata_core::{
    Batch, EpisodeStream, Error, ErrorKind, Finding, Findings, Locus, Loss, ReadOptions, Result, RowSpan,
    StreamId,
};
use nodedata_steps::{SALVAGE_HINT, media_shapes};

use super::embedded::Shared;

/// Bytes that the media of one row may have together: they are held at once.
const ROW_BYTES_MAX: usize = 256 << 20;
/// Those of the rows of a batch in front of its last, whatever is asked for: a column counts its bytes in 32 bits.
const BATCH_BYTES_MAX: usize = 256 << 20;

/// Rows of text with media in the place of names. A row whose files cannot be read costs itself.
pub(crate) struct EmbeddedRows {
    inner: Box<dyn EpisodeStream>,
    shared: Arc<Shared>,
    /// Position of the file that all rows are of.
    input: usize,
    bytes_max: usize,
    /// Rows that are still to come.
    left: Option<Left>,
    /// Damage behind the rows that were handed out.
    pending: Option<Error>,
    warnings: Findings,
}

/// What is left of a batch.
struct Left {
    batch: Batch,
    at: usize,
}

/// A medium and its name; `None` where there is none.
type Medium = Option<(Bytes, Option<String>)>;

impl EmbeddedRows {
    pub(crate) fn new(
        inner: Box<dyn EpisodeStream>,
        shared: Arc<Shared>,
        input: usize,
        options: &ReadOptions,
    ) -> Self {
        let (left, pending, warnings) = (None, None, Findings::default());
        let bytes_max = options.batch_bytes_max.clamp(1, BATCH_BYTES_MAX);
        Self { inner, shared, input, bytes_max, left, pending, warnings }
    }

    /// The next rows of what is left, as many as fit, and damage that ends them.
    fn embed(&mut self, left: &mut Left) -> Result<Option<Batch>> {
        let first = left.at;
        let mut media: Vec<Vec<Medium>> = vec![Vec::new(); self.shared.columns.len()];
        let mut n_bytes = 0usize;
        while left.at < left.batch.rows.num_rows() && n_bytes < self.bytes_max {
            let row = left.at;
            left.at += 1;
            match self.load(&left.batch, row) {
                Ok(loaded) => {
                    let n_row = loaded.iter().flatten().map(|it| it.0.len()).sum::<usize>();
                    n_bytes = n_bytes.saturating_add(n_row).saturating_add(1);
                    media.iter_mut().zip(loaded).for_each(|(all, one)| all.push(one));
                }
                Err(err) => {
                    self.pending = Some(err);
                    break;
                }
            }
        }
        let n_rows = media.first().map_or(0, Vec::len);
        if n_rows == 0 {
            return self.pending.take().map_or(Ok(None), Err);
        }
        self.batch(&left.batch, first, media).map(Some)
    }

    /// The media of a row, by field.
    fn load(&mut self, batch: &Batch, row: usize) -> Result<Vec<Medium>> {
        let shared = Arc::clone(&self.shared);
        let from = shared.plan.inputs[self.input].path.as_path();
        let mut loaded = Vec::with_capacity(shared.columns.len());
        let mut n_bytes = 0usize;
        for (field, column) in shared.columns.iter().enumerate() {
            let texts = batch.rows.column(*column).as_string::<i32>();
            if texts.is_null(row) {
                loaded.push(None);
                continue;
            }
            let feature = &shared.plan.streams[0].features[*column].name;
            let text = texts.value(row);
            let lost = |err| lost(err, from, batch, row, feature);
            let medium = shared.references.load(field, from, text).map_err(lost)?;
            n_bytes = n_bytes.saturating_add(medium.as_ref().map_or(0, |it| it.0.len()));
            if ROW_BYTES_MAX < n_bytes {
                let message =
                    format!("the files that the row names have more than {ROW_BYTES_MAX} bytes together");
                return Err(lost(Error::new(ErrorKind::Limit, message)));
            }
            if medium.is_none() {
                let message = format!("`{text}` is not there: its place is null");
                let (path, step_idx) = (Some(from.to_owned()), step_of(batch, row));
                let finding = Finding::warning(message, Locus { path, step_idx, ..Locus::feature(feature) });
                self.warnings.push(Finding { reason: "missing_media".to_owned(), ..finding });
            }
            loaded.push(medium);
        }
        Ok(loaded)
    }

    fn batch(&self, of: &Batch, first: usize, media: Vec<Vec<Medium>>) -> Result<Batch> {
        let n_rows = media.first().map_or(0, Vec::len);
        let rows = of.rows.slice(first, n_rows);
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        let mut pixels = of.pixels.clone();
        for (column, media) in self.shared.columns.iter().zip(media) {
            let array = media_array(self.shared.schema.field(*column).data_type(), &media)?;
            pixels.extend(media_shapes(*column, &array));
            columns[*column] = array;
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.shared.schema), columns).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "the rows do not have the types of the plan").with_source(err)
        })?;
        let spans = part_of(&of.spans, first as u64, n_rows as u64);
        Ok(Batch { stream: of.stream, rows, spans, pixels })
    }
}

impl EpisodeStream for EmbeddedRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        if let Some(damage) = self.pending.take() {
            return Err(damage);
        }
        loop {
            let mut left = match self.left.take() {
                Some(left) => left,
                None => match self.inner.next_batch()? {
                    Some(batch) => Left { batch, at: 0 },
                    None => return Ok(None),
                },
            };
            let embedded = self.embed(&mut left);
            if left.at < left.batch.rows.num_rows() {
                self.left = Some(left);
            }
            match embedded {
                Ok(None) => {}
                other => return other,
            }
        }
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        self.inner.records_read()
    }

    fn below(&self) -> Option<&dyn EpisodeStream> {
        Some(&*self.inner)
    }

    fn warnings(&self) -> &[Finding] {
        self.warnings.as_slice()
    }
}

/// Position of a row in its episode, which the first column has.
fn step_of(batch: &Batch, row: usize) -> Option<u64> {
    let steps = batch.rows.column(0).as_primitive_opt::<Int64Type>()?;
    u64::try_from(steps.value(row)).ok()
}

/// A row whose files cannot be read. What could not be read now, another time can be.
fn lost(err: Error, from: &Path, batch: &Batch, row: usize, feature: &str) -> Error {
    let at = Locus { step_idx: step_of(batch, row), ..Locus::feature(feature) };
    let err = err.at(at).at(Locus::path(from));
    if err.kind() == ErrorKind::Io {
        return err;
    }
    let hint = err.hint().map_or_else(|| SALVAGE_HINT.to_owned(), |it| format!("{it}; {SALVAGE_HINT}"));
    let reason = if err.kind() == ErrorKind::Limit { "over_limit" } else { "undecodable" };
    let records = vec![(batch.stream, 1)];
    err.with_hint(hint).with_loss(Loss { byte_range: None, records, uncounted: false, reason })
}

/// Where some of the rows of spans come from.
fn part_of(spans: &[RowSpan], first: u64, n_rows: u64) -> Vec<RowSpan> {
    let mut part = Vec::new();
    let mut start = 0;
    for span in spans {
        let end = start + span.n_rows;
        let (from, to) = (start.max(first), end.min(first + n_rows));
        if from < to {
            let first_record = span.first_record + (from - start);
            part.push(RowSpan { n_rows: to - from, first_record, ..span.clone() });
        }
        start = end;
    }
    part
}

fn media_array(data_type: &DataType, media: &[Medium]) -> Result<ArrayRef> {
    let (mut bytes, mut paths) = (BinaryBuilder::new(), StringBuilder::new());
    let nulls: NullBuffer = media.iter().map(Option::is_some).collect();
    for medium in media {
        bytes.append_option(medium.as_ref().map(|it| &it.0[..]));
        paths.append_option(medium.as_ref().and_then(|it| it.1.as_deref()));
    }
    let DataType::Struct(fields) = data_type else {
        return Err(Error::new(ErrorKind::Corrupt, "the column is no medium"));
    };
    let columns: Vec<ArrayRef> = vec![Arc::new(bytes.finish()), Arc::new(paths.finish())];
    let nulls = (nulls.null_count() > 0).then_some(nulls);
    let media = StructArray::try_new(fields.clone(), columns, nulls).map_err(|err| {
        Error::new(ErrorKind::Corrupt, "a medium is null where none may be").with_source(err)
    })?;
    Ok(Arc::new(media))
}
