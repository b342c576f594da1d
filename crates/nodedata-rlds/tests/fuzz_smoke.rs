//! What the fuzz targets `tfrecord`, `array_record`, `tf_example` and `tfds_features` do, for seeded mutations on a stable compiler: a
//! dataset opens or is refused, and what opens is read to its end.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;

use std::sync::Arc;

use built::{Files, dataset, entries, example, framed};
use nodedata_core::{Format as _, OpenOptions, ReadOptions};
use nodedata_io::MemoryFiles;
use nodedata_rlds::RLDS;
use nodedata_testkit::damaged::Random;

/// Whether it opens; and how many batches and errors it gives.
fn read(files: Files, options: &OpenOptions) -> Option<(usize, usize)> {
    let files = files.into_iter().fold(MemoryFiles::default(), |all, (path, bytes)| all.with(path, bytes));
    let source = match RLDS.open(Arc::new(files), options) {
        Ok(source) => source,
        Err(err) => {
            assert!(err.locus().path.is_some(), "no path: {err}");
            return None;
        }
    };
    let (mut n_batches, mut n_errors) = (0, 0);
    for partition in 0..source.plan().partitions.len() {
        let mut stream = source.read(partition, &ReadOptions::default()).unwrap();
        loop {
            match stream.next_batch() {
                Ok(Some(_)) => n_batches += 1,
                Ok(None) => break,
                Err(err) => {
                    assert!(err.locus().path.is_some() && err.loss().is_some(), "no place or loss: {err}");
                    n_errors += 1;
                }
            }
        }
    }
    Some((n_batches, n_errors))
}

#[test]
fn damaged_files() {
    let mut random = Random::new(11);
    let (mut n_opened, mut n_refused) = (0, 0);
    for position in 0..dataset().len() {
        for round in 0..150 {
            let mut files = dataset();
            let mut damaged = files[position].1.to_vec();
            random.damage(&mut damaged);
            files[position].1 = damaged.into();
            let options = OpenOptions {
                salvage: round % 2 == 1,
                verify_checksums: round % 4 < 2,
                record_bytes_max: 1 << 20,
                ..OpenOptions::default()
            };
            match read(files, &options) {
                Some(_) => n_opened += 1,
                None => n_refused += 1,
            }
        }
    }
    assert!(n_opened > 100 && n_refused > 100, "{n_opened} opened, {n_refused} refused");
}

/// Behind a checksum that vouches for them.
#[test]
fn damaged_records() {
    let mut random = Random::new(12);
    let (mut n_batches, mut n_errors) = (0, 0);
    for _ in 0..2000 {
        let mut record = example(&entries(3, 2));
        random.damage(&mut record);
        let files = built::with(built::VAL, framed(&record));
        let (batches, errors) = read(files, &OpenOptions::default()).unwrap();
        n_batches += batches - 3;
        n_errors += errors;
    }
    assert!(n_batches > 100 && n_errors > 100, "{n_batches} batches, {n_errors} errors");
}

/// Records and features of kinds that are rare: lengths, shapes and deflated bytes that lie, without checksums to tell.
#[test]
fn damaged_kinds() {
    let mut random = Random::new(13);
    let (mut n_batches, mut n_errors, mut n_refused) = (0, 0, 0);
    for round in 0..2000 {
        let mut files = built::kinds();
        let is_damaged = |name: &str| match round % 4 {
            0 => name == "features.json",
            _ => name.ends_with("-00001"),
        };
        let position = files.iter().position(|it| is_damaged(it.0.to_str().unwrap())).unwrap();
        let mut damaged = files[position].1.to_vec();
        random.damage(&mut damaged);
        files[position].1 = damaged.into();
        let options = OpenOptions {
            salvage: true,
            verify_checksums: false,
            record_bytes_max: 1 << 20,
            ..OpenOptions::default()
        };
        match read(files, &options) {
            Some((batches, errors)) => (n_batches, n_errors) = (n_batches + batches, n_errors + errors),
            None => n_refused += 1,
        }
    }
    let told = format!("{n_batches} batches, {n_errors} errors, {n_refused} refused");
    assert!(n_batches > 1000 && n_errors > 200 && n_refused > 50, "{told}");
}

/// In the chunks of records and in the footers; what is between them pads.
#[test]
fn damaged_array_records() {
    let root = nodedata_testkit::corpus::fixtures("rlds").join("arm_array_record/1.2.0");
    let names = [
        "arm-val.array_record-00000-of-00001",
        "arm-train.array_record-00000-of-00001",
        "dataset_info.json",
        "features.json",
    ];
    let whole: Files =
        names.iter().map(|it| (it.into(), std::fs::read(root.join(it)).unwrap().into())).collect();
    let mut random = Random::new(13);
    let (mut n_opened, mut n_refused) = (0, 0);
    for round in 0..400 {
        let mut files = whole.clone();
        let shard = &files[round % 2].1;
        let at = if round % 4 < 2 { 0..6000 } else { shard.len() - 65_536..shard.len() - 65_000 };
        let mut damaged = shard[at.clone()].to_vec();
        random.damage(&mut damaged);
        files[round % 2].1 = [&shard[..at.start], &damaged, &shard[at.end..]].concat().into();
        let options = OpenOptions {
            salvage: round % 3 == 0,
            verify_checksums: round % 8 < 4,
            record_bytes_max: 1 << 20,
            ..OpenOptions::default()
        };
        match read(files, &options) {
            Some(_) => n_opened += 1,
            None => n_refused += 1,
        }
    }
    assert!(n_opened > 20 && n_refused > 20, "{n_opened} opened, {n_refused} refused");
}
