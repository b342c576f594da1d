//! CSV and TSV: text whose dialect is told by its beginning, and whose types are those of all rows.

mod cells;
mod column_types;
mod decimals;
mod dialect;
mod embedded;
mod embedded_rows;
mod fields;
mod format;
mod learned;
mod pass;
mod records;
mod source;
mod stream;

pub use format::{CSV, Csv};
