//! Immutable revisions over a store.
//!
//! A store holds blobs under their BLAKE3 and, per dataset, a log of create-only records. Publishing is one
//! record: before it nobody sees anything, after it the revision is there for good. Directory, bucket and
//! server have the same layout and are driven through [`Remote`].

pub mod attach;
pub mod clock;
pub mod gate;
pub mod grains;
pub mod http;
pub mod layout;
pub mod pieces;
pub mod record;
pub mod tree;
pub mod trust;

mod blob_reader;
mod bounded;
mod changes;
mod content;
mod digest;
mod direct;
mod folder;
mod hash_cache;
mod hashing;
mod maintain;
mod moves;
mod name;
mod pull;
mod purge;
mod push;
mod reference;
mod remote;
mod revision;
mod runtime;
mod state;
mod store;
mod tables;
mod tree_cache;

pub use blob_reader::{BlobReader, Prefetched, VerifiedGrains, read_ref, read_whole};
pub use bounded::{
    BLOB_BYTES_MAX, BlobBytes, Bounded, POSITION_MAX, PUSH_BLOBS_MAX, PUSH_PARTS_MAX, Position, at_most,
};
pub use changes::{NewDeclaration, TagTarget, attach, change, declare, put_blob, tag, withdraw};
pub use content::{BumpKind, ChangedEpisode, Comparison, Contents, EpisodeContent, EpisodeId};
pub use digest::B3;
pub use direct::{Direct, LEASE_SECONDS};
pub use hash_cache::{FileIdentity, HashCache};
pub use hashing::blob_of;
pub use maintain::{Depth, Flaw, FsckReport, GcOptions, GcReport, HealReport, fsck, gc, heal};
pub use moves::{delete_dataset, move_dataset};
pub use name::DatasetName;
pub use pull::{PullReport, pull};
pub use purge::{PurgeOptions, PurgeReport, Removal, StillThere, purge};
pub use push::{Begun, BumpRequest, NewDataset, Outcome, PushOptions, PushReport, create, parse_price, push};
pub use record::{AttachmentKind, DataClass, Facts, Gate, GateKind, Operation, Sensitivity, Visibility};
pub use reference::{Reference, Selector, is_tag};
pub use remote::{Appended, LogEntry, Needed, Negotiated, PushRequest, RANGES_AT_ONCE, Remote};
pub use revision::{REVISION_FILE, Revision};
pub use state::{Anchor, AttachmentEntry, DatasetState, Declaration, LATEST, RevisionEntry};
pub use store::{
    Created, ObjectInfo, OpenStore, Probe, Sender, Store, StoreLocation, default_store_folder, is_full,
};
pub use tree_cache::TreeCache;
