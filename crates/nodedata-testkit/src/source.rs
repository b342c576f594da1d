//! The conformance kit: what every format promises, whatever its files look like.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{Array as _, BooleanArray, RecordBatch, cast::AsArray as _, types::Int64Type};
use arrow_select::filter::filter_record_batch;
use bytes::Bytes;
use nodedata_core::{
    Confidence, Detection, Files, Format, LOG_TIME_NS, Listing, OpenOptions, ReadOptions, Source, SourcePlan,
    StreamKind, TimeRange,
};
use nodedata_io::{LocalFiles, MemoryFiles};

use crate::{
    damage,
    rows::{Everything, StreamRows, read_all},
};

/// A sound dataset to hold a format against.
#[derive(Debug, Clone)]
pub struct Case {
    /// Named in every message.
    pub name: String,
    /// Its files by path below the root.
    pub files: Vec<(PathBuf, Bytes)>,
    /// What copies that end early, or have flipped bits, are held against.
    pub damage: Damage,
}

/// How much the damaged copies of a [`Case`] must still give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Rows lie in the files in order and are understood from the front, as in logs: a cut copy, read to
    /// salvage, still gives every row whose bytes are whole. With the number of places to cut at.
    Prefix(usize),
    /// The same of files of records, with every value; what is in the other files, named here, says what the records are, and
    /// a copy of which one of those is cut need only be refused or read in good order.
    Records {
        /// The number of places to cut at.
        places: usize,
        /// Names of the other files.
        metadata: &'static [&'static str],
    },
    /// Rows need something at the end of the file: a cut copy need only be refused or read in good order.
    Anything(usize),
}

impl Case {
    /// One file on disk, whose rows can be understood from the front.
    ///
    /// # Panics
    /// When the file cannot be read.
    pub fn file(path: &Path) -> Self {
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        let bytes = std::fs::read(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
        Self {
            name: name.display().to_string(),
            files: vec![(name, bytes.into())],
            damage: Damage::Prefix(12),
        }
    }

    pub(crate) fn in_memory(&self) -> Arc<dyn Files> {
        let files = self.files.iter().cloned();
        Arc::new(files.fold(MemoryFiles::default(), |all, (path, bytes)| all.with(path, bytes)))
    }
}

/// Holds a format to what [`Format`], [`Source`] and [`nodedata_core::EpisodeStream`] promise, on one
/// sound dataset:
///
/// - the dataset is recognised at the root and below it, and its files are claimed and no others;
/// - two openings give the same streams, inputs, episodes and partitions, in the same order;
/// - no two partitions of samples have one episode, what they read and the recipe in common;
/// - batches are bounded, never empty, and of the schema of their stream; spans lie in the partition and
///   add up to the rows; records read are rows plus losses; the end is the end;
/// - rows do not depend on the size of partitions and batches, nor on memory or disk;
/// - selecting a topic gives its rows and no others, and names the rest as unselected;
/// - a time range gives the rows that a filter of all rows gives;
/// - cut and flipped copies never panic, and cut copies read to salvage lose nothing sound.
///
/// # Panics
/// At the first promise broken, naming the case.
pub fn conformance(format: &dyn Format, case: &Case) {
    recognised(format, case);
    let source = open(format, case, &OpenOptions::default());
    well_formed(case, source.plan());
    let all = read_all(&case.name, source.as_ref(), &ReadOptions::default());
    assert!(all.errors.is_empty(), "{}: a sound dataset has damage: {:?}", case.name, all.errors);
    assert_ne!(all.n_rows(), 0, "{}: a dataset without rows shows nothing", case.name);
    same_opening(case, source.plan(), open(format, case, &OpenOptions::default()).plan());
    streams_can_be_wanted_alone(case, source.as_ref(), &all);
    rows_do_not_depend_on_cuts(format, case, &all);
    rows_do_not_depend_on_files(format, case, &all);
    if source.plan().streams.iter().all(|it| it.kind == StreamKind::Messages) {
        topics_select(format, case, source.plan(), &all);
        time_ranges_filter(format, case, &all);
    }
    damage::check(format, case);
}

pub(crate) fn open(format: &dyn Format, case: &Case, options: &OpenOptions) -> Box<dyn Source> {
    let opened = format.open(case.in_memory(), options);
    opened.unwrap_or_else(|err| panic!("{}: {err} at {} (with {options:?})", case.name, err.locus()))
}

/// Recognised where it lies at the root and where it lies below, among files of other kinds; and these alone are
/// not taken for it.
fn recognised(format: &dyn Format, case: &Case) {
    let at = &case.name;
    let others = || {
        MemoryFiles::default()
            .with("README.md", "# Read me\n")
            .with("empty.bin", "")
            .with("a/b/notes.txt", "x")
    };
    for folder in ["", "some/where"] {
        let claims: Vec<PathBuf> = case.files.iter().map(|(path, _)| Path::new(folder).join(path)).collect();
        let files = claims.iter().zip(&case.files);
        let beside = if folder.is_empty() { MemoryFiles::default() } else { others() };
        let all = files.fold(beside, |all, (path, (_, bytes))| all.with(path, bytes.clone()));
        let listing = Listing::new(&all).expect("files in memory can be listed");
        let found = format.detect(&listing);
        let why = &found.why;
        assert!(Confidence::Content <= found.confidence, "{at}: recognised by no content: {found:?}");
        assert_eq!(found.claims, sorted(claims), "{at}: other files are claimed than the dataset has");
        let names_a_file = found.claims.iter().any(|it| why.contains(&it.display().to_string()));
        assert!(names_a_file, "{at}: `{why}` names no file");
        for root in &found.roots {
            assert!(root.starts_with(folder), "{at}: {} is no root here", root.display());
        }
    }
    let beside = others();
    let found = format.detect(&Listing::new(&beside).expect("files in memory can be listed"));
    assert_eq!(found, Detection::no(), "{at}: files of other kinds are claimed");
}

fn sorted(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort_unstable();
    paths
}

/// Positions are what they say, names are unique, and what partitions read is there.
fn well_formed(case: &Case, plan: &SourcePlan) {
    let at = &case.name;
    for (idx, stream) in plan.streams.iter().enumerate() {
        assert_eq!(stream.id.0 as usize, idx, "{at}: stream {} has another position", stream.name);
        let twin = plan.streams[..idx].iter().any(|it| it.name == stream.name);
        assert!(!twin, "{at}: two streams are called {}", stream.name);
        let names: Vec<&str> = stream.features.iter().map(|it| it.name.as_str()).collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len(), "{at}: stream {} has two columns of one name", stream.name);
        let built_in = stream.kind.built_in();
        for column in built_in {
            // Steps need not have a time; messages always do.
            let found = stream.features.iter().find(|it| it.name == column.name);
            assert!(
                found.is_some() || stream.kind == StreamKind::Steps,
                "{at}: {} of {}",
                column.name,
                stream.name
            );
            let fits = found.is_none_or(|it| it.dtype == column.dtype && it.shape.is_empty());
            assert!(fits, "{at}: {} of {} is {found:?}", column.name, stream.name);
        }
        let n_built_in = (0..names.len()).take_while(|it| stream.is_built_in(*it)).count();
        let behind = (n_built_in..names.len()).find(|it| stream.is_built_in(*it));
        assert_eq!(behind, None, "{at}: a built-in column of {} stands behind others", stream.name);
    }
    for (idx, partition) in plan.partitions.iter().enumerate() {
        assert!(partition.episode < plan.episodes.len(), "{at}: partition {idx} has no episode");
        assert!(!partition.reads.is_empty(), "{at}: partition {idx} reads nothing");
        for read in &partition.reads {
            let (range, n_bytes) = (&read.byte_range, plan.inputs[read.input].n_bytes);
            let is_there = range.start <= range.end && (range.end <= n_bytes || range.end == u64::MAX);
            assert!(is_there, "{at}: partition {idx} reads {read:?} of {n_bytes} bytes");
        }
    }
    // That no row is read twice or never, the comparison of all cuts shows: partitions may share bytes.
    for pair in plan.partitions.windows(2) {
        assert!(pair[0].episode <= pair[1].episode, "{at}: episodes are mixed up: {pair:?}");
    }
    if plan.streams.iter().any(|it| it.kind == StreamKind::Samples) {
        partitions_are_told_apart(case, plan);
    }
}

