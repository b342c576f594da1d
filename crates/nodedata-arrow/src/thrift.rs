//! The compact protocol of Thrift, in which Parquet writes footers and the headers of pages: as much of it as it takes to find single
//! fields of them.

/// Structs within structs that a footer may have.
const DEPTH_MAX: usize = 64;

// Types of fields.
pub(crate) const BYTE: u8 = 3;
pub(crate) const I32: u8 = 5;
pub(crate) const BINARY: u8 = 8;
pub(crate) const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
pub(crate) const STRUCT: u8 = 12;

/// Whether a field is true or false, which it says in its type.
pub(crate) fn is_bool(kind: u8) -> bool {
    matches!(kind, 1 | 2)
}

/// What is left of some bytes. Nothing is `Some` behind its end.
pub(crate) struct Walk<'a> {
    pub(crate) bytes: &'a [u8],
}

/// A field of a struct: its number and type.
pub(crate) type Field = (i16, u8);

impl Walk<'_> {
    /// The next field of a struct; `None` within at its end.
    pub(crate) fn field(&mut self, id: &mut i16) -> Option<Option<Field>> {
        let byte = self.byte()?;
        let (step, kind) = (byte >> 4, byte & 0xf);
        if kind == 0 {
            return Some(None);
        }
        *id = match step {
            0 => i16::try_from(self.signed()?).ok()?,
            _ => id.checked_add(i16::from(step))?,
        };
        Some(Some((*id, kind)))
    }

    /// How many structs a list has.
    pub(crate) fn structs(&mut self) -> Option<u64> {
        let (n, kind) = self.list()?;
        (kind == STRUCT || n == 0).then_some(n)
    }

    fn list(&mut self) -> Option<(u64, u8)> {
        let byte = self.byte()?;
        let n = match byte >> 4 {
            15 => self.number()?,
            n => u64::from(n),
        };
        Some((n, byte & 0xf))
    }

    /// Passes over a value.
    pub(crate) fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if DEPTH_MAX < depth {
            return None;
        }
        match kind {
            // A field that is true or false says so in its type.
            1 | 2 => Some(()),
            BYTE => self.skip_bytes(1),
            4..=6 => self.number().map(drop),
            7 => self.skip_bytes(8),
            BINARY => {
                let n = self.number()?;
                self.skip_bytes(usize::try_from(n).ok()?)
            }
            LIST | SET => {
                let (n, kind) = self.list()?;
                // Each takes a byte at least, so that no number of them goes on for longer than there are bytes.
                (0..n).try_for_each(|_| self.skip_item(kind, depth + 1))
            }
            MAP => {
                let n = self.number()?;
                let kinds = if n == 0 { 0 } else { self.byte()? };
                (0..n).try_for_each(|_| {
                    self.skip_item(kinds >> 4, depth + 1)?;
                    self.skip_item(kinds & 0xf, depth + 1)
                })
            }
            STRUCT => {
                let mut id = 0;
                while let Some((_, kind)) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                }
                Some(())
            }
            13 => self.skip_bytes(16),
            _ => None,
        }
    }

    /// In a list, true and false are a byte.
    fn skip_item(&mut self, kind: u8, depth: usize) -> Option<()> {
        if matches!(kind, 1 | 2) { self.skip_bytes(1) } else { self.skip(kind, depth) }
    }

    fn skip_bytes(&mut self, n: usize) -> Option<()> {
        self.bytes = self.bytes.get(n..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// A number of either sign.
    pub(crate) fn signed(&mut self) -> Option<i64> {
        let told = self.number()?;
        Some((told >> 1).cast_signed() ^ -(told & 1).cast_signed())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}
