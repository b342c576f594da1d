use std::{
    collections::BTreeMap,
    fs,
    io::{BufWriter, Seek, Write},
    path::{Path, PathBuf},
};

use mcap::{Compression, WriteOptions, Writer, records::MessageHeader};
use serde::{Deserialize, Serialize};

use super::{
    cdr::CdrWriter,
    noise::Noise,
    pictures::{self, HEIGHT, WIDTH},
};
use crate::{bench_command::Options, workspace::Result};

/// What a recording holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mix {
    /// A 640×480 JPEG camera at 30 Hz beside joint states at 200 Hz.
    Jpeg,
    /// The same with rgb8 pictures that are nearly all noise: what no compression makes small.
    Raw,
    /// The same with rgb8 pictures of things in light, with a sensor's noise.
    Camera,
    /// Joint states alone.
    Numeric,
}

impl Mix {
    /// Every mix, in the order of the report.
    const ALL: [Self; 4] = [Self::Jpeg, Self::Raw, Self::Camera, Self::Numeric];

    fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Raw => "raw",
            Self::Camera => "camera",
            Self::Numeric => "numeric",
        }
    }

    /// Where pictures are published, if there are any.
    pub(super) fn camera_topic(self) -> &'static str {
        match self {
            Self::Jpeg => "/camera/wrist/compressed",
            Self::Raw | Self::Camera | Self::Numeric => "/camera/wrist/image_raw",
        }
    }
}

/// How chunks are compressed, in the order of the report.
const COMPRESSIONS: [&str; 2] = ["none", "zstd"];

/// Changes when the bytes made here change, so that old inputs are not used.
const GENERATION: u32 = 2;

/// Bytes of a message record beside its payload: opcode, length, channel, sequence, two times.
const RECORD_OVERHEAD: u64 = 1 + 8 + 2 + 4 + 8 + 8;

/// A recording on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Input {
    /// Mix and compression, such as `jpeg-zstd`.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Size of the file.
    pub(super) n_file_bytes: u64,
    /// Size of all message records before compression: what rates are counted in.
    pub(super) n_bytes: u64,
    pub(super) n_messages: u64,
}

/// The inputs that `--only` lets through, in the order of the report.
pub(super) fn wanted(options: &Options) -> Vec<(Mix, &'static str)> {
    let all = Mix::ALL.into_iter().flat_map(|mix| COMPRESSIONS.map(|compression| (mix, compression)));
    all.filter(|(mix, compression)| options.lets_through(&name(*mix, compression))).collect()
}

/// The name of an input.
fn name(mix: Mix, compression: &str) -> String {
    format!("{}-{compression}", mix.name())
}

/// Makes an input of `mb` megabytes before compression, unless it is there from an earlier run.
///
/// # Errors
/// When it cannot be written.
pub(super) fn make(folder: &Path, mix: Mix, compression: &str, mb: u64) -> Result<Input> {
    let name = name(mix, compression);
    let path = folder.join(format!("{name}-{mb}mb-v{GENERATION}.mcap"));
    let facts = path.with_extension("json");
    let known = fs::read(&facts).ok().and_then(|it| serde_json::from_slice::<Input>(&it).ok());
    if let Some(input) = known.filter(|_| path.is_file()) {
        return Ok(Input { path, ..input });
    }
    eprintln!("making {}", path.display());
    let failed = |err: &dyn std::fmt::Display| format!("cannot make {}: {err}", path.display());
    // Two runs at once must not write into one file: each has its own until it is whole.
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let file = fs::File::create(&partial).map_err(|err| failed(&err))?;
    let compression = (compression == "zstd").then_some(Compression::Zstd);
    let mut recording = Recording::start(BufWriter::new(file), compression).map_err(|err| failed(&err))?;
    recording.fill(mix, mb * 1_000_000)?;
    let (n_bytes, n_messages) = (recording.n_bytes, recording.n_messages);
    recording.finish().map_err(|err| failed(&err))?;
    fs::rename(&partial, &path).map_err(|err| failed(&err))?;
    let n_file_bytes = fs::metadata(&path).map_err(|err| failed(&err))?.len();
    let input = Input { name, path: path.clone(), n_file_bytes, n_bytes, n_messages };
    let json = serde_json::to_vec_pretty(&input).map_err(|err| failed(&err))?;
    fs::write(&facts, json).map_err(|err| failed(&err))?;
    Ok(input)
}

