use std::{
    io::{self, BufRead as _, Read},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};

use super::{
    Packing,
    decoder::{Decoder, Packed, wants_memory},
};
use crate::memory::WholeFile;

/// Bytes that a file may have unpacked, however small it is.
const UNPACKED_BYTES_FREE: u64 = 64 << 20;
/// Members below this size are told as one with those behind them, so that what is kept of them is small beside what they hold.
const MEMBER_BYTES_MIN: u64 = 32 << 10;

/// What is unpacked into memory at a time.
const PIECE_BYTES_MIN: usize = 4 << 10;
const PIECE_BYTES_MAX: usize = 1 << 20;

const RESTORE_HINT: &str = "fetch the file again from where it came from";

/// The bound on what comes out of a file of `n_packed` bytes that may grow by a factor.
pub fn unpacked_max(n_packed: u64, ratio_max: u64) -> u64 {
    n_packed.saturating_mul(ratio_max).max(UNPACKED_BYTES_FREE)
}

/// All that comes out of packed bytes.
///
/// # Errors
/// As of [`Unpacker::next_bytes`].
pub fn unpack(packed: Bytes, packing: Packing, bytes_max: u64) -> Result<Vec<u8>> {
    let mut unpacker = Unpacker::new(Arc::new(WholeFile(packed)), packing, bytes_max);
    let mut out = Vec::new();
    loop {
        // Room grows with what has come out, not with what is told of it.
        let n_before = out.len();
        out.resize(n_before + n_before.clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX), 0);
        let n = unpacker.next_bytes(&mut out[n_before..])?;
        out.truncate(n_before + n);
        if n == 0 {
            return Ok(out);
        }
    }
}

/// A member of a packed file, or several small ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where it lies in the file.
    pub packed: Range<u64>,
    /// Which bytes of what comes out of the file are its.
    pub unpacked: Range<u64>,
}

/// Unpacks a file from front to back, member by member.
pub struct Unpacker {
    packing: Packing,
    bytes_max: u64,
    state: State,
    /// Where the member begins that is read.
    start: u64,
    members: Vec<Member>,
}

enum State {
    Between(Packed),
    Within(Box<Decoder>),
    Ended,
}

impl Unpacker {
    /// Starts at the first member. More than `bytes_max` bytes never come out.
    pub fn new(file: Arc<dyn ReadAt>, packing: Packing, bytes_max: u64) -> Self {
        Self { packing, bytes_max, state: State::Between(Packed::new(file)), start: 0, members: Vec::new() }
    }

    /// The members so far; the last one may not be at its end.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The same, when all is read.
    pub fn into_members(self) -> Vec<Member> {
        self.members
    }

