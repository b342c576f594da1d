//! Groups of an issuer: whom they are taken over for, under which names, and for how long.

use nodedata_core::ErrorKind;
use nodedata_registry::{
    DataClass, Sensitivity, Visibility,
    http::{ExchangeAnswer, HttpRemote, RotateBody, Token},
};
use nodedata_server::OidcGroups;
use nodedata_testkit::issuer::Issuer;
use serde_json::{Value, json};

use crate::{
    oidc::{CLIENT, NOW, ada, exchange, exchanged, login, people, rules},
    site::Site,
};

/// A server that takes over what `claim` says, and has the private `lab/secret`.
fn site(issuer: &Issuer, claim: &str, prefix: &str) -> Site {
    let groups = OidcGroups::new(claim, prefix, None).unwrap();
    let site = Site::with(|it| it.login = Some(login(issuer, None).with_groups(groups)));
    let private = Sensitivity { class: DataClass::None, ..Sensitivity::default() };
    site.publish("lab/secret", Visibility::Private, private);
    site
}

fn root(site: &Site) -> HttpRemote {
    site.remote(Some(&site.token("root", &["admin"])))
}

fn token(made: &ExchangeAnswer) -> Token {
    Token::parse(&made.access_token).unwrap()
}

fn sees(site: &Site, token: &Token) -> u16 {
    site.get("v1/d/lab/secret", Some(token)).status
}

fn names(remote: &HttpRemote) -> Vec<String> {
    remote.groups().unwrap().into_iter().map(|it| it.name).collect()
}

#[test]
fn who_logs_in_is_in_the_groups_of_the_issuer_until_that_token_ends() {
    let issuer = people();
    let site = site(&issuer, "groups", "oidc-");
    let root = root(&site);
    root.give_role("group:oidc-robots", "lab/*", "reader").unwrap();
    // A group that is kept by hand, and whose name the issuer knows as well.
    root.give_role("group:admins", "lab/*", "admin").unwrap();
    let says = json!(["robots", "admins", "/Robot Lab"]);
    let made =
        exchanged(&site, &ada(&issuer, &|it| (it["groups"], it["exp"]) = (says.clone(), (NOW + 900).into())));
    let by_login = token(&made);
    let by_hand = site.token("ada", &["read", "roles"]);
    assert_eq!((sees(&site, &by_login), sees(&site, &by_hand)), (200, 404), "the login's token alone");
    let remote = site.remote(Some(&by_login));
    let err = remote.give_role("account:eve", "lab/*", "reader").unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Denied, "she is in no group of ours: {err}");
    // It is told wherever the token is.
    let taken_over = ["oidc-admins", "oidc-robots"];
    assert_eq!(remote.whoami().unwrap().groups, taken_over);
    assert_eq!(names(&remote), taken_over);
    assert!(names(&root).is_empty(), "nobody was put into a group by hand");
    let listed = root.tokens().unwrap();
    for it in &listed {
        let expected: &[&str] = if it.id == made.id { &taken_over } else { &[] };
        assert_eq!(it.groups, expected, "{}", it.account);
    }
    assert!(listed.iter().any(|it| it.id == made.id));
    let roles: Vec<String> = remote.roles().unwrap().into_iter().map(|it| it.who).collect();
    assert_eq!(roles, ["group:oidc-robots"], "her own roles");
    let line = site.audit().into_iter().find(|it| it.event.action == "exchange-token").unwrap().event;
    let subject = format!(
        "{} read roles in oidc-admins oidc-robots (1 left out, which can be no names here) of {} ada-1",
        made.id,
        issuer.url()
    );
    assert_eq!(line.subject, Some(subject));
    // Roles of such groups are given and taken as of any.
    assert!(root.take_role("group:oidc-robots", "lab/*").unwrap());
    assert_eq!(sees(&site, &by_login), 404);
    root.give_role("group:oidc-robots", "lab/*", "reader").unwrap();
    assert_eq!(sees(&site, &by_login), 200);
    let err = remote.rotate_token(&made.id, &RotateBody::default()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Denied, "no token carries them on: {err}");
    site.clock.advance(899);
    assert_eq!(sees(&site, &by_login), 200);
    site.clock.advance(1);
    assert_eq!(sees(&site, &by_login), 401);
    // What the issuer no longer says is no longer so, and what was done by hand stays.
    let again = token(&exchanged(&site, &ada(&issuer, &|_| ())));
    assert_eq!((sees(&site, &again), sees(&site, &by_hand)), (404, 404));
    root.add_member("admins", "ada").unwrap();
    assert_eq!(sees(&site, &again), 200);
    let remote = site.remote(Some(&again));
    assert_eq!((names(&remote), remote.whoami().unwrap().groups), (vec!["admins".to_owned()], Vec::new()));
    let line = site.audit().into_iter().rfind(|it| it.event.action == "exchange-token").unwrap().event;
    assert!(line.subject.as_deref().unwrap().contains(" read roles in no groups of "), "{line:?}");
}

