use std::path::Path;

use nodedata_core::visible::visible;
use serde::{Deserialize, Serialize};

/// Files of the source that no row comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRead {
    /// How many there are.
    pub files: u64,
    /// How many of them hold data that another format reads, or would: with them, a run is incomplete.
    pub left_out: u64,
    /// The first ones, those that are left out before the others.
    pub first: Vec<FileNotRead>,
}

/// A file that was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileNotRead {
    /// Relative to SRC.
    pub path: String,
    /// The format of its data, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// Files that are named one by one in a report, and in a sentence.
const NAMED: usize = 100;
const TOLD: usize = 5;

impl NotRead {
    /// Files in their order, each with the format of its data where that is known.
    pub fn new(files: &[(&Path, Option<&str>)]) -> Self {
        let left_out = || files.iter().filter(|it| it.1.is_some());
        let others = files.iter().filter(|it| it.1.is_none());
        let first = left_out().chain(others).take(NAMED).map(|(path, format)| FileNotRead {
            path: path.display().to_string(),
            format: format.map(str::to_owned),
        });
        Self { first: first.collect(), left_out: left_out().count() as u64, files: files.len() as u64 }
    }

    /// Whether every file was read.
    pub fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// All of it in a sentence without a full stop.
    pub fn sentence(&self) -> String {
        let were = if self.files == 1 { "file was" } else { "files were" };
        let data = match self.left_out {
            0 => String::new(),
            n => format!(", {n} of them with data of another format"),
        };
        let told = self.first.iter().take(TOLD).map(|it| match &it.format {
            Some(format) => format!("{} ({format})", visible(&it.path)),
            None => visible(&it.path).into_owned(),
        });
        let told: Vec<String> = told.collect();
        let others = match self.files.saturating_sub(told.len() as u64) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        format!("{} {were} not read{data}: {}{others}", self.files, told.join(", "))
    }

    /// What to do about data that is left out.
    pub fn hint(&self) -> Option<&'static str> {
        let hint = "convert it by itself, or name with `--from` the format that alone is meant";
        (self.left_out > 0).then_some(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_first_and_the_rest_is_counted() {
        let names: Vec<String> = (0..200).map(|it| format!("{it:03}.txt")).collect();
        let files = names.iter().map(|it| (Path::new(it), (it == "150.txt").then_some("rosbag1")));
        let found = NotRead::new(&files.collect::<Vec<_>>());
        assert_eq!((found.files, found.left_out, found.first.len()), (200, 1, NAMED));
        assert_eq!(
            found.sentence(),
            "200 files were not read, 1 of them with data of another format: 150.txt (rosbag1), 000.txt, 001.txt, \
             002.txt, 003.txt and 195 more"
        );
        assert!(found.hint().is_some());
        let one = NotRead::new(&[(Path::new("README.md"), None)]);
        assert_eq!((one.sentence().as_str(), one.hint()), ("1 file was not read: README.md", None));
        assert!(NotRead::default().is_empty());
    }
}
