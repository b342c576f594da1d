//! The log of a dataset: what is in it, and what is added.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus};
use nodedata_registry::{
    Appended, DatasetName, DatasetState, Removal, StillThere,
    gate::AuditEvent,
    http::{CommitAnswer, EntryBody, LogAnswer},
    record::{CommitRecord, Operation, to_canonical},
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
/// Longest record that is taken, in bytes, but for purges, which name all that goes.
const RECORD_BYTES_MAX: usize = 256 << 10;
/// How far a client's clock may be from ours, in seconds.
const CLOCKS_APART_SECONDS_MAX: u64 = 300;

pub(crate) fn log(app: &App, call: &Call) -> Answered<Reply> {
    let dataset = call.dataset()?;
    app.see(&call.principal, &dataset)?;
    let from = call.number(&numbers::FROM)?;
    // One more than are sent tells whether there are more.
    let mut entries = app.direct.log_page(&dataset, from, PAGE_RECORDS + 1)?;
    let more = entries.len() > PAGE_RECORDS;
    entries.truncate(PAGE_RECORDS);
    Reply::json(&LogAnswer { entries: entries.into_iter().map(EntryBody::from).collect(), more })
}

/// A snapshot of what the log adds up to, which saves reading it: the last that a record proves, or that of now.
pub(crate) fn head(app: &App, call: &Call) -> Answered<Reply> {
    let view = app.see(&call.principal, &call.dataset()?)?;
    let dataset = &view.state.dataset;
    if let Some(hint) = app.remote.read_hint(dataset)?
        && let Some(seq) = DatasetState::proved_at(&hint).filter(|it| *it < view.state.next_seq)
        && let [next] = app.direct.log_page(dataset, seq, 1)?.as_slice()
        && DatasetState::is_proved_by(&hint, &next.record)
    {
        return Ok(Reply::bytes("application/json", hint));
    }
    Ok(Reply::bytes("application/json", Bytes::from(to_canonical(&view.state)?)))
}

pub(crate) fn append(app: &App, call: &Call) -> Answered<Reply> {
    let dataset = call.dataset()?;
    let named = Some(dataset.to_string());
    let may_publish = call.principal.may_publish(&dataset);
    let refusal = || Refusal::forbidden(&format!("publish:{dataset}"));
    if !may_publish && !call.principal.may_lower(&dataset) {
        return app.denied(&call.principal, "publish", named, refusal());
    }
    let mut record: CommitRecord = call.json()?;
    if !call.principal.may_commit(&dataset, &record.op) {
        return app.denied(&call.principal, name_of(&record.op), named, refusal());
    }
    check_time(app, &record.at)?;
    // Who asks is what the token says, and when is what our clock says.
    record.author = call.principal.who().to_owned();
    record.at = app.options.clock.stamp();
    check_length(&record)?;
    let view = app.views.get(&app.remote, &dataset)?;
    if let Some(done) = already_there(app, &dataset, view.as_deref(), &record)? {
        return match done {
            Err(refusal) if refusal.problem.entry.is_none() => {
                app.denied(&call.principal, name_of(&record.op), named, refusal)
            }
            done => done,
        };
    }
    let view = view.as_deref();
    // What the log adds up to is ours to say.
    record.state = view.and_then(|it| it.state.commitment());
    let candidate = Candidate { app, principal: &call.principal, dataset: &dataset, view, record: &record };
    if let Err(refusal) = candidate.check() {
        return app.denied(&call.principal, name_of(&record.op), named, refusal);
    }
    match app.commit(&call.principal, &dataset, &record, name_of(&record.op))? {
        Appended::Done { digest } => {
            app.metrics.commits.fetch_add(1, Ordering::Relaxed);
            // What is seen of the log is kept before anybody asks; who asks keeps it otherwise.
            if let Ok(Some(now)) = app.views.get(&app.remote, &dataset) {
                app.reservations.settle(&now);
            }
            if let Some(view) = view {
                // Clients of a server leave none. One that is not left costs the next reader some requests.
                drop(view.state.leave_hint(&*app.remote, &record));
            }
            created(&CommitAnswer { seq: record.seq, digest })
        }
        Appended::Taken(entry) => Err(Refusal::taken(entry)),
    }
}

/// Removes what the log says is purged.
pub(crate) fn remove_purged(app: &App, call: &Call) -> Answered<Reply> {
    let dataset = call.dataset()?;
    let named = Some(dataset.to_string());
    let purge = Operation::Purge { blobs: Vec::new(), revisions: Vec::new(), reason: String::new() };
    if !call.principal.may_commit(&dataset, &purge) {
        let refusal = Refusal::forbidden(&format!("publish:{dataset}"));
        return app.denied(&call.principal, "remove-purged", named, refusal);
    }
    app.see(&call.principal, &dataset)?;
    // Noted first: what cannot be noted is not done. What goes, the tombstones in the log say.
    app.note(AuditEvent {
        who: call.principal.who().to_owned(),
        action: "remove-purged".to_owned(),
        dataset: named,
        ..AuditEvent::default()
    })?;
    let removal = app.remote.remove_purged(&dataset)?;
    // What other datasets need is theirs to tell.
    let still_there = removal.still_there.iter().map(|it| hidden_of_others(&dataset, it)).collect();
    Reply::json(&Removal { still_there, ..removal })
}

/// Without the names of datasets that the asker may not know of.
fn hidden_of_others(dataset: &DatasetName, found: &StillThere) -> StillThere {
    let own = format!("{dataset}@");
    let told = |by: &String| match by.starts_with(&own) || !by.contains('/') {
        true => by.clone(),
        false => "another dataset".to_owned(),
    };
    let mut needed_by: Vec<String> = found.needed_by.iter().map(told).collect();
    needed_by.dedup();
    StillThere { blob: found.blob, needed_by }
}

fn created(answer: &CommitAnswer) -> Answered<Reply> {
    Ok(Reply::json(answer)?.with_status(StatusCode::CREATED))
}

/// The answer when the operation was done already, by this very record whose first answer was lost; when another content
/// comes under its name; and when the number is taken by another record.
fn already_there(
    app: &App,
    dataset: &DatasetName,
    view: Option<&DatasetView>,
    record: &CommitRecord,
) -> Answered<Option<Answered<Reply>>> {
    let Some(view) = view else { return Ok(None) };
    let done = view.state.ops.get(&record.op_id).copied();
    let taken = (record.seq < view.state.next_seq).then_some(record.seq);
    let Some(seq) = done.or(taken) else { return Ok(None) };
    let Some(entry) = app.direct.log_page(dataset, seq, 1)?.pop() else {
        return Err(Error::new(ErrorKind::Corrupt, "a record of the log is missing").into());
    };
    let is_same = entry.record.op_id == record.op_id
        && entry.record.op == record.op
        && entry.record.author == record.author;
    if is_same {
        // What is told to have been done has its line.
        app.settle_at(dataset, seq)?;
    }
    Ok(Some(match (is_same, done) {
        (true, _) => created(&CommitAnswer { seq, digest: entry.digest }),
        (false, Some(_)) => Err(op_id_reused(seq)),
        (false, None) => Err(Refusal::taken(entry)),
    }))
}

fn op_id_reused(seq: u64) -> Refusal {
    let message = format!("the operation was done by record {seq} already, which says something else");
    let err = Error::new(ErrorKind::Conflict, message).at(Locus::feature("op_id"));
    Refusal::of(409, "op-id", &err.with_hint("give another operation another op_id"))
}

/// A record's date is the server's, which writes it. A client says none, or the same: where clocks are this far apart, whoever
/// reads the log would be told another time than the one that was meant.
fn check_time(app: &App, at: &str) -> Answered<()> {
    if at.is_empty() {
        return Ok(());
    }
    let refused = |message: &str| {
        let err = Error::new(ErrorKind::Config, message).at(Locus::feature("at"));
        let hint = format!(
            "leave `at` empty: the server writes its own date, which is {} now",
            app.options.clock.stamp()
        );
        Err(Refusal::of(422, "record", &err.with_hint(hint)))
    };
    let time = chrono::DateTime::parse_from_rfc3339(at).ok().filter(|_| at.ends_with('Z'));
    let Some(time) = time else { return refused("the record's date is no time in UTC") };
    let apart = (app.options.clock.now() - time.to_utc()).num_seconds().unsigned_abs();
    if apart > CLOCKS_APART_SECONDS_MAX {
        return refused("the record's date is not the server's");
    }
    Ok(())
}

/// A record stays, and is read with a thousand others by whoever reads the log.
fn check_length(record: &CommitRecord) -> Answered<()> {
    let n_bytes = record.to_bytes().map_err(|err| Refusal::invalid(&err))?.len();
    if n_bytes <= RECORD_BYTES_MAX || matches!(record.op, Operation::Purge { .. }) {
        return Ok(());
    }
    let message = format!("the record has {n_bytes} bytes, at most {RECORD_BYTES_MAX} are taken");
    let err = Error::new(ErrorKind::Limit, message);
    Err(Refusal::of(413, "record", &err.with_hint("say it shorter; the card is the place for more")))
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
        Operation::Move { .. } => "move",
        Operation::Adopt { .. } => "adopt",
        Operation::Delete { .. } => "delete",
    }
}
