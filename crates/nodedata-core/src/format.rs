use std::{cmp::Reverse, collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    Confidence, Detection, Error, ErrorKind, Files, Listing, MessageTexts, Moments, OptionKey, OptionValue,
    Result, RowDeal, Source, TimeRange, suggest,
};

/// A file format we can read. One `static` per format crate.
pub trait Format: Send + Sync {
    /// The name used by `--from` and `source.format`. Lowercase ASCII.
    fn name(&self) -> &'static str;

    /// One line about the format, for `node-data formats`.
    fn about(&self) -> &'static str;

    /// Which files of an input are this format's, how sure that is, and why. Looks at names and heads only.
    fn detect(&self, listing: &Listing<'_>) -> Detection;

    /// Options that only this format has.
    fn options(&self) -> &'static [OptionKey] {
        &[]
    }

    /// Whether [`OpenOptions::decode`] is followed: whether coded video can be asked for as frames.
    fn decodes_video(&self) -> bool {
        false
    }

    /// Whether coded video of its messages becomes pictures where steps are made of them: whether [`OpenOptions::decode`] names
    /// topics for whoever makes steps. It is a log then.
    fn decodes_in_steps(&self) -> bool {
        false
    }

    /// The column with the key of a sample, in a format whose samples have keys of their own.
    fn key_column(&self) -> Option<&'static str> {
        None
    }

    /// Whether [`OpenOptions::embed`] is followed: whether files that rows name can be put in the place of their names.
    fn embeds(&self) -> bool {
        false
    }

    /// Opens a dataset by reading metadata only: no rows, except where a format has no types
    /// of its own and a full inference pass is the only way to know them. `files` are those that [`Self::detect`]
    /// claims (of one of its roots, where it names some), or those that a user says are of this format.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported` or `Limit` when the metadata cannot be read.
    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>>;
}

/// What to take from a source, and how to treat damage met while opening it. All of it decides bytes, and is a part
/// of recipes by these names; what does not belong there is skipped by serde.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenOptions {
    /// Topics (or step features) to read; `None` means all.
    pub topics: Option<Vec<String>>,
    /// Topics whose messages stay undecoded bytes, with their schema beside them. Default: none.
    pub undecoded: Vec<String>,
    /// Message definitions for topics that have none, by digest in recipes. Default: none.
    pub message_paths: MessageTexts,
    /// Only records whose log time lies in this range. Default: all.
    pub time_range: TimeRange,
    /// The same as a person gives it, where that is still to be settled: whoever opens the source knows from when on offsets
    /// count. What it comes to is `time_range`. Default: nothing is asked for.
    #[serde(skip)]
    pub moments: Moments,
    /// Whether damage found while opening is listed ([`crate::SourcePlan::findings`]) instead of returned. Follows from what is to become
    /// of damage in the rows.
    #[serde(skip)]
    pub salvage: bool,
    /// What becomes of sound records that do not fit the columns of their stream. Default: they are kept.
    pub on_misfit: OnMisfit,
    /// Whether checksums are verified. Default: yes.
    pub verify_checksums: bool,
    /// Bytes of records one partition aims at. Default 2 MiB.
    pub partition_bytes: u64,
    /// Features, or topics of a log, whose coded video is to be decoded, by name or `*`, and what their frames are stored as.
    /// Default: none; samples pass through as they are.
    pub decode: BTreeMap<String, MediaEncoding>,
    /// Features whose text refers to a medium, by name, and how: the medium takes the place of the text. Default: none; the
    /// text stays.
    pub embed: BTreeMap<String, Reference>,
    /// Features whose frames are worked on as pictures, by name: where they are coded video they are decoded without loss,
    /// whatever `decode` says. Follows from the steps.
    #[serde(skip)]
    pub frames: Vec<String>,
    /// Upper bound on one record or chunk, before and after decompression. Default 1 GiB.
    pub record_bytes_max: u64,
    /// Options of the one format, by name; see [`Format::options`] and [`Self::settle`].
    pub options: BTreeMap<String, OptionValue>,
    /// How rows that belong to no episode are dealt to splits. A source whose rows are steps or messages has no use for it.
    /// Follows from the splits, and what it decides is in the recipes of partitions.
    #[serde(skip)]
    pub deal: Option<RowDeal>,
    /// The folder for files without a name that go with the source, such as what is unpacked from others: on the disk of the output, where
    /// there is room. Default: the system's folder for temporary files.
    #[serde(skip)]
    pub scratch: Option<PathBuf>,
    /// Whether what only records tell of episodes, their task and metadata, is needed at the plan, so that a format whose
    /// plan does not look into records has to. Follows from the splits. Default: no.
    #[serde(skip)]
    pub episode_facts: bool,
    /// What an earlier opening of the same files with the same options learned by reading them all, as
    /// [`crate::SourcePlan::learned`] told it: it need not be learned again. Decides nothing.
    #[serde(skip)]
    pub learned: Option<String>,
}

