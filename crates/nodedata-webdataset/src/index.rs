//! `index.json` of wids: which shards a dataset has, how many samples are in each, and the MD5 of each.

mod digests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use nodedata_core::{Files, Finding, Findings, InputFile, Listing, Locus, Result};
use serde::Deserialize;

use crate::learned::ArchiveStretch;

pub(crate) use digests::{SHARD_MD5, check_digests};

/// What such a file says that it is.
const KIND: &[u8] = b"wids-shard-index-v1";
/// Bytes of one that is read.
const BYTES_MAX: u64 = 64 << 20;
/// What findings of indexes are called.
const REASON: &str = "shard_index";

#[derive(Debug, Deserialize)]
struct Index {
    #[serde(default)]
    shardlist: Vec<Shard>,
}

#[derive(Debug, Deserialize)]
struct Shard {
    url: String,
    nsamples: Option<u64>,
    filesize: Option<u64>,
    md5sum: Option<String>,
}

/// Whether a file is one.
pub(crate) fn is_index(path: &Path, head: &[u8]) -> bool {
    let is_json = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("json"));
    is_json && head.windows(KIND.len()).any(|it| it == KIND)
}

/// Those among the files of an input.
pub(crate) fn indexes<'l>(listing: &'l Listing<'_>) -> impl Iterator<Item = &'l Path> + 'l {
    let may_be = |it: &&Path| it.extension().is_some_and(|it| it.eq_ignore_ascii_case("json"));
    listing.paths().filter(may_be).filter(|it| is_index(it, &listing.head(it)))
}

/// Holds what an index says against the files that are there, and what was found in them. What differs is told.
///
/// # Errors
/// `Io`.
pub(crate) fn check(
    files: &dyn Files,
    index: &Path,
    inputs: &[InputFile],
    stretches: &[Vec<ArchiveStretch>],
    findings: &mut Findings,
) -> Result<()> {
    let warning = |message: String| Finding {
        reason: REASON.to_owned(),
        ..Finding::warning(message, Locus::path(index))
    };
    let told = match read(files, index)? {
        Ok(told) => told,
        Err(err) => {
            let hint = "nothing but the shards is read; `widsindex create` writes it anew";
            findings.push(warning(format!("the index of shards cannot be read: {err}")).with_hint(hint));
            return Ok(());
        }
    };
    let here = Here::new(index, inputs);
    for shard in told.shardlist {
        let Some(input) = here.position(&shard) else {
            findings.push(warning(format!("the index names the shard `{}`, which is not here", shard.url)));
            continue;
        };
        let n_samples: u64 = stretches[input].iter().map(|it| it.samples.n_records).sum();
        let n_bytes = inputs[input].n_bytes;
        let differs = |what: &str, told: Option<u64>, found: u64| {
            let told = told.filter(|it| *it != found)?;
            Some(format!("`{}` has {found} {what}, but the index says {told}", shard.url))
        };
        let n_told = differs("samples", shard.nsamples, n_samples);
        if let Some(message) = n_told.or_else(|| differs("bytes", shard.filesize, n_bytes)) {
            findings.push(warning(message));
        }
    }
    Ok(())
}

/// What an index says, or why nobody knows.
///
/// # Errors
/// `Io`.
fn read(files: &dyn Files, index: &Path) -> Result<std::result::Result<Index, serde_json::Error>> {
    let at = || Locus::path(index);
    let file = files.open(index).map_err(|err| err.at(at()))?;
    let bytes = file.read_at(0..file.n_bytes().min(BYTES_MAX)).map_err(|err| err.at(at()))?;
    Ok(serde_json::from_slice(&bytes))
}

/// The archives that an index may name.
struct Here<'a> {
    folder: &'a Path,
    by_path: BTreeMap<&'a Path, usize>,
}

impl<'a> Here<'a> {
    fn new(index: &'a Path, inputs: &'a [InputFile]) -> Self {
        let by_path = inputs.iter().enumerate().map(|(idx, it)| (it.path.as_path(), idx)).collect();
        Self { folder: index.parent().unwrap_or(Path::new("")), by_path }
    }

    /// Position among the inputs of a shard; `None` of one that is not here.
    fn position(&self, shard: &Shard) -> Option<usize> {
        // One that lies elsewhere may be here all the same.
        let name = shard.url.rsplit('/').next().unwrap_or_default();
        let beside: [PathBuf; 2] = [self.folder.join(&shard.url), self.folder.join(name)];
        beside.iter().find_map(|it| self.by_path.get(it.as_path()).copied())
    }
}
