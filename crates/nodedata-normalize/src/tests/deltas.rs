//! Differences, slices, units and rotations of steps that are there, whatever the parts of an episode are.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, cast::AsArray, types::Float32Type};
use nodedata_core::{DType, Files, OpenOptions, Source, meta};
use nodedata_io::LocalFiles;
use nodedata_testkit::corpus;

use super::{
    reference::{Everything, read_all},
    step_memory::StepMemory,
};
use crate::{
    Against, Clock, DeltaEnd, FieldSpec, FieldTransform, Items, Rate, StepSpec, Unfit, mistakes, normalized,
};

fn lerobot(partition_bytes: u64) -> Box<dyn Source> {
    let folder = corpus::fixtures("lerobot/v30_image");
    let files: Arc<dyn Files> = Arc::new(LocalFiles::folder(&folder).unwrap());
    let options = OpenOptions { partition_bytes, ..OpenOptions::default() };
    nodedata_formats::builtin().by_name("lerobot").unwrap().open(files, &options).unwrap()
}

fn field(name: &str, from: &str, transform: Vec<FieldTransform>) -> FieldSpec {
    FieldSpec { transform, ..FieldSpec::new(name, from) }
}

fn over(fields: Vec<FieldSpec>) -> StepSpec {
    StepSpec { fields, ..StepSpec::new(Clock::Rate(Rate::parse("10").unwrap())) }
}

fn read(fields: Vec<FieldSpec>, partition_bytes: u64) -> Everything {
    read_all(normalized(lerobot(partition_bytes), &over(fields)).unwrap().as_ref())
}

fn floats(rows: &RecordBatch, name: &str) -> Vec<Option<Vec<f32>>> {
    let lists = rows.column_by_name(name).unwrap().as_fixed_size_list();
    let row = |idx: usize| lists.value(idx).as_primitive::<Float32Type>().values().to_vec();
    (0..lists.len()).map(|idx| lists.is_valid(idx).then(|| row(idx))).collect()
}

fn is_nullable(rows: &RecordBatch, name: &str) -> bool {
    rows.schema().field_with_name(name).unwrap().is_nullable()
}

fn to_step(steps: i32, end: DeltaEnd) -> FieldTransform {
    FieldTransform::Delta { against: Against::Step(steps), end }
}

fn to_field(name: &str) -> FieldTransform {
    FieldTransform::Delta { against: Against::Field(name.to_owned()), end: DeltaEnd::Null }
}

fn scale(by: f64) -> FieldTransform {
    FieldTransform::Scale { by, item: None }
}

fn minus(one: &[f32], other: &[f32]) -> Vec<f32> {
    one.iter().zip(other).map(|(a, b)| a - b).collect()
}

#[test]
fn differences_to_other_steps_do_not_depend_on_the_cuts() {
    let whole = read(vec![FieldSpec::new("action", "action")], u64::MAX);
    let (values, episodes) = (floats(whole.rows.as_ref().unwrap(), "action"), whole.episodes);
    let value = |idx: usize| values[idx].clone().unwrap();
    let of_source = is_nullable(whole.rows.as_ref().unwrap(), "action");
    for (steps, end) in [
        (-1, DeltaEnd::Null),
        (-1, DeltaEnd::Zero),
        (-2, DeltaEnd::Drop),
        (1, DeltaEnd::Zero),
        (3, DeltaEnd::Drop),
        (-40, DeltaEnd::Null),
    ] {
        let other = |idx: usize| {
            let at = idx.checked_add_signed(steps as isize).filter(|it| *it < values.len())?;
            (episodes[at] == episodes[idx]).then(|| value(at))
        };
        let expected: Vec<_> = (0..values.len())
            .filter(|it| end != DeltaEnd::Drop || other(*it).is_some())
            .map(|it| match (other(it), end) {
                (Some(other), _) => Some(minus(&value(it), &other)),
                (None, DeltaEnd::Zero) => Some(vec![0.0; 7]),
                (None, _) => None,
            })
            .collect();
        for partition_bytes in [1, 40_000, u64::MAX] {
            let found = read(vec![field("moved", "action", vec![to_step(steps, end)])], partition_bytes);
            let rows = found.rows.unwrap();
            assert_eq!(floats(&rows, "moved"), expected, "{steps} {end:?} {partition_bytes}");
            let n_left = (values.len() - expected.len()) as u64;
            assert_eq!(found.fates.get(&0).map_or(0, |it| it.2["delta@1"]), n_left);
            assert_eq!(is_nullable(&rows, "moved"), end == DeltaEnd::Null || of_source);
        }
    }
}

