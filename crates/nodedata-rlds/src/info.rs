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
    num_shards: Option<Number>,
    filepath_template: String,
}

/// How TFDS names files where nothing else is said.
const TEMPLATE: &str = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}";

/// There are as many names as shards, which must not grow with their length as well.
const NAME_BYTES_MAX: usize = 1024;
/// Shards of a split whose records nothing counts.
const SHARDS_MAX: u64 = 1 << 20;
/// Digits of the number of a shard, at least.
const DIGITS_MIN: usize = 5;

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
        if let Some(split) = self.splits.iter().find(|it| SHARDS_MAX < it.n_shards()) {
            let message = format!("split `{}` has {} shards", split.name, split.n_shards());
            return Err(Error::new(ErrorKind::Limit, message)
                .with_hint(format!("at most {SHARDS_MAX} are read, put more records into each")));
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
    /// How many shards it is said to have.
    pub(crate) fn n_shards(&self) -> u64 {
        let told = || self.num_shards.as_ref().and_then(Number::value).and_then(|it| u64::try_from(it).ok());
        match self.shard_lengths.len() as u64 {
            0 => told().unwrap_or(0),
            n => n,
        }
    }

    /// How many records a shard is said to have.
    pub(crate) fn n_records(&self, shard: u64) -> Option<u64> {
        let told = self.shard_lengths.get(usize::try_from(shard).ok()?)?.value();
        told.and_then(|it| u64::try_from(it).ok())
    }

    /// The name of a shard of the dataset called `dataset`.
    pub(crate) fn shard(&self, shard: u64, dataset: &str, container: Container) -> String {
        let n_shards = self.n_shards();
        let width = n_shards.to_string().len().max(DIGITS_MIN);
        let (shard, n_shards) = (format!("{shard:0width$}"), format!("{n_shards:0width$}"));
        // What follows `%` says how a file is written, and is no part of its name.
        let template = self.filepath_template.rsplit_once('%').map_or(&*self.filepath_template, |it| it.0);
        let mut left = if template.is_empty() { TEMPLATE } else { template };
        let mut name = String::new();
        // Not one after the other over all of it: the name of a dataset may look like a variable.
        while let Some((before, rest)) = left.split_once('{') {
            name.push_str(before);
            let Some((variable, after)) = rest.split_once('}') else {
                left = &left[before.len()..];
                break;
            };
            match variable {
                "DATASET" => name.push_str(dataset),
                "SPLIT" => name.push_str(&self.name),
                "FILEFORMAT" => name.push_str(container.suffix()),
                "SHARD_INDEX" => name.push_str(&shard),
                "NUM_SHARDS" => name.push_str(&n_shards),
                "SHARD_X_OF_Y" => name.extend([&shard, "-of-", &n_shards]),
                other => name.extend(["{", other, "}"]),
            }
            left = after;
        }
        name + left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_named_by_the_template() {
        let names = |text: &str| -> Vec<_> {
            let split: SplitInfo = serde_json::from_str(text).unwrap();
            let shards = 0..split.n_shards().min(2);
            let container = Container::TfRecord;
            shards.map(|it| (split.shard(it, "robot", container), split.n_records(it))).collect()
        };
        assert_eq!(
            names(r#"{"name": "train", "shardLengths": ["2", 1]}"#),
            [
                ("robot-train.tfrecord-00000-of-00002".to_owned(), Some(2)),
                ("robot-train.tfrecord-00001-of-00002".to_owned(), Some(1)),
            ]
        );
        for (template, name) in [
            ("{SPLIT}/{SHARD_INDEX}.{FILEFORMAT}", "val/00000.tfrecord"),
            ("{DATASET}_{SPLIT}-{SHARD_INDEX}-{NUM_SHARDS}", "robot_val-00000-00001"),
            ("{DATASET}.{FILEFORMAT}-{SHARD_X_OF_Y}%zstd", "robot.tfrecord-00000-of-00001"),
            ("{UNHEARD}-{SPLIT}{", "{UNHEARD}-val{"),
        ] {
            let split =
                format!(r#"{{"name": "val", "shardLengths": ["7"], "filepathTemplate": "{template}"}}"#);
            assert_eq!(names(&split), [(name.to_owned(), Some(7))]);
        }
        // As TFDS pads them: all to the width of their number.
        let many = names(r#"{"name": "train", "numShards": "123456"}"#);
        assert_eq!(many[1], ("robot-train.tfrecord-000001-of-123456".to_owned(), None));
        assert_eq!(names(r#"{"name": "train"}"#), []);
    }

    #[test]
    fn other_containers_are_refused() {
        let of = |text: &str| serde_json::from_str::<DatasetInfo>(text).unwrap().container();
        let err = of(r#"{"fileFormat": "riegeli"}"#).unwrap_err();
        assert!(err.to_string().contains("`riegeli`"), "{err}");
        assert_eq!(of("{}").unwrap(), Container::TfRecord);
        assert_eq!(of(r#"{"fileFormat": "array_record"}"#).unwrap(), Container::ArrayRecord);
        let err = of(r#"{"splits": [{"name": "a", "numShards": "9999999999"}]}"#).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Limit);
    }
}
