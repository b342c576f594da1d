use nodedata_core::{Columns, DType, Feature, Layout, LeafId, Result};

/// Turns payloads into values of a stream's columns.
#[derive(Debug)]
pub(crate) enum PayloadDecoder {
    /// The payload as it is.
    Opaque(LeafId),
}

impl PayloadDecoder {
    pub(crate) fn opaque(layout: &mut Layout) -> Self {
        Self::Opaque(layout.leaf(Feature::new("data", DType::Bytes, Vec::new()), &[]))
    }

    pub(crate) fn decode(&self, payload: &[u8], columns: &mut Columns) -> Result<()> {
        match self {
            Self::Opaque(leaf) => columns.push_bytes(*leaf, payload),
        }
        Ok(())
    }
}