/// What stands before a difference in the list is done before it, and what stands behind it is done then.
#[test]
fn a_difference_has_its_place_in_the_list() {
    let clip = FieldTransform::Clip { min: Some(-0.01), max: Some(0.01), item: None };
    let fields = vec![
        FieldSpec::new("own", "action"),
        field("moved", "action", vec![scale(2.0), to_step(-1, DeltaEnd::Zero), clip]),
    ];
    let found = read(fields, 1);
    let rows = found.rows.unwrap();
    let (own, moved) = (floats(&rows, "own"), floats(&rows, "moved"));
    for (idx, moved) in moved.into_iter().enumerate() {
        let before = if idx == 0 || found.episodes[idx - 1] != found.episodes[idx] { idx } else { idx - 1 };
        let double = |it: usize| own[it].clone().unwrap().iter().map(|it| it * 2.0).collect::<Vec<_>>();
        let expected: Vec<f32> =
            minus(&double(idx), &double(before)).into_iter().map(|it| it.clamp(-0.01, 0.01)).collect();
        assert_eq!(moved, Some(expected), "row {idx}");
    }
}

/// The other field is taken as it is written, whichever of both is named first.
#[test]
fn a_field_is_compared_with_what_is_written_of_another() {
    let fields = vec![
        field("first", "action", vec![scale(3.0), to_field("state")]),
        field("state", "observation.state", vec![scale(2.0)]),
        field("second", "action", vec![to_field("first")]),
        FieldSpec::new("plain", "observation.state"),
        FieldSpec::new("action", "action"),
    ];
    let rows = read(fields, 1).rows.unwrap();
    let all = |name: &str| floats(&rows, name).into_iter().flatten().collect::<Vec<_>>();
    let (first, state, second, plain, action) =
        (all("first"), all("state"), all("second"), all("plain"), all("action"));
    for idx in 0..rows.num_rows() {
        let double: Vec<f32> = plain[idx].iter().map(|it| it * 2.0).collect();
        assert_eq!(state[idx], double);
        let triple: Vec<f32> = action[idx].iter().map(|it| (f64::from(*it) * 3.0) as f32).collect();
        assert_eq!(first[idx], minus(&triple, &double));
        assert_eq!(second[idx], minus(&action[idx], &first[idx]));
    }
}

#[track_caller]
fn refused(fields: Vec<FieldSpec>, place: &str, told: &str, hint: &str) {
    let spec = over(fields);
    let source = lerobot(2 << 20);
    let found = mistakes(&spec, &source.plan().streams);
    let first = found.first().unwrap_or_else(|| panic!("{told}: taken"));
    assert!(first.message.contains(told), "{:?} has no `{told}`", first.message);
    assert!(first.hint.as_ref().unwrap().contains(hint), "{:?} has no `{hint}`", first.hint);
    assert_eq!(first.place, place.to_owned().into());
    let Err(Unfit::Mistakes(again)) = normalized(source, &spec) else { panic!("{told}: taken") };
    assert_eq!(again, found);
}

#[test]
fn what_cannot_be_done_is_a_mistake_of_the_plan() {
    let one = |transform| vec![field("f", "action", vec![transform])];
    let unit = |from: &str, to: &str| FieldTransform::Unit { from: from.into(), to: to.into(), item: None };
    refused(one(to_field("f")), "fields.f.transform[0]", "a field minus itself is nothing", "there are none");
    let with_state = |name: &str| {
        vec![field("f", "action", vec![to_field(name)]), FieldSpec::new("state", "observation.state")]
    };
    refused(
        with_state("stat"),
        "fields.f.transform[0]",
        "there is no other field `stat`",
        "did you mean `state`?",
    );
    let circle = vec![field("a", "action", vec![to_field("b")]), field("b", "action", vec![to_field("a")])];
    refused(circle, "fields.a.transform[0]", "which waits for it in turn", "under another name");
    let other_shape =
        vec![field("f", "action", vec![to_field("n")]), FieldSpec::new("n", "observation.force")];
    refused(other_shape, "fields.f.transform[0]", "`n` is float64[2, 3]", "`slice`");
    let twice = vec![field("f", "action", vec![to_step(-1, DeltaEnd::Zero), to_step(-1, DeltaEnd::Zero)])];
    refused(twice, "fields.f.transform[1]", "it stands twice", "another name");
    let whole = vec![field("f", "observation.counter", vec![scale(0.5)])];
    refused(whole, "fields.f.transform[0]", "takes floats", "");
    let known =
        vec![FieldSpec { unit: Some("rad".into()), ..field("f", "action", vec![unit("deg", "rad")]) }];
    refused(known, "fields.f.transform[0]", "the field is in rad already", "`from: rad`");
    let items = |it: Vec<i32>| FieldTransform::Slice { items: Items::Places(it) };
    refused(one(items(vec![7])), "fields.f.transform[0]", "there is no item 7", "that are there");
    let names = FieldTransform::Slice { items: Items::Names(vec!["joint_9".into()]) };
    refused(one(names), "fields.f.transform[0]", "there is no item `joint_9`", "joint_");
}

