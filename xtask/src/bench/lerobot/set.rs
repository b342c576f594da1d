//! Sets on disk: a thousand short episodes with two cameras, whose video is noise.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    meta, mp4,
    shape::{CAMERAS, Episode, Layout, Shape},
    tables,
};
use crate::{
    bench::{noise::Noise, reference},
    workspace::Result,
};

/// Changes when the bytes made here change, so that old sets are not used.
const GENERATION: u32 = 1;

/// Episodes of a set.
const N_EPISODES: u64 = 1000;
/// Where files are shared, so many episodes share one; the two roll over apart, as LeRobot's do.
const EPISODES_PER_DATA_FILE: u64 = 100;
const EPISODES_PER_VIDEO_FILE: u64 = 64;
/// What a step takes in Parquet, about.
const STEP_BYTES: u64 = 70;

/// A LeRobot set on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) n_files: u64,
    /// Of all files.
    pub(super) n_bytes: u64,
    pub(super) n_episodes: u64,
    pub(super) n_steps: u64,
    /// Of all cameras.
    pub(super) n_frames: u64,
}

/// Makes a set of `mb` megabytes, unless it is there from an earlier run.
///
/// # Errors
/// When it cannot be written.
pub(super) fn make(folder: &Path, name: &str, layout: Layout, mb: u64) -> Result<Set> {
    let (per_data_file, per_video_file) = match layout {
        Layout::V21 => (1, 1),
        Layout::V30 => (EPISODES_PER_DATA_FILE, EPISODES_PER_VIDEO_FILE),
    };
    let mut noise = Noise::new(11);
    // Even, because each episode starts with a key frame, and those come every other frame.
    let lengths = (0..N_EPISODES).map(|_| 40 + 2 * (noise.next() % 11));
    let shape = Shape::new(layout, "h264", lengths, per_data_file, per_video_file);
    let step_bytes = (mb * 1_000_000 / shape.n_steps()).saturating_sub(STEP_BYTES);
    let frame_bytes = (step_bytes / CAMERAS.len() as u64).clamp(64, 1 << 20) as u32;
    kept(folder, name, &format!("{mb}mb-v{GENERATION}"), &shape, |root| {
        for camera in CAMERAS {
            for episodes in by_file(&shape.episodes, |it| it.video_file) {
                let path = root.join(shape.video_path(camera, episodes[0].video_file));
                let n_frames: u64 = episodes.iter().map(|it| it.n_steps).sum();
                let sizes: Vec<u32> =
                    (0..n_frames as usize).map(|it| sample_bytes(it, frame_bytes, &mut noise)).collect();
                write_video(&path, &sizes, &mut noise)?;
            }
        }
        Ok(())
    })
}

/// Key frames take three times what others take.
fn sample_bytes(idx: usize, mean: u32, noise: &mut Noise) -> u32 {
    let usual = if mp4::is_keyframe(idx) { 1.5 } else { 0.5 };
    let varied = f64::from(mean) * usual * (1.0 + 0.25 * noise.signed_unit());
    (varied as u32).max(mp4::SAMPLE_BYTES_MIN)
}

fn write_video(path: &Path, sizes: &[u32], noise: &mut Noise) -> Result<()> {
    let failed = |err: std::io::Error| format!("cannot write {}: {err}", path.display());
    make_parent(path)?;
    let mut target = BufWriter::new(File::create(path).map_err(failed)?);
    mp4::write(&mut target, sizes, super::shape::RATE_HZ, noise).map_err(failed)?;
    target.flush().map_err(failed)
}

/// Makes the folder that a file is to lie in.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), meta::make_folder)
}

/// A set from an earlier run, or a new one: `write_videos` puts its videos below the root it is given.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn kept(
    folder: &Path,
    name: &str,
    variant: &str,
    shape: &Shape,
    write_videos: impl FnOnce(&Path) -> Result<()>,
) -> Result<Set> {
    let path = folder.join(format!("{name}-{variant}"));
    // Beside the set, not in it: every file in it counts.
    let facts = folder.join(format!("{name}-{variant}.json"));
    let known = fs::read(&facts).ok().and_then(|it| serde_json::from_slice::<Set>(&it).ok());
    if let Some(set) = known.filter(|_| path.is_dir()) {
        return Ok(Set { path, ..set });
    }
    eprintln!("making {}", path.display());
    let failed = |err: &dyn std::fmt::Display| format!("cannot make {}: {err}", path.display());
    // Two runs at once must not write into one folder: each has its own until it is whole.
    let partial = folder.join(format!("{name}-{variant}.{}.partial", std::process::id()));
    meta::write(&partial, shape)?;
    for episodes in by_file(&shape.episodes, |it| it.data_file) {
        let path = partial.join(shape.data_path(episodes[0].data_file));
        make_parent(&path)?;
        tables::write_steps(&path, episodes)?;
    }
    write_videos(&partial)?;
    crate::bench::remove(&path)?;
    fs::rename(&partial, &path).map_err(|err| failed(&err))?;
    let files = reference::files_of(&path)?;
    let mut n_bytes = 0;
    for file in &files {
        n_bytes += fs::metadata(file).map_err(|err| failed(&err))?.len();
    }
    let set = Set {
        name: name.to_owned(),
        path: path.clone(),
        n_files: files.len() as u64,
        n_bytes,
        n_episodes: shape.episodes.len() as u64,
        n_steps: shape.n_steps(),
        n_frames: shape.n_steps() * CAMERAS.len() as u64,
    };
    let json = serde_json::to_vec_pretty(&set).map_err(|err| failed(&err))?;
    fs::write(&facts, json).map_err(|err| failed(&err))?;
    Ok(set)
}

/// Runs of episodes that lie in one file.
fn by_file(episodes: &[Episode], file: impl Fn(&Episode) -> u64) -> impl Iterator<Item = &[Episode]> {
    episodes.chunk_by(move |one, two| file(one) == file(two))
}
