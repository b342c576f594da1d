//! The bytes of one log message, in any encoding, decoded into columns: a [`MessageDecoder`] is compiled
//! once per schema and then pushes one row per message.

mod cbor;
mod decoder;
mod flatbuffer;
mod images;
mod json;
mod pixels;
mod protobuf;
mod ros;

pub use cbor::is_cbor;
pub use decoder::{Fit, MessageDecoder, MessageSchema};
pub use json::{
    JsonConflict, JsonInference, JsonKind, JsonMember, JsonType, Place, RowMedia, texts_at, value_at,
    whole_beyond_64_bits, with_raw_text,
};
pub use pixels::Pixels;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod test_rows;
