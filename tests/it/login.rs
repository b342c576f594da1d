//! Tokens: kept for a server, sent to it, told apart from what is hidden, and never shown.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use nodedata_testkit::registry::{ShardSpec, write_shard};

use crate::{
    command::{Ran, Work},
    served::Served,
};

/// Runs with a configuration of its own, `stdin` handed over.
pub(crate) fn run(work: &Work, variables: &[(&str, &str)], stdin: &str, args: &[&str]) -> Ran {
    let mut process = Command::new(env!("CARGO_BIN_EXE_node-data"))
        .args(args)
        .current_dir(work.path(""))
        .env("XDG_CONFIG_HOME", work.path("config"))
        .env("XDG_CACHE_HOME", work.path("cache"))
        .env_remove("NODEDATA_TOKEN")
        .env_remove("NODEDATA_STORE")
        .env_remove("NODEDATA_OIDC_CLIENT_SECRET")
        .env_remove("RUST_LOG")
        .env("NODEDATA_USER", "acme")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read it is free to end first.
    drop(process.stdin.take().unwrap().write_all(stdin.as_bytes()));
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn token(work: &Work, account: &str, scope: &str) -> String {
    let store = work.path("store").display().to_string();
    let args = ["serve", "--data", "server", "--store", &store, "--new-token", account, "--scope", scope];
    run(work, &[], "", &args).exits(0).stdout.trim().to_owned()
}

/// A server with a private dataset `acme/x`.
fn site(work: &Work) -> Served {
    let spec = ShardSpec { first_episode: 0, n_episodes: 1, n_steps: 20, seed: 1 };
    write_shard(&work.path("shards/a.parquet"), &spec);
    let store = work.path("store").display().to_string();
    run(work, &[], "", &["dataset", "push", "--store", &store, "--name", "acme/x", "shards"]).exits(0);
    Served::new(work)
}

/// The files of the configuration, with who may read them.
fn kept(work: &Work) -> Vec<(u32, String)> {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(entries) = std::fs::read_dir(work.path("config/nodedata/tokens")) else { return Vec::new() };
    let all = entries.map(|it| {
        let path = it.unwrap().path();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        (mode, std::fs::read_to_string(path).unwrap())
    });
    all.collect()
}

#[test]
fn a_token_is_kept_for_its_server_sent_and_forgotten() {
    let work = Work::new();
    let served = site(&work);
    let (owner, stranger) = (token(&work, "acme", "read"), token(&work, "other", "read"));
    let url = served.url.as_str();
    let secret = owner.strip_prefix("ndp_").unwrap();
    let show = |variables: &[(&str, &str)]| {
        run(&work, variables, "", &["-vv", "dataset", "show", "acme/x", "--store", url])
    };
    let hidden = show(&[]).exits(2);
    assert!(hidden.stderr.contains("there is no dataset `acme/x`"), "{}", hidden.stderr);
    assert!(hidden.stderr.contains(&format!("`node-data login --store {url}`")), "{}", hidden.stderr);
    let empty = run(&work, &[], "", &["dataset", "list", "--store", url]).exits(0);
    assert!(empty.stderr.contains("node-data login"), "{}", empty.stderr);

    let login = run(&work, &[], &format!("{owner}\n"), &["-vv", "login", "--store", url, "--token-stdin"]);
    let login = login.exits(0);
    assert_eq!(login.stdout, format!("logged in to {url} as acme (read)\n"));
    let files = kept(&work);
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].0, 0o600);
    assert!(files[0].1.contains(url));
    let shown = show(&[]).exits(0);
    // With a slash at the end it is the same server.
    let slashed = format!("{url}/");
    run(&work, &[("NODEDATA_STORE", &slashed)], "", &["dataset", "show", "acme/x"]).exits(0);
    let who = run(&work, &[], "", &["whoami", "--store", url, "--format", "json"]).exits(0);
    assert_eq!((&who.json()["account"], &who.json()["scopes"][0]), (&"acme".into(), &"read".into()));
    assert!(who.json()["token"].as_str().unwrap().ends_with(".json"), "{}", who.stdout);

    // The variable goes first, and the kept token stays.
    let other = [("NODEDATA_TOKEN", stranger.as_str())];
    let who = run(&work, &other, "", &["whoami", "--store", url]).exits(0);
    assert!(who.stdout.contains("other") && who.stdout.contains("NODEDATA_TOKEN"), "{}", who.stdout);
    let refused = show(&other).exits(2);
    assert!(refused.stderr.contains("a token with a scope for it"), "{}", refused.stderr);
    for ran in [&hidden, &login, &shown, &who, &refused] {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{ran:?}");
    }

    let logout = ["logout", "--store", url];
    assert_eq!(run(&work, &[], "", &logout).exits(0).stdout, format!("logged out of {url}\n"));
    assert!(kept(&work).is_empty());
    assert_eq!(run(&work, &[], "", &logout).exits(0).stdout, format!("no token was kept for {url}\n"));
    show(&[]).exits(2);
    let nobody = run(&work, &[], "", &["whoami", "--store", url]).exits(1);
    assert!(nobody.stderr.contains("no token is kept") && nobody.stderr.contains("node-data login"));
}

#[test]
fn what_opens_nothing_is_not_kept() {
    let work = Work::new();
    let served = site(&work);
    let url = served.url.as_str();
    let good = token(&work, "acme", "read");
    run(&work, &[], &good, &["login", "--store", url, "--token-stdin"]).exits(0);
    let before = kept(&work);
    let unknown = format!("{}AAAA", &good[..good.len() - 4]);
    let login = |stdin: &str| run(&work, &[], stdin, &["login", "--store", url, "--token-stdin"]);
    let refused = login(&unknown).exits(1);
    assert!(refused.stderr.contains("unknown, taken back, or over"), "{}", refused.stderr);
    assert!(!refused.stderr.contains(&unknown[4..]), "{}", refused.stderr);
    let malformed = login("hunter2").exits(2);
    assert!(malformed.stderr.contains("no token") && !malformed.stderr.contains("hunter2"));
    assert_eq!(kept(&work), before, "the one that was kept stays");
    let no_terminal = run(&work, &[], &good, &["login", "--store", url]).exits(2);
    assert!(no_terminal.stderr.contains("--token-stdin"), "{}", no_terminal.stderr);
    let folder = run(&work, &[], &good, &["login", "--store", "shards", "--token-stdin"]).exits(2);
    assert!(folder.stderr.contains("this is for a server"), "{}", folder.stderr);
    let variable = [("NODEDATA_TOKEN", "hunter2")];
    let wrong = run(&work, &variable, "", &["dataset", "list", "--store", url]).exits(2);
    assert!(wrong.stderr.contains("NODEDATA_TOKEN holds no token") && !wrong.stderr.contains("hunter2"));
    // What somebody has put there is told by its file, and not shown.
    let tokens = work.path("config/nodedata/tokens");
    let file = std::fs::read_dir(tokens).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, &good[..20]).unwrap();
    let broken = run(&work, &[], "", &["dataset", "list", "--store", url]).exits(2);
    assert!(
        broken.stderr.contains("holds no token for") && broken.stderr.contains(&file.display().to_string())
    );
    assert!(!broken.stderr.contains(&good[4..20]), "{}", broken.stderr);
}
