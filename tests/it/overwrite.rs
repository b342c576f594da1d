//! An output takes the place of a dataset that this tool wrote, when asked, and of nothing else.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{command::Work, logs::fixture};

/// Every file and link below a folder, hidden ones too.
fn all_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(all_below(&path));
        } else if kind.is_symlink() {
            found.insert(
                path.clone(),
                std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            );
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

/// A source with files in two folders, a thesis, and a dataset.
fn furnished() -> Work {
    let work = Work::new();
    let bytes = std::fs::read(fixture("json_and_cbor.mcap")).unwrap();
    for name in ["rec.mcap", "src/a.mcap", "src/day/b.mcap"] {
        work.write(name, &bytes);
    }
    work.write("thesis/thesis.txt", "the work of years");
    work.write("rule.yaml", "version: 1\nsource: {path: src}\nquality: {gap: warn}\n");
    work.run(["convert", "rec.mcap", "--out", "ds"]).exits(0);
    work
}

/// Exit 2, the message, and not one byte on disk is another.
#[track_caller]
fn refuses(work: &Work, variables: &[(&str, &str)], args: &[&str], message: &str) {
    let before = all_below(&work.path("."));
    let ran = work.run_with(variables, args).exits(2);
    assert!(ran.stderr.contains(message), "{args:?}: no `{message}` in {}", ran.stderr);
    assert!(ran.stderr.contains("hint: "), "{args:?}: {}", ran.stderr);
    assert!(before == all_below(&work.path(".")), "{args:?} changed what lies there");
}

#[test]
fn the_source_is_never_replaced() {
    let work = furnished();
    for (source, out, message) in [
        ("rec.mcap", "rec.mcap", "the output is the source itself"),
        ("src", "src", "the output is the source itself"),
        ("src", "ds/../src", "the output is the source itself"),
        ("src/a.mcap", "src", "the source lies in"),
        ("src/*.mcap", "src", "the source lies in"),
        ("src/day", "src", "the source lies in"),
        ("src", "src/day", "within the source"),
        ("rec.mcap", "src/a.mcap", "a file is there already"),
    ] {
        for more in [&[][..], &["--overwrite"]] {
            let convert = ["convert", source, "--out", out];
            refuses(&work, &[], &[&convert[..], more].concat(), message);
            let plan = ["plan", source, "--plan", "p.json", "--out", out];
            refuses(&work, &[], &[&plan[..], more].concat(), message);
        }
    }
    refuses(&work, &[], &["run", "rule.yaml", "--out", "src", "--overwrite"], "the source itself");
    refuses(&work, &[], &["plan", "rule.yaml", "--out", "src", "--plan", "p.json"], "the source itself");
    refuses(&work, &[], &["convert", "rec.mcap", "src", "--out", "src", "--overwrite"], "the source itself");
}

#[cfg(unix)]
#[test]
fn links_do_not_hide_the_source() {
    use std::os::unix::fs::symlink;
    let work = furnished();
    symlink(work.path("src"), work.path("link")).unwrap();
    symlink(work.path("ds"), work.path("to-ds")).unwrap();
    std::fs::create_dir(work.path("album")).unwrap();
    symlink(work.path("src/day/b.mcap"), work.path("album/b.mcap")).unwrap();
    for (source, out, message) in [
        ("src", "link", "the output is the source itself"),
        ("link", "src", "the output is the source itself"),
        ("link/a.mcap", "src", "the source lies in"),
        ("album", "src/day", "what a link in the source leads to"),
        ("rec.mcap", "to-ds", "the output is a link"),
    ] {
        refuses(&work, &[], &["convert", source, "--out", out, "--overwrite"], message);
    }
}

#[test]
fn what_somebody_else_wrote_is_never_replaced() {
    let work = furnished();
    let convert = |out| ["convert", "src", "--out", out, "--overwrite"];
    refuses(&work, &[], &convert("thesis"), "it has no manifest.json");
    refuses(&work, &[], &["convert", "src", "--out", "thesis"], "no dataset that this tool wrote");
    refuses(&work, &[], &["run", "rule.yaml", "--out", "thesis", "--overwrite"], "it has no manifest.json");
    refuses(&work, &[], &["export", "hf", "ds", "thesis"], "there already");
    // A web application has one of that name as well.
    work.write("thesis/manifest.json", "{\"name\": \"a web app\"}");
    refuses(&work, &[], &convert("thesis"), "cannot be read as that of one");
    // A dataset that somebody keeps notes in, and one that is only added to.
    work.write("ds/notes/today.txt", "the gripper slips");
    refuses(&work, &[], &convert("ds"), "notes/today.txt");
    work.write("grows/b.mcap", std::fs::read(work.path("rec.mcap")).unwrap());
    work.run(["convert", "grows", "--out", "grown"]).exits(0);
    work.write("grown/mine.txt", "x");
    work.write("grows/c.mcap", std::fs::read(work.path("rec.mcap")).unwrap());
    refuses(&work, &[], &["convert", "grows", "--out", "grown"], "mine.txt");
    // Where it would grow.
    work.write(".new.partial/mine.txt", "x");
    refuses(&work, &[], &["convert", "src", "--out", "new"], "holds something else");
}

#[test]
fn a_pull_replaces_what_a_pull_or_a_conversion_wrote() {
    let work = furnished();
    let store = work.path("store").display().to_string();
    let cache = work.path("cache").display().to_string();
    let variables = [("NODEDATA_STORE", &*store), ("NODEDATA_USER", "acme"), ("XDG_CACHE_HOME", &*cache)];
    work.run_with(&variables, ["dataset", "push", "--name", "acme/x", "ds"]).exits(0);
    work.run(["convert", "src", "--out", "other"]).exits(0);
    work.run_with(&variables, ["dataset", "push", "--name", "acme/y", "other"]).exits(0);
    let pull = |name, out| ["dataset", "pull", name, "--out", out, "--overwrite"];
    refuses(&work, &variables, &pull("acme/x", "thesis"), "it has no manifest.json");
    refuses(&work, &variables, &pull("acme/x", "store"), "it has no manifest.json");
    refuses(&work, &variables, &pull("acme/x", "rec.mcap"), "a file is there already");
    refuses(
        &work,
        &variables,
        &["dataset", "pull", "acme/x", "--out", "other"],
        "another dataset or revision",
    );
    for name in ["acme/x", "acme/y"] {
        work.run_with(&variables, pull(name, "other")).exits(0);
        work.run(["validate", "--deep", "other"]).exits(0);
    }
    // And a conversion takes the place of what was pulled.
    work.run(["convert", "rec.mcap", "--out", "other", "--overwrite"]).exits(0);
    assert!(!work.path("other/revision.json").exists());
    work.write("other/mine.txt", "x");
    refuses(&work, &variables, &pull("acme/y", "other"), "mine.txt");
}

#[test]
fn files_of_others_are_not_written_over() {
    let work = furnished();
    work.write("notes.json", "{\"mine\": true}");
    work.write("notes.html", "<!doctype html><p>mine");
    work.write("notes.xml", "<testsuites><testsuite name=\"pytest\"/></testsuites>");
    for path in ["rec.mcap", "thesis/thesis.txt", "notes.json"] {
        let plan = ["plan", "src", "--out", "new", "--plan", path];
        refuses(&work, &[], &plan, "no plan that this tool wrote");
    }
    for path in ["notes.json", "notes.html", "notes.xml"] {
        refuses(&work, &[], &["validate", "ds", "--report", path], "no report that this tool wrote");
        refuses(&work, &[], &["run", "rule.yaml", "--out", "new", "--report", path], "no report");
    }
    refuses(&work, &[], &["init", "src", "--out", "thesis/thesis.txt", "--overwrite"], "no pipeline file");
    refuses(&work, &[], &["init", "src", "--out", "rec.mcap", "--overwrite"], "no pipeline file");
    // What an earlier run wrote is.
    for _ in 0..2 {
        work.run(["plan", "src", "--out", "new", "--plan", "p.json"]).exits(0);
        for path in ["r.json", "r.html", "r.xml"] {
            work.run(["validate", "ds", "--report", path]).exits(0);
            assert!(work.path(path).is_file(), "{path}");
        }
        work.run(["init", "src", "--out", "p.yaml", "--overwrite"]).exits(0);
    }
    work.run(["init", "src", "--out", "rule.yaml", "--overwrite"]).exits(0);
}

#[test]
fn a_dataset_of_ours_is_replaced_when_asked() {
    let work = furnished();
    refuses(&work, &[], &["convert", "src", "--out", "ds"], "another recipe made it");
    std::fs::remove_file(work.path("ds/stats.json")).unwrap();
    work.write("ds/schema.json", "damaged");
    work.run(["convert", "src", "--out", "ds", "--overwrite"]).exits(0);
    work.run(["validate", "--deep", "ds"]).exits(0);
    std::fs::create_dir(work.path("empty")).unwrap();
    work.run(["convert", "src", "--out", "empty"]).exits(0);
    // A new one within the source is nobody's loss.
    work.run(["convert", "src/a.mcap", "--out", "src/made"]).exits(0);
}
