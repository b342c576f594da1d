use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    fs::File,
    io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use nodedata_core::{Error, ErrorKind, Result};

use super::{
    Chroma, DecodeOptions, FrameDecoder, VideoFrame,
    nal::{Config, Framing, units},
    ppm,
    stream_color::{self, Color},
    vp9,
    y4m::{self, Header},
};
use crate::{VideoCodec, mp4::esds::Stream, program::Program};

/// The `ffmpeg` program: samples go into a temporary file, frames come back through a pipe.
///
/// The file, rather than a second pipe, needs no thread to feed it and bounds memory to one frame.
pub(super) struct Ffmpeg {
    program: PathBuf,
    codec: VideoCodec,
    config: Vec<u8>,
    framing: Framing,
    color: Color,
    pixels_max: u64,
    stage: Stage,
    orders: BinaryHeap<Reverse<i64>>,
}

enum Stage {
    /// Taking samples.
    Feeding(BufWriter<File>),
    /// Giving frames.
    Reading(Running),
    Done,
}

struct Running {
    program: Program,
    frames: BufReader<ChildStdout>,
    header: Option<Header>,
    _samples: File,
}

impl Ffmpeg {
    pub(super) fn new(codec: VideoCodec, config: &[u8], options: &DecodeOptions) -> Result<Self> {
        if !runs(&options.ffmpeg) {
            let message = format!("the program `{}` does not run", options.ffmpeg.display());
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("install FFmpeg, put its `ffmpeg` on the PATH, or name it in NODEDATA_FFMPEG"));
        }
        let Start { samples, framing, color } = Start::new(codec, config)?;
        Ok(Self {
            program: options.ffmpeg.clone(),
            codec,
            config: config.to_vec(),
            framing,
            color,
            pixels_max: options.pixels_max,
            stage: Stage::Feeding(samples),
            orders: BinaryHeap::new(),
        })
    }

    fn start(&self, samples: File) -> Result<Running> {
        let format = match self.codec {
            VideoCodec::H264 => "h264",
            VideoCodec::H265 => "hevc",
            VideoCodec::Av1 | VideoCodec::Vp9 => "ivf",
            VideoCodec::Mpeg2 => "mpegvideo",
            VideoCodec::Mpeg4 => "m4v",
            VideoCodec::Mjpeg => "mjpeg",
        };
        let output: &[&str] = if self.color.is_rgb {
            // YUV4MPEG2 has no RGB: the program would turn it to YUV.
            &["-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe"]
        } else {
            // The planes as they are, at any depth.
            &["-strict", "-1", "-f", "yuv4mpegpipe"]
        };
        let mut command = Command::new(&self.program);
        command
            .args(["-nostdin", "-v", "error", "-threads", "1", "-f", format, "-i", "pipe:0"])
            // Every frame once, whatever its time.
            .args(["-map", "0:v:0", "-fps_mode", "passthrough"])
            .args(output)
            .arg("pipe:1")
            .stdin(samples.try_clone()?)
            .stdout(Stdio::piped());
        let mut program = Program::start(&mut command)?;
        let Some(frames) = program.take_output() else {
            return Err(Error::new(ErrorKind::Io, "the output of `ffmpeg` cannot be read"));
        };
        Ok(Running { program, frames: BufReader::new(frames), header: None, _samples: samples })
    }
}

/// A file of samples in front of the first, and what the configuration says.
struct Start {
    samples: BufWriter<File>,
    framing: Framing,
    color: Color,
}

impl Start {
    fn new(codec: VideoCodec, config: &[u8]) -> Result<Self> {
        let mut samples = BufWriter::new(tempfile::tempfile()?);
        let (framing, color) = match codec {
            VideoCodec::H264 | VideoCodec::H265 => {
                let Config { framing, parameter_sets } = Config::parse(codec, config)?;
                write_annex_b(&mut samples, &parameter_sets)?;
                (framing, stream_color::of_parameter_sets(codec, &parameter_sets))
            }
            VideoCodec::Av1 | VideoCodec::Vp9 => {
                samples.write_all(&ivf_header(codec))?;
                (Framing::AnnexB, Color::default())
            }
            VideoCodec::Mpeg2 | VideoCodec::Mpeg4 => {
                // The headers that samples of a file do without.
                let stream = Stream::parse(config).ok_or_else(|| {
                    let message = format!("the configuration of the {} video is damaged", codec.name());
                    Error::new(ErrorKind::Corrupt, message)
                })?;
                samples.write_all(stream.specific)?;
                (Framing::AnnexB, Color::default())
            }
            VideoCodec::Mjpeg => (Framing::AnnexB, Color { full_range: true, ..Color::default() }),
        };
        Ok(Self { samples, framing, color })
    }
}

