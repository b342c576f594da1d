//! What commands print under `--format json`, held against `docs/reference/json.schema.json`: every document is made once, has no
//! member that the schema does not name, and all that it says is always there.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use nodedata_testkit::corpus;
use serde_json::{Value, json};

use crate::{
    command::{Ran, Work},
    logs::fixture,
    served::Served,
    trust,
};

/// The documents that were made, and the schema that they are held against.
struct Documents {
    schema: Value,
    seen: BTreeSet<String>,
}

impl Documents {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/json.schema.json");
        let text = std::fs::read(&path).expect("`cargo xtask gen` writes it");
        Self { schema: serde_json::from_slice(&text).unwrap(), seen: BTreeSet::new() }
    }

    /// One line, which is the document of that name.
    #[track_caller]
    fn check(&mut self, name: &str, text: &str) -> Value {
        assert_eq!(text.lines().count(), 1, "{name}: {text}");
        let value: Value = serde_json::from_str(text).unwrap();
        assert!(text.starts_with(&format!("{{\"document\":\"{name}\"")), "{name}: {text}");
        let mut wrong = Vec::new();
        let definition = &self.schema["$defs"][name];
        assert!(definition.is_object(), "the schema does not know `{name}`");
        self.hold(definition, &value, name, &mut wrong);
        assert!(wrong.is_empty(), "{name}:\n{}\n{text}", wrong.join("\n"));
        self.seen.insert(name.to_owned());
        value
    }

    /// What the schema says, and that it says all of it: for a reader a member may come, for this test none.
    fn hold(&self, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.trim_start_matches("#/$defs/").replace("~1", "/");
            return self.hold(&self.schema["$defs"][&name], value, at, wrong);
        }
        if let Some(choices) = schema["anyOf"].as_array() {
            let fits = |it: &Value| {
                let mut of_choice = Vec::new();
                self.hold(it, value, at, &mut of_choice);
                of_choice
            };
            let all: Vec<Vec<String>> = choices.iter().map(fits).collect();
            if !all.iter().any(Vec::is_empty) {
                wrong.extend(all.into_iter().flatten());
            }
            return;
        }
        let fits = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some("null") => value.is_null(),
            Some(other) => panic!("the schema says `{other}`"),
            None => {
                schema["enum"].as_array().is_none_or(|it| it.contains(value))
                    && schema.get("const").is_none_or(|it| it == value)
            }
        };
        if !fits {
            wrong.push(format!("{at} is {value}, which is no {schema}"));
            return;
        }
        if let Some(items) = value.as_array() {
            let parts = schema["prefixItems"].as_array();
            if parts.is_some_and(|it| it.len() != items.len()) {
                wrong.push(format!("{at} has {} items", items.len()));
            }
            for (idx, item) in items.iter().enumerate() {
                let of_item = parts.and_then(|it| it.get(idx)).unwrap_or(&schema["items"]);
                self.hold(of_item, item, &format!("{at}[{idx}]"), wrong);
            }
        }
        if let (Some(members), "object") = (value.as_object(), schema["type"].as_str().unwrap_or_default()) {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !members.contains_key(name) {
                    wrong.push(format!("{at}.{name} is absent"));
                }
            }
            for (name, member) in members {
                let known = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
                match known {
                    Some(known) => self.hold(known, member, &format!("{at}.{name}"), wrong),
                    None => wrong.push(format!("{at}.{name} is not in the schema")),
                }
            }
        }
    }
}

fn run(work: &Work, store: &str, token: &str, args: &[&str]) -> Ran {
    trust::run(work, store, token, &[args, &["--format", "json"]].concat())
}

const PIPELINE: &str = "version: 1
source: {path: teleop.mcap, topics: [/joint_states]}
steps: {clock: {rate_hz: 10}, align: nearest}
fields:
  joints: {from: /joint_states.position}
quality: {backward_time: warn}
tests:
- {name: ten a second, source: teleop.mcap, expect: {episodes: 1}}
";

