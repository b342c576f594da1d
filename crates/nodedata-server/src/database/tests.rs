use chrono::{DateTime, Duration, Utc};
use nodedata_registry::{
    Anchor, B3, Visibility,
    gate::{AuditEvent, Outcome, Purpose, Subject, verify_audit},
};
use nodedata_testkit::postgres::Postgres;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{
    case::{Action, Case},
    database::tokens::LAST_USED_SECONDS,
    oidc::{Groups, Identity},
    principal::{Principal, Scope},
};

/// What keeps a database, which may be opened more than once.
enum Kept {
    Folder(TempDir),
    Postgres(Postgres),
}

impl Kept {
    fn folder() -> Self {
        Self::Folder(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> Database {
        match self {
            Self::Folder(it) => Database::open(Some(it.path())).unwrap(),
            Self::Postgres(it) => Database::connect(&DatabaseAddress::parse(&it.url()).unwrap()).unwrap(),
        }
    }

    /// Everything that is written of its tables.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Folder(it) => {
                let files = std::fs::read_dir(it.path()).unwrap();
                files.flat_map(|it| std::fs::read(it.unwrap().path()).unwrap()).collect()
            }
            Self::Postgres(it) => {
                ["tokens", "audit"].map(|name| it.sql(&format!("SELECT * FROM {name}"))).concat().into_bytes()
            }
        }
    }
}

/// Each of these tests over both engines. Those of Postgres are left out where it is not installed.
macro_rules! over_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                super::$name(&super::Kept::folder());
            })*
        }
        mod postgres {
            $(#[test]
            fn $name() {
                if let Some(it) = super::Postgres::start() {
                    super::$name(&super::Kept::Postgres(it));
                }
            })*
        }
    };
}

over_both! {
    tokens_are_hashed_scoped_and_end
    groups_of_a_login_go_with_its_token
    the_audit_log_is_a_chain_over_restarts
    attestations_are_kept_with_their_history
    an_intent_ends_in_one_line_whoever_settles_it
    what_was_taken_back_is_numbered_and_taken_back_again
    a_later_push_goes_on_and_an_earlier_one_takes_nothing_back
    what_fails_is_undone_and_the_next_is_done
    letters_go_out_in_order_and_those_that_are_given_up_have_a_line
    roles_and_groups_are_listed_by_their_bytes
    what_was_seen_of_a_log_only_grows
    possessions_readers_and_facts_are_noted_once
    what_no_text_holds_is_refused
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn tokens_are_hashed_scoped_and_end(kept: &Kept) {
    let database = kept.open();
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
    let (secret, bytes) = (made.token.reveal().as_bytes(), kept.bytes());
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|it| it == text);
    assert!(holds(made.id.as_bytes()) && !holds(secret), "the secret itself is nowhere");
    assert!(kept.open().create_token("A b", &[Scope::Read], 1, now()).is_err());
}

