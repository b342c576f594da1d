//! Revisions read where they lie: the same answers as on the folder that a pull makes, from a store and from a server.

use crate::{
    command::{Ran, Work},
    logs::fixture,
    served::Served,
};

fn run(work: &Work, store: &str, args: &[&str]) -> Ran {
    let cache = work.path("cache").display().to_string();
    let variables = [
        ("NODEDATA_STORE", store),
        ("NODEDATA_TOKEN", ""),
        ("XDG_CACHE_HOME", cache.as_str()),
        ("NODEDATA_USER", "acme"),
    ];
    work.run_with(&variables, args)
}

fn local(work: &Work, args: &[&str]) -> Ran {
    run(work, &work.path("store").display().to_string(), args)
}

/// Two revisions of `acme/teleop` with other columns, pulled to `old` and `new`, for everybody to read.
fn published(work: &Work) {
    let log = work.copy(&fixture("teleop.mcap"));
    local(work, &["convert", &log, "--topic", "/joint_states", "--out", "few"]).exits(0);
    local(work, &["convert", &log, "--out", "all"]).exits(0);
    let name = ["dataset", "push", "--name", "acme/teleop", "--license", "CC-BY-4.0"];
    let public = ["--visibility", "public", "--data-class", "none"];
    local(work, &[&name[..], &public, &["few"]].concat()).exits(0);
    local(work, &[&name[..], &["all"]].concat()).exits(0);
    for (reference, out) in [("acme/teleop@seq:1", "old"), ("acme/teleop@latest", "new")] {
        local(work, &["dataset", "pull", reference, "--out", out]).exits(0);
    }
}

#[test]
fn answers_are_those_on_the_folder_of_a_pull() {
    let work = Work::new();
    published(&work);
    let served = Served::new(&work);
    let names = work.names();
    let shard = work.json("new/manifest.json")["shards"][0]["path"].as_str().unwrap().to_owned();
    let of_shard = format!("/{shard}");
    // What stands behind the dataset's name, and the flags.
    let questions: [(&str, &str, &[&str], i32); 8] = [
        ("validate", "", &[], 0),
        ("validate", "", &["--deep", "--format", "json"], 0),
        ("validate", "", &["--no-quality"], 0),
        ("explain", "", &["--format", "json"], 0),
        ("explain", "", &["--episode", "0", "--stream", "/joint_states", "--row", "3"], 0),
        ("explain", &of_shard, &["--row", "0"], 0),
        ("explain", "/streams/none/train-00000.parquet", &[], 2),
        ("explain", "", &["--stream", "/none"], 2),
    ];
    for (command, inside, flags, code) in questions {
        let ask = |store: &str, name: &str| {
            let target = format!("{name}{inside}");
            run(&work, store, &[&[command, target.as_str()][..], flags].concat()).exits(code).transcript()
        };
        let expected = ask("", "new");
        for store in [work.path("store").display().to_string(), served.url.clone()] {
            assert_eq!(
                ask(&store, "acme/teleop@latest"),
                expected,
                "{command} {inside} {flags:?} in {store}"
            );
        }
    }
    let of_a_shard = format!("acme/teleop@latest{of_shard}");
    let refused = local(&work, &["validate", &of_a_shard]).exits(2);
    assert!(refused.stderr.contains("as a whole") && refused.stderr.contains(&shard), "{}", refused.stderr);
    assert_eq!(work.names(), names, "nothing was fetched to disk");
}

