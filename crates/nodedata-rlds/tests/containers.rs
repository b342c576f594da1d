//! The same records in every kind of file that they may lie in.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;
mod riegeli;

use std::{
    collections::BTreeMap,
    io::Write as _,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use built::{dataset, entries, example, framed};
use bytes::Bytes;
use nodedata_core::{
    Error, ErrorKind, FindingKind, Format as _, OpenOptions, OptionValue, ReadAt, ReadOptions, Result, Source,
};
use nodedata_io::{Blocks, LocalFiles, MemoryFiles};
use nodedata_rlds::RLDS;
use nodedata_testkit::{
    corpus,
    source::{Case, Damage, conformance},
};
use riegeli::array_record;

/// The files of a folder of fixtures.
fn fixture(name: &str) -> built::Files {
    let root = corpus::fixtures("rlds").join(name).join("1.2.0");
    let files = LocalFiles::folder(&root).unwrap();
    let names = nodedata_core::Files::list(&files).unwrap();
    names.into_iter().map(|it| (it.clone(), std::fs::read(root.join(it)).unwrap().into())).collect()
}

fn in_memory(files: built::Files) -> Arc<dyn nodedata_core::Files> {
    Arc::new(files.into_iter().fold(MemoryFiles::default(), |all, (path, bytes)| all.with(path, bytes)))
}

fn open(files: built::Files, options: &OpenOptions) -> Result<Box<dyn Source>> {
    RLDS.open(in_memory(files), options)
}

fn salvage() -> OpenOptions {
    OpenOptions { salvage: true, ..OpenOptions::default() }
}

/// Of each episode: its split and rows. And what went wrong.
fn read(source: &dyn Source) -> (Vec<(Option<String>, RecordBatch)>, Vec<Error>) {
    let plan = source.plan();
    let schema = plan.streams[0].arrow();
    let mut rows: Vec<Vec<RecordBatch>> = vec![Vec::new(); plan.episodes.len()];
    let mut errors = Vec::new();
    for (idx, partition) in plan.partitions.iter().enumerate() {
        let mut stream = source.read(idx, &ReadOptions::default()).unwrap();
        loop {
            match stream.next_batch() {
                Ok(Some(batch)) => rows[partition.episode].push(batch.rows),
                Ok(None) => break,
                Err(err) => errors.push(err),
            }
        }
    }
    let rows = rows.iter().map(|it| concat_batches(&schema, it).unwrap());
    (plan.episodes.iter().map(|it| it.split.clone()).zip(rows).collect(), errors)
}

fn read_all(files: built::Files) -> Vec<(Option<String>, RecordBatch)> {
    let (rows, errors) = read(open(files, &OpenOptions::default()).unwrap().as_ref());
    assert!(errors.is_empty(), "{errors:?}");
    rows
}

#[test]
fn every_container_gives_the_same_rows() {
    let expected = read_all(fixture("arm"));
    assert_eq!(expected.len(), 4);
    for name in ["arm_array_record", "arm_parquet"] {
        assert_eq!(read_all(fixture(name)), expected, "{name}");
    }
}

/// Records are cut alike, whatever they lie in, with and without room to keep what was unpacked.
#[test]
fn every_container_is_cut_into_the_same_pieces() {
    let expected = read_all(fixture("arm"));
    let plan_of = |name: &str, partition_bytes: u64, scratch: Option<PathBuf>| {
        let source =
            open(fixture(name), &OpenOptions { partition_bytes, scratch, ..OpenOptions::default() }).unwrap();
        let (rows, errors) = read(source.as_ref());
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(rows, expected, "{name}, partitions of {partition_bytes}");
        // A second time, when no copy is left.
        assert_eq!(read(source.as_ref()).0, expected, "{name}, partitions of {partition_bytes}");
        let plan = source.plan();
        let facts: Vec<_> = plan.episodes.iter().map(|it| (it.task.clone(), it.metadata.clone())).collect();
        let pieces: Vec<_> = plan.partitions.iter().map(|it| (it.episode, it.recipe.clone())).collect();
        (pieces, facts)
    };
    let (whole, _) = plan_of("arm", 1 << 20, None);
    for partition_bytes in [1, 20] {
        let plain = plan_of("arm", partition_bytes, None);
        assert!(whole.len() < plain.0.len());
        for name in ["arm_array_record", "arm_parquet"] {
            for scratch in [None, Some(std::env::temp_dir())] {
                assert_eq!(plan_of(name, partition_bytes, scratch), plain, "{name}");
            }
        }
    }
}

/// Files of records of all kinds, which are the same records.
fn in_all_kinds(records: &[Vec<u8>]) -> [(&'static str, &'static str, Vec<u8>); 4] {
    let plain: Vec<u8> = records.iter().flat_map(|it| framed(it)).collect();
    [
        ("tfrecord", "", plain.clone()),
        ("tfrecord", ".gz", packed("gz", &plain)),
        ("array_record", "", array_record(records, false)),
        ("array_record", "", array_record(records, true)),
    ]
}

/// A dataset of one file.
fn one_shard(features: &str, format: &str, ending: &str, file: Vec<u8>, n_records: usize) -> built::Files {
    let info = format!(
        r#"{{"name": "a", "fileFormat": "{format}", "splits": [{{"name": "train", "shardLengths": ["{n_records}"]}}]}}"#
    );
    vec![
        (format!("a-train.{format}-00000-of-00001{ending}").into(), file.into()),
        ("dataset_info.json".into(), info.into()),
        ("features.json".into(), features.to_owned().into()),
    ]
}

/// What is attached to episodes comes out of whatever their records lie in.
#[test]
fn what_is_attached_comes_out_of_every_container() {
    const FEATURES: &str = r#"{"featuresDict": {"features": {
      "map": {"image": {"dtype": "uint8"}},
      "steps": {"pythonClassName": "a.Dataset", "sequence": {"length": "-1", "feature": {"featuresDict": {"features": {
        "n": {"tensor": {"dtype": "int64", "shape": {}}}}}}}}}}}"#;
    let image = |id: u8| [&built::PNG[..], &vec![id; 300]].concat();
    let record = |id: u8| {
        let map = built::Value::Texts(vec![image(id)]);
        example(&[("map", map), ("steps/n", built::Value::Ints(vec![1, 2, 3]))])
    };
    let records: Vec<Vec<u8>> = (0..3).map(record).collect();
    for (format, ending, file) in in_all_kinds(&records) {
        let files = one_shard(FEATURES, format, ending, file.clone(), 3);
        let source = open(files, &OpenOptions::default()).unwrap();
        let attachments = &source.plan().attachments;
        let found: Vec<_> = attachments
            .iter()
            .map(|it| {
                let range = &it.content.byte_range;
                assert!(range.start < range.end && range.end <= file.len() as u64);
                let content = match &it.unpacked {
                    Some(content) => content.0.read_at(0..it.n_bytes()).unwrap(),
                    None => file[range.start as usize..range.end as usize].to_vec().into(),
                };
                (it.episode, it.name.as_str(), content.to_vec())
            })
            .collect();
        let expected: Vec<_> = (0..3).map(|id| (usize::from(id), "map", image(id))).collect();
        assert_eq!(found, expected, "{format}{ending}");
        assert_eq!(attachments[0].unpacked.is_none(), (format, ending) == ("tfrecord", ""));
        if let Some(content) = &attachments[0].unpacked {
            assert_eq!(content.0.read_at(0..content.0.n_bytes() + 1).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        let (rows, errors) = read(source.as_ref());
        assert!(errors.is_empty() && rows.len() == 3);
    }
}

/// A record that is too large to be had in memory is unpacked into a file, and gives the rows that it gives elsewhere.
#[test]
fn large_records_are_cut_in_every_container() {
    let n_steps = 20;
    let mut large = entries(7, n_steps);
    large.retain(|it| it.0 != "steps/language_instruction");
    // Of 40 MiB together.
    let text = |step: i64| format!("{step:08}").repeat(1 << 18).into_bytes();
    large.push(("steps/language_instruction", built::Value::Texts((0..n_steps).map(text).collect())));
    let records = vec![example(&entries(6, 2)), example(&large), example(&entries(8, 3))];
    let mut expected = None;
    for (format, ending, file) in in_all_kinds(&records) {
        for scratch in [None, Some(std::env::temp_dir())] {
            let files = one_shard(built::FEATURES, format, ending, file.clone(), 3);
            let source = open(files, &OpenOptions { scratch, ..OpenOptions::default() }).unwrap();
            let of_large: Vec<_> = source.plan().partitions.iter().filter(|it| it.episode == 1).collect();
            assert_eq!(of_large.len(), 20, "{format}{ending}: {of_large:?}");
            let n_bytes: u64 = of_large.iter().map(|it| it.decoded_bytes).sum();
            assert_eq!(n_bytes, records[1].len() as u64 + 16, "{format}{ending}");
            let found = read(source.as_ref());
            assert!(found.1.is_empty(), "{format}{ending}: {:?}", found.1);
            let expected = expected.get_or_insert_with(|| found.0.clone());
            assert!(found.0 == *expected, "{format}{ending}: other rows");
        }
    }
}

#[test]
fn every_container_keeps_the_rules() {
    for name in ["arm", "arm_array_record", "arm_parquet"] {
        conformance(
            &RLDS,
            &Case { name: name.to_owned(), files: fixture(name), damage: Damage::Anything(6) },
        );
    }
}

/// A bit anywhere in a shard is noticed, or was in what pads it.
#[test]
fn a_flipped_bit_is_never_another_value() {
    let expected = read_all(fixture("arm"));
    for name in ["arm_array_record", "arm_parquet"] {
        let mut n_noticed = 0;
        for (position, at) in (0..2).flat_map(|it| (0..40).map(move |at| (it, at * 41))) {
            let mut files = fixture(name);
            let mut bytes = files[position].1.to_vec();
            bytes[at] ^= 1 << (at % 8);
            files[position].1 = bytes.into();
            let Ok(source) = open(files, &OpenOptions::default()) else {
                n_noticed += 1;
                continue;
            };
            let (rows, errors) = read(source.as_ref());
            n_noticed += usize::from(!errors.is_empty());
            // Parquet files have no checksums, unless their writer was asked for them.
            if name != "arm_parquet" && errors.is_empty() {
                assert_eq!(rows, expected, "{name}, file {position}, byte {at}");
            }
        }
        assert!(n_noticed > 10, "{name}: {n_noticed}");
    }
}

#[test]
fn containers_that_are_cut_say_so() {
    for name in ["arm_array_record", "arm_parquet"] {
        let mut files = fixture(name);
        let half = files[0].1.len() / 2;
        files[0].1 = files[0].1.slice(..half);
        let err = open(files.clone(), &OpenOptions::default()).err().unwrap();
        assert_eq!(err.kind(), ErrorKind::Corrupt, "{name}");
        assert!(err.hint().is_some() && err.locus().path.is_some(), "{name}: {err}");
        let source = open(files, &salvage()).unwrap();
        assert!(source.plan().findings_of(FindingKind::Damage).count() > 0);
        // All that is behind the records of a small file is padding and footers.
        let n_episodes = source.plan().episodes.len();
        assert_eq!(n_episodes, if name == "arm_parquet" { 1 } else { 4 }, "{name}");
    }
}

#[test]
fn a_container_that_is_none_or_another_is_refused_by_its_name() {
    let mut files = fixture("arm_array_record");
    let info = str::from_utf8(&files[2].1).unwrap().replace("array_record\"", "arrayrecord\"");
    files[2].1 = info.into();
    let err = open(files, &OpenOptions::default()).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Unsupported);
    assert!(err.hint().unwrap().contains("`array_record`"), "{err} {:?}", err.hint());
    for (of, shard) in
        [("arm", "arm_array_record"), ("arm_array_record", "arm_parquet"), ("arm_parquet", "arm")]
    {
        let mut files = fixture(of);
        files[0].1 = fixture(shard)[0].1.clone();
        let err = open(files, &OpenOptions::default()).err().unwrap();
        assert_eq!(err.kind(), ErrorKind::Corrupt, "{of}: {err}");
        assert!(err.hint().is_some() && err.locus().path.is_some(), "{of}: {err}");
    }
}

