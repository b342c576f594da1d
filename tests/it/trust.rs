//! Signing, verifying, rebuilding, serving and exporting, by the command.

use std::path::Path;

use crate::{
    command::{Ran, Work},
    served::Served,
};

/// As `acme`, with a token (none when empty); what is kept of it all is kept in the test's own folder.
pub(crate) fn run(work: &Work, store: &str, token: &str, args: &[&str]) -> Ran {
    let [cache, config] = ["cache", "config"].map(|it| work.path(it).display().to_string());
    let variables = [
        ("NODEDATA_STORE", store),
        ("NODEDATA_TOKEN", token),
        ("NODEDATA_USER", "acme"),
        ("XDG_CACHE_HOME", cache.as_str()),
        ("XDG_CONFIG_HOME", config.as_str()),
    ];
    work.run_with(&variables, args)
}

/// The same without a token, over the folder `store`.
pub(crate) fn local(work: &Work, args: &[&str]) -> Ran {
    run(work, &work.path("store").display().to_string(), "", args)
}

/// A converted log, published as `acme/teleop@1.0.0`.
fn published(work: &Work) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mcap/teleop.mcap");
    let log = work.copy(&fixture);
    local(work, &["convert", &log, "--out", "made"]).exits(0);
    local(work, &["dataset", "push", "--name", "acme/teleop", "--license", "CC-BY-4.0", "made"]).exits(0);
}

#[test]
fn a_revision_is_signed_verified_and_built_again() {
    let work = Work::new();
    published(&work);
    let plain = local(&work, &["dataset", "verify", "acme/teleop"]).exits(0);
    assert!(plain.stdout.contains("not signed"), "{}", plain.stdout);
    local(&work, &["dataset", "keygen", "--out", "key"]).exits(0);
    local(&work, &["dataset", "keygen", "--out", "other"]).exits(0);
    local(&work, &["dataset", "keygen", "--out", "key"]).exits(1);
    let unsigned = local(&work, &["dataset", "verify", "acme/teleop", "--key", "key.pub"]).exits(1);
    assert!(unsigned.stdout.contains("wrong       signature"), "{}", unsigned.stdout);
    local(&work, &["dataset", "sign", "acme/teleop", "--key", "key"]).exits(0);
    let signed = local(&work, &["dataset", "verify", "acme/teleop", "--key", "key.pub"]).exits(0);
    assert!(signed.stdout.contains("signed by ed25519:"), "{}", signed.stdout);
    local(&work, &["dataset", "verify", "acme/teleop", "--key", "other.pub"]).exits(1);
    let rebuilt =
        ["dataset", "verify", "acme/teleop", "--rebuild", "--source", "teleop.mcap", "--format", "json"];
    let rebuilt = local(&work, &rebuilt).exits(0).json();
    assert_eq!(rebuilt["sound"], true);
    assert!(rebuilt["rebuild"]["same"].as_u64().unwrap() > 0);
    assert_eq!(rebuilt["verification"]["proved_shards"], rebuilt["rebuild"]["same"]);
    let sampled = |share: &str, seed: &str| {
        let args =
            ["dataset", "verify", "acme/teleop", "--sample", share, "--seed", seed, "--format", "json"];
        local(&work, &args).exits(0).json()["verification"].clone()
    };
    let (none, some, all) = (sampled("0", "0"), sampled("0.01", "5"), sampled("1", "0"));
    let bytes = |told: &serde_json::Value| told["bytes"].as_u64().unwrap();
    assert_eq!(
        (bytes(&none), &none["total_bytes"], &all["bytes"]),
        (0, &all["total_bytes"], &all["total_bytes"])
    );
    assert!(0 < bytes(&some) && bytes(&some) <= bytes(&all) && some["episodes"] == 0, "{some}");
    let told = local(&work, &["dataset", "verify", "acme/teleop", "--sample", "0.01"]).exits(0).stdout;
    assert!(told.contains(" of ") && !told.contains("hashed again"), "{told}");
    for share in ["1.5", "-0.5", "NaN"] {
        local(&work, &["dataset", "verify", "acme/teleop", &format!("--sample={share}")]).exits(2);
    }
    local(&work, &["dataset", "verify", "acme/teleop", "--seed", "1"]).exits(2);
    // One byte of one shard rots in the store.
    let shard = local(&work, &["dataset", "show", "acme/teleop", "--shards", "--format", "json"]).exits(0);
    let digest = shard.stdout.split("\"b3\":\"").find_map(|it| {
        let path = work.path(format!("store/blobs/b3/{}/{}/{}", it.get(..2)?, it.get(2..4)?, it.get(..64)?));
        path.is_file().then_some(path)
    });
    let path = digest.expect("a blob of the revision");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let rotten = local(&work, &["dataset", "verify", "acme/teleop"]);
    assert_eq!(rotten.code, 1, "{}{}", rotten.stdout, rotten.stderr);
}

