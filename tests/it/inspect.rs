//! `inspect` of logs that are too long to be read for it: their index answers, and what it does not tell is named.

use serde_json::Value;

use crate::{command::Work, generated};

/// Longer than what is read whole.
const N_MB: u64 = 20;

fn stream<'a>(found: &'a Value, name: &str) -> &'a Value {
    found["streams"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap()
}

#[test]
fn the_index_counts_as_the_walk_does() {
    let work = Work::new();
    work.write("a.mcap", generated::log(5, N_MB));
    let quick = work.run(["inspect", "a.mcap", "--format", "json"]).exits(0).json();
    let full = work.run(["inspect", "a.mcap", "--format", "json", "--full"]).exits(0).json();
    assert_eq!((&quick["looked"]["at"], &full["looked"]["at"]), (&"index".into(), &"all".into()));
    assert!(quick["looked"]["not_known"].as_array().is_some_and(|it| !it.is_empty()));
    for key in ["format", "inputs", "episodes", "first_time_ns", "last_time_ns", "damage"] {
        assert_eq!(quick[key], full[key], "{key}");
    }
    for name in ["/joints", "/blobs"] {
        let (quick, full) = (stream(&quick, name), stream(&full, name));
        for key in ["count", "message", "encoding", "features"] {
            assert_eq!(quick[key], full[key], "{name}: {key}");
        }
        let cells = quick["timeline"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap());
        assert_eq!(Some(cells.sum::<u64>()), quick["count"].as_u64());
        let rates = [quick, full].map(|it| it["rate_hz"].as_f64().unwrap());
        assert!((rates[0] / rates[1] - 1.0).abs() < 0.01, "{rates:?}");
        for key in ["bytes", "gaps", "jitter_ns", "longest_gap_ns", "time_steps_back"] {
            assert!(quick[key].is_null(), "{name}: {key}");
        }
        assert!(full["bytes"].as_u64().is_some_and(|it| it > 0));
    }
    let told = work.run(["inspect", "a.mcap"]).exits(0).stdout;
    assert!(told.contains("read: the index alone; not read, and so not known: sizes"), "{told}");
    assert!(told.contains("`--full` reads it"), "{told}");
    let told = work.run(["inspect", "a.mcap", "--full"]).exits(0).stdout;
    assert!(!told.contains("read:"), "{told}");
}

#[test]
fn damage_that_no_index_tells_is_found_by_the_walk() {
    let work = Work::new();
    let mut log = generated::log(6, N_MB);
    // In the middle of a chunk, whose checksum tells.
    let middle = log.len() / 2;
    log[middle] ^= 0xff;
    work.write("a.mcap", log);
    let told = work.run(["inspect", "a.mcap"]).exits(0).stdout;
    assert!(told.contains("damage inside parts of the log"), "{told}");
    let told = work.run(["inspect", "a.mcap", "--full"]).exits(3).stdout;
    assert!(told.contains("damage: "), "{told}");
}

#[test]
fn a_log_without_a_summary_is_walked_and_that_is_said() {
    let work = Work::new();
    let mut log = generated::log(7, N_MB + 4);
    log.truncate(N_MB as usize * 1_000_000 + 2_000_000);
    work.write("a.mcap", log);
    let told = work.run(["inspect", "a.mcap"]).exits(3).stdout;
    assert!(told.contains("read: every record, because it cannot be trusted as it is"), "{told}");
    assert!(told.contains("damage: ") && told.contains("/joints"), "{told}");
    // A time range is not counted by an index.
    work.write("b.mcap", generated::log(8, N_MB));
    let told = work.run(["inspect", "b.mcap", "--start", "1700000000000000000"]).exits(0).stdout;
    assert!(told.contains("read: every record, because no index counts records by their time"), "{told}");
}
