use serde::{Deserialize, Serialize};

use crate::digest::B3;

/// What personal data a dataset holds, and what stands before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// The class that decides about the gate.
    pub class: DataClass,
    /// `face`, `voice`, `gait`, `home-interior`, `location`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Whether it falls under a special category of GDPR Art. 9 or the like.
    #[serde(default)]
    pub special_category: bool,
    /// Legal basis, such as `consent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
    /// Laws that apply, such as `GDPR`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regimes: Vec<String>,
    /// Whether minors are recorded.
    #[serde(default)]
    pub minors: bool,
    /// What was done to the data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub treatment: Vec<Treatment>,
    /// For class `none` with a camera: who looked that no people are seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_people_checked_by: Option<String>,
    /// What stands before the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
}

/// Class of personal data, from nothing said to the most protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataClass {
    /// Nobody has said. Such a dataset stays private.
    #[default]
    Undeclared,
    /// No personal data.
    None,
    /// Persons, under other names.
    Pseudonymous,
    /// Persons can be told apart.
    Identifying,
    /// Faces, voices, gaits and the like.
    Biometric,
    /// Health, belief, origin and the like.
    SpecialCategory,
}

impl DataClass {
    /// Whether public bytes of this class need an attestation.
    pub fn needs_gate(self) -> bool {
        match self {
            Self::Identifying | Self::Biometric | Self::SpecialCategory => true,
            Self::Undeclared | Self::None | Self::Pseudonymous => false,
        }
    }
}

/// Something that was done to the data, such as blurring faces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Treatment {
    /// `face-blur`, …
    pub method: String,
    /// Program.
    pub tool: String,
    /// Its version.
    pub version: String,
    /// `all-cameras`, …
    pub scope: String,
    /// Measured recall as decimal text, such as `0.97`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall: Option<String>,
}

/// What stands before the bytes of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Which kind.
    pub kind: GateKind,
    /// Digest of the agreement's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<B3>,
    /// `manual`, or a rule that approves by itself.
    pub approval: String,
    /// How long a grant holds.
    pub valid_days: u32,
}

/// Kind of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateKind {
    /// The reader agrees to a text and is granted access.
    Attestation,
}
