use std::sync::Arc;

use arrow_array::{BooleanArray, Int64Array, ListArray, RecordBatch, types::Int32Type};
use nodedata_core::{
    Batch, DType, Dim, EpisodeInfo, EpisodeStream, Feature, InputFile, InputRange, Partition, ReadOptions,
    Result, RowSpan, Source, SourcePlan, StreamId, StreamKind, StreamSchema,
};

/// The steps of one episode in memory, cut into parts: numbered, with codes of text and a bool at the last one.
pub(crate) struct StepMemory {
    plan: SourcePlan,
    parts: Vec<Option<RecordBatch>>,
}

impl StepMemory {
    /// Texts by part and step; the steps at `last` say that they are the last.
    pub(crate) fn new(parts: &[&[Option<&str>]], last: &[usize]) -> Self {
        let stream = StreamSchema {
            id: StreamId(0),
            name: nodedata_core::STEPS.into(),
            kind: StreamKind::Steps,
            features: vec![
                Feature::new("step_index", DType::Int64, Vec::new()),
                Feature::new("codes", DType::Int32, vec![Dim::Variable]).nullable(),
                Feature::new("is_last", DType::Bool, Vec::new()),
            ],
            metadata: Default::default(),
        };
        let schema = stream.arrow();
        let mut first = 0;
        let batch = |texts: &&[Option<&str>]| {
            let steps = first..first + texts.len();
            first = steps.end;
            let filled =
                |it: &str| it.bytes().chain([0, 0]).map(|it| Some(i32::from(it))).collect::<Vec<_>>();
            let codes =
                ListArray::from_iter_primitive::<Int32Type, _, _>(texts.iter().map(|it| it.map(filled)));
            let arrow_schema::DataType::List(item) = schema.field(1).data_type() else { panic!("a list") };
            let (_, offsets, values, nulls) = codes.into_parts();
            let codes = ListArray::new(Arc::clone(item), offsets, values, nulls);
            let numbers = Int64Array::from_iter_values(steps.clone().map(|it| it as i64));
            let flags: BooleanArray = steps.map(|it| Some(last.contains(&it))).collect();
            let columns = vec![Arc::new(numbers) as _, Arc::new(codes) as _, Arc::new(flags) as _];
            (!texts.is_empty()).then(|| RecordBatch::try_new(Arc::clone(&schema), columns).unwrap())
        };
        let batches: Vec<Option<RecordBatch>> = parts.iter().map(batch).collect();
        let partition = |idx: usize| Partition {
            reads: vec![InputRange { input: 0, byte_range: idx as u64..idx as u64 + 1 }],
            ..Partition::default()
        };
        let plan = SourcePlan {
            streams: vec![stream],
            inputs: vec![InputFile { path: "memory".into(), n_bytes: parts.len() as u64 }],
            episodes: vec![EpisodeInfo { key: "only".to_owned(), ..EpisodeInfo::default() }],
            partitions: (0..parts.len()).map(partition).collect(),
            ..SourcePlan::default()
        };
        Self { plan, parts: batches }
    }
}

impl Source for StepMemory {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, _: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let rows = self.parts[partition].clone();
        let n_rows = rows.as_ref().map_or(0, RecordBatch::num_rows) as u64;
        let byte_range = self.plan.partitions[partition].reads[0].byte_range.clone();
        let span = RowSpan { input: 0, n_rows, byte_range, first_record: 0 };
        Ok(Box::new(Part { rows, span, read: [(StreamId(0), n_rows)] }))
    }
}

struct Part {
    rows: Option<RecordBatch>,
    span: RowSpan,
    read: [(StreamId, u64); 1],
}

impl EpisodeStream for Part {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let batch =
            |rows| Batch { stream: StreamId(0), rows, spans: vec![self.span.clone()], pixels: Vec::new() };
        Ok(self.rows.take().map(batch))
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.read
    }
}
