//! Transforms do not depend on how an episode is cut into parts, and say what they leave out.

use std::sync::Arc;

use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{Float32Type, Float64Type, Int64Type, UInt8Type},
};
use nodedata_core::{Files, OpenOptions, ReadOptions, Source, meta};
use nodedata_io::LocalFiles;
use nodedata_testkit::corpus;

use super::{
    frames::teleop,
    memory::{MemorySource, Message},
    reference::{Everything, balances, read_all},
    step_memory::StepMemory,
};
use crate::{
    AlignedSource, Beyond, Clock, End, FieldFrom, FieldSpec, FieldTransform, PoseFrom, Rate, StepSpec,
    StepTransform, TimeSource, Tolerance, Unfit, mistakes, normalized, transform,
};

const MS: i64 = 1_000_000;

fn open(format: &str, fixture: &str, partition_bytes: u64) -> Box<dyn Source> {
    let files: Arc<dyn Files> = Arc::new(LocalFiles::folder(&corpus::fixtures(fixture)).unwrap());
    let options = OpenOptions { partition_bytes, ..OpenOptions::default() };
    nodedata_formats::builtin().by_name(format).unwrap().open(files, &options).unwrap()
}

fn field(name: &str, from: &str, transform: Vec<FieldTransform>) -> FieldSpec {
    FieldSpec { transform, ..FieldSpec::new(name, from) }
}

fn shift(steps: i32, end: End) -> FieldTransform {
    FieldTransform::Shift { steps, end }
}

fn over(fields: Vec<FieldSpec>) -> StepSpec {
    StepSpec { fields, ..StepSpec::new(Clock::Own) }
}

fn floats(rows: &RecordBatch, name: &str) -> Vec<Option<Vec<f32>>> {
    let lists = rows.column_by_name(name).unwrap().as_fixed_size_list();
    let row = |idx: usize| lists.value(idx).as_primitive::<Float32Type>().values().to_vec();
    (0..lists.len()).map(|idx| lists.is_valid(idx).then(|| row(idx))).collect()
}

/// Every step is written or left out.
#[track_caller]
fn steps_balance(all: &Everything) {
    let dropped: u64 = all.fates.get(&0).map_or(0, |it| it.2.values().sum());
    let written = all.rows.as_ref().map_or(0, RecordBatch::num_rows) as u64;
    assert_eq!(all.read[&0], written + dropped);
}

#[test]
fn values_of_other_steps_do_not_depend_on_the_cuts() {
    let plain = over(vec![FieldSpec::new("action", "action")]);
    let shifted = |steps, end| {
        over(vec![FieldSpec::new("own", "action"), field("action", "action", vec![shift(steps, end)])])
    };
    let read = |spec: &StepSpec, n_bytes| {
        let source = normalized(open("lerobot", "lerobot/v30_image", n_bytes), spec).unwrap();
        let n_parts = source.plan().partitions.len();
        (read_all(source.as_ref()), n_parts)
    };
    let (whole, _) = read(&plain, u64::MAX);
    let (values, episodes) = (floats(whole.rows.as_ref().unwrap(), "action"), whole.episodes);
    for (steps, end) in [(1, End::Null), (3, End::Drop), (-2, End::Null), (-1, End::Drop), (40, End::Null)] {
        let spec = shifted(steps, end);
        let other = |idx: usize| {
            let at = idx.checked_add_signed(steps as isize).filter(|it| *it < values.len())?;
            (episodes[at] == episodes[idx]).then(|| values[at].clone().unwrap())
        };
        let kept: Vec<usize> =
            (0..values.len()).filter(|it| end == End::Null || other(*it).is_some()).collect();
        for n_bytes in [1, 40_000, u64::MAX] {
            let (found, n_parts) = read(&spec, n_bytes);
            assert!(n_bytes != 1 || n_parts == values.len(), "{n_parts} parts");
            steps_balance(&found);
            let rows = found.rows.unwrap();
            let expected: Vec<_> = kept.iter().map(|it| other(*it)).collect();
            assert_eq!(floats(&rows, "action"), expected, "{steps} {end:?} {n_bytes}");
            let own: Vec<_> = kept.iter().map(|it| values[*it].clone()).collect();
            assert_eq!(floats(&rows, "own"), own, "{steps} {end:?} {n_bytes}");
            let n_left = (values.len() - kept.len()) as u64;
            let dropped = found.fates.get(&0).map_or(0, |it| it.2["action/shift@1"]);
            assert_eq!(dropped, n_left);
        }
    }
}

