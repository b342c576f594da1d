//! Arrays as NumPy writes them.

use nodedata_core::DType;

use super::numpy_header;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Bytes of the text in a header.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Bytes that the header of an array has at most.
pub(crate) const HEADER_BYTES_MAX: u64 = TEXT_BYTES_MAX as u64 + 12;
/// Lists that an array without a value may still be.
const EMPTY_LISTS_MAX: u64 = 1 << 16;

/// What an array is, by its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Npy {
    pub(crate) dtype: DType,
    is_big_endian: bool,
    /// Outermost first.
    pub(crate) shape: Vec<u64>,
    /// Bytes of the header.
    n_header: usize,
    /// Bytes of the values.
    pub(crate) n_bytes: u64,
}

/// Why there are no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoArray {
    /// It is no array, or not the one that it says it is.
    Corrupt(String),
    /// It is an array that no column holds: it stays the bytes that it is.
    Other(String),
}

impl Npy {
    /// Reads the header of an array, of which `contents` is the beginning.
    ///
    /// # Errors
    /// Why there are no values.
    pub(crate) fn header(contents: &[u8]) -> Result<Self, NoArray> {
        let corrupt = |message: &str| NoArray::Corrupt(message.to_owned());
        let Some(rest) = contents.strip_prefix(MAGIC) else {
            return Err(corrupt("it does not begin as arrays of NumPy do"));
        };
        let cut = || corrupt("it ends within its header");
        let (length, n_before) = match *rest {
            [1, _, low, high, ..] => (usize::from(u16::from_le_bytes([low, high])), 10),
            [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
            [1..=3, ..] | [] => return Err(cut()),
            [version, ..] => return Err(NoArray::Other(format!("is an array of version {version}"))),
        };
        if TEXT_BYTES_MAX < length {
            return Err(NoArray::Other(format!("has a header of {length} bytes")));
        }
        let text = contents.get(n_before..n_before + length).ok_or_else(cut)?;
        let described = str::from_utf8(text).ok().and_then(numpy_header::parse);
        let described = described.unwrap_or_default();
        let (Some(descr), Some(is_fortran), Some(shape)) =
            (described.descr, described.is_fortran, described.shape)
        else {
            return Err(corrupt("its header is not what NumPy writes"));
        };
        let (is_big_endian, dtype) = element(&descr)?;
        let n_values = shape.iter().try_fold(1u64, |product, it| product.checked_mul(*it));
        let width = dtype.byte_width().unwrap_or(1) as u64;
        let Some(n_bytes) = n_values.and_then(|it| it.checked_mul(width)) else {
            return Err(NoArray::Corrupt(format!("its shape {shape:?} is more than there can be")));
        };
        // As one dimension both orders are the same.
        if is_fortran && shape.iter().filter(|it| **it != 1).count() > 1 {
            return Err(NoArray::Other("lies in Fortran order".to_owned()));
        }
        let n_lists = shape.iter().filter(|it| **it != 0).try_fold(1u64, |all, it| all.checked_mul(*it));
        if n_bytes == 0 && n_lists.is_none_or(|it| EMPTY_LISTS_MAX < it) {
            return Err(NoArray::Other(format!("has no values, in a shape of {shape:?}")));
        }
        if shape.iter().any(|it| i32::MAX as u64 / 2 < *it) || i32::MAX as u64 / 2 < n_bytes {
            return Err(NoArray::Other(format!("has {n_bytes} bytes of values, more than a column takes")));
        }
        Ok(Self { dtype, is_big_endian, shape, n_header: n_before + length, n_bytes })
    }

    /// The values of an array, of which `contents` is all, lowest byte first.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn values<'c>(&self, contents: &'c [u8]) -> Result<std::borrow::Cow<'c, [u8]>, String> {
        let values = contents.get(self.n_header..).unwrap_or_default();
        if values.len() as u64 != self.n_bytes {
            let (found, told) = (values.len(), self.n_bytes);
            return Err(format!("its header says {told} bytes of values, and it has {found}"));
        }
        if self.dtype == DType::Bool && values.iter().any(|it| 1 < *it) {
            return Err("a value is neither true nor false".to_owned());
        }
        let width = self.dtype.byte_width().unwrap_or(1);
        if !self.is_big_endian || width == 1 {
            return Ok(values.into());
        }
        let mut swapped = values.to_vec();
        swapped.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        Ok(swapped.into())
    }
}

