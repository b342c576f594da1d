use std::{collections::BTreeSet, path::Path};

use md5::{Digest as _, Md5};
use nodedata_core::{
    Error, ErrorKind, Files, Finding, FindingKind, Findings, InputFile, Locus, Loss, OpenOptions, OptionKey,
    OptionKind, OptionValue, Result,
};
use rayon::prelude::*;

use super::{Here, REASON, read};

/// Whether archives are held against the MD5 that an index tells. MD5 goes through a file from its beginning to its end, at a
/// fraction of the speed at which samples are read, and rows need no such pass: so it is on request.
pub(crate) const SHARD_MD5: OptionKey = OptionKey {
    name: "shard_md5",
    kind: OptionKind::Bool,
    default: "false",
    doc: "whether each archive is read once more and held against the MD5 that an index of shards beside it (`index.json` of wids) \
          tells; one that has another is damaged",
};

/// What is hashed at a time.
const WINDOW_BYTES: u64 = 1 << 20;

/// An archive, and what an index says of it.
struct Told {
    input: usize,
    md5: String,
}

/// Holds archives against the MD5 that indexes tell of them, where that is asked for.
///
/// # Errors
/// `Io`; without `salvage`, `Corrupt` for an archive that has another.
pub(crate) fn check_digests(
    files: &dyn Files,
    indexes: &[InputFile],
    inputs: &[InputFile],
    options: &OpenOptions,
) -> Result<Vec<Finding>> {
    if options.option(&SHARD_MD5) != OptionValue::Bool(true) {
        return Ok(Vec::new());
    }
    let mut findings = Findings::default();
    let mut all = Vec::new();
    for index in indexes {
        // That it cannot be read is told where the rest of it is looked at.
        let Ok(told) = read(files, &index.path)? else { continue };
        let here = Here::new(&index.path, inputs);
        let told = told.shardlist.into_iter().filter_map(|shard| {
            let input = here.position(&shard)?;
            Some(Told { input, md5: shard.md5sum? })
        });
        all.extend(told);
    }
    let told: BTreeSet<usize> = all.iter().map(|it| it.input).collect();
    if all.is_empty() {
        let message = "no index of shards tells the MD5 of an archive: none was compared";
        let at = indexes.iter().chain(inputs).next().map(|it| Locus::path(&it.path)).unwrap_or_default();
        findings.push(Finding { reason: REASON.to_owned(), ..Finding::warning(message, at) });
    } else if let Some(first) = (0..inputs.len()).find(|it| !told.contains(it)) {
        let (n_untold, n_all) = (inputs.len() - told.len(), inputs.len());
        let message = format!(
            "no index of shards tells the MD5 of {n_untold} of {n_all} archives, of which this is the first: they \
             were not compared"
        );
        let at = Locus::path(&inputs[first].path);
        findings.push(Finding { reason: REASON.to_owned(), ..Finding::warning(message, at) });
    }
    let hashed: Vec<Result<String>> = all.par_iter().map(|it| hash(files, &inputs[it.input].path)).collect();
    for (Told { input, md5 }, found) in all.iter().zip(hashed) {
        let path = &inputs[*input].path;
        let found = found.map_err(|err| err.at(Locus::path(path)))?;
        if md5.eq_ignore_ascii_case(&found) {
            continue;
        }
        let message = format!("the archive has the MD5 {found}, but the index of shards says {md5}");
        let loss = Loss { byte_range: None, records: Vec::new(), uncounted: false, reason: "shard_md5" };
        let err = Error::new(ErrorKind::Corrupt, message)
            .at(Locus::path(path))
            .with_hint(
                "fetch the archive again; where it was changed on purpose, `widsindex create` writes the index anew",
            )
            .with_loss(loss);
        if !options.salvage {
            return Err(err);
        }
        findings.push(Finding::new(FindingKind::Damage, &err, |_| None));
    }
    Ok(findings.into_vec())
}

/// The MD5 of a file, in hexadecimal digits.
fn hash(files: &dyn Files, path: &Path) -> Result<String> {
    let file = files.open(path)?;
    let n_bytes = file.n_bytes();
    let mut hasher = Md5::new();
    let mut at = 0;
    while at < n_bytes {
        let window = file.read_at(at..n_bytes.min(at + WINDOW_BYTES))?;
        if window.is_empty() {
            return Err(Error::new(ErrorKind::Io, format!("the file ends at byte {at} of {n_bytes}")));
        }
        hasher.update(&window);
        at += window.len() as u64;
    }
    Ok(format!("{:032x}", u128::from_be_bytes(hasher.finalize().into())))
}
