//! The format: bags of ROS 2, in folders or lone files, of any storage.

mod detect;
mod open;

use std::sync::Arc;

use nodedata_core::{Detection, Files, Format, Listing, OpenOptions, OptionKey, Result, Source};
use nodedata_io::packed::UNPACK_RATIO_MAX;

use crate::recording::Storages;

/// Reads the bags of ROS 2, in the storages that it is given.
#[derive(Clone, Copy)]
pub struct RosBag2 {
    storages: Storages,
}

impl RosBag2 {
    /// Bags in these storages.
    pub const fn with(storages: Storages) -> Self {
        Self { storages }
    }
}

impl std::fmt::Debug for RosBag2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RosBag2").field("n_storages", &self.storages.len()).finish()
    }
}

impl Format for RosBag2 {
    fn name(&self) -> &'static str {
        "rosbag2"
    }

    fn about(&self) -> &'static str {
        "ROS 2 bags, one episode a bag: SQLite or MCAP, split, compressed, described or not, whole or damaged"
    }

    fn decodes_in_steps(&self) -> bool {
        true
    }

    fn options(&self) -> &'static [OptionKey] {
        &[UNPACK_RATIO_MAX]
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        detect::detect(self.storages, listing)
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(open::open(self.storages, &*files, options)?))
    }
}
