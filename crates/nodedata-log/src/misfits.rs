use std::collections::BTreeSet;

use nodedata_core::{OnMisfit, OpenOptions, PUBLISH_TIME_NS};
use serde::{Deserialize, Serialize};

/// Names in the ledger of why a row holds its message as it came.
pub(crate) mod reason {
    /// The payload is not what its definition says.
    pub(crate) const UNDECODABLE: &str = "undecodable";
    /// The definition cannot be used, so that all messages of the stream stay bytes.
    pub(crate) const SCHEMA: &str = "schema";
    /// Values that the schema does not allow stand as text in `_extra`.
    pub(crate) const VALUES: &str = "values_in_extra";
    /// The publish time is later than an i64 of nanoseconds can say.
    pub(crate) const TIME: &str = "time_out_of_range";
}

/// Streams with messages that do not fit their columns, as [`OpenOptions::learned`] tells them. They have columns for such
/// messages in all of their shards, whichever of these hold one; other streams have none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Misfits {
    /// Names of the streams.
    pub(crate) misfits: BTreeSet<String>,
}

impl Misfits {
    /// What an earlier opening, or reading of one, learned. Text that is none is learned anew.
    pub(crate) fn known(options: &OpenOptions) -> Self {
        let text = options.learned.as_deref().filter(|_| options.on_misfit == OnMisfit::Keep);
        text.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default()
    }

    pub(crate) fn holds(&self, stream: &str) -> bool {
        self.misfits.contains(stream)
    }

    /// As text; `None` where there is no such stream.
    pub(crate) fn to_text(&self) -> Option<String> {
        if self.misfits.is_empty() { None } else { serde_json::to_string(self).ok() }
    }
}

/// What is said of a time that no column holds.
pub(crate) fn late_publish_time(nanos: u64) -> String {
    format!("its publish time is {nanos} ns, later than int64 can say; `{PUBLISH_TIME_NS}` is null")
}
