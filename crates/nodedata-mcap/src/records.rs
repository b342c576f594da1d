//! The records of the MCAP specification, borrowed from the bytes they lie in.
//!
//! Every record but Message, `DataEnd` and Footer may carry extra bytes at its end, which a later
//! version of the specification may give a meaning: they are ignored.

use nodedata_core::Result;
use nodedata_log::corrupt;

use crate::fields::Fields;

/// First and last bytes of a file; the sixth is the major version.
pub(crate) const MAGIC: [u8; 8] = *b"\x89MCAP0\r\n";

/// Bytes of an opcode and a record's length.
pub(crate) const RECORD_HEAD_BYTES: u64 = 9;

/// Bytes of a Footer record with its head.
pub(crate) const FOOTER_BYTES: u64 = RECORD_HEAD_BYTES + 20;

/// Bytes of a Message record before its payload.
pub(crate) const MESSAGE_HEAD_BYTES: usize = 22;

/// The opcodes of the specification.
pub(crate) mod op {
    pub(crate) const HEADER: u8 = 0x01;
    pub(crate) const FOOTER: u8 = 0x02;
    pub(crate) const SCHEMA: u8 = 0x03;
    pub(crate) const CHANNEL: u8 = 0x04;
    pub(crate) const MESSAGE: u8 = 0x05;
    pub(crate) const CHUNK: u8 = 0x06;
    pub(crate) const MESSAGE_INDEX: u8 = 0x07;
    pub(crate) const CHUNK_INDEX: u8 = 0x08;
    pub(crate) const ATTACHMENT: u8 = 0x09;
    pub(crate) const STATISTICS: u8 = 0x0b;
    pub(crate) const METADATA: u8 = 0x0c;
    pub(crate) const DATA_END: u8 = 0x0f;
}

/// The length and opcode in front of a record's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) opcode: u8,
    /// Bytes of content, as the file says.
    pub(crate) n_bytes: u64,
}

impl RecordHead {
    /// Reads the head at the front of `bytes`; `None` when fewer than nine bytes are there.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&opcode, rest) = bytes.split_first()?;
        Some(Self { opcode, n_bytes: u64::from_le_bytes(*rest.first_chunk()?) })
    }
}

/// Magic, profile and writer of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) profile: &'a str,
    pub(crate) library: &'a str,
}

impl<'a> Header<'a> {
    pub(crate) fn parse(content: &'a [u8]) -> Result<Self> {
        let mut fields = Fields::new("Header", content);
        Ok(Self { profile: fields.text("profile")?, library: fields.text("library")? })
    }
}

/// Where the summary lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    /// 0: there is none.
    pub(crate) summary_start: u64,
    pub(crate) summary_offset_start: u64,
    /// From `summary_start` to the end of `summary_offset_start`; 0: not available.
    pub(crate) summary_crc: u32,
}

impl Footer {
    pub(crate) fn parse(content: &[u8]) -> Result<Self> {
        let mut fields = Fields::new("Footer", content);
        Ok(Self {
            summary_start: fields.u64("summary_start")?,
            summary_offset_start: fields.u64("summary_offset_start")?,
            summary_crc: fields.u32("summary_crc")?,
        })
    }
}

/// A message definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schema<'a> {
    /// 0 is invalid: such a record is ignored.
    pub(crate) id: u16,
    pub(crate) name: &'a str,
    pub(crate) encoding: &'a str,
    pub(crate) data: &'a [u8],
}

impl<'a> Schema<'a> {
    pub(crate) fn parse(content: &'a [u8]) -> Result<Self> {
        let mut fields = Fields::new("Schema", content);
        Ok(Self {
            id: fields.u16("id")?,
            name: fields.text("name")?,
            encoding: fields.text("encoding")?,
            data: fields.block("data")?,
        })
    }
}

/// A topic with its schema and message encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Channel<'a> {
    pub(crate) id: u16,
    /// 0: no schema.
    pub(crate) schema_id: u16,
    pub(crate) topic: &'a str,
    pub(crate) message_encoding: &'a str,
    pub(crate) metadata: Vec<(&'a str, &'a str)>,
}

