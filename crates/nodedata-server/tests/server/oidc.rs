//! Logins by identity tokens: whose are believed, whom they make somebody, and for how long.

use nodedata_core::ErrorKind;
use nodedata_registry::{
    DataClass, Sensitivity, Visibility,
    http::{ExchangeAnswer, GRANT_EXCHANGE, ID_TOKEN, JWT, RotateBody, Token},
};
use nodedata_server::{OidcLogin, Scope, TrustRule};
use nodedata_testkit::issuer::{Issuer, Signer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, Site};

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const CLIENT: &str = "node-data";

pub(crate) fn people() -> Issuer {
    Issuer::new(json!({"sub": "ada-1", "preferred_username": "ada"}))
}

pub(crate) fn login(issuer: &Issuer, secret: Option<&str>) -> OidcLogin {
    let scopes = [Scope::Read, Scope::Roles];
    OidcLogin::new(&issuer.url(), CLIENT, secret, "preferred_username", &scopes).unwrap()
}

fn site(issuer: &Issuer) -> Site {
    Site::with(|it| it.login = Some(login(issuer, None)))
}

pub(crate) fn rules(text: &str) -> Vec<TrustRule> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("trust.yaml"), text).unwrap();
    TrustRule::read(&folder.path().join("trust.yaml")).unwrap()
}

fn post(site: &Site, form: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    site.ask(Method::POST, "v1/auth/exchange", None, |it| {
        it.header("content-type", "application/x-www-form-urlencoded").body(body)
    })
}

pub(crate) fn exchange(site: &Site, identity: &str) -> Answer {
    let form =
        [("grant_type", GRANT_EXCHANGE), ("subject_token", identity), ("subject_token_type", ID_TOKEN)];
    post(site, &form)
}

