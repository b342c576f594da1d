//! JSON messages, and CBOR as the same data in another spelling: a tree compiled from a JSON schema or
//! from the messages themselves, followed by serde visitors that write into columns.

mod decode;
mod describe;
mod inference;
mod node;
mod ordered;
mod plan;
mod row;
mod scalar;
mod schema;
mod text;

pub use inference::JsonInference;

pub(crate) use plan::{JsonPlan, Wire};
pub(crate) use schema::describe_schema;
#[cfg(test)]
pub(crate) use text::json_text;

#[cfg(test)]
mod tests;
