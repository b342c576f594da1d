use crate::{Error, ErrorKind, Result};

/// Hears how far a long run is, and says when to stop it: a conversion, a push, a pull, a check of a store. Called from many threads; must be
/// cheap.
pub trait Progress: Sync {
    /// `n_bytes` more of the files that are named are hashed, before it is known what must be done.
    fn hashed(&self, n_bytes: u64) {
        let _ = n_bytes;
    }

    /// The plan is known: `n_bytes` lie ahead.
    fn planned(&self, n_bytes: u64) {
        let _ = n_bytes;
    }

    /// `n_bytes` and `n_records` more are done: decoded, sent and acknowledged, fetched, read again.
    fn advanced(&self, n_bytes: u64, n_records: u64) {
        let _ = (n_bytes, n_records);
    }

    /// Something that whoever runs this should know before it is done.
    fn warned(&self, warning: &str) {
        let _ = warning;
    }

    /// Whether somebody wants the run to stop where it can go on later. Asked between pieces of work, of which none is
    /// longer than what is read or sent at once.
    fn is_stopped(&self) -> bool {
        false
    }

    /// Ends a piece of work that is to stop, before the next one is begun.
    ///
    /// # Errors
    /// `Interrupted` when [`Self::is_stopped`] says so.
    fn go_on(&self) -> Result<()> {
        match self.is_stopped() {
            true => Err(Error::new(ErrorKind::Interrupted, "the run was stopped")),
            false => Ok(()),
        }
    }

    /// The rows are written; what describes them is being written.
    fn finishing(&self) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stopped(bool);

    impl Progress for Stopped {
        fn is_stopped(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn work_goes_on_until_somebody_stops_it() {
        Silent.go_on().unwrap();
        Stopped(false).go_on().unwrap();
        let told: &dyn Progress = &Stopped(true);
        assert_eq!(told.go_on().unwrap_err().kind(), ErrorKind::Interrupted);
    }
}
