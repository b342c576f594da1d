//! Removing data for good: the episodes that a dataset leaves out, or a revision that was withdrawn.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Progress, Result};
use serde::{Deserialize, Serialize};

use crate::{
    changes::{change, withdraw},
    content::Contents,
    digest::B3,
    folder::EpisodeKeys,
    name::DatasetName,
    push::{PushOptions, push},
    record::Operation,
    remote::Remote,
    revision::Revision,
    state::{DatasetState, RevisionEntry},
};

/// What is purged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeOptions {
    /// Of which dataset.
    pub dataset: DatasetName,
    /// A revision that was withdrawn. Absent: the episodes that the newest revision leaves out.
    pub revision: Option<String>,
    /// Who asks for it.
    pub author: String,
    /// Why, for those who look for what is gone.
    pub reason: String,
    /// Only says what would be removed.
    pub dry_run: bool,
}

/// What became of a purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PurgeReport {
    /// The dataset.
    pub dataset: DatasetName,
    /// The revision that holds what stays; absent for a plan, and where a whole revision was purged.
    pub revision: Option<String>,
    /// Revisions that are purged now: their manifests stay, and tell that they are.
    pub revisions: Vec<String>,
    /// Episodes whose rows are gone.
    pub episodes: u64,
    /// Blobs that the tombstone names.
    pub blobs: Vec<B3>,
    /// Of all that the dataset ever purged: blobs that were removed now.
    pub removed: Vec<B3>,
    /// Bytes of them.
    pub removed_bytes: u64,
    /// Blobs that are purged here, and still there because something else needs them.
    pub still_there: Vec<StillThere>,
    /// Whether it was only a plan.
    pub dry_run: bool,
}

/// A purged blob that something else needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StillThere {
    /// Which.
    pub blob: B3,
    /// Revisions of other datasets, `owner/name@1.2.0`, and pushes under way.
    pub needed_by: Vec<String>,
}

/// What a registry removed of the blobs that a dataset has purged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Blobs that are gone now.
    pub removed: Vec<B3>,
    /// Bytes of them.
    pub removed_bytes: u64,
    /// Blobs that something else needs.
    pub still_there: Vec<StillThere>,
}

/// Removes for good what nobody may use any more. Of episodes that the newest revision leaves out, a revision without their rows is
/// published first; then every revision that holds them is withdrawn, a tombstone names it and the blobs that no other revision of
/// the dataset needs, and these are removed from the registry. What of them other datasets or pushes under way need stays, and is
/// told. Killed anywhere, the same call goes on from there.
///
/// `scratch` is an empty folder for shards that are written again.
///
/// # Errors
/// `Config` when there is nothing to purge, and for a revision that is not withdrawn; `Conflict` when somebody takes the episodes in
/// again meanwhile; `Interrupted` when `progress` says to stop; otherwise as [`push`](crate::push()) and [`change`].
pub fn purge(
    remote: &Arc<dyn Remote>,
    options: &PurgeOptions,
    scratch: &Path,
    progress: &dyn Progress,
) -> Result<PurgeReport> {
    let state = DatasetState::open(&**remote, &options.dataset)?;
    // Under the name that it has now.
    let options = &PurgeOptions { dataset: state.dataset.clone(), ..options.clone() };
    let mut report = PurgeReport {
        dataset: options.dataset.clone(),
        revision: None,
        revisions: Vec::new(),
        episodes: 0,
        blobs: Vec::new(),
        removed: Vec::new(),
        removed_bytes: 0,
        still_there: Vec::new(),
        dry_run: options.dry_run,
    };
    let plan = match &options.revision {
        Some(revision) => Plan::of_revision(&state, revision)?,
        None => Plan::of_episodes(remote, &state)?,
    };
    if let Some(mut plan) = plan {
        report.episodes = plan.gone.len();
        let mut state = state;
        if !options.dry_run && !plan.gone.is_empty() {
            let rewritten = PushOptions {
                rewrite: Some(scratch.to_owned()),
                op_id: Some(purge_id(&plan.base)),
                ..PushOptions::new(options.dataset.clone(), Vec::new(), &options.author)
            };
            report.revision = Some(push(remote, &rewritten, progress)?.revision);
            state = DatasetState::open(&**remote, &options.dataset)?;
        }
        if !plan.gone.is_empty() {
            // Now: what others published until then may hold the rows, too.
            plan.revisions = plan.holding(remote, &state)?;
        }
        report.revisions.clone_from(&plan.revisions);
        report.blobs = plan.blobs(remote, &state, options.dry_run)?;
        if !options.dry_run {
            plan.record(remote, options, &state, &report.blobs)?;
        }
    } else if options.dry_run || state.purged.is_empty() {
        return Err(nothing(&state));
    }
    if !options.dry_run {
        let removal = remote.remove_purged(&options.dataset)?;
        report.removed = removal.removed;
        report.removed_bytes = removal.removed_bytes;
        report.still_there = removal.still_there;
    }
    Ok(report)
}

fn nothing(state: &DatasetState) -> Error {
    let message = format!("no episode of {} is left out, so there is nothing to purge", state.dataset);
    Error::new(ErrorKind::Config, message).with_hint(
        "leave episodes out with `node-data dataset withdraw --episodes …`, or name a revision that was withdrawn",
    )
}

/// The operation that publishes what stays of a revision: tells a later call that it was done.
fn purge_id(base: &B3) -> String {
    // As short as servers take names of pushes.
    format!("purge-{:.32}", base.hex())
}

/// What is to be purged.
struct Plan {
    /// The manifest that leaves the episodes out.
    base: B3,
    gone: EpisodeKeys,
    /// What their rows are.
    hashes: BTreeSet<(String, B3)>,
    /// Revisions that hold them.
    revisions: Vec<String>,
}

