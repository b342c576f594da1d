//! Reads MCAP logs: chunked or not, indexed or not, whole or damaged.
//!
//! Opening a file plans it: from its summary when that names everything, otherwise by walking the
//! records. Reading then decodes chunk after chunk into columns, one row per message.

mod chunk;
mod cursor;
mod definitions;
mod fault;
mod fields;
mod inference;
mod log_plan;
mod log_stream;
mod open;
mod records;
mod resync;
mod routes;
mod rows;
mod scan;
mod source;
mod streams;
mod tail;
mod topics;
mod view;

pub use source::{MCAP, Mcap};

#[cfg(test)]
mod tests;
