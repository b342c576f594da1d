//! Bags of ROS 2 and ROS 1.
//!
//! A bag of ROS 2 is a recording in one file or several, of a storage: SQLite, which is read here page by page, or
//! another one that is handed in. What describes the bag beside its files is believed where the files say nothing.

// Bags of ROS 1.
mod bag1;
mod rosbag1;

// Bags of ROS 2.
mod confirm;
mod metadata;
mod packed;
mod recording;
mod rosbag2;
mod sqlite;
mod sqlite_file;

pub use rosbag1::{ROSBAG1, RosBag1};
pub use rosbag2::RosBag2;
pub use sqlite_file::{SQLITE3, Sqlite3};

#[cfg(test)]
mod tests;
