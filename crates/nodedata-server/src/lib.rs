//! The HTTP registry: the protocol of `nodedata-registry::http` over a store, tokens and gates, and a page
//! for people. The store stays the truth about data; the database holds who may do what, and who did.

mod access;
mod admission;
mod apart;
mod app;
mod call;
mod case;
mod clock;
mod database;
mod dispatch;
mod handlers;
mod hooks;
mod intent;
mod limits;
mod log;
mod metrics;
mod numbers;
mod openapi;
mod options;
mod page;
mod principal;
mod published;
mod refusal;
mod reply;
mod roles;
mod routes;
mod serve;
mod tls;
mod views;

pub use clock::Clock;
pub use database::{Backup, Database, NewToken};
pub use hooks::{EVENT, EVENT_ID, Hook, SIGNATURE};
pub use log::LogSink;
pub use openapi::openapi;
pub use options::ServerOptions;
pub use principal::Scope;
pub use serve::{Running, start};
pub use tls::TlsFiles;
