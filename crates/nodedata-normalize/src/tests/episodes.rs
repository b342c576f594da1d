use std::{collections::BTreeMap, path::PathBuf};

use arrow_array::{
    Array,
    cast::AsArray,
    types::{Float64Type, Int64Type},
};
use nodedata_core::{
    EpisodeInfo, EpisodeStream, Fact, InputFile, ReadOptions, Result, Source, SourcePlan, placed::Place,
};

use super::{
    memory::{MemorySource, Message},
    reference::{Everything, balances, read_all},
};
use crate::{
    Align, AlignedSource, Beyond, Change, Clock, Cut, DropSteps, EpisodeColumn, EpisodeList, EpisodeName,
    EpisodeRange, EpisodeSpec, FactType, FieldSpec, Idle, Join, ListTable, MetadataFrom, Missing,
    PathMetadata, Rate, Speed, StepSpec, TableFile, TableMetadata, Take, Tolerance, TopicMetadata, Trim,
    Unfit, with_episodes,
};

const MS: i64 = 1_000_000;

/// A message every ten milliseconds on `/a`, every forty on `/b`; `/a` moves from 100 ms to 199 alone.
fn messages() -> Vec<Message> {
    let a = (0..30).map(|it| (0, it * 10, (it * 10i64).clamp(100, 200)));
    let b = (1..7).map(|it| (1, it * 40 + 3, it));
    let mut all: Vec<(usize, i64, i64)> = a.chain(b).collect();
    all.sort_by_key(|it| it.1);
    let message = |(stream, ms, value): (usize, i64, i64)| Message {
        stream,
        log_time: ms * MS,
        stamp: ms * MS,
        value: value as f64,
    };
    all.into_iter().map(message).collect()
}

/// The messages in files of their own, which are recordings: those before 150 ms, and the others.
struct Files {
    inner: MemorySource,
    plan: SourcePlan,
}

impl Files {
    fn new(names: &[&str]) -> Self {
        let inner = MemorySource::new(&["/a", "/b"], messages(), 5, true);
        let mut plan = inner.plan().clone();
        let episode = |(input, name): (usize, &&str)| EpisodeInfo {
            key: (*name).to_owned(),
            input,
            ..EpisodeInfo::default()
        };
        plan.episodes = names.iter().enumerate().map(episode).collect();
        let n_bytes = plan.inputs[0].n_bytes;
        plan.inputs = names.iter().map(|it| InputFile { path: PathBuf::from(*it), n_bytes }).collect();
        for partition in &mut plan.partitions {
            partition.episode = usize::from(partition.times.is_some_and(|it| 150 * MS <= it.0));
            partition.reads[0].input = partition.episode;
        }
        Self { inner, plan }
    }
}

impl Source for Files {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        self.inner.read(partition, options)
    }
}

fn steps() -> StepSpec {
    StepSpec {
        fields: vec![FieldSpec::new("a", "/a.value")],
        ..StepSpec::new(Clock::Rate(Rate::parse("100").unwrap()))
    }
}

/// Two episodes: from 20 ms to 100, and from 150 to 250.
fn cut() -> StepSpec {
    let range =
        |start: i64, end: i64| EpisodeRange { recording: None, start_ns: start * MS, end_ns: end * MS };
    StepSpec { episodes: Cut::Ranges(vec![range(20, 100), range(150, 250)]), ..steps() }
}

fn one_file() -> Box<dyn Source> {
    Box::new(MemorySource::new(&["/a", "/b"], messages(), 5, true))
}

fn names(names: &[&str]) -> Option<EpisodeList> {
    Some(EpisodeList { names: names.iter().map(|it| (*it).to_owned()).collect(), table: None })
}

/// Reads everything, whose ledger balances for messages and for steps.
#[track_caller]
fn read(source: &dyn Source) -> Everything {
    let all = read_all(source);
    balances(&all);
    let n_rows = all.rows.as_ref().map_or(0, |it| it.num_rows() as u64);
    let n_dropped: u64 = dropped(&all, 0).values().sum();
    assert_eq!(all.read.get(&0).copied().unwrap_or(0), n_rows + n_dropped, "{all:?}");
    all
}