fn packed(how: &str, plain: &[u8]) -> Vec<u8> {
    match how {
        "gz" => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
        "zst" => zstd::encode_all(plain, 1).unwrap(),
        _ => unreachable!("{how}"),
    }
}

/// As `TFRecordOptions(compression_type="GZIP")` writes: the name does not tell.
#[test]
fn shards_that_are_packed_as_a_whole_give_the_same_rows() {
    let expected = read_all(dataset());
    for how in ["gz", "zst"] {
        let mut files = dataset();
        for (_, bytes) in files.iter_mut().take(3) {
            *bytes = packed(how, bytes).into();
        }
        let source = open(files.clone(), &OpenOptions::default()).unwrap();
        for (partition, input) in source.plan().partitions.iter().zip([0, 0, 1, 2]) {
            let whole = 0..files[input].1.len() as u64;
            assert_eq!(partition.reads[0].byte_range, whole, "the file's one member");
        }
        assert_eq!(read_all(files.clone()), expected, "{how}");
        let mut named = files.clone();
        for (name, _) in named.iter_mut().take(3) {
            *name = format!("{}.{how}", name.display()).into();
        }
        assert_eq!(read_all(named), expected, "called .{how}");
        conformance(&RLDS, &Case { name: how.to_owned(), files, damage: Damage::Anything(4) });
    }
}