impl<'a> Channel<'a> {
    pub(crate) fn parse(content: &'a [u8]) -> Result<Self> {
        let mut fields = Fields::new("Channel", content);
        Ok(Self {
            id: fields.u16("id")?,
            schema_id: fields.u16("schema_id")?,
            topic: fields.text("topic")?,
            message_encoding: fields.text("message_encoding")?,
            metadata: fields.text_map("metadata")?,
        })
    }
}

/// One message; times are nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) channel_id: u32,
    pub(crate) sequence: u32,
    pub(crate) log_time: u64,
    pub(crate) publish_time: u64,
    pub(crate) data: &'a [u8],
}

impl<'a> Message<'a> {
    /// `None` when the content ends before the payload begins.
    #[inline]
    pub(crate) fn parse(content: &'a [u8]) -> Option<Self> {
        let (head, data) = content.split_first_chunk::<MESSAGE_HEAD_BYTES>()?;
        Some(Self {
            channel_id: u16::from_le_bytes([head[0], head[1]]).into(),
            sequence: u32::from_le_bytes([head[2], head[3], head[4], head[5]]),
            log_time: u64::from_le_bytes(*head[6..].first_chunk()?),
            publish_time: u64::from_le_bytes(*head[14..].first_chunk()?),
            data,
        })
    }
}

/// The front of a Chunk record; the records follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkHead<'a> {
    /// Earliest and latest log time; both 0 when the chunk has no message.
    pub(crate) start_time: u64,
    pub(crate) end_time: u64,
    pub(crate) uncompressed_size: u64,
    /// Of the uncompressed records; 0: not available.
    pub(crate) uncompressed_crc: u32,
    pub(crate) compression: &'a str,
    /// Bytes of the records as stored.
    pub(crate) n_stored: u64,
}

impl<'a> ChunkHead<'a> {
    /// Bytes of the fields before `compression`'s text.
    pub(crate) const FIXED_BYTES: usize = 32;

    /// The head, and what follows it in `content`: the stored records, cut where the file is.
    pub(crate) fn parse(content: &'a [u8]) -> Result<(Self, &'a [u8])> {
        let mut fields = Fields::new("Chunk", content);
        let head = Self {
            start_time: fields.u64("message_start_time")?,
            end_time: fields.u64("message_end_time")?,
            uncompressed_size: fields.u64("uncompressed_size")?,
            uncompressed_crc: fields.u32("uncompressed_crc")?,
            compression: fields.text("compression")?,
            n_stored: fields.u64("records")?,
        };
        Ok((head, fields.rest()))
    }
}

/// Where the messages of one channel lie in the chunk before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageIndex<'a> {
    pub(crate) channel_id: u32,
    entries: &'a [u8],
}

impl<'a> MessageIndex<'a> {
    pub(crate) fn parse(content: &'a [u8]) -> Result<Self> {
        let mut fields = Fields::new("MessageIndex", content);
        let channel_id = fields.u16("channel_id")?.into();
        let entries = fields.block("records")?;
        if !entries.len().is_multiple_of(16) {
            return Err(corrupt(format!(
                "message index entries take {} bytes, but one takes 16",
                entries.len()
            )));
        }
        Ok(Self { channel_id, entries })
    }

    /// Log time of every message, in the index's order.
    pub(crate) fn log_times(&self) -> impl Iterator<Item = u64> + 'a {
        self.entries.chunks_exact(16).filter_map(|it| it.first_chunk().map(|it| u64::from_le_bytes(*it)))
    }
}

/// Where a chunk lies, what it holds, and where its message indexes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChunkIndex<'a> {
    pub(crate) start_time: u64,
    pub(crate) end_time: u64,
    pub(crate) chunk_start_offset: u64,
    /// Bytes of the Chunk record with its head.
    pub(crate) chunk_length: u64,
    /// Channels with messages in the chunk; empty when message indexes were not written.
    pub(crate) message_index_offsets: Vec<(u16, u64)>,
    /// Bytes of the message indexes right after the chunk.
    pub(crate) message_index_length: u64,
    pub(crate) compression: &'a str,
    pub(crate) compressed_size: u64,
    pub(crate) uncompressed_size: u64,
}

