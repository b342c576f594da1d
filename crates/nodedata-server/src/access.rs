use std::sync::{Arc, atomic::Ordering};

use nodedata_registry::{
    B3, DatasetName, RevisionEntry,
    gate::{AuditEvent, Outcome},
    record::Visibility,
};
use semver::Version;

use crate::{
    app::App,
    case,
    principal::Principal,
    refusal::{Answered, Refusal},
    views::{BlobUse, DatasetView, Kind},
};

/// Names of one dataset that are followed.
const HOPS_MAX: usize = 16;

/// Bytes that somebody asks for.
pub(crate) struct Asked<'a> {
    /// For the audit log: `read`, `croissant`, …
    pub(crate) action: &'a str,
    /// What, for the audit log.
    pub(crate) subject: String,
    pub(crate) n_bytes: u64,
}

impl App {
    /// A dataset, for whoever may know of it. Everybody else is told what they are told of one that is not
    /// there.
    pub(crate) fn see(&self, principal: &Principal, dataset: &DatasetName) -> Answered<Arc<DatasetView>> {
        match self.led_to(principal, dataset)? {
            Some(view) => Ok(view),
            // Of those who might be told a line would say nothing.
            None if principal.may_see_private(dataset) => Err(Refusal::missing("dataset")),
            None => self.denied(principal, "see", Some(dataset.to_string()), Refusal::missing("dataset")),
        }
    }

    /// The dataset that has or had a name, for whoever may know of it under the name of now; both logs must say that the one is
    /// the other. Where nobody may, a name that leads on takes the same work as one that is nobody's.
    fn led_to(&self, principal: &Principal, dataset: &DatasetName) -> Answered<Option<Arc<DatasetView>>> {
        let (mut name, mut before) = (dataset.clone(), None);
        for _ in 0..HOPS_MAX {
            let view = match principal.may_see_private(&name) {
                true => self.views.get(&self.remote, &name)?,
                false => self.views.get_public(&self.remote, &name)?,
            };
            let view = view.filter(|it| before.is_none() || it.state.adopted_from() == before.as_ref());
            let next = match &view {
                Some(view) => view.state.moved.clone(),
                None if before.is_some() => None,
                None => self.views.moved(&name)?.filter(|it| principal.may_see_private(it)),
            };
            match next {
                Some(next) => before = Some(std::mem::replace(&mut name, next)),
                None => return Ok(view.filter(|it| it.state.deleted.is_none())),
            }
        }
        Ok(None)
    }

    /// The same, where nobody need be waited for. Of a database that other nodes share it is not known what they have seen.
    pub(crate) fn see_at_hand(
        &self,
        principal: &Principal,
        dataset: &DatasetName,
    ) -> Option<Arc<DatasetView>> {
        let may_see = principal.may_see_private(dataset);
        self.views.at_hand(&self.store, dataset, may_see).filter(|_| !self.database.is_shared())
    }

    /// What a blob is to a dataset that somebody sees.
    pub(crate) fn blob_of(&self, view: &DatasetView, b3: &B3) -> Answered<BlobUse> {
        if view.is_purged(b3) {
            let fix = "the revision was withdrawn; use a newer one";
            return Err(Refusal::new(410, "purged", format!("{b3} was removed for good"), fix));
        }
        view.blob(b3).ok_or_else(|| Refusal::missing("blob of the dataset"))
    }

    /// Whether somebody may know what a revision is: one that was published while the dataset was private, with data that
    /// a later declaration does not open, stays to those who might see it then.
    pub(crate) fn see_revision(
        &self,
        principal: &Principal,
        view: &DatasetView,
        entry: &RevisionEntry,
    ) -> Answered<()> {
        match view.standing(entry).map(|it| it.visibility) {
            Some(Visibility::Private) if !principal.may_see_private(&view.state.dataset) => {
                let named = Some(view.state.dataset.to_string());
                self.denied(principal, "see-revision", named, stays_private())
            }
            _ => Ok(()),
        }
    }

    /// Lets somebody have bytes, or says why not; both are noted when they are gated. Every path on
    /// which bytes leave the server comes through here, each time.
    pub(crate) fn admit(
        &self,
        principal: &Principal,
        view: &DatasetView,
        blob: &BlobUse,
        asked: &Asked<'_>,
    ) -> Answered<()> {
        let dataset = &view.state.dataset;
        match self.pass(principal, view, blob) {
            Ok(Passage::Open) => Ok(()),
            Ok(Passage::Gated(grant)) => Ok(self.note(AuditEvent {
                who: principal.who().to_owned(),
                action: asked.action.to_owned(),
                outcome: Outcome::Allowed,
                dataset: Some(dataset.to_string()),
                subject: Some(asked.subject.clone()),
                bytes: Some(asked.n_bytes),
                grant,
                reason: None,
            })?),
            Err(refusal) => {
                self.metrics.gate_denials.fetch_add(1, Ordering::Relaxed);
                if principal.account.is_none() {
                    self.denials.count(asked.action, &refusal.problem.code);
                    return Err(refusal);
                }
                self.note(AuditEvent {
                    who: principal.who().to_owned(),
                    action: asked.action.to_owned(),
                    outcome: Outcome::Denied,
                    dataset: Some(dataset.to_string()),
                    subject: Some(asked.subject.clone()),
                    bytes: None,
                    grant: None,
                    reason: Some(refusal.problem.code.clone()),
                })?;
                Err(refusal)
            }
        }
    }

