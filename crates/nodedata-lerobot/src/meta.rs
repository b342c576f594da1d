//! The tables below `meta/`: lines of JSON in version 2, Parquet in version 3.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::ArrayRef;
use nodedata_arrow::{ParquetFile, cell, cell_text};
use nodedata_core::{Error, ErrorKind, Fact, Files, Locus, Result};
use rayon::prelude::*;
use serde_json::{Map, Value};

use crate::findings::TABLE_HINT;

/// Start of the names of an episode's statistics.
const STATS: &str = "stats/";

/// One row of the episodes table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EpisodeRecord {
    /// The source's own number.
    pub(crate) index: u64,
    /// Rows it should have.
    pub(crate) length: u64,
    pub(crate) tasks: Vec<String>,
    /// Chunk and file of its rows; version 2 computes them.
    pub(crate) data_file: Option<(u64, u64)>,
    /// First row and one past the last, over the whole dataset.
    pub(crate) dataset_rows: Option<(u64, u64)>,
    /// By video key.
    pub(crate) videos: BTreeMap<String, VideoPointer>,
    /// Everything else the table says; what is no scalar as JSON text.
    pub(crate) metadata: BTreeMap<Arc<str>, Fact>,
    /// The file that says so.
    pub(crate) told_by: PathBuf,
    /// Whether it is made of the episode's rows, because the table that listed it is lost.
    pub(crate) is_rebuilt: bool,
}

/// Where version 3 says the frames of an episode lie.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct VideoPointer {
    pub(crate) file: Option<(u64, u64)>,
    pub(crate) from_seconds: Option<f64>,
    pub(crate) to_seconds: Option<f64>,
}

/// Reads a Parquet table, and makes something of each row as a JSON object.
///
/// # Errors
/// `Io`, `Corrupt`.
pub(crate) fn parquet_rows<T: Send>(
    files: &dyn Files,
    path: &Path,
    make: impl Fn(Map<String, Value>) -> T + Sync,
) -> Result<Vec<T>> {
    each_row(files, path, |names, columns, row| {
        make(names.iter().zip(columns).map(|(name, it)| (name.to_string(), cell(it, row))).collect())
    })
}

/// Reads a Parquet table of episodes: what is known of each, and everything else as text.
///
/// # Errors
/// `Io`, `Corrupt`.
pub(crate) fn parquet_episodes(files: &dyn Files, path: &Path) -> Result<Vec<Option<EpisodeRecord>>> {
    each_row(files, path, |names, columns, row| {
        let mut known = Map::new();
        let mut texts = Vec::new();
        for (name, column) in names.iter().zip(columns) {
            if name.starts_with(STATS) {
                // Most of the table; nothing here reads it.
                texts.extend(cell_text(column, row).map(|it| (Arc::clone(name), Fact::Text(it))));
            } else {
                known.insert(name.to_string(), cell(column, row));
            }
        }
        let mut record = EpisodeRecord::from_row(known, path)?;
        record.metadata.extend(texts);
        Some(record)
    })
}

/// Makes something of each row of a Parquet table, from the names of its columns, the columns of some rows, and
/// the position among these.
fn each_row<T: Send>(
    files: &dyn Files,
    path: &Path,
    make: impl Fn(&[Arc<str>], &[ArrayRef], usize) -> T + Sync,
) -> Result<Vec<T>> {
    let file = ParquetFile::open(files, path, TABLE_HINT)?;
    let names: Vec<Arc<str>> = file.column_names().map(Arc::from).collect();
    let columns: Vec<&str> = names.iter().map(|it| &**it).collect();
    let mut made = Vec::new();
    for batch in file.rows(&columns, 0..file.n_rows(), 256)? {
        let batch = batch?;
        let rows = (0..batch.num_rows()).into_par_iter();
        made.par_extend(rows.map(|row| make(&names, batch.columns(), row)));
    }
    Ok(made)
}

