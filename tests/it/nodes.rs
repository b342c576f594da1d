//! `serve --database`: several servers over one store and one database of PostgreSQL.

use std::{collections::BTreeMap, process::Command, time::Duration};

use nodedata_registry::{
    DatasetName, Direct, OpenStore, Operation, Remote as _, Store, StoreLocation,
    gate::{AuditLine, Outcome},
};
use nodedata_testkit::{
    postgres::Postgres,
    registry::{ShardSpec, write_shard},
};

use crate::{
    command::{Ran, Work},
    served::Served,
    trust::run as ask,
};

const SECRET: &str = "geheim";

fn told(ran: &Ran) -> String {
    let whole = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!whole.contains(SECRET), "{whole}");
    whole
}

#[test]
fn what_is_no_database_is_told_without_its_password() {
    let work = Work::new();
    let typed = format!("postgres://ada:{SECRET}@127.0.0.1:1/x");
    let serve = ["serve", "--store", "store", "--data", "data", "--listen", "127.0.0.1:0"];
    for (args, expected) in [
        (["--database", "mysql://ada@h/x"], "`mysql`"),
        (["--database", typed.as_str()], "PGPASSWORD"),
        (["--database", "postgres://ada@h/x?sslmod=require"], "did you mean `sslmode`"),
    ] {
        let ran = work.run(serve.iter().chain(&args)).exits(2);
        assert!(told(&ran).contains(expected), "{}", told(&ran));
    }
    let alone = ["serve", "--store", "store", "--database", "postgres://ada@127.0.0.1:1/x"];
    assert!(told(&work.run(alone).exits(2)).contains("`--data`"));
    let backup = ["serve", "backup", "--out", "b", "--database", "postgres://ada@h/x"];
    assert!(told(&work.run(backup).exits(2)).contains("pg_dump"));
    work.run(["serve", "restore"]).exits(2);
    work.run(["serve", "restore", "b", "--data", "d", "--database", "postgres://ada@h/x"]).exits(2);
    work.run(["serve", "restore", "b"]).exits(2);
    work.run(["serve", "--new-token", "ada", "--scope", "read"]).exits(2);
    // From the variable it may hold one. Nobody listens there.
    let variable = [("NODEDATA_DATABASE", typed.as_str())];
    let ran = work.run_with(&variable, serve).exits(1);
    assert!(told(&ran).contains("127.0.0.1:1/x"), "{}", told(&ran));
    told(&work.run_with(&variable, ["serve", "--help"]).exits(0));
    told(&work.run_with(&variable, ["serve", "--new-token", "ada", "--scope", "read"]).exits(1));
}

/// The pair of a server that is killed again and again while it commits, and one that is not.
#[test]
fn a_node_that_is_killed_leaves_no_record_without_its_line() {
    let Some(postgres) = Postgres::start() else { return };
    let (work, url) = (Work::new(), postgres.url());
    let spec = ShardSpec { first_episode: 0, n_episodes: 1, n_steps: 20, seed: 1 };
    write_shard(&work.path("shards/a.parquet"), &spec);
    let store = work.path("store").display().to_string();
    ask(&work, &store, "", &["dataset", "push", "--name", "acme/x", "shards"]).exits(0);
    let token = |account: &str, scopes: &[&str]| {
        let mut args = vec!["serve", "--database", &url, "--new-token", account];
        scopes.iter().for_each(|it| args.extend(["--scope", it]));
        ask(&work, &store, "", &args).exits(0).stdout.trim().to_owned()
    };
    let (owner, root) = (token("acme", &["read", "publish:acme/*"]), token("root", &["admin"]));
    let node = |data: &str| Served::over(&work, data, &["--database", &url]);
    drop(node("a"));
    std::fs::create_dir(work.path("b")).unwrap();
    std::fs::copy(work.path("a/audit.key"), work.path("b/audit.key")).unwrap();
    let b = node("b");
    for round in 0..8 {
        let a = node("a");
        let tag = format!("t{round}");
        let args = ["dataset", "tag", "acme/x@1.0.0", &tag];
        let mut begun = Command::new(env!("CARGO_BIN_EXE_node-data"));
        begun.args(args).env("NODEDATA_STORE", &a.url).env("NODEDATA_TOKEN", &owner);
        let mut begun = begun
            .env("XDG_CACHE_HOME", work.path("cache"))
            .env("XDG_CONFIG_HOME", work.path("config"))
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(15 + 12 * round));
        // Killed with `kill -9`.
        drop(a);
        drop(begun.kill());
        begun.wait().unwrap();
        ask(&work, &b.url, &owner, &args).exits(0);
    }
    let text = ask(&work, &b.url, &root, &["audit", "export"]).exits(0).stdout;
    let lines: Vec<AuditLine> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let mut allowed: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines.iter().filter(|it| it.event.action == "tag" && it.event.outcome == Outcome::Allowed) {
        *allowed.entry(line.event.subject.clone().unwrap()).or_default() += 1;
    }
    let location = StoreLocation::Folder(work.path("store"));
    let direct = Direct::new(Store::open(&location, &OpenStore { journal: None, create: false }).unwrap());
    let log = direct.log(&"acme/x".parse::<DatasetName>().unwrap(), 0).unwrap();
    let tags = log.iter().filter(|it| matches!(it.record.op, Operation::Tag { .. }));
    let expected: BTreeMap<String, usize> = tags.map(|it| (it.digest.to_string(), 1)).collect();
    assert!(expected.len() >= 8, "{expected:?}");
    assert_eq!(allowed, expected, "one line for each record, and none for others");
    let out = work.path("head.json").display().to_string();
    ask(&work, &b.url, &root, &["audit", "head", "--out", &out]).exits(0);
    let key = work.path("a/audit.key.pub").display().to_string();
    ask(&work, &b.url, &root, &["audit", "verify", "--head", &out, "--key", &key]).exits(0);
    drop(b);
    assert!(
        told(&ask(&work, &store, "", &["serve", "restore", "--database", &url]).exits(0)).contains("lines")
    );
}
