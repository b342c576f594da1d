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
use nodedata_core::ReadAt as _;
use nodedata_registry::{B3, BlobReader, DatasetName};

use crate::{
    access::Asked,
    app::App,
    call::Call,
    principal::Principal,
    refusal::{Answered, Refusal},
    reply::Reply,
    views::{BlobUse, DatasetView},
};

/// What is read and sent at once; a multiple of a grain.
const WINDOW_BYTES: u64 = 4 << 20;

pub(crate) fn get(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let view = app.see(&call.principal, &call.dataset()?)?;
    let b3 = call.b3()?;
    let blob = app.blob_of(&view, &b3)?;
    serve(app, call, &view, &b3, &blob, "application/octet-stream")
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
    let range = match call.header(header::RANGE.as_str()) {
        Some(text) => Some(range_of(text, n_bytes)?),
        None => None,
    };
    let wanted = range.clone().unwrap_or(0..n_bytes);
    let asked = Asked { action: "read", subject: b3.to_string(), n_bytes: wanted.end - wanted.start };
    app.admit(&call.principal, view, blob, &asked)?;
    // The name says what the bytes are, so they may be kept for ever, by the asker alone.
    let reply = Reply::new(media_type, Body::empty())
        .with_header(header::ACCEPT_RANGES, "bytes")
        .with_header(header::ETAG, &format!("\"{}\"", b3.hex()))
        .with_header(header::CONTENT_LENGTH, &(wanted.end - wanted.start).to_string());
    let mut reply = match &range {
        Some(it) => reply
            .with_status(StatusCode::PARTIAL_CONTENT)
            .with_header(header::CONTENT_RANGE, &format!("bytes {}-{}/{n_bytes}", it.start, it.end - 1)),
        None => reply,
    };
    if call.is_head {
        return Ok(reply);
    }
    app.metrics.bytes_out.fetch_add(wanted.end - wanted.start, Ordering::Relaxed);
    let piece = Piece {
        app: Arc::clone(app),
        principal: call.principal.clone(),
        dataset: dataset.clone(),
        b3: *b3,
        reader: BlobReader::open(&app.remote, dataset, b3, n_bytes)?,
    };
    reply.body = if wanted.end - wanted.start <= WINDOW_BYTES {
        Body::from(piece.reader.read_at(wanted)?)
    } else {
        piece.stream(wanted)
    };
    Ok(reply)
}

struct Piece {
    app: Arc<App>,
    principal: Principal,
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
            let end = (left.start / WINDOW_BYTES + 1).saturating_mul(WINDOW_BYTES).min(left.end);
            let (window, reading) = (left.start..end, Arc::clone(&piece));
            let read = tokio::task::spawn_blocking(move || {
                reading.app.still_admitted(&reading.principal, &reading.dataset, &reading.b3)?;
                Ok::<Bytes, Refusal>(reading.reader.read_at(window)?)
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

/// One range of `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`.
fn range_of(text: &str, n_bytes: u64) -> Answered<Range<u64>> {
    let parse = || {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        if first.is_empty() {
            let n_last: u64 = last.parse().ok()?;
            return Some(n_bytes.saturating_sub(n_last)..n_bytes);
        }
        let start: u64 = first.parse().ok()?;
        let end = match last {
            "" => n_bytes,
            last => last.parse::<u64>().ok()?.saturating_add(1).min(n_bytes),
        };
        Some(start..end)
    };
    parse().filter(|it| it.start < it.end).ok_or_else(|| {
        let message = format!("the range is none of the {n_bytes} bytes");
        Refusal::new(416, "range", message, "ask for one range, `bytes=FIRST-LAST`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let range = |text| range_of(text, 10).ok();
        assert_eq!(range("bytes=0-9"), Some(0..10));
        assert_eq!(range("bytes=3-3"), Some(3..4));
        assert_eq!(range("bytes=3-"), Some(3..10));
        assert_eq!(range("bytes=-4"), Some(6..10));
        assert_eq!(range("bytes=-40"), Some(0..10));
        assert_eq!(range("bytes=5-400"), Some(5..10));
        assert_eq!(range("bytes=0-18446744073709551615"), Some(0..10));
        assert_eq!(range("bytes=-18446744073709551615"), Some(0..10));
        assert_eq!(range("bytes=18446744073709551615-"), None);
        for bad in ["bytes=10-12", "bytes=4-2", "bytes=-0", "bytes=0-1,3-4", "0-1", "bytes=-", "bytes=a-b"] {
            assert_eq!(range(bad), None, "{bad}");
        }
    }
}