fn groups_of_a_login_go_with_its_token(kept: &Kept) {
    let database = kept.open();
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

fn the_audit_log_is_a_chain_over_restarts(kept: &Kept) {
    for n in 0..3 {
        let database = kept.open();
        for _ in 0..n {
            database.audit("2026-11-25T00:00:00Z".to_owned(), AuditEvent::default()).unwrap();
        }
    }
    let database = kept.open();
    let text = database.audit_since(0).unwrap();
    assert_eq!(verify_audit(&text).unwrap().next_seq, 3);
    assert_eq!(database.audit_since(2).unwrap().lines().count(), 1);
    let forge = "UPDATE audit SET line = replace(line, '2026', '2027') WHERE seq = 1";
    assert_eq!(database.session().unwrap().execute(forge, &[]).unwrap(), 1);
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

fn attestations_are_kept_with_their_history(kept: &Kept) {
    let database = kept.open();
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

fn an_intent_ends_in_one_line_whoever_settles_it(kept: &Kept) {
    let database = kept.open();
    let dataset: nodedata_registry::DatasetName = "acme/x".parse().unwrap();
    let event = AuditEvent { who: "acme".to_owned(), action: "tag".to_owned(), ..AuditEvent::default() };
    let begin = |seq| database.begin(now(), (&dataset, seq, B3::of(b"r")), event.clone(), None).unwrap();
    let (done, not, again) = (begin(3), begin(4), begin(3));
    assert_eq!(database.intents().unwrap().iter().map(|it| it.seq).collect::<Vec<_>>(), [3, 4, 3]);
    database.still_under_way(&[not.id], now() + Duration::seconds(200)).unwrap();
    database.still_under_way(&[not.id, 77], now()).unwrap();
    let begun = database.intents().unwrap().iter().map(|it| it.begun - now().timestamp()).collect::<Vec<_>>();
    assert_eq!(begun, [0, 200, 0], "of the one that is still written, and never earlier");
    for _ in 0..2 {
        database.settle(&done, now(), Settled::Done, &[]).unwrap();
        database.settle(&again, now(), Settled::Done, &[]).unwrap();
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

fn what_was_taken_back_is_numbered_and_taken_back_again(kept: &Kept) {
    let database = kept.open();
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

fn a_later_push_goes_on_and_an_earlier_one_takes_nothing_back(kept: &Kept) {
    let database = kept.open();
    let b3 = B3::of(b"x");
    let begin = |account: &str, push: &str| database.begin_staging(account, &b3, push, now()).unwrap();
    assert_eq!(begin("a", "p1"), None);
    assert_eq!(begin("a", "p1"), None);
    assert_eq!(begin("b", "p2"), None, "another account");
    assert_eq!(begin("a", "p2").as_deref(), Some("p1"));
    assert_eq!(begin("a", "p1"), None, "it was handed over");
    assert_eq!(begin("a", "p3").as_deref(), Some("p2"));
    database.end_stagings("a", &b3).unwrap();
    assert_eq!(begin("a", "p4"), None);
    let later = now() + Duration::days(5);
    assert_eq!(database.begin_staging("a", &B3::of(b"y"), "p5", later).unwrap(), None);
    assert_eq!(database.begin_staging("a", &b3, "p6", later).unwrap(), None, "too old");
}

fn what_fails_is_undone_and_the_next_is_done(kept: &Kept) {
    let database = kept.open();
    let write = |it: &Session<'_>, seq: i64| {
        it.execute("INSERT INTO audit (seq, line) VALUES (?1, 'x')", &[seq.into()]).map(drop)
    };
    let n_lines = || database.audit_since(0).unwrap().lines().count();
    let twice = database.at_once(|it| write(it, 0).and_then(|()| write(it, 0)));
    assert_eq!((twice.unwrap_err().kind(), n_lines()), (ErrorKind::Io, 0));
    // Whoever goes on after a failure has done nothing either, or that alone which did not fail.
    let swallowed = database.at_once(|it| {
        write(it, 0)?;
        drop(write(it, 0));
        Ok(())
    });
    assert_eq!(n_lines(), usize::from(swallowed.is_ok()), "what is told to have been done is done");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(database.at_once::<()>(|it| {
            write(it, 7)?;
            panic!("in between")
        }));
    }));
    assert!(panicked.is_err());
    database.at_once(|it| write(it, 8)).unwrap();
    let database = kept.open();
    let seqs =
        database.session().unwrap().rows("SELECT seq FROM audit WHERE seq > 0", &[], |it| it.get::<i64>(0));
    assert_eq!(seqs.unwrap(), [8]);
}

fn letters_go_out_in_order_and_those_that_are_given_up_have_a_line(kept: &Kept) {
    let database = kept.open();
    let hooks = ["https://b/", "https://a/"].map(str::to_owned);
    let post = |seq, id: &str| {
        let notice = json!({"id": id, "event": "published", "dataset": "acme/x"});
        let record = (&"acme/x".parse().unwrap(), seq, B3::of(id.as_bytes()));
        let intent = database.begin(now(), record, AuditEvent::default(), Some(notice)).unwrap();
        database.settle(&intent, now(), Settled::Done, &hooks).unwrap();
    };
    post(1, "first");
    post(2, "second");
    assert_eq!(database.n_letters().unwrap(), 4);
    let due = |seconds| database.due_letter(&hooks[0], now() + Duration::seconds(seconds)).unwrap();
    let first = due(0).unwrap();
    assert_eq!((first.event_id.as_str(), first.kind.as_str(), first.tries), ("first", "published", 0));
    database.put_back(first.id, now().timestamp() + 600).unwrap();
    let second = due(0).unwrap();
    assert_eq!(second.event_id, "second");
    database.drop_letter(second.id).unwrap();
    assert!(due(599).is_none());
    assert_eq!(due(600).map(|it| (it.id, it.tries)), Some((first.id, 1)));
    let nobody = |made| database.letter_to_nobody(&["https://b/"], made).unwrap().map(|it| it.event_id);
    assert_eq!(nobody(now().timestamp() - 1), None);
    assert_eq!(nobody(now().timestamp()).as_deref(), Some("first"));
    let n_before = database.audit_head().unwrap().next_seq;
    for _ in 0..2 {
        database.give_up_letter(first.id, now(), AuditEvent::default()).unwrap();
    }
    assert_eq!((database.audit_head().unwrap().next_seq, database.n_letters().unwrap()), (n_before + 1, 2));
}

fn roles_and_groups_are_listed_by_their_bytes(kept: &Kept) {
    let database = kept.open();
    for (group, account) in
        [("lab", "b"), ("lab", "a-1"), ("lab", "a"), ("lab", "a"), ("a_b", "a"), ("ab", "c")]
    {
        database.add_member("root", (group, account), now()).unwrap();
    }
    let groups: Vec<_> = database.groups(None).unwrap().into_iter().map(|it| (it.name, it.members)).collect();
    let of =
        |name: &str, members: &[&str]| (name.to_owned(), members.iter().map(|it| (*it).to_owned()).collect());
    assert_eq!(groups, [of("a_b", &["a"]), of("ab", &["c"]), of("lab", &["a", "a-1", "b"])]);
    assert_eq!(database.groups(Some("c")).unwrap().len(), 1);
    let on = |text: &str| text.parse().unwrap();
    let give = |who: &str, role: &str, pattern: &str| {
        let given = (&who.parse().unwrap(), &on(pattern), role.parse().unwrap());
        database.give_role("root", given, now()).unwrap();
    };
    give("group:lab", "pusher", "lab/*");
    give("account:a", "reader", "lab/x");
    give("account:a", "reader", "lab/x");
    give("account:a", "steward", "lab/x");
    let listed: Vec<_> =
        database.roles().unwrap().into_iter().map(|it| format!("{} {} {}", it.who, it.role, it.on)).collect();
    assert_eq!(listed, ["group:lab pusher lab/*", "account:a steward lab/x"]);
    let made = database.create_token("a", &["roles".parse().unwrap()], 1, now()).unwrap();
    let roles = || database.principal_of(&made.token, now()).unwrap().unwrap().roles.len();
    assert_eq!(roles(), 2);
    assert!(database.remove_member("root", ("lab", "a"), now()).unwrap());
    assert!(!database.remove_member("root", ("lab", "a"), now()).unwrap());
    assert_eq!(roles(), 1);
    assert!(database.take_role("root", (&on_holder("account:a"), &on("lab/x")), now()).unwrap());
    assert!(!database.take_role("root", (&on_holder("account:a"), &on("lab/x")), now()).unwrap());
    assert_eq!((roles(), database.epoch().unwrap()), (0, 3), "a lower role, a member and a role were taken");
    let tokens = database.tokens(None, now()).unwrap();
    assert_eq!((tokens.len(), tokens[0].account.as_str(), tokens[0].state.as_str()), (1, "a", "active"));
    assert!(database.tokens(Some("b"), now()).unwrap().is_empty());
}

fn on_holder(text: &str) -> crate::roles::Holder {
    text.parse().unwrap()
}

fn what_was_seen_of_a_log_only_grows(kept: &Kept) {
    let database = kept.open();
    let dataset = "acme/x".parse().unwrap();
    let seen = |seq, visibility, moved: Option<&str>| Checkpoint {
        anchor: Anchor { seq, record: B3::of(&seq.to_le_bytes()) },
        visibility,
        moved: moved.map(|it| it.parse().unwrap()),
    };
    assert_eq!(database.checkpoint(&dataset).unwrap(), None);
    let (first, later) = (seen(3, Visibility::Private, None), seen(9, Visibility::Public, Some("acme/y")));
    for (noted, expected) in [(&first, &first), (&later, &later), (&first, &later)] {
        database.note_checkpoint(&dataset, noted).unwrap();
        assert_eq!(database.checkpoint(&dataset).unwrap().as_ref(), Some(expected));
    }
    assert!(database.forget_checkpoint(&dataset).unwrap());
    assert!(!database.forget_checkpoint(&dataset).unwrap());
}

fn possessions_readers_and_facts_are_noted_once(kept: &Kept) {
    let database = kept.open();
    let b3 = B3::of(b"x");
    for _ in 0..2 {
        database.note_possession("a", &b3).unwrap();
        let read = AuditEvent {
            who: "a".to_owned(),
            action: "read".to_owned(),
            outcome: Outcome::Allowed,
            dataset: Some("acme/x".to_owned()),
            ..AuditEvent::default()
        };
        database.audit("2026-11-25T00:00:00Z".to_owned(), read).unwrap();
    }
    assert!(database.possesses("a", &b3).unwrap() && !database.possesses("b", &b3).unwrap());
    let readers =
        database.session().unwrap().rows("SELECT account FROM readers", &[], |it| it.get::<String>(0));
    assert_eq!(readers.unwrap(), ["a"]);
    assert_eq!(database.server().unwrap().len(), 32);
    assert_eq!(kept.open().server().unwrap(), database.server().unwrap());
    assert!(!database.is_restored().unwrap());
    database.note_restored(true).unwrap();
    database.note_restored(true).unwrap();
    assert!(database.is_restored().unwrap());
    database.restored_and_seen().unwrap();
    assert!(!database.is_restored().unwrap());
    database.try_write().unwrap();
    assert!(database.n_uses() > 10);
}

/// What was looked up counts until anybody writes: over this connection, over another, or in another process, which looks the same.
#[test]
fn a_token_is_known_until_somebody_writes() {
    let kept = Kept::folder();
    let (database, other) = (kept.open(), kept.open());
    let made =
        |account: &str| database.create_token(account, &[Scope::Read, Scope::Roles], 1, now()).unwrap();
    let (a, b) = (made("a"), made("b"));
    let known = |it: &NewToken, at| database.known_principal(&it.token, at).map(|it| it.who().to_owned());
    let look_up = |it: &NewToken| database.principal_of(&it.token, now()).unwrap();
    assert_eq!(known(&a, now()), None);
    // The first time notes that it was used, which is a write as well.
    for it in [&a, &a, &b, &b, &a] {
        assert!(look_up(it).is_some());
    }
    assert_eq!((known(&a, now()).as_deref(), known(&b, now()).as_deref()), (Some("a"), Some("b")));
    let told = |it: Option<Principal>| format!("{:?}", it.unwrap());
    let known_a = database.known_principal(&a.token, now());
    assert_eq!(told(known_a), told(look_up(&a)), "nothing of it is lost");
    assert_eq!(known(&a, now() + Duration::seconds(LAST_USED_SECONDS + 1)), None, "its use is to be noted");
    let writes: [&dyn Fn(); 3] = [
        &|| database.audit("2026-11-25T00:00:00Z".to_owned(), AuditEvent::default()).unwrap(),
        &|| other.add_member("root", ("readers", "a"), now()).unwrap(),
        &|| assert!(other.revoke_token("root", &b.id, now()).unwrap()),
    ];
    for write in writes {
        write();
        assert_eq!((known(&a, now()), known(&b, now())), (None, None));
        look_up(&a);
        assert_eq!(known(&a, now()).as_deref(), Some("a"));
    }
    assert!(look_up(&b).is_none() && known(&b, now()).is_none());
    let late = now() + Duration::days(1);
    assert!(
        database.principal_of(&a.token, late).unwrap().is_none() && known(&a, late).is_none(),
        "it is over"
    );
}

#[test]
fn no_more_tokens_are_known_than_fit() {
    let kept = Kept::folder();
    let database = kept.open();
    let made = database.create_token("a", &[Scope::Read], 1, now()).unwrap();
    let known = database.known.as_deref().unwrap();
    let version = known.version().unwrap();
    let found = || known::Found { principal: Principal::anonymous(), until: i64::MAX };
    let hash = |n: usize| B3::of(&n.to_le_bytes()).0;
    for n in 0..3000 {
        known.keep(version, hash(n), found());
        assert!(known.n_known() <= 1024);
    }
    assert!(known.find(&hash(2999), 0).is_some() && known.find(&hash(0), 0).is_none());
    // What was looked up before somebody wrote is not kept behind that.
    database.revoke_token("root", &made.id, now()).unwrap();
    known.keep(version, hash(1), found());
    assert_eq!((known.n_known(), known.find(&hash(1), 0).is_none()), (0, true));
}

/// What may come with a request and is no text for Postgres is a mistake of whoever asks, or is not there, but no failure.
fn what_no_text_holds_is_refused(kept: &Kept) {
    let database = kept.open();
    let found = database.revoke_token("root", "a\0b", now());
    assert!(found.as_ref().is_ok_and(|it| !it) || found.is_err_and(|it| it.kind() == ErrorKind::Config));
}

/// Two nodes over one database: one chain, one line for each thing, and one of them at a time has a letter.
#[test]
fn nodes_that_write_at_once_write_one_chain() {
    let Some(postgres) = Postgres::start() else { return };
    let kept = Kept::Postgres(postgres);
    let nodes = [kept.open(), kept.open()];
    let dataset = "acme/x".parse().unwrap();
    let intents: Vec<Intent> = (0..20)
        .map(|seq| {
            let notice = json!({"id": seq.to_string(), "event": "published"});
            let record = (&dataset, seq, B3::of(b"r"));
            nodes[0].begin(now(), record, AuditEvent::default(), Some(notice)).unwrap()
        })
        .collect();
    let hook = "https://h/".to_owned();
    std::thread::scope(|scope| {
        for node in nodes.iter().cycle().take(6) {
            let (intents, hook) = (&intents, &hook);
            scope.spawn(move || {
                for (idx, intent) in intents.iter().enumerate() {
                    node.audit("2026-11-25T00:00:00Z".to_owned(), AuditEvent::default()).unwrap();
                    node.settle(intent, now(), Settled::Done, std::slice::from_ref(hook)).unwrap();
                    node.create_token(&format!("a{idx}"), &[Scope::Read], 1, now()).unwrap();
                }
            });
        }
    });
    let text = nodes[1].audit_since(0).unwrap();
    verify_audit(&text).unwrap();
    assert_eq!(text.lines().count(), 6 * 20 * 2 + 20);
    assert_eq!(text, nodes[0].audit_since(0).unwrap());
    let due = || -> Vec<i64> {
        let take = |node: &Database| node.due_letter(&hook, now()).unwrap().map(|it| it.id);
        nodes.iter().cycle().take(30).filter_map(take).collect()
    };
    let mut ids = due();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), due().len()), (20, 0), "each is one node's for a while");
    let later = now() + Duration::seconds(60);
    assert!(nodes[0].due_letter(&hook, later).unwrap().is_some(), "and due again when that node is gone");
}

