//! Definitions of types whose recordings have none: those that come with the program, and those of the user.

mod bundle;
mod given;

use std::collections::BTreeSet;

use nodedata_core::MessageText;

use crate::{
    definition::{Definitions, Dialect, TypeDef, normalize, without_vendor},
    idl,
    msg::KnownTypes,
    parts::{self, Part},
    service,
};
use bundle::BUNDLE;
use given::Given;

/// Types that one definition may need, so that no text makes a definition without end.
const TYPES_MAX: usize = 4096;

/// A definition that may be that of a type, with all types it needs as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// As `.msg` text with its dependencies: see [`crate::Definitions::from_msg`].
    pub text: String,
    /// Where it is from.
    pub origin: Origin,
}

/// What the definition that a recording holds of a type leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The types that it names and that are not in it, sorted.
    pub missing: Vec<String>,
    /// The definition with these, those to be tried first at the beginning; none where one of the types is not known.
    pub candidates: Vec<Candidate>,
}

/// Where a definition, or what completes one, is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is the recording's own.
    Recording,
    /// A text of the user is a part of it.
    Given,
    /// It is that of a ROS distribution.
    Distro(String),
    /// It is that of a package that no distribution has, whose layouts change from release to release.
    Vendor(String),
}

/// The definitions of the program and of a user.
#[derive(Debug, Default)]
pub struct DefinitionStore {
    given: Given,
}

impl DefinitionStore {
    /// The definitions of the program, and before them these.
    pub fn new(given: &[MessageText]) -> Self {
        Self { given: Given::new(given) }
    }

    /// All definitions that may be that of a type, those to be tried first at the beginning: those of the user, then those of
    /// `distros`, then those of all distributions from the newest to the oldest. None is there twice.
    pub fn candidates(&self, type_name: &str, distros: &[&str]) -> Vec<Candidate> {
        let root = without_vendor(&normalize(type_name));
        self.each(distros, |gathering| gathering.of(vec![root.clone()], BTreeSet::new()))
    }

    /// What a definition that a recording holds leaves out, and how it can be completed; `None` where it leaves nothing out, or
    /// is no definition of the type.
    pub fn complete(
        &self,
        type_name: &str,
        text: &str,
        is_idl: bool,
        distros: &[&str],
    ) -> Option<Completion> {
        let text = with_heading(type_name, text, is_idl);
        let definitions = Definitions::from_msg(type_name, &text, Dialect::Ros2).ok()?;
        let missing: Vec<String> = definitions.missing(type_name).into_iter().collect();
        if missing.is_empty() {
            return None;
        }
        let seen: BTreeSet<String> = definitions.names().map(str::to_owned).collect();
        let candidates = self.each(distros, |gathering| {
            Gathering { text: text.clone(), ..gathering }.of(missing.clone(), seen.clone())
        });
        Some(Completion { missing, candidates })
    }

    /// What can be gathered, in the order in which it is to be tried; none twice.
    fn each<'a>(
        &'a self,
        distros: &[&str],
        gather: impl Fn(Gathering<'a>) -> Option<Candidate>,
    ) -> Vec<Candidate> {
        let mut ordered: Vec<usize> = distros.iter().filter_map(|it| BUNDLE.distro(it)).collect();
        ordered.extend((0..BUNDLE.distros().len()).rev());
        let mut seen = BTreeSet::new();
        ordered.retain(|it| seen.insert(*it));
        let mut candidates: Vec<Candidate> = Vec::new();
        let given = (!self.given.is_empty()).then_some(&self.given);
        for given in given.into_iter().map(Some).chain([None]) {
            for distro in &ordered {
                let found =
                    gather(Gathering { given, distro: *distro, text: String::new(), is_given: false });
                let Some(found) = found else { continue };
                // Without a text of the user in it, it comes in its turn.
                if given.is_some() && found.origin != Origin::Given {
                    continue;
                }
                if !candidates.iter().any(|it| it.text == found.text) {
                    candidates.push(found);
                }
            }
        }
        candidates
    }
}

