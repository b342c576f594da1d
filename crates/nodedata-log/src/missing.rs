//! Definitions of ROS 2 topics whose recordings have none: which of those that are known goes with the payloads.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, OpenOptions, Result};
use nodedata_ros::{Candidate, DefinitionStore, Fitted, Origin, fit};

use crate::{
    Compression, Decompressor, LogFacts, LogFile, Routes,
    inference::each_message,
    log_stream::ZSTD_MAGIC,
    misfits::{FoundDefinition, Misfits},
    streams::Joined,
};

/// Payloads at the beginning of a topic that are looked at.
const FIRST: u64 = 16;
/// Of those after them, one in so many.
const ONE_IN: u64 = 1000;
/// Bytes of payloads that are kept to be looked at; the first one whatever its length.
const SAMPLE_BYTES_MAX: usize = 4 << 20;

/// The verdict where there is nothing to try.
const NO_DEFINITION: &str = "no definition";

/// Where the definition of a topic is from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Provenance {
    /// From the recording, or there is no need of any.
    #[default]
    Recording,
    /// It was chosen.
    Chosen {
        /// As `.msg` text with its dependencies.
        text: String,
        /// In the words of the verdict.
        origin: String,
        /// The package, where no distribution has it.
        vendor: Option<String>,
    },
    /// It is nowhere.
    Nowhere {
        /// The verdict.
        verdict: String,
        /// Why, where a definition was there and could not be used.
        because: Option<String>,
    },
}

