//! Bags built record by record, as recorders write them and as they do not.

use std::{collections::BTreeMap, io::Write as _, ops::Range};

use bytes::Bytes;

use super::super::record::{MAGIC, op};

/// A record with these fields.
pub(super) fn record(fields: &[(&str, &[u8])], data: &[u8]) -> Vec<u8> {
    [block(&header(fields)), block(data)].concat()
}

pub(super) fn header(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let field = |(name, value): &(&str, &[u8])| block(&[name.as_bytes(), b"=", value].concat());
    fields.iter().flat_map(field).collect()
}

fn block(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

/// A time of so many nanoseconds.
pub(super) fn time(nanos: u64) -> [u8; 8] {
    let (secs, nanos) = ((nanos / 1_000_000_000) as u32, (nanos % 1_000_000_000) as u32);
    [secs.to_le_bytes(), nanos.to_le_bytes()].concat().try_into().unwrap()
}

/// A connection of a topic, with what its publisher said of it.
pub(super) fn connection(id: u32, topic: &str, told: &[(&str, &str)]) -> Vec<u8> {
    let told: Vec<(&str, &[u8])> = told.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let fields = [("conn", &id.to_le_bytes()[..]), ("op", &[op::CONNECTION]), ("topic", topic.as_bytes())];
    record(&fields, &header(&told))
}

/// A connection of `std_msgs/String`.
pub(super) fn strings(id: u32, topic: &str) -> Vec<u8> {
    strings_from(id, topic, &[])
}

/// The same, with more that its publisher said.
pub(super) fn strings_from(id: u32, topic: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let told = [
        ("topic", topic),
        ("type", "std_msgs/String"),
        ("md5sum", "992ce8a1687cec8c8bd883ec73ca41d1"),
        ("message_definition", "string data\n"),
    ];
    connection(id, topic, &[&told, more].concat())
}

/// The payload of a `std_msgs/String`.
pub(super) fn string(text: &str) -> Vec<u8> {
    block(text.as_bytes())
}

pub(super) fn message(conn: u32, nanos: u64, data: &[u8]) -> Vec<u8> {
    let fields = [("conn", &conn.to_le_bytes()[..]), ("op", &[op::MESSAGE]), ("time", &time(nanos))];
    record(&fields, data)
}

/// The bag header, as long as it always is.
pub(super) fn bag_header(
    index_pos: u64,
    conn_count: u32,
    chunk_count: u32,
    more: &[(&str, &[u8])],
) -> Vec<u8> {
    let fields = [
        ("chunk_count", &chunk_count.to_le_bytes()[..]),
        ("conn_count", &conn_count.to_le_bytes()),
        ("index_pos", &index_pos.to_le_bytes()),
        ("op", &[op::BAG]),
    ];
    let fields = [&fields[..], more].concat();
    record(&fields, &vec![b' '; 4096 - 8 - header(&fields).len()])
}

/// The head of a chunk record and its data, whatever they say.
pub(super) fn chunk(compression: &str, size: u32, stored: &[u8]) -> Vec<u8> {
    let fields =
        [("compression", compression.as_bytes()), ("op", &[op::CHUNK]), ("size", &size.to_le_bytes())];
    record(&fields, stored)
}

/// Bytes as chunks store them.
pub(super) fn stored(compression: &str, bytes: &[u8]) -> Vec<u8> {
    match compression {
        "bz2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "lz4" => {
            let info = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .content_checksum(true);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        _ => bytes.to_vec(),
    }
}

/// The message index of one connection: times and offsets.
pub(super) fn message_index(conn: u32, entries: &[(u64, u32)]) -> Vec<u8> {
    let data: Vec<u8> =
        entries.iter().flat_map(|(nanos, at)| [&time(*nanos)[..], &at.to_le_bytes()].concat()).collect();
    let count = (entries.len() as u32).to_le_bytes();
    let fields = [
        ("conn", &conn.to_le_bytes()[..]),
        ("count", &count),
        ("op", &[op::INDEX]),
        ("ver", &1u32.to_le_bytes()),
    ];
    record(&fields, &data)
}

pub(super) fn chunk_info(chunk_pos: u64, times: (u64, u64), counts: &[(u32, u32)]) -> Vec<u8> {
    let data: Vec<u8> =
        counts.iter().flat_map(|(conn, n)| [conn.to_le_bytes(), n.to_le_bytes()].concat()).collect();
    let count = (counts.len() as u32).to_le_bytes();
    let fields = [
        ("chunk_pos", &chunk_pos.to_le_bytes()[..]),
        ("count", &count),
        ("end_time", &time(times.1)),
        ("op", &[op::CHUNK_INFO]),
        ("start_time", &time(times.0)),
        ("ver", &1u32.to_le_bytes()),
    ];
    record(&fields, &data)
}

/// A bag being written.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
    connections: Vec<Vec<u8>>,
    infos: Vec<Vec<u8>>,
    header_more: Vec<(&'static str, &'static [u8])>,
}

impl Writer {
    /// Of these connections, which the first chunk declares as well.
    pub(super) fn new(connections: &[Vec<u8>]) -> Self {
        let bytes = [MAGIC, &bag_header(0, 0, 0, &[])].concat();
        Self { bytes, connections: connections.to_vec(), infos: Vec::new(), header_more: Vec::new() }
    }

    /// More fields of the bag header.
    pub(super) fn with_header(mut self, more: &[(&'static str, &'static [u8])]) -> Self {
        self.header_more = more.to_vec();
        self
    }

    /// Bytes as they are.
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// A chunk of messages, each of a connection at a time, with its indexes.
    pub(super) fn chunk(mut self, compression: &str, messages: &[(u32, u64, Vec<u8>)]) -> Self {
        let mut records = if self.infos.is_empty() { self.connections.concat() } else { Vec::new() };
        let mut entries: BTreeMap<u32, Vec<(u64, u32)>> = BTreeMap::new();
        for (conn, nanos, data) in messages {
            entries.entry(*conn).or_default().push((*nanos, records.len() as u32));
            records.extend(message(*conn, *nanos, data));
        }
        let at = self.bytes.len() as u64;
        self.bytes.extend(chunk(compression, records.len() as u32, &stored(compression, &records)));
        for (conn, entries) in &entries {
            self.bytes.extend(message_index(*conn, entries));
        }
        let times = messages.iter().map(|it| it.1);
        let times = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
        let counts: Vec<(u32, u32)> = entries.iter().map(|(conn, it)| (*conn, it.len() as u32)).collect();
        self.infos.push(chunk_info(at, times, &counts));
        self
    }

    /// With its index, as a recorder closes it.
    pub(super) fn close(mut self) -> Bytes {
        let index_pos = self.bytes.len() as u64;
        self.bytes.extend(self.connections.concat());
        self.bytes.extend(self.infos.concat());
        let (n_connections, n_chunks) = (self.connections.len() as u32, self.infos.len() as u32);
        let header = bag_header(index_pos, n_connections, n_chunks, &self.header_more);
        self.bytes[MAGIC.len()..][..header.len()].copy_from_slice(&header);
        self.bytes.into()
    }

    /// Without one, as a recorder leaves it that was killed.
    pub(super) fn leave_open(self) -> Bytes {
        self.bytes.into()
    }
}

/// Messages of one connection at these times, each with its time as text.
pub(super) fn at(conn: u32, nanos: Range<u64>) -> Vec<(u32, u64, Vec<u8>)> {
    nanos.map(|it| (conn, it, string(&format!("message {it}")))).collect()
}

/// Where `needle` first lies.
pub(super) fn find(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|it| it == needle).unwrap()
}
