use crate::{
    gate::rule::{Approval, by_rule, needs_attestation},
    record::{Gate, Sensitivity, Visibility},
    state::Declaration,
};

/// What stands before one revision. A later declaration counts for it unless it lowers what protects it, and what its
/// manifest says of its data holds whatever is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Who may see it.
    pub visibility: Visibility,
    /// What personal data it holds, and its gate.
    pub sensitivity: Sensitivity,
}

impl Standing {
    /// What stands before a revision that was published after so many of `declarations`, which are all that were made of the
    /// dataset, in order, and whose manifest says `floor`.
    pub fn of(declarations: &[Declaration], n_before: u64, floor: &Sensitivity) -> Self {
        let n_before = usize::try_from(n_before).map_or(declarations.len(), |it| it.min(declarations.len()));
        let (before, after) = declarations.split_at(n_before);
        let declared = |it: &Declaration| Self {
            visibility: it.visibility,
            sensitivity: at_least(it.sensitivity.clone(), floor),
        };
        let first = before
            .last()
            .map_or_else(|| Self { visibility: Visibility::Private, sensitivity: floor.clone() }, &declared);
        after.iter().fold(first, |standing, it| match lowered(&standing, it.visibility, &it.sensitivity) {
            Some(_) => standing,
            None => declared(it),
        })
    }

    /// Whether its bytes need an attestation.
    pub fn needs_attestation(&self) -> bool {
        needs_attestation(self.visibility, &self.sensitivity)
    }
}

/// The declaration, with no less than `floor` says of the data. A gate that stood before data which needs none may go.
fn at_least(declared: Sensitivity, floor: &Sensitivity) -> Sensitivity {
    let mut raised = Sensitivity {
        class: declared.class.max(floor.class),
        special_category: declared.special_category || floor.special_category,
        minors: declared.minors || floor.minors,
        ..declared
    };
    if raised.gate.is_none() && by_rule(&raised) {
        raised.gate.clone_from(&floor.gate);
    }
    raised
}

/// Which field of a declaration lowers what protects identifying, biometric or special-category data (or data of
/// minors); `None` when none does. That is a steward's to do, who says why, and holds for later revisions only.
pub fn lowered(old: &Standing, visibility: Visibility, sensitivity: &Sensitivity) -> Option<&'static str> {
    let (was, is) = (by_rule(&old.sensitivity), by_rule(sensitivity));
    if old.visibility == Visibility::Private && visibility == Visibility::Public && (was || is) {
        return Some("visibility");
    }
    if !was {
        return None;
    }
    let old = &old.sensitivity;
    if sensitivity.class < old.class {
        Some("sensitivity.class")
    } else if old.special_category && !sensitivity.special_category {
        Some("sensitivity.special_category")
    } else if old.minors && !sensitivity.minors {
        Some("sensitivity.minors")
    } else {
        lowered_gate(old.gate.as_ref()?, sensitivity.gate.as_ref())
    }
}

