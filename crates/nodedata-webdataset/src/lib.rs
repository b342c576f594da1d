//! WebDataset: samples in tar files, each a run of members whose names have one key.
//!
//! Archives have no schema, so opening walks all headers once, file by file in parallel, and looks into the members whose
//! names say that they have types: text, numbers, JSON, CBOR, MessagePack, arrays of NumPy. Pictures, clips and everything
//! else stay the bytes that they are; what would have to be run to be read is never opened. What was learned is told, so
//! that the next opening of the same files walks nothing. A stretch of samples is a partition, whose headers are walked
//! again; an archive that is packed as a whole is unpacked once.

// An archive as members, members as samples.
mod archive;
mod group;
mod names;
mod tar;

// What a member holds.
mod member;

// What a full pass learns.
mod deal;
mod fields;
mod index;
mod learned;
mod pass;

// The format, its plan and its rows.
mod format;
mod reader;
mod source;
mod table;

pub use format::{WEBDATASET, WebDataset};
