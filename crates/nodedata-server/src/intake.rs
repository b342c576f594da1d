//! What a request must pass before a handler sees it: the limits of whoever asks, and memory for its body.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    http::{HeaderMap, request::Parts},
};
use bytes::Bytes;
use nodedata_core::{Error, ErrorKind};
use nodedata_registry::http::CUT_BODY;
use tokio::time::timeout;

use crate::{
    app::App,
    asker::Asker,
    connections::{Phase, Slot},
    proxies::client_address,
    refusal::{Answered, Refusal},
    routes::{self, Route},
    shares::Share,
};

/// Bytes of a refused request that are read and dropped, so that its sender gets to read the answer.
const DRAINED_BYTES_MAX: usize = 16 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The least that a body is counted for.
const BODY_BYTES_MIN: u64 = 64 << 10;

/// A request on its way in.
pub(crate) struct Intake {
    app: Arc<App>,
    slot: Option<Arc<Slot>>,
}

impl App {
    /// Counts units of cost to whoever asks.
    ///
    /// # Errors
    /// 429 when they are beyond what it may use.
    pub(crate) fn charge(&self, asker: &Asker, cost: u64, now: Instant) -> Answered<()> {
        self.limiter.admit(asker, cost, now).map_err(|seconds| {
            self.metrics.rate_refusals.fetch_add(1, Ordering::Relaxed);
            let message = format!("too much was asked for: this costs {cost} units");
            let mut refusal = Refusal::new(429, "rate", message, "wait as long as `Retry-After` says");
            refusal.retry_after = Some(seconds);
            refusal
        })?;
        self.metrics.cost.fetch_add(cost, Ordering::Relaxed);
        Ok(())
    }
}

impl Intake {
    pub(crate) fn new(app: &Arc<App>, parts: &Parts) -> Self {
        Self { app: Arc::clone(app), slot: parts.extensions.get::<Arc<Slot>>().cloned() }
    }

    /// The address that it comes from.
    pub(crate) fn client(&self, headers: &HeaderMap) -> IpAddr {
        let peer = self.slot.as_ref().map_or(Ipv4Addr::UNSPECIFIED.into(), |it| it.connection().peer());
        client_address(&self.app.options.trusted_proxies, peer, headers)
    }

    /// How many bytes a body counts for: as many as it has, or as one may have where it does not say or says more.
    pub(crate) fn body_bytes(&self, body: &Body) -> u64 {
        let max = self.app.options.limits.body_bytes;
        body.size_hint().exact().unwrap_or(max).min(max)
    }

    /// Lets a request in, within the rate and the connections of whoever asks.
    pub(crate) fn admit(&self, asker: &Asker, cost: u64) -> Answered<()> {
        let now = Instant::now();
        self.app.charge(asker, cost, now)?;
        let Some(slot) = &self.slot else { return Ok(()) };
        slot.hold(asker, now).map_err(|_| {
            let message = "all the connections that one may have are busy";
            let mut refusal = Refusal::new(429, "connections", message, "ask for less at once");
            refusal.retry_after = Some(1);
            refusal
        })
    }

    /// The body, and the memory it takes.
    pub(crate) async fn read(
        &self,
        route: &Route,
        asker: &Asker,
        body: Body,
    ) -> Answered<(Bytes, Option<Share>)> {
        if route.body == routes::Body::Nothing {
            return Ok((Bytes::new(), None));
        }
        let max = route.body.bytes_max(self.app.options.limits.body_bytes);
        let too_long = || {
            let err = Error::new(ErrorKind::Limit, format!("the body has more than {max} bytes"));
            Refusal::of(413, "body-length", &err.with_hint("send less at once"))
        };
        if body.size_hint().lower() > max {
            self.drain(body).await;
            return Err(too_long());
        }
        let wanted = self.body_bytes(&body).max(BODY_BYTES_MIN).min(max);
        let share = match &self.slot {
            Some(slot) => Some(self.app.bodies.take(asker, wanted, slot.connection()).await),
            None => None,
        };
        self.enter(Phase::Body);
        let bytes = tokio::select! {
            biased;
            bytes = to_bytes(body, usize::try_from(max).unwrap_or(usize::MAX)) => bytes,
            () = self.body_overdue() => return Err(Refusal::slow_body()),
        };
        self.enter(Phase::Work);
        let bytes = bytes.map_err(|err| {
            let is_length =
                std::error::Error::source(&err).is_some_and(|it| it.is::<http_body_util::LengthLimitError>());
            match is_length {
                true => too_long(),
                false => {
                    let err = Error::new(ErrorKind::Io, "the body did not come to its end");
                    Refusal::of(400, CUT_BODY, &err.with_hint("send it again"))
                }
            }
        })?;
        Ok((bytes, share))
    }

    /// Reads what is left of a request that is refused. Whatever comes of it.
    pub(crate) async fn drain(&self, body: Body) {
        if body.is_end_stream() {
            return;
        }
        self.enter(Phase::Body);
        tokio::select! {
            biased;
            read = timeout(DRAIN_TIMEOUT, to_bytes(body, DRAINED_BYTES_MAX)) => drop(read),
            () = self.body_overdue() => {}
        }
        self.enter(Phase::Work);
    }

    fn enter(&self, phase: Phase) {
        if let Some(slot) = &self.slot {
            slot.connection().enter(phase, Instant::now());
        }
    }

    async fn body_overdue(&self) {
        match &self.slot {
            Some(slot) => slot.connection().body_overdue(&self.app.options.limits).await,
            None => std::future::pending().await,
        }
    }
}