fn dropped(all: &Everything, stream: u32) -> BTreeMap<&'static str, u64> {
    all.fates.get(&stream).map(|it| it.2.clone()).unwrap_or_default()
}

fn keys(source: &dyn Source) -> Vec<&str> {
    source.plan().episodes.iter().map(|it| it.key.as_str()).collect()
}

/// The times of all steps, in milliseconds.
fn times(all: &Everything) -> Vec<i64> {
    let Some(rows) = &all.rows else { return Vec::new() };
    rows.column(1).as_primitive::<Int64Type>().values().iter().map(|it| it / MS).collect()
}

#[track_caller]
fn mistakes(source: Box<dyn Source>, steps: Option<&StepSpec>, spec: &EpisodeSpec) -> Vec<(String, String)> {
    let Err(Unfit::Mistakes(found)) = with_episodes(source, steps, spec) else { panic!("taken: {spec:?}") };
    let told = |it: &nodedata_core::placed::Mistake| match &it.place {
        Place::Key(key) => {
            (key.clone(), format!("{} ({})", it.message, it.hint.as_deref().unwrap_or_default()))
        }
        other => panic!("{other:?}"),
    };
    found.iter().map(told).collect()
}

#[test]
fn episodes_that_are_left_out_are_counted_as_such() {
    let all = read(&AlignedSource::planned(one_file(), cut(), &EpisodeSpec::default(), 900).unwrap());
    assert_eq!(dropped(&all, 1)["outside_every_episode"], 12);
    let expected: Vec<i64> = (15..25).map(|it| it * 10).collect();
    for piece_bytes in [1, 900, u64::MAX] {
        let spec = EpisodeSpec { exclude: names(&["log#0"]), ..EpisodeSpec::default() };
        let source = AlignedSource::planned(one_file(), cut(), &spec, piece_bytes).unwrap();
        assert_eq!(keys(&source), ["log#1"]);
        let all = read(&source);
        assert_eq!((times(&all), dropped(&all, 0)), (expected.clone(), [("excluded_episode", 8)].into()));
        assert_eq!(
            dropped(&all, 1),
            [("excluded_episode", 8), ("outside_every_episode", 12)].into(),
            "{piece_bytes}"
        );
        let spec = EpisodeSpec { include: names(&["*#1"]), ..EpisodeSpec::default() };
        let all = read(&AlignedSource::planned(one_file(), cut(), &spec, piece_bytes).unwrap());
        assert_eq!((times(&all), dropped(&all, 0)), (expected.clone(), [("not_included_episode", 8)].into()));
        let spec = EpisodeSpec { min_steps: Some(9), ..EpisodeSpec::default() };
        let all = read(&AlignedSource::planned(one_file(), cut(), &spec, piece_bytes).unwrap());
        assert_eq!((times(&all), dropped(&all, 0)), (expected.clone(), [("short_episode", 8)].into()));
    }
    // From the first step to the last: 70 ms, and 90.
    let min = |ms: i64| EpisodeSpec { min_ns: Some(ms * MS), ..EpisodeSpec::default() };
    let n_episodes = |ms: i64, spec: StepSpec| {
        AlignedSource::of_episodes(one_file(), spec, &min(ms)).unwrap().plan().episodes.len()
    };
    let by_topic = StepSpec { clock: Clock::Topic("/a".to_owned()), ..cut() };
    for spec in [cut(), by_topic.clone()] {
        assert_eq!(
            [n_episodes(70, spec.clone()), n_episodes(71, spec.clone()), n_episodes(90, spec)],
            [2, 1, 1]
        );
    }
    let Err(err) = AlignedSource::of_episodes(one_file(), cut(), &min(91)) else { panic!("taken") };
    assert_eq!(nodedata_core::Error::from(err).to_string(), "every one of 2 episodes is left out");
    let spec = EpisodeSpec { exclude: names(&["log#1"]), ..EpisodeSpec::default() };
    let all = read(&AlignedSource::planned(one_file(), by_topic, &spec, 900).unwrap());
    assert_eq!(dropped(&all, 0), [("excluded_episode", 10)].into());
}

