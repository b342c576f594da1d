//! Arrow IPC, as a file and as a stream: messages are found by their heads, and what a record batch holds is decoded by `arrow-ipc`,
//! behind checks of every place that a head points at.

mod bodies;
mod file;
mod messages;
mod nulls;

pub(crate) use file::{IpcFile, begins};
