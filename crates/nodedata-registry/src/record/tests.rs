use serde_json::json;

use super::*;
use crate::digest::B3;

#[test]
fn records_are_canonical_and_read_back() {
    let record = CommitRecord {
        nd: "commit/1".to_owned(),
        seq: 7,
        prev: Some(B3::of(b"before")),
        op_id: "op".to_owned(),
        author: "robot-lab".to_owned(),
        at: "2026-11-23T10:00:00Z".to_owned(),
        op: Operation::Tag { tag: "stable".to_owned(), revision: None },
        state: None,
        sig: None,
    };
    let bytes = record.to_bytes().unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(
        text.starts_with(r#"{"at":"2026-11-23T10:00:00Z","author":"robot-lab","nd":"commit/1","op":"tag""#)
    );
    assert_eq!(CommitRecord::parse(&bytes).unwrap(), record);
    assert_eq!(CommitRecord::parse(b"{}").unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn floating_point_numbers_are_refused() {
    let err = to_canonical(&json!({"a": [1, {"b": 0.5}]})).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Config);
    assert!(err.to_string().contains("0.5"));
}
