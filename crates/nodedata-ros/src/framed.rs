//! Structs and lists that carry their own length: XCDR2 delimiters, parameter lists, optional members.

use crate::{
    decode::{Decoder, Fault, What, Wire},
    definition::Extensibility,
    sink::Sink,
};

/// XCDR1 parameter ids without their two flag bits: a header with 32-bit id and length follows, or the
/// list ends (RTPS spells the end 1 in some writers of discovery data, which are not read here).
const PID_MASK: u16 = 0x3fff;
const PID_EXTENDED: u16 = 0x3f01;
const PID_LIST_END: u16 = 0x3f02;

impl<'a, S: Sink> Decoder<'a, S> {
    /// Starts a list of items that are not primitive. Returns where its count starts and, where the
    /// encoding frames such lists, the end of the frame around.
    pub(crate) fn open_frame<const BIG: bool>(
        &mut self,
        op: usize,
        pos: usize,
        framed: bool,
    ) -> Result<(usize, Option<&'a [u8]>), Fault> {
        if !framed || self.wire != Wire::Xcdr2 {
            return Ok((pos, None));
        }
        let (n, pos) = self.u32::<BIG>(op, pos)?;
        let outer = self.narrow(op, pos, n as usize)?;
        Ok((pos, Some(outer)))
    }

    /// Ends what [`Self::open_frame`] started; all of the frame must have been read.
    pub(crate) fn close_frame(
        &mut self,
        op: usize,
        pos: usize,
        outer: Option<&'a [u8]>,
    ) -> Result<usize, Fault> {
        if let Some(outer) = outer {
            self.check_left(op, pos, 0)?;
            self.data = outer;
        }
        Ok(pos)
    }

