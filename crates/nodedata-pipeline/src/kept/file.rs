use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read as _,
    ops::Range,
    path::Path,
    sync::Arc,
};

use arrow_array::{Array as _, RecordBatch, RecordBatchOptions, make_array};
use nodedata_core::{Batch, DType, InputRange, MediaShape, RowSpan, SourcePlan, StreamId, StreamSchema};
use nodedata_dataset::UnitInput;
use serde::{Deserialize, Serialize};

use super::arrays;
use crate::{journal::Told, window::ReadPart};

/// How a file of kept rows begins. Then come the length of its head, the head, the arrays and the BLAKE3 of all that.
const MAGIC: &[u8; 8] = b"ndrows/2";
const HASH_BYTES: usize = 32;
/// A head that claims to be longer is damaged.
const HEAD_BYTES_MAX: u64 = 64 << 20;

/// What a file of kept rows says before them. Streams go by their names and inputs by their paths: their positions
/// change with what is added to a source.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    /// What the rows were made of, at least.
    pub(super) inputs: Vec<UnitInput>,
    /// Records of which the rows are.
    pub(super) n_records: u64,
    /// Hashes over the columns of the streams, by name: of what types the arrays are, nothing else tells. A file that is added to a
    /// source may change the types of topics without a schema.
    columns: BTreeMap<String, String>,
    told: Told,
    parts: Vec<PartHead>,
}

#[derive(Serialize, Deserialize)]
struct PartHead {
    batches: Vec<BatchHead>,
    /// Position in [`Head::inputs`], and bytes.
    looked_at: Vec<(usize, Range<u64>)>,
}

#[derive(Serialize, Deserialize)]
struct BatchHead {
    stream: String,
    n_rows: usize,
    spans: Vec<SpanHead>,
    pixels: Vec<PixelHead>,
}

#[derive(Serialize, Deserialize)]
struct SpanHead(usize, u64, Range<u64>, u64);

#[derive(Serialize, Deserialize)]
struct PixelHead(usize, DType, Vec<u32>, String, Option<u32>, u64);

/// The head of a file, without a look at the rest.
#[expect(clippy::disallowed_methods, reason = "a file of the run's own, which is no input")]
pub(super) fn head(path: &Path) -> Option<Head> {
    let mut file = File::open(path).ok()?;
    let mut start = [0; 16];
    file.read_exact(&mut start).ok()?;
    let n_bytes = head_bytes(&start)?;
    let mut head = Vec::new();
    file.take(n_bytes).read_to_end(&mut head).ok()?;
    serde_json::from_slice(&head).ok()
}

fn head_bytes(start: &[u8]) -> Option<u64> {
    let n_bytes = u64::from_le_bytes(start.strip_prefix(MAGIC)?.get(..8)?.try_into().ok()?);
    (n_bytes <= HEAD_BYTES_MAX).then_some(n_bytes)
}

/// What a file of these parts holds, and their records. `None` where they cannot be kept as they are.
pub(super) fn content(
    parts: &[ReadPart],
    plan: &SourcePlan,
    proofs: Vec<(usize, UnitInput)>,
) -> Option<(Vec<u8>, u64)> {
    let (positions, inputs): (Vec<usize>, Vec<UnitInput>) = proofs.into_iter().unzip();
    let place = |input: usize| positions.iter().position(|it| *it == input);
    let mut told = Told::default();
    let mut heads = Vec::new();
    for part in parts {
        told.account(part, plan);
        let looked_at = part.looked_at.iter().map(|it| Some((place(it.input)?, it.byte_range.clone())));
        heads.push(PartHead {
            batches: part.batches.iter().map(|it| batch_head(it, plan, place)).collect::<Option<_>>()?,
            looked_at: looked_at.collect::<Option<_>>()?,
        });
    }
    let n_records = parts.iter().flat_map(|it| &it.records_read).map(|(_, n)| n).sum();
    let columns = heads.iter().flat_map(|it: &PartHead| &it.batches).map(|it| &*it.stream);
    let columns = columns_of(plan, columns)?;
    let head = serde_json::to_vec(&Head { inputs, n_records, columns, told, parts: heads }).ok()?;
    if HEAD_BYTES_MAX < head.len() as u64 {
        return None;
    }
    let arrays = parts.iter().flat_map(|it| &it.batches).flat_map(|it| it.rows.columns());
    let n_bytes: usize = arrays.map(|it| it.to_data().get_slice_memory_size().unwrap_or(0)).sum();
    let mut content = Vec::with_capacity(n_bytes + head.len() + 1024);
    content.extend(MAGIC);
    content.extend((head.len() as u64).to_le_bytes());
    content.extend(head);
    for column in parts.iter().flat_map(|it| &it.batches).flat_map(|it| it.rows.columns()) {
        arrays::put(&column.to_data(), &mut content)?;
    }
    let hash = blake3::hash(&content);
    content.extend(hash.as_bytes());
    Some((content, n_records))
}

