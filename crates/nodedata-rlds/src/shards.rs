use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::{Error, ErrorKind, Finding, Locus, Loss, Result};
use nodedata_io::packed::Packing;
use nodedata_steps::Listing;

use crate::{
    container::Container,
    info::{DatasetInfo, SplitInfo, shard_digits},
    metadata::DATASET_INFO,
};

/// A file of records.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Its name below the root.
    pub(crate) name: String,
    pub(crate) container: Container,
    /// The split it belongs to, where anything tells.
    pub(crate) split: Option<String>,
    /// How many records the metadata says it has.
    pub(crate) n_told: Option<u64>,
}

/// The shards of a dataset.
#[derive(Debug, Default)]
pub(crate) struct Shards {
    /// Split by split as the metadata has them; then those that it does not know.
    pub(crate) found: Vec<Shard>,
    /// What is told to be there, and is not.
    pub(crate) missing: Vec<Error>,
    pub(crate) warnings: Vec<Finding>,
}

impl Shards {
    /// Holds what the metadata says against the files that are there.
    ///
    /// # Errors
    /// `Config` for two copies of one shard.
    pub(crate) fn of(listing: &Listing, info: &DatasetInfo, container: Container) -> Result<Self> {
        let mut shards = Self::default();
        let mut told = BTreeSet::new();
        let mut renamed = BTreeSet::new();
        for split in &info.splits {
            let dataset = called(listing, split, &info.name, container);
            shards.add_split(listing, split, dataset, container, &mut told);
            if dataset != info.name && !info.name.is_empty() && renamed.insert(dataset) {
                let message =
                    format!("the dataset is called `{}`, but files of records `{dataset}`", info.name);
                shards.warnings.push(Finding::warning(message, Locus::path(listing.path(DATASET_INFO))));
            }
        }
        let others = others(listing, (!info.splits.is_empty()).then_some(container));
        for (name, beside) in &others {
            let message = format!(
                "the file is not read: it is of the same split as `{beside}`, and `{DATASET_INFO}` tells of `{}` files",
                container.suffix()
            );
            shards.warnings.push(Finding::warning(message, Locus::path(listing.path(name))));
        }
        told.extend(others.into_iter().map(|it| it.0.to_owned()));
        shards.add_untold(listing, info, &told);
        shards.refuse_copies(listing)?;
        Ok(shards)
    }

    /// All files as TFRecords, where no metadata says anything of them.
    ///
    /// # Errors
    /// `Config` for two copies of one shard.
    pub(crate) fn of_names(listing: &Listing) -> Result<Self> {
        let mut shards = Self::default();
        shards.add_untold(listing, &DatasetInfo::default(), &BTreeSet::new());
        // Whoever names one file of a series may mean that one.
        let missing = std::mem::take(&mut shards.missing);
        let warnings = missing.into_iter().map(|it| Finding::warning(it.to_string(), it.locus().clone()));
        shards.warnings.extend(warnings);
        let others = listing.names().filter(|it| ShardName::of(it).is_none());
        shards.found.extend(others.map(|it| Shard {
            name: it.to_owned(),
            container: Container::TfRecord,
            split: None,
            n_told: None,
        }));
        shards.found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        shards.refuse_copies(listing)?;
        Ok(shards)
    }

    /// A shard that is there twice, such as packed and as it was before, would double its episodes, and nothing tells which of the two is
    /// meant.
    fn refuse_copies(&self, listing: &Listing) -> Result<()> {
        let mut by_shard: BTreeMap<String, &str> = BTreeMap::new();
        let mut by_stem: BTreeMap<&str, &Shard> = BTreeMap::new();
        for shard in &self.found {
            let Shard { name, container, .. } = shard;
            let plain = Packing::of_name(name).map_or(name.as_str(), |it| it.0);
            let parts = ShardName::of(name);
            let key = parts.as_ref().map_or_else(|| plain.to_owned(), ShardName::shard);
            let found = by_shard.insert(key, name).map(str::to_owned);
            // Of one that the metadata tells by another name, the other copy may not be called as a shard is.
            let packed = Packing::ALL.iter().map(|it| format!("{plain}.{}", it.ending()));
            let mut copies =
                std::iter::once(plain.to_owned()).chain(packed).filter(|_| container.may_be_packed());
            let of_stem = parts.map(|it| &**by_stem.entry(it.stem).or_insert(shard));
            let other_kind = of_stem.filter(|it| it.container != *container);
            let (other, what) =
                match (other_kind, found.or_else(|| copies.find(|it| it != name && listing.has(it)))) {
                    (Some(other), _) => (other.name.clone(), "are of one split, in files of two kinds"),
                    (None, Some(other)) => (other, "are two copies of one shard"),
                    (None, None) => continue,
                };
            let (name, other) = (listing.path(name), listing.path(&other));
            let message = format!("`{}` and `{}` {what}", name.display(), other.display());
            return Err(Error::new(ErrorKind::Config, message)
                .at(Locus::path(name))
                .with_hint("move one of them away, or name the files that are meant one by one"));
        }
        Ok(())
    }

