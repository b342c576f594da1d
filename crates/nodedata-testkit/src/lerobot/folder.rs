use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, cast::AsArray, types::Int64Type};
use bytes::Bytes;
use serde_json::Value;

use super::parquet_bytes::{WriteOptions, from_parquet, to_parquet, with_column};

/// The files of a dataset in memory, by relative name: copied, edited, and written to where a test wants them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Folder {
    files: BTreeMap<String, Vec<u8>>,
}

impl Folder {
    /// Reads everything below `root`.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut pending = vec![root.to_owned()];
        while let Some(folder) = pending.pop() {
            let entries = std::fs::read_dir(&folder);
            for entry in entries.unwrap_or_else(|err| panic!("{}: {err}", folder.display())) {
                let path = entry.expect("the folder can be listed").path();
                if path.is_dir() {
                    pending.push(path);
                    continue;
                }
                let name = path.strip_prefix(root).expect("it lies below").to_string_lossy().into_owned();
                files.insert(name, std::fs::read(&path).expect("the file can be read"));
            }
        }
        assert!(!files.is_empty(), "no files in {}", root.display());
        Self { files }
    }

    /// Writes everything below `root`.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, root: &Path) {
        for (name, bytes) in &self.files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(root)).expect("a folder can be made");
            std::fs::write(&path, bytes).expect("the file can be written");
        }
    }

    /// Names of the files, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The files as a case of the conformance kit holds them.
    pub fn to_files(&self) -> Vec<(PathBuf, Bytes)> {
        self.files.iter().map(|(name, bytes)| (PathBuf::from(name), Bytes::from(bytes.clone()))).collect()
    }

    /// One file.
    ///
    /// # Panics
    /// When it is not there, as everything below.
    #[track_caller]
    pub fn bytes(&self, name: &str) -> &[u8] {
        self.files.get(name).unwrap_or_else(|| panic!("no file `{name}` among {:?}", self.files.keys()))
    }

    /// Puts a file in, or another one in its place.
    pub fn put(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.files.insert(name.to_owned(), bytes.into());
    }

    /// Takes a file out.
    #[track_caller]
    pub fn take(&mut self, name: &str) -> Vec<u8> {
        assert!(self.files.contains_key(name), "no file `{name}`");
        self.files.remove(name).unwrap_or_default()
    }

    /// Calls every file whose name starts with `from` by a name that starts with `to`.
    #[track_caller]
    pub fn rename(&mut self, from: &str, to: &str) {
        let all = std::mem::take(&mut self.files);
        let mut n_renamed = 0;
        for (name, bytes) in all {
            let name = match name.strip_prefix(from) {
                Some(rest) => {
                    n_renamed += 1;
                    format!("{to}{rest}")
                }
                None => name,
            };
            self.files.insert(name, bytes);
        }
        assert_ne!(n_renamed, 0, "no file starts with `{from}`");
    }

    /// A JSON document.
    #[track_caller]
    pub fn json(&self, name: &str) -> Value {
        serde_json::from_slice(self.bytes(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
    }

    /// Edits a JSON document.
    #[track_caller]
    pub fn edit_json(&mut self, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut document = self.json(name);
        edit(&mut document);
        self.put(name, document.to_string());
    }

    /// Lines of JSON.
    #[track_caller]
    pub fn lines(&self, name: &str) -> Vec<Value> {
        let lines = self.bytes(name).split(|it| *it == b'\n').filter(|it| !it.is_empty());
        lines.map(|it| serde_json::from_slice(it).unwrap_or_else(|err| panic!("{name}: {err}"))).collect()
    }

    /// Edits lines of JSON.
    #[track_caller]
    pub fn edit_lines(&mut self, name: &str, edit: impl FnOnce(&mut Vec<Value>)) {
        let mut lines = self.lines(name);
        edit(&mut lines);
        self.put(name, lines.iter().map(|it| format!("{it}\n")).collect::<String>());
    }

    /// A Parquet file as one batch.
    #[track_caller]
    pub fn table(&self, name: &str) -> RecordBatch {
        from_parquet(self.bytes(name))
    }

    /// Puts a Parquet file in.
    pub fn put_table(&mut self, name: &str, rows: &RecordBatch) {
        self.put(name, to_parquet(rows, &WriteOptions::default()));
    }

    /// Edits a Parquet file.
    #[track_caller]
    pub fn edit_table(&mut self, name: &str, edit: impl FnOnce(RecordBatch) -> RecordBatch) {
        let rows = edit(self.table(name));
        self.put_table(name, &rows);
    }

    /// Changes one whole number of a Parquet file.
    #[track_caller]
    pub fn set_int(&mut self, name: &str, column: &str, row: usize, value: Option<i64>) {
        self.edit_table(name, |rows| {
            let found = rows.column_by_name(column).unwrap_or_else(|| panic!("{name} has no `{column}`"));
            let mut values: Vec<Option<i64>> = found.as_primitive::<Int64Type>().iter().collect();
            values[row] = value;
            let values: ArrayRef = std::sync::Arc::new(Int64Array::from(values));
            with_column(&rows, column, values)
        });
    }

    /// Adds to one number of a Parquet file.
    #[track_caller]
    pub fn add_float(&mut self, name: &str, column: &str, row: usize, plus: f64) {
        self.edit_table(name, |rows| {
            let found = rows.column_by_name(column).unwrap_or_else(|| panic!("{name} has no `{column}`"));
            let mut values = found.as_primitive::<arrow_array::types::Float64Type>().values().to_vec();
            values[row] += plus;
            let values: ArrayRef = std::sync::Arc::new(Float64Array::from(values));
            with_column(&rows, column, values)
        });
    }
}
