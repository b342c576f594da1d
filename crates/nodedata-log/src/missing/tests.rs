use std::{ops::Range, path::Path};

use nodedata_core::MessageTexts;

use super::*;
use crate::{ChannelRecord, ClockColumns, MessageCursor, SchemaRecord, Selector, Times, Unit};

/// A file whose messages nobody may ask for.
struct Unread;

impl LogFile for Unread {
    fn clock(&self) -> ClockColumns {
        ClockColumns { publish_time: true, sequence: true }
    }

    fn n_units(&self) -> usize {
        1
    }

    fn unit(&self, _: usize) -> Unit {
        Unit { byte_range: 0..10, decoded_bytes: 10, times: Times::Unknown }
    }

    fn messages(&self, _: Range<usize>, _: Selector, _: &OpenOptions) -> Box<dyn MessageCursor> {
        panic!("messages were read")
    }
}

/// One topic of such a file: the verdict on its definition, where it lacks one.
fn verdict_unread(name: &str, definition: &[u8], options: &OpenOptions) -> Result<Option<String>> {
    let mut facts = LogFacts::default();
    let encoding = if definition.is_empty() { "" } else { "ros2msg" };
    let schema = SchemaRecord { id: 1, name, encoding, data: definition };
    facts.definitions.add_schema(&schema, (0, 0)).unwrap();
    let (topic, message_encoding) = ("/x", "cdr");
    let channel = ChannelRecord { id: 3, schema_id: Some(1), topic, message_encoding, metadata: &[] };
    facts.definitions.add_channel(&channel, (0, 0)).unwrap();
    let mut joined = Joined::new(&mut [facts], &[Path::new("log")], options)?;
    let known = Misfits::default();
    find_definitions(&mut joined, &known, &[Some(Unread)], &[Distros::new()], options, &mut Vec::new())?;
    let found = joined.misfits(&known, &BTreeSet::new());
    Ok(found.definition("/x").map(|it| it.verdict.clone()))
}

#[test]
fn a_topic_without_candidates_costs_no_look_at_its_messages() {
    let verdict = verdict_unread("lab/msg/Own", b"", &OpenOptions::default()).unwrap();
    assert_eq!(verdict.as_deref(), Some(NO_DEFINITION));
}

#[test]
fn definitions_that_are_not_here_are_missed_only_where_one_is_needed() {
    let message_paths = MessageTexts::from(Some("b3:0".to_owned()));
    assert!(message_paths.lacks_texts());
    let options = OpenOptions { message_paths, ..OpenOptions::default() };
    assert_eq!(verdict_unread("lab/msg/Own", b"int32 x", &options).unwrap(), None);
    let err = verdict_unread("lab/msg/Own", b"", &options).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Config);
}

#[test]
fn the_distribution_is_found_wherever_it_is_told() {
    let found = |pairs: &[(&str, &str)]| distros(pairs.iter().copied()).into_iter().collect::<Vec<_>>();
    assert_eq!(found(&[("ros_distro", "humble")]), ["humble"]);
    assert_eq!(found(&[("rosbag2.ROS_DISTRO", " jazzy "), ("other", "ros_distro")]), ["jazzy"]);
    let yaml = "version: 9\nros_distro: 'kilted'\ncustom_data: ~\n";
    assert_eq!(found(&[("rosbag2.serialized_metadata", yaml)]), ["kilted"]);
    assert_eq!(found(&[("ros_distro", ""), ("robot", "arm")]), Vec::<String>::new());
}

#[test]
fn what_a_definition_lacks_is_told() {
    let text = b"lab/Part part\nlab/Other other\n";
    let verdict = verdict_unread("lab/msg/Own", text, &OpenOptions::default()).unwrap();
    assert_eq!(verdict.as_deref(), Some("embedded, without `lab/msg/Other`, `lab/msg/Part`"));
    // What lacks nothing is as it was.
    assert_eq!(verdict_unread("lab/msg/Own", b"int32 x", &OpenOptions::default()).unwrap(), None);
    let message_paths = MessageTexts::from(Some("b3:0".to_owned()));
    let options = OpenOptions { message_paths, ..OpenOptions::default() };
    assert_eq!(verdict_unread("lab/msg/Own", text, &options).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn many_types_that_are_missing_are_counted() {
    let lacks: Vec<String> = (0..5).map(|it| format!("a/msg/T{it}")).collect();
    assert_eq!(partly(&lacks), "embedded, without `a/msg/T0`, `a/msg/T1`, `a/msg/T2` and 2 more");
    assert_eq!(partly(&lacks[..1]), "embedded, without `a/msg/T0`");
}
