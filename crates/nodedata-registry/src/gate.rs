//! What stands before personal data: which declarations may be made, who has been let in to what, and the
//! log of who was let in and who was not.

mod attestation;
mod audit;
mod rule;

pub use attestation::{Action, Attestation, Purpose, Refusal, State, Subject, Transition, may_request};
pub use audit::{AuditEvent, AuditHead, AuditLine, Outcome, verify_audit};
pub use rule::{Approval, CATEGORIES, check_declaration, needs_attestation};
