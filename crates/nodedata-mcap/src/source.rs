use std::{path::Path, sync::Arc};

use nodedata_core::{
    Detection, Error, ErrorKind, Files, Format, Listing, OpenOptions, ReadAt, Result, Source,
};
use nodedata_log::{
    ClockColumns, LogFacts, LogFile, LogSource, LogStorage, RecordLog, StoredFile, each_file,
};

use crate::{
    cursor::McapReader,
    log_plan::LogPlan,
    open::plan_log,
    records::{MAGIC, RECORD_HEAD_BYTES},
};

/// The MCAP format.
pub static MCAP: Mcap = Mcap;

/// Reads MCAP logs; see [`MCAP`].
#[derive(Debug, Clone, Copy)]
pub struct Mcap;

impl Format for Mcap {
    fn name(&self) -> &'static str {
        "mcap"
    }

    fn about(&self) -> &'static str {
        "MCAP logs, one episode a file: chunked or not, indexed or not, whole or damaged"
    }

    fn decodes_in_steps(&self) -> bool {
        true
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let is_named = |it: &Path| MCAP_FILE.claims(it);
        Detection::by_magic(listing, "MCAP logs", is_named, |it| MCAP_FILE.begins(it))
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(open(&*files, options)?))
    }
}

/// One MCAP file, planned.
type McapLog = RecordLog<McapReader>;

fn open(files: &dyn Files, options: &OpenOptions) -> Result<LogSource<McapLog>> {
    let paths = files.list()?;
    if paths.is_empty() {
        return Err(Error::new(ErrorKind::Config, "the input has no files").with_hint("name an MCAP log"));
    }
    let (recordings, damage) = each_file(files, paths, options, |file, path| plan(file, path, options))?;
    LogSource::new(recordings, damage, options)
}

fn plan(file: Arc<dyn ReadAt>, path: &Path, options: &OpenOptions) -> Result<(McapLog, LogFacts)> {
    let LogPlan { facts, units, .. } = plan_log(Arc::clone(&file), path, options)?;
    let clock = ClockColumns { publish_time: true, sequence: true };
    Ok((RecordLog::new(file, units, clock, McapReader::new), facts))
}

/// MCAP files as a storage of recordings that another format describes.
pub static MCAP_FILE: McapFile = McapFile;

/// See [`MCAP_FILE`].
#[derive(Debug, Clone, Copy)]
pub struct McapFile;

impl LogStorage for McapFile {
    fn claims(&self, path: &Path) -> bool {
        path.extension().is_some_and(|it| it.eq_ignore_ascii_case("mcap"))
    }

    fn begins(&self, head: &[u8]) -> bool {
        // The sixth byte is the version: a later one is ours to refuse with a clear error.
        head.starts_with(&MAGIC[..5]) && head.get(6..8) == Some(b"\r\n")
    }

    fn is_of_ros2(&self, head: &[u8]) -> bool {
        let header = head.strip_prefix(&MAGIC[..]).and_then(|it| it.get(RECORD_HEAD_BYTES as usize..));
        // A text: its length, then its bytes.
        header.is_some_and(|it| it.starts_with(b"\x04\0\0\0ros2"))
    }

    fn open(&self, file: StoredFile<'_>, options: &OpenOptions) -> Result<(Box<dyn LogFile>, LogFacts)> {
        let (log, facts) = plan(file.file, file.path, options)?;
        Ok((Box::new(log), facts))
    }
}
