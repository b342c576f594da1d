use std::{fmt, str::FromStr};

use nodedata_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::named::named;

/// What one sample is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A whole episode.
    Episode,
    /// One step.
    #[default]
    Step,
}

impl FromStr for Unit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        named("unit", text, &[("episode", Self::Episode), ("step", Self::Step)])
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Episode => "episode",
            Self::Step => "step",
        })
    }
}

/// Which samples of a split are numbered. What is left out has no number. By default all steps have one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// What one sample is.
    pub unit: Unit,
    /// Steps left out at the start of every episode.
    pub drop_first: u64,
    /// Steps left out at the end of every episode.
    pub drop_last: u64,
    /// Rows of the table of episodes, in any order, which decides nothing; `None` for all of them.
    pub episodes: Option<Vec<u64>>,
}
