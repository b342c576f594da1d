//! Records as the cells of the one column of a Parquet file. A row group is a chunk: TFDS puts all of its values into one page.

use std::{
    collections::VecDeque,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arrow_array::{Array as _, BinaryArray, cast::AsArray as _};
use arrow_schema::DataType;
use bytes::Bytes;
use nodedata_arrow::ParquetFile;
use nodedata_core::{Error, ErrorKind, Files, Result};

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
    /// Most recently used last.
    kept: Mutex<VecDeque<(PathBuf, Arc<ParquetFile>)>>,
}

impl Footers {
    /// # Errors
    /// `Io`; `Corrupt` when it is no whole Parquet file.
    fn get(&self, files: &Arc<dyn Files>, path: &Path) -> Result<Arc<ParquetFile>> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = {
            let mut kept = lock();
            let known = kept.iter().position(|it| it.0 == path).and_then(|at| kept.remove(at));
            kept.extend(known.clone());
            known
        };
        if let Some((_, file)) = known {
            return Ok(file);
        }
        // Not under the lock: of two that come at once each reads it, and others go on meanwhile.
        let file = Arc::new(ParquetFile::open(files.as_ref(), path, RESTORE_HINT)?);
        let mut kept = lock();
        kept.retain(|it| it.0 != path);
        if kept.len() == FOOTERS_MAX {
            kept.pop_front();
        }
        kept.push_back((path.to_owned(), Arc::clone(&file)));
        Ok(file)
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
    let file = match footers.get(files, path) {
        Ok(file) => file,
        Err(err) if err.kind() == ErrorKind::Corrupt => {
            let file = files.open(path)?;
            let err = foreign(file.as_ref(), Container::Parquet)?.unwrap_or(err);
            frames.damage.push(lost(err, 0..file.n_bytes(), "damaged_framing"));
            return Ok(frames);
        }
        Err(err) => return Err(err),
    };
    if !file.column_names().any(|it| it == COLUMN) {
        let names: Vec<&str> = file.column_names().take(5).collect();
        let message =
            format!("the Parquet file has no column `{COLUMN}` of records, but `{}`", names.join("`, `"));
        let hint = "TFDS writes one column of serialised examples; other Parquet files hold no records";
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint));
    }
    for group in file.row_groups() {
        let (n_records, n_decoded, byte_range) = (group.n_rows, group.n_decoded, group.byte_range);
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

/// The records of one row group.
///
/// # Errors
/// `Io`; `Corrupt` when they are not there or are others; `Unsupported` when they are no bytes.
pub(crate) fn chunk(
    files: &Arc<dyn Files>,
    footers: &Footers,
    path: &Path,
    byte_range: &Range<u64>,
) -> Result<Vec<Bytes>> {
    let file = footers.get(files, path)?;
    let group = file.row_groups().into_iter().find(|it| it.byte_range == *byte_range);
    let group =
        group.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the file has other row groups than before"))?;
    let rows = group.first_row..group.first_row + group.n_rows;
    let n_rows = usize::try_from(group.n_rows).unwrap_or(usize::MAX);
    let mut records = Vec::new();
    for batch in file.rows(&[COLUMN], rows, n_rows)? {
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
        records.extend(shared(values));
    }
    Ok(records)
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
