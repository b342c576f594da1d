use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, SecondsFormat, Utc};

/// What time it is, for grants, tokens and the audit log.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Seconds since 1970 where somebody sets them.
    set: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's.
    pub fn system() -> Self {
        Self::default()
    }

    /// One that stands still until it is moved, for tests of what expires.
    pub fn standing_at(seconds: i64) -> Self {
        Self { set: Some(Arc::new(AtomicI64::new(seconds))) }
    }

    /// Moves a clock that stands.
    pub fn advance(&self, seconds: i64) {
        if let Some(set) = &self.set {
            set.fetch_add(seconds, Ordering::SeqCst);
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        let set = self.set.as_ref().and_then(|it| DateTime::from_timestamp(it.load(Ordering::SeqCst), 0));
        set.unwrap_or_else(Utc::now)
    }

    pub(crate) fn stamp(&self) -> String {
        stamp(self.now())
    }
}

/// A time as records write it.
pub(crate) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
