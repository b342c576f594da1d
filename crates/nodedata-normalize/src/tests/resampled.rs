//! Steps that are there already, on another clock: held against a look at every row, and the same however parts are cut.

use std::sync::Arc;

use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{Float32Type, Float64Type, Int64Type},
};
use nodedata_core::{ErrorKind, Files, OpenOptions, ReadOptions, Source, placed::Place};
use nodedata_io::LocalFiles;
use nodedata_testkit::corpus;

use super::{
    memory::{MemorySource, Message},
    reference::{Everything, balances, read_all},
};
use crate::{
    Align, Beyond, ByName, Clock, EpisodeList, EpisodeSpec, FarStamps, FieldFrom, FieldSpec, Rate, Start,
    StepSpec, TimeSource, Tolerance, Unfit, mistakes, normalized, step_features, with_episodes,
};

const MS: i64 = 1_000_000;

fn lerobot(fixture: &str, partition_bytes: u64) -> Box<dyn Source> {
    let files: Arc<dyn Files> = Arc::new(LocalFiles::folder(&corpus::fixtures(fixture)).unwrap());
    let options = OpenOptions { partition_bytes, ..OpenOptions::default() };
    nodedata_formats::builtin().by_name("lerobot").unwrap().open(files, &options).unwrap()
}

fn at(rate: &str, fields: Vec<FieldSpec>) -> StepSpec {
    StepSpec { fields, ..StepSpec::new(Clock::Rate(Rate::parse(rate).unwrap())) }
}

fn fields() -> Vec<FieldSpec> {
    vec![FieldSpec::new("state", "observation.state"), FieldSpec::new("action", "action")]
}

fn vectors(rows: &RecordBatch, name: &str) -> Vec<Vec<f32>> {
    let lists = rows.column_by_name(name).unwrap().as_fixed_size_list();
    (0..lists.len()).map(|it| lists.value(it).as_primitive::<Float32Type>().values().to_vec()).collect()
}

fn whole(rows: &RecordBatch, name: &str) -> Vec<i64> {
    rows.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec()
}

fn all_of(source: Box<dyn Source>, spec: &StepSpec) -> Everything {
    let all = read_all(normalized(source, spec).unwrap().as_ref());
    assert_eq!(all.errors, Vec::<String>::new());
    balances(&all);
    all
}

fn key(place: Place) -> String {
    match place {
        Place::Key(key) => key,
        Place::File(..) | Place::Set(_) => format!("{place:?}"),
    }
}

/// Rows of each episode that are steps by the rows of the source itself.
fn expected(own: &Everything, is_step: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut within = 0;
    let mut rows = Vec::new();
    for row in 0..own.episodes.len() {
        within = if row != 0 && own.episodes[row - 1] == own.episodes[row] { within + 1 } else { 0 };
        if is_step(within) {
            rows.push(row);
        }
    }
    rows
}

#[test]
fn a_coarser_rate_takes_the_rows_on_its_grid() {
    let own = all_of(lerobot("lerobot/v21_simple", 1 << 20), &at("10", fields()));
    let rows = own.rows.as_ref().unwrap();
    let states = vectors(rows, "state");
    for partition_bytes in [1, 200, 1 << 20] {
        let found = all_of(lerobot("lerobot/v21_simple", partition_bytes), &at("5", fields()));
        let wanted = expected(&own, |it| it % 2 == 0);
        let steps = found.rows.as_ref().unwrap();
        let picked: Vec<Vec<f32>> = wanted.iter().map(|it| states[*it].clone()).collect();
        assert_eq!(vectors(steps, "state"), picked, "{partition_bytes}");
        let times: Vec<i64> = wanted.iter().map(|it| whole(rows, "timestamp_ns")[*it]).collect();
        assert_eq!(whole(steps, "timestamp_ns"), times);
        // Rows between two points of the grid gave way.
        assert_eq!(found.fates[&1].0, wanted.len() as u64);
        assert_eq!(found.read[&1], states.len() as u64);
        assert_eq!(found.read[&0], wanted.len() as u64);
    }
}

