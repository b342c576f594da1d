//! Records as the cells of the one column of a Parquet file. A row group is a chunk: TFDS puts all of its values into one page.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arrow_array::{Array as _, BinaryArray, cast::AsArray as _};
use arrow_schema::DataType;
use bytes::Bytes;
use nodedata_arrow::{ParquetFile, RowGroup};
use nodedata_core::{Error, ErrorKind, Files, Result};
use nodedata_io::{Scratch, io_error};

use crate::{
    container::{Container, Frame, Frames, Place},
    foreign::foreign,
    tfrecord::lost,
};

/// The column that TFDS writes.
const COLUMN: &str = "data";
/// Records of a row group: their values may take no bytes at all.
const GROUP_RECORDS_MAX: u64 = 1 << 20;
/// Records of a file.
const FILE_RECORDS_MAX: u64 = 1 << 22;

const RESTORE_HINT: &str = "fetch the file again from where the dataset came from";

/// Footers that are kept. One of many row groups takes longer to read than a row group.
const FOOTERS_MAX: usize = 8;

/// The files whose row groups were read last, with their footers.
#[derive(Default)]
pub(crate) struct Footers {
    /// Whether pages are held against their checksums.
    verifies: bool,
    /// Most recently used last.
    kept: Mutex<VecDeque<(PathBuf, Arc<Opened>)>>,
    /// Held by whoever reads a large row group: its pages are had in memory as a whole, so one at a time.
    large: Mutex<()>,
}

/// A file, and its row groups by where they lie.
struct Opened {
    file: ParquetFile,
    groups: Vec<RowGroup>,
    by_place: HashMap<Range<u64>, usize>,
}

impl Opened {
    fn new(file: ParquetFile) -> Self {
        let groups = file.row_groups();
        // Of two that claim one place the first is meant, as whoever looks through them finds it.
        let by_place =
            groups.iter().enumerate().rev().map(|(idx, it)| (it.byte_range.clone(), idx)).collect();
        Self { file, groups, by_place }
    }

    /// The row group at a place, and its position.
    fn group_at(&self, place: &Range<u64>) -> Option<(usize, &RowGroup)> {
        let position = *self.by_place.get(place)?;
        Some((position, self.groups.get(position)?))
    }
}

impl Footers {
    pub(crate) fn new(verifies: bool) -> Self {
        Self { verifies, ..Self::default() }
    }

    /// # Errors
    /// `Io`; `Corrupt` when it is no whole Parquet file.
    fn get(&self, files: &Arc<dyn Files>, path: &Path) -> Result<Arc<Opened>> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut kept = lock();
            let known = kept.iter().position(|it| it.0 == path).and_then(|at| kept.remove(at));
            if let Some((path, file)) = known {
                kept.push_back((path, Arc::clone(&file)));
                return Ok(file);
            }
        }
        // Not under the lock: of two that come at once each reads it, and others go on meanwhile.
        let file = ParquetFile::open(files.as_ref(), path, RESTORE_HINT)?.verifying(self.verifies);
        let file = Arc::new(Opened::new(file));
        let mut kept = lock();
        kept.retain(|it| it.0 != path);
        if kept.len() == FOOTERS_MAX {
            kept.pop_front();
        }
        kept.push_back((path.to_owned(), Arc::clone(&file)));
        Ok(file)
    }

    /// Has a file opened anew, which is had from elsewhere by now.
    pub(crate) fn forget(&self, path: &Path) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|it| it.0 != path);
    }
}

/// Finds the row groups of a file by its footer. One that has more than `record_bytes_max` bytes is left out.
///
/// # Errors
/// `Io`; `Unsupported` when there is no column of records.
pub(crate) fn walk(
    files: &Arc<dyn Files>,
    footers: &Footers,
    path: &Path,
    record_bytes_max: u64,
) -> Result<Frames> {
    let mut frames = Frames::default();
    let opened = match footers.get(files, path) {
        Ok(opened) => opened,
        Err(err) if err.kind() == ErrorKind::Corrupt => {
            let file = files.open(path)?;
            let err = foreign(file.as_ref(), Container::Parquet)?.unwrap_or(err);
            frames.damage.push(lost(err, 0..file.n_bytes(), "damaged_framing"));
            return Ok(frames);
        }
        Err(err) => return Err(err),
    };
    if !opened.file.column_names().any(|it| it == COLUMN) {
        let names: Vec<&str> = opened.file.column_names().take(5).collect();
        let message =
            format!("the Parquet file has no column `{COLUMN}` of records, but `{}`", names.join("`, `"));
        let hint = "TFDS writes one column of serialised examples; other Parquet files hold no records";
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint));
    }
    for group in &opened.groups {
        let (n_records, n_decoded, byte_range) = (group.n_rows, group.n_decoded, group.byte_range.clone());
        // The footer alone says how many there are: nothing vouches for that before they are read.
        let n_left = FILE_RECORDS_MAX.saturating_sub(frames.records.len() as u64);
        if n_decoded > record_bytes_max || n_records > GROUP_RECORDS_MAX.min(n_left) {
            let message = format!(
                "a row group has {n_records} records of {n_decoded} bytes, but at most {GROUP_RECORDS_MAX} of \
                 {record_bytes_max} are read at once, and {FILE_RECORDS_MAX} of a file"
            );
            frames.damage.push(lost(Error::new(ErrorKind::Limit, message), byte_range, "too_large"));
            continue;
        }
        frames.records.extend((0..n_records).map(|idx| Frame {
            byte_range: byte_range.clone(),
            n_bytes: n_decoded / n_records,
            place: Place::Chunk { idx, n_records },
        }));
    }
    Ok(frames)
}