impl OpenOptions {
    /// Among how many splits rows are dealt: 1 where they are not.
    pub fn n_splits(&self) -> usize {
        self.deal.as_ref().map_or(1, |it| it.fractions.len())
    }

    /// The value of an option of the format: what was given, or else its default.
    pub fn option(&self, key: &OptionKey) -> OptionValue {
        self.options.get(key.name).cloned().unwrap_or_else(|| key.default_value())
    }

    /// Holds the options of the one format, which may be text still, against what the format declares, and leaves out those
    /// that are as by default.
    ///
    /// # Errors
    /// `Config` for a name that the format does not have, or a value that the option cannot be.
    pub fn settle(&mut self, format: &dyn Format) -> Result<()> {
        for (name, given) in std::mem::take(&mut self.options) {
            let keys = format.options();
            let Some(key) = keys.iter().find(|it| it.name == name) else {
                let message = format!("the format `{}` has no option `{name}`", format.name());
                let hint = match keys {
                    [] => "it has none at all".to_owned(),
                    keys => suggest(&name, keys.iter().map(|it| it.name)),
                };
                return Err(Error::new(ErrorKind::Config, message).with_hint(hint));
            };
            let value = key.parse(&given.to_string())?;
            if value != key.default_value() {
                self.options.insert(name, value);
            }
        }
        Ok(())
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            topics: None,
            undecoded: Vec::new(),
            message_paths: MessageTexts::default(),
            time_range: TimeRange::ALL,
            moments: Moments::default(),
            salvage: false,
            on_misfit: OnMisfit::Keep,
            verify_checksums: true,
            partition_bytes: 2 << 20,
            decode: BTreeMap::new(),
            embed: BTreeMap::new(),
            frames: Vec::new(),
            record_bytes_max: 1 << 30,
            options: BTreeMap::new(),
            deal: None,
            scratch: None,
            episode_facts: false,
            learned: None,
        }
    }
}

/// What becomes of sound records that do not fit the columns of their stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMisfit {
    /// Each keeps its row, with its bytes in a column of their own, and is listed.
    #[default]
    Keep,
    /// The first one ends the run.
    Fail,
}

/// How a text refers to a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reference {
    /// As the path of a file, relative to the file that names it, or as a `data:` URI.
    Path,
    /// As its bytes in base64, or as a `data:` URI.
    Base64,
}

impl Reference {
    /// Every way, with the name that pipelines and flags use.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Path, "path"), (Self::Base64, "base64")];

    /// The way called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, it)| *it == name).map(|(way, _)| way)
    }
}

/// What decoded frames are stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaEncoding {
    /// JPEG of quality 95.
    Jpeg,
    /// PNG: the decoded frame without loss.
    Png,
    /// Bare values, rows from the top.
    Raw,
}

impl MediaEncoding {
    /// Every encoding, with the name that pipelines and flags use.
    pub const ALL: [(Self, &'static str); 3] = [(Self::Jpeg, "jpeg"), (Self::Png, "png"), (Self::Raw, "raw")];

    /// As pipelines, flags and `schema.json` spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Raw => "raw",
        }
    }

    /// The encoding called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, it)| *it == name).map(|(encoding, _)| encoding)
    }
}

/// The formats this build can read, in detection order.
#[derive(Default)]
pub struct Formats(Vec<&'static dyn Format>);

impl Formats {
    /// Adds a format after those already there.
    ///
    /// # Panics
    /// When two formats share a name: a build mistake, caught by the first test that runs.
    #[must_use]
    pub fn with(mut self, format: &'static dyn Format) -> Self {
        assert!(self.by_name(format.name()).is_none(), "format registered twice: {}", format.name());
        self.0.push(format);
        self
    }

    /// Every format, in detection order.
    pub fn iter(&self) -> impl Iterator<Item = &'static dyn Format> + '_ {
        self.0.iter().copied()
    }

    /// The format called `name`.
    pub fn by_name(&self, name: &str) -> Option<&'static dyn Format> {
        self.0.iter().copied().find(|it| it.name() == name)
    }

    /// The formats that recognise something in an input, the surest first; among equals, as they were registered.
    pub fn detect(&self, listing: &Listing<'_>) -> Vec<(&'static dyn Format, Detection)> {
        let detections = self.0.iter().map(|it| (*it, it.detect(listing)));
        let mut found: Vec<_> = detections.filter(|(_, it)| it.confidence != Confidence::No).collect();
        found.sort_by_key(|(_, it)| Reverse(it.confidence));
        found
    }
}
