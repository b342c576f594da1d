use std::{path::PathBuf, sync::Arc};

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array,
    builder::{Float64Builder, ListBuilder, StringBuilder},
};
use nodedata_core::{
    Batch, DType, Dim, EpisodeInfo, EpisodeStream, Feature, InputFile, InputRange, Partition, ReadOptions,
    Result, RowSpan, Source, SourcePlan, StreamId, StreamKind, StreamSchema,
};

/// One message of a made-up recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    pub(crate) stream: usize,
    pub(crate) log_time: i64,
    pub(crate) stamp: i64,
    pub(crate) value: f64,
}

/// A recording in memory, cut into partitions of a few messages each. Every stream has the fields `header.stamp`,
/// `value`, `text`, `name` and `position`: of joints `a` and `b`, whose order changes from message to message.
pub(crate) struct MemorySource {
    plan: SourcePlan,
    messages: Vec<Message>,
    per_partition: usize,
    /// Messages of this value have a joint `c` as well.
    rare: Option<f64>,
}

pub(crate) fn stream(id: u32, name: &str) -> StreamSchema {
    let scalar = |name: &str, dtype: DType| Feature::new(name, dtype, Vec::new());
    StreamSchema {
        id: StreamId(id),
        name: name.into(),
        kind: StreamKind::Messages,
        features: vec![
            scalar("log_time_ns", DType::Int64),
            scalar("publish_time_ns", DType::Int64),
            scalar("sequence", DType::UInt32),
            scalar("header.stamp", DType::Int64),
            scalar("value", DType::Float64),
            scalar("text", DType::String),
            Feature::new("name", DType::String, vec![Dim::Variable]),
            Feature::new("position", DType::Float64, vec![Dim::Variable]),
        ],
        metadata: Default::default(),
    }
}

impl MemorySource {
    pub(crate) fn new(
        names: &[&str],
        messages: Vec<Message>,
        per_partition: usize,
        tells_times: bool,
    ) -> Self {
        let partition = |(idx, part): (usize, &[Message])| {
            let start = (idx * per_partition * 100) as u64;
            let decoded_bytes = (part.len() * 100) as u64;
            let times = part.iter().map(|it| it.log_time);
            let n_of = |stream: usize| part.iter().filter(|it| it.stream == stream).count() as u64;
            let counts = (0u32..).zip(names).map(|(id, _)| (StreamId(id), n_of(id as usize)));
            Partition {
                reads: vec![InputRange { input: 0, byte_range: start..start + decoded_bytes }],
                decoded_bytes,
                times: times.clone().min().zip(times.max()).filter(|_| tells_times),
                counts: tells_times.then(|| counts.collect()),
                ..Partition::default()
            }
        };
        let plan = SourcePlan {
            streams: (0u32..).zip(names).map(|(id, name)| stream(id, name)).collect(),
            partitions: messages.chunks(per_partition).enumerate().map(partition).collect(),
            episodes: vec![EpisodeInfo { key: "log".to_owned(), ..EpisodeInfo::default() }],
            inputs: vec![InputFile { path: PathBuf::from("log"), n_bytes: (messages.len() * 100) as u64 }],
            ..SourcePlan::default()
        };
        Self { plan, messages, per_partition, rare: None }
    }

    /// The same where messages of this value have a joint `c` as well.
    pub(crate) fn with_rare(self, value: f64) -> Self {
        Self { rare: Some(value), ..self }
    }

    /// The same with a fact of one of its streams.
    pub(crate) fn with_metadata(mut self, stream: usize, key: &str, value: &str) -> Self {
        self.plan.streams[stream].metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The messages as rows of a source that has steps already.
    pub(crate) fn steps(messages: Vec<Message>) -> Self {
        let mut source = Self::new(&["steps"], messages, 7, false);
        source.plan.streams[0].kind = StreamKind::Steps;
        source.plan.streams[0].features[0].name = "timestamp_ns".to_owned();
        source
    }

    fn of(&self, partition: usize) -> &[Message] {
        let start = partition * self.per_partition;
        &self.messages[start..self.messages.len().min(start + self.per_partition)]
    }

    fn batch(&self, stream: StreamId, messages: &[&Message]) -> Batch {
        let int64 = |of: fn(&Message) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(messages.iter().map(|it| of(it))))
        };
        let (mut names, mut positions) =
            (ListBuilder::new(StringBuilder::new()), ListBuilder::new(Float64Builder::new()));
        for it in messages {
            let swapped = it.log_time % 3 == 0;
            for (name, sign) in if swapped { [("b", -1.0), ("a", 1.0)] } else { [("a", 1.0), ("b", -1.0)] } {
                names.values().append_value(name);
                positions.values().append_value(it.value * sign);
            }
            if self.rare == Some(it.value) {
                names.values().append_value("c");
                positions.values().append_value(0.5);
            }
            names.append(true);
            positions.append(true);
        }
        let schema = self.plan.streams[stream.0 as usize].arrow();
        let field = |idx: usize| schema.field(idx).data_type().clone();
        let columns: Vec<ArrayRef> = vec![
            int64(|it| it.log_time),
            int64(|it| it.log_time),
            Arc::new(UInt32Array::from_iter_values((0u32..).take(messages.len()))),
            int64(|it| it.stamp),
            Arc::new(Float64Array::from_iter_values(messages.iter().map(|it| it.value))),
            Arc::new(StringArray::from_iter_values(messages.iter().map(|it| format!("{}", it.value)))),
            crate::flat::retyped(Arc::new(names.finish()), &field(6)),
            crate::flat::retyped(Arc::new(positions.finish()), &field(7)),
        ];
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let spans =
            vec![RowSpan { input: 0, n_rows: messages.len() as u64, byte_range: 0..1, first_record: 0 }];
        Batch { stream, rows, spans, pixels: Vec::new() }
    }
}

impl Source for MemorySource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let mut rows = MemoryRows { batches: Vec::new(), records_read: Vec::new() };
        for StreamSchema { id, .. } in self.plan.streams.iter().filter(|it| options.wants(it.id)) {
            let messages: Vec<&Message> =
                self.of(partition).iter().filter(|it| it.stream == id.0 as usize).collect();
            rows.records_read.push((*id, messages.len() as u64));
            // Two batches, so that rows are not all in one.
            for part in messages.chunks(messages.len().div_ceil(2).max(1)) {
                rows.batches.push(self.batch(*id, part));
            }
        }
        rows.batches.reverse();
        Ok(Box::new(rows))
    }
}

struct MemoryRows {
    batches: Vec<Batch>,
    records_read: Vec<(StreamId, u64)>,
}

impl EpisodeStream for MemoryRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        Ok(self.batches.pop())
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }
}
