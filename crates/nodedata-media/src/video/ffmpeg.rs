use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use nodedata_core::{Error, ErrorKind, Result};

use super::{
    Chroma, DecodeOptions, FrameDecoder, VideoFrame,
    nal::{Config, Framing, units},
    stream_color::{self, Color},
    y4m::{self, Header},
};
use crate::VideoCodec;

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
    child: Child,
    frames: BufReader<ChildStdout>,
    header: Option<Header>,
    /// What the program has to say, on files without a name.
    messages: File,
    _samples: File,
}

impl Ffmpeg {
    pub(super) fn new(codec: VideoCodec, config: &[u8], options: &DecodeOptions) -> Result<Self> {
        let works = Command::new(&options.ffmpeg)
            .arg("-version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|it| it.success());
        if !works {
            let message = format!("the program `{}` does not run", options.ffmpeg.display());
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("install FFmpeg, or put its `ffmpeg` on the PATH"));
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
            VideoCodec::Av1 | VideoCodec::Vp9 | VideoCodec::Mpeg4 => "ivf",
        };
        let messages = tempfile::tempfile()?;
        let mut child = Command::new(&self.program)
            .args(["-nostdin", "-v", "error", "-threads", "1", "-f", format, "-i", "pipe:0"])
            // Every frame once, whatever its time; the planes as they are, at any depth.
            .args([
                "-map",
                "0:v:0",
                "-fps_mode",
                "passthrough",
                "-strict",
                "-1",
                "-f",
                "yuv4mpegpipe",
                "pipe:1",
            ])
            .stdin(samples.try_clone()?)
            .stdout(Stdio::piped())
            .stderr(messages.try_clone()?)
            .spawn()?;
        let Some(frames) = child.stdout.take() else {
            return Err(Error::new(ErrorKind::Io, "the output of `ffmpeg` cannot be read"));
        };
        Ok(Running { child, frames: BufReader::new(frames), header: None, messages, _samples: samples })
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
            VideoCodec::Av1 => {
                samples.write_all(&ivf_header())?;
                (Framing::AnnexB, Color::default())
            }
            VideoCodec::Vp9 | VideoCodec::Mpeg4 => {
                let message = format!("{} video is not decoded", codec.name());
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        };
        Ok(Self { samples, framing, color })
    }
}

impl FrameDecoder for Ffmpeg {
    fn decode(&mut self, sample: &[u8], order: i64) -> Result<()> {
        let Stage::Feeding(samples) = &mut self.stage else {
            return Err(Error::new(ErrorKind::Corrupt, "a sample comes after the end of the video"));
        };
        match self.codec {
            VideoCodec::H264 | VideoCodec::H265 => write_annex_b(samples, &units(sample, self.framing)?)?,
            VideoCodec::Av1 | VideoCodec::Vp9 | VideoCodec::Mpeg4 => {
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
        let Some(Reverse(order)) = self.orders.pop() else {
            return Err(Error::new(ErrorKind::Corrupt, "`ffmpeg` gave more frames than samples"));
        };
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
    /// Waits for the program, and takes what it said as an error: it goes on after damage, which we do not.
    fn end(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        let mut said = String::new();
        self.messages.seek(SeekFrom::Start(0))?;
        (&mut self.messages).take(4096).read_to_string(&mut said)?;
        if status.success() && said.trim().is_empty() {
            return Ok(());
        }
        let cause = std::io::Error::other(said.trim().to_owned());
        Err(Error::new(ErrorKind::Corrupt, format!("`ffmpeg` could not decode the video ({status})"))
            .with_source(cause))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Neither matters for a program that has ended, and there is nobody to tell for one that has not.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn write_annex_b(out: &mut impl Write, units: &[&[u8]]) -> Result<()> {
    for unit in units {
        out.write_all(&[0, 0, 0, 1])?;
        out.write_all(unit)?;
    }
    Ok(())
}

/// Size, rate and count of frames are not looked at for AV1, whose own headers tell.
fn ivf_header() -> Vec<u8> {
    let mut header = b"DKIF\0\0\x20\0AV01".to_vec();
    header.extend_from_slice(&[16, 0, 16, 0, 30, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    header
}
