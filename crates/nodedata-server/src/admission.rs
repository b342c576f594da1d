use std::collections::BTreeSet;

use nodedata_core::{Error, ErrorKind, Locus, ReadAt as _};
use nodedata_registry::{
    B3, BlobReader, BumpKind, DatasetName, LATEST, LogEntry, Position, Revision, RevisionEntry, Selector,
    attach::{DOCUMENT_BYTES_MAX, check_document},
    gate, is_tag,
    record::{
        BlobRef, Bump, CommitRecord, DataClass, Operation, RevisionManifest, Sensitivity, Visibility,
        check_spelled,
    },
    trust::{RevisionStatement, merkle_root},
};
use semver::Version;

use crate::{
    app::App,
    principal::Principal,
    published,
    refusal::{Answered, Refusal},
    views::DatasetView,
};

/// Longest agreement, in bytes.
pub(crate) const AGREEMENT_BYTES_MAX: u64 = 256 << 10;

/// Longest reason of a declaration, in bytes.
const REASON_BYTES_MAX: usize = 4 << 10;

/// A record that somebody wants to add, and where.
pub(crate) struct Candidate<'a> {
    pub(crate) app: &'a App,
    pub(crate) principal: &'a Principal,
    pub(crate) dataset: &'a DatasetName,
    /// `None` while there is no such dataset.
    pub(crate) view: Option<&'a DatasetView>,
    pub(crate) record: &'a CommitRecord,
}

