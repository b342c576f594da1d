use std::path::PathBuf;

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_dataset::validate;

use crate::{
    folder::{Draft, Origin},
    hashing::read_error,
};

/// Mistakes that are told at once.
const MISTAKES_TOLD: usize = 8;

/// Reads every row and decodes every frame of what is about to be published.
///
/// # Errors
/// `SchemaMismatch` with what was found; `Io`.
pub(crate) fn check(draft: &Draft, paths: &[PathBuf]) -> Result<()> {
    let found = match paths {
        [folder] if folder.join("manifest.json").is_file() => validate(folder, true)?,
        _ => {
            let scratch = tempfile::tempdir()?;
            lay_out(draft, scratch.path())?;
            validate(scratch.path(), true)?
        }
    };
    let mut findings = found.findings.iter();
    let Some(first) = findings.next() else { return Ok(()) };
    let mut message = format!("{}: {}", first.code, first.message);
    for other in findings.take(MISTAKES_TOLD - 1) {
        message.push_str(&format!("\n  also {}: {} ({})", other.code, other.message, other.at));
    }
    Err(Error::new(ErrorKind::SchemaMismatch, message).at(Locus::path(&first.at)).with_hint(first.hint))
}

/// The dataset's folder, with links to the shards.
fn lay_out(draft: &Draft, root: &std::path::Path) -> Result<()> {
    let files = draft.files.iter().map(|it| (&it.path, &it.blob));
    for (path, blob) in files.chain(draft.shards.iter().map(|it| (&it.path, &it.blob))) {
        let to = root.join(path);
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder).map_err(|err| read_error(folder, err))?;
        }
        match draft.sources.get(&blob.b3) {
            Some(Origin::Memory(bytes)) => std::fs::write(&to, bytes),
            Some(Origin::File(from)) => link(&std::path::absolute(from)?, &to),
            // It lies in the registry, and was checked when it came there.
            None => continue,
        }
        .map_err(|err| read_error(&to, err))?;
    }
    Ok(())
}

fn link(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(from, to);
    #[cfg(not(unix))]
    return std::fs::copy(from, to).map(drop);
}
