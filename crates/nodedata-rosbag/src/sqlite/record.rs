use nodedata_core::{Error, Result};
use nodedata_log::corrupt;

/// A value of a record, where it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Int(i64),
    Real(f64),
    /// In the encoding of the database.
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

/// What kind of value a record holds in a column, and where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Field {
    serial: u64,
    /// From the start of the record.
    start: u64,
    n_bytes: u64,
}

/// Reads a number of one to nine bytes and moves behind it; `None` where the bytes end before it does.
#[inline]
pub(crate) fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    if first < 0x80 {
        *at += 1;
        return Some(first.into());
    }
    let second = *bytes.get(*at + 1)?;
    if second < 0x80 {
        *at += 2;
        return Some(u64::from(first & 0x7f) << 7 | u64::from(second));
    }
    long_varint(bytes, at)
}

/// Reads a number of any length; nearly all have one or two bytes, and code that is short goes where it is called.
fn long_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for n in 0..8 {
        let byte = *bytes.get(*at + n)?;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            *at += n + 1;
            return Some(value);
        }
    }
    // The ninth byte has eight bits of the number.
    let last = *bytes.get(*at + 8)?;
    *at += 9;
    Some(value << 8 | u64::from(last))
}

/// Finds the values of the first columns of a record of `n_payload` bytes, of which `front` is what lies in one piece. Returns how
/// many of `fields` are filled; `None` when the head does not lie in the front.
///
/// # Errors
/// `Corrupt` when the head is not sound.
pub(crate) fn fields(front: &[u8], n_payload: u64, fields: &mut [Field]) -> Result<Option<usize>> {
    each_field(front, n_payload, fields.len(), |idx, field| fields[idx] = field)
}

/// Calls `visit` for the first `n_most` columns of a record with their positions, otherwise as [`fields`].
///
/// # Errors
/// `Corrupt` when the head is not sound.
#[inline]
pub(crate) fn each_field(
    front: &[u8],
    n_payload: u64,
    n_most: usize,
    mut visit: impl FnMut(usize, Field),
) -> Result<Option<usize>> {
    let mut at = 0;
    let Some(n_head) = varint(front, &mut at) else { return short(front, n_payload) };
    if n_payload < n_head || n_head < at as u64 {
        return Err(wrong(n_payload, "says its head has", n_head));
    }
    let is_whole = n_head <= front.len() as u64;
    let head = &front[..front.len().min(usize::try_from(n_head).unwrap_or(usize::MAX))];
    let mut start = n_head;
    for idx in 0..n_most {
        if is_whole && at == head.len() {
            return Ok(Some(idx));
        }
        let Some(serial) = varint(head, &mut at) else { return cut(is_whole) };
        let n_bytes = match serial {
            0 | 8 | 9 => 0,
            1..=4 => serial,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return Err(wrong(n_payload, "has a value of the unknown type", serial)),
            _ => (serial - 12) / 2,
        };
        visit(idx, Field { serial, start, n_bytes });
        start = start.saturating_add(n_bytes);
        if n_payload < start {
            return Err(wrong(n_payload, "has values of", start));
        }
    }
    Ok(Some(n_most))
}

#[cold]
fn short(front: &[u8], n_payload: u64) -> Result<Option<usize>> {
    if n_payload <= front.len() as u64 {
        return Err(corrupt(format!("record of {n_payload} bytes has no head")));
    }
    Ok(None)
}

#[cold]
fn cut(is_whole: bool) -> Result<Option<usize>> {
    if is_whole { Err(corrupt("head of a record ends inside a number")) } else { Ok(None) }
}

#[cold]
fn wrong(n_payload: u64, what: &str, number: u64) -> Error {
    corrupt(format!("record of {n_payload} bytes {what} {number}"))
}

impl Field {
    /// Where its bytes end in the record.
    #[inline]
    pub(crate) fn end(&self) -> u64 {
        self.start + self.n_bytes
    }

    /// Whether it is text or bytes, and where these lie in the record.
    #[inline]
    pub(crate) fn bytes(&self) -> Option<std::ops::Range<u64>> {
        (12 <= self.serial).then(|| self.start..self.end())
    }

    /// Its value; `None` where the record ends before.
    #[inline]
    pub(crate) fn value<'a>(&self, record: &'a [u8]) -> Option<Value<'a>> {
        let start = usize::try_from(self.start).ok()?;
        let bytes = record.get(start..start.checked_add(usize::try_from(self.n_bytes).ok()?)?)?;
        Some(match self.serial {
            0 => Value::Null,
            1..=6 => Value::Int(int(bytes)),
            7 => Value::Real(f64::from_bits(int(bytes).cast_unsigned())),
            8 => Value::Int(0),
            9 => Value::Int(1),
            it if it % 2 == 0 => Value::Blob(bytes),
            _ => Value::Text(bytes),
        })
    }
}

/// A number of one to eight bytes with a sign.
#[inline]
fn int(bytes: &[u8]) -> i64 {
    if let [byte] = bytes {
        return byte.cast_signed().into();
    }
    if let Ok(bytes) = bytes.try_into() {
        return i64::from_be_bytes(bytes);
    }
    let sign = bytes.first().map_or(0, |it| it.cast_signed() >> 7);
    bytes.iter().fold(i64::from(sign), |value, byte| value << 8 | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_to_nine_bytes() {
        for (bytes, value) in [
            (&[0x7f][..], 0x7f),
            (&[0x81, 0x00], 0x80),
            (&[0xff; 9], u64::MAX),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x05], 5),
        ] {
            let mut at = 0;
            assert_eq!(varint(bytes, &mut at), Some(value));
            assert_eq!(at, bytes.len());
            let mut at = 0;
            assert_eq!((varint(&bytes[..bytes.len() - 1], &mut at), at), (None, 0));
        }
    }

    #[test]
    fn values_of_every_type_are_found() {
        let record = [
            &[11, 0, 1, 3, 5, 6, 7, 8, 9, 14, 15][..],
            &[0xff],
            &[0x80, 0, 1],
            &[0, 0, 0, 0, 1, 0],
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &1.5f64.to_be_bytes(),
            b"b",
            b"t",
        ]
        .concat();
        let mut found = [Field::default(); 12];
        assert_eq!(fields(&record, record.len() as u64, &mut found).unwrap(), Some(10));
        let values: Vec<Value<'_>> = found[..10].iter().map(|it| it.value(&record).unwrap()).collect();
        assert_eq!(
            values,
            [
                Value::Null,
                Value::Int(-1),
                Value::Int(-0x7f_ffff),
                Value::Int(0x100),
                Value::Int(i64::MAX),
                Value::Real(1.5),
                Value::Int(0),
                Value::Int(1),
                Value::Blob(b"b"),
                Value::Text(b"t"),
            ]
        );
        // Of a front that holds the head alone, the numbers' places are known.
        assert_eq!(fields(&record[..11], record.len() as u64, &mut found).unwrap(), Some(10));
        assert_eq!(fields(&record[..5], record.len() as u64, &mut found).unwrap(), None);
        for (broken, n) in [(&[2u8, 10][..], 2), (&[9, 0], 2), (&[0], 1), (&[2, 0x80], 2), (&[2, 1], 2)] {
            assert!(fields(broken, n, &mut found).is_err(), "{broken:?}");
        }
    }
}
