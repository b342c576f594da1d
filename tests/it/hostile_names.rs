//! Names that would drive a terminal, forge a line or turn the direction of text: shown, never obeyed.

use std::{borrow::Cow, collections::BTreeMap, io::Cursor};

use mcap::{Attachment, WriteOptions, records::MessageHeader};
use nodedata_core::visible::{columns, is_hidden};

use crate::command::{Ran, Work};

/// Clears the screen, begins a line, turns the direction, and is wide.
const TOPIC: &str = "/a\u{1b}[2J\nerror: forged\u{202e}\u{9b}関節🤖|`<b>";
const WIDE: &str = "/関節/状態";
const ATTACHED: &str = "b\u{7}\nforged.txt";

fn log() -> Vec<u8> {
    let mut writer = WriteOptions::new().create(Cursor::new(Vec::new())).unwrap();
    let schema = writer.add_schema("test/msg/\u{2066}X\u{1b}", "ros2msg", b"float64 x\n").unwrap();
    for (channel, topic) in [TOPIC, WIDE, "/plain"].into_iter().enumerate() {
        let about = BTreeMap::from([("who\u{1b}".to_owned(), "me\u{202e}".to_owned())]);
        let channel_id = writer.add_channel(schema, topic, "cdr", &about).unwrap();
        for sequence in 0..5 {
            let time = 1_700_000_000_000_000_000 + u64::from(sequence) * 1_000_000 + channel as u64;
            let header = MessageHeader { channel_id, sequence, log_time: time, publish_time: time };
            let data = [&[0, 1, 0, 0][..], &f64::from(sequence).to_le_bytes()].concat();
            writer.write_to_known_channel(&header, &data).unwrap();
        }
    }
    let attachment = Attachment {
        log_time: 0,
        create_time: 0,
        name: ATTACHED.to_owned(),
        media_type: "text/plain".to_owned(),
        data: Cow::Borrowed(b"x"),
    };
    writer.attach(&attachment).unwrap();
    writer.finish().unwrap();
    writer.into_inner().into_inner()
}

/// Nothing but line breaks is hidden in a text, and no line of it is forged.
#[track_caller]
fn is_clean(what: &str, text: &str) {
    let hidden = text.chars().find(|it| is_hidden(*it) && *it != '\n');
    assert_eq!(hidden, None, "{what}: {text}");
    assert!(
        !text.lines().any(|it| it.starts_with("error: forged") || it.starts_with("forged")),
        "{what}: {text}"
    );
}

#[track_caller]
fn clean(ran: Ran) -> Ran {
    is_clean("stdout", &ran.stdout);
    is_clean("stderr", &ran.stderr);
    ran
}

#[test]
fn topics_are_shown_by_every_command() {
    let work = Work::new();
    work.write("a.mcap", log());
    let told = clean(work.run(["inspect", "a.mcap", "--features"]).exits(0)).stdout;
    assert!(told.contains(r"/a\u{1b}[2J\nerror: forged\u{202e}\u{9b}関節🤖|`<b>"), "{told}");
    assert!(told.contains(r"attachment b\u{7}\nforged.txt (1 B)"), "{told}");
    // What follows a name begins at one column, however wide its letters are.
    let at = |start: &str| {
        let line = told.lines().find(|it| it.starts_with(start) && it.contains("test/msg")).unwrap();
        columns(&line[..line.find(" 5 ").unwrap()])
    };
    assert_eq!(at("/plain"), at("/関節"));
    let found = clean(work.run(["inspect", "a.mcap", "--format", "json"]).exits(0)).json();
    let names: Vec<&str> =
        found["streams"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(names.contains(&TOPIC) && names.contains(&WIDE), "{names:?}");
    assert_eq!(found["attachments"][0][0], ATTACHED);

    clean(work.run(["convert", "a.mcap", "--out", "out"]).exits(0));
    clean(work.run(["convert", "a.mcap", "--out", "again", "--format", "json"]).exits(0)).json();
    clean(work.run(["validate", "out", "--deep"]).exits(0));
    for report in ["q.html", "q.xml"] {
        clean(work.run(["validate", "out", "--report", report]).exits(0));
        is_clean(report, &std::fs::read_to_string(work.path(report)).unwrap());
    }
    let told =
        clean(work.run(["explain", "out", "--stream", TOPIC, "--episode", "0", "--row", "0"]).exits(0));
    assert!(told.stdout.contains(r"\nerror: forged\u{202e}"), "{}", told.stdout);
    let card = std::fs::read_to_string(work.path("out/README.md")).unwrap();
    is_clean("README.md", &card);
    assert!(card.contains(r"\nerror: forged\u{202e}") && !card.contains("X\u{1b}"), "{card}");
    clean(work.run(["export", "hf", "out", "hub"]).exits(0));
    is_clean("the Hub's card", &std::fs::read_to_string(work.path("hub/README.md")).unwrap());
    clean(work.run(["schema", "infer", "a.mcap"]).exits(0)).json();
    clean(work.run(["schema", "diff", "out", "out"]).exits(0));
    let proposed = clean(work.run(["init", "a.mcap"]).exits(0)).stdout;
    work.write("p.yaml", proposed);
    clean(work.run(["pipeline", "check", "p.yaml"]).exits(0));
}

#[test]
fn errors_name_what_they_are_about() {
    let work = Work::new();
    let mut cut = log();
    cut.truncate(cut.len() / 3);
    work.write("cut\u{1b}[2J\n.mcap", cut);
    let name = "cut\u{1b}[2J\n.mcap";
    for format in ["text", "json"] {
        let ran = clean(work.run(["convert", name, "--out", "out", "--format", format]).exits(1));
        assert!(ran.stderr.contains("cut\\"), "{}", ran.stderr);
        clean(work.run(["inspect", name, "--format", format]).exits(3));
    }
    work.write("a.mcap", log());
    let ran = clean(work.run(["convert", "a.mcap", "--out", "out", "--topic", "/no\u{1b}\nsuch"]));
    assert_ne!(ran.code, 0);
    clean(work.run(["inspect", "a.mcap", "-vv"]).exits(0));
}

#[test]
fn keys_of_json_lines_are_shown() {
    let work = Work::new();
    let line = |n: u32| format!("{{\"k\\u001b[2J\\nerror: forged\\u202e\": {n}, \"関節\": \"\\u009bx\"}}\n");
    work.write("a.jsonl", (0..3).map(line).collect::<String>());
    let told = clean(work.run(["inspect", "a.jsonl", "--features"]).exits(0)).stdout;
    assert!(told.contains(r"k\u{1b}[2J\nerror: forged\u{202e}: int64"), "{told}");
    clean(work.run(["inspect", "a.jsonl", "--format", "json"]).exits(0)).json();
    clean(work.run(["convert", "a.jsonl", "--out", "out"]).exits(0));
    clean(work.run(["validate", "out", "--deep", "--report", "q.html"]).exits(0));
    is_clean("README.md", &std::fs::read_to_string(work.path("out/README.md")).unwrap());
    is_clean("q.html", &std::fs::read_to_string(work.path("q.html")).unwrap());
}
