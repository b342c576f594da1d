use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use nodedata_core::{Dim, Error, ErrorKind, Locus, Progress, Result};
use nodedata_schema::{Mode, Schema};
use rayon::prelude::*;

use crate::{
    digest::B3,
    folder::{
        footer::Footer,
        plain::{PlainEpisode, PlainModel, PlainShard, WholeChunk, index_of},
        rows::{Cuts, FoundEpisode, ShardRows, read_rows},
        sample_index::GivenIndex,
        union::union,
    },
    hash_cache::HashCache,
    hashing::{hash_files, read_error},
    record::BlobRef,
};

/// Split of shards whose names tell none.
const DEFAULT_SPLIT: &str = "train";
/// Bytes of a column chunk up to which reading it as a whole is nothing to warn of.
const WHOLE_BYTES: u64 = 64 << 20;
/// Mistakes that are told at once.
const MISTAKES_TOLD: usize = 8;

/// What is known about plain shards beside their bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScanOptions {
    /// Declared schema.
    pub(crate) schema: Option<Schema>,
    /// A `sample_index.json`.
    pub(crate) sample_index: Option<PathBuf>,
    /// The card.
    pub(crate) readme: Option<PathBuf>,
}

/// Reads footers and rows of shards.
///
/// # Errors
/// `Config` when there are none; `SchemaMismatch` when they break the schema or differ from each other;
/// `Corrupt`, `Io`; `Interrupted` when `progress` says to stop.
pub(crate) fn scan(
    paths: &[PathBuf],
    options: &ScanOptions,
    cache: &HashCache,
    progress: &dyn Progress,
) -> Result<PlainModel> {
    let files = shard_files(paths)?;
    let names: Vec<&Path> = files.iter().map(|(_, file)| file.as_path()).collect();
    let blobs = hash_files(&names, cache, progress)?;
    let footers: Vec<Footer> =
        names.par_iter().map(|it| progress.go_on().and_then(|()| Footer::read(it))).collect::<Result<_>>()?;
    check_footers(&files, &footers, options.schema.as_ref())?;
    let sized: Vec<(String, u64)> =
        files.iter().zip(&footers).map(|((path, _), footer)| (path.clone(), footer.rows)).collect();
    let given = options.sample_index.as_deref().map(|it| GivenIndex::read(it, &sized)).transpose()?;
    let cuts: Vec<Cuts> = sized
        .iter()
        .zip(&footers)
        .map(|((path, _), footer)| match given.as_ref().and_then(|it| it.shards.get(path)) {
            Some(episodes) => Cuts::Given(episodes.iter().map(|it| it.rows).collect()),
            None if footer.arrow().column_with_name(nodedata_core::EPISODE_INDEX).is_some() => Cuts::Column,
            None => Cuts::Whole,
        })
        .collect();
    let rows = all_rows(&names, &blobs, &footers, &cuts, cache, progress)?;
    let declared_splits = options.schema.as_ref().map(|it| it.splits.clone()).unwrap_or_default();
    let mut shards = Vec::with_capacity(files.len());
    let found = files.iter().zip(blobs).zip(footers).zip(&rows);
    for ((((path, file), blob), footer), rows) in found {
        let split = split_of(path, &declared_splits);
        let shard = PlainShard {
            path: path.clone(),
            split,
            blob,
            rows: footer.rows,
            row_groups: footer.group_rows.len() as u64,
            episodes: rows.episodes.iter().map(|it| episode(it, path, &footer.group_rows)).collect(),
            pages: footer.pages.pages,
            whole: large_chunks(footer.pages.whole),
            stats: footer.stats,
            file: Some(file.clone()),
        };
        shards.push(named(shard, given.as_ref())?);
    }
    let schema = schema_of(options.schema.as_ref(), &files, &rows, &shards)?;
    let readme = read_readme(options.readme.as_deref(), paths)?;
    let model = PlainModel { schema, shards, readme };
    model.check_episodes()?;
    Ok(model)
}

/// Those that are worth a warning.
fn large_chunks(whole: Vec<(u32, String, u64)>) -> Vec<WholeChunk> {
    let chunks = whole.into_iter().map(|(row_group, column, bytes)| WholeChunk { row_group, column, bytes });
    chunks.filter(|it| WHOLE_BYTES < it.bytes).collect()
}

/// Every Parquet file, with the path it gets in the dataset, in order of that path.
fn shard_files(paths: &[PathBuf]) -> Result<Vec<(String, PathBuf)>> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut add = |inside: &Path, file: PathBuf| {
        let parts: Vec<_> = inside.iter().map(|it| it.to_string_lossy()).collect();
        let inside = parts.join("/");
        let path = if inside.starts_with("data/") { inside } else { format!("data/{inside}") };
        match files.insert(path.clone(), file) {
            None => Ok(()),
            Some(other) => Err(Error::new(ErrorKind::Config, format!("two files would be `{path}`"))
                .at(Locus::path(other))
                .with_hint("push one folder, or give the files different names")),
        }
    };
    for path in paths {
        if path.is_dir() {
            for inside in parquet_below(path)? {
                add(&inside, path.join(&inside))?;
            }
        } else {
            add(Path::new(path.file_name().unwrap_or_default()), path.clone())?;
        }
    }
    if files.is_empty() {
        let at = paths.first().map(Locus::path).unwrap_or_default();
        return Err(Error::new(ErrorKind::Config, "there is no Parquet file to push")
            .at(at)
            .with_hint("name a folder with `.parquet` files, or one that `node-data convert --out` wrote"));
    }
    Ok(files.into_iter().collect())
}

