//! Pictures as H.264, coded by the `ffmpeg` program with libx264.
//!
//! Every group of frames stands by itself: it starts with a key frame that has its parameter sets in front, no frame is shown
//! before one that is coded earlier, and no choice is left to the encoder as to where a group starts.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use nodedata_core::{DType, Error, ErrorKind, Result};

use crate::{Decoded, VideoCodec, annexb::access_units, is_keyframe, program::Program};

/// How coarse H.264 is where nobody says it: libx264's own constant rate factor.
pub const H264_CRF: u8 = 23;
/// The factors there are. 0, which is coded without loss, takes a profile that hardly any decoder has.
pub const H264_CRFS: RangeInclusive<u8> = 1..=51;
/// Frames from one key frame to the next where nobody says it: any frame is one or two decodings away.
pub const H264_GROUP: u32 = 2;
/// The lengths of groups there are.
pub const H264_GROUPS: RangeInclusive<u32> = 1..=1000;

/// The most pixels of a frame, which are those that decoders here take.
const PIXELS_MAX: u64 = 35_651_584;
/// What libx264 is told beside the factor and the lengths of groups. One thread and no look ahead: the same frames give the same
/// bytes, and few of them are in its memory. The matrix is that of our conversion, whose range is the limited one.
const SETTINGS: &str = "scenecut=0:bframes=0:rc-lookahead=0:sync-lookahead=0:mbtree=0:force-cfr=1:threads=1:\
                        lookahead-threads=1:sliced-threads=0:cpu-independent=1:repeat-headers=1:annexb=1:aud=1:\
                        colormatrix=smpte170m";

/// How pictures are coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct H264Options {
    /// The constant rate factor, of [`H264_CRFS`]: less is finer and larger.
    pub crf: u8,
    /// Frames from one key frame to the next, of [`H264_GROUPS`].
    pub group: u32,
    /// Frames a second: `30`, `29.97` or `30000/1001`.
    pub rate: String,
    /// The `ffmpeg` program.
    pub program: PathBuf,
}

/// Height and width of all frames of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct H264Size {
    /// Rows.
    pub height: u32,
    /// Pixels in a row.
    pub width: u32,
}

impl H264Size {
    /// The size of a picture that can be coded: RGB of 8 bits, with even sides.
    ///
    /// # Errors
    /// `Unsupported` for other pixels and odd sides, `Limit` for more pixels than decoders take, `Corrupt` when the pixels are not as
    /// many as the size says.
    pub fn of(picture: &Decoded) -> Result<Self> {
        let &Decoded { height, width, channels, dtype, ref pixels } = picture;
        let unsupported = |message: String, hint: &str| {
            Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint.to_owned()))
        };
        if (channels, dtype) != (3, DType::UInt8) {
            let message = format!(
                "the picture has {channels} channels of {dtype}, and H.264 is made of three of uint8: red, green and blue"
            );
            return unsupported(message, "store these frames as `encode: png`, which keeps every value");
        }
        if !height.is_multiple_of(2) || !width.is_multiple_of(2) {
            let message = format!(
                "the picture is {height} × {width}, and H.264 takes even sides: two by two pixels share their colour"
            );
            let (height, width) = (height - height % 2, width - width % 2);
            return unsupported(
                message,
                &format!(
                    "put `image/crop: {{height: {height}, width: {width}}}` in front, or `image/resize`"
                ),
            );
        }
        let n_pixels = u64::from(height) * u64::from(width);
        if PIXELS_MAX < n_pixels {
            let message =
                format!("the picture has {height} × {width} pixels, more than the {PIXELS_MAX} of decoders");
            return Err(Error::new(ErrorKind::Limit, message).with_hint("put `image/resize` in front"));
        }
        if n_pixels == 0 || pixels.len() as u64 != 3 * n_pixels {
            let message = format!("{} bytes are no {height} × {width} picture of RGB", pixels.len());
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(Self { height, width })
    }
}

/// An access unit in Annex B form, with a delimiter in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodedPicture {
    /// Its bytes; of a key frame they begin with the parameter sets.
    pub data: Bytes,
    /// Whether decoding can start here.
    pub keyframe: bool,
}

/// One run of the program, which ends with this value: frames go into a pipe, and what comes of them into a file without a name.
///
/// The file, rather than a second pipe, needs no thread that empties it while frames are written.
pub struct H264Encoder {
    program: Program,
    /// `None` once all frames are written.
    frames: Option<ChildStdin>,
    coded: File,
    size: H264Size,
    /// Of one frame.
    planes: Vec<u8>,
    n_frames: usize,
}