/// Bytes that do not pack, so that half of the packed file is half of what is in it.
fn noise(n: usize) -> Vec<u8> {
    let mut random = nodedata_testkit::damaged::Random::new(3);
    (0..n).map(|_| random.below(256) as u8).collect()
}

#[test]
fn a_packed_shard_that_is_cut_keeps_its_sound_episodes() {
    // An episode whose bytes do not pack, after one that is small.
    let mut large = entries(1, 2);
    large.retain(|it| it.0 != "steps/language_instruction");
    let text: String = noise(200_000).iter().map(|it| char::from(b'a' + it % 26)).collect();
    large.push(("steps/language_instruction", built::Value::Texts(vec![text.clone().into(), text.into()])));
    let shard = [framed(&example(&entries(0, 3))), framed(&example(&large))].concat();
    let mut files = dataset();
    let whole = packed("gz", &shard);
    files[0].1 = Bytes::from(whole.clone()).slice(..whole.len() / 2);
    let err = open(files.clone(), &OpenOptions::default()).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Corrupt);
    assert!(err.to_string().contains("the file ends within its gzip"), "{err}");
    assert_eq!(err.locus().to_string(), "arm-train.tfrecord-00000-of-00002, byte 0");
    assert!(err.hint().is_some());
    let source = open(files, &salvage()).unwrap();
    let damage: Vec<_> = source.plan().findings_of(FindingKind::Damage).collect();
    assert_eq!(damage.iter().map(|it| it.reason.as_str()).collect::<Vec<_>>(), ["damaged_packing"]);
    let (rows, errors) = read(source.as_ref());
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(rows.iter().map(|it| it.1.num_rows()).collect::<Vec<_>>(), [3, 4, 2]);
}

