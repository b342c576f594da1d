//! Some messages of each stream, read without the others: the first, the last, and some between.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use nodedata_core::{ErrorKind, OpenOptions, Result, TimeRange};

use crate::{Compression, Decompressor, LogFile, Message, Route, Routes, Selector, log_stream::ZSTD_MAGIC};

/// Messages at the beginning of a stream that are looked at.
const FIRST: u64 = 16;
/// Of those after them, one in so many.
const ONE_IN: u64 = 1000;
/// Bytes of payloads that are kept of a stream; the first one whatever its length.
pub(crate) const SAMPLE_BYTES_MAX: usize = 4 << 20;

/// Payloads of a stream.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    n_bytes: usize,
    kept: Vec<Vec<u8>>,
}

impl Sample {
    pub(crate) fn add(&mut self, payload: &[u8]) {
        let has_room = self.n_bytes.saturating_add(payload.len()) <= SAMPLE_BYTES_MAX;
        if self.kept.is_empty() || has_room {
            self.n_bytes += payload.len();
            self.kept.push(payload.to_vec());
        }
    }

    pub(crate) fn payloads(&self) -> Vec<&[u8]> {
        self.kept.iter().map(Vec::as_slice).collect()
    }
}

/// Whether the message at a position of its stream is looked at, be it the last or not.
fn is_wanted(at: u64) -> bool {
    at < FIRST || (at + 1).is_multiple_of(ONE_IN)
}

/// Whether one of `n` messages from a position on is.
fn is_any_wanted(from: u64, n: u64) -> bool {
    n != 0 && (from < FIRST || (from + n) / ONE_IN != from / ONE_IN)
}

/// Messages of a stream, of which there may be none.
fn n_of(by_stream: &BTreeMap<usize, u64>, stream: usize) -> u64 {
    by_stream.get(&stream).copied().unwrap_or(0)
}

/// Payloads of the streams that are wanted, decompressed where rosbag2 compressed them one by one. Only units with such a
/// message are read, where the file counts what is in them.
///
/// # Errors
/// `Io`. Damage is left to reading, which meets it again and knows its cost.
pub(crate) fn sample<F: LogFile>(
    is_of_wanted: &impl Fn(usize) -> bool,
    files: &[Option<F>],
    routes: &[Arc<Routes>],
    options: &OpenOptions,
) -> Result<BTreeMap<usize, Sample>> {
    let wanted = |route: Route| matches!(route, Route::Stream(stream) if is_of_wanted(stream));
    let routes: Vec<Arc<Routes>> = routes.iter().map(|it| Arc::new(it.only(wanted))).collect();
    let mut sampler = Sampler {
        options,
        samples: BTreeMap::new(),
        n_seen: Arc::default(),
        last: BTreeMap::new(),
        decompressor: Decompressor::default(),
    };
    for (idx, (file, routes)) in files.iter().zip(&routes).enumerate() {
        let Some(file) = file.as_ref().filter(|_| routes.leads_anywhere()) else { continue };
        for unit in 0..file.n_units() {
            sampler.unit(file, (idx, unit), routes)?;
        }
    }
    // The last message of each stream, by where it is.
    let mut last: BTreeMap<(usize, usize), BTreeMap<usize, u64>> = BTreeMap::new();
    for (stream, (place, ordinal)) in std::mem::take(&mut sampler.last) {
        if !n_of(&sampler.n_seen, stream).checked_sub(1).is_none_or(is_wanted) {
            last.entry(place).or_default().insert(stream, ordinal);
        }
    }
    for ((idx, unit), ordinals) in last {
        if let Some(file) = &files[idx] {
            let is_last = move |stream: usize, ordinal: u64| ordinals.get(&stream) == Some(&ordinal);
            sampler.walk(file, unit, &routes[idx], is_last)?;
        }
    }
    Ok(sampler.samples)
}

