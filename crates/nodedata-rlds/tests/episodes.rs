//! What is known of episodes: their files, keys, tasks and metadata, and what their steps say of where they begin and end.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;
mod far;

use std::{collections::BTreeMap, sync::Arc};

use built::{FEATURES, Files, INFO, VAL, Value, dataset, entries, example, framed, with};
use far::Far;
use nodedata_core::{
    EpisodeFacts, Error, ErrorKind, Fact, Finding, FindingKind, Format as _, OpenOptions, OptionValue,
    ReadOptions, Result, Source,
};
use nodedata_io::MemoryFiles;
use nodedata_rlds::RLDS;

fn open(files: Files, options: &OpenOptions) -> Result<Box<dyn Source>> {
    let memory = MemoryFiles::default();
    let files = files.into_iter().fold(memory, |all, (path, bytes)| all.with(path, bytes));
    RLDS.open(Arc::new(files), options)
}

fn refused(files: Files, options: &OpenOptions) -> Error {
    let err = open(files, options).err().expect("it is refused");
    assert!(err.hint().is_some() && !err.locus().is_empty(), "{err} at {}", err.locus());
    err
}

fn keys(source: &dyn Source) -> Vec<&str> {
    source.plan().episodes.iter().map(|it| it.key.as_str()).collect()
}

/// What reading a partition tells.
fn read(source: &dyn Source, partition: usize) -> (EpisodeFacts, Vec<Finding>) {
    let mut stream = source.read(partition, &ReadOptions::default()).unwrap();
    while stream.next_batch().unwrap().is_some() {}
    (stream.facts().cloned().unwrap_or_default(), stream.warnings().to_vec())
}

/// The dataset with an episode of three steps to validate, some of whose values are others.
fn changed(values: Vec<(&'static str, Value)>) -> Files {
    let mut record = entries(3, 3);
    for (key, value) in values {
        record.retain(|it| it.0 != key);
        record.push((key, value));
    }
    with(VAL, framed(&example(&record)))
}

fn texts(all: &[&str]) -> Value {
    Value::Texts(all.iter().map(|it| it.as_bytes().to_vec()).collect())
}

#[test]
fn an_instruction_that_does_not_change_is_the_task() {
    let task = |files: Files| {
        let cut = open(files.clone(), &OpenOptions { partition_bytes: 1, ..OpenOptions::default() }).unwrap();
        let source = open(files, &OpenOptions::default()).unwrap();
        let (facts, warnings) = read(source.as_ref(), 3);
        assert_eq!(warnings, []);
        // However many pieces it is read in.
        assert_eq!(cut.plan().episodes[3].task, facts.task);
        facts.task
    };
    assert_eq!(task(dataset()).as_deref(), Some("place the cube — gently"));
    let of = |it| changed(vec![("steps/language_instruction", texts(it))]);
    assert_eq!(task(of(&["a", "a", "b"])), None);
    assert_eq!(task(of(&["", "", ""])), None);

    // Of several the first that says something, and the codes of a text where there is no text.
    let text = r#""language_instruction": {"text": {}},"#;
    let three = r#""language_instruction": {"text": {}}, "language_instruction_2": {"text": {}},
        "language_instruction_3": {"text": {}},"#;
    let codes = r#""observation": {"featuresDict": {"features": {"instruction": {"tensor": {"dtype": "int32",
        "shape": {"dimensions": ["4"]}}},"#;
    let observation = r#""observation": {"featuresDict": {"features": {"#;
    assert!(FEATURES.contains(text) && FEATURES.contains(observation));
    let described = |files: Files, from: &str, to: &str| -> Files {
        let other = |(path, bytes): (std::path::PathBuf, bytes::Bytes)| match path.to_str() {
            Some("features.json") => (path, FEATURES.replace(from, to).into()),
            Some(VAL) | Some("dataset_info.json") => (path, bytes),
            _ => (path, bytes::Bytes::new()),
        };
        let info = INFO.replace(r#"["2", "1"]"#, r#"["0", "0"]"#);
        let mut files: Files = files.into_iter().map(other).collect();
        files
            .iter_mut()
            .filter(|it| it.0.ends_with("dataset_info.json"))
            .for_each(|it| it.1 = info.clone().into());
        files
    };
    let task = |files: Files| {
        let source = open(files, &OpenOptions::default()).unwrap();
        read(source.as_ref(), 0).0.task
    };
    let files = changed(vec![
        ("steps/language_instruction", texts(&["", "", ""])),
        ("steps/language_instruction_2", texts(&["pick", "pick", "pick"])),
        ("steps/language_instruction_3", texts(&["take", "take", "take"])),
    ]);
    assert_eq!(task(described(files, text, three)).as_deref(), Some("pick"));
    let hi = || [104, 105, 0, 0].into_iter();
    let of_codes = |last: [i64; 4]| {
        changed(vec![
            ("steps/language_instruction", texts(&["", "", ""])),
            ("steps/observation/instruction", Value::Ints(hi().chain(hi()).chain(last).collect())),
        ])
    };
    assert_eq!(task(described(of_codes([104, 105, 0, 0]), observation, codes)).as_deref(), Some("hi"));
    assert_eq!(task(described(of_codes([104, 105, 300, 0]), observation, codes)), None);
}