impl FrameDecoder for Ffmpeg {
    fn decode(&mut self, sample: &[u8], order: i64) -> Result<()> {
        let Stage::Feeding(samples) = &mut self.stage else {
            return Err(Error::new(ErrorKind::Corrupt, "a sample comes after the end of the video"));
        };
        let is_first = self.orders.is_empty();
        match self.codec {
            VideoCodec::H264 | VideoCodec::H265 => {
                let units = units(sample, self.framing)?;
                if is_first && self.config.is_empty() {
                    self.color = stream_color::of_parameter_sets(self.codec, &units);
                }
                write_annex_b(samples, &units)?;
            }
            VideoCodec::Mpeg2 | VideoCodec::Mpeg4 | VideoCodec::Mjpeg => samples.write_all(sample)?,
            VideoCodec::Av1 | VideoCodec::Vp9 => {
                if is_first && self.codec == VideoCodec::Vp9 {
                    self.color = vp9::color(sample).unwrap_or_default();
                }
                let n_bytes = u32::try_from(sample.len())
                    .map_err(|_| Error::new(ErrorKind::Limit, "a sample has more than 4 GiB"))?;
                samples.write_all(&n_bytes.to_le_bytes())?;
                samples.write_all(&(self.orders.len() as u64).to_le_bytes())?;
                samples.write_all(sample)?;
            }
        }
        self.orders.push(Reverse(order));
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let Stage::Feeding(samples) = std::mem::replace(&mut self.stage, Stage::Done) else { return Ok(()) };
        let mut samples = samples.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        samples.seek(SeekFrom::Start(0))?;
        if !self.orders.is_empty() {
            self.stage = Stage::Reading(self.start(samples)?);
        }
        Ok(())
    }

    fn next_frame(&mut self) -> Result<Option<VideoFrame>> {
        let Stage::Reading(running) = &mut self.stage else { return Ok(None) };
        if self.color.is_rgb {
            let Some(picture) = ppm::read(&mut running.frames, self.pixels_max)? else {
                running.end()?;
                self.stage = Stage::Done;
                return Ok(None);
            };
            running.check_messages()?;
            let order = next_order(&mut self.orders)?;
            return Ok(Some(VideoFrame::of_rgb(picture.width, picture.height, &picture.pixels, order)?));
        }
        if running.header.is_none() && !running.frames.fill_buf()?.is_empty() {
            running.header = Some(Header::read(&mut running.frames, self.pixels_max)?);
        }
        let planes = match &running.header {
            Some(header) => y4m::read_planes(&mut running.frames, header)?,
            None => None,
        };
        let (Some(planes), Some(header)) = (planes, &running.header) else {
            running.end()?;
            self.stage = Stage::Done;
            return Ok(None);
        };
        running.check_messages()?;
        let order = next_order(&mut self.orders)?;
        let chroma = if self.color.filled_chroma { Chroma::None } else { header.chroma };
        let planes = planes.into_iter().take(chroma.n_planes()).collect();
        let frame = VideoFrame {
            order,
            width: header.width,
            height: header.height,
            chroma,
            bit_depth: header.bit_depth,
            full_range: header.full_range || self.color.full_range,
            matrix: self.color.matrix,
            planes,
        };
        Ok(Some(frame.checked()?))
    }

    fn reset(&mut self) -> Result<()> {
        let Start { samples, framing, color } = Start::new(self.codec, &self.config)?;
        // A program that still runs ends here.
        self.stage = Stage::Feeding(samples);
        (self.framing, self.color) = (framing, color);
        self.orders.clear();
        Ok(())
    }
}

impl Running {
    /// Takes what the program has said so far as an error: it goes on after damage, with frames that it made up, and we do not.
    fn check_messages(&self) -> Result<()> {
        if self.program.has_spoken()? { Err(self.failed("it says so")) } else { Ok(()) }
    }

    /// Waits for the program, and looks at how it ended.
    fn end(&mut self) -> Result<()> {
        let status = self.program.wait()?;
        if !status.success() {
            return Err(self.failed(&status.to_string()));
        }
        self.check_messages()
    }

    fn failed(&self, how: &str) -> Error {
        self.program.failed(ErrorKind::Corrupt, "decode", how)
    }
}

/// Whether the program is there and runs; one that did is not asked again.
fn runs(program: &Path) -> bool {
    static KNOWN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known().contains(program) {
        return true;
    }
    let mut asked = Command::new(program);
    asked.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let runs = asked.status().is_ok_and(|it| it.success());
    if runs {
        known().insert(program.to_owned());
    }
    runs
}

/// What the frame carries that comes next.
fn next_order(orders: &mut BinaryHeap<Reverse<i64>>) -> Result<i64> {
    let next = orders.pop().map(|it| it.0);
    next.ok_or_else(|| Error::new(ErrorKind::Corrupt, "`ffmpeg` gave more frames than samples"))
}

fn write_annex_b(out: &mut impl Write, units: &[&[u8]]) -> Result<()> {
    for unit in units {
        out.write_all(&[0, 0, 0, 1])?;
        out.write_all(unit)?;
    }
    Ok(())
}

/// Size, rate and count of frames are not looked at: the samples' own headers tell.
fn ivf_header(codec: VideoCodec) -> Vec<u8> {
    let mut header = b"DKIF\0\0\x20\0".to_vec();
    header.extend_from_slice(if codec == VideoCodec::Vp9 { b"VP90" } else { b"AV01" });
    header.extend_from_slice(&[16, 0, 16, 0, 30, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    header
}