#[test]
fn what_comes_out_of_a_packed_shard_is_bounded_by_an_option() {
    let mut files = dataset();
    files[0].1 = packed("gz", &vec![0; 80 << 20]).into();
    let option = |n| OpenOptions {
        options: [("unpack_ratio_max".to_owned(), OptionValue::Integer(n))].into(),
        ..OpenOptions::default()
    };
    let err = open(files.clone(), &option(10)).err().unwrap();
    assert_eq!((err.kind(), err.locus().path.is_some()), (ErrorKind::Limit, true), "{err}");
    assert!(err.hint().unwrap().contains("--set source.unpack_ratio_max"));
    // Eighty million zeros are no records either.
    let err = open(files, &option(100_000)).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
}

/// Files in a store, where each fetched byte counts; opened once each, as those of a bucket are.
struct Far {
    files: Arc<dyn nodedata_core::Files>,
    n_fetched: Arc<AtomicU64>,
    open: Mutex<BTreeMap<PathBuf, Arc<dyn ReadAt>>>,
}

impl Far {
    fn new(files: built::Files, n_fetched: &Arc<AtomicU64>) -> Arc<Self> {
        let n_fetched = Arc::clone(n_fetched);
        Arc::new(Self { files: in_memory(files), n_fetched, open: Mutex::default() })
    }
}

