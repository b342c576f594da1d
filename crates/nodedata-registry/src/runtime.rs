use std::time::Duration;

use futures_util::Future;

/// Slowest rate a request may go on at, in bytes per second.
const STALLED_BYTES_PER_SECOND: u64 = 64 << 10;
/// What a request may take beside its bytes.
const REQUEST_SECONDS: u64 = 60;

/// The request made no progress for too long.
#[derive(Debug)]
pub(crate) struct Stalled;

/// Runs a request of `n_bytes`. Gives up when it is slower than any line in use.
pub(crate) fn block_on<F: Future>(n_bytes: u64, future: F) -> Result<F::Output, Stalled> {
    let limit = Duration::from_secs(REQUEST_SECONDS + n_bytes / STALLED_BYTES_PER_SECOND);
    nodedata_io::block_on(async { tokio::time::timeout(limit, future).await.map_err(|_| Stalled) })
}
