//! Inputs as named byte ranges: files on disk (memory-mapped), in memory, and in object stores.
//!
//! The only crate that opens input files, and the only library with `unsafe`: the memory map.

mod input;
mod local;
mod memory;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "remote")]
mod remote_error;

pub use input::{Input, open};
pub use local::LocalFiles;
pub use memory::MemoryFiles;
#[cfg(feature = "remote")]
pub use remote::RemoteFiles;