fn parquet_below(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(folder) = pending.pop() {
        let at = root.join(&folder);
        for entry in std::fs::read_dir(&at).map_err(|err| read_error(&at, err))? {
            let entry = entry.map_err(|err| read_error(&at, err))?;
            let inside = folder.join(entry.file_name());
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let file = entry.path();
            if file.is_dir() {
                pending.push(inside);
            } else if file.extension().is_some_and(|it| it == "parquet") {
                found.push(inside);
            }
        }
    }
    Ok(found)
}

fn check_footers(files: &[(String, PathBuf)], footers: &[Footer], schema: Option<&Schema>) -> Result<()> {
    let mut errors = Vec::new();
    for ((_, file), footer) in files.iter().zip(footers) {
        let path = file.display().to_string();
        match schema {
            Some(schema) => errors.extend(footer.check(schema, &path)),
            None => errors.extend(footer.strangers.iter().map(|(name, kind)| {
                let message = format!("column `{name}` has Arrow type {kind}, which no feature has");
                Error::new(ErrorKind::SchemaMismatch, message)
                    .at(Locus { feature: Some(name.clone()), ..Locus::path(&path) })
                    .with_hint(
                        "lists of numbers, bools, text or bytes are features; flatten structs to columns",
                    )
            })),
        }
    }
    all_as_one(errors)
}

/// The first mistake, with the others named below it.
fn all_as_one(errors: Vec<Error>) -> Result<()> {
    let n_more = errors.len().saturating_sub(MISTAKES_TOLD);
    let mut errors = errors.into_iter();
    let Some(first) = errors.next() else { return Ok(()) };
    let others = errors.take(MISTAKES_TOLD - 1).map(|it| format!("also {it} ({})", it.locus()));
    let rest = (n_more > 0).then(|| format!("and {n_more} more"));
    Err(first.with_others(others.chain(rest)))
}

/// The rows of all shards, decoded only where nobody has before.
fn all_rows(
    files: &[&Path],
    blobs: &[BlobRef],
    footers: &[Footer],
    cuts: &[Cuts],
    cache: &HashCache,
    progress: &dyn Progress,
) -> Result<Vec<ShardRows>> {
    let key = |blob: &BlobRef, cuts: &Cuts| {
        let cuts = serde_json::to_string(cuts).unwrap_or_default();
        B3::of(format!("{} {cuts} {}", blob.b3, env!("CARGO_PKG_VERSION")).as_bytes())
    };
    let keys: Vec<B3> = blobs.iter().zip(cuts).map(|(blob, cuts)| key(blob, cuts)).collect();
    let known = cache.contents(&keys);
    let all: Vec<Result<(ShardRows, bool)>> = known
        .into_par_iter()
        .enumerate()
        .with_max_len(1)
        .map(|(idx, known)| {
            if let Some(rows) = known.and_then(|it| serde_json::from_slice(&it).ok()) {
                return Ok((rows, false));
            }
            Ok((read_rows(files[idx], &footers[idx], &cuts[idx], progress)?, true))
        })
        .collect();
    // Also when one of them failed: what is known need not be decoded again.
    let fresh: Vec<(B3, Vec<u8>)> = all
        .iter()
        .zip(&keys)
        .filter_map(|(read, key)| Some((read.as_ref().ok().filter(|(_, is_new)| *is_new)?, key)))
        .filter_map(|((rows, _), key)| Some((*key, serde_json::to_vec(rows).ok()?)))
        .collect();
    cache.remember_contents(&fresh);
    all.into_iter().map(|read| read.map(|(rows, _)| rows)).collect()
}

fn episode(found: &FoundEpisode, path: &str, group_rows: &[u64]) -> PlainEpisode {
    let group_at = |row: u64| {
        let mut end = 0;
        group_rows
            .iter()
            .position(|rows| {
                end += rows;
                row < end
            })
            .unwrap_or(0) as u32
    };
    let (first, last) = (group_at(found.row), group_at((found.row + found.rows).saturating_sub(1)));
    let key = found.index.map_or_else(|| PlainShard::whole_key(path), |it| it.to_string());
    PlainEpisode {
        index: index_of(&key),
        key,
        row: found.row,
        rows: found.rows,
        row_group: first,
        row_groups: last - first + 1,
        hash: found.hash,
        features: found.features.iter().cloned().collect(),
    }
}

