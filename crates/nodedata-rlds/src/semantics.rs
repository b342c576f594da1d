//! What the steps of an RLDS episode say of it as a whole: where it begins and ends, and what the task is.

use std::borrow::Cow;

use nodedata_core::{DType, EpisodeFacts, Fact, Finding, Locus, Result};

use crate::{example::ListKind, features::Leaf, record::Record};

/// Features that mark steps, as RLDS calls them.
const MARKERS: [Marker; 3] = [Marker::First, Marker::Last, Marker::Terminal];

/// Features that hold an instruction in words, by the last part of their name, those that are preferred first. Datasets
/// with several per episode leave some of them empty.
const INSTRUCTIONS: [&str; 6] = [
    "language_instruction",
    "natural_language_instruction",
    "instruction",
    "language_instruction_1",
    "language_instruction_2",
    "language_instruction_3",
];

/// Bytes of an instruction at most. What is longer is no task.
const INSTRUCTION_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    First,
    Last,
    Terminal,
}

impl Marker {
    fn name(self) -> &'static str {
        match self {
            Self::First => "is_first",
            Self::Last => "is_last",
            Self::Terminal => "is_terminal",
        }
    }
}

/// The features that tell it, by the positions of their leaves.
#[derive(Debug, Default)]
pub(crate) struct Semantics {
    markers: Vec<(Marker, usize)>,
    instructions: Vec<Instruction>,
    /// Names of features of the whole episode that are an instruction.
    of_episode: Vec<String>,
}

/// A feature of steps that is an instruction.
#[derive(Debug, Clone, Copy)]
struct Instruction {
    leaf: usize,
    /// Where it is no text but the numbers of its bytes, with zeros behind them: how many.
    n_codes: Option<u64>,
}

impl Semantics {
    pub(crate) fn of(leaves: &[Leaf]) -> Self {
        let read = || leaves.iter().enumerate().filter(|it| it.1.unsupported.is_none());
        let of_steps = || read().filter(|it| it.1.is_step);
        let markers = MARKERS.into_iter().filter_map(|marker| {
            let is_marker = |it: &Leaf| {
                it.feature.name == marker.name() && it.is_scalar() && it.list_kind() == ListKind::Int
            };
            of_steps().find(|it| is_marker(it.1)).map(|it| (marker, it.0))
        });
        let instruction = |(leaf, it): (usize, &Leaf)| {
            let is_text = it.is_scalar() && it.feature.dtype == DType::String;
            let n_codes = it.n_codes();
            (is_text || n_codes.is_some()).then(|| (rank(it), Instruction { leaf, n_codes }))
        };
        let mut instructions: Vec<_> = of_steps().filter_map(instruction).collect();
        instructions.retain(|it| it.0.is_some());
        // Of equal names the first by the alphabet, as the leaves are.
        instructions.sort_by_key(|it| it.0);
        let mut of_episode: Vec<_> = read().filter(|it| !it.1.is_step).map(|it| it.1).collect();
        of_episode.retain(|it| rank(it).is_some());
        of_episode.sort_by_key(|it| rank(it));
        Self {
            markers: markers.collect(),
            instructions: instructions.into_iter().map(|it| it.1).collect(),
            of_episode: of_episode.into_iter().map(|it| it.feature.name.clone()).collect(),
        }
    }

    /// Whether a leaf of the steps has to be looked at.
    pub(crate) fn wants(&self, leaf: usize) -> bool {
        let mut markers = self.markers.iter().map(|it| it.1);
        markers.any(|it| it == leaf) || self.instructions.iter().any(|it| it.leaf == leaf)
    }

    /// Starts looking at an episode.
    pub(crate) fn watch(&self) -> Watch<'_> {
        let (marked, told) = (vec![Marked::default(); self.markers.len()], Vec::new());
        Watch { of: self, n_steps: 0, marked, told }
    }

    /// All that a record that holds the whole of an episode tells of it.
    ///
    /// # Errors
    /// `Corrupt` when a value cannot be read.
    pub(crate) fn of_record(&self, bytes: &[u8], record: &Record) -> Result<Told> {
        let mut watch = self.watch();
        watch.see(bytes, record)?;
        Ok(watch.told(record.facts.clone()))
    }
}

/// The position of a name among those of instructions.
fn rank(leaf: &Leaf) -> Option<usize> {
    let last = leaf.feature.name.rsplit('.').next()?;
    INSTRUCTIONS.iter().position(|it| *it == last)
}

/// What the steps of an episode told so far.
pub(crate) struct Watch<'a> {
    of: &'a Semantics,
    n_steps: u64,
    marked: Vec<Marked>,
    /// By instruction; `None` where it changes within the episode. Empty before the first step.
    told: Vec<Option<Vec<u8>>>,
}

/// Steps that a feature marks.
#[derive(Debug, Clone, Copy, Default)]
struct Marked {
    n: u64,
    first: u64,
    last: u64,
}

/// What an episode tells of itself.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) facts: EpisodeFacts,
    /// What does not hold of its steps, without the place of the episode.
    pub(crate) warnings: Vec<Finding>,
}