/// What lies beside a part decides rows of it: it is named among what was looked at.
#[test]
fn what_was_looked_at_beside_a_part_is_told() {
    let spec = over(vec![field("action", "action", vec![shift(1, End::Null)])]);
    let inner = open("lerobot", "lerobot/v30_image", 1);
    let reads: Vec<_> = inner.plan().partitions.iter().map(|it| it.reads.clone()).collect();
    let episodes: Vec<_> = inner.plan().partitions.iter().map(|it| it.episode).collect();
    let source = normalized(inner, &spec).unwrap();
    let recipes: Vec<_> = source.plan().partitions.iter().map(|it| it.recipe.clone()).collect();
    assert!(recipes[0].ends_with("action/shift@1: part 1 of 11"), "{}", recipes[0]);
    for idx in [0, 4, 10] {
        let mut stream = source.read(idx, &ReadOptions::default()).unwrap();
        while stream.next_batch().unwrap().is_some() {}
        let expected = if episodes[idx + 1] == episodes[idx] { reads[idx + 1].clone() } else { Vec::new() };
        assert_eq!(stream.looked_at(), expected, "part {idx}");
    }
}

#[test]
fn padding_is_left_out_below_a_selection_that_does_not_keep_the_flag() {
    let fields = vec![
        FieldSpec::new("instruction", "language_instruction"),
        field("action", "action", vec![FieldTransform::Clip { min: None, max: Some(3.0), item: None }]),
    ];
    let padding = StepTransform::DropLastPadding { field: "is_last".to_owned() };
    let spec = StepSpec { transform: vec![padding], ..over(fields) };
    let all = read_all(normalized(open("rlds", "rlds/arm/1.2.0", 2 << 20), &spec).unwrap().as_ref());
    steps_balance(&all);
    assert_eq!(all.fates[&0].2["rlds/drop_last_padding@1"], 4);
    // Episodes of 3, 1, 4 and 2 steps.
    assert_eq!(all.episodes, [0, 0, 2, 2, 2, 3]);
    let rows = all.rows.unwrap();
    let steps = rows.column_by_name("step_index").unwrap().as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(steps, [0, 1, 0, 1, 2, 0]);
    assert!(floats(&rows, "action").iter().flatten().flatten().all(|it| *it <= 3.0));
    let schema = rows.schema();
    let told = &schema.field_with_name("action").unwrap().metadata()[meta::TRANSFORM];
    assert_eq!(told, "[{\"action/clip@1\":{\"max\":3.0}}]");
}

/// The same steps come of pieces of any size, also where the last one holds no step, and topics that are kept are let be.
#[test]
fn steps_of_logs_are_shifted_across_pieces() {
    let message = |it: i64| Message {
        stream: usize::from(it % 3 == 0),
        log_time: it * 10 * MS,
        stamp: it * 10 * MS + 1,
        value: it as f64,
    };
    let messages: Vec<Message> = (0..60).map(message).collect();
    let fields = vec![
        FieldSpec::new("now", "/a.value"),
        FieldSpec { skew: Some(true), ..field("next", "/a.value", vec![shift(2, End::Drop)]) },
        field("before", "/b.value", vec![shift(-1, End::Null), FieldTransform::Invert { item: None }]),
    ];
    let read = |piece_bytes: u64, keep_streams: bool| {
        let spec = StepSpec {
            time: TimeSource::Field("header.stamp".to_owned()),
            upsample: true,
            keep_streams,
            fields: fields.clone(),
            ..StepSpec::new(Clock::Rate(Rate::parse("50").unwrap()))
        };
        let source = MemorySource::new(&["/a", "/b"], messages.clone(), 5, true);
        let aligned = AlignedSource::in_pieces(Box::new(source), spec.clone(), piece_bytes).unwrap();
        let makes_steps = aligned.makes_steps();
        let n_parts = makes_steps.iter().filter(|it| **it).count();
        let source =
            transform::over_steps(Box::new(aligned), &spec, makes_steps, &crate::mapping::Companions::new())
                .unwrap()
                .0;
        (read_all(source.as_ref()), n_parts)
    };
    let (whole, n_parts) = read(u64::MAX, false);
    assert_eq!(n_parts, 1);
    let rows = whole.rows.clone().unwrap();
    let values = |name: &str| {
        let column = rows.column_by_name(name).unwrap().as_primitive::<Float64Type>();
        column.iter().collect::<Vec<_>>()
    };
    let (now, next, before) = (values("now"), values("next"), values("before"));
    assert!(20 < now.len());
    assert_eq!(next[..now.len() - 2], now[2..]);
    assert_eq!((before[0], now.len() + 2), (None, whole.read[&0] as usize));
    for (piece_bytes, keep_streams) in [(1, false), (700, false), (1, true)] {
        let (found, n_parts) = read(piece_bytes, keep_streams);
        assert!(1 < n_parts);
        let found_rows = found.rows.clone().unwrap();
        assert_eq!(found_rows.columns()[1..], rows.columns()[1..], "{piece_bytes}");
        steps_balance(&found);
        if !keep_streams {
            balances(&found);
        }
    }
}

