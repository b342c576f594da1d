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

    /// Whether somebody wants the run to stop where it can go on later. Asked between pieces of work.
    fn is_stopped(&self) -> bool {
        false
    }

    /// The rows are written; what describes them is being written.
    fn finishing(&self) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