#[track_caller]
pub(crate) fn exchanged(site: &Site, identity: &str) -> ExchangeAnswer {
    let answer = exchange(site, identity);
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// What ada's browser or device gets of her issuer.
pub(crate) fn ada(issuer: &Issuer, change: &dyn Fn(&mut Value)) -> String {
    let mut claims = json!({"sub": "ada-1", "preferred_username": "ada", "aud": CLIENT});
    change(&mut claims);
    issuer.token(claims)
}

#[test]
fn an_identity_token_becomes_one_of_the_account_with_its_line() {
    let issuer = people();
    let site = site(&issuer);
    let offer = site.remote(None).login_offer().unwrap().unwrap();
    assert_eq!((offer.issuer, offer.client_id.as_str()), (issuer.url(), CLIENT));
    assert!(offer.scopes.contains(&"openid".to_owned()));
    let private = Sensitivity { class: DataClass::None, ..Sensitivity::default() };
    site.publish("ada/secret", Visibility::Private, private.clone());
    site.publish("lab/secret", Visibility::Private, private);
    let ends = NOW + 900;
    let made = exchanged(&site, &ada(&issuer, &|it| it["exp"] = ends.into()));
    assert_eq!((made.account.as_str(), made.scope.as_str(), made.expires_in), ("ada", "read roles", 900));
    assert_eq!(made.token_type, "Bearer");
    let token = Token::parse(&made.access_token).unwrap();
    let who = site.remote(Some(&token)).whoami().unwrap();
    assert_eq!((who.account.as_str(), who.token.as_deref()), ("ada", Some(made.id.as_str())));
    // Her own, and what her roles open.
    let status = |path: &str| site.get(path, Some(&token)).status;
    assert_eq!((status("v1/d/ada/secret"), status("v1/d/lab/secret")), (200, 404));
    let root = site.token("root", &["admin"]);
    site.remote(Some(&root)).give_role("account:ada", "lab/*", "reader").unwrap();
    assert_eq!(status("v1/d/lab/secret"), 200);
    assert_eq!(status("v1/audit"), 403);
    // It ends with the identity token, and is not made longer.
    let err = site.remote(Some(&token)).rotate_token(&made.id, &RotateBody::default()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Denied, "{err}");
    let err = site.remote(Some(&root)).rotate_token(&made.id, &RotateBody::default()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Denied, "{err}");
    let line = site.audit().into_iter().find(|it| it.event.action == "exchange-token").unwrap().event;
    let subject = format!("{} read roles of {} ada-1", made.id, issuer.url());
    assert_eq!((line.who.as_str(), line.subject), ("ada", Some(subject)));
    site.clock.advance(899);
    assert_eq!(status("v1/whoami"), 200);
    site.clock.advance(1);
    assert_eq!(status("v1/whoami"), 401);
    // The log of requests has neither of the two secrets.
    for line in site.log.lock().unwrap().iter() {
        assert!(!line.contains("ndp_") && !line.contains("eyJ"), "{line}");
    }
}

#[test]
fn no_token_of_a_login_outlives_half_a_day_and_ended_ones_are_forgotten() {
    let issuer = people();
    let site = site(&issuer);
    let made = exchanged(&site, &ada(&issuer, &|_| ()));
    assert_eq!((made.expires_in, made.expires.as_str()), (12 * 3600, "2027-01-15T20:00:00Z"));
    let root = site.token("root", &["admin"]);
    let listed = |id: &str| site.remote(Some(&root)).tokens().unwrap().into_iter().find(|it| it.id == id);
    site.clock.advance(30 * 86_400);
    assert_eq!(listed(&made.id).unwrap().state, "expired");
    exchanged(&site, &ada(&issuer, &|_| ()));
    assert!(listed(&made.id).is_some());
    site.clock.advance(86_400);
    exchanged(&site, &ada(&issuer, &|_| ()));
    assert!(listed(&made.id).is_none(), "its line in the audit log is enough");
}

#[test]
fn what_is_not_believed_opens_nothing_and_is_counted() {
    let issuer = people();
    let other = people();
    let site = site(&issuer);
    let stranger = Signer::es256("first");
    let forged = stranger.sign(&json!({
        "iss": issuer.url(), "aud": CLIENT, "sub": "x", "preferred_username": "ada", "iat": NOW, "exp": NOW + 60,
    }));
    let of = |change: &dyn Fn(&mut Value)| ada(&issuer, change);
    for (what, token, status, code) in [
        ("forged", forged, 401, "identity-invalid"),
        ("over", of(&|it| it["exp"] = NOW.into()), 401, "identity-invalid"),
        ("of tomorrow", of(&|it| it["nbf"] = (NOW + 86_400).into()), 401, "identity-invalid"),
        ("garbage", "a.b.c".to_owned(), 401, "identity-invalid"),
        ("without a subject", of(&|it| it["sub"] = "".into()), 401, "identity-invalid"),
        ("for another client", of(&|it| it["aud"] = "other".into()), 403, "identity-unknown"),
        ("of another party", of(&|it| it["azp"] = "other".into()), 403, "identity-unknown"),
        ("of another issuer", ada(&other, &|_| ()), 403, "identity-unknown"),
        ("claiming another", of(&|it| it["iss"] = other.url().into()), 403, "identity-unknown"),
        ("of no account", of(&|it| it["preferred_username"] = Value::Null), 403, "identity-account"),
        ("of a strange one", of(&|it| it["preferred_username"] = "Ada L.".into()), 403, "identity-account"),
    ] {
        let answer = exchange(&site, &token);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}: {}", answer.text());
        assert!(!answer.text().contains(&token), "{what}");
    }
    assert_eq!(other.n_asked("/keys"), 0, "an issuer that nobody trusts is not asked");
    let lines = site.audit();
    assert!(lines.iter().all(|it| it.event.reason.is_some() || it.event.action != "exchange-token"));
    let denied: Vec<_> = lines.iter().filter(|it| it.event.action == "exchange-token").collect();
    assert_eq!(denied.len(), 3, "one line for each reason");
}