    fn add_split(
        &mut self,
        listing: &Listing,
        split: &SplitInfo,
        dataset: &str,
        container: Container,
        told: &mut BTreeSet<String>,
    ) {
        let mut gone = Missing::default();
        for shard in 0..split.n_shards() {
            let name = split.shard(shard, dataset, container);
            let n_told = split.n_records(shard);
            let Some(name) = there(listing, &name, container) else {
                gone.n_episodes = gone.n_episodes.saturating_add(n_told.unwrap_or(0));
                gone.n_files += 1;
                gone.first.get_or_insert(name);
                continue;
            };
            if told.insert(name.clone()) {
                self.found.push(Shard { name, container, split: Some(split.name.clone()), n_told });
            }
        }
        self.missing.extend(gone.told(listing, &split.name));
    }

    /// Takes in the files that no metadata counts. Their names tell how many there should be.
    fn add_untold(&mut self, listing: &Listing, info: &DatasetInfo, told: &BTreeSet<String>) {
        let names = listing.names().filter(|it| !told.contains(*it));
        let untold: Vec<(&str, ShardName<'_>)> =
            names.filter_map(|it| Some((it, ShardName::of(it)?))).collect();
        let mut series: BTreeMap<(&str, u64), (&ShardName<'_>, BTreeSet<u64>)> = BTreeMap::new();
        for (_, name) in &untold {
            if let Some((shard, n_shards)) = name.position {
                series.entry((name.stem, n_shards)).or_insert((name, BTreeSet::new())).1.insert(shard);
            }
        }
        for ((stem, n_shards), (name, there)) in series {
            let width = shard_digits(n_shards);
            let first = (0..n_shards).find(|it| !there.contains(it));
            let suffix = name.container.suffix();
            let gone = Missing {
                first: first.map(|it| format!("{stem}.{suffix}-{it:0width$}-of-{n_shards:0width$}")),
                n_files: n_shards.saturating_sub(there.len() as u64),
                n_episodes: 0,
            };
            self.missing.extend(gone.told(listing, name.split().unwrap_or(stem)));
        }
        if let (Some((first, _)), false) = (untold.first(), info.splits.is_empty()) {
            let message = format!(
                "`{DATASET_INFO}` does not count the records of {} files, the first of them this one; what they hold is read",
                untold.len()
            );
            self.warnings.push(Finding::warning(message, Locus::path(listing.path(first))));
        }
        self.found.extend(untold.into_iter().map(|(name, parts)| Shard {
            name: name.to_owned(),
            container: parts.container,
            split: parts.split().map(str::to_owned),
            n_told: None,
        }));
    }
}

/// Files of splits that are there in files of another kind as well, which the metadata tells of, as TFDS leaves them when it converts a dataset:
/// each with one of the latter.
fn others(listing: &Listing, told: Option<Container>) -> Vec<(&str, &str)> {
    let Some(told) = told else { return Vec::new() };
    let named = || listing.names().filter_map(|it| Some((it, ShardName::of(it)?)));
    let of_told: BTreeMap<&str, &str> =
        named().filter(|it| it.1.container == told).map(|(name, parts)| (parts.stem, name)).collect();
    let others = named().filter(|it| it.1.container != told);
    others.filter_map(|(name, parts)| Some((name, *of_told.get(parts.stem)?))).collect()
}

/// Names that the files of a split may have for the dataset, for one of them to be taken.
const CALLED_MAX: usize = 16;

/// What the files of a split have for the name of the dataset: that which the metadata tells, or else the only one that
/// files of the split are there with. Whoever renames a dataset may forget the one or the other.
fn called<'a>(listing: &'a Listing, split: &SplitInfo, told: &'a str, container: Container) -> &'a str {
    let is_there = |dataset: &str| {
        (0..split.n_shards())
            .any(|it| there(listing, &split.shard(it, dataset, container), container).is_some())
    };
    if is_there(told) {
        return told;
    }
    let of_split = listing.names().filter_map(ShardName::of).filter(|it| it.split() == Some(&split.name));
    let others: BTreeSet<&str> = of_split.filter_map(|it| it.dataset()).collect();
    if CALLED_MAX < others.len() {
        return told;
    }
    let mut others = others.into_iter().filter(|it| is_there(it));
    let only = others.next().filter(|_| others.next().is_none());
    only.unwrap_or(told)
}

/// Files of a split that are not there.
#[derive(Default)]
struct Missing {
    first: Option<String>,
    n_files: u64,
    n_episodes: u64,
}

impl Missing {
    /// `None` when none is missing.
    fn told(self, listing: &Listing, split: &str) -> Option<Error> {
        let first = self.first.filter(|_| self.n_files != 0)?;
        let episodes = match self.n_episodes {
            0 => String::new(),
            n => format!(", and with them {n} episodes"),
        };
        let (n_files, were) = (self.n_files, if self.n_files == 1 { "file is" } else { "files are" });
        let message = format!("{n_files} {were} not there of split `{split}`, such as this one{episodes}");
        let loss = Loss { uncounted: true, reason: "missing_shard", ..Loss::default() };
        let err = Error::new(ErrorKind::Corrupt, message)
            .at(Locus::path(listing.path(&first)))
            .with_hint("fetch them, or `--on-error salvage` converts those that are there, and exits with 3");
        Some(err.with_loss(loss))
    }
}

/// The name under which a file that is told is there: it may have been packed since, and be called so.
fn there(listing: &Listing, told: &str, container: Container) -> Option<String> {
    if listing.has(told) {
        return Some(told.to_owned());
    }
    let endings = Packing::ALL.iter().filter(|_| container.may_be_packed());
    endings.map(|it| format!("{told}.{}", it.ending())).find(|it| listing.has(it))
}

/// Whether a file is called as one of TFRecords.
pub(crate) fn is_tfrecord(name: &str) -> bool {
    let plain = Packing::of_name(name).map_or(name, |it| it.0);
    let is_other = [".tfrecords", ".tfrec"].iter().any(|it| plain.ends_with(it));
    is_other || ShardName::of(name).is_some_and(|it| it.container == Container::TfRecord)
}

/// Whether a file is called as one of records.
pub(crate) fn is_shard(name: &str) -> bool {
    ShardName::of(name).is_some()
}

/// The parts of a name such as `folder/x-train.tfrecord` or `x-train.tfrecord-00000-of-00002`.
#[derive(Debug, PartialEq, Eq)]
struct ShardName<'a> {
    /// What lies before the suffix: `folder/x-train`.
    stem: &'a str,
    container: Container,
    /// Which it is, and of how many.
    position: Option<(u64, u64)>,
}

impl<'a> ShardName<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let (plain, packing) = Packing::of_name(name).map_or((name, None), |it| (it.0, Some(it.1)));
        Container::ALL.into_iter().find_map(|container| {
            if packing.is_some() && !container.may_be_packed() {
                return None;
            }
            let (stem, rest) = plain.rsplit_once(&format!(".{}", container.suffix()))?;
            if rest.is_empty() {
                // A Parquet file may be of anything, unless it is called as only TFDS calls them.
                return (container != Container::Parquet).then_some(Self { stem, container, position: None });
            }
            let (shard, n_shards) = rest.strip_prefix('-')?.split_once("-of-")?;
            let number = |it: &str| it.parse().ok().filter(|_| it.bytes().all(|it| it.is_ascii_digit()));
            Some(Self { stem, container, position: Some((number(shard)?, number(n_shards)?)) })
        })
    }

    /// What all copies of a shard have in common, however they are packed.
    fn shard(&self) -> String {
        match self.position {
            Some((shard, n_shards)) => format!("{} {shard} {n_shards}", self.stem),
            // No file is called so.
            None => format!("{}/", self.stem),
        }
    }

    /// `train` of `folder/x-train`.
    fn split(&self) -> Option<&'a str> {
        let name = self.stem.rsplit('/').next()?;
        name.rsplit_once('-').map(|it| it.1).filter(|it| !it.is_empty())
    }

    /// `x` of `folder/x-train`.
    fn dataset(&self) -> Option<&'a str> {
        let name = self.stem.rsplit('/').next()?;
        name.rsplit_once('-').map(|it| it.0).filter(|it| !it.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_known_by_their_names() {
        for (name, split, position) in [
            ("robot_oxe-train.tfrecord-00001-of-00002", Some("train"), Some((1, 2))),
            ("a/robot-val.tfrecord", Some("val"), None),
            ("robot.tfrecord-00000-of-00001", None, Some((0, 1))),
            ("robot-train.tfrecord-00001-of-00002.gz", Some("train"), Some((1, 2))),
            ("robot-val.tfrecord.zst", Some("val"), None),
            ("robot-val.array_record-00000-of-00001", Some("val"), Some((0, 1))),
            ("robot-val.parquet-00000-of-00001", Some("val"), Some((0, 1))),
        ] {
            let found = ShardName::of(name).unwrap();
            assert_eq!((found.split(), found.position), (split, position), "{name}");
        }
        for name in [
            "robot-train.tfrecord-00000-of-00002_index.json",
            "robot-train.tfrecord-00000",
            "robot-train.tfrecord--of-",
            "features.json",
            "train-00000-of-00002.parquet",
            "robot-val.array_record-00000-of-00001.gz",
        ] {
            assert!(!is_shard(name), "{name}");
        }
    }
}
