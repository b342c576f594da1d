use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use nodedata_core::{
    Batch, EpisodeStream, Error, Partition, ReadOptions, Source, SourcePlan, StreamKind, StreamSchema,
};

/// Everything that reading a source to its end gives.
#[derive(Debug, Default)]
pub(crate) struct Everything {
    /// By stream name; streams without rows are absent.
    pub(crate) streams: BTreeMap<String, StreamRows>,
    /// Damage met while reading.
    pub(crate) errors: Vec<Error>,
}

/// The rows of one stream, and what each comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StreamRows {
    /// What the source says of the stream. A name may go to another stream when its first owner is lost.
    pub(crate) facts: BTreeMap<String, String>,
    pub(crate) rows: RecordBatch,
    /// Per row: its episode, the input file and the bytes.
    pub(crate) origins: Vec<(usize, usize, Range<u64>)>,
}

impl Everything {
    /// Rows over all streams.
    pub(crate) fn n_rows(&self) -> usize {
        self.streams.values().map(|it| it.rows.num_rows()).sum()
    }
}

/// Reads every partition to its end and holds each batch against what the traits promise.
pub(crate) fn read_all(case: &str, source: &dyn Source, options: &ReadOptions) -> Everything {
    let mut batches: BTreeMap<String, Vec<RecordBatch>> = BTreeMap::new();
    let mut origins: BTreeMap<String, Vec<(usize, usize, Range<u64>)>> = BTreeMap::new();
    let mut errors = Vec::new();
    let plan = source.plan();
    for (idx, partition) in plan.partitions.iter().enumerate() {
        let at = format!("{case}, partition {idx}");
        let mut stream = source.read(idx, options).unwrap_or_else(|err| panic!("{at}: {err}"));
        let mut reading = Reading {
            at: &at,
            plan,
            partition,
            options,
            accounted: BTreeMap::new(),
            last_span: BTreeMap::new(),
        };
        let mut told = BTreeSet::new();
        loop {
            match stream.next_batch() {
                Ok(None) => break,
                Ok(Some(batch)) => {
                    let name = reading.take_in(&batch);
                    let found = origins.entry(name.clone()).or_default();
                    for span in &batch.spans {
                        let origin = (partition.episode, span.input, span.byte_range.clone());
                        found.extend(std::iter::repeat_n(origin, span.n_rows as usize));
                    }
                    batches.entry(name).or_default().push(batch.rows);
                }
                Err(err) => {
                    let place = format!("{err} at {}", err.locus());
                    assert!(told.insert(place.clone()), "{at}: the same damage twice: {place}");
                    reading.lose(&err);
                    errors.push(err);
                }
            }
        }
        reading.end(stream.as_mut());
    }
    let streams = batches.into_iter().map(|(name, batches)| {
        let rows = concat_batches(&batches[0].schema(), &batches).expect("batches of one schema");
        let origins = origins.remove(&name).unwrap_or_default();
        let stream = plan.streams.iter().find(|it| *it.name == *name);
        let facts = stream.map(|it| it.metadata.clone()).unwrap_or_default();
        (name, StreamRows { facts, rows, origins })
    });
    Everything { streams: streams.collect(), errors }
}

/// One partition on its way.
struct Reading<'a> {
    at: &'a str,
    plan: &'a SourcePlan,
    partition: &'a Partition,
    options: &'a ReadOptions,
    /// Rows handed out and records named as lost, by stream.
    accounted: BTreeMap<u32, u64>,
    /// By stream and input: the last byte range, and the records of it that rows were made of.
    last_span: BTreeMap<(u32, usize), (Range<u64>, Taken)>,
}

/// Records that rows were made of: where runs of them begin, and where they end. Rows may be handed out in another order.
#[derive(Default)]
struct Taken(BTreeMap<u64, u64>);

impl Taken {
    /// Takes some records; says whether none of them was taken before.
    fn take(&mut self, records: Range<u64>) -> bool {
        let before = self.0.range(..=records.start).next_back().map(|(start, end)| (*start, *end));
        let next = self.0.range(records.start..).next().map(|(start, _)| *start);
        if before.is_some_and(|it| records.start < it.1) || next.is_some_and(|it| it < records.end) {
            return false;
        }
        let joins = before.filter(|it| it.1 == records.start);
        self.0.insert(joins.map_or(records.start, |it| it.0), records.end);
        true
    }
}

