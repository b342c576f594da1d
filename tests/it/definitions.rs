//! Topics whose recordings have no definition of their type: those that the program knows, those that the user names, none.

use std::io::Cursor;

use arrow_array::{
    cast::AsArray as _,
    types::{Float32Type, Int32Type, UInt8Type},
};
use serde_json::json;

use crate::{command::Work, tables::Dataset};

/// `(topic, type, payload)` in a log whose schemas have names alone.
fn log(messages: &[(&str, &str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = mcap::Writer::new(&mut bytes).unwrap();
    for (n, (topic, name, payload)) in messages.iter().enumerate() {
        let schema = writer.add_schema(name, "", b"").unwrap();
        let channel = writer.add_channel(schema, topic, "cdr", &Default::default()).unwrap();
        let (sequence, log_time) = (n as u32, n as u64 + 1);
        let header =
            mcap::records::MessageHeader { channel_id: channel, sequence, log_time, publish_time: log_time };
        writer.write_to_known_channel(&header, payload).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes.into_inner()
}

/// A little-endian CDR payload of values that need no padding between them.
fn cdr(words: &[u32]) -> Vec<u8> {
    [0, 1, 0, 0].into_iter().chain(words.iter().flat_map(|it| it.to_le_bytes())).collect()
}

fn range(variance: Option<f32>) -> Vec<u8> {
    // Stamp, the empty frame with its end, the kind, which lie in one word, and numbers.
    let mut words = vec![7, 8, 1, 0x0000_0100];
    words.extend([0.1f32, 0.2, 0.3, 0.4].into_iter().chain(variance).map(f32::to_bits));
    cdr(&words)
}

const CUSTOM: &str = "float32 grip # how hard\nint32 finger\n";

fn mixed() -> Vec<u8> {
    log(&[
        ("/range", "sensor_msgs/msg/Range", range(Some(0.5))),
        ("/old", "sensor_msgs/Range", range(None)),
        ("/grip", "lab_msgs/msg/Grip", cdr(&[0.25f32.to_bits(), 3])),
        ("/camera", "RealsenseMetadata", cdr(&[1])),
    ])
}

#[test]
fn what_the_program_knows_is_decoded_and_the_rest_is_bytes() {
    let work = Work::new();
    work.write("log.mcap", mixed());
    let ran = work.run(["convert", "log.mcap", "-o", "out"]).exits(3);
    assert!(ran.stderr.contains("lab_msgs/msg/Grip"), "{}", ran.stderr);
    let dataset = Dataset::open(work.path("out"));
    let tables = dataset.tables();
    let floats = |topic: &str, column: &str| {
        let column = tables[topic].column_by_name(column).unwrap().as_primitive::<Float32Type>().clone();
        column.value(0)
    };
    assert_eq!((floats("/range", "range"), floats("/range", "variance")), (0.4, 0.5));
    assert_eq!(floats("/old", "range"), 0.4);
    assert!(tables["/old"].column_by_name("variance").is_none());
    let kind = tables["/old"].column_by_name("radiation_type").unwrap().as_primitive::<UInt8Type>().clone();
    assert_eq!(kind.value(0), 1);
    let bytes =
        |topic: &str| tables[topic].column_by_name("data").unwrap().as_binary::<i32>().value(0).to_vec();
    assert_eq!(bytes("/grip"), cdr(&[0.25f32.to_bits(), 3]));
    assert_eq!(bytes("/camera"), cdr(&[1]));
    let report = work.json("out/report.json");
    let told = json!({
        "/camera": "no definition", "/grip": "no definition", "/old": "bundle:humble", "/range": "bundle:lyrical",
    });
    assert_eq!(report["definitions"], told);
    let hints = report["repairs"].as_array().unwrap().iter().filter_map(|it| it["hint"].as_str());
    assert!(hints.into_iter().any(|it| it.contains("--msg-path")), "{report}");
    assert_eq!(report["streams"]["/grip"]["kept_as_bytes"], json!({"no_definition": 1}));
    let found = work.run(["inspect", "log.mcap", "--format", "json"]).json();
    for stream in found["streams"].as_array().unwrap() {
        assert_eq!(stream["definition"], told[stream["name"].as_str().unwrap()], "{stream}");
    }
}

#[test]
fn a_user_names_the_definitions_of_custom_types() {
    let work = Work::new();
    work.write("log.mcap", log(&[("/grip", "lab_msgs/msg/Grip", cdr(&[0.25f32.to_bits(), 3]))]));
    work.write("ws/src/lab_msgs/msg/Grip.msg", CUSTOM);
    // What others left there tells no package and is nobody's.
    work.write("ws/src/vendor/Loose.idl", "module vendor { };\n");
    work.run(["convert", "log.mcap", "-o", "out", "--msg-path", "ws"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    let rows = dataset.tables().remove("/grip").unwrap();
    assert_eq!(rows.column_by_name("grip").unwrap().as_primitive::<Float32Type>().value(0), 0.25);
    assert_eq!(rows.column_by_name("finger").unwrap().as_primitive::<Int32Type>().value(0), 3);
    assert_eq!(dataset.streams()[0]["metadata"]["definition"], "msg-path");
    // The same texts are the same dataset, wherever they lie.
    let recipe = work.json("out/recipe.json");
    work.write("elsewhere/lab_msgs/msg/Grip.msg", CUSTOM);
    work.write("pipeline.yaml", "version: 1\nsource:\n  path: log.mcap\n  message_paths: elsewhere\n");
    work.run(["run", "pipeline.yaml", "-o", "again"]).exits(0);
    assert_eq!(work.json("again/recipe.json")["rows"]["open"], recipe["rows"]["open"]);
    // A recipe knows them by their digest: whoever runs it again names them.
    let explain = ["explain", "out", "--rebuild", "--source", "log.mcap"];
    let ran = work.run(explain).exits(2);
    assert!(ran.stderr.contains("--msg-path"), "{}", ran.stderr);
    work.run(explain.into_iter().chain(["--msg-path", "elsewhere"])).exits(0);
    // Another one of the type does not fit.
    work.write("other/lab_msgs/msg/Grip.msg", "float64 grip\nfloat64 more\n");
    work.run(["convert", "log.mcap", "-o", "misfit", "--msg-path", "other"]).exits(3);
    let told = work.json("misfit/report.json")["definitions"]["/grip"].as_str().unwrap().to_owned();
    assert!(told.starts_with("no candidate fits (best: consumed "), "{told}");
    let ran = work.run(["convert", "log.mcap", "-o", "x", "--msg-path", "wz"]).exits(2);
    assert!(ran.stderr.contains("did you mean `ws`?"), "{}", ran.stderr);
}

#[test]
fn actions_are_decoded_by_the_text_of_the_action() {
    let work = Work::new();
    // Info: kind, stamp, client, number; then the request of one goal, and no response.
    let mut event = cdr(&[0x0000_0001, 7, 8]);
    event.extend([9; 16]);
    event.extend([0; 4]);
    event.extend(5i64.to_le_bytes());
    event.extend(1u32.to_le_bytes());
    event.extend([2; 16]);
    event.extend(42u32.to_le_bytes());
    event.extend(0u32.to_le_bytes());
    let mut feedback = vec![0, 1, 0, 0];
    feedback.extend([2; 16]);
    feedback.extend(0.5f32.to_le_bytes());
    work.write(
        "log.mcap",
        log(&[
            ("/go/_action/send_goal/_service_event", "lab/action/Go_SendGoal_Event", event),
            ("/go/_action/feedback", "lab/action/Go_FeedbackMessage", feedback),
            ("/go/_action/status", "action_msgs/msg/GoalStatusArray", cdr(&[0])),
        ]),
    );
    work.write("ws/lab/action/Go.action", "int32 order\n---\nint32 last\n---\nfloat32 progress\n");
    work.run(["convert", "log.mcap", "-o", "out", "--msg-path", "ws/lab/action/Go.action"]).exits(0);
    let tables = Dataset::open(work.path("out")).tables();
    let orders = tables["/go/_action/send_goal/_service_event"].column_by_name("request.goal.order").unwrap();
    assert_eq!(orders.as_list::<i32>().value(0).as_primitive::<Int32Type>().values(), &[42]);
    let progress = tables["/go/_action/feedback"].column_by_name("feedback.progress").unwrap();
    assert_eq!(progress.as_primitive::<Float32Type>().value(0), 0.5);
    assert_eq!(tables["/go/_action/status"].num_rows(), 1);
    assert_eq!(work.json("out/report.json")["definitions"]["/go/_action/status"], "bundle:lyrical");
}

#[test]
fn services_and_idl_are_definitions_as_well() {
    let work = Work::new();
    // Info: kind, stamp, client, number; then the one request, and no response.
    let mut event = cdr(&[0x0000_0001, 7, 8]);
    event.extend([9; 16]);
    event.extend([0; 4]);
    event.extend(5i64.to_le_bytes());
    event.extend([1u32, 42, 0].iter().flat_map(|it| it.to_le_bytes()));
    let messages = [("/do/_service_event", "lab/srv/Do_Event", event), ("/only", "lab/msg/Only", cdr(&[9]))];
    work.write("log.mcap", log(&messages));
    work.write("ws/lab/srv/Do.srv", "int32 a\n---\nint32 b\n");
    work.write("ws/lab/msg/Only.idl", "module lab { module msg { struct Only { long x; }; }; };\n");
    let files = ["--msg-path", "ws/lab/srv/Do.srv", "--msg-path", "ws/lab/msg/Only.idl"];
    for (out, given) in [("folder", &["--msg-path", "ws"][..]), ("files", &files[..])] {
        let convert = ["convert", "log.mcap", "-o", out].into_iter().chain(given.iter().copied());
        work.run(convert).exits(0);
        let tables = Dataset::open(work.path(out)).tables();
        let requests = tables["/do/_service_event"].column_by_name("request.a").unwrap();
        assert_eq!(requests.as_list::<i32>().value(0).as_primitive::<Int32Type>().values(), &[42]);
        let x = tables["/only"].column_by_name("x").unwrap();
        assert_eq!(x.as_primitive::<Int32Type>().values(), &[9]);
        let told = &work.json(&format!("{out}/report.json"))["definitions"];
        assert_eq!(*told, json!({"/do/_service_event": "msg-path", "/only": "msg-path"}));
    }
}

/// A definition that cannot be used is told where a message has it, and nowhere else.
#[test]
fn a_definition_without_a_message_costs_nothing() {
    for (has_message, code) in [(false, 0), (true, 3)] {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = mcap::Writer::new(&mut bytes).unwrap();
        let mut write = |topic: &str, name: &str, text: &[u8], n: u64| {
            let schema = writer.add_schema(name, "ros2msg", text).unwrap();
            let channel_id = writer.add_channel(schema, topic, "cdr", &Default::default()).unwrap();
            for log_time in 0..n {
                let header = mcap::records::MessageHeader {
                    channel_id,
                    sequence: 0,
                    log_time,
                    publish_time: log_time,
                };
                writer.write_to_known_channel(&header, &cdr(&[3])).unwrap();
            }
        };
        write("/bad", "lab_msgs/msg/Bad", b"lab_msgs/Gone gone", u64::from(has_message));
        write("/good", "lab_msgs/msg/Good", b"int32 x", 1);
        writer.finish().unwrap();
        drop(writer);
        let work = Work::new();
        work.write("log.mcap", bytes.into_inner());
        let ran = work.run(["convert", "log.mcap", "-o", "out"]).exits(code);
        assert_eq!(ran.stderr.contains("lab_msgs/msg/Gone"), has_message, "{}", ran.stderr);
        let report = work.json("out/report.json");
        assert_eq!(report["repairs"].is_null(), !has_message, "{report}");
        assert_eq!(report["streams"]["/good"]["written"], 1);
    }
}

/// A definition that the recording holds may name types that it lacks.
#[test]
fn what_an_embedded_definition_lacks_is_looked_for() {
    let text = "std_msgs/Header header\nlab_msgs/Grip grip\n";
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = mcap::Writer::new(&mut bytes).unwrap();
    let schema = writer.add_schema("lab_msgs/msg/Hand", "ros2msg", text.as_bytes()).unwrap();
    let channel = writer.add_channel(schema, "/hand", "cdr", &Default::default()).unwrap();
    let header =
        mcap::records::MessageHeader { channel_id: channel, sequence: 0, log_time: 1, publish_time: 1 };
    // Stamp, an empty frame with its padding, and the hand.
    let payload = cdr(&[7, 8, 1, 0, 0.25f32.to_bits(), 3]);
    writer.write_to_known_channel(&header, &payload).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let work = Work::new();
    work.write("log.mcap", bytes.into_inner());
    let ran = work.run(["convert", "log.mcap", "-o", "out"]).exits(3);
    assert!(ran.stderr.contains("`lab_msgs/msg/Grip`"), "{}", ran.stderr);
    let report = work.json("out/report.json");
    assert!(report["repairs"][0]["hint"].as_str().unwrap().contains("--msg-path"), "{report}");
    assert_eq!(report["definitions"]["/hand"], "embedded, without `lab_msgs/msg/Grip`");
    assert_eq!(report["streams"]["/hand"]["kept_as_bytes"], json!({"schema": 1}));
    work.write("ws/lab_msgs/msg/Grip.msg", CUSTOM);
    work.run(["convert", "log.mcap", "-o", "whole", "--msg-path", "ws"]).exits(0);
    let told = work.json("whole/report.json");
    assert_eq!(told["definitions"]["/hand"], "embedded, completed by msg-path");
    let rows = Dataset::open(work.path("whole")).tables().remove("/hand").unwrap();
    assert_eq!(rows.column_by_name("grip.finger").unwrap().as_primitive::<Int32Type>().value(0), 3);
}

#[test]
fn definitions_that_nothing_needs_are_told() {
    let work = Work::new();
    work.write("log.mcap", log(&[("/range", "sensor_msgs/msg/Range", range(Some(0.5)))]));
    work.write("ws/lab_msgs/msg/Grip.msg", CUSTOM);
    let ran = work.run(["convert", "log.mcap", "-o", "out", "--msg-path", "ws"]).exits(0);
    assert!(
        ran.stderr.contains("given with `--msg-path` is that of no selected topic that lacks one"),
        "{}",
        ran.stderr
    );
}

/// Whoever names definitions means them to decide rows.
#[test]
fn definitions_for_a_source_without_messages_are_a_mistake() {
    let work = Work::new();
    work.write("table.csv", "a,b\n1,2\n");
    work.write("lines.jsonl", "{\"a\": 1}\n");
    work.write("ws/lab_msgs/msg/Grip.msg", CUSTOM);
    work.write("pipeline.yaml", "version: 1\nsource:\n  path: table.csv\n  message_paths: ws\n");
    let given = ["--msg-path", "ws"];
    let commands = [
        ["convert", "table.csv", "-o", "out"].into_iter().chain(given).collect::<Vec<_>>(),
        ["convert", "lines.jsonl", "-o", "out"].into_iter().chain(given).collect(),
        ["inspect", "table.csv"].into_iter().chain(given).collect(),
        vec!["run", "pipeline.yaml", "-o", "out"],
    ];
    for command in commands {
        let ran = work.run(command.iter().copied()).exits(2);
        assert!(ran.stderr.contains("no message definition is looked for"), "{command:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("`--msg-path` and `source.message_paths`"),
            "{command:?}: {}",
            ran.stderr
        );
        let source = if command.contains(&"lines.jsonl") { "lines.jsonl" } else { "table.csv" };
        assert!(ran.stderr.contains(source), "{command:?}: {}", ran.stderr);
        assert!(!work.path("out").exists());
    }
    // A log may have no topic at all, and then there is nothing to be mistaken about.
    work.write("empty.mcap", log(&[]));
    let ran = work.run(["inspect", "empty.mcap", "--msg-path", "ws"]);
    assert!(!ran.stderr.contains("no message definition is looked for"), "{}", ran.stderr);
}

/// rosidl puts what it makes of an action beside it.
#[test]
fn messages_of_actions_have_texts_of_their_own() {
    let work = Work::new();
    let mut feedback = vec![0, 1, 0, 0];
    feedback.extend([2; 16]);
    feedback.extend(0.5f32.to_le_bytes());
    work.write("log.mcap", log(&[("/pick/_action/feedback", "lab/action/Pick_FeedbackMessage", feedback)]));
    let text = "unique_identifier_msgs/UUID goal_id\nlab/Progress feedback\n";
    work.write("ws/lab/action/Pick_FeedbackMessage.msg", text);
    work.write("ws/lab/msg/Progress.msg", "float32 progress\n");
    work.run(["convert", "log.mcap", "-o", "out", "--msg-path", "ws"]).exits(0);
    let tables = Dataset::open(work.path("out")).tables();
    let progress = tables["/pick/_action/feedback"].column_by_name("feedback.progress").unwrap();
    assert_eq!(progress.as_primitive::<Float32Type>().value(0), 0.5);
}

/// A text that is not UTF-8 costs its message the columns, not its topic the definition.
#[test]
fn a_text_that_is_none_leaves_its_topic_its_definition() {
    let text = |bytes: &[u8]| {
        let n = bytes.len() as u32 + 1;
        [&[0, 1, 0, 0][..], &n.to_le_bytes()[..], bytes, &[0]].concat()
    };
    let work = Work::new();
    work.write(
        "log.mcap",
        log(&[
            ("/text", "std_msgs/msg/String", text(b"on")),
            ("/text", "std_msgs/msg/String", text(b"\xff\xfe\xfd")),
        ]),
    );
    work.run(["convert", "log.mcap", "-o", "out"]).exits(3);
    let report = work.json("out/report.json");
    assert_eq!(report["definitions"]["/text"], "bundle:lyrical");
    assert_eq!(report["streams"]["/text"]["kept_as_bytes"], json!({"undecodable": 1}));
    let rows = Dataset::open(work.path("out")).tables().remove("/text").unwrap();
    assert_eq!(crate::tables::texts(&rows, "data"), [Some("on".to_owned()), None]);
}
