//! Pushes: what must be sent, and the parts that are sent.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Instant};

use nodedata_core::{Error, ErrorKind};
use nodedata_registry::{
    B3, LEASE_SECONDS, Needed, PushRequest, Sender,
    http::{NeededBody, PART_CV, PUSH, PartsAnswer, PushAnswer, bitmap_of, unpack},
    layout,
    record::BlobRef,
    tree,
};

use crate::{
    app::App,
    call::{Call, no_digest},
    numbers,
    refusal::{Answered, Refusal},
    reply::Reply,
    views::DatasetView,
};

/// What each blob costs that comes with others, in units: as much as one that comes alone.
const BLOB_COST: u64 = 4;

pub(crate) fn negotiate(app: &App, call: &Call) -> Answered<Reply> {
    let dataset = call.dataset()?;
    if !call.principal.may_push(&dataset) {
        let refusal = Refusal::forbidden(&format!("push:{dataset}"));
        return app.denied(&call.principal, "push", Some(dataset.to_string()), refusal);
    }
    let request: PushRequest = call.json()?;
    check_push_id(&request.push)?;
    if request.dataset != dataset {
        let err = Error::new(ErrorKind::Config, format!("the push is for `{}`", request.dataset));
        return Err(Refusal::invalid(&err.with_hint("send it to its own dataset")));
    }
    let view = app.views.get(&app.remote, &dataset)?;
    app.reserve(call.principal.who(), &request, view.as_deref())?;
    let need = needed(app, call, &request, view.as_deref())?;
    let need = need.into_iter().map(|it| {
        let parts = bitmap_of(&it.have, tree::n_parts(it.blob.bytes));
        NeededBody { blob: it.blob, parts }
    });
    Reply::json(&PushAnswer {
        push: request.push,
        part: tree::PART_BYTES_MIN,
        need: need.collect(),
        lease_seconds: LEASE_SECONDS,
    })
}

/// What must be sent: all but the blobs that the dataset has, or that the account has sent, and that are there. Of others
/// nobody is told whether they are, and the same is done for them either way.
fn needed(
    app: &App,
    call: &Call,
    request: &PushRequest,
    view: Option<&DatasetView>,
) -> Answered<Vec<Needed>> {
    let account = call.principal.who();
    let lease = PushRequest { push: lease_of(account, &request.push), ..request.clone() };
    app.direct.announce(&lease)?;
    let paths: Vec<String> = request.blobs.iter().map(|it| layout::blob(&it.b3)).collect();
    let found = app.store.heads(&paths)?;
    let blobs = request.blobs.iter().map(|it| it.b3);
    let others: BTreeSet<B3> = blobs.filter(|b3| view.is_none_or(|it| !it.has_blob(b3))).collect();
    let shown = app.database.possessed(account, &others)?;
    let mut need = Vec::new();
    let mut seen = BTreeSet::new();
    for (blob, found) in request.blobs.iter().zip(found).filter(|(blob, _)| seen.insert(blob.b3)) {
        let is_known = !others.contains(&blob.b3) || shown.contains(&blob.b3);
        if is_known && found.is_some_and(|it| it.bytes == blob.bytes) {
            continue;
        }
        let sender = Sender::of(account, &request.push);
        if tree::n_parts(blob.bytes) > 1 {
            let now = app.options.clock.now();
            if let Some(earlier) = app.database.begin_staging(account, &blob.b3, &request.push, now)? {
                app.store.hand_over(&Sender::of(account, &earlier), &sender, blob)?;
            }
        }
        need.push(Needed { blob: blob.clone(), have: app.store.parts_of(&sender, blob)? });
    }
    Ok(need)
}

/// The name of a lease: that of a push of an account, so that nobody ends or replaces one of another account.
fn lease_of(account: &str, push: &str) -> String {
    Sender::of(account, push).name().unwrap_or(push).to_owned()
}

pub(crate) fn end(app: &App, call: &Call) -> Answered<Reply> {
    may_send(app, call)?;
    let push = call.param("push");
    check_push_id(push)?;
    app.reservations.end(call.principal.who(), push);
    app.remote.end_push(&lease_of(call.principal.who(), push))?;
    Ok(Reply::empty())
}

/// Who sends: an account, for the push that it names.
fn sender_of(call: &Call) -> Answered<Sender> {
    let push = match call.header(PUSH) {
        None => "",
        Some(push) => {
            check_push_id(push)?;
            push
        }
    };
    Ok(Sender::of(call.principal.who(), push))
}

/// A push names a file of the store.
fn check_push_id(push: &str) -> Answered<()> {
    let is_name = (1..=64).contains(&push.len())
        && push.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'));
    match is_name {
        true => Ok(()),
        false => {
            let err = Error::new(ErrorKind::Config, "this cannot be the name of a push");
            Err(Refusal::invalid(&err.with_hint("use up to 64 letters, digits, `-` and `_`")))
        }
    }
}

fn may_send(app: &App, call: &Call) -> Answered<()> {
    match call.principal.may_push_somewhere() {
        true => Ok(()),
        false => app.denied(&call.principal, "send", None, Refusal::forbidden("push:OWNER/NAME")),
    }
}

