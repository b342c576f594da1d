//! Damaged files, opened to fail and to salvage.

use nodedata_core::{Error, ErrorKind, Finding, OpenOptions, ReadOptions};
use serde_json::Value;

use super::{Outcome, broken, corpus, damage, open, read_all};

/// What opening to fail, or else reading, must say.
enum Fails {
    /// Opening fails with this kind, at this byte, with this in its message.
    Opening(ErrorKind, u64, &'static str),
    /// Opening works, reading gives this many rows and one error with this reason in each place.
    Reading(usize, &'static [&'static str]),
}

/// What salvaging must give: rows, records named as lost, and the reasons of damage while opening and
/// while reading; `None` when there is nothing to salvage.
type Salvaged = Option<(usize, u64, &'static [&'static str], &'static [&'static str])>;

use ErrorKind::{Corrupt, Unsupported};
use Fails::{Opening, Reading};

/// The messages of the file most of the broken ones are made of.
const N_ALL: usize = 140;

#[rustfmt::skip]
const CASES: &[(&str, Fails, Salvaged)] = &[
    ("trunc_mid_last_chunk", Opening(Corrupt, 21994, "ends inside the record"), Some((129, 0, &["truncated"; 2], &["truncated"]))),
    ("trunc_after_chunk", Opening(Corrupt, 22633, "closing MCAP magic"), Some((N_ALL, 0, &["truncated"], &[]))),
    ("trunc_before_footer", Opening(Corrupt, 26605, "closing MCAP magic"), Some((N_ALL, 0, &["truncated"], &[]))),
    ("trunc_no_end_magic", Opening(Corrupt, 26634, "closing MCAP magic"), Some((N_ALL, 0, &["truncated"], &[]))),
    ("trunc_in_length", Opening(Corrupt, 68, "ends inside the record"), Some((0, 0, &["truncated"; 2], &[]))),
    ("only_magic", Opening(Corrupt, 8, "before its Header"), Some((0, 0, &["header", "truncated"], &[]))),
    ("magic_header_only", Opening(Corrupt, 68, "closing MCAP magic"), Some((0, 0, &["truncated"], &[]))),
    ("empty_file", Opening(Corrupt, 0, "empty"), None),
    ("bad_magic", Opening(Unsupported, 0, "MCAP version `1`"), None),
    ("trunc_unchunked_mid_message", Opening(Corrupt, 44686, "ends inside the record"), Some((40, 1, &["truncated"; 2], &[]))),
    ("chunk_crc_wrong", Reading(118, &["damaged_chunk"]), Some((118, 22, &["data_crc"], &["damaged_chunk"]))),
    ("chunk_payload_bitflip", Reading(118, &["damaged_chunk"]), Some((118, 22, &["data_crc"], &["damaged_chunk"]))),
    ("data_section_crc_wrong", Reading(N_ALL, &[]), Some((N_ALL, 0, &["data_crc"], &[]))),
    ("summary_crc_wrong", Opening(Corrupt, 22867, "summary has CRC"), Some((N_ALL, 0, &["summary"], &[]))),
    ("attachment_crc_wrong", Opening(Corrupt, 131390, "attachment `calibration.yaml` has CRC"), Some((170, 0, &["damaged_attachment"], &[]))),
    ("record_length_huge", Reading(118, &["damaged_chunk"]), Some((N_ALL, 0, &["damaged_length"], &[]))),
    ("chunk_uncompressed_size_lie", Reading(118, &["damaged_chunk"]), Some((118, 22, &["data_crc"], &["damaged_chunk"]))),
    ("chunk_unknown_compression", Reading(118, &["damaged_chunk"]), Some((118, 22, &["data_crc"], &["damaged_chunk"]))),
    ("footer_summary_start_oob", Opening(Corrupt, 26605, "summary starts at byte 1125899906842624"), Some((N_ALL, 0, &["summary"], &[]))),
    ("chunk_index_offset_oob", Opening(Corrupt, 22867, "summary has CRC"), Some((N_ALL, 0, &["summary"], &[]))),
    ("unknown_opcodes", Reading(N_ALL, &[]), Some((N_ALL, 0, &[], &[]))),
    ("message_before_channel", Opening(Corrupt, 28, "message for channel 3"), Some((0, 0, &[], &["unknown_channel"]))),
    ("channel_unknown_schema", Opening(Corrupt, u64::MAX, "names schema 9"), Some((1, 0, &["schema_missing"], &[]))),
    ("channel_redefined", Opening(Corrupt, 92, "declared before as `/a`"), Some((1, 0, &["definition"], &["unknown_channel"]))),
    ("time_extremes", Reading(2, &["time_out_of_range"; 2]), Some((2, 2, &[], &["time_out_of_range"; 2]))),
    ("invalid_utf8_topic", Opening(Corrupt, 28, "`topic` of the Channel record is not UTF-8"), Some((0, 0, &["definition"], &["unknown_channel"]))),
    ("nested_chunk", Opening(Corrupt, 28, "chunks do not nest"), Some((0, 0, &[], &["damaged_chunk"]))),
    ("header_late", Opening(Corrupt, 8, "must be a Header"), Some((0, 0, &["header"], &[]))),
];