/// Names and values.
type Form = Vec<(&'static str, String)>;

#[test]
fn a_form_is_taken_as_it_stands_or_not_at_all() {
    let issuer = people();
    let site = site(&issuer);
    let token = ada(&issuer, &|_| ());
    let good = [("grant_type", GRANT_EXCHANGE), ("subject_token", &*token), ("subject_token_type", JWT)];
    let with = |change: &dyn Fn(&mut Form)| {
        let mut form: Form = good.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        change(&mut form);
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        post(&site, &form).status
    };
    assert_eq!(with(&|_| ()), 200);
    let access = "urn:ietf:params:oauth:token-type:access_token";
    assert_eq!(with(&|it| it.push(("requested_token_type", access.to_owned()))), 200);
    for idx in 0..3 {
        assert_eq!(with(&|it| drop(it.remove(idx))), 422, "{}", good[idx].0);
        assert_eq!(with(&|it| it[idx].1.clear()), 422, "{}", good[idx].0);
        assert_eq!(with(&|it| it.push(it[idx].clone())), 422, "{} twice", good[idx].0);
    }
    assert_eq!(with(&|it| it.push(("scope", "admin".to_owned()))), 422, "what has no effect is not taken");
    assert_eq!(with(&|it| it[2].1 = access.to_owned()), 422);
    let long = "x".repeat(70 << 10);
    assert_eq!(with(&|it| it[1].1.clone_from(&long)), 413);
    let without = Site::new();
    assert_eq!(exchange(&without, &token).status, 404);
    assert_eq!(without.remote(None).login_offer().unwrap(), None);
}

#[test]
fn keys_are_fetched_once_and_again_when_a_token_names_another() {
    let issuer = people();
    let site = site(&issuer);
    for _ in 0..3 {
        exchanged(&site, &ada(&issuer, &|_| ()));
    }
    assert_eq!((issuer.n_asked("/keys"), issuer.n_asked("/.well-known/openid-configuration")), (1, 1));
    // A new key is seen once half a minute has passed, and no sooner: anybody can name keys.
    let before = ada(&issuer, &|_| ());
    issuer.set_keys(vec![Signer::rs256("second")]);
    let after = ada(&issuer, &|_| ());
    assert_eq!(exchange(&site, &after).status, 401);
    assert_eq!(issuer.n_asked("/keys"), 1);
    site.clock.advance(30);
    exchanged(&site, &after);
    assert_eq!(issuer.n_asked("/keys"), 2);
    assert_eq!(exchange(&site, &before).status, 401, "the key that was taken back counts no more");
    assert_eq!(issuer.n_asked("/keys"), 2);
    for _ in 0..3 {
        site.clock.advance(30);
        assert_eq!(exchange(&site, &before).status, 401);
    }
    assert_eq!(issuer.n_asked("/keys"), 5);
    // While it is down what is known goes on, for an hour.
    issuer.set_down(true);
    site.clock.advance(3599);
    exchanged(&site, &after);
    site.clock.advance(1);
    let answer = exchange(&site, &after);
    assert_eq!((answer.status, answer.code().as_str()), (503, "issuer-unavailable"));
    assert!(answer.headers.contains_key("retry-after"));
    let n_asked = issuer.n_asked("/.well-known/openid-configuration");
    assert_eq!(exchange(&site, &after).status, 503);
    assert_eq!(issuer.n_asked("/.well-known/openid-configuration"), n_asked, "it is left alone for a while");
    assert!(site.log.lock().unwrap().iter().any(|it| it.contains("\"event\":\"issuer\"")));
    issuer.set_down(false);
    site.clock.advance(30);
    exchanged(&site, &after);
}

#[test]
fn tokens_of_ci_stand_for_the_account_of_the_first_rule_that_fits() {
    let (issuer, people) = (Issuer::new(json!({})), people());
    let rule = |claims: &str, account: &str, scope: &str| {
        let url = issuer.url();
        format!(
            "- {{issuer: '{url}', audience: 'https://data.example', claims: {{{claims}}}, account: {account}, scopes: ['{scope}']}}\n"
        )
    };
    let text = rule("repository: acme/robots, ref: refs/heads/main", "acme", "publish:acme/*")
        + &rule("repository: acme/robots", "acme", "read:acme/*");
    let site = Site::with(|it| (it.login, it.trust) = (Some(login(&people, None)), rules(&text)));
    let of = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "sub": "repo:acme/robots", "aud": "https://data.example", "repository": "acme/robots",
            "ref": "refs/heads/main", "exp": NOW + 300,
        });
        change(&mut claims);
        issuer.token(claims)
    };
    let made = exchanged(&site, &of(&|_| ()));
    assert_eq!(
        (made.account.as_str(), made.scope.as_str(), made.expires_in),
        ("acme", "publish:acme/*", 300)
    );
    let made = exchanged(&site, &of(&|it| it["ref"] = "refs/heads/x".into()));
    assert_eq!(made.scope, "read:acme/*");
    for (what, token) in [
        ("another repository", of(&|it| it["repository"] = "acme/robots2".into())),
        ("no text", of(&|it| it["repository"] = json!(["acme/robots"]))),
        ("no repository", of(&|it| it["repository"] = Value::Null)),
        ("another audience", of(&|it| it["aud"] = "https://other.example".into())),
        ("the client of people", of(&|it| it["aud"] = CLIENT.into())),
    ] {
        let answer = exchange(&site, &token);
        assert_eq!((answer.status, answer.code().as_str()), (403, "identity-unknown"), "{what}");
        assert!(!answer.text().contains("acme") && !answer.text().contains("data.example"), "{what}");
    }
    // What CI may do is not what people may, and the other way round.
    let claims = json!({"sub": "1", "aud": "https://data.example", "repository": "acme/robots", "ref": "refs/heads/main"});
    assert_eq!(exchange(&site, &people.token(claims)).status, 403);
    assert_eq!(exchanged(&site, &ada(&people, &|_| ())).account, "ada");
}

