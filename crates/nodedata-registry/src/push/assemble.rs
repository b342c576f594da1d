use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result, suggest};
use semver::Version;

use crate::{
    content::BumpKind,
    digest::B3,
    folder::{Draft, Origin},
    hashing::blob_of,
    push::{
        BumpRequest, PushOptions,
        build::without_excluded,
        facts::{Said, check_public, checked},
        recount::recount_card,
        warnings::warnings,
    },
    record::{
        BlobRef, Bump, BumpProof, FileRef, RevisionManifest, SHARDS_INLINE_MAX, SchemaRef, Sensitivity,
        SplitRef, Visibility,
    },
    revision::Revision,
    state::DatasetState,
    tables::write_shards,
    trust::merkle_root,
};

/// A revision that only needs its blobs sent and its record written.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) manifest: RevisionManifest,
    /// The manifest's own bytes.
    pub(crate) blob: BlobRef,
    pub(crate) bump: Bump,
    /// Every blob it names, and itself.
    pub(crate) blobs: Vec<BlobRef>,
    pub(crate) sources: BTreeMap<B3, Origin>,
    /// Whether the head says the same already.
    pub(crate) is_unchanged: bool,
    /// What should be known before it is published.
    pub(crate) warnings: Vec<String>,
}

/// Makes the manifest of `draft` as the revision after `head`.
///
/// # Errors
/// `Config` for facts that cannot be, and a number that claims less than the content proves; `Denied` for
/// a public dataset without what that needs.
pub(crate) fn assemble(
    mut draft: Draft,
    options: &PushOptions,
    said: &Said,
    state: Option<&DatasetState>,
    head: Option<&Revision>,
) -> Result<Assembled> {
    let splits = splits(&draft, options, head)?;
    recount_card(&mut draft, head, &splits)?;
    let is_excluded =
        |split: &str, key: &str| splits.get(split).is_some_and(|it| it.exclude.iter().any(|it| it == key));
    let contents = without_excluded(&draft.contents, is_excluded);
    let mut manifest = describe(&mut draft, options, said, state, head, splits)?;
    manifest.content_root = contents.root();
    let is_unchanged = head.is_some_and(|it| says_the_same(it.manifest(), &manifest));
    let published = head.filter(|_| !is_unchanged).map(Revision::contents).transpose()?;
    let bump = match (head, &published) {
        (Some(head), None) => {
            manifest.revision.clone_from(&head.manifest().revision);
            contents.compare(&contents).bump(BumpKind::Patch)
        }
        (Some(_), Some(published)) => {
            let comparison = published.compare(&contents);
            let (number, kind) = number(&options.bump, comparison.kind(), state)?;
            manifest.revision = number.to_string();
            comparison.bump(kind)
        }
        (None, _) => {
            manifest.revision = first_number(&options.bump).to_string();
            let proof = BumpProof { added: contents.episodes().len() as u64, ..BumpProof::default() };
            Bump { kind: "first".to_owned(), proof }
        }
    };
    let mut warnings = warnings(&manifest, &contents, head.zip(published.as_ref()));
    warnings.append(&mut draft.warnings);
    let bytes = manifest.to_bytes()?;
    let blob = blob_of(&bytes);
    let mut blobs = manifest.blobs();
    if manifest.shard_table.is_some() {
        blobs.extend(draft.shards.iter().map(|it| it.blob.clone()));
    }
    blobs.push(blob.clone());
    let mut seen = BTreeSet::new();
    blobs.retain(|it| seen.insert(it.b3));
    let mut sources = draft.sources;
    sources.insert(blob.b3, Origin::Memory(Bytes::from(bytes)));
    Ok(Assembled { manifest, blob, bump, blobs, sources, is_unchanged, warnings })
}

/// The manifest without its number and content hash.
fn describe(
    draft: &mut Draft,
    options: &PushOptions,
    said: &Said,
    state: Option<&DatasetState>,
    head: Option<&Revision>,
    splits: BTreeMap<String, SplitRef>,
) -> Result<RevisionManifest> {
    let facts = checked(&options.facts)?.or(&said.facts);
    let (visibility, sensitivity) = declared(options, state)?;
    check_public(visibility, &sensitivity, facts.license.as_deref())?;
    let shard_table = shard_table(draft)?;
    Ok(RevisionManifest {
        nd: "revision/1".to_owned(),
        dataset: options.dataset.clone(),
        revision: String::new(),
        parents: head.map(Revision::digest).into_iter().collect(),
        content_root: B3([0; 32]),
        provenance_root: merkle_root(&draft.shards.iter().map(|it| it.provenance).collect::<Vec<_>>()),
        title: facts.title,
        license: facts.license,
        price: facts.price,
        modality: facts.modality.unwrap_or_default(),
        tags: facts.tags.unwrap_or_default(),
        robot: facts.robot.unwrap_or_default(),
        readme: file(draft, "readme")?,
        schema: SchemaRef { mode: draft.schema_mode.clone(), file: file(draft, "schema")? },
        splits,
        index: index(draft),
        files: other_files(draft),
        n_shards: draft.shards.len() as u64,
        shard_bytes: draft.shards.iter().map(|it| it.blob.bytes).sum(),
        shards: if shard_table.is_some() { Vec::new() } else { draft.shards.clone() },
        shard_table,
        sensitivity,
        use_terms: head.and_then(|it| it.manifest().use_terms.clone()),
        created_by: [("tool".to_owned(), nodedata_dataset::created_by())].into(),
    })
}