/// `/b` speaks at 83 ms, and from 163 on.
#[test]
fn nothing_is_taken_from_an_episode_that_is_left_out() {
    let fields = vec![
        FieldSpec::new("a", "/a.value"),
        FieldSpec {
            tolerance: Some(Tolerance { max_ns: Some(60 * MS), ..Tolerance::default() }),
            ..FieldSpec::new("b", "/b.value")
        },
        FieldSpec { align: Some(Align::Hold), hold_across: Some(true), ..FieldSpec::new("held", "/b.value") },
    ];
    let range =
        |start: i64, end: i64| EpisodeRange { recording: None, start_ns: start * MS, end_ns: end * MS };
    let cut = Cut::Ranges(vec![range(20, 100), range(100, 140), range(140, 250)]);
    for exclude in [&[][..], &["log#0"]] {
        for piece_bytes in [1, 900, u64::MAX] {
            let spec = EpisodeSpec { exclude: names(exclude), ..EpisodeSpec::default() };
            let steps = StepSpec { episodes: cut.clone(), fields: fields.clone(), ..steps() };
            let all = read(&AlignedSource::planned(one_file(), steps, &spec, piece_bytes).unwrap());
            let rows = all.rows.as_ref().unwrap();
            let of_second = |name: &str| {
                let values = rows.column_by_name(name).unwrap().as_primitive::<Float64Type>();
                let all = times(&all).into_iter().zip(values);
                all.filter(|it| (100..140).contains(&it.0)).map(|it| it.1).collect::<Vec<_>>()
            };
            // At 123 ms; that at 83, which is nearer to the first, is of the episode before.
            assert_eq!(of_second("b"), [Some(3.0); 4], "{exclude:?}");
            assert_eq!(of_second("held"), [2.0, 2.0, 2.0, 3.0].map(Some), "{exclude:?}");
        }
    }
}

/// A step that is left out has to have nothing.
#[test]
fn steps_that_are_trimmed_need_no_value() {
    let tolerance = |beyond| Tolerance { max_ns: Some(5 * MS), beyond };
    let of = |beyond| StepSpec {
        fields: vec![
            FieldSpec::new("a", "/a.value"),
            FieldSpec { tolerance: Some(tolerance(beyond)), ..FieldSpec::new("b", "/b.value") },
        ],
        clock: Clock::Rate(Rate::parse("25").unwrap()),
        ..steps()
    };
    // Steps at 0, 40 … 280 ms, of which the first and the last have no message of `/b` in reach.
    let trim = |start: i64, end: i64| EpisodeSpec {
        trim: Trim { start_ns: start * MS, end_ns: end * MS, idle: None },
        ..EpisodeSpec::default()
    };
    let open =
        |beyond, spec: &EpisodeSpec| AlignedSource::planned(one_file(), of(beyond), spec, u64::MAX).unwrap();
    let all = read(&open(Beyond::Null, &EpisodeSpec::default()));
    assert_eq!((times(&all).len(), all.beyond["b"]), (8, 2));
    for beyond in [Beyond::Null, Beyond::Fail] {
        let all = read(&open(beyond, &trim(20, 20)));
        assert_eq!((times(&all).len(), all.beyond.get("b")), (6, None));
        assert_eq!(dropped(&all, 0), [("trimmed", 2)].into());
    }
}

