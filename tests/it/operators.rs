//! What an operator does with a server, by the command: kills, backups, tokens, roles, TLS.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use nodedata_registry::B3;
use nodedata_testkit::registry::{ShardSpec, write_shard};
use serde_json::Value;

use crate::{
    command::Work,
    served::Served,
    trust::{local, run},
};

fn token(work: &Work, account: &str, scopes: &[&str]) -> String {
    let mut args = vec!["serve", "--data", "server", "--new-token", account];
    scopes.iter().for_each(|it| args.extend(["--scope", it]));
    local(work, &args).exits(0).stdout.trim().to_owned()
}

/// A store with `acme/x@1.0.0`.
fn published(work: &Work) {
    let spec = ShardSpec { first_episode: 0, n_episodes: 1, n_steps: 20, seed: 1 };
    write_shard(&work.path("shards/a.parquet"), &spec);
    local(work, &["dataset", "push", "--name", "acme/x", "--license", "MIT", "shards"]).exits(0);
}

/// Digests of the records of `acme/x` that are tags.
fn tags(work: &Work) -> BTreeSet<String> {
    let entries = std::fs::read_dir(work.path("store/ds/acme/x/log")).unwrap();
    let records = entries.map(|it| std::fs::read(it.unwrap().path()).unwrap());
    let is_tag = |it: &Vec<u8>| serde_json::from_slice::<Value>(it).unwrap()["op"] == "tag";
    records.filter(is_tag).map(|it| B3::of(&it).to_string()).collect()
}

#[test]
fn servers_that_are_killed_among_records_lose_no_line() {
    let work = Work::new();
    published(&work);
    let (owner, root) = (token(&work, "acme", &["read", "publish:acme/*"]), token(&work, "root", &["admin"]));
    let mut n_told = 0;
    for round in 0..4 {
        let served = Served::new(&work);
        std::thread::scope(|scope| {
            let (work, owner, url) = (&work, &owner, served.url.clone());
            let tagging = scope.spawn(move || {
                let tag = |n: u32| format!("tag-{round}-{n}");
                let tagged =
                    (0..3).map(|n| run(work, &url, owner, &["dataset", "tag", "acme/x@1.0.0", &tag(n)]));
                tagged.filter(|it| it.code == 0).count()
            });
            // Whatever it is doing then: the moment is another each time.
            std::thread::sleep(std::time::Duration::from_millis(60 * round + 20));
            drop(served);
            n_told += tagging.join().unwrap();
        });
    }
    let served = Served::new(&work);
    // However many of them got through.
    run(&work, &served.url, &owner, &["dataset", "tag", "acme/x@1.0.0", "last"]).exits(0);
    n_told += 1;
    let audit = run(&work, &served.url, &root, &["audit", "export"]).exits(0).stdout;
    let lines: Vec<Value> = audit.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let lines: Vec<&Value> =
        lines.iter().filter(|it| it["action"] == "tag" && it["outcome"] == "allowed").collect();
    let subjects: BTreeSet<String> =
        lines.iter().map(|it| it["subject"].as_str().unwrap().to_owned()).collect();
    assert_eq!(subjects.len(), lines.len(), "one line each");
    assert_eq!(subjects, tags(&work), "each record has its line, and each line its record");
    assert!(subjects.len() >= n_told, "{} of {n_told}", subjects.len());
}

