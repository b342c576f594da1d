use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Float32Array, Int64Array, RecordBatch};
use nodedata_core::{
    Batch, DType, EpisodeInfo, EpisodeStream, Feature, Partition, ReadOptions, Result, Silent, Source,
    SourcePlan, StreamId, StreamKind, StreamSchema,
};

use super::inspect_source;

/// A source of steps: episodes of these lengths, every 100 ms.
struct Steps {
    plan: SourcePlan,
    lengths: Vec<i64>,
}

impl Steps {
    fn new(lengths: &[i64]) -> Self {
        let features = vec![
            Feature::new("timestamp_ns", DType::Int64, vec![]).nullable(),
            Feature::new("action", DType::Float32, vec![]),
        ];
        let stream = StreamSchema {
            id: StreamId(0),
            name: "steps".into(),
            kind: StreamKind::Steps,
            features,
            metadata: BTreeMap::new(),
        };
        let info = |idx| EpisodeInfo { key: format!("episode-{idx}"), ..EpisodeInfo::default() };
        let partition = |episode| Partition { episode, decoded_bytes: 1, ..Partition::default() };
        let plan = SourcePlan {
            streams: vec![stream],
            episodes: (0..lengths.len()).map(info).collect(),
            partitions: (0..lengths.len()).map(partition).collect(),
            ..SourcePlan::default()
        };
        Self { plan, lengths: lengths.to_vec() }
    }
}

impl Source for Steps {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, _: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let n = self.lengths[partition];
        // One step has no time.
        let times: Int64Array = (0..n).map(|it| (it != 1).then_some(it * 100_000_000)).collect();
        let values: Float32Array = (0..n).map(|it| Some(it as f32)).collect();
        let rows =
            RecordBatch::try_new(self.plan.streams[0].arrow(), vec![Arc::new(times), Arc::new(values)]);
        let batch = Batch { stream: StreamId(0), rows: rows.unwrap(), spans: vec![], pixels: vec![] };
        Ok(Box::new(One(Some(batch))))
    }
}

struct One(Option<Batch>);

impl EpisodeStream for One {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        Ok(self.0.take())
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &[]
    }
}

/// Steps have no log times: their own clock is shown, and how long their episodes are.
#[test]
fn a_source_of_steps() {
    let source = Steps::new(&[10, 40]);
    let found = inspect_source(&source, &source, &Silent).unwrap();
    let lengths = found.episode_lengths.unwrap();
    assert_eq!((lengths.min, lengths.max, lengths.mean), (10, 40, 25.0));
    let steps = &found.streams[0];
    assert_eq!((steps.count, steps.longest_gap_ns, steps.time_steps_back), (50, Some(200_000_000), Some(0)));
    assert_eq!((steps.first_time_ns, steps.last_time_ns), (Some(0), Some(3_900_000_000)));
    assert!(steps.bytes.is_some_and(|it| it >= 50 * 12) && steps.stamp_offset.is_none());
    assert_eq!(steps.timeline.iter().sum::<u64>(), 48);
}