#[test]
fn one_in_so_many_rows_is_a_step_with_a_number_of_its_own() {
    let own = all_of(lerobot("lerobot/v21_simple", 1 << 20), &at("10", fields()));
    let states = vectors(own.rows.as_ref().unwrap(), "state");
    for partition_bytes in [1, 1 << 20] {
        let spec = StepSpec { fields: fields(), ..StepSpec::new(Clock::Every(3)) };
        let source = normalized(lerobot("lerobot/v21_simple", partition_bytes), &spec).unwrap();
        assert_eq!(source.plan().streams[0].metadata["fps"], "10/3");
        let found = read_all(source.as_ref());
        let wanted = expected(&own, |it| it % 3 == 0);
        let steps = found.rows.as_ref().unwrap();
        assert_eq!(vectors(steps, "state"), wanted.iter().map(|it| states[*it].clone()).collect::<Vec<_>>());
        let n_left_out = (states.len() - wanted.len()) as u64;
        assert_eq!((found.read[&0], found.fates[&0].2["not_every_nth"]), (states.len() as u64, n_left_out));
        let numbers = whole(steps, "step_index");
        for (row, number) in numbers.iter().enumerate() {
            let is_first = row == 0 || found.episodes[row - 1] != found.episodes[row];
            assert_eq!(*number, if is_first { 0 } else { numbers[row - 1] + 1 });
        }
    }
}

/// Their parts lie between those of others.
#[test]
fn episodes_that_are_left_out_give_no_steps_at_another_rate() {
    for clock in [Clock::Rate(Rate::parse("5").unwrap()), Clock::Every(2)] {
        let spec = StepSpec { fields: fields(), ..StepSpec::new(clock) };
        for partition_bytes in [1, 1 << 20] {
            let open = || lerobot("lerobot/v21_simple", partition_bytes);
            let all = read_all(normalized(open(), &spec).unwrap().as_ref());
            let states = vectors(all.rows.as_ref().unwrap(), "state");
            let keys: Vec<String> = open().plan().episodes.iter().map(|it| it.key.clone()).collect();
            assert!(1 < keys.len());
            for (left_out, key) in keys.into_iter().enumerate() {
                let exclude = EpisodeList { names: vec![key], table: None };
                let episodes = EpisodeSpec { exclude: Some(exclude), ..EpisodeSpec::default() };
                let found = read_all(with_episodes(open(), Some(&spec), &episodes).unwrap().as_ref());
                let kept = states.iter().zip(&all.episodes).filter(|it| *it.1 != left_out);
                let kept: Vec<Vec<f32>> = kept.map(|it| it.0.clone()).collect();
                assert_eq!(
                    vectors(found.rows.as_ref().unwrap(), "state"),
                    kept,
                    "{left_out} {partition_bytes}"
                );
                let n_dropped: u64 = found.fates.values().filter_map(|it| it.2.get("excluded_episode")).sum();
                assert_ne!(n_dropped, 0);
            }
        }
    }
}

#[test]
fn pictures_are_those_of_the_nearest_row() {
    let pictures = || vec![FieldSpec::new("rgb", "observation.images.front")];
    let bytes = |all: &Everything| {
        let column = all.rows.as_ref().unwrap().column_by_name("rgb").unwrap();
        let bytes = column.as_struct().column(0).as_binary::<i32>();
        bytes.iter().map(|it| it.unwrap().to_vec()).collect::<Vec<_>>()
    };
    let own = all_of(lerobot("lerobot/v30_image", 1 << 20), &at("10", pictures()));
    let found = all_of(lerobot("lerobot/v30_image", 1 << 20), &at("4", pictures()));
    // At 0, 250, 500, 750 and 1000 ms, as far as the episodes go: of two equally near the earlier one.
    let wanted = expected(&own, |it| matches!(it, 0 | 2 | 5 | 7 | 10));
    assert_eq!(bytes(&found), wanted.iter().map(|it| bytes(&own)[*it].clone()).collect::<Vec<_>>());
    let coded = normalized(lerobot("lerobot/v30_video_h264", 1 << 20), &at("5", pictures())).err().unwrap();
    let Unfit::Mistakes(found) = coded else { panic!("{coded:?}") };
    assert_eq!(
        found[0].to_string(),
        "`fields.rgb.from`: coded video is brought to no other clock: its samples need each other (decode it, and the nearest \
         frame is taken: `fields.rgb.encoding: png`)"
    );
}

/// Rows ten milliseconds apart, with a pause.
fn rows() -> Vec<Message> {
    let times = (0..30i64).map(|it| if it < 20 { it * 10 } else { it * 10 + 150 });
    times.map(|it| Message { stream: 0, log_time: it * MS, stamp: 0, value: it as f64 }).collect()
}