    /// Fills `room` from its start; none at the end, and again after an error.
    ///
    /// # Errors
    /// `Io` when the file cannot be read; `Corrupt` at the byte where the member begins that is damaged or cut, or where something else
    /// follows; `Limit` when more comes out than may, or unpacking needs too much memory.
    pub fn next_bytes(&mut self, room: &mut [u8]) -> Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(0),
                State::Between(packed) => match self.begin(packed)? {
                    Some(decoder) => self.state = State::Within(Box::new(decoder)),
                    None => return Ok(0),
                },
                State::Within(mut decoder) => {
                    let read = decoder.read(room);
                    let end = decoder.packed().offset;
                    match read {
                        // Where the member ends is known when all of it was taken.
                        Ok(0) if !room.is_empty() => {
                            let packed = decoder.into_packed();
                            self.last_member().packed.end = packed.offset;
                            self.state = State::Between(packed);
                        }
                        Ok(n) => {
                            self.grow(n as u64, end)?;
                            self.state = State::Within(decoder);
                            return Ok(n);
                        }
                        Err(err) => return Err(self.damaged(decoder.packed(), err)),
                    }
                }
            }
        }
    }

    fn last_member(&mut self) -> &mut Member {
        self.members.last_mut().expect("a member is there while it is read")
    }

    /// A decoder of the next member; none at the end of the file.
    fn begin(&mut self, mut packed: Packed) -> Result<Option<Decoder>> {
        if !self.members.is_empty() && self.packing.is_padded() {
            skip_zeros(&mut packed)?;
        }
        let n_bytes = packed.n_bytes();
        if packed.offset == n_bytes {
            return Ok(None);
        }
        let packing = self.packing;
        let offset = packed.offset;
        self.start = offset;
        let head = packed.head();
        let is_member = head.map(|it| packing.begins(it)).map_err(|err| failed(&mut packed, err))?;
        if !is_member {
            let name = packing.name();
            let message = match self.members.is_empty() {
                true => format!("the file does not begin as {name} does"),
                false => format!("{} bytes follow that are not {name}", n_bytes - offset),
            };
            return Err(Error::new(ErrorKind::Corrupt, message)
                .at(Locus::byte(offset))
                .with_hint(RESTORE_HINT));
        }
        let unpacked = self.members.last().map_or(0, |it| it.unpacked.end);
        match self.members.last_mut() {
            Some(last) if last.unpacked.end - last.unpacked.start < MEMBER_BYTES_MIN => {}
            Some(_) | None => {
                self.members.push(Member { packed: offset..n_bytes, unpacked: unpacked..unpacked });
            }
        }
        let made = Decoder::new(packing, packed);
        made.map(Some).map_err(|err| {
            Error::new(ErrorKind::Io, format!("{} cannot be unpacked", packing.name())).with_source(err)
        })
    }

    fn grow(&mut self, n: u64, packed_end: u64) -> Result<()> {
        let (name, command, bytes_max) = (self.packing.name(), self.packing.command(), self.bytes_max);
        let place = Locus::byte(self.start);
        let member = self.last_member();
        member.packed.end = packed_end;
        member.unpacked.end += n;
        if member.unpacked.end <= bytes_max {
            return Ok(());
        }
        let message = format!("more than {bytes_max} bytes come out of {packed_end} bytes of {name}");
        let hint = format!("if it is meant to be so large, unpack it first: `{command}`");
        Err(Error::new(ErrorKind::Limit, message).at(place).with_hint(hint))
    }

    fn damaged(&mut self, packed: &mut Packed, err: io::Error) -> Error {
        let n_bytes = packed.n_bytes();
        if packed.failure.is_some() {
            return failed(packed, err);
        }
        let (name, command) = (self.packing.name(), self.packing.command());
        let place = Locus::byte(self.start);
        self.last_member().packed.end = n_bytes;
        if wants_memory(&err) {
            let message = format!("unpacking this {name} needs more memory than is given to it");
            let hint = format!("unpack it first: `{command}`");
            return Error::new(ErrorKind::Limit, message).with_source(err).at(place).with_hint(hint);
        }
        let message = match err.kind() {
            io::ErrorKind::UnexpectedEof => format!("the file ends within its {name}"),
            _ => format!("the {name} is damaged"),
        };
        Error::new(ErrorKind::Corrupt, message).with_source(err).at(place).with_hint(RESTORE_HINT)
    }
}

/// The failure of the file itself, which the decoder only passed on.
fn failed(packed: &mut Packed, err: io::Error) -> Error {
    packed.failure.take().unwrap_or_else(|| err.into())
}

fn skip_zeros(packed: &mut Packed) -> Result<()> {
    loop {
        let ready = packed.fill_buf();
        let n = ready.map(|it| (it.len(), it.iter().take_while(|byte| **byte == 0).count()));
        let (n_ready, n_zeros) = n.map_err(|err| failed(packed, err))?;
        packed.consume(n_zeros);
        if n_zeros < n_ready || n_ready == 0 {
            return Ok(());
        }
    }
}

impl Read for Unpacker {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        // `Error::from` finds it again.
        self.next_bytes(room).map_err(io::Error::other)
    }
}
