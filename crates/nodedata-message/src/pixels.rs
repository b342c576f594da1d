use std::collections::BTreeMap;

use nodedata_core::{DType, LeafId, MediaShape};
use nodedata_media::EncodingName;

/// What the pixels of a batch's rows said, each distinct finding counted.
#[derive(Debug, Default)]
pub struct Pixels {
    /// The finding of the rows just decoded: nearly always that of the row before.
    last: Option<(Finding, u64)>,
    earlier: BTreeMap<Finding, u64>,
}

/// One finding, without allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) column: LeafId,
    pub(crate) dtype: DType,
    /// Height, width, channels.
    pub(crate) dims: [u32; 3],
    /// How many of `dims` count.
    pub(crate) n_dims: usize,
    pub(crate) encoding: EncodingName,
}

impl Pixels {
    /// The findings since the last call, sorted and each once, with their numbers of rows.
    pub fn take(&mut self) -> Vec<MediaShape> {
        self.flush();
        let findings = std::mem::take(&mut self.earlier);
        let mut shapes: Vec<MediaShape> =
            findings.into_iter().map(|(finding, n_rows)| finding.shape(n_rows)).collect();
        shapes.sort();
        shapes
    }

    /// Counts one row.
    #[inline]
    pub(crate) fn record(&mut self, finding: Finding) {
        match &mut self.last {
            Some((last, n_rows)) if *last == finding => *n_rows += 1,
            _ => {
                self.flush();
                self.last = Some((finding, 1));
            }
        }
    }

    fn flush(&mut self) {
        if let Some((finding, n_rows)) = self.last.take() {
            *self.earlier.entry(finding).or_default() += n_rows;
        }
    }
}

impl Finding {
    fn shape(&self, n_rows: u64) -> MediaShape {
        MediaShape {
            column: self.column.0,
            dtype: self.dtype,
            shape: self.dims[..self.n_dims].to_vec(),
            encoding: self.encoding.as_str().to_owned(),
            rate_hz: None,
            n_rows,
        }
    }
}
