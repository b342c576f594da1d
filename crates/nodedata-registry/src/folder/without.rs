use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Files, Locus, Progress, Result};
use nodedata_dataset::{Dataset, LeftOut};
use nodedata_io::io_error;

use crate::{
    content::Contents,
    folder::{
        CardFacts, Draft, Origin,
        footer::Footer,
        plain::{PlainModel, PlainShard},
        restore::restore,
    },
    hash_cache::HashCache,
    hashing::hash_files,
    record::{BlobRef, RevisionManifest, ShardRef, SplitRef},
    revision::Revision,
};

/// Keys of episodes by split.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EpisodeKeys(BTreeMap<String, BTreeSet<String>>);

impl EpisodeKeys {
    /// Those that a revision leaves out although their rows lie in its shards.
    pub(crate) fn left_out(manifest: &RevisionManifest) -> Self {
        let splits = manifest.splits.iter().filter(|(_, it)| !it.exclude.is_empty());
        Self(splits.map(|(name, it)| (name.clone(), it.exclude.iter().cloned().collect())).collect())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.0.values().map(|it| it.len() as u64).sum()
    }

    /// Whether an episode is one of them.
    pub(crate) fn has(&self, split: &str, key: &str) -> bool {
        self.0.get(split).is_some_and(|it| it.contains(key))
    }

    /// Positions among the revision's shards of those that hold rows of them.
    ///
    /// # Errors
    /// As [`Revision::shards`]; `Corrupt` when the index of episodes cannot be read.
    pub(crate) fn touched(&self, revision: &Revision) -> Result<BTreeSet<usize>> {
        let table = revision.as_dataset()?.episodes()?;
        let rows: Vec<u64> = revision.shards()?.iter().map(|it| it.rows).collect();
        let left_out = LeftOut::of(&table, &rows, &|split, key| self.has(split, key))?;
        let touched = left_out.shards.iter().enumerate().filter(|(_, it)| it.is_touched());
        Ok(touched.map(|(idx, _)| idx).collect())
    }
}

/// A revision without the episodes of `gone`: shards that hold rows of them are written again below the folder `to`, and what
/// describes the dataset is made anew. `files` are those of the revision, wherever they are nearest.
///
/// # Errors
/// `Corrupt` when the revision's files do not fit each other; `Io`, `Denied`; `Interrupted` when `progress` says to stop.
pub(crate) fn without_episodes(
    revision: &Revision,
    files: Arc<dyn Files>,
    gone: &EpisodeKeys,
    to: &Path,
    progress: &dyn Progress,
) -> Result<Draft> {
    let dataset = Dataset::over(files)?;
    let shards = revision.shards()?;
    let is_same = dataset.manifest.shards.len() == shards.len()
        && dataset.manifest.shards.iter().zip(shards).all(|(a, b)| a.path == b.path && a.rows == b.rows);
    if !is_same {
        return Err(Error::new(ErrorKind::Corrupt, "manifest.json names other shards than the revision")
            .at(Locus::path("manifest.json")));
    }
    if revision.manifest().index.contains_key("contents") {
        plain(revision, &dataset, gone, to, progress)
    } else {
        converted(revision, &dataset, gone, to, progress)
    }
}

