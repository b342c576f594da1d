use nodedata_core::{Error, ErrorKind, Result, nearest};
use spdx::identifiers::{EXCEPTIONS, IMPRECISE_NAMES, LICENSES};

const EXAMPLES: &str =
    "write an identifier such as `CC-BY-4.0`, `Apache-2.0 OR MIT`, or `LicenseRef-own-terms`";

/// Checks an SPDX expression, and gives it back with its operators and identifiers as SPDX spells them: case means nothing
/// in them.
///
/// # Errors
/// `Config` when it is none, with the identifier that was probably meant.
pub fn check_license(text: &str) -> Result<String> {
    let spelled = canonical(text);
    match spdx::Expression::parse(&spelled) {
        Ok(_) => Ok(spelled),
        Err(err) => Err(Error::new(ErrorKind::Config, format!("`{text}` is no SPDX licence expression"))
            .with_source(err)
            .with_hint(match meant(&spelled) {
                Some(meant) => {
                    format!("did you mean `{meant}`? Case does not matter, every other letter does")
                }
                None => EXAMPLES.to_owned(),
            })),
    }
}

const OPERATORS: [&str; 3] = ["AND", "OR", "WITH"];

fn identifiers() -> impl Iterator<Item = &'static str> {
    LICENSES.iter().map(|it| it.name).chain(EXCEPTIONS.iter().map(|it| it.name))
}

/// The expression with every identifier of the list spelled as there; all else as it is.
fn canonical(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len());
    for piece in text.trim().split_inclusive(is_between) {
        let word = piece.trim_end_matches(is_between);
        let identifier = word.strip_suffix('+').unwrap_or(word);
        let known = OPERATORS.into_iter().chain(identifiers()).find(|it| it.eq_ignore_ascii_case(identifier));
        spelled.push_str(known.unwrap_or(identifier));
        spelled.push_str(&piece[identifier.len()..]);
    }
    spelled
}

fn is_between(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '(' | ')')
}

/// The expression with the identifier put right that was probably mistyped.
fn meant(text: &str) -> Option<String> {
    let of = |word: &str| {
        let imprecise = IMPRECISE_NAMES.iter().find(|it| it.0.eq_ignore_ascii_case(word));
        imprecise.map(|it| it.1).or_else(|| nearest(word, identifiers()))
    };
    // What was written with spaces is one name more often than several.
    if let Some(name) = of(text) {
        return Some(name.to_owned());
    }
    let is_known = |word: &str| {
        word.is_empty()
            || OPERATORS.contains(&word)
            || word.contains("Ref-")
            || identifiers().any(|it| it == word.trim_end_matches('+'))
    };
    let wrong = text.split(is_between).find(|it| !is_known(it))?;
    let fixed = text.replacen(wrong, of(wrong)?, 1);
    spdx::Expression::parse(&fixed).ok().map(|_| fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_spdx_in_any_case_and_kept_in_one() {
        for (written, kept) in [
            ("CC-BY-4.0", "CC-BY-4.0"),
            (" cc-by-4.0 ", "CC-BY-4.0"),
            ("mit OR (apache-2.0 AND bsd-3-clause)", "MIT OR (Apache-2.0 AND BSD-3-Clause)"),
            ("apache-2.0 WITH llvm-exception", "Apache-2.0 WITH LLVM-exception"),
            ("MIT or Apache-2.0", "MIT OR Apache-2.0"),
            ("LicenseRef-acme", "LicenseRef-acme"),
        ] {
            assert_eq!(check_license(written).unwrap(), kept);
        }
    }

    #[test]
    fn the_identifier_that_was_meant_is_named() {
        for (written, hint) in [
            ("CC BY 4.0", "did you mean `CC-BY-4.0`?"),
            ("CC-BY-4", "did you mean `CC-BY-4.0`?"),
            ("Apache2", "did you mean `Apache-2.0`?"),
            ("MIT OR Apache-2", "did you mean `MIT OR Apache-2.0`?"),
            ("whatever you like", "write an identifier such as"),
            ("", "write an identifier such as"),
        ] {
            let err = check_license(written).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Config, "{written}");
            assert!(err.hint().unwrap().starts_with(hint), "{written}: {:?}", err.hint());
        }
    }
}
