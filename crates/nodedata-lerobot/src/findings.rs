use nodedata_core::{Error, Finding, FindingKind, Findings as Told, Locus, Loss};
use nodedata_steps::{SALVAGE_HINT, STEPS};

/// What the pointers of a dataset got wrong: what the data itself put right, and what nothing could.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Kept as errors until it is known that the run goes on in spite of them.
    pub(crate) damage: Vec<Error>,
    told: Told,
}

impl Findings {
    /// Notes a pointer that was wrong and that the data put right. `code` is the stable name of the kind.
    pub(crate) fn repaired(&mut self, code: &'static str, message: impl Into<String>, at: Locus) {
        self.told.push(Finding::repair(code, message, at));
    }

    /// Notes what could not be done as it was asked for, and what helps.
    pub(crate) fn not_done(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        at: Locus,
        hint: impl Into<String>,
    ) {
        self.told.push(Finding::repair(code, message, at).with_hint(hint));
    }

    /// Notes rows that are left out, and why.
    pub(crate) fn lost(&mut self, code: &'static str, err: Error, n_rows: u64) {
        let records = if n_rows == 0 { Vec::new() } else { vec![(STEPS, n_rows)] };
        self.damage.push(err.with_loss(Loss { reason: code, records, ..Loss::default() }));
    }

    /// Notes what loses nothing.
    pub(crate) fn warn(&mut self, message: impl Into<String>, at: Locus) {
        self.told.push(Finding::warning(message, at));
    }

    /// No episode is left to keep, so nobody is told that a salvage helps.
    pub(crate) fn nothing_to_salvage(&mut self) {
        let all = std::mem::take(&mut self.damage).into_iter();
        let told = |err: Error| match err.hint() {
            Some(SALVAGE_HINT | RESTORE_HINT) => err.with_hint(HOPELESS_HINT),
            _ => err,
        };
        self.damage = all.map(told).collect();
    }

    /// All of it, as a plan tells it.
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        let steps = |_| Some(nodedata_core::STEPS.to_owned());
        for err in &self.damage {
            self.told.push(Finding::new(FindingKind::Damage, err, steps));
        }
        self.told.into_vec()
    }
}

/// What can be done about a file that cannot be read.
pub(crate) const RESTORE_HINT: &str =
    "restore the file; `--on-error salvage` leaves its episodes out and lists them";

/// The same of a table below `meta/`.
pub(crate) const TABLE_HINT: &str = "restore the file";

/// The same where every episode needs it.
const HOPELESS_HINT: &str =
    "restore the file: no episode is whole without it, so there is nothing to salvage";