#[test]
fn names_and_units_follow_the_values() {
    let unit = FieldTransform::Unit { from: "deg".into(), to: "rad".into(), item: None };
    let arm = FieldTransform::Slice { items: Items::Range { start: 0, end: Some(-1) } };
    let fields = vec![
        FieldSpec::new("own", "observation.state"),
        FieldSpec { unit: Some("deg".into()), ..field("arm", "observation.state", vec![arm, unit]) },
    ];
    let rows = read(fields, u64::MAX).rows.unwrap();
    let (own, arm) = (floats(&rows, "own"), floats(&rows, "arm"));
    for (own, arm) in own.iter().flatten().zip(arm.iter().flatten()) {
        let expected: Vec<f32> = own[..6].iter().map(|it| f64::from(*it).to_radians() as f32).collect();
        assert_eq!(*arm, expected);
    }
    let schema = rows.schema();
    let facts = schema.field_with_name("arm").unwrap().metadata();
    assert_eq!(facts[meta::UNIT], "rad");
    let names: Vec<String> = serde_json::from_str(&facts[meta::NAMES]).unwrap();
    assert_eq!(names, (0..6).map(|it| format!("joint_{it}.pos")).collect::<Vec<_>>());
    assert_eq!(
        facts[meta::TRANSFORM],
        r#"[{"slice@1":{"end":-1,"start":0}},{"unit@1":{"from":"deg","to":"rad"}}]"#
    );
}

/// A difference that its type cannot hold costs its step, and no other one.
#[test]
fn a_difference_that_does_not_fit_costs_its_step() {
    let frame = FieldSpec {
        dtype: Some(DType::UInt8),
        ..field("frame", "frame_index", vec![to_step(1, DeltaEnd::Zero)])
    };
    for partition_bytes in [1, u64::MAX] {
        let found = read(vec![frame.clone()], partition_bytes);
        let n_episodes = found.episodes.iter().collect::<std::collections::BTreeSet<_>>().len() as u64;
        // Each but the last of an episode is smaller than the one behind it.
        assert_eq!(found.rows.unwrap().num_rows() as u64, n_episodes);
        assert_eq!(found.fates[&0].2["not_transformed"], found.read[&0] - n_episodes);
        assert_eq!(found.errors[0], "0 minus 1 is more than UInt8 can hold");
    }
}

/// What comes behind a lost step is not the next one.
#[test]
fn differences_are_not_taken_across_lost_steps() {
    let texts = ["a", "c", "f", "j"].map(Some);
    let codes = |lost: &[usize]| {
        let source = StepMemory::new(&[&texts[..2], &texts[2..]], &[]).losing(lost);
        let fields = vec![field("moved", "codes", vec![to_step(-1, DeltaEnd::Zero)])];
        let steps = StepSpec { fields, ..StepSpec::new(Clock::Own) };
        let rows = read_all(normalized(Box::new(source), &steps).unwrap().as_ref()).rows.unwrap();
        let lists = rows.column_by_name("moved").unwrap().as_list::<i32>().clone();
        let first = |it: usize| lists.value(it).as_primitive::<arrow_array::types::Int32Type>().value(0);
        (0..lists.len()).map(first).collect::<Vec<_>>()
    };
    assert_eq!(codes(&[]), [0, 2, 3, 4]);
    assert_eq!(codes(&[1]), [0, 0, 4]);
    assert_eq!(codes(&[2]), [0, 2, 0]);
}
