//! JSON messages, and CBOR as the same data in another spelling: a tree compiled from a JSON schema or
//! from the messages themselves, followed by serde visitors that write into columns.

mod beyond;
mod decode;
mod describe;
mod inference;
mod json_type;
mod loose;
mod media;
mod node;
mod non_finite;
mod observed;
mod observer;
mod ordered;
mod plan;
mod raw;
mod row;
mod scalar;
mod schema;
mod skim;
mod text;
mod texts_at;
mod value_at;

pub use beyond::whole_beyond_64_bits;
pub use inference::{JsonConflict, JsonInference};
pub use json_type::{JsonKind, JsonMember, JsonType};
pub use media::RowMedia;
pub use observed::Place;
pub use raw::with_raw_text;
pub use texts_at::texts_at;
pub use value_at::value_at;

pub(crate) use non_finite::respelled;
pub(crate) use plan::{JsonPlan, Wire};
pub(crate) use schema::describe_schema;
#[cfg(test)]
pub(crate) use text::json_text;

#[cfg(test)]
mod tests;
