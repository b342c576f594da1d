use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nodedata_core::{Progress, Result, StreamSchema};
use nodedata_schema::Schema;
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    canonical::canonical_json,
    deep,
    digest::{b3_of, each_window, hex},
    manifest::{FileEntry, Manifest, ShardEntry},
    reach::Reached,
    read::{Dataset, MANIFEST},
};

/// One thing that is wrong with a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable short name, such as `hash-mismatch`.
    pub code: &'static str,
    /// What was found, and what was expected.
    pub message: String,
    /// The file, and where in it.
    pub at: String,
    /// What to do next.
    pub hint: &'static str,
}

/// What a validation looked at, and what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Validation {
    /// Files whose hashes were compared.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Rows the footers count; with `deep`, every one of them was read.
    pub rows: u64,
    /// Encoded frames decoded; 0 without `deep`.
    pub frames: u64,
    /// Clips of sound decoded, FLAC and WAV; 0 without `deep`.
    pub clips: u64,
    /// Video and clips that no decoder of this build takes, with where it is and why: nothing is known of what they hold.
    pub unchecked: Vec<String>,
    /// Whether every row was read.
    pub deep: bool,
    /// Everything wrong, in the order of the manifest.
    pub findings: Vec<Finding>,
}

const RESTORE: &str = "restore the file from a copy, or convert the source again with `--overwrite`";

/// Checks a dataset against its manifest: files, hashes, ledger, provenance, schema of every shard's
/// footer. With `deep` every row is read as well: content hashes, declared limits, and every JPEG and PNG
/// frame, every FLAC and WAV clip and every sample of the video index is decoded.
///
/// Whatever is wrong is a finding. In a folder that includes what the disk does not give; what lies elsewhere and cannot
/// be reached is neither sound nor wrong. `progress` hears of the bytes that are hashed and, with `deep`, of the shards
/// whose rows are read.
///
/// # Errors
/// `Denied`, `Io` when files that lie in no folder of this machine cannot be reached; `Interrupted` when `progress` says to
/// stop.
pub fn validate(dataset: &Dataset, deep: bool, progress: &dyn Progress) -> Result<Validation> {
    if dataset.root().is_some() {
        let found = checked(dataset, deep, progress);
        return progress.go_on().map(|()| found);
    }
    let reached = Arc::new(Reached::over(Arc::clone(dataset.files())));
    let found = checked(&dataset.through(Arc::clone(&reached) as _), deep, progress);
    progress.go_on()?;
    reached.check()?;
    Ok(found)
}

fn checked(dataset: &Dataset, deep: bool, progress: &dyn Progress) -> Validation {
    let mut found = Validation { deep, ..Validation::default() };
    let hashed = dataset.manifest.files().iter().map(|it| it.bytes).fold(0, u64::saturating_add);
    let read = dataset.manifest.shards.iter().map(|it| it.bytes).fold(0, u64::saturating_add);
    progress.planned(hashed.saturating_add(if deep { read } else { 0 }));
    check_files(dataset, &mut found, progress);
    check_strangers(dataset, &mut found);
    check_ledger(dataset, &mut found);
    check_provenance(dataset, &mut found);
    let schema = read_schema(dataset, &mut found);
    let streams = check_footers(dataset, schema.as_ref(), &mut found);
    check_index(dataset, &mut found);
    // Rows of a file whose bytes are not the published ones prove nothing.
    let is_other = |code| matches!(code, "hash-mismatch" | "missing-file" | "unreadable-file");
    if deep && !found.findings.iter().any(|it| is_other(it.code)) {
        deep::check_rows(dataset, schema.as_ref(), &streams, &mut found, progress);
    }
    found
}

impl Validation {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    pub(crate) fn add(
        &mut self,
        code: &'static str,
        at: impl Into<String>,
        message: String,
        hint: &'static str,
    ) {
        self.findings.push(Finding { code, message, at: at.into(), hint });
    }
}

fn check_files(dataset: &Dataset, found: &mut Validation, progress: &dyn Progress) {
    let files = dataset.manifest.files();
    let checked: Vec<_> = files.par_iter().map(|it| check_file(dataset, it, progress)).collect();
    for (entry, finding) in files.iter().zip(checked) {
        found.files += 1;
        found.bytes = found.bytes.saturating_add(entry.bytes);
        found.findings.extend(finding);
    }
}

