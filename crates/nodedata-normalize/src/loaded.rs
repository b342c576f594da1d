use std::sync::Arc;

use arrow_array::RecordBatch;
use nodedata_core::{Error, ErrorKind, Finding, LOG_TIME_NS, ReadOptions, Result, Source, StreamId};

use crate::{far::Near, mapping::Mapping, stamp::NO_TIME, track::Messages};

/// One partition of the source, decoded.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// By mapped stream.
    pub(crate) streams: Vec<LoadedStream>,
    /// What could not be read; the rest is there.
    pub(crate) damage: Vec<Error>,
    /// What was found that leaves out nothing, such as messages that do not fit their columns.
    pub(crate) warnings: Vec<Finding>,
    /// Bytes in memory.
    pub(crate) n_bytes: usize,
}

/// The messages of one stream in one partition.
#[derive(Debug, Default)]
pub(crate) struct LoadedStream {
    pub(crate) batches: Vec<Arc<Messages>>,
    /// Stamp, batch and row of each message that has a time, in order.
    pub(crate) rows: Vec<(i64, u32, u32)>,
    /// Records that framing counted, those lost included.
    pub(crate) n_read: u64,
    /// Messages without a time.
    pub(crate) n_timeless: u64,
    /// Stamp minus log time of each of `rows`; empty where the log time itself is the stamp, and once it is known which are far.
    pub(crate) by_row: Vec<i64>,
    /// Messages that were left out because their stamps are far from log time.
    pub(crate) n_far: u64,
    /// Stamp minus log time of the farthest of those.
    pub(crate) farthest_ns: Option<i64>,
    /// Smallest and largest stamp minus log time.
    pub(crate) offsets: Option<(i64, i64)>,
    /// Bytes of the rows in memory.
    pub(crate) n_bytes: usize,
}

impl LoadedStream {
    /// Whether every stamp lies in `span`.
    pub(crate) fn strays(&self, span: (i64, i64)) -> usize {
        let first = self.rows.partition_point(|it| it.0 < span.0);
        let last = self.rows.partition_point(|it| it.0 <= span.1);
        self.rows.len() - last.saturating_sub(first)
    }

    /// Leaves out the messages whose stamps are far from log time.
    pub(crate) fn leave_out_far(&mut self, near: Near) {
        let is_far = |it: &i64| !near.holds(*it);
        self.n_far += self.by_row.iter().filter(|it| is_far(it)).count() as u64;
        let far = self.by_row.iter().copied().filter(|it| is_far(it)).chain(self.farthest_ns);
        self.farthest_ns = far.max_by_key(|it| (it.saturating_abs(), *it));
        if self.n_far != 0 {
            let mut by_row = self.by_row.iter();
            self.rows.retain(|_| by_row.next().is_none_or(|it| !is_far(it)));
            self.by_row.retain(|it| !is_far(it));
            let offsets = self.by_row.iter().copied();
            self.offsets = offsets.clone().min().zip(offsets.max());
        }
    }

    /// The same messages once more, in rows of their own.
    fn again(&self) -> Self {
        let Self { batches, rows, n_read, n_timeless, by_row, n_far, farthest_ns, offsets, n_bytes } = self;
        Self {
            batches: batches.clone(),
            rows: rows.clone(),
            by_row: by_row.clone(),
            n_read: *n_read,
            n_timeless: *n_timeless,
            n_far: *n_far,
            farthest_ns: *farthest_ns,
            offsets: *offsets,
            n_bytes: *n_bytes,
        }
    }

    /// The rows whose stamps lie in `first..=last`.
    pub(crate) fn between(&self, first: i64, last: i64) -> &[(i64, u32, u32)] {
        let start = self.rows.partition_point(|it| it.0 < first);
        let end = self.rows.partition_point(|it| it.0 <= last);
        &self.rows[start..end.max(start)]
    }
}

impl Loaded {
    /// Leaves out the messages whose stamps are far from log time, by stream; streams of which nothing is known keep all.
    pub(crate) fn leave_out_far(&mut self, near: &[Option<Near>]) {
        for (stream, near) in self.streams.iter_mut().zip(near) {
            if let Some(near) = near {
                stream.leave_out_far(*near);
            }
            // What is near is said once, so nobody asks again.
            stream.by_row = Vec::new();
        }
    }

    /// The same without those; `None` where there are none. What could not be read is not told again: who has damage
    /// is alone with it.
    pub(crate) fn without_far(&self, near: &[Option<Near>]) -> Option<Self> {
        let has_far = |(stream, near): (&LoadedStream, &Option<Near>)| {
            near.is_some_and(|near| stream.by_row.iter().any(|it| !near.holds(*it)))
        };
        if !self.streams.iter().zip(near).any(has_far) {
            return None;
        }
        let mut without = Self {
            streams: self.streams.iter().map(LoadedStream::again).collect(),
            damage: Vec::new(),
            warnings: self.warnings.clone(),
            n_bytes: self.n_bytes,
        };
        without.leave_out_far(near);
        Some(without)
    }
}

