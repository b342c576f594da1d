//! The list of formats this build can read: one line a format.

use nodedata_core::Formats;
use nodedata_rosbag::RosBag2;

/// Bags of ROS 2, in either of the storages that recorders have.
static ROSBAG2: RosBag2 = RosBag2::with(&[&nodedata_rosbag::SQLITE3, &nodedata_mcap::MCAP_FILE]);

/// Every format, in detection order.
pub fn builtin() -> Formats {
    Formats::default()
        .with(&nodedata_mcap::MCAP)
        .with(&ROSBAG2)
        .with(&nodedata_rosbag::ROSBAG1)
        .with(&nodedata_lerobot::LEROBOT)
        .with(&nodedata_jsonl::JSONL)
        .with(&nodedata_rlds::RLDS)
        .with(&nodedata_webdataset::WEBDATASET)
        .with(&nodedata_tabular::PARQUET)
        .with(&nodedata_tabular::ARROW)
        .with(&nodedata_tabular::CSV)
}
