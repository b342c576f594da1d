use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::{
    Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, builder::StringBuilder, cast::AsArray,
};
use bytes::Bytes;
use nodedata_core::{
    Batch, DType, EpisodeStream, Error, ErrorKind, Locus, Loss, Nested, PixelShape, ReadOptions, Result,
    RowSpan, Storage, StreamId,
};
use nodedata_media::image_header;

use crate::{
    arrays,
    cameras::CameraRows,
    features::{Column, Origin},
    findings::{SALVAGE_HINT, STEPS},
    parquet_file::Rows,
    scan::{floats, integers},
    source::Opened,
};

/// The rows of one partition: a piece of one episode.
pub(crate) struct PieceRows {
    source: Arc<Opened>,
    partition: usize,
    episode: usize,
    /// Rows of the data file still to come.
    left: Range<u64>,
    rows: Option<Rows>,
    cameras: CameraRows,
    records_read: [(StreamId, u64); 1],
}

/// Distance from the grid, in frames, up to which a timestamp is the grid's: what 32-bit seconds lose.
const GRID_TOLERANCE: f64 = 1e-3;

impl PieceRows {
    pub(crate) fn new(source: Arc<Opened>, idx: usize, options: &ReadOptions) -> Result<Self> {
        let plan = &source.plan;
        let (Some(piece), Some(partition)) = (plan.pieces.get(idx).cloned(), source.told.partitions.get(idx))
        else {
            let message = format!("partition {idx} was asked for, but there are {}", plan.pieces.len());
            return Err(Error::new(ErrorKind::Config, message));
        };
        let bytes_per_row = (partition.decoded_bytes / (piece.end - piece.start).max(1)).max(1);
        let batch_rows = (options.batch_bytes_max as u64 / bytes_per_row).clamp(1, 1 << 20) as usize;
        let episode = &plan.episodes[partition.episode];
        let file = source.data_file(episode.data_file)?;
        let mut columns: Vec<&str> = vec!["timestamp", "task_index"];
        columns.extend(plan.columns.iter().filter_map(|it| match &it.origin {
            Origin::Data(leaf) => Some(leaf.root.as_str()),
            _ => None,
        }));
        let rows = file.rows(&columns, piece.clone(), batch_rows)?;
        let cameras = CameraRows::open(&source, partition.episode)?;
        Ok(Self {
            records_read: [(STEPS, piece.end - piece.start)],
            partition: idx,
            episode: partition.episode,
            left: piece,
            rows: Some(rows),
            cameras,
            source,
        })
    }

    fn batch(&mut self, rows: &RecordBatch) -> Result<Batch> {
        let n_rows = rows.num_rows() as u64;
        let source = Arc::clone(&self.source);
        let plan = &source.plan;
        let first_step = self.left.start - plan.episodes[self.episode].rows.start;
        let steps = first_step..first_step + n_rows;
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(plan.columns.len());
        let mut pixels = Vec::new();
        for (idx, column) in plan.columns.iter().enumerate() {
            let (array, found) =
                self.column(idx, column, rows, &steps).map_err(|err| shifted(err, first_step))?;
            pixels.extend(found);
            arrays.push(array);
        }
        let schema = Arc::clone(&source.schema);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows = RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "the rows do not have the types of the plan").with_source(err)
        })?;
        Ok(Batch { stream: STEPS, rows, spans: self.spans(n_rows), pixels })
    }

    /// One column of a batch, and what its pixels say.
    fn column(
        &self,
        idx: usize,
        column: &Column,
        rows: &RecordBatch,
        steps: &Range<u64>,
    ) -> Result<(ArrayRef, Vec<PixelShape>)> {
        let fps = self.source.plan.tables.info.fps;
        let plain = |array: ArrayRef| (array, Vec::new());
        Ok(match &column.origin {
            Origin::StepIndex => {
                plain(Arc::new(Int64Array::from_iter_values(steps.clone().map(|it| it as i64))))
            }
            Origin::Timestamp => plain(timestamps(rows, steps, fps)),
            Origin::Task => plain(self.tasks(rows)),
            Origin::Data(leaf) => match rows.column_by_name(&leaf.root) {
                None => plain(arrow_array::new_null_array(&column.feature.arrow_type(), rows.num_rows())),
                Some(array) if leaf.is_media => {
                    let array = arrays::media(array, &column.feature, &|name| self.load(name))?;
                    let found = image_pixels(idx, &array);
                    (array, found)
                }
                Some(array) => plain(arrays::plain(array, &leaf.members, &column.feature)?),
            },
            Origin::Samples(camera) => {
                let samples = self.cameras.samples(*camera, steps)?;
                let found = self.cameras.sample_pixels(*camera, idx, steps.end - steps.start);
                (samples, vec![found])
            }
            Origin::Keyframes(camera) => plain(self.cameras.keyframes(*camera, steps)),
            Origin::DecodeIndex(camera) => plain(self.cameras.decode_index(*camera, steps)),
            Origin::Frames(camera, format) => {
                let frames = self.cameras.frames(*camera, steps, format)?;
                let found = match column.feature.storage {
                    Storage::EncodedMedia => image_pixels(idx, &frames.array),
                    Storage::RawMedia | Storage::Plain => frames.pixels(idx).into_iter().collect(),
                };
                (frames.array, found)
            }
        })
    }

    /// The file that a media column names instead of holding it.
    fn load(&self, name: &str) -> Result<Bytes> {
        let listing = &self.source.plan.listing;
        if !listing.has(name) {
            return Err(Error::new(ErrorKind::Corrupt, format!("the image file `{name}` is not there")));
        }
        let file = listing.open(name)?;
        file.read_at(0..file.n_bytes())
    }

    fn tasks(&self, rows: &RecordBatch) -> ArrayRef {
        let texts = &self.source.plan.tables.tasks;
        let mut tasks = StringBuilder::new();
        let indices = rows.column_by_name("task_index").and_then(integers);
        for row in 0..rows.num_rows() {
            let index = indices.as_ref().and_then(|it| it[row]).and_then(|it| u64::try_from(it).ok());
            tasks.append_option(index.and_then(|it| texts.get(&it)));
        }
        Arc::new(tasks.finish())
    }

    /// Where the rows lie: the row groups that hold them.
    fn spans(&self, n_rows: u64) -> Vec<RowSpan> {
        let plan = &self.source.plan;
        let data_file = plan.episodes[self.episode].data_file;
        let (input, groups) = (plan.inputs.data[data_file], &plan.data.files[data_file].row_groups);
        let rows = self.left.start..self.left.start + n_rows;
        let mut spans = Vec::new();
        for group in groups {
            let start = rows.start.max(group.first_row);
            let end = rows.end.min(group.first_row + group.n_rows);
            if start < end {
                let (n_rows, first_record) = (end - start, start - group.first_row);
                spans.push(RowSpan { input, n_rows, byte_range: group.byte_range.clone(), first_record });
            }
        }
        spans
    }

    /// The place of an error, and what it costs: the rest of the piece.
    fn fatal(&mut self, err: Error) -> Error {
        let plan = &self.source.plan;
        let episode = &plan.episodes[self.episode];
        let n_rows = self.left.end - self.left.start;
        self.rows = None;
        self.left.start = self.left.end;
        let place = Locus {
            episode_idx: Some(episode.source_index),
            ..Locus::path(&plan.data.files[episode.data_file].path)
        };
        let byte_range =
            self.source.told.partitions[self.partition].reads.first().map(|it| it.byte_range.clone());
        let records = vec![(STEPS, n_rows)];
        let err = if err.hint().is_some() { err } else { err.with_hint(SALVAGE_HINT) };
        err.at(place).with_loss(Loss { byte_range, records, uncounted: false, reason: "undecodable" })
    }
}