/// A pose has no column of skew, whatever the steps say of all fields: the field behind it keeps its values.
#[test]
fn what_stands_behind_a_pose_is_not_shifted_with_it() {
    let read = |transform: Vec<FieldTransform>| {
        let pose = PoseFrom { of: "tool".to_owned(), within: "base".to_owned(), from: Vec::new() };
        let tool = FieldSpec {
            from: FieldFrom::Pose(pose),
            tolerance: Some(Tolerance { max_ns: None, beyond: Beyond::Null }),
            ..field("tool", "", transform)
        };
        let spec = StepSpec {
            time: TimeSource::Field("header.stamp".to_owned()),
            upsample: true,
            skew: true,
            fields: vec![tool, FieldSpec::new("joints", "/joint_states.position")],
            ..StepSpec::new(Clock::Rate(Rate::parse("30").unwrap()))
        };
        read_all(normalized(teleop(), &spec).unwrap().as_ref()).rows.unwrap()
    };
    let (plain, shifted) = (read(Vec::new()), read(vec![shift(1, End::Null)]));
    let n_rows = plain.num_rows();
    assert_eq!(shifted.num_rows(), n_rows);
    for name in ["joints", "joints.skew_ns"] {
        assert_eq!(shifted.column_by_name(name), plain.column_by_name(name), "{name}");
    }
    let (tool, next) = (plain.column_by_name("tool").unwrap(), shifted.column_by_name("tool").unwrap());
    assert!(tool.null_count() < n_rows);
    assert_eq!(next.slice(0, n_rows - 1).as_ref(), tool.slice(1, n_rows - 1).as_ref());
}

#[test]
fn a_value_that_does_not_fit_has_an_address() {
    let spec = over(vec![field("frame", "frame_index", vec![FieldTransform::Invert { item: None }])]);
    let spec = StepSpec {
        fields: vec![FieldSpec { dtype: Some(nodedata_core::DType::UInt8), ..spec.fields[0].clone() }],
        ..spec
    };
    let source = normalized(open("lerobot", "lerobot/v30_image", 1), &spec).unwrap();
    let mut stream = source.read(2, &ReadOptions::default()).unwrap();
    let err = stream.next_batch().unwrap_err();
    assert_eq!(err.to_string(), "2 becomes -1, which UInt8 cannot hold");
    let locus = err.locus();
    assert_eq!((locus.episode_idx, locus.step_idx), (Some(0), Some(2)));
    assert_eq!(locus.feature.as_deref(), Some("frame"));
    assert!(locus.path.is_some());
}