/// Decodes the mapped streams of a partition, or one of them.
///
/// # Errors
/// What ends the reading; damage that leaves the rest readable is listed instead.
pub(crate) fn load(
    source: &dyn Source,
    mapping: &Mapping,
    partition: usize,
    only: Option<usize>,
) -> Result<Loaded> {
    let ids: Vec<_> = mapping
        .streams
        .iter()
        .enumerate()
        .filter(|(idx, _)| only.is_none_or(|it| it == *idx))
        .map(|(_, it)| it.id)
        .collect();
    let mut loaded = Loaded::default();
    loaded.streams.resize_with(mapping.streams.len(), LoadedStream::default);
    let options = ReadOptions { streams: Some(ids), ..ReadOptions::default() };
    let mut reading = source.read(partition, &options)?;
    loop {
        let batch = match reading.next_batch() {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            // A sound message has its place once the source is opened another way.
            Err(err) if err.loss().is_some() && err.kind() != ErrorKind::Misfit => {
                loaded.damage.push(err);
                continue;
            }
            Err(err) => return Err(err),
        };
        let Some(idx) = mapping.streams.iter().position(|it| it.id == batch.stream) else { continue };
        let mapped = &mapping.streams[idx];
        let stream = &mut loaded.streams[idx];
        let logged = (!matches!(mapped.stamp, crate::stamp::Stamp::LogTime(_)))
            .then(|| log_times(&batch.rows))
            .flatten();
        let rows = batch.rows.project(&mapped.columns).expect("the columns are those of the stream");
        let number = u32::try_from(stream.batches.len()).unwrap_or(u32::MAX);
        let times = mapped.stamp.times(&rows);
        for (row, stamp) in (0u32..).zip(&times) {
            match *stamp {
                NO_TIME => stream.n_timeless += 1,
                stamp => stream.rows.push((stamp, number, row)),
            }
        }
        for (stamp, logged) in times.iter().zip(logged.iter().flatten()).filter(|it| *it.0 != NO_TIME) {
            stream.by_row.push(stamp.saturating_sub(*logged));
        }
        stream.widen_offsets(&times, logged.as_deref());
        let n_bytes =
            rows.columns().iter().map(|it| it.to_data().get_slice_memory_size().unwrap_or(0)).sum::<usize>();
        stream.n_bytes += n_bytes;
        loaded.n_bytes += n_bytes;
        let kept = |column: usize| mapped.columns.binary_search(&column).ok();
        let pixels = batch.pixels.into_iter().filter_map(|mut it| {
            it.column = kept(it.column)?;
            Some(it)
        });
        stream.batches.push(Arc::new(Messages { rows, pixels: pixels.collect(), spans: batch.spans }));
    }
    for (id, n) in reading.records_read() {
        if let Some(idx) = mapping.streams.iter().position(|it| it.id == *id) {
            loaded.streams[idx].n_read += n;
        }
    }
    loaded.warnings = reading.warnings().to_vec();
    loaded.streams.iter_mut().for_each(LoadedStream::sort);
    Ok(loaded)
}

/// Whether metadata counts no message of a topic in a partition.
pub(crate) fn holds_none(source: &dyn Source, partition: usize, id: StreamId) -> bool {
    let counts = source.plan().partitions.get(partition).and_then(|it| it.counts.as_ref());
    counts.is_some_and(|it| it.iter().all(|(of, n)| *of != id || *n == 0))
}

/// Hands out the messages of one topic in a partition, batch by batch. Damage is passed over: who owns the partition meets it
/// again, and counts it.
///
/// # Errors
/// What ends the reading.
pub(crate) fn each_batch(
    source: &dyn Source,
    partition: usize,
    id: StreamId,
    mut take: impl FnMut(&RecordBatch),
) -> Result<()> {
    if holds_none(source, partition, id) {
        return Ok(());
    }
    let options = ReadOptions { streams: Some(vec![id]), ..ReadOptions::default() };
    let mut reading = source.read(partition, &options)?;
    loop {
        match reading.next_batch() {
            Ok(Some(batch)) if batch.stream == id => take(&batch.rows),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(err) if err.loss().is_some() => {}
            Err(err) => return Err(err),
        }
    }
}

/// The log times of a batch of messages.
pub(crate) fn log_times(rows: &RecordBatch) -> Option<Vec<i64>> {
    use arrow_array::{cast::AsArray, types::Int64Type};
    Some(rows.column_by_name(LOG_TIME_NS)?.as_primitive_opt::<Int64Type>()?.values().to_vec())
}

impl LoadedStream {
    /// Puts the messages in order of their stamps.
    fn sort(&mut self) {
        if self.by_row.is_empty() {
            self.rows.sort_unstable();
            return;
        }
        if self.rows.is_sorted() {
            return;
        }
        let mut all: Vec<_> =
            std::mem::take(&mut self.rows).into_iter().zip(std::mem::take(&mut self.by_row)).collect();
        all.sort_unstable();
        (self.rows, self.by_row) = all.into_iter().unzip();
    }

    fn widen_offsets(&mut self, stamps: &[i64], logged: Option<&[i64]>) {
        let Some(logged) = logged else {
            if !stamps.is_empty() {
                self.offsets = Some((0, 0));
            }
            return;
        };
        for (stamp, logged) in stamps.iter().zip(logged).filter(|it| *it.0 != NO_TIME) {
            let offset = stamp.saturating_sub(*logged);
            let (low, high) = self.offsets.unwrap_or((offset, offset));
            self.offsets = Some((low.min(offset), high.max(offset)));
        }
    }
}