impl Told {
    /// The warnings, each of this episode.
    pub(crate) fn warnings_at(&self, place: &Locus) -> impl Iterator<Item = Finding> {
        self.warnings.iter().map(|it| {
            let Locus { step_idx, feature, .. } = it.at.clone();
            Finding { at: Locus { step_idx, feature, ..place.clone() }, ..it.clone() }
        })
    }
}

impl Watch<'_> {
    /// Takes in the next steps, which a record holds.
    ///
    /// # Errors
    /// `Corrupt` when a value cannot be read.
    pub(crate) fn see(&mut self, bytes: &[u8], record: &Record) -> Result<()> {
        for ((_, leaf), marked) in self.of.markers.iter().zip(&mut self.marked) {
            let mut cursor = record.values(*leaf).cursor();
            for step in self.n_steps..self.n_steps + record.n_steps {
                if cursor.int(bytes)? == 0 {
                    continue;
                }
                if marked.n == 0 {
                    marked.first = step;
                }
                (marked.n, marked.last) = (marked.n + 1, step);
            }
        }
        let is_begun = self.n_steps != 0;
        for (idx, instruction) in self.of.instructions.iter().enumerate() {
            if record.n_steps == 0 || is_begun && self.told[idx].is_none() {
                continue;
            }
            let constant = instruction.constant(bytes, record)?;
            if !is_begun {
                self.told.push(constant);
            } else if self.told[idx] != constant {
                self.told[idx] = None;
            }
        }
        self.n_steps += record.n_steps;
        Ok(())
    }

    /// All of it, where `facts` are those of the episode as a whole.
    pub(crate) fn told(self, facts: EpisodeFacts) -> Told {
        let words = |it: Vec<u8>| String::from_utf8(it).ok().filter(|it| !it.trim().is_empty());
        let of_steps = self.told.into_iter().flatten().find_map(words);
        let of_episode = || {
            let texts = self.of.of_episode.iter().filter_map(|it| match facts.metadata.get(it) {
                Some(Fact::Text(text)) => Some(text.clone()),
                _ => None,
            });
            texts.filter(|it| !it.trim().is_empty()).find(|it| it.len() <= INSTRUCTION_BYTES_MAX)
        };
        let task = of_steps.or_else(of_episode);
        let marked = self.of.markers.iter().zip(&self.marked);
        let warnings = marked.filter_map(|((marker, _), marked)| marked.warning(*marker, self.n_steps));
        Told { warnings: warnings.collect(), facts: EpisodeFacts { task, ..facts } }
    }
}

impl Instruction {
    /// What it is, where it is the same in every step of a record that has steps.
    fn constant(self, bytes: &[u8], record: &Record) -> Result<Option<Vec<u8>>> {
        let mut cursor = record.values(self.leaf).cursor();
        let mut first: Option<Vec<u8>> = None;
        for _ in 0..record.n_steps {
            let told = match self.n_codes {
                None => Cow::Borrowed(cursor.bytes(bytes)?),
                Some(n_codes) => {
                    let mut codes = Vec::new();
                    for _ in 0..n_codes {
                        codes.push(cursor.int(bytes)?);
                    }
                    let Some(words) = words(&codes) else { return Ok(None) };
                    Cow::Owned(words)
                }
            };
            match &first {
                Some(first) if *first == *told => {}
                None if told.len() <= INSTRUCTION_BYTES_MAX => first = Some(told.into_owned()),
                Some(_) | None => return Ok(None),
            }
        }
        Ok(first)
    }
}

/// The bytes whose numbers these are, up to the zeros behind them.
fn words(codes: &[i64]) -> Option<Vec<u8>> {
    let end = codes.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1);
    codes[..end].iter().map(|it| u8::try_from(*it).ok()).collect()
}

impl Marked {
    /// What does not hold of an episode of so many steps.
    fn warning(self, marker: Marker, n_steps: u64) -> Option<Finding> {
        let Self { n, first, last } = self;
        let end = n_steps.checked_sub(1)?;
        let (step, message) = match (marker, n) {
            (Marker::First, 1) if first == 0 => return None,
            (Marker::Last, 1) if last == end => return None,
            // An episode that was cut off ends in no terminal state.
            (Marker::Terminal, 0) => return None,
            (Marker::Terminal, 1) if last == end => return None,
            (Marker::First, 0) => (0, "no step is marked as the first".to_owned()),
            (Marker::Last, 0) => (end, "no step is marked as the last".to_owned()),
            (Marker::First, 1) => (first, format!("step {first} is marked as the first, not step 0")),
            (Marker::Last, 1) => (last, format!("step {last} is marked as the last, not step {end}")),
            (Marker::Terminal, 1) => (last, format!("step {last} is marked as terminal, not step {end}")),
            (Marker::First, n) => (first, format!("{n} steps are marked as the first")),
            (Marker::Last, n) => (first, format!("{n} steps are marked as the last")),
            (Marker::Terminal, n) => (first, format!("{n} steps are marked as terminal")),
        };
        let name = marker.name();
        let at = Locus { step_idx: Some(step), ..Locus::feature(name) };
        let finding = Finding::warning(format!("{message} of {n_steps} by `{name}`"), at);
        Some(Finding { reason: format!("broken_{name}"), ..finding.with_hint(HINT) })
    }
}

const HINT: &str =
    "the rows are as they are in the record; whoever reads episodes by these marks should know";
