//! The rules a machine can check, beyond what rustc, clippy and rustfmt know. Each rule is a pure
//! function from what is there to findings, so its tests need no checkout.

mod crate_graph;
mod edges;
mod file_sizes;
mod lean;
mod licences;
mod manifests;
mod names;
mod paths;
mod required_files;
mod words;

use std::fmt;

use crate::workspace::{self, Result};

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    /// File, or crate where the rule is about a dependency.
    place: String,
    /// Line in the file, from 1.
    line: Option<usize>,
    /// What is wrong, found before expected.
    message: String,
    /// What to do about it.
    hint: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: place.into(), line: None, message: message.into(), hint: hint.into() }
    }

    fn at_line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\n  --> {}", self.message, self.place)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, "\nhint: {}", self.hint)
    }
}

/// A tracked file; `text` is `None` when it is not UTF-8.
struct TrackedFile {
    /// Relative to the root, with `/`.
    path: String,
    text: Option<String>,
}

impl TrackedFile {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether a generator wrote it, which it says in its first lines.
    fn is_generated(&self) -> bool {
        let marker = concat!("@", "generated");
        self.text.as_deref().is_some_and(|text| text.lines().take(3).any(|line| line.contains(marker)))
    }

    #[cfg(test)]
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: Some(text.to_owned()) }
    }
}

/// Checks every rule, then that the generated files are up to date.
///
/// # Errors
/// When a rule is broken.
pub(crate) fn run() -> Result<()> {
    rules()?;
    crate::generated::run(true)
}

/// Checks every rule about what is written by hand.
///
/// # Errors
/// When a rule is broken; the findings are on stderr.
pub(crate) fn rules() -> Result<()> {
    let files = read_tracked_files()?;
    let graph = crate_graph::read()?;
    let mut findings = Vec::new();
    findings.extend(edges::check(&graph));
    findings.extend(lean::check(&graph));
    findings.extend(licences::check(&graph));
    findings.extend(manifests::check(&files, &graph));
    findings.extend(file_sizes::check(&files));
    findings.extend(names::check(&files));
    findings.extend(words::check(&files));
    findings.extend(paths::check(&files));
    findings.extend(required_files::check(&files, &graph));
    for finding in &findings {
        eprintln!("{finding}\n");
    }
    match findings.len() {
        0 => {
            println!("tidy: {} files and {} crates in order", files.len(), graph.members.len());
            Ok(())
        }
        n => Err(format!("tidy found {n} broken rules")),
    }
}

fn read_tracked_files() -> Result<Vec<TrackedFile>> {
    workspace::tracked_files()?
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(workspace::root().join(&path))
                .map_err(|err| format!("cannot read {path}: {err}"))?;
            Ok(TrackedFile { path, text: String::from_utf8(bytes).ok() })
        })
        .collect()
}
