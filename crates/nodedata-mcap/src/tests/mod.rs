//! Whole files through the public interface, and the conformance data record by record.

mod broken;
mod conformance;
mod fuzz;
mod partitions;
mod undamaged;
mod writer;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use arrow_array::{
    Array as _,
    cast::AsArray as _,
    types::{Int64Type, UInt32Type},
};
use bytes::Bytes;
use nodedata_core::{Error, Finding, FindingKind, Format as _, OpenOptions, ReadOptions, Result, Source};
use nodedata_io::MemoryFiles;
use nodedata_testkit::corpus;
use sha2::{Digest as _, Sha256};

use crate::MCAP;

/// Files with their names.
fn read_all_of(paths: Vec<PathBuf>) -> Vec<(String, Bytes)> {
    let named = |it: PathBuf| {
        (it.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(it).unwrap().into())
    };
    paths.into_iter().map(named).collect()
}

/// The recordings in the repository that are whole.
fn recordings() -> Vec<(String, Bytes)> {
    read_all_of(corpus::recordings())
}

/// Those that are damaged.
fn broken() -> Vec<(String, Bytes)> {
    read_all_of(corpus::files(&corpus::fixtures("mcap/broken"), ".mcap"))
}

fn open(bytes: &Bytes, options: &OpenOptions) -> Result<Box<dyn Source>> {
    MCAP.open(Arc::new(MemoryFiles::default().with("a.mcap", bytes.clone())), options)
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
    /// By stream name.
    topics: BTreeMap<String, TopicRows>,
    errors: Vec<Error>,
}

/// The rows of one stream.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct TopicRows {
    log_times: Vec<i64>,
    publish_times: Vec<i64>,
    sequences: Vec<u32>,
    payloads: Vec<Vec<u8>>,
}

impl Outcome {
    fn n_rows(&self) -> usize {
        self.topics.values().map(|it| it.log_times.len()).sum()
    }

    fn n_lost(&self) -> u64 {
        self.errors.iter().filter_map(Error::loss).flat_map(|it| &it.records).map(|it| it.1).sum()
    }

    fn reasons(&self) -> Vec<&'static str> {
        self.errors.iter().filter_map(Error::loss).map(|it| it.reason).collect()
    }
}

impl TopicRows {
    fn payload_sha256(&self) -> String {
        let mut hasher = Sha256::new();
        self.payloads.iter().for_each(|it| hasher.update(it));
        hasher.finalize().iter().map(|it| format!("{it:02x}")).collect()
    }
}

/// Reads every partition to its end and checks the ledger on the way.
fn read_all(source: &dyn Source, options: &ReadOptions) -> Outcome {
    let mut outcome = Outcome::default();
    let plan = source.plan();
    for (idx, partition) in plan.partitions.iter().enumerate() {
        let mut stream = source.read(idx, options).unwrap();
        let mut n_returned = vec![0u64; plan.streams.len()];
        loop {
            let batch = match stream.next_batch() {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(err) => {
                    assert!(err.locus().path.is_some(), "no path: {err}");
                    for (id, n) in &err.loss().expect("damage says what it costs").records {
                        n_returned[id.0 as usize] += n;
                    }
                    outcome.errors.push(err);
                    continue;
                }
            };
            let n_rows = batch.rows.num_rows() as u64;
            assert_ne!(n_rows, 0);
            assert_eq!(batch.spans.iter().map(|it| it.n_rows).sum::<u64>(), n_rows);
            for span in &batch.spans {
                let own = &partition.reads[0];
                assert_eq!(span.input, own.input);
                assert!(own.byte_range.start <= span.byte_range.start);
                assert!(span.byte_range.end <= own.byte_range.end);
            }
            n_returned[batch.stream.0 as usize] += n_rows;
            let schema = &plan.streams[batch.stream.0 as usize];
            assert_eq!(batch.rows.schema(), schema.arrow());
            let rows = outcome.topics.entry(schema.name.to_string()).or_default();
            rows.log_times.extend(batch.rows.column(0).as_primitive::<Int64Type>().values());
            rows.publish_times.extend(batch.rows.column(1).as_primitive::<Int64Type>().values());
            rows.sequences.extend(batch.rows.column(2).as_primitive::<UInt32Type>().values());
            if batch.rows.num_columns() == 4
                && let Some(data) = batch.rows.column(3).as_binary_opt::<i32>()
            {
                rows.payloads.extend((0..data.len()).map(|it| data.value(it).to_vec()));
            }
        }
        assert!(stream.next_batch().unwrap().is_none(), "the end is the end");
        let n_read: Vec<u64> = stream.records_read().iter().map(|it| it.1).collect();
        assert_eq!(n_read, n_returned, "ledger of partition {idx}");
    }
    outcome
}

/// Damage met while opening.
fn damage(source: &dyn Source) -> Vec<Finding> {
    source.plan().findings_of(FindingKind::Damage).cloned().collect()
}

fn read(bytes: &Bytes, options: &OpenOptions) -> (Box<dyn Source>, Outcome) {
    let source = open(bytes, options).unwrap();
    let outcome = read_all(&*source, &ReadOptions::default());
    (source, outcome)
}
