//! A borrowed walk over the protobuf wire format. It allocates nothing, and every length is checked
//! against what is left before it is used.

use nodedata_core::LeafId;

/// What broke, and the address of the byte where: turned into an offset once the outermost message is
/// at hand, so that the walk over nested slices need not carry one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) addr: usize,
    /// The column that was being filled, where one was.
    pub(super) leaf: Option<LeafId>,
}

/// The ways in which a message can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// A value reaches beyond the end of its message.
    Truncated,
    /// A varint of more than ten bytes, or of more than 64 bits.
    Varint,
    /// A field number that is 0 or above 2^29 - 1.
    FieldNumber,
    /// Wire types 6 and 7 do not exist.
    WireType,
    /// A group that ends without a start, or with another number.
    GroupEnd,
    /// Groups nested deeper than any encoder writes.
    GroupDepth,
    /// A packed field whose length is no multiple of its item's.
    Packed,
    /// Text that is not UTF-8.
    Text,
    /// A time that 64 bits of nanoseconds cannot hold.
    Time,
    /// Far more values than bytes: a message made to exhaust memory.
    Budget,
}

pub(super) type Walk<T> = Result<T, Fault>;

/// Groups inside groups; the limit of the official parsers.
const GROUP_DEPTH_MAX: usize = 100;

/// One field as it lies on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireField<'a> {
    pub(super) number: u32,
    pub(super) value: WireValue<'a>,
    /// Tag and value, as they were written.
    pub(super) raw: &'a [u8],
}

/// The value of a field, by wire type.
#[derive(Debug, Clone, Copy)]
pub(super) enum WireValue<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2, without its length.
    Bytes(&'a [u8]),
    /// Wire type 3, without its end tag.
    Group(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// A cursor over one message, or over one packed field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire<'a> {
    left: &'a [u8],
}

impl<'a> Wire<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    pub(super) fn is_empty(self) -> bool {
        self.left.is_empty()
    }

    fn fault(self, kind: FaultKind) -> Fault {
        Fault::in_slice(kind, self.left)
    }

    /// The next field, or `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Walk<Option<WireField<'a>>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let start = self.left;
        let (number, wire_type) = self.tag()?;
        let value = match wire_type {
            0 => WireValue::Varint(self.varint()?),
            1 => WireValue::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => WireValue::Bytes(self.bytes()?),
            3 => WireValue::Group(self.group(number)?),
            5 => WireValue::Fixed32(u32::from_le_bytes(self.array()?)),
            4 => return Err(Fault::in_slice(FaultKind::GroupEnd, start)),
            _ => return Err(Fault::in_slice(FaultKind::WireType, start)),
        };
        let raw = &start[..start.len() - self.left.len()];
        Ok(Some(WireField { number, value, raw }))
    }

    #[inline]
    fn tag(&mut self) -> Walk<(u32, u8)> {
        let start = *self;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).unwrap_or(0);
        if number == 0 || number >= 1 << 29 {
            return Err(start.fault(FaultKind::FieldNumber));
        }
        Ok((number, (tag & 7) as u8))
    }

    /// A base-128 number of at most 64 bits.
    #[inline]
    pub(super) fn varint(&mut self) -> Walk<u64> {
        if let Some((&byte, rest)) = self.left.split_first()
            && byte < 0x80
        {
            self.left = rest;
            return Ok(u64::from(byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Walk<u64> {
        let mut value = 0u64;
        for (idx, &byte) in self.left.iter().take(10).enumerate() {
            // The tenth byte holds bit 63 and no other.
            if idx == 9 && byte > 1 {
                return Err(self.fault(FaultKind::Varint));
            }
            value |= u64::from(byte & 0x7f) << (7 * idx);
            if byte < 0x80 {
                self.left = &self.left[idx + 1..];
                return Ok(value);
            }
        }
        Err(self.fault(FaultKind::Truncated))
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Walk<[u8; N]> {
        let Some((head, rest)) = self.left.split_first_chunk() else {
            return Err(self.fault(FaultKind::Truncated));
        };
        self.left = rest;
        Ok(*head)
    }

    #[inline]
    fn bytes(&mut self) -> Walk<&'a [u8]> {
        let start = *self;
        let n_bytes = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let Some((head, rest)) = self.left.split_at_checked(n_bytes) else {
            return Err(start.fault(FaultKind::Truncated));
        };
        self.left = rest;
        Ok(head)
    }

    /// The content of a group whose start tag was just read. Groups inside it are matched too.
    fn group(&mut self, number: u32) -> Walk<&'a [u8]> {
        let start = self.left;
        let mut open = [0u32; GROUP_DEPTH_MAX];
        open[0] = number;
        let mut depth = 1;
        loop {
            let before = *self;
            let (number, wire_type) = self.tag()?;
            match wire_type {
                0 => drop(self.varint()?),
                1 => drop(self.array::<8>()?),
                2 => drop(self.bytes()?),
                5 => drop(self.array::<4>()?),
                3 => {
                    let Some(slot) = open.get_mut(depth) else {
                        return Err(before.fault(FaultKind::GroupDepth));
                    };
                    *slot = number;
                    depth += 1;
                }
                4 if open[depth - 1] != number => return Err(before.fault(FaultKind::GroupEnd)),
                4 => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(&start[..start.len() - before.left.len()]);
                    }
                }
                _ => return Err(before.fault(FaultKind::WireType)),
            }
        }
    }
}

impl Fault {
    /// A fault at the start of a slice of the message.
    pub(super) fn in_slice(kind: FaultKind, at: &[u8]) -> Self {
        Self { kind, addr: at.as_ptr().addr(), leaf: None }
    }

    /// The same fault, met while filling a column.
    pub(super) fn of(mut self, leaf: LeafId) -> Self {
        self.leaf = Some(leaf);
        self
    }
}

/// Appends a number in base 128.
pub(super) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
