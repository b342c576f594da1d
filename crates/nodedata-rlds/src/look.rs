//! Records that are looked into while the dataset is planned: those whose episodes are asked about, and those that are too large
//! to be read at once.

use std::sync::Arc;

use nodedata_core::Result;

use crate::{
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
    if is_large(file, frame, partition_bytes)
        && let Some((cut, told)) = (Cutting { reading, file, frame }).cut(partition_bytes)?
    {
        return Ok(Some(Look { told, cut: Some(Arc::new(cut)) }));
    }
    if !is_asked {
        return Ok(None);
    }
    let bytes = file.payload(frame)?;
    let record = reading.keys.bind(&bytes)?;
    let told = reading.semantics.of_record(&bytes, &record)?;
    Ok(Some(Look { told, cut: None }))
}

/// Whether a record is to be cut, if it can be: of one that lies in its file as it is, any part can be read.
fn is_large(file: &RecordFile<'_>, frame: &Frame, partition_bytes: u64) -> bool {
    let n_partitions = if file.is_near() { LARGE_PARTITIONS } else { LARGE_PARTITIONS_FAR };
    frame.is_plain() && partition_bytes.saturating_mul(n_partitions) <= frame.n_bytes
}
