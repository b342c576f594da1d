//! What a user of a registry does, whether by the command or in a program of their own: open it from what they say and
//! what the environment says, create a dataset, upload to it, publish what a pipeline made.

mod access;
#[cfg(feature = "remote")]
pub mod credentials;
mod publish;
mod registry;
#[cfg(feature = "remote")]
mod server;
mod upload;
mod words;

pub use access::Access;
pub use publish::publish;
pub use registry::{Opening, Registry};
#[cfg(feature = "remote")]
pub use server::Server;
pub use upload::{UploadMode, UploadOptions, upload};
pub use words::{attestation_gate, bump, read_schema, sensitivity};
