//! Definitions of ROS 2 topics whose recordings have none, or only a part: which of those that are known goes with the payloads.

use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::{Error, ErrorKind, OpenOptions, Result};
use nodedata_ros::{Candidate, Completion, DefinitionStore, Fitted, Origin, fit};

use crate::{
    LogFacts, LogFile,
    misfits::{FoundDefinition, Misfits, reason},
    sample::{Sample, sample},
    streams::{Joined, RosTopic},
};

/// The verdict where there is nothing to try.
const NO_DEFINITION: &str = "no definition";
/// Types that are told of many that are missing.
const TOLD_MAX: usize = 3;

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
    /// It, or something that it lacks, is nowhere.
    Nowhere {
        /// The verdict.
        verdict: String,
        /// Why, where a definition was there and could not be used.
        because: Option<String>,
        /// The types that the recording's own definition lacks; none where it has no definition at all.
        lacks: Vec<String>,
    },
}

/// What has to be found for a topic.
struct Need {
    /// What may be it, the likeliest first.
    candidates: Vec<Candidate>,
    /// As in [`Provenance::Nowhere`].
    lacks: Vec<String>,
}

/// Looks for the definitions of the topics that have none, and for what others lack. What an earlier opening of the same files
/// found is in `known`, and then no message is read.
///
/// # Errors
/// `Io`; `Config` where definitions that the user gave are known by their digest alone.
pub(crate) fn find_definitions<F: LogFile>(
    joined: &mut Joined,
    known: &Misfits,
    files: &[Option<F>],
    facts: &[Distros],
    options: &OpenOptions,
    warnings: &mut Vec<Error>,
) -> Result<()> {
    let store = DefinitionStore::new(options.message_paths.texts());
    let mut open: BTreeMap<usize, Need> = BTreeMap::new();
    let mut uses_given = false;
    for topic in joined.ros_topics(options) {
        let Some(need) = need_of(&topic, &store, &distros_of(&topic.inputs, facts)) else { continue };
        if options.message_paths.lacks_texts() {
            let message = "message definitions that were given with `--msg-path` decide the rows, and they are not here";
            return Err(Error::new(ErrorKind::Config, message).with_hint(
                "give the same definitions with `--msg-path`; what is kept is their digest alone",
            ));
        }
        uses_given |= need.candidates.iter().any(|it| it.origin == Origin::Given);
        let found = known.definition(&topic.name).and_then(|it| it.among(&need));
        match found {
            Some(found) => joined.define(topic.stream, found),
            // No message could tell more.
            None if need.candidates.is_empty() => {
                joined.define(topic.stream, Provenance::unknown(need.lacks));
            }
            None => drop(open.insert(topic.stream, need)),
        }
    }
    if !uses_given {
        warnings.extend(unneeded(options.message_paths.texts().len()));
    }
    if open.is_empty() {
        return Ok(());
    }
    let samples = sample(&|it| open.contains_key(&it), files, &joined.routes, options)?;
    for (stream, need) in open {
        let payloads: Vec<&[u8]> = samples.get(&stream).map(Sample::payloads).unwrap_or_default();
        let found = need.among(joined.type_of(stream), &payloads);
        joined.define(stream, found);
    }
    Ok(())
}

/// What has to be found for a topic; `None` where its recording says all.
fn need_of(topic: &RosTopic, store: &DefinitionStore, distros: &[&str]) -> Option<Need> {
    if !topic.text.is_empty() {
        let found = store.complete(&topic.type_name, &topic.text, topic.is_idl, distros);
        return found.map(|Completion { missing: lacks, candidates }| Need { candidates, lacks });
    }
    let mut candidates = store.candidates(&topic.type_name, distros);
    if topic.may_be_empty {
        let own = Candidate { text: String::new(), origin: Origin::Recording };
        match candidates.iter_mut().find(|it| is_empty(it)) {
            Some(same) => *same = own,
            None => candidates.push(own),
        }
    }
    Some(Need { candidates, lacks: Vec::new() })
}

