use std::path::{Path, PathBuf};

use bytes::{BufMut as _, Bytes};

use super::{END, FIXED_BYTES, LEAF_BYTES, LEAVES_PER_DIRECTORY, MAGIC, TEXT_BYTES};
use crate::random::Random;

/// The topics: name, type and definition. `/imu` says itself when its messages were made.
const CHANNELS: [(&str, &str, &str); 3] = [
    (
        "/imu",
        "toy/Imu",
        "Header header\nfloat64 rate\nfloat64[3] turn\n\
         ================\nMSG: std_msgs/Header\nuint32 seq\ntime stamp\nstring frame_id\n",
    ),
    ("/cmd", "toy/Command", "int32 count\nfloat64 value\n"),
    ("/state", "toy/State", "float64 level\n"),
];
/// Messages of a leaf.
const LEAF_MESSAGES: usize = 12;
/// Nanoseconds from one message to the next, about.
const PACE_NS: u64 = 5_000_000;
/// Bytes of a page.
const PAGE_BYTES: usize = 1536;
/// How far, in leaves, each of four leaves is put from where it would lie: files are mixed at their ends.
const STRAY: [isize; 4] = [0, 3, 0, -3];

/// A recording to build. Equal values give equal bytes.
#[derive(Debug, Clone, Copy)]
pub struct ToyRecording {
    /// What values and places follow from. The values do not depend on the number of files.
    pub seed: u64,
    /// In how many files it lies.
    pub n_files: usize,
    /// Its leaves in all files together, a multiple of four.
    pub n_leaves: usize,
    /// What each leaf says it decodes to: what partitions and shards are cut by.
    pub weight: u32,
}

/// A recording that was built.
#[derive(Debug, Clone)]
pub struct ToyLog {
    /// Its files.
    pub files: Vec<(PathBuf, Bytes)>,
    /// Bytes that can be changed and the files stay sound: one of each page, header and footer.
    pub sound: Vec<SoundByte>,
}

/// A byte that can be changed to any letter or digit, and the file stays sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundByte {
    /// Position of its file.
    pub file: usize,
    /// Where it is.
    pub at: u64,
    /// Whether rows hold it.
    pub is_value: bool,
}

struct Message {
    channel: usize,
    log_time: u64,
    payload: Vec<u8>,
}

impl ToyRecording {
    /// Log time of the first message, about.
    pub const START_NS: i64 = 1_700_000_000_000_000_000;
    /// Nanoseconds that the messages of a leaf cover, about.
    pub const LEAF_NS: i64 = LEAF_MESSAGES as i64 * PACE_NS as i64;

    /// The files of a recording of this name.
    pub fn build(&self, name: &str) -> ToyLog {
        let mut random = Random::new(self.seed);
        let mut messages = self.messages(&mut random);
        let mut log = ToyLog { files: Vec::new(), sound: Vec::new() };
        let mut leaves: Vec<Vec<Message>> = Vec::new();
        while !messages.is_empty() {
            let rest = messages.split_off(messages.len().min(LEAF_MESSAGES));
            let mut leaf = std::mem::replace(&mut messages, rest);
            random.shuffle(&mut leaf);
            leaves.push(leaf);
        }
        let mut of_file: Vec<Vec<Vec<Message>>> = (0..self.n_files).map(|_| Vec::new()).collect();
        for (idx, leaf) in leaves.into_iter().enumerate() {
            let place = idx.saturating_add_signed(STRAY[idx % STRAY.len()]).min(self.n_leaves - 1);
            of_file[place * self.n_files / self.n_leaves].push(leaf);
        }
        for (number, leaves) in of_file.into_iter().enumerate() {
            let built = self.file(name, number, &leaves, &mut random, &mut log.sound);
            log.files.push((PathBuf::from(format!("{name}.{number}.toy3")), built));
        }
        log
    }

    /// All messages, about in the order of their times.
    fn messages(&self, random: &mut Random) -> Vec<Message> {
        let message = |idx: usize| {
            let log_time = Self::START_NS as u64 + idx as u64 * PACE_NS + random.below(PACE_NS);
            // `/state` is rare: who looks for it looks past many leaves.
            let channel = if idx % 60 == 9 { 2 } else { [0, 1, 0][idx % 3] };
            let mut value = || random.below(1 << 20) as f64 / 1024.0;
            let mut payload = Vec::new();
            match channel {
                0 => {
                    let stamp = log_time - 1_000_000 - (idx as u64 * 7919) % 3_000_000;
                    payload.put_u32_le(idx as u32);
                    payload.put_u32_le((stamp / 1_000_000_000) as u32);
                    payload.put_u32_le((stamp % 1_000_000_000) as u32);
                    payload.put_u32_le(4);
                    payload.put_slice(b"base");
                    (0..4).for_each(|_| payload.put_f64_le(value()));
                }
                1 => {
                    payload.put_i32_le(idx as i32);
                    payload.put_f64_le(value());
                }
                _ => payload.put_f64_le(value()),
            }
            Message { channel, log_time, payload }
        };
        let mut messages: Vec<Message> = (0..self.n_leaves * LEAF_MESSAGES).map(message).collect();
        // A recorder that writes in parallel: neighbours of a leaf's end change places.
        for end in (LEAF_MESSAGES..messages.len()).step_by(LEAF_MESSAGES) {
            messages.swap(end - 1, end + 1);
        }
        messages
    }

