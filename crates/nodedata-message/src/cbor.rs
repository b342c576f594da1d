use std::fmt;

use serde::{
    de::{
        self, Deserialize as _, DeserializeSeed, EnumAccess, IntoDeserializer as _, MapAccess, SeqAccess,
        VariantAccess, Visitor, value::U64Deserializer,
    },
    forward_to_deserialize_any,
};

/// Nesting of arrays, maps and tags that is followed.
const DEPTH_MAX: u32 = 128;

/// A CBOR data item (RFC 8949) read from a slice: text and byte strings are borrowed, no length is
/// trusted, and a tag is handed to the visitor as an enum whose variant is the tag's number.
///
/// The `ciborium` crate reads owned values only: it takes no seed, so it cannot write into columns.
pub(crate) struct CborReader<'de> {
    rest: &'de [u8],
    n_bytes: usize,
    depth: u32,
}

/// Why an item could not be read.
#[derive(Debug)]
pub(crate) struct CborError(String);

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CborError {}

impl de::Error for CborError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The head of an item: its major type, and a count that an indefinite length lacks.
struct Head {
    major: u8,
    info: u8,
    argument: Option<u64>,
}

const BYTES: u8 = 2;
const TEXT: u8 = 3;
const BREAK: u8 = 0xff;

/// Whether bytes are one item of CBOR, whatever it holds.
pub fn is_cbor(bytes: &[u8]) -> bool {
    let mut reader = CborReader::new(bytes);
    de::IgnoredAny::deserialize(&mut reader).is_ok() && reader.end().is_ok()
}

impl<'de> CborReader<'de> {
    pub(crate) fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes, n_bytes: bytes.len(), depth: 0 }
    }

    /// Fails when bytes follow the item.
    pub(crate) fn end(&self) -> Result<(), CborError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error("bytes follow the item")) }
    }

    /// Bytes that were read.
    pub(crate) fn at(&self) -> usize {
        self.n_bytes - self.rest.len()
    }

    fn error(&self, what: impl fmt::Display) -> CborError {
        CborError(format!("{what} at byte {}", self.at()))
    }

    fn take(&mut self, n_bytes: u64) -> Result<&'de [u8], CborError> {
        let split = usize::try_from(n_bytes).ok().and_then(|it| self.rest.split_at_checked(it));
        let Some((taken, rest)) = split else {
            return Err(self.error(format!("{} bytes are left, but {n_bytes} are declared", self.rest.len())));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn head(&mut self) -> Result<Head, CborError> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 0x1f);
        let argument = match info {
            0..=23 => Some(u64::from(info)),
            24..=27 => {
                let bytes = self.take(1 << (info - 24))?;
                Some(bytes.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte)))
            }
            31 if matches!(major, 2..=5 | 7) => None,
            _ => return Err(self.error(format!("reserved head {first:#04x}"))),
        };
        Ok(Head { major, info, argument })
    }

    /// Whether the next byte ends an indefinite item; takes it if so.
    fn take_break(&mut self) -> bool {
        let is_break = self.rest.first() == Some(&BREAK);
        if is_break {
            self.rest = &self.rest[1..];
        }
        is_break
    }

    /// The chunks of an indefinite string, each of the string's own type and of definite length.
    fn chunks(&mut self, major: u8) -> Result<Vec<u8>, CborError> {
        let mut whole = Vec::new();
        while !self.take_break() {
            let head = self.head()?;
            match head.argument {
                Some(n_bytes) if head.major == major => whole.extend_from_slice(self.take(n_bytes)?),
                _ => return Err(self.error("string chunk of another type")),
            }
        }
        Ok(whole)
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, CborError>) -> Result<T, CborError> {
        if self.depth == DEPTH_MAX {
            return Err(self.error(format!("items are nested deeper than {DEPTH_MAX}")));
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn simple<V: Visitor<'de>>(&self, head: &Head, visitor: V) -> Result<V::Value, CborError> {
        match (head.info, head.argument) {
            (20, _) => visitor.visit_bool(false),
            (21, _) => visitor.visit_bool(true),
            // Null and undefined.
            (22 | 23, _) => visitor.visit_unit(),
            (25, Some(bits)) => visitor.visit_f64(half_to_f64(bits as u16)),
            (26, Some(bits)) => visitor.visit_f64(f64::from(f32::from_bits(bits as u32))),
            (27, Some(bits)) => visitor.visit_f64(f64::from_bits(bits)),
            (31, _) => Err(self.error("break outside an indefinite item")),
            _ => Err(self.error("unassigned simple value")),
        }
    }

    fn tagged<V: Visitor<'de>>(&mut self, tag: u64, visitor: V) -> Result<V::Value, CborError> {
        const BIG_POSITIVE: u64 = 2;
        const BIG_NEGATIVE: u64 = 3;
        if matches!(tag, BIG_POSITIVE | BIG_NEGATIVE)
            && let Some(magnitude) = self.bignum()?
        {
            return if tag == BIG_POSITIVE {
                visitor.visit_u128(magnitude)
            } else {
                // The value is -1 - magnitude, and magnitude is below 2^120.
                visitor.visit_i128(-1 - magnitude.cast_signed())
            };
        }
        self.nested(|reader| visitor.visit_enum(Tagged { reader, tag }))
    }

    /// The byte string of a bignum of at most 15 bytes; longer ones stay tagged byte strings.
    fn bignum(&mut self) -> Result<Option<u128>, CborError> {
        let mut ahead = Self { rest: self.rest, ..*self };
        let head = ahead.head()?;
        match head.argument {
            Some(n_bytes @ 0..=15) if head.major == BYTES => {
                let bytes = ahead.take(n_bytes)?;
                self.rest = ahead.rest;
                Ok(Some(bytes.iter().fold(0, |value, byte| (value << 8) | u128::from(*byte))))
            }
            _ => Ok(None),
        }
    }
}