/// Every command prints what the reference says, and the reference names no document that no command prints.
#[test]
fn every_document_is_as_the_reference_says() {
    let work = Work::new();
    let mut documents = Documents::new();
    of_sources(&work, &mut documents);
    of_registries(&work, &mut documents);
    of_servers(&work, &mut documents);
    let all = documents.schema["oneOf"].as_array().unwrap().iter();
    let all: BTreeSet<String> = all
        .map(|it| it["$ref"].as_str().unwrap().trim_start_matches("#/$defs/").replace("~1", "/"))
        .collect();
    assert_eq!(documents.seen, all);
}

fn of_sources(work: &Work, documents: &mut Documents) {
    let log = work.copy(&fixture("teleop.mcap"));
    work.write("p.yaml", PIPELINE);
    work.write("publish.yaml", format!("{PIPELINE}publish: {{dataset: acme/steps, license: MIT}}\n"));
    work.write("wrong.yaml", "version: 1\nsuorce: x\n");
    work.write("bare.yaml", "version: 1\nsource: teleop.mcap\n");
    std::fs::create_dir(work.path("empty")).unwrap();
    work.copy(&fixture("broken/chunk_crc_wrong.mcap"));
    let store = work.path("store").display().to_string();
    let lerobot = corpus::fixtures("lerobot/v21_simple").display().to_string();
    // The command, the document, the exit code.
    let commands: &[(&[&str], &str, i32)] = &[
        (&["convert", &log, "--out", "made"], "convert/1", 0),
        (&["convert", "chunk_crc_wrong.mcap", "--out", "salvaged", "--on-error", "salvage"], "convert/1", 3),
        (&["inspect", &log], "inspect/1", 0),
        (&["inspect", "chunk_crc_wrong.mcap"], "inspect/1", 3),
        (&["inspect", &lerobot], "inspect/1", 0),
        (&["plan", &log, "--out", "planned", "--plan", "plan.json"], "plan/1", 0),
        (&["work", "--plan", "plan.json", "--index", "0", "--of", "1"], "work/1", 0),
        (&["finish", "--plan", "plan.json"], "convert/1", 0),
        (&["run", "p.yaml", "--dry-run"], "run-plan/1", 0),
        (&["run", "p.yaml", "--out", "steps"], "run/1", 0),
        (&["run", "publish.yaml", "--out", "published"], "run/1", 0),
        (&["init", &log], "init/1", 0),
        (&["init", &log, "--out", "proposed.yaml"], "init/1", 0),
        (&["pipeline", "test", "p.yaml"], "pipeline-test/1", 0),
        (&["pipeline", "test", "bare.yaml", "p.yaml"], "pipeline-test/1", 0),
        (&["pipeline", "check", "p.yaml"], "pipeline-check/1", 0),
        (&["validate", "made", "--deep"], "validate/1", 0),
        (&["validate", "made", "--no-quality"], "validate/1", 0),
        (&["validate", &lerobot], "validate-source/1", 0),
        (&["schema", "check", &log, "--schema", "made/schema.json"], "schema-check/1", 0),
        (&["schema", "check", &log, "--schema", "steps/schema.json"], "schema-check/1", 1),
        (&["schema", "diff", "made", "steps"], "schema-diff/1", 1),
        (&["explain", "made", "--episode", "0"], "explain/1", 0),
        (&["explain", "made", "--rebuild", "--source", &log], "explain/1", 0),
        (
            &["explain", "steps", "--episode", "0", "--stream", "steps", "--row", "5", "--source", &log],
            "explain/1",
            0,
        ),
        (&["formats"], "formats/1", 0),
        (&["transforms"], "transforms/1", 0),
        (&["completions", "bash"], "completions/1", 0),
        (&["man", "dataset", "push"], "man/1", 0),
        (&["man", "--dir", "man"], "man/1", 0),
    ];
    for (args, name, code) in commands {
        let ran = run(work, &store, "", args).exits(*code);
        documents.check(name, &ran.stdout);
    }
    let failures: &[(&[&str], &str, i32)] = &[
        (&["convert", "missing.mcap", "--out", "x"], "error/1", 1),
        (&["convrt", &log], "error/1", 2),
        (&["convert", &log, "--out", "x", "--rate", "fast"], "error/1", 2),
        (&["dataset"], "error/1", 2),
        (&["run", "wrong.yaml", "--out", "x"], "mistakes/1", 2),
        (&["pipeline", "check", "wrong.yaml"], "mistakes/1", 2),
    ];
    for (args, name, code) in failures {
        let ran = run(work, &store, "", args).exits(*code);
        assert_eq!(ran.stdout, "", "{args:?}");
        documents.check(name, &ran.stderr);
    }
}

