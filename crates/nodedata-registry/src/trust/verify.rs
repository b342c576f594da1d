use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nodedata_core::{ErrorKind, ReadAt as _, Result};
use nodedata_dataset::canonical_json;
use semver::Version;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    attach::DOCUMENT_BYTES_MAX,
    blob_reader::BlobReader,
    content::BumpKind,
    digest::B3,
    layout,
    name::DatasetName,
    record::{AttachmentKind, BlobRef, ShardRef},
    remote::Remote,
    revision::Revision,
    state::{DatasetState, RevisionEntry, hint_flaw},
    trust::{
        blobs::Blobs,
        dsse::{RevisionStatement, verify_revision},
        key::PublicKey,
        merkle::merkle_root,
        rows::found_rows,
        sample::ByteSample,
    },
};

/// What is held against a revision.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyOptions<'a> {
    /// Keys whose signatures count. With any, one of them must have signed.
    pub trusted: &'a [PublicKey],
    /// Which bytes are read. Of the rest only whether each blob is there, as long as it should be.
    pub sample: ByteSample,
}

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Which dataset.
    pub dataset: DatasetName,
    /// Which revision.
    pub revision: String,
    /// Its manifest.
    pub manifest: B3,
    /// Blobs it names.
    pub blobs: u64,
    /// Bytes that were read and hashed.
    pub bytes: u64,
    /// Bytes of all blobs it names, of which those are a part.
    pub total_bytes: u64,
    /// Shards whose provenance is proved.
    pub proved_shards: u64,
    /// Episodes of each stream whose content hash was made again from their rows.
    pub episodes: u64,
    /// Signatures that are there, whoever made them.
    pub signatures: u64,
    /// Trusted keys that signed it.
    pub signed_by: Vec<String>,
    /// What is wrong; empty for a sound revision.
    pub findings: Vec<VerifyFinding>,
}

/// One thing that is wrong with a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyFinding {
    /// Stable short name, such as `damaged-blob`.
    pub code: &'static str,
    /// What was found, and what was expected.
    pub message: String,
    /// Where.
    pub at: String,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn add(&mut self, code: &'static str, at: impl Into<String>, message: impl Into<String>) {
        self.findings.push(VerifyFinding { code, message: message.into(), at: at.into() });
    }
}

/// Checks a revision from the log down: the chain of records, the manifest, every blob by both hashes, the
/// provenance of every shard and its root, the content hashes of its tables against its rows, that its number claims no less than
/// they prove, and the signatures. Of a sample of the bytes, grains of shards are held against BLAKE3 alone, and rows against nothing:
/// SHA-256 and content hashes are those of whole shards.
///
/// # Errors
/// `Corrupt` when log or manifest cannot be read at all, `Io`, `Denied`. What is wrong below is in the findings.
pub fn verify_published(
    remote: &Arc<dyn Remote>,
    dataset: &DatasetName,
    entry: &RevisionEntry,
    options: &VerifyOptions<'_>,
) -> Result<Verification> {
    let mut found = Verification {
        dataset: dataset.clone(),
        revision: entry.revision.clone(),
        manifest: entry.manifest,
        blobs: 0,
        bytes: 0,
        total_bytes: 0,
        proved_shards: 0,
        episodes: 0,
        signatures: 0,
        signed_by: Vec::new(),
        findings: Vec::new(),
    };
    let state = DatasetState::replay(&**remote, dataset)?;
    if let Some(hint) = remote.read_hint(dataset)?
        && let Some(why) = hint_flaw(&**remote, dataset, &remote.log(dataset, 0)?, &hint)
    {
        found.add("hint-mismatch", layout::head(dataset), why);
    }
    if state.revision(&entry.revision).map(|it| it.manifest) != Some(entry.manifest) {
        let message = "the log publishes another manifest under this number";
        found.add("log-mismatch", format!("record {}", entry.seq), message);
    }
    let revision = Revision::open(remote, dataset, entry)?;
    let manifest = revision.manifest();
    let is_its = manifest.dataset == *dataset || state.former_names.contains(&manifest.dataset);
    if !is_its || manifest.revision != entry.revision {
        let message = format!("the manifest is of {}@{}", manifest.dataset, manifest.revision);
        found.add("manifest-mismatch", entry.manifest.to_string(), message);
    }
    let blobs = Blobs { remote, dataset, sample: &options.sample, manifest: &entry.manifest };
    let shards: BTreeSet<B3> = revision.shards()?.iter().map(|it| it.blob.b3).collect();
    for blob in unique(revision.blobs()?) {
        blobs.check(&blob, shards.contains(&blob.b3), &mut found)?;
    }
    check_provenance(&revision, &mut found)?;
    // Rows of other bytes than were published prove nothing.
    let is_other = |it: &VerifyFinding| matches!(it.code, "missing-blob" | "damaged-blob");
    if options.sample.is_all() && !found.findings.iter().any(is_other) {
        check_rows(&revision, &mut found)?;
    }
    check_number(remote, &state, entry, &revision, &mut found)?;
    check_signatures(remote, &state, entry, options.trusted, &mut found)?;
    Ok(found)
}

