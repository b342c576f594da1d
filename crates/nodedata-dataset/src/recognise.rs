use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use nodedata_core::Result;
use nodedata_io::{Recognised, entries};
use serde_json::Value;

use crate::{journal::RECORDS, read::MANIFEST};

/// Documents in a dataset's folder that name its other files, and how each begins to say what it is.
const DOCUMENTS: [(&str, &str); 2] = [(MANIFEST, "manifest/1"), ("revision.json", "revision/1")];
/// What no document names: the timings of a run.
const UNNAMED: [&str; 1] = ["report.json"];
/// What file managers leave in any folder they show.
const DROPPINGS: [&str; 2] = [".DS_Store", "Thumbs.db"];

/// Whether a folder is a dataset, converted or pulled, and nothing besides: then an output may take its place. A dataset that
/// has lost files is one as well; one whose manifest cannot be read is not, because nothing tells what else lies there.
///
/// # Errors
/// `Io` when the folder cannot be listed.
pub fn recognise(folder: &Path) -> Result<Recognised> {
    let mut named: BTreeSet<PathBuf> = UNNAMED.iter().map(PathBuf::from).collect();
    for (document, says) in DOCUMENTS {
        let Ok(bytes) = fs::read(folder.join(document)) else { continue };
        let parsed: Option<Value> = serde_json::from_slice(&bytes).ok();
        let Some(parsed) = parsed.filter(|it| it.get("nd").and_then(Value::as_str) == Some(says)) else {
            return Ok(Recognised::Foreign(format!("its {document} cannot be read as that of one")));
        };
        named.insert(document.into());
        paths_in(&parsed, &mut named);
    }
    if !named.contains(Path::new(MANIFEST)) {
        return Ok(Recognised::Foreign("it has no manifest.json".to_owned()));
    }
    Ok(match foreign_in(folder, Path::new(""), &named)? {
        Some(path) => Recognised::Foreign(format!("it holds {}, which is not of it", path.display())),
        None => Recognised::Ours,
    })
}

/// Every `path` of a document, whatever version wrote it, but for those of the inputs, which lie elsewhere.
fn paths_in(value: &Value, named: &mut BTreeSet<PathBuf>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter().filter(|(key, _)| *key != "inputs") {
                match inner {
                    Value::String(path) if key == "path" => {
                        named.insert(path.into());
                    }
                    _ => paths_in(inner, named),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|it| paths_in(it, named)),
        _ => {}
    }
}

/// The first file below a folder that is not named.
fn foreign_in(root: &Path, inside: &Path, named: &BTreeSet<PathBuf>) -> Result<Option<PathBuf>> {
    let mut found = entries(&root.join(inside))?;
    found.sort_unstable();
    for full in found {
        let path = inside.join(full.file_name().unwrap_or_default());
        if path == Path::new(RECORDS) || DROPPINGS.iter().any(|it| path.ends_with(it)) {
            continue;
        }
        // A link to a folder is no folder of ours.
        let is_folder = fs::symlink_metadata(&full).is_ok_and(|it| it.is_dir());
        if is_folder {
            if let Some(foreign) = foreign_in(root, &path, named)? {
                return Ok(Some(foreign));
            }
        } else if !named.contains(&path) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[track_caller]
    fn is_foreign(files: &[(&str, &str)], part: &str) {
        match recognise(folder(files).path()).unwrap() {
            Recognised::Foreign(why) => assert!(why.contains(part), "{why}"),
            Recognised::Ours => panic!("taken for a dataset"),
        }
    }

    const MANIFEST: &str = r#"{"nd": "manifest/1", "inputs": [{"path": "a.mcap"}],
        "shards": [{"path": "data/x/train-0.parquet"}], "schema": {"path": "schema.json"}}"#;

    #[test]
    fn a_dataset_is_what_its_documents_name_and_nothing_else() {
        let own = [
            ("manifest.json", MANIFEST),
            ("report.json", "{}"),
            ("data/x/train-0.parquet", "x"),
            (".units/u/unit.zst", "x"),
            (".DS_Store", "x"),
        ];
        assert_eq!(recognise(folder(&own).path()).unwrap(), Recognised::Ours);
        let with = |more: (&'static str, &'static str)| [own.as_slice(), &[more]].concat();
        is_foreign(&with(("thesis.txt", "x")), "thesis.txt");
        is_foreign(&with(("data/x/notes.md", "x")), "data/x/notes.md");
        is_foreign(&with(("a.mcap", "x")), "a.mcap");
        is_foreign(&with((".git/config", "x")), ".git/config");
        is_foreign(&with(("model.parquet", "x")), "model.parquet");
        let pulled = with(("revision.json", r#"{"nd": "revision/1", "files": [{"path": "model.parquet"}]}"#));
        let pulled = [pulled.as_slice(), &[("model.parquet", "x")]].concat();
        assert_eq!(recognise(folder(&pulled).path()).unwrap(), Recognised::Ours);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_a_dataset() {
        is_foreign(&[("thesis.txt", "x")], "no manifest.json");
        is_foreign(&[("manifest.json", "{")], "manifest.json cannot be read");
        is_foreign(
            &[("manifest.json", r#"{"name": "a web app", "icons": []}"#)],
            "manifest.json cannot be read",
        );
        is_foreign(&[("revision.json", r#"{"nd": "revision/1"}"#)], "no manifest.json");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_folder_is_not_walked_into() {
        let dir = folder(&[("manifest.json", MANIFEST)]);
        let elsewhere = folder(&[("train-0.parquet", "x")]);
        fs::create_dir(dir.path().join("data")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("data/x")).unwrap();
        assert!(matches!(recognise(dir.path()).unwrap(), Recognised::Foreign(_)));
    }
}
