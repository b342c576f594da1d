//! Virtual environments below the target folder, for tests and benches that hold ours against packages of Python.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::workspace::{self, Result};

/// Installs packages several times as fast as pip, which installs it.
const UV: &str = "uv==0.13.9";

/// A list of packages that only some of the tests need.
pub(crate) struct Optional {
    /// The file of the list.
    pub(crate) list: PathBuf,
    /// What the summary says where they cannot be had.
    pub(crate) without: &'static str,
}

/// An environment that is ready.
pub(crate) struct Environment {
    pub(crate) python: PathBuf,
    /// The position of each list whose packages cannot be had.
    pub(crate) missing: Vec<usize>,
}

/// Makes (or reuses) the environment `target/.<name>` with the packages of a list, and as many of the others as can be had.
///
/// # Errors
/// When there is no Python, or the packages of the first list cannot be installed.
pub(crate) fn of_lists(name: &str, list: &Path, others: &[Optional]) -> Result<Environment> {
    of_interpreter(OsStr::new(PYTHON), name, list, others)
}

/// The same, made by an interpreter that is not the usual one.
///
/// # Errors
/// As [`of_lists`].
pub(crate) fn of_interpreter(
    interpreter: &OsStr,
    name: &str,
    list: &Path,
    others: &[Optional],
) -> Result<Environment> {
    let lists: Vec<&Path> = std::iter::once(list).chain(others.iter().map(|it| it.list.as_path())).collect();
    let wanted = lists
        .iter()
        .map(|it| std::fs::read_to_string(it).map_err(|err| format!("cannot read {}: {err}", it.display())));
    let wanted = wanted.collect::<Result<Vec<String>>>()?.concat();
    let folder = folder(name);
    if let Some(python) = installed(&folder, &wanted) {
        return Ok(Environment { python, missing: Vec::new() });
    }
    let python = made(interpreter, &folder)?;
    let installer = Installer::of(&python);
    // All at once is solved once. Where that is not to be had, each alone shows what is missing.
    match installer.install(&lists) {
        Ok(()) => {
            stamp(&folder, &wanted)?;
            return Ok(Environment { python, missing: Vec::new() });
        }
        Err(reason) => eprintln!("not all packages can be had together: {reason}"),
    }
    installer.install(&[list])?;
    let mut missing = Vec::new();
    for (idx, other) in others.iter().enumerate() {
        if let Err(reason) = installer.install(&[&other.list]) {
            eprintln!("skipped: {}\n{reason}", other.without);
            missing.push(idx);
        }
    }
    Ok(Environment { python, missing })
}

/// What installs packages into an environment.
struct Installer<'p> {
    python: &'p Path,
    uv: Option<PathBuf>,
}

impl<'p> Installer<'p> {
    fn of(python: &'p Path) -> Self {
        let uv = python.with_file_name(format!("uv{}", std::env::consts::EXE_SUFFIX));
        let got = workspace::stdout_of(pip_install(python).arg(UV));
        let uv = (got.is_ok() && workspace::works(Command::new(&uv).arg("--version"))).then_some(uv);
        Self { python, uv }
    }

    /// Installs the packages of lists that go together.
    fn install(&self, lists: &[&Path]) -> Result<()> {
        let arguments = || lists.iter().flat_map(|it| [OsStr::new("--requirement"), it.as_os_str()]);
        if let Some(uv) = &self.uv {
            let mut command = Command::new(uv);
            command.args(["pip", "install", "--quiet", "--python"]).arg(self.python).args(arguments());
            match workspace::stdout_of(&mut command) {
                Ok(_) => return Ok(()),
                // It does not know an index or a certificate that pip was told of.
                Err(reason) => eprintln!("uv cannot install, pip tries: {reason}"),
            }
        }
        workspace::stdout_of(pip_install(self.python).args(arguments())).map(drop)
    }
}

/// Makes (or reuses) the environment `target/.<name>` with the packages of a call of pip, and returns its interpreter. `wanted` says
/// what is installed; the same text installs nothing.
///
/// # Errors
/// When there is no Python, or pip cannot install.
#[cfg(feature = "bench")]
pub(crate) fn install(name: &str, pip_arguments: &[&OsStr], wanted: &str) -> Result<PathBuf> {
    let folder = folder(name);
    if let Some(python) = installed(&folder, wanted) {
        return Ok(python);
    }
    let python = made(OsStr::new(PYTHON), &folder)?;
    workspace::stdout_of(pip_install(&python).args(pip_arguments))?;
    stamp(&folder, wanted)?;
    Ok(python)
}

/// What makes environments where nobody says with which interpreter.
const PYTHON: &str = "python3";

fn pip_install(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command
}

fn folder(name: &str) -> PathBuf {
    workspace::target_dir().join(format!(".{name}"))
}

/// The interpreter of an environment that has what is wanted.
fn installed(folder: &Path, wanted: &str) -> Option<PathBuf> {
    let python = interpreter(folder);
    let is_whole = std::fs::read_to_string(stamp_path(folder)).is_ok_and(|found| found == wanted);
    (is_whole && workspace::works(Command::new(&python).arg("--version"))).then_some(python)
}

fn made(with: &OsStr, folder: &Path) -> Result<PathBuf> {
    eprintln!("installing into {}", folder.display());
    workspace::stdout_of(Command::new(with).args(["-m", "venv"]).arg(folder))?;
    Ok(interpreter(folder))
}

fn stamp(folder: &Path, wanted: &str) -> Result<()> {
    let path = stamp_path(folder);
    std::fs::write(&path, wanted).map_err(|err| format!("cannot write {}: {err}", path.display()))
}

fn stamp_path(folder: &Path) -> PathBuf {
    folder.join("installed.txt")
}

fn interpreter(venv: &Path) -> PathBuf {
    if cfg!(windows) { venv.join("Scripts").join("python.exe") } else { venv.join("bin").join("python") }
}