/// Byte order and type of an element, as `descr` spells it.
fn element(descr: &str) -> Result<(bool, DType), NoArray> {
    let other = || NoArray::Other(format!("has elements of type `{}`", descr.escape_debug()));
    let is_big_endian = descr.starts_with('>');
    let dtype = match descr.trim_start_matches(['<', '>', '|', '=']) {
        "b1" => DType::Bool,
        "i1" => DType::Int8,
        "i2" => DType::Int16,
        "i4" => DType::Int32,
        "i8" => DType::Int64,
        "u1" => DType::UInt8,
        "u2" => DType::UInt16,
        "u4" => DType::UInt32,
        "u8" => DType::UInt64,
        "f2" => DType::Float16,
        "f4" => DType::Float32,
        "f8" => DType::Float64,
        "O" | "O4" | "O8" => {
            return Err(NoArray::Other("has Python objects in it, which are pickles".to_owned()));
        }
        _ => return Err(other()),
    };
    Ok((is_big_endian, dtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, is_fortran: bool, shape: &str, values: &[u8]) -> Vec<u8> {
        let is_fortran = if is_fortran { "True" } else { "False" };
        let text = format!("{{'descr': '{descr}', 'fortran_order': {is_fortran}, 'shape': {shape}, }}\n");
        let length = u16::try_from(text.len()).unwrap().to_le_bytes();
        [MAGIC, &[1, 0], &length, text.as_bytes(), values].concat()
    }

    #[test]
    fn values_come_lowest_byte_first() {
        let bytes = npy(">i2", false, "(2, 1)", &[0, 1, 0xff, 0xfe]);
        let array = Npy::header(&bytes).unwrap();
        assert_eq!((array.dtype, array.shape.as_slice()), (DType::Int16, &[2, 1][..]));
        assert_eq!(array.values(&bytes).unwrap().as_ref(), [1, 0, 0xfe, 0xff]);
        let scalar = npy("<f8", false, "()", &1.5f64.to_le_bytes());
        let array = Npy::header(&scalar).unwrap();
        assert_eq!(
            (array.shape.len(), array.values(&scalar).unwrap().as_ref()),
            (0, &1.5f64.to_le_bytes()[..])
        );
        let fortran = npy("|u1", true, "(1, 3)", &[1, 2, 3]);
        assert_eq!(Npy::header(&fortran).unwrap().values(&fortran).unwrap().as_ref(), [1, 2, 3]);
    }

    #[test]
    fn what_is_no_array_of_a_column_is_told_apart_from_damage() {
        let other = |bytes: &[u8]| match Npy::header(bytes) {
            Err(NoArray::Other(message)) => message,
            found => panic!("{found:?}"),
        };
        let corrupt = |bytes: &[u8]| match Npy::header(bytes) {
            Err(NoArray::Corrupt(message)) => message,
            found => panic!("{found:?}"),
        };
        assert_eq!(other(&npy("|O", false, "(1,)", b"")), "has Python objects in it, which are pickles");
        assert_eq!(other(&npy("<U5", false, "(1,)", b"")), "has elements of type `<U5`");
        assert_eq!(other(&npy("<f4", true, "(2, 3)", &[0; 24])), "lies in Fortran order");
        assert!(other(&npy("<f4", false, "(1000000000, 0)", b"")).contains("no values"));
        assert!(other(&npy("<f4", false, "(1099511627776,)", b"")).contains("more than a column"));
        assert!(corrupt(&npy("<f8", false, "(4294967296, 4294967296)", b"")).contains("more than there can"));
        assert!(corrupt(&npy("<f8", false, "(9223372036854775807,)", b"")).contains("more than there can"));
        assert!(corrupt(b"PK\x03\x04").contains("does not begin"));
        let whole = npy("<f4", false, "(1,)", &[0; 4]);
        for n in 6..whole.len() - 4 {
            corrupt(&whole[..n]);
        }
        let array = Npy::header(&whole).unwrap();
        assert!(array.values(&whole[..whole.len() - 1]).is_err());
        assert!(array.values(&[&whole[..], &[0]].concat()).is_err());
        let not_bool = npy("|b1", false, "(1,)", &[2]);
        assert!(Npy::header(&not_bool).unwrap().values(&not_bool).is_err());
    }
}
