use std::collections::{BTreeMap, BTreeSet};

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
    /// The recording has no definition of it, and none that is known goes with the messages.
    pub(crate) const NO_DEFINITION: &str = "no_definition";
    /// The publish time is later than an i64 of nanoseconds can say.
    pub(crate) const TIME: &str = "time_out_of_range";
}

/// What only messages tell of streams, as [`OpenOptions::learned`] tells it: which have messages that do not fit their columns, and
/// which definition goes with those that have none. The former have columns for such
/// messages in all of their shards, whichever of these hold one; other streams have none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Misfits {
    /// Names of the streams.
    pub(crate) misfits: BTreeSet<String>,
    /// What was found for streams whose recordings have no definition. It decides their rows like what is said above, and
    /// other messages than those of a partition say what it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) definitions: BTreeMap<String, FoundDefinition>,
}

/// What was found for a stream whose recordings have no definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FoundDefinition {
    /// As it is told.
    pub(crate) verdict: String,
    /// Of the definition, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
}

impl Misfits {
    /// What an earlier opening, or reading of one, learned. Text that is none is learned anew.
    pub(crate) fn known(options: &OpenOptions) -> Self {
        let text = options.learned.as_deref();
        let known: Self = text.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
        match options.on_misfit {
            OnMisfit::Keep => known,
            OnMisfit::Fail => Self { misfits: BTreeSet::new(), ..known },
        }
    }

    /// What was found for a stream whose recordings have no definition.
    pub(crate) fn definition(&self, stream: &str) -> Option<&FoundDefinition> {
        self.definitions.get(stream)
    }

    pub(crate) fn holds(&self, stream: &str) -> bool {
        self.misfits.contains(stream)
    }

    /// As text; `None` where there is no such stream.
    pub(crate) fn to_text(&self) -> Option<String> {
        if *self == Self::default() { None } else { serde_json::to_string(self).ok() }
    }
}

/// What is said of a time that no column holds.
pub(crate) fn late_publish_time(nanos: u64) -> String {
    format!("its publish time is {nanos} ns, later than int64 can say; `{PUBLISH_TIME_NS}` is null")
}