impl EpisodeStream for PieceRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let next = match self.rows.as_mut().and_then(Iterator::next) {
            Some(Ok(rows)) => self.batch(&rows),
            Some(Err(err)) => Err(err),
            None => {
                Err(Error::new(ErrorKind::Corrupt, "the file ends before the rows that its footer counts"))
            }
        };
        match next {
            Ok(batch) => {
                self.left.start += batch.rows.num_rows() as u64;
                Ok(Some(batch))
            }
            Err(err) => Err(self.fatal(err)),
        }
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }
}

/// Row numbers of a batch become steps of the episode.
fn shifted(err: Error, first_step: u64) -> Error {
    match err.locus().step_idx {
        None => err,
        Some(row) => {
            let place = Locus { step_idx: Some(first_step + row), ..err.locus().clone() };
            let told = Error::new(err.kind(), err.chain()).at(place);
            match err.hint() {
                Some(hint) => told.with_hint(hint),
                None => told,
            }
        }
    }
}

/// The grid's time where the timestamp is on it, which 32-bit seconds cannot tell exactly, and else its own.
fn timestamps(rows: &RecordBatch, steps: &Range<u64>, fps: f64) -> ArrayRef {
    let told = rows.column_by_name("timestamp").and_then(floats);
    let times = steps.clone().enumerate().map(|(row, step)| {
        let on_grid = (step as f64 * 1e9 / fps).round() as i64;
        match told.as_ref().map(|it| it[row]) {
            Some(seconds)
                if seconds.is_finite()
                    && (seconds * fps - step as f64).abs() > GRID_TOLERANCE.max(step as f64 * 1e-6) =>
            {
                (seconds * 1e9).round() as i64
            }
            _ => on_grid,
        }
    });
    Arc::new(Int64Array::from_iter_values(times))
}

/// What the headers of encoded images say, each finding once. A row of a list counts once for all that it finds alike.
pub(crate) fn image_pixels(column: usize, media: &ArrayRef) -> Vec<PixelShape> {
    let nested = Nested::of(media);
    let bytes = nested.values.as_binary::<i32>();
    let valid = nested.items.last().and_then(|it| it.valid.as_ref());
    // How many rows, and the last of them.
    let mut found: BTreeMap<PixelShape, (u64, Option<usize>)> = BTreeMap::new();
    for idx in (0..bytes.len()).filter(|it| valid.is_none_or(|valid| valid.is_valid(*it))) {
        let frame = bytes.value(idx);
        let (encoding, dtype, shape) = match image_header(frame) {
            Some(header) => {
                let (dims, n_dims) = header.shape();
                (header.encoding.name(), header.dtype, dims[..n_dims].to_vec())
            }
            None => {
                (nodedata_media::sniff(frame).map_or("unknown", |it| it.name()), DType::UInt8, Vec::new())
            }
        };
        let shape = PixelShape { column, dtype, shape, encoding: encoding.to_owned(), n_rows: 0 };
        let row = nested.row_of(nested.dims.len(), idx);
        let (n_rows, last) = found.entry(shape).or_default();
        *n_rows += u64::from(last.replace(row) != Some(row));
    }
    found.into_iter().map(|(shape, (n_rows, _))| PixelShape { n_rows, ..shape }).collect()
}