/// The text of a definition as a part of others: IDL is one only under a heading.
fn with_heading(type_name: &str, text: &str, is_idl: bool) -> String {
    let has_own = || parts::split(text, type_name).iter().all(|it| it.is_idl);
    let mut whole = if is_idl && !has_own() { heading("IDL", type_name) } else { String::new() };
    whole.push_str(text);
    if !whole.ends_with('\n') {
        whole.push('\n');
    }
    whole
}

/// What stands above a part of a text.
fn heading(kind: &str, name: &str) -> String {
    format!("{}\n{kind}: {name}\n", "=".repeat(80))
}

/// A definition of a text: what it is called, what heads it, and what it needs.
struct Entry<'a> {
    name: &'a str,
    is_idl: bool,
    text: &'a str,
}

/// A definition being put together.
struct Gathering<'a> {
    given: Option<&'a Given>,
    distro: usize,
    text: String,
    is_given: bool,
}

impl<'a> Gathering<'a> {
    /// Adds the definitions of some types, and of all that these need; `None` where one of the former is nowhere. Those that are
    /// `seen` are there already.
    fn of(mut self, mut wanted: Vec<String>, mut seen: BTreeSet<String>) -> Option<Candidate> {
        let n_roots = wanted.len();
        let vendor = wanted.iter().filter_map(|it| it.split('/').next()).find(|it| BUNDLE.is_vendor(it));
        let vendor = vendor.map(str::to_owned);
        let mut at = 0;
        while let Some(name) = wanted.get(at).cloned().filter(|_| at < TYPES_MAX) {
            at += 1;
            let names = [name.as_str()].into_iter().chain(service::wholes(&name));
            let mut entry = self.entry(names);
            // The type that a recording names is meant as it is spelled.
            if entry.is_none() && !self.text.is_empty() {
                let derived: Vec<String> = service::derived(&name).collect();
                entry = derived
                    .iter()
                    .find_map(|it| self.entry([it.as_str()].into_iter().chain(service::wholes(it))));
            }
            let Some(entry) = entry else {
                // What only a dependency lacks is told by whoever compiles the definition.
                if at <= n_roots {
                    return None;
                }
                continue;
            };
            if !seen.insert(entry.name.to_owned()) {
                continue;
            }
            let kind = match entry.name {
                _ if entry.is_idl => "IDL",
                it if it.contains("/srv/") => "SRV",
                it if it.contains("/action/") => "ACTION",
                _ => "MSG",
            };
            self.text.push_str(&heading(kind, entry.name));
            self.text.push_str(entry.text);
            if !self.text.ends_with('\n') {
                self.text.push('\n');
            }
            wanted.extend(needs(&entry).into_iter().filter(|it| !seen.contains(it)));
        }
        let origin = match (self.is_given, vendor) {
            (true, _) => Origin::Given,
            (false, Some(package)) => Origin::Vendor(package),
            (false, None) => Origin::Distro(BUNDLE.distros()[self.distro].to_owned()),
        };
        Some(Candidate { text: self.text, origin })
    }

    /// The definition that a type is in, by the first of these names that has one: its own, or that of the service or action it
    /// is a message of.
    fn entry<'n>(&mut self, mut names: impl Iterator<Item = &'n str>) -> Option<Entry<'a>> {
        names.find_map(|name| {
            if let Some(entry) = self.given.and_then(|it| it.find(name)) {
                self.is_given = true;
                return Some(entry);
            }
            BUNDLE.find(name, self.distro)
        })
    }
}

/// The types a definition names. One that cannot be parsed names none: whoever compiles it is told why.
fn needs(entry: &Entry<'_>) -> Vec<String> {
    let part = Part { name: entry.name, is_idl: entry.is_idl, text: entry.text, first_line: 1 };
    let mut named = Vec::new();
    if entry.is_idl {
        named.extend(given::included(entry.text));
        for (_, definition) in idl::parse(&[part]).unwrap_or_default() {
            definition.each_named(&mut |it| named.push(it.to_owned()));
        }
    } else {
        let known = KnownTypes::default();
        for (_, structure) in service::parse(entry.name, &part, Dialect::Ros2, &known).unwrap_or_default() {
            TypeDef::Struct(structure).each_named(&mut |it| named.push(it.to_owned()));
        }
    }
    named
}

#[cfg(test)]
mod tests;
