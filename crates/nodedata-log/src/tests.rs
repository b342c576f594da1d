//! A log of the smallest kind: messages without a sequence or a publish time, on channels with large ids, in a
//! recording of several files.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::{
    Array as _,
    cast::AsArray as _,
    types::{Int32Type, Int64Type, UInt32Type},
};
use nodedata_core::{
    ErrorKind, Fact, FindingKind, InputFile, MessageText, MessageTexts, OnMisfit, OpenOptions, ReadOptions,
    Result, Source as _, TimeRange,
};

use crate::{
    ChannelRecord, ClockColumns, Cost, Damage, LogFacts, LogFile, LogSource, Message, MessageCursor,
    MessagePlace, PlannedFile, Recording, SchemaRecord, Selector, Times, Unit, corrupt,
};

/// The ids of the two topics.
const TOPICS: [(u32, &str); 2] = [(u32::MAX, "/a"), (7, "/b")];

/// Channel, log time and payload; a channel of 0 is damage that costs a message of `/a`.
type Stored = (u32, u64, &'static [u8]);

/// One file; each message is a unit.
struct Toy(Arc<[Stored]>);

struct ToyCursor {
    messages: Arc<[Stored]>,
    left: Range<usize>,
    selector: Selector,
}

fn bytes_of(idx: usize) -> Range<u64> {
    idx as u64 * 10..idx as u64 * 10 + 10
}

impl LogFile for Toy {
    fn clock(&self) -> ClockColumns {
        ClockColumns { publish_time: false, sequence: false }
    }

    fn n_units(&self) -> usize {
        self.0.len()
    }

    fn unit(&self, idx: usize) -> Unit {
        let (_, time, _) = self.0[idx];
        Unit { byte_range: bytes_of(idx), decoded_bytes: 10, times: Times::Within(time, time) }
    }

    fn messages(&self, left: Range<usize>, selector: Selector, _: &OpenOptions) -> Box<dyn MessageCursor> {
        Box::new(ToyCursor { messages: Arc::clone(&self.0), left, selector })
    }
}

impl MessageCursor for ToyCursor {
    fn next_message(&mut self) -> Result<Option<Message<'_>>, Box<Damage>> {
        for unit in self.left.by_ref() {
            let (channel, log_time, payload) = self.messages[unit];
            self.selector.start_unit();
            if channel == 0 {
                let cost = Cost { records: [(TOPICS[0].0, 1)].into(), ..Cost::nothing("broken") };
                return Err(Box::new(Damage { error: corrupt("broken"), cost }));
            }
            let Some(picked) = self.selector.pick(channel, log_time, (bytes_of(unit).start, 0)) else {
                continue;
            };
            let (ordinal, byte_range) = (picked.ordinal, bytes_of(unit));
            let place = MessagePlace { unit, ordinal, part: 0, byte_range, in_chunk: None };
            let (publish_time, sequence) = (None, None);
            return Ok(Some(Message {
                stream: picked.stream,
                channel: picked.channel,
                log_time,
                publish_time,
                sequence,
                payload,
                place,
            }));
        }
        Ok(None)
    }
}

fn recording(key: &str, files: &[&[Stored]]) -> Recording<Toy> {
    let planned = |(idx, messages): (usize, &&[Stored])| {
        let mut facts = LogFacts::default();
        for (id, topic) in TOPICS {
            let channel =
                ChannelRecord { id, schema_id: None, topic, message_encoding: "odd", metadata: &[] };
            facts.definitions.add_channel(&channel, (0, 0)).unwrap();
        }
        let input = InputFile { path: format!("{key}_{idx}").into(), n_bytes: messages.len() as u64 * 10 };
        PlannedFile { input, companions: Vec::new(), log: Some(Toy((*messages).into())), facts }
    };
    let metadata = BTreeMap::from([("robot".to_owned(), "arm".to_owned())]);
    let files = files.iter().enumerate().map(planned).collect();
    Recording { key: key.to_owned(), metadata, files, shared: Vec::new() }
}

