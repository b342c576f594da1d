use nodedata_core::{Error, ErrorKind, Result};

use crate::{
    attach::DOCUMENT_BYTES_MAX,
    changes::put_blob,
    clock::{fresh_id, now},
    hashing::blob_of,
    name::DatasetName,
    push::facts::{check_public, checked},
    record::{BlobRef, CommitRecord, Facts, Operation, Sensitivity, Visibility},
    remote::{Appended, Remote},
    state::DatasetState,
};

/// A dataset before there is anything in it.
#[derive(Debug, Clone)]
pub struct NewDataset {
    /// Its name.
    pub dataset: DatasetName,
    /// Who may see it.
    pub visibility: Visibility,
    /// What personal data it will hold.
    pub sensitivity: Sensitivity,
    /// What the first revision takes over where whoever pushes it says nothing else.
    pub facts: Facts,
    /// The card of revisions that bring none.
    pub readme: Option<String>,
    /// Who creates it.
    pub author: String,
}

impl NewDataset {
    /// Private, undeclared, and nothing said of it.
    pub fn new(dataset: DatasetName, author: &str) -> Self {
        Self {
            dataset,
            visibility: Visibility::Private,
            sensitivity: Sensitivity::default(),
            facts: Facts::default(),
            readme: None,
            author: author.to_owned(),
        }
    }
}

/// A dataset that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// As it is now.
    pub state: DatasetState,
    /// Whether it is there since this call.
    pub is_new: bool,
}

/// Creates a dataset. One that was created just so is there already, and stays as it is.
///
/// # Errors
/// `Conflict` when there is another one of that name; `Denied` when it would be public without what that needs;
/// `Config` for facts that cannot be; `Limit` for a card that is too long.
pub fn create(remote: &dyn Remote, new: &NewDataset) -> Result<Begun> {
    // The licence comes with the first revision at the latest, and is asked for there.
    check_public(new.visibility, &new.sensitivity, Some(""))?;
    let new = NewDataset { facts: checked(&new.facts)?, ..new.clone() };
    let readme = new.readme.as_ref().map(|it| blob_of(it.as_bytes()));
    if let Some(blob) = readme.as_ref().filter(|it| it.bytes > DOCUMENT_BYTES_MAX) {
        let message = format!("the card has {} bytes, at most {DOCUMENT_BYTES_MAX} are taken", blob.bytes);
        return Err(Error::new(ErrorKind::Limit, message).with_hint("keep pictures in files of their own"));
    }
    if let Some(state) = DatasetState::load(remote, &new.dataset)? {
        state.check_not_deleted()?;
        if let Some(to) = &state.moved {
            let message = format!("{} is called {to} now", new.dataset);
            return Err(Error::new(ErrorKind::Conflict, message).with_hint("choose another name"));
        }
        return same(state, &new, readme.as_ref());
    }
    // Before the record that names it: a server takes no other.
    let push =
        new.readme.as_ref().map(|it| put_blob(remote, &new.dataset, it.clone().into_bytes())).transpose()?;
    let is_new = begin(remote, &new, readme.as_ref(), &fresh_id())?;
    if let Some(push) = push {
        // The lease ends by itself.
        drop(remote.end_push(&push));
    }
    let state = DatasetState::open(remote, &new.dataset)?;
    if is_new { Ok(Begun { state, is_new }) } else { same(state, &new, readme.as_ref()) }
}

/// Writes the first record; says whether it was this call that did.
pub(super) fn begin(
    remote: &dyn Remote,
    new: &NewDataset,
    readme: Option<&BlobRef>,
    op_id: &str,
) -> Result<bool> {
    let record = CommitRecord {
        nd: "commit/1".to_owned(),
        seq: 0,
        prev: None,
        op_id: op_id.to_owned(),
        author: new.author.clone(),
        at: now(),
        op: Operation::Create {
            visibility: new.visibility,
            sensitivity: new.sensitivity.clone(),
            facts: (!new.facts.is_empty()).then(|| Box::new(new.facts.clone())),
            readme: readme.cloned(),
        },
        state: None,
        sig: None,
    };
    match remote.append(&new.dataset, &record)? {
        Appended::Done { .. } => Ok(true),
        // A first try whose answer was lost.
        Appended::Taken(entry) => Ok(entry.record.op_id == op_id),
    }
}

/// A dataset that is there already, if it is the one that is asked for.
fn same(state: DatasetState, new: &NewDataset, readme: Option<&BlobRef>) -> Result<Begun> {
    let mut others = Vec::new();
    if state.visibility != new.visibility {
        others.push("visibility");
    }
    if state.sensitivity != new.sensitivity {
        others.push("data class");
    }
    others.extend(state.facts.differing(&new.facts));
    if state.readme.as_ref().map(|it| it.b3) != readme.map(|it| it.b3) {
        others.push("card");
    }
    if others.is_empty() {
        return Ok(Begun { state, is_new: false });
    }
    let message = format!("there is a dataset `{}` already, with another {}", new.dataset, others.join(", "));
    Err(Error::new(ErrorKind::Conflict, message).with_hint(
        "`node-data dataset push` adds a revision to it, with the facts that it is told; `dataset declare` changes who may see it",
    ))
}