/// Looks for the definitions of the topics that have none. What an earlier opening of the same files found is in `known`, and
/// then no message is read.
///
/// # Errors
/// `Io`; `Config` where definitions that the user gave are known by their digest alone.
pub(crate) fn find_definitions<F: LogFile>(
    joined: &mut Joined,
    known: &Misfits,
    files: &[Option<F>],
    facts: &[Distros],
    options: &OpenOptions,
) -> Result<()> {
    let undefined = joined.undefined(options);
    if undefined.is_empty() {
        return Ok(());
    }
    if options.message_paths.lacks_texts() {
        let message =
            "message definitions that were given with `--msg-path` decide the rows, and they are not here";
        return Err(Error::new(ErrorKind::Config, message)
            .with_hint("give the same definitions with `--msg-path`; what is kept is their digest alone"));
    }
    let store = DefinitionStore::new(options.message_paths.texts());
    let mut open: BTreeMap<usize, Vec<Candidate>> = BTreeMap::new();
    for topic in undefined {
        let mut candidates = store.candidates(&topic.type_name, &distros_of(&topic.inputs, facts));
        if topic.may_be_empty {
            let own = Candidate { text: String::new(), origin: Origin::Recording };
            match candidates.iter_mut().find(|it| is_empty(it)) {
                Some(same) => *same = own,
                None => candidates.push(own),
            }
        }
        let found = known.definition(&topic.name).and_then(|it| it.among(&candidates));
        match found {
            Some(found) => joined.define(topic.stream, found),
            // No message could tell more.
            None if candidates.is_empty() => joined.define(topic.stream, Provenance::unknown()),
            None => drop(open.insert(topic.stream, candidates)),
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    let samples = sample(&open, files, &joined.routes, options)?;
    for (stream, candidates) in open {
        let payloads: Vec<&[u8]> = samples.get(&stream).map(Sample::payloads).unwrap_or_default();
        let root = joined.type_of(stream).to_owned();
        let found = match fit(&root, &candidates, &payloads) {
            // The byte that stands for no fields is 0: whatever else is read as nothing would be lost.
            Fitted::Taken(idx)
                if candidates[idx].text.is_empty() && !payloads.iter().all(|it| holds_nothing(it)) =>
            {
                Provenance::unknown()
            }
            Fitted::Taken(idx) => chosen(&candidates[idx]),
            // That it is not empty says nothing where that is all there was to try.
            Fitted::None { .. } if candidates.iter().all(|it| it.text.is_empty()) => Provenance::unknown(),
            Fitted::None { consumed, of } => Provenance::Nowhere {
                verdict: format!("no candidate fits (best: consumed {consumed} of {of} bytes)"),
                because: None,
            },
            Fitted::Unusable(err) => {
                Provenance::Nowhere { verdict: NO_DEFINITION.to_owned(), because: err.map(|it| it.chain()) }
            }
        };
        joined.define(stream, found);
    }
    Ok(())
}

/// Whether a definition has no fields.
fn is_empty(candidate: &Candidate) -> bool {
    candidate.text.lines().skip(2).all(|it| it.trim().is_empty())
}

/// Whether all bytes behind the header of a payload are 0.
fn holds_nothing(payload: &[u8]) -> bool {
    payload.iter().skip(4).all(|it| *it == 0)
}

fn chosen(candidate: &Candidate) -> Provenance {
    let (origin, vendor) = match &candidate.origin {
        Origin::Recording => return Provenance::Recording,
        Origin::Given => ("msg-path".to_owned(), None),
        Origin::Distro(name) => (format!("bundle:{name}"), None),
        Origin::Vendor(name) => (format!("bundle:{name}"), Some(name.clone())),
    };
    Provenance::Chosen { text: candidate.text.clone(), origin, vendor }
}

impl Provenance {
    fn unknown() -> Self {
        Self::Nowhere { verdict: NO_DEFINITION.to_owned(), because: None }
    }

    /// What is told of it in the metadata of the stream; `None` where the recording says it all.
    pub(crate) fn verdict(&self) -> Option<&str> {
        match self {
            Self::Recording => None,
            Self::Chosen { origin, .. } => Some(origin),
            Self::Nowhere { verdict, .. } => Some(verdict),
        }
    }

    /// Why the messages of a stream stay bytes, where no definition goes with them.
    pub(crate) fn refusal(&self, type_name: &str, stream: &str) -> Option<Error> {
        let Self::Nowhere { verdict, because } = self else { return None };
        let message =
            format!("the recording does not define `{type_name}`, and its messages stay bytes: {verdict}");
        let how = match type_name.contains(['/', ':']) {
            true => {
                "`--msg-path PATH` names its definition (`.msg`, `.srv`, `.action`, `.idl`, a folder or a workspace)"
            }
            false => "its name lacks a package, so that no definition can be looked for",
        };
        let hint = format!("{how}; `--undecoded {stream}` asks for the bytes");
        let err = Error::new(ErrorKind::Misfit, message).with_hint(hint);
        Some(match because {
            Some(cause) => err.with_source(Error::new(ErrorKind::Corrupt, cause)),
            None => err,
        })
    }

    /// That a definition goes with the length of messages need not mean that it is theirs.
    pub(crate) fn warning(&self) -> Option<Error> {
        let Self::Chosen { vendor: Some(package), .. } = self else { return None };
        let message = format!(
            "the recording does not define its type, and layouts of `{package}` change from release to release: what is known here \
             is the definition of one release, which goes with the length of the messages"
        );
        let hint = "`--msg-path PATH` names the definitions of the release that recorded them";
        Some(Error::new(ErrorKind::Config, message).with_hint(hint))
    }

    /// As whoever opens the same files again has to know it.
    pub(crate) fn to_found(&self) -> Option<FoundDefinition> {
        let verdict = self.verdict()?.to_owned();
        let digest = match self {
            Self::Chosen { text, .. } => Some(digest(text)),
            Self::Recording | Self::Nowhere { .. } => None,
        };
        Some(FoundDefinition { verdict, digest })
    }
}

impl FoundDefinition {
    /// The candidate that was chosen; `None` where it is not one of these, and where none was: perhaps one fits now.
    fn among(&self, candidates: &[Candidate]) -> Option<Provenance> {
        let wanted = self.digest.as_ref()?;
        candidates.iter().find(|it| digest(&it.text) == *wanted).map(chosen)
    }
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().as_str()[..16].to_owned()
}

/// The ROS distributions that the facts of one file, or of its recording, name.
pub(crate) type Distros = BTreeSet<String>;

/// The distributions in what is said of a recording: `ros_distro` itself, or in the YAML that rosbag2 puts into its metadata.
pub(crate) fn distros<'a>(metadata: impl Iterator<Item = (&'a str, &'a str)>) -> Distros {
    let mut found = Distros::new();
    for (key, value) in metadata {
        let own = key.rsplit('.').next().is_some_and(|it| it.eq_ignore_ascii_case("ros_distro"));
        let within = || {
            let line = value.lines().find_map(|it| it.trim().strip_prefix("ros_distro:"));
            line.map(|it| it.trim().trim_matches(['"', '\'']))
        };
        let name = if own { Some(value.trim()) } else { within() };
        found.extend(name.filter(|it| !it.is_empty()).map(str::to_owned));
    }
    found
}

/// The distributions that the facts of a file name.
pub(crate) fn distros_of_facts(facts: &LogFacts) -> Distros {
    distros(facts.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn distros_of<'a>(inputs: &[usize], facts: &'a [Distros]) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    let all = inputs.iter().flat_map(|it| &facts[*it]).map(String::as_str);
    all.filter(|it| seen.insert(*it)).collect()
}

/// Payloads of a topic.
#[derive(Debug, Default)]
struct Sample {
    n_seen: u64,
    n_bytes: usize,
    kept: Vec<Vec<u8>>,
    /// The last one, unless it is among those kept.
    last: Option<Vec<u8>>,
}

impl Sample {
    fn observe(&mut self, payload: &[u8]) {
        let at = self.n_seen;
        self.n_seen += 1;
        let has_room = self.n_bytes.saturating_add(payload.len()) <= SAMPLE_BYTES_MAX;
        let is_wanted = at < FIRST || (at + 1).is_multiple_of(ONE_IN);
        if self.kept.is_empty() || (is_wanted && has_room) {
            self.n_bytes += payload.len();
            self.kept.push(payload.to_vec());
            self.last = None;
        } else if has_room {
            let last = self.last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(payload);
        } else {
            // A last one from the middle would be none.
            self.last = None;
        }
    }

    fn payloads(&self) -> Vec<&[u8]> {
        self.kept.iter().chain(&self.last).map(Vec::as_slice).collect()
    }
}

/// Payloads of each of these streams, decompressed where rosbag2 compressed them one by one.
fn sample<F: LogFile>(
    wanted: &BTreeMap<usize, Vec<Candidate>>,
    files: &[Option<F>],
    routes: &[Arc<Routes>],
    options: &OpenOptions,
) -> Result<BTreeMap<usize, Sample>> {
    let is_wanted = |stream: usize| wanted.contains_key(&stream);
    let mut samples: BTreeMap<usize, Sample> = BTreeMap::new();
    let mut decompressor = Decompressor::default();
    each_message(&is_wanted, files, routes, options, |message, _| {
        let sample = samples.entry(message.stream).or_default();
        if !message.payload.starts_with(&ZSTD_MAGIC) {
            sample.observe(message.payload);
            return;
        }
        let max = options.record_bytes_max;
        // A frame that is broken says nothing of the definition; reading meets it again.
        if decompressor.decompress(Compression::Zstd, message.payload, 0, max).is_ok() {
            sample.observe(decompressor.bytes());
        }
    })?;
    Ok(samples)
}

#[cfg(test)]
mod tests;
