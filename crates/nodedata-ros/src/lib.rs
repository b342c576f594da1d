//! ROS message definitions and the bytes they describe.
//!
//! A definition (`.msg`, `.srv`, `.action` or IDL text, as recordings embed it) is parsed into
//! [`Definitions`] and compiled once into a [`RosPlan`]: the columns of a topic and a flat program that
//! decodes a message straight into them. [`RosPlan::decode_cdr`] reads ROS 2 (and other DDS) payloads,
//! [`RosPlan::decode_ros1`] those of ROS 1. [`DefinitionStore`] knows the definitions that
//! recordings leave out, and [`fit()`] which of them payloads have. Nothing here does I/O.

mod builtin;
mod compile;
mod decode;
mod definition;
mod fit;
mod framed;
mod idl;
mod msg;
mod parts;
mod plan;
mod program;
mod service;
mod sink;
mod store;
mod wide;

pub use definition::{Definitions, Dialect};
pub use fit::{Fitted, fit};
pub use plan::RosPlan;
pub use store::{Candidate, Completion, DefinitionStore, Origin};
