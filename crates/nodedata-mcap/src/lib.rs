//! Reads MCAP logs: chunked or not, indexed or not, whole or damaged.
//!
//! Opening a file plans it: from its summary when that names everything, otherwise by walking the
//! records. Reading then decodes chunk after chunk into columns, one row per message. A log that is
//! opened to salvage is always walked: damage is listed, and the walk goes on at the next sound record.

// Bytes and records.
mod chunk;
mod fault;
mod fields;
mod records;
mod walk;

// Planning one file.
mod defined;
mod log_plan;
mod metadata;
mod open;
mod resync;
mod scan;
mod tail;

// Reading rows.
mod cursor;
mod source;

pub use source::{MCAP, MCAP_FILE, Mcap, McapFile};

#[cfg(test)]
mod tests;