impl Plan {
    /// One revision as a whole; `None` when it is purged already.
    fn of_revision(state: &DatasetState, revision: &str) -> Result<Option<Self>> {
        let entry = state.revision(revision).ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("{} has no revision {revision}", state.dataset))
                .with_hint("`node-data dataset log` lists its revisions")
        })?;
        if entry.purged.is_some() {
            return Ok(None);
        }
        if entry.withdrawn.is_none() {
            let message = format!("{} {revision} is not withdrawn, so somebody may use it", state.dataset);
            return Err(Error::new(ErrorKind::Config, message).with_hint(format!(
                "`node-data dataset withdraw {}@{revision} --reason …` first",
                state.dataset
            )));
        }
        Ok(Some(Self {
            base: entry.manifest,
            gone: EpisodeKeys::default(),
            hashes: BTreeSet::new(),
            revisions: vec![revision.to_owned()],
        }))
    }

    /// The episodes that the newest revision leaves out, or those that a purge that was killed was about to remove; `None` when
    /// there are none.
    fn of_episodes(remote: &Arc<dyn Remote>, state: &DatasetState) -> Result<Option<Self>> {
        let begun = |it: &&RevisionEntry| {
            it.purged.is_none() && state.revisions.iter().any(|other| other.op_id == purge_id(&it.manifest))
        };
        let Some(base) = state.revisions.iter().find(begun).or(state.head()) else { return Ok(None) };
        let opened = Revision::open(remote, &state.dataset, base)?;
        let gone = EpisodeKeys::left_out(opened.manifest());
        if gone.is_empty() {
            return Ok(None);
        }
        let hashes = hashes_of(&opened.all_contents()?, |split, key| gone.has(split, key));
        Ok(Some(Self { base: base.manifest, gone, hashes, revisions: Vec::new() }))
    }

    /// Revisions that hold rows of the episodes, up to the one that was published without them: what came behind it holds the
    /// same rows only where an episode that stays does.
    fn holding(&self, remote: &Arc<dyn Remote>, state: &DatasetState) -> Result<Vec<String>> {
        let own = purge_id(&self.base);
        let before = state.revisions.iter().take_while(|it| it.op_id != own);
        let mut revisions = Vec::new();
        for entry in before.filter(|it| it.purged.is_none()) {
            let contents = Revision::open(remote, &state.dataset, entry)?.all_contents()?;
            // The one that leaves them out always is, also where they have no rows: else the purge would never end.
            if entry.manifest == self.base || !hashes_of(&contents, |_, _| true).is_disjoint(&self.hashes) {
                revisions.push(entry.revision.clone());
            }
        }
        Ok(revisions)
    }

    /// Blobs of the purged revisions that no other of the dataset needs; manifests stay.
    fn blobs(&self, remote: &Arc<dyn Remote>, state: &DatasetState, is_plan: bool) -> Result<Vec<B3>> {
        let (mut purged, mut needed) = (BTreeSet::new(), BTreeSet::new());
        for entry in state.revisions.iter().filter(|it| it.purged.is_none()) {
            needed.insert(entry.manifest);
            let revision = Revision::open(remote, &state.dataset, entry)?;
            let blobs = revision.blobs()?.into_iter().map(|it| it.b3);
            if self.revisions.contains(&entry.revision) {
                purged.extend(blobs);
            } else {
                needed.extend(blobs);
            }
            if is_plan && entry.manifest == self.base && !self.gone.is_empty() {
                // What is published first keeps the shards that lose nothing.
                let touched = self.gone.touched(&revision)?;
                let kept = revision.shards()?.iter().enumerate().filter(|(idx, _)| !touched.contains(idx));
                needed.extend(kept.map(|(_, it)| it.blob.b3));
            }
        }
        needed.extend(state.attachments.iter().map(|it| it.blob.b3));
        needed.extend(state.readme.iter().map(|it| it.b3));
        let gates = state.declarations.iter().filter_map(|it| it.sensitivity.gate.as_ref());
        needed.extend(gates.filter_map(|it| it.policy));
        Ok(purged.difference(&needed).copied().collect())
    }

    /// Nobody is to use the revisions any more, and a tombstone says what is gone.
    fn record(
        &self,
        remote: &Arc<dyn Remote>,
        options: &PurgeOptions,
        state: &DatasetState,
        blobs: &[B3],
    ) -> Result<()> {
        let reason = format!("purged: {}", options.reason);
        for revision in &self.revisions {
            if state.revision(revision).is_some_and(|it| it.withdrawn.is_none()) {
                withdraw(&**remote, &options.dataset, &options.author, revision, &reason)?;
            }
        }
        change(&**remote, &options.dataset, &options.author, &|_| {
            Ok(Operation::Purge {
                blobs: blobs.to_vec(),
                revisions: self.revisions.clone(),
                reason: options.reason.clone(),
            })
        })
        .map(drop)
    }
}

/// What rows are, by stream: the same data has the same hash under whatever key it was published.
fn hashes_of(contents: &Contents, wanted: impl Fn(&str, &str) -> bool) -> BTreeSet<(String, B3)> {
    let wanted = contents.0.iter().filter(|(id, it)| it.rows > 0 && wanted(&id.split, &id.key));
    wanted.map(|(id, it)| (id.stream.clone(), it.hash)).collect()
}

/// As a report tells it.
pub(crate) fn still_there(needed: BTreeMap<B3, BTreeSet<String>>) -> Vec<StillThere> {
    let one = |(blob, by): (B3, BTreeSet<String>)| StillThere { blob, needed_by: by.into_iter().collect() };
    needed.into_iter().map(one).collect()
}