/// Units are found again by whose rows their partitions have, what they read, and their recipes: no two have all of that.
fn partitions_are_told_apart(case: &Case, plan: &SourcePlan) {
    let mut known = BTreeSet::new();
    for partition in &plan.partitions {
        let reads = partition.reads.iter().map(|it| (it.input, it.byte_range.start, it.byte_range.end));
        let reads: Vec<(usize, u64, u64)> = reads.collect();
        let is_new = known.insert((partition.episode, reads, partition.recipe.as_str()));
        assert!(is_new, "{}: nothing tells {partition:?} from one before", case.name);
    }
}

fn same_opening(case: &Case, one: &SourcePlan, two: &SourcePlan) {
    assert!(one == two, "{}: plans differ from opening to opening: {one:?} and {two:?}", case.name);
}

/// A reader that wants one stream gets its rows, whatever else it may get.
fn streams_can_be_wanted_alone(case: &Case, source: &dyn Source, all: &Everything) {
    for stream in &source.plan().streams {
        let at = format!("{}, only stream {} wanted", case.name, stream.name);
        let options = ReadOptions { streams: Some(vec![stream.id]), ..ReadOptions::default() };
        let mut found = read_all(&at, source, &options);
        found.streams.retain(|name, _| **name == *stream.name);
        let streams = all.streams.iter().filter(|it| **it.0 == *stream.name);
        let streams = streams.map(|(name, rows)| (name.clone(), rows.clone())).collect();
        same_rows(&at, &found, &Everything { streams, errors: Vec::new() });
    }
}

