//! Any bytes in the place of one file of metadata of a small LeRobot dataset, whose pointers are then audited.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nodedata_core::{Format as _, OpenOptions};
use nodedata_io::MemoryFiles;
use nodedata_lerobot::LEROBOT;

/// The files of a dataset, by name, from the fixtures.
macro_rules! files {
    ($set:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../fixtures/lerobot/", $set, "/", $name)) as &[u8])),+]
    };
}

type Files = &'static [(&'static str, &'static [u8])];

/// Metadata as JSON lines, a Parquet file an episode.
const V21: Files = files!("v21_simple":
    "meta/info.json", "meta/tasks.jsonl", "meta/episodes.jsonl", "meta/episodes_stats.jsonl",
    "data/chunk-000/episode_000000.parquet", "data/chunk-000/episode_000001.parquet",
    "data/chunk-000/episode_000002.parquet",
    "videos/chunk-000/observation.images.front/episode_000000.mp4",
    "videos/chunk-000/observation.images.front/episode_000001.mp4",
    "videos/chunk-000/observation.images.front/episode_000002.mp4",
    "videos/chunk-000/observation.images.wrist/episode_000000.mp4",
    "videos/chunk-000/observation.images.wrist/episode_000001.mp4",
    "videos/chunk-000/observation.images.wrist/episode_000002.mp4",
);
/// Metadata in Parquet files.
const V30: Files = files!("v30_image":
    "meta/info.json", "meta/tasks.parquet", "meta/stats.json", "meta/episodes/chunk-000/file-000.parquet",
    "data/chunk-000/file-000.parquet",
);

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let set = if choice & 1 == 0 { V21 } else { V30 };
    let n_meta = set.iter().filter(|it| it.0.starts_with("meta/")).count();
    let replaced = usize::from(choice >> 1) % n_meta;
    let mut files = MemoryFiles::default();
    for (idx, (name, whole)) in set.iter().enumerate() {
        let bytes = if idx == replaced { bytes } else { whole };
        files = files.with(*name, bytes.to_vec());
    }
    let files = Arc::new(files);
    for salvage in [false, true] {
        // Damage is an error; only a crash, or memory without bound, is a finding.
        let options = OpenOptions { salvage, record_bytes_max: 8 << 20, ..OpenOptions::default() };
        drop(LEROBOT.open(Arc::clone(&files) as _, &options));
    }
});
