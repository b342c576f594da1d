use std::path::Path;

use nodedata_core::{Error, ErrorKind, Result, nearest, placed::mistakes_to_error, suggest};
use nodedata_io::io_error;
use nodedata_registry::{B3, BumpKind, BumpRequest, DataClass, Gate, GateKind, Selector, Sensitivity};
use nodedata_schema::Schema;

/// How long a grant holds, in days, where nobody says.
const GRANT_DAYS: u32 = 365;

/// Which number a revision is to get: `auto`, `major`, `minor`, `patch` or a number.
///
/// # Errors
/// `Config`.
pub fn bump(text: &str) -> Result<BumpRequest> {
    match text {
        "auto" => Ok(BumpRequest::Auto),
        "major" => Ok(BumpRequest::Kind(BumpKind::Major)),
        "minor" => Ok(BumpRequest::Kind(BumpKind::Minor)),
        "patch" => Ok(BumpRequest::Kind(BumpKind::Patch)),
        number => match Selector::parse(number) {
            Ok(Selector::Version(version)) => Ok(BumpRequest::Exact(version)),
            _ => {
                let near = nearest(number, ["auto", "major", "minor", "patch"]);
                let near = near.map_or_else(String::new, |it| format!("did you mean `{it}`? "));
                Err(Error::new(ErrorKind::Config, format!("`{number}` is no bump")).with_hint(format!(
                    "{near}use `auto`, `major`, `minor`, `patch` or a number such as `1.2.0`"
                )))
            }
        },
    }
}

/// A data class, and what the data shows of people: `none`, or `[biometric, face]`. `key` is what they are said under.
///
/// # Errors
/// `Config` for a class that is none.
pub fn sensitivity(key: &str, words: &[String]) -> Result<Sensitivity> {
    let (first, categories) = words.split_first().map_or(("none", &[][..]), |(first, rest)| (first, rest));
    let class: DataClass = serde_json::from_value(first.into()).map_err(|err| {
        Error::new(ErrorKind::Config, format!("`{key}` starts with `{first}`, which is no data class"))
            .with_source(err)
            .with_hint(suggest(
                first,
                ["none", "pseudonymous", "identifying", "biometric", "special-category"],
            ))
    })?;
    Ok(Sensitivity {
        class,
        categories: categories.to_vec(),
        special_category: class == DataClass::SpecialCategory,
        ..Sensitivity::default()
    })
}

/// A gate behind which readers agree to a text, and a person lets them in.
pub fn attestation_gate(agreement: &[u8]) -> Gate {
    Gate {
        kind: GateKind::Attestation,
        policy: Some(B3::of(agreement)),
        approval: "manual".to_owned(),
        valid_days: GRANT_DAYS,
    }
}

/// The schema in a file.
///
/// # Errors
/// `Io`; `Config` with every mistake in it.
pub fn read_schema(path: &Path) -> Result<Schema> {
    let text = std::fs::read_to_string(path).map_err(|err| io_error("cannot read the schema", path, err))?;
    Schema::from_json(&text).map_err(|mistakes| mistakes_to_error(&mistakes, Some(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_kinds_are_bumps() {
        assert_eq!(bump("auto").unwrap(), BumpRequest::Auto);
        assert_eq!(bump("minor").unwrap(), BumpRequest::Kind(BumpKind::Minor));
        assert!(matches!(bump("1.2.0").unwrap(), BumpRequest::Exact(it) if it.to_string() == "1.2.0"));
        for bad in ["", "mino", "^1.2", "latest", "1.2"] {
            assert_eq!(bump(bad).unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
        assert!(bump("mino").unwrap_err().hint().unwrap().starts_with("did you mean `minor`? "));
    }

    #[test]
    fn a_class_comes_first() {
        let words = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let of = |it: &[&str]| sensitivity("pii", &words(it));
        assert_eq!(of(&[]).unwrap().class, DataClass::None);
        let special = of(&["special-category", "health"]).unwrap();
        assert!(special.special_category && special.categories == ["health"]);
        let err = of(&["biometrik", "face"]).unwrap_err();
        assert_eq!(err.to_string(), "`pii` starts with `biometrik`, which is no data class");
        assert!(err.hint().unwrap().contains("`biometric`"), "{:?}", err.hint());
    }
}