impl Reading<'_> {
    fn schema(&self, stream: u32) -> &StreamSchema {
        let streams = &self.plan.streams;
        assert!((stream as usize) < streams.len(), "{}: there is no stream {stream}", self.at);
        &streams[stream as usize]
    }

    /// Holds a batch against its schema and bounds; returns its stream's name.
    fn take_in(&mut self, batch: &Batch) -> String {
        let schema = self.schema(batch.stream.0);
        let at = format!("{}, stream {}", self.at, schema.name);
        let name = schema.name.to_string();
        let n_rows = batch.rows.num_rows();
        assert_ne!(n_rows, 0, "{at}: a batch without rows");
        assert_eq!(batch.rows.schema(), schema.arrow(), "{at}: a batch of another schema");
        let n_in_spans: u64 = batch.spans.iter().map(|it| it.n_rows).sum();
        assert_eq!(n_in_spans, n_rows as u64, "{at}: spans do not add up to the rows");
        self.lie_within_times(&at, batch, schema);
        let reads = &self.partition.reads;
        for span in &batch.spans {
            let Range { start, end } = span.byte_range;
            let lies_within = reads.iter().any(|it| {
                it.input == span.input
                    && it.byte_range.start <= start
                    && start < end
                    && end <= it.byte_range.end
            });
            assert!(lies_within, "{at}: {span:?} in {reads:?}");
            let key = (batch.stream.0, span.input);
            let last = self.last_span.entry(key).or_default();
            if last.0 != span.byte_range {
                *last = (span.byte_range.clone(), Taken::default());
            }
            let is_free = last.1.take(span.first_record..span.first_record + span.n_rows);
            assert!(is_free, "{at}: two rows of one record: {span:?}");
        }
        for pixels in &batch.pixels {
            assert!(pixels.column < batch.rows.num_columns(), "{at}: pixels of no column: {pixels:?}");
            assert!(pixels.n_rows <= n_rows as u64, "{at}: pixels of too many rows: {pixels:?}");
        }
        // A batch ends after the row that passes the bound. A reader may look only now and then.
        let but_last = logical_bytes(&batch.rows.slice(0, n_rows - 1));
        let bound = self.options.batch_bytes_max.saturating_mul(8).saturating_add(64 << 10);
        assert!(but_last <= bound, "{at}: {but_last} bytes before the last row, but the bound is {bound}");
        *self.accounted.entry(batch.stream.0).or_default() += n_rows as u64;
        name
    }

    /// What a partition says of its log times holds for every row.
    fn lie_within_times(&self, at: &str, batch: &Batch, schema: &StreamSchema) {
        let Some((first, last)) = self.partition.times.filter(|_| schema.kind == StreamKind::Messages) else {
            return;
        };
        for time in crate::source::log_times(&batch.rows) {
            assert!((first..=last).contains(&time), "{at}: log time {time} is not in {first}..={last}");
        }
    }

    fn lose(&mut self, err: &Error) {
        assert!(err.locus().path.is_some(), "{}: damage without a file: {err}", self.at);
        let loss = err.loss().unwrap_or_else(|| panic!("{}: damage that names no loss: {err}", self.at));
        assert!(!loss.reason.is_empty(), "{}: a loss without a reason: {err}", self.at);
        for (stream, n) in &loss.records {
            self.schema(stream.0);
            *self.accounted.entry(stream.0).or_default() += n;
        }
    }

    /// The end is the end, and what was read was handed out or named as lost.
    fn end(self, stream: &mut dyn EpisodeStream) {
        assert!(matches!(stream.next_batch(), Ok(None)), "{}: rows after the end", self.at);
        let mut read: BTreeMap<u32, u64> = BTreeMap::new();
        for (stream, n) in stream.records_read().iter().filter(|it| it.1 != 0) {
            *read.entry(stream.0).or_default() += n;
        }
        let accounted: BTreeMap<u32, u64> = self.accounted.into_iter().filter(|it| it.1 != 0).collect();
        assert_eq!(read, accounted, "{}: records read are not rows plus losses", self.at);
    }
}

/// Bytes of the values and offsets that the rows hold, wherever their buffers lie.
fn logical_bytes(rows: &RecordBatch) -> usize {
    use arrow_array::Array as _;
    let column = |it: &Arc<dyn arrow_array::Array>| it.to_data().get_slice_memory_size().unwrap_or(0);
    rows.columns().iter().map(column).sum()
}
