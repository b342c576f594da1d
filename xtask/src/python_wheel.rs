//! The wheel: built by maturin, installed beside NumPy in fresh environments of each Python that it is for, and tested there.

use std::{
    collections::VecDeque,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    check_summary::Counts,
    python_environment::{self, Environment, Optional},
    python_readers::{self, TESTS},
    test_command::LONG,
    workspace::{self, Result},
};

/// How the names of its tests begin.
pub(crate) const PREFIX: &str = "test_wheel";

/// The versions of Python that the wheel is tested with, by their second number. The first builds it.
const MINORS: [u32; 2] = [11, 12];

/// What the summary says where there is no S3 server.
const NO_BUCKET: &str = "no S3 server";

/// Names an interpreter with torch, with LeRobot where their items are compared, and with Ray. They are too large for every run.
const TORCH: &str = "NODEDATA_TORCH_PYTHON";
/// What runs in it, too.
const TORCH_TESTS: [&str; 3] = ["test_wheel_torch", "test_wheel_lerobot", "test_wheel_ray"];

/// Names a wheel to be tested instead of one that is built here.
const WHEEL: &str = "NODEDATA_WHEEL";

/// Builds the wheel, installs it, and runs its tests with every Python that is there.
///
/// # Errors
/// When the wheel cannot be built or installed, or the tests cannot be run.
pub(crate) fn run(long: bool) -> Result<(Counts, Option<String>)> {
    let mut remarks = Vec::new();
    let mut counts = Counts::default();
    let mut found = Vec::new();
    for minor in MINORS {
        match environment(minor) {
            Ok(environment) => {
                if !environment.missing.is_empty() {
                    remarks.push(format!("{NO_BUCKET} for Python 3.{minor}"));
                }
                found.push((minor, environment.python));
            }
            Err(reason) => {
                let first = reason.lines().next().unwrap_or_default();
                let remark = format!("no wheel for Python 3.{minor}: {first}");
                eprintln!("skipped: {remark}\n{reason}");
                remarks.push(remark);
                counts.n_skipped += 1;
            }
        }
    }
    let Some((_, builder)) = found.first() else { return Ok((counts, Some(remarks.join("; ")))) };
    let (wheel, remark) = match std::env::var_os(WHEEL) {
        Some(wheel) => (PathBuf::from(wheel), None),
        None => build(builder, "dev")?,
    };
    remarks.extend(remark);
    let mut jobs = VecDeque::new();
    let modules = modules()?;
    for (minor, python) in &found {
        install(python, &wheel, None)?;
        jobs.extend(modules.iter().map(|module| vec![minor.to_string(), module.clone()]));
    }
    let work = python_readers::side_by_side(jobs, |job| {
        let [minor, module] = job else { return Err("a job has no module".to_owned()) };
        let python = found.iter().find(|(it, _)| it.to_string() == *minor).map(|(_, python)| python);
        let python = python.ok_or("a job is for a Python that is not there")?;
        let name = format!("{module} with Python 3.{minor}");
        python_readers::run_job(&mut command(python, std::slice::from_ref(module), None, long), &[name])
    })?;
    counts.add(work);
    match std::env::var_os(TORCH) {
        Some(python) => counts.add(with_torch(Path::new(&python), &wheel, long)?),
        None => remarks.push(format!("{TORCH} names no interpreter with torch, lerobot and ray")),
    }
    Ok((counts, (!remarks.is_empty()).then(|| remarks.join("; "))))
}

/// The environment `target/.venv-wheel-3<minor>` with what the tests and the build need.
fn environment(minor: u32) -> Result<Environment> {
    let interpreter = interpreter(minor).ok_or_else(|| format!("there is no `python3.{minor}`"))?;
    let lists = workspace::root().join(TESTS);
    let buckets = Optional { list: lists.join("requirements-s3.txt"), without: NO_BUCKET };
    let list = lists.join("requirements-wheel.txt");
    python_environment::of_interpreter(
        interpreter.as_os_str(),
        &format!("venv-wheel-3{minor}"),
        &list,
        &[buckets],
    )
}

/// An interpreter of a version that can make environments: one on the path, or one that pyenv keeps beside the one in use.
fn interpreter(minor: u32) -> Option<PathBuf> {
    let named = [format!("python3.{minor}"), "python3".to_owned(), "python".to_owned()].map(PathBuf::from);
    let mut all: Vec<PathBuf> = named.into();
    let home = std::env::var_os("HOME").map(|it| Path::new(&it).join(".pyenv"));
    if let Some(root) = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or(home) {
        let versions = std::fs::read_dir(root.join("versions")).into_iter().flatten().flatten();
        let mut versions: Vec<PathBuf> = versions.map(|it| it.path()).collect();
        versions.sort();
        all.extend(versions.into_iter().map(|it| it.join("bin").join("python3")));
    }
    let question = format!("import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, {minor}))");
    all.into_iter().find(|it| workspace::works(Command::new(it).args(["-c", &question])))
}

