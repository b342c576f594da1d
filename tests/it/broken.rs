//! Damaged and hostile input: what the command says of it, and what it saves.

use std::io::Cursor;

use arrow_array::{Array as _, cast::AsArray as _, types::Float64Type};
use nodedata_testkit::{corpus, truth::sha256};
use serde_json::{Value, json};

use crate::{
    command::{Ran, Work, for_each},
    logs::fixture,
    tables::{Dataset, int64, texts},
};

/// What becomes of a broken file.
struct Case {
    /// File name without `.mcap`.
    name: &'static str,
    /// What the error says and where, when damage ends the run; `None` when the file converts all the same.
    fails: Option<(&'static str, &'static str)>,
    /// Exit code, rows and drops by reason of a salvage.
    salvaged: (i32, u64, &'static [(&'static str, u64)]),
}

/// Messages of the file most of the broken ones are made of.
const N_ALL: u64 = 140;

const fn case(
    name: &'static str,
    fails: Option<(&'static str, &'static str)>,
    salvaged: (i32, u64, &'static [(&'static str, u64)]),
) -> Case {
    Case { name, fails, salvaged }
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    case("trunc_mid_last_chunk", Some(("ends inside the record", "byte 21994")), (3, 129, &[])),
    case("trunc_after_chunk", Some(("closing MCAP magic", "byte 22633")), (3, N_ALL, &[])),
    case("trunc_before_footer", Some(("closing MCAP magic", "byte 26605")), (3, N_ALL, &[])),
    case("trunc_no_end_magic", Some(("closing MCAP magic", "byte 26634")), (3, N_ALL, &[])),
    case("trunc_in_length", Some(("ends inside the record", "byte 68")), (3, 0, &[])),
    case("only_magic", Some(("before its Header", "byte 8")), (3, 0, &[])),
    case("magic_header_only", Some(("closing MCAP magic", "byte 68")), (3, 0, &[])),
    case("empty_file", Some(("file is empty", "byte 0")), (1, 0, &[])),
    case("bad_magic", Some(("MCAP version `1`", "byte 0")), (1, 0, &[])),
    case("trunc_unchunked_mid_message", Some(("ends inside the record", "byte 44686")), (3, 40, &[("truncated", 1)])),
    case("chunk_crc_wrong", Some(("chunk has CRC", "byte 2776")), (3, 118, &[("damaged_chunk", 22)])),
    case("chunk_payload_bitflip", Some(("LZ4", "byte 2776")), (3, 118, &[("damaged_chunk", 22)])),
    // The CRC of each chunk holds, and all records lie in chunks.
    case("data_section_crc_wrong", None, (3, N_ALL, &[])),
    case("summary_crc_wrong", Some(("summary has CRC", "byte 22867")), (3, N_ALL, &[])),
    case("attachment_crc_wrong", Some(("attachment `calibration.yaml` has CRC", "byte 131390")), (3, 170, &[])),
    case("record_length_huge", Some(("chunk", "byte 2776")), (3, N_ALL, &[])),
    case("chunk_uncompressed_size_lie", Some(("1099511627776 bytes", "byte 2776")), (3, 118, &[("damaged_chunk", 22)])),
    case("chunk_unknown_compression", Some(("compression `xyz`", "byte 2776")), (3, 118, &[("damaged_chunk", 22)])),
    case("footer_summary_start_oob", Some(("byte 1125899906842624", "byte 26605")), (3, N_ALL, &[])),
    case("chunk_index_offset_oob", Some(("summary", "byte 22867")), (3, N_ALL, &[])),
    case("unknown_opcodes", None, (0, N_ALL, &[])),
    case("message_before_channel", Some(("channel 3", "byte 28")), (3, 0, &[])),
    case("channel_unknown_schema", Some(("schema 9", "topic /a")), (3, 1, &[])),
    case("channel_redefined", Some(("`/b`", "byte 92")), (3, 1, &[])),
    case("time_extremes", Some(("cannot be kept", "byte 59")), (3, 2, &[("time_out_of_range", 2)])),
    case("invalid_utf8_topic", Some(("not UTF-8", "byte 28")), (3, 0, &[])),
    case("nested_chunk", Some(("chunks do not nest", "byte 28")), (3, 0, &[])),
    case("header_late", Some(("must be a Header", "byte 8")), (3, 0, &[])),
];