impl Candidate<'_> {
    /// Checks everything that the log must never hold: a record that is once in it stays.
    pub(crate) fn check(&self) -> Answered<()> {
        self.check_place()?;
        match (&self.record.op, self.view) {
            (Operation::Create { visibility, sensitivity, facts, readme }, _) => {
                self.check_declared(*visibility, sensitivity, None)?;
                if let Some(license) = facts.as_ref().and_then(|it| it.license.as_deref()) {
                    check_spelled(license).map_err(|err| Refusal::of(422, "license", &err))?;
                }
                let Some(card) = readme else { return Ok(()) };
                self.check_possession(None, [card.b3].iter())?;
                self.small_blob(card, DOCUMENT_BYTES_MAX)?;
                self.check_quota(std::slice::from_ref(card))
            }
            (Operation::Publish { revision, bump, manifest, tags }, Some(view)) => {
                self.check_publish(view, revision, bump, manifest, tags)
            }
            (Operation::Tag { tag, revision }, Some(view)) => check_tag(view, tag, revision.as_deref()),
            (Operation::Attach { kind, revision, manifest, blob }, Some(view)) => {
                let about = self.revision_of(view, revision, manifest)?;
                self.check_possession(Some(view), [blob.b3].iter())?;
                let document = self.small_blob(blob, DOCUMENT_BYTES_MAX)?;
                check_document(*kind, &document, &about).map_err(|err| Refusal::invalid(&err))?;
                self.check_quota(std::slice::from_ref(blob))
            }
            (Operation::Withdraw { revision, .. }, Some(view)) => known(view, revision).map(drop),
            (Operation::Declare { visibility, sensitivity, reason }, Some(view)) => {
                self.check_declared(*visibility, sensitivity, Some(view))?;
                self.check_lowered(view, *visibility, sensitivity, reason.as_deref())
            }
            (Operation::Purge { blobs, revisions, .. }, Some(view)) => {
                self.check_purge(view, blobs, revisions)
            }
            (Operation::Delete { .. }, Some(_)) => Ok(()),
            (Operation::Move { to, .. }, Some(view)) => self.check_move(view, to),
            (Operation::Adopt { from, moved_at, last }, None) => self.check_adopt(from, *moved_at, last),
            (Operation::Adopt { .. }, Some(_)) => {
                Err(Refusal::new(422, "record", "the dataset is there already", "choose another name"))
            }
            (_, None) => Err(Refusal::missing("dataset")),
        }
    }

    /// Whether it is the next record and may stand there.
    fn check_place(&self) -> Answered<()> {
        let record = self.record;
        if record.nd != "commit/1" || record.op_id.is_empty() || record.op_id.len() > 128 {
            let message = "the record has another version, or no op_id";
            return Err(Refusal::new(422, "record", message, "send a commit/1 record with an op_id"));
        }
        match (self.view, &record.op) {
            (None, Operation::Create { .. } | Operation::Adopt { .. })
                if record.seq == 0 && record.prev.is_none() =>
            {
                Ok(())
            }
            (None, _) => Err(Refusal::missing("dataset")),
            (Some(view), _) => {
                let mut state = view.state.clone();
                let entry = LogEntry { digest: B3::of(b""), record: record.clone() };
                state.apply(&entry).map_err(|err| {
                    let err = Error::new(ErrorKind::Config, err.to_string());
                    Refusal::of(
                        422,
                        "record",
                        &err.with_hint("read the log again, and number the record anew"),
                    )
                })
            }
        }
    }

    fn check_declared(
        &self,
        visibility: Visibility,
        sensitivity: &Sensitivity,
        view: Option<&DatasetView>,
    ) -> Answered<()> {
        gate::check_declaration(visibility, sensitivity).map_err(|err| {
            let status = if err.kind() == ErrorKind::Denied { 422 } else { 400 };
            Refusal::of(status, "declaration", &err)
        })?;
        if let Some(policy) = sensitivity.gate.as_ref().and_then(|it| it.policy) {
            self.check_possession(view, [policy].iter())?;
            let n_bytes = self.app.remote.blob_bytes(self.dataset, &policy)?;
            if n_bytes.is_none_or(|it| it > AGREEMENT_BYTES_MAX) {
                let message = format!(
                    "the agreement {policy} was not sent, or is longer than {AGREEMENT_BYTES_MAX} bytes"
                );
                return Err(Refusal::new(422, "agreement", message, "send the text as a blob first"));
            }
        }
        let head = view.and_then(|it| Some((it, it.state.head()?)));
        if visibility == Visibility::Public
            && let Some((_, head)) = head
        {
            let manifest = published::revision(&self.app.remote, self.dataset, head)?;
            check_licensed(visibility, manifest.manifest())?;
        }
        Ok(())
    }

    /// What protects personal data is lowered by those who may, and who say why.
    fn check_lowered(
        &self,
        view: &DatasetView,
        visibility: Visibility,
        sensitivity: &Sensitivity,
        reason: Option<&str>,
    ) -> Answered<()> {
        let declared = view.declared_now();
        let Some(field) = declared.iter().find_map(|it| gate::lowered(it, visibility, sensitivity)) else {
            return Ok(());
        };
        let at = |err: Error, field| err.at(Locus::feature(field));
        if !self.principal.may_lower(self.dataset) {
            let err = Error::new(ErrorKind::Denied, "this lowers what protects personal data");
            let hint = format!("ask the operator for a token with `steward:{}`", self.dataset);
            return Err(Refusal::of(403, "scope", &at(err, field).with_hint(hint)));
        }
        let length = reason.map_or(0, |it| it.trim().len());
        if length == 0 || length > REASON_BYTES_MAX {
            let message = format!(
                "what lowers the protection of personal data has a reason of 1 to {REASON_BYTES_MAX} bytes"
            );
            let err = Error::new(ErrorKind::Config, message);
            return Err(Refusal::of(
                422,
                "reason",
                &at(err, "reason").with_hint("say why with `--reason TEXT`"),
            ));
        }
        Ok(())
    }

    fn check_publish(
        &self,
        view: &DatasetView,
        revision: &str,
        bump: &Bump,
        digest: &B3,
        tags: &[String],
    ) -> Answered<()> {
        let invalid = |err: Error| Refusal::of(422, "manifest", &err);
        let version = Version::parse(revision).map_err(|err| {
            invalid(
                Error::new(ErrorKind::Config, format!("`{revision}` is no SemVer number")).with_source(err),
            )
        })?;
        check_numbers(&version)?;
        self.check_possession(Some(view), [*digest].iter())?;
        if self.app.remote.blob_bytes(self.dataset, digest)?.is_none() {
            let message = format!("the manifest {digest} was not sent");
            return Err(Refusal::new(422, "closure", message, "push again: only what is missing is sent"));
        }
        let opened = published::of_manifest(&self.app.remote, self.dataset, digest).map_err(invalid)?;
        let manifest = opened.manifest();
        check_manifest(view, &opened)?;
        if manifest.dataset != *self.dataset || manifest.revision != revision {
            let message = format!("the manifest is of {}@{}", manifest.dataset, manifest.revision);
            return Err(Refusal::new(422, "manifest", message, "publish it where it says"));
        }
        if let Some(bad) = tags.iter().find(|it| !is_tag(it)) {
            return Err(Refusal::new(422, "tag", format!("`{bad}` cannot be a tag"), "begin with a letter"));
        }
        check_licensed(view.state.visibility, manifest)?;
        self.check_sensitivity(view, &manifest.sensitivity)?;
        let blobs = opened.blobs().map_err(invalid)?;
        if let Some(gone) = blobs.iter().find(|it| view.is_purged(&it.b3)) {
            let message = format!("{} was purged from the dataset", gone.b3);
            let fix = "leave out what was purged, and write the shards again";
            return Err(Refusal::new(422, "purged", message, fix));
        }
        self.check_possession(Some(view), blobs.iter().map(|it| &it.b3))?;
        self.check_closure(&blobs)?;
        self.check_quota(&blobs)?;
        self.check_bump(view, &version, &opened, bump)
    }

    /// Who gives a dataset another name, may publish under that one, too.
    fn check_move(&self, view: &DatasetView, to: &DatasetName) -> Answered<()> {
        if let Some(before) = &view.state.moved {
            let there = self.app.views.get(&self.app.remote, before)?;
            if there.is_some_and(|it| it.state.adopted_from() == Some(self.dataset)) {
                let message = format!("{} is called {before} now", self.dataset);
                return Err(Refusal::new(409, "moved", message, "rename it under that name"));
            }
        }
        if !self.principal.may_commit(to, &self.record.op) {
            return Err(Refusal::forbidden(&format!("publish:{to}")));
        }
        match self.app.views.get(&self.app.remote, to)? {
            None => Ok(()),
            Some(_) => {
                let message = format!("`{to}` is taken, or was");
                Err(Refusal::new(409, "name-taken", message, "choose another name"))
            }
        }
    }

    /// A dataset that goes on here must say so itself.
    fn check_adopt(&self, from: &DatasetName, seq: u64, last: &B3) -> Answered<()> {
        if !self.principal.may_commit(from, &self.record.op) {
            return Err(Refusal::forbidden(&format!("publish:{from}")));
        }
        let view = self.app.views.get(&self.app.remote, from)?.ok_or_else(|| Refusal::missing("dataset"))?;
        let state = &view.state;
        if state.moved.as_ref() == Some(self.dataset)
            && state.next_seq == seq.saturating_add(1)
            && state.last == *last
        {
            // Its owner may be another now.
            return self.check_quota(&view.held());
        }
        let message = format!("{from} does not say that it is {} now", self.dataset);
        Err(Refusal::new(422, "not-moved", message, "rename it with `node-data dataset rename`"))
    }

    /// Blobs of revisions that nobody is to use any more, and of no other.
    fn check_purge(&self, view: &DatasetView, blobs: &[B3], revisions: &[String]) -> Answered<()> {
        if let Some(foreign) = blobs.iter().find(|it| !view.has_blob(it)) {
            let message = format!("{foreign} is no blob of the dataset");
            return Err(Refusal::new(422, "foreign-blob", message, "name blobs of its revisions"));
        }
        let agreed = |it: &&B3| view.gates().any(|gate| gate.policy == Some(**it));
        let card = view.state.readme.as_ref().map(|it| it.b3);
        if let Some(needed) = blobs.iter().find(|it| agreed(it) || card == Some(**it)) {
            let message = format!("the dataset itself needs {needed}");
            return Err(Refusal::new(422, "in-use", message, "purge what only its revisions need"));
        }
        for revision in revisions {
            known(view, revision)?;
            if view.state.revision(revision).is_some_and(|it| it.withdrawn.is_none()) {
                let message = format!("{revision} is not withdrawn, so somebody may use it");
                return Err(Refusal::new(422, "in-use", message, "withdraw it first"));
            }
        }
        let named: BTreeSet<B3> = blobs.iter().copied().collect();
        let stay = |it: &&RevisionEntry| it.purged.is_none() && !revisions.contains(&it.revision);
        for entry in view.state.revisions.iter().filter(stay) {
            let revision = published::revision(&self.app.remote, self.dataset, entry)?;
            let needed = revision.blobs()?.into_iter().map(|it| it.b3).chain([entry.manifest]);
            if let Some(needed) = needed.into_iter().find(|it| named.contains(it)) {
                let message = format!("{} needs {needed}", entry.revision);
                return Err(Refusal::new(422, "in-use", message, "purge what no other revision needs"));
            }
        }
        Ok(())
    }

    /// A revision must not hold more than its dataset says.
    fn check_sensitivity(&self, view: &DatasetView, found: &Sensitivity) -> Answered<()> {
        let declared = &view.state.sensitivity;
        if view.state.visibility == Visibility::Public && found.class > declared.class {
            let message = format!(
                "the revision's data class is {:?}, the public dataset's {:?}",
                found.class, declared.class
            );
            let fix = "declare the dataset's class first: `node-data dataset declare`";
            return Err(Refusal::new(422, "declaration", message, fix));
        }
        if found.class == DataClass::Undeclared {
            return Ok(());
        }
        // What it says of itself must hold together; whether it may be public, the dataset decides.
        gate::check_declaration(Visibility::Private, found)
            .map_err(|err| Refusal::of(422, "declaration", &err))
    }

    /// Every blob must be there, as long as it is said to be.
    fn check_closure(&self, blobs: &[BlobRef]) -> Answered<()> {
        let paths: Vec<String> = blobs.iter().map(|it| nodedata_registry::layout::blob(&it.b3)).collect();
        let found = self.app.store.heads(&paths)?;
        let missing =
            blobs.iter().zip(found).find(|(blob, it)| it.as_ref().map(|it| it.bytes) != Some(blob.bytes));
        match missing {
            None => Ok(()),
            Some((blob, _)) => {
                let message = format!("{} of {} bytes was not sent", blob.b3, blob.bytes);
                Err(Refusal::new(422, "closure", message, "push again: only what is missing is sent"))
            }
        }
    }

    /// There is room for what the record brings.
    fn check_quota(&self, blobs: &[BlobRef]) -> Answered<()> {
        self.app.expect_quota(self.principal.who(), self.dataset, self.view, blobs)
    }

    /// Each blob is the dataset's already, or the publisher has sent it. Asked before it is looked whether it is there, so
    /// that nobody learns what others have.
    fn check_possession<'b>(
        &self,
        view: Option<&DatasetView>,
        blobs: impl Iterator<Item = &'b B3>,
    ) -> Answered<()> {
        let others: BTreeSet<B3> =
            blobs.filter(|b3| view.is_none_or(|it| !it.has_blob(b3))).copied().collect();
        let shown = match &self.principal.account {
            Some(account) => self.app.database.possessed(account, &others)?,
            None => BTreeSet::new(),
        };
        others.difference(&shown).next().map_or(Ok(()), |b3| Err(not_shown(b3)))
    }

    /// The number must not claim less than what changed.
    fn check_bump(&self, view: &DatasetView, version: &Version, new: &Revision, bump: &Bump) -> Answered<()> {
        let invalid = |err: Error| Refusal::of(422, "manifest", &err);
        // Of the first revision as well: tables that cannot be read would stand before all that follow.
        let contents = new.contents().map_err(invalid)?;
        if new.manifest().content_root != contents.root() {
            return Err(untrue("content_root", "it does not follow from the index of episodes"));
        }
        let Some(head) = view.state.head() else { return Ok(()) };
        let parent = Version::parse(&head.revision).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "a revision has no SemVer number").with_source(err)
        })?;
        if *version <= parent {
            let message = format!("{version} does not come after {parent}");
            return Err(Refusal::new(
                409,
                "revision-exists",
                message,
                "choose a higher number, or `--bump auto`",
            ));
        }
        let old = published::revision(&self.app.remote, self.dataset, head)?;
        let comparison = old.contents()?.compare(&contents);
        let (claimed, proved) = (BumpKind::claimed(&parent, version), comparison.kind());
        if bump.proof != comparison.proof {
            let message = "the record counts other episodes than a comparison of the contents does";
            return Err(Refusal::new(422, "bump", message, "push with a node-data of the server's version"));
        }
        if claimed < proved {
            let message = format!(
                "{version} claims a {} change, but the content proves a {} one",
                claimed.name(),
                proved.name()
            );
            return Err(Refusal::new(422, "bump", message, "publish with `--bump auto`"));
        }
        Ok(())
    }

    fn revision_of(&self, view: &DatasetView, revision: &str, manifest: &B3) -> Answered<RevisionStatement> {
        let found = known(view, revision)?;
        if found != *manifest {
            let message = format!("the manifest of {revision} is {found}");
            return Err(Refusal::new(422, "revision", message, "attach to the manifest that was published"));
        }
        Ok(RevisionStatement {
            dataset: self.dataset.clone(),
            revision: revision.to_owned(),
            manifest: *manifest,
        })
    }

    fn small_blob(&self, blob: &BlobRef, bytes_max: u64) -> Answered<bytes::Bytes> {
        let n_bytes = self.app.remote.blob_bytes(self.dataset, &blob.b3)?;
        if n_bytes != Some(blob.bytes) || blob.bytes > bytes_max {
            let message = format!("{} was not sent, or is longer than {bytes_max} bytes", blob.b3);
            return Err(Refusal::new(422, "closure", message, "send the document first"));
        }
        let reader = BlobReader::open(&self.app.remote, self.dataset, &blob.b3, blob.bytes)?;
        Ok(reader.read_at(0..blob.bytes)?)
    }
}

