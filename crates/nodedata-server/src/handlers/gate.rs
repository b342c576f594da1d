//! Requests for access, and the answers to them.

use axum::http::StatusCode;
use nodedata_core::{Error, ErrorKind};
use nodedata_registry::{
    B3, DatasetName, RevisionEntry, Selector,
    clock::fresh_id,
    gate::{Approval, AuditEvent},
    http::{AttestBody, AttestationList, DecisionBody},
    read_whole,
};

use crate::{
    admission::AGREEMENT_BYTES_MAX,
    app::App,
    call::Call,
    case::{Action, Case, may_request},
    clock::stamp,
    manners::etag_of,
    refusal::{Answered, Refusal},
    reply::Reply,
    views::{DatasetView, version_of},
};

/// Longest text of a request for access, and of the answer to one, in bytes.
const TEXT_BYTES_MAX: usize = 8 << 10;

pub(crate) fn agreement(app: &App, call: &Call) -> Answered<Reply> {
    let reference = call.reference()?;
    let view = app.see(&call.principal, &reference.dataset)?;
    let gate = match call.param("name").contains('@') {
        true => {
            let entry = reference.resolve(&view.state).map_err(|err| Refusal::of(404, "not-found", &err))?;
            view.standing(entry).and_then(|it| it.sensitivity.gate.as_ref())
        }
        false => view.gate(),
    };
    let policy = gate.and_then(|it| it.policy);
    let policy = policy.ok_or_else(|| Refusal::missing("agreement: the dataset is not gated"))?;
    let dataset = &view.state.dataset;
    let n_bytes = app.remote.blob_bytes(dataset, &policy)?.ok_or_else(|| Refusal::missing("agreement"))?;
    let text = read_whole(&*app.remote, dataset, &policy, n_bytes, AGREEMENT_BYTES_MAX)?;
    Ok(Reply::bytes("text/plain; charset=utf-8", text)
        .with_header(axum::http::header::ETAG, &etag_of(&policy)))
}

pub(crate) fn list(app: &App, call: &Call) -> Answered<Reply> {
    let view = app.see(&call.principal, &call.dataset()?)?;
    let dataset = view.state.dataset.clone();
    let own = Some(call.principal.who()).filter(|_| !call.principal.may_review(&dataset));
    Reply::json(&AttestationList { attestations: app.database.attestations(&dataset, own)? })
}

pub(crate) fn request(app: &App, call: &Call) -> Answered<Reply> {
    let view = app.see(&call.principal, &call.dataset()?)?;
    let dataset = view.state.dataset.clone();
    let mut body: AttestBody = call.json()?;
    let asked = asked_revision(&view, body.revision.as_deref())?;
    let revision = match &asked {
        Some(entry) => version_of(entry)?,
        // Asked before anything is published: for the first that will be.
        None => semver::Version::new(1, 0, 0),
    };
    let gate = match (&asked, &body.revision) {
        (Some(entry), Some(_)) => view.standing(entry).and_then(|it| it.sensitivity.gate.as_ref()),
        _ => view.gate(),
    };
    let Some(gate) = gate else {
        let err =
            Error::new(ErrorKind::Config, "the dataset is not gated").with_hint("nothing is to be asked for");
        return Err(Refusal::invalid(&err));
    };
    check_lengths(&body)?;
    body.subject.user = call.principal.who().to_owned();
    let policy = gate.policy.ok_or_else(|| Refusal::missing("agreement"))?;
    if body.policy != policy {
        let message = format!("the agreement is {policy} by now, not {}", body.policy);
        let fix = "read the text again, and agree to that";
        return Err(Refusal::new(409, "attestation-outdated", message, fix));
    }
    let now = app.options.clock.now();
    let asked = (body.subject, body.purpose, body.affirm);
    let mut case = Case::request(fresh_id(), dataset.clone(), &revision, policy, asked, now)
        .map_err(|err| Refusal::invalid(&err))?;
    if Approval::parse(&gate.approval)?.grants(&case.attestation().purpose.duo) {
        let why = format!("rule: {}", gate.approval);
        case.act(Action::Grant { valid_days: gate.valid_days }, None, Some(&why), now)?;
    }
    let line = (stamp(now), note_of(call, &dataset, "attest", &case.attestation().id));
    app.database.add_case(&case, line, |cases| may_request(cases, &revision, &policy, now))?;
    Ok(Reply::json(case.attestation())?.with_status(StatusCode::CREATED))
}

