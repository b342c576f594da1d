//! A recording in three files whose partitions share pages gives the steps that it gives in one file.

use std::sync::Arc;

use nodedata_core::{Files, Format as _, OpenOptions};
use nodedata_io::MemoryFiles;
use nodedata_testkit::toy::{TOY, ToyRecording};

use super::reference::{Everything, balances, read_all};
use crate::{Align, AlignedSource, Beyond, Clock, FieldSpec, Rate, StepSpec, TimeSource, Tolerance};

const MS: i64 = 1_000_000;

fn aligned(n_files: usize, spec: &StepSpec, piece_bytes: u64) -> (AlignedSource, Everything) {
    let log = ToyRecording { seed: 3, n_files, n_leaves: 24, weight: 1000 }.build("lab");
    let files = log.files.into_iter().fold(MemoryFiles::default(), |all, (path, it)| all.with(path, it));
    let files: Arc<dyn Files> = Arc::new(files);
    let options = OpenOptions { partition_bytes: 1, ..OpenOptions::default() };
    let source = TOY.open(files, &options).unwrap();
    let source = AlignedSource::in_pieces(source, spec.clone(), piece_bytes).unwrap();
    let all = read_all(&source);
    (source, all)
}

#[test]
fn steps_do_not_depend_on_the_files_that_a_recording_lies_in() {
    let field =
        |name: &str, align| FieldSpec { align: Some(align), ..FieldSpec::new(name, format!("/{name}")) };
    let fields = vec![
        field("imu.turn", Align::Linear),
        field("imu.rate", Align::Nearest),
        field("cmd.count", Align::Hold),
        field("state.level", Align::Nearest),
    ];
    let rate = Clock::Rate(Rate::parse("100").unwrap());
    let unbounded = StepSpec {
        time: TimeSource::Field("header.stamp".to_owned()),
        order_bound_ns: Some(4 * MS),
        fields,
        ..StepSpec::new(rate)
    };
    let tolerance = Tolerance { max_ns: Some(12 * MS), beyond: Beyond::Null };
    let bounded = StepSpec { tolerance, skew: true, ..unbounded.clone() };
    let by_topic = StepSpec { clock: Clock::Topic("/cmd".to_owned()), ..unbounded.clone() };
    for spec in [unbounded, bounded, by_topic] {
        let (_, expected) = aligned(1, &spec, u64::MAX);
        balances(&expected);
        let expected_rows = expected.rows.clone().unwrap();
        assert!(50 < expected_rows.num_rows(), "{}", expected_rows.num_rows());
        for piece_bytes in [1, 3000, u64::MAX] {
            let (source, found) = aligned(3, &spec, piece_bytes);
            balances(&found);
            // The number of a step on a topic is that of its batch.
            let values = |it: &arrow_array::RecordBatch| it.columns()[1..].to_vec();
            assert_eq!(values(&found.rows.unwrap()), values(&expected_rows), "{spec:?} {piece_bytes}");
            assert_eq!((&found.read, &found.errors), (&expected.read, &expected.errors));
            assert_eq!(found.fates, expected.fates, "{spec:?} {piece_bytes}");
            let crosses = |it: &nodedata_core::Partition| {
                let inputs: std::collections::BTreeSet<usize> = it.reads.iter().map(|it| it.input).collect();
                1 < inputs.len()
            };
            use nodedata_core::Source as _;
            assert!(source.plan().partitions.iter().any(crosses), "no piece is of two files");
        }
    }
}
