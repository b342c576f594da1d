//! The messages of a recording, as ROS 2 and as ROS 1 write them.

use std::path::Path;

use crate::workspace::Result;

/// A message in the words of ROS 2.
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) type_name: String,
    pub(super) definition: String,
    pub(super) time_ns: u64,
    /// CDR.
    pub(super) data: Vec<u8>,
}

/// Calls `each` for the messages of an MCAP recording, in file order.
///
/// # Errors
/// When the recording cannot be read, or `each` fails.
pub(super) fn of<T>(
    recording: &Path,
    each: impl FnOnce(&mut dyn Iterator<Item = Result<Message>>) -> Result<T>,
) -> Result<T> {
    let failed = |err: &dyn std::fmt::Display| format!("cannot read {}: {err}", recording.display());
    let bytes = std::fs::read(recording).map_err(|err| failed(&err))?;
    let messages = mcap::MessageStream::new(&bytes).map_err(|err| failed(&err))?;
    let mut messages = messages.map(|it| {
        let it = it.map_err(|err| failed(&err))?;
        let schema = it.channel.schema.as_ref().ok_or_else(|| failed(&"a channel has no schema"))?;
        Ok(Message {
            topic: it.channel.topic.clone(),
            type_name: schema.name.clone(),
            definition: String::from_utf8_lossy(&schema.data).into_owned(),
            time_ns: it.log_time,
            data: it.data.to_vec(),
        })
    });
    each(&mut messages)
}

/// Definitions and MD5 sums of ROS 1 for the messages that the bench makes.
pub(super) struct Ros1Type {
    pub(super) name: &'static str,
    pub(super) md5: &'static str,
    pub(super) definition: &'static str,
    fields: &'static [Field],
}

#[derive(Clone, Copy)]
enum Field {
    Header,
    Text,
    Texts,
    Bytes,
    Doubles,
}

const HEADER: &str = "
================================================================================
MSG: std_msgs/Header
uint32 seq
time stamp
string frame_id
";

const TYPES: [(&str, Ros1Type); 2] = [
    (
        "sensor_msgs/msg/JointState",
        Ros1Type {
            name: "sensor_msgs/JointState",
            md5: "3066dcd76a6cfaef579bd0f34173e9fd",
            definition: "Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort\n",
            fields: &[Field::Header, Field::Texts, Field::Doubles, Field::Doubles, Field::Doubles],
        },
    ),
    (
        "sensor_msgs/msg/CompressedImage",
        Ros1Type {
            name: "sensor_msgs/CompressedImage",
            md5: "8f7a12909da2c9d3332d540a0977563f",
            definition: "Header header\nstring format\nuint8[] data\n",
            fields: &[Field::Header, Field::Text, Field::Bytes],
        },
    ),
];

impl Ros1Type {
    /// The type of ROS 1 for one of ROS 2.
    ///
    /// # Errors
    /// For types that the bench does not make.
    pub(super) fn of(type_name: &str) -> Result<Self> {
        let found = TYPES.into_iter().find(|it| it.0 == type_name);
        found.map(|it| it.1).ok_or_else(|| format!("the bench has no ROS 1 type for {type_name}"))
    }

    /// The whole definition, with that of the header behind it.
    pub(super) fn full_definition(&self) -> String {
        format!("{}{}", self.definition, &HEADER[1..])
    }

    /// The same message without alignment, zeros behind texts and the encapsulation, with a number in its header.
    ///
    /// # Errors
    /// When the CDR ends early.
    pub(super) fn encode(&self, cdr: &[u8], seq: u32) -> Result<Vec<u8>> {
        let body = cdr.get(4..).ok_or("a message has no encapsulation")?;
        let mut from = Cdr { body, at: 0 };
        let mut to = Vec::with_capacity(body.len() + 8);
        for field in self.fields {
            match field {
                Field::Header => {
                    to.extend(seq.to_le_bytes());
                    to.extend(from.take(4, 4)?);
                    to.extend(from.take(4, 4)?);
                    text(&mut from, &mut to)?;
                }
                Field::Text => text(&mut from, &mut to)?,
                Field::Texts => {
                    let n = from.len(&mut to, 0)?;
                    for _ in 0..n {
                        text(&mut from, &mut to)?;
                    }
                }
                Field::Bytes => {
                    let n = from.len(&mut to, 0)?;
                    to.extend(from.take(1, n)?);
                }
                Field::Doubles => {
                    let n = from.len(&mut to, 0)?;
                    to.extend(from.take(8, 8 * n)?);
                }
            }
        }
        Ok(to)
    }
}

fn text(from: &mut Cdr<'_>, to: &mut Vec<u8>) -> Result<()> {
    let n = from.len(to, 1)?;
    let text = from.take(1, n + 1)?;
    to.extend(&text[..n]);
    Ok(())
}

/// Little-endian CDR behind its encapsulation.
struct Cdr<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Cdr<'a> {
    fn take(&mut self, alignment: usize, n: usize) -> Result<&'a [u8]> {
        let start = if n == 0 { self.at } else { self.at.next_multiple_of(alignment) };
        let taken = self.body.get(start..start + n).ok_or("a message ends early")?;
        self.at = start + n;
        Ok(taken)
    }

    /// A length, less what it counts beyond the values, written as it is then.
    fn len(&mut self, to: &mut Vec<u8>, beyond: u32) -> Result<usize> {
        let bytes: [u8; 4] = self.take(4, 4)?.try_into().map_err(|_| "a length has four bytes")?;
        let n = u32::from_le_bytes(bytes).checked_sub(beyond).ok_or("a text has no end")?;
        to.extend(n.to_le_bytes());
        Ok(n as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cdr::CdrWriter;

    #[test]
    fn a_joint_state_loses_alignment_and_zeros() {
        let mut cdr = CdrWriter::new();
        cdr.header(3_000_000_007, "base");
        cdr.strings(&["a", "bc"]);
        cdr.doubles(&[1.5]);
        cdr.doubles(&[]);
        cdr.doubles(&[2.5]);
        let ros1 = Ros1Type::of("sensor_msgs/msg/JointState").unwrap().encode(cdr.bytes(), 9).unwrap();
        let words: [&[u8]; 14] = [
            &9u32.to_le_bytes(),
            &3u32.to_le_bytes(),
            &7u32.to_le_bytes(),
            &4u32.to_le_bytes(),
            b"base",
            &2u32.to_le_bytes(),
            &1u32.to_le_bytes(),
            b"a",
            &2u32.to_le_bytes(),
            b"bc",
            &1u32.to_le_bytes(),
            &1.5f64.to_le_bytes(),
            &0u32.to_le_bytes(),
            &1u32.to_le_bytes(),
        ];
        assert_eq!(ros1, [words.concat(), 2.5f64.to_le_bytes().to_vec()].concat());
    }
}
