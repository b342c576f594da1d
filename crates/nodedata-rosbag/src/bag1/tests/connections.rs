//! Connections: which of them are one stream, and those that say nothing of their messages.

use nodedata_core::{ErrorKind, FindingKind, OnMisfit, OpenOptions};

use super::{
    open, read, undecoded,
    writer::{Writer, at, chunk, connection, message, string, strings, strings_from},
};

#[test]
fn connections_that_differ_only_in_who_published_are_one_stream() {
    let bag = Writer::new(&[
        strings_from(0, "/a", &[("callerid", "/one"), ("latching", "1")]),
        strings_from(1, "/a", &[("callerid", "/two"), ("latching", "0")]),
    ])
    .chunk("none", &[at(0, 0..2), at(1, 2..4), at(0, 4..5)].concat())
    .close();
    let (source, outcome) = read(&bag, &OpenOptions::default());
    assert!(outcome.errors.is_empty() && outcome.told.is_empty());
    assert_eq!(source.plan().streams.len(), 1);
    assert_eq!(outcome.log_times("/a"), [0, 1, 2, 3, 4]);
    let metadata = &source.plan().streams[0].metadata;
    assert_eq!(metadata["channel.callerid"], "/one\n/two");
    assert_eq!(metadata["channel.latching"], "false\ntrue");
    assert_eq!(metadata["channel.md5sum"], "992ce8a1687cec8c8bd883ec73ca41d1");
    assert_eq!(metadata["schema_name"], "std_msgs/String");
    assert_eq!(metadata["schema_encoding"], "ros1msg");
    assert_eq!(metadata["message_encoding"], "ros1");
    // Rows say which of the two they came from.
    let batch = &outcome.topics["/a"][0];
    assert!(batch.column_by_name("_channel").is_some(), "{:?}", batch.schema());
}

#[test]
fn another_definition_is_another_stream() {
    let other = [("type", "my/Text"), ("md5sum", "x"), ("message_definition", "string text\n")];
    let bag = Writer::new(&[strings(0, "/a"), connection(1, "/a", &other)])
        .chunk("lz4", &[at(0, 0..2), at(1, 2..5)].concat())
        .close();
    let (source, outcome) = read(&bag, &OpenOptions::default());
    let names: Vec<&str> = source.plan().streams.iter().map(|it| &*it.name).collect();
    assert_eq!(names.len(), 2);
    assert!(names[0] == "/a" && names[1].starts_with("/a#"), "{names:?}");
    assert_eq!(outcome.log_times("/a"), [0, 1]);
    assert_eq!(outcome.log_times(names[1]), [2, 3, 4]);
    assert!(outcome.topics[names[1]][0].column_by_name("text").is_some());
}

#[test]
fn the_topic_is_the_one_that_messages_are_stored_under() {
    let told = [
        ("topic", "/before"),
        ("type", "std_msgs/String"),
        ("md5sum", "x"),
        ("message_definition", "string data\n"),
    ];
    let bag = Writer::new(&[connection(0, "/after", &told)]).chunk("none", &at(0, 0..2)).close();
    assert_eq!(read(&bag, &OpenOptions::default()).1.log_times("/after"), [0, 1]);
}

#[test]
fn what_nobody_defined_stays_bytes_and_is_named() {
    for told in [
        [("type", "my/Thing"), ("md5sum", "0123456789abcdef0123456789abcdef"), ("message_definition", "")],
        [("type", "my/Thing"), ("md5sum", "0123456789abcdef0123456789abcdef"), ("message_definition", "\n")],
        [("type", "my/Thing"), ("md5sum", "*"), ("message_definition", "string data\n")],
        [("type", "*"), ("md5sum", "*"), ("message_definition", "")],
    ] {
        let bag = Writer::new(&[connection(0, "/thing", &told), strings(1, "/a")])
            .chunk("none", &[at(0, 0..3), at(1, 3..5)].concat())
            .close();
        let (_, outcome) = read(&bag, &OpenOptions::default());
        assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
        assert_eq!(outcome.payloads("/thing")[0], string("message 0"));
        assert_eq!(outcome.log_times("/a"), [3, 4]);
        assert_eq!(outcome.told.len(), 1, "{:?}", outcome.told);
        let told_of = &outcome.told[0];
        assert_eq!((told_of.kind, told_of.reason.as_str()), (FindingKind::Repair, "schema"));
        assert_eq!(told_of.records["/thing"], 3);
        let type_name = told[0].1;
        let expected = format!("type `{type_name}` has no definition, so its messages stay bytes");
        assert!(told_of.message.starts_with(&expected), "{}", told_of.message);
        // Asked for, nothing is wrong with them; and whoever wants none is told.
        let options = OpenOptions { undecoded: vec!["/thing".to_owned()], ..OpenOptions::default() };
        assert!(read(&bag, &options).1.told.is_empty());
        let strict = OpenOptions { on_misfit: OnMisfit::Fail, ..OpenOptions::default() };
        let source = open(&bag, &strict).unwrap();
        let err = source.read(0, &nodedata_core::ReadOptions::default()).unwrap().next_batch().unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Misfit, "{err}");
    }
}

#[test]
fn a_type_without_fields_has_a_definition() {
    let told = [
        ("type", "std_msgs/Empty"),
        ("md5sum", "d41d8cd98f00b204e9800998ecf8427e"),
        ("message_definition", ""),
    ];
    let bag = Writer::new(&[connection(0, "/ping", &told)])
        .chunk("none", &[(0, 1, Vec::new()), (0, 2, Vec::new())])
        .close();
    let (_, outcome) = read(&bag, &OpenOptions::default());
    assert!(outcome.errors.is_empty() && outcome.told.is_empty(), "{outcome:?}");
    assert_eq!(outcome.log_times("/ping"), [1, 2]);
    assert!(outcome.topics["/ping"][0].column_by_name("data").is_none());
}

#[test]
fn a_definition_that_cannot_be_used_costs_only_the_columns_of_its_topic() {
    let told = [("type", "my/Thing"), ("md5sum", "x"), ("message_definition", "no/such Type of thing\n")];
    let bag = Writer::new(&[connection(0, "/thing", &told), strings(1, "/a")])
        .chunk("none", &[at(0, 0..3), at(1, 3..5)].concat())
        .close();
    let (_, outcome) = read(&bag, &OpenOptions::default());
    assert_eq!((outcome.log_times("/thing").len(), outcome.log_times("/a").len()), (3, 2));
    assert_eq!(outcome.told.len(), 1);
    assert_eq!(read(&bag, &undecoded()).1.told.len(), 0);
}

#[test]
fn connections_declared_behind_their_messages_are_found() {
    let records: Vec<u8> = (0..4).flat_map(|it| message(0, it, &string("x"))).collect();
    let writer = Writer::new(&[]).raw(&chunk("none", records.len() as u32, &records));
    let bag = writer.raw(&strings(0, "/a")).leave_open();
    assert_eq!(read(&bag, &undecoded()).1.log_times("/a"), [0, 1, 2, 3]);
}
