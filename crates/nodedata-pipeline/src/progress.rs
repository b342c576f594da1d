/// Hears of a run's progress. Called from many threads; must be cheap.
pub trait Progress: Sync {
    /// The plan is known: `n_bytes` of records lie ahead.
    fn planned(&self, n_bytes: u64);

    /// `n_bytes` and `n_records` more are done.
    fn advanced(&self, n_bytes: u64, n_records: u64);

    /// The rows are written; what describes them is being written.
    fn finishing(&self) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn planned(&self, _n_bytes: u64) {}

    fn advanced(&self, _n_bytes: u64, _n_records: u64) {}
}