pub(crate) fn put_part(app: &App, call: &Call) -> Answered<Reply> {
    may_send(app, call)?;
    let n_bytes = call.number(&numbers::BYTES_OF_PART)?;
    let part = call.number(&numbers::PART)?;
    let part = u32::try_from(part).map_err(|_| Refusal::missing("part"))?;
    let n_parts = tree::n_parts(n_bytes);
    if n_parts <= part {
        let message = format!("a blob of {n_bytes} bytes has {n_parts} parts, and none at position {part}");
        let err = Error::new(ErrorKind::Corrupt, message).with_hint("cut the blob as `GET …/parts` says");
        return Err(Refusal::of(422, "part-length", &err));
    }
    let blob = BlobRef { b3: call.b3()?, sha256: String::new(), bytes: n_bytes };
    check_cv(call, &blob, part)?;
    let (account, sender) = (call.principal.who(), sender_of(call)?);
    app.expect_announced(account, &blob.b3)?;
    // The bytes are at fault, not the store.
    app.store.take_part(&sender, &blob, part, call.body.clone()).map_err(|err| match err.kind() {
        ErrorKind::Corrupt => Refusal::of(422, "part-damaged", &err),
        _ => err.into(),
    })?;
    if n_parts == 1 {
        app.database.note_possession(account, &blob.b3)?;
    }
    app.metrics.bytes_in.fetch_add(call.body.len() as u64, Ordering::Relaxed);
    Ok(Reply::empty())
}

/// Small blobs that come together: each whole, and noted with the others.
pub(crate) fn put_blobs(app: &App, call: &Call) -> Answered<Reply> {
    may_send(app, call)?;
    let damaged = |err: Error| match err.kind() {
        ErrorKind::Corrupt => Refusal::of(422, "part-damaged", &err),
        _ => err.into(),
    };
    let blobs = unpack(&call.body).map_err(damaged)?;
    // How many there are, only the body tells.
    app.charge(&call.asker, BLOB_COST * blobs.len() as u64, Instant::now())?;
    let account = call.principal.who();
    blobs.iter().try_for_each(|(blob, _)| app.expect_announced(account, &blob.b3))?;
    app.store.put_blobs(&blobs).map_err(damaged)?;
    let shown: Vec<B3> = blobs.iter().map(|(blob, _)| blob.b3).collect();
    app.database.note_possessions(account, &shown)?;
    app.metrics.bytes_in.fetch_add(call.body.len() as u64, Ordering::Relaxed);
    Ok(Reply::empty())
}

/// The chaining value that came with a part, when one did.
fn check_cv(call: &Call, blob: &BlobRef, part: u32) -> Answered<()> {
    let Some(claimed) = call.header(PART_CV) else { return Ok(()) };
    let claimed: B3 = claimed.parse().map_err(|_| no_digest())?;
    let range = tree::part_range(blob.bytes, part);
    let found = match tree::n_grains(blob.bytes) {
        0 => B3::of(&call.body),
        _ if call.body.is_empty() => return Err(damaged(part)),
        _ => B3(tree::fold(&tree::grain_cvs(range.start, &call.body))),
    };
    if found == claimed { Ok(()) } else { Err(damaged(part)) }
}

fn damaged(part: u32) -> Refusal {
    let message = format!("part {part} is not what its chaining value says");
    let err = Error::new(ErrorKind::Corrupt, message).with_hint("send the part again");
    Refusal::of(422, "part-damaged", &err)
}

/// Whether an account has sent a blob, and it is there. Of what others sent it learns nothing.
fn has_sent(app: &App, account: &str, blob: &BlobRef) -> Answered<bool> {
    if !app.database.possesses(account, &blob.b3)? {
        return Ok(false);
    }
    Ok(app.store.head(&layout::blob(&blob.b3))?.is_some_and(|it| it.bytes == blob.bytes))
}

pub(crate) fn parts(app: &App, call: &Call) -> Answered<Reply> {
    may_send(app, call)?;
    let n_bytes = call.number(&numbers::BYTES)?;
    let blob = BlobRef { b3: call.b3()?, sha256: String::new(), bytes: n_bytes };
    let n_parts = tree::n_parts(n_bytes);
    let have = match has_sent(app, call.principal.who(), &blob)? {
        true => (0..n_parts).collect(),
        false => app.store.parts_of(&sender_of(call)?, &blob)?,
    };
    Reply::json(&PartsAnswer { n_parts, parts: bitmap_of(&have, n_parts) })
}

/// `POST /v1/blobs/{b3}:seal`.
pub(crate) fn seal(app: &App, call: &Call) -> Answered<Reply> {
    may_send(app, call)?;
    let target = call.param("target");
    let b3 = target.strip_suffix(":seal").ok_or_else(|| Refusal::missing("action on a blob"))?;
    let b3: B3 = b3.parse().map_err(|_| no_digest())?;
    let blob: BlobRef = call.json()?;
    if blob.b3 != b3 {
        let err = Error::new(ErrorKind::Config, "the body names another blob than the path");
        return Err(Refusal::invalid(&err.with_hint("send the blob's own b3 and length")));
    }
    let account = call.principal.who();
    let sender = sender_of(call)?;
    if has_sent(app, account, &blob)? {
        return Ok(Reply::empty());
    }
    app.store.seal_parts(&sender, &blob).map_err(|err| match err.kind() {
        ErrorKind::Corrupt => Refusal::of(422, "parts-missing", &err),
        _ => err.into(),
    })?;
    app.database.end_stagings(account, &b3)?;
    app.database.note_possession(account, &b3)?;
    Ok(Reply::empty())
}