    fn file(
        &self,
        name: &str,
        number: usize,
        leaves: &[Vec<Message>],
        random: &mut Random,
        sound: &mut Vec<SoundByte>,
    ) -> Bytes {
        let n_data = leaves.len() + 1;
        let mut slots: Vec<usize> = (0..n_data + leaves.len().div_ceil(LEAVES_PER_DIRECTORY)).collect();
        random.shuffle(&mut slots);
        let mut bytes = self.header(name, number, leaves, &slots);
        let pages_at = bytes.len();
        let page_at = |slot: usize| pages_at + slot * PAGE_BYTES;
        bytes.resize(page_at(slots.len()), 0);
        let (data, directories) = slots.split_at(n_data);
        // What comes first into a page is drawn anew for each page, with gaps of some bytes.
        let mut free: Vec<usize> = (0..n_data).map(|_| 3 + random.below(40) as usize).collect();
        let mut untouched = vec![true; n_data];
        for (idx, leaf) in leaves.iter().enumerate() {
            let part = PAGE_BYTES / LEAVES_PER_DIRECTORY;
            let mut entry =
                page_at(directories[idx / LEAVES_PER_DIRECTORY]) + idx % LEAVES_PER_DIRECTORY * part;
            let mut put = |text: &[u8]| {
                bytes[entry..entry + text.len()].copy_from_slice(text);
                entry += text.len();
            };
            put(&(leaf.len() as u16).to_le_bytes());
            let mut records = Vec::new();
            for (at, message) in leaf.iter().enumerate() {
                let (which, page) = (at % 2, idx + at % 2);
                put(&[which as u8]);
                put(&(free[page] as u16).to_le_bytes());
                let record = message.record();
                let start = page_at(data[page]) + free[page];
                free[page] += record.len() + 1 + random.below(9) as usize;
                records.push((page, start, record));
            }
            for (page, start, record) in records {
                bytes[start..start + record.len()].copy_from_slice(&record);
                let at = (start + record.len() - 6) as u64;
                if std::mem::replace(&mut untouched[page], false) {
                    sound.push(SoundByte { file: number, at, is_value: true });
                }
            }
        }
        let ends = directories.iter().map(|it| page_at(it + 1) - 1);
        let notes = [FIXED_BYTES - TEXT_BYTES + 2, bytes.len() + 2];
        let others = ends.chain(notes).map(|at| SoundByte { file: number, at: at as u64, is_value: false });
        sound.extend(others);
        bytes.put_slice(&padded("the end"));
        bytes.put_slice(END);
        bytes.into()
    }

    fn header(&self, name: &str, number: usize, leaves: &[Vec<Message>], slots: &[usize]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([number, self.n_files, CHANNELS.len(), leaves.len()].map(|it| it as u8));
        let texts = CHANNELS.map(|(topic, name, definition)| [topic, name, definition]);
        let channels_bytes: usize =
            texts.iter().map(|it| 4 + it.map(|it| 2 + it.len()).iter().sum::<usize>()).sum();
        bytes.put_u32_le(PAGE_BYTES as u32);
        bytes.put_u32_le((FIXED_BYTES + channels_bytes + leaves.len() * LEAF_BYTES) as u32);
        bytes.put_u32_le(self.weight);
        bytes.put_slice(&padded(name));
        bytes.put_slice(&padded("a toy"));
        for (id, texts) in texts.iter().enumerate() {
            bytes.put_u32_le(id as u32 + 7);
            for text in texts {
                bytes.put_u16_le(text.len() as u16);
                bytes.put_slice(text.as_bytes());
            }
        }
        let (data, directories) = slots.split_at(leaves.len() + 1);
        for (idx, leaf) in leaves.iter().enumerate() {
            for slot in [directories[idx / LEAVES_PER_DIRECTORY], data[idx], data[idx + 1]] {
                bytes.put_u32_le(slot as u32);
            }
            let times = || leaf.iter().map(|it| it.log_time);
            bytes.put_u64_le(times().min().unwrap_or_default());
            bytes.put_u64_le(times().max().unwrap_or_default());
        }
        bytes
    }
}

impl Message {
    fn record(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u32_le(self.channel as u32 + 7);
        bytes.put_u64_le(self.log_time);
        bytes.put_u32_le(self.payload.len() as u32);
        bytes.put_slice(&self.payload);
        bytes
    }
}

impl ToyLog {
    /// Writes the files into a folder.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder).expect("a folder can be made");
        for (path, bytes) in &self.files {
            std::fs::write(folder.join(path), bytes).expect("a file can be written");
        }
    }

    /// The same recording with one of its sound bytes changed.
    #[must_use]
    pub fn changed(&self, byte: SoundByte) -> Self {
        let mut changed = self.clone();
        let bytes = &mut changed.files[byte.file].1;
        let mut copy = bytes.to_vec();
        let before = &mut copy[byte.at as usize];
        *before = if *before == b'x' { b'y' } else { b'x' };
        *bytes = copy.into();
        changed
    }
}

fn padded(text: &str) -> [u8; TEXT_BYTES] {
    let mut padded = [0; TEXT_BYTES];
    padded[..text.len()].copy_from_slice(text.as_bytes());
    padded
}