/// What a manifest says beside its tables, held against them and the log.
fn check_manifest(view: &DatasetView, revision: &Revision) -> Answered<()> {
    let invalid = |err: Error| Refusal::of(422, "manifest", &err);
    let manifest = revision.manifest();
    if manifest.nd != "revision/1" {
        return Err(untrue("nd", "it is no revision/1"));
    }
    revision.files().map_err(invalid)?;
    let published: BTreeSet<B3> = view.state.revisions.iter().map(|it| it.manifest).collect();
    let n_known = manifest.parents.iter().filter(|it| published.contains(*it)).count();
    if n_known < manifest.parents.len() {
        return Err(untrue("parents", "it names a manifest that the dataset has not published"));
    }
    if n_known == 0 && !view.state.revisions.is_empty() {
        return Err(untrue("parents", "it follows no revision, but there are some"));
    }
    let shards = revision.shards().map_err(invalid)?;
    if manifest.n_shards != shards.len() as u64 {
        return Err(untrue("n_shards", "it is not the number of shards"));
    }
    let n_bytes = shards.iter().fold(0u64, |sum, it| sum.saturating_add(it.blob.bytes));
    if manifest.shard_bytes != n_bytes {
        return Err(untrue("shard_bytes", "it is not the sum over all shards"));
    }
    let leaves: Vec<B3> = shards.iter().map(|it| it.provenance).collect();
    if manifest.provenance_root != merkle_root(&leaves) {
        return Err(untrue("provenance_root", "it does not follow from the provenance of the shards"));
    }
    Ok(())
}

