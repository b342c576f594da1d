use nodedata_core::Files as _;
use parquet::{
    basic::Encoding,
    file::reader::{FileReader, SerializedFileReader},
};

use super::*;
use crate::index::METADATA_TEXTS;

fn row(metadata: &BTreeMap<Arc<str>, Fact>) -> EpisodeRow<'_> {
    EpisodeRow {
        episode: 0,
        key: "run",
        split: "train",
        place: None,
        task: None,
        source: "run.mcap".into(),
        content: None,
        metadata,
    }
}

/// The rows of so many episodes, each in a shard of its own.
fn placed(n: u64, none: &BTreeMap<Arc<str>, Fact>) -> Vec<EpisodeRow<'_>> {
    let of = |episode: u64| EpisodeRow {
        episode,
        place: Some(EpisodePlace {
            stream: "steps",
            shard: episode as usize,
            row: 3,
            n_rows: 40 + episode,
            row_group: 1,
            n_row_groups: 2,
            start_time_ns: Some(-5),
            end_time_ns: None,
        }),
        task: (episode == 1).then_some("pick"),
        content: Some([episode as u8; 32]),
        ..row(none)
    };
    (0..n).map(of).collect()
}

fn read(bytes: Vec<u8>) -> Result<EpisodeTable> {
    let files = nodedata_io::MemoryFiles::default().with("episodes", bytes);
    EpisodeTable::read("episodes", files.open(std::path::Path::new("episodes")).unwrap())
}

#[test]
fn metadata_comes_back_with_its_types() {
    let metadata: BTreeMap<Arc<str>, Fact> = [
        ("quality", Fact::Text("good".to_owned())),
        ("attempts", Fact::Int(-3)),
        ("score", Fact::Float(0.5)),
        ("success", Fact::Bool(true)),
        ("code", Fact::Text("007".to_owned())),
    ]
    .map(|(key, value)| (key.into(), value))
    .into();
    let none = BTreeMap::new();
    let table = read(episode_table(&[row(&none), row(&metadata), row(&none)]).unwrap()).unwrap();
    let told: BTreeMap<Arc<str>, Fact> =
        table.metadata(1).into_iter().map(|(key, value)| (key.as_str().into(), value)).collect();
    assert_eq!(told, metadata);
    assert!([0, 2, 3].iter().all(|it| table.metadata(*it).is_empty()));
}

#[test]
fn texts_of_episodes_have_no_dictionary_and_their_names_do() {
    let metadata = [("quality".into(), "good".to_owned().into())].into();
    let file =
        SerializedFileReader::new(bytes::Bytes::from(episode_table(&[row(&metadata)]).unwrap())).unwrap();
    let group = file.metadata().row_group(0);
    let has_dictionary = |name: &str| {
        let column = group.columns().iter().find(|it| it.column_path().string() == name).unwrap();
        column.encodings().any(|it| it == Encoding::RLE_DICTIONARY || it == Encoding::PLAIN_DICTIONARY)
    };
    assert!(has_dictionary("metadata.entries.key"));
    assert!(!has_dictionary(&METADATA_TEXTS.join(".")));
}

/// More rows than are decoded at once, so that they lie in several parts.
#[test]
fn every_row_is_found_by_its_position() {
    let none = BTreeMap::new();
    let mut rows = placed(2500, &none);
    rows.push(row(&none));
    let table = read(episode_table(&rows).unwrap()).unwrap();
    assert!(1 < table.parts.len());
    assert_eq!((table.len(), table.is_empty()), (2501, false));
    assert!(table.iter().enumerate().all(|(idx, it)| table.get(idx) == Some(it)));
    let episodes: Vec<u64> = table.iter().map(|it| it.episode).collect();
    assert_eq!(episodes, (0..2500).chain([0]).collect::<Vec<_>>());
    let expected = EpisodeEntry {
        episode: 1,
        key: "run",
        stream: Some("steps"),
        split: "train",
        shard: 1,
        row: 3,
        n_rows: 41,
        row_group: 1,
        n_row_groups: 2,
        start_time_ns: Some(-5),
        end_time_ns: None,
        task: Some("pick"),
        source: "run.mcap",
        content: Some([1; 32]),
    };
    assert_eq!(table.get(1), Some(expected));
    let last = table.get(2500).unwrap();
    assert_eq!((last.stream, last.n_rows, last.content), (None, 0, None));
    assert_eq!(table.get(2501), None);
}

#[test]
fn splits_change_by_shard_and_nothing_else_does() {
    let none = BTreeMap::new();
    let mut rows = placed(2000, &none);
    // It has no shard, and so no other split.
    rows.push(row(&none));
    let table = read(episode_table(&rows).unwrap()).unwrap();
    assert_eq!(read(table.to_bytes().unwrap()).unwrap(), table);
    let changed = table.with_splits(|shard| (shard % 2 == 0).then_some("val")).unwrap();
    let back = read(changed.to_bytes().unwrap()).unwrap();
    assert_eq!(back, changed);
    for (old, new) in table.iter().zip(back.iter()) {
        let is_moved = old.stream.is_some() && old.shard % 2 == 0;
        assert_eq!(new, EpisodeEntry { split: if is_moved { "val" } else { "train" }, ..old });
    }
    assert_eq!(table.with_splits(|_| None).unwrap(), table);
}

/// Tables of earlier versions have no metadata; other columns are those of every version.
#[test]
fn columns_that_came_later_may_be_absent_and_others_not() {
    let none = BTreeMap::new();
    let table = read(episode_table(&placed(2, &none)).unwrap()).unwrap();
    let rows = &table.parts[0].rows;
    let without = |names: &[&str]| {
        let schema = rows.schema();
        let kept: Vec<usize> = (0..rows.num_columns())
            .filter(|it| !names.contains(&schema.field(*it).name().as_str()))
            .collect();
        EpisodeTable::of(std::iter::once(Ok(rows.project(&kept).unwrap())))
    };
    let older = without(&["metadata", "metadata_types"]).unwrap();
    assert_eq!(older, table);
    let err = without(&["row_group"]).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Corrupt);
    assert!(err.to_string().contains("`row_group`"), "{err}");
}

#[test]
fn a_column_of_another_type_and_an_episode_below_zero_are_damage() {
    let none = BTreeMap::new();
    let rows = read(episode_table(&placed(2, &none)).unwrap()).unwrap().parts[0].rows.clone();
    let with = |name: &str, column: Arc<dyn Array>| {
        let mut columns: Vec<(String, Arc<dyn Array>)> =
            rows.schema().fields().iter().map(|it| it.name().clone()).zip(rows.columns().to_vec()).collect();
        columns.iter_mut().filter(|it| it.0 == name).for_each(|it| it.1 = Arc::clone(&column));
        EpisodeTable::of(std::iter::once(Ok(RecordBatch::try_from_iter(columns).unwrap())))
    };
    let numbers = || Arc::new(Int64Array::from(vec![0, -7]));
    for name in ["episode_index", "shard", "split", "content", "metadata"] {
        let err = with(name, numbers()).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Corrupt, "{name}: {err}");
    }
    let short = FixedSizeBinaryArray::try_from_iter([[1u8; 8], [2; 8]].iter()).unwrap();
    assert_eq!(with("content", Arc::new(short)).unwrap_err().kind(), ErrorKind::Corrupt);
}