#[test]
fn every_broken_file_is_told_and_salvaged() {
    let folder = corpus::fixtures("mcap/broken");
    for_each(CASES, |case| {
        let work = Work::new();
        let log = work.copy(&folder.join(format!("{}.mcap", case.name)));
        let failed = work.run(["convert", &log, "--out", "failed"]);
        match case.fails {
            Some((message, place)) => {
                refuses(&failed, &work, case.name, &log);
                assert!(failed.stderr.contains(message), "{}: {}", case.name, failed.stderr);
                assert!(failed.stderr.contains(place), "{}: {}", case.name, failed.stderr);
            }
            None => {
                failed.exits(0);
                work.run(["validate", "--deep", "failed"]).exits(0);
            }
        }
        let (code, n_rows, dropped) = case.salvaged;
        let salvaged = work.run(["convert", &log, "--out", "saved", "--on-error", "salvage"]).exits(code);
        if code == 1 {
            refuses(&salvaged, &work, case.name, &log);
            return;
        }
        let (found_rows, found_dropped) =
            accounts(&work, "saved", code, std::fs::metadata(work.path(&log)).unwrap().len());
        assert_eq!(found_rows, n_rows, "{}: rows", case.name);
        let dropped: Vec<_> = dropped.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect();
        assert_eq!(found_dropped, dropped, "{}: drops", case.name);
    });
}

#[test]
fn no_broken_file_is_left_out() {
    let folder = corpus::fixtures("mcap/broken");
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("EXPECT.json")).unwrap()).unwrap();
    let names = expected.as_object().unwrap().keys().filter_map(|it| it.strip_suffix(".mcap"));
    let left_out: Vec<&str> = names.filter(|it| CASES.iter().all(|case| case.name != *it)).collect();
    let (fuzz, others): (Vec<&str>, Vec<&str>) = left_out.iter().partition(|it| it.starts_with("fuzz_"));
    assert_eq!(fuzz.len(), 6);
    // Its records are sound: see the next test.
    assert_eq!(others, ["cdr_bad_payloads"]);
}

/// Payloads that are not what their definition says keep their rows, and those are the same however the run was cut.
#[test]
fn payloads_that_do_not_fit_keep_their_rows() {
    let work = Work::new();
    let log = work.copy(&corpus::fixtures("mcap/broken").join("cdr_bad_payloads.mcap"));
    work.run(["convert", &log, "--out", "bytes", "--undecoded", "*"]).exits(0);
    for (out, more) in [("out", &[][..]), ("saved", &["--on-error", "salvage"]), ("one", &["--threads", "1"])]
    {
        let args = ["convert", &log, "--out", out];
        work.run(args.iter().chain(more)).exits(3);
        let report = work.json(&format!("{out}/report.json"));
        let (mut n_kept, mut n_rows) = (0, 0);
        for ledger in report["streams"].as_object().unwrap().values() {
            assert_eq!(ledger["read"], ledger["written"]);
            n_rows += ledger["written"].as_u64().unwrap();
            n_kept += ledger["kept_as_bytes"]["undecodable"].as_u64().unwrap_or(0);
        }
        assert_eq!((n_rows, n_kept), (9, 4), "{report}");
        work.run(["validate", "--deep", out]).exits(0);
    }
    let recorded = Dataset::open(work.path("bytes")).tables();
    for (stream, rows) in Dataset::open(work.path("out")).tables() {
        let Some(kept) = rows.column_by_name("_unknown") else { continue };
        let kept = kept.as_binary::<i32>();
        for (row, payload) in crate::tables::payloads(&recorded[&stream]).into_iter().enumerate() {
            if kept.is_valid(row) {
                assert_eq!(kept.value(row), payload, "{stream}, row {row}");
            }
        }
    }
    let refused = work.run(["convert", &log, "--out", "refused", "--on-misfit", "fail"]).exits(1);
    assert!(
        refused.stderr.contains("does not fit") && refused.stderr.contains("byte 161"),
        "{}",
        refused.stderr
    );
}