/// Pictures of a recording with a camera: at their rate as long as joint states at theirs.
pub(super) fn n_frames(input: &Input) -> u64 {
    input.n_messages * JOINT_PERIOD_NS / (JOINT_PERIOD_NS + FRAME_PERIOD_NS)
}

/// A recording under construction.
struct Recording<W: Write + Seek> {
    writer: Writer<W>,
    joints: u16,
    n_bytes: u64,
    n_messages: u64,
}

const START_NS: u64 = 1_700_000_000_000_000_000;
const JOINT_PERIOD_NS: u64 = 5_000_000;
const FRAME_PERIOD_NS: u64 = 33_333_333;

impl<W: Write + Seek> Recording<W> {
    fn start(target: W, compression: Option<Compression>) -> mcap::McapResult<Self> {
        let options = WriteOptions::new().profile("ros2").compression(compression).chunk_size(Some(1 << 20));
        let mut writer = options.create(target)?;
        let joints = add_channel(&mut writer, "/joint_states", "sensor_msgs/msg/JointState", JOINT_STATE)?;
        Ok(Self { writer, joints, n_bytes: 0, n_messages: 0 })
    }

    /// Writes messages in time order until the wanted size is reached.
    fn fill(&mut self, mix: Mix, n_bytes_wanted: u64) -> Result<()> {
        let mut camera = match mix {
            Mix::Numeric => None,
            Mix::Jpeg | Mix::Raw | Mix::Camera => Some(Camera::new(&mut self.writer, mix)?),
        };
        let mut arm = Arm::new();
        let mut message = CdrWriter::new();
        let (mut joint_time_ns, mut frame_time_ns) = (START_NS, START_NS);
        while self.n_bytes < n_bytes_wanted {
            if let Some(camera) = camera.as_mut().filter(|_| frame_time_ns <= joint_time_ns) {
                camera.shoot(frame_time_ns, &mut message)?;
                self.write(camera.channel, frame_time_ns, message.bytes())?;
                frame_time_ns += FRAME_PERIOD_NS;
            } else {
                arm.step(joint_time_ns, &mut message);
                self.write(self.joints, joint_time_ns, message.bytes())?;
                joint_time_ns += JOINT_PERIOD_NS;
            }
        }
        Ok(())
    }

    fn write(&mut self, channel_id: u16, time_ns: u64, data: &[u8]) -> Result<()> {
        let sequence = u32::try_from(self.n_messages).unwrap_or(u32::MAX);
        // A few microseconds pass between taking a stamp and logging the message.
        let header =
            MessageHeader { channel_id, sequence, log_time: time_ns + 40_000, publish_time: time_ns };
        self.writer
            .write_to_known_channel(&header, data)
            .map_err(|err| format!("cannot write a message: {err}"))?;
        self.n_bytes += data.len() as u64 + RECORD_OVERHEAD;
        self.n_messages += 1;
        Ok(())
    }

    fn finish(mut self) -> mcap::McapResult<()> {
        self.writer.finish()?;
        Ok(())
    }
}

fn add_channel<W: Write + Seek>(
    writer: &mut Writer<W>,
    topic: &str,
    schema_name: &str,
    definition: &str,
) -> mcap::McapResult<u16> {
    let schema = writer.add_schema(schema_name, "ros2msg", definition.as_bytes())?;
    writer.add_channel(schema, topic, "cdr", &BTreeMap::new())
}

/// Seven joints on a random walk.
struct Arm {
    noise: Noise,
    position: [f64; 7],
}

impl Arm {
    fn new() -> Self {
        Self { noise: Noise::new(7), position: [0.0; 7] }
    }

    fn step(&mut self, time_ns: u64, message: &mut CdrWriter) {
        const NAMES: [&str; 7] = [
            "panda_joint1",
            "panda_joint2",
            "panda_joint3",
            "panda_joint4",
            "panda_joint5",
            "panda_joint6",
            "panda_joint7",
        ];
        let velocity: [f64; 7] = std::array::from_fn(|_| self.noise.signed_unit());
        let effort: [f64; 7] = std::array::from_fn(|_| 20.0 * self.noise.signed_unit());
        for (position, velocity) in self.position.iter_mut().zip(velocity) {
            *position += velocity * JOINT_PERIOD_NS as f64 / 1e9;
        }
        message.clear();
        message.header(time_ns, "panda_link0");
        message.strings(&NAMES);
        message.doubles(&self.position);
        message.doubles(&velocity);
        message.doubles(&effort);
    }
}