#[test]
fn values_are_chosen_as_those_of_messages_are() {
    let field = |name: &str, align: Align, tolerance_ms: Option<i64>| FieldSpec {
        align: Some(align),
        tolerance: tolerance_ms.map(|it| Tolerance { max_ns: Some(it * MS), ..Tolerance::default() }),
        ..FieldSpec::new(name, "value")
    };
    let fields = vec![
        FieldSpec { skew: Some(true), ..field("near", Align::Nearest, Some(4)) },
        field("line", Align::Linear, None),
        field("held", Align::Hold, Some(20)),
        FieldSpec { align: None, ..FieldSpec::new("text", "text") },
    ];
    let spec = StepSpec { upsample: true, ..at("125", fields) };
    let all = all_of(Box::new(MemorySource::steps(rows())), &spec);
    let steps = all.rows.as_ref().unwrap();
    let stamps: Vec<i64> = rows().iter().map(|it| it.log_time / MS).collect();
    let times: Vec<i64> = whole(steps, "timestamp_ns").iter().map(|it| it / MS).collect();
    assert_eq!(times, (0..=440).step_by(8).collect::<Vec<i64>>());
    let value = |name: &str, row: usize| {
        let column = steps.column_by_name(name).unwrap().as_primitive::<Float64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    for (row, time) in times.iter().enumerate() {
        let before = stamps.iter().rev().find(|it| **it <= *time).unwrap();
        let after = stamps.iter().find(|it| *time < **it);
        let near = stamps.iter().min_by_key(|it| ((**it - *time).abs(), **it)).unwrap();
        assert_eq!(value("near", row), Some(*near as f64).filter(|_| (near - time).abs() <= 4), "{time}");
        assert_eq!(value("held", row), Some(*before as f64).filter(|_| time - before <= 20), "{time}");
        // Between rows at most ten periods apart: 100 ms.
        let reaches = before == time || after.is_some_and(|it| it - before <= 100);
        let line = value("line", row);
        assert_eq!(line.is_some(), reaches, "{time}");
        assert!(line.is_none_or(|it| (it - *time as f64).abs() < 1e-9), "{time}");
    }
    assert_eq!(all.beyond["near"], steps.column_by_name("near.skew_ns").unwrap().null_count() as u64);
    // The same with steps left out.
    let dropping = Tolerance { max_ns: Some(4 * MS), beyond: Beyond::Drop };
    let spec =
        StepSpec { tolerance: dropping, upsample: true, ..at("125", vec![FieldSpec::new("near", "value")]) };
    let all = all_of(Box::new(MemorySource::steps(rows())), &spec);
    let n_near = times.iter().filter(|time| stamps.iter().any(|it| (it - **time).abs() <= 4)).count();
    assert_eq!(all.rows.unwrap().num_rows(), n_near);
    assert_eq!(all.fates[&0].2["beyond_tolerance"], (times.len() - n_near) as u64);
}

#[test]
fn a_grid_finer_than_the_source_must_be_meant() {
    let err = nodedata_core::Error::from(
        normalized(Box::new(MemorySource::steps(rows())), &at("125", vec![FieldSpec::new("v", "value")]))
            .err()
            .unwrap(),
    );
    assert_eq!(err.to_string(), "a grid of 125 Hz is finer than the steps of the source: 100.0 a second");
    let err = nodedata_core::Error::from(
        normalized(lerobot("lerobot/v21_simple", 1 << 20), &at("30", fields())).err().unwrap(),
    );
    assert_eq!(err.to_string(), "a grid of 30 Hz is finer than the steps of the source: 10.0 a second");
}

/// Half the rows are of another clock, and the tolerance reaches back from there.
#[test]
fn more_steps_than_can_be_meant_are_refused_on_either_side_of_a_gap() {
    let row = |it: i64| Message {
        stream: 0,
        log_time: (it * 10 + if it < 7 { 0 } else { 1_000_000_000_000 }) * MS,
        stamp: 0,
        value: it as f64,
    };
    let tolerance = Some(Tolerance { max_ns: Some(2_000_000_000_000 * MS), ..Tolerance::default() });
    let field = FieldSpec { tolerance, ..FieldSpec::new("v", "value") };
    let rows = MemorySource::steps((0..14).map(row).collect());
    let source = normalized(Box::new(rows), &at("100", vec![field])).unwrap();
    for partition in 0..2 {
        let err = source.read(partition, &ReadOptions::default()).err().unwrap();
        assert_eq!(err.kind(), ErrorKind::Limit, "{err}");
    }
}

/// The reported case: none of these keys had an effect.
#[test]
fn keys_without_an_effect_on_steps_are_mistakes() {
    let streams = lerobot("lerobot/v21_simple", 1 << 20).plan().streams.clone();
    let told =
        |spec: &StepSpec| mistakes(spec, &streams).into_iter().map(|it| key(it.place)).collect::<Vec<_>>();
    let reported = StepSpec {
        align: Align::Linear,
        tolerance: Tolerance { max_ns: Some(3 * MS), ..Tolerance::default() },
        time: TimeSource::Field("header.stamp".to_owned()),
        start: Start::All,
        skew: true,
        ..at("5", fields())
    };
    assert_eq!(told(&reported), ["steps.time", "steps.start"]);
    // Without them it is what it says.
    let sound = StepSpec { time: TimeSource::LogTime, start: Start::First, ..reported.clone() };
    assert_eq!(told(&sound), Vec::<String>::new());
    let names: Vec<String> = step_features(&sound, &streams).unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["step_index", "timestamp_ns", "state", "state.skew_ns", "action", "action.skew_ns"]);
    // At the rate of the source each step takes the row it is.
    let own = StepSpec { clock: Clock::Rate(Rate::parse("10").unwrap()), ..reported };
    let all_keys = ["steps.time", "steps.start", "steps.skew", "steps.align", "steps.tolerance_ms"];
    assert_eq!(told(&own), all_keys);
    let more = StepSpec {
        upsample: true,
        order_bound_ns: Some(1),
        far_stamps: FarStamps::Fail,
        hold_across: true,
        keep_streams: true,
        ..StepSpec { fields: fields(), ..StepSpec::new(Clock::Own) }
    };
    let all_keys =
        ["streams", "steps.order_bound_ms", "steps.far_stamps", "steps.hold_across", "steps.upsample"];
    assert_eq!(told(&more), all_keys);
    let held = FieldSpec { align: Some(Align::Hold), ..fields().swap_remove(0) };
    let spec = StepSpec { fields: vec![held], ..StepSpec::new(Clock::Own) };
    assert_eq!(told(&spec), ["fields.state.align"]);
    let topic = StepSpec { fields: fields(), ..StepSpec::new(Clock::Topic("/a".to_owned())) };
    assert_eq!(told(&topic), ["steps.clock"]);
    // RLDS has no times.
    let mut timeless = streams.clone();
    timeless[0].features.retain(|it| it.name != "timestamp_ns");
    timeless[0].metadata.remove("fps");
    let found = mistakes(&at("5", fields()), &timeless);
    assert_eq!(found[0].message, "the steps of the source have no times, so they have no rate");
}