/// IEEE 754 half precision, widened without loss.
fn half_to_f64(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

impl<'de> de::Deserializer<'de> for &mut CborReader<'de> {
    type Error = CborError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        let head = self.head()?;
        match (head.major, head.argument) {
            (0, Some(value)) => visitor.visit_u64(value),
            (1, Some(value)) => match i64::try_from(value) {
                Ok(value) => visitor.visit_i64(-1 - value),
                Err(_) => visitor.visit_i128(-1 - i128::from(value)),
            },
            (BYTES, Some(n_bytes)) => visitor.visit_borrowed_bytes(self.take(n_bytes)?),
            (BYTES, None) => visitor.visit_byte_buf(self.chunks(BYTES)?),
            (TEXT, Some(n_bytes)) => {
                let text = std::str::from_utf8(self.take(n_bytes)?).map_err(|err| self.error(err))?;
                visitor.visit_borrowed_str(text)
            }
            (TEXT, None) => {
                let text = String::from_utf8(self.chunks(TEXT)?).map_err(|err| self.error(err))?;
                visitor.visit_string(text)
            }
            (4, left) => self.nested(|reader| visitor.visit_seq(Items { reader, left })),
            (5, left) => self.nested(|reader| visitor.visit_map(Items { reader, left })),
            (6, Some(tag)) => self.tagged(tag, visitor),
            _ => self.simple(&head, visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The items of an array or the entries of a map.
struct Items<'a, 'de> {
    reader: &'a mut CborReader<'de>,
    /// `None` for an indefinite length.
    left: Option<u64>,
}

impl Items<'_, '_> {
    fn has_next(&mut self) -> bool {
        match &mut self.left {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => !self.reader.take_break(),
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = CborError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, CborError> {
        if self.has_next() { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = CborError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, CborError> {
        if self.has_next() { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, CborError> {
        seed.deserialize(&mut *self.reader)
    }
}

/// A tagged item as an enum: the variant is the tag's number, its content the item.
struct Tagged<'a, 'de> {
    reader: &'a mut CborReader<'de>,
    tag: u64,
}

impl<'de> EnumAccess<'de> for Tagged<'_, 'de> {
    type Error = CborError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), CborError> {
        let tag: U64Deserializer<CborError> = self.tag.into_deserializer();
        Ok((seed.deserialize(tag)?, self))
    }
}

impl<'de> VariantAccess<'de> for Tagged<'_, 'de> {
    type Error = CborError;

    fn unit_variant(self) -> Result<(), CborError> {
        Err(self.reader.error("a tag without content"))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, CborError> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, CborError> {
        de::Deserializer::deserialize_any(self.reader, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CborError> {
        de::Deserializer::deserialize_any(self.reader, visitor)
    }
}

#[cfg(test)]
mod tests {
    use ciborium::Value;
    use serde::Deserialize as _;

    use super::*;
    use crate::json::json_text;

    fn read(bytes: &[u8]) -> Result<String, CborError> {
        let mut text = Vec::new();
        let mut reader = CborReader::new(bytes);
        json_text(&mut reader, &mut text, usize::MAX)?;
        reader.end()?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[track_caller]
    fn check(hex: &str, expected: &str) {
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|it| u8::from_str_radix(&hex[it..it + 2], 16).unwrap()).collect();
        assert_eq!(read(&bytes).unwrap(), expected, "{hex}");
        for n_bytes in 0..bytes.len() {
            assert!(read(&bytes[..n_bytes]).is_err(), "{hex} cut to {n_bytes}");
        }
    }

    /// Values of RFC 8949, appendix A.
    #[test]
    fn items_of_the_specification_are_read() {
        check("00", "0");
        check("1818", "24");
        check("1bffffffffffffffff", "18446744073709551615");
        check("c249010000000000000000", "18446744073709551616");
        check("3bffffffffffffffff", "-18446744073709551616");
        check("c349010000000000000000", "-18446744073709551617");
        check("3903e7", "-1000");
        check("f90001", "5.960464477539063e-8");
        check("f9c400", "-4.0");
        check("f97bff", "65504.0");
        check("fa47c35000", "100000.0");
        check("fb3ff199999999999a", "1.1");
        check("f97c00", "\"Infinity\"");
        check("f4", "false");
        check("f6", "null");
        check("62c3bc", "\"ü\"");
        check("7f657374726561646d696e67ff", "\"streaming\"");
        check("4401020304", "\"AQIDBA==\"");
        check("5f42010243030405ff", "\"AQIDBAU=\"");
        check("83010203", "[1,2,3]");
        check("9f018202039f0405ffff", "[1,[2,3],[4,5]]");
        check("a26161016162820203", "{\"a\":1,\"b\":[2,3]}");
        check("bf61610161629f0203ffff", "{\"a\":1,\"b\":[2,3]}");
        check("c11a514b67b0", "{\"@tag\":1,\"@value\":1363896240}");
    }

    #[test]
    fn hostile_items_are_refused() {
        for bytes in [&[0xff][..], &[0x1c], &[0x9f, 0x01], &[0x7f, 0x41, 0x00, 0xff], &[0xf8, 0x00]] {
            assert!(read(bytes).is_err(), "{bytes:02x?}");
        }
        // An array and a string of 2^63 items, and nesting without end.
        assert!(read(&[0x9b, 0x80, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(read(&[0x5b, 0x80, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(read(&vec![0x81; 100_000]).is_err());
        assert!(read(&vec![0xc0; 100_000]).is_err());
        assert!(read(&[0x01, 0x02]).unwrap_err().to_string().contains("follow"));
    }

    #[test]
    fn what_another_writer_wrote_is_read() {
        let value = Value::Map(vec![
            (Value::Text("t".into()), Value::Integer(1_700_000_000_000_000_000_u64.into())),
            (Value::Text("q".into()), Value::Array(vec![Value::Float(0.841471), Value::Float(-0.0)])),
            (Value::Text("none".into()), Value::Null),
        ]);
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes).unwrap();
        assert_eq!(read(&bytes).unwrap(), r#"{"t":1700000000000000000,"q":[0.841471,-0.0],"none":null}"#);
        let mut reader = CborReader::new(&bytes);
        let again = std::collections::BTreeMap::<String, de::IgnoredAny>::deserialize(&mut reader).unwrap();
        assert_eq!(again.len(), 3);
    }
}
