//! What a bag's description says against what its files hold: the files win, and both numbers are told.

use std::{collections::BTreeMap, path::Path};

use nodedata_core::{Error, ErrorKind, Locus};
use nodedata_log::{LogFile, PlannedFile, Times};

use crate::{metadata::BagMetadata, recording::BagFile};

/// Names that are told of many.
const NAMES_MAX: usize = 5;

/// A file of a bag, opened.
pub(crate) type Opened = (BagFile, PlannedFile<Box<dyn LogFile>>);

/// Earliest log time of a file, as far as its plan knows.
pub(crate) fn first_time(log: &dyn LogFile) -> Option<u64> {
    let times = (0..log.n_units()).map(|it| log.unit(it).times);
    let first = |times| match times {
        Times::Within(first, _) => Some(Some(first)),
        Times::Nothing => Some(None),
        Times::Unknown => None,
    };
    times.map(first).collect::<Option<Vec<_>>>()?.into_iter().flatten().min()
}

/// What `metadata` and the files do not agree about.
pub(crate) fn contradictions(metadata: &BagMetadata, path: &Path, files: &[Opened]) -> Vec<Error> {
    let mut told = Vec::new();
    let mut tell = |message: String| {
        let error = Error::new(ErrorKind::Corrupt, message).at(Locus::path(path));
        told.push(error.with_hint("`ros2 bag reindex` writes the description of a bag anew"));
    };
    let is_there = |name: &&String| files.iter().any(|(file, _)| file.is_named(name));
    let gone: Vec<&String> = metadata.files.iter().filter(|it| !is_there(it)).collect();
    if !gone.is_empty() {
        let (n_gone, n, names) =
            (gone.len(), metadata.files.len(), listed(gone.iter().map(|it| it.as_str())));
        tell(format!("the bag is said to have {n} files, of which {n_gone} are not here: {names}"));
    }
    let is_said = |file: &BagFile| metadata.files.iter().any(|it| file.is_named(it));
    let names = files.iter().filter(|(file, _)| !is_said(file));
    let more: Vec<String> = names.map(|(file, _)| file.path.display().to_string()).collect();
    if !more.is_empty() && !metadata.files.is_empty() {
        let names = listed(more.iter().map(String::as_str));
        tell(format!("{} of the bag's files are not named; they are read: {names}", more.len()));
    }
    let mut n_of: BTreeMap<&str, u64> = BTreeMap::new();
    metadata.files.iter().for_each(|it| *n_of.entry(it).or_default() += 1);
    n_of.retain(|_, n| 1 < *n);
    if !n_of.is_empty() {
        let names = listed(n_of.keys().copied());
        tell(format!("files are named more than once, and each that is here is read once: {names}"));
    }
    counts(metadata, files, &mut tell);
    let first =
        files.iter().map(|(_, it)| it.log.as_deref().and_then(first_time)).collect::<Option<Vec<_>>>();
    let first = first.and_then(|it| it.into_iter().min());
    if let Some((said, found)) = metadata.starting_time.zip(first).filter(|(said, found)| said != found) {
        tell(format!(
            "the bag is said to start at {said} ns, and its first message was logged at {found} ns"
        ));
    }
    told
}

/// Messages of the bag, of its files and of its topics, where the files count them.
fn counts(metadata: &BagMetadata, files: &[Opened], tell: &mut impl FnMut(String)) {
    let mut of_topics: BTreeMap<&str, u64> = BTreeMap::new();
    let mut is_counted = true;
    for (file, planned) in files {
        let Some(counts) = planned.log.as_deref().and_then(counts_of) else {
            is_counted = false;
            continue;
        };
        for (id, n) in &counts {
            let channel = planned.facts.definitions.channels.get(id);
            *of_topics.entry(channel.map_or("", |it| it.topic.as_str())).or_default() += n;
        }
        let said = metadata.file_counts.iter().find(|(name, _)| file.is_named(name));
        let found: u64 = counts.values().sum();
        if let Some((name, said)) = said.filter(|(_, said)| **said != found) {
            tell(format!("`{name}` is said to have {said} messages, and has {found}"));
        }
    }
    if !is_counted {
        return;
    }
    let found: u64 = of_topics.values().sum();
    if let Some(said) = metadata.message_count.filter(|it| *it != found) {
        tell(format!("the bag is said to have {said} messages, and has {found}"));
    }
    let said = metadata.topics.iter().filter_map(|(name, it)| Some((name.as_str(), it.message_count?)));
    let found = |name: &str| of_topics.get(name).copied().unwrap_or(0);
    let others = said.filter(|(name, said)| *said != found(name));
    let others: Vec<String> =
        others.map(|(name, said)| format!("`{name}` {said} and has {}", found(name))).collect();
    if !others.is_empty() {
        tell(format!("topics are said to have other numbers of messages: {}", shortened(&others)));
    }
}

/// Messages by channel; `None` where a unit does not count its own.
fn counts_of(log: &dyn LogFile) -> Option<BTreeMap<u32, u64>> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for unit in 0..log.n_units() {
        for (channel, n) in log.counts(unit)? {
            *counts.entry(*channel).or_default() += n;
        }
    }
    Some(counts)
}

/// Names, of many the first ones.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|it| format!("`{it}`")).collect();
    shortened(&names)
}

fn shortened(items: &[String]) -> String {
    let shown = items[..items.len().min(NAMES_MAX)].join(", ");
    match items.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
