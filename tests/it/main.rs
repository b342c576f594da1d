//! End to end: runs the command `node-data` and looks at what it prints, writes and exits with.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod command;
mod logs;
mod tables;

mod broken;
mod cli;
mod crash;
mod determinism;
mod explain;
mod golden;
mod pages;
mod registry;
mod schema;
mod tampering;
mod trust;
