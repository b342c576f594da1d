use std::{collections::BTreeMap, fmt};

use nodedata_core::placed::Mistake;
use serde::{Deserialize, Serialize};

use super::{DropSteps, FactType, Join, Trim, patterns};

/// What becomes of whole episodes, whatever their rows are. Plain data and a part of recipes; what is as by default is left out
/// there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EpisodeSpec {
    /// Which recordings are one, before they are cut; `None` for each on its own.
    #[serde(skip_serializing_if = "is_default")]
    pub join: Option<Join>,
    /// Only these are taken; `None` for all.
    #[serde(skip_serializing_if = "is_default")]
    pub include: Option<EpisodeList>,
    /// These are left out.
    #[serde(skip_serializing_if = "is_default")]
    pub exclude: Option<EpisodeList>,
    /// Episodes of fewer steps are left out.
    #[serde(skip_serializing_if = "is_default")]
    pub min_steps: Option<u64>,
    /// Episodes whose last step is less than this behind the first are left out, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub min_ns: Option<i64>,
    /// Which steps of an episode are left out, at its ends or where nothing moves.
    #[serde(skip_serializing_if = "is_default")]
    pub trim: Trim,
    /// Steps that are left out by what is in them, once their fields are transformed.
    #[serde(skip_serializing_if = "is_default")]
    pub drop_steps: Vec<DropSteps>,
    /// What else is known of each, in order.
    #[serde(skip_serializing_if = "is_default")]
    pub metadata: Vec<MetadataFrom>,
    /// Metadata that every step has as a column, in order, behind all others.
    #[serde(skip_serializing_if = "is_default")]
    pub columns: Vec<EpisodeColumn>,
}

/// Episodes by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EpisodeList {
    /// Keys of episodes or of recordings that are cut into several, or patterns of such.
    #[serde(skip_serializing_if = "is_default")]
    pub names: Vec<String>,
    /// The names that a column of a table has.
    #[serde(skip_serializing_if = "is_default")]
    pub table: Option<ListTable>,
}

/// Names that a column of a table has, as they stand: none is a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListTable {
    /// Where they are from.
    pub file: TableFile,
    /// The column.
    pub key: String,
    /// What of an episode they name.
    pub equals: EpisodeName,
    /// Whether a name may be that of no episode.
    pub missing: Missing,
    /// The names, in order.
    pub names: Vec<String>,
}

/// A table that was read for a recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableFile {
    /// Its path, as it was written.
    pub path: String,
    /// BLAKE3-256 of its bytes, 64 hex digits.
    pub b3: String,
}

/// What of an episode a name of a table is compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EpisodeName {
    /// Its key.
    #[default]
    Key,
    /// The key of the recording that it is cut from; its own where it is not.
    Recording,
    /// The name of the file that it starts in, without folders.
    File,
    /// The same without what follows its last dot.
    Stem,
    /// What is known of it under this name.
    Metadata(String),
}

/// What becomes of an episode for which there is no value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The run fails.
    #[default]
    Error,
    /// It has none.
    Null,
}

/// Where metadata of episodes are from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MetadataFrom {
    /// The path of the file that an episode starts in.
    Path(PathMetadata),
    /// A topic of the log.
    Topic(TopicMetadata),
    /// The rows of a table, each of which is about an episode.
    Table(TableMetadata),
}

/// Metadata by the named groups of a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathMetadata {
    /// The expression: it is looked for anywhere in the path, whose folders end with `/` on every machine.
    pub pattern: String,
    /// Types of groups; of the others the values say it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub types: BTreeMap<String, FactType>,
    /// What becomes of an episode whose path it does not fit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub missing: Missing,
}

/// One value of each episode, from a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicMetadata {
    /// Path of one scalar, such as `/task.data`.
    pub from: String,
    /// What the value is called.
    pub name: String,
    /// Which message of an episode has it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub take: Take,
    /// Its type; `None` for that of the field.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dtype: Option<FactType>,
    /// What becomes of an episode without such a message.
    #[serde(default, skip_serializing_if = "is_default")]
    pub missing: Missing,
}

/// Which message of a topic tells of an episode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// The first one in the episode.
    #[default]
    First,
    /// The last one in it.
    Last,
    /// The last one at or before the start of the episode; where there is none the first one in it.
    Latched,
}

