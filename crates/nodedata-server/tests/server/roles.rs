//! Roles of accounts and groups, on owners and on datasets.

use std::path::Path;

use nodedata_core::ErrorKind;
use nodedata_registry::{
    DatasetState, Operation, Sensitivity, Store, Visibility, gate::Outcome, http::Token,
};
use nodedata_server::Database;
use reqwest::Method;

use crate::site::{Site, undated};

fn commit(site: &Site, token: &Token, op: Operation) -> u16 {
    let state = DatasetState::open(&site.direct(), &"acme/x".parse().unwrap()).unwrap();
    let record = undated(state.next_record(op, &format!("op-{}", state.next_seq), "someone"));
    site.ask(Method::POST, "v1/d/acme/x/commits", Some(token), |it| it.json(&record)).status
}

fn tag(name: &str) -> Operation {
    Operation::Tag { tag: name.to_owned(), revision: Some("1.0.0".to_owned()) }
}

fn declare() -> Operation {
    Operation::Declare { visibility: Visibility::Private, sensitivity: Sensitivity::default(), reason: None }
}

/// What a token gets to do to the private `acme/x`: see it, tag it, declare it, review it, and say who has a role.
fn may(site: &Site, token: &Token) -> [bool; 5] {
    let is_ok = |status: u16| status < 300;
    let decide = site.ask(Method::POST, "v1/d/acme/x/attest/none:deny", Some(token), |it| it);
    let give = site.ask(Method::PUT, "v1/roles/acme/x/account:someone", Some(token), |it| {
        it.json(&serde_json::json!({"role": "reader"}))
    });
    [
        is_ok(site.get("v1/d/acme/x/shards/0", Some(token)).status),
        is_ok(commit(site, token, tag("stable"))),
        is_ok(commit(site, token, declare())),
        // There is no such request: whoever may answer it is told so.
        decide.status == 404 && decide.text().contains("attestation"),
        is_ok(give.status),
    ]
}

#[test]
fn each_role_opens_what_it_is_for() {
    let site = Site::new();
    site.publish("acme/x", Visibility::Private, Sensitivity::default());
    let root = site.remote(Some(&site.token("root", &["admin"])));
    for (role, expected) in [
        ("reader", [true, false, false, false, false]),
        ("pusher", [true, true, false, false, false]),
        ("steward", [true, true, true, false, false]),
        ("reviewer", [false, false, false, true, false]),
        ("admin", [true, true, true, true, true]),
    ] {
        for on in ["acme/x", "acme/*"] {
            let account = format!("{role}-{}", if on == "acme/x" { "one" } else { "all" });
            let token = site.token(&account, &["roles"]);
            assert_eq!(may(&site, &token), [false; 5], "{account} has no role yet");
            root.give_role(&format!("account:{account}"), on, role).unwrap();
            assert_eq!(may(&site, &token), expected, "{role} on {on}");
            // A token that reads only does no more than that, whoever has it.
            let reads = site.token(&account, &["read"]);
            assert_eq!(may(&site, &reads), [expected[0], false, false, false, false], "{role} on {on}");
            assert!(root.take_role(&format!("account:{account}"), on).unwrap());
            assert!(!root.take_role(&format!("account:{account}"), on).unwrap());
            assert_eq!(may(&site, &token), [false; 5], "{account} has none any more");
        }
    }
    let elsewhere = site.token("elsewhere", &["roles"]);
    for on in ["acme/y", "other/*"] {
        root.give_role("account:elsewhere", on, "admin").unwrap();
    }
    assert_eq!(may(&site, &elsewhere), [false; 5]);
}

