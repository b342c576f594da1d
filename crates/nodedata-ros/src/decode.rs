//! The decode loop. It borrows the payload, pushes into columns and allocates nothing of its own.

use nodedata_core::{LeafId, ListId};

use crate::{
    compile::Items,
    definition::Extensibility,
    program::{Op, Program},
    sink::Sink,
    wide::UnitWidth,
};

/// How values are laid out, apart from byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Packed.
    Ros1,
    /// Aligned to their size.
    Xcdr1,
    /// Aligned to their size, at most 4; lists of what is not primitive carry their byte length.
    Xcdr2,
}

impl Wire {
    /// Greatest alignment, less 1.
    pub(crate) fn align_mask(self) -> usize {
        match self {
            Self::Ros1 => 0,
            Self::Xcdr1 => 7,
            Self::Xcdr2 => 3,
        }
    }
}

/// Why and where decoding stopped; names are looked up only when it is reported.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// Operation that failed.
    pub(crate) op: usize,
    /// Byte of the payload, counted from where alignment starts.
    pub(crate) at: usize,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A value needs this many bytes.
    Short {
        needed: usize,
    },
    /// A list claims this many items of at least so many bytes each.
    Count {
        n: usize,
        bytes_min: usize,
    },
    NotUtf8,
    NotUtf16,
    NotBool {
        value: u8,
    },
    /// A frame holds this many bytes more than its definition.
    Left {
        n: usize,
    },
    UnknownMember {
        id: u32,
    },
    RepeatedMember {
        id: u32,
    },
    /// Its value starts at this operation.
    MissingMember {
        start: usize,
    },
    /// Absent members would make the columns outgrow the payload beyond measure.
    Absent,
}

pub(crate) struct Decoder<'a, S> {
    /// The payload from where alignment starts to where the innermost frame ends.
    pub(crate) data: &'a [u8],
    /// Where alignment is counted from.
    pub(crate) origin: usize,
    pub(crate) wire: Wire,
    pub(crate) align_mask: usize,
    /// Extensibility of the message itself.
    pub(crate) root: Extensibility,
    /// Extensibility of structs whose definition does not tell.
    pub(crate) default: Extensibility,
    pub(crate) unit_width: UnitWidth,
    pub(crate) program: &'a Program,
    pub(crate) sink: &'a mut S,
    /// UTF-8 of the wide text at hand.
    pub(crate) text: String,
    /// Seconds and nanoseconds of a framed time, until both are there.
    pub(crate) time: [Option<i64>; 2],
    /// Bytes of columns that absent members of this payload may still stand for.
    pub(crate) absent_bytes_left: usize,
    /// Bytes skipped for alignment that were not 0; counted only by a sink that measures.
    pub(crate) n_odd_padding: usize,
    /// Texts that are none; counted only by a sink that measures.
    pub(crate) n_odd_texts: usize,
}