/// What the dataset is declared as, or will be when it is created.
fn declared(options: &PushOptions, state: Option<&DatasetState>) -> Result<(Visibility, Sensitivity)> {
    let Some(state) = state else {
        let visibility = options.visibility.unwrap_or(Visibility::Private);
        return Ok((visibility, options.sensitivity.clone().unwrap_or_default()));
    };
    let is_other = options.visibility.is_some_and(|it| it != state.visibility)
        || options.sensitivity.as_ref().is_some_and(|it| *it != state.sensitivity);
    if is_other {
        let message = format!("{} is declared otherwise already", options.dataset);
        return Err(Error::new(ErrorKind::Config, message)
            .with_hint("change it with `node-data dataset declare`, then push"));
    }
    Ok((state.visibility, state.sensitivity.clone()))
}

/// The table of shards when there are too many for the manifest.
fn shard_table(draft: &mut Draft) -> Result<Option<BlobRef>> {
    if draft.shards.len() <= SHARDS_INLINE_MAX {
        return Ok(None);
    }
    let bytes = write_shards(&draft.shards)?;
    let blob = blob_of(&bytes);
    draft.sources.insert(blob.b3, Origin::Memory(Bytes::from(bytes)));
    Ok(Some(blob))
}

fn file(draft: &Draft, role: &str) -> Result<FileRef> {
    draft
        .role(role)
        .cloned()
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("the dataset has no {role}")))
}

fn index(draft: &Draft) -> BTreeMap<String, FileRef> {
    let is_index = |role: &str| !matches!(role, "readme" | "schema" | "provenance" | "manifest");
    let names = draft.roles.keys().filter(|it| is_index(it));
    names.filter_map(|name| Some((name.clone(), draft.role(name)?.clone()))).collect()
}

fn other_files(draft: &Draft) -> Vec<FileRef> {
    let mut named: BTreeSet<&str> =
        index(draft).keys().filter_map(|it| draft.roles.get(it)).map(String::as_str).collect();
    named.extend(["readme", "schema"].iter().filter_map(|it| draft.roles.get(*it)).map(String::as_str));
    let mut files: Vec<FileRef> =
        draft.files.iter().filter(|it| !named.contains(it.path.as_str())).cloned().collect();
    files.sort();
    files
}

/// The splits with what is left out of them.
fn splits(
    draft: &Draft,
    options: &PushOptions,
    head: Option<&Revision>,
) -> Result<BTreeMap<String, SplitRef>> {
    let mut splits = draft.splits.clone();
    let published = head.map(|it| it.manifest().splits.values().flat_map(|it| &it.exclude));
    let mut excluded: BTreeSet<&String> = published.into_iter().flatten().collect();
    excluded.extend(&options.exclude);
    for key in &options.include {
        if !excluded.remove(key) {
            let left_out = excluded.iter().map(|it| it.as_str());
            return Err(Error::new(ErrorKind::Config, format!("episode `{key}` is not left out"))
                .with_hint(suggest(key, left_out)));
        }
    }
    let has = |key: &String| draft.contents.0.keys().any(|it| it.key == *key);
    if let Some(unknown) = options.exclude.iter().find(|it| !has(it)) {
        let keys = draft.contents.0.keys().map(|it| it.key.as_str());
        return Err(Error::new(ErrorKind::Config, format!("there is no episode `{unknown}`"))
            .with_hint(format!("{}; episodes are named by their key", suggest(unknown, keys))));
    }
    for (name, split) in &mut splits {
        let mut keys = BTreeSet::new();
        for (id, content) in draft.contents.0.iter().filter(|(id, _)| id.split == *name) {
            if excluded.contains(&id.key) {
                split.frames = split.frames.saturating_sub(content.rows);
                keys.insert(id.key.clone());
            }
        }
        split.episodes = split.episodes.saturating_sub(keys.len() as u64);
        split.exclude = keys.into_iter().collect();
    }
    Ok(splits)
}

/// Whether two manifests differ in nothing but number, parents, tool, and how long a conversion took.
fn says_the_same(published: &RevisionManifest, new: &RevisionManifest) -> bool {
    let mut new = new.clone();
    new.revision.clone_from(&published.revision);
    new.parents.clone_from(&published.parents);
    new.created_by.clone_from(&published.created_by);
    let mut published = published.clone();
    for it in [&mut new, &mut published] {
        it.files.retain(|it| it.path != "report.json");
    }
    new == published
}

fn first_number(bump: &BumpRequest) -> Version {
    match bump {
        BumpRequest::Exact(version) => version.clone(),
        BumpRequest::Auto | BumpRequest::Kind(_) => Version::new(1, 0, 0),
    }
}

/// The number after the highest there is. What it claims must not be less than what is proved.
fn number(bump: &BumpRequest, proved: BumpKind, state: Option<&DatasetState>) -> Result<(Version, BumpKind)> {
    let all = state.iter().flat_map(|it| &it.revisions).filter_map(|it| Version::parse(&it.revision).ok());
    let highest = all.max().unwrap_or(Version::new(0, 0, 0));
    let (number, claimed) = match bump {
        BumpRequest::Auto => (proved.next(&highest), proved),
        BumpRequest::Kind(kind) => (kind.next(&highest), *kind),
        BumpRequest::Exact(version) => (version.clone(), BumpKind::claimed(&highest, version)),
    };
    if number <= highest {
        return Err(Error::new(
            ErrorKind::Config,
            format!("{number} is not higher than {highest}, which is published"),
        )
        .with_hint("leave the number to `--bump auto`"));
    }
    if claimed < proved {
        let message = format!(
            "{number} claims a {} change, but the content proves a {} one",
            claimed.name(),
            proved.name()
        );
        return Err(Error::new(ErrorKind::Config, message).with_hint(format!(
            "use `--bump {}` or `--bump auto`; `--dry-run` says what changed",
            proved.name()
        )));
    }
    Ok((number, claimed))
}
