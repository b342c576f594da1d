use std::{fmt, path::Path};

use nodedata_core::{Error, ErrorKind, Locus};

/// One mistake in a `schema.json`, with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
    /// What is wrong, found before expected.
    pub message: String,
    /// What the user can do.
    pub hint: Option<String>,
}

impl Mistake {
    pub(crate) fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = before.iter().filter(|it| **it == b'\n').count();
        let line_start = before.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        // Continuation bytes do not count, so a column is a character as an editor shows it.
        let column = before[line_start..].iter().filter(|it| **it & 0xc0 != 0x80).count();
        Self { line: one_based(line), column: one_based(column), message: message.into(), hint: None }
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The mistake as an error of kind `Config` in the file `path`.
    pub fn into_error(self, path: &Path) -> Error {
        let locus = Locus { line_column: Some((self.line, self.column)), ..Locus::path(path) };
        let error = Error::new(ErrorKind::Config, self.message).at(locus);
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, message, .. } = self;
        write!(f, "line {line}, column {column}: {message}")
    }
}

/// All mistakes of the file `path` as one error of kind `Config`: the first with its place and hint, the
/// others in its message.
///
/// # Panics
/// When there is no mistake.
pub fn into_error(mistakes: &[Mistake], path: &Path) -> Error {
    let (first, others) = mistakes.split_first().expect("an error needs a mistake");
    let mut first = first.clone();
    for other in others {
        first.message.push_str(&format!("\n  also {other}"));
        if let Some(hint) = &other.hint {
            first.message.push_str(&format!(" ({hint})"));
        }
    }
    first.into_error(path)
}

/// The hint that names the nearest of the words allowed, or all of them.
pub(crate) fn suggest<'a>(found: &str, allowed: impl IntoIterator<Item = &'a str>) -> String {
    let allowed: Vec<&str> = allowed.into_iter().collect();
    let limit = (found.chars().count() / 3).max(1);
    let nearest = allowed.iter().map(|it| (distance(found, it), *it)).min();
    match nearest {
        Some((n_edits, name)) if n_edits <= limit => format!("did you mean `{name}`?"),
        _ => format!("one of: {}", allowed.join(", ")),
    }
}

/// Edits (insert, remove, replace, swap neighbours) between two short words.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().take(64).flat_map(char::to_lowercase).collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

fn one_based(idx: usize) -> u32 {
    u32::try_from(idx).unwrap_or(u32::MAX - 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_only_when_near() {
        assert_eq!(suggest("tpye", ["shape", "type"]), "did you mean `type`?");
        assert_eq!(suggest("Float32", ["float16", "float32"]), "did you mean `float32`?");
        assert_eq!(suggest("colour", ["shape", "type"]), "one of: shape, type");
    }
}
