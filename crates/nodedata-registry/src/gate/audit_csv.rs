use nodedata_core::Result;

use crate::gate::{AuditHead, AuditLine};

/// The columns of an audit log as CSV. `hash` is the BLAKE3 of the line, which the next one names as `prev`.
pub const AUDIT_COLUMNS: [&str; 12] = [
    "seq", "at", "who", "action", "outcome", "dataset", "subject", "bytes", "grant", "reason", "prev", "hash",
];

/// An audit log as CSV (RFC 4180), with a head: a row for each line, its chain checked. What a line does not say is empty.
///
/// # Errors
/// `Corrupt` at the first line that does not follow the one before it.
pub fn audit_csv(lines: &str) -> Result<String> {
    let mut text = format!("{}\r\n", AUDIT_COLUMNS.join(","));
    let mut head = AuditHead::default();
    for line in lines.lines() {
        let found = head.check(line)?;
        let hash = head.last.map(|it| it.to_string());
        text.push_str(&row(&found, hash));
        text.push_str("\r\n");
    }
    Ok(text)
}

fn row(line: &AuditLine, hash: Option<String>) -> String {
    let event = &line.event;
    let cells = [
        Some(line.seq.to_string()),
        Some(line.at.clone()),
        Some(event.who.clone()),
        Some(event.action.clone()),
        Some(event.outcome.name().to_owned()),
        event.dataset.clone(),
        event.subject.clone(),
        event.bytes.map(|it| it.to_string()),
        event.grant.clone(),
        event.reason.clone(),
        line.prev.map(|it| it.to_string()),
        hash,
    ];
    cells.map(|it| it.map_or_else(String::new, |it| cell(&it))).join(",")
}

fn cell(text: &str) -> String {
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{AuditEvent, Outcome};

    #[test]
    fn all_that_a_line_says_is_in_its_row() {
        let mut head = AuditHead::default();
        let full = AuditEvent {
            who: "acme".to_owned(),
            action: "read".to_owned(),
            outcome: Outcome::NotDone,
            dataset: Some("acme/x".to_owned()),
            subject: Some("a \"b\", c\nd".to_owned()),
            bytes: Some(7),
            grant: Some("g".to_owned()),
            reason: Some("r".to_owned()),
        };
        let first = head.append("t0".to_owned(), AuditEvent::default()).unwrap();
        let last = head.append("t1".to_owned(), full).unwrap();
        let text = audit_csv(&format!("{first}\n{last}\n")).unwrap();
        let (rows, prev) = (text.split("\r\n").collect::<Vec<_>>(), crate::B3::of(first.as_bytes()));
        assert_eq!(rows[1], format!("0,t0,,,allowed,,,,,,,{prev}"));
        let hash = head.last.unwrap();
        let expected = format!("1,t1,acme,read,not-done,acme/x,\"a \"\"b\"\", c\nd\",7,g,r,{prev},{hash}");
        assert_eq!(rows[2], expected);
        assert_eq!(rows.len(), 4, "a break behind the last row: {text}");
        // A member of lines that has no column.
        let line: serde_json::Value = serde_json::from_str(&last).unwrap();
        for name in line.as_object().unwrap().keys() {
            assert!(AUDIT_COLUMNS.contains(&name.as_str()), "{name}");
        }
        assert!(audit_csv(&format!("{last}\n")).is_err(), "the chain is checked");
    }
}