/// Reads lines of JSON objects, and makes something of each; a line that is no object is an error in its place.
///
/// # Errors
/// `Io`.
pub(crate) fn json_lines<T: Send>(
    files: &dyn Files,
    path: &Path,
    make: impl Fn(Map<String, Value>) -> T + Sync,
) -> Result<Vec<Result<T>>> {
    let bytes = whole(files, path)?;
    let lines = bytes.split(|it| *it == b'\n').enumerate();
    let lines: Vec<(usize, &[u8])> = lines.filter(|(_, line)| !line.trim_ascii().is_empty()).collect();
    let parse = |(idx, line): (usize, &[u8])| {
        let object = serde_json::from_slice::<Map<String, Value>>(line).map_err(|err| {
            let place =
                Locus { line_column: Some((idx as u32 + 1, err.column() as u32)), ..Locus::path(path) };
            Error::new(ErrorKind::Corrupt, "the line is not a JSON object")
                .with_source(err)
                .at(place)
                .with_hint("correct the line, or restore the file")
        })?;
        Ok(make(object))
    };
    Ok(lines.into_par_iter().map(parse).collect())
}

/// What editors of some systems put before text, and JSON has no word for.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes of a metadata file of text, without the mark that may come before it.
///
/// # Errors
/// `Io` when it is not there.
pub(crate) fn whole(files: &dyn Files, path: &Path) -> Result<bytes::Bytes> {
    let file = files.open(path).map_err(|err| err.at(Locus::path(path)))?;
    let bytes = file.read_at(0..file.n_bytes()).map_err(|err| err.at(Locus::path(path)))?;
    Ok(if bytes.starts_with(BYTE_ORDER_MARK) { bytes.slice(BYTE_ORDER_MARK.len()..) } else { bytes })
}

impl EpisodeRecord {
    /// Takes a row of the episodes table apart. `None` when it has no usable number or length.
    pub(crate) fn from_row(mut row: Map<String, Value>, told_by: &Path) -> Option<Self> {
        let index = take_number(&mut row, "episode_index")?;
        let length = take_number(&mut row, "length")?;
        let tasks = match row.remove("tasks") {
            Some(Value::Array(tasks)) => tasks.into_iter().filter_map(text).collect(),
            Some(Value::String(task)) => vec![task],
            _ => Vec::new(),
        };
        let data_file = take_pair(&mut row, "data/chunk_index", "data/file_index");
        let dataset_rows = take_pair(&mut row, "dataset_from_index", "dataset_to_index");
        let mut record = Self {
            index,
            length,
            tasks,
            data_file,
            dataset_rows,
            told_by: told_by.to_owned(),
            ..Self::default()
        };
        // The table's own place in its files says nothing about the episode.
        row.retain(|name, _| !name.starts_with("meta/episodes/"));
        for (name, value) in row {
            if let Some((key, fact)) = name.strip_prefix("videos/").and_then(|it| it.rsplit_once('/')) {
                let pointer = record.videos.entry(key.to_owned()).or_default();
                let number = value.as_u64();
                match fact {
                    "chunk_index" => {
                        pointer.file = number.map(|it| (it, pointer.file.map_or(0, |(_, it)| it)));
                    }
                    "file_index" => {
                        pointer.file = number.map(|it| (pointer.file.map_or(0, |(it, _)| it), it));
                    }
                    "from_timestamp" => pointer.from_seconds = value.as_f64(),
                    "to_timestamp" => pointer.to_seconds = value.as_f64(),
                    _ => {}
                }
            } else if !value.is_null() {
                record.metadata.insert(name.into(), fact(value));
            }
        }
        Some(record)
    }
}

