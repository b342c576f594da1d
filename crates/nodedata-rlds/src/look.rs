//! Records that are looked into while the dataset is planned: those whose episodes are asked about, and those that are too large
//! to be read at once.

use std::{ops::Range, sync::Arc};

use nodedata_core::Result;

use crate::{
    attached::Attached,
    container::{Frame, RecordFile},
    cuts::{CutRecord, Cutting},
    reading::Reading,
    semantics::Told,
};

/// Records of so many partitions or more, 8 MiB by default, are cut into pieces; reading one of them whole would hold all of its
/// rows.
const LARGE_PARTITIONS: u64 = 4;
/// The same of a record that is far away or compressed, 32 MiB by default: what is fetched or unpacked to find out where to cut it has to be
/// kept.
const LARGE_PARTITIONS_FAR: u64 = 16;

/// What came of a look into a record.
pub(crate) struct Look {
    pub(crate) told: Told,
    /// How its steps are cut; `None` where it is read whole.
    pub(crate) cut: Option<Arc<CutRecord>>,
    /// What is attached to the episode, and where that lies in the file, if it lies there as it is.
    pub(crate) attached: Vec<(Attached, Option<Range<u64>>)>,
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
    // Only datasets whose features tell of attachments are looked through for them.
    let whole = reading.keys.may_have_attached().then(|| file.payload(frame)).transpose()?;
    let attached = whole.as_ref().map_or(Ok(Vec::new()), |it| attached(reading, file, frame, it))?;
    let bytes_min = large_bytes(file, frame, partition_bytes);
    if bytes_min <= frame.chunk_bytes().unwrap_or(frame.n_bytes)
        && let Some((cut, told)) = (Cutting { reading, file, frame }).cut(partition_bytes, bytes_min)?
    {
        return Ok(Some(Look { told, cut: Some(Arc::new(cut)), attached }));
    }
    if !is_asked && attached.is_empty() {
        return Ok(None);
    }
    let bytes = whole.map_or_else(|| file.payload(frame), Ok)?;
    let record = reading.keys.bind(&bytes)?;
    let told = reading.semantics.of_record(&bytes, &record)?;
    Ok(Some(Look { told, cut: None, attached }))
}

/// What is attached to the episode, by where it lies in the file.
fn attached(
    reading: &Reading,
    file: &RecordFile<'_>,
    frame: &Frame,
    record: &[u8],
) -> Result<Vec<(Attached, Option<Range<u64>>)>> {
    let start = file.offset_of(frame);
    let in_file =
        |it: &Attached| start.map(|start| start + it.place.start as u64..start + it.place.end as u64);
    let all = reading.keys.attached(record)?.into_iter();
    Ok(all.map(|it| (in_file(&it), it)).map(|(range, it)| (it, range)).collect())
}

/// From how many bytes on a record is to be cut, if it can be.
fn large_bytes(file: &RecordFile<'_>, frame: &Frame, partition_bytes: u64) -> u64 {
    let is_far = frame.chunk_bytes().is_some() || file.is_of_far();
    partition_bytes.saturating_mul(if is_far { LARGE_PARTITIONS_FAR } else { LARGE_PARTITIONS })
}
