#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsStr,
    path::{Path, PathBuf},
};

use nodedata_core::{Confidence, Detection, Error, ErrorKind, Format, Formats, Listing, Locus, Result};

use crate::known::{KNOWN, Known, known_only};

/// Which format reads an input, and which of its files.
pub(crate) struct Choice {
    pub(crate) format: &'static dyn Format,
    /// In the order of paths.
    pub(crate) claimed: Vec<PathBuf>,
    /// Why, as a sentence without a full stop.
    pub(crate) why: String,
    /// Other files that hold data, and the name of their format: not read, and nobody said that they are not meant.
    pub(crate) others: BTreeMap<PathBuf, &'static str>,
}

/// What the user named, for errors: SRC, and what stands before the names of its files.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) source: &'a str,
    pub(crate) root: &'a str,
}

/// What is recognised in an input.
struct Candidate {
    name: &'static str,
    detection: Detection,
    by: By,
}

/// Who can read it.
#[derive(Clone, Copy)]
enum By {
    Format(&'static dyn Format),
    Nobody(&'static Known),
}

/// Datasets below one folder that an error tells; the rest are counted.
const TOLD: usize = 20;

/// The format whose name the user gave, with the files it claims; with all of them where they were named one by one.
///
/// # Errors
/// `Config` when there is no such format; `Unsupported` when it claims nothing, or several datasets.
pub(crate) fn named(
    formats: &Formats,
    listing: &Listing<'_>,
    src: Named<'_>,
    name: &str,
    is_exact: bool,
) -> Result<Choice> {
    let Some(format) = formats.by_name(name) else {
        return Err(match KNOWN.iter().find(|it| it.name == name) {
            Some(known) => {
                Error::new(ErrorKind::Unsupported, format!("this build does not read {}", known.what))
                    .with_hint(known.instead)
            }
            None => Error::new(ErrorKind::Config, format!("there is no format `{name}`"))
                .with_hint(format!("`--from` takes one of: {}", names(formats))),
        });
    };
    let why = format!("`--from` names {name}");
    let others = BTreeMap::new();
    if is_exact {
        return Ok(Choice { format, claimed: listing.paths().map(Path::to_owned).collect(), why, others });
    }
    let detection = format.detect(listing);
    if detection.claims.is_empty() {
        let message = format!("nothing here is recognised as {name}");
        return Err(Error::new(ErrorKind::Unsupported, message)
            .at(Locus::path(src.source))
            .with_hint("name the files themselves, or choose another format with `--from`"));
    }
    let candidate = Candidate { name: format.name(), detection, by: By::Format(format) };
    let root = one_root(&datasets([&candidate]), src)?;
    Ok(Choice { format, claimed: claimed(&candidate.detection, root), why, others })
}

/// The surest format: by layout, then by content, then by name; of equals the first registered.
///
/// # Errors
/// `Unsupported` when none recognises the input, when no format reads what is recognised, or when there are several
/// datasets.
pub(crate) fn guessed(formats: &Formats, listing: &Listing<'_>, src: Named<'_>) -> Result<Choice> {
    let found = candidates(formats, listing);
    // Whichever formats they are of: only one of them can be meant.
    let roots = datasets(found.iter().filter(|it| it.detection.confidence == Confidence::Layout));
    let (chosen, root) = if roots.values().any(|it| it.is_readable()) {
        let root = one_root(&roots, src)?;
        (root.and_then(|it| roots.get(it)).copied(), root)
    } else {
        let chosen = most_likely(&found);
        (chosen, chosen.map_or(Ok(None), |it| one_root(&datasets([it]), src))?)
    };
    let chosen = chosen.ok_or_else(|| unrecognised(formats, listing, src))?;
    let format = match chosen.by {
        By::Format(format) => format,
        By::Nobody(known) => return Err(refusal(known, &chosen.detection, src)),
    };
    let claimed = claimed(&chosen.detection, root);
    let ours: HashSet<&OsStr> = claimed.iter().map(|it| it.as_os_str()).collect();
    let mut others = BTreeMap::new();
    for candidate in found.iter().filter(|it| Confidence::Content <= it.detection.confidence) {
        for path in candidate.detection.claims.iter().filter(|it| !ours.contains(it.as_os_str())) {
            others.entry(path.clone()).or_insert(candidate.name);
        }
    }
    Ok(Choice { format, claimed, why: chosen.detection.why.clone(), others })
}

/// What the formats recognise, and what is only known: the surest first, and of equals what can be read.
fn candidates(formats: &Formats, listing: &Listing<'_>) -> Vec<Candidate> {
    let readers = formats.detect(listing);
    let mut read_by: HashMap<PathBuf, Confidence> = HashMap::new();
    for (_, detection) in &readers {
        for path in &detection.claims {
            // The surest come first.
            read_by.entry(path.clone()).or_insert(detection.confidence);
        }
    }
    let known = known_only(formats).filter_map(|it| {
        let detection = without(it.detect(listing), &read_by)?;
        Some(Candidate { name: it.name, detection, by: By::Nobody(it) })
    });
    let known: Vec<Candidate> = known.collect();
    let readers = readers.into_iter().map(|(format, detection)| Candidate {
        name: format.name(),
        detection,
        by: By::Format(format),
    });
    let mut all: Vec<Candidate> = readers.chain(known).collect();
    all.sort_by_key(|it| Reverse(it.detection.confidence));
    all
}

/// What is left of a detection when formats that are as sure have taken their files; of a folder, all or nothing.
fn without(mut found: Detection, read_by: &HashMap<PathBuf, Confidence>) -> Option<Detection> {
    let confidence = found.confidence;
    let is_taken = |it: &PathBuf| read_by.get(it).is_some_and(|it| confidence <= *it);
    if found.roots.is_empty() {
        found.claims.retain(|it| !is_taken(it));
    } else {
        let claims = found.claims.clone();
        found.roots.retain(|root| !claims.iter().any(|it| it.starts_with(root) && is_taken(it)));
        found.claims.retain(|it| found.roots.iter().any(|root| it.starts_with(root)));
    }
    (!found.claims.is_empty()).then_some(found)
}

/// The surest format that can be read, unless all of its files are known, more surely, to be something else.
fn most_likely(found: &[Candidate]) -> Option<&Candidate> {
    let mut known: HashMap<&PathBuf, Confidence> = HashMap::new();
    for candidate in found.iter().filter(|it| !it.is_readable()) {
        for path in &candidate.detection.claims {
            known.entry(path).or_insert(candidate.detection.confidence);
        }
    }
    let is_likely = |it: &&Candidate| {
        let is_its_own = |path| known.get(path).is_none_or(|other| *other <= it.detection.confidence);
        it.is_readable() && it.detection.claims.iter().any(is_its_own)
    };
    found.iter().find(is_likely).or(found.first())
}

/// The folders that are a dataset each, and what they are recognised as.
fn datasets<'a>(found: impl IntoIterator<Item = &'a Candidate>) -> BTreeMap<&'a Path, &'a Candidate> {
    let mut all = BTreeMap::new();
    for candidate in found {
        for root in &candidate.detection.roots {
            all.entry(root.as_path()).or_insert(candidate);
        }
    }
    all
}

/// The one dataset that is meant; `None` where there is no folder that is one. A dataset that lies in the folder
/// named itself is meant, whatever lies below it: SRC could not name it otherwise.
fn one_root<'a>(datasets: &BTreeMap<&'a Path, &Candidate>, src: Named<'_>) -> Result<Option<&'a Path>> {
    let (first, candidate) = match datasets.first_key_value() {
        None => return Ok(None),
        Some((root, candidate)) => (*root, *candidate),
    };
    if datasets.len() == 1 || first.as_os_str().is_empty() && candidate.is_readable() {
        return Ok(Some(first));
    }
    let message = format!("{} datasets lie below the folder:", datasets.len());
    let told = datasets.iter().take(TOLD).map(|(root, candidate)| {
        let Candidate { name, .. } = candidate;
        let readable = if candidate.is_readable() { "" } else { ", which this build does not read" };
        format!("{} ({name}{readable})", typed(src, root))
    });
    let more = datasets.len().checked_sub(TOLD).filter(|it| *it > 0).map(|n| format!("and {n} others"));
    let example = datasets.iter().find(|(_, it)| it.is_readable()).map_or(first, |(root, _)| *root);
    Err(Error::new(ErrorKind::Unsupported, message)
        .with_others(told.chain(more))
        .at(Locus::path(src.source))
        .with_hint(format!("give one of them as SRC, for example `{}`", typed(src, example))))
}

impl Candidate {
    fn is_readable(&self) -> bool {
        matches!(self.by, By::Format(_))
    }
}

fn refusal(known: &Known, detection: &Detection, src: Named<'_>) -> Error {
    let message = format!("this build does not read {}: {}", known.what, detection.why);
    Error::new(ErrorKind::Unsupported, message).at(Locus::path(src.source)).with_hint(known.instead)
}

/// What to type to name a folder of the input.
fn typed(src: Named<'_>, folder: &Path) -> String {
    match src.root.trim_end_matches('/') {
        "" => folder.display().to_string(),
        root if folder.as_os_str().is_empty() => root.to_owned(),
        root => format!("{root}/{}", folder.display()),
    }
}

/// The claimed files of one dataset: below its root, and below no other that lies deeper.
fn claimed(detection: &Detection, root: Option<&Path>) -> Vec<PathBuf> {
    let Some(root) = root else { return detection.claims.clone() };
    let deeper: Vec<&PathBuf> =
        detection.roots.iter().filter(|it| it.as_path() != root && it.starts_with(root)).collect();
    let is_ours = |it: &&PathBuf| it.starts_with(root) && !deeper.iter().any(|other| it.starts_with(other));
    detection.claims.iter().filter(is_ours).cloned().collect()
}

fn names(formats: &Formats) -> String {
    formats.iter().map(|it| it.name()).collect::<Vec<_>>().join(", ")
}

/// Nothing in the input is known.
fn unrecognised(formats: &Formats, listing: &Listing<'_>, src: Named<'_>) -> Error {
    if listing.is_empty() {
        return Error::new(ErrorKind::Unsupported, "the folder holds no files")
            .at(Locus::path(src.source))
            .with_hint("name a folder with recordings in it, or a recording itself");
    }
    // What cannot be read may be what is missing.
    if let Some(failure) = listing.take_failure() {
        return failure.with_hint("make the file readable, or move it out of the way");
    }
    let message = match listing.sniffed().iter().all(|it| listing.n_bytes(it) == Some(0)) {
        true => "cannot tell the format of the input: its files are empty",
        false => "cannot tell the format of the input",
    };
    Error::new(ErrorKind::Unsupported, message)
        .at(Locus::path(src.source))
        .with_hint(format!("name it with `--from`, one of: {}", names(formats)))
}
