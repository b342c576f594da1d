//! RLDS datasets with one thing wrong, as the tests of the format have them: what the command says, what it saves, and how
//! much memory that takes.

#[path = "../../crates/nodedata-rlds/tests/built/mod.rs"]
pub(crate) mod built;

use built::damaged::{self, Damaged, Outcome};

use crate::command::{Work, for_each};

/// What a conversion may take of the heap, whatever the lengths in a file of a few kilobytes say, and however many keys there
/// are in one of 150 MB.
const HEAP_BYTES_MAX: u64 = 64 << 20;

#[test]
fn every_kind_is_refused_with_its_address_and_salvaged() {
    for_each(&damaged::all(10_000_000), check);
}

fn check(case: &Damaged) {
    let name = case.name;
    let work = Work::new();
    for (path, bytes) in &case.files {
        work.write(&format!("src/{}", path.display()), bytes);
    }
    let ran = work.run(["convert", "src", "--out", "out"]);
    let told = ran.stderr.clone();
    assert_eq!(ran.code, 1, "{name}: {told}");
    for part in case.place.iter().chain([&case.told, &"hint: "]) {
        assert!(told.contains(part), "{name}: `{part}` is not in {told}");
    }
    assert!(!work.path("out").exists(), "{name}: there is a dataset");

    let ran = work.run(["convert", "src", "--out", "out", "--on-error", "salvage"]);
    let Outcome::Salvaged(n_steps) = case.outcome else {
        assert_eq!(ran.code, 1, "{name}: {}", ran.stderr);
        assert!(!work.path("out").exists(), "{name}: there is a dataset");
        return;
    };
    assert_eq!(ran.code, 3, "{name}: {}", ran.stderr);
    let validated = work.run(["validate", "--deep", "out", "--format", "json"]).exits(0).json();
    assert_eq!(validated["rows"], n_steps, "{name}");
    let report = work.json("out/report.json");
    assert_eq!(report["result"], "incomplete", "{name}");
    let heap = report["peak_heap_bytes"].as_u64().unwrap_or_else(|| panic!("{name}: {report}"));
    assert!(heap < HEAP_BYTES_MAX, "{name}: {heap} bytes on the heap");
}
