use nodedata_registry::{DataClass, Sensitivity, Visibility};

use crate::{protocol::none, site::Site};

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