fn of_registries(work: &Work, documents: &mut Documents) {
    let store = work.path("store").display().to_string();
    work.write("note.md", "seen");
    let commands: &[(&[&str], &str)] = &[
        (&["store", "init"], "store-init/1"),
        (&["store", "check", "--rounds", "1"], "store-check/1"),
        (&["dataset", "create", "acme/teleop", "--data-class", "pseudonymous"], "dataset-create/1"),
        (
            &["dataset", "push", "--name", "acme/teleop", "--license", "MIT", "--dry-run", "made"],
            "dataset-push/1",
        ),
        (
            &["dataset", "push", "--name", "acme/teleop", "--license", "MIT", "--price", "199", "made"],
            "dataset-push/1",
        ),
        (&["dataset", "pull", "acme/teleop", "--out", "back"], "dataset-pull/1"),
        (&["dataset", "list"], "dataset-list/1"),
        (&["dataset", "tag", "acme/teleop@1.0.0", "stable"], "dataset-record/1"),
        (&["dataset", "attach", "acme/teleop", "note.md", "--kind", "note"], "dataset-record/1"),
        (&["dataset", "keygen", "--out", "key"], "dataset-keygen/1"),
        (&["dataset", "sign", "acme/teleop", "--key", "key"], "dataset-sign/1"),
        (&["dataset", "verify", "acme/teleop", "--key", "key.pub"], "dataset-verify/1"),
        (&["dataset", "show", "acme/teleop", "--shards"], "dataset-show/1"),
        (
            &["dataset", "push", "--name", "acme/teleop", "--license", "MIT", "--bump", "auto", "steps"],
            "dataset-push/1",
        ),
        (&["dataset", "log", "acme/teleop"], "dataset-log/1"),
        (&["dataset", "diff", "acme/teleop@1.0.0", "@latest"], "dataset-diff/1"),
        (&["dataset", "withdraw", "acme/teleop@1.0.0", "--reason", "old"], "dataset-record/1"),
        (&["dataset", "purge", "acme/teleop@1.0.0", "--reason", "old"], "dataset-purge/1"),
        (&["dataset", "log", "acme/teleop", "--all"], "dataset-records/1"),
        (&["store", "fsck"], "store-fsck/1"),
        (&["store", "gc", "--dry-run"], "store-gc/1"),
        (&["store", "heal"], "store-heal/1"),
        (&["export", "hf", "made", "hub"], "export-hf/1"),
    ];
    for (args, name) in commands {
        let ran = run(work, &store, "", args).exits(0);
        documents.check(name, &ran.stdout);
    }
}

