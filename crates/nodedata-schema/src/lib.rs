//! `schema.json`: what the features of a dataset are. Parsed with every mistake addressed, inferred from
//! rows while they pass, checked against rows before any is written, and compared between revisions.
//!
//! The plain form is `{"splits":["train"],"fields":{"rgb":{"type":"uint8","shape":[-1,224,224,3]}}}`.
//! `fields` describes the step table; `streams` holds the same for topic tables, by topic.
//!
//! A shape is time, then the lists around media, then what one of them decodes to: frames of 224 × 224 in stacks of
//! four have the shape `[-1,4,224,224,3]`, and `"lists":1` says that its second dimension is a list. Left out, the
//! data decides which dimensions are lists.

mod check;
mod compare;
mod diff;
mod infer;
mod parse;
mod schema;
mod tree;
mod values;
mod violation;
mod write;

pub use check::{CheckedBatch, RowPlace, SchemaCheck, check_arrow};
pub use diff::{Change, ChangeKind, diff, is_compatible};
pub use infer::{Observations, SchemaBuilder};
pub use schema::{Bound, FieldSchema, Fields, Mode, Schema, TimeSchema};
pub use violation::{Address, Rule, Violation, Violations};
