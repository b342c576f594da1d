//! A made-up log format in which all is odd that a log may be: a recording lies in three files, the messages of a
//! file are stored out of order in pages that lie in no order, and units share pages with their neighbours, as those
//! of a tree do. What holds of it holds of what a real format does.
//!
//! A file is a header, pages of one size, and a footer. The header names the recording, its channels and its leaves.
//! A leaf is a unit: its directory is a part of a page that it shares with up to three others, and its messages lie in
//! two pages, of which it shares each with a neighbour. Nothing is checksummed, so that a byte of a value can be
//! changed and the file stays sound.

mod build;
mod cursor;
mod file;
mod format;

pub use build::{SoundByte, ToyLog, ToyRecording};
pub use format::TOY;

#[cfg(test)]
mod tests;

/// What every file begins with.
const MAGIC: &[u8] = b"TOY3";
/// What every file ends with, after a note.
const END: &[u8] = b"3YOT";
/// Bytes of the texts in header and footer: the recording's name, and notes.
const TEXT_BYTES: usize = 16;
/// Bytes of the header before its channels.
const FIXED_BYTES: usize = 20 + 2 * TEXT_BYTES;
/// Bytes of a leaf in the header.
const LEAF_BYTES: usize = 28;
/// Leaves whose directories are in one page.
const LEAVES_PER_DIRECTORY: usize = 4;
/// Bytes of an entry of a directory: which of the two pages, and where in it.
const ENTRY_BYTES: usize = 3;
/// Bytes of a record before its payload: channel, log time, length.
const RECORD_BYTES: usize = 16;