#[test]
fn what_a_transform_does_not_take_is_a_mistake_of_the_plan() {
    let clip = |min, max, item| FieldTransform::Clip { min, max, item };
    let cases: [(&str, Vec<FieldTransform>, &str); 10] = [
        ("observation.note", vec![FieldTransform::Invert { item: None }], "but `f` is string"),
        ("action", vec![FieldTransform::FromCodes {}], "but `f` is float32[7]"),
        ("action", vec![FieldTransform::Rotate180 {}], "but `f` is float32[7]"),
        ("action", vec![FieldTransform::Flac {}], "but `f` is float32[7]"),
        ("action", vec![clip(Some(0.0), None, Some(7))], "there is no item 7: the vector has 7"),
        ("action", vec![clip(Some(0.0), None, Some(-8))], "there is no item -8"),
        ("observation.counter", vec![clip(Some(0.2), Some(0.8), None)], "no value of int16"),
        ("observation.force", vec![FieldTransform::Invert { item: Some(0) }], "but `f` is float64[2, 3]"),
        ("observation.images.front", vec![shift(1, End::Null)], "but `f` is uint8, encoded"),
        ("action", vec![shift(1, End::Null), shift(-1, End::Null)], "stands twice"),
    ];
    for (from, transforms, told) in cases {
        let n = transforms.len();
        let spec = over(vec![field("f", from, transforms)]);
        let source = open("lerobot", "lerobot/v30_image", 2 << 20);
        let found = mistakes(&spec, &source.plan().streams);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].message.contains(told), "{:?} has no `{told}`", found[0].message);
        assert_eq!(found[0].place, format!("fields.f.transform[{}]", n - 1).into());
        assert!(found[0].hint.is_some());
        let Err(Unfit::Mistakes(again)) = normalized(source, &spec) else { panic!("{told}: taken") };
        assert_eq!(again, found);
    }
    let padding = |field: &str| StepSpec {
        transform: vec![StepTransform::DropLastPadding { field: field.to_owned() }],
        ..over(vec![FieldSpec::new("action", "action")])
    };
    for (name, told) in
        [("next.dne", "the steps have no `next.dne`"), ("action", "takes a bool, but `action` is float32[7]")]
    {
        let source = open("lerobot", "lerobot/v30_image", 2 << 20);
        let found = mistakes(&padding(name), &source.plan().streams);
        assert!(found.len() == 1 && found[0].message.contains(told), "{found:?}");
    }
}

/// A list of transforms is followed in its order, and each takes what the one before makes.
#[test]
fn transforms_follow_each_other() {
    let all = vec![
        FieldTransform::Binarize { threshold: 0.0, item: Some(-1) },
        FieldTransform::Invert { item: Some(-1) },
        shift(1, End::Null),
    ];
    let spec = over(vec![FieldSpec::new("own", "action"), field("action", "action", all)]);
    let read = read_all(normalized(open("lerobot", "lerobot/v30_image", 1), &spec).unwrap().as_ref());
    let rows = read.rows.unwrap();
    let (own, action) = (floats(&rows, "own"), floats(&rows, "action"));
    for (idx, row) in action.iter().enumerate() {
        let Some(row) = row else {
            assert_ne!(read.episodes.get(idx + 1), Some(&read.episodes[idx]), "row {idx}");
            continue;
        };
        let next = own[idx + 1].clone().unwrap();
        assert_eq!(row[..6], next[..6]);
        assert_eq!(row[6], if next[6] > 0.0 { 0.0 } else { 1.0 });
    }
    let schema = rows.schema();
    let told = &schema.field_with_name("action").unwrap().metadata()[meta::TRANSFORM];
    assert_eq!(
        told,
        "[{\"gripper/binarize@1\":{\"item\":-1,\"threshold\":0.0}},{\"gripper/invert@1\":{\"item\":-1}},\
         {\"action/shift@1\":{\"end\":\"null\",\"steps\":1}}]"
    );
}

#[test]
fn codes_become_text_and_null_stays_null() {
    let spec = over(vec![field("instruction", "codes", vec![FieldTransform::FromCodes {}])]);
    let source = StepMemory::new(&[&[Some("push"), None], &[Some("")]], &[]);
    let rows = read_all(normalized(Box::new(source), &spec).unwrap().as_ref()).rows.unwrap();
    let texts = rows.column_by_name("instruction").unwrap().as_string::<i32>().iter().collect::<Vec<_>>();
    assert_eq!(texts, [Some("push"), None, Some("")]);
}

