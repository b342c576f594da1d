use arrow_array::{
    Array,
    cast::AsArray,
    types::{Float64Type, Int64Type},
};
use nodedata_core::{DType, Dim, Fact, Source, StreamId, placed::Place};

use super::{
    memory::{MemorySource, Message, stream},
    reference::{Everything, balances, read_all},
};
use crate::{
    Align, AlignedSource, Beyond, ByName, Clock, Constant, Cut, EpisodeSpec, FactType, FarStamps, FieldFrom,
    FieldSpec, Idle, Marker, MetadataFrom, Missing, Rate, Speed, Start, StepSpec, Take, TimeSource,
    Tolerance, TopicMetadata, TopicTime, Trim, mistakes, normalized, with_episodes,
};

const MS: i64 = 1_000_000;

/// A message every ten milliseconds on `/a`, every forty on `/b`.
fn messages() -> Vec<Message> {
    let a = (0..30).map(|it| (0, it * 10));
    let b = (1..7).map(|it| (1, it * 40 + 3));
    let mut all: Vec<(usize, i64)> = a.chain(b).collect();
    all.sort_by_key(|it| it.1);
    let message = |(stream, ms): (usize, i64)| Message {
        stream,
        log_time: ms * MS + MS,
        stamp: ms * MS + 1,
        value: ms as f64,
    };
    all.into_iter().map(message).collect()
}

fn spec(fields: Vec<FieldSpec>) -> StepSpec {
    StepSpec {
        time: TimeSource::Field("header.stamp".to_owned()),
        fields,
        // Some tests read the slow topic alone.
        upsample: true,
        ..StepSpec::new(Clock::Rate(Rate::parse("50").unwrap()))
    }
}

fn aligned(messages: Vec<Message>, spec: StepSpec) -> AlignedSource {
    let source = MemorySource::new(&["/a", "/b"], messages, 5, true);
    AlignedSource::in_pieces(Box::new(source), spec, 900).unwrap()
}

fn read(messages: Vec<Message>, spec: StepSpec) -> Everything {
    let all = read_all(&aligned(messages, spec));
    balances(&all);
    all
}

fn floats(all: &Everything, name: &str) -> Vec<Option<f64>> {
    let column = all.rows.as_ref().unwrap().column_by_name(name).unwrap();
    column.as_primitive::<Float64Type>().iter().collect()
}

#[test]
fn a_missing_value_is_null_or_leaves_the_step_out_or_fails() {
    let field = |beyond: Beyond| FieldSpec {
        tolerance: Some(Tolerance { max_ns: Some(5 * MS), beyond }),
        ..FieldSpec::new("b", "/b.value")
    };
    let a = || FieldSpec::new("a", "/a.value");
    let nulls = read(messages(), spec(vec![a(), field(Beyond::Null)]));
    let found = floats(&nulls, "b");
    assert_eq!(found[..4], [None, None, Some(43.0), None]);
    let n_nulls = found.iter().filter(|it| it.is_none()).count() as u64;
    assert_eq!((nulls.fates[&0].2.len(), nulls.beyond["b"]), (0, n_nulls));

    let dropped = read(messages(), spec(vec![a(), field(Beyond::Drop)]));
    assert_eq!(floats(&dropped, "b"), found.iter().copied().filter(Option::is_some).collect::<Vec<_>>());
    let n_dropped = found.iter().filter(|it| it.is_none()).count() as u64;
    assert_eq!((dropped.fates[&0].2["beyond_tolerance"], dropped.read[&0]), (n_dropped, 15));

    let source = aligned(messages(), spec(vec![a(), field(Beyond::Fail)]));
    let err = source.read(0, &Default::default()).err().unwrap();
    assert_eq!(err.to_string(), "field `b` has no value within 5 ms of the step at 1 ns");
    assert_eq!((err.locus().step_idx, err.locus().topic.as_deref()), (Some(0), Some("/b")));
}