fn reasons(damage: &[Finding]) -> Vec<&str> {
    damage.iter().map(|it| it.reason.as_str()).collect()
}

fn has_address(name: &str, err: &Error) {
    assert!(err.locus().path.is_some(), "{name}: no path: {err}");
    assert!(err.locus().byte_offset.is_some() || err.locus().topic.is_some(), "{name}: no place: {err}");
    assert!(err.hint().is_some(), "{name}: no hint: {err}");
}

fn is_placed(name: &str, found: &Finding) {
    let Finding { at, hint, message, .. } = found;
    assert!(at.path.is_some(), "{name}: no path: {message}");
    assert!(at.byte_offset.is_some() || at.topic.is_some(), "{name}: no place: {message}");
    assert!(hint.is_some(), "{name}: no hint: {message}");
}

#[test]
fn every_broken_file_says_what_is_wrong() {
    for (name, bytes) in broken() {
        let stem = name.strip_suffix(".mcap").unwrap();
        let Some((_, fails, salvaged)) = CASES.iter().find(|it| it.0 == stem) else { continue };
        match (fails, open(&bytes, &OpenOptions::default())) {
            (Opening(kind, byte, message), Err(err)) => {
                has_address(&name, &err);
                assert_eq!(err.kind(), *kind, "{name}: {err}");
                assert_eq!(err.locus().byte_offset.unwrap_or(u64::MAX), *byte, "{name}: {err}");
                assert!(err.to_string().contains(message), "{name}: {err}");
            }
            (Reading(n_rows, expected), Ok(source)) => {
                let outcome = read_all(&*source, &ReadOptions::default());
                outcome.errors.iter().for_each(|it| has_address(&name, it));
                assert_eq!((outcome.n_rows(), outcome.reasons().as_slice()), (*n_rows, *expected), "{name}");
                assert!(damage(&*source).is_empty(), "{name}");
            }
            (_, Ok(_)) => panic!("{name}: opens"),
            (_, Err(err)) => panic!("{name}: {err} at {}", err.locus()),
        }
        let source = match (salvaged, open(&bytes, &OpenOptions { salvage: true, ..OpenOptions::default() }))
        {
            (Some(_), Ok(source)) => source,
            (None, Err(err)) => {
                has_address(&name, &err);
                continue;
            }
            (_, other) => panic!("{name}: {:?}", other.err()),
        };
        let outcome = read_all(&*source, &ReadOptions::default());
        let n_lost_opening: u64 = damage(&*source).iter().flat_map(|it| it.records.values()).sum();
        damage(&*source).iter().for_each(|it| is_placed(&name, it));
        outcome.errors.iter().for_each(|it| has_address(&name, it));
        let (n_rows, n_lost, opening, reading) = salvaged.unwrap();
        assert_eq!(reasons(&damage(&*source)), opening, "{name}: {:?}", damage(&*source));
        assert_eq!(outcome.reasons(), reading, "{name}: {:?}", outcome.errors);
        assert_eq!(outcome.n_rows(), n_rows, "{name}");
        assert_eq!(outcome.n_lost() + n_lost_opening, n_lost, "{name}");
    }
}

