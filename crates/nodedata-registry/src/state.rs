mod anchor;
mod hint;

use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Result, nearest, visible::visible};
use serde::{Deserialize, Serialize};

use crate::{
    digest::B3,
    gate::Standing,
    moves::{adopted, follow},
    name::DatasetName,
    record::{AttachmentKind, BlobRef, Bump, CommitRecord, Facts, Operation, Sensitivity, Visibility},
    remote::{LogEntry, Remote},
};

pub use anchor::Anchor;
pub(crate) use hint::hint_flaw;

/// The tag that every publish moves.
pub const LATEST: &str = "latest";

/// What the log of a dataset adds up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetState {
    nd: String,
    /// Which dataset.
    pub dataset: DatasetName,
    /// Number of the next record.
    pub next_seq: u64,
    /// Digest of the last record.
    pub last: B3,
    /// Who may see it.
    pub visibility: Visibility,
    /// What personal data it holds.
    pub sensitivity: Sensitivity,
    /// Everything that was declared of it, in order; the last holds now.
    pub declarations: Vec<Declaration>,
    /// What was said when it was created, for its first revision.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
    /// The card that it was created with, for revisions that bring none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readme: Option<BlobRef>,
    /// Its revisions, in the order they were published.
    pub revisions: Vec<RevisionEntry>,
    /// Where tags point.
    pub tags: BTreeMap<String, String>,
    /// Documents about revisions, in order.
    pub attachments: Vec<AttachmentEntry>,
    /// Blobs that were removed for good.
    pub purged: Vec<B3>,
    /// Names that it had before this one, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_names: Vec<DatasetName>,
    /// The name that it has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<DatasetName>,
    /// Why it is no more, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<String>,
    /// The number of each record by its operation.
    pub ops: BTreeMap<String, u64>,
}

/// What was declared of a dataset at one place of its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// Number of its record.
    pub seq: u64,
    /// Who may see it.
    pub visibility: Visibility,
    /// What personal data it holds.
    pub sensitivity: Sensitivity,
}

/// A published revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionEntry {
    /// SemVer number.
    pub revision: String,
    /// Number of its record, in the log of the name that the dataset had then.
    pub seq: u64,
    /// How many declarations were made before it.
    pub n_declared: u64,
    /// Its manifest.
    pub manifest: B3,
    /// How it differs from its parent.
    pub bump: Bump,
    /// Who published it.
    pub author: String,
    /// When.
    pub at: String,
    /// By which operation.
    pub op_id: String,
    /// Why it is no longer to be used, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// Why blobs of it were removed for good, when they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged: Option<String>,
}

/// A document about a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentEntry {
    /// What it is.
    pub kind: AttachmentKind,
    /// About which revision.
    pub revision: String,
    /// The revision's manifest.
    pub manifest: B3,
    /// The document.
    pub blob: BlobRef,
    /// Number of its record.
    pub seq: u64,
}

impl RevisionEntry {
    /// Refuses a revision of which blobs were removed for good.
    ///
    /// # Errors
    /// `Config`.
    pub fn check_there(&self, dataset: &DatasetName) -> Result<()> {
        match &self.purged {
            None => Ok(()),
            Some(why) => {
                let message = format!("{dataset} {} was purged: {}", self.revision, visible(why));
                Err(Error::new(ErrorKind::Config, message)
                    .with_hint("use a newer revision; `node-data dataset log` shows which there are"))
            }
        }
    }
}

impl DatasetState {
    /// The state of a dataset; `None` when there is none of that name. It is proved by the records: a snapshot is believed
    /// where a record commits to it, and the last record where it is what was anchored.
    ///
    /// # Errors
    /// `Corrupt` when the log breaks its own rules; `Io`, `Denied`.
    pub fn load(remote: &dyn Remote, dataset: &DatasetName) -> Result<Option<Self>> {
        if let Some(hinted) = Self::from_hint(remote, dataset)? {
            return Ok(Some(hinted));
        }
        Self::proved(remote, dataset, None)
    }

