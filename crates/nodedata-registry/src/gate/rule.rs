use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::record::{DataClass, GateKind, Sensitivity, Visibility};

/// What personal data may be of.
pub const CATEGORIES: [&str; 17] = [
    "face",
    "voice",
    "gait",
    "iris",
    "fingerprint",
    "hand-vein",
    "body-shape",
    "home-interior",
    "workplace",
    "location",
    "plate",
    "screen-text",
    "name",
    "health",
    "belief",
    "origin",
    "minor",
];

/// Longest time a grant may hold, in days.
pub const VALID_DAYS_MAX: u32 = 3660;

/// How requests for access are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// By a person.
    Manual,
    /// At once.
    Auto,
    /// At once for purposes of these terms of the Data Use Ontology, otherwise by a person.
    AutoFor(Vec<String>),
}

impl Approval {
    /// Reads `manual`, `auto` or `auto:DUO:0000042,DUO:…`.
    ///
    /// # Errors
    /// `Config`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "manual" => return Ok(Self::Manual),
            "auto" => return Ok(Self::Auto),
            _ => {}
        }
        let terms: Vec<String> =
            text.strip_prefix("auto:").unwrap_or_default().split(',').map(str::to_owned).collect();
        let is_term = |it: &String| {
            it.strip_prefix("DUO:")
                .is_some_and(|it| it.len() == 7 && it.bytes().all(|it| it.is_ascii_digit()))
        };
        if terms.iter().all(is_term) {
            return Ok(Self::AutoFor(terms));
        }
        Err(Error::new(ErrorKind::Config, format!("`{text}` is no way to approve"))
            .at(Locus::feature("sensitivity.gate.approval"))
            .with_hint("write `manual`, `auto`, or `auto:DUO:0000042` to approve purposes of these terms"))
    }

    /// Whether it lets in at once somebody whom `other` makes wait for a person.
    pub(super) fn is_weaker_than(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Manual, _) | (_, Self::Auto) => false,
            (Self::Auto, _) | (Self::AutoFor(_), Self::Manual) => true,
            (Self::AutoFor(mine), Self::AutoFor(theirs)) => mine.iter().any(|it| !theirs.contains(it)),
        }
    }

    /// Whether a request for these purposes is granted at once.
    pub fn grants(&self, duo: &[String]) -> bool {
        match self {
            Self::Manual => false,
            Self::Auto => true,
            Self::AutoFor(terms) => !duo.is_empty() && duo.iter().all(|it| terms.contains(it)),
        }
    }
}

/// Whether the bytes of such a dataset need an attestation: by its own gate, or by rule.
pub fn needs_attestation(visibility: Visibility, sensitivity: &Sensitivity) -> bool {
    sensitivity.gate.is_some() || (visibility == Visibility::Public && by_rule(sensitivity))
}

/// Whether the class or what is said beside it asks for a gate once the dataset is public.
pub(super) fn by_rule(sensitivity: &Sensitivity) -> bool {
    sensitivity.class.needs_gate() || sensitivity.special_category || sensitivity.minors
}

/// Checks what is declared about personal data. The rule of the gate is no option: public and identifying,
/// biometric or special-category means attestation.
///
/// # Errors
/// `Denied` when a dataset would be public that must not be so, or not without a gate; `Config` when the
/// declaration contradicts itself.
pub fn check_declaration(visibility: Visibility, sensitivity: &Sensitivity) -> Result<()> {
    let at = |err: Error, field: &str| Err(err.at(Locus::feature(format!("sensitivity.{field}"))));
    let config = |message: String| Error::new(ErrorKind::Config, message);
    if visibility == Visibility::Public && sensitivity.class == DataClass::Undeclared {
        let err = Error::new(
            ErrorKind::Denied,
            "a public dataset says what personal data it holds, and this one does not",
        )
        .with_hint("declare its class: none, pseudonymous, identifying, biometric or special-category");
        return at(err, "class");
    }
    if let Some(unknown) = sensitivity.categories.iter().find(|it| !CATEGORIES.contains(&it.as_str())) {
        let err = config(format!("`{unknown}` is no category of personal data"))
            .with_hint(format!("use {}", CATEGORIES.join(", ")));
        return at(err, "categories");
    }
    let is_none = matches!(sensitivity.class, DataClass::None);
    if is_none && (!sensitivity.categories.is_empty() || sensitivity.special_category || sensitivity.minors) {
        let err = config("class `none` says that there is no personal data, but some is named".to_owned())
            .with_hint("declare the class of what is named, or take it out");
        return at(err, "class");
    }
    if sensitivity.special_category && sensitivity.class != DataClass::SpecialCategory {
        let err = config("special_category is set, but the class is another".to_owned())
            .with_hint("declare the class special-category");
        return at(err, "class");
    }
    if visibility == Visibility::Public && by_rule(sensitivity) && sensitivity.gate.is_none() {
        let err =
            Error::new(ErrorKind::Denied, "a public dataset of this class is gated, and no gate is declared")
                .with_hint("name the text to agree to with `--agreement FILE`, or keep the dataset private");
        return at(err, "gate");
    }
    check_gate(sensitivity)
}

