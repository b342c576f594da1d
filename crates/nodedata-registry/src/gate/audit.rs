use nodedata_core::{Error, ErrorKind, Locus, Result};
use serde::{Deserialize, Serialize};

use crate::{
    digest::B3,
    record::{from_bytes, to_canonical},
};

/// One line of the audit log: what happened, and the hash of the line before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// Its number, from 0.
    pub seq: u64,
    /// Hash of the line before it; absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<B3>,
    /// When, UTC.
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub event: AuditEvent,
}

/// Something worth keeping.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// The account, or `anonymous`.
    pub who: String,
    /// What they did, such as `read` or `grant`.
    pub action: String,
    /// Whether they were let.
    pub outcome: Outcome,
    /// Which dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Which revision, account, token or attestation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Bytes handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The attestation that let them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Why not, by code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether something was let happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was.
    #[default]
    Allowed,
    /// It was not.
    Denied,
    /// It was, and did not happen: another record had the number, or the server ended before.
    NotDone,
}

impl Outcome {
    /// As lines say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::NotDone => "not-done",
        }
    }
}

/// Where an audit log ends. Kept elsewhere, it notices a log that was cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Number of the next line.
    pub next_seq: u64,
    /// Hash of the last line; absent before the first.
    pub last: Option<B3>,
}

impl AuditHead {
    /// Writes the next line, without a line break.
    ///
    /// # Errors
    /// Never in practice: lines hold text and whole numbers.
    pub fn append(&mut self, at: String, event: AuditEvent) -> Result<String> {
        let line = to_canonical(&AuditLine { seq: self.next_seq, prev: self.last, at, event })?;
        self.next_seq += 1;
        self.last = Some(B3::of(&line));
        String::from_utf8(line).map_err(|err| Error::new(ErrorKind::Corrupt, "JSON is text").with_source(err))
    }

    /// Takes in the next line.
    ///
    /// # Errors
    /// `Corrupt` when it does not follow.
    pub fn check(&mut self, line: &str) -> Result<AuditLine> {
        let at = |err: Error| {
            err.at(Locus { line_column: Some((line_number(self.next_seq), 1)), ..Locus::default() })
        };
        let found: AuditLine = from_bytes("line of the audit log", line.as_bytes()).map_err(at)?;
        if found.seq != self.next_seq || found.prev != self.last {
            let message = format!("line {} of the audit log does not follow the one before it", found.seq);
            return Err(at(Error::new(ErrorKind::Corrupt, message)
                .with_hint("lines were changed, removed or put in; compare with a copy")));
        }
        self.next_seq += 1;
        self.last = Some(B3::of(line.as_bytes()));
        Ok(found)
    }
}

/// Whether a log whose lines follow each other goes through a head: as many lines, the last of them that one. One that
/// does not was cut, or is another log.
///
/// # Errors
/// `Corrupt` at the first line that does not follow the one before it.
pub fn goes_through(text: &str, through: &AuditHead) -> Result<bool> {
    let mut head = AuditHead::default();
    let mut found = head == *through;
    for line in text.lines() {
        head.check(line)?;
        found |= head == *through;
    }
    Ok(found)
}

/// Checks the chain of an audit log from its first line on.
///
/// # Errors
/// `Corrupt` at the first line that does not follow the one before it.
pub fn verify_audit(text: &str) -> Result<AuditHead> {
    let mut head = AuditHead::default();
    for line in text.lines() {
        head.check(line)?;
    }
    Ok(head)
}

fn line_number(seq: u64) -> u32 {
    u32::try_from(seq).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (String, AuditHead) {
        let mut head = AuditHead::default();
        let mut text = String::new();
        for idx in 0..5 {
            let event = AuditEvent {
                who: format!("user-{idx}"),
                action: "read".to_owned(),
                bytes: Some(idx),
                ..AuditEvent::default()
            };
            text.push_str(&head.append(format!("2026-11-2{idx}T00:00:00Z"), event).unwrap());
            text.push('\n');
        }
        (text, head)
    }

    #[test]
    fn any_change_is_noticed() {
        let (text, head) = log();
        assert_eq!(verify_audit(&text).unwrap(), head);
        let lines: Vec<&str> = text.lines().collect();
        for idx in 0..lines.len() {
            let mut without = lines.clone();
            without.remove(idx);
            let found = verify_audit(&without.join("\n"));
            assert!(found.is_err() || found.unwrap() != head, "line {idx} removed");
            let mut changed = lines.clone();
            let line = changed[idx].replace("read", "grab");
            changed[idx] = &line;
            let found = verify_audit(&changed.join("\n"));
            assert!(found.is_err() || found.unwrap() != head, "line {idx} changed");
        }
        let mut swapped = lines.clone();
        swapped.swap(1, 2);
        assert_eq!(verify_audit(&swapped.join("\n")).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_cut_tail_shows_against_a_head_that_was_kept() {
        let (text, head) = log();
        assert!(goes_through(&text, &head).unwrap());
        assert!(goes_through(&text, &AuditHead::default()).unwrap());
        let lines: Vec<&str> = text.lines().collect();
        for n_kept in 0..lines.len() {
            let cut = lines[..n_kept].join("\n");
            verify_audit(&cut).unwrap();
            assert!(!goes_through(&cut, &head).unwrap(), "the chain alone does not tell, {n_kept} lines");
        }
        // A tail that was written anew.
        let mut again = AuditHead::default();
        let mut forged = String::new();
        for line in &lines[..4] {
            again.check(line).unwrap();
            forged.push_str(&format!("{line}\n"));
        }
        forged.push_str(&again.append("2026-11-24T00:00:00Z".to_owned(), AuditEvent::default()).unwrap());
        assert!(!goes_through(&forged, &head).unwrap());
    }
}
