//! Bytes of blobs, in whole or by range, verified before they leave.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use bytes::Bytes;
use nodedata_core::Result;
use nodedata_registry::{B3, BlobReader, DatasetName};

use crate::{
    access::{Asked, is_open_to},
    app::App,
    asker::Asker,
    call::Call,
    manners::{Wanted, etag_of, is_known, not_modified, wanted},
    principal::Principal,
    refusal::{Answered, Refusal},
    reply::Reply,
    views::{BlobUse, DatasetView},
};

/// What is read and sent at once; a multiple of a grain.
const WINDOW_BYTES: u64 = 4 << 20;
/// The same where the memory for answers is given away: a grain.
const SMALL_WINDOW_BYTES: u64 = 256 << 10;

pub(crate) fn get(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let view = app.see(&call.principal, &call.dataset()?)?;
    let b3 = call.b3()?;
    let blob = app.blob_of(&view, &b3)?;
    serve(app, call, &view, &b3, &blob, "application/octet-stream")
}

/// The same, where nobody need be waited for: a short range that stands open to whoever asks, of a file in memory that was verified lately.
pub(crate) fn get_at_once(app: &Arc<App>, call: &Call) -> Option<Answered<Reply>> {
    let view = app.see_at_hand(&call.principal, &call.dataset().ok()?)?;
    let b3 = call.b3().ok()?;
    let blob = app.blob_of(&view, &b3).ok().filter(|it| is_open_to(&call.principal, &view, it))?;
    let (n_bytes, etag) = (blob.bytes?, etag_of(&b3));
    let Wanted::Part(range) = wanted(&call.said.headers, &etag, n_bytes) else { return None };
    let n_wanted = range.end - range.start;
    if call.is_head || is_known(&call.said.headers, &etag) || n_wanted > SMALL_WINDOW_BYTES {
        return None;
    }
    let path = app.remote.local_path(&b3)?;
    let share = app.answers.try_take(&call.asker, n_wanted)?;
    let bytes = app.verified.at_hand(&path, (&b3, n_bytes), &range, || app.options.clock.now())?;
    app.metrics.bytes_out.fetch_add(n_wanted, Ordering::Relaxed);
    let mut reply = head(&view, &blob, &etag, (Some(&range), n_bytes), "application/octet-stream");
    reply.body = Body::from(share.holding(bytes));
    Some(Ok(reply))
}

pub(crate) fn tree(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let view = app.see(&call.principal, &call.dataset()?)?;
    let b3 = call.b3()?;
    let blob = app.blob_of(&view, &b3)?;
    let asked = Asked { action: "read-tree", subject: b3.to_string(), n_bytes: 0 };
    app.admit(&call.principal, &view, &blob, &asked)?;
    let bytes = app.remote.read_tree(&view.state.dataset, &b3)?.ok_or_else(|| Refusal::missing("tree"))?;
    Ok(Reply::bytes("application/octet-stream", bytes))
}

/// Serves a blob, or the range of it that is asked for, to whom the gate lets have it.
pub(crate) fn serve(
    app: &Arc<App>,
    call: &Call,
    view: &DatasetView,
    b3: &B3,
    blob: &BlobUse,
    media_type: &'static str,
) -> Answered<Reply> {
    let dataset = &view.state.dataset;
    let n_bytes = match blob.bytes {
        Some(n_bytes) => n_bytes,
        None => app.remote.blob_bytes(dataset, b3)?.ok_or_else(|| Refusal::missing("blob"))?,
    };
    let etag = etag_of(b3);
    let is_known = is_known(&call.said.headers, &etag);
    let (range, is_behind) = match wanted(&call.said.headers, &etag, n_bytes) {
        _ if call.is_head || is_known => (None, false),
        Wanted::Whole => (None, false),
        Wanted::Part(range) => (Some(range), false),
        Wanted::Nothing => (None, true),
    };
    let wanted = range.clone().unwrap_or(0..n_bytes);
    let n_wanted = wanted.end - wanted.start;
    let n_asked = if is_known || is_behind { 0 } else { n_wanted };
    let asked = Asked { action: "read", subject: b3.to_string(), n_bytes: n_asked };
    app.admit(&call.principal, view, blob, &asked)?;
    if is_behind {
        return Err(Refusal::no_range(n_bytes));
    }
    if is_known {
        return Ok(not_modified(&etag).with_header(header::CACHE_CONTROL, kept(view, blob)));
    }
    let mut reply = head(view, blob, &etag, (range.as_ref(), n_bytes), media_type);
    if call.is_head {
        return Ok(reply);
    }
    app.metrics.bytes_out.fetch_add(n_wanted, Ordering::Relaxed);
    let reader = BlobReader::open_with(&app.remote, dataset, b3, n_bytes, app.verified.trees())?;
    if n_wanted <= WINDOW_BYTES {
        if let Some(share) = app.answers.try_take(&call.asker, n_wanted) {
            reply.body = Body::from(share.holding(read(app, &reader, wanted)?));
            return Ok(reply);
        }
        if n_wanted <= SMALL_WINDOW_BYTES {
            reply.body = Body::from(read(app, &reader, wanted)?);
            return Ok(reply);
        }
    }
    let piece = Piece {
        app: Arc::clone(app),
        principal: call.principal.clone(),
        asker: call.asker.clone(),
        dataset: dataset.clone(),
        b3: *b3,
        reader,
    };
    reply.body = piece.stream(wanted);
    Ok(reply)
}

