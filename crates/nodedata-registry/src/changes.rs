use std::sync::Arc;

use nodedata_core::{Error, ErrorKind, Locus, Result, Silent, suggest};

use crate::{
    clock::fresh_id,
    folder::Origin,
    gate::{Standing, lowered},
    hashing::blob_of,
    name::DatasetName,
    push::{check_public, send},
    record::{AttachmentKind, CommitRecord, Operation, Sensitivity, Visibility},
    reference::is_tag,
    remote::{Appended, PushRequest, Remote},
    state::{DatasetState, RevisionEntry},
};

/// How often a record that came second is numbered again.
const TRIES_MAX: u32 = 50;

/// Adds a record that needs no data. `operation` is asked again when another record came first.
///
/// # Errors
/// What `operation` refuses; `Conflict` when others always come first, or rename the dataset meanwhile; `Config` when it is not
/// there, or no more; `Io`, `Denied`.
pub fn change(
    remote: &dyn Remote,
    dataset: &DatasetName,
    author: &str,
    operation: &dyn Fn(&DatasetState) -> Result<Operation>,
) -> Result<CommitRecord> {
    let op_id = fresh_id();
    let mut state = DatasetState::open(remote, dataset)?;
    for _ in 0..TRIES_MAX {
        let record = state.next_record(operation(&state)?, &op_id, author);
        // Under the name that it has now.
        match remote.append(&state.dataset, &record)? {
            Appended::Done { .. } => {
                // A hint that is not left costs the next reader some requests.
                drop(state.leave_hint(remote, &record));
                return Ok(record);
            }
            Appended::Taken(entry) if entry.record.op_id == op_id => return Ok(entry.record),
            Appended::Taken(_) => {
                state.catch_up(remote)?;
                state.check_goes_on()?;
            }
        }
    }
    Err(Error::new(ErrorKind::Conflict, "other records always came first").with_hint("try again"))
}