#[test]
fn a_flipped_bit_is_found_by_blob_and_path() {
    let work = Work::new();
    published(&work);
    let shown = local(&work, &["dataset", "show", "acme/teleop", "--shards", "--format", "json"]).exits(0);
    let shard = &shown.json()["shards"][0];
    let [path, b3] = ["path", "b3"].map(|it| shard[it].as_str().unwrap().to_owned());
    let blob = work.path(format!("store/blobs/b3/{}/{}/{b3}", &b3[..2], &b3[2..4]));
    let mut bytes = std::fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, bytes).unwrap();
    for flags in [&[][..], &["--deep"]] {
        let args = [&["validate", "acme/teleop@latest", "--format", "json"][..], flags].concat();
        let findings = local(&work, &args).exits(1).json()["findings"].clone();
        let found = findings.as_array().unwrap().iter().find(|it| it["code"] == "unreadable-file");
        let found = found.unwrap_or_else(|| panic!("{findings}"));
        assert_eq!(found["at"], path.as_str());
        assert!(found["message"].as_str().unwrap().contains(&b3), "{found}");
    }
}

#[test]
fn a_gate_stands_before_what_is_read_in_place() {
    let work = Work::new();
    published(&work);
    work.write("agreement.txt", "I will not identify anybody.\n");
    let class = ["--data-class", "biometric", "--category", "face", "--agreement", "agreement.txt"];
    local(&work, &[&["dataset", "declare", "acme/teleop"][..], &class].concat()).exits(0);
    let served = Served::new(&work);
    for command in ["validate", "explain"] {
        let refused = run(&work, &served.url, &[command, "acme/teleop@latest"]).exits(1);
        assert!(refused.stderr.contains("error: this dataset is gated"), "{}", refused.stderr);
        assert!(refused.stderr.contains("hint: ") && refused.stderr.contains("node-data dataset attest"));
        assert_eq!(refused.stdout, "");
    }
    // What columns there are is no secret.
    run(&work, &served.url, &["schema", "diff", "acme/teleop@latest", "new"]).exits(0);
}

#[test]
fn schemas_of_revisions_are_compared_without_a_pull() {
    let work = Work::new();
    published(&work);
    let served = Served::new(&work);
    let names = work.names();
    let (old, new) = ("acme/teleop@seq:1", "acme/teleop@latest");
    for store in [work.path("store").display().to_string(), served.url.clone()] {
        for output in ["text", "json"] {
            let diff = |sides: [&str; 2]| {
                let [old, new] = sides;
                run(&work, &store, &["schema", "diff", old, new, "--format", output]).exits(0)
            };
            let (expected, same) = (diff(["old", "new"]), diff(["new", "new"]));
            assert!(expected.stdout.contains("/camera") && expected.stdout != same.stdout, "{expected:?}");
            for sides in [[old, new], [old, "new"], ["old", new], [old, "acme/teleop@latest/schema.json"]] {
                assert_eq!(diff(sides).transcript(), expected.transcript(), "{sides:?} in {store}");
            }
            assert_eq!(diff([new, new]).transcript(), same.transcript());
        }
    }
    assert_eq!(work.names(), names, "nothing was fetched to disk");
}

#[test]
fn what_is_there_goes_before_a_revision_and_a_mistyped_folder_is_none() {
    let work = Work::new();
    published(&work);
    let diff = |old: &str| local(&work, &["schema", "diff", old, "new"]);
    std::fs::create_dir(work.path("acme")).unwrap();
    std::fs::rename(work.path("old"), work.path("acme/teleop@latest")).unwrap();
    let folder = diff("./acme/teleop@latest").exits(0);
    let taken = diff("acme/teleop@latest").exits(0);
    assert_eq!((&taken.stdout, folder.stderr.as_str()), (&folder.stdout, ""));
    assert!(taken.stderr.contains("./acme/teleop@latest"), "it is told: {}", taken.stderr);
    // Of the same dataset, but without the `@` that makes it a revision.
    let mistyped = diff("acme/teleop").exits(1);
    assert!(mistyped.stderr.contains("there is no such file") && mistyped.stderr.contains("@latest"));
    let unknown = diff("acme/teleop@9.9.9").exits(2);
    assert!(unknown.stderr.contains("is no revision") && unknown.stderr.contains("hint: "));
    let no_dataset = diff("acme/nothing@latest").exits(2);
    assert!(no_dataset.stderr.contains("there is no dataset"), "{}", no_dataset.stderr);
}
