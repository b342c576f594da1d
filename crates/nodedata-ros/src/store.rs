//! Definitions of types whose recordings have none: those that come with the program, and those of the user.

mod bundle;
mod given;

use std::collections::BTreeSet;

use nodedata_core::MessageText;

use crate::{
    definition::{Dialect, FieldType, TypeDef, normalize, without_vendor},
    idl,
    msg::KnownTypes,
    parts::Part,
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

/// Where a definition is from.
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
        let mut ordered: Vec<usize> = distros.iter().filter_map(|it| BUNDLE.distro(it)).collect();
        ordered.extend((0..BUNDLE.distros().len()).rev());
        let mut seen = BTreeSet::new();
        ordered.retain(|it| seen.insert(*it));
        let mut candidates: Vec<Candidate> = Vec::new();
        let given = (!self.given.is_empty()).then_some(&self.given);
        for given in given.into_iter().map(Some).chain([None]) {
            for distro in &ordered {
                let found = Gathering { given, distro: *distro, text: String::new(), is_given: false };
                let Some(found) = found.of(type_name) else { continue };
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
    fn of(mut self, type_name: &str) -> Option<Candidate> {
        let root = without_vendor(&normalize(type_name));
        let mut wanted = vec![root.clone()];
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut at = 0;
        while let Some(name) = wanted.get(at).cloned().filter(|_| at < TYPES_MAX) {
            at += 1;
            let Some(entry) = self.entry(&name) else {
                // What only a dependency lacks is told by whoever compiles the definition.
                if name == root {
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
            self.text.push_str(&format!("{}\n{kind}: {}\n{}", "=".repeat(80), entry.name, entry.text));
            if !self.text.ends_with('\n') {
                self.text.push('\n');
            }
            wanted.extend(needs(&entry).into_iter().filter(|it| !seen.contains(it)));
        }
        let package = root.split('/').next().unwrap_or_default();
        let origin = match self.is_given {
            true => Origin::Given,
            false if BUNDLE.is_vendor(package) => Origin::Vendor(package.to_owned()),
            false => Origin::Distro(BUNDLE.distros()[self.distro].to_owned()),
        };
        Some(Candidate { text: self.text, origin })
    }

    /// The definition that a type is in: its own, or that of the service or action it is a message of.
    fn entry(&mut self, name: &str) -> Option<Entry<'a>> {
        let of_whole = service::base_name(name);
        let names = [name, of_whole];
        let n_names = if name == of_whole || name.contains("/msg/") { 1 } else { 2 };
        for name in &names[..n_names] {
            if let Some(entry) = self.given.and_then(|it| it.find(name)) {
                self.is_given = true;
                return Some(entry);
            }
            if let Some(entry) = BUNDLE.find(name, self.distro) {
                return Some(entry);
            }
        }
        None
    }
}

/// The types a definition names. One that cannot be parsed names none: whoever compiles it is told why.
fn needs(entry: &Entry<'_>) -> Vec<String> {
    let part = Part { name: entry.name, is_idl: entry.is_idl, text: entry.text, first_line: 1 };
    let mut named = Vec::new();
    if entry.is_idl {
        named.extend(given::included(entry.text));
        for (_, definition) in idl::parse(&[part]).unwrap_or_default() {
            named_by(&definition, &mut named);
        }
    } else {
        let known = KnownTypes::default();
        for (_, structure) in service::parse(entry.name, &part, Dialect::Ros2, &known).unwrap_or_default() {
            named_by(&TypeDef::Struct(structure), &mut named);
        }
    }
    named
}

fn named_by(definition: &TypeDef, named: &mut Vec<String>) {
    match definition {
        TypeDef::Struct(it) => it.fields.iter().for_each(|it| named_in(&it.field_type, named)),
        TypeDef::Union(it) => it.branches.iter().for_each(|it| named_in(&it.field.field_type, named)),
        TypeDef::Enum(_) | TypeDef::Refused(_) => {}
    }
}

fn named_in(field_type: &FieldType, named: &mut Vec<String>) {
    match field_type {
        FieldType::Named(name) => named.push(name.clone()),
        FieldType::Array { item, .. } | FieldType::Sequence { item, .. } => named_in(item, named),
        FieldType::Primitive(_) | FieldType::Text { .. } | FieldType::Refused(_) => {}
    }
}

#[cfg(test)]
mod tests;
