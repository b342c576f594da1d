//! End to end: runs the command `node-data` and looks at what it prints, writes and exits with.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod command;
mod logs;
mod tables;

mod broken;
mod cli;
mod determinism;
mod explain;
mod golden;
mod lerobot;
mod lerobot_defects;
mod lerobot_variants;
mod pages;
mod schema;
mod tampering;