fn unique(blobs: Vec<BlobRef>) -> Vec<BlobRef> {
    let by_digest: BTreeMap<B3, BlobRef> = blobs.into_iter().map(|it| (it.b3, it)).collect();
    by_digest.into_values().collect()
}

/// Each shard's statement must name the shard's own bytes and hash to what the manifest says, and all of them
/// to the root.
fn check_provenance(revision: &Revision, found: &mut Verification) -> Result<()> {
    let shards = revision.shards()?;
    let leaves: Vec<B3> = shards.iter().map(|it| it.provenance).collect();
    if revision.manifest().provenance_root != merkle_root(&leaves) {
        let message = "provenance_root does not follow from the provenance of the shards";
        found.add("provenance-root", revision.digest().to_string(), message);
    }
    let file = revision.manifest().files.iter().find(|it| it.path == "provenance.jsonl");
    let Some(file) = file else {
        found.add("missing-provenance", "provenance.jsonl", "the revision has no statements");
        return Ok(());
    };
    let bytes = match revision.read(&file.blob) {
        Ok(bytes) => bytes,
        // Told as a damaged blob already.
        Err(err) if err.kind() == ErrorKind::Corrupt => return Ok(()),
        Err(err) => return Err(err),
    };
    let text = String::from_utf8_lossy(&bytes);
    let statements: BTreeMap<String, Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|it| Some((it.pointer("/subject/0/digest/blake3")?.as_str()?.to_owned(), it)))
        .collect();
    for shard in shards {
        match statements.get(&shard.blob.b3.hex()).map(|it| proves(it, shard)) {
            Some(true) => found.proved_shards += 1,
            Some(false) => {
                found.add(
                    "provenance-mismatch",
                    shard.path.as_str(),
                    "its statement is not the one that was published",
                );
            }
            None => found.add("provenance-mismatch", shard.path.as_str(), "no statement names it"),
        }
    }
    Ok(())
}

/// What the tables of a revision say of its rows, and what its manifest says of its tables.
fn check_rows(revision: &Revision, found: &mut Verification) -> Result<()> {
    let (stated, rows) = match (revision.all_contents(), found_rows(revision)) {
        (Ok(stated), Ok(rows)) => (stated, rows),
        (Err(err), _) | (_, Err(err)) if err.kind() == ErrorKind::Corrupt => {
            found.add("unreadable-rows", err.locus().to_string(), err.chain());
            return Ok(());
        }
        (Err(err), _) | (_, Err(err)) => return Err(err),
    };
    for (at, message) in rows.misplaced {
        found.add("index-mismatch", at, message);
    }
    found.episodes = rows.contents.0.len() as u64;
    for (id, stated) in &stated.0 {
        let is_same = rows.contents.0.get(id).is_some_and(|it| {
            let has_features = stated.features.is_empty() || it.features == stated.features;
            it.hash == stated.hash && it.rows == stated.rows && has_features
        });
        if !is_same {
            let message = "its rows have another content hash than the index says";
            found.add("content-mismatch", format!("{}/{} {}", id.split, id.stream, id.key), message);
        }
    }
    if revision.contents()?.root() != revision.manifest().content_root {
        let message = "content_root does not follow from the index of episodes";
        found.add("content-root", revision.digest().to_string(), message);
    }
    Ok(())
}

