//! A dataset without some of its episodes: the shards that hold rows of them are written again, and everything that describes
//! the dataset is made anew from what stays.

mod documents;
mod index;
mod kept;
mod shard;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use nodedata_core::{Error, ErrorKind, Progress, Result};
use rayon::prelude::*;

pub use kept::{KeptShard, LeftOut};
pub use shard::KeptFile;

use crate::{
    card::card,
    content::content_root_of,
    digest::b3_of,
    episode_table::EpisodeTable,
    front_matter::with_files,
    manifest::{FileEntry, Manifest, SplitEntry},
    pretty_json,
    read::{Dataset, MANIFEST},
};

/// What a dataset is without some of its episodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Without {
    /// Its manifest.
    pub manifest: Manifest,
    /// Every file that describes it and is another one than before, `manifest.json` too, by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Paths of the shards that were written again.
    pub shards: BTreeSet<String>,
}

impl Dataset {
    /// The dataset without the episodes for which `goes` says so, by split and key. Shards that hold rows of them are written to
    /// the folder `to`, under their path; nothing else is written. Of streams that lose rows, statistics are measured again.
    ///
    /// # Errors
    /// `Corrupt` when the dataset's own files do not fit each other; `Io`; `Interrupted` when `progress` says to stop.
    pub fn without(
        &self,
        goes: &(dyn Fn(&str, &str) -> bool + Sync),
        to: &Path,
        progress: &dyn Progress,
    ) -> Result<Without> {
        let table = self.episodes()?;
        let rows: Vec<u64> = self.manifest.shards.iter().map(|it| it.rows).collect();
        let left_out = LeftOut::of(&table, &rows, goes)?;
        let written = self.write_all_kept(&left_out, to, progress)?;
        let shards = self.manifest.shards.iter().zip(&written).filter(|(_, it)| it.is_some());
        let shards = shards.map(|(entry, _)| entry.path.clone()).collect();
        let remaking = Remaking {
            dataset: self,
            goes,
            to,
            progress,
            positions: left_out.positions(),
            left_out: &left_out,
            written: &written,
            table: &table,
        };
        let (manifest, files) = remaking.run()?;
        Ok(Without { manifest, files, shards })
    }

    /// By position in the manifest: `None` where a shard stays as it is, or nothing of it stays.
    fn write_all_kept(
        &self,
        left_out: &LeftOut,
        to: &Path,
        progress: &dyn Progress,
    ) -> Result<Vec<Option<KeptFile>>> {
        let all: Vec<_> = self.manifest.shards.iter().zip(&left_out.shards).collect();
        let written = all.par_iter().with_max_len(1).map(|(entry, kept)| {
            if !kept.is_touched() || kept.is_gone() {
                return Ok(None);
            }
            // Before a folder is made of it: a path that leads elsewhere is refused.
            drop(self.file(&entry.path)?);
            let path = to.join(&entry.path);
            if let Some(folder) = path.parent() {
                let failed = |err| nodedata_io::io_error("cannot make the folder", folder, err);
                std::fs::create_dir_all(folder).map_err(failed)?;
            }
            self.write_kept(&entry.path, kept, &path, progress).map(Some)
        });
        written.collect()
    }
}

/// The files of one dataset, made anew.
struct Remaking<'a> {
    dataset: &'a Dataset,
    goes: &'a (dyn Fn(&str, &str) -> bool + Sync),
    to: &'a Path,
    progress: &'a dyn Progress,
    left_out: &'a LeftOut,
    /// By old position: the new one.
    positions: Vec<Option<usize>>,
    /// By old position.
    written: &'a [Option<KeptFile>],
    table: &'a EpisodeTable,
}

