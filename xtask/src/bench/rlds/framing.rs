//! Framing alone: every record of a set read and held against its checksum, and nothing made of it.

use std::path::Path;

use tfrecord::{BytesIter, RecordReaderConfig};

use super::set::Set;
use crate::{
    bench::{
        measure::{self, Measured},
        path_text, reference,
    },
    workspace::Result,
};

/// Reads all records with the crate `tfrecord`, checksums verified, of which there must be so many.
///
/// # Errors
/// When a file cannot be read, is damaged, or there are more records or fewer.
pub(in crate::bench) fn by_crate(input: &Path, n_wanted: u64) -> Result<()> {
    let failed = |err: tfrecord::Error| format!("cannot read the records of {}: {err}", input.display());
    let mut n_records = 0;
    let is_shard =
        |path: &Path| path.file_name().is_some_and(|it| it.to_string_lossy().contains(".tfrecord-"));
    for shard in reference::files_of(input)?.into_iter().filter(|it| is_shard(it)) {
        let records =
            BytesIter::open(&shard, RecordReaderConfig { check_integrity: true }).map_err(failed)?;
        for record in records {
            record.map_err(failed)?;
            n_records += 1;
        }
    }
    if n_records != n_wanted {
        return Err(format!("{n_records} records of {n_wanted} were read of {}", input.display()));
    }
    Ok(())
}

/// Times the job above in a process of its own.
///
/// # Errors
/// When it fails.
pub(super) fn time_crate(set: &Set) -> Result<Measured> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let input = path_text(&set.path);
    let n_records = set.n_episodes.to_string();
    let command = [path_text(&own), "bench-job".to_owned(), "tfrecord-crate".to_owned(), input, n_records];
    measure::in_own_process(&command)
}

/// Times ours: `inspect` of one column of truths walks the framing, verifies the checksum of every record, and walks the
/// keys of each to find that column. More than the crate does, and all that a command can be asked for.
///
/// # Errors
/// When it fails.
pub(super) fn time_ours(program: &Path, set: &Set) -> Result<Measured> {
    let command = [
        program.to_string_lossy().as_ref(),
        "inspect",
        "--full",
        "--topic",
        "is_first",
        &path_text(&set.path),
    ]
    .map(str::to_owned);
    measure::in_own_process(&command)
}
