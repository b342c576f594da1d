use std::{collections::VecDeque, ops::Range, sync::Arc};

use arrow_array::{
    BooleanArray, Int64Array, ListArray, RecordBatch,
    cast::AsArray,
    types::{Int32Type, Int64Type},
};
use nodedata_core::{
    Batch, DType, Dim, EpisodeInfo, EpisodeStream, Error, ErrorKind, Feature, InputFile, InputRange, Loss,
    Partition, ReadOptions, Result, RowSpan, Source, SourcePlan, StreamId, StreamKind, StreamSchema,
};

/// The steps of one episode in memory, cut into parts: numbered, with codes of text and a bool at the last one.
pub(crate) struct StepMemory {
    plan: SourcePlan,
    parts: Vec<Option<RecordBatch>>,
    lost: Vec<usize>,
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
        Self { plan, parts: batches, lost: Vec::new() }
    }

    /// The same where damage took the steps of these numbers.
    pub(crate) fn losing(self, lost: &[usize]) -> Self {
        Self { lost: lost.to_vec(), ..self }
    }

    /// What reading a part gives: steps, and the loss of each that is lost.
    fn results(&self, partition: usize) -> VecDeque<Result<RecordBatch>> {
        let mut results = VecDeque::new();
        let Some(rows) = &self.parts[partition] else { return results };
        let first = rows.column(0).as_primitive::<Int64Type>().value(0) as usize;
        let mut start = 0;
        let ends = self.lost.iter().filter_map(|it| it.checked_sub(first)).chain([rows.num_rows()]);
        for end in ends.filter(|it| *it <= rows.num_rows()) {
            if start < end {
                results.push_back(Ok(rows.slice(start, end - start)));
            }
            if end < rows.num_rows() {
                let reason = "lost";
                let loss =
                    Loss { byte_range: None, records: vec![(StreamId(0), 1)], uncounted: false, reason };
                results.push_back(Err(Error::new(ErrorKind::Corrupt, "a step is lost").with_loss(loss)));
            }
            start = end + 1;
        }
        results
    }
}

impl Source for StepMemory {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, _: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let n_rows = self.parts[partition].as_ref().map_or(0, RecordBatch::num_rows) as u64;
        let byte_range = self.plan.partitions[partition].reads[0].byte_range.clone();
        Ok(Box::new(Part { results: self.results(partition), byte_range, read: [(StreamId(0), n_rows)] }))
    }
}

struct Part {
    results: VecDeque<Result<RecordBatch>>,
    byte_range: Range<u64>,
    read: [(StreamId, u64); 1],
}

impl EpisodeStream for Part {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Some(rows) = self.results.pop_front().transpose()? else { return Ok(None) };
        let (n_rows, byte_range) = (rows.num_rows() as u64, self.byte_range.clone());
        let spans = vec![RowSpan { input: 0, n_rows, byte_range, first_record: 0 }];
        Ok(Some(Batch { stream: StreamId(0), rows, spans, pixels: Vec::new() }))
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.read
    }
}
