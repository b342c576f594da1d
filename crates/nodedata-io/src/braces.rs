//! Names with braces, as lists of shards are written: `train-{000000..000123}.tar`, `{train,val}-0.tar`. A shell that knows them has
//! written them out already; files of pipelines and addresses, of which there are no patterns, have no shell.

use std::path::Path;

use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::input::printable;

/// Names that one may stand for.
const NAMES_MAX: usize = 100_000;

/// The names that a source stands for, in order: itself where it has no list in braces, or where there is a file of that very name.
///
/// # Errors
/// `Config` for too many.
pub(crate) fn expanded(source: &str) -> Result<Vec<String>> {
    if !source.contains('{') || is_there(source) {
        return Ok(vec![source.to_owned()]);
    }
    let mut names = vec![String::new()];
    let mut rest = source;
    while let Some((plain, list, behind)) = next_list(rest) {
        let n_names = names.len().checked_mul(list.n_items());
        if n_names.is_none_or(|it| NAMES_MAX < it) {
            let message = format!("the braces stand for more than {NAMES_MAX} names");
            return Err(Error::new(ErrorKind::Config, message)
                .at(Locus::path(printable(source)))
                .with_hint("name a folder or a glob"));
        }
        let items = list.items();
        let with_items =
            |name: &String| items.iter().map(|it| format!("{name}{plain}{it}")).collect::<Vec<_>>();
        names = names.iter().flat_map(with_items).collect();
        rest = behind;
    }
    names.iter_mut().for_each(|it| it.push_str(rest));
    Ok(names)
}

/// Whether the braces are letters: of a file that is there, or of the folder that a glob begins with.
fn is_there(source: &str) -> bool {
    let path = Path::new(source.strip_prefix("file://").unwrap_or(source));
    let is_pattern = |it: &&Path| it.as_os_str().as_encoded_bytes().iter().any(|it| b"*?[".contains(it));
    // The deepest folder above all patterns, or the path itself.
    let plain = path.ancestors().find(|it| !is_pattern(it));
    plain.is_some_and(|it| it.as_os_str().as_encoded_bytes().contains(&b'{') && it.exists())
}

/// What stands in braces.
enum List<'s> {
    /// From one number to another, with so many digits at least.
    Range {
        first: u64,
        last: u64,
        n_digits: usize,
    },
    Words(Vec<&'s str>),
}

/// What stands before the next list, the list, and what stands behind it. Braces around anything else are letters.
fn next_list(text: &str) -> Option<(&str, List<'_>, &str)> {
    let lists = text.match_indices('{').filter_map(|(open, _)| {
        let behind = &text[open + 1..];
        let close = behind.find(['{', '}']).filter(|it| behind.as_bytes()[*it] == b'}')?;
        Some((&text[..open], List::of(&behind[..close])?, &behind[close + 1..]))
    });
    lists.into_iter().next()
}

impl<'s> List<'s> {
    fn of(text: &'s str) -> Option<Self> {
        if text.contains(',') {
            return Some(Self::Words(text.split(',').collect()));
        }
        let (first, last) = text.split_once("..")?;
        let number = |it: &str| it.bytes().all(|it| it.is_ascii_digit()).then(|| it.parse().ok()).flatten();
        let is_padded = |it: &str| 1 < it.len() && it.starts_with('0');
        let n_digits = if is_padded(first) || is_padded(last) { first.len().max(last.len()) } else { 0 };
        Some(Self::Range { first: number(first)?, last: number(last)?, n_digits })
    }

    fn n_items(&self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Range { first, last, .. } => {
                usize::try_from(first.abs_diff(*last)).unwrap_or(usize::MAX).saturating_add(1)
            }
        }
    }

    fn items(&self) -> Vec<String> {
        let told = |number: u64, n_digits: usize| format!("{number:0n_digits$}");
        match self {
            Self::Words(words) => words.iter().map(|it| (*it).to_owned()).collect(),
            Self::Range { first, last, n_digits } if first <= last => {
                (*first..=*last).map(|it| told(it, *n_digits)).collect()
            }
            Self::Range { first, last, n_digits } => {
                (*last..=*first).rev().map(|it| told(it, *n_digits)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, names: &[&str]) {
        assert_eq!(expanded(source).unwrap(), names, "{source}");
    }

    /// As `bash` and `braceexpand` write them out.
    #[test]
    fn braces_stand_for_lists() {
        check("a-{008..011}.tar", &["a-008.tar", "a-009.tar", "a-010.tar", "a-011.tar"]);
        check("{1..3}", &["1", "2", "3"]);
        check("{3..1}", &["3", "2", "1"]);
        check(
            "s3://b/{train,val}-{0..1}.tar",
            &["s3://b/train-0.tar", "s3://b/train-1.tar", "s3://b/val-0.tar", "s3://b/val-1.tar"],
        );
        check("{x,}.tar", &["x.tar", ".tar"]);
        for letters in ["a.tar", "{a}.tar", "{a..b}", "{}", "{1..", "a}{b", "{-1..2}"] {
            check(letters, &[letters]);
        }
        check("{a{1..2}", &["{a1", "{a2"]);
    }

    /// Files and folders may be called so, whatever a pattern says of what lies in them.
    #[test]
    fn braces_of_what_is_there_are_letters() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("run{1,2}");
        std::fs::create_dir(&runs).unwrap();
        let runs = runs.display();
        for there in [format!("{runs}"), format!("file://{runs}"), format!("{runs}/*.mcap")] {
            check(&there, &[&there]);
        }
        check(
            &format!("{runs}x"),
            &[&format!("{runs}x").replace("{1,2}", "1"), &format!("{runs}x").replace("{1,2}", "2")],
        );
        let list = format!("{}/*/{{a,b}}.mcap", folder.path().display());
        check(&list, &[&list.replace("{a,b}", "a"), &list.replace("{a,b}", "b")]);
    }

    #[test]
    fn too_many_names_are_refused_before_they_are_made() {
        for many in ["{0..18446744073709551615}", "{1..1000}{1..1000}{1..1000}", "{000000..999999}.tar"] {
            assert_eq!(expanded(many).unwrap_err().kind(), ErrorKind::Config, "{many}");
        }
    }
}
