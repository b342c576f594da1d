//! The log of a dataset: what is in it, and what is added.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use bytes::Bytes;
use nodedata_core::{Error, ErrorKind};
use nodedata_registry::{
    Appended, DatasetName, Direct,
    http::{CommitAnswer, DatasetList, DatasetSummary, EntryBody, LogAnswer},
    layout,
    record::{CommitRecord, Operation, Visibility, to_canonical},
};

use crate::{
    admission::Candidate,
    app::App,
    call::Call,
    numbers,
    refusal::{Answered, Refusal},
    reply::Reply,
    views::DatasetView,
};

/// Records of one page.
const PAGE_RECORDS: usize = 1000;

pub(crate) fn list(app: &App, call: &Call) -> Answered<Reply> {
    Reply::json(&DatasetList { datasets: visible(app, call)?.iter().map(|it| summary(it)).collect() })
}

/// The datasets that the asker may know of.
pub(crate) fn visible(app: &App, call: &Call) -> Answered<Vec<std::sync::Arc<DatasetView>>> {
    let mut views = Vec::new();
    for name in app.remote.datasets()? {
        // A dataset whose log is damaged must not hide the others.
        let Ok(Some(view)) = app.views.get(&app.remote, &name) else { continue };
        if view.state.visibility == Visibility::Public || call.principal.may_see_private(&name) {
            views.push(view);
        }
    }
    Ok(views)
}

pub(crate) fn summary(view: &DatasetView) -> DatasetSummary {
    let state = &view.state;
    let latest = state.head().filter(|it| it.withdrawn.is_none()).map(|it| it.revision.clone());
    DatasetSummary {
        name: state.dataset.clone(),
        visibility: state.visibility,
        sensitivity: state.sensitivity.clone(),
        latest,
        revisions: state.revisions.len() as u64,
    }
}

pub(crate) fn log(app: &App, call: &Call) -> Answered<Reply> {
    let dataset = call.dataset()?;
    app.see(&call.principal, &dataset)?;
    let from = call.number(&numbers::FROM)?;
    // One more than are sent tells whether there are more.
    let mut entries = Direct::new(app.store.clone()).log_page(&dataset, from, PAGE_RECORDS + 1)?;
    let more = entries.len() > PAGE_RECORDS;
    entries.truncate(PAGE_RECORDS);
    Reply::json(&LogAnswer { entries: entries.into_iter().map(EntryBody::from).collect(), more })
}

/// The state that the log adds up to, as a hint that saves reading it.
pub(crate) fn head(app: &App, call: &Call) -> Answered<Reply> {
    let view = app.see(&call.principal, &call.dataset()?)?;
    Ok(Reply::bytes("application/json", Bytes::from(to_canonical(&view.state)?)))
}

pub(crate) fn append(app: &App, call: &Call) -> Answered<Reply> {
    let dataset = call.dataset()?;
    let named = Some(dataset.to_string());
    if !call.principal.may_publish(&dataset) {
        let refusal = Refusal::forbidden(&format!("publish:{dataset}"));
        return app.denied(&call.principal, "publish", named, refusal);
    }
    let mut record: CommitRecord = call.json()?;
    if !call.principal.may_commit(&dataset, &record.op) {
        let refusal = Refusal::forbidden(&format!("publish:{dataset}"));
        return app.denied(&call.principal, name_of(&record.op), named, refusal);
    }
    // Who asks is what the token says.
    record.author = call.principal.who().to_owned();
    record.to_bytes().map_err(|err| Refusal::invalid(&err))?;
    let view = app.views.get(&app.remote, &dataset)?;
    if let Some(done) = already_there(app, &dataset, view.as_deref(), &record)? {
        return done;
    }
    let view = view.as_deref();
    let candidate = Candidate { app, principal: &call.principal, dataset: &dataset, view, record: &record };
    if let Err(refusal) = candidate.check() {
        return app.denied(&call.principal, name_of(&record.op), named, refusal);
    }
    match app.commit(&call.principal, &dataset, &record, name_of(&record.op))? {
        Appended::Done { digest } => {
            app.metrics.commits.fetch_add(1, Ordering::Relaxed);
            leave_hint(app, &dataset);
            created(&CommitAnswer { seq: record.seq, digest })
        }
        Appended::Taken(entry) => Err(Refusal::taken(entry)),
    }
}

fn created(answer: &CommitAnswer) -> Answered<Reply> {
    Ok(Reply::json(answer)?.with_status(StatusCode::CREATED))
}

/// The answer when the number is taken: by this very record, whose first answer was lost, or by another.
fn already_there(
    app: &App,
    dataset: &DatasetName,
    view: Option<&DatasetView>,
    record: &CommitRecord,
) -> Answered<Option<Answered<Reply>>> {
    if view.is_none_or(|it| record.seq >= it.state.next_seq) {
        return Ok(None);
    }
    let Some(bytes) = app.store.get(&layout::record(dataset, record.seq))? else {
        return Err(Error::new(ErrorKind::Corrupt, "a record of the log is missing").into());
    };
    let entry = nodedata_registry::LogEntry {
        digest: nodedata_registry::B3::of(&bytes),
        record: CommitRecord::parse(&bytes)?,
    };
    let is_same = entry.record.op_id == record.op_id
        && entry.record.op == record.op
        && entry.record.author == record.author;
    if is_same {
        // What is told to have been done has its line.
        app.settle_at(dataset, record.seq)?;
    }
    Ok(Some(match is_same {
        true => created(&CommitAnswer { seq: record.seq, digest: entry.digest }),
        false => Err(Refusal::taken(entry)),
    }))
}

/// Clients of a server leave none, so it leaves its own.
fn leave_hint(app: &App, dataset: &DatasetName) {
    if let Ok(Some(view)) = app.views.get(&app.remote, dataset) {
        // A hint that is not left costs the next reader some requests.
        drop(view.state.leave_hint(&*app.remote));
    }
}

fn name_of(op: &Operation) -> &'static str {
    match op {
        Operation::Create { .. } => "create",
        Operation::Publish { .. } => "publish",
        Operation::Tag { .. } => "tag",
        Operation::Attach { .. } => "attach",
        Operation::Withdraw { .. } => "withdraw",
        Operation::Declare { .. } => "declare",
        Operation::Purge { .. } => "purge",
    }
}
