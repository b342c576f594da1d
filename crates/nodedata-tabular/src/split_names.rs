use std::path::Path;

/// What people call the splits of a dataset.
const KNOWN: [&str; 10] =
    ["train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation"];
/// What shards are called that are of no split.
const NO_SPLIT: [&str; 5] = ["data", "part", "shard", "file", "chunk"];

/// The split that each file is of as its path says, where every one says so: half of an answer is none.
pub(crate) fn splits_of<'a>(paths: impl Iterator<Item = &'a Path>) -> Option<Vec<String>> {
    paths.map(split_of).collect()
}

/// `train` of `train-00000-of-00002.parquet`, `val` of `val/0.csv`. The file's name goes before its folders.
fn split_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stem = name.split('.').next()?;
    let known = |word: &str| KNOWN.contains(&word.to_ascii_lowercase().as_str());
    if let Some(shards) = of_shard(stem).filter(|it| !NO_SPLIT.contains(it)) {
        return Some(shards.to_owned());
    }
    let word = stem.split(|it: char| !it.is_ascii_alphabetic()).next().filter(|it| known(it));
    if let Some(word) = word {
        return Some(word.to_owned());
    }
    let folders = path.parent()?.components().rev();
    folders.filter_map(|it| it.as_os_str().to_str()).find(|it| known(it)).map(str::to_owned)
}

/// `train_sft` of `train_sft-00000-of-00002`.
fn of_shard(stem: &str) -> Option<&str> {
    let is_number = |it: &str| 5 <= it.len() && it.bytes().all(|it| it.is_ascii_digit());
    let (before, _) = stem.rsplit_once("-of-").filter(|it| is_number(it.1))?;
    let (name, _) = before.rsplit_once('-').filter(|it| is_number(it.1))?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_splits_where_all_of_them_do() {
        let of = |paths: &[&str]| splits_of(paths.iter().map(Path::new));
        let splits = |names: &[&str]| Some(names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["train-00000-of-00002.parquet"]), splits(&["train"]));
        assert_eq!(of(&["train_sft-00000-of-00002.parquet", "test.csv"]), splits(&["train_sft", "test"]));
        assert_eq!(
            of(&["val/a.csv", "a/train/b/0.parquet", "Test_1.csv"]),
            splits(&["val", "train", "Test"])
        );
        assert_eq!(of(&["train/x.csv", "y.csv"]), None);
        for none in ["data-00000-of-00001.arrow", "trainer.csv", "a.parquet", "-00000-of-00001.parquet"] {
            assert_eq!(of(&[none]), None, "{none}");
        }
    }
}
