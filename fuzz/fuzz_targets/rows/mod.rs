// What the targets of whole formats share: every partition of a source, read to its end.

use nodedata_core::{ReadOptions, Source};

/// Reads all rows; every record that was read is a row, or lost under a name.
pub(crate) fn read_all(source: &dyn Source) {
    for partition in 0..source.plan().partitions.len() {
        let mut rows = source.read(partition, &ReadOptions::default()).expect("a planned partition opens");
        let mut n_kept = 0;
        loop {
            match rows.next_batch() {
                Ok(Some(batch)) => n_kept += batch.rows.num_rows() as u64,
                Ok(None) => break,
                Err(err) => {
                    let loss = err.loss().expect("damage says what it costs");
                    n_kept += loss.records.iter().map(|it| it.1).sum::<u64>();
                }
            }
        }
        let n_read: u64 = rows.records_read().iter().map(|it| it.1).sum();
        assert_eq!(n_read, n_kept, "records read are rows and losses");
    }
}