#[test]
fn no_broken_file_is_left_out() {
    let root = corpus::fixtures("mcap/broken");
    let expected: Value = serde_json::from_slice(&std::fs::read(root.join("EXPECT.json")).unwrap()).unwrap();
    let names = expected.as_object().unwrap().keys().filter_map(|it| it.strip_suffix(".mcap"));
    let left_out: Vec<&str> =
        names.filter(|it| !it.starts_with("fuzz_") && CASES.iter().all(|case| case.0 != *it)).collect();
    // Damage inside payloads: see the next test.
    assert_eq!(left_out, ["cdr_bad_payloads"]);
}

#[test]
fn bad_payloads_cost_only_themselves() {
    for (name, bytes) in broken().into_iter().filter(|it| it.0 == "cdr_bad_payloads.mcap") {
        let source = open(&bytes, &OpenOptions::default()).unwrap();
        let outcome: Outcome = read_all(&*source, &ReadOptions::default());
        outcome.errors.iter().for_each(|it| has_address(&name, it));
        assert!(outcome.reasons().iter().all(|it| *it == "undecodable"));
        assert_eq!(outcome.n_rows() as u64 + outcome.n_lost(), 9);
        // Messages 1, 5, 7 and 9 are sound.
        assert!(4 <= outcome.n_rows(), "{:?}", outcome.errors);
        assert!(3 <= outcome.n_lost(), "{:?}", outcome.errors);
    }
}

#[test]
fn bit_flips_never_alter_a_row_unnoticed() {
    let sound = std::fs::read(corpus::recording("foxglove_sdk_lz4")).unwrap().into();
    let (_, sound) = super::read(&sound, &super::undecoded());
    for (name, bytes) in broken().into_iter().filter(|it| it.0.starts_with("fuzz_")) {
        let (source, outcome) = super::read(&bytes, &super::salvage());
        assert!(!damage(&*source).is_empty() || !outcome.errors.is_empty(), "{name}");
        for (topic, rows) in &outcome.topics {
            let whole = &sound.topics[topic];
            for idx in 0..rows.log_times.len() {
                let found = (rows.log_times[idx], &rows.payloads[idx]);
                let mut expected = whole.log_times.iter().copied().zip(&whole.payloads);
                assert!(expected.any(|it| it == found), "{name} {topic} row {idx}");
            }
        }
        assert!(95 <= outcome.n_rows(), "{name}");
    }
}

#[test]
fn a_flipped_payload_outside_chunks_is_noticed() {
    let options = mcap::WriteOptions::new().use_chunks(false).compression(None);
    let mut writer = options.create(std::io::Cursor::new(Vec::new())).unwrap();
    let channel = writer.add_channel(0, "/t", "x", &std::collections::BTreeMap::new()).unwrap();
    let header =
        mcap::records::MessageHeader { channel_id: channel, sequence: 1, log_time: 2, publish_time: 3 };
    writer.write_to_known_channel(&header, b"the payload").unwrap();
    writer.finish().unwrap();
    let mut log = writer.into_inner().into_inner();
    let source = open(&log.clone().into(), &OpenOptions::default()).unwrap();
    assert_eq!(read_all(&*source, &ReadOptions::default()).n_rows(), 1);
    let at = log.windows(11).position(|it| it == b"the payload").unwrap();
    log[at] ^= 1;
    let err = open(&log.clone().into(), &OpenOptions::default()).err().expect("the checksum is wrong");
    assert!(err.to_string().contains("data section has CRC"), "{err}");
    has_address("flipped", &err);
    let unverified = OpenOptions { verify_checksums: false, ..OpenOptions::default() };
    assert!(open(&log.into(), &unverified).is_ok());
}
