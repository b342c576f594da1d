use std::{
    ops::Range,
    time::{Duration, Instant},
};

use nodedata_core::{
    Batch, EpisodeFacts, Error, ErrorKind, Fate, Finding, InputRange, Partition, ReadOptions, Result, Source,
    StreamId,
};
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
    pub(crate) facts: Option<EpisodeFacts>,
    pub(crate) warnings: Vec<Finding>,
    pub(crate) looked_at: Vec<InputRange>,
    /// How long reading it took.
    pub(crate) taken: Duration,
}

impl ReadPart {
    /// Nothing read yet.
    pub(crate) fn new(partition: usize) -> Self {
        Self {
            partition,
            batches: Vec::new(),
            damage: Vec::new(),
            records_read: Vec::new(),
            fates: Vec::new(),
            facts: None,
            warnings: Vec::new(),
            looked_at: Vec::new(),
            taken: Duration::ZERO,
        }
    }
}

/// Consecutive ones of some partitions that are decoded at the same time, as ranges among these. Where windows end
/// has no effect on the bytes written.
pub(crate) fn windows<'a>(partitions: impl Iterator<Item = &'a Partition>) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    let mut n_bytes = 0;
    let mut end = 0;
    for partition in partitions {
        n_bytes += partition.decoded_bytes;
        end += 1;
        if n_bytes >= WINDOW_BYTES || end - start == WINDOW_PARTITIONS {
            windows.push(start..end);
            start = end;
            n_bytes = 0;
        }
    }
    if start < end {
        windows.push(start..end);
    }
    windows
}

/// The batches of a window's partitions, in their order. Damage is passed over: whoever looks twice has told of it the first time.
///
/// # Errors
/// What no salvage passes over.
pub(crate) fn batches(
    source: &dyn Source,
    window: Range<usize>,
    options: &ReadOptions,
) -> Result<Vec<Batch>> {
    let read: Vec<Result<Vec<Batch>>> = window
        .into_par_iter()
        .with_max_len(1)
        .map(|partition| {
            let mut stream = source.read(partition, options)?;
            let mut batches = Vec::new();
            loop {
                match stream.next_batch() {
                    Ok(Some(batch)) => batches.push(batch),
                    Ok(None) => return Ok(batches),
                    Err(err) if err.loss().is_some() => {}
                    Err(err) => return Err(err),
                }
            }
        })
        .collect();
    Ok(read.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Decodes the partitions of one window, by position. Without `salvage` the first damage in their order is the error.
pub(crate) fn read_window(
    source: &dyn Source,
    window: &[usize],
    options: &ReadOptions,
    salvage: bool,
) -> Result<Vec<ReadPart>> {
    let read: Vec<Result<ReadPart>> = window
        .par_iter()
        .with_max_len(1)
        .map(|partition| read_partition(source, *partition, options, salvage))
        .collect();
    // Collected before it is looked at, so that the same damage is reported whatever the thread timing.
    read.into_iter().collect()
}

fn read_partition(
    source: &dyn Source,
    partition: usize,
    options: &ReadOptions,
    salvage: bool,
) -> Result<ReadPart> {
    let started = Instant::now();
    let mut stream = source.read(partition, options)?;
    let mut part = ReadPart::new(partition);
    loop {
        match stream.next_batch() {
            Ok(Some(batch)) => part.batches.push(batch),
            Ok(None) => break,
            // Damage that names no loss means the stream cannot go on.
            // A sound record is not passed over: opened another way, the source has a place for it.
            Err(err) if salvage && err.loss().is_some() && err.kind() != ErrorKind::Misfit => {
                part.damage.push(err);
            }
            Err(err) => return Err(err),
        }
    }
    part.records_read = stream.records_read().to_vec();
    part.fates = stream.fates().to_vec();
    part.facts = stream.facts().cloned();
    part.warnings = stream.warnings().to_vec();
    part.looked_at = stream.looked_at().to_vec();
    // Streams end their batches in any order; files take them by stream.
    part.batches.sort_by_key(|it| it.stream);
    part.taken = started.elapsed();
    Ok(part)
}