#[test]
fn an_episode_may_start_when_all_fields_are_there() {
    let fields = || vec![FieldSpec::new("a", "/a.value"), FieldSpec::new("b", "/b.value")];
    let all = read(messages(), StepSpec { start: Start::All, ..spec(fields()) });
    let times = all.rows.as_ref().unwrap().column(1).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(times[..2], [43 * MS + 1, 63 * MS + 1]);
    assert_eq!(all.fates[&1].1["before_first_step"], 4);
    // A field that is held does not decide when an episode starts.
    let held = FieldSpec { align: Some(Align::Hold), ..FieldSpec::new("b", "/b.value") };
    let all =
        read(messages(), StepSpec { start: Start::All, ..spec(vec![FieldSpec::new("a", "/a.value"), held]) });
    assert_eq!(floats(&all, "b")[..4], [None, None, None, Some(43.0)]);
}

#[test]
fn joints_are_found_by_their_names() {
    let by_name = |names: &[&str]| {
        Some(ByName { names: names.iter().map(|it| (*it).to_owned()).collect(), ..ByName::default() })
    };
    let joints = FieldSpec { by_name: by_name(&["b", "a"]), ..FieldSpec::new("joints", "/a.position") };
    let swapped = FieldSpec { by_name: by_name(&["a", "b"]), ..FieldSpec::new("swapped", "/a.position") };
    let both = FieldSpec {
        from: FieldFrom::Paths(vec![
            "/a.position".to_owned(),
            "/b.value".to_owned(),
            "/a.position[1]".to_owned(),
        ]),
        ..FieldSpec::new("both", "")
    };
    let typed = FieldSpec { dtype: Some(DType::Float32), ..joints.clone() };
    let typed = FieldSpec { name: "typed".to_owned(), ..typed };
    let source = aligned(messages(), spec(vec![joints, swapped, both, typed]));
    let features = &source.plan().streams[0].features;
    assert_eq!(
        (features[2].shape.as_slice(), features[5].dtype),
        ([Dim::Fixed(2)].as_slice(), DType::Float32)
    );
    assert_eq!(features[4].shape, [Dim::Variable]);
    let all = read_all(&source);
    let rows = all.rows.unwrap();
    let joints = rows.column(2).as_fixed_size_list();
    for row in 0..rows.num_rows() {
        let values = joints.value(row);
        let values = values.as_primitive::<Float64Type>().values();
        assert_eq!(values[0], -values[1], "row {row}");
        assert_eq!(values[1], row as f64 * 20.0);
    }
    assert_eq!(rows.column(3).null_count(), 0);
    assert_eq!(rows.column(4).as_list::<i32>().value(3).len(), 4);
}

#[test]
fn constants_and_texts_are_there_at_every_step() {
    let constant =
        |name: &str, it: Constant| FieldSpec { from: FieldFrom::Constant(it), ..FieldSpec::new(name, "") };
    let text = FieldSpec { align: Some(Align::Hold), ..FieldSpec::new("text", "/a.text") };
    let floats = FieldSpec { dtype: Some(DType::Float32), ..constant("v", Constant::Floats(vec![1.0, 2.0])) };
    let all = read(messages(), spec(vec![text, constant("robot", Constant::Text("arm".to_owned())), floats]));
    let rows = all.rows.unwrap();
    assert_eq!(rows.column(2).as_string::<i32>().value(2), "40");
    assert_eq!(rows.column(3).as_string::<i32>().value(14), "arm");
    assert_eq!(rows.column(4).as_fixed_size_list().value_length(), 2);
}

#[test]
fn a_value_that_does_not_fit_has_an_address() {
    let field = FieldSpec { dtype: Some(DType::Int8), ..FieldSpec::new("a", "/a.value") };
    let source = aligned(messages(), spec(vec![field]));
    let errors: Vec<_> = (0..source.plan().partitions.len())
        .filter_map(|it| source.read(it, &Default::default()).err())
        .collect();
    assert_eq!(errors[0].to_string(), "the value 140 does not fit int8, at 140000001 ns");
    assert_eq!(errors[0].locus().step_idx, Some(7));
    assert_eq!(errors[0].locus().feature.as_deref(), Some("a"));
}

