//! As much of MCAP as reading well-formed corpus files needs.

use std::{collections::BTreeMap, io::Read, path::Path};

/// A message with its channel's id, schema and encoding.
pub(crate) struct Message {
    pub(crate) channel: String,
    pub(crate) encoding: String,
    pub(crate) schema: Schema,
    pub(crate) data: Vec<u8>,
}

#[derive(Clone, Default)]
pub(crate) struct Schema {
    pub(crate) name: String,
    pub(crate) encoding: String,
    pub(crate) text: String,
}

#[derive(Default)]
struct Reader {
    schemas: BTreeMap<u16, Schema>,
    channels: BTreeMap<u16, (u16, String, String)>,
    messages: Vec<Message>,
}

/// All messages in file order; the channel is named `topic#id`.
pub(crate) fn messages(path: &Path) -> Vec<Message> {
    let bytes = std::fs::read(path).unwrap();
    let mut reader = Reader::default();
    reader.records(&bytes[8..bytes.len() - 8]);
    reader.messages
}

impl Reader {
    fn records(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let opcode = bytes[0];
            let n = u64::from_le_bytes(bytes[1..9].try_into().unwrap()) as usize;
            let (mut content, rest) = bytes[9..].split_at(n);
            bytes = rest;
            let content = &mut content;
            match opcode {
                0x03 => {
                    let id = u16(content);
                    let (name, encoding) = (string(content), string(content));
                    self.schemas.insert(id, Schema { name, encoding, text: string(content) });
                }
                0x04 => {
                    let (id, schema) = (u16(content), u16(content));
                    let (topic, encoding) = (string(content), string(content));
                    self.channels.insert(id, (schema, format!("{topic}#{id}"), encoding));
                }
                0x05 => {
                    let (schema, channel, encoding) = self.channels[&u16(content)].clone();
                    let schema = self.schemas.get(&schema).cloned().unwrap_or_default();
                    self.messages.push(Message { channel, encoding, schema, data: content[20..].to_vec() });
                }
                0x06 => {
                    take(content, 28);
                    let compression = string(content);
                    take(content, 8);
                    match compression.as_str() {
                        "" => self.records(content),
                        "zstd" => self.records(&zstd::decode_all(&**content).unwrap()),
                        "lz4" => {
                            let mut plain = Vec::new();
                            lz4_flex::frame::FrameDecoder::new(&**content).read_to_end(&mut plain).unwrap();
                            self.records(&plain);
                        }
                        other => panic!("chunk compression {other}"),
                    }
                }
                // The end of the data section: what follows repeats it.
                0x0f => return,
                _ => {}
            }
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(n);
    *bytes = rest;
    taken
}

fn u16(bytes: &mut &[u8]) -> u16 {
    u16::from_le_bytes(take(bytes, 2).try_into().unwrap())
}

fn string(bytes: &mut &[u8]) -> String {
    let n = u32::from_le_bytes(take(bytes, 4).try_into().unwrap());
    String::from_utf8_lossy(take(bytes, n as usize)).into_owned()
}
