//! What people type wrong on the first day, and what they are told: `mistakes.txt` has all of it, in words. After a change that
//! is meant, `UPDATE_EXPECT=1 cargo test -p nodedata-cli --test it mistakes` writes it again.

use expect_test::expect_file;

use crate::{
    command::{Ran, Work},
    logs::fixture,
};

/// A command that is wrong.
struct Mistake {
    about: &'static str,
    line: &'static str,
    code: i32,
}

const fn mistake(about: &'static str, line: &'static str, code: i32) -> Mistake {
    Mistake { about, line, code }
}

const MISTAKES: [Mistake; 36] = [
    mistake("no command", "node-data dataset", 2),
    mistake("a misspelt command", "node-data covnert teleop.mcap --out out", 2),
    mistake("a misspelt flag", "node-data convert teleop.mcap --otu out", 2),
    mistake("no output folder", "node-data convert teleop.mcap", 2),
    mistake("an unknown output format", "node-data formats --format yaml", 2),
    mistake("the same, for programs", "node-data covnert teleop.mcap --format json", 2),
    mistake("an absent file", "node-data convert missing.mcap --out out", 1),
    mistake("the same, for programs", "node-data convert missing.mcap --out out --format json", 1),
    mistake("a folder without data", "node-data convert empty --out out", 1),
    mistake("a text file", "node-data convert notes.txt --out out", 1),
    mistake("a PDF", "node-data inspect paper.pdf", 1),
    mistake("a folder that is something else", "node-data convert teleop.mcap --out notes", 2),
    mistake("the source as the output", "node-data convert runs --out runs", 2),
    mistake("a wrong name of a format", "node-data convert teleop.mcap --out out --from mpac", 2),
    mistake("an unknown topic", "node-data convert teleop.mcap --out out --topic /joint_sttaes", 2),
    mistake("a rate that is no number", "node-data convert teleop.mcap --out out --rate fast", 2),
    mistake(
        "splits that are more than all",
        "node-data convert teleop.mcap --out out --split train=0.9,val=0.3",
        2,
    ),
    mistake("a shard without bytes", "node-data convert teleop.mcap --out out --shard-mb 0", 2),
    mistake("a time in words", "node-data convert teleop.mcap --out out --start yesterday", 2),
    mistake("a coding that is none", "node-data convert teleop.mcap --out out --decode front=gif", 2),
    mistake(
        "an option that the format has not",
        "node-data convert teleop.mcap --out out --set source.speed=2",
        2,
    ),
    mistake("a damaged recording", "node-data convert damaged.mcap --out out", 1),
    mistake("a recording that was cut off", "node-data convert cut.mcap --out out", 1),
    mistake("another file for the schema", "node-data convert teleop.mcap --out out --schema wrong.json", 2),
    mistake("a recording for a dataset", "node-data validate teleop.mcap", 2),
    mistake("a row that is not there", "node-data explain made --episode 0 --stream /imu/data --row 4000", 2),
    mistake("an unknown stream", "node-data explain made --stream /imu/dtaa", 2),
    mistake("no registry", "node-data dataset list --store nowhere", 2),
    mistake("an unknown dataset", "node-data dataset show acme/telop --store store", 2),
    mistake(
        "a reference that is none",
        "node-data dataset pull acme/teleop@1.x.y --out out --store store",
        2,
    ),
    mistake(
        "a revision that is not there",
        "node-data dataset pull acme/teleop@9.0.0 --out out --store store",
        2,
    ),
    mistake(
        "an unknown licence",
        "node-data dataset push --name acme/new --license free made --store store",
        2,
    ),
    mistake("an unknown key of a pipeline", "node-data pipeline check key.yaml", 2),
    mistake(
        "a wrong value in a pipeline, and splits by what is no key",
        "node-data pipeline check value.yaml",
        2,
    ),
    mistake("tabs in a pipeline", "node-data pipeline check tabs.yaml", 2),
    mistake("a variable that is not set", "node-data run variable.yaml --out out", 2),
];

/// A folder with what a person has after a first conversion, and with files that are none of ours.
fn prepared() -> Work {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let whole = std::fs::read(fixture(&log)).unwrap();
    work.write("runs/teleop.mcap", &whole);
    work.write("cut.mcap", &whole[..whole.len() / 2]);
    work.write("damaged.mcap", std::fs::read(fixture("broken/chunk_crc_wrong.mcap")).unwrap());
    std::fs::create_dir(work.path("empty")).unwrap();
    work.write("notes.txt", "Calibrate the wrist camera.\n");
    work.write("notes/monday.txt", "Calibrate the wrist camera.\n");
    work.write("paper.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n");
    work.write("wrong.json", r#"{"name": "package", "version": "1.0.0", "dependencies": {}}"#);
    let pipeline = "version: 1\nsource: {path: teleop.mcap}\n";
    work.write("key.yaml", format!("{pipeline}shards: {{taget_mb: 128}}\n"));
    work.write("value.yaml", format!("{pipeline}on_error: ignore\nsplits: {{train: 1, key: epsiode}}\n"));
    work.write("tabs.yaml", "version: 1\nsource:\n\tpath: teleop.mcap\n");
    work.write("variable.yaml", "version: 1\nsource: {path: '${env:NODEDATA_TEST_RUNS}/teleop.mcap'}\n");
    run(&work, "node-data convert teleop.mcap --out made").exits(0);
    run(&work, "node-data dataset push --name acme/teleop --license MIT made --store store").exits(0);
    work
}

fn run(work: &Work, line: &str) -> Ran {
    let home = work.path("home").display().to_string();
    let variables = [
        ("HOME", home.as_str()),
        ("XDG_CACHE_HOME", &home),
        ("NODEDATA_USER", "acme"),
        ("NO_COLOR", "1"),
        ("COLUMNS", "100"),
    ];
    work.run_with(&variables, line.split(' ').skip(1))
}

/// Where the test runs is nobody's business.
fn normalized(work: &Work, text: &str) -> String {
    let folder = work.path("").display().to_string();
    let real = std::fs::canonicalize(&folder).unwrap().display().to_string();
    let mut text = text.to_owned();
    for folder in [folder.as_str(), real.as_str()] {
        text = text.replace(folder, "<work>/").replace(folder.trim_end_matches('/'), "<work>");
    }
    text
}

/// Each says what is wrong, ends as the table says, and leaves nothing behind.
#[test]
fn mistakes_of_a_first_day() {
    let work = prepared();
    let names = work.names();
    let mut told = String::new();
    let mut wrong = Vec::new();
    for Mistake { about, line, code } in &MISTAKES {
        let ran = run(&work, line);
        if ran.code != *code {
            wrong.push(format!("{about}: exit {} instead of {code}", ran.code));
        }
        if !ran.stdout.is_empty() {
            wrong.push(format!("{about}: something is on stdout: {}", ran.stdout));
        }
        if !["hint", "--help", ": write `", "Usage: "].iter().any(|it| ran.stderr.contains(it)) {
            wrong.push(format!("{about}: nothing says what to do next"));
        }
        told.push_str(&format!("# {about}\n$ {line}\n{}\n", normalized(&work, &ran.transcript())));
    }
    assert_eq!(work.names(), names, "a mistake left something behind");
    expect_file!["mistakes.txt"].assert_eq(&told);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
