//! Bags of ROS 2 and ROS 1.

mod bag1;
mod rosbag1;

pub use rosbag1::{ROSBAG1, RosBag1};