fn plain(
    revision: &Revision,
    dataset: &Dataset,
    gone: &EpisodeKeys,
    to: &Path,
    progress: &dyn Progress,
) -> Result<Draft> {
    let mut model = restore(revision)?;
    let rows: Vec<u64> = model.shards.iter().map(|it| it.rows).collect();
    let left_out = LeftOut::of(&dataset.episodes()?, &rows, &|split, key| gone.has(split, key))?;
    let mut shards = Vec::new();
    for (shard, kept) in std::mem::take(&mut model.shards).into_iter().zip(&left_out.shards) {
        if kept.is_gone() {
            continue;
        }
        if !kept.is_touched() {
            shards.push(shard);
            continue;
        }
        let path = to.join(&shard.path);
        make_folder_of(&path)?;
        let written = dataset.write_kept(&shard.path, kept, &path, progress)?;
        let footer = Footer::read(&path)?;
        let mut episodes = shard.episodes;
        episodes.retain(|it| !gone.has(&shard.split, &it.key));
        for episode in &mut episodes {
            episode.row = kept.place(episode.row);
            let (first, n) = written.groups_of(episode.row, episode.rows);
            episode.row_group = u32::try_from(first).unwrap_or(u32::MAX);
            episode.row_groups = u32::try_from(n).unwrap_or(u32::MAX);
        }
        shards.push(PlainShard {
            blob: blob_of_file(&path, progress)?,
            rows: footer.rows,
            row_groups: footer.group_rows.len() as u64,
            episodes,
            pages: written.pages,
            stats: footer.stats,
            file: Some(path),
            ..shard
        });
    }
    let manifest = revision.manifest();
    let facts = CardFacts {
        title: manifest.title.clone().unwrap_or_else(|| manifest.dataset.name().to_owned()),
        license: manifest.license.clone(),
        tags: manifest.tags.clone(),
    };
    PlainModel { shards, ..model }.render(&facts)
}

fn converted(
    revision: &Revision,
    dataset: &Dataset,
    gone: &EpisodeKeys,
    to: &Path,
    progress: &dyn Progress,
) -> Result<Draft> {
    let without = dataset.without(&|split, key| gone.has(split, key), to, progress)?;
    let mut draft = Draft::of_revision(revision)?;
    let published: BTreeMap<String, ShardRef> =
        std::mem::take(&mut draft.shards).into_iter().map(|it| (it.path.clone(), it)).collect();
    for entry in &without.manifest.shards {
        let old = published.get(&entry.path).cloned().ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "the revision has no such shard").at(Locus::path(&entry.path))
        })?;
        if !without.shards.contains(&entry.path) {
            draft.shards.push(old);
            continue;
        }
        let file = to.join(&entry.path);
        let blob = blob_of_file(&file, progress)?;
        draft.sources.insert(blob.b3, Origin::File(file));
        draft.shards.push(ShardRef {
            blob,
            rows: entry.rows,
            row_groups: entry.row_groups,
            episodes: entry.episodes,
            content: entry.content.parse()?,
            provenance: entry.provenance.parse()?,
            ..old
        });
    }
    let attached = |it: &[nodedata_dataset::FileEntry]| -> BTreeSet<String> {
        it.iter().map(|it| it.path.clone()).collect()
    };
    let before = attached(&dataset.manifest.attachments);
    let after = attached(&without.manifest.attachments);
    draft.files.retain(|it| !before.contains(&it.path) || after.contains(&it.path));
    for (path, bytes) in without.files {
        draft.replace(&path, bytes);
    }
    draft.contents =
        Contents(draft.contents.0.into_iter().filter(|(id, _)| !gone.has(&id.split, &id.key)).collect());
    let splits = without.manifest.splits.iter().map(|(name, it)| {
        let split =
            SplitRef { episodes: it.episodes, frames: it.rows, shards: it.shards, exclude: Vec::new() };
        (name.clone(), split)
    });
    draft.splits = splits.collect();
    draft.provenance_root = without.manifest.provenance_root.parse()?;
    Ok(draft)
}

fn blob_of_file(path: &Path, progress: &dyn Progress) -> Result<BlobRef> {
    let found = hash_files(&[path], &HashCache::none(), progress)?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| Error::new(ErrorKind::Io, "the file was not read").at(Locus::path(path)))
}

fn make_folder_of(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|err| io_error("cannot make the folder", folder, err))
}

/// The files of a revision, some of which lie in a folder of this machine already, verified.
pub(crate) struct Nearest {
    pub(crate) revision: Revision,
    pub(crate) root: PathBuf,
    /// Paths of those.
    pub(crate) there: BTreeSet<PathBuf>,
}

impl Files for Nearest {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.revision.list()
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn nodedata_core::ReadAt>> {
        match self.there.contains(path) {
            true => nodedata_io::FolderFiles::new(&self.root).open(path),
            false => self.revision.open(path),
        }
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        self.revision.stamp(path)
    }
}
