//! Immutable revisions over a store.
//!
//! A store holds blobs under their BLAKE3 and, per dataset, a log of create-only records. Publishing is one
//! record: before it nobody sees anything, after it the revision is there for good. Directory, bucket and
//! server have the same layout and are driven through [`Remote`].

pub mod attach;
pub mod clock;
pub mod gate;
pub mod layout;
pub mod record;
pub mod trust;
pub mod tree;

mod blob_reader;
mod digest;
mod direct;
mod name;
mod remote;
mod runtime;
mod store;

pub use blob_reader::{BlobReader, read_ref, read_whole};
pub use digest::B3;
pub use direct::{Direct, LEASE_SECONDS};
pub use name::DatasetName;
pub use remote::{Appended, LogEntry, Needed, Negotiated, PushRequest, Remote};
pub use store::{Created, ObjectInfo, OpenStore, Probe, Store, StoreLocation, default_store_folder};
