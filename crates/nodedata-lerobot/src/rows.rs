use std::{ops::Range, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, builder::StringBuilder};
use bytes::Bytes;
use nodedata_arrow::{Rows, floats, integers, media_column, plain_column, spans};
use nodedata_core::{EpisodeStream, Error, ErrorKind, MediaShape, ReadOptions, Result, Storage};
use nodedata_steps::{
    Piece, PieceReader, PieceStream, StepRows, batch_rows, in_episode, media_shapes, step_indices, timestamps,
};
use rayon::prelude::*;

use crate::{
    cameras::CameraRows,
    decoded::FrameColumn,
    features::{Column, Origin},
    meta::Texts,
    order::rows_in_order,
    player::Decoding,
    source::Opened,
};

/// The rows of one piece of an episode.
struct PieceRows {
    source: Arc<Opened>,
    episode: usize,
    rows: FileRows,
    cameras: CameraRows,
    /// By column, of those that are decoded.
    decodings: Vec<Option<Decoding>>,
}

/// Rows of a data file, in the order of steps.
enum FileRows {
    AsTheyLie(Box<Rows>),
    /// They lie in another, and were read all at once.
    InOrder(std::vec::IntoIter<Result<RecordBatch>>),
}

impl FileRows {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self {
            Self::AsTheyLie(rows) => rows.next().transpose(),
            Self::InOrder(batches) => batches.next().transpose(),
        }
    }
}

/// Starts reading a partition, which is a piece of one episode.
///
/// # Errors
/// `Config` when there is no such partition; `Io` or `Corrupt` when a file that the plan has seen cannot be read any more.
pub(crate) fn piece_stream(
    source: &Arc<Opened>,
    idx: usize,
    options: &ReadOptions,
) -> Result<Box<dyn EpisodeStream>> {
    let plan = &source.plan;
    let (Some(rows), Some(partition)) = (plan.pieces.get(idx).cloned(), source.told.partitions.get(idx))
    else {
        let message = format!("partition {idx} was asked for, but there are {}", plan.pieces.len());
        return Err(Error::new(ErrorKind::Config, message));
    };
    let batch_rows = batch_rows(partition.decoded_bytes, rows.end - rows.start, options);
    let episode = &plan.episodes[partition.episode];
    let file = source.data_file(episode.data_file)?;
    let mut columns: Vec<&str> = vec!["timestamp", "task_index", "subtask_index"];
    columns.extend(plan.columns.iter().filter_map(|it| match &it.origin {
        Origin::Data(leaf) => Some(leaf.root.as_str()),
        _ => None,
    }));
    let piece = Piece {
        schema: Arc::clone(&source.schema),
        steps: rows.start - episode.rows.start..rows.end - episode.rows.start,
        place: in_episode(&plan.data.files[episode.data_file].path, episode.source_index),
        byte_range: partition.reads.first().map_or(0..0, |it| it.byte_range.clone()),
    };
    let rows = match &episode.order {
        Some(order) => {
            let order = &order[rows.start as usize..rows.end as usize];
            // Whatever is selected, it is one column at least: the file has it, since it gave the order.
            columns.push("frame_index");
            // Damage costs the piece, and is told when its rows are asked for.
            let batches: Vec<Result<RecordBatch>> = match rows_in_order(&file, &columns, order, batch_rows) {
                Ok(batches) => batches.into_iter().map(Ok).collect(),
                Err(err) => vec![Err(err)],
            };
            FileRows::InOrder(batches.into_iter())
        }
        None => FileRows::AsTheyLie(Box::new(file.rows(&columns, rows, batch_rows)?)),
    };
    let cameras = CameraRows::open(source, partition.episode)?;
    let decodings = plan.columns.iter().map(|it| match &it.origin {
        Origin::Frames(camera, format) => Some(Decoding::new(*camera, format.clone(), piece.steps.end)),
        _ => None,
    });
    let decodings = decodings.collect();
    let reader =
        PieceRows { episode: partition.episode, rows, cameras, decodings, source: Arc::clone(source) };
    Ok(Box::new(PieceStream::new(piece, reader)))
}

