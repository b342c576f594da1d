//! End to end: runs the command `node-data` and looks at what it prints, writes and exits with.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod command;
mod generated;
mod logs;
mod served;
mod tables;
mod web;

mod broken;
mod cli;
mod crash;
mod detection;
mod determinism;
mod explain;
mod files;
mod golden;
mod hostile_names;
mod http_inputs;
mod incremental;
mod inspect;
mod interrupt;
mod jsonl;
mod lerobot;
mod lerobot_defects;
mod lerobot_variants;
mod log;
mod media_lists;
mod nulls;
mod older;
mod overwrite;
mod pages;
mod pipelines;
mod quality;
mod rebuild;
mod registry;
mod resume;
mod revisions;
mod rlds;
mod scale_out;
mod schema;
mod several_sources;
mod steps;
mod tampering;
mod trust;
mod unknown_names;
