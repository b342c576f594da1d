//! Records that are looked into while the dataset is planned: those whose episodes are asked about, and those that are too large
//! to be read at once.

use std::sync::Arc;

use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::{
    attachments::{Attached, attached},
    container::{Frame, RecordFile},
    cuts::{CutRecord, Cutting},
    reading::Reading,
    semantics::Told,
};

/// Records of so many partitions or more, 8 MiB by default, are cut into pieces; reading one of them whole would hold all of its
/// rows.
const LARGE_PARTITIONS: u64 = 4;
/// The same of a record that is far away, 32 MiB by default: to find out where to cut it costs to fetch it once more.
const LARGE_PARTITIONS_FAR: u64 = 16;

/// What came of a look into a record.
pub(crate) struct Look {
    pub(crate) told: Told,
    /// What is kept as files, in the input.
    pub(crate) attached: Vec<Attached>,
    /// How its steps are cut; `None` where it is read whole.
    pub(crate) cut: Option<Arc<CutRecord>>,
}

/// Looks into a record if it has to be.
///
/// # Errors
/// `Io`; what makes the record one that cannot be read.
pub(crate) fn look(
    reading: &Reading,
    file: &RecordFile<'_>,
    frame: &Frame,
    partition_bytes: u64,
    is_asked: bool,
) -> Result<Option<Look>> {
    let cut = match is_large(file, frame, partition_bytes) {
        true => (Cutting { reading, file, frame }).cut(partition_bytes)?,
        false => None,
    };
    let (told, cut) = match cut {
        Some((cut, told)) => (told, Some(Arc::new(cut))),
        None if is_asked || !reading.attached.is_empty() => {
            let bytes = file.payload(frame)?;
            let record = reading.keys.bind(&bytes)?;
            (reading.semantics.of_record(&bytes, &record)?, None)
        }
        None => return Ok(None),
    };
    let attached = if reading.attached.is_empty() { Vec::new() } else { in_input(reading, file, frame)? };
    Ok(Some(Look { told, attached, cut }))
}

/// What is attached, in bytes of the input.
fn in_input(reading: &Reading, file: &RecordFile<'_>, frame: &Frame) -> Result<Vec<Attached>> {
    let mut attached = attached(&reading.keys, &reading.attached, &file.view(frame)?)?;
    for it in &mut attached {
        let Some(start) = file.start_in_input(frame) else {
            let message = "the feature is of the whole episode and kept as a file, but its bytes are compressed in the input";
            let err = Error::new(ErrorKind::Unsupported, message).at(Locus::feature(&it.name));
            return Err(err.with_hint("`tfds convert_format --out_file_format=tfrecord` writes records as they are"));
        };
        it.bytes = start + it.bytes.start..start + it.bytes.end;
    }
    Ok(attached)
}

/// Whether a record is to be cut, if it can be: of one that lies in its file as it is, any part can be read.
fn is_large(file: &RecordFile<'_>, frame: &Frame, partition_bytes: u64) -> bool {
    let n_partitions = if file.is_near() { LARGE_PARTITIONS } else { LARGE_PARTITIONS_FAR };
    frame.is_plain() && partition_bytes.saturating_mul(n_partitions) <= frame.n_bytes
}