fn of_servers(work: &Work, documents: &mut Documents) {
    let store = work.path("store").display().to_string();
    let mut token = |account: &str, scopes: &[&str]| {
        let mut args = vec!["serve", "--data", "server", "--new-token", account];
        scopes.iter().for_each(|it| args.extend(["--scope", it]));
        let made = documents.check("serve-token/1", &run(work, &store, "", &args).exits(0).stdout);
        made["token"].as_str().unwrap().to_owned()
    };
    let owner = token("acme", &["read", "publish:acme/*", "review:acme/*", "steward:acme/*"]);
    let (reader, root) = (token("reader", &["read"]), token("root", &["admin"]));
    let served = Served::new(work);
    let mut ask = |token: &str, name: &str, args: &[&str]| {
        let ran = run(work, &served.url, token, args).exits(0);
        documents.check(name, &ran.stdout)
    };
    work.write("agreement.txt", "I will not identify anybody.\n");
    let declare =
        ["dataset", "declare", "acme/teleop", "--visibility", "public", "--data-class", "biometric"];
    let gate = ["--category", "face", "--agreement", "agreement.txt", "--reason", "consent was given"];
    ask(&owner, "dataset-record/1", &[&declare[..], &gate].concat());
    let agreement = ask(&reader, "dataset-agreement/1", &["dataset", "agreement", "acme/teleop"]);
    let policy = agreement["policy"].as_str().unwrap();
    let attest =
        ["dataset", "attest", "acme/teleop", "--agree", policy, "--name", "R. Reader", "--purpose", "x"];
    let asked = ask(&reader, "dataset-attestations/1", &attest);
    let id = asked["attestations"][0]["id"].as_str().unwrap();
    ask(
        &owner,
        "dataset-attestations/1",
        &["dataset", "decide", "acme/teleop", id, "grant", "--reason", "known"],
    );
    ask(&owner, "dataset-attestations/1", &["dataset", "attestations", "acme/teleop"]);
    let audit = ask(&root, "dataset-audit/1", &["dataset", "audit"]);
    assert_eq!(audit["next_seq"], json!(audit["lines"].as_array().unwrap().len()));
    of_operators(work, &root, &mut ask);
    ask(&reader, "whoami/1", &["whoami"]);
    documents.check("login/1", &logged_in(work, &served.url, &reader));
    let logout = run(work, &served.url, "", &["logout"]).exits(0);
    assert_eq!(documents.check("logout/1", &logout.stdout)["was_kept"], true);
    documents.check("serve/1", &first_line_of_a_server(work));
    for args in [
        &["serve", "backup", "--data", "server", "--out", "backup"][..],
        &["serve", "restore", "backup", "--data", "restored"],
    ] {
        documents.check("serve-backup/1", &run(work, &store, "", args).exits(0).stdout);
    }
}

/// What an operator asks of a server.
fn of_operators(work: &Work, root: &str, ask: &mut impl FnMut(&str, &str, &[&str]) -> Value) {
    let made = ask(root, "serve-token/1", &["token", "create", "lab", "--scope", "roles"]);
    let rotated = ask(root, "serve-token/1", &["token", "rotate", made["id"].as_str().unwrap()]);
    ask(root, "token-list/1", &["token", "list"]);
    ask(root, "token-revoke/1", &["token", "revoke", rotated["id"].as_str().unwrap()]);
    ask(root, "role-change/1", &["role", "give", "group:lab", "steward", "lab/*"]);
    ask(root, "role-list/1", &["role", "list"]);
    ask(root, "role-change/1", &["role", "take", "group:lab", "lab/*"]);
    ask(root, "group-change/1", &["group", "add", "lab", "ada"]);
    ask(root, "group-list/1", &["group", "list"]);
    ask(root, "group-change/1", &["group", "remove", "lab", "ada"]);
    ask(root, "audit-export/1", &["audit", "export"]);
    ask(root, "audit-export/1", &["audit", "export", "--out", "audit.jsonl"]);
    ask(root, "audit-head/1", &["audit", "head", "--out", "head.json"]);
    let key = work.path("server/audit.key.pub").display().to_string();
    ask(root, "audit-verify/1", &["audit", "verify", "--head", "head.json", "--key", &key]);
}

/// What `login` prints that is handed a token.
fn logged_in(work: &Work, url: &str, token: &str) -> String {
    let mut login = Command::new(env!("CARGO_BIN_EXE_node-data"))
        .args(["login", "--token-stdin", "--format", "json", "--store", url])
        .env("XDG_CONFIG_HOME", work.path("config"))
        .env_remove("NODEDATA_TOKEN")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    login.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    let ended = login.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    String::from_utf8(ended.stdout).unwrap()
}

/// What a server prints once it listens.
fn first_line_of_a_server(work: &Work) -> String {
    let mut server = Command::new(env!("CARGO_BIN_EXE_node-data"))
        .args(["serve", "--listen", "127.0.0.1:0", "--quiet", "--format", "json", "--store"])
        .arg(work.path("store"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    drop(server.kill());
    drop(server.wait());
    line
}
