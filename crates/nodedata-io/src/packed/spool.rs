use std::{ops::Range, path::Path, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, ReadAt, Result};

use super::{Member, Packing, Unpacker};
use crate::{Scratch, io_error, memory::WholeFile};

/// What is unpacked at a time.
const PIECE_BYTES: usize = 256 << 10;

/// What came out of a packed file, as a file of its own that is gone with its last reader.
#[derive(Debug)]
pub struct Spool {
    file: WholeFile,
    members: Vec<Member>,
    /// What ended it before the end of the packed file.
    damage: Option<Error>,
}

/// Unpacks a file once, into one without a name in `scratch`, or in the system's folder for such files.
///
/// # Errors
/// `Io`, also when there is no room; `Limit` when more than `bytes_max` bytes come out. Damage is no error: what came out before it is
/// kept, and [`Spool::damage`] tells of it.
pub fn spool(
    file: Arc<dyn ReadAt>,
    packing: Packing,
    bytes_max: u64,
    scratch: Option<&Path>,
) -> Result<Spool> {
    let folder = Scratch::folder(scratch);
    let failed = |err| {
        io_error("cannot unpack into a scratch file here", &folder, err)
            .with_hint("make room there, or unpack the files first")
    };
    let mut out = Scratch::within(&folder).map_err(failed)?;
    let mut unpacker = Unpacker::new(file, packing, bytes_max);
    let mut room = vec![0; PIECE_BYTES];
    let damage = loop {
        match unpacker.next_bytes(&mut room) {
            Ok(0) => break None,
            Ok(n) => out.push(&room[..n]).map_err(failed)?,
            Err(err) if err.kind() == ErrorKind::Corrupt => break Some(err),
            Err(err) => return Err(err),
        }
    };
    let file = WholeFile(out.into_bytes().map_err(failed)?);
    Ok(Spool { file, members: unpacker.into_members(), damage })
}

impl Spool {
    /// The members of the packed file, in order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What ended the file before its end.
    pub fn damage(&self) -> Option<&Error> {
        self.damage.as_ref()
    }

    /// Where in the packed file bytes of the unpacked one come from: the members that hold them.
    pub fn packed_range(&self, unpacked: &Range<u64>) -> Range<u64> {
        let first = self.members.partition_point(|it| it.unpacked.end <= unpacked.start);
        let behind = self.members.partition_point(|it| it.unpacked.start < unpacked.end);
        let first = first.min(self.members.len().saturating_sub(1));
        match self.members.get(first..behind.max(first + 1)) {
            Some([only]) => only.packed.clone(),
            Some([from, .., to]) => from.packed.start..to.packed.end,
            Some([]) | None => 0..0,
        }
    }
}

impl ReadAt for Spool {
    fn n_bytes(&self) -> u64 {
        self.file.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.file.read_at(range)
    }

    fn in_memory(&self) -> Option<Bytes> {
        self.file.in_memory()
    }
}
