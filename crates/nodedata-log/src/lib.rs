//! What logs of messages share: a log is files of records on channels, and each topic becomes a stream of rows.
//!
//! A log format plans its files: which channels and schemas they declare, and in which units they can be read
//! alone. That is a `LogFile`; what walks the messages of some units is its `MessageCursor`. From these a
//! `LogSource` makes everything else: channels of all files joined into streams, types inferred where no schema
//! tells them, partitions, and rows with their places, losses and counts. Nothing here knows a file format.

// What a log format supplies.
mod damage;
mod definitions;
mod log_file;

// Logs of chunks and records, whatever their framing.
mod record_cursor;
mod record_log;
mod record_unit;
mod view;

// Planning: joining files into streams.
mod inference;
mod misfits;
mod missing;
mod recordings;
mod routes;
mod sample;
mod storage;
mod streams;

// Reading rows.
mod decompress;
mod log_stream;
mod rows;
mod selector;
mod source;

pub use damage::{Cost, Damage, SALVAGE_HINT, corrupt, foreign_start, too_large};
pub use decompress::{Compression, Decompressor};
pub use definitions::{ChannelRecord, Definitions, LogChannel, LogSchema, Position, SchemaRecord};
pub use log_file::{ClockColumns, LogFacts, LogFile, Message, MessageCursor, MessagePlace, Times, Unit};
pub use record_cursor::{MessageRecord, RecordCursor, RecordReader};
pub use record_log::RecordLog;
pub use record_unit::{RecordUnit, UnitKind};
pub use recordings::{PlannedFile, Recording, each_file, key_of, plan_file, whole_file_lost};
pub use routes::{Route, Routes};
pub use selector::{Picked, Selector};
pub use source::LogSource;
pub use storage::{LogStorage, StoredFile};
pub use view::FileView;

#[cfg(test)]
mod tests;