#[test]
fn marks_that_do_not_hold_are_told_and_change_nothing() {
    let flags = |it: [i64; 3]| Value::Ints(it.to_vec());
    for (key, value, told) in [
        ("steps/is_first", flags([1, 0, 0]), None),
        ("steps/is_first", flags([0, 0, 0]), Some("no step is marked as the first of 3 by `is_first`")),
        ("steps/is_first", flags([1, 0, 1]), Some("2 steps are marked as the first of 3 by `is_first`")),
        (
            "steps/is_first",
            flags([0, 1, 0]),
            Some("step 1 is marked as the first, not step 0 of 3 by `is_first`"),
        ),
        ("steps/is_last", flags([0, 0, 1]), None),
        (
            "steps/is_last",
            flags([0, 1, 0]),
            Some("step 1 is marked as the last, not step 2 of 3 by `is_last`"),
        ),
        ("steps/is_last", flags([0, 0, 0]), Some("no step is marked as the last of 3 by `is_last`")),
    ] {
        let files = changed(vec![(key, value)]);
        let source = open(files.clone(), &OpenOptions::default()).unwrap();
        assert_eq!(source.plan().findings, []);
        let (_, warnings) = read(source.as_ref(), 3);
        // A record that is read in pieces is looked at once, when it is planned.
        let cut = open(files, &OpenOptions { partition_bytes: 1, ..OpenOptions::default() }).unwrap();
        assert_eq!(cut.plan().findings, warnings);
        let Some(told) = told else {
            assert_eq!(warnings, []);
            continue;
        };
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert_eq!((warning.kind, warning.message.as_str()), (FindingKind::Warning, told));
        let place = warning.at.to_string();
        assert!(place.starts_with(&format!("{VAL}, byte 0, episode 3, step ")), "{place}");
        assert!(warning.hint.is_some() && warning.reason.starts_with("broken_is_"), "{warning:?}");
    }
}

#[test]
fn records_are_looked_into_only_when_they_are_asked_about() {
    let files = Far::new(dataset());
    let open = |options: &OpenOptions| {
        RLDS.open(Arc::clone(&files) as Arc<dyn nodedata_core::Files>, options).unwrap()
    };
    let source = open(&OpenOptions::default());
    // The heads of four records, and what three files begin with: twelve bytes each.
    assert!(files.n_read() <= (4 + 3) * 12, "{}", files.n_read());
    assert!(source.plan().episodes.iter().all(|it| it.task.is_none() && it.metadata.is_empty()));
    let source = open(&OpenOptions { episode_facts: true, ..OpenOptions::default() });
    assert!(files.n_read() > 1000, "{}", files.n_read());
    for (idx, episode) in source.plan().episodes.iter().enumerate() {
        let (facts, _) = read(source.as_ref(), idx);
        assert_eq!(episode.task, facts.task);
        let told: BTreeMap<String, Fact> =
            episode.metadata.iter().map(|(name, fact)| (name.to_string(), fact.clone())).collect();
        assert_eq!(told, facts.metadata);
        assert_eq!(told["episode_metadata.id"], Fact::Int(idx as i64));
    }
}