/// Takes keys and split from a given index.
fn named(mut shard: PlainShard, given: Option<&GivenIndex>) -> Result<PlainShard> {
    let Some(episodes) = given.and_then(|it| it.shards.get(&shard.path)) else { return Ok(shard) };
    for (mine, given) in shard.episodes.iter_mut().zip(episodes) {
        mine.key.clone_from(&given.key);
        mine.index = index_of(&given.key);
    }
    let mut splits: Vec<&String> = episodes.iter().filter_map(|it| it.split.as_ref()).collect();
    splits.dedup();
    match splits.as_slice() {
        [] => Ok(shard),
        [split] => {
            shard.split = (*split).clone();
            Ok(shard)
        }
        more => {
            let message = format!("the sample index puts episodes of one shard into the splits {more:?}");
            Err(Error::new(ErrorKind::Config, message)
                .at(Locus::path(&shard.path))
                .with_hint("a shard belongs to one split"))
        }
    }
}

/// The split that a path tells: a folder or the first word of the file's name.
fn split_of(path: &str, declared: &[String]) -> String {
    let inside = path.strip_prefix("data/").unwrap_or(path);
    let usual = ["train", "val", "validation", "valid", "test", "eval"];
    let is_split = |it: &str| {
        if declared.is_empty() { usual.contains(&it) } else { declared.iter().any(|name| name == it) }
    };
    let (folders, file) = inside.rsplit_once('/').unwrap_or(("", inside));
    let folder = folders.split('/').find(|it| is_split(it));
    let stem = file.strip_suffix(".parquet").unwrap_or(file);
    let word = stem.split(['-', '_', '.']).next().filter(|it| is_split(it));
    let fallback = declared.first().map_or(DEFAULT_SPLIT, String::as_str);
    word.or(folder).unwrap_or(fallback).to_owned()
}

fn schema_of(
    declared: Option<&Schema>,
    files: &[(String, PathBuf)],
    rows: &[ShardRows],
    shards: &[PlainShard],
) -> Result<Schema> {
    let mut splits: Vec<String> = Vec::new();
    for shard in shards {
        if !splits.contains(&shard.split) {
            splits.push(shard.split.clone());
        }
    }
    let inferred = files.iter().zip(rows).map(|((_, file), rows)| {
        Schema::from_json(&rows.schema).map(|it| (file.display().to_string(), it)).map_err(|_| {
            Error::new(ErrorKind::Corrupt, "the inferred schema cannot be read").at(Locus::path(file))
        })
    });
    let inferred: Vec<(String, Schema)> = inferred.collect::<Result<_>>()?;
    let Some(declared) = declared else {
        let all: Vec<(&str, Schema)> =
            inferred.iter().map(|(path, it)| (path.as_str(), it.clone())).collect();
        return union(&all, splits);
    };
    all_as_one(inferred.iter().flat_map(|(path, it)| shape_errors(declared, it, path)).collect())?;
    let mut schema = declared.clone();
    schema.mode.get_or_insert(Mode::Declared);
    if schema.splits.is_empty() {
        schema.splits = splits;
    }
    Ok(schema)
}

/// Lengths that a footer does not tell but rows do.
fn shape_errors(declared: &Schema, found: &Schema, path: &str) -> Vec<Error> {
    let mut errors = Vec::new();
    for (name, found) in found.fields.iter() {
        let Some(field) = declared.fields.get(name) else { continue };
        let is_media =
            field.encoding.as_deref().is_some_and(|it| it != "raw") || field.shape.len() != found.shape.len();
        // Of media, rows tell the lists around them.
        let n_told = if is_media { found.lists.unwrap_or(0) } else { found.shape.len() };
        let mut told = field.shape.iter().zip(&found.shape).take(n_told);
        if told.any(|(a, b)| matches!(a, Dim::Fixed(_)) && a != b) {
            let message = format!(
                "rows of feature `{name}` have shape {:?}, but the schema declares {:?}",
                found.document_shape(),
                field.document_shape()
            );
            errors.push(
                Error::new(ErrorKind::SchemaMismatch, message)
                    .at(Locus { feature: Some(name.to_owned()), ..Locus::path(path) })
                    .with_hint(format!(
                        "change `fields.{name}.shape` in schema.json, or write the shard again"
                    )),
            );
        }
    }
    errors
}

/// The card named, or the one that lies in the pushed folder.
fn read_readme(named: Option<&Path>, paths: &[PathBuf]) -> Result<Option<String>> {
    let beside = || match paths {
        [folder] => Some(folder.join("README.md")).filter(|it| it.is_file()),
        _ => None,
    };
    let file = named.map(Path::to_owned).or_else(beside);
    file.map(|it| std::fs::read_to_string(&it).map_err(|err| read_error(&it, err))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_splits() {
        let declared = ["train".to_owned(), "holdout".to_owned()];
        for (path, split) in [
            ("data/train-00000.parquet", "train"),
            ("data/holdout_1.parquet", "holdout"),
            ("data/holdout/a.parquet", "holdout"),
            ("data/test-1.parquet", "train"),
            ("data/x.parquet", "train"),
        ] {
            assert_eq!(split_of(path, &declared), split, "{path}");
        }
        assert_eq!(split_of("data/val/0.parquet", &[]), "val");
        assert_eq!(split_of("data/recording.parquet", &[]), "train");
    }
}