/// Hashes over the columns of streams.
fn columns_of<'a>(
    plan: &SourcePlan,
    streams: impl IntoIterator<Item = &'a str>,
) -> Option<BTreeMap<String, String>> {
    let names: BTreeSet<&str> = streams.into_iter().collect();
    let hash = |name: &str| {
        let stream = plan.streams.iter().find(|it| &*it.name == name)?;
        let hash = blake3::hash(format!("{:?}", stream.features).as_bytes());
        Some((name.to_owned(), hash.to_hex().to_string()))
    };
    names.into_iter().map(hash).collect()
}

fn batch_head(batch: &Batch, plan: &SourcePlan, place: impl Fn(usize) -> Option<usize>) -> Option<BatchHead> {
    let stream = plan.streams.get(batch.stream.0 as usize)?;
    // It comes back with the schema of its stream.
    if *batch.rows.schema() != *stream.arrow() {
        return None;
    }
    let span =
        |it: &RowSpan| Some(SpanHead(place(it.input)?, it.n_rows, it.byte_range.clone(), it.first_record));
    let pixels = batch.pixels.iter().cloned();
    Some(BatchHead {
        stream: stream.name.to_string(),
        n_rows: batch.rows.num_rows(),
        spans: batch.spans.iter().map(span).collect::<Option<_>>()?,
        pixels: pixels
            .map(|MediaShape { column, dtype, shape, encoding, rate_hz, n_rows }| {
                PixelHead(column, dtype, shape, encoding, rate_hz, n_rows)
            })
            .collect(),
    })
}

/// Reads what [`content`] made of these partitions, with what was told of them and the number of their records. `None`
/// when it is damaged, or does not fit the source.
pub(super) fn read(
    path: &Path,
    partitions: &[usize],
    plan: &SourcePlan,
) -> Option<(Vec<ReadPart>, Told, u64)> {
    let content = std::fs::read(path).ok()?;
    let (content, hash) = content.split_at_checked(content.len().checked_sub(HASH_BYTES)?)?;
    if blake3::hash(content).as_bytes().as_slice() != hash {
        return None;
    }
    let n_bytes = usize::try_from(head_bytes(content)?).ok()?;
    let (head, mut arrays) = content.get(16..)?.split_at_checked(n_bytes)?;
    let Head { inputs, n_records, columns, told, parts } = serde_json::from_slice(head).ok()?;
    if columns_of(plan, columns.keys().map(String::as_str))? != columns {
        return None;
    }
    let streams: BTreeMap<&str, &StreamSchema> = plan.streams.iter().map(|it| (&*it.name, it)).collect();
    let position =
        |it: &UnitInput| plan.inputs.iter().position(|of| of.path.display().to_string() == it.path);
    let positions = inputs.iter().map(position).collect::<Option<Vec<_>>>()?;
    if parts.len() != partitions.len() {
        return None;
    }
    let mut read = Vec::with_capacity(parts.len());
    for (PartHead { batches, looked_at }, partition) in parts.into_iter().zip(partitions) {
        let looked_at = looked_at
            .into_iter()
            .map(|(input, byte_range)| Some(InputRange { input: *positions.get(input)?, byte_range }));
        let looked_at = looked_at.collect::<Option<_>>()?;
        let batches = batches
            .into_iter()
            .map(|it| {
                let stream = *streams.get(&*it.stream)?;
                batch(it, stream, &positions, &mut arrays)
            })
            .collect::<Option<_>>()?;
        read.push(ReadPart { batches, looked_at, ..ReadPart::new(*partition) });
    }
    arrays.is_empty().then_some((read, told, n_records))
}

fn batch(head: BatchHead, stream: &StreamSchema, positions: &[usize], arrays: &mut &[u8]) -> Option<Batch> {
    let schema = stream.arrow();
    let column = |data_type| Some(make_array(arrays::take(data_type, arrays)?));
    let columns = schema.fields().iter().map(|it| it.data_type()).map(column).collect::<Option<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(head.n_rows));
    let rows = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options).ok()?;
    let span = |SpanHead(input, n_rows, byte_range, first_record)| {
        Some(RowSpan { input: *positions.get(input)?, n_rows, byte_range, first_record })
    };
    let pixels = head.pixels.into_iter().map(|PixelHead(column, dtype, shape, encoding, rate_hz, n_rows)| {
        MediaShape { column, dtype, shape, encoding, rate_hz, n_rows }
    });
    Some(Batch {
        stream: StreamId(stream.id.0),
        rows,
        spans: head.spans.into_iter().map(span).collect::<Option<_>>()?,
        pixels: pixels.collect(),
    })
}