#[test]
fn exports_open_elsewhere() {
    let work = Work::new();
    published(&work);
    local(&work, &["export", "hf", "made", "hub"]).exits(0);
    local(&work, &["export", "hf", "acme/teleop", "from-revision"]).exits(0);
    let card = std::fs::read_to_string(work.path("from-revision/README.md")).unwrap();
    assert!(card.starts_with("---\nlicense: cc-by-4.0\n") && card.contains("data_files:"), "{card}");
    local(&work, &["export", "hf", "made", "hub"]).exits(2);
    let croissant = local(&work, &["export", "croissant", "acme/teleop"]).exits(0).json();
    assert_eq!(croissant["version"], "1.0.0");
}

#[test]
fn a_gated_dataset_is_served_attested_and_read() {
    let work = Work::new();
    published(&work);
    let token = |account: &str, scopes: &[&str]| {
        let mut args = vec!["serve", "--data", "server", "--new-token", account];
        for scope in scopes {
            args.extend(["--scope", scope]);
        }
        local(&work, &args).exits(0).stdout.trim().to_owned()
    };
    let owner = token("acme", &["read", "publish:acme/*", "review:acme/*", "steward:acme/*"]);
    let publisher = token("acme", &["read", "publish:acme/*"]);
    let (reader, root) = (token("reader", &["read"]), token("root", &["admin"]));
    let served = Served::new(&work);
    let url = served.url.as_str();
    std::fs::write(work.path("agreement.txt"), "I will not identify anybody.\n").unwrap();
    let public = ["--visibility", "public", "--data-class", "biometric", "--category", "face"];
    let declare = |token: &str, more: &[&str]| {
        let mut args = vec!["dataset", "declare", "acme/teleop"];
        args.extend(public);
        args.extend(more);
        run(&work, url, token, &args)
    };
    declare(&owner, &[]).exits(1);
    let agreed = ["--agreement", "agreement.txt"];
    let why = declare(&owner, &agreed).exits(2);
    assert!(why.stderr.contains("`--reason TEXT`"), "{}", why.stderr);
    let reasoned = [&agreed[..], &["--reason", "consent was given"]].concat();
    let whose = declare(&publisher, &reasoned).exits(1);
    assert!(whose.stderr.contains("steward:acme/teleop"), "{}", whose.stderr);
    declare(&owner, &reasoned).exits(0);
    let log = run(&work, url, &owner, &["dataset", "log", "acme/teleop", "--all"]).exits(0);
    assert!(log.stdout.contains("consent was given"), "{}", log.stdout);
    let pull_first = ["dataset", "pull", "acme/teleop@1.0.0", "--out", "first"];
    let private = run(&work, url, &reader, &pull_first).exits(1);
    assert!(private.stderr.contains("published while the dataset was private"), "{}", private.stderr);
    let later = ["dataset", "push", "--name", "acme/teleop", "--title", "Teleop"];
    run(&work, url, &publisher, &later).exits(0);
    let pull = |out: &str| run(&work, url, &reader, &["dataset", "pull", "acme/teleop", "--out", out]);
    let refused = pull("early").exits(1);
    assert!(refused.stderr.contains("node-data dataset attest"), "{}", refused.stderr);
    let agreement = run(&work, url, &reader, &["dataset", "agreement", "acme/teleop", "--format", "json"]);
    let agreement = agreement.exits(0).json();
    let policy = agreement["policy"].as_str().unwrap();
    let ask = [
        "dataset",
        "attest",
        "acme/teleop",
        "--agree",
        policy,
        "--name",
        "R. Buyer",
        "--purpose",
        "x",
        "--format",
        "json",
    ];
    let asked = run(&work, url, &reader, &ask).exits(0).json();
    let id = asked["attestations"][0]["id"].as_str().unwrap();
    run(&work, url, &reader, &["dataset", "decide", "acme/teleop", id, "grant"]).exits(1);
    run(&work, url, &owner, &["dataset", "decide", "acme/teleop", id, "grant"]).exits(0);
    pull("granted").exits(0);
    run(&work, url, &owner, &["dataset", "decide", "acme/teleop", id, "revoke", "--reason", "over"]).exits(0);
    pull("late").exits(1);
    let audit = run(&work, url, &root, &["dataset", "audit"]).exits(0);
    assert!(
        audit.stdout.contains("\"outcome\":\"denied\"") && audit.stderr.contains("lines follow each other")
    );
    for secret in [&owner, &reader, &root] {
        assert!(!audit.stdout.contains(secret.as_str()) && !refused.stderr.contains(secret.as_str()));
    }
}