/// A record that is asked about and is damaged has no episode to be dealt by what it tells.
#[test]
fn a_damaged_record_that_is_asked_about_is_left_out() {
    let mut files = dataset();
    let mut bytes = files[0].1.to_vec();
    bytes[100] ^= 4;
    files[0].1 = bytes.into();
    let asked = OpenOptions { episode_facts: true, ..OpenOptions::default() };
    assert_eq!(refused(files.clone(), &asked).kind(), ErrorKind::Corrupt);
    let source = open(files, &OpenOptions { salvage: true, ..asked }).unwrap();
    assert!(keys(source.as_ref()).iter().all(|it| !it.ends_with("00000-of-00002#0")));
    assert_eq!((source.plan().episodes.len(), source.plan().findings.len()), (3, 1));
}

fn keyed(feature: &str) -> OpenOptions {
    let options = [("episode_key".to_owned(), OptionValue::Text(feature.to_owned()))].into();
    OpenOptions { options, ..OpenOptions::default() }
}

#[test]
fn episodes_are_called_by_a_feature_that_tells_them_apart() {
    let source = open(dataset(), &keyed("episode_metadata.file_path")).unwrap();
    assert_eq!(keys(source.as_ref()), ["raw/0.hdf5", "raw/1.hdf5", "raw/2.hdf5", "raw/3.hdf5"]);
    let source = open(dataset(), &keyed("episode_metadata.id")).unwrap();
    assert_eq!(keys(source.as_ref()), ["0", "1", "2", "3"]);

    let err = refused(dataset(), &keyed("episode_metadata.file_paht"));
    assert_eq!(
        (err.kind(), err.hint()),
        (ErrorKind::Config, Some("did you mean `episode_metadata.file_path`?"))
    );
    let err = refused(dataset(), &keyed("is_first"));
    assert!(err.to_string().contains("has a value for each step"), "{err}");

    // Two of them alike, and one without.
    let err = refused(dataset(), &keyed("episode_metadata.success"));
    assert_eq!(
        err.to_string(),
        "the episode is called `false`, as another is (arm-train.tfrecord-00000-of-00002, byte 0, episode 0)"
    );
    assert!(
        err.locus().to_string().starts_with("arm-train.tfrecord-00001-of-00002, byte 0, episode 2"),
        "{}",
        err.locus()
    );
    let unnamed = || changed(vec![("episode_metadata/id", Value::Ints(Vec::new()))]);
    let err = refused(unnamed(), &keyed("episode_metadata.id"));
    assert_eq!(err.to_string(), "the episode has no value to be called by");
    assert_eq!(err.locus().path.as_deref().unwrap().to_str(), Some(VAL));
    // It costs that episode, where damage is passed over; a feature that does not tell episodes apart is no damage.
    let salvage = |feature: &str| OpenOptions { salvage: true, ..keyed(feature) };
    let source = open(unnamed(), &salvage("episode_metadata.id")).unwrap();
    let findings = &source.plan().findings;
    assert_eq!((keys(source.as_ref()).len(), findings.len()), (3, 1), "{findings:?}");
    assert_eq!(findings[0].message, "the episode has no value to be called by");
    refused(dataset(), &salvage("episode_metadata.success"));
}