fn rows_do_not_depend_on_cuts(format: &dyn Format, case: &Case, all: &Everything) {
    for partition_bytes in [1, 10_000, u64::MAX] {
        for batch_bytes_max in [1, 16 << 10] {
            let options = OpenOptions { partition_bytes, ..OpenOptions::default() };
            let source = open(format, case, &options);
            well_formed(case, source.plan());
            let found =
                read_all(&case.name, source.as_ref(), &ReadOptions { batch_bytes_max, streams: None });
            let at = format!("{}, {partition_bytes} bytes a partition, {batch_bytes_max} a batch", case.name);
            same_rows(&at, &found, all);
        }
    }
}

fn rows_do_not_depend_on_files(format: &dyn Format, case: &Case, all: &Everything) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, bytes) in &case.files {
        let full = folder.path().join(path);
        std::fs::create_dir_all(full.parent().unwrap_or(&full)).expect("a folder can be made");
        std::fs::write(full, bytes).expect("a file can be written");
    }
    let files = LocalFiles::folder(folder.path()).expect("the folder can be listed");
    let source = format.open(Arc::new(files), &OpenOptions::default());
    let source = source.unwrap_or_else(|err| panic!("{} on disk: {err}", case.name));
    let found = read_all(&case.name, source.as_ref(), &ReadOptions::default());
    same_rows(&format!("{} on disk", case.name), &found, all);
}

fn same_rows(at: &str, found: &Everything, expected: &Everything) {
    assert!(found.errors.is_empty(), "{at}: {:?}", found.errors);
    let names = |it: &Everything| it.streams.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{at}: other streams have rows");
    for (name, StreamRows { rows, .. }) in &expected.streams {
        let found = &found.streams[name].rows;
        if found != rows {
            let n = found.num_rows().min(rows.num_rows());
            let first = (0..n).find(|it| found.slice(*it, 1) != rows.slice(*it, 1)).unwrap_or(n);
            let row = |rows: &RecordBatch| (first < rows.num_rows()).then(|| rows.slice(first, 1));
            panic!(
                "{at}: stream {name} has {} rows, expected {}; row {first} is {:?}, expected {:?}",
                found.num_rows(),
                rows.num_rows(),
                row(found),
                row(rows)
            );
        }
    }
}

fn topics_select(format: &dyn Format, case: &Case, plan: &SourcePlan, all: &Everything) {
    let topic_of = |name: &str| {
        let stream = plan.streams.iter().find(|it| &*it.name == name);
        stream.and_then(|it| it.metadata.get("topic")).cloned().unwrap_or_else(|| name.to_owned())
    };
    let mut topics: Vec<String> = plan.streams.iter().map(|it| topic_of(&it.name)).collect();
    topics.sort_unstable();
    topics.dedup();
    for topic in &topics {
        let options = OpenOptions { topics: Some(vec![topic.clone()]), ..OpenOptions::default() };
        let selected = open(format, case, &options);
        let at = format!("{}, only topic {topic}", case.name);
        let found = read_all(&at, selected.as_ref(), &ReadOptions::default());
        let streams = all.streams.iter().filter(|it| topic_of(it.0) == *topic);
        let expected = Everything {
            streams: streams.map(|(name, rows)| (name.clone(), rows.clone())).collect(),
            errors: Vec::new(),
        };
        same_rows(&at, &found, &expected);
        let SourcePlan { streams, unselected, .. } = selected.plan();
        let n_streams = streams.len() + unselected.len();
        assert_eq!(n_streams, plan.streams.len(), "{at}: unselected are {unselected:?}");
    }
}

/// The rows of the first, the middle and the last part of all log times, and of none of them.
fn time_ranges_filter(format: &dyn Format, case: &Case, all: &Everything) {
    let mut times: Vec<i64> = all.streams.values().flat_map(|it| log_times(&it.rows)).collect();
    times.sort_unstable();
    let (first, last) = (times[0], times[times.len() - 1]);
    let (one, two) = (times[times.len() / 3], times[times.len() * 2 / 3]);
    let ranges = [
        (i64::MIN, Some(one)),
        (one, Some(two)),
        (two, None),
        (first, Some(last)),
        (last.saturating_add(1), None),
        (one, Some(one)),
    ];
    for (start_ns, end_ns) in ranges {
        let time_range = TimeRange { start_ns, end_ns };
        let options = OpenOptions { time_range, ..OpenOptions::default() };
        let source = open(format, case, &options);
        let at = format!("{}, from {start_ns} to {end_ns:?}", case.name);
        let found = read_all(&at, source.as_ref(), &ReadOptions::default());
        let mut expected = Everything::default();
        for (name, stream) in &all.streams {
            let inside = log_times(&stream.rows).into_iter().map(|it| Some(time_range.contains(it)));
            let inside: BooleanArray = inside.collect();
            let rows = filter_record_batch(&stream.rows, &inside).expect("a filter of equal length");
            if rows.num_rows() != 0 {
                let rows = StreamRows { rows, origins: Vec::new(), ..stream.clone() };
                expected.streams.insert(name.clone(), rows);
            }
        }
        same_rows(&at, &found, &expected);
    }
}

pub(crate) fn log_times(rows: &RecordBatch) -> Vec<i64> {
    let times = rows.column_by_name(LOG_TIME_NS).expect("a log has log times");
    assert_eq!(times.null_count(), 0, "log times are always there");
    times.as_primitive::<Int64Type>().values().to_vec()
}
