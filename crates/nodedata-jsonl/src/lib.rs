//! JSON Lines, and lists in JSON: one object, one row.
//!
//! The files have no schema, so opening reads them all once, in parallel, and learns what each field is in all rows
//! together. What it learned is told, so that the next opening of the same files reads nothing. A file is cut
//! into stretches of whole records, each a partition; where rows are dealt to splits, each split reads all stretches
//! and decodes its own rows. Files that rows name can be put in the place of their names: then they are inputs as well.

// A file as records.
mod elements;
mod lines;
mod parts;
mod record;
mod records;
mod window;

// What a full pass learns.
mod deal;
mod hints;
mod learn;
mod learned;
mod look;
mod own_keys;
mod pass;
mod stretch;

// What records refer to.
mod media;

// The format, its plan and its rows.
mod format;
mod source;
mod stream;
mod table;

pub use format::{JSONL, Jsonl};