/// The records of one row group; of a `large` one, in a file in the folder that is told.
///
/// # Errors
/// `Io`; `Corrupt` when they are not there or are others; `Unsupported` when they are no bytes; `Limit`.
pub(crate) fn chunk(
    files: &Arc<dyn Files>,
    footers: &Footers,
    path: &Path,
    byte_range: &Range<u64>,
    record_bytes_max: u64,
    large: Option<&Path>,
) -> Result<Vec<Bytes>> {
    let opened = footers.get(files, path)?;
    let found = opened.group_at(byte_range);
    let (group, RowGroup { n_rows, .. }) =
        found.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the file has other row groups than before"))?;
    match large {
        None => {
            let n_rows = usize::try_from(*n_rows).unwrap_or(usize::MAX);
            let mut records = Vec::new();
            for_each(&opened.file, group, n_rows, |values| {
                records.extend(shared(values));
                Ok(())
            })?;
            Ok(records)
        }
        Some(folder) => {
            let _alone = footers.large.lock().unwrap_or_else(PoisonError::into_inner);
            spooled(&opened.file, group, record_bytes_max, folder)
        }
    }
}

/// Calls `take` with the records of a row group, `batch_rows` at a time.
fn for_each(
    file: &ParquetFile,
    group: usize,
    batch_rows: usize,
    mut take: impl FnMut(&BinaryArray) -> Result<()>,
) -> Result<()> {
    for batch in file.group_rows(&[COLUMN], group, batch_rows)? {
        let batch = batch?;
        let column = batch.columns().first().filter(|it| *it.data_type() == DataType::Binary);
        let Some(values) = column.map(|it| it.as_binary::<i32>()) else {
            let message = format!("the column `{COLUMN}` is not of bytes");
            return Err(Error::new(ErrorKind::Unsupported, message).with_hint(RESTORE_HINT));
        };
        if values.null_count() > 0 {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("the column `{COLUMN}` has rows without a record"),
            ));
        }
        take(values)?;
    }
    Ok(())
}

/// The records of a row group in a file in `folder`, mapped: of what the pages hold no more is in memory than one record at a time.
fn spooled(file: &ParquetFile, group: usize, bytes_max: u64, folder: &Path) -> Result<Vec<Bytes>> {
    let failed = |err| {
        io_error("cannot unpack a large row group into a scratch file here", folder, err)
            .with_hint("make room there")
    };
    let mut scratch = Scratch::within(folder).map_err(failed)?;
    let (mut lengths, mut n_bytes) = (Vec::new(), 0u64);
    for_each(file, group, 1, |values| {
        for value in values.iter().flatten() {
            // What the footer tells of is before a dictionary says which values come how often.
            n_bytes += value.len() as u64;
            if bytes_max < n_bytes {
                let message =
                    format!("a row group has more than {bytes_max} bytes, which are read at once at most");
                return Err(Error::new(ErrorKind::Limit, message));
            }
            scratch.push(value).map_err(failed)?;
            lengths.push(value.len());
        }
        Ok(())
    })?;
    // A scratch file is mapped.
    let mut all = scratch.into_file().map_err(failed)?.in_memory().unwrap_or_default();
    let record = |n: usize| {
        let short = || Error::new(ErrorKind::Io, "a scratch file has fewer bytes than were written to it");
        if n <= all.len() { Ok(all.split_to(n)) } else { Err(short()) }
    };
    lengths.into_iter().map(record).collect()
}

/// The values as they lie in memory, none of them copied.
fn shared(values: &BinaryArray) -> impl Iterator<Item = Bytes> {
    let all = Bytes::from_owner(Shared(values.clone()));
    let offsets = values.value_offsets();
    offsets.windows(2).map(move |it| all.slice(it[0] as usize..it[1] as usize))
}

/// The bytes of all values, as one that shares them with others.
struct Shared(BinaryArray);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.value_data()
    }
}

#[cfg(test)]
mod tests {
    use nodedata_io::LocalFiles;
    use nodedata_testkit::corpus;

    use super::*;

    /// Whatever its footer tells, no more of a row group lies on the disk than may.
    #[test]
    fn a_row_group_is_unpacked_as_far_as_it_may_have_bytes() {
        let files = LocalFiles::folder(&corpus::fixtures("rlds/arm_parquet/1.2.0")).unwrap();
        let names = files.list().unwrap();
        let name = names.iter().find(|it| it.to_string_lossy().contains(".parquet-")).unwrap();
        let file = ParquetFile::open(&files, name, RESTORE_HINT).unwrap();
        let mut expected: Vec<Bytes> = Vec::new();
        for_each(&file, 0, 100, |values| {
            expected.extend(shared(values));
            Ok(())
        })
        .unwrap();
        let n_bytes: u64 = expected.iter().map(|it| it.len() as u64).sum();
        assert!(n_bytes > 0);
        let folder = std::env::temp_dir();
        assert_eq!(spooled(&file, 0, n_bytes, &folder).unwrap(), expected);
        assert_eq!(spooled(&file, 0, n_bytes - 1, &folder).unwrap_err().kind(), ErrorKind::Limit);
    }
}
