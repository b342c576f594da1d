//! Records that are looked into while the dataset is planned: those whose episodes are asked about, and those that are too large
//! to be read at once.

use std::{ops::Range, sync::Arc};

use nodedata_core::{Error, ErrorKind, Locus, Result};

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
/// The same of a record that is far away, 32 MiB by default: what is fetched to find out where to cut it has to be kept.
const LARGE_PARTITIONS_FAR: u64 = 16;

/// What came of a look into a record.
pub(crate) struct Look {
    pub(crate) told: Told,
    /// How its steps are cut; `None` where it is read whole.
    pub(crate) cut: Option<Arc<CutRecord>>,
    /// What is attached to the episode, and where that lies in the file.
    pub(crate) attached: Vec<(Attached, Range<u64>)>,
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
    if is_large(file, frame, partition_bytes)
        && let Some((cut, told)) = (Cutting { reading, file, frame }).cut(partition_bytes)?
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
) -> Result<Vec<(Attached, Range<u64>)>> {
    let all = reading.keys.attached(record)?;
    let Some(start) = file.offset_of(frame) else {
        let Some(first) = all.first() else { return Ok(Vec::new()) };
        let message = "values of the whole episode are attached as they lie in the file, and these are compressed there";
        return Err(Error::new(ErrorKind::Unsupported, message)
            .at(Locus::feature(&first.name))
            .with_hint("`--topic` with the names of the other features leaves it out"));
    };
    let in_file = |place: &Range<usize>| start + place.start as u64..start + place.end as u64;
    Ok(all.into_iter().map(|it| (in_file(&it.place), it)).map(|(range, it)| (it, range)).collect())
}

/// Whether a record is to be cut, if it can be: of one that lies in its file as it is, any part can be read.
fn is_large(file: &RecordFile<'_>, frame: &Frame, partition_bytes: u64) -> bool {
    let n_partitions = if file.is_near() { LARGE_PARTITIONS } else { LARGE_PARTITIONS_FAR };
    frame.is_plain() && partition_bytes.saturating_mul(n_partitions) <= frame.n_bytes
}
