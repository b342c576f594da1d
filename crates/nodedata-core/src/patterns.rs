//! Names picked by patterns: topics of a log, features of a step table, episodes of a list, shards, files.
//!
//! One grammar everywhere: `*` stands for any letters, `?` for one, `[abc]` and `[a-z]` for one of these, `[!a-z]`
//! for one that is none of these, and `**` between slashes for any folders. A letter in brackets stands for
//! itself: `[*]`. In the name of a topic, a feature, an episode or a shard `/` is a letter like any other, so that
//! `/camera/*` takes all cameras with all that lies below them; in the path of a source it ends the name of a folder,
//! which `*`, `?` and `[…]` do not pass. What is a name as it stands, whatever its letters, means that name.

use glob::Pattern;

use crate::{Error, ErrorKind, Result, suggest};

/// Whether a text may stand for several names.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Checks that a text is a name or a well-formed pattern.
///
/// # Errors
/// `Config`.
pub fn check_pattern(text: &str) -> Result<()> {
    match is_pattern(text).then(|| Pattern::new(text)) {
        Some(Err(err)) => Err(malformed(text, &err)),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// Whether `name` is `pattern`, or fits it. A malformed pattern fits no other name: see [`check_pattern`].
pub fn fits(pattern: &str, name: &str) -> bool {
    pattern == name || (is_pattern(pattern) && Pattern::new(pattern).is_ok_and(|it| it.matches(name)))
}

/// Checks that every pattern is well-formed and fits one of `names`, which are of `kind` (`topic`, `feature`): what
/// is asked for must be there.
///
/// # Errors
/// `Config`, with the name that was probably meant.
pub fn check_patterns(kind: &str, option: &str, patterns: &[String], names: &[&str]) -> Result<()> {
    for pattern in patterns {
        // All topics there are: of an input without any, that is none.
        if pattern == "*" || names.iter().any(|it| fits(pattern, it)) {
            continue;
        }
        check_pattern(pattern)?;
        return Err(Error::new(ErrorKind::Config, format!("no {kind} fits `{pattern}` in `{option}`"))
            .with_hint(suggest(pattern, names.iter().copied())));
    }
    Ok(())
}

fn malformed(text: &str, err: &glob::PatternError) -> Error {
    // The library counts bytes or letters as it goes; the message says enough.
    Error::new(ErrorKind::Config, format!("`{text}` is not a pattern: {}", err.msg))
        .with_hint("`*` stands for any letters, `?` for one, `[a-z]` for one of these; `[*]` is a plain `*`")
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
        check("*", "/.hidden", true);
        check("/camera/*", "/camera/left/image", true);
        check("/camera/**", "/camera/left/image", true);
        check("/camera/*/image", "/camera/left/image", true);
        check("/camera/*/image", "/camera/left/info", false);
        check("*image*", "/camera/image_raw", true);
        check("a*c", "abbc", true);
        check("a*c", "acb", false);
        check("a*a", "a", false);
        check("*ab*b", "abb", true);
        check("*ab*b", "ab", false);
        check("train-*.parquet", "train-00001.parquet", true);
        check("camera_?", "camera_1", true);
        check("camera_?", "camera_12", false);
        check("joint_[0-3]", "joint_3", true);
        check("joint_[!0-3]", "joint_3", false);
        check("[*]", "*", true);
        check("[*]", "a", false);
    }

    #[test]
    fn a_name_means_itself_whatever_its_letters() {
        check("pose[0]", "pose[0]", true);
        check("pose[0]", "pose0", true);
        check("what?[", "what?[", true);
        check("what?[", "whats[", false);
    }

    #[test]
    fn a_long_pattern_takes_no_longer_than_its_letters_ask() {
        let pattern = format!("{}b", "*a".repeat(40));
        check(&pattern, &"a".repeat(200), false);
    }

    #[test]
    fn a_missing_topic_names_its_neighbour() {
        let names = ["/joint_states", "/cmd", "/tf"];
        let err = check_patterns("topic", "topics", &["/joint_state".to_owned()], &names).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Config);
        assert_eq!(err.hint(), Some("did you mean `/joint_states`?"));
        check_patterns("topic", "topics", &["/j*".to_owned()], &names).unwrap();
    }

    #[test]
    fn a_malformed_pattern_is_refused_unless_it_is_a_name() {
        for text in ["/a[0-", "a**", "***"] {
            let err = check_patterns("topic", "topics", &[text.to_owned()], &["/b"]).unwrap_err();
            assert!(err.to_string().starts_with(&format!("`{text}` is not a pattern")), "{err}");
            check_patterns("topic", "topics", &[text.to_owned()], &[text]).unwrap();
        }
    }
}
