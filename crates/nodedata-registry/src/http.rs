//! The protocol of a server: the bodies that both sides write and read, and the side that asks.

mod bitmap;
#[cfg(feature = "remote")]
mod client;
#[cfg(feature = "remote")]
mod device;
#[cfg(feature = "remote")]
mod exchange;
#[cfg(feature = "remote")]
mod gate_client;
mod issuer;
#[cfg(feature = "remote")]
mod login_client;
mod opened;
mod packed;
mod problem;
#[cfg(feature = "remote")]
mod roles_client;
#[cfg(feature = "remote")]
mod side_by_side;
mod token;
mod wire;

pub use bitmap::{bitmap_of, parts_in};
#[cfg(feature = "remote")]
pub use client::HttpRemote;
#[cfg(feature = "remote")]
pub use device::DeviceLogin;
pub use issuer::{Discovery, ISSUER_BYTES_MAX, IssuerUrl};
pub use opened::{at_server, server_name};
pub use packed::{PACKED_BLOBS_MAX, pack, unpack};
pub use problem::{CUT_BODY, PROBLEM_MEDIA_TYPE, Problem};
pub use token::Token;
pub use wire::{
    ACCESS_TOKEN, AttestBody, AttestationList, BLOB_BYTES, CommitAnswer, DatasetList, DatasetSummary,
    DecisionBody, EntryBody, ExchangeAnswer, GRANT_EXCHANGE, GroupInfo, GroupList, ID_TOKEN, JWT, LogAnswer,
    LoginOffer, NeededBody, PART_CV, PUSH, PartsAnswer, PushAnswer, RoleBody, RoleInfo, RoleList, RotateBody,
    TokenAnswer, TokenBody, TokenInfo, TokenList, WhoamiAnswer,
};
