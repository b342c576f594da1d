//! Names picked by patterns: topics of a log, features of a step table.

use crate::{Error, ErrorKind, Result};

/// Whether `name` fits `pattern`, in which `*` stands for any text.
pub fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The leftmost match leaves the most for the parts that follow.
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Checks that every pattern fits one of `names`, which are of `kind` (`topic`, `feature`): what is asked for
/// must be there.
///
/// # Errors
/// `Config`, with the names most like the pattern.
pub fn check_patterns(kind: &str, option: &str, patterns: &[String], names: &[&str]) -> Result<()> {
    for pattern in patterns {
        // All topics there are: of an input without any, that is none.
        if pattern == "*" || names.iter().any(|it| fits(pattern, it)) {
            continue;
        }
        let near = near_names(pattern, names);
        let hint = match near.as_slice() {
            [] => format!("the input has no {kind}s"),
            near => format!("the nearest {kind}s are {}", near.join(", ")),
        };
        return Err(Error::new(ErrorKind::Config, format!("no {kind} fits `{pattern}` in `{option}`"))
            .with_hint(hint));
    }
    Ok(())
}

/// Up to three names that take the fewest edits to become `pattern`.
fn near_names(pattern: &str, names: &[&str]) -> Vec<String> {
    let mut scored: Vec<(usize, &str)> = names.iter().map(|it| (n_edits(pattern, it), *it)).collect();
    scored.sort_unstable();
    scored.dedup();
    scored.iter().take(3).map(|(_, name)| format!("`{name}`")).collect()
}

/// Insertions, deletions and replacements of bytes between two names.
fn n_edits(left: &str, right: &str) -> usize {
    let right = right.as_bytes();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (idx, byte) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = idx + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(fits(pattern, name), expected, "{pattern} on {name}");
    }

    #[test]
    fn patterns() {
        check("/a", "/a", true);
        check("/a", "/ab", false);
        check("/a*", "/ab", true);
        check("*", "", true);
        check("/camera/*/image", "/camera/left/image", true);
        check("/camera/*/image", "/camera/left/info", false);
        check("*image*", "/camera/image_raw", true);
        check("a*a", "a", false);
        check("*ab*b", "abb", true);
        check("*ab*b", "ab", false);
    }

    #[test]
    fn a_missing_topic_names_its_neighbours() {
        let names = ["/joint_states", "/cmd", "/tf"];
        let err = check_patterns("topic", "topics", &["/joint_state".to_owned()], &names).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Config);
        assert!(err.hint().unwrap().starts_with("the nearest topics are `/joint_states`"), "{err:?}");
        check_patterns("topic", "topics", &["/j*".to_owned()], &names).unwrap();
    }
}
