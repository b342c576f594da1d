//! What the tests of the other crates share: the conformance kit that every format runs, the reader of
//! truth files, and the way to the corpus folders. A dev-dependency only.
//!
//! Everything here panics where a test should fail, with a message that names the case.

pub mod beside;
pub mod corpus;
pub mod damaged;
#[cfg(feature = "issuer")]
pub mod issuer;
pub mod lerobot;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod reading;
#[cfg(feature = "registry")]
pub mod registry;
pub mod source;
pub mod toy;
pub mod truth;

mod annex_b;
mod cell;
mod damage;
mod ffmpeg_packet;
#[cfg(unix)]
mod flip;
mod pixels;
mod random;
mod rows;
mod skipped;

pub use annex_b::annex_b;
pub use ffmpeg_packet::{FFMPEG_PACKET, FFMPEG_PACKET_DEFINITION, ffmpeg_packet};
#[cfg(unix)]
pub use flip::flip_behind;
pub use skipped::skipped;

#[cfg(test)]
mod tests;
