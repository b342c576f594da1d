//! A tar archive as a run of members: USTAR, with the long names of GNU tar and the extended headers of POSIX.

mod header;
mod records;
mod walk;

#[cfg(test)]
mod tests;

pub(crate) use header::{BLOCK_BYTES, begins_archive};
pub(crate) use walk::{End, Member, MemberKind, PEEKED_BYTES, Walk};
