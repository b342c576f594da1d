use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use chrono::{DateTime, Utc};
use nodedata_core::Result;
use nodedata_registry::http::{Discovery, IssuerUrl};

use crate::oidc::{jwt::Unverified, keys::KeySet, web::Web};

/// How long what an issuer says is believed without asking again, in seconds: so long a key that it has taken back still counts.
const KEPT_SECONDS: i64 = 3600;
/// The least time between two times that an issuer is asked, in seconds, whatever tokens name.
const ASKED_SECONDS_MIN: i64 = 30;

/// What an issuer says of itself, and its keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) discovery: Discovery,
    pub(crate) keys: KeySet,
    /// When, in seconds since 1970.
    at: i64,
}

/// Nobody knows what the issuer says now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unavailable;

/// An issuer that tokens are taken of.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) url: IssuerUrl,
    state: Mutex<State>,
    /// Held by whoever asks it: nobody waits for that.
    asking: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Arc<Known>>,
    /// When it was asked last, whatever came of it.
    asked: Option<i64>,
}

impl Issuer {
    pub(crate) fn new(url: IssuerUrl) -> Self {
        Self { url, state: Mutex::default(), asking: Mutex::default() }
    }

    /// What the issuer says, with a key for a token where it has one. It is asked again when what is known is old, and, now and
    /// then, when the key is unknown: it may have a new one.
    ///
    /// # Errors
    /// When it does not answer, or was asked too often. `failed` is told why.
    pub(crate) fn known(
        &self,
        web: &Web,
        token: Option<&Unverified<'_>>,
        now: DateTime<Utc>,
        failed: impl Fn(nodedata_core::Error),
    ) -> Result<Arc<Known>, Unavailable> {
        let now = now.timestamp();
        let suits = |it: &Known| token.is_none_or(|token| token.is_for(&it.keys));
        let (held, may_ask) = self.held(now);
        if let Some(held) = held.as_ref().filter(|it| suits(it) || !may_ask) {
            return Ok(Arc::clone(held));
        }
        let _alone = match self.asking.try_lock() {
            Ok(it) => it,
            Err(TryLockError::Poisoned(it)) => it.into_inner(),
            Err(TryLockError::WouldBlock) => return held.ok_or(Unavailable),
        };
        // Somebody may have asked it in between.
        let (held, may_ask) = self.held(now);
        if !may_ask {
            return held.ok_or(Unavailable);
        }
        self.state().asked = Some(now);
        match self.ask(web, now) {
            Ok(known) => {
                let known = Arc::new(known);
                self.state().known = Some(Arc::clone(&known));
                Ok(known)
            }
            Err(err) => {
                failed(err);
                held.ok_or(Unavailable)
            }
        }
    }

    /// What is known and not too old, and whether the issuer may be asked.
    fn held(&self, now: i64) -> (Option<Arc<Known>>, bool) {
        // A clock that was set back makes nothing last longer.
        let is_within = |at: i64, seconds: i64| (0..seconds).contains(&now.saturating_sub(at));
        let state = self.state();
        let held = state.known.clone().filter(|it| is_within(it.at, KEPT_SECONDS));
        (held, !state.asked.is_some_and(|it| is_within(it, ASKED_SECONDS_MIN)))
    }

    fn ask(&self, web: &Web, now: i64) -> Result<Known> {
        let discovery = Discovery::parse(&self.url, &web.get(&self.url.discovery_url()?)?)?;
        let keys = KeySet::parse(&web.get(&discovery.jwks)?)?;
        Ok(Known { discovery, keys, at: now })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