/// By whom an answer may be kept. The name says what the bytes are, so for ever, but by the asker alone; what is behind a gate by nobody.
fn kept(view: &DatasetView, blob: &BlobUse) -> &'static str {
    let is_open = blob.is_open || view.uses(blob).any(|(_, is_open)| is_open);
    if is_open { "private, no-cache" } else { "private, no-store" }
}

/// An answer with a blob of `n_bytes`, or the range of it, but for the bytes.
fn head(
    view: &DatasetView,
    blob: &BlobUse,
    etag: &str,
    (range, n_bytes): (Option<&Range<u64>>, u64),
    media_type: &'static str,
) -> Reply {
    let n_wanted = range.map_or(n_bytes, |it| it.end - it.start);
    let reply = Reply::new(media_type, Body::empty())
        .with_header(header::ACCEPT_RANGES, "bytes")
        .with_header(header::CACHE_CONTROL, kept(view, blob))
        .with_header(header::ETAG, etag)
        .with_header(header::CONTENT_LENGTH, &n_wanted.to_string());
    match range {
        Some(it) => reply
            .with_status(StatusCode::PARTIAL_CONTENT)
            .with_header(header::CONTENT_RANGE, &format!("bytes {}-{}/{n_bytes}", it.start, it.end - 1)),
        None => reply,
    }
}

/// Bytes that were verified: now, or a short while ago where the file is the same since.
fn read(app: &App, reader: &BlobReader, range: Range<u64>) -> Result<Bytes> {
    app.verified.read(reader, range, || app.options.clock.now())
}

struct Piece {
    app: Arc<App>,
    principal: Principal,
    asker: Asker,
    dataset: DatasetName,
    b3: B3,
    reader: BlobReader,
}

impl Piece {
    /// Reads while it is sent. Before each window the gate is asked again: a grant that is taken back ends the
    /// answer, and the asker sees that bytes are missing.
    fn stream(self, range: Range<u64>) -> Body {
        let windows = futures_util::stream::try_unfold((Arc::new(self), range), |(piece, left)| async move {
            if left.is_empty() {
                return Ok(None);
            }
            // Nobody's download waits for another's: what is sent without memory of its own is small.
            let share = piece.app.answers.try_take(&piece.asker, WINDOW_BYTES);
            let n_bytes = if share.is_some() { WINDOW_BYTES } else { SMALL_WINDOW_BYTES };
            let end = (left.start / n_bytes + 1).saturating_mul(n_bytes).min(left.end);
            let (window, reading) = (left.start..end, Arc::clone(&piece));
            let read = tokio::task::spawn_blocking(move || {
                reading.app.still_admitted(&reading.principal, &reading.dataset, &reading.b3)?;
                let bytes = read(&reading.app, &reading.reader, window)?;
                Ok::<Bytes, Refusal>(match share {
                    Some(share) => share.holding(bytes),
                    None => bytes,
                })
            });
            match read.await {
                Ok(Ok(bytes)) => Ok(Some((bytes, (piece, end..left.end)))),
                Ok(Err(refusal)) => Err(std::io::Error::other(refusal.problem.code)),
                Err(_) => Err(std::io::Error::other("internal")),
            }
        });
        Body::from_stream(windows)
    }
}
