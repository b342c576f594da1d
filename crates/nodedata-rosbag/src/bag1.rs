//! Bags of ROS 1: records whose headers are names and values, messages in chunks, and an index behind them.
//!
//! Opening a bag plans it: from its index when that can be trusted, otherwise by walking the records. Reading then decodes
//! chunk after chunk. A bag that is opened to salvage is always walked: damage is listed, and the walk goes on at the next
//! sound record.

// Bytes and records.
mod chunk;
mod connection;
mod file_record;
mod record;

// Planning one file.
mod index;
mod metadata;
mod open;
mod resync;
mod scan;

// Reading rows.
mod cursor;

pub(crate) use cursor::BagReader;
pub(crate) use open::{BagPlan, plan_bag};
pub(crate) use record::MAGIC_OF_ANY_VERSION;

#[cfg(test)]
mod tests;
