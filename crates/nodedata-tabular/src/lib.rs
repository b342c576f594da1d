//! Tables that others wrote: Parquet, Arrow IPC, CSV and TSV. One row is one sample, an episode is a file.
//!
//! Parquet and Arrow say what their columns hold, so that opening reads footers and the heads of messages; a row group or a record
//! batch of any size is read by rows. Text does not: opening reads all of it once and learns types, what it learned is told, and
//! files are cut where records end. Files whose columns differ are joined, each column as wide as its widest.

// What all tables share.
mod deal;
mod detect;
mod embed;
mod huggingface;
mod inputs;

// Files with columns: what is in them, the plan, their rows.
mod ipc;
mod parts;
mod rows;
mod source;
mod table;
mod table_file;

// Text.
mod csv;

// The formats.
mod format;

pub use csv::{CSV, Csv};
pub use format::{ARROW, Arrow, PARQUET, Parquet};
