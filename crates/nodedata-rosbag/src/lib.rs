//! Bags of ROS 2 and ROS 1.
