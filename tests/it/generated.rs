use std::{collections::BTreeMap, io::Cursor};

use mcap::{WriteOptions, records::MessageHeader};

/// Numbers that look random and are the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        // xorshift64*: any generator serves, as long as it never changes.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

const JOINTS: &str = "float64[7] position\nfloat32[] effort\nstring state\n";
const BLOB: &str = "uint32 height\nuint8[] data\n";

/// A recording of about `n_mb` mebibytes: joints of changing number with NaN among them, and blobs that no
/// compressor makes smaller. Chunks are stored as they are.
pub(crate) fn log(seed: u64, n_mb: u64) -> Vec<u8> {
    let mut random = Random(seed | 1);
    let options = WriteOptions::new().compression(None).chunk_size(Some(256 << 10));
    let mut writer = options.create(Cursor::new(Vec::new())).unwrap();
    let joints = writer.add_schema("test/msg/Joints", "ros2msg", JOINTS.as_bytes()).unwrap();
    let joints = writer.add_channel(joints, "/joints", "cdr", &BTreeMap::new()).unwrap();
    let blobs = writer.add_schema("test/msg/Blob", "ros2msg", BLOB.as_bytes()).unwrap();
    let blobs = writer.add_channel(blobs, "/blobs", "cdr", &BTreeMap::new()).unwrap();
    let mut n_bytes = 0;
    let mut sequence = 0u32;
    while n_bytes < n_mb << 20 {
        let (channel_id, data) = if sequence.is_multiple_of(8) {
            (blobs, blob(&mut random))
        } else {
            (joints, state(&mut random, sequence))
        };
        let time = 1_700_000_000_000_000_000 + u64::from(sequence) * 1_000_000;
        let header = MessageHeader { channel_id, sequence, log_time: time, publish_time: time };
        writer.write_to_known_channel(&header, &data).unwrap();
        n_bytes += data.len() as u64;
        sequence += 1;
    }
    writer.finish().unwrap();
    writer.into_inner().into_inner()
}

/// The bytes of a message in CDR, little endian: the offset counts from after the encapsulation.
struct Cdr(Vec<u8>);

impl Cdr {
    fn new() -> Self {
        Self(vec![0, 1, 0, 0])
    }

    fn put(&mut self, bytes: &[u8], align: usize) {
        while !(self.0.len() - 4).is_multiple_of(align) {
            self.0.push(0);
        }
        self.0.extend_from_slice(bytes);
    }
}

fn state(random: &mut Random, sequence: u32) -> Vec<u8> {
    let mut cdr = Cdr::new();
    for joint in 0..7 {
        let value = if random.below(50) == 0 {
            f64::NAN
        } else {
            random.below(1000) as f64 * 0.01 + f64::from(joint)
        };
        cdr.put(&value.to_le_bytes(), 8);
    }
    let n = random.below(4) as u32;
    cdr.put(&n.to_le_bytes(), 4);
    (0..n).for_each(|it| cdr.put(&(it as f32 * 0.1).to_le_bytes(), 4));
    let text = format!("state {}\0", sequence / 1000 % 5);
    cdr.put(&(text.len() as u32).to_le_bytes(), 4);
    cdr.put(text.as_bytes(), 1);
    cdr.0
}

fn blob(random: &mut Random) -> Vec<u8> {
    let mut cdr = Cdr::new();
    cdr.put(&480u32.to_le_bytes(), 4);
    let n = 4000 + random.below(4000) as u32;
    cdr.put(&n.to_le_bytes(), 4);
    let bytes: Vec<u8> =
        (0..n.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(n as usize).collect();
    cdr.put(&bytes, 1);
    cdr.0
}