/// A log of one topic of JSON: payloads and publish times.
fn json_log(schema: Option<&str>, messages: &[(&str, u64)]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = mcap::Writer::new(&mut bytes).unwrap();
    let schema = schema.map_or(0, |it| writer.add_schema("T", "jsonschema", it.as_bytes()).unwrap());
    let channel_id = writer.add_channel(schema, "/t", "json", &Default::default()).unwrap();
    for (n, (payload, publish_time)) in messages.iter().enumerate() {
        let (sequence, log_time) = (n as u32, n as u64 + 1);
        let header =
            mcap::records::MessageHeader { channel_id, sequence, log_time, publish_time: *publish_time };
        writer.write_to_known_channel(&header, payload.as_bytes()).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes.into_inner()
}

/// Types that no schema tells are those of the sound messages, whether the others are kept or refused.
#[test]
fn a_torn_message_makes_no_bytes_of_the_others() {
    let work = Work::new();
    work.write("torn.mcap", json_log(None, &[(r#"{"v":1.5}"#, 1), (r#"{"v":"#, 2), (r#"{"v":NaN}"#, 3)]));
    work.write("nan.mcap", json_log(None, &[(r#"{"v":1.5}"#, 1), (r#"{"v":NaN}"#, 2)]));
    let values = |out: &str| -> Vec<Option<f64>> {
        let rows = Dataset::open(work.path(out)).tables().remove("/t").unwrap();
        rows.column_by_name("v").unwrap().as_primitive::<Float64Type>().iter().collect()
    };
    work.run(["convert", "torn.mcap", "-o", "kept"]).exits(3);
    let [Some(first), None, Some(last)] = values("kept")[..] else { panic!("{:?}", values("kept")) };
    assert!(first == 1.5 && last.is_nan());
    let refused = work.run(["convert", "torn.mcap", "-o", "refused", "--on-misfit", "fail"]).exits(1);
    assert!(refused.stderr.contains("\n  --> torn.mcap, byte "), "{}", refused.stderr);
    assert!(!work.path("refused").exists());
    // A number that is none of JSON's is no misfit.
    for (out, on_misfit) in [("nan", "keep"), ("nan_strict", "fail")] {
        work.run(["convert", "nan.mcap", "-o", out, "--on-misfit", on_misfit]).exits(0);
        let [Some(first), Some(last)] = values(out)[..] else { panic!("{:?}", values(out)) };
        assert!(first == 1.5 && last.is_nan());
    }
}

/// A row that is wrong in several ways is one row that is wrong, and `NaN` is no text.
#[test]
fn a_row_is_counted_once_among_those_kept() {
    let work = Work::new();
    let schema = r#"{"type": "object", "properties": {"n": {"type": "number"}, "s": {"type": "string"},
        "pose": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}}}"#;
    let late = i64::MAX as u64 + 5;
    let messages = [
        (r#"{"n":1,"s":"a","pose":[NaN,2]}"#, 5),
        (r#"{"n":true,"s":"a"}"#, late),
        (r#"{"n":2,"s":"a"}"#, late),
        (r#"{"n":3,"s":NaN}"#, 6),
    ];
    work.write("log.mcap", json_log(Some(schema), &messages));
    work.run(["convert", "log.mcap", "-o", "out"]).exits(3);
    let ledger = work.json("out/report.json")["streams"]["/t"].clone();
    assert_eq!(ledger["written"], 4);
    assert_eq!(ledger["kept_as_bytes"], json!({"values_in_extra": 2, "time_out_of_range": 1}));
    let rows = Dataset::open(work.path("out")).tables().remove("/t").unwrap();
    let a = || Some("a".to_owned());
    assert_eq!(texts(&rows, "s"), [a(), a(), a(), None]);
    let extra = [None, Some(r#"{"n":true}"#.to_owned()), None, Some(r#"{"s":"NaN"}"#.to_owned())];
    assert_eq!(texts(&rows, "_extra"), extra);
    let times = rows.column_by_name("publish_time_ns").unwrap();
    assert_eq!((0..4).map(|it| times.is_null(it)).collect::<Vec<_>>(), [false, true, true, false]);
    let pose = rows.column_by_name("pose").unwrap().as_fixed_size_list().value(0);
    assert!(pose.as_primitive::<Float64Type>().value(0).is_nan());
}

/// Bits flipped at random: whatever is kept was recorded so.
#[test]
fn what_is_kept_of_flipped_files_was_recorded_so() {
    let work = Work::new();
    let sound = work.copy(&corpus::recording("foxglove_sdk_lz4"));
    let messages = |work: &Work, out: &str| -> Vec<(String, i64, String)> {
        let mut all = Vec::new();
        for (name, rows) in Dataset::open(work.path(out)).tables() {
            let payloads = crate::tables::payloads(&rows);
            let times = int64(&rows, "log_time_ns");
            all.extend(times.into_iter().zip(payloads).map(|(time, it)| (name.clone(), time, sha256(it))));
        }
        all
    };
    work.run(["convert", &sound, "--out", "sound", "--undecoded", "*"]).exits(0);
    let recorded = messages(&work, "sound");
    assert_eq!(recorded.len() as u64, N_ALL);
    let flipped: Vec<_> = corpus::files(&corpus::fixtures("mcap/broken"), ".mcap")
        .into_iter()
        .filter(|it| it.file_name().unwrap().to_string_lossy().starts_with("fuzz_"))
        .collect();
    assert_eq!(flipped.len(), 6);
    for_each(&flipped, |path| {
        let work = Work::new();
        let log = work.copy(path);
        refuses(&work.run(["convert", &log, "--out", "failed"]), &work, &log, &log);
        let options = ["--on-error", "salvage", "--undecoded", "*"];
        work.run(["convert", &log, "--out", "saved"].into_iter().chain(options)).exits(3);
        let (n_rows, dropped) = accounts(&work, "saved", 3, std::fs::metadata(path).unwrap().len());
        let n_dropped: u64 = dropped.iter().map(|it| it.1).sum();
        assert_eq!(n_rows + n_dropped, N_ALL, "{log}: every message is kept or counted");
        for message in messages(&work, "saved") {
            assert!(recorded.contains(&message), "{log}: {message:?} was never recorded");
        }
    });
}

/// The same on damaged copies of a larger recording.
#[test]
fn damaged_copies_of_a_fixture() {
    let whole = std::fs::read(fixture("teleop.mcap")).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    let copies = [("cut", whole[..whole.len() * 6 / 10].to_vec(), 300), ("flipped", flipped, 800)];
    for_each(&copies, |(name, bytes, n_at_least)| {
        let work = Work::new();
        let log = format!("{name}.mcap");
        work.write(&log, bytes);
        refuses(&work.run(["convert", &log, "--out", "failed"]), &work, name, &log);
        let told = work.run(["convert", &log, "--out", "saved", "--on-error", "salvage"]).exits(3);
        assert!(told.stderr.contains("left out: "), "{}", told.stderr);
        assert!(told.stderr.contains(&format!("  --> {log}, byte ")), "{}", told.stderr);
        let (n_rows, _) = accounts(&work, "saved", 3, bytes.len() as u64);
        assert!(*n_at_least <= n_rows && n_rows < 1101, "{name}: {n_rows} rows");
    });
}

/// A folder goes on without the one file that is no log at all.
#[test]
fn one_hopeless_file_does_not_cost_the_others() {
    let work = Work::new();
    work.write("logs/a.mcap", std::fs::read(fixture("json_and_cbor.mcap")).unwrap());
    work.write("logs/b.mcap", b"");
    work.write("logs/c.mcap", std::fs::read(fixture("ros1_profile.mcap")).unwrap());
    let failed = work.run(["convert", "logs", "--out", "failed"]).exits(1);
    assert!(failed.stderr.contains("  --> b.mcap, byte 0"), "{}", failed.stderr);
    assert_eq!(work.names(), ["logs"]);
    work.run(["convert", "logs", "--out", "saved", "--on-error", "salvage"]).exits(3);
    let (n_rows, dropped) = accounts(&work, "saved", 3, u64::MAX);
    assert_eq!((n_rows, dropped), (124 + 142, vec![]));
}

#[test]
fn what_is_no_log_is_refused() {
    let work = Work::new();
    work.write("pointer.mcap", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n");
    work.write("text.txt", "hello\n");
    work.write("text.mcap", "hello\n");
    std::fs::create_dir(work.path("empty")).unwrap();
    let before = work.names();
    let cases = [
        ("pointer.mcap", "Git LFS pointer", "`git lfs pull`"),
        ("text.txt", "cannot tell the format", "`--from`"),
        ("text.mcap", "file starts with `hello\\n`", "hint: "),
        ("empty", "holds no files", "hint: "),
        ("missing.mcap", "no such file or folder", "hint: "),
    ];
    for (source, message, hint) in cases {
        for on_error in ["fail", "salvage"] {
            let ran = work.run(["convert", source, "--out", "out", "--on-error", on_error]);
            let Ran { code, stdout, stderr } = &ran;
            assert_eq!((*code, stdout.as_str()), (1, ""), "{source}: {stderr}");
            for part in [message, hint, &format!("  --> {source}")] {
                assert!(stderr.contains(part), "{source}: no `{part}` in {stderr}");
            }
            assert_eq!(work.names(), before, "{source}");
        }
    }
}

#[test]
fn what_is_there_is_replaced_only_when_asked() {
    let work = Work::new();
    let log = work.copy(&fixture("json_and_cbor.mcap"));
    let other = work.copy(&fixture("ros1_profile.mcap"));
    work.run(["convert", &log, "--out", "out"]).exits(0);
    let before = Dataset::open(work.path("out")).files();
    let refused = work.run(["convert", &other, "--out", "out"]).exits(2);
    assert!(refused.stderr.contains("--overwrite"), "{}", refused.stderr);
    assert_eq!(Dataset::open(work.path("out")).files(), before);
    // A run that fails leaves what was there.
    work.write("text.mcap", "hello\n");
    work.run(["convert", "text.mcap", "--out", "out", "--overwrite"]).exits(1);
    assert_eq!(Dataset::open(work.path("out")).files(), before);
    work.run(["convert", &other, "--out", "out", "--overwrite"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    assert_eq!(work.json("out/manifest.json")["inputs"][0]["path"], "ros1_profile.mcap");
    assert_eq!(work.names(), ["json_and_cbor.mcap", "out", "ros1_profile.mcap", "text.mcap"]);
}

/// Exit 1, an address, a hint, and not one file left behind.
#[track_caller]
fn refuses(ran: &Ran, work: &Work, name: &str, log: &str) {
    let Ran { code, stdout, stderr } = ran;
    assert_eq!((*code, stdout.as_str()), (1, ""), "{name}: {stderr}");
    assert!(stderr.starts_with("error: "), "{name}: {stderr}");
    assert!(stderr.contains(&format!("\n  --> {log}, ")), "{name}: no address: {stderr}");
    assert!(stderr.contains("\nhint: "), "{name}: no hint: {stderr}");
    assert_eq!(work.names(), [log], "{name}: files left behind");
}

/// Holds `report.json` of a salvage against the dataset beside it; returns rows, and drops by reason.
#[track_caller]
fn accounts(work: &Work, out: &str, code: i32, input_bytes: u64) -> (u64, Vec<(String, u64)>) {
    let validated = work.run(["validate", "--deep", out, "--format", "json"]).exits(0).json();
    let report = work.json(&format!("{out}/report.json"));
    let dataset = Dataset::open(work.path(out));
    let tables = dataset.tables();
    let (mut n_rows, mut dropped) = (0, std::collections::BTreeMap::<String, u64>::new());
    for (stream, ledger) in report["streams"].as_object().unwrap() {
        let written = ledger["written"].as_u64().unwrap();
        let mut n_dropped = 0;
        for (reason, n) in ledger["dropped"].as_object().into_iter().flatten() {
            *dropped.entry(reason.clone()).or_default() += n.as_u64().unwrap();
            n_dropped += n.as_u64().unwrap();
        }
        assert_eq!(ledger["read"], written + n_dropped, "{stream}: {ledger}");
        assert_eq!(tables.get(stream).map_or(0, |it| it.num_rows()) as u64, written, "{stream}");
        n_rows += written;
    }
    assert_eq!(validated["rows"], n_rows);
    let damage = report["damage"].as_array().cloned().unwrap_or_default();
    assert_eq!(report["result"], if code == 0 { "complete" } else { "incomplete" });
    assert_eq!(damage.is_empty(), code == 0, "{damage:?}");
    let mut n_told = 0;
    for entry in &damage {
        assert!(entry["at"].as_str().is_some_and(|it| !it.is_empty()), "no address: {entry}");
        assert!(entry["reason"].is_string(), "no reason: {entry}");
        let range = &entry["byte_range"];
        if let Some((start, end)) = range[0].as_u64().zip(range[1].as_u64()) {
            assert!(start <= end && end <= input_bytes, "{entry} of {input_bytes} bytes");
        }
        n_told +=
            entry["records"].as_object().into_iter().flatten().filter_map(|it| it.1.as_u64()).sum::<u64>();
    }
    assert_eq!(n_told, dropped.values().sum::<u64>(), "drops without an entry: {damage:?}");
    (n_rows, dropped.into_iter().collect())
}
