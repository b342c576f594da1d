use std::path::Path;

/// What people call the splits of a dataset.
const NAMES: [&str; 10] =
    ["train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "evaluation"];
/// What shards are called that are of no split.
const NO_SPLIT: [&str; 5] = ["data", "part", "shard", "file", "chunk"];

/// The split that each file is in, as its path says: `train` of `train-00000.tar`, `train_sft` of
/// `train_sft-00000-of-00002.parquet`, `val` of `val/0.csv`. Where any file does not say so, of none: half of an answer is none.
pub fn own_splits<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Vec<Option<String>> {
    let splits: Option<Vec<String>> = paths.into_iter().map(split_of).collect();
    splits.unwrap_or_default().into_iter().map(Some).collect()
}

/// What a shard of several is called before its number; or the one word of the file's name that is that of a split; or that of
/// the innermost folder that is called so.
fn split_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    let stem = name.split('.').next().unwrap_or(&name);
    if let Some(shards) = of_shard(stem).filter(|it| !NO_SPLIT.contains(it)) {
        return Some(shards.to_owned());
    }
    let is_split = |word: &&str| NAMES.contains(&word.to_ascii_lowercase().as_str());
    let mut words = name.split(|it: char| !it.is_ascii_alphabetic()).filter(is_split);
    match (words.next(), words.next()) {
        (Some(only), None) => return Some(only.to_ascii_lowercase()),
        // Both, and so neither.
        (Some(_), Some(_)) => return None,
        (None, _) => {}
    }
    let folders = path.ancestors().skip(1).filter_map(|it| it.file_name());
    let mut folders = folders.map(|it| it.to_string_lossy().to_ascii_lowercase());
    folders.find(|it| NAMES.contains(&it.as_str()))
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

    #[track_caller]
    fn check(paths: &[&str], expected: &[&str]) {
        let found: Vec<String> = own_splits(paths.iter().map(Path::new)).into_iter().flatten().collect();
        assert_eq!(found, expected, "{paths:?}");
    }

    #[test]
    fn a_split_is_a_word_of_the_name_or_a_folder() {
        check(&["train-000000.tar", "set_val_000001.tar.gz"], &["train", "val"]);
        check(&["a/val/0.tar", "train/test/0.tar"], &["val", "test"]);
        check(&["val/a.csv", "a/train/b/0.parquet", "Test_1.csv"], &["val", "train", "test"]);
        check(&["Test.tar", "train.jsonl", "val2.csv"], &["test", "train", "val"]);
        check(&["train-val-0.tar"], &[]);
        check(&["trainer-0.tar"], &[]);
        check(&["train-0.tar", "extra-0.tar"], &[]);
        check(&["train/x.csv", "y.csv"], &[]);
    }

    #[test]
    fn shards_of_several_are_called_by_their_split() {
        check(&["train-00000-of-00002.parquet"], &["train"]);
        check(&["train_sft-00000-of-00002.parquet", "test.csv"], &["train_sft", "test"]);
        check(&["val/data-00000-of-00001.arrow"], &["val"]);
        for none in ["data-00000-of-00001.arrow", "trainer.csv", "a.parquet", "-00000-of-00001.parquet"] {
            check(&[none], &[]);
        }
    }
}
