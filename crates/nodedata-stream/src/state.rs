use nodedata_core::{Error, ErrorKind, Locus, Result};
use serde::{Deserialize, Serialize};

use crate::{Stop, Unit};

/// The name of the document, with its version.
const ND: &str = "stream-state/1";

/// Where a stream stands: what it reads, in which order, and how much of it was delivered. It says nothing of ranks, workers or
/// batches, so that it goes on with any others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Name and version of the document.
    nd: String,
    /// What is read, each with how far.
    pub sources: Vec<SourceState>,
    /// The order of the one source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<OrderState>,
    /// How several sources are mixed, each of which has an order of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix: Option<MixState>,
    /// Samples of all ranks together that were delivered of this pass.
    pub cursor: u64,
}

/// How far one source was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceState {
    /// Name of the dataset, as it was opened.
    pub dataset: String,
    /// Name of its revision.
    pub revision: String,
    /// Digest of the manifest, which alone decides what the revision is.
    pub manifest: String,
    /// The split.
    pub split: String,
    /// The stream.
    pub stream: String,
    /// Samples of an epoch.
    pub samples: u64,
    /// The epoch that the next sample is of.
    pub epoch: u64,
    /// Samples of this epoch that were delivered.
    pub taken: u64,
    /// The order of its samples, where it is one of several sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<OrderState>,
}

/// Everything that decides the order of a source and what its samples hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderState {
    /// Name of the rule.
    pub order: String,
    /// What the order follows from. This and the next three are of shuffled sources only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Samples of a block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
    /// Lanes of the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lanes: Option<u64>,
    /// Samples of a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// What one sample is.
    pub unit: Unit,
    /// Steps left out at the start of every episode.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drop_first: u64,
    /// Steps left out at the end of every episode.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drop_last: u64,
    /// Digest of the episodes that are read, where these are not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episodes: Option<String>,
    /// Digest of the fields and of what is done to them, as whoever decodes them says it.
    pub fields_hash: String,
}

/// How sources are mixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixState {
    /// What the order of sources follows from.
    pub seed: u64,
    /// Places of a period for each source.
    pub shares: Vec<u64>,
    /// When a pass is over.
    pub stop: Stop,
    /// Passes before this one.
    pub pass: u64,
}

impl State {
    pub(crate) fn new(
        sources: Vec<SourceState>,
        plan: Option<OrderState>,
        mix: Option<MixState>,
        cursor: u64,
    ) -> Self {
        Self { nd: ND.to_owned(), sources, plan, mix, cursor }
    }

    /// The document, on one line.
    ///
    /// # Errors
    /// None that is known; a failure of the serializer would be one.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|err| Error::new(ErrorKind::Corrupt, "the state cannot be written").with_source(err))
    }

    /// Reads the document.
    ///
    /// # Errors
    /// `Unsupported` for another version, `Corrupt` for what is no state.
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Name {
            nd: String,
        }
        let corrupt = |err: serde_json::Error| {
            let place = (u32::try_from(err.line()), u32::try_from(err.column()));
            let line_column = if let (Ok(line), Ok(column)) = place { Some((line, column)) } else { None };
            Error::new(ErrorKind::Corrupt, "this is no state of a stream")
                .with_hint("give the text as it was saved")
                .with_source(err)
                .at(Locus { line_column, ..Locus::default() })
        };
        let Name { nd } = serde_json::from_str(text).map_err(corrupt)?;
        if nd != ND {
            let message = format!("the state is a `{nd}`, and this version reads `{ND}`");
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("resume with the version that saved it"));
        }
        serde_json::from_str(text).map_err(corrupt)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What differs between a state and the stream that is to go on from it.
#[derive(Debug, Default)]
pub(crate) struct Differences(Vec<String>);

impl Differences {
    /// Notes that `what` was one thing where the state was saved, and is another now.
    pub(crate) fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, was: &T, is: &T) {
        if was != is {
            self.0.push(format!("`{what}` was {was:?} and is {is:?}"));
        }
    }

    /// As [`Self::compare`], for what may be missing.
    pub(crate) fn compare_some<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        was: Option<&T>,
        is: Option<&T>,
    ) {
        let told = |it: Option<&T>| it.map_or("nothing".to_owned(), |it| format!("{it:?}"));
        if was != is {
            self.0.push(format!("`{what}` was {} and is {}", told(was), told(is)));
        }
    }

    pub(crate) fn compare_orders(&mut self, of: &str, was: &OrderState, is: &OrderState) {
        self.compare(&format!("{of}order"), &was.order, &is.order);
        self.compare_some(&format!("{of}seed"), was.seed.as_ref(), is.seed.as_ref());
        self.compare_some(&format!("{of}block"), was.block.as_ref(), is.block.as_ref());
        self.compare_some(&format!("{of}lanes"), was.lanes.as_ref(), is.lanes.as_ref());
        self.compare_some(&format!("{of}window"), was.window.as_ref(), is.window.as_ref());
        self.compare(&format!("{of}unit"), &was.unit, &is.unit);
        self.compare(&format!("{of}drop_first"), &was.drop_first, &is.drop_first);
        self.compare(&format!("{of}drop_last"), &was.drop_last, &is.drop_last);
        self.compare_some(&format!("{of}episodes"), was.episodes.as_ref(), is.episodes.as_ref());
        self.compare(&format!("{of}fields_hash"), &was.fields_hash, &is.fields_hash);
    }

    /// The mistake, where there is any.
    pub(crate) fn into_result(self) -> Result<()> {
        let mut lines = self.0.into_iter();
        match lines.next() {
            None => Ok(()),
            Some(first) => Err(Error::new(
                ErrorKind::StateMismatch,
                format!("the state is of another stream: {first}"),
            )
            .with_others(lines)
            .with_hint(
                "open the revision and give the options that the state was saved with, or start without it",
            )),
        }
    }
}
