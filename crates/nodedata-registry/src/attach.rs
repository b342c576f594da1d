//! Documents about a revision that come after it: what each kind must say before it is taken.

mod document;
mod dp_report;

pub use document::{DOCUMENT_BYTES_MAX, check_document};
pub use dp_report::{Claim, DpReport, PrivacyUnit, Scope, epsilon_bounds};