/// Builds the wheel with a profile of cargo, and says what it lacks.
///
/// # Errors
/// When it does not compile, or there is not one wheel.
pub(crate) fn build(python: &Path, profile: &str) -> Result<(PathBuf, Option<String>)> {
    let out = workspace::target_dir().join("wheels").join(profile);
    if out.exists() {
        std::fs::remove_dir_all(&out).map_err(|err| format!("cannot empty {}: {err}", out.display()))?;
    }
    let has_nasm = workspace::works(Command::new("nasm").arg("-v"));
    let mut maturin = Command::new(python);
    maturin
        .args(["-m", "maturin", "build", "--locked", "--profile", profile, "--compatibility", "linux"])
        .args(["--manifest-path", "crates/nodedata-python/Cargo.toml", "--interpreter"])
        .arg(python)
        .arg("--out")
        .arg(&out)
        .env("CARGO_TARGET_DIR", workspace::target_dir())
        .current_dir(workspace::root());
    if !has_nasm {
        // Instead of those that `pyproject.toml` names.
        maturin.args(["--features", "remote"]);
    }
    workspace::stdout_of(&mut maturin)?;
    let entries =
        std::fs::read_dir(&out).map_err(|err| format!("cannot look into {}: {err}", out.display()))?;
    let wheels: Vec<PathBuf> = entries.flatten().map(|it| it.path()).collect();
    let remark =
        (!has_nasm).then(|| "there is no `nasm`: AV1 in the wheel is without its assembly".to_owned());
    match wheels.as_slice() {
        [wheel] => Ok((wheel.clone(), remark)),
        _ => Err(format!("{} holds {} files instead of one wheel", out.display(), wheels.len())),
    }
}

/// An interpreter with the wheel as it is shipped, for measuring, and what that lacks.
///
/// # Errors
/// When there is no such Python, or the wheel cannot be built or installed.
#[cfg(feature = "bench")]
pub(crate) fn released() -> Result<(PathBuf, Option<String>)> {
    let python = environment(MINORS[0])?.python;
    let (wheel, remark) = build(&python, "release")?;
    install(&python, &wheel, None)?;
    Ok((python, remark))
}

/// Installs the wheel without what it needs, which is there: into the interpreter's own environment, or a folder.
///
/// # Errors
/// When pip cannot.
pub(crate) fn install(python: &Path, wheel: &Path, folder: Option<&Path>) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args([
        "--no-deps",
        "--force-reinstall",
        "--upgrade",
    ]);
    if let Some(folder) = folder {
        pip.arg("--target").arg(folder);
    }
    workspace::stdout_of(pip.arg(wheel)).map(drop)
}

/// What needs torch, in an interpreter of the developer's, which stays as it is.
fn with_torch(python: &Path, wheel: &Path, long: bool) -> Result<Counts> {
    let folder = workspace::target_dir().join("wheel-for-torch");
    install(python, wheel, Some(folder.as_path()))?;
    let modules = TORCH_TESTS.map(str::to_owned);
    let counts =
        python_readers::run_job(&mut command(python, &modules, Some(folder.as_path()), long), &modules)?;
    // Asked for, so that leaving all of it out is no success.
    Ok(if counts.n_passed == 0 { counts.with_exit(false) } else { counts })
}

fn command(python: &Path, modules: &[String], packages: Option<&Path>, long: bool) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-m", "unittest", "--verbose"])
        .args(modules)
        .current_dir(workspace::root().join(TESTS))
        .env("NODEDATA_BINARY", workspace::node_data("debug"))
        .env("NODEDATA_FIXTURES", workspace::root().join("fixtures"))
        .env("NODEDATA_ROOT", workspace::root())
        .env("PYTHONPYCACHEPREFIX", workspace::target_dir().join("python-bytecode"))
        .env("HF_HUB_OFFLINE", "1");
    if let Some(packages) = packages {
        let more = std::env::var_os("PYTHONPATH").unwrap_or_default();
        let mut paths = OsString::from(packages);
        if !more.is_empty() {
            paths.push(if cfg!(windows) { ";" } else { ":" });
            paths.push(more);
        }
        command.env("PYTHONPATH", paths);
    }
    if long {
        command.env(LONG, "1");
    }
    command
}

/// The names of the files with its tests.
fn modules() -> Result<Vec<String>> {
    let mut modules = python_readers::modules()?;
    modules.retain(|it| it.starts_with(PREFIX));
    if modules.is_empty() { Err(format!("there are no tests of the wheel in {TESTS}")) } else { Ok(modules) }
}
