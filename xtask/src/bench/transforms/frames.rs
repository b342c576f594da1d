//! Frames of a camera in a file of their own, and what `nodedata-media` makes of them: the work of the transforms, and nothing else.

use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use nodedata_core::DType;
use nodedata_media::{
    Decoded, ImageShape, decode_image, encode_jpeg,
    resize::{Resampling, Resize},
};

use crate::{
    bench::{
        inputs::Mix,
        pictures::{self, HEIGHT, WIDTH},
    },
    workspace::Result,
};

/// Changes when the bytes made here change, so that old files are not used.
const GENERATION: u32 = 1;
/// Frames of a file: a second of work or more.
pub(super) const N_FRAMES: u64 = 256;
/// Height and width of what is made of them.
const SMALL: [u32; 2] = [224, 224];
/// Quality of the JPEG that is made of them.
const QUALITY: u8 = 90;

/// Frames behind their lengths, little endian on four bytes.
#[derive(Debug, Clone)]
pub(super) struct Frames {
    pub(super) path: PathBuf,
    pub(super) is_jpeg: bool,
}

/// The first frames of a recording of this mix, unless they are there from an earlier run.
///
/// # Errors
/// When they cannot be made or written.
pub(super) fn make(folder: &Path, mix: Mix) -> Result<Frames> {
    first(folder, mix, N_FRAMES)
}

fn first(folder: &Path, mix: Mix, n_frames: u64) -> Result<Frames> {
    let is_jpeg = mix == Mix::Jpeg;
    let kind = if is_jpeg { "jpeg" } else { "raw" };
    let path = folder.join(format!("frames-{kind}-{n_frames}-v{GENERATION}.bin"));
    if path.is_file() {
        return Ok(Frames { path, is_jpeg });
    }
    eprintln!("making {}", path.display());
    let failed = |err: std::io::Error| format!("cannot make {}: {err}", path.display());
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let mut file = BufWriter::new(fs::File::create(&partial).map_err(failed)?);
    // They repeat, and take long to make.
    let different: Vec<Vec<u8>> = match is_jpeg {
        true => (0..pictures::N_JPEG.min(n_frames)).map(pictures::jpeg).collect::<Result<_>>()?,
        false => (0..pictures::N_RAW.min(n_frames)).map(pictures::camera).collect(),
    };
    let mut frame = Vec::new();
    for (idx, picture) in (0..n_frames).zip(different.iter().cycle()) {
        if is_jpeg {
            pictures::stamp_jpeg(picture, idx, &mut frame);
        } else {
            pictures::roll(picture, idx, &mut frame);
        }
        let length = u32::try_from(frame.len()).map_err(|err| err.to_string())?;
        file.write_all(&length.to_le_bytes()).and_then(|()| file.write_all(&frame)).map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    drop(file);
    fs::rename(&partial, &path).map_err(failed)?;
    Ok(Frames { path, is_jpeg })
}

/// Reads every frame of a file, decodes it if it is JPEG, resizes it and makes JPEG of it, on one thread.
///
/// # Errors
/// When the file is not what [`make`] writes.
pub(in crate::bench) fn transform(path: &Path, n_frames: u64, is_jpeg: bool) -> Result<()> {
    let content = fs::read(path).map_err(|err| format!("cannot read {}: {err}", path.display()))?;
    let told = |err: nodedata_core::Error| err.chain();
    let shape =
        ImageShape { height: u32::from(HEIGHT), width: u32::from(WIDTH), channels: 3, dtype: DType::UInt8 };
    let mut resize = Resize::new(shape, SMALL, Resampling::Triangle).map_err(told)?;
    let [height, width] = SMALL;
    let (mut n_made, mut n_bytes, mut rest) = (0, 0, content.as_slice());
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let (frame, next) = behind.split_at_checked(length).ok_or("the file of frames is cut off")?;
        rest = next;
        let mut pixels = vec![0; 3 * (height * width) as usize];
        if is_jpeg {
            resize.resize(&decode_image(frame).map_err(told)?.pixels, &mut pixels).map_err(told)?;
        } else {
            resize.resize(frame, &mut pixels).map_err(told)?;
        }
        let small = Decoded { height, width, channels: 3, dtype: DType::UInt8, pixels };
        n_bytes += encode_jpeg(&small, QUALITY).map_err(told)?.len();
        n_made += 1;
    }
    if n_made != n_frames {
        return Err(format!("{} has {n_made} frames instead of {n_frames}", path.display()));
    }
    println!("{n_made} frames, {n_bytes} bytes");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_made_small_and_a_cut_file_is_refused() {
        let folder = std::env::temp_dir().join(format!("xtask-frames-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let raw = first(&folder, Mix::Camera, 2).unwrap();
        transform(&raw.path, 2, false).unwrap();
        let made = first(&folder, Mix::Jpeg, 3).unwrap();
        assert!(made.is_jpeg && !raw.is_jpeg);
        transform(&made.path, 3, true).unwrap();
        assert!(transform(&made.path, 4, true).unwrap_err().contains("3 frames instead of 4"));
        let content = fs::read(&made.path).unwrap();
        fs::write(&made.path, &content[..content.len() - 1]).unwrap();
        assert!(transform(&made.path, 3, true).unwrap_err().contains("cut off"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