#[test]
fn groups_have_roles_and_who_leaves_one_loses_them() {
    let site = Site::new();
    site.publish("acme/x", Visibility::Private, Sensitivity::default());
    let root = site.remote(Some(&site.token("root", &["admin"])));
    let tokens = ["ada", "bob"].map(|it| site.token(it, &["roles"]));
    root.give_role("group:lab", "acme/*", "pusher").unwrap();
    root.add_member("lab", "ada").unwrap();
    root.add_member("lab", "bob").unwrap();
    root.add_member("lab", "bob").unwrap();
    for token in &tokens {
        assert_eq!(may(&site, token), [true, true, false, false, false]);
    }
    // The own role beside that of the group: whatever either opens.
    root.give_role("account:ada", "acme/x", "reviewer").unwrap();
    assert_eq!(may(&site, &tokens[0]), [true, true, false, true, false]);
    assert!(root.remove_member("lab", "bob").unwrap());
    assert!(!root.remove_member("lab", "bob").unwrap());
    assert_eq!(may(&site, &tokens[1]), [false; 5]);
    let groups = root.groups().unwrap();
    assert_eq!(
        (groups.len(), groups[0].name.as_str(), groups[0].members.join(" ")),
        (1, "lab", "ada".to_owned())
    );
    // Who is in a group is the operator's to say, and others see their own.
    let ada = site.remote(Some(&tokens[0]));
    assert_eq!(ada.add_member("lab", "eve").unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(ada.groups().unwrap(), groups);
    assert!(site.remote(Some(&tokens[1])).groups().unwrap().is_empty());
    let seen: Vec<String> =
        ada.roles().unwrap().into_iter().map(|it| format!("{} {} {}", it.who, it.on, it.role)).collect();
    assert_eq!(seen, ["group:lab acme/* pusher", "account:ada acme/x reviewer"]);
    let lines = site.audit();
    let done = |name: &str| {
        let of_name = lines.iter().filter(|it| it.event.action == name);
        of_name.filter(|it| it.event.outcome == Outcome::Allowed).count()
    };
    assert_eq!((done("give-role"), done("add-member"), done("remove-member")), (2, 2, 1));
}

#[test]
fn an_admin_of_an_owner_gives_roles_there_and_nowhere_else() {
    let site = Site::new();
    site.publish("acme/x", Visibility::Private, Sensitivity::default());
    let root = site.remote(Some(&site.token("root", &["admin"])));
    root.give_role("account:boss", "acme/*", "admin").unwrap();
    root.give_role("account:lead", "acme/x", "admin").unwrap();
    let (boss, lead) = (site.token("boss", &["roles"]), site.token("lead", &["roles"]));
    let (boss, lead) = (site.remote(Some(&boss)), site.remote(Some(&lead)));
    boss.give_role("account:ada", "acme/*", "reader").unwrap();
    lead.give_role("account:ada", "acme/x", "steward").unwrap();
    for (remote, on) in [(&boss, "other/*"), (&lead, "acme/*"), (&lead, "acme/y")] {
        let err = remote.give_role("account:ada", on, "reader").unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Denied, "{on}: {err}");
    }
    assert_eq!(lead.roles().unwrap().len(), 2, "those on what it manages");
    assert_eq!(boss.roles().unwrap().len(), 4);
    for (who, on, role) in
        [("account:ada", "acme/*", "king"), ("ada", "acme/*", "reader"), ("group:A b", "acme/*", "reader")]
    {
        let err = root.give_role(who, on, role).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Config, "{who} {on} {role}: {err}");
    }
    // An operator opens no dataset by being one.
    let operator = site.token("root", &["admin"]);
    assert_eq!(site.get("v1/d/acme/x/shards/0", Some(&operator)).status, 404);
}

#[test]
fn a_backup_that_is_put_in_revives_no_role() {
    let store = Store::memory();
    let open = |data: &Path| Site::over(store.clone(), |it| it.data = Some(data.to_owned()));
    let (data, other, out) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let site = open(data.path());
    site.publish("acme/x", Visibility::Private, Sensitivity::default());
    let root = site.remote(Some(&site.token("root", &["admin"])));
    let tokens = ["ada", "bob", "eve"].map(|it| site.token(it, &["roles"]));
    root.give_role("group:lab", "acme/*", "pusher").unwrap();
    root.add_member("lab", "ada").unwrap();
    root.add_member("lab", "bob").unwrap();
    root.give_role("account:eve", "acme/x", "steward").unwrap();
    let file = out.path().join("backup");
    Database::back_up(data.path(), &file).unwrap();
    root.remove_member("lab", "bob").unwrap();
    root.give_role("account:eve", "acme/x", "reader").unwrap();
    site.running.stop();
    Database::restore(&file, other.path()).unwrap();
    let site = open(other.path());
    assert_eq!(may(&site, &tokens[0])[..2], [true, true]);
    assert_eq!(may(&site, &tokens[1]), [false; 5]);
    assert_eq!(may(&site, &tokens[2]), [false; 5], "a role that was lowered is given anew");
}