#[test]
fn a_recording_in_several_files_is_one_episode() {
    let (a, b) = (TOPICS[0].0, TOPICS[1].0);
    let first: &[Stored] = &[(a, 10, b"x"), (b, 11, b"y"), (a, 12, b"z")];
    let second: &[Stored] = &[(a, 13, b"w"), (0, 14, b""), (b, 15, b"v")];
    let recordings = vec![recording("one", &[first, second]), recording("two", &[&[(b, 20, b"u")]])];
    let source = LogSource::new(recordings, Vec::new(), &OpenOptions::default()).unwrap();
    let plan = source.plan();
    assert_eq!(plan.episodes.iter().map(|it| it.input).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(plan.episodes[0].metadata["robot"], Fact::Text("arm".to_owned()));
    let partitions: Vec<_> = plan.partitions.iter().map(|it| (it.episode, it.reads[0].input)).collect();
    assert_eq!(partitions, [(0, 0), (0, 1), (1, 2)]);

    let mut stream = source.read(1, &ReadOptions::default()).unwrap();
    let err = stream.next_batch().unwrap_err();
    assert_eq!((err.kind(), err.locus().to_string().as_str()), (ErrorKind::Corrupt, "one_1"));
    assert_eq!(err.loss().unwrap().records.len(), 1);
    let batch = stream.next_batch().unwrap().unwrap();
    assert_eq!(batch.rows.schema(), plan.streams[0].arrow());
    assert_eq!(batch.rows.column(0).as_primitive::<Int64Type>().values(), &[13]);
    assert!(batch.rows.column(1).is_null(0) && batch.rows.column(2).is_null(0));
    assert_eq!(batch.rows.column(3).as_binary::<i32>().value(0), b"w");
    assert_eq!(stream.next_batch().unwrap().unwrap().stream, plan.streams[1].id);
    assert!(stream.next_batch().unwrap().is_none());
    let n_read: Vec<u64> = stream.records_read().iter().map(|it| it.1).collect();
    assert_eq!(n_read, [2, 1]);
}

#[test]
fn files_that_say_something_of_others_decide_their_rows() {
    let b = TOPICS[1].0;
    let described = |key: &str, files: &[&[Stored]]| {
        let shared = vec![InputFile { path: format!("{key}.yaml").into(), n_bytes: 4 }];
        Recording { shared, ..recording(key, files) }
    };
    let recordings = vec![
        described("one", &[&[(b, 1, b"x")], &[(b, 2, b"y")]]),
        recording("two", &[&[(b, 3, b"z")]]),
        described("three", &[&[(b, 4, b"w")]]),
    ];
    let source = LogSource::new(recordings, Vec::new(), &OpenOptions::default()).unwrap();
    let plan = source.plan();
    let names: Vec<_> = plan.inputs.iter().map(|it| it.path.to_str().unwrap()).collect();
    // Behind all others, so that these have the numbers that they would have without.
    assert_eq!(names, ["one_0", "one_1", "two_0", "three_0", "one.yaml", "three.yaml"]);
    let reads = |idx: usize| plan.partitions[idx].reads.iter().map(|it| it.input).collect::<Vec<_>>();
    assert_eq!((0..4).map(reads).collect::<Vec<_>>(), [vec![0, 4], vec![1, 4], vec![2], vec![3, 5]]);
    assert_eq!(plan.partitions[0].reads[1].byte_range, 0..u64::MAX);
}

#[test]
fn what_is_not_selected_is_not_read() {
    let (a, b) = (TOPICS[0].0, TOPICS[1].0);
    let messages: &[Stored] = &[(a, 10, b"x"), (b, 11, b"y"), (a, 12, b"z"), (a, 13, b"w")];
    let options = OpenOptions {
        topics: Some(vec!["/a".to_owned()]),
        time_range: TimeRange { start_ns: 11, end_ns: Some(13) },
        ..OpenOptions::default()
    };
    let source = LogSource::new(vec![recording("one", &[messages])], Vec::new(), &options).unwrap();
    assert_eq!(source.plan().unselected, ["/b"]);
    let mut stream = source.read(0, &ReadOptions::default()).unwrap();
    let batch = stream.next_batch().unwrap().unwrap();
    assert_eq!(batch.rows.column(0).as_primitive::<Int64Type>().values(), &[12]);
    assert_eq!(batch.spans[0].byte_range, 20..30);
    assert!(stream.next_batch().unwrap().is_none());
}

/// Two publishers of a topic with a definition.
fn defined(messages: &[Stored]) -> Recording<Toy> {
    let mut facts = LogFacts::default();
    let schema = SchemaRecord { id: 1, name: "lab/msg/T", encoding: "ros2msg", data: b"int32 x" };
    facts.definitions.add_schema(&schema, (0, 0)).unwrap();
    for (id, name) in [(3, "left"), (4, "right")] {
        let metadata = [("node", name)];
        let (topic, message_encoding) = ("/x", "cdr");
        let channel = ChannelRecord { id, schema_id: Some(1), topic, message_encoding, metadata: &metadata };
        facts.definitions.add_channel(&channel, (0, 0)).unwrap();
    }
    let input = InputFile { path: "log".into(), n_bytes: messages.len() as u64 * 10 };
    let files = vec![PlannedFile { input, companions: Vec::new(), log: Some(Toy(messages.into())), facts }];
    Recording { key: "log".to_owned(), metadata: BTreeMap::new(), files, shared: Vec::new() }
}

#[test]
fn a_message_that_does_not_fit_keeps_its_row_once_that_is_known() {
    let messages: &[Stored] =
        &[(3, 10, &[0, 1, 0, 0, 7, 0, 0, 0]), (4, 11, &[0, 1, 0, 0, 9]), (4, 12, &[0, 1, 0, 0, 8, 0, 0, 0])];
    let open = |options: &OpenOptions| LogSource::new(vec![defined(messages)], Vec::new(), options).unwrap();
    let strict = open(&OpenOptions::default());
    assert_eq!((strict.plan().learned.as_ref(), strict.plan().partitions[0].recipe.as_str()), (None, ""));
    let mut stream = strict.read(0, &ReadOptions::default()).unwrap();
    let err = stream.next_batch().unwrap_err();
    assert_eq!((err.kind(), err.locus().byte_offset), (ErrorKind::Misfit, Some(10)));
    let lost = err.loss().unwrap().records.clone();
    assert_eq!(lost, [(strict.plan().streams[0].id, 1)]);
    assert_eq!(stream.next_batch().unwrap().unwrap().rows.num_rows(), 2);

    let learned = strict.learn_misfits(&lost.iter().map(|it| it.0).collect()).unwrap();
    let source = open(&OpenOptions { learned: Some(learned.clone()), ..OpenOptions::default() });
    assert_eq!(source.plan().learned.as_ref(), Some(&learned));
    assert_eq!(source.plan().partitions[0].recipe, learned);
    let mut stream = source.read(0, &ReadOptions::default()).unwrap();
    let rows = stream.next_batch().unwrap().unwrap().rows;
    assert!(stream.next_batch().unwrap().is_none());
    let column = |name: &str| rows.column_by_name(name).unwrap();
    let xs: Vec<Option<i32>> = column("x").as_primitive::<Int32Type>().iter().collect();
    assert_eq!(xs, [Some(7), None, Some(8)]);
    let unknown: Vec<Option<&[u8]>> = column("_unknown").as_binary::<i32>().iter().collect();
    assert_eq!(unknown, [None, Some(messages[1].2), None]);
    assert_eq!(column("_channel").as_primitive::<UInt32Type>().values(), &[3, 4, 4]);
    assert!(source.plan().streams[0].metadata["channels"].contains(r#""4":{"node":"right"}"#));
    let [told] = stream.warnings() else { panic!("{:?}", stream.warnings()) };
    assert_eq!(
        (told.kind, told.reason.as_str(), told.records["/x"]),
        (FindingKind::Repair, "undecodable", 1)
    );
    assert_eq!(stream.records_read(), [(source.plan().streams[0].id, 3)]);

    let refusing = open(&OpenOptions { on_misfit: OnMisfit::Fail, ..OpenOptions::default() });
    let err = refusing.read(0, &ReadOptions::default()).unwrap().next_batch().unwrap_err();
    assert_eq!((err.kind(), err.loss()), (ErrorKind::Misfit, None));
}

/// One topic whose type is named and not defined.
fn undefined(name: &str, encoding: &str, messages: &[Stored]) -> Recording<Toy> {
    let mut recording = defined(messages);
    let mut facts = LogFacts::default();
    let schema = SchemaRecord { id: 1, name, encoding, data: b"" };
    facts.definitions.add_schema(&schema, (0, 0)).unwrap();
    let (topic, message_encoding) = ("/x", "cdr");
    let channel = ChannelRecord { id: 3, schema_id: Some(1), topic, message_encoding, metadata: &[] };
    facts.definitions.add_channel(&channel, (0, 0)).unwrap();
    recording.files[0].facts = facts;
    recording
}

#[test]
fn a_type_without_a_definition_gets_the_one_that_goes_with_its_messages() {
    let messages: &[Stored] = &[(3, 10, &[0, 1, 0, 0, 7, 0, 0, 0]), (3, 11, &[0, 1, 0, 0, 9, 0, 0, 0])];
    let open = |name: &str, options: &OpenOptions| {
        LogSource::new(vec![undefined(name, "", messages)], Vec::new(), options).unwrap()
    };
    let source = open("std_msgs/msg/Int32", &OpenOptions::default());
    let plan = source.plan();
    assert_eq!(plan.streams[0].metadata["definition"], "bundle:lyrical");
    assert_eq!(plan.streams[0].metadata["schema"], "");
    // Other messages than those of a partition decide what its rows are.
    let learned = plan.learned.clone().unwrap();
    assert!(learned.contains("bundle:lyrical"), "{learned}");
    assert_eq!(plan.partitions[0].recipe, learned);
    let rows = source.read(0, &ReadOptions::default()).unwrap().next_batch().unwrap().unwrap().rows;
    assert_eq!(rows.column_by_name("data").unwrap().as_primitive::<Int32Type>().values(), &[7, 9]);
    // Whoever opens the same again need not look at messages, even where there are none any more.
    let options = OpenOptions { learned: Some(learned.clone()), ..OpenOptions::default() };
    let again = LogSource::new(vec![undefined("std_msgs/msg/Int32", "", &[])], Vec::new(), &options).unwrap();
    assert_eq!(again.plan().learned.as_ref(), Some(&learned));
    assert_eq!(again.plan().streams, plan.streams);

    let bytes = open(
        "std_msgs/msg/Int32",
        &OpenOptions { undecoded: vec!["/x".to_owned()], ..OpenOptions::default() },
    );
    assert!(!bytes.plan().streams[0].metadata.contains_key("definition") && bytes.plan().learned.is_none());
}

#[test]
fn where_no_definition_goes_with_the_messages_they_stay_bytes() {
    let messages: &[Stored] = &[(3, 10, &[0, 1, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0]), (3, 11, &[0, 1, 0, 0, 1])];
    for (name, verdict) in [
        ("lab/msg/Own", "no definition"),
        ("Unpackaged", "no definition"),
        ("std_msgs/msg/Int32", "no candidate fits (best: consumed 8 of 12 bytes)"),
    ] {
        for encoding in ["", "ros2msg"] {
            let recordings = vec![undefined(name, encoding, messages)];
            let source = LogSource::new(recordings, Vec::new(), &OpenOptions::default()).unwrap();
            assert_eq!(source.plan().streams[0].metadata["definition"], verdict, "{name} {encoding}");
            let mut stream = source.read(0, &ReadOptions::default()).unwrap();
            let rows = stream.next_batch().unwrap().unwrap().rows;
            assert_eq!(rows.column_by_name("data").unwrap().as_binary::<i32>().value(0), messages[0].2);
            assert!(stream.next_batch().unwrap().is_none());
            let [told] = stream.warnings() else { panic!("{:?}", stream.warnings()) };
            assert_eq!((told.reason.as_str(), told.records["/x"]), ("no_definition", 2));
            let refusing = OpenOptions { on_misfit: OnMisfit::Fail, ..OpenOptions::default() };
            let source =
                LogSource::new(vec![undefined(name, encoding, messages)], Vec::new(), &refusing).unwrap();
            let err = source.read(0, &ReadOptions::default()).unwrap().next_batch().unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Misfit);
        }
    }
}

#[test]
fn a_type_without_fields_is_one_that_its_recording_defines() {
    let messages: &[Stored] = &[(3, 10, &[0, 1, 0, 0, 0]), (3, 11, &[0, 1, 0, 0, 0, 0, 0, 0])];
    for name in ["test_msgs/msg/Empty", "std_msgs/msg/Empty"] {
        let source =
            LogSource::new(vec![undefined(name, "ros2msg", messages)], Vec::new(), &OpenOptions::default())
                .unwrap();
        assert_eq!(source.plan().streams[0].metadata["definition"], "embedded");
        assert_eq!((source.plan().learned.as_ref(), source.plan().partitions[0].recipe.as_str()), (None, ""));
        let mut stream = source.read(0, &ReadOptions::default()).unwrap();
        assert_eq!(stream.next_batch().unwrap().unwrap().rows.num_rows(), 2);
        assert!(stream.warnings().is_empty());
    }
}

#[test]
fn a_definition_that_lacks_a_type_is_completed() {
    // A stamp, an empty frame with its padding, and a number.
    const PAYLOAD: &[u8] = &[0, 1, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0];
    let messages: &[Stored] = &[(3, 10, PAYLOAD), (3, 11, PAYLOAD)];
    let open = |text: &str, options: &OpenOptions| {
        let mut recording = undefined("lab/msg/Own", "", messages);
        let facts = &mut recording.files[0].facts;
        let schema = SchemaRecord { id: 2, name: "lab/msg/Own", encoding: "ros2msg", data: text.as_bytes() };
        facts.definitions.add_schema(&schema, (0, 0)).unwrap();
        facts.definitions.channels.get_mut(&3).unwrap().schema_id = Some(2);
        LogSource::new(vec![recording], Vec::new(), options).unwrap()
    };
    let told = |source: &LogSource<Toy>| source.plan().streams[0].metadata["definition"].clone();
    let numbers = |source: &LogSource<Toy>| {
        let rows = source.read(0, &ReadOptions::default()).unwrap().next_batch().unwrap().unwrap().rows;
        rows.column_by_name("value.data").unwrap().as_primitive::<Int32Type>().values().to_vec()
    };
    let text = "std_msgs/Header header\nstd_msgs/Int32 value\n";
    let source = open(text, &OpenOptions::default());
    assert_eq!(told(&source), "embedded, completed by bundle:lyrical");
    assert_eq!(numbers(&source), [5, 5]);
    assert_eq!(source.plan().streams[0].metadata["schema"], text);
    let learned = source.plan().learned.clone().unwrap();
    assert_eq!(source.plan().partitions[0].recipe, learned);
    let given = |name: &str, text: &str| {
        let text = MessageText { name: name.to_owned(), is_idl: false, text: text.to_owned() };
        OpenOptions { message_paths: MessageTexts::new(vec![text]), ..OpenOptions::default() }
    };
    let text = "std_msgs/Header header\nValue value\n";
    let source = open(text, &given("lab/msg/Value", "int32 data"));
    assert_eq!((told(&source).as_str(), numbers(&source)), ("embedded, completed by msg-path", vec![5, 5]));
    assert_eq!(source.plan().findings.len(), 0);
    // What is nowhere, and what goes with no message, leaves the messages bytes.
    for (options, verdict) in [
        (OpenOptions::default(), "embedded, without `lab/msg/Value`"),
        (
            given("lab/msg/Value", "int64 data\nint64 more"),
            "embedded, without `lab/msg/Value`; no candidate fits (best: consumed 20 of 24 bytes)",
        ),
    ] {
        let source = open(text, &options);
        assert_eq!(told(&source), verdict);
        let mut stream = source.read(0, &ReadOptions::default()).unwrap();
        assert_eq!(stream.next_batch().unwrap().unwrap().rows.num_rows(), 2);
        assert!(stream.next_batch().unwrap().is_none());
        let [finding] = stream.warnings() else { panic!("{:?}", stream.warnings()) };
        assert_eq!((finding.reason.as_str(), finding.records["/x"]), ("schema", 2));
        assert!(finding.hint.as_ref().is_some_and(|it| it.contains("--msg-path")), "{finding:?}");
    }
}

#[test]
fn definitions_that_no_topic_needs_are_told() {
    let text = MessageText { name: "lab/msg/Other".to_owned(), is_idl: false, text: "int8 x".to_owned() };
    let options = OpenOptions { message_paths: MessageTexts::new(vec![text]), ..OpenOptions::default() };
    let messages: &[Stored] = &[(3, 10, &[0, 1, 0, 0, 7, 0, 0, 0])];
    let source =
        LogSource::new(vec![undefined("std_msgs/msg/Int32", "", messages)], Vec::new(), &options).unwrap();
    let [told] = &source.plan().findings[..] else { panic!("{:?}", source.plan().findings) };
    assert_eq!(told.kind, FindingKind::Warning);
    assert!(told.message.contains("--msg-path") && told.hint.is_some(), "{told:?}");
}
