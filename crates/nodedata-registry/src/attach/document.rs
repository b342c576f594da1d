use nodedata_core::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::{
    attach::dp_report::DpReport,
    record::{AttachmentKind, from_bytes},
    trust::{Envelope, RevisionStatement},
};

/// Longest document that is attached to a revision, in bytes.
pub const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// Checks a document before it is attached to a revision.
///
/// # Errors
/// `Limit` when it is too long; `Corrupt` when it cannot be read, or is about another revision; `Config` when
/// it claims something without saying what that holds for.
pub fn check_document(kind: AttachmentKind, bytes: &[u8], about: &RevisionStatement) -> Result<()> {
    if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
        let message =
            format!("the document has {} bytes, at most {DOCUMENT_BYTES_MAX} are taken", bytes.len());
        return Err(
            Error::new(ErrorKind::Limit, message).with_hint("attach a summary that names the rest by digest")
        );
    }
    match kind {
        AttachmentKind::DpReport => {
            let report = DpReport::parse(bytes)?;
            let subject = format!("{}@{}", about.dataset, about.revision);
            if report.subject != subject {
                let message = format!("the report is about `{}`, not about `{subject}`", report.subject);
                return Err(
                    Error::new(ErrorKind::Config, message).with_hint(format!("set `subject` to `{subject}`"))
                );
            }
            Ok(())
        }
        AttachmentKind::Signature => Envelope::about(bytes, about).map(drop),
        AttachmentKind::Eval => from_bytes::<serde_json::Map<String, Value>>("evaluation", bytes).map(drop),
        AttachmentKind::Note => match std::str::from_utf8(bytes) {
            Ok(text) if !text.trim().is_empty() => Ok(()),
            Ok(_) => Err(Error::new(ErrorKind::Config, "the note is empty").with_hint("write something")),
            Err(err) => Err(Error::new(ErrorKind::Corrupt, "the note is not UTF-8").with_source(err)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::B3,
        trust::{SecretKey, sign_revision},
    };

    #[test]
    fn documents_are_about_their_revision() {
        let about = |revision: &str| RevisionStatement {
            dataset: "acme/panda-arm-grasp-100k".parse().unwrap(),
            revision: revision.to_owned(),
            manifest: B3::of(b"m"),
        };
        let report = include_bytes!("example_dp_report.json");
        check_document(AttachmentKind::DpReport, report, &about("1.2.0")).unwrap();
        assert!(check_document(AttachmentKind::DpReport, report, &about("1.3.0")).is_err());
        let envelope = sign_revision(&about("1.2.0"), &SecretKey::generate().unwrap()).unwrap();
        let envelope = envelope.to_bytes().unwrap();
        check_document(AttachmentKind::Signature, &envelope, &about("1.2.0")).unwrap();
        assert!(check_document(AttachmentKind::Signature, &envelope, &about("1.3.0")).is_err());
        check_document(AttachmentKind::Eval, br#"{"success":"0.8"}"#, &about("1.2.0")).unwrap();
        check_document(AttachmentKind::Note, "gut".as_bytes(), &about("1.2.0")).unwrap();
        for (kind, bytes) in [
            (AttachmentKind::Eval, b"[1]".as_slice()),
            (AttachmentKind::Note, b" \n"),
            (AttachmentKind::Note, b"\xff"),
        ] {
            assert!(check_document(kind, bytes, &about("1.2.0")).is_err(), "{kind}");
        }
        let long = vec![b'a'; DOCUMENT_BYTES_MAX as usize + 1];
        let err = check_document(AttachmentKind::Note, &long, &about("1.2.0")).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Limit);
    }
}