/// A scalar as it is, everything else as JSON.
fn fact(value: Value) -> Fact {
    match value {
        Value::String(text) => Fact::Text(text),
        Value::Bool(it) => Fact::Bool(it),
        Value::Number(it) => match (it.as_i64(), it.as_f64()) {
            (Some(it), _) => Fact::Int(it),
            (None, Some(float)) if it.is_f64() => Fact::Float(float),
            // A whole number that no i64 holds.
            _ => Fact::Text(it.to_string()),
        },
        other => Fact::Text(other.to_string()),
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn take_number(row: &mut Map<String, Value>, name: &str) -> Option<u64> {
    let value = row.remove(name)?;
    value.as_u64().or_else(|| value.as_f64().filter(|it| it.fract() == 0.0 && *it >= 0.0).map(|it| it as u64))
}

fn take_pair(row: &mut Map<String, Value>, first: &str, second: &str) -> Option<(u64, u64)> {
    let (first, second) = (take_number(row, first), take_number(row, second));
    first.zip(second)
}

/// Text by index: of tasks, and of subtasks.
pub(crate) type Texts = BTreeMap<u64, String>;

/// One row of the table of tasks or subtasks (`kind`): the index, and the text under whatever name its writer gave
/// it: `task`, `__index_level_0__` (a pandas index without a name), or the only text there is.
pub(crate) fn text_of(kind: &str, row: &Map<String, Value>) -> Option<(u64, String)> {
    let index = row.get(&format!("{kind}_index"))?.as_u64()?;
    let named = [kind, "__index_level_0__", "index"].iter().find_map(|it| row.get(*it)?.as_str());
    let only = || {
        let mut texts = row.values().filter_map(Value::as_str);
        texts.next().filter(|_| texts.next().is_none())
    };
    Some((index, named.or_else(only)?.to_owned()))
}

/// What metadata says under a name.
pub(crate) type NamedFact = (Arc<str>, Fact);

/// Version 2.1's statistics of an episode, under the names that version 3 gives them.
pub(crate) fn stats_of(mut row: Map<String, Value>) -> Option<(u64, Vec<NamedFact>)> {
    let index = row.get("episode_index")?.as_u64()?;
    let Value::Object(features) = row.remove("stats")? else { return None };
    let mut named = Vec::new();
    for (feature, stats) in features {
        let Value::Object(stats) = stats else { continue };
        named.extend(
            stats.into_iter().map(|(name, value)| {
                (format!("stats/{feature}/{name}").into(), Fact::Text(value.to_string()))
            }),
        );
    }
    Some((index, named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(json: &str) -> Map<String, Value> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn rows_bind_by_name_and_keep_what_they_do_not_know() {
        let record = EpisodeRecord::from_row(
            row(r#"{"videos/a/b/file_index":3,"videos/a/b/chunk_index":1,"length":4,"episode_index":7,"tasks":["x"],
                "videos/a/b/from_timestamp":1.5,"meta/episodes/file_index":0,"quality":"good","score":0.5,"success":true,"stats/s/min":[0.5]}"#),
            Path::new("meta/episodes/x.parquet"),
        )
        .unwrap();
        assert_eq!((record.index, record.length), (7, 4));
        let pointer = &record.videos["a/b"];
        assert_eq!((pointer.file, pointer.from_seconds), (Some((1, 3)), Some(1.5)));
        assert_eq!(record.metadata["quality"], Fact::Text("good".to_owned()));
        assert_eq!(record.metadata["score"], Fact::Float(0.5));
        assert_eq!(record.metadata["success"], Fact::Bool(true));
        assert_eq!(record.metadata["stats/s/min"], Fact::Text("[0.5]".to_owned()));
        assert!(!record.metadata.contains_key("meta/episodes/file_index"));
        assert_eq!(EpisodeRecord::from_row(row(r#"{"length":4}"#), Path::new("x")), None);
    }

    #[test]
    fn task_texts_are_found_under_any_of_their_names() {
        for json in [
            r#"{"task_index":1,"task":"open"}"#,
            r#"{"task_index":1,"__index_level_0__":"open"}"#,
            r#"{"task_index":1,"instruction":"open"}"#,
        ] {
            assert_eq!(text_of("task", &row(json)), Some((1, "open".to_owned())), "{json}");
        }
        assert_eq!(text_of("task", &row(r#"{"task_index":1,"a":"x","b":"y"}"#)), None);
        let subtask = row(r#"{"subtask_index":3,"__index_level_0__":"reach"}"#);
        assert_eq!(text_of("subtask", &subtask), Some((3, "reach".to_owned())));
    }
}
