use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nodedata_core::Result;
use nodedata_registry::gate::{AuditEvent, Outcome};

/// Denials of those who sent no token, or none that is known. Anybody can make any number of them: they are counted, and the
/// audit log gets a line for each kind now and then.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    counted: Mutex<BTreeMap<Kind, Counted>>,
    /// Held by whoever notes them: a note waits for a disk, and counting must not.
    settling: Mutex<()>,
}

/// What was not let, and why. Both are names of ours, so that there are few.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    action: String,
    reason: String,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    n: u64,
    /// Those of them that the audit log tells of.
    n_noted: u64,
}

impl Denials {
    pub(crate) fn count(&self, action: &str, reason: &str) {
        let kind = Kind { action: action.to_owned(), reason: reason.to_owned() };
        self.lock().entry(kind).or_default().n += 1;
    }

    /// How many of each action and reason.
    pub(crate) fn counted(&self) -> Vec<(String, String, u64)> {
        self.lock().iter().map(|(kind, it)| (kind.action.clone(), kind.reason.clone(), it.n)).collect()
    }

    /// Notes those that came since, a line for each kind.
    ///
    /// # Errors
    /// Those of `note`: what it did not take is noted the next time.
    pub(crate) fn settle(&self, mut note: impl FnMut(AuditEvent) -> Result<()>) -> Result<()> {
        let _alone = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = self.lock().clone();
        for (kind, counted) in counted {
            let n = counted.n - counted.n_noted;
            if n == 0 {
                continue;
            }
            note(AuditEvent {
                who: "anonymous".to_owned(),
                action: kind.action.clone(),
                outcome: Outcome::Denied,
                subject: Some(format!("{n} times")),
                reason: Some(kind.reason.clone()),
                ..AuditEvent::default()
            })?;
            if let Some(it) = self.lock().get_mut(&kind) {
                it.n_noted = counted.n;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, Counted>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use nodedata_core::{Error, ErrorKind};

    use super::*;

    #[test]
    fn counting_does_not_wait_for_notes() {
        let denials = Denials::default();
        denials.count("see", "not-found");
        denials
            .settle(|_| {
                denials.count("see", "not-found");
                Ok(())
            })
            .unwrap();
        let mut told = None;
        denials
            .settle(|it| {
                told = it.subject;
                Ok(())
            })
            .unwrap();
        assert_eq!((told.as_deref(), denials.counted()[0].2), (Some("1 times"), 2));
    }

    #[test]
    fn what_is_counted_is_noted_once() {
        let denials = Denials::default();
        for _ in 0..1000 {
            denials.count("see", "not-found");
        }
        denials.count("token", "token-unknown");
        let refuse = |_: AuditEvent| Err(Error::new(ErrorKind::Io, "full"));
        assert!(denials.settle(refuse).is_err());
        let settle = || {
            let mut lines = Vec::new();
            denials
                .settle(|it| {
                    lines.push(format!("{} {}", it.action, it.subject.unwrap_or_default()));
                    Ok(())
                })
                .unwrap();
            lines
        };
        assert_eq!(settle(), ["see 1000 times", "token 1 times"]);
        denials.count("see", "not-found");
        assert_eq!(settle(), ["see 1 times"]);
        assert_eq!((settle().len(), denials.counted()[0].2), (0, 1001));
    }
}
