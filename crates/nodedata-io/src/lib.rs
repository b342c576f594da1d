//! Inputs as named byte ranges: files on disk (memory-mapped), in memory, and in object stores. Outputs that appear
//! whole: a folder or a file grows hidden, is synced, and gets its name by one rename.
//!
//! The only crate that opens input files. It has `unsafe` for the memory map, and for the advice to give much memory in huge pages.

mod atomic_dir;
mod atomic_file;
mod blocks;
mod braces;
#[cfg(feature = "remote")]
mod brought;
#[cfg(feature = "remote")]
mod bucket;
mod folder;
mod huge_pages;
mod input;
mod local;
mod memory;
pub mod packed;
mod per_process;
mod places;
#[cfg(feature = "runtime")]
mod pool;
pub mod positioned;
#[cfg(feature = "remote")]
mod recent;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "runtime")]
mod remote_error;
mod replacing;
#[cfg(feature = "runtime")]
mod runtime;
mod scratch;
mod several;
#[cfg(feature = "remote")]
mod web;

pub use atomic_dir::{
    AtomicDir, Writer, entries, has_left_behind, hidden, is_half_replaced, link_or_copy, remove,
};
pub use atomic_file::{Writing, io_error, sync_folder, write_file};
pub use blocks::Blocks;
#[cfg(feature = "remote")]
pub use bucket::{Bucket, open_bucket};
pub use folder::FolderFiles;
pub use huge_pages::zeros;
pub use input::{Input, Part, open, printable, printable_text};
pub use local::LocalFiles;
pub use memory::MemoryFiles;
pub use per_process::PerProcess;
pub use places::Places;
#[cfg(feature = "runtime")]
pub use pool::in_pool;
#[cfg(feature = "remote")]
pub use remote::RemoteFiles;
#[cfg(feature = "runtime")]
pub use remote_error::{is_full, store_error};
pub use replacing::{Recognised, Replacing, refuse_foreign_file};
#[cfg(feature = "runtime")]
pub use runtime::block_on;
pub use scratch::Scratch;
pub use several::open_all;
