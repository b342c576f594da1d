use serde::{Deserialize, Serialize};

/// What the pages of pictures, video, sound and other bytes are made for. It is part of the recipe: it decides the bytes of shards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Steps in any order: a page for each row, so that one frame is read alone.
    Random,
    /// Both, at little cost: a few rows a page.
    #[default]
    Balanced,
    /// Rows in their order: many a page, for readers that want all of them.
    Scan,
}

impl Access {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Random, Self::Balanced, Self::Scan];

    /// Its name in pipelines and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Balanced => "balanced",
            Self::Scan => "scan",
        }
    }

    /// The one called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether it is the one that nobody need ask for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Rows of such a column in one page, where their bytes do not end it before.
    pub(crate) fn page_rows(self) -> usize {
        match self {
            Self::Random => 1,
            Self::Balanced => 8,
            Self::Scan => 64,
        }
    }
}
