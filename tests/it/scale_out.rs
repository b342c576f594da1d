//! `plan`, `work` and `finish`: any number of workers make what one run makes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command::Work,
    generated::log,
    resume::{finished_units, kill_when, start},
    tables::differing,
};

const FLAGS: [&str; 5] = ["--shard-mb", "1", "--no-verify", "--split", "train=0.6,val=0.4"];

/// A folder of logs, what one run makes of them, and a plan.
fn planned() -> Work {
    let work = Work::new();
    for (name, n_mb) in [("a", 9), ("b", 6), ("c", 8)] {
        work.write(&format!("logs/{name}.mcap"), log(n_mb, n_mb));
    }
    calm(&work);
    plan(&work);
    work
}

fn calm(work: &Work) {
    work.run(["convert", "logs", "--out", "calm"].into_iter().chain(FLAGS)).exits(0);
}

fn plan(work: &Work) {
    work.run(["plan", "logs", "--out", "out", "--plan", "p.json"].into_iter().chain(FLAGS)).exits(0);
}

#[track_caller]
fn check(work: &Work, n: &str) {
    work.run(["finish", "--plan", "p.json"]).exits(0);
    assert_eq!(differing(&work.path("calm"), &work.path("out")), ["report.json"], "{n} workers");
    assert_eq!(work.names(), ["calm", "logs", "out", "p.json"]);
    // Once more does nothing, whichever of them comes late.
    let before = std::fs::read(work.path("out/report.json")).unwrap();
    work.run(["work", "--plan", "p.json", "--index", "0", "--of", n]).exits(0);
    work.run(["finish", "--plan", "p.json"]).exits(0);
    assert_eq!(std::fs::read(work.path("out/report.json")).unwrap(), before);
    std::fs::remove_dir_all(work.path("out")).unwrap();
}

#[test]
fn any_number_of_workers_make_the_same_bytes() {
    let work = planned();
    let n_units = work.json("p.json")["units"].as_array().unwrap().len();
    assert!(10 <= n_units, "{n_units} units");

    work.run(["work", "--plan", "p.json", "--index", "0", "--of", "1"]).exits(0);
    check(&work, "1");

    // One of three runs twice, and once more at the same time as itself.
    for index in ["2", "0"] {
        work.run(["work", "--plan", "p.json", "--index", index, "--of", "3"]).exits(0);
    }
    let unfinished = work.run(["finish", "--plan", "p.json"]).exits(1);
    assert!(unfinished.stderr.contains("units are not finished: "), "{}", unfinished.stderr);
    assert!(unfinished.stderr.contains("-00001"), "{}", unfinished.stderr);
    let twins = [(); 2].map(|()| start(&work, &["work", "--plan", "p.json", "--index", "1", "--of", "3"]));
    for mut twin in twins {
        assert!(twin.wait().unwrap().success());
    }
    let again = work
        .run(["work", "--plan", "p.json", "--index", "1", "--of", "3", "--format", "json"])
        .exits(0)
        .json();
    assert_eq!(again["made"], 0);
    assert_eq!(again["reused"], again["units"]);
    check(&work, "3");

    // One of seven is killed and runs again; another one's share is made by a stranger.
    for index in ["6", "3", "0", "5", "1"] {
        work.run(["work", "--plan", "p.json", "--index", index, "--of", "7"]).exits(0);
    }
    let before = finished_units(&work, "out");
    let killed = start(&work, &["work", "--plan", "p.json", "--index", "2", "--of", "7"]);
    kill_when(&work, killed, "out", before + 1);
    work.run(["work", "--plan", "p.json", "--index", "2", "--of", "7"]).exits(0);
    work.run(["work", "--plan", "p.json", "--index", "0", "--of", "1"]).exits(0);
    check(&work, "7");
}

#[test]
fn workers_refuse_other_inputs_than_were_planned() {
    let work = planned();
    work.run(["work", "--plan", "p.json", "--index", "0", "--of", "2"]).exits(0);
    // As long as before, and with the same chunks.
    let path = work.path("logs/c.mcap");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for args in [["work", "--index", "0", "--of", "1"].as_slice(), ["finish"].as_slice()] {
        let refused = work.run(args.iter().copied().chain(["--plan", "p.json"])).exits(1);
        assert!(refused.stderr.contains("not what it was when the plan was made"), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("logs/c.mcap") || refused.stderr.contains("c.mcap"),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains("node-data plan"), "{}", refused.stderr);
    }
    // A file more is another source.
    std::fs::copy(work.path("logs/a.mcap"), work.path("logs/d.mcap")).unwrap();
    let refused = work.run(["work", "--plan", "p.json", "--index", "0", "--of", "1"]).exits(1);
    assert!(refused.stderr.contains("not what was planned"), "{}", refused.stderr);
    // Planned again, what did not change is not made again, and the rest is.
    std::fs::remove_file(work.path("logs/d.mcap")).unwrap();
    std::fs::remove_dir_all(work.path("calm")).unwrap();
    calm(&work);
    plan(&work);
    work.run(["work", "--plan", "p.json", "--index", "1", "--of", "2"]).exits(0);
    let share = ["work", "--plan", "p.json", "--index", "0", "--of", "2", "--format", "json"];
    let worked = work.run(share).exits(0).json();
    assert!(0 < worked["made"].as_u64().unwrap() && 0 < worked["reused"].as_u64().unwrap(), "{worked}");
    check(&work, "2");
}