impl PieceReader for PieceRows {
    fn next_rows(&mut self, first_step: u64) -> Result<Option<StepRows>> {
        let Some(rows) = self.rows.next()? else { return Ok(None) };
        let n_rows = rows.num_rows();
        let steps = first_step..first_step + n_rows as u64;
        let plan = &self.source.plan;
        // All cameras side by side.
        let (cameras, parked) = (&self.cameras, &self.source.parked);
        let decode = |it: &mut Option<Decoding>| {
            let decoding = it.as_mut()?;
            Some(decoding.column(cameras.episode(decoding.camera), &steps, parked))
        };
        let decoded: Vec<Option<Result<FrameColumn>>> = self.decodings.par_iter_mut().map(decode).collect();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(plan.columns.len());
        let mut pixels = Vec::new();
        for ((idx, column), decoded) in plan.columns.iter().enumerate().zip(decoded) {
            let (array, found) = match decoded {
                Some(frames) => frame_column(idx, column, frames?),
                None => self.column(idx, column, &rows, &steps)?,
            };
            pixels.extend(found);
            columns.push(array);
        }
        let episode = &plan.episodes[self.episode];
        let input = plan.inputs.data[episode.data_file];
        let spans = spans(input, &plan.data.files[episode.data_file].row_groups, &episode.in_file(&steps));
        Ok(Some(StepRows { n_rows, columns, spans, pixels }))
    }
}

impl PieceRows {
    /// One column of a batch, and what its pixels say.
    fn column(
        &self,
        idx: usize,
        column: &Column,
        rows: &RecordBatch,
        steps: &Range<u64>,
    ) -> Result<(ArrayRef, Vec<MediaShape>)> {
        let fps = self.source.plan.tables.info.fps;
        let plain = |array: ArrayRef| (array, Vec::new());
        Ok(match &column.origin {
            Origin::StepIndex => plain(step_indices(steps)),
            Origin::Timestamp => {
                let told = rows.column_by_name("timestamp").and_then(floats);
                plain(timestamps(told.as_deref(), steps, fps))
            }
            Origin::Task => plain(texts_of(rows, "task_index", &self.source.plan.tables.tasks)),
            Origin::Subtask => plain(texts_of(rows, "subtask_index", &self.source.plan.tables.subtasks)),
            Origin::Data(leaf) => match rows.column_by_name(&leaf.root) {
                None => plain(arrow_array::new_null_array(&column.feature.arrow_type(), rows.num_rows())),
                Some(array) if leaf.is_media => {
                    let load = |name: &str| Ok(Some((self.load(name)?, Some(name.to_owned()))));
                    let array = media_column(array, &leaf.members, &column.feature, &load)?;
                    let found = media_shapes(idx, &array);
                    (array, found)
                }
                Some(array) => plain(plain_column(array, &leaf.members, &column.feature)?),
            },
            Origin::Samples(camera) => {
                let samples = self.cameras.samples(*camera, steps)?;
                let found = self.cameras.sample_pixels(*camera, idx, steps.end - steps.start);
                (samples, vec![found])
            }
            Origin::Keyframes(camera) => plain(self.cameras.keyframes(*camera, steps)),
            Origin::DecodeIndex(camera) => plain(self.cameras.decode_index(*camera, steps)),
            // These were decoded before, side by side.
            Origin::Frames(..) => unreachable!("decoded columns are not made here"),
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
}

/// A column of decoded frames, and what its pixels say.
fn frame_column(idx: usize, column: &Column, frames: FrameColumn) -> (ArrayRef, Vec<MediaShape>) {
    let found = match column.feature.storage {
        Storage::EncodedMedia => media_shapes(idx, &frames.array),
        Storage::RawMedia | Storage::Plain => frames.pixels(idx).into_iter().collect(),
    };
    (frames.array, found)
}

/// The texts that the indices of a column stand for.
fn texts_of(rows: &RecordBatch, column: &str, texts: &Texts) -> ArrayRef {
    let mut found = StringBuilder::new();
    let indices = rows.column_by_name(column).and_then(integers);
    for row in 0..rows.num_rows() {
        let index = indices.as_ref().and_then(|it| it[row]).and_then(|it| u64::try_from(it).ok());
        found.append_option(index.and_then(|it| texts.get(&it)));
    }
    Arc::new(found.finish())
}