    /// The state from the whole log, without a snapshot. `kept` is what whoever asks has kept of it: a record that must be
    /// in it, just so.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn proved(remote: &dyn Remote, dataset: &DatasetName, kept: Option<&Anchor>) -> Result<Option<Self>> {
        // Before the log, which is no shorter then.
        let written = remote.read_anchor(dataset)?;
        let entries = remote.log(dataset, 0)?;
        let state = Self::of_entries(remote, dataset, &entries, 0)?;
        if let Some(state) = &state {
            written.iter().chain(kept).try_for_each(|it| it.hold(state, &entries))?;
        } else if let Some(kept) = kept {
            return Err(kept.missing(dataset));
        }
        Ok(state)
    }

    /// What records add up to, from the first on; `None` where there are none.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn of_entries(
        remote: &dyn Remote,
        dataset: &DatasetName,
        entries: &[LogEntry],
        hops: usize,
    ) -> Result<Option<Self>> {
        let Some((first, rest)) = entries.split_first() else { return Ok(None) };
        let mut state = match &first.record.op {
            Operation::Adopt { from, moved_at, last } => {
                let before = adopted(remote, dataset, from, *moved_at, last, hops)?;
                let mut former_names = before.former_names.clone();
                former_names.push(from.clone());
                // Numbers begin anew with the log.
                Self {
                    dataset: dataset.clone(),
                    next_seq: 1,
                    last: first.digest,
                    moved: None,
                    former_names,
                    ops: [(first.record.op_id.clone(), 0)].into(),
                    ..before
                }
            }
            _ => Self::begin(dataset, first)?,
        };
        rest.iter().try_for_each(|it| state.apply(it))?;
        Ok(Some(state))
    }

    /// As [`Self::open`], from the whole log: no hint is believed.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn replay(remote: &dyn Remote, dataset: &DatasetName) -> Result<Self> {
        Self::proved(remote, dataset, None)?.ok_or_else(|| missing(remote, dataset))
    }

    /// As [`Self::load`], for a dataset that must be there, under a name that it has or had: the state says which it has.
    ///
    /// # Errors
    /// `Config` when it is not, or is no more; otherwise as [`Self::load`].
    pub fn open(remote: &dyn Remote, dataset: &DatasetName) -> Result<Self> {
        let state = follow(remote, dataset)?.ok_or_else(|| missing(remote, dataset))?;
        state.check_not_deleted()?;
        Ok(state)
    }

    /// Refuses a dataset that is no more.
    ///
    /// # Errors
    /// `Config`.
    pub fn check_not_deleted(&self) -> Result<()> {
        match &self.deleted {
            None => Ok(()),
            Some(why) => {
                let message = format!("{} was deleted: {}", self.dataset, visible(why));
                Err(Error::new(ErrorKind::Config, message).with_hint("its name stays taken; use another one"))
            }
        }
    }

    /// Refuses to add to a log that ended meanwhile: what came behind a new name, or the end of the dataset, would break it.
    ///
    /// # Errors
    /// `Conflict` when the dataset got another name; `Config` when it was deleted.
    pub(crate) fn check_goes_on(&self) -> Result<()> {
        self.check_not_deleted()?;
        match &self.moved {
            None => Ok(()),
            Some(to) => {
                let message = format!("{} was renamed to {to} meanwhile", self.dataset);
                Err(Error::new(ErrorKind::Conflict, message).with_hint("try again; the old name leads there"))
            }
        }
    }

    fn begin(dataset: &DatasetName, first: &LogEntry) -> Result<Self> {
        let Operation::Create { visibility, sensitivity, facts, readme } = &first.record.op else {
            return Err(broken(dataset, 0, "the first record does not create the dataset"));
        };
        Ok(Self {
            nd: hint::VERSION.to_owned(),
            dataset: dataset.clone(),
            next_seq: 1,
            last: first.digest,
            visibility: *visibility,
            sensitivity: sensitivity.clone(),
            declarations: vec![Declaration {
                seq: 0,
                visibility: *visibility,
                sensitivity: sensitivity.clone(),
            }],
            facts: facts.as_deref().cloned().unwrap_or_default(),
            readme: readme.clone(),
            revisions: Vec::new(),
            tags: BTreeMap::new(),
            attachments: Vec::new(),
            purged: Vec::new(),
            former_names: Vec::new(),
            moved: None,
            deleted: None,
            ops: [(first.record.op_id.clone(), 0)].into(),
        })
    }

    /// Reads the records that came since.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn catch_up(&mut self, remote: &dyn Remote) -> Result<()> {
        remote.log(&self.dataset, self.next_seq)?.iter().try_for_each(|it| self.apply(it))
    }

    /// Takes in the next record.
    ///
    /// # Errors
    /// `Corrupt` when it is not the next one, or does what no record may do there.
    pub fn apply(&mut self, entry: &LogEntry) -> Result<()> {
        let record = &entry.record;
        let broken = |message: &str| broken(&self.dataset, record.seq, message);
        if record.seq != self.next_seq || record.prev != Some(self.last) {
            return Err(broken("the record does not follow the one before it"));
        }
        if !self.may_follow(&record.op) {
            return Err(broken("the dataset has another name, or is no more"));
        }
        match &record.op {
            Operation::Create { .. } | Operation::Adopt { .. } => {
                return Err(broken("the dataset is created twice"));
            }
            Operation::Move { to, .. } => self.moved = Some(to.clone()),
            Operation::Delete { reason } => self.deleted = Some(reason.clone()),
            Operation::Publish { revision, .. } => {
                if self.revision(revision).is_some() {
                    return Err(broken("the revision is published twice"));
                }
                self.publish(record);
            }
            Operation::Tag { tag, revision: Some(revision) } => {
                self.tags.insert(tag.clone(), revision.clone());
            }
            Operation::Tag { tag, revision: None } => {
                self.tags.remove(tag);
            }
            Operation::Attach { kind, revision, manifest, blob } => self.attachments.push(AttachmentEntry {
                kind: *kind,
                revision: revision.clone(),
                manifest: *manifest,
                blob: blob.clone(),
                seq: record.seq,
            }),
            Operation::Withdraw { revision, reason } => {
                let entry = self.revisions.iter_mut().find(|it| it.revision == *revision);
                if let Some(entry) = entry {
                    entry.withdrawn = Some(reason.clone());
                }
            }
            Operation::Declare { visibility, sensitivity, .. } => {
                self.visibility = *visibility;
                self.sensitivity = sensitivity.clone();
                self.declarations.push(Declaration {
                    seq: record.seq,
                    visibility: *visibility,
                    sensitivity: sensitivity.clone(),
                });
            }
            Operation::Purge { blobs, revisions, reason } => {
                self.purged.extend(blobs);
                for entry in self.revisions.iter_mut().filter(|it| revisions.contains(&it.revision)) {
                    entry.purged = Some(reason.clone());
                }
            }
        }
        self.ops.entry(record.op_id.clone()).or_insert(record.seq);
        self.next_seq += 1;
        self.last = entry.digest;
        Ok(())
    }

    fn publish(&mut self, record: &CommitRecord) {
        let Operation::Publish { revision, bump, manifest, tags } = &record.op else { return };
        for tag in tags {
            self.tags.insert(tag.clone(), revision.clone());
        }
        self.revisions.push(RevisionEntry {
            revision: revision.clone(),
            seq: record.seq,
            n_declared: self.declarations.len() as u64,
            manifest: *manifest,
            bump: bump.clone(),
            author: record.author.clone(),
            at: record.at.clone(),
            op_id: record.op_id.clone(),
            withdrawn: None,
            purged: None,
        });
    }

    /// Nothing follows the end of a dataset, and after a name that was not taken only another one.
    fn may_follow(&self, op: &Operation) -> bool {
        match (&self.moved, &self.deleted) {
            (_, Some(_)) => false,
            (Some(_), None) => matches!(op, Operation::Move { .. }),
            (None, None) => true,
        }
    }

    /// Whether it is there under this name: it is not deleted, and got no other one since.
    pub fn is_there(&self) -> bool {
        self.moved.is_none() && self.deleted.is_none()
    }

    /// The name that it had before the one of now.
    pub fn adopted_from(&self) -> Option<&DatasetName> {
        self.former_names.last()
    }

    /// The revision of that number.
    pub fn revision(&self, revision: &str) -> Option<&RevisionEntry> {
        self.revisions.iter().find(|it| it.revision == revision)
    }

    /// The revision that a new one follows: the last one published that is not withdrawn, or else the last.
    pub fn head(&self) -> Option<&RevisionEntry> {
        self.revisions.iter().rev().find(|it| it.withdrawn.is_none()).or(self.revisions.last())
    }

    /// What stands before a revision whose manifest says `floor` of its data.
    pub fn standing(&self, revision: &RevisionEntry, floor: &Sensitivity) -> Standing {
        Standing::of(&self.declarations, revision.n_declared, floor)
    }

    /// The record that would come next.
    pub fn next_record(&self, op: Operation, op_id: &str, author: &str) -> CommitRecord {
        CommitRecord {
            nd: "commit/1".to_owned(),
            seq: self.next_seq,
            prev: Some(self.last),
            op_id: op_id.to_owned(),
            author: author.to_owned(),
            at: crate::clock::now(),
            op,
            state: self.commitment(),
            sig: None,
        }
    }
}

/// A dataset that is not there, or not for whoever asks: nobody is told which.
pub(crate) fn missing(remote: &dyn Remote, dataset: &DatasetName) -> Error {
    // What there is helps, and is no reason to fail otherwise.
    let names: Vec<String> = remote.datasets().unwrap_or_default().iter().map(ToString::to_string).collect();
    let of_others = names.iter().find(|it| it.rsplit('/').next() == Some(dataset.name()));
    let near = nearest(&dataset.to_string(), names.iter().map(String::as_str));
    let near = near.or(of_others.map(String::as_str));
    let mut hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`node-data dataset list` shows what is there".to_owned(),
    };
    if let Some(why) = remote.why_hidden() {
        hint.push_str(&format!("; {why}"));
    }
    Error::new(ErrorKind::Config, format!("there is no dataset `{dataset}` in {}", remote.label()))
        .with_hint(hint)
}

fn broken(dataset: &DatasetName, seq: u64, message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
        .at(nodedata_core::Locus::path(crate::layout::record(dataset, seq)))
        .with_hint("`node-data store fsck` says what else is damaged")
}