#[test]
fn wrong_shares_and_files_are_refused() {
    let work = Work::new();
    work.write("p.json", "{}");
    let wrong = work.run(["work", "--plan", "p.json", "--index", "3", "--of", "3"]).exits(2);
    assert!(wrong.stderr.contains("no worker 3 of 3"), "{}", wrong.stderr);
    let wrong = work.run(["finish", "--plan", "p.json"]).exits(1);
    assert!(wrong.stderr.contains("the file is no plan"), "{}", wrong.stderr);
    work.run(["finish", "--plan", "q.json"]).exits(1);
}

/// A pipeline file is shared among workers as a conversion by flags is.
#[test]
fn a_pipeline_is_planned_too() {
    let work = Work::new();
    work.write("logs/a.mcap", log(5, 5));
    work.write("p.yaml", "version: 1\nsource: {path: logs}\nshards: {target_mb: 1}\n");
    work.run(["run", "p.yaml", "--out", "calm"]).exits(0);
    let refused = work.run(["plan", "p.yaml", "--out", "out", "--plan", "p.json", "--topic", "/a"]).exits(2);
    assert!(refused.stderr.contains("beside a pipeline file"), "{}", refused.stderr);
    work.run(["plan", "p.yaml", "--out", "out", "--plan", "p.json"]).exits(0);
    for index in ["1", "0"] {
        work.run(["work", "--plan", "p.json", "--index", index, "--of", "2"]).exits(0);
    }
    work.run(["finish", "--plan", "p.json"]).exits(0);
    assert_eq!(differing(&work.path("calm"), &work.path("out")), ["report.json"]);
    // Another file than was planned makes other rows.
    work.write("p.yaml", "version: 1\nsource: {path: logs, topics: [/joints]}\nshards: {target_mb: 1}\n");
    std::fs::remove_dir_all(work.path("out")).unwrap();
    let refused = work.run(["work", "--plan", "p.json", "--index", "0", "--of", "2"]).exits(1);
    assert!(refused.stderr.contains("not what was planned"), "{}", refused.stderr);
}

/// Runs one of the examples in `pipelines/`, with our `node-data` on its path.
fn bash(work: &Work, args: &[&str], task: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_node-data"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(args).current_dir(work.path(".")).env("PATH", path);
    command.env("SRC", "logs").env("OUT", "out").env("PLAN", "p.json").env("TASKS", "2");
    command.env("SLURM_ARRAY_TASK_ID", task).env("SLURM_CPUS_PER_TASK", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
}

/// Slurm itself is not here: its part, to run each task once, is played by the test.
#[test]
fn the_slurm_example_runs() {
    let script = example("slurm-array.sh");
    let script = script.to_str().unwrap();
    let work = Work::new();
    work.write("logs/a.mcap", log(1, 2));
    work.run(["convert", "logs", "--out", "calm"]).exits(0);
    bash(&work, &["-n", script], "0");
    work.run(["plan", "logs", "--out", "out", "--plan", "p.json"]).exits(0);
    for task in ["1", "0"] {
        bash(&work, &[script, "work"], task);
    }
    bash(&work, &[script, "finish"], "");
    assert_eq!(differing(&work.path("calm"), &work.path("out")), ["report.json"]);
}

/// Kubernetes is not here either: the pod's command is run as it would be.
#[test]
fn the_kubernetes_example_runs() {
    let text = std::fs::read_to_string(example("k8s-indexed-job.yaml")).unwrap();
    let job: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!((&job["kind"], &job["spec"]["completionMode"]), (&"Job".into(), &"Indexed".into()));
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let command: Vec<&str> =
        container["command"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let n_pods = job["spec"]["completions"].as_u64().unwrap();
    let of = command.iter().position(|it| *it == "--of").unwrap() + 1;
    assert_eq!(command[of], n_pods.to_string());
    let work = Work::new();
    work.write("logs/a.mcap", log(2, 2));
    work.run(["plan", "logs", "--shard-mb", "1", "--out", "out", "--plan", "p.json"]).exits(0);
    for index in 0..n_pods {
        let index = index.to_string();
        let args = command[1..].iter().map(|it| match *it {
            "/data/panda.plan.json" => "p.json".to_owned(),
            it => it.replace("$(JOB_COMPLETION_INDEX)", &index),
        });
        work.run(args.collect::<Vec<_>>()).exits(0);
    }
    work.run(["finish", "--plan", "p.json"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines").join(name)
}
