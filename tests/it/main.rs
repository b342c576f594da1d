//! End to end: runs the command `node-data` and looks at what it prints, writes and exits with.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod command;
mod generated;
mod logs;
mod served;
mod tables;

mod broken;
mod cli;
mod crash;
mod detection;
mod determinism;
mod explain;
mod files;
mod golden;
mod incremental;
mod jsonl;
mod lerobot;
mod lerobot_defects;
mod lerobot_variants;
mod log;
mod login;
mod media_lists;
mod older;
mod pages;
mod pipelines;
mod quality;
mod rebuild;
mod registry;
mod registry_manners;
mod resume;
mod revisions;
mod rlds;
mod scale_out;
mod schema;
mod steps;
mod tampering;
mod trust;
