use std::collections::BTreeSet;

use nodedata_core::{Error, ErrorKind, Locus, Loss};
use nodedata_steps::Listing;

use crate::{container::Container, dataset_info::DatasetInfo};

/// A file of records.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Its name below the root.
    pub(crate) name: String,
    /// The split it belongs to, where anything tells.
    pub(crate) split: Option<String>,
    /// How many records the metadata says it has.
    pub(crate) n_told: Option<u64>,
}

/// The shards of a dataset, split by split as the metadata has them; then those that it does not know. With what the
/// metadata knows and is not there.
pub(crate) fn shards(
    listing: &Listing,
    info: &DatasetInfo,
    container: Container,
) -> (Vec<Shard>, Vec<Error>) {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    let mut told = BTreeSet::new();
    for split in &info.splits {
        let mut gone = Missing::default();
        for (name, n_told) in split.shards(&info.name, container) {
            if !listing.has(&name) {
                gone.n_episodes += n_told.unwrap_or(0);
                gone.n_files += 1;
                gone.first.get_or_insert(name);
            } else if told.insert(name.clone()) {
                found.push(Shard { name, split: Some(split.name.clone()), n_told });
            }
        }
        missing.extend(gone.first.as_ref().map(|first| gone.told(listing, first, &split.name)));
    }
    for name in listing.names().filter(|it| is_shard(it) && !told.contains(*it)) {
        found.push(Shard { name: name.to_owned(), split: split_of(name).map(str::to_owned), n_told: None });
    }
    (found, missing)
}

/// Files of a split that are not there.
#[derive(Default)]
struct Missing {
    first: Option<String>,
    n_files: u64,
    n_episodes: u64,
}

impl Missing {
    fn told(&self, listing: &Listing, first: &str, split: &str) -> Error {
        let message = format!(
            "{} of the files of split `{split}` are not there, the first of them this one, and with them {} episodes",
            self.n_files, self.n_episodes
        );
        let loss = Loss { uncounted: true, reason: "missing_shard", ..Loss::default() };
        Error::new(ErrorKind::Corrupt, message)
            .at(Locus::path(listing.path(first)))
            .with_hint("fetch them, or `--on-error salvage` converts those that are there, and exits with 3")
            .with_loss(loss)
    }
}

/// `x.tfrecord` or `x.tfrecord-00000-of-00002`.
pub(crate) fn is_shard(name: &str) -> bool {
    let rest = name.rsplit_once(".tfrecord").map(|it| it.1);
    rest.is_some_and(|it| it.is_empty() || (it.starts_with('-') && is_number(it)))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_digit() || b"-of".contains(&it))
}

/// `train` of `robot-train.tfrecord-00000-of-00002`.
fn split_of(name: &str) -> Option<&str> {
    let stem = name.rsplit_once(".tfrecord")?.0;
    let split = stem.rsplit('/').next()?.rsplit_once('-')?.1;
    Some(split).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_known_by_their_names() {
        for (name, split) in [
            ("robot_oxe-train.tfrecord-00000-of-00002", Some(Some("train"))),
            ("a/robot-val.tfrecord", Some(Some("val"))),
            ("robot.tfrecord-00000-of-00001", Some(None)),
            ("robot-train.tfrecord-00000-of-00002_index.json", None),
            ("features.json", None),
        ] {
            assert_eq!(is_shard(name).then(|| split_of(name)), split, "{name}");
        }
    }
}
