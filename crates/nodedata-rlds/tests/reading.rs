//! What a dataset becomes, and what becomes of one that is damaged or of kinds that are not read yet.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;

use std::sync::Arc;

use arrow_array::{
    Array as _, ArrayRef, RecordBatch,
    cast::AsArray as _,
    types::{Float32Type, Float64Type, Int8Type, Int64Type, UInt64Type},
};
use built::{FEATURES, Files, INFO, PNG, VAL, Value, dataset, entries, example, framed, with};
use nodedata_core::{
    EpisodeFacts, Error, ErrorKind, Fact, Finding, FindingKind, Format as _, OpenOptions, ReadOptions,
    Result, Source,
};
use nodedata_io::MemoryFiles;
use nodedata_rlds::RLDS;

fn open(files: Files, options: &OpenOptions) -> Result<Box<dyn Source>> {
    let files = files.into_iter().fold(MemoryFiles::default(), |all, (path, bytes)| all.with(path, bytes));
    RLDS.open(Arc::new(files), options)
}

fn salvaged(files: Files) -> Box<dyn Source> {
    open(files, &OpenOptions { salvage: true, ..OpenOptions::default() }).unwrap()
}

fn refused(files: Files) -> Error {
    let err = open(files, &OpenOptions::default()).err().expect("it is refused");
    assert!(err.hint().is_some() && err.locus().path.is_some(), "{err} at {}", err.locus());
    err
}

/// Rows, facts and damage of one partition.
fn read(source: &dyn Source, partition: usize) -> (Vec<RecordBatch>, Option<EpisodeFacts>, Vec<Error>) {
    let mut stream = source.read(partition, &ReadOptions::default()).unwrap();
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    loop {
        match stream.next_batch() {
            Ok(Some(batch)) => rows.push(batch.rows),
            Ok(None) => return (rows, stream.facts().cloned(), errors),
            Err(err) => errors.push(err),
        }
    }
}

/// Steps read of each episode, by its key.
fn n_steps(source: &dyn Source) -> Vec<(String, usize)> {
    let episodes = source.plan().episodes.iter().enumerate();
    let n = |idx| read(source, idx).0.iter().map(RecordBatch::num_rows).sum();
    episodes.map(|(idx, it)| (it.key.rsplit_once("arm-").unwrap().1.to_owned(), n(idx))).collect()
}

fn damage(source: &dyn Source) -> Vec<Finding> {
    source.plan().findings_of(FindingKind::Damage).cloned().collect()
}

#[test]
fn a_record_is_an_episode() {
    let source = open(dataset(), &OpenOptions::default()).unwrap();
    let plan = source.plan();
    assert_eq!(plan.findings, []);
    let names: Vec<&str> = plan.streams[0].features.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "step_index",
            "action",
            "is_first",
            "is_last",
            "language_instruction",
            "observation.image",
            "observation.ticks",
            "precise",
            "small"
        ]
    );
    let splits: Vec<_> = plan.episodes.iter().map(|it| it.split.as_deref().unwrap()).collect();
    assert_eq!(splits, ["train", "train", "train", "val"]);
    assert_eq!(
        n_steps(source.as_ref()),
        [
            ("train.tfrecord-00000-of-00002#0".to_owned(), 3),
            ("train.tfrecord-00000-of-00002#1".to_owned(), 1),
            ("train.tfrecord-00001-of-00002#0".to_owned(), 4),
            ("val.tfrecord-00000-of-00001#0".to_owned(), 2),
        ]
    );
    let facts = &plan.facts;
    let told = [&facts.version, &facts.license, &facts.citation, &facts.description];
    assert_eq!(told.map(|it| it.as_deref().unwrap()), ["1.2.0", "CC-BY-4.0", "cite me", "An arm."]);
}

