use nodedata_core::{DatasetFacts, Error, ErrorKind, Result};
use serde::Deserialize;

use crate::{container::Container, metadata::Number};

/// What `dataset_info.json` says, as far as it is used. Whatever is not there is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DatasetInfo {
    pub(crate) name: String,
    pub(crate) config_name: String,
    version: String,
    description: String,
    citation: String,
    redistribution_info: RedistributionInfo,
    file_format: String,
    pub(crate) splits: Vec<SplitInfo>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RedistributionInfo {
    license: String,
}

/// A split, and the files that hold it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SplitInfo {
    pub(crate) name: String,
    shard_lengths: Vec<Number>,
    filepath_template: String,
}

/// How TFDS names files where nothing else is said.
const TEMPLATE: &str = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}";

/// There are as many names as shards, which must not grow with their length as well.
const NAME_BYTES_MAX: usize = 1024;

impl DatasetInfo {
    /// How the records lie in their files, and refuses names that no file can have.
    ///
    /// # Errors
    /// `Unsupported`; `Limit`.
    pub(crate) fn container(&self) -> Result<Container> {
        let n_bytes = |it: &SplitInfo| self.name.len() + it.name.len() + it.filepath_template.len();
        if self.splits.iter().any(|it| n_bytes(it) > NAME_BYTES_MAX) {
            let message = format!("the files of a split have names of more than {NAME_BYTES_MAX} bytes");
            return Err(
                Error::new(ErrorKind::Limit, message).with_hint("shorten `name` or `filepathTemplate`")
            );
        }
        // Old files say nothing of it.
        let told = Some(self.file_format.as_str()).filter(|it| !it.is_empty());
        Container::of_format(told.unwrap_or("tfrecord"))
    }

    /// The same in the words that all sources share.
    pub(crate) fn facts(&self) -> DatasetFacts {
        let told = |text: &String| Some(text.clone()).filter(|it| !it.is_empty());
        DatasetFacts {
            version: told(&self.version),
            description: told(&self.description),
            citation: told(&self.citation),
            license: told(&self.redistribution_info.license),
            ..DatasetFacts::default()
        }
    }
}

impl SplitInfo {
    /// The names of its shards, and how many records each is said to have.
    pub(crate) fn shards(
        &self,
        dataset: &str,
        container: Container,
    ) -> impl Iterator<Item = (String, Option<u64>)> {
        let template = if self.filepath_template.is_empty() { TEMPLATE } else { &self.filepath_template };
        let n_shards = self.shard_lengths.len();
        self.shard_lengths.iter().enumerate().map(move |(idx, n_records)| {
            let name = template
                .replace("{SHARD_X_OF_Y}", "{SHARD_INDEX}-of-{NUM_SHARDS}")
                .replace("{SHARD_INDEX}", &format!("{idx:05}"))
                .replace("{NUM_SHARDS}", &format!("{n_shards:05}"))
                .replace("{FILEFORMAT}", container.suffix())
                .replace("{DATASET}", dataset)
                .replace("{SPLIT}", &self.name);
            (name, n_records.value().and_then(|it| u64::try_from(it).ok()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_named_by_the_template() {
        let names = |text: &str| -> Vec<_> {
            let split: SplitInfo = serde_json::from_str(text).unwrap();
            split.shards("robot", Container::TfRecord).collect()
        };
        assert_eq!(
            names(r#"{"name": "train", "shardLengths": ["2", 1]}"#),
            [
                ("robot-train.tfrecord-00000-of-00002".to_owned(), Some(2)),
                ("robot-train.tfrecord-00001-of-00002".to_owned(), Some(1)),
            ]
        );
        let own = r#"{"name": "val", "shardLengths": ["7"], "filepathTemplate": "{SPLIT}/{SHARD_INDEX}.{FILEFORMAT}"}"#;
        assert_eq!(names(own), [("val/00000.tfrecord".to_owned(), Some(7))]);
    }

    #[test]
    fn other_containers_are_refused() {
        let of = |text: &str| serde_json::from_str::<DatasetInfo>(text).unwrap().container();
        let err = of(r#"{"fileFormat": "riegeli"}"#).unwrap_err();
        assert!(err.to_string().contains("`riegeli`"), "{err}");
        assert_eq!(of(r#"{"fileFormat": "array_record"}"#).unwrap(), Container::ArrayRecord);
        assert_eq!(of("{}").unwrap(), Container::TfRecord);
    }
}
