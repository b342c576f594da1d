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

/// Reads all records with the crate `tfrecord`, checksums verified, and prints how many there are.
///
/// # Errors
/// When a file cannot be read, or is damaged.
pub(in crate::bench) fn by_crate(input: &Path) -> Result<()> {
    let failed = |err: tfrecord::Error| format!("cannot read the records of {}: {err}", input.display());
    let (mut n_records, mut n_bytes) = (0, 0);
    let is_shard = |path: &Path| path.to_string_lossy().contains(".tfrecord-");
    for shard in reference::files_of(input)?.into_iter().filter(|it| is_shard(it)) {
        let records =
            BytesIter::open(&shard, RecordReaderConfig { check_integrity: true }).map_err(failed)?;
        for record in records {
            n_bytes += record.map_err(failed)?.len();
            n_records += 1;
        }
    }
    println!("{n_records} records, {n_bytes} bytes");
    Ok(())
}

/// Times the job above in a process of its own.
///
/// # Errors
/// When it fails.
pub(super) fn time_crate(set: &Set) -> Result<Measured> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let command =
        [path_text(&own), "bench-job".to_owned(), "tfrecord-crate".to_owned(), path_text(&set.path)];
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