#[test]
fn a_log_is_exported_and_verified_and_a_cut_one_is_told() {
    let work = Work::new();
    published(&work);
    let (owner, root) = (token(&work, "acme", &["read", "publish:acme/*"]), token(&work, "root", &["admin"]));
    let served = Served::new(&work);
    let ask = |args: &[&str]| run(&work, &served.url, &root, args);
    run(&work, &served.url, &owner, &["dataset", "tag", "acme/x@1.0.0", "stable"]).exits(0);
    run(&work, &served.url, &owner, &["audit", "export"]).exits(1);
    ask(&["audit", "head", "--out", "head.json"]).exits(0);
    ask(&["audit", "export", "--out", "audit.jsonl"]).exits(0);
    ask(&["audit", "export", "--out", "audit.jsonl"]).exits(1);
    let csv = ask(&["audit", "export", "--csv"]).exits(0).stdout;
    assert!(
        csv.starts_with("seq,at,who,action,outcome,") && csv.contains(",acme,tag,allowed,acme/x,"),
        "{csv}"
    );
    let verify = |log: &str| {
        let args = ["audit", "verify", log, "--head", "head.json", "--key", "server/audit.key.pub"];
        work.run(args)
    };
    assert!(verify("audit.jsonl").exits(0).stdout.contains("signed by the key"));
    ask(&["audit", "verify"]).exits(0);
    let text = std::fs::read_to_string(work.path("audit.jsonl")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    work.write("cut.jsonl", lines[..lines.len() - 1].join("\n"));
    let cut = verify("cut.jsonl").exits(1);
    assert!(cut.stderr.contains("it was cut, or written anew"), "{}", cut.stderr);
    work.run(["audit", "verify", "cut.jsonl"]).exits(0);
    local(&work, &["dataset", "keygen", "--out", "other"]).exits(0);
    let other = ["audit", "verify", "audit.jsonl", "--head", "head.json", "--key", "other.pub"];
    assert!(work.run(other).exits(1).stderr.contains("no trusted key"));
}

#[test]
fn tokens_are_kept_when_they_are_rotated_and_a_backup_revives_none() {
    let work = Work::new();
    published(&work);
    let root = token(&work, "root", &["admin"]);
    let served = Served::new(&work);
    let (url, ask) = (served.url.clone(), |args: &[&str]| run(&work, &served.url, &root, args));
    let made = ask(&["token", "create", "lab", "--scope", "roles", "--format", "json"]).exits(0).json();
    let (id, lab) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    ask(&["group", "add", "team", "lab"]).exits(0);
    ask(&["role", "give", "group:team", "pusher", "acme/*"]).exits(0);
    run(&work, &url, lab, &["dataset", "tag", "acme/x@1.0.0", "stable"]).exits(0);
    run(&work, &url, lab, &["dataset", "withdraw", "acme/x@1.0.0", "--reason", "no"]).exits(1);
    local(&work, &["serve", "backup", "--data", "server", "--out", "backup"]).exits(0);
    let again = local(&work, &["serve", "backup", "--data", "server", "--out", "backup"]).exits(1);
    assert!(again.stderr.contains("not replaced"), "{}", again.stderr);
    // Kept by `login`, it is rotated there, and the old one is over.
    work.write("token", lab);
    let login = "node-data login --token-stdin < token";
    let login = login.replace("node-data", env!("CARGO_BIN_EXE_node-data"));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &login])
        .current_dir(work.path(""))
        .env("NODEDATA_STORE", &url)
        .env_remove("NODEDATA_TOKEN");
    assert!(shell.env("XDG_CONFIG_HOME", work.path("config")).output().unwrap().status.success());
    run(&work, &url, "", &["token", "rotate"]).exits(0);
    let who = run(&work, &url, "", &["whoami"]).exits(0);
    assert!(who.stdout.contains("account  lab"), "{}", who.stdout);
    run(&work, &url, lab, &["whoami"]).exits(1);
    let list = ask(&["token", "list"]).exits(0).stdout;
    assert!(list.contains(&format!("{id}  revoked  lab  roles\n")), "{list}");
    drop(served);
    local(&work, &["serve", "restore", "backup", "--data", "restored"]).exits(0);
    local(&work, &["serve", "restore", "backup", "--data", "restored"]).exits(1);
    let (_restored, url) = serve(&work, &["--data", "restored"]);
    run(&work, &url, lab, &["whoami"]).exits(1);
    run(&work, &url, &root, &["audit", "verify"]).exits(0);
}

/// A server with more arguments, and where it listens; ended with the test.
fn serve(work: &Work, more: &[&str]) -> (Ended, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_node-data"))
        .args(["serve", "--listen", "127.0.0.1:0", "--quiet", "--store"])
        .arg(work.path("store"))
        .args(more)
        .current_dir(work.path(""))
        .env("NODEDATA_HOOK_SECRET", "a secret that both sides know")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
    (Ended(process), url.trim().to_owned())
}

struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_server_speaks_tls_and_reads_its_certificate_anew_when_it_is_told_to() {
    let work = Work::new();
    published(&work);
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    work.write("cert.pem", made.cert.pem());
    work.write("key.pem", made.signing_key.serialize_pem());
    let mut server = Command::new(env!("CARGO_BIN_EXE_node-data"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--tls-cert",
            "cert.pem",
            "--tls-key",
            "key.pem",
            "--store",
        ])
        .arg(work.path("store"))
        .current_dir(work.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdout, stderr) = (server.stdout.take().unwrap(), server.stderr.take().unwrap());
    let server = Ended(server);
    let mut url = String::new();
    BufReader::new(stdout).read_line(&mut url).unwrap();
    let url = url.trim().replace("127.0.0.1", "localhost");
    assert!(url.starts_with("https://localhost:"), "{url}");
    let show = |trusted: &str| {
        let cert = work.path(trusted).display().to_string();
        let variables = [("NODEDATA_STORE", url.as_str()), ("SSL_CERT_FILE", cert.as_str())];
        work.run_with(&variables, ["dataset", "list"])
    };
    show("cert.pem").exits(0);
    let told = Command::new("kill").args(["-HUP", &server.0.id().to_string()]).status().unwrap();
    assert!(told.success());
    // Nothing else makes it say so: the files are as they were.
    let mut lines = BufReader::new(stderr).lines().map(|it| it.unwrap());
    let line = lines.find(|it| it.contains("tls-reload")).unwrap();
    assert!(line.contains("\"failed\":null"), "{line}");
    show("cert.pem").exits(0);
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    work.write("other.pem", other.cert.pem());
    show("other.pem").exits(1);
}

#[test]
fn flags_that_need_each_other_say_so() {
    let work = Work::new();
    let refused = |args: &[&str]| {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend(args);
        local(&work, &all).exits(2).stderr
    };
    assert!(refused(&["--tls-cert", "cert.pem"]).contains("--tls-key"));
    let absent = refused(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    assert!(absent.contains("cert.pem") && absent.contains("no certificate"), "{absent}");
    assert!(refused(&["--on-publish", "https://host/x"]).contains("--data"));
    let secret = refused(&["--on-publish", "https://host/x", "--data", "server"]);
    assert!(secret.contains("NODEDATA_HOOK_SECRET"), "{secret}");
    let mixed = local(&work, &["serve", "--quiet", "backup", "--data", "server", "--out", "x"]).exits(2);
    assert!(mixed.stderr.contains("backup"), "{}", mixed.stderr);
}
