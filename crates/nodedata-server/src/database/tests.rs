use chrono::{DateTime, Duration, Utc};
use nodedata_registry::{
    B3,
    gate::{AuditEvent, Purpose, Subject, verify_audit},
};

use super::*;
use crate::{
    case::{Action, Case},
    principal::Scope,
};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

#[test]
fn tokens_are_hashed_scoped_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(Some(folder.path())).unwrap();
    let made = database.create_token("acme", &[Scope::Read, Scope::Admin], 10, now()).unwrap();
    let principal = database.principal_of(&made.token, now()).unwrap().unwrap();
    assert_eq!((principal.who(), &principal.scopes), ("acme", &vec![Scope::Read, Scope::Admin]));
    let day = Duration::days(1);
    assert!(database.principal_of(&made.token, now() + day * 9).unwrap().is_some());
    assert!(database.principal_of(&made.token, now() + day * 10).unwrap().is_none());
    let other = database.create_token("acme", &[Scope::Read], 10, now()).unwrap();
    assert!(database.revoke_token(&other.id).unwrap());
    assert!(!database.revoke_token(&other.id).unwrap());
    assert!(database.principal_of(&other.token, now()).unwrap().is_none());
    drop(database);
    let secret = made.token.reveal().as_bytes();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|it| it == secret), "the secret itself is nowhere");
    }
    assert!(Database::open(None).unwrap().create_token("A b", &[Scope::Read], 1, now()).is_err());
}

#[test]
fn the_audit_log_is_a_chain_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..3 {
        let database = Database::open(Some(folder.path())).unwrap();
        for _ in 0..n {
            database.audit("2026-11-25T00:00:00Z".to_owned(), AuditEvent::default()).unwrap();
        }
    }
    let database = Database::open(Some(folder.path())).unwrap();
    let text = database.audit_since(0).unwrap();
    assert_eq!(verify_audit(&text).unwrap().next_seq, 3);
    assert_eq!(database.audit_since(2).unwrap().lines().count(), 1);
    database
        .lock()
        .execute("UPDATE audit SET line = replace(line, '2026', '2027') WHERE seq = 1", [])
        .unwrap();
    assert!(verify_audit(&database.audit_since(0).unwrap()).is_err());
}

#[test]
fn attestations_are_kept_with_their_history() {
    let database = Database::open(None).unwrap();
    let dataset: nodedata_registry::DatasetName = "acme/x".parse().unwrap();
    let subject = Subject { user: "u".to_owned(), name: "U".to_owned(), ..Subject::default() };
    let purpose = Purpose { duo: Vec::new(), text: "t".to_owned() };
    let asked = (subject, purpose, Vec::new());
    let version = semver::Version::new(1, 0, 0);
    let one = Case::request("a".to_owned(), dataset.clone(), &version, B3::of(b"t"), asked, now()).unwrap();
    database
        .add_case(&one, |newest| {
            let _: () = assert!(newest.is_none());
            Ok(())
        })
        .unwrap();
    let refuse = |_: Option<&Case>| Err(Error::new(ErrorKind::Conflict, "no"));
    assert!(database.add_case(&one, refuse).is_err());
    let grant = Action::Grant { valid_days: 3 };
    let changed = database.change_case(&dataset, "a", |it| it.act(grant, Some("o"), None, now())).unwrap();
    assert_eq!(database.newest_case(&dataset, "u").unwrap(), changed);
    assert_eq!(changed.unwrap().attestation().history.len(), 2);
    assert!(database.change_case(&dataset, "b", |_| Ok(())).unwrap().is_none());
    assert_eq!(database.attestations(&dataset, None).unwrap().len(), 1);
    assert!(database.attestations(&dataset, Some("v")).unwrap().is_empty());
}
