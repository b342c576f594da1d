//! Large records are read in pieces of steps, and nothing but the pieces is another for it.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;
mod far;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use built::{Files, VAL, Value, dataset, entries, example, framed, with};
use far::Far;
use nodedata_core::{Error, ErrorKind, FindingKind, Format as _, OpenOptions, ReadOptions, Source, StreamId};
use nodedata_io::MemoryFiles;
use nodedata_rlds::RLDS;

fn near(files: Files) -> Arc<dyn nodedata_core::Files> {
    let memory = MemoryFiles::default();
    Arc::new(files.into_iter().fold(memory, |all, (path, bytes)| all.with(path, bytes)))
}

fn options(partition_bytes: u64) -> OpenOptions {
    OpenOptions { partition_bytes, ..OpenOptions::default() }
}

/// All rows of each episode, what was counted of it, and all errors.
fn rows(source: &dyn Source) -> (Vec<RecordBatch>, Vec<u64>, Vec<Error>) {
    let plan = source.plan();
    let schema = plan.streams[0].arrow();
    let mut by_episode = vec![Vec::new(); plan.episodes.len()];
    let mut counted = vec![0; plan.episodes.len()];
    let mut errors = Vec::new();
    for (idx, partition) in plan.partitions.iter().enumerate() {
        let mut stream = source.read(idx, &ReadOptions::default()).unwrap();
        loop {
            match stream.next_batch() {
                Ok(Some(batch)) => {
                    let spans = batch.spans.iter().map(|it| it.n_rows).sum::<u64>();
                    assert_eq!(spans, batch.rows.num_rows() as u64);
                    by_episode[partition.episode].push(batch.rows);
                }
                Ok(None) => break,
                Err(err) => errors.push(err),
            }
        }
        let [(StreamId(0), n)] = stream.records_read() else { panic!("one stream") };
        counted[partition.episode] += n;
    }
    let joined = by_episode.into_iter().map(|it| concat_batches(&schema, &it).unwrap()).collect();
    (joined, counted, errors)
}

#[test]
fn rows_do_not_depend_on_cuts_nor_on_where_files_are() {
    let whole = RLDS.open(near(dataset()), &options(1 << 20)).unwrap();
    assert_eq!(whole.plan().partitions.len(), 4);
    let (expected, _, _) = rows(whole.as_ref());
    let mut pieces = Vec::new();
    for partition_bytes in [1, 60, 100] {
        for files in [near(dataset()), Far::new(dataset())] {
            let cut = RLDS.open(files, &options(partition_bytes)).unwrap();
            let plan = cut.plan();
            let (found, counted, errors) = rows(cut.as_ref());
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!(found, expected);
            assert_eq!(counted, [3, 1, 4, 2]);
            pieces.push(plan.partitions.len());
            // They are decided by their record and by which steps they are, and weigh as much as it.
            let of_last: Vec<_> = plan.partitions.iter().filter(|it| it.episode == 2).collect();
            let own = &plan.partitions.iter().find(|it| it.episode == 2).unwrap().reads[0].byte_range;
            assert!(of_last.iter().all(|it| it.reads[0].byte_range == *own));
            assert_eq!(of_last.iter().map(|it| it.decoded_bytes).sum::<u64>(), own.end - own.start);
            let mut recipes: Vec<_> = of_last.iter().map(|it| &it.recipe).collect();
            recipes.dedup();
            assert_eq!(recipes.len(), of_last.len());
        }
    }
    assert_eq!(pieces[..2], [10, 10], "a step each, where one of a single step is not cut");
}

/// What a look into a record tells is what reading it tells.
#[test]
fn a_record_that_is_cut_tells_the_same_of_its_episode() {
    let cut = RLDS.open(near(dataset()), &options(1)).unwrap();
    let whole = RLDS.open(near(dataset()), &options(1 << 20)).unwrap();
    for episode in 0..4 {
        let told = &cut.plan().episodes[episode];
        let mut stream = whole.read(episode, &ReadOptions::default()).unwrap();
        while stream.next_batch().unwrap().is_some() {}
        let facts = stream.facts().unwrap();
        // An episode of one step is read whole.
        if episode != 1 {
            assert_eq!(told.task, facts.task);
            let metadata = told.metadata.iter().map(|(name, fact)| (name.to_string(), fact.clone()));
            assert_eq!(metadata.collect::<std::collections::BTreeMap<_, _>>(), facts.metadata);
        }
    }
}