#[test]
fn a_database_that_was_away_is_there_again() {
    let Some(mut postgres) = Postgres::start() else { return };
    let database = Database::connect(&DatabaseAddress::parse(&postgres.url()).unwrap()).unwrap();
    let made = database.create_token("a", &[Scope::Read], 1, now()).unwrap();
    let is_known = || database.principal_of(&made.token, now()).map(|it| it.is_some());
    postgres.kill();
    let mut told = None;
    for _ in 0..3 {
        told = Some(is_known().unwrap_err());
    }
    let told = told.unwrap();
    assert_eq!(told.kind(), ErrorKind::Io);
    assert!(told.locus().to_string().contains("postgres"), "{}", told.chain());
    assert!(!Database::is_full(&told) && database.try_write().is_err());
    postgres.start_again();
    assert!(is_known().unwrap(), "it is asked anew, over a new connection");
    database.audit("2026-11-25T00:00:00Z".to_owned(), AuditEvent::default()).unwrap();
    assert_eq!(verify_audit(&database.audit_since(0).unwrap()).unwrap().next_seq, 2);
}

#[test]
fn a_database_of_postgres_is_made_once_and_not_by_an_older_build() {
    let Some(postgres) = Postgres::start() else { return };
    let address = DatabaseAddress::parse(&postgres.url()).unwrap();
    let names = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| Database::connect(&address).unwrap().server().unwrap())).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(names.iter().all(|it| *it == names[0]), "{names:?}");
    postgres.sql("UPDATE nodedata_version SET version = version + 1");
    assert_eq!(Database::connect(&address).unwrap_err().kind(), ErrorKind::Unsupported);
    postgres.sql("CREATE DATABASE old ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
    let old = DatabaseAddress::parse(&postgres.url_of("old")).unwrap();
    let err = Database::connect(&old).unwrap_err();
    assert!(err.kind() == ErrorKind::Config && err.to_string().contains("SQL_ASCII"), "{}", err.chain());
    let none = DatabaseAddress::parse(&postgres.url_of("none")).unwrap();
    let err = Database::connect(&none).unwrap_err();
    assert!(err.hint().unwrap().contains("createdb"), "{}", err.chain());
}

