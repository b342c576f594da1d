//! `index/video.parquet`: what a decoder needs beside the samples of an episode.

use std::{ops::Range, sync::Arc};

use arrow_array::{
    Array, ArrayRef, ListArray, RecordBatch, StructArray,
    builder::{
        BinaryBuilder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder, UInt32Builder,
        UInt64Builder,
    },
    cast::AsArray as _,
    types::Int32Type,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Fields, Schema};
use bytes::Bytes;
use nodedata_core::{EpisodeVideo, Error, ErrorKind, InputFile, Result, StreamSchema};

use crate::index::{TableWriter, table_error};

/// The column of the samples that are decoded beside those of the rows.
pub(crate) const PREROLL: &str = "preroll";
/// How many of them there are.
pub(crate) const PREROLL_FRAMES: &str = "preroll_frames";

/// Bytes of samples in one row group, so that those of one episode are read without those of all.
const GROUP_BYTES: u64 = 4 << 20;

/// Reads a range of an input, by its position in the plan.
pub(crate) type ReadInput<'a> = &'a (dyn Fn(usize, Range<u64>) -> Result<Bytes> + Sync);

/// A sample that is decoded beside those of an episode's rows and is none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrerollEntry {
    /// Place of the sample in decode order, on the scale of the column `X.decode_index`, or of steps where there is none.
    pub decode_index: i32,
    /// Place of its frame among those of the episode: negative before the first, as large as their number or larger behind the last.
    pub step: i32,
    /// As in the file it comes from.
    pub sample: Bytes,
}

/// The bytes of the table. Without any preroll it has no column for it.
pub(crate) fn table(
    all: &[EpisodeVideo],
    streams: &[StreamSchema],
    inputs: &[InputFile],
    read: ReadInput<'_>,
) -> Result<Vec<u8>> {
    let with_preroll = all.iter().any(|it| !it.preroll.is_empty());
    let n_bytes =
        |it: &EpisodeVideo| it.preroll.iter().map(|it| it.byte_range.end - it.byte_range.start).sum::<u64>();
    let mut writer = None;
    let mut rest = all;
    loop {
        let mut in_group = 0;
        let full = rest.iter().position(|it| {
            in_group += n_bytes(it);
            GROUP_BYTES <= in_group
        });
        let (group, after) = rest.split_at(full.map_or(rest.len(), |it| it + 1));
        rest = after;
        let rows = rows(group, streams, inputs, with_preroll.then_some(read))?;
        let writer = match &mut writer {
            Some(writer) => writer,
            None => writer.insert(TableWriter::with_own_groups(&rows.schema())?),
        };
        writer.group(&rows)?;
        if rest.is_empty() {
            break;
        }
    }
    writer.map_or_else(|| Ok(Vec::new()), TableWriter::finish)
}

