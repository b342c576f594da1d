use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    check_summary::{self, Counts},
    test_command::{LONG, Stream, echoed, test_binary},
    workspace::{self, Result},
};

/// Where the Python tests and the list of packages they need are.
const TESTS: &str = "tests/python";

/// Converts every MCAP fixture with the debug binary and lets pyarrow, DuckDB, Polars and `datasets`
/// read what came out, converts from an S3 server, holds a registry in it to the kit of all registries,
/// aligned steps against numpy, messages of bags against `rosbags`, and steps of RLDS datasets against TFDS. Without
/// Python or without its packages the part is skipped, and says so; without those of single tests only they are.
///
/// # Errors
/// When a fixture does not convert, the kit does not compile, or the tests cannot be run.
pub(crate) fn run(long: bool) -> Result<(Counts, Option<String>)> {
    let python = match environment() {
        Ok(python) => python,
        Err(reason) => {
            let remark = format!("no Python readers: {}", reason.lines().next().unwrap_or_default());
            eprintln!("skipped: {remark}\n{reason}");
            return Ok((Counts { n_skipped: 1, ..Counts::default() }, Some(remark)));
        }
    };
    let croissant = environment_of("croissant", "mlcroissant");
    let tfds = environment_of("tfds", "TFDS to hold RLDS against");
    let missing = [
        add(&python, "requirements-s3.txt", "no S3 server").err(),
        add(&python, "requirements-align.txt", "no official reader to hold the alignment against").err(),
        add(&python, "requirements-rosbags.txt", "no `rosbags` to hold bags against").err(),
        croissant.as_ref().err().cloned(),
        tfds.as_ref().err().cloned(),
    ];
    let missing: Vec<String> = missing.into_iter().flatten().collect();
    let remark = (!missing.is_empty()).then(|| missing.join("; "));
    let datasets = convert_fixtures()?;
    let conformance = test_binary("nodedata-registry", "bucket")?;
    let mut command = Command::new(python);
    command
        .args(["-m", "unittest", "discover", "--verbose", "--start-directory", TESTS])
        .current_dir(workspace::root())
        .env("NODEDATA_BINARY", workspace::node_data("debug"))
        .env("NODEDATA_CONFORMANCE", conformance)
        .env("NODEDATA_DATASETS", &datasets)
        .env("NODEDATA_FIXTURES", workspace::root().join("fixtures"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // The readers must work on what is on disk, and leave nothing outside the target folder.
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_DATASETS_OFFLINE", "1")
        .env("HF_HOME", workspace::target_dir().join("python-readers-cache"));
    if let Ok(python) = croissant {
        command.env("NODEDATA_CROISSANT_PYTHON", python);
    }
    if let Ok(python) = tfds {
        command.env("NODEDATA_TFDS_PYTHON", python);
    }
    if long {
        command.env(LONG, "1");
    }
    let (succeeded, output) = echoed(&mut command, Stream::Stderr)?;
    let counts = check_summary::unittest(&output).ok_or("the Python tests did not run to their end")?;
    Ok((counts.with_exit(succeeded), remark))
}

/// The interpreter of the readers' environment, which is made on first use and again when the list
/// of packages changes.
fn environment() -> Result<PathBuf> {
    let requirements = workspace::root().join(TESTS).join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)
        .map_err(|err| format!("cannot read {TESTS}/requirements.txt: {err}"))?;
    install("venv-readers", &["--requirement".as_ref(), requirements.as_os_str()], &wanted)
}

/// Adds packages that some of the tests need to the readers' environment. `without` is what the summary says where
/// they cannot be had.
fn add(python: &Path, requirements: &str, without: &str) -> Result<()> {
    let requirements = workspace::root().join(TESTS).join(requirements);
    let mut command = pip_install(python);
    // Where the versions wanted are installed, pip asks no index.
    command.arg("--requirement").arg(requirements);
    workspace::stdout_of(&mut command).map(drop).map_err(|reason| {
        eprintln!("skipped: {without}\n{reason}");
        without.to_owned()
    })
}

/// The interpreter of an environment of its own, with packages that bring other versions of what the readers need: those
/// of `requirements-NAME.txt`. The failure is what the summary says of it, that there is no `what`.
fn environment_of(name: &str, what: &str) -> Result<PathBuf> {
    let requirements = workspace::root().join(TESTS).join(format!("requirements-{name}.txt"));
    let wanted = std::fs::read_to_string(&requirements)
        .map_err(|err| format!("cannot read {TESTS}/requirements-{name}.txt: {err}"))?;
    let arguments = ["--requirement".as_ref(), requirements.as_os_str()];
    install(&format!("venv-{name}"), &arguments, &wanted).map_err(|reason| {
        eprintln!("skipped: no {what}\n{reason}");
        format!("no {what}")
    })
}

fn pip_install(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command
}

/// Makes (or reuses) the virtual environment `target/.<name>` with the packages of a call of
/// pip, and returns its interpreter. `stamp` says what is installed; the same stamp installs nothing.
///
/// # Errors
/// When there is no Python, or pip cannot install.
pub(crate) fn install(name: &str, pip_arguments: &[&std::ffi::OsStr], stamp: &str) -> Result<PathBuf> {
    let folder = workspace::target_dir().join(format!(".{name}"));
    let python = interpreter(&folder);
    let stamp_path = folder.join("installed.txt");
    if std::fs::read_to_string(&stamp_path).is_ok_and(|found| found == stamp)
        && workspace::works(Command::new(&python).arg("--version"))
    {
        return Ok(python);
    }
    eprintln!("installing into {}", folder.display());
    workspace::stdout_of(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    workspace::stdout_of(pip_install(&python).args(pip_arguments))?;
    std::fs::write(&stamp_path, stamp)
        .map_err(|err| format!("cannot write {}: {err}", stamp_path.display()))?;
    Ok(python)
}

fn interpreter(venv: &Path) -> PathBuf {
    if cfg!(windows) { venv.join("Scripts").join("python.exe") } else { venv.join("bin").join("python") }
}

/// Converts `fixtures/mcap/*.mcap`, each into a folder of its own name; returns the folder of these.
fn convert_fixtures() -> Result<PathBuf> {
    let datasets = workspace::target_dir().join("python-readers");
    // What `datasets` cached of an earlier run would hide what is on disk now.
    for folder in [&datasets, &workspace::target_dir().join("python-readers-cache")] {
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