fn check_file(dataset: &Dataset, entry: &FileEntry, progress: &dyn Progress) -> Option<Finding> {
    let finding = |code, message| Some(Finding { code, message, at: entry.path.clone(), hint: RESTORE });
    let file = match dataset.file(&entry.path) {
        Ok(file) => file,
        Err(err) => return finding("missing-file", format!("the manifest names it, but: {}", err.chain())),
    };
    let n_bytes = file.n_bytes();
    if n_bytes != entry.bytes {
        return finding("hash-mismatch", format!("{n_bytes} bytes, but the manifest says {}", entry.bytes));
    }
    let (mut b3, mut sha256) = (blake3::Hasher::new(), entry.sha256.as_ref().map(|_| Sha256::new()));
    let hashed = each_window(&*file, &mut |bytes| {
        match &mut sha256 {
            Some(sha256) => drop(rayon::join(|| b3.update(bytes), || sha256.update(bytes))),
            None => drop(b3.update(bytes)),
        }
        progress.advanced(bytes.len() as u64, 0);
        // What is found of a file that was not read to its end is never told: see `validate`.
        progress.go_on()
    });
    if let Err(err) = hashed {
        return finding("unreadable-file", err.chain());
    }
    let b3 = b3.finalize().to_hex().to_string();
    let sha256 = sha256.map(|it| hex(&it.finalize()));
    let pairs = [("BLAKE3", Some(&b3), Some(&entry.b3)), ("SHA-256", sha256.as_ref(), entry.sha256.as_ref())];
    let (name, found, recorded) = pairs.into_iter().find(|(_, found, recorded)| found != recorded)?;
    let [found, recorded] = [found, recorded].map(|it| it.map_or("", |it| short(it)));
    finding("hash-mismatch", format!("{name} {found}…, but the manifest says {recorded}…"))
}

fn short(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}

/// Shards that lie in the dataset's folders but that the manifest does not know.
fn check_strangers(dataset: &Dataset, found: &mut Validation) {
    let known: BTreeSet<String> = dataset.manifest.files().into_iter().map(|it| it.path).collect();
    let all = match dataset.files().list() {
        Ok(all) => all,
        Err(err) => {
            found.add("unreadable-folder", MANIFEST, err.chain(), "make the folder readable");
            return;
        }
    };
    for path in all {
        let is_ours = ["data", "streams", "index"].iter().any(|it| path.starts_with(it));
        let path = path.display().to_string();
        if is_ours && path.ends_with(".parquet") && !known.contains(&path) {
            let message = "the manifest does not know this shard".to_owned();
            found.add("stray-shard", path, message, "remove it, or move it out of the dataset");
        }
    }
}

fn check_ledger(dataset: &Dataset, found: &mut Validation) {
    let manifest = &dataset.manifest;
    let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
    for shard in &manifest.shards {
        *rows.entry(&shard.stream).or_default() += shard.rows;
    }
    for (stream, ledger) in &manifest.ledger {
        let in_shards = rows.get(stream.as_str()).copied().unwrap_or(0);
        if !ledger.balances() || ledger.written != in_shards {
            let dropped: u64 = ledger.dropped.values().sum();
            let message = format!(
                "stream `{stream}`: {} read, {} written, {dropped} dropped, {in_shards} in the shards",
                ledger.read, ledger.written
            );
            found.add("ledger-unbalanced", MANIFEST, message, RESTORE);
        }
    }
}

/// Each shard's statement must name the shard's own bytes and the recipe, and hash to what the manifest says.
fn check_provenance(dataset: &Dataset, found: &mut Validation) {
    let path = &dataset.manifest.provenance.path;
    let Ok(text) = dataset.text(path) else { return };
    let mut hashes = Vec::new();
    let mut lines = text.lines();
    for shard in &dataset.manifest.shards {
        let hash = lines.next().and_then(|line| statement_hash(line, shard, &dataset.manifest));
        if hash.as_deref() != Some(shard.provenance.as_str()) {
            let message = format!("the statement for `{}` does not prove this shard", shard.path);
            found.add("provenance-mismatch", path.as_str(), message, RESTORE);
        }
        hashes.push(serde_json::Value::from(shard.provenance.as_str()));
    }
    let root = b3_of(canonical_json(&serde_json::Value::Array(hashes)).as_bytes());
    if root != dataset.manifest.provenance_root {
        let message = "provenance_root does not follow from the shards' statements".to_owned();
        found.add("provenance-mismatch", MANIFEST, message, RESTORE);
    }
}

