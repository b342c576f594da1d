//! Tokens are listed, rotated and taken back over the protocol.

use nodedata_core::ErrorKind;
use nodedata_registry::http::{RotateBody, Token, TokenBody};

use crate::site::Site;

fn body(account: &str, scopes: &[&str], valid_days: u32) -> TokenBody {
    let scopes = scopes.iter().map(ToString::to_string).collect();
    TokenBody { account: account.to_owned(), scopes, valid_days }
}

#[test]
fn tokens_are_listed_with_what_they_open_and_when_they_were_used() {
    let site = Site::new();
    let root = site.token("root", &["admin"]);
    let remote = site.remote(Some(&root));
    let made = remote.create_token(&body("lab", &["read", "push:lab/*"], 2)).unwrap();
    let lab = Token::parse(&made.token).unwrap();
    let other = remote.create_token(&body("other", &["read"], 30)).unwrap();
    let of = |id: &str| remote.tokens().unwrap().into_iter().find(|it| it.id == id).unwrap();
    assert_eq!(of(&made.id).last_used, None);
    assert_eq!(site.get("v1/whoami", Some(&lab)).status, 200);
    let listed = of(&made.id);
    assert_eq!((listed.account.as_str(), listed.state.as_str()), ("lab", "active"));
    assert_eq!(listed.scopes, ["read", "push:lab/*"]);
    assert_eq!(listed.last_used.as_deref(), Some("2027-01-15T08:00:00Z"));
    assert_eq!(listed.expires, made.expires);
    // Others see their own account's alone.
    let own = site.remote(Some(&lab)).tokens().unwrap();
    assert_eq!(own.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), [made.id.as_str()]);
    assert_eq!(site.get("v1/tokens", None).status, 401);
    remote.revoke_token(&other.id).unwrap();
    site.clock.advance(2 * 86_400);
    assert_eq!((of(&made.id).state.as_str(), of(&other.id).state.as_str()), ("expired", "revoked"));
    let told = site.get("v1/tokens", Some(&root)).text();
    assert!(!told.contains("ndp_") && !told.contains(&made.token[4..]), "{told}");
}

#[test]
fn a_token_is_rotated_with_its_scopes_and_may_overlap() {
    let site = Site::new();
    let root = site.token("root", &["admin"]);
    let remote = site.remote(Some(&root));
    let made = remote.create_token(&body("lab", &["read", "push:lab/*"], 10)).unwrap();
    let old = Token::parse(&made.token).unwrap();
    let status = |token: &Token| site.get("v1/whoami", Some(token)).status;
    // By the token itself, which tells its name; no longer than it held itself.
    let who = site.remote(Some(&old)).whoami().unwrap();
    assert_eq!(who.token.as_deref(), Some(made.id.as_str()));
    let longer = RotateBody { valid_days: Some(11), overlap_seconds: None };
    let err = site.remote(Some(&old)).rotate_token(&made.id, &longer).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Denied, "{err}");
    let overlap = RotateBody { valid_days: None, overlap_seconds: Some(600) };
    let next = site.remote(Some(&old)).rotate_token(&made.id, &overlap).unwrap();
    let new = Token::parse(&next.token).unwrap();
    assert_eq!((status(&old), status(&new)), (200, 200));
    assert_eq!(site.remote(Some(&new)).whoami().unwrap().scopes, ["read", "push:lab/*"]);
    assert_eq!(next.expires, made.expires, "as long as the old one was made for");
    site.clock.advance(600);
    assert_eq!((status(&old), status(&new)), (401, 200));
    // Another token of the account is no reason: it may open more.
    let small = site.token("lab", &["read"]);
    let err = site.remote(Some(&small)).rotate_token(&next.id, &RotateBody::default()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Denied, "{err}");
    let last = remote.rotate_token(&next.id, &RotateBody { valid_days: Some(40), overlap_seconds: None });
    assert_eq!(status(&new), 401, "without an overlap it ends at once");
    assert_eq!(status(&Token::parse(&last.unwrap().token).unwrap()), 200);
    let err = remote.rotate_token(&next.id, &RotateBody::default()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Config, "what is over is not rotated: {err}");
    let actions: Vec<String> = site.audit().into_iter().map(|it| it.event.action).collect();
    assert_eq!(actions.iter().filter(|it| *it == "rotate-token").count(), 3, "two, and one that was refused");
}

#[test]
fn what_a_token_made_of_itself_is_taken_back_with_it() {
    let site = Site::new();
    let remote = site.remote(Some(&site.token("root", &["admin"])));
    let made = remote.create_token(&body("lab", &["read"], 10)).unwrap();
    let other = Token::parse(&remote.create_token(&body("lab", &["read"], 10)).unwrap().token).unwrap();
    let secret = |it: &str| Token::parse(it).unwrap();
    let status = |token: &Token| site.get("v1/whoami", Some(token)).status;
    let own = |id: &str, token: &Token, overlap_seconds| {
        let rotation = RotateBody { valid_days: None, overlap_seconds };
        site.remote(Some(token)).rotate_token(id, &rotation).unwrap()
    };
    // Two beside each other, and one of the second; then the first is over.
    let old = secret(&made.token);
    let left = own(&made.id, &old, Some(600));
    let right = own(&made.id, &old, Some(600));
    let last = own(&right.id, &secret(&right.token), None);
    // One that the operator made of it is the operator's.
    let kept = remote.rotate_token(&left.id, &RotateBody { valid_days: None, overlap_seconds: Some(600) });
    let kept = secret(&kept.unwrap().token);
    site.clock.advance(600);
    assert_eq!(status(&old), 401);
    let all = [&left, &right, &last].map(|it| secret(&it.token));
    assert_eq!(all.each_ref().map(status), [401, 401, 200], "only the newest holds");
    assert!(remote.revoke_token(&made.id).unwrap(), "what came of it held");
    assert_eq!([&all[2], &kept, &other].map(status), [401, 200, 200]);
    assert!(!remote.revoke_token(&made.id).unwrap(), "nothing is left of it");
    let line = site.audit().into_iter().find(|it| it.event.action == "revoke-token").unwrap().event;
    let named: Vec<&str> = line.subject.as_deref().unwrap().split(' ').collect();
    assert_eq!(named[0], made.id);
    assert!(named.contains(&last.id.as_str()), "{named:?}");
    let listed = remote.tokens().unwrap();
    let state = |id: &str| listed.iter().find(|it| it.id == id).map(|it| it.state.as_str());
    assert_eq!(state(&last.id), Some("revoked"));
}
