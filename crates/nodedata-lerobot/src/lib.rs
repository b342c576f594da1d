//! Reads LeRobot datasets of versions 2.0, 2.1 and 3.0 as one table of steps.
//!
//! Pointers (which file, which rows, which frames) are taken from `meta/` and held against what the files
//! themselves say before any row is read; what the data settles is put right and named, everything else is
//! refused with its address. Video passes through sample by sample, or is decoded when asked for.

mod cameras;
mod decoded;
mod features;
mod findings;
mod groups;
mod info;
mod inputs;
mod layout;
mod meta;
mod modality;
mod order;
mod placing;
mod plan;
mod player;
mod rebuilt;
mod row_audit;
mod rows;
mod scan;
mod shown;
mod source;
mod tables;
mod task_audit;
mod template;
mod track_check;
mod tracks;
mod version_audit;
mod video_audit;

pub use source::{LEROBOT, LeRobot};