fn lowered_gate(old: &Gate, new: Option<&Gate>) -> Option<&'static str> {
    let Some(new) = new else { return Some("sensitivity.gate") };
    // What cannot be read lets nobody in by itself.
    let approval = |it: &Gate| Approval::parse(&it.approval).unwrap_or(Approval::Manual);
    approval(new).is_weaker_than(&approval(old)).then_some("sensitivity.gate.approval")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::B3,
        record::{DataClass, GateKind},
    };

    fn gate(approval: &str) -> Gate {
        Gate {
            kind: GateKind::Attestation,
            policy: Some(B3::of(approval.as_bytes())),
            approval: approval.to_owned(),
            valid_days: 30,
        }
    }

    fn of(class: DataClass, gate: Option<Gate>) -> Sensitivity {
        Sensitivity { class, gate, ..Sensitivity::default() }
    }

    fn standing(visibility: Visibility, class: DataClass, gate: Option<Gate>) -> Standing {
        Standing { visibility, sensitivity: of(class, gate) }
    }

    #[test]
    fn what_lowers_is_named() {
        use DataClass as C;
        use Visibility::{Private, Public};
        let manual = || Some(gate("manual"));
        let some = |terms: &str| Some(gate(&format!("auto:{terms}")));
        for (old, (visibility, class, new_gate), expected) in [
            (standing(Public, C::Biometric, manual()), (Public, C::None, None), Some("sensitivity.class")),
            (
                standing(Public, C::Biometric, manual()),
                (Public, C::Identifying, manual()),
                Some("sensitivity.class"),
            ),
            (standing(Private, C::Biometric, None), (Public, C::Biometric, manual()), Some("visibility")),
            (standing(Private, C::Undeclared, None), (Public, C::Biometric, manual()), Some("visibility")),
            (
                standing(Private, C::Biometric, manual()),
                (Private, C::Biometric, None),
                Some("sensitivity.gate"),
            ),
            (
                standing(Public, C::Biometric, manual()),
                (Public, C::Biometric, Some(gate("auto"))),
                Some("sensitivity.gate.approval"),
            ),
            (
                standing(Public, C::Biometric, some("DUO:0000042")),
                (Public, C::Biometric, some("DUO:0000042,DUO:0000006")),
                Some("sensitivity.gate.approval"),
            ),
            (
                standing(Public, C::Biometric, Some(gate("auto"))),
                (Public, C::SpecialCategory, manual()),
                None,
            ),
            (standing(Public, C::Biometric, manual()), (Private, C::Biometric, manual()), None),
            (standing(Private, C::Undeclared, None), (Public, C::None, None), None),
            (standing(Public, C::Pseudonymous, manual()), (Public, C::None, None), None),
        ] {
            assert_eq!(lowered(&old, visibility, &of(class, new_gate)), expected, "{old:?} to {class:?}");
        }
        let minors = |minors| Sensitivity { minors, ..of(C::Pseudonymous, manual()) };
        let old = Standing { visibility: Public, sensitivity: minors(true) };
        assert_eq!(lowered(&old, Public, &minors(false)), Some("sensitivity.minors"));
    }

    #[test]
    fn what_lowers_counts_for_later_revisions_alone() {
        let declared =
            |seq, visibility, class, gate| Declaration { seq, visibility, sensitivity: of(class, gate) };
        use DataClass as C;
        use Visibility::Public;
        let all = [
            declared(0, Public, C::Biometric, Some(gate("manual"))),
            declared(4, Public, C::None, None),
            declared(8, Public, C::SpecialCategory, Some(gate("auto:DUO:0000042"))),
        ];
        let none = Sensitivity::default();
        let upto = |n: usize, seq, floor: &Sensitivity| {
            let n_before = all[..n].iter().filter(|it| it.seq < seq).count() as u64;
            Standing::of(&all[..n], n_before, floor)
        };
        for seq in 1..4 {
            assert_eq!(upto(2, seq, &none).sensitivity.class, C::Biometric, "published as {seq}");
            assert!(upto(2, seq, &none).needs_attestation());
        }
        assert!(!upto(2, 5, &none).needs_attestation());
        // What the manifest says stays, whatever is declared.
        let face = of(C::Biometric, None);
        assert!(upto(2, 5, &face).needs_attestation());
        // A gate that nobody had to have goes for all.
        let voluntary = of(C::Pseudonymous, Some(gate("manual")));
        let gone = [
            Declaration { seq: 0, visibility: Public, sensitivity: voluntary.clone() },
            declared(4, Public, C::Pseudonymous, None),
        ];
        assert!(Standing::of(&gone[..1], 1, &voluntary).needs_attestation());
        assert!(!Standing::of(&gone, 1, &voluntary).needs_attestation());
        // What raises counts for all, what opens the gate wider for none of those before it.
        assert_eq!(upto(3, 5, &none).sensitivity.class, C::SpecialCategory);
        assert_eq!(upto(3, 1, &none).sensitivity.class, C::Biometric);
        assert_eq!(upto(3, 9, &none).sensitivity.class, C::SpecialCategory);
    }
}