/// The revision that is meant; the newest when none is named.
fn asked_revision(view: &DatasetView, revision: Option<&str>) -> Answered<Option<RevisionEntry>> {
    let Some(text) = revision else { return Ok(view.state.head().cloned()) };
    let selector = Selector::parse(text).map_err(|err| Refusal::invalid(&err))?;
    let reference = nodedata_registry::Reference { dataset: view.state.dataset.clone(), selector };
    Ok(Some(reference.resolve(&view.state).map_err(|err| Refusal::invalid(&err))?.clone()))
}

fn check_lengths(body: &AttestBody) -> Answered<()> {
    let texts = [
        Some(&body.subject.name),
        body.subject.org.as_ref(),
        body.subject.country.as_ref(),
        Some(&body.purpose.text),
    ];
    let lists = body.affirm.iter().chain(&body.purpose.duo);
    check_length(texts.into_iter().flatten().chain(lists).map(String::len).sum())
}

fn check_length(n_bytes: usize) -> Answered<()> {
    if n_bytes <= TEXT_BYTES_MAX {
        return Ok(());
    }
    let err = Error::new(
        ErrorKind::Limit,
        format!("the request has {n_bytes} bytes of text, at most {TEXT_BYTES_MAX} are taken"),
    );
    Err(Refusal::invalid(&err.with_hint("say it shorter")))
}

/// `POST …/attest/{id}:grant|deny|revoke|reset`.
pub(crate) fn decide(app: &App, call: &Call) -> Answered<Reply> {
    let view = app.see(&call.principal, &call.dataset()?)?;
    let dataset = view.state.dataset.clone();
    if !call.principal.may_review(&dataset) {
        let refusal = Refusal::forbidden(&format!("review:{dataset}"));
        return app.denied(&call.principal, "review", Some(dataset.to_string()), refusal);
    }
    let (id, name) = call.param("target").split_once(':').ok_or_else(|| Refusal::missing("action"))?;
    let valid_days = |policy: &B3| {
        let of_text = view.gates().find(|it| it.policy == Some(*policy));
        of_text.or(view.gate()).map(|it| it.valid_days)
    };
    let body: DecisionBody = if call.body.is_empty() { DecisionBody::default() } else { call.json()? };
    check_length(body.reason.as_ref().map_or(0, String::len))?;
    let now = app.options.clock.now();
    let event = note_of(call, &dataset, name, id);
    let mut is_known = true;
    let changed = app.database.change_case((&dataset, id), now, event, |it| {
        let Some(action) = action_of(name, valid_days(&it.attestation().policy)) else {
            is_known = false;
            return Err(Error::new(ErrorKind::Config, "unknown action"));
        };
        it.act(action, Some(call.principal.who()), body.reason.as_deref(), now)
    });
    if !is_known {
        return Err(Refusal::missing("action: grant, deny, revoke and reset are known"));
    }
    let changed = changed?.ok_or_else(|| Refusal::missing("attestation"))?;
    app.keep_apart()?;
    Reply::json(changed.attestation())
}

/// What a path asks for; a grant holds as long as the gate says.
fn action_of(name: &str, valid_days: Option<u32>) -> Option<Action> {
    match (name, valid_days) {
        ("grant", Some(valid_days)) => Some(Action::Grant { valid_days }),
        ("deny", _) => Some(Action::Deny),
        ("revoke", _) => Some(Action::Revoke),
        ("reset", _) => Some(Action::Reset),
        _ => None,
    }
}

fn note_of(call: &Call, dataset: &DatasetName, action: &str, id: &str) -> AuditEvent {
    AuditEvent {
        who: call.principal.who().to_owned(),
        action: action.to_owned(),
        dataset: Some(dataset.to_string()),
        subject: Some(id.to_owned()),
        ..AuditEvent::default()
    }
}
