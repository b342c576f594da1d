use std::path::{Path, PathBuf};

use nodedata_core::{Error, ErrorKind, Files, InputFile, Locus, ReadAt, Result};
use nodedata_steps::sample_inputs;

/// How what stands for a file in Git LFS begins.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What can be done about a damaged file.
pub(crate) const RESTORE_HINT: &str = "copy the file again from where it came from; `--on-error salvage` leaves out what \
                                       cannot be read, lists it, and exits with 3";

/// The files whose rows are read, in the order of paths, and those that only belong to them. `what` names one of them.
///
/// # Errors
/// `Io`; `Config` when there is none; `Unsupported` for one that only stands for a file.
pub(crate) fn inputs(
    files: &dyn Files,
    what: &str,
    is_beside: impl Fn(&Path) -> bool,
) -> Result<(Vec<InputFile>, Vec<PathBuf>)> {
    let all = sample_inputs(files, what)?;
    let (beside, inputs): (Vec<InputFile>, Vec<InputFile>) =
        all.into_iter().partition(|it| is_beside(&it.path));
    if inputs.is_empty() {
        let message = "none of the files is a table";
        return Err(Error::new(ErrorKind::Config, message).with_hint(format!("name {what}")));
    }
    for InputFile { path, .. } in &inputs {
        let file = files.open(path).map_err(|err| err.at(Locus::path(path)))?;
        refuse_pointer(&*file).map_err(|err| err.at(Locus::path(path)))?;
    }
    Ok((inputs, beside.into_iter().map(|it| it.path).collect()))
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
