//! Several sources in one command are one dataset, and what is named in a wrong way is answered with what to type.

use nodedata_testkit::corpus;

use crate::{command::Work, logs::fixture, tables::differing};

/// Recordings in three places.
fn recordings() -> Work {
    let work = Work::new();
    let bytes = std::fs::read(fixture("json_and_cbor.mcap")).unwrap();
    for name in ["a.mcap", "b.mcap", "runs/c.mcap", "runs/day/d.mcap"] {
        work.write(name, &bytes);
    }
    work
}

/// Paths of the inputs, as the manifest has them.
fn inputs(work: &Work, out: &str) -> Vec<String> {
    let manifest = work.json(&format!("{out}/manifest.json"));
    let inputs = manifest["inputs"].as_array().unwrap();
    inputs.iter().map(|it| it["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn files_and_folders_are_read_as_one_and_each_is_named() {
    let work = recordings();
    work.run(["convert", "a.mcap", "b.mcap", "runs/", "--out", "ds"]).exits(0);
    let expected = ["a.mcap", "b.mcap", "runs/c.mcap", "runs/day/d.mcap"];
    assert_eq!(inputs(&work, "ds"), expected);
    work.run(["validate", "--deep", "ds"]).exits(0);
    let provenance = std::fs::read_to_string(work.path("ds/provenance.jsonl")).unwrap();
    for name in expected {
        assert!(provenance.contains(name), "{name} in provenance.jsonl");
    }
    let explained = work.run(["explain", "ds"]).exits(0);
    assert!(expected.iter().all(|it| explained.stdout.contains(it)), "{}", explained.stdout);
    // The order decides nothing, and neither does how they are written.
    for (out, sources) in [
        ("other-order", &["runs", "b.mcap", "./a.mcap"][..]),
        ("globs", &["*.mcap", "runs/../runs/**/*.mcap"][..]),
    ] {
        work.run([&["convert"][..], sources, &["-o", out]].concat()).exits(0);
        assert_eq!(differing(&work.path("ds"), &work.path(out)), ["report.json"], "{sources:?}");
    }
    let rebuild = |sources: &[&'static str]| {
        let sources = sources.iter().flat_map(|it| ["--source", *it]);
        work.run(["explain", "ds", "--rebuild"].into_iter().chain(sources))
    };
    rebuild(&["a.mcap", "b.mcap", "runs"]).exits(0);
    rebuild(&["a.mcap", "runs"]).exits(1);
}

#[test]
fn what_the_shell_expands_is_what_the_glob_means() {
    let work = recordings();
    work.run(["convert", "runs/**/*.mcap", "-o", "quoted"]).exits(0);
    work.run(["convert", "runs/c.mcap", "runs/day/d.mcap", "-o", "expanded"]).exits(0);
    assert_eq!(differing(&work.path("quoted"), &work.path("expanded")), ["report.json"]);
    // More of them add to a dataset as one more file in a folder does.
    std::fs::write(work.path("runs/e.mcap"), std::fs::read(work.path("a.mcap")).unwrap()).unwrap();
    work.run(["convert", "runs/c.mcap", "runs/day/d.mcap", "runs/e.mcap", "-o", "expanded"]).exits(0);
    assert_eq!(inputs(&work, "expanded"), ["c.mcap", "day/d.mcap", "e.mcap"]);
}

#[test]
fn other_commands_take_several_too() {
    let work = recordings();
    let inspected = work.run(["inspect", "a.mcap", "runs", "--format", "json"]).exits(0).json();
    assert_eq!(inspected["inputs"].as_array().unwrap().len(), 3);
    work.run(["schema", "infer", "a.mcap", "b.mcap"]).exits(0);
    work.run(["convert", "a.mcap", "runs", "-o", "ds"]).exits(0);
    work.run(["schema", "check", "a.mcap", "b.mcap", "--schema", "ds/schema.json"]).exits(0);
    work.run(["plan", "a.mcap", "runs", "-o", "shared", "--plan", "p.json"]).exits(0);
    work.run(["work", "--plan", "p.json", "--index", "0", "--of", "1"]).exits(0);
    work.run(["finish", "--plan", "p.json"]).exits(0);
    assert_eq!(differing(&work.path("ds"), &work.path("shared")), ["report.json"]);
    // A pipeline names them as a list, and `init` writes it so.
    std::fs::create_dir(work.path("pipelines")).unwrap();
    work.run(["init", "a.mcap", "runs", "-o", "pipelines/p.yaml"]).exits(0);
    let text = std::fs::read_to_string(work.path("pipelines/p.yaml")).unwrap();
    assert!(text.contains("  path:\n    - ../a.mcap\n    - ../runs\n"), "{text}");
    let outline = work.run(["run", "pipelines/p.yaml", "-o", "x", "--dry-run"]).exits(0);
    assert!(outline.stdout.contains("3 files"), "{}", outline.stdout);
    work.write("plain.yaml", "version: 1\nsource: {path: [a.mcap, runs]}\n");
    work.run(["run", "plain.yaml", "-o", "piped"]).exits(0);
    assert_eq!(differing(&work.path("ds"), &work.path("piped")), ["report.json"]);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let work = recordings();
    std::fs::create_dir(work.path("empty")).unwrap();
    let samples = corpus::fixtures("jsonl").join("samples.jsonl");
    work.write("rows/samples.jsonl", std::fs::read(samples).unwrap());
    let before = work.names();
    for (sources, code, message, hint) in [
        (&["a.mcap", "rows/samples.jsonl"][..], 2, "and the others are ", "of one format"),
        (&["rows", "a.mcap"][..], 2, "and the others are ", "of one format"),
        (&["a.mcap", "empty"][..], 2, "nothing in this source is mcap", "of one format"),
        (&["a.mcap", "b.mcap", "a.mcap"][..], 2, "name the same file", "leave it out"),
        (&["runs", "runs/day/d.mcap"][..], 2, "name the same file", "leave it out"),
        (&["a.mcap", "-"][..], 1, "standard input", "write it to a file"),
        (&["a.mcap", "gopher://host/b.mcap"][..], 1, "`gopher://`", "this build reads"),
        (&["a.mcap", "ds"][..], 1, "no such file or folder", "write `--out ds`"),
        (&["nothing.mcap", "a.mcap"][..], 1, "no such file or folder", "SRC is a file"),
    ] {
        let refused = work.run([&["convert"][..], sources, &["--out", "out"]].concat()).exits(code);
        assert!(refused.stderr.contains(message), "{sources:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(hint), "{sources:?}: {}", refused.stderr);
        assert_eq!(work.names(), before);
    }
    for (sources, hint) in [
        (&["a.mcap", "ds"][..], "if `ds` is where it goes, write `--out ds`"),
        (&["a.mcap", "b.mcap"][..], "add `--out DIR`"),
        (&["a.mcap"][..], "add `--out DIR`"),
    ] {
        let refused = work.run([&["convert"][..], sources].concat()).exits(2);
        assert!(refused.stderr.contains("no folder for the dataset is named"), "{}", refused.stderr);
        assert!(refused.stderr.contains(hint), "{sources:?}: {}", refused.stderr);
    }
}
