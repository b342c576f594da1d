use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Locus, Loss};
use nodedata_steps::STEPS;

/// What the pointers of a dataset got wrong: what the data itself put right, and what nothing could.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) repairs: Vec<Error>,
    pub(crate) damage: Vec<Error>,
    pub(crate) warnings: Vec<Error>,
    /// Findings of one kind that were told in full, by kind.
    told: BTreeMap<&'static str, usize>,
}

/// Repairs of one kind that are told one by one; a mistake of a writer repeats in every episode.
const TOLD_PER_KIND: usize = 20;

impl Findings {
    /// Notes a pointer that was wrong and that the data put right. `code` is the stable name of the kind.
    pub(crate) fn repaired(&mut self, code: &'static str, message: impl Into<String>, at: Locus) {
        let n = self.told.entry(code).or_default();
        *n += 1;
        if *n <= TOLD_PER_KIND {
            let loss = Loss { reason: code, ..Loss::default() };
            self.repairs.push(Error::new(ErrorKind::Corrupt, message).at(at).with_loss(loss));
        }
    }

    /// Notes rows that are left out, and why.
    pub(crate) fn lost(&mut self, code: &'static str, err: Error, n_rows: u64) {
        let records = if n_rows == 0 { Vec::new() } else { vec![(STEPS, n_rows)] };
        self.damage.push(err.with_loss(Loss { reason: code, records, ..Loss::default() }));
    }

    /// Notes what loses nothing.
    pub(crate) fn warn(&mut self, message: impl Into<String>, at: Locus) {
        self.warnings.push(Error::new(ErrorKind::Corrupt, message).at(at));
    }

    /// The repairs, each kind told in full up to a number and then counted.
    pub(crate) fn take_repairs(&mut self) -> Vec<Error> {
        for (code, n) in std::mem::take(&mut self.told) {
            if n > TOLD_PER_KIND {
                let message = format!("`{code}` was put right {} more times", n - TOLD_PER_KIND);
                let loss = Loss { reason: code, ..Loss::default() };
                self.repairs.push(Error::new(ErrorKind::Corrupt, message).with_loss(loss));
            }
        }
        std::mem::take(&mut self.repairs)
    }
}

/// What can be done about a file that cannot be read.
pub(crate) const RESTORE_HINT: &str =
    "restore the file; `--on-error salvage` leaves its episodes out and lists them";
