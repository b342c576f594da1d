//! Samples of JSON Lines as the steps of episodes, however they lie in files and partitions.

use std::sync::Arc;

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use arrow_select::concat::concat_batches;
use nodedata_core::{
    Error, ErrorKind, Files, OpenOptions, ReadOptions, Result, Source, SourcePlan, StreamKind,
};
use nodedata_io::MemoryFiles;

use super::{GroupBy, Grouped, grouped, runs::Learned};
use crate::Unfit;

/// What is grouped, and how.
struct Case {
    files: Vec<(&'static str, String)>,
    options: OpenOptions,
    by: GroupBy,
}

impl Case {
    /// Rows of `episode`, `frame` and their place among all rows, one file after the other.
    fn new(files: &[(&'static str, &[(&str, i64)])]) -> Self {
        // So long that each line may be a partition: none is smaller than 4 KiB.
        let spaces = " ".repeat(4 << 10);
        let mut n = 0;
        let mut texts = Vec::new();
        for (name, rows) in files {
            let mut text = String::new();
            for (episode, frame) in *rows {
                text.push_str(&format!(
                    "{{\"episode\": \"{episode}\", \"frame\": {frame}, \"n\": {n}{spaces}}}\n"
                ));
                n += 1;
            }
            texts.push((*name, text));
        }
        Self {
            files: texts,
            options: OpenOptions::default(),
            by: GroupBy::Field { field: "episode".to_owned(), order: Some("frame".to_owned()) },
        }
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let files = self.files.iter();
        let files = files.fold(MemoryFiles::default(), |all, (path, text)| all.with(*path, text.clone()));
        let files: Arc<dyn Files> = Arc::new(files);
        nodedata_formats::builtin().by_name("jsonl").unwrap().open(files, options)
    }

    /// Grouped; `known` is what an earlier run learned.
    fn grouped(&self, known: Option<&str>) -> Result<Box<dyn Source>> {
        let inner = self.open(&self.options)?;
        let learned = inner.plan().learned.clone();
        let how = Grouped { by: &self.by, key_column: None, salvage: self.options.salvage, known };
        let open_keys = |columns: &[&str]| {
            assert!(known.is_none(), "keys are read that are known");
            let topics = columns.iter().map(|it| (*it).to_owned()).collect();
            self.open(&OpenOptions { topics: Some(topics), learned, ..self.options.clone() })
        };
        grouped(inner, &how, open_keys).map_err(Error::from)
    }
}

/// Everything that a source gives.
struct All {
    /// By partition.
    parts: Vec<Option<RecordBatch>>,
    rows: RecordBatch,
    /// Of each row, its episode.
    episodes: Vec<usize>,
    n_read: u64,
    damage: Vec<Error>,
}

/// Reads partitions in the order of `order`, which is of their positions.
fn read(source: &dyn Source, order: &[usize]) -> All {
    let plan = source.plan();
    let schema = plan.streams[0].arrow();
    let mut parts: Vec<Option<RecordBatch>> = vec![None; plan.partitions.len()];
    let (mut n_read, mut damage) = (0, Vec::new());
    for partition in order {
        let mut reading = source.read(*partition, &ReadOptions::default()).unwrap();
        let mut batches = Vec::new();
        loop {
            match reading.next_batch() {
                Ok(Some(batch)) => {
                    let n_told: u64 = batch.spans.iter().map(|it| it.n_rows).sum();
                    assert_eq!(n_told, batch.rows.num_rows() as u64);
                    batches.push(batch.rows);
                }
                Ok(None) => break,
                Err(err) => damage.push(err),
            }
        }
        n_read += reading.records_read()[0].1;
        parts[*partition] = Some(concat_batches(&schema, &batches).unwrap());
    }
    let all: Vec<&RecordBatch> = parts.iter().flatten().collect();
    let of_part = |(rows, it): (&Option<RecordBatch>, &nodedata_core::Partition)| {
        vec![it.episode; rows.as_ref().map_or(0, RecordBatch::num_rows)]
    };
    let episodes = parts.iter().zip(&plan.partitions).flat_map(of_part).collect();
    let rows = concat_batches(&schema, all).unwrap();
    All { parts, rows, episodes, n_read, damage }
}

fn in_order(plan: &SourcePlan) -> Vec<usize> {
    (0..plan.partitions.len()).collect()
}

fn ints(rows: &RecordBatch, name: &str) -> Vec<i64> {
    rows.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec()
}

fn keys(plan: &SourcePlan) -> Vec<&str> {
    plan.episodes.iter().map(|it| it.key.as_str()).collect()
}

fn three_episodes() -> Case {
    let of = |key: &'static str, frames: std::ops::Range<i64>| frames.map(move |it| (key, it * 2));
    let first: Vec<(&str, i64)> = of("a", 0..5).chain(of("b", 0..3)).collect();
    let second: Vec<(&str, i64)> = of("b", 3..7).chain(of("c", 0..2)).collect();
    Case::new(&[("0.jsonl", &first), ("1.jsonl", &second)])
}

#[test]
fn rows_do_not_depend_on_how_they_lie_in_partitions() {
    for partition_bytes in [1, 9 << 10, u64::MAX] {
        let case = three_episodes();
        let case = Case { options: OpenOptions { partition_bytes, ..OpenOptions::default() }, ..case };
        let source = case.grouped(None).unwrap();
        let plan = source.plan();
        assert_eq!((keys(plan), plan.streams[0].kind), (vec!["a", "b", "c"], StreamKind::Steps));
        // Of two files, each with a part of two episodes.
        assert_eq!(plan.partitions.len() == 4, partition_bytes == u64::MAX);
        let all = read(source.as_ref(), &in_order(plan));
        assert_eq!(ints(&all.rows, "n"), (0..14).collect::<Vec<i64>>(), "{partition_bytes}");
        assert_eq!(ints(&all.rows, "step_index"), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 0, 1]);
        assert_eq!(all.episodes, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2]);
        assert_eq!((all.n_read, all.damage.len()), (14, 0));
        // Whoever reads in another order, or twice, finds the same.
        let mut backwards = in_order(plan);
        backwards.reverse();
        let again: Vec<usize> = backwards.iter().chain(&in_order(plan)).copied().collect();
        assert_eq!(read(source.as_ref(), &again).parts, all.parts, "{partition_bytes}");
        let pairs = plan.partitions.windows(2).all(|it| it[0].episode <= it[1].episode);
        assert!(pairs && plan.partitions.iter().all(|it| it.decoded_bytes != 0));
    }
}

/// A partition of another episode that is added changes no partition that was there.
#[test]
fn what_is_added_changes_nothing_before_it() {
    let before = three_episodes();
    let mut after = three_episodes();
    after.files.push(("2.jsonl", "{\"episode\": \"d\", \"frame\": 0, \"n\": 14}\n".to_owned()));
    let (before, after) = (before.grouped(None).unwrap(), after.grouped(None).unwrap());
    let n = before.plan().partitions.len();
    assert_eq!(before.plan().partitions, after.plan().partitions[..n]);
    assert_eq!(after.plan().partitions.len(), n + 1);
}

#[test]
fn what_was_learned_spares_the_next_opening_the_keys() {
    let case = three_episodes();
    let source = case.grouped(None).unwrap();
    let learned = source.plan().learned.clone().unwrap();
    assert!(Grouped::is_learned(&learned));
    let below = Grouped::below(&learned);
    assert_eq!(below, case.open(&case.options).unwrap().plan().learned);
    assert!(!Grouped::is_learned(&below.unwrap()));
    let again = case.grouped(Some(&learned)).unwrap();
    assert_eq!(again.plan(), source.plan());
    // Samples that were learned anew may lie in other partitions.
    let mut stale = Learned::parse(&learned).unwrap();
    stale.below = None;
    let stale = stale.to_text();
    let how = Grouped { by: &case.by, key_column: None, salvage: false, known: Some(&stale) };
    let mut is_asked = false;
    let open_keys = |_: &[&str]| {
        is_asked = true;
        case.open(&case.options)
    };
    assert!(grouped(case.open(&case.options).unwrap(), &how, open_keys).is_ok());
    assert!(is_asked);
    // Of another grouping it says nothing.
    let other = GroupBy::Field { field: "frame".to_owned(), order: None };
    let case = Case { by: other, ..case };
    let inner = case.open(&case.options).unwrap();
    let how = Grouped { by: &case.by, key_column: None, salvage: false, known: Some(&learned) };
    let mut is_asked = false;
    let open_keys = |_: &[&str]| {
        is_asked = true;
        case.open(&case.options)
    };
    assert!(grouped(inner, &how, open_keys).is_err(), "frames come again");
    assert!(is_asked);
}

#[track_caller]
fn refused(case: &Case, message: &str, at: &str) {
    let err = case.grouped(None).map(|_| ()).unwrap_err();
    assert_eq!((err.to_string().as_str(), err.locus().to_string().as_str()), (message, at));
    assert!(err.hint().is_some() && err.kind() == ErrorKind::Corrupt, "{err:?}");
}

#[test]
fn rows_that_are_no_episodes_are_told_with_their_addresses() {
    refused(
        &Case::new(&[("0.jsonl", &[("a", 0), ("b", 0), ("a", 1)])]),
        "the episode `a` comes again, after it ended with row 0 of 0.jsonl",
        "0.jsonl, step 2",
    );
    refused(
        &Case::new(&[("0.jsonl", &[("a", 0), ("a", 4), ("a", 3)])]),
        "step 3 of the episode `a` comes out of order: it follows step 4 in row 1 of 0.jsonl",
        "0.jsonl, step 2",
    );
    refused(
        &Case::new(&[("0.jsonl", &[("a", 0), ("a", 4)]), ("1.jsonl", &[("a", 4)])]),
        "step 4 of the episode `a` comes twice: it follows step 4 in row 1 of 0.jsonl",
        "1.jsonl, step 0",
    );
    let with = |line: &str| {
        let mut case = three_episodes();
        case.files[1].1.push_str(line);
        case
    };
    refused(&with("{\"frame\": 9}\n"), "the row has no `episode`, which says its episode", "1.jsonl, step 6");
    refused(
        &with("{\"episode\": \"\", \"frame\": 9}\n"),
        "the key of the row's episode, of `episode`, is empty",
        "1.jsonl, step 6",
    );
    refused(
        &with("{\"episode\": \"c\"}\n"),
        "the row has no number in `frame`, which orders its episode",
        "1.jsonl, step 6",
    );
}

/// With a line that is no row within an episode, and one between two.
fn damaged() -> Case {
    let mut case = three_episodes();
    let lines: Vec<&str> = case.files[0].1.lines().collect();
    case.files[0].1 = [&lines[..2], &["{\"episode\": 1"], &lines[2..5], &["broken"], &lines[5..], &[""]]
        .concat()
        .join("\n");
    case
}

/// A line that is no row leaves its number free, and is counted once.
#[test]
fn damage_is_counted_once_and_moves_no_row() {
    let mut case = damaged();
    for partition_bytes in [1, u64::MAX] {
        case.options = OpenOptions { partition_bytes, ..OpenOptions::default() };
        assert!(case.grouped(None).is_err(), "without salvage");
        case.options.salvage = true;
        let source = case.grouped(None).unwrap();
        assert_eq!(keys(source.plan()), ["a", "b", "c"]);
        let all = read(source.as_ref(), &in_order(source.plan()));
        assert_eq!(ints(&all.rows, "n"), (0..14).collect::<Vec<i64>>());
        let lost: u64 = all.damage.iter().flat_map(|it| &it.loss().unwrap().records).map(|it| it.1).sum();
        assert_eq!((lost, all.n_read), (2, 16), "{partition_bytes}");
        assert_eq!(ints(&all.rows, "step_index"), [0, 1, 3, 4, 5, 0, 1, 2, 3, 4, 5, 6, 0, 1]);
    }
}

/// What looks at the step behind another one finds none where a row between them is lost.
#[test]
fn damage_stands_between_the_rows_around_it() {
    let mut case = damaged();
    for partition_bytes in [1, u64::MAX] {
        case.options = OpenOptions { partition_bytes, salvage: true, ..OpenOptions::default() };
        let source = case.grouped(None).unwrap();
        let mut found: Vec<Option<i64>> = Vec::new();
        for partition in in_order(source.plan()) {
            let mut reading = source.read(partition, &ReadOptions::default()).unwrap();
            loop {
                match reading.next_batch() {
                    Ok(Some(batch)) => found.extend(ints(&batch.rows, "n").into_iter().map(Some)),
                    Ok(None) => break,
                    Err(_) => found.push(None),
                }
            }
        }
        let mut expected: Vec<Option<i64>> = (0..14).map(Some).collect();
        expected.insert(5, None);
        expected.insert(2, None);
        assert_eq!(found, expected, "{partition_bytes}");
    }
}

#[test]
fn fields_that_hold_no_keys_are_mistakes() {
    let mut case = three_episodes();
    case.by = GroupBy::Field { field: "n".to_owned(), order: Some("episode".to_owned()) };
    let inner = case.open(&case.options).unwrap();
    let how = Grouped { by: &case.by, key_column: None, salvage: false, known: None };
    let found = grouped(inner, &how, |_| case.open(&case.options));
    let Err(Unfit::Mistakes(found)) = found.map(|_| ()) else { panic!("text orders no rows") };
    assert!(found[0].message.contains("rows are in the order of numbers"), "{found:?}");
}

/// What is made of a partition is in its recipe, by name and version.
#[test]
fn recipes_say_which_rows_are_meant() {
    let source = three_episodes().grouped(None).unwrap();
    let recipes: Vec<&str> = source.plan().partitions.iter().map(|it| it.recipe.as_str()).collect();
    assert!(recipes[0].starts_with(r#"{"grouped@1":[0,5,0,true],"below":"#), "{}", recipes[0]);
    assert!(recipes[1].starts_with(r#"{"grouped@1":[5,8,0,false],"#), "{}", recipes[1]);
    assert!(recipes[2].starts_with(r#"{"grouped@1":[0,4,3,true],"#), "{}", recipes[2]);
    let mut unique = recipes.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), recipes.len());
}