impl Remaking<'_> {
    fn run(&self) -> Result<(Manifest, BTreeMap<String, Vec<u8>>)> {
        let old = &*self.dataset.manifest;
        let mut files = BTreeMap::new();
        let mut manifest = Manifest::clone(old);
        self.recount(&mut manifest);
        let contents = self.contents_by_shard();
        self.describe_shards(&mut manifest, &contents, &mut files)?;
        manifest.splits = self.splits(&manifest);
        manifest.content_root = content_root_of(
            &manifest.streams,
            self.table.iter().filter(|it| !self.has_gone(it.split, it.key)),
        );
        let left_out: Vec<[&str; 2]> =
            self.gone_keys().into_iter().map(|(split, key)| [split, key]).collect();
        let recipe = serde_json::json!({"recipe": old.recipe, "without": left_out});
        manifest.recipe = b3_of(crate::canonical_json(&recipe).as_bytes());
        let measured = self.measured()?;
        self.remeasure(&measured, &mut manifest, &mut files)?;
        self.remake_index(&mut manifest, &mut files)?;
        self.remake_card(&mut manifest, &mut files)?;
        self.remake_report(&measured, &manifest, &mut files)?;
        let text = pretty_json(&manifest)?;
        files.insert(MANIFEST.to_owned(), text.into_bytes());
        Ok((manifest, files))
    }

    fn has_gone(&self, split: &str, key: &str) -> bool {
        (self.goes)(split, key)
    }

    /// The episodes that go, as split and key.
    fn gone_keys(&self) -> BTreeSet<(&str, &str)> {
        let gone = self.table.iter().filter(|it| self.has_gone(it.split, it.key));
        gone.map(|it| (it.split, it.key)).collect()
    }

    /// Rows of streams, and what became of the rest.
    fn recount(&self, manifest: &mut Manifest) {
        let mut gone: BTreeMap<&str, u64> = BTreeMap::new();
        for (entry, kept) in self.dataset.manifest.shards.iter().zip(&self.left_out.shards) {
            *gone.entry(&entry.stream).or_default() += kept.n_gone();
        }
        for stream in &mut manifest.streams {
            let n_rows = gone.get(stream.name.as_str()).copied().unwrap_or(0);
            stream.rows = stream.rows.saturating_sub(n_rows);
        }
        for (stream, ledger) in &mut manifest.ledger {
            ledger.withdraw(gone.get(stream.as_str()).copied().unwrap_or(0));
        }
    }

    fn splits(&self, manifest: &Manifest) -> BTreeMap<String, SplitEntry> {
        let mut episodes: BTreeMap<&str, u64> = BTreeMap::new();
        for (split, _) in self.gone_keys() {
            *episodes.entry(split).or_default() += 1;
        }
        let splits = self.dataset.manifest.splits.iter().map(|(name, it)| {
            let gone = episodes.get(name.as_str()).copied().unwrap_or(0);
            let of_split = || manifest.shards.iter().filter(|it| it.split == *name);
            let split = SplitEntry {
                episodes: it.episodes.saturating_sub(gone),
                rows: of_split().map(|it| it.rows).sum(),
                shards: of_split().count() as u64,
            };
            (name.clone(), split)
        });
        splits.collect()
    }

    /// The card that was made for the dataset is made again; in one that somebody wrote, at most the names of files change.
    fn remake_card(&self, manifest: &mut Manifest, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
        let old = &*self.dataset.manifest;
        let published = self.dataset.text(&old.readme.path)?;
        // One that was published with these episodes left out counts them no more already.
        let counted = Manifest { shards: old.shards.clone(), ..manifest.clone() };
        let text = if published == card(old) || published == card(&counted) {
            card(manifest)
        } else if self.positions.contains(&None) {
            with_files(&published, manifest)
        } else {
            return Ok(());
        };
        manifest.readme = put(files, &old.readme.path, text.into_bytes());
        Ok(())
    }
}

/// Keeps a file that is another one now.
fn put(files: &mut BTreeMap<String, Vec<u8>>, path: &str, bytes: Vec<u8>) -> FileEntry {
    let entry =
        FileEntry { path: path.to_owned(), b3: b3_of_bytes(&bytes), sha256: None, bytes: bytes.len() as u64 };
    files.insert(path.to_owned(), bytes);
    entry
}

/// 64 hex digits, as files are named in a manifest.
fn b3_of_bytes(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn misfit(message: String) -> Error {
    Error::new(ErrorKind::Corrupt, message).with_hint("`node-data validate` says what does not fit")
}
