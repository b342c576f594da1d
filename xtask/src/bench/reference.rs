use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::workspace::Result;

/// Bytes moved at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// Reads `input`, or every file below it in order of the paths, hashes it and writes it to `output`, down
/// to the disk: what any lossless conversion has to do at least. One output whatever the input, so that
/// nothing but the bytes costs time. With `with_sha256` it is hashed with SHA-256 as well, as shards are when they are pushed.
///
/// # Errors
/// When a file cannot be read or written.
#[expect(
    clippy::disallowed_methods,
    reason = "the reference job is plain file work, not an input of node-data"
)]
pub(super) fn copy(input: &Path, output: &Path, with_sha256: bool) -> Result<()> {
    let failed = |err: std::io::Error| format!("cannot copy {}: {err}", input.display());
    let mut target = File::create(output).map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    let mut sha256 = with_sha256.then(Sha256::new);
    let mut buffer = vec![0; BUFFER_BYTES];
    for path in files_of(input)? {
        let mut source = File::open(path).map_err(failed)?;
        loop {
            let n = source.read(&mut buffer).map_err(failed)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            if let Some(sha256) = &mut sha256 {
                sha256.update(&buffer[..n]);
            }
            target.write_all(&buffer[..n]).map_err(failed)?;
        }
    }
    target.sync_all().map_err(failed)?;
    println!("{}", hasher.finalize().to_hex());
    if let Some(sha256) = sha256 {
        println!("{:?}", sha256.finalize());
    }
    Ok(())
}

/// Every file below a folder in order of the paths; a file is its only one.
///
/// # Errors
/// When a folder cannot be listed.
pub(super) fn files_of(input: &Path) -> Result<Vec<PathBuf>> {
    if !input.is_dir() {
        return Ok(vec![input.to_owned()]);
    }
    let failed = |err: std::io::Error| format!("cannot list {}: {err}", input.display());
    let entries = std::fs::read_dir(input).map_err(failed)?;
    let mut paths = entries.map(|it| Ok(it.map_err(failed)?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort_unstable();
    let below: Vec<Vec<PathBuf>> = paths.iter().map(|it| files_of(it)).collect::<Result<_>>()?;
    Ok(below.concat())
}

/// Compresses `input` with zstd level 1 on one core and drops the result.
///
/// # Errors
/// When the file cannot be read or compressed.
#[expect(
    clippy::disallowed_methods,
    reason = "the reference job is plain file work, not an input of node-data"
)]
pub(super) fn zstd(input: &Path) -> Result<()> {
    let failed = |err: std::io::Error| format!("cannot compress {}: {err}", input.display());
    let mut source = File::open(input).map_err(failed)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut encoder = zstd::Encoder::new(std::io::sink(), 1).map_err(failed)?;
    loop {
        let n = source.read(&mut buffer).map_err(failed)?;
        if n == 0 {
            break;
        }
        encoder.write_all(&buffer[..n]).map_err(failed)?;
    }
    encoder.finish().map_err(failed)?;
    Ok(())
}
