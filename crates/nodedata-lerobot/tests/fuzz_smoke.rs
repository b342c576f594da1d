//! What the fuzz target `lerobot_meta` does, for a few hundred seeded mutations on a stable compiler.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use nodedata_core::{Format as _, OpenOptions};
use nodedata_io::MemoryFiles;
use nodedata_lerobot::LEROBOT;
use nodedata_testkit::{corpus, damaged::Random, lerobot::Folder};

/// Mutations of each file of metadata.
const ROUNDS: usize = 60;

/// Damages one file of metadata after the other. Opening ends, with an error that names a place or without one;
/// returns how often it did which.
fn open_damaged(set: &str, random: &mut Random) -> (usize, usize) {
    let whole = Folder::read(&corpus::fixtures("lerobot").join(set)).to_files();
    let (mut n_opened, mut n_refused) = (0, 0);
    for (name, content) in whole.iter().filter(|it| it.0.starts_with("meta")) {
        for round in 0..ROUNDS {
            let mut damaged = content.to_vec();
            random.damage(&mut damaged);
            let options =
                OpenOptions { salvage: round % 2 == 1, record_bytes_max: 8 << 20, ..OpenOptions::default() };
            match open(&whole, name, &damaged.into(), &options) {
                Ok(()) => n_opened += 1,
                Err(err) => {
                    assert!(err.locus().path.is_some(), "{}: no path: {err}", name.display());
                    n_refused += 1;
                }
            }
        }
    }
    (n_opened, n_refused)
}

fn open(
    whole: &[(PathBuf, Bytes)],
    damaged: &Path,
    content: &Bytes,
    options: &OpenOptions,
) -> nodedata_core::Result<()> {
    let mut files = MemoryFiles::default();
    for (name, bytes) in whole {
        files = files.with(name, if name == damaged { content.clone() } else { bytes.clone() });
    }
    LEROBOT.open(Arc::new(files), options).map(drop)
}

#[test]
fn damaged_metadata_in_json() {
    let (n_opened, n_refused) = open_damaged("v21_simple", &mut Random::new(7));
    assert!(n_opened > 20 && n_refused > 20, "{n_opened} opened, {n_refused} refused");
}

#[test]
fn damaged_metadata_in_parquet() {
    for set in ["v30_image", "v30_video_h264"] {
        let (n_opened, n_refused) = open_damaged(set, &mut Random::new(9));
        assert!(n_opened > 20 && n_refused > 20, "{set}: {n_opened} opened, {n_refused} refused");
    }
}