/// A camera that cycles through pictures; no two frames are equal.
struct Camera {
    channel: u16,
    mix: Mix,
    /// Made when first shot.
    pictures: Vec<Vec<u8>>,
    frame: u64,
    scratch: Vec<u8>,
}

impl Camera {
    fn new<W: Write + Seek>(writer: &mut Writer<W>, mix: Mix) -> Result<Self> {
        let (schema_name, definition) = match mix {
            Mix::Jpeg => ("sensor_msgs/msg/CompressedImage", COMPRESSED_IMAGE),
            Mix::Raw | Mix::Camera | Mix::Numeric => ("sensor_msgs/msg/Image", IMAGE),
        };
        let channel = add_channel(writer, mix.camera_topic(), schema_name, definition)
            .map_err(|err| format!("cannot add a camera: {err}"))?;
        Ok(Self { channel, mix, pictures: Vec::new(), frame: 0, scratch: Vec::new() })
    }

    fn shoot(&mut self, time_ns: u64, message: &mut CdrWriter) -> Result<()> {
        let n_pictures = if self.mix == Mix::Jpeg { pictures::N_JPEG } else { pictures::N_RAW };
        if (self.pictures.len() as u64) < n_pictures {
            self.pictures.push(match self.mix {
                Mix::Jpeg => pictures::jpeg(self.frame)?,
                Mix::Camera => pictures::camera(self.frame),
                Mix::Raw | Mix::Numeric => pictures::raw(self.frame),
            });
        }
        let picture = &self.pictures[(self.frame % n_pictures) as usize];
        message.clear();
        message.header(time_ns, "wrist_optical");
        if self.mix == Mix::Jpeg {
            pictures::stamp_jpeg(picture, self.frame, &mut self.scratch);
            message.string("rgb8; jpeg compressed bgr8");
        } else {
            pictures::roll(picture, self.frame, &mut self.scratch);
            message.u32(u32::from(HEIGHT));
            message.u32(u32::from(WIDTH));
            message.string("rgb8");
            message.u8(0);
            message.u32(u32::from(WIDTH) * 3);
        }
        message.octets(&self.scratch);
        self.frame += 1;
        Ok(())
    }
}

const JOINT_STATE: &str = "std_msgs/Header header
string[] name
float64[] position
float64[] velocity
float64[] effort
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
";

const COMPRESSED_IMAGE: &str = "std_msgs/Header header
string format
uint8[] data
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
";

const IMAGE: &str = "std_msgs/Header header
uint32 height
uint32 width
string encoding
uint8 is_bigendian
uint32 step
uint8[] data
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
";

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn recordings_are_whole_and_have_the_wanted_size() {
        for mix in Mix::ALL {
            let mut bytes = Vec::new();
            let mut recording = Recording::start(Cursor::new(&mut bytes), None).unwrap();
            recording.fill(mix, 3_000_000).unwrap();
            let (n_bytes, n_messages) = (recording.n_bytes, recording.n_messages);
            recording.finish().unwrap();
            assert!((3_000_000..4_000_000).contains(&n_bytes), "{mix:?}: {n_bytes}");
            // Uncompressed, so that nothing but the records' own framing can be in it.
            assert!((bytes.len() as u64) < n_bytes + n_bytes / 10, "{mix:?}: {}", bytes.len());
            let messages: Vec<_> = mcap::MessageStream::new(&bytes).unwrap().map(Result::unwrap).collect();
            assert_eq!(messages.len() as u64, n_messages);
            let n_pictures =
                messages.iter().filter(|it| it.channel.topic == mix.camera_topic()).count() as u64;
            if mix != Mix::Numeric {
                let input =
                    Input { name: String::new(), path: PathBuf::new(), n_file_bytes: 0, n_bytes, n_messages };
                assert!(n_frames(&input).abs_diff(n_pictures) <= 1, "{mix:?}: {n_pictures}");
            }
            let read: u64 = messages.iter().map(|it| it.data.len() as u64 + RECORD_OVERHEAD).sum();
            assert_eq!(read, n_bytes);
            assert!(messages.is_sorted_by_key(|it| it.log_time), "{mix:?}");
        }
    }
}
