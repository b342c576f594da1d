//! The split that a file is in, by its name.

use std::path::Path;

/// What splits are called.
const NAMES: [&str; 10] =
    ["train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "evaluation"];

/// The split of each file, where every one has one; else of none.
pub(crate) fn own_splits<'p>(paths: impl Iterator<Item = &'p Path>) -> Vec<Option<String>> {
    let splits: Option<Vec<String>> = paths.map(split_of).collect();
    splits.unwrap_or_default().into_iter().map(Some).collect()
}

/// The one split that a file's own name has a word of, or else the innermost of its folders that is called so.
fn split_of(path: &Path) -> Option<String> {
    let base = path.file_name()?.to_string_lossy().to_lowercase();
    let mut words = base.split(|it: char| !it.is_ascii_alphanumeric()).filter(|it| NAMES.contains(it));
    match (words.next(), words.next()) {
        (Some(only), None) => return Some(only.to_owned()),
        (Some(_), Some(_)) => return None,
        (None, _) => {}
    }
    let folders = path.ancestors().skip(1).filter_map(|it| it.file_name());
    let mut folders = folders.map(|it| it.to_string_lossy().to_lowercase());
    folders.find(|it| NAMES.contains(&it.as_str()))
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
        check(&["Test.tar"], &["test"]);
        check(&["train-val-0.tar"], &[]);
        check(&["trainer-0.tar"], &[]);
        check(&["train-0.tar", "extra-0.tar"], &[]);
    }
}
