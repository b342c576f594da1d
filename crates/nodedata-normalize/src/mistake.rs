use std::fmt;

use nodedata_core::{Error, ErrorKind};

/// One mistake in a [`crate::StepSpec`], with the pipeline key it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// `fields.action.from[1]`, `steps.clock.topic`, `episodes.topic` …
    pub key: String,
    /// What is wrong, found before expected.
    pub message: String,
    /// What the user can do.
    pub hint: Option<String>,
}

impl Mistake {
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), hint: None }
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.key, self.message)
    }
}

/// All mistakes as one error of kind `Config`: the first with its hint, the others in its message.
///
/// # Panics
/// When there is no mistake.
pub fn mistakes_to_error(mistakes: &[Mistake]) -> Error {
    let (first, others) = mistakes.split_first().expect("an error needs a mistake");
    let mut message = first.to_string();
    for other in others {
        message.push_str(&format!("\n  also {other}"));
        if let Some(hint) = &other.hint {
            message.push_str(&format!(" ({hint})"));
        }
    }
    let error = Error::new(ErrorKind::Config, message);
    match &first.hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The hint that names the nearest of the names there are.
pub(crate) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>, what: &str) -> String {
    let mut scored: Vec<(usize, &str)> = names.into_iter().map(|it| (n_edits(wanted, it), it)).collect();
    scored.sort_unstable();
    scored.dedup();
    match scored.as_slice() {
        [] => format!("there are no {what}"),
        [(n, name), ..] if *n <= (wanted.chars().count() / 3).max(2) => format!("did you mean `{name}`?"),
        all => {
            let names: Vec<String> = all.iter().take(8).map(|it| format!("`{}`", it.1)).collect();
            let more = if 8 < all.len() { ", …" } else { "" };
            format!("the {what} are: {}{more}", names.join(", "))
        }
    }
}

/// Insertions, deletions and replacements of letters between two names.
fn n_edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(200).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (idx, letter) in left.chars().take(200).enumerate() {
        let mut diagonal = row[0];
        row[0] = idx + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