    /// Ends the data `n` bytes after `pos`, and returns what it was before.
    fn narrow(&mut self, op: usize, pos: usize, n: usize) -> Result<&'a [u8], Fault> {
        self.slice(op, pos, n)?;
        let outer = self.data;
        self.data = &outer[..pos + n];
        Ok(outer)
    }

    fn check_left(&self, op: usize, pos: usize, padding_max: usize) -> Result<(), Fault> {
        let n = self.data.len().saturating_sub(pos);
        if n > padding_max { Err(Fault { op, at: pos, what: What::Left { n } }) } else { Ok(()) }
    }

    /// A struct with an operation of its own; its body ends before operation `end`.
    pub(crate) fn structure<const BIG: bool>(
        &mut self,
        op: usize,
        pos: usize,
        idx: usize,
        end: usize,
    ) -> Result<usize, Fault> {
        let structure = &self.program.structs[idx];
        let extensibility =
            if structure.is_root { self.root } else { structure.extensibility.unwrap_or(self.default) };
        match (self.wire, extensibility) {
            (Wire::Ros1, _)
            | (Wire::Xcdr1, Extensibility::Final | Extensibility::Appendable)
            | (Wire::Xcdr2, Extensibility::Final) => self.run::<BIG>(op + 1, end, pos),
            (Wire::Xcdr1, Extensibility::Mutable) => self.parameter_list::<BIG>(op, pos, idx),
            (Wire::Xcdr2, Extensibility::Appendable) => {
                let (pos, outer) = self.open_frame::<BIG>(op, pos, true)?;
                let pos = self.run::<BIG>(op + 1, end, pos)?;
                self.close_frame(op, pos, outer)
            }
            (Wire::Xcdr2, Extensibility::Mutable) => {
                let (pos, outer) = self.open_frame::<BIG>(op, pos, true)?;
                let pos = self.members::<BIG>(op, pos, idx)?;
                self.close_frame(op, pos, outer)
            }
        }
    }

    /// XCDR2: members with a header each, up to the end of the frame.
    fn members<const BIG: bool>(&mut self, op: usize, mut pos: usize, idx: usize) -> Result<usize, Fault> {
        let mut seen = vec![false; self.program.structs[idx].members.len()];
        while self.align(pos, 4) < self.data.len() {
            let (header, value_start) = self.u32::<BIG>(op, pos)?;
            let (n_bytes, value_start) = match header >> 28 & 7 {
                code @ 0..=3 => (1usize << code, value_start),
                4 => {
                    let (n, start) = self.u32::<BIG>(op, value_start)?;
                    (n as usize, start)
                }
                // The length is the value's own first word and counts bytes, words or double words.
                code => {
                    let (n, _) = self.u32::<BIG>(op, value_start)?;
                    let unit = [1usize, 4, 8][code as usize - 5];
                    ((n as usize).saturating_mul(unit).saturating_add(4), value_start)
                }
            };
            let outer = self.narrow(op, value_start, n_bytes)?;
            let end = self.member::<BIG>(op, value_start, idx, header & 0x0fff_ffff, &mut seen)?;
            self.check_left(op, end, 0)?;
            pos = self.data.len();
            self.data = outer;
        }
        self.absent_members(op, pos, idx, &seen)?;
        Ok(self.data.len())
    }

    /// XCDR1: members with a header each, up to the end mark. Alignment starts anew at each value.
    fn parameter_list<const BIG: bool>(
        &mut self,
        op: usize,
        mut pos: usize,
        idx: usize,
    ) -> Result<usize, Fault> {
        let mut seen = vec![false; self.program.structs[idx].members.len()];
        loop {
            let Parameter { id, n_bytes, start } = self.parameter::<BIG>(op, pos)?;
            let Some(id) = id else {
                self.absent_members(op, start, idx, &seen)?;
                return Ok(start);
            };
            let outer = self.narrow(op, start, n_bytes)?;
            let outer_origin = std::mem::replace(&mut self.origin, start);
            let end = self.member::<BIG>(op, start, idx, id, &mut seen)?;
            // The length counts the padding in front of the next header.
            self.check_left(op, end, 7)?;
            pos = self.data.len();
            self.data = outer;
            self.origin = outer_origin;
        }
    }

    fn parameter<const BIG: bool>(&mut self, op: usize, pos: usize) -> Result<Parameter, Fault> {
        let (word, start) = self.u32::<BIG>(op, pos)?;
        // Two u16 in the stream's byte order.
        let (pid, n) = if BIG { (word >> 16, word & 0xffff) } else { (word & 0xffff, word >> 16) };
        match pid as u16 & PID_MASK {
            PID_LIST_END => Ok(Parameter { id: None, n_bytes: 0, start }),
            PID_EXTENDED => {
                let (id, start) = self.u32::<BIG>(op, start)?;
                let (n, start) = self.u32::<BIG>(op, start)?;
                Ok(Parameter { id: Some(id & 0x0fff_ffff), n_bytes: n as usize, start })
            }
            id => Ok(Parameter { id: Some(u32::from(id)), n_bytes: n as usize, start }),
        }
    }

    fn member<const BIG: bool>(
        &mut self,
        op: usize,
        pos: usize,
        idx: usize,
        id: u32,
        seen: &mut [bool],
    ) -> Result<usize, Fault> {
        let members = &self.program.structs[idx].members;
        let Some(found) = members.iter().position(|it| it.id == id) else {
            return Err(Fault { op, at: pos, what: What::UnknownMember { id } });
        };
        if std::mem::replace(&mut seen[found], true) {
            return Err(Fault { op, at: pos, what: What::RepeatedMember { id } });
        }
        let (start, end) = (members[found].start, members[found].end);
        self.run::<BIG>(start, end, pos)
    }

    fn absent_members(&mut self, op: usize, pos: usize, idx: usize, seen: &[bool]) -> Result<(), Fault> {
        let program = self.program;
        for (member, _) in program.structs[idx].members.iter().zip(seen).filter(|(_, seen)| !**seen) {
            // XTypes would put a default here; a value nobody sent is not ours to invent.
            let Some(optional) = member.optional else {
                return Err(Fault { op, at: pos, what: What::MissingMember { start: member.start } });
            };
            self.absent(op, pos, optional)?;
        }
        Ok(())
    }

    fn absent(&mut self, op: usize, pos: usize, idx: usize) -> Result<(), Fault> {
        let absent = &self.program.optionals[idx];
        let Some(left) = self.absent_bytes_left.checked_sub(absent.n_bytes) else {
            return Err(Fault { op, at: pos, what: What::Absent });
        };
        self.absent_bytes_left = left;
        absent.leaves.iter().for_each(|it| self.sink.null(*it));
        absent.lists.iter().for_each(|it| self.sink.null_list(*it));
        Ok(())
    }

    /// A union: its discriminator, and the branch that this says. The others are absent.
    pub(crate) fn union<const BIG: bool>(
        &mut self,
        op: usize,
        pos: usize,
        idx: usize,
    ) -> Result<usize, Fault> {
        let program = self.program;
        let union = &program.unions[idx];
        let extensibility = union.extensibility.unwrap_or(self.default);
        let framed = self.wire == Wire::Xcdr2 && extensibility != Extensibility::Final;
        let (pos, outer) = self.open_frame::<BIG>(op, pos, framed)?;
        let value = {
            let start = self.align(pos, union.width);
            let bytes = self.slice(op, start, union.width)?;
            whole::<BIG>(bytes, union.signed)
        };
        let branches = &union.branches;
        let first_end = branches.first().map_or(op + 2, |it| it.start);
        let mut at = self.run::<BIG>(op + 1, first_end, pos)?;
        let chosen = branches.iter().position(|it| it.labels.contains(&value));
        let chosen = chosen.or_else(|| branches.iter().position(|it| it.is_default));
        for (number, branch) in branches.iter().enumerate() {
            if chosen == Some(number) {
                at = self.run::<BIG>(branch.start, branch.end, at)?;
            } else {
                self.absent(op, at, branch.optional)?;
            }
        }
        self.close_frame(op, at, outer)
    }

    /// An optional member of a struct that is no parameter list: a flag (XCDR2) or a header (XCDR1) tells
    /// whether it is there.
    pub(crate) fn optional<const BIG: bool>(
        &mut self,
        op: usize,
        pos: usize,
        idx: usize,
        end: usize,
    ) -> Result<usize, Fault> {
        if self.wire != Wire::Xcdr1 {
            let flag = self.slice(op, pos, 1)?[0];
            return match flag {
                0 => {
                    self.absent(op, pos, idx)?;
                    Ok(pos + 1)
                }
                1 => self.run::<BIG>(op + 1, end, pos + 1),
                value => Err(Fault { op, at: pos, what: What::NotBool { value } }),
            };
        }
        let Parameter { id, n_bytes, start } = self.parameter::<BIG>(op, pos)?;
        if id.is_none() || n_bytes == 0 {
            self.absent(op, start, idx)?;
            return Ok(start);
        }
        let outer = self.narrow(op, start, n_bytes)?;
        let outer_origin = std::mem::replace(&mut self.origin, start);
        let value_end = self.run::<BIG>(op + 1, end, start)?;
        self.check_left(op, value_end, 7)?;
        let pos = self.data.len();
        self.data = outer;
        self.origin = outer_origin;
        Ok(pos)
    }
}

/// A whole number of any width.
fn whole<const BIG: bool>(bytes: &[u8], signed: bool) -> i128 {
    let fold = |value: i128, byte: &u8| value << 8 | i128::from(*byte);
    let value = if BIG { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) };
    let n_bits = bytes.len() * 8;
    if signed && value >> (n_bits - 1) & 1 == 1 { value - (1 << n_bits) } else { value }
}

/// The header of one XCDR1 parameter; without an id it ends the list.
struct Parameter {
    id: Option<u32>,
    n_bytes: usize,
    start: usize,
}