impl<S: Sink> Decoder<'_, S> {
    /// Runs the operations `op..end` from byte `pos`, and returns where they stopped reading.
    pub(crate) fn run<const BIG: bool>(
        &mut self,
        mut op: usize,
        end: usize,
        mut pos: usize,
    ) -> Result<usize, Fault> {
        while op < end {
            let mut next = op + 1;
            pos = match self.program.ops[op] {
                Op::Numbers1 { first, n } => self.numbers::<BIG, 1>(op, pos, first, n)?,
                Op::Numbers2 { first, n } => self.numbers::<BIG, 2>(op, pos, first, n)?,
                Op::Numbers4 { first, n } => self.numbers::<BIG, 4>(op, pos, first, n)?,
                Op::Numbers8 { first, n } => self.numbers::<BIG, 8>(op, pos, first, n)?,
                Op::Bool(leaf) => self.bools(op, pos, leaf, 1)?,
                Op::Time { leaf, signed } => self.time::<BIG>(op, pos, leaf, signed)?,
                Op::Text(leaf) => self.text::<BIG>(op, pos, leaf)?,
                Op::Blob(leaf) => self.blob::<BIG>(op, pos, leaf)?,
                Op::Array { leaf, width, n, framed } => {
                    let framed = framed && self.wire == Wire::Xcdr2;
                    let start = if framed { self.u32::<BIG>(op, pos)?.1 } else { pos };
                    self.values::<BIG>(op, start, leaf, width, n)?
                }
                Op::Bools { leaf, n } => self.bools(op, pos, leaf, n)?,
                Op::List { list, leaf, width, framed } => {
                    let framed = framed && self.wire == Wire::Xcdr2;
                    let start = if framed { self.u32::<BIG>(op, pos)?.1 } else { pos };
                    let (n, start) = self.count::<BIG>(op, start, width)?;
                    self.sink.items(list, n);
                    // An empty list does not even align for its items.
                    if n == 0 { start } else { self.values::<BIG>(op, start, leaf, width, n)? }
                }
                Op::ListOfBools { list, leaf } => {
                    let (n, start) = self.count::<BIG>(op, pos, 1)?;
                    self.sink.items(list, n);
                    self.bools(op, start, leaf, n)?
                }
                Op::Valid(leaf) => {
                    self.sink.valid(leaf);
                    pos
                }
                rare => {
                    let after;
                    (after, next) = self.nested::<BIG>(op, pos, rare)?;
                    after
                }
            };
            op = next;
        }
        Ok(pos)
    }

    /// Operations with a body or a frame; also says which operation follows.
    fn nested<const BIG: bool>(
        &mut self,
        op: usize,
        pos: usize,
        operation: Op,
    ) -> Result<(usize, usize), Fault> {
        Ok(match operation {
            Op::ListOfTexts { list, leaf } => {
                let (pos, frame_end) = self.open_frame::<BIG>(op, pos, true)?;
                let pos = self.texts::<BIG>(op, pos, list, leaf)?;
                (self.close_frame(op, pos, frame_end)?, op + 1)
            }
            Op::Each { items, end, bytes_min, framed } => {
                let (pos, frame_end) = self.open_frame::<BIG>(op, pos, framed)?;
                let (n, mut pos) = self.count::<BIG>(op, pos, bytes_min)?;
                match items {
                    Items::In(list) => self.sink.items(list, n),
                    // A count is read from 32 bits.
                    Items::Counted(leaf) => self.sink.one(leaf, (n as u32).to_le_bytes()),
                }
                for _ in 0..n {
                    pos = self.run::<BIG>(op + 1, end, pos)?;
                }
                (self.close_frame(op, pos, frame_end)?, end)
            }
            Op::Repeat { n, end, bytes_min, framed } => {
                let (mut pos, frame_end) = self.open_frame::<BIG>(op, pos, framed)?;
                self.check_count(op, pos, n, bytes_min)?;
                for _ in 0..n {
                    pos = self.run::<BIG>(op + 1, end, pos)?;
                }
                (self.close_frame(op, pos, frame_end)?, end)
            }
            Op::WideText(leaf) => (self.wide_text::<BIG>(op, pos, leaf)?, op + 1),
            Op::TimePart { leaf, part } => (self.time_part::<BIG>(op, pos, leaf, part)?, op + 1),
            Op::Struct { idx, end } => (self.structure::<BIG>(op, pos, idx, end)?, end),
            Op::Union { idx, end } => (self.union::<BIG>(op, pos, idx)?, end),
            Op::Optional { idx, end } => (self.optional::<BIG>(op, pos, idx, end)?, end),
            Op::Dummy => {
                let is_whole_message = self.program.ops.len() == 1;
                let has_byte = self.wire != Wire::Ros1 && !(is_whole_message && pos == self.data.len());
                if has_byte {
                    self.slice(op, pos, 1)?;
                }
                (pos + usize::from(has_byte), op + 1)
            }
            Op::Numbers1 { .. }
            | Op::Numbers2 { .. }
            | Op::Numbers4 { .. }
            | Op::Numbers8 { .. }
            | Op::Bool(_)
            | Op::Time { .. }
            | Op::Text(_)
            | Op::Blob(_)
            | Op::Array { .. }
            | Op::Bools { .. }
            | Op::List { .. }
            | Op::ListOfBools { .. }
            | Op::Valid(_) => unreachable!("flat operations are handled by the loop"),
        })
    }

    #[inline]
    pub(crate) fn align(&mut self, pos: usize, width: usize) -> usize {
        let aligned = pos + (self.origin.wrapping_sub(pos) & (width - 1) & self.align_mask);
        if S::MEASURES {
            let skipped = self.data.get(pos..aligned).unwrap_or_default();
            self.n_odd_padding += skipped.iter().filter(|it| **it != 0).count();
        }
        aligned
    }

    #[inline]
    pub(crate) fn slice(&self, op: usize, pos: usize, n: usize) -> Result<&[u8], Fault> {
        match pos.checked_add(n).and_then(|end| self.data.get(pos..end)) {
            Some(bytes) => Ok(bytes),
            None => Err(Fault { op, at: pos, what: What::Short { needed: n } }),
        }
    }

    /// An aligned u32 and where it ends.
    #[inline]
    pub(crate) fn u32<const BIG: bool>(&mut self, op: usize, pos: usize) -> Result<(u32, usize), Fault> {
        let pos = self.align(pos, 4);
        let bytes = self.slice(op, pos, 4)?;
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        Ok((if BIG { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }, pos + 4))
    }

    /// The number of items of a list, checked against what is left, and where it ends.
    #[inline]
    pub(crate) fn count<const BIG: bool>(
        &mut self,
        op: usize,
        pos: usize,
        bytes_min: usize,
    ) -> Result<(usize, usize), Fault> {
        let (n, pos) = self.u32::<BIG>(op, pos)?;
        self.check_count(op, pos, n as usize, bytes_min)?;
        Ok((n as usize, pos))
    }

    #[inline]
    fn check_count(&self, op: usize, pos: usize, n: usize, bytes_min: usize) -> Result<(), Fault> {
        let left = self.data.len().saturating_sub(pos);
        match n.checked_mul(bytes_min) {
            Some(needed) if needed <= left => Ok(()),
            _ => Err(Fault { op, at: pos, what: What::Count { n, bytes_min } }),
        }
    }

    #[inline]
    fn numbers<const BIG: bool, const WIDTH: usize>(
        &mut self,
        op: usize,
        pos: usize,
        first: LeafId,
        n: usize,
    ) -> Result<usize, Fault> {
        let pos = self.align(pos, WIDTH);
        let Some(bytes) = self.data.get(pos..pos + n * WIDTH) else {
            return Err(Fault { op, at: pos, what: What::Short { needed: n * WIDTH } });
        };
        for (value, leaf) in bytes.as_chunks::<WIDTH>().0.iter().zip(first.0..) {
            let mut value = *value;
            if BIG {
                value.reverse();
            }
            self.sink.one(LeafId(leaf), value);
        }
        Ok(pos + n * WIDTH)
    }

    #[inline]
    fn values<const BIG: bool>(
        &mut self,
        op: usize,
        pos: usize,
        leaf: LeafId,
        width: usize,
        n: usize,
    ) -> Result<usize, Fault> {
        let pos = self.align(pos, width);
        let Some(end) =
            n.checked_mul(width).and_then(|it| it.checked_add(pos)).filter(|it| *it <= self.data.len())
        else {
            return Err(Fault { op, at: pos, what: What::Count { n, bytes_min: width } });
        };
        let bytes = &self.data[pos..end];
        if BIG && width > 1 {
            self.sink.many_swapped(leaf, bytes, width);
        } else {
            self.sink.many(leaf, bytes);
        }
        Ok(end)
    }

    #[inline]
    fn bools(&mut self, op: usize, pos: usize, leaf: LeafId, n: usize) -> Result<usize, Fault> {
        let Some(bytes) = self.data.get(pos..pos.saturating_add(n)) else {
            return Err(Fault { op, at: pos, what: What::Short { needed: n } });
        };
        // A byte that is neither 0 nor 1 would lose its value in a bool column.
        if let Some(idx) = bytes.iter().position(|it| *it > 1) {
            return Err(Fault { op, at: pos + idx, what: What::NotBool { value: bytes[idx] } });
        }
        self.sink.many(leaf, bytes);
        Ok(pos + n)
    }

    #[inline]
    fn time<const BIG: bool>(
        &mut self,
        op: usize,
        pos: usize,
        leaf: LeafId,
        signed: (bool, bool),
    ) -> Result<usize, Fault> {
        let (seconds, pos) = self.u32::<BIG>(op, pos)?;
        let (nanos, pos) = self.u32::<BIG>(op, pos)?;
        self.sink.one(leaf, nanoseconds(widen(seconds, signed.0), widen(nanos, signed.1)).to_le_bytes());
        Ok(pos)
    }

    fn time_part<const BIG: bool>(
        &mut self,
        op: usize,
        pos: usize,
        leaf: LeafId,
        part: usize,
    ) -> Result<usize, Fault> {
        let (value, pos) = self.u32::<BIG>(op, pos)?;
        self.time[part] = Some(widen(value, part == 0));
        if let [Some(seconds), Some(nanos)] = self.time {
            self.time = [None; 2];
            self.sink.one(leaf, nanoseconds(seconds, nanos).to_le_bytes());
        }
        Ok(pos)
    }

    #[inline]
    fn text<const BIG: bool>(&mut self, op: usize, pos: usize, leaf: LeafId) -> Result<usize, Fault> {
        let (n, pos) = self.u32::<BIG>(op, pos)?;
        let n = n as usize;
        let Some(bytes) = pos.checked_add(n).and_then(|end| self.data.get(pos..end)) else {
            return Err(Fault { op, at: pos, what: What::Short { needed: n } });
        };
        // CDR counts a NUL at the end; some writers leave it out.
        let value = match bytes {
            [value @ .., 0] if self.wire != Wire::Ros1 => value,
            value => value,
        };
        if !self.sink.is_last_text(leaf, value)
            && let Err(err) = std::str::from_utf8(value)
        {
            if !(S::MEASURES && bytes.ends_with(&[0])) {
                return Err(Fault { op, at: pos + err.valid_up_to(), what: What::NotUtf8 });
            }
            self.n_odd_texts += 1;
        }
        self.sink.bytes(leaf, value);
        Ok(pos + n)
    }

    /// A list of texts. It starts aligned, so that the same bytes are always the same texts.
    fn texts<const BIG: bool>(
        &mut self,
        op: usize,
        pos: usize,
        list: ListId,
        leaf: LeafId,
    ) -> Result<usize, Fault> {
        let start = self.align(pos, 4);
        let reading = self.wire as u8 * 2 + u8::from(BIG);
        let source = self.data.get(start..).unwrap_or_default();
        if let Some(n_bytes) = self.sink.texts_again(list, leaf, source, reading) {
            return Ok(start + n_bytes);
        }
        let (n, mut pos) = self.count::<BIG>(op, start, 4)?;
        self.sink.items(list, n);
        for _ in 0..n {
            pos = self.text::<BIG>(op, pos, leaf)?;
        }
        self.sink.remember_texts(list, leaf, &self.data[start..pos], reading);
        Ok(pos)
    }

    #[inline]
    fn blob<const BIG: bool>(&mut self, op: usize, pos: usize, leaf: LeafId) -> Result<usize, Fault> {
        let (n, pos) = self.u32::<BIG>(op, pos)?;
        let n = n as usize;
        let Some(bytes) = pos.checked_add(n).and_then(|end| self.data.get(pos..end)) else {
            return Err(Fault { op, at: pos, what: What::Short { needed: n } });
        };
        self.sink.bytes(leaf, bytes);
        Ok(pos + n)
    }
}

fn widen(value: u32, signed: bool) -> i64 {
    if signed { i64::from(value as i32) } else { i64::from(value) }
}

/// Cannot overflow: both halves are 32 bit.
fn nanoseconds(seconds: i64, nanos: i64) -> i64 {
    seconds * 1_000_000_000 + nanos
}