    /// Whether the gate of a dataset is open to somebody now, without noting it: for the pieces of one answer.
    pub(crate) fn still_admitted(
        &self,
        principal: &Principal,
        dataset: &DatasetName,
        b3: &B3,
    ) -> Answered<()> {
        let view = self.see(principal, dataset)?;
        let blob = self.blob_of(&view, b3)?;
        self.pass(principal, &view, &blob).map(drop)
    }

    /// The way on which somebody gets a blob: that of any revision it belongs to, the one without a gate first.
    fn pass(&self, principal: &Principal, view: &DatasetView, blob: &BlobUse) -> Answered<Passage> {
        if is_open_to(principal, view, blob) {
            return Ok(Passage::Open);
        }
        let (mut gated, mut refused) = (None, None);
        for (kind, is_open) in view.uses(blob) {
            match self.pass_kind(principal, view, kind, is_open) {
                Ok(passage) => gated = gated.or(Some(passage)),
                // A newer revision says best what is to be done.
                Err(refusal) => refused = Some(refusal),
            }
        }
        gated.ok_or_else(|| refused.unwrap_or_else(|| Refusal::missing("blob of the dataset")))
    }

    /// The attestation that lets somebody through to revisions of a kind that are not open to all who see them; none for those whose the
    /// dataset is.
    fn pass_kind(
        &self,
        principal: &Principal,
        view: &DatasetView,
        kind: &Kind,
        is_open: bool,
    ) -> Answered<Passage> {
        let (dataset, standing) = (&view.state.dataset, &kind.standing);
        if is_hidden(principal, dataset, kind, is_open) {
            return Err(match view.state.visibility {
                Visibility::Private => Refusal::forbidden(&format!("read:{dataset}")),
                Visibility::Public => stays_private(),
            });
        }
        if principal.may_read(dataset) {
            return Ok(Passage::Gated(None));
        }
        let Some(account) = principal.account.as_deref() else {
            let fix = "send a token, then attest with `node-data dataset attest`";
            return Err(Refusal::new(401, "attestation-required", "this dataset is gated", fix));
        };
        let Some(policy) = standing.sensitivity.gate.as_ref().and_then(|it| it.policy) else {
            let fix = "the owner must declare the text that readers agree to";
            return Err(Refusal::new(
                403,
                "gate-incomplete",
                "this dataset is gated, and has no agreement",
                fix,
            ));
        };
        let cases = self.database.cases(dataset, account)?;
        let now = self.options.clock.now();
        match case::opening(&cases, &Version::new(kind.major, 0, 0), &policy, now) {
            Ok(case) => Ok(Passage::Gated(Some(case.attestation().id.clone()))),
            Err(why) => {
                Err(Refusal::new(403, why.code(), format!("access to {dataset} is not granted"), why.fix()))
            }
        }
    }
}

/// Whether nothing stands before a blob for somebody, so that nothing is noted when they get it.
pub(crate) fn is_open_to(principal: &Principal, view: &DatasetView, blob: &BlobUse) -> bool {
    let is_open = |(kind, is_open): (&Kind, bool)| {
        !is_hidden(principal, &view.state.dataset, kind, is_open)
            && (is_open || !kind.standing.needs_attestation())
    };
    blob.is_open || view.uses(blob).any(is_open)
}

/// Whether revisions of a kind are private, and others' than somebody's.
fn is_hidden(principal: &Principal, dataset: &DatasetName, kind: &Kind, is_open: bool) -> bool {
    let may_see = || match is_open {
        true => principal.may_see_private(dataset),
        false => principal.may_read_private(dataset),
    };
    kind.standing.visibility == Visibility::Private && !may_see()
}

/// How somebody gets bytes.
enum Passage {
    /// Nothing stands before them.
    Open,
    /// Past a gate: by a grant, or as whose the dataset is.
    Gated(Option<String>),
}

fn stays_private() -> Refusal {
    let message = "this revision was published while the dataset was private, and stays so";
    Refusal::new(403, "revision-private", message, "ask the owner to publish one under what is declared now")
}
