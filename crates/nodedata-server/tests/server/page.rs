use nodedata_registry::{DataClass, Sensitivity, Visibility};

use crate::{
    protocol::none,
    site::{Answer, Site},
};

#[test]
fn pages_show_what_is_public_and_run_nothing() {
    let site = Site::new();
    site.publish("acme/x", Visibility::Public, none());
    let home = site.get("", None);
    assert_eq!(home.status, 200);
    assert!(home.text().contains("<a href=\"/d/acme/x\">acme/x</a>"));
    let card = site.get("d/acme/x", None);
    let html = card.text();
    for part in ["CC-BY-4.0", "data class: none", "2 episodes", "<code>action</code>", "float32", "[7]"] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(html.contains("&lt;script&gt;") && !html.to_lowercase().contains("<script"));
    assert_eq!(html.matches("<h1").count(), 1, "the card's headings stand below the page's");
    assert!(html.contains("2 episodes, 40,000 rows, 2 shards, "), "{html}");
    assert!(html.contains("<time datetime=\"") && html.contains(" UTC</time> by acme."), "{html}");
    let revisions = site.get("d/acme/x/revisions", None).text();
    assert!(revisions.contains("/d/acme/x@1.0.0") && revisions.contains("first"));
    assert_eq!(site.get("d/acme/x@1.0.0", None).status, 200);
    assert_eq!(site.get("style.css", None).headers["content-type"], "text/css; charset=utf-8");
    for path in ["", "d/acme/x", "d/acme/x@9.9.9", "v1/datasets", "v1/d/acme/x/readme", "nowhere"] {
        let answer = site.get(path, None);
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
    }
}

fn as_browser(site: &Site, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    site.ask(reqwest::Method::GET, path, None, |mut it| {
        it = it.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        headers.iter().fold(it, |it, (name, value)| it.header(*name, *value))
    })
}

#[test]
fn the_line_that_pulls_works_as_it_is_pasted() {
    let site = Site::new();
    site.publish("acme/x", Visibility::Public, none());
    let line = |url: &str| format!("<code>node-data dataset pull acme/x@1.0.0 --store {url} --out x</code>");
    let own = site.url("");
    let of = |headers: &[(&'static str, &str)]| as_browser(&site, "d/acme/x", headers).text();
    assert!(of(&[]).contains(&line(own.trim_end_matches('/'))), "{}", of(&[]));
    let proxied = of(&[("host", "data.example"), ("x-forwarded-proto", "https")]);
    assert!(proxied.contains(&line("https://data.example")), "{proxied}");
    // Nothing that a shell would run gets into it.
    let hostile = of(&[("host", "a;rm")]);
    assert!(hostile.contains("pull acme/x@1.0.0 --out x") && !hostile.contains(";rm"), "{hostile}");
    let named = Site::with(|it| it.public_url = Some("https://data.example/nd".to_owned()));
    let class = Sensitivity { class: DataClass::None, ..Default::default() };
    named.publish("acme/x", Visibility::Private, class);
    let token = named.token("acme", &["read"]);
    let html = named.get("d/acme/x", Some(&token)).text();
    let login = "<code>node-data login --store https://data.example/nd\nnode-data dataset pull ";
    assert!(html.contains(login), "{html}");
}

#[test]
fn refusals_are_pages_for_people_and_problems_for_programs() {
    let site = Site::new();
    site.publish("acme/x", Visibility::Public, none());
    let class = Sensitivity { class: DataClass::None, ..Default::default() };
    site.publish("acme/secret", Visibility::Private, class);
    for (path, status) in [
        ("nowhere", 404),
        ("d/acme/x@9.9.9", 404),
        ("d/acme/x@!!", 422),
        ("login", 401),
        ("v1/d/acme/x/shards/9", 404),
    ] {
        let page = as_browser(&site, path, &[]);
        assert_eq!(
            (page.status, page.headers["content-type"].as_bytes()),
            (status, &b"text/html; charset=utf-8"[..])
        );
        let html = page.text();
        assert!(html.starts_with("<!doctype html>") && html.matches("<h1").count() == 1, "{path}: {html}");
        let problem = site.get(path, None);
        assert_eq!(problem.status, status, "{path}");
        assert_eq!(problem.headers["content-type"], "application/problem+json", "{path}");
        assert_eq!(page.headers.get("www-authenticate"), problem.headers.get("www-authenticate"), "{path}");
    }
    let [hidden, missing] = ["d/acme/secret", "d/acme/nothing"].map(|it| as_browser(&site, it, &[]));
    assert_eq!((hidden.status, hidden.body), (missing.status, missing.body));
    let posted = site.ask(reqwest::Method::POST, "d/acme/x", None, |it| it.header("accept", "text/html"));
    assert!(posted.status == 405 && posted.text().starts_with("<!doctype html>"));
}

#[test]
fn a_token_says_whose_it_is() {
    let site = Site::new();
    let token = site.token("acme", &["read", "publish:acme/*"]);
    let who = site.remote(Some(&token)).whoami().unwrap();
    assert_eq!((who.account.as_str(), who.scopes.join(" ")), ("acme", "read publish:acme/*".to_owned()));
    let err = site.remote(None).whoami().unwrap_err();
    assert_eq!(err.kind(), nodedata_core::ErrorKind::Denied);
    assert!(err.hint().unwrap().contains("node-data login --store http://127.0.0.1:"), "{:?}", err.hint());
}

#[test]
fn browsers_send_the_token_as_a_password_to_pages_only() {
    let site = Site::new();
    site.publish(
        "acme/secret",
        Visibility::Private,
        Sensitivity { class: DataClass::None, ..Default::default() },
    );
    let login = site.get("login", None);
    assert_eq!(login.status, 401);
    assert!(login.headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    let token = site.token("acme", &["read", "publish:acme/*"]);
    let basic =
        |path: &str| site.ask(reqwest::Method::GET, path, None, |it| it.basic_auth("", Some(token.reveal())));
    assert_eq!(basic("login").status, 303);
    assert!(basic("").text().contains("acme/secret"));
    assert_eq!(basic("d/acme/secret").status, 200);
    // Another site could make a browser send it along.
    assert_eq!(basic("v1/datasets").status, 401);
}

#[test]
fn the_server_describes_and_counts_itself() {
    let site = Site::new();
    site.publish("acme/x", Visibility::Public, none());
    let described: serde_json::Value = serde_json::from_slice(&site.get("openapi.json", None).body).unwrap();
    assert_eq!(described, nodedata_server::openapi());
    assert_eq!(site.get("healthz", None).text(), "ok\n");
    site.get("v1/d/acme/x/manifest", None);
    let metrics = site.get("metrics", None).text();
    let line =
        "nodedata_requests_total{route=\"/v1/d/{owner}/{name}/manifest\",method=\"GET\",status=\"200\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.contains("nodedata_request_seconds_count ") && !metrics.contains("acme"));
}