#[test]
fn values_are_those_of_the_record() {
    let source = open(dataset(), &OpenOptions::default()).unwrap();
    let (rows, facts, errors) = read(source.as_ref(), 2);
    assert!(errors.is_empty() && rows.len() == 1, "{errors:?}");
    let rows = &rows[0];
    let column = |name: &str| -> &ArrayRef { rows.column_by_name(name).unwrap() };
    assert_eq!(column("step_index").as_primitive::<Int64Type>().values(), &[0, 1, 2, 3]);
    let matrix = column("action").as_fixed_size_list();
    assert_eq!((matrix.value_length(), matrix.len()), (2, 4));
    let action = matrix.values().as_fixed_size_list().values().as_primitive::<Float32Type>();
    let expected: Vec<f32> = (0..24).map(|it| it as f32 * 0.5 - 2.0).collect();
    assert_eq!(action.values(), &expected[..]);
    let precise = column("precise").as_fixed_size_list().values().as_primitive::<Float64Type>();
    assert_eq!(precise.values(), &[-2.0, -1.5, -1.0, -0.5]);
    assert_eq!(column("observation.ticks").as_primitive::<UInt64Type>().values(), &[0, u64::MAX, 2000, 3000]);
    assert_eq!(column("small").as_primitive::<Int8Type>().values(), &[0, -1, -2, -3]);
    let last: Vec<bool> = column("is_last").as_boolean().iter().flatten().collect();
    assert_eq!(last, [false, false, false, true]);
    assert_eq!(column("language_instruction").as_string::<i32>().value(3), "place the cube — gently");
    let images = column("observation.image").as_struct().column(0).as_binary::<i32>();
    assert_eq!(images.value(2), [&PNG[..], &[2]].concat());
    let metadata: Vec<(String, Fact)> = facts.unwrap().metadata.into_iter().collect();
    let expected = [
        ("episode_metadata.file_path", Fact::Text("raw/2.hdf5".to_owned())),
        ("episode_metadata.id", Fact::Int(2)),
        ("episode_metadata.score", Fact::Float(0.25)),
        ("episode_metadata.success", Fact::Bool(false)),
    ];
    assert_eq!(metadata, expected.map(|(name, fact)| (name.to_owned(), fact)));
}

/// A flipped bit in a record costs that record and no other, and nothing before it is read.
#[test]
fn a_record_with_a_wrong_checksum_is_left_out_alone() {
    let mut files = dataset();
    let mut bytes = files[0].1.to_vec();
    bytes[100] ^= 4;
    files[0].1 = bytes.into();
    let source = open(files, &OpenOptions::default()).unwrap();
    let (rows, facts, errors) = read(source.as_ref(), 0);
    assert!(rows.is_empty() && facts.is_none());
    let [err] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(err.to_string(), "the record is not what its checksum says");
    assert_eq!(err.locus().to_string(), "arm-train.tfrecord-00000-of-00002, byte 0, episode 0");
    let loss = err.loss().unwrap();
    assert_eq!((loss.reason, loss.uncounted), ("damaged_record", true));
    assert_eq!(n_steps(source.as_ref()).iter().map(|it| it.1).collect::<Vec<_>>(), [0, 1, 4, 2]);
}

#[test]
fn a_file_that_is_cut_is_damage_even_between_two_records() {
    let whole = dataset()[0].1.clone();
    let first = framed(&example(&entries(0, 3))).len();
    for (end, reason) in
        [(whole.len() - 1, "truncated"), (first + 5, "truncated"), (first, "miscounted"), (0, "miscounted")]
    {
        let files = with("arm-train.tfrecord-00000-of-00002", whole.slice(..end));
        assert_eq!(refused(files.clone()).kind(), ErrorKind::Corrupt);
        let source = salvaged(files);
        let found = damage(source.as_ref());
        assert_eq!(found.iter().map(|it| it.reason.as_str()).collect::<Vec<_>>(), [reason], "cut to {end}");
        assert!(found[0].uncounted && found[0].at.path.is_some(), "{found:?}");
        let n_before = usize::from(end >= first);
        assert_eq!(source.plan().episodes.len(), n_before + 2, "cut to {end}");
    }
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    assert!(refused(with(VAL, lfs)).hint().unwrap().starts_with("`git lfs pull`"));
}

#[test]
fn shards_that_are_missing_or_unknown_are_named() {
    let mut files = dataset();
    files.remove(2);
    assert_eq!(refused(files.clone()).locus().to_string(), VAL);
    let found = damage(salvaged(files.clone()).as_ref());
    assert_eq!(found.iter().map(|it| it.reason.as_str()).collect::<Vec<_>>(), ["missing_shard"]);
    // One that nothing counts belongs to the split that it is called by.
    files.push(("arm-test.tfrecord".into(), dataset()[1].1.clone()));
    let source = salvaged(files);
    assert_eq!(source.plan().episodes.last().unwrap().split.as_deref(), Some("test"));
    assert_eq!(source.plan().findings_of(FindingKind::Warning).count(), 1);
}

/// A record of one step, changed in one entry.
fn changed(key: &'static str, value: Option<Value>) -> Vec<Error> {
    let mut record = entries(3, 1);
    record.retain(|it| it.0 != key);
    record.extend(value.map(|it| (key, it)));
    let source = open(with(VAL, framed(&example(&record))), &OpenOptions::default()).unwrap();
    let (rows, _, errors) = read(source.as_ref(), 3);
    assert_eq!(rows.is_empty(), !errors.is_empty());
    errors
}

