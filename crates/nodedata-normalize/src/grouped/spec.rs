use std::fmt;

use nodedata_core::suggest;
use regex::Regex;
use serde::{Deserialize, Serialize};

/// The group of a pattern that is the key of the episode.
pub(super) const EPISODE: &str = "episode";
/// The group that orders the rows of an episode.
pub(super) const STEP: &str = "step";

/// What says which episode a sample belongs to. Plain data: [`super::group_mistakes`] holds it against a source.
///
/// It is a part of recipes, by the names that things have here, as `grouped@1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GroupBy {
    /// The key of the sample.
    Key {
        /// A regular expression that fits whole keys. Its group `episode` is the key of the episode, its group `step`, where it
        /// has one, the whole number that orders the rows in it.
        pattern: String,
    },
    /// A value of the row: text, a whole number, or a bool.
    Field {
        /// Its field.
        field: String,
        /// The field whose numbers order the rows of an episode; `None` where rows are in order as they are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<String>,
    },
}

impl GroupBy {
    /// The columns that say it, that of the episode first; `key_column` is that of the keys of samples.
    pub(super) fn columns<'a>(&'a self, key_column: Option<&'a str>) -> Vec<&'a str> {
        match self {
            Self::Key { .. } => key_column.into_iter().collect(),
            Self::Field { field, order } => std::iter::once(field).chain(order).map(String::as_str).collect(),
        }
    }
}

/// As a person would say it: ``by the field `episode_id`, in the order of `frame` ``.
impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { pattern } => write!(f, "by the key of the sample, `{pattern}`"),
            Self::Field { field, order: None } => write!(f, "by the field `{field}`"),
            Self::Field { field, order: Some(order) } => {
                write!(f, "by the field `{field}`, in the order of `{order}`")
            }
        }
    }
}

/// What a pattern says wrongly, and what to do about it; `None` for one that can be used.
pub fn pattern_mistake(pattern: &str) -> Option<(String, String)> {
    compile(pattern).err()
}

/// The pattern, for whole keys.
///
/// # Errors
/// What it says wrongly, and what to do about it.
pub(super) fn compile(pattern: &str) -> Result<Regex, (String, String)> {
    let refused = |err: &regex::Error| {
        // Behind the words for people, who see the pattern anyway.
        let told = err.to_string();
        let why = told.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        (format!("`{pattern}` is no regular expression: {why}"), example())
    };
    let alone = Regex::new(pattern).map_err(|err| refused(&err))?;
    for name in alone.capture_names().skip(1) {
        match name {
            Some(EPISODE | STEP) => {}
            Some(other) => {
                let message = format!("`{pattern}` has a group `{other}`, which nothing asks for");
                return Err((message, suggest(other, [EPISODE, STEP])));
            }
            None => {
                let message = format!("`{pattern}` has a group without a name");
                return Err((message, format!("{}; `(?:…)` is a group that nothing asks for", example())));
            }
        }
    }
    if alone.capture_names().flatten().all(|it| it != EPISODE) {
        return Err((format!("`{pattern}` has no group `{EPISODE}`"), example()));
    }
    Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(|err| refused(&err))
}

fn example() -> String {
    r"write `(?<episode>ep\d+)_(?<step>\d+)`".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(pattern: &str, message: &str, hint: &str) {
        let (found, told) = pattern_mistake(pattern).unwrap();
        assert!(found.contains(message) && told.contains(hint), "{found} ({told})");
    }

    #[test]
    fn patterns_name_their_groups() {
        for sound in [
            r"(?<episode>ep\d+)_(?<step>\d+)",
            "(?<episode>.*)",
            r"(?P<episode>\w+)(?:/x)?",
            "(?i)(?<episode>E)",
        ] {
            assert_eq!(pattern_mistake(sound), None, "{sound}");
        }
        refused(r"(ep\d+)_(\d+)", "a group without a name", "(?:…)");
        refused(r"(?<step>\d+)", "no group `episode`", "(?<episode>");
        refused(r"(?<episod>ep)", "a group `episod`", "did you mean `episode`?");
        refused(r"ep\d+", "no group `episode`", "(?<episode>");
        refused(r"(?<episode>ep", "no regular expression: unclosed group", "(?<episode>");
        refused(r"(?<episode>[a-z]{1000}{1000})", "no regular expression", "(?<episode>");
    }

    #[test]
    fn patterns_fit_whole_keys() {
        let pattern = compile(r"(?<episode>ep\d|ep\d\d)").unwrap();
        assert!(pattern.is_match("ep12") && !pattern.is_match("a/ep12") && !pattern.is_match("ep123"));
    }
}