impl H264Encoder {
    /// Starts coding pictures of one size.
    ///
    /// # Errors
    /// `Unsupported` when the program does not start; `Io`.
    pub fn start(size: H264Size, options: &H264Options) -> Result<Self> {
        let H264Options { crf, group, rate, program } = options;
        let H264Size { height, width } = size;
        let coded = tempfile::tempfile()?;
        let mut command = Command::new(program);
        command
            .args(["-nostdin", "-v", "error", "-threads", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p"])
            .args(["-s", &format!("{width}x{height}"), "-framerate", rate, "-i", "pipe:0"])
            // Every frame once, whatever its time.
            .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-threads", "1"])
            .args(["-c:v", "libx264", "-preset", "medium", "-crf", &crf.to_string()])
            .args(["-x264-params", &format!("keyint={group}:min-keyint={group}:{SETTINGS}")])
            .args(["-f", "h264", "pipe:1"])
            .stdin(Stdio::piped())
            .stdout(coded.try_clone()?);
        apart(&mut command);
        let mut program =
            Program::start(&mut command).map_err(|err| does_not_run(program).with_source(err))?;
        let frames = program.take_input();
        Ok(Self { program, frames, coded, size, planes: Vec::new(), n_frames: 0 })
    }

    /// The size of all pictures.
    pub fn size(&self) -> H264Size {
        self.size
    }

    /// Whether a picture can be the next.
    ///
    /// # Errors
    /// Those of [`H264Size::of`]; `SchemaMismatch` for a picture of another size.
    pub fn check(&self, picture: &Decoded) -> Result<()> {
        let (found, size) = (H264Size::of(picture)?, self.size);
        if found == size {
            return Ok(());
        }
        let message = format!(
            "the picture is {} × {}, and those before it are {} × {}: all frames of a video have one size",
            found.height, found.width, size.height, size.width
        );
        Err(Error::new(ErrorKind::SchemaMismatch, message).with_hint("put `image/resize` in front"))
    }

    /// Codes the next picture.
    ///
    /// # Errors
    /// Those of [`Self::check`]; `Io` when the program has ended.
    pub fn push(&mut self, picture: &Decoded) -> Result<()> {
        self.check(picture)?;
        to_planes(picture, &mut self.planes);
        let Some(frames) = &mut self.frames else {
            return Err(Error::new(ErrorKind::Io, "a picture comes after the end of the video"));
        };
        if let Err(err) = frames.write_all(&self.planes) {
            // It has ended, and has said why.
            drop(self.program.wait());
            return Err(self.failed(&err.to_string()));
        }
        self.n_frames += 1;
        Ok(())
    }

    /// Says that no picture follows; returns all of them, in their order.
    ///
    /// # Errors
    /// `Io` when the program fails, or does not give what it was asked for.
    pub fn finish(mut self) -> Result<Vec<CodedPicture>> {
        // The end of the pipe is the end of the video.
        drop(self.frames.take());
        let status = self.program.wait()?;
        if !status.success() {
            return Err(self.failed(&status.to_string()));
        }
        let mut stream = Vec::new();
        self.coded.seek(SeekFrom::Start(0))?;
        self.coded.read_to_end(&mut stream)?;
        let units = access_units(&Bytes::from(stream)).unwrap_or_default();
        let picture = |data: Bytes| {
            let keyframe = is_keyframe(VideoCodec::H264, &data)?;
            Some(CodedPicture { data, keyframe })
        };
        let pictures: Vec<CodedPicture> = units.into_iter().map_while(picture).collect();
        if pictures.len() != self.n_frames || pictures.first().is_some_and(|it| !it.keyframe) {
            let (n_frames, n_units) = (self.n_frames, pictures.len());
            return Err(self.failed(&format!("{n_units} access units came of {n_frames} pictures")));
        }
        Ok(pictures)
    }

    fn failed(&self, how: &str) -> Error {
        self.program.failed(ErrorKind::Io, "code", how)
    }
}

/// A signal from the keyboard is this program's to follow: it still writes what it has begun, and that takes the other one.
#[cfg(unix)]
fn apart(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
fn apart(_: &mut Command) {}

/// Who codes: name and version of the program and of its libx264. It codes one picture to find out; a program that did is not asked
/// again.
///
/// # Errors
/// `Unsupported` when it is not there, or has no libx264.
pub fn h264_encoder(program: &Path) -> Result<String> {
    static KNOWN: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(told) = known().get(program) {
        return Ok(told.clone());
    }
    let asked = Command::new(program).arg("-version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = asked.map_err(|err| does_not_run(program).with_source(err))?;
    if !output.status.success() {
        return Err(does_not_run(program));
    }
    let first_line = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    let version = first_line.strip_prefix("ffmpeg version ").unwrap_or(&first_line);
    let version = version.split(" Copyright").next().unwrap_or(version);
    let library = x264(program).map_err(|err| {
        let message = format!("`{}` has no encoder for H.264", program.display());
        Error::new(ErrorKind::Unsupported, message).with_source(err).with_hint(
            "install an FFmpeg with libx264 (`ffmpeg -encoders` names it), or store pictures: `encode: jpeg:90`",
        )
    })?;
    let told = format!("FFmpeg {version}, {library}");
    known().insert(program.to_owned(), told.clone());
    Ok(told)
}

/// Name and version of the library, as it writes them beside the first picture of a video.
fn x264(program: &Path) -> Result<String> {
    const SIDE: u32 = 16;
    let options =
        H264Options { crf: H264_CRF, group: H264_GROUP, rate: "30".to_owned(), program: program.to_owned() };
    let pixels = vec![0; 3 * (SIDE * SIDE) as usize];
    let black = Decoded { height: SIDE, width: SIDE, channels: 3, dtype: DType::UInt8, pixels };
    let mut encoder = H264Encoder::start(H264Size { height: SIDE, width: SIDE }, &options)?;
    encoder.push(&black)?;
    let pictures = encoder.finish()?;
    let text = pictures.first().map(|it| String::from_utf8_lossy(&it.data)).unwrap_or_default();
    let core = text.split_once("x264 - core ").and_then(|(_, it)| it.split_once(" - "));
    Ok(core.map_or_else(|| "libx264".to_owned(), |(core, _)| format!("x264 core {core}")))
}

fn does_not_run(program: &Path) -> Error {
    let message = format!("the program `{}` does not run, and H.264 is coded by it", program.display());
    Error::new(ErrorKind::Unsupported, message).with_hint(
        "install FFmpeg, put its `ffmpeg` on the PATH, or name it in NODEDATA_FFMPEG; `encode: jpeg:90` needs none",
    )
}

/// A picture of RGB as planes of luma and of chroma at half the size: BT.601 of limited range, in 16.16 fixed point. Four pixels
/// share the chroma of their mean.
fn to_planes(picture: &Decoded, planes: &mut Vec<u8>) {
    let (width, height) = (picture.width as usize, picture.height as usize);
    planes.clear();
    planes.resize(width * height / 2 * 3, 0);
    let (luma, chroma) = planes.split_at_mut(width * height);
    let (u, v) = chroma.split_at_mut(width * height / 4);
    for (y, [red, green, blue]) in luma.iter_mut().zip(picture.pixels.as_chunks::<3>().0) {
        let weighed = 16_829 * i32::from(*red) + 33_039 * i32::from(*green) + 6_416 * i32::from(*blue);
        *y = ((weighed + (16 << 16) + (1 << 15)) >> 16) as u8;
    }
    let pairs_of_rows = picture.pixels.chunks_exact(6 * width);
    for ((u, v), rows) in u.chunks_exact_mut(width / 2).zip(v.chunks_exact_mut(width / 2)).zip(pairs_of_rows)
    {
        let (above, below) = rows.split_at(3 * width);
        let fours = above.as_chunks::<6>().0.iter().zip(below.as_chunks::<6>().0);
        for ((u, v), (above, below)) in u.iter_mut().zip(v).zip(fours) {
            let sum = |channel: usize| {
                let of = |row: &[u8; 6]| i32::from(row[channel]) + i32::from(row[channel + 3]);
                of(above) + of(below)
            };
            let (red, green, blue) = (sum(0), sum(1), sum(2));
            // Of four values: two bits more.
            let value = |weighed: i32| ((weighed + (128 << 18) + (1 << 17)) >> 18) as u8;
            *u = value(28_784 * blue - 9_714 * red - 19_070 * green);
            *v = value(28_784 * red - 24_103 * green - 4_681 * blue);
        }
    }
}

#[cfg(test)]
mod tests;