#[test]
fn markers_cut_episodes_and_what_lies_outside_is_counted() {
    // `/b` has the values 43, 83 … 243 at these milliseconds.
    let marker = Marker {
        field: "/b.text".to_owned(),
        start: vec!["43".to_owned(), "163".to_owned()],
        end: vec!["123".to_owned()],
        discard: Vec::new(),
        task: Some("text".to_owned()),
    };
    let fields = vec![FieldSpec {
        tolerance: Some(Tolerance { max_ns: Some(6 * MS), ..Default::default() }),
        ..FieldSpec::new("a", "/a.value")
    }];
    let source = aligned(messages(), StepSpec { episodes: Cut::Marker(marker), ..spec(fields) });
    let keys: Vec<(&str, Option<&str>)> =
        source.plan().episodes.iter().map(|it| (it.key.as_str(), it.task.as_deref())).collect();
    assert_eq!(keys, [("log#0", Some("43")), ("log#1", Some("163"))]);
    let all = read_all(&source);
    balances(&all);
    let times: Vec<i64> = all
        .rows
        .as_ref()
        .unwrap()
        .column(1)
        .as_primitive::<Int64Type>()
        .values()
        .iter()
        .map(|it| it / MS)
        .collect();
    assert_eq!(times[..5], [43, 63, 83, 103, 163]);
    assert_eq!(all.episodes[..5], [0, 0, 0, 0, 1]);
    // The marker's own messages were used to cut.
    assert_eq!((all.read[&2], all.fates[&2].0), (6, 6));
    // Before 43 ms there are five messages, the last of which is the nearest to the first step.
    assert_eq!(all.fates[&1].2["outside_every_episode"], 4 + 4 - 1);
}

