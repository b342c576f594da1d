//! Bounded reads of FlatBuffers: tables, vectors and text behind offsets, each checked against the
//! buffer before it is used. Alignment is not required.

use nodedata_core::LeafId;

/// What broke, at which byte of the buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) at: usize,
    /// The column that was being filled, where one was.
    pub(super) leaf: Option<LeafId>,
}

/// The ways in which a buffer can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// An offset or a value that reaches beyond the end.
    OutOfBounds,
    /// A vtable shorter than its own head.
    Vtable,
    /// Text that is not UTF-8.
    Text,
    /// A time that 64 bits of nanoseconds cannot hold.
    Time,
    /// Far more values than bytes: offsets made to exhaust memory or time.
    Budget,
}

/// Longest name of a type, field or constant.
const NAME_BYTES_MAX: usize = 1024;

pub(super) type Walk<T> = Result<T, Fault>;

impl Fault {
    pub(super) fn new(kind: FaultKind, at: usize) -> Self {
        Self { kind, at, leaf: None }
    }

    /// The same fault, met while filling a column.
    pub(super) fn of(mut self, leaf: LeafId) -> Self {
        self.leaf = Some(leaf);
        self
    }
}

/// A whole FlatBuffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buffer<'a> {
    pub(super) bytes: &'a [u8],
}

/// A table of a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    buffer: Buffer<'a>,
    at: usize,
    /// The vtable, its head of four bytes included.
    vtable: &'a [u8],
}

/// A vector of a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vector<'a> {
    buffer: Buffer<'a>,
    /// Byte of the first item.
    pub(super) start: usize,
    /// Items.
    pub(super) len: usize,
    item_bytes: usize,
}

impl<'a> Buffer<'a> {
    #[inline]
    pub(super) fn slice(self, at: usize, n_bytes: usize) -> Walk<&'a [u8]> {
        at.checked_add(n_bytes)
            .and_then(|end| self.bytes.get(at..end))
            .ok_or_else(|| Fault::new(FaultKind::OutOfBounds, at))
    }

    #[inline]
    fn array<const N: usize>(self, at: usize) -> Walk<[u8; N]> {
        self.bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .ok_or_else(|| Fault::new(FaultKind::OutOfBounds, at))
    }

    #[inline]
    pub(super) fn u8(self, at: usize) -> Walk<u8> {
        Ok(u8::from_le_bytes(self.array(at)?))
    }

    #[inline]
    pub(super) fn u16(self, at: usize) -> Walk<u16> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    #[inline]
    pub(super) fn u32(self, at: usize) -> Walk<u32> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    #[inline]
    pub(super) fn i64(self, at: usize) -> Walk<i64> {
        Ok(i64::from_le_bytes(self.array(at)?))
    }

    /// The target of the offset at `at`: offsets point forwards, from where they lie.
    #[inline]
    pub(super) fn follow(self, at: usize) -> Walk<usize> {
        let offset = self.u32(at)? as usize;
        match at.checked_add(offset) {
            Some(target) if offset != 0 && target < self.bytes.len() => Ok(target),
            _ => Err(Fault::new(FaultKind::OutOfBounds, at)),
        }
    }

    /// The table that the buffer starts from.
    pub(super) fn root(self) -> Walk<Table<'a>> {
        self.table(self.follow(0)?)
    }

    #[inline]
    pub(super) fn table(self, at: usize) -> Walk<Table<'a>> {
        let back = i64::from(i32::from_le_bytes(self.array(at)?));
        let vtable_at = i64::try_from(at)
            .ok()
            .and_then(|it| it.checked_sub(back))
            .and_then(|it| usize::try_from(it).ok())
            .ok_or_else(|| Fault::new(FaultKind::OutOfBounds, at))?;
        let n_bytes = usize::from(self.u16(vtable_at)?);
        if n_bytes < 4 || !n_bytes.is_multiple_of(2) {
            return Err(Fault::new(FaultKind::Vtable, vtable_at));
        }
        Ok(Table { buffer: self, at, vtable: self.slice(vtable_at, n_bytes)? })
    }

    /// The vector behind the offset at `at`, whose items take `item_bytes` each.
    #[inline]
    pub(super) fn vector(self, at: usize, item_bytes: usize) -> Walk<Vector<'a>> {
        let target = self.follow(at)?;
        let len = self.u32(target)? as usize;
        let start = target + 4;
        let n_bytes =
            len.checked_mul(item_bytes).ok_or_else(|| Fault::new(FaultKind::OutOfBounds, target))?;
        self.slice(start, n_bytes)?;
        Ok(Vector { buffer: self, start, len, item_bytes })
    }

    /// The bytes behind the offset at `at`, without a check of their encoding.
    pub(super) fn bytes_at(self, at: usize) -> Walk<&'a [u8]> {
        Ok(self.vector(at, 1)?.bytes())
    }

    /// The text behind the offset at `at`.
    pub(super) fn text(self, at: usize) -> Walk<&'a str> {
        std::str::from_utf8(self.bytes_at(at)?).map_err(|_| Fault::new(FaultKind::Text, at))
    }
}

