//! Which columns of a Parquet file are encrypted where its footer is not. The Parquet reader, which has no keys, passes over what the
//! footer says of that, and would take pages of theirs for damaged ones.

use std::{collections::BTreeSet, ops::Range};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, ReadAt, Result};

use crate::thrift::{BINARY, LIST, STRUCT, Walk};

/// How a file ends whose footer is encrypted.
const ENCRYPTED_END: &[u8] = b"PARE";

// Fields of a file, of a row group, and of a column of that.
const ROW_GROUPS: i16 = 4;
const ENCRYPTION_ALGORITHM: i16 = 8;
const COLUMNS: i16 = 1;
const CRYPTO_METADATA: i16 = 8;
const ENCRYPTED_METADATA: i16 = 9;

/// That a file cannot be read without keys.
pub(crate) fn encrypted(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{what} encrypted, and this build has no keys"))
        .with_hint("decrypt the file where its keys are: write it again without encryption")
}

/// Refuses a file whose footer is encrypted, as its last bytes say.
pub(crate) fn refuse_encrypted(file: &dyn ReadAt) -> Result<()> {
    let n_bytes = file.n_bytes();
    if n_bytes < 8 || file.read_at(n_bytes - 4..n_bytes)? != ENCRYPTED_END {
        return Ok(());
    }
    Err(encrypted("the Parquet file is"))
}

/// Positions of the columns that are encrypted in any row group, where the footer of a file says that any are.
pub(crate) fn encrypted_columns(file: &dyn ReadAt) -> BTreeSet<usize> {
    footer_bytes(file).and_then(|it| Walk { bytes: &it }.file()).unwrap_or_default()
}

fn footer_bytes(file: &dyn ReadAt) -> Option<Bytes> {
    file.read_at(footer_range(file).ok()??).ok()
}

/// Where the footer lies; `None` in a file that is too short for it.
pub(crate) fn footer_range(file: &dyn ReadAt) -> Result<Option<Range<u64>>> {
    let Some(end) = file.n_bytes().checked_sub(8) else { return Ok(None) };
    let Ok(length) = <[u8; 4]>::try_from(file.read_at(end..end + 4)?.as_ref()) else { return Ok(None) };
    Ok(end.checked_sub(u64::from(u32::from_le_bytes(length))).map(|start| start..end))
}

impl Walk<'_> {
    /// The columns that are encrypted, of a file that says how.
    fn file(&mut self) -> Option<BTreeSet<usize>> {
        let (mut id, mut found, mut is_encrypted) = (0, BTreeSet::new(), false);
        while let Some(field) = self.field(&mut id)? {
            match field {
                (ROW_GROUPS, LIST) => {
                    for _ in 0..self.structs()? {
                        self.row_group(&mut found)?;
                    }
                }
                (number, kind) => {
                    is_encrypted |= (number, kind) == (ENCRYPTION_ALGORITHM, STRUCT);
                    self.skip(kind, 0)?;
                }
            }
        }
        is_encrypted.then_some(found)
    }

    fn row_group(&mut self, found: &mut BTreeSet<usize>) -> Option<()> {
        let mut id = 0;
        while let Some(field) = self.field(&mut id)? {
            match field {
                (COLUMNS, LIST) => {
                    for column in 0..self.structs()? {
                        if self.is_encrypted()? {
                            found.insert(usize::try_from(column).ok()?);
                        }
                    }
                }
                (_, kind) => self.skip(kind, 0)?,
            }
        }
        Some(())
    }

    /// Passes over a column, and tells whether it is encrypted.
    fn is_encrypted(&mut self) -> Option<bool> {
        let (mut id, mut is_encrypted) = (0, false);
        while let Some(field) = self.field(&mut id)? {
            is_encrypted |= matches!(field, (CRYPTO_METADATA, STRUCT) | (ENCRYPTED_METADATA, BINARY));
            self.skip(field.1, 0)?;
        }
        Some(is_encrypted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(footer: &[u8]) -> Vec<usize> {
        Walk { bytes: footer }.file().into_iter().flatten().collect()
    }

    /// A footer of one row group of three columns, the middle one with `more` behind its place in the file.
    fn footer(more: &[u8]) -> Vec<u8> {
        // Version 2; a schema of one struct that has a name; 300 rows.
        let mut bytes = vec![0x15, 0x04, 0x19, 0x1c, 0x48, 1, b'm', 0, 0x16, 0xd8, 0x04];
        // Row groups: a list of one struct, whose first field is a list of three.
        bytes.extend([0x19, 0x1c, 0x19, 0x3c]);
        for more in [&[][..], more, &[]] {
            // Field 2, a place in the file.
            bytes.extend([0x26, 0x08]);
            bytes.extend(more);
            bytes.push(0);
        }
        // Bytes and rows of the row group; who wrote it, by a field whose number is written out.
        bytes.extend([0x16, 0x02, 0x16, 0x06, 0, 0x08, 0x0c, 2, b'm', b'e']);
        // How it is encrypted, a union of which the first is an empty struct; and a signature behind the end.
        bytes.extend([0x2c, 0x1c, 0, 0, 0, 0xff, 0xff]);
        bytes
    }

    #[test]
    fn columns_with_keys_are_found() {
        assert!(found(&footer(&[])).is_empty());
        // Field 8, a union of which the first is an empty struct.
        let by_footer_key = [0x6c, 0x1c, 0, 0];
        assert_eq!(found(&footer(&by_footer_key)), [1]);
        // Field 9, bytes.
        assert_eq!(found(&footer(&[0x78, 3, 1, 2, 3])), [1]);
        // Field 8 of another type is none that we know.
        assert!(found(&footer(&[0x65, 3])).is_empty());
        // A file that does not say how it is encrypted is damaged, and not encrypted.
        let mut plain = footer(&by_footer_key);
        plain.truncate(plain.len() - 7);
        plain.push(0);
        assert!(found(&plain).is_empty());
    }

    #[test]
    fn a_cut_footer_tells_nothing() {
        let whole = footer(&[0x6c, 0x1c, 0, 0]);
        for end in 0..whole.len() - 2 {
            assert!(found(&whole[..end]).is_empty(), "{end} bytes");
        }
        // Of numbers that claim more than there is, nothing is counted out: lists in lists, and a list of all that 64 bits count.
        assert!(found(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).is_empty());
        assert!(found(&[&[0x1c][..], &[0x1c; 1000]].concat()).is_empty());
        assert!(found(&[0x19; 1000]).is_empty());
    }
}