/// Metadata by the columns of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableMetadata {
    /// Where the rows are from.
    pub file: TableFile,
    /// The column that says which episode a row is about.
    pub key: String,
    /// What of an episode that column equals.
    pub equals: EpisodeName,
    /// The other columns that are taken, each with its type.
    pub columns: Vec<(String, FactType)>,
    /// What becomes of an episode without a row.
    pub missing: Missing,
    /// By key, the values of the columns as text.
    pub rows: BTreeMap<String, Vec<Option<String>>>,
}

/// A column of steps that has the same value at every step of an episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodeColumn {
    /// Its name.
    pub name: String,
    /// The name of the metadata; `task` is the task.
    pub metadata: String,
}

/// The metadata that is an episode's task.
pub(super) const TASK: &str = "task";

impl EpisodeSpec {
    /// Whether nothing is asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether episodes may be left out, or parts of them.
    pub fn leaves_out(&self) -> bool {
        self.chooses() || self.trim != Trim::default() || !self.drop_steps.is_empty()
    }

    /// Whether whole episodes may be left out.
    pub(crate) fn chooses(&self) -> bool {
        self.include.is_some() || self.exclude.is_some() || self.min_steps.is_some() || self.min_ns.is_some()
    }

    /// Whether it tells something of this name.
    pub fn tells(&self, name: &str) -> bool {
        self.metadata.iter().any(|it| it.names().iter().any(|it| it == name))
    }

    /// Whether a column has a value that only the source may tell.
    pub fn needs_facts(&self) -> bool {
        self.columns.iter().any(|it| !self.tells(&it.metadata))
    }

    /// What is said wrongly whatever the source is, by the keys of a pipeline file.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = self.join.as_ref().map(Join::mistakes).unwrap_or_default();
        let mut seen: Vec<String> = Vec::new();
        for (idx, from) in self.metadata.iter().enumerate() {
            let key = format!("episodes.metadata[{idx}]");
            if let MetadataFrom::Path(path) = from {
                mistakes.extend(patterns::mistakes(path, &key));
            }
            for name in from.names() {
                if seen.contains(&name) {
                    let message = format!("metadata `{name}` is told twice");
                    mistakes.push(
                        Mistake::new(&key, message)
                            .with_hint("take it from one place, or call one otherwise"),
                    );
                }
                seen.push(name);
            }
        }
        mistakes
    }

    /// The type that is declared for metadata of this name, or that its table or topic has.
    pub(super) fn declared(&self, name: &str) -> Option<FactType> {
        self.metadata.iter().find_map(|it| match it {
            MetadataFrom::Path(path) => path.types.get(name).copied(),
            MetadataFrom::Topic(topic) => topic.dtype.filter(|_| topic.name == name),
            MetadataFrom::Table(table) => table.columns.iter().find(|it| it.0 == name).map(|it| it.1),
        })
    }
}

impl MetadataFrom {
    /// The names of what it tells; of a pattern that is none, nothing.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Path(path) => patterns::groups(&path.pattern),
            Self::Topic(topic) => vec![topic.name.clone()],
            Self::Table(table) => table.columns.iter().map(|it| it.0.clone()).collect(),
        }
    }
}

/// As dry runs tell it.
impl fmt::Display for MetadataFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names().join(", ");
        match self {
            Self::Path(path) => write!(f, "{names}: from the path, by `{}`", path.pattern),
            Self::Topic(topic) => {
                let which = match topic.take {
                    Take::First => "the first message of",
                    Take::Last => "the last message of",
                    Take::Latched => "the message that is latched at the start, of",
                };
                write!(f, "{names}: {which} `{}`", topic.from)
            }
            Self::Table(table) => {
                let TableMetadata { file, key, equals, .. } = table;
                write!(f, "{names}: from `{}`, where `{key}` is {equals}", file.path)
            }
        }
    }
}

impl fmt::Display for EpisodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("the key of the episode"),
            Self::Recording => f.write_str("the key of the recording"),
            Self::File => f.write_str("the name of the file"),
            Self::Stem => f.write_str("the name of the file without its ending"),
            Self::Metadata(name) => write!(f, "the `{name}` of the episode"),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