/// What a browser sends and keeps: the cookies that it was told, and nothing else.
struct Browser<'s> {
    site: &'s Site,
    cookies: Vec<(String, String)>,
}

impl Browser<'_> {
    fn get(&mut self, path: &str) -> Answer {
        self.ask(Method::GET, path)
    }

    fn ask(&mut self, method: Method, path: &str) -> Answer {
        let kept: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = self.site.ask(method, path, None, |it| {
            let it = it.header("accept", "text/html");
            if kept.is_empty() { it } else { it.header("cookie", kept.join("; ")) }
        });
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("; HttpOnly; SameSite=Lax") && cookie.contains("; Path=/; "), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|it| it.0 != name);
            if !cookie.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    /// Goes to the issuer and is sent back: the path and query below the server.
    fn at_issuer(&self, address: &str) -> String {
        let (base, rest) = address.split_once("/authorize").unwrap();
        assert!(base.starts_with("http://127.0.0.1:"), "{base}");
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(client.get(format!("{base}/authorize{rest}")).send()).unwrap();
        let back = answer.headers()["location"].to_str().unwrap();
        back.strip_prefix(&self.site.url("")).unwrap_or_else(|| panic!("{back}")).to_owned()
    }
}

fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.headers["location"].to_str().unwrap().to_owned()
}

#[test]
fn a_browser_logs_in_at_the_issuer_and_out_here() {
    for secret in [None, Some("a secret: of the client")] {
        let issuer = people();
        if let Some(secret) = secret {
            issuer.set_secret(secret);
        }
        let site = Site::with(|it| it.login = Some(login(&issuer, secret)));
        let private = Sensitivity { class: DataClass::None, ..Sensitivity::default() };
        site.publish("ada/secret", Visibility::Private, private);
        let mut browser = Browser { site: &site, cookies: Vec::new() };
        assert!(browser.get("").text().contains("href=\"/login\""));
        let address = location(&browser.get("login"));
        for part in
            ["response_type=code", "code_challenge_method=S256", "client_id=node-data", "&nonce=", "&state="]
        {
            assert!(address.contains(part), "{part} in {address}");
        }
        assert_eq!(browser.cookies.len(), 1);
        let verifier = browser.cookies[0].1.rsplit('.').next().unwrap().to_owned();
        assert!(!address.contains(&verifier) && !browser.cookies[0].0.starts_with("__Host-"));
        let back = browser.at_issuer(&address);
        assert_eq!(location(&browser.get(&back)), "/");
        assert_eq!(browser.cookies.len(), 1, "what was for the login is gone");
        let home = browser.get("").text();
        assert!(home.contains("ada/secret") && home.contains("action=\"/logout\""), "{home}");
        assert_eq!(browser.get("d/ada/secret").status, 200);
        assert_eq!(location(&browser.get("login")), "/");
        // Cookies open pages, and nothing that other sites could make a browser send.
        assert_eq!(browser.get("v1/whoami").status, 401);
        assert!(!browser.get("v1/datasets").text().contains("ada/secret"));
        assert_eq!(browser.ask(Method::DELETE, "v1/tokens/x").status, 401);
        // The code was for one use.
        assert_eq!(browser.get(&back).status, 400);
        let kept = browser.cookies.clone();
        assert_eq!(location(&browser.ask(Method::POST, "logout")), "/");
        assert!(browser.cookies.is_empty());
        browser.cookies = kept;
        let home = browser.get("");
        assert!(
            home.status == 200 && !home.text().contains("ada/secret"),
            "the token is over, not only forgotten"
        );
    }
}

