//! Sets whose video is real, for what decodes it: made by FFmpeg with LeRobot's own settings.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    set::{Set, kept, make_parent},
    shape::{CAMERAS, Layout, RATE_HZ, Shape},
};
use crate::{
    python_environment,
    workspace::{self, Result},
};

/// Changes when the video changes, so that old sets are not used.
const GENERATION: u32 = 1;
/// Even, so that each episode starts with a key frame.
const EPISODE_STEPS: u64 = 76;

/// How the video is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    H264,
    Av1,
    /// What no decoder of ours takes: the `ffmpeg` program does.
    Vp9,
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Av1 => "av1",
            Self::Vp9 => "vp9",
        }
    }

    fn encoder(self) -> &'static str {
        match self {
            Self::H264 => "libx264",
            Self::Av1 => "libsvtav1",
            Self::Vp9 => "libvpx-vp9",
        }
    }

    /// What LeRobot sets: a key frame every other frame, and its quality.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::H264 => &["-g", "2", "-crf", "30"],
            Self::Av1 => &["-g", "2", "-crf", "30", "-preset", "12"],
            Self::Vp9 => &["-g", "2", "-crf", "30", "-b:v", "0", "-deadline", "realtime", "-cpu-used", "8"],
        }
    }
}

/// The FFmpeg on the PATH, or the one that the package `imageio-ffmpeg` brings.
///
/// # Errors
/// When there is none and none can be installed.
pub(super) fn ffmpeg() -> Result<PathBuf> {
    if workspace::works(Command::new("ffmpeg").arg("-version")) {
        return Ok("ffmpeg".into());
    }
    const PACKAGE: &str = "imageio-ffmpeg";
    let python = python_environment::install("venv-ffmpeg", &[PACKAGE.as_ref()], PACKAGE)?;
    let find = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())";
    Ok(workspace::stdout_of(Command::new(python).args(["-c", find]))?.trim().into())
}

/// Whether this FFmpeg can make such video.
pub(super) fn can_encode(ffmpeg: &Path, codec: Codec) -> bool {
    let encoders = workspace::stdout_of(Command::new(ffmpeg).args(["-hide_banner", "-encoders"]));
    encoders.is_ok_and(|it| it.contains(codec.encoder()))
}

/// What is filmed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Film {
    pub(super) codec: Codec,
    /// Height and width.
    pub(super) size: [u16; 2],
    /// Of 76 steps each.
    pub(super) n_episodes: u64,
}

/// Makes a set of a few hundred frames a camera, unless it is there from an earlier run.
///
/// # Errors
/// When FFmpeg fails or the set cannot be written.
pub(super) fn make(folder: &Path, name: &str, film: Film, ffmpeg: &Path) -> Result<Set> {
    let Film { codec, size, n_episodes } = film;
    let lengths = (0..n_episodes).map(|_| EPISODE_STEPS);
    let shape = Shape::new(Layout::V30, codec.name(), lengths, n_episodes, n_episodes).with_size(size);
    kept(folder, name, &format!("v{GENERATION}"), &shape, |root| {
        for (idx, camera) in CAMERAS.iter().enumerate() {
            let path = root.join(shape.video_path(camera, 0));
            make_parent(&path)?;
            encode(ffmpeg, film, idx, shape.n_steps(), &path)?;
        }
        Ok(())
    })
}

/// A moving test picture with a sensor's grain; each camera sees it from another side.
fn encode(ffmpeg: &Path, film: Film, camera: usize, n_frames: u64, path: &Path) -> Result<()> {
    let Film { codec, size: [height, width], .. } = film;
    let side = if camera == 0 { "null" } else { "hflip" };
    let source = format!(
        "testsrc2=size={width}x{height}:rate={RATE_HZ},{side},noise=alls=8:allf=t:all_seed={}",
        camera + 1
    );
    let mut command = Command::new(ffmpeg);
    command
        .args(["-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i", &source])
        .args(["-frames:v", &n_frames.to_string(), "-c:v", codec.encoder()])
        .args(codec.settings())
        .args(["-pix_fmt", "yuv420p", "-movflags", "+faststart"])
        .arg(path);
    workspace::stdout_of(&mut command).map(drop)
}
