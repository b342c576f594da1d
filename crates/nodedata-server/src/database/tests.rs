use chrono::{DateTime, Duration, Utc};
use nodedata_registry::{
    B3,
    gate::{AuditEvent, Purpose, Subject, verify_audit},
};

use super::*;
use crate::{
    case::{Action, Case},
    oidc::{Groups, Identity},
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
    assert!(database.revoke_token("root", &other.id, now()).unwrap());
    assert!(!database.revoke_token("root", &other.id, now()).unwrap());
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
fn groups_of_a_login_go_with_its_token() {
    let database = Database::open(None).unwrap();
    let log_in = |now| {
        let names = ["oidc-a", "oidc-b"].map(str::to_owned).into();
        let identity = Identity {
            account: "ada".to_owned(),
            scopes: vec![Scope::Roles],
            groups: Some(Groups { names, n_left_out: 0 }),
            until: now + Duration::hours(12),
            of: "https://id.example ada-1".to_owned(),
        };
        database.exchange_token(&identity, now).unwrap().id
    };
    let first = log_in(now());
    let second = log_in(now() + Duration::days(30));
    assert_eq!(database.login_groups(&first).unwrap(), ["oidc-a", "oidc-b"]);
    let later = now() + Duration::days(31);
    let third = log_in(later);
    assert!(database.login_groups(&first).unwrap().is_empty(), "its token is no longer listed");
    let listed = database.tokens(Some("ada"), later).unwrap();
    let listed: Vec<_> = listed.iter().map(|it| (it.id.as_str(), it.groups.join(" "))).collect();
    assert_eq!(
        listed,
        [(second.as_str(), "oidc-a oidc-b".to_owned()), (third.as_str(), "oidc-a oidc-b".to_owned())]
    );
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
fn a_page_of_the_audit_log_ends_by_lines_and_by_bytes() {
    let database = Database::open(None).unwrap();
    let reason = "x".repeat(1 << 20);
    for _ in 0..10 {
        let event = AuditEvent { reason: Some(reason.clone()), ..AuditEvent::default() };
        database.audit("2026-11-25T00:00:00Z".to_owned(), event).unwrap();
    }
    let mut text = String::new();
    let mut pages = Vec::new();
    loop {
        let page = database.audit_since(text.lines().count() as u64).unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() < audit::PAGE_BYTES + (2 << 20), "{}", page.len());
        pages.push(page.lines().count());
        text.push_str(&page);
    }
    assert_eq!(pages, [4, 4, 2], "of whole lines");
    assert_eq!(verify_audit(&text).unwrap().next_seq, 10);
}

fn line() -> (String, AuditEvent) {
    ("2026-11-25T00:00:00Z".to_owned(), AuditEvent::default())
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
        .add_case(&one, line(), |cases| {
            let _: () = assert!(cases.is_empty());
            Ok(())
        })
        .unwrap();
    let refuse = |_: &[Case]| Err(Error::new(ErrorKind::Conflict, "no"));
    assert!(database.add_case(&one, line(), refuse).is_err());
    let grant = Action::Grant { valid_days: 3 };
    let changed = database
        .change_case((&dataset, "a"), now(), AuditEvent::default(), |it| {
            it.act(grant, Some("o"), None, now())
        })
        .unwrap();
    assert_eq!(database.cases(&dataset, "u").unwrap().first(), changed.as_ref());
    assert_eq!(changed.unwrap().attestation().history.len(), 2);
    assert!(
        database.change_case((&dataset, "b"), now(), AuditEvent::default(), |_| Ok(())).unwrap().is_none()
    );
    assert_eq!(database.attestations(&dataset, None).unwrap().len(), 1);
    assert!(database.attestations(&dataset, Some("v")).unwrap().is_empty());
    let text = database.audit_since(0).unwrap();
    assert_eq!(text.lines().count(), 2, "a line for each that was done, none for what was refused");
}

#[test]
fn an_intent_ends_in_one_line_whoever_settles_it() {
    let database = Database::open(None).unwrap();
    let dataset: nodedata_registry::DatasetName = "acme/x".parse().unwrap();
    let event = AuditEvent { who: "acme".to_owned(), action: "tag".to_owned(), ..AuditEvent::default() };
    let begin = |seq| database.begin(now(), (&dataset, seq, B3::of(b"r")), event.clone(), None).unwrap();
    let (done, not) = (begin(3), begin(4));
    assert_eq!(database.intents().unwrap().iter().map(|it| it.seq).collect::<Vec<_>>(), [3, 4]);
    for _ in 0..2 {
        database.settle(&done, now(), Settled::Done, &[]).unwrap();
        database.settle(&not, now(), Settled::NotDone("why"), &[]).unwrap();
    }
    assert!(database.intents().unwrap().is_empty());
    let text = database.audit_since(0).unwrap();
    verify_audit(&text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("\"allowed\"") && lines[1].contains("\"not-done\""), "{text}");
    assert!(lines[1].contains("\"reason\":\"why\""), "{text}");
}

#[test]
fn what_was_taken_back_is_numbered_and_taken_back_again() {
    let database = Database::open(None).unwrap();
    let made = database.create_token("acme", &[Scope::Read], 10, now()).unwrap();
    let other = database.create_token("acme", &[Scope::Read], 10, now()).unwrap();
    database.revoke_token("root", &made.id, now()).unwrap();
    let taken = database.not_apart().unwrap();
    assert_eq!((taken.len(), taken[0].epoch, database.epoch().unwrap()), (1, 0, 1));
    database.is_apart(0).unwrap();
    assert!(database.not_apart().unwrap().is_empty());
    let again =
        |epoch, revoked| Revocation { nd: "revocation/1".to_owned(), epoch, at: String::new(), revoked };
    let token = Revoked::Token { id: other.id.clone(), until: None };
    assert!(database.take_back_again(&again(5, token.clone()), now()).is_err(), "a gap");
    assert!(database.principal_of(&other.token, now()).unwrap().is_some());
    database.take_back_again(&again(1, token), now()).unwrap();
    assert!(database.principal_of(&other.token, now()).unwrap().is_none());
    let dataset: nodedata_registry::DatasetName = "acme/x".parse().unwrap();
    let unknown = Revoked::Attestation {
        id: "a".to_owned(),
        dataset: dataset.clone(),
        account: "u".to_owned(),
        revisions: ">=1.0.0, <2.0.0".parse().unwrap(),
        policy: B3::of(b"t"),
        to: nodedata_registry::gate::State::Revoked,
    };
    database.take_back_again(&again(2, unknown), now()).unwrap();
    let cases = database.cases(&dataset, "u").unwrap();
    let version = semver::Version::new(1, 0, 0);
    let asks = crate::case::may_request(&cases, &version, &B3::of(b"t"), now());
    assert_eq!(asks.unwrap_err().kind(), ErrorKind::Conflict, "a no stays");
}