#[test]
fn a_login_that_is_taken_back_takes_its_groups_along() {
    let issuer = people();
    let site = site(&issuer, "realm_access.roles", "idp.");
    let root = root(&site);
    root.give_role("group:idp.robots", "lab/secret", "reader").unwrap();
    let made = exchanged(&site, &ada(&issuer, &|it| it["realm_access"] = json!({"roles": "robots"})));
    assert_eq!(sees(&site, &token(&made)), 200);
    root.revoke_token(&made.id).unwrap();
    assert_eq!(sees(&site, &token(&made)), 401);
    let next = token(&exchanged(&site, &ada(&issuer, &|_| ())));
    assert_eq!(sees(&site, &next), 404);
}

#[test]
fn groups_are_called_as_at_the_issuer_only_where_that_was_asked_for() {
    for (prefix, expected) in [("oidc-", 404), ("", 200)] {
        let issuer = people();
        let site = site(&issuer, "groups", prefix);
        root(&site).give_role("group:admins", "lab/*", "reader").unwrap();
        let made = exchanged(&site, &ada(&issuer, &|it| it["groups"] = json!(["admins"])));
        assert_eq!(sees(&site, &token(&made)), expected, "`{prefix}`");
    }
}

#[test]
fn what_names_no_groups_lets_nobody_in() {
    let issuer = people();
    let site = site(&issuer, "groups", "oidc-");
    for bad in [json!(7), json!({"robots": true}), json!(["robots", 7])] {
        let answer = exchange(&site, &ada(&issuer, &|it| it["groups"] = bad.clone()));
        assert_eq!((answer.status, answer.code().as_str()), (403, "identity-groups"), "{bad}");
        assert!(answer.text().contains("claim `groups`"), "{}", answer.text());
    }
    for none in [Value::Null, json!([])] {
        let made = exchanged(&site, &ada(&issuer, &|it| it["groups"] = none.clone()));
        assert!(site.remote(Some(&token(&made))).whoami().unwrap().groups.is_empty());
    }
}

#[test]
fn jobs_are_in_no_groups_of_the_issuer() {
    let issuer = people();
    let groups = OidcGroups::new("groups", "oidc-", None).unwrap();
    let text = format!(
        "- {{issuer: '{}', audience: 'https://data.example', claims: {{job: build}}, account: ci, scopes: [read, roles]}}\n",
        issuer.url()
    );
    let site = Site::with(|it| {
        (it.login, it.trust) = (Some(login(&issuer, None).with_groups(groups)), rules(&text));
    });
    let identity = |aud: &str| {
        let claims = json!({"sub": "1", "preferred_username": "ada", "aud": aud, "job": "build", "groups": ["robots"]});
        token(&exchanged(&site, &issuer.token(claims)))
    };
    let who = |token: &Token| site.remote(Some(token)).whoami().unwrap();
    let (job, person) = (who(&identity("https://data.example")), who(&identity(CLIENT)));
    assert_eq!((job.account.as_str(), job.groups), ("ci", Vec::new()));
    assert_eq!((person.account.as_str(), person.groups), ("ada", vec!["oidc-robots".to_owned()]));
}

#[test]
fn the_issuer_is_asked_for_groups_where_it_wants_that() {
    let issuer = people();
    let with = |scope: Option<&str>| {
        let groups = OidcGroups::new("groups", "oidc-", scope).unwrap();
        let site = Site::with(|it| it.login = Some(login(&issuer, None).with_groups(groups)));
        let address = site.ask(reqwest::Method::GET, "login", None, |it| it.header("accept", "text/html"));
        let address = address.headers["location"].to_str().unwrap().to_owned();
        (site.remote(None).login_offer().unwrap().unwrap().scopes.join(" "), address)
    };
    let (offered, address) = with(None);
    assert_eq!(offered, "openid profile email");
    assert!(address.contains("scope=openid+profile+email&"), "{address}");
    let (offered, address) = with(Some("groups"));
    assert_eq!(offered, "openid profile email groups");
    assert!(address.contains("scope=openid+profile+email+groups&"), "{address}");
    assert_eq!(with(Some("email")).0, "openid profile email", "once");
}
