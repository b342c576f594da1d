//! Files that are packed as a whole: gzip, zstd, bzip2, xz. Each is a run of members (of zstd: frames), which are unpacked one after the
//! other and may be told as places: nothing inside of one has an address.

mod contents;
mod decoder;
mod packing;
mod spool;
mod spools;
mod unpacker;

#[cfg(test)]
mod tests;

pub use contents::{Content, Contents};
pub use packing::Packing;
pub use spool::{Spool, spool};
pub use spools::{Spools, UNPACK_RATIO_MAX, ratio_max};
pub use unpacker::{Member, Unpacker, unpack, unpacked_max};
