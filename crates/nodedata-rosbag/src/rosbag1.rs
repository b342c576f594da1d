use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Detection, Error, ErrorKind, Files, Format, Listing, OpenOptions, Result, Source};
use nodedata_log::{ClockColumns, LogSource, RecordLog, each_file};

use crate::bag1::{BagPlan, BagReader, MAGIC_OF_ANY_VERSION, plan_bag};

/// The format of ROS 1 bags.
pub static ROSBAG1: RosBag1 = RosBag1;

/// Reads ROS 1 bags; see [`ROSBAG1`].
#[derive(Debug, Clone, Copy)]
pub struct RosBag1;

impl Format for RosBag1 {
    fn name(&self) -> &'static str {
        "rosbag1"
    }

    fn about(&self) -> &'static str {
        "ROS 1 bags, one episode a file: indexed or not, left open by their recorder, whole or damaged"
    }

    fn decodes_in_steps(&self) -> bool {
        true
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        // Earlier versions are ours to refuse with a clear error.
        let begins = |it: &[u8]| it.starts_with(MAGIC_OF_ANY_VERSION);
        Detection::by_magic(listing, "ROS 1 bags", is_named, begins)
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(open(&*files, options)?))
    }
}

/// Whether a file is called as bags are, or as one that its recorder has open.
fn is_named(path: &Path) -> bool {
    let is =
        |path: &Path, extension: &str| path.extension().is_some_and(|it| it.eq_ignore_ascii_case(extension));
    is(path, "bag") || is(path, "active") && path.file_stem().is_some_and(|it| is(Path::new(it), "bag"))
}

fn open(files: &dyn Files, options: &OpenOptions) -> Result<LogSource<RecordLog<BagReader>>> {
    let paths: Vec<PathBuf> = files.list()?;
    if paths.is_empty() {
        return Err(Error::new(ErrorKind::Config, "the input has no files").with_hint("name a ROS 1 bag"));
    }
    let (recordings, damage) = each_file(files, paths, options, |file, path| {
        let BagPlan { facts, units, is_encrypted } = plan_bag(Arc::clone(&file), path, options)?;
        let clock = ClockColumns { publish_time: false, sequence: false };
        let reader = move |options: &OpenOptions| BagReader::new(is_encrypted, options);
        Ok((RecordLog::new(file, units, clock, reader), facts))
    })?;
    LogSource::new(recordings, damage, options)
}
