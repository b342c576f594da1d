use std::ops::Range;

use nodedata_core::{Batch, Error, Fate, Partition, ReadOptions, Result, Source, StreamId};
use rayon::prelude::*;

/// Decoded bytes that one window aims at. Two windows are in memory at a time: one being decoded, one
/// being encoded. Not more than this, whatever the number of threads: small windows also find their memory
/// where the last one left it, instead of asking the system for fresh pages.
const WINDOW_BYTES: u64 = 16 << 20;
/// Partitions one window holds at the most: tiny files would make large plans otherwise.
const WINDOW_PARTITIONS: usize = 64;

/// What one partition gave.
pub(crate) struct ReadPart {
    pub(crate) partition: usize,
    pub(crate) batches: Vec<Batch>,
    pub(crate) damage: Vec<Error>,
    pub(crate) records_read: Vec<(StreamId, u64)>,
    pub(crate) fates: Vec<Fate>,
}

/// Consecutive partitions that are decoded at the same time. Where windows end has no effect on the bytes
/// written.
pub(crate) fn windows(partitions: &[Partition]) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    let mut n_bytes = 0;
    for (idx, partition) in partitions.iter().enumerate() {
        n_bytes += partition.decoded_bytes;
        if n_bytes >= WINDOW_BYTES || idx + 1 - start == WINDOW_PARTITIONS {
            windows.push(start..idx + 1);
            start = idx + 1;
            n_bytes = 0;
        }
    }
    if start < partitions.len() {
        windows.push(start..partitions.len());
    }
    windows
}

/// Decodes the partitions of one window. Without `salvage` the first damage in their order is the error.
pub(crate) fn read_window(
    source: &dyn Source,
    window: &[Partition],
    options: &ReadOptions,
    salvage: bool,
) -> Result<Vec<ReadPart>> {
    let read: Vec<Result<ReadPart>> = window
        .par_iter()
        .with_max_len(1)
        .map(|partition| read_partition(source, partition, options, salvage))
        .collect();
    // Collected before it is looked at, so that the same damage is reported whatever the thread timing.
    read.into_iter().collect()
}

/// Name of a stream of a source, or of one whose records it only counts.
pub(crate) fn stream_name(source: &dyn Source, stream: StreamId) -> Option<String> {
    let idx = stream.0 as usize;
    let streams = source.streams();
    let name = streams.get(idx).map(|it| &it.name).or_else(|| source.counted().get(idx - streams.len()));
    name.map(|it| it.to_string())
}

fn read_partition(
    source: &dyn Source,
    partition: &Partition,
    options: &ReadOptions,
    salvage: bool,
) -> Result<ReadPart> {
    let mut stream = source.read(partition, options)?;
    let mut part = ReadPart {
        partition: partition.index,
        batches: Vec::new(),
        damage: Vec::new(),
        records_read: Vec::new(),
        fates: Vec::new(),
    };
    loop {
        match stream.next_batch() {
            Ok(Some(batch)) => part.batches.push(batch),
            Ok(None) => break,
            // Damage that names no loss means the stream cannot go on.
            Err(err) if salvage && err.loss().is_some() => part.damage.push(err),
            Err(err) => return Err(err),
        }
    }
    part.records_read = stream.records_read().to_vec();
    part.fates = stream.fates().to_vec();
    // Streams end their batches in any order; files take them by stream.
    part.batches.sort_by_key(|it| it.stream);
    Ok(part)
}
