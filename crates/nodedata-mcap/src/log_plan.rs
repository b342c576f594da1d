use nodedata_log::{LogFacts, RecordUnit};

use crate::metadata::MetadataRecord;

/// What is known of one file before any row is read.
#[derive(Debug, Default)]
pub(crate) struct LogPlan {
    /// What it declares and carries.
    pub(crate) facts: LogFacts,
    /// Its Metadata records, in file order; the header is the first of them.
    pub(crate) metadata: Vec<MetadataRecord>,
    /// In file order.
    pub(crate) units: Vec<RecordUnit>,
}
