//! Pushes: what must be sent, and the parts that are sent.

use std::sync::atomic::Ordering;

use nodedata_core::{Error, ErrorKind};
use nodedata_registry::{
    B3, LEASE_SECONDS, Needed, PushRequest,
    http::{NeededBody, PART_CV, PartsAnswer, PushAnswer, bitmap_of},
    layout,
    record::{BlobRef, Lease},
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
    let mut need = app.remote.negotiate(&request)?.need;
    let view = app.views.get(&app.remote, &dataset)?;
    withhold(app, call, &request, view.as_deref(), &mut need)?;
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

/// Asks for blobs that are in the store, but not known to be the pusher's: they are shown as if they were
/// not there, and the answer does not tell the difference.
fn withhold(
    app: &App,
    call: &Call,
    request: &PushRequest,
    view: Option<&DatasetView>,
    need: &mut Vec<Needed>,
) -> Answered<()> {
    let account = call.principal.who();
    let mut asked: std::collections::BTreeSet<B3> = need.iter().map(|it| it.blob.b3).collect();
    for blob in &request.blobs {
        if asked.contains(&blob.b3) || view.is_some_and(|it| it.blob(&blob.b3).is_some()) {
            continue;
        }
        if app.database.possesses(account, &blob.b3)? {
            continue;
        }
        asked.insert(blob.b3);
        need.push(Needed { blob: blob.clone(), have: app.proofs.have(account, &blob.b3) });
    }
    Ok(())
}

pub(crate) fn end(app: &App, call: &Call) -> Answered<Reply> {
    let push = call.param("push");
    check_push_id(push)?;
    let Some(bytes) = app.store.get(&layout::lease(push))? else { return Ok(Reply::empty()) };
    let lease: Lease = nodedata_registry::record::from_bytes("lease", &bytes)?;
    if !call.principal.may_push(&lease.dataset) {
        let refusal = Refusal::forbidden(&format!("push:{}", lease.dataset));
        return app.denied(&call.principal, "end-push", Some(lease.dataset.to_string()), refusal);
    }
    app.remote.end_push(push)?;
    Ok(Reply::empty())
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
    let account = call.principal.who();
    let is_single = n_parts == 1;
    if is_there(app, &blob)? {
        if app.database.possesses(account, &blob.b3)? {
            return Ok(Reply::empty());
        }
        app.proofs.show(account, &blob, part, &call.body)?;
        if is_single && app.proofs.conclude(account, &blob) {
            app.database.note_possession(account, &blob.b3)?;
        }
    } else {
        // The bytes are at fault, not the store.
        app.remote.upload_part(&blob, part, call.body.clone()).map_err(|err| match err.kind() {
            ErrorKind::Corrupt => Refusal::of(422, "part-damaged", &err),
            _ => err.into(),
        })?;
        if is_single {
            app.database.note_possession(account, &blob.b3)?;
        }
    }
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

fn is_there(app: &App, blob: &BlobRef) -> Answered<bool> {
    Ok(app.store.head(&layout::blob(&blob.b3))?.is_some_and(|it| it.bytes == blob.bytes))
}

pub(crate) fn parts(app: &App, call: &Call) -> Answered<Reply> {
    may_send(app, call)?;
    let n_bytes = call.number(&numbers::BYTES)?;
    let blob = BlobRef { b3: call.b3()?, sha256: String::new(), bytes: n_bytes };
    let (account, n_parts) = (call.principal.who(), tree::n_parts(n_bytes));
    let have = if !is_there(app, &blob)? {
        app.store.uploaded_parts(&blob)?
    } else if app.database.possesses(account, &blob.b3)? {
        (0..n_parts).collect()
    } else {
        app.proofs.have(account, &blob.b3)
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
    if is_there(app, &blob)? && !app.database.possesses(account, &b3)? {
        if !app.proofs.conclude(account, &blob) {
            let err = Error::new(ErrorKind::Corrupt, format!("the parts of {b3} must be sent again"));
            return Err(Refusal::of(422, "parts-missing", &err.with_hint("push again: only they are sent")));
        }
    } else {
        app.remote.seal(&blob).map_err(|err| match err.kind() {
            ErrorKind::Corrupt => Refusal::of(422, "parts-missing", &err),
            _ => err.into(),
        })?;
    }
    app.database.note_possession(account, &b3)?;
    Ok(Reply::empty())
}