#[test]
fn elements_are_picked_by_the_names_that_the_feature_has() {
    let source = lerobot("lerobot/v21_simple", 1 << 20);
    let feature = source.plan().streams[0].features.iter().find(|it| it.name == "action").unwrap().clone();
    let names: Vec<String> = serde_json::from_str(&feature.metadata[nodedata_core::meta::NAMES]).unwrap();
    let last = names.len() - 1;
    let picked = |names: Vec<String>| FieldSpec {
        by_name: Some(ByName { names, ..ByName::default() }),
        from: FieldFrom::Paths(vec!["action".to_owned()]),
        ..FieldSpec::new("picked", "")
    };
    let two = picked(vec![names[last].clone(), names[0].clone()]);
    let spec =
        StepSpec { fields: vec![FieldSpec::new("action", "action"), two], ..StepSpec::new(Clock::Own) };
    let all = read_all(normalized(source, &spec).unwrap().as_ref());
    let rows = all.rows.as_ref().unwrap();
    let expected: Vec<Vec<f32>> = vectors(rows, "action").iter().map(|it| vec![it[last], it[0]]).collect();
    assert_eq!(vectors(rows, "picked"), expected);
    let streams = lerobot("lerobot/v21_simple", 1 << 20).plan().streams.clone();
    let wrong = StepSpec { fields: vec![picked(vec!["nope".to_owned()])], ..StepSpec::new(Clock::Own) };
    let found = mistakes(&wrong, &streams);
    assert_eq!(found[0].message, "no element is called `nope`");
    assert_eq!(found[0].place, Place::from("fields.picked.by_name[0]"));
}