#[test]
fn a_recording_that_is_left_out_is_not_aligned() {
    let spec = EpisodeSpec { exclude: names(&["one.mcap"]), ..EpisodeSpec::default() };
    let source = AlignedSource::planned(Box::new(Files::new(&["one.mcap", "two.mcap"])), steps(), &spec, 900);
    let source = source.unwrap();
    assert_eq!(keys(&source), ["two.mcap"]);
    let all = read(&source);
    let n_before = times(&all).first().copied().unwrap() / 10;
    assert_eq!(dropped(&all, 1), [("excluded_episode", u64::try_from(n_before).unwrap())].into());
    assert_eq!((all.episodes.iter().max(), all.read[&1]), (Some(&0), 30));
    // The same of a source whose topics stay tables.
    let tables = with_episodes(Box::new(Files::new(&["one.mcap", "two.mcap"])), None, &spec).unwrap();
    assert_eq!(keys(tables.as_ref()), ["two.mcap"]);
    let all = read_all(tables.as_ref());
    let n_rows = all.rows.as_ref().unwrap().num_rows() as u64;
    assert_eq!(all.read[&0], n_rows + dropped(&all, 0)["excluded_episode"]);
}

#[test]
fn names_that_no_episode_has_are_mistakes() {
    let spec = EpisodeSpec { exclude: names(&["log#0", "log#7", "*"]), ..EpisodeSpec::default() };
    let found = mistakes(one_file(), Some(&cut()), &spec);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "episodes.exclude[1]");
    assert!(found[0].1.starts_with("the source has no episode `log#7` (did you mean"), "{found:?}");
    let table = |missing| ListTable {
        file: TableFile { path: "bad.csv".to_owned(), b3: String::new() },
        key: "run".to_owned(),
        equals: EpisodeName::Stem,
        missing,
        names: vec!["one".to_owned(), "three".to_owned()],
    };
    let list = |missing| {
        let exclude = Some(EpisodeList { names: Vec::new(), table: Some(table(missing)) });
        EpisodeSpec { exclude, ..EpisodeSpec::default() }
    };
    let files = || Box::new(Files::new(&["a/one.mcap", "a/two.mcap"]));
    let found = mistakes(files(), Some(&steps()), &list(Missing::Error));
    assert_eq!(found[0].0, "episodes.exclude.table");
    assert!(found[0].1.contains("names `three`, and no episode is called so"), "{found:?}");
    let source = with_episodes(files(), Some(&steps()), &list(Missing::Null)).unwrap();
    assert_eq!(keys(source.as_ref()), ["a/two.mcap"]);
}

#[test]
fn files_of_one_recording_are_one_episode() {
    let expected = read(&AlignedSource::planned(one_file(), steps(), &EpisodeSpec::default(), 900).unwrap());
    let pattern = Join::Pattern(r"(?<recording>run)_\d\.mcap".to_owned());
    for (join, key) in [(pattern, "run"), (Join::Gap(20 * MS), "run_1.mcap")] {
        let spec = EpisodeSpec { join: Some(join), ..EpisodeSpec::default() };
        let files = Box::new(Files::new(&["run_1.mcap", "run_2.mcap"]));
        let source = AlignedSource::planned(files, steps(), &spec, 900).unwrap();
        assert_eq!(keys(&source), [key]);
        assert_eq!(read(&source), expected);
        let files = Box::new(Files::new(&["run_1.mcap", "run_2.mcap"]));
        assert_eq!(keys(with_episodes(files, None, &spec).unwrap().as_ref()), [key]);
    }
    let files = || Box::new(Files::new(&["run_1.mcap", "run_2.mcap"]));
    let far = EpisodeSpec { join: Some(Join::Gap(MS)), ..EpisodeSpec::default() };
    assert_eq!(keys(&AlignedSource::of_episodes(files(), steps(), &far).unwrap()).len(), 2);
    let none =
        EpisodeSpec { join: Some(Join::Pattern("(?<recording>x)".to_owned())), ..EpisodeSpec::default() };
    let found = mistakes(files(), Some(&steps()), &none);
    assert_eq!(found[0].0, "episodes.join.pattern");
    assert!(found[0].1.contains("fits no recording, such as `run_1.mcap`"), "{found:?}");
}