/// The provenance hash of a statement about `shard`; `None` when it is about something else, or names another recipe.
fn statement_hash(line: &str, shard: &ShardEntry, manifest: &Manifest) -> Option<String> {
    let statement: serde_json::Value = serde_json::from_str(line).ok()?;
    let subject = statement.get("subject")?;
    let digest = subject.get(0)?.get("digest")?;
    let names_shard = subject.get(0)?.get("name")?.as_str() == Some(&shard.path)
        && digest.get("blake3")?.as_str() == Some(&shard.b3)
        && digest.get("sha256").and_then(serde_json::Value::as_str) == shard.sha256.as_deref();
    let definition = statement.get("predicate")?.get("buildDefinition")?;
    let recipe = definition.pointer("/externalParameters/recipe/digest/blake3");
    let names_recipe = manifest.recipe_file.as_ref().is_none_or(|it| recipe.is_some_and(|b3| *b3 == it.b3));
    let hashed = serde_json::json!({"subject": subject, "buildDefinition": definition});
    (names_shard && names_recipe).then(|| b3_of(canonical_json(&hashed).as_bytes()))
}

fn read_schema(dataset: &Dataset, found: &mut Validation) -> Option<Schema> {
    let path = &dataset.manifest.schema.path;
    let text = dataset.text(path).ok()?;
    match Schema::from_json(&text) {
        Ok(schema) => Some(schema),
        Err(mistakes) => {
            for mistake in mistakes {
                found.add("schema-malformed", path.as_str(), mistake.to_string(), RESTORE);
            }
            None
        }
    }
}

/// Row counts and column types of every shard. Returns the streams by the position of the shard.
fn check_footers(
    dataset: &Dataset,
    schema: Option<&Schema>,
    found: &mut Validation,
) -> BTreeMap<String, StreamSchema> {
    let mut streams = BTreeMap::new();
    for shard in &dataset.manifest.shards {
        let builder = match dataset.parquet(&shard.path) {
            Ok(opened) => opened.builder,
            Err(err) => {
                found.add("unreadable-shard", shard.path.as_str(), err.chain(), RESTORE);
                continue;
            }
        };
        let n_rows = builder.metadata().file_metadata().num_rows();
        found.rows += u64::try_from(n_rows).unwrap_or(0);
        if u64::try_from(n_rows) != Ok(shard.rows) {
            let message = format!("{n_rows} rows, but the manifest says {}", shard.rows);
            found.add("row-count", shard.path.as_str(), message, RESTORE);
        }
        match dataset.stream_of(shard, builder.schema()) {
            Ok(stream) => {
                if let Some(schema) = schema {
                    let result =
                        nodedata_schema::check_arrow(schema, &shard.stream, stream.kind, builder.schema());
                    for violation in result.err().unwrap_or_default() {
                        let hint = "change schema.json or convert again; shards are never edited";
                        found.add("schema-mismatch", shard.path.as_str(), violation.to_string(), hint);
                    }
                }
                streams.insert(shard.stream.clone(), stream);
            }
            Err(err) => found.add("unreadable-shard", shard.path.as_str(), err.chain(), RESTORE),
        }
    }
    streams
}

/// The index must place every row of every shard in exactly one episode.
fn check_index(dataset: &Dataset, found: &mut Validation) {
    let entries = match dataset.episodes() {
        Ok(entries) => entries,
        Err(err) => {
            found.add("unreadable-index", "index/episodes.parquet", err.chain(), RESTORE);
            return;
        }
    };
    let mut next_row = vec![0u64; dataset.manifest.shards.len()];
    for entry in entries.iter().filter(|it| it.stream.is_some()) {
        let expected = next_row.get_mut(entry.shard);
        let fits = expected.as_ref().is_some_and(|it| **it == entry.row);
        if !fits {
            let message =
                format!("episode {} does not follow the rows before it in its shard", entry.episode);
            found.add("index-mismatch", "index/episodes.parquet", message, RESTORE);
        }
        if let Some(next) = expected {
            *next = entry.row + entry.n_rows;
        }
    }
    for (shard, covered) in dataset.manifest.shards.iter().zip(next_row) {
        if covered != shard.rows {
            let message = format!("the index places {covered} of the {} rows", shard.rows);
            found.add("index-mismatch", shard.path.as_str(), message, RESTORE);
        }
    }
}
