//! Whole bags through the public interface.

mod broken;
mod connections;
mod corpus_bags;
mod fuzz_smoke;
mod one_index;
mod sound;
mod strays;
mod writer;

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{RecordBatch, cast::AsArray as _, types::Int64Type};
use bytes::Bytes;
use nodedata_core::{Error, Finding, FindingKind, Format as _, OpenOptions, ReadOptions, Result, Source};
use nodedata_io::MemoryFiles;

use crate::ROSBAG1;

fn open(bytes: &Bytes, options: &OpenOptions) -> Result<Box<dyn Source>> {
    ROSBAG1.open(Arc::new(MemoryFiles::default().with("a.bag", bytes.clone())), options)
}

fn salvage() -> OpenOptions {
    OpenOptions { salvage: true, ..undecoded() }
}

/// Payloads as they are.
fn undecoded() -> OpenOptions {
    OpenOptions { undecoded: vec!["*".to_owned()], ..OpenOptions::default() }
}

/// What reading a whole source gives.
#[derive(Debug, Default)]
struct Outcome {
    /// Batches by stream name.
    topics: BTreeMap<String, Vec<RecordBatch>>,
    errors: Vec<Error>,
    /// What rows are told to hold as it came.
    told: Vec<Finding>,
    /// Whether rows and losses are less than the plan counts.
    fewer_than_planned: bool,
}

impl Outcome {
    fn n_rows(&self) -> usize {
        self.topics.values().flatten().map(RecordBatch::num_rows).sum()
    }

    fn log_times(&self, topic: &str) -> Vec<i64> {
        let batches = self.topics.get(topic).into_iter().flatten();
        batches.flat_map(|it| it.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    /// Of a topic that stays bytes.
    fn payloads(&self, topic: &str) -> Vec<Vec<u8>> {
        let batches = self.topics.get(topic).into_iter().flatten();
        let of = |it: &RecordBatch| {
            let data = it.column_by_name("data").unwrap().as_binary::<i32>();
            data.iter().map(|it| it.unwrap().to_vec()).collect::<Vec<_>>()
        };
        batches.flat_map(of).collect()
    }

    fn reasons(&self) -> Vec<&'static str> {
        self.errors.iter().filter_map(Error::loss).map(|it| it.reason).collect()
    }

    /// Records lost by stream name, of those told while reading.
    fn lost(&self, source: &dyn Source) -> BTreeMap<String, u64> {
        let mut lost = BTreeMap::new();
        for (id, n) in self.errors.iter().filter_map(Error::loss).flat_map(|it| &it.records) {
            *lost.entry(source.plan().stream_name(*id).unwrap().to_string()).or_default() += n;
        }
        lost
    }
}

/// Reads every partition to its end and checks the ledger on the way.
fn read_all(source: &dyn Source) -> Outcome {
    let mut outcome = Outcome::default();
    let plan = source.plan();
    for (idx, partition) in plan.partitions.iter().enumerate() {
        let mut stream = source.read(idx, &ReadOptions::default()).unwrap();
        let mut n_returned = vec![0u64; plan.streams.len()];
        loop {
            match stream.next_batch() {
                Ok(None) => break,
                Ok(Some(batch)) => {
                    let n = batch.rows.num_rows() as u64;
                    assert_eq!(batch.spans.iter().map(|it| it.n_rows).sum::<u64>(), n);
                    n_returned[batch.stream.0 as usize] += n;
                    let name = plan.stream_name(batch.stream).unwrap().to_string();
                    outcome.topics.entry(name).or_default().push(batch.rows);
                }
                Err(err) => {
                    assert!(err.locus().path.is_some(), "no path: {err}");
                    assert!(err.hint().is_some(), "no hint: {err}");
                    for (id, n) in &err.loss().expect("damage says what it costs").records {
                        n_returned[id.0 as usize] += n;
                    }
                    outcome.errors.push(err);
                }
            }
        }
        let n_read: Vec<u64> = stream.records_read().iter().map(|it| it.1).collect();
        assert_eq!(n_read, n_returned, "ledger of partition {idx}");
        for (id, n) in partition.counts.iter().flatten() {
            outcome.fewer_than_planned |= n_returned[id.0 as usize] < *n;
        }
        outcome.told.extend(stream.warnings().iter().cloned());
    }
    outcome
}

fn read(bytes: &Bytes, options: &OpenOptions) -> (Box<dyn Source>, Outcome) {
    let source = open(bytes, options).unwrap_or_else(|err| panic!("{err} at {}", err.locus()));
    let outcome = read_all(&*source);
    assert!(!outcome.fewer_than_planned, "{:?}", outcome.errors);
    (source, outcome)
}

/// What was found while opening, of one kind.
fn found(source: &dyn Source, kind: FindingKind) -> Vec<Finding> {
    source.plan().findings_of(kind).cloned().collect()
}

/// Damage met while opening.
fn damage(source: &dyn Source) -> Vec<Finding> {
    let damage = found(source, FindingKind::Damage);
    for it in &damage {
        assert!(it.at.path.is_some() && it.at.byte_offset.is_some(), "no place: {}", it.message);
        assert!(it.hint.is_some(), "no hint: {}", it.message);
    }
    damage
}

/// Records lost by topic, of those told while opening and while reading.
fn all_lost(source: &dyn Source, outcome: &Outcome) -> BTreeMap<String, u64> {
    let mut lost = outcome.lost(source);
    for (topic, n) in damage(source).iter().flat_map(|it| it.records.clone()) {
        *lost.entry(topic).or_default() += n;
    }
    lost
}
