//! What client and server both say of the gate before personal data: which declarations may be made, what was asked
//! and answered, and the lines of the log of who was let in and who was not. Who is let in, the server decides.

mod attestation;
mod audit;
mod audit_csv;
mod rule;
mod standing;

pub use attestation::{Attestation, Purpose, State, Subject, Transition};
pub use audit::{AuditEvent, AuditHead, AuditLine, Outcome, goes_through, verify_audit};
pub use audit_csv::{AUDIT_COLUMNS, audit_csv};
pub use rule::{Approval, CATEGORIES, VALID_DAYS_MAX, check_declaration, needs_attestation};
pub use standing::{Standing, lowered};