#[test]
fn an_episode_lasts_as_long_as_a_value() {
    let change = Change { field: "/b.text".to_owned(), without: vec!["1".to_owned()], task: None };
    let spec = StepSpec { episodes: Cut::Change(change), ..steps() };
    let source = AlignedSource::planned(one_file(), spec, &EpisodeSpec::default(), 900).unwrap();
    assert_eq!(keys(&source), ["log#0", "log#1", "log#2", "log#3", "log#4"]);
    let all = read(&source);
    assert_eq!((times(&all)[0], all.read[&2]), (83, 6));
}

#[test]
fn ends_are_trimmed_and_idle_steps_are_left_out() {
    let trim = |trim: Trim| EpisodeSpec { trim, ..EpisodeSpec::default() };
    let idle = |keep_ns, stretches_ns| {
        let idle = Idle { field: "/a.value".to_owned(), below: Speed(500.0), keep_ns, stretches_ns };
        Trim { idle: Some(idle), ..Trim::default() }
    };
    let by_topic = StepSpec { clock: Clock::Topic("/a".to_owned()), ..steps() };
    for steps in [steps(), by_topic] {
        for piece_bytes in [1, 900, u64::MAX] {
            let of = |spec: &EpisodeSpec| {
                read(&AlignedSource::planned(one_file(), steps.clone(), spec, piece_bytes).unwrap())
            };
            let ends = Trim { start_ns: 50 * MS, end_ns: 30 * MS, idle: None };
            let all = of(&trim(ends));
            let found = times(&all);
            assert_eq!((found.first(), found.last(), found.len()), (Some(&50), Some(&260), 22));
            assert_eq!(dropped(&all, 0), [("trimmed", 8)].into());
            let all = of(&trim(idle(0, None)));
            let found = times(&all);
            assert_eq!((found.first(), found.last(), found.len()), (Some(&100), Some(&200), 11));
            assert_eq!(dropped(&all, 0), [("idle", 19)].into());
            let found = times(&of(&trim(idle(20 * MS, None))));
            assert_eq!((found.first(), found.last()), (Some(&80), Some(&220)));
            // What is left is too short.
            let spec = EpisodeSpec { min_steps: Some(12), ..trim(idle(0, None)) };
            assert!(AlignedSource::planned(one_file(), steps.clone(), &spec, piece_bytes).is_err());
        }
    }
    let found = mistakes(one_file(), None, &trim(idle(0, None)));
    assert_eq!(found[0].0, "episodes.trim");
    let lost = Idle { field: "/a.text".to_owned(), below: Speed(1.0), keep_ns: 0, stretches_ns: None };
    let found = mistakes(one_file(), Some(&steps()), &trim(Trim { idle: Some(lost), ..Trim::default() }));
    assert_eq!(found[0].0, "episodes.trim.idle.field");
}

#[test]
fn steps_are_left_out_by_their_values() {
    let drops = |column: &str, values: &[&str]| {
        let values = values.iter().map(|it| (*it).to_owned()).collect();
        let drop_steps = vec![DropSteps { column: column.to_owned(), values }];
        EpisodeSpec { drop_steps, ..EpisodeSpec::default() }
    };
    let source = with_episodes(one_file(), Some(&steps()), &drops("a", &["100", "150.0"])).unwrap();
    let all = read(source.as_ref());
    let expected: Vec<i64> = (11..30).filter(|it| *it != 15).map(|it| it * 10).collect();
    assert_eq!((times(&all), dropped(&all, 0)), (expected, [("excluded_step", 12)].into()));
    let found = mistakes(one_file(), Some(&steps()), &drops("b", &["1"]));
    assert_eq!(found[0].0, "episodes.drop_steps.b");
    let found = mistakes(one_file(), None, &drops("a", &["1"]));
    assert!(found[0].1.contains("no steps that could be left out"), "{found:?}");
}

