//! JSON Lines: one object a line, one row an object.
//!
//! The files have no schema, so opening reads them all once, in parallel, and learns what each field is in all rows
//! together. What it learned is told, so that the next opening of the same files reads nothing. A file is cut
//! into stretches of whole lines, each a partition; where rows are dealt to splits, each split reads all stretches
//! and decodes its own rows.

// A file as lines, a line as a record.
mod lines;
mod record;

// What a full pass learns.
mod deal;
mod learned;
mod own_keys;
mod pass;

// The format, its plan and its rows.
mod format;
mod source;
mod stream;

pub use format::{JSONL, Jsonl};
