//! LeRobot datasets for tests: truth files of the official reader, copies with one defect each, and datasets
//! that other writers than the official one leave behind.

mod build;
mod defect;
mod folder;
mod nested;
mod parquet_bytes;
mod repack;
mod truth;

pub use build::{Build, FeatureColumn};
pub use defect::{Base, Defect};
pub use folder::Folder;
pub use nested::{fixed_tensors, list_of, struct_of, tensors};
pub use parquet_bytes::{Compressed, WriteOptions, row_picked, with_column, without_column};
pub use repack::{Repack, as_v30};
pub use truth::{EpisodeTruth, FeatureTruth, LeRobotTruth, ValueTruth, array_sha, json_of};
