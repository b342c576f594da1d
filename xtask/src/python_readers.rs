use std::{
    collections::VecDeque,
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::{
    check_summary::{self, Counts},
    python_environment::{self, Environment, Optional},
    python_wheel,
    test_command::{LONG, test_binary},
    workspace::{self, Result},
};

/// Where the Python tests and the lists of packages they need are.
pub(crate) const TESTS: &str = "tests/python";

/// The lists beside that of the readers, with what the summary says where they cannot be had.
const OPTIONAL: [(&str, &str); 8] = [
    ("s3", "no S3 server"),
    ("align", "no official reader to hold the alignment against"),
    ("rosbags", "no `rosbags` to hold bags against"),
    ("webdataset", "no `webdataset` to hold samples against"),
    ("croissant", "no mlcroissant"),
    ("tfds", "no TFDS to hold RLDS against"),
    ("openapi", "no schemathesis to hold the server against its description"),
    ("oidc", "no OpenID provider to log in at"),
];
/// Variables that name the interpreter for what only a process of its own loads.
const INTERPRETERS: [(&str, &str); 2] =
    [("croissant", "NODEDATA_CROISSANT_PYTHON"), ("tfds", "NODEDATA_TFDS_PYTHON")];

/// Tests that take longest go first, so that the last to end is a short one.
const FIRST: [&str; 4] = ["test_rlds", "test_openapi", "test_s3", "test_tables"];
/// Files that run one after the other: all of them look for free ports.
const TOGETHER: [&str; 3] = ["test_s3", "test_registry_s3", "test_oidc"];
/// Files that run side by side. Most of their time is one thread of Python.
const N_SIDE_BY_SIDE: usize = 2;

/// Holds what the debug binary writes against other programs that read the same, in Python: every MCAP fixture converted and read by
/// pyarrow, DuckDB, Polars and `datasets`; an S3 server; aligned steps against numpy, bags against `rosbags`, RLDS against TFDS,
/// samples against `webdataset`, `json` and pyarrow; the server against its own description. Without Python or without its packages
/// the part is skipped, and says so; without those of single tests only they are.
///
/// # Errors
/// When a fixture does not convert, the kit does not compile, or the tests cannot be run.
pub(crate) fn run(long: bool) -> Result<(Counts, Option<String>)> {
    let start = Instant::now();
    let environment = match environment() {
        Ok(environment) => environment,
        Err(reason) => {
            let remark = format!("no Python readers: {}", reason.lines().next().unwrap_or_default());
            eprintln!("skipped: {remark}\n{reason}");
            return Ok((Counts { n_skipped: 1, ..Counts::default() }, Some(remark)));
        }
    };
    eprintln!("the environment was ready after {} s", start.elapsed().as_secs());
    let datasets = convert_fixtures()?;
    let conformance = test_binary("nodedata-registry", "bucket")?;
    let command = |modules: &[String]| {
        let mut command = Command::new(&environment.python);
        let cache = workspace::target_dir().join(CACHE).join(modules.concat());
        command
            .args(["-m", "unittest", "--verbose"])
            .args(modules)
            .current_dir(workspace::root().join(TESTS))
            .env("NODEDATA_BINARY", workspace::node_data("debug"))
            .env("NODEDATA_CONFORMANCE", &conformance)
            .env("NODEDATA_DATASETS", &datasets)
            .env("NODEDATA_FIXTURES", workspace::root().join("fixtures"))
            // Compiled once for all processes, and nothing left beside the sources.
            .env("PYTHONPYCACHEPREFIX", workspace::target_dir().join("python-bytecode"))
            // The readers must work on what is on disk, and leave nothing outside the target folder.
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_DATASETS_OFFLINE", "1")
            .env("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
            .env("HF_HOME", cache);
        for (list, variable) in INTERPRETERS {
            if !environment.missing.iter().any(|it| OPTIONAL[*it].0 == list) {
                command.env(variable, &environment.python);
            }
        }
        if long {
            command.env(LONG, "1");
        }
        command
    };
    let mut modules = modules()?;
    // Those of the wheel run where it is installed.
    modules.retain(|it| !it.starts_with(python_wheel::PREFIX));
    let counts = side_by_side(jobs(&modules), |modules| run_job(&mut command(modules), modules))?;
    let missing: Vec<&str> = environment.missing.iter().map(|it| OPTIONAL[*it].1).collect();
    Ok((counts, (!missing.is_empty()).then(|| missing.join("; "))))
}

/// The readers' environment, with whatever else can be had. One for all: what brings other versions of the same packages would need
/// one of its own.
fn environment() -> Result<Environment> {
    let folder = workspace::root().join(TESTS);
    let others = OPTIONAL
        .map(|(name, without)| Optional { list: folder.join(format!("requirements-{name}.txt")), without });
    python_environment::of_lists("venv-readers", &folder.join("requirements.txt"), &others)
}

/// The names of the files with tests.
///
/// # Errors
/// When git is missing, or there are none.
pub(crate) fn modules() -> Result<Vec<String>> {
    let tests = workspace::tracked_files()?.into_iter().filter_map(|path| {
        let name = path.strip_prefix(TESTS)?.strip_prefix('/')?.strip_suffix(".py")?;
        name.starts_with("test_").then(|| name.to_owned())
    });
    let tests: Vec<String> = tests.collect();
    if tests.is_empty() { Err(format!("there are no tests in {TESTS}")) } else { Ok(tests) }
}

/// What one process runs, in the order in which they start.
fn jobs(modules: &[String]) -> VecDeque<Vec<String>> {
    let is_named = |names: &[&str], it: &String| names.contains(&it.as_str());
    let (together, alone): (Vec<_>, Vec<_>) = modules.iter().cloned().partition(|it| is_named(&TOGETHER, it));
    let mut jobs: Vec<Vec<String>> = alone.into_iter().map(|it| vec![it]).collect();
    if !together.is_empty() {
        jobs.push(together);
    }
    // Stable: those that take no time stay in the order of their names.
    jobs.sort_by_key(|job| !job.iter().any(|it| is_named(&FIRST, it)));
    jobs.into()
}

/// Runs all jobs, a few of them at a time, and adds up what they counted.
///
/// # Errors
/// When one of them cannot be run.
pub(crate) fn side_by_side(
    jobs: VecDeque<Vec<String>>,
    run: impl Fn(&[String]) -> Result<Counts> + Sync,
) -> Result<Counts> {
    let jobs = Mutex::new(jobs);
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let all = || -> Result<Counts> {
        let mut counts = Counts::default();
        while let Some(modules) = next() {
            counts.add(run(&modules)?);
        }
        Ok(counts)
    };
    std::thread::scope(|scope| {
        let workers = [(); N_SIDE_BY_SIDE].map(|()| scope.spawn(all));
        workers.into_iter().try_fold(Counts::default(), |mut sum, worker| -> Result<Counts> {
            let counts: Result<Counts> = worker.join().map_err(|_| "a thread for Python tests panicked")?;
            sum.add(counts?);
            Ok(sum)
        })
    })
}

/// How `unittest` ends where it ran nothing. Python 3.12.1 counts tests that their class leaves out as not run.
const NO_TESTS_RAN: i32 = 5;

/// Runs the tests of some files, and shows at once what they said: lines of several jobs would mix.
///
/// # Errors
/// When they cannot be started.
pub(crate) fn run_job(command: &mut Command, modules: &[String]) -> Result<Counts> {
    let (start, names) = (Instant::now(), modules.join(", "));
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|err| format!("cannot start {}: {err}", workspace::shown(command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    eprintln!("-- {names}, {} s\n{printed}{said}", start.elapsed().as_secs());
    let counts = check_summary::unittest(&said).unwrap_or_else(|| {
        eprintln!("error: the Python tests of {names} did not run to their end");
        Counts::one(false)
    });
    let none_ran = output.status.code() == Some(NO_TESTS_RAN) && counts.n_skipped > 0;
    Ok(counts.with_exit(output.status.success() || none_ran))
}

/// Where `datasets` keeps what it has read, below the target folder.
const CACHE: &str = "python-readers-cache";

/// Converts `fixtures/mcap/*.mcap`, each into a folder of its own name; returns the folder of these.
fn convert_fixtures() -> Result<PathBuf> {
    let datasets = workspace::target_dir().join("python-readers");
    // What `datasets` cached of an earlier run would hide what is on disk now.
    for folder in [&datasets, &workspace::target_dir().join(CACHE)] {
        if folder.exists() {
            std::fs::remove_dir_all(folder)
                .map_err(|err| format!("cannot empty {}: {err}", folder.display()))?;
        }
    }
    for path in workspace::tracked_files()? {
        let name = path.strip_prefix("fixtures/mcap/").and_then(|it| it.strip_suffix(".mcap"));
        // Those in folders below are special cases, or broken.
        let Some(name) = name.filter(|it| !it.contains('/')) else { continue };
        workspace::run(
            Command::new(workspace::node_data("debug"))
                .args(["convert", &path, "--out"])
                .arg(datasets.join(name))
                .current_dir(workspace::root()),
        )?;
    }
    Ok(datasets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    #[test]
    fn long_tests_start_first_and_each_runs_once() {
        let all = names(&["test_a", "test_registry_s3", "test_rlds", "test_s3", "test_tables", "test_z"]);
        let found: Vec<String> = jobs(&all).iter().map(|it| it.join("+")).collect();
        assert_eq!(found, ["test_rlds", "test_tables", "test_registry_s3+test_s3", "test_a", "test_z"]);
    }

    #[test]
    fn counts_of_all_jobs_add_up_and_one_that_cannot_start_is_a_failure() {
        let all = jobs(&names(&["test_a", "test_b", "test_c"]));
        let one = |_: &[String]| Ok(Counts { n_passed: 2, n_failed: 0, n_skipped: 1 });
        assert_eq!(side_by_side(all.clone(), one).unwrap().to_string(), "6 passed, 0 failed, 3 skipped");
        let broken = |it: &[String]| if it[0] == "test_b" { Err("broken".to_owned()) } else { one(it) };
        assert_eq!(side_by_side(all, broken).unwrap_err(), "broken");
    }
}
