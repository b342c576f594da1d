use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nodedata_core::Result;
use nodedata_registry::{
    Direct, Remote, Store,
    gate::{AuditEvent, Outcome},
};
use tokio::sync::Semaphore;

use crate::{
    apart::Apart,
    database::Database,
    limits::RateLimiter,
    metrics::Metrics,
    options::ServerOptions,
    principal::Principal,
    refusal::{Answered, Refusal},
    views::Views,
};

/// Bytes that one permit of the budget for bodies stands for.
pub(crate) const BODY_PERMIT_BYTES: u64 = 64 << 10;

/// Everything that requests share.
pub(crate) struct App {
    pub(crate) store: Store,
    /// The store, as one writes to it.
    pub(crate) direct: Direct,
    /// The store, as what reads revisions from it holds it.
    pub(crate) remote: Arc<dyn Remote>,
    pub(crate) database: Database,
    pub(crate) options: ServerOptions,
    pub(crate) views: Views,
    pub(crate) limiter: RateLimiter,
    pub(crate) metrics: Metrics,
    /// The budget for bodies in memory.
    pub(crate) bodies: Arc<Semaphore>,
    /// What is kept outside the database; nothing where that ends with the process.
    pub(crate) apart: Option<Apart>,
    /// Intents of requests that go on.
    under_way: Mutex<BTreeSet<i64>>,
}

impl App {
    /// # Errors
    /// `Io`, `Config` when the key in the folder of data is none.
    pub(crate) fn new(store: Store, database: Database, options: ServerOptions) -> Result<Self> {
        let permits =
            (options.bodies_bytes_max.max(options.body_bytes_max) / BODY_PERMIT_BYTES).max(1) as usize;
        let apart = options.data.as_deref().map(|it| Apart::new(it, &database)).transpose()?;
        let direct = Direct::new(store.clone());
        Ok(Self {
            remote: direct.shared(),
            direct,
            store,
            views: Views::new(database.clone()),
            database,
            limiter: RateLimiter::new(options.requests_per_second, options.requests_burst),
            metrics: Metrics::default(),
            bodies: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            apart,
            under_way: Mutex::default(),
            options,
        })
    }

    pub(crate) fn under_way(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something in the audit log.
    ///
    /// # Errors
    /// `Io`: then what was to be noted must not be done.
    pub(crate) fn note(&self, event: AuditEvent) -> Result<()> {
        self.database.audit(self.options.clock.stamp(), event)
    }

    /// Notes that somebody was not let, and hands the reason on.
    pub(crate) fn denied<T>(
        &self,
        principal: &Principal,
        action: &str,
        dataset: Option<String>,
        refusal: Refusal,
    ) -> Answered<T> {
        self.note(AuditEvent {
            who: principal.who().to_owned(),
            action: action.to_owned(),
            outcome: Outcome::Denied,
            dataset,
            reason: Some(refusal.problem.code.clone()),
            ..AuditEvent::default()
        })?;
        Err(refusal)
    }
}
