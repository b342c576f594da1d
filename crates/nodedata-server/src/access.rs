use std::sync::{Arc, atomic::Ordering};

use nodedata_registry::{
    B3, DatasetName,
    gate::{AuditEvent, Outcome, needs_attestation},
    record::Visibility,
};
use semver::Version;

use crate::{
    app::App,
    case,
    principal::Principal,
    refusal::{Answered, Refusal},
    views::{BlobUse, DatasetView},
};

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
        let Some(view) = self.views.get(&self.remote, dataset)? else {
            return Err(Refusal::missing("dataset"));
        };
        match view.state.visibility {
            Visibility::Public => Ok(view),
            Visibility::Private if principal.may_see_private(dataset) => Ok(view),
            Visibility::Private => {
                self.denied(principal, "see", Some(dataset.to_string()), Refusal::missing("dataset"))
            }
        }
    }

    /// What a blob is to a dataset that somebody sees.
    pub(crate) fn blob_of(&self, view: &DatasetView, b3: &B3) -> Answered<BlobUse> {
        if view.is_purged(b3) {
            let fix = "the revision was withdrawn; use a newer one";
            return Err(Refusal::new(410, "purged", format!("{b3} was removed for good"), fix));
        }
        view.blob(b3).ok_or_else(|| Refusal::missing("blob of the dataset"))
    }

    /// Lets somebody have bytes, or says why not; both are noted when the dataset is gated. Every path on
    /// which bytes leave the server comes through here, each time.
    pub(crate) fn admit(
        &self,
        principal: &Principal,
        view: &DatasetView,
        blob: &BlobUse,
        asked: &Asked<'_>,
    ) -> Answered<()> {
        if blob.is_open || !needs_attestation(view.state.visibility, &view.state.sensitivity) {
            return Ok(());
        }
        let dataset = &view.state.dataset;
        match self.pass(principal, view, blob) {
            Ok(grant) => Ok(self.note(AuditEvent {
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
        if blob.is_open || !needs_attestation(view.state.visibility, &view.state.sensitivity) {
            return Ok(());
        }
        self.pass(principal, &view, &blob).map(drop)
    }

    /// The attestation that lets somebody through; none for those who have a hand in the dataset.
    fn pass(&self, principal: &Principal, view: &DatasetView, blob: &BlobUse) -> Answered<Option<String>> {
        let dataset = &view.state.dataset;
        if principal.is_steward(dataset) {
            return Ok(None);
        }
        let Some(account) = principal.account.as_deref() else {
            let fix = "send a token, then attest with `node-data dataset attest`";
            return Err(Refusal::new(401, "attestation-required", "this dataset is gated", fix));
        };
        let Some(policy) = view.policy() else {
            let fix = "the owner must declare the text that readers agree to";
            return Err(Refusal::new(
                403,
                "gate-incomplete",
                "this dataset is gated, and has no agreement",
                fix,
            ));
        };
        let refused = |why: case::Refusal| {
            Err(Refusal::new(403, why.code(), format!("access to {dataset} is not granted"), why.fix()))
        };
        let Some(newest) = self.database.newest_case(dataset, account)? else {
            return refused(case::Refusal::NotRequested);
        };
        let now = self.options.clock.now();
        let mut why = case::Refusal::OtherRevision;
        for major in &blob.majors {
            match newest.covers(&Version::new(*major, 0, 0), &policy, now) {
                Ok(()) => return Ok(Some(newest.attestation().id.clone())),
                Err(it) => why = it,
            }
        }
        refused(why)
    }
}
