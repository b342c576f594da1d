//! The protocol of a server: the bodies that both sides write and read, and the side that asks.

mod bitmap;
mod client;
mod exchange;
mod gate_client;
mod problem;
mod token;
mod wire;

pub use bitmap::{bitmap_of, parts_in};
pub use client::{HttpRemote, server_name};
pub use problem::{PROBLEM_MEDIA_TYPE, Problem};
pub use token::Token;
pub use wire::{
    AttestBody, AttestationList, BLOB_BYTES, CommitAnswer, DatasetList, DatasetSummary, DecisionBody,
    EntryBody, LogAnswer, NeededBody, PART_CV, PartsAnswer, PushAnswer, TokenAnswer, TokenBody, WhoamiAnswer,
};
