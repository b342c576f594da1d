use std::fmt;

use serde::{Deserialize, Serialize};

/// What a later record says about a revision. The document itself is a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttachmentKind {
    /// A claim of differential privacy.
    DpReport,
    /// A DSSE envelope over the manifest's digest.
    Signature,
    /// An evaluation.
    Eval,
    /// Free text.
    Note,
}

impl AttachmentKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::DpReport, Self::Signature, Self::Eval, Self::Note];

    /// As records spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DpReport => "dp-report",
            Self::Signature => "signature",
            Self::Eval => "eval",
            Self::Note => "note",
        }
    }

    /// The kind called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

impl fmt::Display for AttachmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