#[test]
fn silence_cuts_episodes() {
    let mut messages = messages();
    messages.retain(|it| !(100 * MS..200 * MS).contains(&it.stamp));
    let fields = vec![FieldSpec::new("a", "/a.value")];
    let cut = Cut::Gap { gap_ns: 50 * MS, topic: Some("/a".to_owned()) };
    let source = aligned(messages, StepSpec { episodes: cut, ..spec(fields) });
    assert_eq!(source.plan().episodes.len(), 2);
    let all = read_all(&source);
    balances(&all);
    let rows = all.rows.as_ref().unwrap();
    let times: Vec<i64> =
        rows.column(1).as_primitive::<Int64Type>().values().iter().map(|it| it / MS).collect();
    assert_eq!(times, [0, 20, 40, 60, 80, 200, 220, 240, 260, 280]);
    let steps: Vec<i64> = rows.column(0).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(steps, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
}

#[test]
fn messages_that_cannot_be_placed_are_counted_and_reported() {
    let mut messages = messages();
    messages[6].stamp = 0;
    messages[11].stamp += 3_000 * MS;
    let spec = StepSpec { order_bound_ns: Some(100 * MS), ..spec(vec![FieldSpec::new("a", "/a.value")]) };
    let source = MemorySource::new(&["/a", "/b"], messages, 4, true);
    let all = read_all(&AlignedSource::in_pieces(Box::new(source), spec, 900).unwrap());
    balances(&all);
    let mut errors = all.errors.clone();
    errors.sort_unstable();
    assert_eq!(
        errors,
        [
            "1 messages are stamped farther from their log time than the bound allows",
            "1 messages have no stamp (null or 0), so no step can be found for them",
        ]
    );
    assert_eq!((all.fates[&1].2["no_time"], all.fates[&1].2["beyond_order_bound"]), (1, 1));
}

#[test]
fn one_wild_stamp_makes_no_steps_and_is_left_out() {
    for (per_partition, tells_times) in [(4, true), (1000, true), (7, false)] {
        let mut messages = messages();
        messages[11].stamp += 6_000_000 * MS;
        messages[20].stamp = 5;
        let fields = || vec![FieldSpec::new("a", "/a.value"), FieldSpec::new("b", "/b.value")];
        let far_ms = |it: &Message| (it.stamp - it.log_time).abs() / MS;
        let wild: Vec<usize> = messages.iter().filter(|it| 10_000 < far_ms(it)).map(|it| it.stream).collect();
        // Of a stamp of this epoch half a second is no distance.
        assert_eq!(wild, [0]);
        let open = |spec: StepSpec| {
            let source = MemorySource::new(&["/a", "/b"], messages.clone(), per_partition, tells_times);
            AlignedSource::in_pieces(Box::new(source), spec, 900).unwrap()
        };
        let all = read_all(&open(spec(fields())));
        balances(&all);
        assert_eq!(all.rows.as_ref().unwrap().num_rows(), 15, "{per_partition} {tells_times}");
        assert_eq!((all.errors.len(), all.fates[&1].2[crate::far::FAR]), (0, 1));
        let expected = "1 message is stamped far from log time, by up to 5999.999 s, which the other messages of the \
                        topic are not";
        assert_eq!(all.warnings, [expected]);
        let refusing = open(StepSpec { far_stamps: FarStamps::Fail, ..spec(fields()) });
        let n = refusing.plan().partitions.len();
        let errors: Vec<_> = (0..n).filter_map(|it| refusing.read(it, &Default::default()).err()).collect();
        assert_eq!(errors.len(), 1);
        assert_eq!((errors[0].to_string().as_str(), errors[0].loss().is_some()), (expected, false));
        let kept = open(StepSpec { keep_streams: true, ..spec(fields()) });
        assert_eq!(read_all(&kept).fates[&1].1[crate::far::FAR], 1);
    }
}

#[test]
fn a_marker_with_a_wild_stamp_cuts_nothing() {
    let mut messages = messages();
    let markers: Vec<usize> = (0..messages.len()).filter(|it| messages[*it].stream == 1).collect();
    messages[markers[2]].stamp += 6_000_000 * MS;
    let marker = Marker {
        field: "/b.text".to_owned(),
        start: vec!["43".to_owned(), "123".to_owned()],
        ..Marker::default()
    };
    let fields = vec![FieldSpec::new("a", "/a.value")];
    let all = read(messages, StepSpec { episodes: Cut::Marker(marker), ..spec(fields) });
    assert_eq!(all.episodes.iter().max(), Some(&0));
    assert_eq!((all.read[&2], all.fates[&2].0, all.fates[&2].2[crate::far::FAR]), (6, 5, 1));
}

#[test]
fn a_marker_without_a_time_cuts_nothing_and_is_counted() {
    let mut messages = messages();
    let markers: Vec<usize> = (0..messages.len()).filter(|it| messages[*it].stream == 1).collect();
    messages[markers[2]].stamp = 0;
    let marker = Marker {
        field: "/b.text".to_owned(),
        start: vec!["43".to_owned(), "123".to_owned()],
        ..Marker::default()
    };
    let fields = vec![FieldSpec::new("a", "/a.value")];
    let all = read(messages, StepSpec { episodes: Cut::Marker(marker), ..spec(fields) });
    assert_eq!(all.episodes.iter().max(), Some(&0));
    assert_eq!((all.read[&2], all.fates[&2].0), (6, 6));
}

/// Of an unmapped topic that tells of episodes.
#[test]
fn a_message_with_a_wild_stamp_tells_nothing() {
    let mut messages = messages();
    let told: Vec<usize> = (0..messages.len()).filter(|it| messages[*it].stream == 1).collect();
    messages[told[2]].stamp += 6_000_000 * MS;
    let last = messages[told[told.len() - 1]].value;
    let topic = TopicMetadata {
        from: "/b.text".to_owned(),
        name: "note".to_owned(),
        take: Take::Last,
        dtype: Some(FactType::Int),
        missing: Missing::Error,
    };
    let episodes = EpisodeSpec { metadata: vec![MetadataFrom::Topic(topic)], ..EpisodeSpec::default() };
    let steps = spec(vec![FieldSpec::new("a", "/a.value")]);
    let source = Box::new(MemorySource::new(&["/a", "/b"], messages, 5, true));
    let source = with_episodes(source, Some(&steps), &episodes).unwrap();
    assert_eq!(source.plan().episodes[0].metadata.get("note"), Some(&Fact::Int(last as i64)));
    let all = read_all(source.as_ref());
    balances(&all);
    assert_eq!((all.read[&2], all.fates[&2].0, all.fates[&2].2[crate::far::FAR]), (6, 5, 1));
}

/// Of an unmapped topic that says what stands still.
#[test]
fn a_message_with_a_wild_stamp_does_not_move() {
    let mut messages = messages();
    let told: Vec<usize> = (0..messages.len()).filter(|it| messages[*it].stream == 1).collect();
    messages[told[2]].log_time += 6_000_000 * MS;
    messages[told[2]].value = 1e9;
    let idle = Idle { field: "/b.value".to_owned(), below: Speed(1e6), keep_ns: 0, stretches_ns: None };
    let trim = Trim { idle: Some(idle), ..Trim::default() };
    let episodes = EpisodeSpec { trim, ..EpisodeSpec::default() };
    let steps = spec(vec![FieldSpec::new("a", "/a.value")]);
    let source = Box::new(MemorySource::new(&["/a", "/b"], messages, 5, true));
    let all = read_all(with_episodes(source, Some(&steps), &episodes).unwrap().as_ref());
    balances(&all);
    assert_eq!((all.read[&0], all.fates[&0].2["idle"]), (15, 15));
    assert_eq!((all.read[&2], all.fates[&2].0, all.fates[&2].2[crate::far::FAR]), (6, 5, 1));
}

/// `/a` is silent from 100 to 200 ms, which cuts it; `/b` speaks once before, and once after.
fn two_episodes(fields: Vec<FieldSpec>) -> (Vec<Message>, StepSpec) {
    let mut messages = messages();
    messages.retain(|it| it.stream == 1 || !(100 * MS..200 * MS).contains(&it.stamp));
    messages.retain(|it| it.stream == 0 || [43.0, 243.0].contains(&it.value));
    let cut = Cut::Gap { gap_ns: 50 * MS, topic: Some("/a".to_owned()) };
    (messages, StepSpec { episodes: cut, ..spec(fields) })
}

#[test]
fn nothing_is_taken_from_another_episode_unless_it_is_held_across() {
    let b = |align: Align| FieldSpec { align: Some(align), ..FieldSpec::new("b", "/b.value") };
    let check = |field: FieldSpec, spec_of: fn(StepSpec) -> StepSpec, expected: [Option<f64>; 10]| {
        let (messages, spec) = two_episodes(vec![FieldSpec::new("a", "/a.value"), field]);
        let all = read(messages, spec_of(spec));
        assert_eq!(floats(&all, "b"), expected);
        let n = expected.iter().filter(|it| it.is_none()).count() as u64;
        assert_eq!(all.beyond.get("b").copied().unwrap_or(0), n);
    };
    let (x, y, same) = (Some(43.0), Some(243.0), |it| it);
    check(b(Align::Nearest), same, [x, x, x, x, x, y, y, y, y, y]);
    check(b(Align::Linear), same, [None; 10]);
    check(b(Align::Hold), same, [None, None, None, x, x, None, None, None, y, y]);
    let across = |it| StepSpec { hold_across: true, ..it };
    check(b(Align::Hold), across, [None, None, None, x, x, x, x, x, y, y]);
    let own = FieldSpec { hold_across: Some(false), ..b(Align::Hold) };
    check(own, across, [None, None, None, x, x, None, None, None, y, y]);
}

#[test]
fn what_latched_topics_say_stands_until_they_say_something_else() {
    let field = FieldSpec { align: Some(Align::Hold), ..FieldSpec::new("b", "/b.value") };
    let (messages, spec) = two_episodes(vec![FieldSpec::new("a", "/a.value"), field]);
    let source = MemorySource::new(&["/a", "/b"], messages, 5, true).with_metadata(
        1,
        "channel.offered_qos_profiles",
        "- depth: 1\n  durability: transient_local",
    );
    let all = read_all(&AlignedSource::in_pieces(Box::new(source), spec, 900).unwrap());
    let (x, y) = (Some(43.0), Some(243.0));
    assert_eq!(floats(&all, "b"), [None, None, None, x, x, x, x, x, y, y]);
}

#[test]
fn without_a_tolerance_a_value_is_no_older_than_ten_periods_of_its_topic() {
    // `/b` has a period of 10 ms, and is silent from 60 ms on.
    let message = |(stream, ms): (usize, i64)| Message {
        stream,
        log_time: ms * MS,
        stamp: ms * MS + 1,
        value: ms as f64,
    };
    let mut all: Vec<(usize, i64)> =
        (0..40).map(|it| (0, it * 10)).chain((0..7).map(|it| (1, it * 10))).collect();
    all.push((1, 380));
    all.sort_by_key(|it| it.1);
    let messages: Vec<Message> = all.into_iter().map(message).collect();
    // Eight messages in 380 ms.
    let bound = 10 * 380 / 7;
    assert_eq!(bound, 542);
    let with = |align: Align, max_ns: Option<i64>| {
        let tolerance = Some(Tolerance { max_ns, ..Tolerance::default() });
        FieldSpec { align: Some(align), tolerance, ..FieldSpec::new("b", "/b.value") }
    };
    let n_nulls = |messages: &[Message], field: FieldSpec| {
        let all = read(messages.to_vec(), spec(vec![FieldSpec::new("a", "/a.value"), field]));
        let n = floats(&all, "b").iter().filter(|it| it.is_none()).count() as u64;
        assert_eq!(all.beyond.get("b").copied().unwrap_or(0), n);
        n
    };
    // Without its last message it has a period of 10 ms.
    let short: Vec<Message> =
        messages.iter().filter(|it| it.stream == 0 || it.value < 100.0).cloned().collect();
    for align in [Align::Nearest, Align::Hold] {
        assert_eq!(n_nulls(&messages, with(align, None)), 0);
        // Steps from 180 to 380 ms: 160 ms is as far as it goes.
        assert_eq!(n_nulls(&short, with(align, None)), 11);
        assert_eq!(n_nulls(&short, with(align, Some(i64::MAX))), 0);
        // Two messages have no period.
        let two: Vec<Message> =
            short.iter().filter(|it| it.stream == 0 || it.value < 20.0).cloned().collect();
        assert_eq!(n_nulls(&two, with(align, None)), 0);
    }
    assert_eq!(n_nulls(&messages, with(Align::Linear, None)), 0);
    assert_eq!(n_nulls(&short, with(Align::Linear, None)), 16);
    // 60 and 380 ms are too far apart where the topic is faster.
    let mut fast = messages;
    let more =
        (0..300).map(|it| Message { stream: 1, log_time: it * MS / 5, stamp: it * MS / 5 + 1, value: 0.0 });
    fast.extend(more);
    fast.sort_by_key(|it| it.log_time);
    assert_eq!(n_nulls(&fast, with(Align::Linear, None)), 15);
}

#[test]
fn holding_across_without_anything_to_hold_is_a_mistake() {
    let streams = [stream(0, "/a"), stream(1, "/b")];
    let told = |spec: &StepSpec| mistakes(spec, &streams).iter().map(ToString::to_string).collect::<Vec<_>>();
    let field = FieldSpec { hold_across: Some(true), ..FieldSpec::new("a", "/a.value") };
    let (_, cut) = two_episodes(vec![field]);
    assert_eq!(
        told(&cut),
        ["`fields.a.hold_across`: the field is not held (only `align: hold` keeps a message)"]
    );
    let whole =
        StepSpec { align: Align::Hold, hold_across: true, ..spec(vec![FieldSpec::new("a", "/a.value")]) };
    assert_eq!(
        told(&whole),
        [
            "`steps.hold_across`: every recording is one episode, so there is none to hold messages from (remove \
          `hold_across`, or cut recordings: `episodes: {by: marker, …}`)"
        ]
    );
}

#[test]
fn topics_are_kept_beside_the_steps() {
    let kept = StepSpec { keep_streams: true, ..spec(vec![FieldSpec::new("a", "/a.value")]) };
    let source = aligned(messages(), kept);
    let names: Vec<&str> = source.plan().streams.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["steps", "/a", "/b"]);
    assert_eq!(source.plan().streams[2].id, StreamId(2));
    let all = read_all(&source);
    balances(&all);
    assert_eq!((all.read[&1], all.read[&2]), (30, 6));
}

