use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    Direct, Remote, Store, VerifiedGrains,
    gate::{AuditEvent, Outcome},
};

use tokio::sync::Semaphore;

use crate::{
    apart::Apart,
    catalog::Catalog,
    connections::Connections,
    database::Database,
    denials::Denials,
    metrics::Metrics,
    oidc::Logins,
    options::ServerOptions,
    principal::Principal,
    quota::Reservations,
    rate::RateLimiter,
    refusal::{Answered, Refusal},
    serve,
    shares::Shares,
    views::Views,
};

/// Everything that requests share.
pub(crate) struct App {
    pub(crate) store: Store,
    /// The store, as one writes to it.
    pub(crate) direct: Direct,
    /// The store, as what reads revisions from it holds it.
    pub(crate) remote: Arc<dyn Remote>,
    /// What of its blobs was verified lately.
    pub(crate) verified: VerifiedGrains,
    pub(crate) database: Database,
    pub(crate) options: ServerOptions,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) views: Views,
    pub(crate) reservations: Reservations,
    pub(crate) limiter: RateLimiter,
    pub(crate) metrics: Metrics,
    pub(crate) denials: Denials,
    /// Whether the database refused what was to be noted last.
    is_failing: AtomicBool,
    /// Whether the database is no longer what became of the one that was there: then it says who may do what no more.
    is_cut: AtomicBool,
    pub(crate) connections: Arc<Connections>,
    /// Memory for bodies of requests.
    pub(crate) bodies: Arc<Shares>,
    /// Memory for what is sent.
    pub(crate) answers: Arc<Shares>,
    /// What is kept outside the database; nothing where that ends with the process.
    pub(crate) apart: Option<Apart>,
    /// Whose identity tokens are believed; nobody's where there are none.
    pub(crate) logins: Option<Logins>,
    /// Threads of the runtime that may look at files themselves: not all of them, as a file system that hangs would hold them all.
    pub(crate) turns: Semaphore,
    /// Intents of requests that go on.
    under_way: Mutex<BTreeSet<i64>>,
}

impl App {
    /// # Errors
    /// `Io` when the catalog cannot be opened, `Config` when the key in the folder of data is none.
    pub(crate) fn new(store: Store, database: Database, options: ServerOptions) -> Result<Self> {
        let catalog = Arc::new(Catalog::open(options.data.as_deref())?);
        let apart = options.data.as_deref().map(|it| Apart::new(it, &database)).transpose()?;
        let direct = Direct::new(store.clone());
        let limits = &options.limits;
        let shares = |all, each, n_each| Shares::new(all, each, n_each, limits.stalled_after);
        Ok(Self {
            remote: direct.shared(),
            verified: VerifiedGrains::default(),
            direct,
            store,
            views: Views::new(database.clone(), Arc::clone(&catalog)),
            database,
            catalog,
            reservations: Reservations::default(),
            limiter: RateLimiter::new(limits),
            metrics: Metrics::default(),
            denials: Denials::default(),
            is_failing: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            connections: Connections::new(limits.clone()),
            bodies: shares(limits.bodies_bytes, limits.bodies_bytes_per_account, limits.bodies_per_account),
            answers: shares(limits.answers_bytes, limits.answers_bytes_per_account, usize::MAX),
            apart,
            logins: Logins::new(options.login.clone(), options.trust.clone())?,
            turns: Semaphore::new(serve::n_workers() - 1),
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
        self.noted(self.database.audit(self.options.clock.stamp(), event))
    }

    /// Hands on what became of a note, and remembers whether the database takes any.
    pub(crate) fn noted<T>(&self, noted: Result<T>) -> Result<T> {
        self.is_failing.store(noted.is_err(), Ordering::Release);
        noted
    }

    /// Notes what those without a token were not let, in few words.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub(crate) fn settle_denials(&self) -> Result<()> {
        self.denials.settle(|event| self.note(event))
    }

    /// Remembers whether the database lacks lines of the audit log that it had.
    pub(crate) fn note_cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Release);
    }

    /// Refuses to go by a database that lacks what was there.
    ///
    /// # Errors
    /// `Io`, until it has it again or the server was started anew.
    pub(crate) fn expect_whole(&self) -> Result<()> {
        match self.is_cut.load(Ordering::Acquire) {
            true => Err(Error::new(ErrorKind::Io, "the audit log was cut or replaced while the server ran")
                .with_hint("the operator finds in the server's log what to do; try again later")),
            false => Ok(()),
        }
    }

    /// Refuses to begin what could not be noted.
    ///
    /// # Errors
    /// `Io` while the database takes nothing.
    pub(crate) fn expect_notes(&self) -> Result<()> {
        self.expect_whole()?;
        match self.is_failing.load(Ordering::Acquire) {
            true => self.try_database(),
            false => Ok(()),
        }
    }

    /// Whether the database takes what is to be noted.
    ///
    /// # Errors
    /// `Io` when it does not.
    pub(crate) fn try_database(&self) -> Result<()> {
        self.expect_whole()?;
        self.noted(self.database.try_write())
    }

    /// Notes that somebody was not let, and hands the reason on.
    pub(crate) fn denied<T>(
        &self,
        principal: &Principal,
        action: &str,
        dataset: Option<String>,
        refusal: Refusal,
    ) -> Answered<T> {
        if principal.account.is_none() {
            self.denials.count(action, &refusal.problem.code);
            return Err(refusal);
        }
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