fn renamed(files: Files, from: &str, to: &str) -> Files {
    let name = |it: std::path::PathBuf| it.to_str().unwrap().replace(from, to).into();
    files.into_iter().map(|(path, bytes)| (name(path), bytes)).collect()
}

fn without(files: Files, name: &str) -> Files {
    files.into_iter().filter(|it| it.0.to_str() != Some(name)).collect()
}

#[test]
fn files_are_found_however_the_metadata_calls_them() {
    let splits = |source: &dyn Source| -> Vec<String> {
        source.plan().episodes.iter().map(|it| it.split.clone().unwrap()).collect()
    };
    let expected = ["train", "train", "train", "val"];
    // Nothing but their names tells.
    let source = open(without(dataset(), "dataset_info.json"), &OpenOptions::default()).unwrap();
    assert_eq!(
        (splits(source.as_ref()), source.plan().findings.len()),
        (expected.map(str::to_owned).into(), 0)
    );
    // The dataset has another name than its files.
    let source = open(renamed(dataset(), "arm-", "leg-"), &OpenOptions::default()).unwrap();
    assert_eq!(splits(source.as_ref()), expected);
    let [warning] = &source.plan().findings[..] else { panic!("{:?}", source.plan().findings) };
    assert_eq!(warning.message, "the dataset is called `arm`, but files of records `leg`");
    // Named by a template, counted or not.
    let template = INFO.replace(
        r#""shardLengths": ["2", "1"]"#,
        r#""numShards": "2", "filepathTemplate": "{SPLIT}/{SHARD_INDEX}.{FILEFORMAT}""#,
    );
    let files = renamed(dataset(), "arm-train.tfrecord-00000-of-00002", "train/00000.tfrecord");
    let mut files = renamed(files, "arm-train.tfrecord-00001-of-00002", "train/00001.tfrecord");
    files
        .iter_mut()
        .filter(|it| it.0.ends_with("dataset_info.json"))
        .for_each(|it| it.1 = template.clone().into());
    let source = open(files, &OpenOptions::default()).unwrap();
    assert_eq!(
        (splits(source.as_ref()), source.plan().findings.len()),
        (expected.map(str::to_owned).into(), 0)
    );
}

#[test]
fn shards_that_were_never_fetched_are_counted() {
    let salvaged = |files| open(files, &OpenOptions { salvage: true, ..OpenOptions::default() }).unwrap();
    let gone =
        without(without(dataset(), "arm-train.tfrecord-00000-of-00002"), "arm-train.tfrecord-00001-of-00002");
    let err = refused(gone.clone(), &OpenOptions::default());
    assert_eq!(
        err.to_string(),
        "2 files are not there of split `train`, such as this one, and with them 3 episodes"
    );
    assert_eq!(err.locus().to_string(), "arm-train.tfrecord-00000-of-00002");
    assert_eq!(salvaged(gone).plan().episodes.len(), 1);
    // Without metadata names tell how many there are.
    let files = without(without(dataset(), "arm-train.tfrecord-00000-of-00002"), "dataset_info.json");
    let err = refused(files.clone(), &OpenOptions::default());
    assert_eq!(err.to_string(), "1 file is not there of split `train`, such as this one");
    assert_eq!(err.locus().to_string(), "arm-train.tfrecord-00000-of-00002");
    let source = salvaged(files);
    assert_eq!((source.plan().episodes.len(), source.plan().findings.len()), (2, 1));
}

#[test]
fn what_tfds_writes_beside_is_known() {
    let mut files = dataset();
    let beside = [
        "LICENSE",
        "arm-train.tfrecord-00000-of-00002_index.json",
        "metadata.json",
        "steps-label.labels.txt",
    ];
    files.extend(beside.iter().map(|it| ((*it).into(), "x".into())));
    let source = open(files, &OpenOptions::default()).unwrap();
    let found: Vec<_> = source.plan().beside.iter().map(|it| it.to_str().unwrap()).collect();
    assert_eq!(found, beside);
}