fn rows(
    all: &[EpisodeVideo],
    streams: &[StreamSchema],
    inputs: &[InputFile],
    read: Option<ReadInput<'_>>,
) -> Result<RecordBatch> {
    let mut episode = Int64Builder::new();
    let (mut stream, mut feature, mut codec) =
        (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let mut config = BinaryBuilder::new();
    let (mut width, mut height) = (UInt32Builder::new(), UInt32Builder::new());
    let (mut fps, mut n_frames) = (Float64Builder::new(), UInt64Builder::new());
    let (mut source, mut first_frame) = (StringBuilder::new(), UInt64Builder::new());
    let step = Field::new("element", DataType::UInt32, false);
    let mut keyframes = ListBuilder::new(UInt32Builder::new()).with_field(step);
    for video in all {
        episode.append_value(video.episode as i64);
        stream.append_value(streams.get(video.stream.0 as usize).map_or("", |it| &it.name));
        feature.append_value(&video.feature);
        codec.append_value(&video.codec);
        config.append_value(&video.codec_config);
        width.append_value(video.width);
        height.append_value(video.height);
        fps.append_value(video.fps);
        n_frames.append_value(video.n_frames);
        source.append_value(
            inputs.get(video.input).map(|it| it.path.display().to_string()).unwrap_or_default(),
        );
        first_frame.append_value(video.first_frame);
        keyframes.values().append_slice(&video.keyframes);
        keyframes.append(true);
    }
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("episode_index", Arc::new(episode.finish())),
        ("stream", Arc::new(stream.finish())),
        ("feature", Arc::new(feature.finish())),
        ("codec", Arc::new(codec.finish())),
        ("codec_config", Arc::new(config.finish())),
        ("width", Arc::new(width.finish())),
        ("height", Arc::new(height.finish())),
        ("fps", Arc::new(fps.finish())),
        ("frames", Arc::new(n_frames.finish())),
        ("source", Arc::new(source.finish())),
        ("first_frame", Arc::new(first_frame.finish())),
        // Steps at whose samples decoding can start, rising.
        ("keyframes", Arc::new(keyframes.finish())),
    ];
    if let Some(read) = read {
        let counts = all.iter().map(|it| it.preroll.len() as u32).collect::<arrow_array::UInt32Array>();
        columns.push((PREROLL_FRAMES, Arc::new(counts)));
        columns.push((PREROLL, Arc::new(prerolls(all, read)?)));
    }
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), false)).collect();
    let arrays = columns.into_iter().map(|it| it.1).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(table_error)
}

/// The samples of each video, read from where they lie.
fn prerolls(all: &[EpisodeVideo], read: ReadInput<'_>) -> Result<ListArray> {
    let (mut decode_index, mut step) = (Int32Builder::new(), Int32Builder::new());
    let mut samples = BinaryBuilder::new();
    for video in all {
        for sample in video.preroll.iter() {
            decode_index.append_value(sample.decode_index);
            step.append_value(sample.step);
            samples.append_value(read(video.input, sample.byte_range.clone())?);
        }
    }
    let fields = Fields::from(vec![
        Field::new("decode_index", DataType::Int32, false),
        Field::new("step", DataType::Int32, false),
        Field::new("sample", DataType::Binary, false),
    ]);
    let arrays: Vec<ArrayRef> =
        vec![Arc::new(decode_index.finish()), Arc::new(step.finish()), Arc::new(samples.finish())];
    let items = StructArray::try_new(fields.clone(), arrays, None).map_err(table_error)?;
    let item = Arc::new(Field::new("element", DataType::Struct(fields), false));
    let offsets = OffsetBuffer::from_lengths(all.iter().map(|it| it.preroll.len()));
    ListArray::try_new(item, offsets, Arc::new(items), None).map_err(table_error)
}

/// The preroll in a row of the table.
///
/// # Errors
/// `Corrupt` when its columns have other types.
pub(crate) fn preroll_of(batch: &RecordBatch, row: usize) -> Result<Vec<PrerollEntry>> {
    let wrong =
        || Error::new(ErrorKind::Corrupt, format!("column `{PREROLL}` of the index has another type"));
    let lists = batch.column_by_name(PREROLL).and_then(|it| it.as_list_opt::<i32>()).ok_or_else(wrong)?;
    let items = lists.value(row);
    let items = items.as_struct_opt().ok_or_else(wrong)?;
    let column = |name: &str| items.column_by_name(name).ok_or_else(wrong);
    let numbers = |name: &str| column(name)?.as_primitive_opt::<Int32Type>().ok_or_else(wrong);
    let (decode_index, step) = (numbers("decode_index")?, numbers("step")?);
    let samples = column("sample")?.as_binary_opt::<i32>().ok_or_else(wrong)?;
    let entry = |idx: usize| PrerollEntry {
        decode_index: decode_index.value(idx),
        step: step.value(idx),
        sample: Bytes::copy_from_slice(samples.value(idx)),
    };
    Ok((0..items.len()).map(entry).collect())
}