struct Sampler<'a> {
    options: &'a OpenOptions,
    samples: BTreeMap<usize, Sample>,
    /// Messages of each stream in front of the unit. Shared with the walk over it while that goes on.
    n_seen: Arc<BTreeMap<usize, u64>>,
    /// File and unit of each stream's last message, and its position there.
    last: BTreeMap<usize, ((usize, usize), u64)>,
    decompressor: Decompressor,
}

impl Sampler<'_> {
    fn unit(&mut self, file: &impl LogFile, place: (usize, usize), routes: &Arc<Routes>) -> Result<()> {
        let counts = match counts_of(file, place.1, routes) {
            Some(counts) => {
                if counts.iter().any(|(stream, n)| is_any_wanted(n_of(&self.n_seen, *stream), *n)) {
                    let before = Arc::clone(&self.n_seen);
                    let is_taken =
                        move |stream: usize, ordinal: u64| is_wanted(n_of(&before, stream) + ordinal);
                    self.walk(file, place.1, routes, is_taken)?;
                }
                counts
            }
            None => {
                // Its messages are counted on the way.
                let n_streams = routes.streams().map(|it| it + 1).max().unwrap_or(0);
                let counted: Arc<[AtomicU64]> = (0..n_streams).map(|_| AtomicU64::new(0)).collect();
                let (counting, before) = (Arc::clone(&counted), Arc::clone(&self.n_seen));
                let is_taken = move |stream: usize, ordinal: u64| {
                    if let Some(n) = counting.get(stream) {
                        n.store(ordinal + 1, Ordering::Relaxed);
                    }
                    is_wanted(n_of(&before, stream) + ordinal)
                };
                self.walk(file, place.1, routes, is_taken)?;
                let counted = counted.iter().map(|it| it.load(Ordering::Relaxed));
                counted.enumerate().filter(|it| it.1 != 0).collect()
            }
        };
        // The walk is over, and nobody else has them: they are not copied.
        let n_seen = Arc::make_mut(&mut self.n_seen);
        for (stream, n) in counts {
            if let Some(ordinal) = n.checked_sub(1) {
                *n_seen.entry(stream).or_default() += n;
                self.last.insert(stream, (place, ordinal));
            }
        }
        Ok(())
    }

    /// Keeps the messages of a unit that are taken, by their stream and their position among those of it in the unit.
    fn walk(
        &mut self,
        file: &impl LogFile,
        unit: usize,
        routes: &Arc<Routes>,
        is_taken: impl Fn(usize, u64) -> bool + Send + 'static,
    ) -> Result<()> {
        let selector = Selector::new(Arc::clone(routes), TimeRange::ALL).only(is_taken);
        let mut cursor = file.messages(unit..unit + 1, selector, self.options);
        loop {
            match cursor.next_message() {
                Ok(Some(message)) => self.keep(&message),
                Ok(None) => return Ok(()),
                Err(damage) if damage.error.kind() == ErrorKind::Io => return Err(damage.error),
                Err(_) => {}
            }
        }
    }

    fn keep(&mut self, message: &Message<'_>) {
        let sample = self.samples.entry(message.stream).or_default();
        if !message.payload.starts_with(&ZSTD_MAGIC) {
            sample.add(message.payload);
            return;
        }
        let max = self.options.record_bytes_max;
        // A frame that is broken says nothing of the definition; reading meets it again.
        if self.decompressor.decompress(Compression::Zstd, message.payload, 0, max).is_ok() {
            sample.add(self.decompressor.bytes());
        }
    }
}

/// The messages of each stream in a unit, where the file counts them and knows whose they are.
fn counts_of(file: &impl LogFile, unit: usize, routes: &Routes) -> Option<BTreeMap<usize, u64>> {
    let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
    for (channel, n) in file.counts(unit)? {
        if let Route::Stream(stream) = routes.of(*channel) {
            if routes.is_ever_ambiguous(*channel) {
                return None;
            }
            *counts.entry(stream).or_default() += n;
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests;