fn topic(take: Take, missing: Missing) -> MetadataFrom {
    let (from, name) = ("/b.text".to_owned(), "note".to_owned());
    MetadataFrom::Topic(TopicMetadata { from, name, take, dtype: Some(FactType::Int), missing })
}

#[test]
fn topics_tell_of_episodes() {
    // Messages of `/b` lie at 43, 83, 123, 163, 203 and 243 ms.
    for (take, expected) in [(Take::First, [1, 4]), (Take::Last, [2, 6]), (Take::Latched, [1, 3])] {
        let metadata = vec![topic(take, Missing::Error)];
        let spec = EpisodeSpec { metadata, ..EpisodeSpec::default() };
        let source = with_episodes(one_file(), Some(&cut()), &spec).unwrap();
        let told: Vec<Option<&Fact>> =
            source.plan().episodes.iter().map(|it| it.metadata.get("note")).collect();
        assert_eq!(told, expected.map(Fact::Int).iter().map(Some).collect::<Vec<_>>(), "{take:?}");
        let all = read(source.as_ref());
        // They were read for that alone.
        assert_eq!((all.read[&2], all.fates[&2].0), (6, 6));
        let tables = with_episodes(one_file(), None, &spec).unwrap();
        let whole = if take == Take::Last { 6 } else { 1 };
        assert_eq!(tables.plan().episodes[0].metadata.get("note"), Some(&Fact::Int(whole)));
    }
    let range = EpisodeRange { recording: None, start_ns: 0, end_ns: 40 * MS };
    let early = StepSpec { episodes: Cut::Ranges(vec![range]), ..steps() };
    let spec =
        |missing| EpisodeSpec { metadata: vec![topic(Take::First, missing)], ..EpisodeSpec::default() };
    let found = mistakes(one_file(), Some(&early), &spec(Missing::Error));
    assert_eq!(found[0].0, "episodes.metadata[0].topic");
    let source = with_episodes(one_file(), Some(&early), &spec(Missing::Null)).unwrap();
    assert_eq!(source.plan().episodes[0].metadata.get("note"), None);
}

fn table(rows: &[(&str, Option<&str>)], equals: EpisodeName, missing: Missing) -> MetadataFrom {
    let row = |(key, value): &(&str, Option<&str>)| ((*key).to_owned(), vec![value.map(str::to_owned)]);
    MetadataFrom::Table(TableMetadata {
        file: TableFile { path: "runs.csv".to_owned(), b3: "00".to_owned() },
        key: "run".to_owned(),
        equals,
        columns: vec![("success".to_owned(), FactType::Bool)],
        missing,
        rows: rows.iter().map(row).collect(),
    })
}

fn path(pattern: &str, missing: Missing) -> MetadataFrom {
    MetadataFrom::Path(PathMetadata { pattern: pattern.to_owned(), types: BTreeMap::new(), missing })
}

