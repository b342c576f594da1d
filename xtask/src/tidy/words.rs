use super::{Finding, TrackedFile};

/// Words that mark unfinished work, put together here so that this file passes its own rule.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "do it, or file an issue"),
    (concat!("FIX", "ME"), "fix it, or file an issue"),
    (concat!("XX", "X"), "say what is meant, or file an issue"),
    (concat!("dbg", "!"), "take the debugging out"),
];

/// Forbidden words in text files, fixtures aside (they are data).
pub(super) fn check(files: &[TrackedFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|it| !it.path.starts_with("fixtures/") && it.path != "Cargo.lock") {
        for (idx, line) in file.text.as_deref().unwrap_or_default().lines().enumerate() {
            for (word, hint) in FORBIDDEN.iter().filter(|(word, _)| contains_word(line, word)) {
                findings.push(
                    Finding::new(&file.path, format!("found `{word}`"), (*hint).to_owned()).at_line(idx + 1),
                );
            }
        }
    }
    findings
}

/// Whether `line` has `word` with no letter, digit or underscore on either side.
fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |it: char| it.is_alphanumeric() || it == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_found_with_its_line() {
        for (word, _) in FORBIDDEN {
            let text = format!("fine\n// {word} later\n");
            let findings = check(&[TrackedFile::new("crates/a/src/lib.rs", &text)]);
            assert_eq!(findings.len(), 1, "{word}");
            assert_eq!(findings[0].line, Some(2));
        }
    }

    #[test]
    fn parts_of_words_and_fixtures_pass() {
        let text = format!("{}_LIST = 1\n", FORBIDDEN[0].0);
        assert_eq!(check(&[TrackedFile::new("crates/a/src/lib.rs", &text)]), []);
        assert_eq!(check(&[TrackedFile::new("fixtures/x/a.json", FORBIDDEN[0].0)]), []);
    }
}
