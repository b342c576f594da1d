use std::collections::BTreeMap;

use nodedata_core::{patterns::fits, placed::Mistake, suggest};

use super::{EpisodeList, EpisodeSpec, Missing, names::Named};

/// Why an episode is left out, as ledgers say it: a list names it.
pub(crate) const EXCLUDED: &str = "excluded_episode";
/// As [`EXCLUDED`]: there is a list of episodes to take, which does not name it.
pub(crate) const NOT_INCLUDED: &str = "not_included_episode";
/// As [`EXCLUDED`]: it is shorter than asked for.
pub(crate) const SHORT: &str = "short_episode";

/// Says which episodes are left out, and remembers which names of its lists it met.
#[derive(Debug)]
pub(crate) struct Chooser<'a> {
    spec: &'a EpisodeSpec,
    include: Met<'a>,
    exclude: Met<'a>,
    /// Keys of all episodes and recordings asked about, for hints.
    keys: Vec<String>,
}

/// A list, and which of its names were met.
#[derive(Debug, Default)]
struct Met<'a> {
    list: Option<&'a EpisodeList>,
    names: Vec<bool>,
    of_table: BTreeMap<&'a str, bool>,
}

/// How long an episode is; `None` where that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Length {
    pub(crate) n_steps: Option<u64>,
    /// From its first step to its last.
    pub(crate) spanned_ns: Option<i64>,
}

impl<'a> Chooser<'a> {
    pub(crate) fn new(spec: &'a EpisodeSpec) -> Self {
        let (include, exclude) = (Met::new(spec.include.as_ref()), Met::new(spec.exclude.as_ref()));
        Self { spec, include, exclude, keys: Vec::new() }
    }

    /// What is asked for.
    pub(crate) fn spec(&self) -> &'a EpisodeSpec {
        self.spec
    }

    /// Whether lengths decide.
    pub(crate) fn asks_lengths(&self) -> bool {
        self.spec.min_steps.is_some() || self.spec.min_ns.is_some()
    }

    /// Why an episode of these names is left out.
    pub(crate) fn by_name(&mut self, named: &Named<'_>) -> Option<&'static str> {
        for key in [named.key, named.recording] {
            if self.keys.last().is_none_or(|it| it != key) {
                self.keys.push(key.to_owned());
            }
        }
        let (is_excluded, is_included) = (self.exclude.names(named), self.include.names(named));
        if is_excluded {
            return Some(EXCLUDED);
        }
        (self.include.list.is_some() && !is_included).then_some(NOT_INCLUDED)
    }

    /// Why an episode of this length is left out.
    pub(crate) fn by_length(&self, length: Length) -> Option<&'static str> {
        let has_few = self.spec.min_steps.zip(length.n_steps).is_some_and(|(min, n)| n < min);
        let is_brief = self.spec.min_ns.zip(length.spanned_ns).is_some_and(|(min, ns)| ns < min);
        (has_few || is_brief).then_some(SHORT)
    }

    /// Names that no episode has: they leave out nothing, or take nothing. Of a source without any episode nothing is known.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        if self.keys.is_empty() {
            return Vec::new();
        }
        let mut mistakes = self.include.mistakes("episodes.include", &self.keys);
        mistakes.extend(self.exclude.mistakes("episodes.exclude", &self.keys));
        mistakes
    }
}

impl<'a> Met<'a> {
    fn new(list: Option<&'a EpisodeList>) -> Self {
        let names = vec![false; list.map_or(0, |it| it.names.len())];
        let of_table = list.and_then(|it| it.table.as_ref()).into_iter().flat_map(|it| &it.names);
        Self { list, names, of_table: of_table.map(|it| (it.as_str(), false)).collect() }
    }

    /// Whether the list names an episode; notes by which names.
    fn names(&mut self, named: &Named<'_>) -> bool {
        let Some(list) = self.list else { return false };
        let mut is_named = false;
        for (name, met) in list.names.iter().zip(&mut self.names) {
            if fits(name, named.key) || fits(name, named.recording) {
                (*met, is_named) = (true, true);
            }
        }
        if let Some(table) = &list.table
            && let Some(own) = named.name(&table.equals, None)
            && let Some(met) = self.of_table.get_mut(&*own)
        {
            (*met, is_named) = (true, true);
        }
        is_named
    }

    fn mistakes(&self, at: &str, keys: &[String]) -> Vec<Mistake> {
        let Some(list) = self.list else { return Vec::new() };
        let mut mistakes = Vec::new();
        for (idx, (name, _)) in list.names.iter().zip(&self.names).enumerate().filter(|it| !it.1.1) {
            // All episodes there are: that may be none.
            if name == "*" {
                continue;
            }
            let message = format!("the source has no episode `{name}`");
            let hint = suggest(name, keys.iter().map(String::as_str));
            mistakes.push(Mistake::new(format!("{at}[{idx}]"), message).with_hint(hint));
        }
        if let Some(table) = list.table.as_ref().filter(|it| it.missing == Missing::Error) {
            let idle: Vec<&str> = self.of_table.iter().filter(|it| !*it.1).map(|it| *it.0).collect();
            if let Some(first) = idle.first() {
                let others = match idle.len() - 1 {
                    0 => String::new(),
                    n => format!(", and there are {n} more such rows"),
                };
                let message =
                    format!("`{}` names `{first}`, and no episode is called so{others}", table.file.path);
                let hint = format!(
                    "a name of the table is {}; write `missing: \"null\"` where it may name others",
                    table.equals
                );
                mistakes.push(Mistake::new(format!("{at}.table"), message).with_hint(hint));
            }
        }
        mistakes
    }
}