#[test]
fn paths_and_tables_tell_of_episodes_and_steps_have_it() {
    let files = || Box::new(Files::new(&["ann/7/one.mcap", "bob/8/two.mcap"]));
    let metadata = vec![
        path(r"(?<operator>[a-z]+)/(?<day>\d+)/(?<run>\w+)", Missing::Error),
        table(
            &[("one", Some("yes")), ("two", None), ("three", Some("no"))],
            EpisodeName::Metadata("run".to_owned()),
            Missing::Error,
        ),
    ];
    let column =
        |name: &str, metadata: &str| EpisodeColumn { name: name.to_owned(), metadata: metadata.to_owned() };
    let columns = vec![column("who", "operator"), column("success", "success"), column("day", "day")];
    let spec = EpisodeSpec { metadata, columns, ..EpisodeSpec::default() };
    let source = with_episodes(files(), Some(&steps()), &spec).unwrap();
    let [one, two] = source.plan().episodes.as_slice() else { panic!("two episodes") };
    assert_eq!(one.metadata.get("day"), Some(&Fact::Int(7)));
    assert_eq!(one.metadata.get("success"), Some(&Fact::Bool(true)));
    assert_eq!(
        (two.metadata.get("success"), two.metadata.get("operator")),
        (None, Some(&Fact::Text("bob".into())))
    );
    let all = read(source.as_ref());
    let rows = all.rows.unwrap();
    let last = rows.num_rows() - 1;
    let who = rows.column_by_name("who").unwrap().as_string::<i32>();
    assert_eq!((who.value(0), who.value(last)), ("ann", "bob"));
    let success = rows.column_by_name("success").unwrap().as_boolean();
    assert!(success.value(0) && success.is_null(last));
    let day = rows.column_by_name("day").unwrap().as_primitive::<Int64Type>();
    assert_eq!((day.value(0), day.value(last)), (7, 8));
    // Whoever has made a unit knows by its recipe which values are in it.
    let recipe = &source.plan().partitions[0].recipe;
    assert!(
        recipe.contains(
            r#""episode_columns@1":[["who","text","ann"],["success","bool","true"],["day","int","7"]]"#
        ),
        "{recipe}"
    );
    // A recipe need not know what no episode is asked about.
    let MetadataFrom::Table(kept) = &spec.about(source.plan(), false).metadata[1] else { panic!("a table") };
    assert_eq!(kept.rows.keys().collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn what_is_not_told_is_a_mistake_or_null() {
    let files = || Box::new(Files::new(&["ann/one.mcap", "two.mcap"]));
    let of = |metadata: Vec<MetadataFrom>| EpisodeSpec { metadata, ..EpisodeSpec::default() };
    let found = mistakes(files(), Some(&steps()), &of(vec![path("(?<operator>[a-z]+)/", Missing::Error)]));
    assert_eq!(found[0].0, "episodes.metadata[0].path");
    assert!(found[0].1.contains("does not fit the path `two.mcap`"), "{found:?}");
    let null = of(vec![path("(?<operator>[a-z]+)/", Missing::Null)]);
    let source = with_episodes(files(), Some(&steps()), &null).unwrap();
    assert_eq!(source.plan().episodes[1].metadata.get("operator"), None);
    let rows = [("one", Some("yes"))];
    let found = mistakes(files(), Some(&steps()), &of(vec![table(&rows, EpisodeName::Stem, Missing::Error)]));
    assert_eq!(found[0].0, "episodes.metadata[0].table");
    assert!(found[0].1.contains("has no row for episode `two.mcap` (`two`)"), "{found:?}");
    with_episodes(files(), Some(&steps()), &of(vec![table(&rows, EpisodeName::Stem, Missing::Null)]))
        .unwrap();
    // A key that is another one everywhere is a slip, whatever may be missing.
    let found = mistakes(files(), Some(&steps()), &of(vec![table(&rows, EpisodeName::Key, Missing::Null)]));
    assert_eq!(found[0].0, "episodes.metadata[0].key");
    let odd = [("one", Some("perhaps")), ("two", None)];
    let found = mistakes(files(), Some(&steps()), &of(vec![table(&odd, EpisodeName::Stem, Missing::Error)]));
    assert!(found[0].1.contains("`perhaps` in column `success` of `runs.csv` is not bool"), "{found:?}");
    let columns = vec![EpisodeColumn { name: "a".to_owned(), metadata: "nobody".to_owned() }];
    let found = mistakes(files(), Some(&steps()), &EpisodeSpec { columns, ..EpisodeSpec::default() });
    assert_eq!(found[0].0, "episodes.columns.a");
    let columns = vec![EpisodeColumn { name: "x".to_owned(), metadata: "task".to_owned() }];
    let found = mistakes(files(), None, &EpisodeSpec { columns, ..EpisodeSpec::default() });
    assert!(found[0].1.contains("topics have no steps"), "{found:?}");
}