/// Where a tag is to point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagTarget<'a> {
    /// Nowhere: it is taken away.
    Nothing,
    /// At a revision that may be used.
    Usable(&'a str),
    /// At a revision, also at one that is withdrawn.
    Any(&'a str),
}

/// Points a tag at a revision, or takes it away.
///
/// # Errors
/// `Config` for what may not be a tag, for one that is not there, and for a withdrawn revision where a usable one is
/// asked for; otherwise as [`change`].
pub fn tag(
    remote: &dyn Remote,
    dataset: &DatasetName,
    author: &str,
    tag: &str,
    target: TagTarget<'_>,
) -> Result<CommitRecord> {
    if !is_tag(tag) {
        return Err(Error::new(ErrorKind::Config, format!("`{tag}` cannot be a tag"))
            .with_hint("begin with a letter; letters, digits, `.`, `_` and `-` may follow"));
    }
    change(remote, dataset, author, &|state| {
        let revision = match target {
            TagTarget::Nothing if !state.tags.contains_key(tag) => {
                return Err(Error::new(ErrorKind::Config, format!("there is no tag `{tag}`"))
                    .with_hint(suggest(tag, state.tags.keys().map(String::as_str))));
            }
            TagTarget::Nothing => None,
            TagTarget::Usable(revision) => {
                if let Some(why) = state.revision(revision).and_then(|it| it.withdrawn.as_ref()) {
                    let message = format!("{dataset} {revision} is withdrawn: {why}");
                    return Err(Error::new(ErrorKind::Config, message)
                        .with_hint("tag a revision that may be used; `--force` tags this one all the same"));
                }
                Some(revision.to_owned())
            }
            TagTarget::Any(revision) => Some(revision.to_owned()),
        };
        Ok(Operation::Tag { tag: tag.to_owned(), revision })
    })
}

/// Marks a revision as no longer to be used.
///
/// # Errors
/// `Config` when it is marked already; otherwise as [`change`].
pub fn withdraw(
    remote: &dyn Remote,
    dataset: &DatasetName,
    author: &str,
    revision: &str,
    reason: &str,
) -> Result<CommitRecord> {
    change(remote, dataset, author, &|state| {
        if state.revision(revision).is_some_and(|it| it.withdrawn.is_some()) {
            return Err(Error::new(ErrorKind::Config, format!("{revision} is withdrawn already"))
                .with_hint("`node-data dataset log` shows when and why"));
        }
        Ok(Operation::Withdraw { revision: revision.to_owned(), reason: reason.to_owned() })
    })
}

/// Stores a small blob that a record will name, such as a document or an agreement, unless it is there.
/// Returns the push whose lease keeps it until the record is written.
///
/// # Errors
/// Those of sending it.
pub fn put_blob(remote: &dyn Remote, dataset: &DatasetName, bytes: Vec<u8>) -> Result<String> {
    let blob = blob_of(&bytes);
    let push = fresh_id();
    let negotiate = || {
        let request = PushRequest { push: push.clone(), dataset: dataset.clone(), blobs: vec![blob.clone()] };
        Ok(remote.negotiate(&request)?.need)
    };
    let sources = [(blob.b3, Origin::Memory(bytes.into()))].into();
    send(remote, negotiate()?, &sources, &negotiate, &Silent)?;
    Ok(push)
}

/// Attaches a document to a revision. What it says is the caller's to check, see
/// [`crate::attach::check_document`].
///
/// # Errors
/// As [`change`] and [`put_blob`].
pub fn attach(
    remote: &dyn Remote,
    dataset: &DatasetName,
    author: &str,
    kind: AttachmentKind,
    revision: &RevisionEntry,
    document: Vec<u8>,
) -> Result<CommitRecord> {
    let blob = blob_of(&document);
    let push = put_blob(remote, dataset, document)?;
    let done = change(remote, dataset, author, &|_| {
        let (revision, manifest) = (revision.revision.clone(), revision.manifest);
        Ok(Operation::Attach { kind, revision, manifest, blob: blob.clone() })
    });
    // The lease ends by itself.
    drop(remote.end_push(&push));
    done
}

/// What is declared anew. `None` keeps what holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewDeclaration {
    /// Who may see the dataset.
    pub visibility: Option<Visibility>,
    /// What personal data it holds.
    pub sensitivity: Option<Sensitivity>,
    /// Why. What lowers the protection of personal data is not declared without.
    pub reason: Option<String>,
}

/// Says anew who may see a dataset and what personal data it holds. Revisions that are there keep what protects them: what
/// lowers it counts for later ones alone, see [`Standing`].
///
/// # Errors
/// `Denied` when it would be public without what that needs; `Config` when protection is lowered without a reason;
/// otherwise as [`change`].
pub fn declare(
    remote: &Arc<dyn Remote>,
    dataset: &DatasetName,
    author: &str,
    new: &NewDeclaration,
) -> Result<CommitRecord> {
    change(&**remote, dataset, author, &|state| {
        let visibility = new.visibility.unwrap_or(state.visibility);
        let sensitivity = new.sensitivity.as_ref().unwrap_or(&state.sensitivity).clone();
        let mut standings =
            vec![Standing { visibility: state.visibility, sensitivity: state.sensitivity.clone() }];
        let license = match state.head() {
            Some(head) => {
                let revision = crate::Revision::open(remote, dataset, head)?;
                let manifest = revision.manifest();
                // One that was published before stays as it is, whatever is declared.
                if head.n_declared == state.declarations.len() as u64 {
                    standings.push(state.standing(head, &manifest.sensitivity));
                }
                manifest.license.clone()
            }
            // It comes with the first revision.
            None => Some(String::new()),
        };
        check_public(visibility, &sensitivity, license.as_deref())?;
        let reason = new.reason.clone().filter(|it| !it.trim().is_empty());
        let field = standings.iter().find_map(|it| lowered(it, visibility, &sensitivity));
        if let (Some(field), None) = (field, &reason) {
            let message = "this lowers what protects personal data, and no reason is given";
            return Err(Error::new(ErrorKind::Config, message)
                .at(Locus::feature(field))
                .with_hint("say why with `--reason TEXT`; it counts for later revisions only"));
        }
        Ok(Operation::Declare { visibility, sensitivity, reason })
    })
}
