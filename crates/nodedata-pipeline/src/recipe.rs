use std::{collections::BTreeMap, path::PathBuf};

use nodedata_core::{Error, ErrorKind, MessageTexts, OpenOptions, Result};
use nodedata_dataset::{Access, canonical_json};
use nodedata_normalize::{EpisodeSpec, GroupBy, StepSpec};
use nodedata_schema::Schema;
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};
use serde_json::Value;

use crate::{ConvertOptions, OnError, SplitPlan};

/// How a dataset is made of its inputs: every option that decides bytes. It is `recipe.json`, and there is no other way to
/// write it or to read it. Together with the inputs' hashes, which the manifest has, and the version of the program it makes
/// the dataset again.
///
/// An option that is as by default is left out, so that a new option changes no recipe that does without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Version of the document.
    pub nd: RecipeVersion,
    /// What decides the rows.
    pub rows: RowRecipe,
    /// What becomes of whole episodes. Of its tables it has the rows that are about an episode. Where it decides rows, their
    /// partitions say so: units are not made anew where a table has a row more.
    #[serde(rename = "episodes@1", default, skip_serializing_if = "EpisodeSpec::is_default")]
    pub episodes: EpisodeSpec,
    /// What decides which rows lie in which shard.
    pub shards: ShardRecipe,
}

/// The versions of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipeVersion {
    /// The only one there is.
    #[serde(rename = "recipe/1")]
    V1,
}

/// What decides the rows of a dataset, wherever they lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowRecipe {
    /// Name of the source's format.
    pub format: String,
    /// What is read of the source.
    #[serde(default, serialize_with = "changes")]
    pub open: OpenOptions,
    /// What says which episode a sample belongs to.
    #[serde(rename = "grouped@1", default, skip_serializing_if = "Option::is_none")]
    pub grouped: Option<GroupBy>,
    /// How messages become steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepSpec>,
    /// The declared schema. Its own text, because the order of its fields matters and its bounds are decimals.
    #[serde(default, with = "schema_text", skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
    /// What becomes of damaged input.
    pub on_error: OnError,
}

/// What decides which rows lie in which shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardRecipe {
    /// How episodes are dealt to splits.
    pub splits: SplitPlan,
    /// Episodes kept out of the splits, by key, each with its reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quarantine: BTreeMap<String, String>,
    /// Bytes of source one shard covers.
    pub shard_bytes: u64,
    /// What the pages of media are made for.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
}

impl Recipe {
    /// The recipe of a conversion from a source of this format.
    pub fn new(options: &ConvertOptions, format: &str) -> Self {
        // Every option is named, so that a new one is either a part of the recipe or left out on purpose.
        let ConvertOptions {
            // Where things lie decides nothing: inputs are known by their paths inside the source, and by their hashes.
            sources: _,
            out: _,
            overwrite: _,
            // The format was detected meanwhile.
            from: _,
            open,
            grouped,
            episodes,
            steps,
            // What they come to in this source is in `steps` by now.
            step_flags: _,
            schema,
            splits,
            quarantine,
            on_error,
            // It says whether a run may end as it does, not what comes of it: what was made once is made again.
            refuse_empty: _,
            // The same bytes come of any number of threads.
            threads: _,
            shard_bytes,
            access,
            // Rows that are kept are the rows that would be read again.
            keep_rows: _,
            peak_heap: _,
        } = options;
        Self {
            nd: RecipeVersion::V1,
            rows: RowRecipe {
                format: format.to_owned(),
                // Follows from `on_error`.
                open: OpenOptions { salvage: false, ..open.clone() },
                grouped: grouped.clone(),
                steps: steps.clone(),
                schema: schema.clone(),
                on_error: *on_error,
            },
            episodes: episodes.clone(),
            shards: ShardRecipe {
                splits: splits.clone(),
                quarantine: quarantine.clone(),
                shard_bytes: *shard_bytes,
                access: *access,
            },
        }
    }

    /// The options that make the same of these sources again, at `out`.
    pub fn options(self, sources: &[String], out: impl Into<PathBuf>) -> ConvertOptions {
        let Self { nd: RecipeVersion::V1, rows, episodes, shards } = self;
        let RowRecipe { format, open, grouped, steps, schema, on_error } = rows;
        let ShardRecipe { splits, quarantine, shard_bytes, access } = shards;
        ConvertOptions {
            sources: sources.to_vec(),
            from: Some(format),
            open,
            grouped,
            episodes,
            steps,
            schema,
            splits,
            quarantine,
            on_error,
            shard_bytes,
            access,
            ..ConvertOptions::new("", out)
        }
    }

    /// As [`Self::options`], with the message definitions that the recipe knows by their digest alone.
    ///
    /// # Errors
    /// `Config` when they are not those that it was made with.
    pub fn options_with(
        self,
        sources: &[String],
        out: impl Into<PathBuf>,
        messages: &MessageTexts,
    ) -> Result<ConvertOptions> {
        let mut options = self.options(sources, out);
        if options.open.message_paths != *messages {
            let message = match options.open.message_paths.lacks_texts() {
                true if messages.texts().is_empty() => "it was made with message definitions of its user",
                true => "the message definitions are not those that it was made with",
                false => "it was made without message definitions of its user",
            };
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint("`--msg-path` names the same files or folders as when it was made, or none where there were none"));
        }
        options.open.message_paths = messages.clone();
        Ok(options)
    }

    /// Reads a `recipe.json`.
    ///
    /// # Errors
    /// `Corrupt` when it is not JSON, `Unsupported` when it is the recipe of another version.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        serde_json::from_slice(text).map_err(|err| {
            if err.is_data() {
                Error::new(ErrorKind::Unsupported, "the recipe is not one that this version knows")
                    .with_source(err)
                    .with_hint("run the version that made the dataset")
            } else {
                Error::new(ErrorKind::Corrupt, "the recipe cannot be read").with_source(err)
            }
        })
    }

    /// The recipe as `recipe.json` holds it: canonical, so that equal recipes are equal bytes.
    pub fn to_json(&self) -> String {
        canonical(self)
    }
}

impl RowRecipe {
    /// What units are known by, in the same form.
    pub fn to_json(&self) -> String {
        canonical(self)
    }
}

fn canonical(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("all keys of a recipe are text");
    format!("{}\n", canonical_json(&value))
}

/// A structure without those of its members that are as by default.
fn changes<T: Serialize + Default, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let of = |it: &T| serde_json::to_value(it).map_err(S::Error::custom);
    let (mut value, default) = (of(value)?, of(&T::default())?);
    if let Value::Object(members) = &mut value {
        members.retain(|key, member| default.get(key) != Some(member));
    }
    value.serialize(serializer)
}

mod schema_text {
    use nodedata_schema::Schema;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        schema: &Option<Schema>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        schema.as_ref().map(Schema::to_json).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Schema>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let read = |text: String| {
            Schema::from_json(&text).map_err(|mistakes| {
                let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
                D::Error::custom(format!("the schema in it is none: {first}"))
            })
        };
        text.map(read).transpose()
    }
}

#[cfg(test)]
mod tests;