#[test]
fn steps_that_are_there_are_selected_joined_and_cast() {
    let rows = || messages().into_iter().filter(|it| it.stream == 0).collect::<Vec<_>>();
    let joined = FieldSpec {
        from: FieldFrom::Paths(vec!["value".to_owned(), "position[1]".to_owned()]),
        dtype: Some(DType::Float32),
        unit: Some("m".to_owned()),
        ..FieldSpec::new("state", "")
    };
    let fields = vec![joined, FieldSpec::new("label", "text")];
    let spec = |fields| StepSpec { fields, ..StepSpec::new(Clock::Own) };
    let source = normalized(Box::new(MemorySource::steps(rows())), &spec(fields)).unwrap();
    let names: Vec<&str> = source.plan().streams[0].features.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["timestamp_ns", "state", "label"]);
    let all = read_all(source.as_ref());
    let steps = all.rows.unwrap();
    assert_eq!((steps.num_rows(), all.read[&0]), (30, 30));
    let state = steps.column(1).as_fixed_size_list().value(2);
    assert_eq!(state.as_primitive::<arrow_array::types::Float32Type>().values()[..1], [20.0]);
    assert_eq!(steps.column(2).as_string::<i32>().value(3), "30");

    let cut = Cut::Gap { gap_ns: 1, topic: None };
    let broken = StepSpec { episodes: cut, ..spec(vec![FieldSpec::new("state", "valeu")]) };
    let found = mistakes(&broken, &MemorySource::steps(rows()).plan().streams);
    let keys: Vec<Place> = found.iter().map(|it| it.place.clone()).collect();
    assert_eq!(keys, ["episodes.by", "fields.state.from"].map(Place::from));
    assert_eq!(found[1].hint.as_deref(), Some("did you mean `value`?"));
}

