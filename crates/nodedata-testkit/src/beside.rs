//! Rows that name files beside them, for the formats that embed such files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Files, OpenOptions, OptionValue, ReadAt, Reference, Result};
use nodedata_io::MemoryFiles;

/// Files of which only those with one extension are claimed; the others are there for whoever knows their names.
pub struct Beside(pub MemoryFiles, pub &'static str);

impl Files for Beside {
    fn list(&self) -> Result<Vec<PathBuf>> {
        let is_claimed = |it: &PathBuf| it.extension().is_some_and(|it| it == self.1);
        Ok(self.0.list()?.into_iter().filter(is_claimed).collect())
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        self.0.open(path)
    }
}

/// The smallest PNG that says what it is: header alone, of 8-bit RGB, 2 pixels high.
pub fn png(width: u8) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0".to_vec();
    bytes.extend([width, 0, 0, 0, 2, 8, 2, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// Some pictures: `set/a.png`, `set/deep/b.png` and `c.png`, which are 1, 2 and 3 pixels wide.
pub fn pictures() -> MemoryFiles {
    MemoryFiles::default().with("set/a.png", png(1)).with("set/deep/b.png", png(2)).with("c.png", png(3))
}

/// Options that take files in the place of their names in these fields.
pub fn embedding(fields: &[&str]) -> OpenOptions {
    let embed = fields.iter().map(|it| ((*it).to_owned(), Reference::Path)).collect();
    OpenOptions { embed, ..OpenOptions::default() }
}

/// The options with one of a format's own, a number where it is one.
#[must_use]
pub fn with(mut options: OpenOptions, name: &str, value: &str) -> OpenOptions {
    let value = value.parse().map_or_else(|_| OptionValue::Text(value.to_owned()), OptionValue::Integer);
    options.options.insert(name.to_owned(), value);
    options
}