impl nodedata_core::Files for Far {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.files.list()
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        let mut open = self.open.lock().unwrap();
        if let Some(file) = open.get(path) {
            return Ok(Arc::clone(file));
        }
        let file = FarFile { file: self.files.open(path)?, n_fetched: Arc::clone(&self.n_fetched) };
        Ok(Arc::clone(open.entry(path.to_owned()).or_insert(Arc::new(Blocks::over(file)))))
    }
}

struct FarFile {
    file: Arc<dyn ReadAt>,
    n_fetched: Arc<AtomicU64>,
}

impl ReadAt for FarFile {
    fn n_bytes(&self) -> u64 {
        self.file.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.n_fetched.fetch_add(range.end - range.start, Ordering::SeqCst);
        self.file.read_at(range)
    }
}

/// Twenty records with two texts of so many bytes; what is fetched for their framing, and in all, of how much.
fn fetched(text_bytes: usize) -> [u64; 3] {
    let mut large = entries(1, 2);
    large.retain(|it| it.0 != "steps/language_instruction");
    let text = "x".repeat(text_bytes);
    large.push(("steps/language_instruction", built::Value::Texts(vec![text.clone().into(), text.into()])));
    let record = framed(&example(&large));
    let mut files = dataset();
    files[0].1 = record.repeat(20).into();
    let info = built::INFO.replace("[\"2\", \"1\"]", "[\"20\", \"1\"]");
    files.iter_mut().find(|it| it.0.as_os_str() == "dataset_info.json").unwrap().1 = info.into();
    let n_bytes: u64 = files.iter().map(|it| it.1.len() as u64).sum();
    let n_fetched = Arc::new(AtomicU64::new(0));
    let source = RLDS.open(Far::new(files, &n_fetched), &OpenOptions::default()).unwrap();
    let n_framing = n_fetched.load(Ordering::SeqCst);
    let (rows, errors) = read(source.as_ref());
    assert!(errors.is_empty() && rows.len() == 22);
    [n_framing, n_fetched.load(Ordering::SeqCst), n_bytes]
}

/// Also where records are small enough that blocks have several of them.
#[test]
fn framing_a_far_file_fetches_little_of_it() {
    for text_bytes in [33 << 10, 100 << 10, 300 << 10, 1 << 20] {
        let [n_framing, n_all, n_bytes] = fetched(text_bytes);
        assert!(n_framing * 12 < n_bytes, "{text_bytes}: {n_framing} of {n_bytes} for the framing");
        assert!(n_all * 10 <= n_bytes * 11, "{text_bytes}: {n_all} of {n_bytes} in all");
    }
}