#[test]
fn a_look_fetches_all_values_once_and_pieces_nothing_more() {
    let n = 40_000;
    let mut values = entries(3, n);
    values.retain(|it| it.0 != "steps/small");
    values.push(("steps/small", Value::Ints(vec![1; n as usize])));
    let record = framed(&example(&values));
    let n_bytes = record.len() as u64;
    let files = Far::new(with(VAL, record));
    let opened = Arc::clone(&files) as Arc<dyn nodedata_core::Files>;
    // As whoever reads all of it has, to keep what was fetched.
    let scratch = Some(std::env::temp_dir());
    let options = OpenOptions { scratch, ..options(n_bytes / 20) };
    let source = RLDS.open(opened, &options).unwrap();
    let fetched = files.n_read();
    assert!(fetched < n_bytes + n_bytes / 10, "{fetched} of {n_bytes}");
    let pieces: Vec<usize> = {
        let partitions = source.plan().partitions.iter().enumerate();
        partitions.filter(|it| it.1.episode == 3).map(|it| it.0).collect()
    };
    assert!(16 <= pieces.len(), "{}", pieces.len());
    let mut n_rows = 0;
    for piece in pieces {
        let mut stream = source.read(piece, &ReadOptions::default()).unwrap();
        while let Some(batch) = stream.next_batch().unwrap() {
            n_rows += batch.rows.num_rows();
        }
    }
    assert_eq!((n_rows as i64, files.n_read()), (n, fetched));
}

/// Values that lie one by one, in several lists, under a key that comes twice, and in several parts of the record.
#[test]
fn odd_forms_are_cut_as_well() {
    let field = |number: u8, bytes: &[u8]| -> Vec<u8> {
        assert!(bytes.len() < 128);
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    };
    let entry = |key: &str, feature: &[u8]| {
        field(1, &field(1, &[field(1, key.as_bytes()), field(2, feature)].concat()))
    };
    let mut record = example(&entries(3, 4));
    // The last of a key counts: four times an integer, packed and apart, in two lists.
    let packed = field(3, &field(1, &[7, 8]));
    let apart = field(3, &[8, 9, 8, 10]);
    record.extend(entry("steps/small", &[packed, apart].concat()));
    // Floats one by one.
    let floats: Vec<u8> =
        [1f32, 2.0, 3.0, 4.0].iter().flat_map(|it| [&[0x0d], &it.to_le_bytes()[..]].concat()).collect();
    record.extend(entry("steps/precise", &field(2, &floats)));
    let files = with(VAL, framed(&record));
    let whole = RLDS.open(near(files.clone()), &options(1 << 20)).unwrap();
    let cut = RLDS.open(near(files), &options(1)).unwrap();
    let (expected, _, errors) = rows(whole.as_ref());
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(rows(cut.as_ref()).0, expected);
    assert_eq!(cut.plan().partitions.iter().filter(|it| it.episode == 3).count(), 4);
}

#[test]
fn a_large_record_that_is_damaged_is_left_out_with_the_same_words() {
    let mut flipped = dataset();
    let mut bytes = flipped[0].1.to_vec();
    bytes[100] ^= 4;
    flipped[0].1 = bytes.into();
    let err = RLDS.open(near(flipped.clone()), &options(1)).err().unwrap();
    assert_eq!(err.to_string(), "the record is not what its checksum says");
    assert_eq!(err.locus().to_string(), "arm-train.tfrecord-00000-of-00002, byte 0, episode 0");
    let source = RLDS.open(near(flipped), &OpenOptions { salvage: true, ..options(1) }).unwrap();
    let damage: Vec<_> = source.plan().findings_of(FindingKind::Damage).collect();
    assert_eq!(damage.iter().map(|it| it.reason.as_str()).collect::<Vec<_>>(), ["damaged_record"]);
    assert_eq!(rows(source.as_ref()).1, [1, 4, 2]);

    // Counts that do not agree are told with both of them, whatever the size.
    let mut record = entries(3, 2);
    record.retain(|it| it.0 != "steps/small");
    record.push(("steps/small", Value::Ints(vec![1, 2, 3])));
    let files = with(VAL, framed(&example(&record)));
    let told = |partition_bytes| {
        let source = RLDS.open(near(files.clone()), &options(partition_bytes)).unwrap();
        let (_, _, errors) = rows(source.as_ref());
        let [err] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!(err.kind(), ErrorKind::Corrupt);
        format!("{} {}", err, err.locus())
    };
    assert_eq!(told(1), told(1 << 20));
    assert!(told(1).contains('3') && told(1).contains('2'), "{}", told(1));
}