impl Need {
    /// The candidate that goes with some payloads of a type.
    fn among(&self, type_name: &str, payloads: &[&[u8]]) -> Provenance {
        let Self { candidates, lacks } = self;
        let because = |verdict: String, because| {
            let verdict = if lacks.is_empty() { verdict } else { format!("{}; {verdict}", partly(lacks)) };
            Provenance::Nowhere { verdict, because, lacks: lacks.clone() }
        };
        match fit(type_name, candidates, payloads) {
            // The byte that stands for no fields is 0: whatever else is read as nothing would be lost.
            Fitted::Taken(idx)
                if candidates[idx].text.is_empty() && !payloads.iter().all(|it| holds_nothing(it)) =>
            {
                Provenance::unknown(Vec::new())
            }
            Fitted::Taken(idx) => self.chosen(&candidates[idx]),
            // That it is not empty says nothing where that is all there was to try.
            Fitted::None { .. } if candidates.iter().all(|it| it.text.is_empty()) => {
                Provenance::unknown(Vec::new())
            }
            Fitted::None { consumed, of } => {
                because(format!("no candidate fits (best: consumed {consumed} of {of} bytes)"), None)
            }
            Fitted::Unusable(err) => {
                let verdict =
                    if lacks.is_empty() { NO_DEFINITION } else { "what would complete it cannot be used" };
                because(verdict.to_owned(), err.map(|it| it.chain()))
            }
        }
    }

    fn chosen(&self, candidate: &Candidate) -> Provenance {
        let (origin, vendor) = match &candidate.origin {
            Origin::Recording => return Provenance::Recording,
            Origin::Given => ("msg-path".to_owned(), None),
            Origin::Distro(name) => (format!("bundle:{name}"), None),
            Origin::Vendor(name) => (format!("bundle:{name}"), Some(name.clone())),
        };
        let origin = if self.lacks.is_empty() { origin } else { format!("embedded, completed by {origin}") };
        Provenance::Chosen { text: candidate.text.clone(), origin, vendor }
    }
}

/// The verdict on a definition that lacks types.
fn partly(lacks: &[String]) -> String {
    let told: Vec<String> = lacks.iter().take(TOLD_MAX).map(|it| format!("`{it}`")).collect();
    let more = match lacks.len().saturating_sub(TOLD_MAX) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("embedded, without {}{more}", told.join(", "))
}

/// That no topic has use of the definitions that the user gave.
fn unneeded(n_given: usize) -> Option<Error> {
    let message = match n_given {
        0 => return None,
        1 => "the message definition given with `--msg-path` is that of no selected topic that lacks one"
            .to_owned(),
        n => format!(
            "none of the {n} message definitions given with `--msg-path` is that of a selected topic that lacks one"
        ),
    };
    let hint = "`node-data inspect SRC` shows where each topic has its definition from: a recording's own goes before";
    Some(Error::new(ErrorKind::Config, message).with_hint(hint))
}

/// Whether a definition has no fields.
fn is_empty(candidate: &Candidate) -> bool {
    candidate.text.lines().skip(2).all(|it| it.trim().is_empty())
}

/// Whether all bytes behind the header of a payload are 0.
fn holds_nothing(payload: &[u8]) -> bool {
    payload.iter().skip(4).all(|it| *it == 0)
}

impl Provenance {
    fn unknown(lacks: Vec<String>) -> Self {
        let verdict = if lacks.is_empty() { NO_DEFINITION.to_owned() } else { partly(&lacks) };
        Self::Nowhere { verdict, because: None, lacks }
    }

    /// Why messages are kept as bytes, where that is because no definition goes with them.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Nowhere { lacks, .. } if lacks.is_empty() => Some(reason::NO_DEFINITION),
            Self::Nowhere { .. } => Some(reason::SCHEMA),
            Self::Recording | Self::Chosen { .. } => None,
        }
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
        let Self::Nowhere { verdict, because, lacks } = self else { return None };
        let message = match lacks.is_empty() {
            true => {
                format!("the recording does not define `{type_name}`, and its messages stay bytes: {verdict}")
            }
            false => {
                format!(
                    "the recording does not define all of `{type_name}`, and its messages stay bytes: {verdict}"
                )
            }
        };
        let what = if lacks.is_empty() { "its definition" } else { "the definition of what is missing" };
        let how = match type_name.contains(['/', ':']) {
            true => format!(
                "`--msg-path PATH` names {what} (`.msg`, `.srv`, `.action`, `.idl`, a folder or a workspace)"
            ),
            false => "its name lacks a package, so that no definition can be looked for".to_owned(),
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
            "the recording does not define all of its type, and layouts of `{package}` change from release to release: what is known \
             here is the definition of one release, which goes with the length of the messages"
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
    fn among(&self, need: &Need) -> Option<Provenance> {
        let wanted = self.digest.as_ref()?;
        need.candidates.iter().find(|it| digest(&it.text) == *wanted).map(|it| need.chosen(it))
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

#[cfg(test)]
mod tests;
