//! The server from outside, over real connections on this machine.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod at_once;
mod audit;
mod backup;
mod bump;
mod commits;
mod declared;
mod fairness;
mod gate;
mod hooks;
mod limits;
mod lists;
mod manners;
mod moves;
mod nodes;
mod numbers;
mod oidc;
mod oidc_groups;
mod operating;
mod page;
mod possession;
mod private;
mod protocol;
mod proved;
mod purge;
mod quota;
#[cfg(unix)]
mod ranges;
mod roles;
mod site;
mod tables;
mod tls;
mod tokens;
