use arrow_array::Array;
use nodedata_core::{Error, Source, placed::Place};

use super::{
    memory::{MemorySource, Message},
    reference::{Everything, balances, read_all},
};
use crate::{
    AlignedSource, Beyond, ByName, Clock, FieldSpec, Rate, StepSpec, Tolerance, Unfit, mistakes, normalized,
};

const MS: i64 = 1_000_000;
/// Lies in the second of eight partitions, of which planning samples the first, the middle and the last.
const RARE: f64 = 60.0;

/// A message every ten milliseconds on `/a`.
fn messages() -> Vec<Message> {
    let message = |it: i64| Message { stream: 0, log_time: it * 10 * MS, stamp: 0, value: it as f64 * 10.0 };
    (0..40).map(message).collect()
}

fn source() -> MemorySource {
    MemorySource::new(&["/a"], messages(), 5, true).with_rare(RARE)
}

fn joints(names: &[&str], absent: Option<Beyond>) -> FieldSpec {
    let by_name = ByName { names: names.iter().map(|it| (*it).to_owned()).collect(), at: None, absent };
    FieldSpec { by_name: Some(by_name), ..FieldSpec::new("joints", "/a.position") }
}

/// A step each 20 ms.
fn spec(field: FieldSpec) -> StepSpec {
    let rate = Rate::parse("50").unwrap();
    StepSpec { fields: vec![FieldSpec::new("a", "/a.value"), field], ..StepSpec::new(Clock::Rate(rate)) }
}

fn aligned(field: FieldSpec) -> Result<AlignedSource, Unfit> {
    AlignedSource::in_pieces(Box::new(source()), spec(field), 900)
}

fn read(field: FieldSpec) -> Everything {
    let all = read_all(&aligned(field).unwrap());
    balances(&all);
    all
}

fn nulls(all: &Everything) -> (usize, usize) {
    let column = all.rows.as_ref().unwrap().column_by_name("joints").unwrap();
    (column.len(), column.null_count())
}

#[test]
fn a_name_that_no_message_holds_is_a_mistake() {
    let Err(Unfit::Mistakes(found)) = aligned(joints(&["a", "bb"], None)) else { panic!("no mistake") };
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, Place::from("fields.joints.by_name[1]"));
    assert_eq!(found[0].message, "no message of `/a` holds the name `bb`");
    assert_eq!(found[0].hint.as_deref(), Some("did you mean `b`?"));
    let Err(Unfit::Mistakes(found)) = aligned(joints(&["shoulder"], None)) else { panic!("no mistake") };
    assert_eq!(found[0].hint.as_deref(), Some("one of: a, b, c"));
    let err = Error::from(aligned(joints(&["bb"], None)).err().unwrap());
    assert_eq!(err.to_string(), "`fields.joints.by_name[0]`: no message of `/a` holds the name `bb`");
}

/// Only one message holds it, in a partition that no sample shows.
#[test]
fn a_name_that_some_messages_lack_follows_its_rule_and_is_counted() {
    let all = read(joints(&["c"], None));
    assert_eq!(nulls(&all), (20, 19));
    assert_eq!(all.absent["joints.c"], 19);
    assert_eq!(all.fates[&0].2.len(), 0);

    let all = read(joints(&["a", "c"], Some(Beyond::Drop)));
    assert_eq!(nulls(&all), (1, 0));
    assert_eq!((all.absent["joints.c"], all.absent.get("joints.a")), (19, None));
    assert_eq!((all.fates[&0].2["absent_name"], all.read[&0]), (19, 20));

    let failing = aligned(joints(&["c"], Some(Beyond::Fail))).unwrap();
    let err = failing.read(0, &Default::default()).err().unwrap();
    assert_eq!(err.to_string(), "field `joints`: the message of the step at 0 ns has no `c`");
    assert_eq!(err.locus().feature.as_deref(), Some("joints"));
}

/// What holds for a step without a message need not hold for one whose message lacks a name.
#[test]
fn without_a_rule_of_its_own_a_name_follows_that_of_messages() {
    let beyond = |absent| FieldSpec {
        tolerance: Some(Tolerance { max_ns: Some(MS), beyond: Beyond::Fail }),
        ..joints(&["c"], absent)
    };
    assert!(aligned(beyond(None)).unwrap().read(0, &Default::default()).is_err());
    let kept = beyond(Some(Beyond::Null));
    assert!(aligned(kept.clone()).unwrap().plan().streams[0].features[3].nullable);
    assert_eq!(nulls(&read(kept)), (20, 19));
}

#[test]
fn names_of_steps_that_are_there_are_looked_for_as_well() {
    let steps = || MemorySource::steps(messages()).with_rare(RARE);
    let spec = |names: &[&str], absent| {
        let from = FieldSpec { name: "joints".to_owned(), ..joints(names, absent) };
        let from = FieldSpec { from: FieldSpec::new("", "position").from, ..from };
        StepSpec { fields: vec![from], ..StepSpec::new(Clock::Own) }
    };
    let found = normalized(Box::new(steps()), &spec(&["d"], None)).err().unwrap();
    let Unfit::Mistakes(found) = found else { panic!("{found:?}") };
    assert_eq!(found[0].message, "no message of `steps` holds the name `d`");
    let all = read_all(normalized(Box::new(steps()), &spec(&["c"], None)).unwrap().as_ref());
    assert_eq!((nulls(&all), all.absent["joints.c"]), ((40, 39), 39));
    let streams = &steps().plan().streams.clone();
    let found = mistakes(&spec(&["c"], Some(Beyond::Drop)), streams);
    assert_eq!(found[0].message, "the steps of the source are kept, every one");
    let failing = normalized(Box::new(steps()), &spec(&["c"], Some(Beyond::Fail))).unwrap();
    let err = failing.read(0, &Default::default()).unwrap().next_batch().unwrap_err();
    // This source numbers no steps.
    assert_eq!((err.to_string().as_str(), err.locus().episode_idx), ("the row has no `c`", Some(0)));
    assert_eq!(err.locus().step_idx, None);
}

/// A key that would have no effect on steps that are there already is told, not passed over.
#[test]
fn what_is_said_of_logs_alone_is_a_mistake_of_steps() {
    let field = FieldSpec { skew: Some(true), ..FieldSpec::new("v", "value") };
    let topic_times =
        vec![crate::TopicTime { topic: "/nowhere".to_owned(), time: crate::TimeSource::LogTime }];
    let spec = StepSpec { fields: vec![field], topic_times, ..StepSpec::new(Clock::Own) };
    let found = mistakes(&spec, &MemorySource::steps(messages()).plan().streams);
    let keys: Vec<Place> = found.into_iter().map(|it| it.place).collect();
    assert_eq!(keys, ["steps.time", "fields.v.skew"].map(Place::from));
}
