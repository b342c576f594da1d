use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use nodedata_core::{Error, ErrorKind, Locus, Progress, Result};
use nodedata_dataset::{Dataset, Manifest};
use nodedata_schema::{Mode, Schema};

use crate::{
    digest::B3,
    folder::{Draft, Origin},
    hash_cache::HashCache,
    hashing::hash_files,
    record::{BlobRef, FileRef, ShardRef, SplitRef},
    tables::contents_of,
};

/// The folder that `node-data convert` wrote, as it is: its own manifest, indexes and provenance.
///
/// # Errors
/// `Corrupt` when its files are not what its manifest says; `Io`.
pub(crate) fn read_converted(root: &Path, cache: &HashCache, progress: &dyn Progress) -> Result<Draft> {
    let dataset = Dataset::open(root)?;
    let manifest = &*dataset.manifest;
    let vouched = manifest.files();
    let mut paths: Vec<(String, PathBuf)> =
        vouched.iter().map(|it| (it.path.clone(), root.join(&it.path))).collect();
    for path in ["manifest.json", "report.json"] {
        if root.join(path).is_file() {
            paths.push((path.to_owned(), root.join(path)));
        }
    }
    let files: Vec<&Path> = paths.iter().map(|(_, file)| file.as_path()).collect();
    let blobs = hash_files(&files, cache, progress)?;
    for (entry, blob) in vouched.iter().zip(&blobs) {
        if entry.b3 != blob.b3.hex()
            || entry.sha256.as_ref().is_some_and(|it| *it != blob.sha256)
            || entry.bytes != blob.bytes
        {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "the file is not the one that the manifest describes",
            )
            .at(Locus::path(root.join(&entry.path)))
            .with_hint(
                "`node-data validate` says what else has changed; restore the file, or convert again",
            ));
        }
    }
    let by_path: BTreeMap<&str, &BlobRef> = paths.iter().map(|(path, _)| path.as_str()).zip(&blobs).collect();
    let shards = shard_refs(manifest, &by_path)?;
    let shard_paths: BTreeSet<&str> = manifest.shards.iter().map(|it| it.path.as_str()).collect();
    let is_shard = |path: &str| shard_paths.contains(path);
    let files = paths.iter().zip(&blobs).filter(|((path, _), _)| !is_shard(path));
    let files = files.map(|((path, _), blob)| FileRef { path: path.clone(), blob: blob.clone() }).collect();
    let sources = paths.iter().zip(&blobs).map(|((_, file), blob)| (blob.b3, Origin::File(file.clone())));
    let episodes = dataset.episodes()?;
    let splits = manifest.splits.iter().map(|(name, it)| {
        let split =
            SplitRef { episodes: it.episodes, frames: it.rows, shards: it.shards, exclude: Vec::new() };
        (name.clone(), split)
    });
    let mut roles: BTreeMap<String, String> =
        manifest.index.iter().map(|(name, it)| (name.clone(), it.path.clone())).collect();
    roles.insert("readme".to_owned(), manifest.readme.path.clone());
    roles.insert("schema".to_owned(), manifest.schema.path.clone());
    roles.insert("stats".to_owned(), manifest.stats.path.clone());
    roles.insert("provenance".to_owned(), manifest.provenance.path.clone());
    roles.insert("manifest".to_owned(), "manifest.json".to_owned());
    Ok(Draft {
        shards,
        files,
        roles,
        sources: sources.collect(),
        schema_mode: schema_mode(&dataset.text(&manifest.schema.path)?),
        splits: splits.collect(),
        contents: contents_of(&episodes, None, u64::MAX)?,
        provenance_root: manifest.provenance_root.parse::<B3>()?,
        warnings: Vec::new(),
    })
}

fn shard_refs(manifest: &Manifest, blobs: &BTreeMap<&str, &BlobRef>) -> Result<Vec<ShardRef>> {
    let shard = |it: &nodedata_dataset::ShardEntry| {
        Ok(ShardRef {
            path: it.path.clone(),
            stream: it.stream.clone(),
            split: it.split.clone(),
            blob: blobs[it.path.as_str()].clone(),
            rows: it.rows,
            row_groups: it.row_groups,
            episodes: it.episodes,
            content: it.content.parse()?,
            provenance: it.provenance.parse()?,
        })
    };
    manifest.shards.iter().map(shard).collect()
}

fn schema_mode(text: &str) -> String {
    let mode = Schema::from_json(text).ok().and_then(|it| it.mode);
    mode.map_or("declared", Mode::name).to_owned()
}