#[test]
fn a_login_ends_in_the_browser_that_began_it() {
    let issuer = people();
    let site = site(&issuer);
    let begin = || {
        let mut browser = Browser { site: &site, cookies: Vec::new() };
        let address = location(&browser.get("login"));
        let back = browser.at_issuer(&address);
        (browser, back)
    };
    // Somebody else's code, with and without somebody else's state.
    let (mut victim, own) = begin();
    let (_, other) = begin();
    assert_eq!(victim.get(&other).status, 400);
    let code = |back: &str| back.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let mixed = own.replace(&code(&own), &code(&other));
    assert_ne!(mixed, own);
    assert_eq!(victim.get(&mixed).status, 403, "the verifier is another");
    let (mut nobody, back) = begin();
    nobody.cookies.clear();
    assert_eq!(nobody.get(&back).status, 400);
    let (mut mixed_up, back) = begin();
    assert_eq!(mixed_up.get(&format!("{back}&iss=https://evil.example")).status, 400);
    // Refused there, and nothing at all.
    let (mut refused, back) = begin();
    let state = back.split("state=").nth(1).unwrap().to_owned();
    assert_eq!(refused.get(&format!("login/callback?error=access_denied&state={state}")).status, 403);
    assert_eq!(refused.get("login/callback").status, 400);
    for path in ["login?next=https://evil.example", "login?with=other"] {
        let address = location(&Browser { site: &site, cookies: Vec::new() }.get(path));
        assert!(address.starts_with(&issuer.url()) && !address.contains("evil"), "{address}");
    }
    // Operators still come in with a token.
    let basic = Browser { site: &site, cookies: Vec::new() }.get("login?with=token");
    assert_eq!(
        (basic.status, basic.headers["www-authenticate"].as_bytes()),
        (401, &b"Basic realm=\"node-data\""[..])
    );
    issuer.set_down(true);
    site.clock.advance(7200);
    assert_eq!(Browser { site: &site, cookies: Vec::new() }.get("login").status, 503);
}

#[test]
fn over_tls_cookies_are_kept_for_this_host_and_travel_encrypted() {
    let issuer = people();
    let site = Site::with(|it| {
        (it.login, it.public_url) = (Some(login(&issuer, None)), Some("https://data.example".to_owned()));
    });
    let mut browser = Browser { site: &site, cookies: Vec::new() };
    let answer = browser.get("login");
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-") && cookie.ends_with("; Secure"), "{cookie}");
    assert!(location(&answer).contains("redirect_uri=https%3A%2F%2Fdata.example%2Flogin%2Fcallback&"));
    // One without the prefix may be another host's.
    let token = site.token("ada", &["read"]);
    browser.cookies = vec![("nodedata-session".to_owned(), token.reveal().to_owned())];
    assert!(browser.get("").text().contains("href=\"/login\""));
    browser.cookies[0].0 = "__Host-nodedata-session".to_owned();
    assert!(browser.get("").text().contains("action=\"/logout\""));
    let again = browser.cookies[0].clone();
    browser.cookies.push(again);
    assert!(browser.get("").text().contains("href=\"/login\""), "which of two is whose, nobody knows");
}

#[test]
fn a_login_that_would_let_in_too_many_is_no_login() {
    let url = "https://id.example";
    let new = |issuer: &str, client: &str, claim: &str, scopes: &[Scope]| {
        OidcLogin::new(issuer, client, None, claim, scopes).unwrap_err()
    };
    for err in [
        new(url, CLIENT, "sub", &[Scope::Read, Scope::Admin]),
        new(url, CLIENT, "sub", &[]),
        new(url, "", "sub", &[Scope::Read]),
        new(url, CLIENT, "", &[Scope::Read]),
        new("http://id.example", CLIENT, "sub", &[Scope::Read]),
        OidcLogin::new(url, CLIENT, Some(""), "sub", &[Scope::Read]).unwrap_err(),
    ] {
        assert!(err.kind() == ErrorKind::Config && err.hint().is_some(), "{err}");
    }
    let kept = OidcLogin::new(url, CLIENT, Some("hunter2"), "sub", &[Scope::Read]).unwrap();
    assert!(!format!("{kept:?}").contains("hunter2"));
}
