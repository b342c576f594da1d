use std::path::{Path, PathBuf};

use nodedata_core::{Error, ErrorKind, Files, InputFile, Locus, ReadAt, Result};

/// How what stands for a file in Git LFS begins.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What can be done about a damaged file.
pub(crate) const RESTORE_HINT: &str = "copy the file again from where it came from; `--on-error salvage` leaves out what cannot be read, lists it, and exits with 3";

/// The files whose rows are read, in the order of paths, and those that only belong to them.
///
/// # Errors
/// `Io`; `Config` when there is none; `Unsupported` for one that only stands for a file.
pub(crate) fn inputs(
    files: &dyn Files,
    ending: &str,
    is_beside: impl Fn(&Path) -> bool,
) -> Result<(Vec<InputFile>, Vec<PathBuf>)> {
    let mut paths = files.list()?;
    paths.sort_unstable();
    let (beside, paths): (Vec<PathBuf>, Vec<PathBuf>) = paths.into_iter().partition(|it| is_beside(it));
    if paths.is_empty() {
        let message = "the input has no files";
        return Err(Error::new(ErrorKind::Config, message).with_hint(format!("name a `.{ending}` file")));
    }
    let input = |path: PathBuf| {
        let file = files.open(&path).map_err(|err| err.at(Locus::path(&path)))?;
        refuse_pointer(&*file).map_err(|err| err.at(Locus::path(&path)))?;
        Ok(InputFile { n_bytes: file.n_bytes(), path })
    };
    let inputs: Result<Vec<InputFile>> = paths.into_iter().map(input).collect();
    Ok((inputs?, beside))
}

fn refuse_pointer(file: &dyn ReadAt) -> Result<()> {
    let head = file.peek_at(0..file.n_bytes().min(LFS_POINTER.len() as u64))?;
    if head != LFS_POINTER {
        return Ok(());
    }
    let message = "the file is a pointer of Git LFS, not the file that it stands for";
    Err(Error::new(ErrorKind::Unsupported, message)
        .with_hint("`git lfs pull` fetches the files that pointers stand for"))
}

/// A path as a key that is the same on every machine: `/` whatever this one uses.
pub(crate) fn key_of(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|it| it.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}
