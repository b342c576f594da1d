//! The list of formats this build can read: one line a format.

use nodedata_core::Formats;

/// Every format, in detection order.
pub fn builtin() -> Formats {
    Formats::default()
        .with(&nodedata_mcap::MCAP)
        .with(&nodedata_lerobot::LEROBOT)
        .with(&nodedata_jsonl::JSONL)
        .with(&nodedata_rlds::RLDS)
        .with(&nodedata_tabular::PARQUET)
        .with(&nodedata_tabular::ARROW)
        .with(&nodedata_tabular::CSV)
}
