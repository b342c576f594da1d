//! MessagePack spelled as CBOR, which has a spelling for all of it but the types of its applications.

/// Nesting that is followed.
const DEPTH_MAX: u32 = 128;

/// Why there is no CBOR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoCbor {
    /// At a byte.
    Corrupt(String, usize),
    /// A value of a type that is an application's own.
    Extension,
}

/// A message in CBOR.
///
/// # Errors
/// Why there is none.
pub(crate) fn to_cbor(message: &[u8]) -> Result<Vec<u8>, NoCbor> {
    let mut reader = Reader { message, at: 0, out: Vec::with_capacity(message.len()) };
    reader.value(0)?;
    match reader.at == message.len() {
        true => Ok(reader.out),
        false => Err(reader.corrupt("bytes follow the message")),
    }
}

struct Reader<'m> {
    message: &'m [u8],
    at: usize,
    out: Vec<u8>,
}

/// Major types of CBOR.
const POSITIVE: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

impl<'m> Reader<'m> {
    fn corrupt(&self, what: &str) -> NoCbor {
        NoCbor::Corrupt(what.to_owned(), self.at)
    }

    fn take(&mut self, n: usize) -> Result<&'m [u8], NoCbor> {
        let taken = self.at.checked_add(n).and_then(|end| self.message.get(self.at..end));
        let taken = taken.ok_or_else(|| self.corrupt("the message ends within a value"))?;
        self.at += n;
        Ok(taken)
    }

    /// A number of so many bytes, the highest first.
    fn number(&mut self, n: usize) -> Result<u64, NoCbor> {
        Ok(self.take(n)?.iter().fold(0, |sum, it| (sum << 8) | u64::from(*it)))
    }

    fn length(&mut self, n: usize) -> Result<usize, NoCbor> {
        let length = self.number(n)?;
        usize::try_from(length).map_err(|_| self.corrupt("a value is longer than there can be"))
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        let bytes = value.to_be_bytes();
        match value {
            0..=23 => self.out.push(major | bytes[7]),
            24..=0xff => self.out.extend_from_slice(&[major | 24, bytes[7]]),
            0x100..=0xffff => {
                self.out.push(major | 25);
                self.out.extend_from_slice(&bytes[6..]);
            }
            0x1_0000..=0xffff_ffff => {
                self.out.push(major | 26);
                self.out.extend_from_slice(&bytes[4..]);
            }
            _ => {
                self.out.push(major | 27);
                self.out.extend_from_slice(&bytes);
            }
        }
    }

    fn signed(&mut self, n: usize) -> Result<(), NoCbor> {
        let shift = 64 - 8 * n as u32;
        let value = (self.number(n)? << shift).cast_signed() >> shift;
        match u64::try_from(value) {
            Ok(value) => self.head(POSITIVE, value),
            Err(_) => self.head(NEGATIVE, !value.cast_unsigned()),
        }
        Ok(())
    }

    fn bytes(&mut self, major: u8, n: usize) -> Result<(), NoCbor> {
        let bytes = self.take(n)?;
        // Before it had bytes of their own, the format had only raw ones.
        let major = if major == TEXT && str::from_utf8(bytes).is_err() { BYTES } else { major };
        self.head(major, n as u64);
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn values(&mut self, major: u8, n: usize, depth: u32) -> Result<(), NoCbor> {
        if depth == DEPTH_MAX {
            return Err(self.corrupt("values are nested too deep"));
        }
        self.head(major, n as u64);
        let n_values = if major == MAP { n.saturating_mul(2) } else { n };
        // Each takes a byte, so that a length that lies ends soon.
        (0..n_values).try_for_each(|_| self.value(depth + 1))
    }

    fn value(&mut self, depth: u32) -> Result<(), NoCbor> {
        let tag = self.take(1)?[0];
        let small = |mask: u8| usize::from(tag & mask);
        match tag {
            0x00..=0x7f => self.head(POSITIVE, u64::from(tag)),
            0x80..=0x8f => self.values(MAP, small(0x0f), depth)?,
            0x90..=0x9f => self.values(ARRAY, small(0x0f), depth)?,
            0xa0..=0xbf => self.bytes(TEXT, small(0x1f))?,
            0xc0 => self.out.push(0xf6),
            0xc1 => return Err(self.corrupt("a byte that no value begins with")),
            0xc2 => self.out.push(0xf4),
            0xc3 => self.out.push(0xf5),
            0xc4..=0xc6 => {
                let n = self.length(1 << (tag - 0xc4))?;
                self.bytes(BYTES, n)?;
            }
            0xca => {
                self.out.push(0xfa);
                let bytes = self.take(4)?;
                self.out.extend_from_slice(bytes);
            }
            0xcb => {
                self.out.push(0xfb);
                let bytes = self.take(8)?;
                self.out.extend_from_slice(bytes);
            }
            0xcc..=0xcf => {
                let value = self.number(1 << (tag - 0xcc))?;
                self.head(POSITIVE, value);
            }
            0xd0..=0xd3 => self.signed(1 << (tag - 0xd0))?,
            0xc7..=0xc9 | 0xd4..=0xd8 => return Err(NoCbor::Extension),
            0xd9..=0xdb => {
                let n = self.length(1 << (tag - 0xd9))?;
                self.bytes(TEXT, n)?;
            }
            0xdc | 0xdd => {
                let n = self.length(2 << (tag - 0xdc))?;
                self.values(ARRAY, n, depth)?;
            }
            0xde | 0xdf => {
                let n = self.length(2 << (tag - 0xde))?;
                self.values(MAP, n, depth)?;
            }
            0xe0..=0xff => self.head(NEGATIVE, u64::from(!tag)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ciborium::Value;

    use super::*;

    fn value(message: &[u8]) -> Value {
        ciborium::from_reader(to_cbor(message).unwrap().as_slice()).unwrap()
    }

    #[test]
    fn every_value_has_a_spelling() {
        let text = |it: &str| Value::Text(it.to_owned());
        for (message, expected) in [
            (&b"\x07"[..], Value::from(7)),
            (b"\xff", Value::from(-1)),
            (b"\xe0", Value::from(-32)),
            (b"\xd0\x80", Value::from(-128)),
            (b"\xd1\xff\x00", Value::from(-256)),
            (b"\xd2\x00\x00\x00\x05", Value::from(5)),
            (b"\xd3\x80\0\0\0\0\0\0\0", Value::from(i64::MIN)),
            (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", Value::from(u64::MAX)),
            (b"\xcd\x01\x00", Value::from(256)),
            (b"\xcb\x3f\xf8\0\0\0\0\0\0", Value::from(1.5)),
            (b"\xca\x3f\xc0\0\0", Value::from(1.5)),
            (b"\xc0", Value::Null),
            (b"\xc3", Value::Bool(true)),
            (b"\xc4\x02\xff\x00", Value::Bytes(vec![255, 0])),
            (b"\xa1\xff", Value::Bytes(vec![255])),
            (b"\xd9\x02ab", text("ab")),
            (b"\x92\x01\xa1x", Value::Array(vec![Value::from(1), text("x")])),
            (b"\xdc\x00\x01\xc2", Value::Array(vec![Value::Bool(false)])),
            (b"\x82\xa1x\x00\xa1y\x00", Value::Map(vec![(text("x"), 0.into()), (text("y"), 0.into())])),
            (b"\xde\x00\x01\xa1x\x00", Value::Map(vec![(text("x"), 0.into())])),
        ] {
            assert_eq!(value(message), expected, "{message:02x?}");
        }
    }

    #[test]
    fn what_lies_costs_nothing() {
        let deep = vec![0x91; 100_000];
        for message in [
            &b""[..],
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff\x01",
            b"\xc6\xff\xff\xff\xff",
            b"\xc1",
            b"\x01\x02",
            &deep,
        ] {
            assert!(
                matches!(to_cbor(message), Err(NoCbor::Corrupt(..))),
                "{:02x?}",
                &message[..message.len().min(9)]
            );
        }
        assert_eq!(to_cbor(b"\xd6\xff\0\0\0\0"), Err(NoCbor::Extension));
    }
}
