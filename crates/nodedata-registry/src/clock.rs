//! When something was done, and fresh names.

use chrono::{SecondsFormat, Utc};

/// Now, as records write it: `2026-11-23T10:00:00Z`. Only for what says when something was done, never for
/// what decides what is done.
pub fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A fresh name for a push or an operation: random, so that nothing about the machine is in it.
pub fn fresh_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// A random number below `below`, for jitter.
pub(crate) fn jitter(below: u64) -> u64 {
    (uuid::Uuid::new_v4().as_u128() as u64) % below.max(1)
}
