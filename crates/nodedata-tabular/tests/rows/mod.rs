//! What tests read of a source.

use arrow_array::RecordBatch;
use nodedata_core::{Error, ReadOptions, Source};

/// All rows, and all damage, in order; every record that was read is one of them.
pub(crate) fn read(source: &dyn Source) -> (Vec<RecordBatch>, Vec<Error>) {
    let (mut rows, mut damage) = (Vec::new(), Vec::new());
    for partition in 0..source.plan().partitions.len() {
        let mut stream = source.read(partition, &ReadOptions::default()).unwrap();
        let mut n_accounted = 0;
        loop {
            match stream.next_batch() {
                Ok(None) => break,
                Ok(Some(batch)) => {
                    n_accounted += batch.rows.num_rows() as u64;
                    rows.push(batch.rows);
                }
                Err(err) => {
                    n_accounted += err.loss().unwrap().records.iter().map(|it| it.1).sum::<u64>();
                    damage.push(err);
                }
            }
        }
        assert_eq!(stream.records_read().iter().map(|it| it.1).sum::<u64>(), n_accounted);
    }
    (rows, damage)
}