#[test]
fn all_mistakes_are_told_at_once_with_their_keys() {
    let streams = [stream(0, "/joint_states"), stream(1, "/cmd")];
    let names = vec!["x".to_owned(), "x".to_owned()];
    let by_name = Some(ByName { names, at: Some("nmae".to_owned()), absent: None });
    let broken = StepSpec {
        clock: Clock::Topic("/cdm".to_owned()),
        tolerance: Tolerance { max_ns: Some(-1), ..Tolerance::default() },
        topic_times: vec![TopicTime {
            topic: "/cmd".to_owned(),
            time: TimeSource::Field("stamp".to_owned()),
        }],
        fields: vec![
            FieldSpec { by_name, ..FieldSpec::new("joints", "/joint_states.position") },
            FieldSpec {
                from: FieldFrom::Paths(vec!["/cmd.value".to_owned(), "/cmd.valu".to_owned()]),
                ..FieldSpec::new("action", "")
            },
            FieldSpec { align: Some(Align::Linear), ..FieldSpec::new("text", "/cmd.text") },
            FieldSpec { align: Some(Align::Slerp), ..FieldSpec::new("turn", "/cmd.value") },
            FieldSpec { dtype: Some(DType::Float32), ..FieldSpec::new("cast", "/cmd.text") },
            FieldSpec::new("step_index", "/cmd.value"),
        ],
        ..spec(Vec::new())
    };
    let found: Vec<String> = mistakes(&broken, &streams).iter().map(ToString::to_string).collect();
    let expected = expect_test::expect![[r#"
        `steps.clock.topic`: there is no topic `/cdm` (did you mean `/cmd`?)
        `steps.time./cmd`: `/cmd` has no time `stamp` (one of: log_time_ns, publish_time_ns, sequence, header.stamp, value, position, or use `log_time`)
        `steps.tolerance_ms`: a tolerance cannot be negative
        `fields.joints.by_name[1]`: `x` is wanted twice
        `fields.joints.from`: `/joint_states` has no array of names `nmae` (did you mean `name`?)
        `fields.action.from[1]`: `/cmd` has no field `valu` (did you mean `value`?)
        `fields.text.align`: only numbers can be interpolated, and this is string (`nearest` and `hold` take messages as they are)
        `fields.turn.align`: slerp needs a quaternion of 4 numbers: x, y, z, w (`nearest` and `hold` take messages as they are)
        `fields.cast.type`: string cannot become float32
        `fields.step_index`: a step has two columns called `step_index`
    "#]];
    expected.assert_eq(&(found.join("\n") + "\n"));
}