/// Whether the number of a revision claims less than its content proves, held against the one it follows.
fn check_number(
    remote: &Arc<dyn Remote>,
    state: &DatasetState,
    entry: &RevisionEntry,
    revision: &Revision,
    found: &mut Verification,
) -> Result<()> {
    let follows = |it: &&RevisionEntry| revision.manifest().parents.contains(&it.manifest);
    let Some(parent) = state.revisions.iter().find(follows) else { return Ok(()) };
    let versions = (Version::parse(&parent.revision), Version::parse(&entry.revision));
    let (Ok(before), Ok(number)) = versions else { return Ok(()) };
    let old = Revision::open(remote, &state.dataset, parent).and_then(|it| it.contents());
    let proved = match (old, revision.contents()) {
        (Ok(old), Ok(new)) => old.compare(&new).kind(),
        // Told of the revision that is damaged, when that is verified.
        (Err(err), _) | (_, Err(err)) if err.kind() == ErrorKind::Corrupt => return Ok(()),
        (Err(err), _) | (_, Err(err)) => return Err(err),
    };
    let claimed = BumpKind::claimed(&before, &number);
    if claimed < proved {
        let message = format!(
            "it claims a {} change after {before}, but the content proves a {} one",
            claimed.name(),
            proved.name()
        );
        found.add("number-mismatch", entry.revision.as_str(), message);
    }
    Ok(())
}

fn proves(statement: &Value, shard: &ShardRef) -> bool {
    let (Some(subject), Some(definition)) =
        (statement.get("subject"), statement.pointer("/predicate/buildDefinition"))
    else {
        return false;
    };
    // A conversion names its shards by BLAKE3 alone; the caller found the statement by it.
    let sha256 = subject.pointer("/0/digest/sha256").and_then(Value::as_str);
    if sha256.is_some_and(|it| it != shard.blob.sha256) || has_float(statement) {
        return false;
    }
    let hashed = json!({"subject": subject, "buildDefinition": definition});
    B3::of(canonical_json(&hashed).as_bytes()) == shard.provenance
}

/// Hashed records hold none; one from elsewhere must not stop us.
fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_float),
        Value::Object(entries) => entries.values().any(has_float),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

fn check_signatures(
    remote: &Arc<dyn Remote>,
    state: &DatasetState,
    entry: &RevisionEntry,
    trusted: &[PublicKey],
    found: &mut Verification,
) -> Result<()> {
    // A signature names the dataset as it was called then.
    let about = |dataset: &DatasetName| RevisionStatement {
        dataset: dataset.clone(),
        revision: entry.revision.clone(),
        manifest: entry.manifest,
    };
    let abouts: Vec<_> = state.former_names.iter().rev().map(about).collect();
    let now = about(&state.dataset);
    let ours = state
        .attachments
        .iter()
        .filter(|it| it.kind == AttachmentKind::Signature && it.manifest == entry.manifest);
    for attachment in ours {
        found.signatures += 1;
        let at = format!("record {}", attachment.seq);
        if attachment.blob.bytes > DOCUMENT_BYTES_MAX {
            found.add("signature", at, "it is too long for a signature");
            continue;
        }
        let (b3, n_bytes) = (&attachment.blob.b3, attachment.blob.bytes);
        let read =
            BlobReader::open(remote, &state.dataset, b3, n_bytes).and_then(|it| it.read_at(0..n_bytes));
        let envelope = match read {
            Ok(envelope) => envelope,
            Err(err) if err.kind() == ErrorKind::Corrupt => {
                found.add("damaged-blob", at, err.chain());
                continue;
            }
            Err(err) => return Err(err),
        };
        let mut signed = verify_revision(&envelope, &now, trusted);
        for about in &abouts {
            signed = signed.or_else(|_| verify_revision(&envelope, about, trusted));
        }
        match signed {
            Ok(signed) => found.signed_by.push(signed.keyid),
            // Somebody else's signature harms nobody.
            Err(err) if err.kind() == ErrorKind::Corrupt => {}
            Err(err) => return Err(err),
        }
    }
    if !trusted.is_empty() && found.signed_by.is_empty() {
        let message = format!("none of the {} signatures is by a trusted key", found.signatures);
        found.add("signature", entry.revision.as_str(), message);
    }
    Ok(())
}