#[test]
fn records_that_are_not_what_the_features_say_are_refused() {
    let text = |it: &[u8]| Some(Value::Texts(vec![it.to_vec()]));
    let cases: [(&str, Option<Value>, &str); 9] = [
        ("steps/action", None, "no values under `steps/action`, but for 1 steps under `steps/is_first`"),
        ("steps/action", Some(Value::Floats(vec![0.0; 7])), "7 values make no whole steps of 6"),
        ("steps/action", Some(Value::Ints(vec![0; 6])), "the values are integers, expected floats"),
        ("steps/small", Some(Value::Ints(vec![128])), "128 is no int8"),
        ("steps/is_last", Some(Value::Ints(vec![2])), "2 is no bool"),
        ("steps/language_instruction", text(b"\xff"), "the text is not UTF-8"),
        ("steps/unheard", text(b""), "the record has a key `steps/unheard` that is none of the features"),
        ("episode_metadata/id", Some(Value::Ints(vec![1, 2])), "2 values where one is expected"),
        ("episode_metadata/success", Some(Value::Ints(vec![7])), "7 is no bool"),
    ];
    for (key, value, told) in cases {
        let errors = changed(key, value);
        let [err] = &errors[..] else { panic!("{key}: {errors:?}") };
        assert!(err.to_string().contains(told), "{key}: {err}");
        let place = err.locus();
        assert!(place.path.is_some() && err.hint().is_some() && err.loss().is_some(), "{key}: {place}");
        assert!(key == "steps/unheard" || place.feature.is_some(), "{key}: {place}");
    }
    assert_eq!(changed("steps/small", Some(Value::Ints(vec![127]))).len(), 0);
}

#[test]
fn what_is_not_read_is_refused_by_name_and_can_be_left_out() {
    let small = r#""small": {"tensor": {"dtype": "int8", "shape": {}}}"#;
    assert!(FEATURES.contains(small));
    for (feature, why) in [
        (r#"{"tensor": {"dtype": "int8", "encoding": "lz4", "shape": {}}}"#, "encoded as `lz4`"),
        (r#"{"tensor": {"dtype": "string", "encoding": "zlib", "shape": {}}}"#, "`string` encoded as `zlib`"),
        (r#"{"tensor": {"dtype": "int8", "shape": {"dimensions": ["0"]}}}"#, "a length of 0"),
        (r#"{"tensor": {"dtype": "int8", "shape": {"dimensions": ["x"]}}}"#, "has a length of \"x\""),
        (r#"{"tensor": {"dtype": "bfloat16", "shape": {}}}"#, "`bfloat16`"),
        (r#"{"image": {"dtype": "float32", "shape": [8, 8, 3]}}"#, "more than one channel"),
        (r#"{"pythonClassName": "a.b.Mesh", "mesh": {}}"#, "is a `Mesh`"),
        (r#"{"pythonClassName": "a.b.Mesh", "jsonFeature": {"json": "{}"}}"#, "is a `Mesh`"),
        (
            r#"{"pythonClassName": "a.b.Text", "jsonFeature": {"json": "{\"use_encoder\": true}"}}"#,
            "an encoder",
        ),
        ("7", "no JSON object"),
    ] {
        let files = with("features.json", FEATURES.replace(small, &format!(r#""small": {feature}"#)));
        let err = refused(files.clone());
        assert_eq!(
            (err.kind(), err.locus().feature.as_deref()),
            (ErrorKind::Unsupported, Some("small")),
            "{err}"
        );
        assert!(err.to_string().contains(why), "{err}");
        let topics = Some(vec!["action".to_owned(), "observation.*".to_owned()]);
        let source = open(files, &OpenOptions { topics, ..OpenOptions::default() }).unwrap();
        assert!(source.plan().unselected.contains(&"small".to_owned()));
        assert_eq!(n_steps(source.as_ref()).iter().map(|it| it.1).sum::<usize>(), 10);
    }
    for (features, why) in [
        (r#"{"type": "a.FeaturesDict", "content": {}}"#, "no feature is called `steps`"),
        (r#"{"featuresDict": {"features": {"image": {"image": {}}}}}"#, "no feature is called `steps`"),
        (
            r#"{"featuresDict": {"features": {"steps": {"sequence": {"feature": {"text": {}}}}}}}"#,
            "the steps have no features by name",
        ),
    ] {
        let err = refused(with("features.json", features));
        assert!(err.kind() == ErrorKind::Unsupported && err.to_string().contains(why), "{err}");
    }
    let err = refused(with("dataset_info.json", INFO.replace("\"tfrecord\"", "\"riegeli\"")));
    assert!(err.to_string().contains("`riegeli`"), "{err}");
    let err = refused(with("dataset_info.json", "{"));
    assert_eq!((err.kind(), err.locus().line_column), (ErrorKind::Corrupt, Some((1, 1))));
}
