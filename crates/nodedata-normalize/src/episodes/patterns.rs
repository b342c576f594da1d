use nodedata_core::{placed::Mistake, suggest};
use regex::Regex;

use super::PathMetadata;

const EXAMPLE: &str = r"write groups with names: `(?<operator>[^/]+)/(?<scene>[^/]+)/`";

/// The names of the groups of a pattern; none where it is no pattern.
pub(super) fn groups(pattern: &str) -> Vec<String> {
    let Ok(regex) = Regex::new(pattern) else { return Vec::new() };
    regex.capture_names().flatten().map(str::to_owned).collect()
}

/// Why a pattern is none.
pub(super) fn regex_mistake(pattern: &str, err: &regex::Error) -> String {
    // Behind the words for people, who see the pattern anyway.
    let told = err.to_string();
    let why = told.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
    format!("`{pattern}` is no regular expression: {why}")
}

/// What is wrong with a pattern for paths; `key` is that of its entry.
pub(super) fn mistakes(path: &PathMetadata, key: &str) -> Vec<Mistake> {
    let at = format!("{key}.path");
    let pattern = &path.pattern;
    let regex = match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(err) => return vec![Mistake::new(at, regex_mistake(pattern, &err)).with_hint(EXAMPLE)],
    };
    let names: Vec<&str> = regex.capture_names().flatten().collect();
    let mut mistakes = Vec::new();
    if names.is_empty() {
        mistakes.push(Mistake::new(&at, format!("`{pattern}` has no group with a name")).with_hint(EXAMPLE));
    }
    if regex.capture_names().skip(1).any(|it| it.is_none()) {
        let message = format!("`{pattern}` has a group without a name");
        let hint = format!("{EXAMPLE}; `(?:…)` is a group that nothing asks for");
        mistakes.push(Mistake::new(&at, message).with_hint(hint));
    }
    for name in path.types.keys().filter(|it| !names.contains(&it.as_str())) {
        let message = format!("`{pattern}` has no group `{name}`");
        mistakes.push(
            Mistake::new(format!("{key}.types.{name}"), message)
                .with_hint(suggest(name, names.iter().copied())),
        );
    }
    mistakes
}

/// The texts that the groups of a pattern take of a path, in the order of [`groups`]; `None` where it does not fit.
pub(super) fn taken(regex: &Regex, path: &str) -> Option<Vec<Option<String>>> {
    let found = regex.captures(path)?;
    let names = regex.capture_names().flatten();
    Some(names.map(|it| found.name(it).map(|it| it.as_str().to_owned())).collect())
}