/// What comes behind a lost step is not the next one, however the episode is cut.
#[test]
fn values_of_other_steps_are_not_taken_across_lost_ones() {
    let all = ["a", "b", "c", "d", "e", "f", "g"].map(Some);
    let read = |cuts: &[usize], lost: &[usize], steps, end| {
        let bounds = [&[0], cuts, &[all.len()]].concat();
        let parts: Vec<_> = bounds.windows(2).map(|it| &all[it[0]..it[1]]).collect();
        let source = StepMemory::new(&parts, &[]).losing(lost);
        let transform = vec![shift(steps, end), FieldTransform::FromCodes {}];
        let spec = over(vec![
            field("own", "codes", vec![FieldTransform::FromCodes {}]),
            field("other", "codes", transform),
        ]);
        let found = read_all(normalized(Box::new(source), &spec).unwrap().as_ref());
        steps_balance(&found);
        let rows = found.rows.unwrap();
        let texts = |name: &str| {
            let column = rows.column_by_name(name).unwrap().as_string::<i32>();
            column.iter().map(|it| it.unwrap_or("-")).collect::<String>()
        };
        (texts("own"), texts("other"))
    };
    for cuts in [&[][..], &[2], &[3], &[2, 3], &[1, 2, 3, 4, 5, 6], &[2, 2, 3, 3]] {
        let told = |lost: &[usize], steps, end| {
            let (own, other) = read(cuts, lost, steps, end);
            format!("{own} {other}")
        };
        assert_eq!(told(&[2], 1, End::Null), "abdefg b-efg-", "{cuts:?}");
        assert_eq!(told(&[2], 1, End::Drop), "adef befg", "{cuts:?}");
        assert_eq!(told(&[2], -1, End::Null), "abdefg -a-def", "{cuts:?}");
        assert_eq!(told(&[2], -2, End::Drop), "fg de", "{cuts:?}");
        assert_eq!(told(&[2, 3], 2, End::Null), "abefg --g--", "{cuts:?}");
        assert_eq!(told(&[0, 6], 1, End::Null), "bcdef cdef-", "{cuts:?}");
        assert_eq!(told(&[], 2, End::Null), "abcdefg cdefg--", "{cuts:?}");
    }
}

/// It costs the step, and no other one; who wants none of it has the first as an error.
#[test]
fn a_value_that_does_not_fit_costs_its_step() {
    let invert = field("frame", "frame_index", vec![FieldTransform::Invert { item: None }]);
    let invert = FieldSpec { dtype: Some(nodedata_core::DType::UInt8), ..invert };
    for partition_bytes in [1, u64::MAX] {
        let source = open("lerobot", "lerobot/v30_image", partition_bytes);
        let found = read_all(normalized(source, &over(vec![invert.clone()])).unwrap().as_ref());
        steps_balance(&found);
        // Of each episode the steps 0 and 1 have a place in eight bits.
        let rows = found.rows.unwrap();
        let column = rows.column_by_name("frame").unwrap().as_primitive::<UInt8Type>().values().to_vec();
        let n_episodes = found.episodes.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!(column, [1, 0].repeat(n_episodes), "{partition_bytes}");
        let n_lost = found.fates[&0].2["not_transformed"];
        assert_eq!((n_lost, found.errors.len() as u64), (found.read[&0] - 2 * n_episodes as u64, n_lost));
        assert_eq!(found.errors[0], "2 becomes -1, which UInt8 cannot hold");
    }
}

/// Only the last step of an episode is padding, wherever the parts end, and only where it says so itself.
#[test]
fn a_flag_inside_of_an_episode_leaves_nothing_out() {
    let padding = StepTransform::DropLastPadding { field: "is_last".to_owned() };
    let spec = StepSpec { transform: vec![padding], ..over(vec![FieldSpec::new("codes", "codes")]) };
    let dropped = |parts: &[usize], last: &[usize]| {
        let steps: Vec<Vec<Option<&str>>> = parts.iter().map(|n| vec![Some("a"); *n]).collect();
        let steps: Vec<&[Option<&str>]> = steps.iter().map(Vec::as_slice).collect();
        let source = normalized(Box::new(StepMemory::new(&steps, last)), &spec).unwrap();
        let all = read_all(source.as_ref());
        steps_balance(&all);
        all.fates.get(&0).map_or(0, |it| it.2["rlds/drop_last_padding@1"])
    };
    assert_eq!(dropped(&[5], &[4]), 1);
    assert_eq!(dropped(&[2, 3], &[4]), 1);
    assert_eq!(dropped(&[2, 2, 1], &[4]), 1);
    // The flag at the end of a part that others follow.
    assert_eq!(dropped(&[2, 3], &[1]), 0);
    assert_eq!(dropped(&[2, 3], &[1, 4]), 1);
    // Parts behind it that hold no step.
    assert_eq!(dropped(&[2, 0, 0], &[1]), 1);
    assert_eq!(dropped(&[2, 3], &[]), 0);
}