impl<'a> ChunkIndex<'a> {
    pub(crate) fn parse(content: &'a [u8]) -> Result<Self> {
        let mut fields = Fields::new("ChunkIndex", content);
        Ok(Self {
            start_time: fields.u64("message_start_time")?,
            end_time: fields.u64("message_end_time")?,
            chunk_start_offset: fields.u64("chunk_start_offset")?,
            chunk_length: fields.u64("chunk_length")?,
            message_index_offsets: {
                let mut entries = fields.entries("message_index_offsets")?;
                let mut offsets = Vec::new();
                while !entries.rest().is_empty() {
                    offsets
                        .push((entries.u16("message_index_offsets")?, entries.u64("message_index_offsets")?));
                }
                offsets
            },
            message_index_length: fields.u64("message_index_length")?,
            compression: fields.text("compression")?,
            compressed_size: fields.u64("compressed_size")?,
            uncompressed_size: fields.u64("uncompressed_size")?,
        })
    }
}

/// A file carried in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attachment<'a> {
    pub(crate) log_time: u64,
    pub(crate) create_time: u64,
    pub(crate) name: &'a str,
    pub(crate) media_type: &'a str,
    pub(crate) data: &'a [u8],
    /// Of all fields before it; 0: not available.
    pub(crate) crc: u32,
    /// Bytes of the fields the CRC covers.
    pub(crate) n_covered: usize,
}

impl<'a> Attachment<'a> {
    pub(crate) fn parse(content: &'a [u8]) -> Result<Self> {
        let mut fields = Fields::new("Attachment", content);
        let log_time = fields.u64("log_time")?;
        let create_time = fields.u64("create_time")?;
        let name = fields.text("name")?;
        let media_type = fields.text("media_type")?;
        let n_data = fields.u64("data")?;
        let data = fields.bytes(n_data, "data")?;
        let n_covered = content.len() - fields.rest().len();
        let crc = fields.u32("crc")?;
        Ok(Self { log_time, create_time, name, media_type, data, crc, n_covered })
    }
}

/// Counts over the file. Writers get them wrong (libmcap 1.1 counts only channels with messages).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statistics {
    pub(crate) message_count: u64,
    pub(crate) schema_count: u16,
    pub(crate) channel_count: u32,
    pub(crate) attachment_count: u32,
    pub(crate) metadata_count: u32,
    pub(crate) chunk_count: u32,
    pub(crate) start_time: u64,
    pub(crate) end_time: u64,
    pub(crate) channel_message_counts: Vec<(u16, u64)>,
}

impl Statistics {
    pub(crate) fn parse(content: &[u8]) -> Result<Self> {
        let mut fields = Fields::new("Statistics", content);
        Ok(Self {
            message_count: fields.u64("message_count")?,
            schema_count: fields.u16("schema_count")?,
            channel_count: fields.u32("channel_count")?,
            attachment_count: fields.u32("attachment_count")?,
            metadata_count: fields.u32("metadata_count")?,
            chunk_count: fields.u32("chunk_count")?,
            start_time: fields.u64("message_start_time")?,
            end_time: fields.u64("message_end_time")?,
            channel_message_counts: {
                let mut entries = fields.entries("channel_message_counts")?;
                let mut counts = Vec::new();
                while !entries.rest().is_empty() {
                    counts.push((
                        entries.u16("channel_message_counts")?,
                        entries.u64("channel_message_counts")?,
                    ));
                }
                counts
            },
        })
    }
}

/// Named facts about the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata<'a> {
    pub(crate) name: &'a str,
    pub(crate) entries: Vec<(&'a str, &'a str)>,
}

impl<'a> Metadata<'a> {
    pub(crate) fn parse(content: &'a [u8]) -> Result<Self> {
        let mut fields = Fields::new("Metadata", content);
        Ok(Self { name: fields.text("name")?, entries: fields.text_map("metadata")? })
    }
}

/// The CRC of the data section in a `DataEnd` record; 0: not available.
pub(crate) fn parse_data_end(content: &[u8]) -> Result<u32> {
    Fields::new("DataEnd", content).u32("data_section_crc")
}