impl<'a> Table<'a> {
    /// Where the value of a field lies in the buffer; `None` where it is absent. `slot` is the offset
    /// of the field in the vtable: 4 for the first field, 6 for the second.
    #[inline]
    pub(super) fn field(&self, slot: u16) -> Option<usize> {
        let slot = usize::from(slot);
        let offset = self.vtable.get(slot..slot + 2)?;
        match u16::from_le_bytes([offset[0], offset[1]]) {
            0 => None,
            offset => Some(self.at + usize::from(offset)),
        }
    }

    /// Whether the table holds fields whose place in the vtable is `slot` or later.
    #[inline]
    pub(super) fn has_fields_from(&self, slot: usize) -> bool {
        self.vtable.get(slot..).is_some_and(|rest| rest.iter().any(|it| *it != 0))
    }

    /// Byte of the buffer where the table lies.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn u8(&self, slot: u16, default: u8) -> Walk<u8> {
        self.field(slot).map_or(Ok(default), |at| self.buffer.u8(at))
    }

    pub(super) fn u16(&self, slot: u16, default: u16) -> Walk<u16> {
        self.field(slot).map_or(Ok(default), |at| self.buffer.u16(at))
    }

    pub(super) fn i32(&self, slot: u16, default: i32) -> Walk<i32> {
        self.field(slot).map_or(Ok(default), |at| Ok(self.buffer.u32(at)?.cast_signed()))
    }

    pub(super) fn i64(&self, slot: u16, default: i64) -> Walk<i64> {
        self.field(slot).map_or(Ok(default), |at| self.buffer.i64(at))
    }

    /// A name; many may share one long text, so its length is bounded.
    pub(super) fn name(&self, slot: u16) -> Walk<&'a str> {
        let Some(at) = self.field(slot) else { return Ok("") };
        if self.buffer.vector(at, 1)?.len > NAME_BYTES_MAX {
            return Err(Fault::new(FaultKind::Budget, at));
        }
        self.buffer.text(at)
    }

    pub(super) fn table(&self, slot: u16) -> Walk<Option<Self>> {
        let Some(at) = self.field(slot) else { return Ok(None) };
        self.buffer.table(self.buffer.follow(at)?).map(Some)
    }

    /// The tables of a vector; none where it is absent.
    pub(super) fn tables(&self, slot: u16) -> Walk<Vec<Self>> {
        let Some(at) = self.field(slot) else { return Ok(Vec::new()) };
        let vector = self.buffer.vector(at, 4)?;
        (0..vector.len).map(|idx| self.buffer.table(self.buffer.follow(vector.item(idx))?)).collect()
    }
}

impl<'a> Vector<'a> {
    /// Byte of the buffer where an item lies.
    #[inline]
    pub(super) fn item(&self, idx: usize) -> usize {
        self.start + idx * self.item_bytes
    }

    /// All items as they lie in the buffer.
    #[inline]
    pub(super) fn bytes(&self) -> &'a [u8] {
        &self.buffer.bytes[self.start..self.start + self.len * self.item_bytes]
    }
}