#[test]
fn a_full_disk_of_postgres_is_told_from_other_failures() {
    let Some(postgres) = Postgres::start() else { return };
    let database = Database::connect(&DatabaseAddress::parse(&postgres.url()).unwrap()).unwrap();
    let refuse = |state: &str| {
        postgres.sql(&format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"
        ));
    };
    refuse("53100");
    postgres.sql("CREATE TRIGGER refuse BEFORE INSERT ON audit EXECUTE FUNCTION refuse()");
    postgres.sql("CREATE TRIGGER refuse BEFORE INSERT ON tried EXECUTE FUNCTION refuse()");
    let err = database.audit(String::new(), AuditEvent::default()).unwrap_err();
    assert!(
        Database::is_full(&err) && Database::is_full(&database.try_write().unwrap_err()),
        "{}",
        err.chain()
    );
    refuse("42501");
    assert!(!Database::is_full(&database.try_write().unwrap_err()));
    for table in ["audit", "tried"] {
        postgres.sql(&format!("DROP TRIGGER refuse ON {table}"));
    }
    database.try_write().unwrap();
    assert_eq!(postgres.sql("SELECT count(*) FROM tried"), "0");
    database.audit(String::new(), AuditEvent::default()).unwrap();
}

#[test]
fn passwords_are_said_to_postgres_and_to_nobody_else() {
    let Some(postgres) = Postgres::with_password("geheim@/") else { return };
    let address = DatabaseAddress::parse(&postgres.url()).unwrap();
    for wrong in [address.clone(), address.clone().or_password("geheim-not")] {
        let err = Database::connect(&wrong).unwrap_err();
        let told = format!("{} {err:?} {}", err.chain(), err.hint().unwrap_or_default());
        assert!(err.kind() == ErrorKind::Io && !told.contains("geheim"), "{told}");
    }
    Database::connect(&address.or_password("geheim@/")).unwrap().server().unwrap();
    let within = postgres.url().replace("&user=nodedata", "&user=nodedata&sslmode=disable");
    Database::connect(&DatabaseAddress::parse(&within).unwrap().or_password("geheim@/")).unwrap();
}

#[test]
fn connections_to_postgres_are_encrypted_to_whom_they_should_be() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let Some(postgres) = Postgres::with_tls(&made.cert.pem(), &made.signing_key.serialize_pem()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        format!("{}?sslmode=verify-full&sslrootcert={}", postgres.url_over_tls(), path.display())
    };
    let connect = |url: &str| DatabaseAddress::parse(url).and_then(|it| Database::connect(&it));
    connect(&url("ca.pem", &made.cert.pem())).unwrap().server().unwrap();
    let encrypted = "SELECT count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                     WHERE ssl AND application_name = 'node-data'";
    let kept = connect(&url("ca.pem", &made.cert.pem())).unwrap();
    assert_eq!(postgres.sql(encrypted), "t");
    drop(kept);
    assert!(connect(&url("other.pem", &other.cert.pem())).is_err(), "somebody else's certificate");
    assert!(connect(&format!("{}?sslmode=require", postgres.url_over_tls())).is_err(), "whom nobody knows");
    assert!(connect(&format!("{}?sslmode=disable", postgres.url_over_tls())).is_err(), "it lets none in so");
    let err = DatabaseAddress::parse(&url("none.pem", "no certificate")).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Config, "{}", err.chain());
}