fn check_gate(sensitivity: &Sensitivity) -> Result<()> {
    let Some(gate) = &sensitivity.gate else { return Ok(()) };
    match gate.kind {
        GateKind::Attestation => {}
    }
    if gate.policy.is_none() {
        return Err(Error::new(ErrorKind::Config, "a gate needs a text that readers agree to")
            .at(Locus::feature("sensitivity.gate.policy"))
            .with_hint("name it with `--agreement FILE`"));
    }
    if gate.valid_days == 0 || gate.valid_days > VALID_DAYS_MAX {
        let message = format!("a grant holds 1 to {VALID_DAYS_MAX} days, not {}", gate.valid_days);
        return Err(Error::new(ErrorKind::Config, message)
            .at(Locus::feature("sensitivity.gate.valid_days"))
            .with_hint("365 is usual"));
    }
    Approval::parse(&gate.approval).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{digest::B3, record::Gate};

    fn gate() -> Gate {
        Gate {
            kind: GateKind::Attestation,
            policy: Some(B3::of(b"text")),
            approval: "manual".to_owned(),
            valid_days: 365,
        }
    }

    fn of(class: DataClass) -> Sensitivity {
        Sensitivity { class, special_category: class == DataClass::SpecialCategory, ..Sensitivity::default() }
    }

    #[test]
    fn public_personal_data_is_gated_by_rule() {
        use DataClass as C;
        let all = [C::Undeclared, C::None, C::Pseudonymous, C::Identifying, C::Biometric, C::SpecialCategory];
        for class in all {
            let plain = of(class);
            assert!(check_declaration(Visibility::Private, &plain).is_ok(), "{class:?}");
            assert!(!needs_attestation(Visibility::Private, &plain));
            let open = check_declaration(Visibility::Public, &plain);
            let gated = Sensitivity { gate: Some(gate()), ..plain.clone() };
            let with_gate = check_declaration(Visibility::Public, &gated);
            assert!(needs_attestation(Visibility::Public, &gated));
            match class {
                C::Undeclared => {
                    assert_eq!(open.unwrap_err().kind(), ErrorKind::Denied);
                    assert_eq!(with_gate.unwrap_err().kind(), ErrorKind::Denied);
                }
                C::None | C::Pseudonymous => assert!(open.is_ok() && with_gate.is_ok()),
                C::Identifying | C::Biometric | C::SpecialCategory => {
                    assert!(needs_attestation(Visibility::Public, &plain));
                    assert_eq!(open.unwrap_err().kind(), ErrorKind::Denied);
                    assert!(with_gate.is_ok());
                }
            }
        }
        let minors = Sensitivity { minors: true, ..of(DataClass::Pseudonymous) };
        assert_eq!(check_declaration(Visibility::Public, &minors).unwrap_err().kind(), ErrorKind::Denied);
    }

    #[test]
    fn declarations_that_contradict_themselves_are_refused() {
        let face = |class| Sensitivity { categories: vec!["face".to_owned()], ..of(class) };
        let cases = [
            face(DataClass::None),
            Sensitivity { categories: vec!["shoe".to_owned()], ..of(DataClass::Biometric) },
            Sensitivity { special_category: true, ..of(DataClass::Identifying) },
            Sensitivity { gate: Some(Gate { policy: None, ..gate() }), ..face(DataClass::Biometric) },
            Sensitivity { gate: Some(Gate { valid_days: 0, ..gate() }), ..face(DataClass::Biometric) },
            Sensitivity {
                gate: Some(Gate { approval: "perhaps".to_owned(), ..gate() }),
                ..face(DataClass::Biometric)
            },
        ];
        for case in cases {
            let err = check_declaration(Visibility::Private, &case).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Config, "{case:?}");
            assert!(err.hint().is_some() && err.locus().feature.is_some());
        }
    }

    #[test]
    fn ways_to_approve() {
        let duo = |it: &str| vec![it.to_owned()];
        assert!(!Approval::parse("manual").unwrap().grants(&duo("DUO:0000042")));
        assert!(Approval::parse("auto").unwrap().grants(&[]));
        let some = Approval::parse("auto:DUO:0000042,DUO:0000006").unwrap();
        assert!(some.grants(&duo("DUO:0000006")) && !some.grants(&duo("DUO:0000007")) && !some.grants(&[]));
        assert!(Approval::parse("auto:").is_err() && Approval::parse("auto:DUO:42").is_err());
    }
}
