//! Undamaged recordings against what the official readers say of them.

use std::collections::BTreeMap;

use nodedata_core::OpenOptions;
use serde_json::Value;

use super::{corpus, damage, open, read, read_all_of, recordings, salvage, undecoded};

/// Messages and payload hash by topic, message encoding and schema name.
type Facts = BTreeMap<(String, String, String), Vec<(u64, String)>>;

fn truth(name: &str) -> Facts {
    let path = corpus::recording(name.strip_suffix(".mcap").unwrap()).with_extension("truth.json");
    let truth: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut facts = Facts::new();
    for topic in truth["topics"].as_object().unwrap().values() {
        let text = |key: &str| topic[key].as_str().unwrap_or("").to_owned();
        let key = (text("topic"), text("message_encoding"), text("schema_name"));
        let fact = (topic["count"].as_u64().unwrap(), text("payload_stream_sha256"));
        facts.entry(key).or_default().push(fact);
    }
    facts
}

fn found(bytes: &bytes::Bytes, options: &OpenOptions, name: &str) -> Facts {
    let (source, outcome) = read(bytes, options);
    assert!(outcome.errors.is_empty(), "{name}: {:?}", outcome.errors);
    assert!(damage(&*source).is_empty(), "{name}: {:?}", damage(&*source));
    let mut facts = Facts::new();
    for (stream, rows) in &outcome.topics {
        let schema = source.plan().streams.iter().find(|it| *it.name == **stream).unwrap();
        let text = |key: &str| schema.metadata.get(key).cloned().unwrap_or_default();
        let key = (text("topic"), text("message_encoding"), text("schema_name"));
        facts.entry(key).or_default().push((rows.log_times.len() as u64, rows.payload_sha256()));
    }
    facts
}

fn sorted(mut facts: Facts) -> Facts {
    facts.values_mut().for_each(|it| it.sort());
    facts
}

#[test]
fn counts_and_payloads_are_those_of_the_official_readers() {
    for (name, bytes) in recordings() {
        let truth = sorted(truth(&name));
        assert_eq!(sorted(found(&bytes, &undecoded(), &name)), truth, "{name}");
        assert_eq!(sorted(found(&bytes, &salvage(), &name)), truth, "{name}, walked");
    }
}

/// Files of the `mcap` crate; none where the corpus is not there.
fn of_the_rust_crate() -> Vec<(String, bytes::Bytes)> {
    let folder = corpus::folder("logs/public/mcap-crate");
    folder.map_or_else(Vec::new, |it| read_all_of(corpus::files(&it, ".mcap")))
}

#[test]
fn files_of_the_rust_crate_read() {
    for (name, bytes) in of_the_rust_crate() {
        // The other two are below.
        if !matches!(name.as_str(), "compressed.mcap" | "uncompressed.mcap") {
            continue;
        }
        let (_, indexed) = read(&bytes, &undecoded());
        let (_, walked) = read(&bytes, &salvage());
        assert!(indexed.errors.is_empty() && walked.errors.is_empty(), "{name}");
        assert_ne!(indexed.n_rows(), 0, "{name}");
        assert_eq!(indexed.topics, walked.topics, "{name}");
    }
}

#[test]
fn a_padded_zstd_chunk_without_channels() {
    let Some((_, bytes)) = of_the_rust_crate().into_iter().find(|it| it.0.starts_with("zstd_chunk")) else {
        return;
    };
    let err = open(&bytes, &OpenOptions::default()).err().unwrap();
    assert!(err.to_string().contains("comes before its Channel record"), "{err}");
    let (source, outcome) = read(&bytes, &OpenOptions { salvage: true, ..OpenOptions::default() });
    // The chunk itself decodes: nothing but the missing channel is wrong.
    assert!(damage(&*source).is_empty(), "{:?}", damage(&*source));
    assert_eq!(outcome.reasons(), ["unknown_channel"]);
}

#[test]
fn a_chunk_its_recorder_never_closed() {
    let Some((_, bytes)) = of_the_rust_crate().into_iter().find(|it| it.0.starts_with("chunk_not")) else {
        return;
    };
    assert!(open(&bytes, &OpenOptions::default()).is_err());
    let (source, outcome) = read(&bytes, &OpenOptions { salvage: true, ..OpenOptions::default() });
    println!("{:?} {outcome:?}", damage(&*source));
    assert!(!damage(&*source).is_empty());
}

#[test]
fn every_recording_decodes() {
    for (name, bytes) in recordings() {
        let source = open(&bytes, &OpenOptions::default()).unwrap_or_else(|err| panic!("{name}: {err}"));
        let outcome = super::read_all(&*source, &nodedata_core::ReadOptions::default());
        assert!(outcome.errors.is_empty(), "{name}: {:?}", outcome.errors);
        let n_expected: u64 = truth(&name).values().flatten().map(|it| it.0).sum();
        assert_eq!(outcome.n_rows() as u64, n_expected, "{name}");
    }
}
