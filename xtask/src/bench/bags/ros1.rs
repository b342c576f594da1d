//! A ROS 1 bag with the messages of a recording.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Seek as _, SeekFrom, Write},
    path::Path,
};

use super::messages::{Message, Ros1Type};
use crate::workspace::Result;

const MAGIC: &[u8] = b"#ROSBAG V2.0\n";
/// What the bag header takes with its padding, so that it can be written again at the end.
const BAG_HEADER_BYTES: usize = 4096;
/// As `rosbag record` fills chunks.
const CHUNK_BYTES: usize = 768 << 10;

/// How chunks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    None,
    Lz4,
}

impl Chunks {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
        }
    }
}

/// Writes the bag.
///
/// # Errors
/// When it cannot be written, or a message is of a type that the bench does not make.
pub(super) fn write(
    path: &Path,
    chunks: Chunks,
    messages: impl Iterator<Item = Result<Message>>,
) -> Result<()> {
    let failed = |err: std::io::Error| format!("cannot write {}: {err}", path.display());
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    file.write_all(MAGIC).map_err(failed)?;
    file.write_all(&bag_header(0, 0, 0)).map_err(failed)?;
    let mut bag =
        Bag { file, chunks, connections: BTreeMap::new(), chunk: Chunk::default(), infos: Vec::new() };
    for (seq, message) in messages.enumerate() {
        bag.message(&message?, seq as u32)
            .map_err(|err| format!("cannot write {}: {err}", path.display()))?;
    }
    bag.finish().map_err(|err| format!("cannot write {}: {err}", path.display()))
}

struct Connection {
    id: u32,
    record: Vec<u8>,
    of: Ros1Type,
}

#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// By connection: times and offsets.
    index: BTreeMap<u32, Vec<(u64, u32)>>,
}

struct Bag {
    file: BufWriter<File>,
    chunks: Chunks,
    connections: BTreeMap<String, Connection>,
    chunk: Chunk,
    infos: Vec<Vec<u8>>,
}

impl Bag {
    fn message(&mut self, message: &Message, seq: u32) -> Result<()> {
        if !self.connections.contains_key(&message.topic) {
            let id = self.connections.len() as u32;
            let of = Ros1Type::of(&message.type_name)?;
            let record = connection(id, &message.topic, &of);
            self.chunk.bytes.extend(&record);
            self.connections.insert(message.topic.clone(), Connection { id, record, of });
        }
        let Connection { id, of, .. } = &self.connections[&message.topic];
        let data = of.encode(&message.data, seq)?;
        let head = [("op", vec![2]), ("conn", id.to_le_bytes().to_vec()), ("time", time(message.time_ns))];
        let offset = self.chunk.bytes.len() as u32;
        self.chunk.index.entry(*id).or_default().push((message.time_ns, offset));
        self.chunk.bytes.extend(record(&head, &data));
        if self.chunk.bytes.len() >= CHUNK_BYTES { self.end_chunk() } else { Ok(()) }
    }

    fn end_chunk(&mut self) -> Result<()> {
        let Chunk { bytes, index } = std::mem::take(&mut self.chunk);
        if bytes.is_empty() {
            return Ok(());
        }
        let text = |err: std::io::Error| err.to_string();
        let at = self.file.stream_position().map_err(text)?;
        let stored = match self.chunks {
            Chunks::None => bytes.clone(),
            Chunks::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(&bytes).map_err(text)?;
                encoder.finish().map_err(|err| err.to_string())?
            }
        };
        let n_bytes = (bytes.len() as u32).to_le_bytes().to_vec();
        let head =
            [("op", vec![5]), ("compression", self.chunks.name().as_bytes().to_vec()), ("size", n_bytes)];
        self.file.write_all(&record(&head, &stored)).map_err(text)?;
        let mut counts = Vec::new();
        let times = || index.values().flatten().map(|it| it.0);
        let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        for (id, entries) in &index {
            let n = (entries.len() as u32).to_le_bytes().to_vec();
            let head = [
                ("op", vec![4]),
                ("ver", 1u32.to_le_bytes().to_vec()),
                ("conn", id.to_le_bytes().to_vec()),
                ("count", n.clone()),
            ];
            let data: Vec<u8> =
                entries.iter().flat_map(|it| [time(it.0), it.1.to_le_bytes().to_vec()].concat()).collect();
            self.file.write_all(&record(&head, &data)).map_err(text)?;
            counts.extend([id.to_le_bytes().to_vec(), n].concat());
        }
        let head = [
            ("op", vec![6]),
            ("ver", 1u32.to_le_bytes().to_vec()),
            ("chunk_pos", at.to_le_bytes().to_vec()),
            ("start_time", time(first)),
            ("end_time", time(last)),
            ("count", (index.len() as u32).to_le_bytes().to_vec()),
        ];
        self.infos.push(record(&head, &counts));
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.end_chunk()?;
        let text = |err: std::io::Error| err.to_string();
        let index_at = self.file.stream_position().map_err(text)?;
        for connection in self.connections.values() {
            self.file.write_all(&connection.record).map_err(text)?;
        }
        for info in &self.infos {
            self.file.write_all(info).map_err(text)?;
        }
        self.file.seek(SeekFrom::Start(MAGIC.len() as u64)).map_err(text)?;
        let header = bag_header(index_at, self.connections.len() as u32, self.infos.len() as u32);
        self.file.write_all(&header).map_err(text)?;
        self.file.flush().map_err(text)
    }
}

fn record(fields: &[(&str, Vec<u8>)], data: &[u8]) -> Vec<u8> {
    let head: Vec<u8> = fields.iter().flat_map(|it| field(it.0, &it.1)).collect();
    let n_bytes = |it: &[u8]| (it.len() as u32).to_le_bytes();
    [&n_bytes(&head), head.as_slice(), &n_bytes(data), data].concat()
}

fn field(name: &str, value: &[u8]) -> Vec<u8> {
    let n_bytes = (name.len() + 1 + value.len()) as u32;
    [&n_bytes.to_le_bytes(), name.as_bytes(), b"=", value].concat()
}

fn time(nanos: u64) -> Vec<u8> {
    let seconds = (nanos / 1_000_000_000) as u32;
    let rest = (nanos % 1_000_000_000) as u32;
    [seconds.to_le_bytes(), rest.to_le_bytes()].concat()
}

fn connection(id: u32, topic: &str, of: &Ros1Type) -> Vec<u8> {
    let head = [("op", vec![7]), ("conn", id.to_le_bytes().to_vec()), ("topic", topic.as_bytes().to_vec())];
    let data = [
        ("topic", topic.as_bytes()),
        ("type", of.name.as_bytes()),
        ("md5sum", of.md5.as_bytes()),
        ("message_definition", of.full_definition().as_bytes()),
    ]
    .map(|it| field(it.0, it.1))
    .concat();
    record(&head, &data)
}

fn bag_header(index_at: u64, n_connections: u32, n_chunks: u32) -> Vec<u8> {
    let fields = [
        ("op", vec![3]),
        ("index_pos", index_at.to_le_bytes().to_vec()),
        ("conn_count", n_connections.to_le_bytes().to_vec()),
        ("chunk_count", n_chunks.to_le_bytes().to_vec()),
    ];
    let n_head: usize = fields.iter().map(|it| 4 + it.0.len() + 1 + it.1.len()).sum();
    record(&fields, &vec![b' '; BAG_HEADER_BYTES - n_head - 8])
}
