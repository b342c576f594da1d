//! Logging in at an issuer: with a browser elsewhere, and as CI does.

use nodedata_testkit::issuer::Issuer;
use serde_json::json;

use crate::{command::Work, login::run, served::Served};

/// The one file of a token that is kept.
fn kept(work: &Work) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let entries: Vec<_> = std::fs::read_dir(work.path("config/nodedata/tokens")).unwrap().collect();
    assert_eq!(entries.len(), 1);
    let path = entries[0].as_ref().unwrap().path();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_device_is_let_in_from_a_browser_elsewhere() {
    let (work, issuer) = (Work::new(), Issuer::new(json!({"sub": "1", "preferred_username": "ada"})));
    let served = Served::with(&work, &["--oidc-issuer", &issuer.url(), "--oidc-client-id", "node-data"]);
    let url = served.url.as_str();
    issuer.set_device(&["access_denied"]);
    let refused = run(&work, &[], "", &["login", "--store", url]).exits(1);
    assert!(refused.stderr.contains("refused in the browser"), "{}", refused.stderr);
    assert!(!work.path("config").exists());
    let login = run(&work, &[], "", &["login", "--store", url]).exits(0);
    let told =
        format!("open {}/activate?user_code=WDJB-MJHT in a browser; the code is WDJB-MJHT", issuer.url());
    assert!(login.stderr.contains(&told), "{}", login.stderr);
    assert!(
        login.stdout.starts_with(&format!("logged in to {url} as ada (read, roles) until 2")),
        "{}",
        login.stdout
    );
    let secret = kept(&work);
    let secret = secret.split("ndp_").nth(1).unwrap().split('"').next().unwrap();
    assert!(!login.stdout.contains(secret) && !login.stderr.contains(secret));
    let who = run(&work, &[], "", &["whoami", "--store", url, "--format", "json"]).exits(0);
    assert_eq!(who.json()["account"], "ada");
    // A token that an operator made is still asked for, on request.
    let prompt = run(&work, &[], "", &["login", "--store", url, "--token-prompt"]).exits(2);
    assert!(prompt.stderr.contains("no terminal"), "{}", prompt.stderr);
    run(&work, &[], "", &["logout", "--store", url]).exits(0);
    run(&work, &[], "", &["whoami", "--store", url]).exits(1);
}

#[test]
fn groups_of_the_issuer_are_taken_over_and_told() {
    let claims =
        json!({"sub": "1", "preferred_username": "ada", "realm_access": {"roles": ["robots", "lab"]}});
    let (work, issuer) = (Work::new(), Issuer::new(claims));
    let issuer_url = issuer.url();
    let flags = ["--oidc-issuer", &issuer_url, "--oidc-client-id", "node-data"];
    let groups = ["--oidc-groups", "realm_access.roles", "--oidc-group-prefix", "kc-"];
    let served = Served::with(&work, &[flags.as_slice(), &groups].concat());
    let url = served.url.as_str();
    run(&work, &[], "", &["login", "--store", url]).exits(0);
    let who = run(&work, &[], "", &["whoami", "--store", url]).exits(0);
    assert!(who.stdout.contains("\ngroups   kc-lab, kc-robots\n"), "{}", who.stdout);
    let who = run(&work, &[], "", &["whoami", "--store", url, "--format", "json"]).exits(0);
    assert_eq!(who.json()["groups"], json!(["kc-lab", "kc-robots"]));
    let listed = run(&work, &[], "", &["token", "list", "--store", url]).exits(0);
    assert!(listed.stdout.contains("read roles  in kc-lab kc-robots\n"), "{}", listed.stdout);
    let own = run(&work, &[], "", &["group", "list", "--store", url, "--format", "json"]).exits(0);
    assert_eq!(own.json()["groups"][0]["name"], "kc-lab");
}

#[test]
fn ci_exchanges_what_it_has() {
    let (work, issuer) = (Work::new(), Issuer::new(json!({})));
    let rules = format!(
        "- issuer: {}\n  audience: https://data.example\n  claims: {{repository: acme/robots}}\n  account: acme\n  scopes: ['publish:acme/*']\n",
        issuer.url()
    );
    std::fs::write(work.path("trust.yaml"), &rules).unwrap();
    let trust = work.path("trust.yaml").display().to_string();
    let served = Served::with(&work, &["--oidc-trust", &trust]);
    let login = ["login", "--store", &served.url, "--id-token-stdin", "--format", "json"];
    let token = |repository: &str| {
        issuer.token(json!({"sub": "job", "aud": "https://data.example", "repository": repository}))
    };
    let refused = run(&work, &[], &token("acme/other"), &login).exits(1);
    assert!(refused.stderr.contains("nobody here is known"), "{}", refused.stderr);
    let identity = token("acme/robots");
    let done = run(&work, &[], &format!("{identity}\n"), &login).exits(0);
    assert_eq!(
        (&done.json()["account"], &done.json()["scopes"][0]),
        (&"acme".into(), &"publish:acme/*".into())
    );
    assert!(done.json()["expires"].is_string() && !done.stdout.contains(&identity));
    assert!(kept(&work).contains("\"acme\""));
    // People have no issuer here, and are asked for a token as before.
    let prompt = run(&work, &[], "", &["login", "--store", &served.url]).exits(2);
    assert!(prompt.stderr.contains("--token-stdin"), "{}", prompt.stderr);
}

#[test]
fn a_server_that_would_believe_anybody_does_not_start() {
    let work = Work::new();
    let serve = |flags: &[&str]| {
        let args: Vec<&str> = ["serve", "--listen", "127.0.0.1:0"].iter().chain(flags).copied().collect();
        run(&work, &[], "", &args)
    };
    let clear = serve(&["--oidc-issuer", "http://id.example", "--oidc-client-id", "x"]).exits(2);
    assert!(clear.stderr.contains("no address that can be trusted"), "{}", clear.stderr);
    let admin = ["--oidc-issuer", "https://id.example", "--oidc-client-id", "x", "--oidc-scope", "admin"];
    assert!(serve(&admin).exits(2).stderr.contains("would be an operator"));
    serve(&["--oidc-issuer", "https://id.example"]).exits(2);
    serve(&["--oidc-scope", "read"]).exits(2);
    serve(&["--oidc-groups", "groups"]).exits(2);
    let people = ["--oidc-issuer", "https://id.example", "--oidc-client-id", "x"];
    serve(&[people.as_slice(), &["--oidc-group-prefix", "x-"]].concat()).exits(2);
    serve(&[people.as_slice(), &["--oidc-group-scope", "groups"]].concat()).exits(2);
    let prefix = [people.as_slice(), &["--oidc-groups", "groups", "--oidc-group-prefix", "Lab/"]].concat();
    let prefix = serve(&prefix).exits(2);
    assert!(prefix.stderr.contains("no group here can be called `Lab/`"), "{}", prefix.stderr);
    let rule = "- {issuer: https://ci.example, audience: x, claims: {}, account: acme, scopes: [read]}\n";
    std::fs::write(work.path("trust.yaml"), rule).unwrap();
    let open = serve(&["--oidc-trust", "trust.yaml"]).exits(2);
    assert!(
        open.stderr.contains("everybody at the issuer") && open.stderr.contains("trust.yaml"),
        "{}",
        open.stderr
    );
}