/// A field of a manifest that is not what it must be.
fn untrue(field: &str, message: &str) -> Refusal {
    let err = Error::new(ErrorKind::Config, format!("`{field}` of the manifest: {message}"));
    let err = err.at(Locus::feature(field)).with_hint("push with a node-data of the server's version");
    Refusal::of(422, "manifest", &err)
}

/// A number that others come after.
fn check_numbers(version: &Version) -> Answered<()> {
    for number in [version.major, version.minor, version.patch] {
        Position::new("revision", number).map_err(|err| Refusal::of(422, "manifest", &err))?;
    }
    Ok(())
}

fn check_tag(view: &DatasetView, tag: &str, revision: Option<&str>) -> Answered<()> {
    if !is_tag(tag) || !matches!(Selector::parse(tag), Ok(Selector::Tag(_))) {
        return Err(Refusal::new(422, "tag", format!("`{tag}` cannot be a tag"), "begin with a letter"));
    }
    match revision {
        None if tag == LATEST => {
            Err(Refusal::new(422, "tag", "`latest` is never taken away", "point it at another revision"))
        }
        None => Ok(()),
        Some(revision) => known(view, revision).map(drop),
    }
}

/// The manifest of a revision.
fn known(view: &DatasetView, revision: &str) -> Answered<B3> {
    let found = view.state.revision(revision).map(|it| it.manifest);
    found.ok_or_else(|| {
        Refusal::new(422, "revision", format!("`{revision}` is not published"), "name one that is")
    })
}

fn check_licensed(visibility: Visibility, manifest: &RevisionManifest) -> Answered<()> {
    match (&manifest.license, visibility) {
        (Some(_), _) => manifest.check_license().map_err(|err| Refusal::of(422, "license", &err)),
        (None, Visibility::Private) => Ok(()),
        (None, Visibility::Public) => {
            let message = "a public dataset needs a licence";
            Err(Refusal::new(422, "license", message, "say which with `--license CC-BY-4.0`"))
        }
    }
}

fn not_shown(b3: &B3) -> Refusal {
    let message = format!("{b3} is not the dataset's, and was not sent for it");
    Refusal::new(422, "not-shown", message, "push again: what the server says it needs is sent")
}
