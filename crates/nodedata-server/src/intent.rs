//! Records and their lines of the audit log, as one step: what is about to be written is noted first, and settled after.

use nodedata_core::Result;
use nodedata_registry::{Appended, B3, DatasetName, gate::AuditEvent, layout, record::CommitRecord};

use crate::{
    app::App,
    database::{Intent, Settled},
    hooks::event_of,
    principal::Principal,
};

/// How long a store may take to show what it was sent before it is believed not to have got it, in seconds.
const UNDER_WAY_SECONDS: i64 = 300;

/// Another record has the number.
const TAKEN: &str = "slot-taken";
/// The record is nowhere.
const NOT_WRITTEN: &str = "not-written";

/// An intent that is under way; dropped, it is left for later.
struct UnderWay<'a> {
    app: &'a App,
    intent: Intent,
}

impl<'a> UnderWay<'a> {
    fn new(app: &'a App, intent: Intent) -> Self {
        app.under_way().insert(intent.id);
        Self { app, intent }
    }

    fn settle(&self, settled: Settled) -> Result<()> {
        self.app.settle(&self.intent, settled)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.app.under_way().remove(&self.intent.id);
    }
}

impl App {
    /// Adds a record to a log, with its line in the audit log: neither is told to have been done without the other.
    ///
    /// # Errors
    /// `Io`, then nobody knows yet, and whoever asks again is told; `Denied`.
    pub(crate) fn commit(
        &self,
        principal: &Principal,
        dataset: &DatasetName,
        record: &CommitRecord,
        action: &str,
    ) -> Result<Appended> {
        let digest = B3::of(&record.to_bytes()?);
        let event = AuditEvent {
            who: principal.who().to_owned(),
            action: action.to_owned(),
            dataset: Some(dataset.to_string()),
            subject: Some(digest.to_string()),
            ..AuditEvent::default()
        };
        let now = self.options.clock.now();
        let notice =
            event_of(dataset, record, &digest.to_string(), now).filter(|_| !self.options.hooks.is_empty());
        let intent = self.noted(self.database.begin(now, (dataset, record.seq, digest), event, notice))?;
        let under_way = UnderWay::new(self, intent);
        let appended = self.remote.append(dataset, record)?;
        under_way.settle(match &appended {
            Appended::Done { .. } => Settled::Done,
            Appended::Taken(_) => Settled::NotDone(TAKEN),
        })?;
        Ok(appended)
    }

    /// Settles what processes before this one left.
    ///
    /// # Errors
    /// `Io`, `Denied`: then the server must not begin.
    pub(crate) fn settle_all(&self) -> Result<()> {
        for intent in self.database.intents()? {
            // What that process was writing to a folder ended with it; what another node writes goes on.
            let is_over = self.store.folder().is_some() && !self.database.is_shared();
            self.look(&intent, is_over)?;
        }
        Ok(())
    }

    /// Tells other nodes what is under way here, so that they wait for it as long as this one lives.
    pub(crate) fn renew_intents(&self) {
        if !self.database.is_shared() {
            return;
        }
        let ids: Vec<i64> = self.under_way().iter().copied().collect();
        // What fails is done again, long before they would stop waiting.
        drop(self.database.still_under_way(&ids, self.options.clock.now()));
    }

    /// Settles what requests that failed have left, where that can be known. What cannot is tried again later.
    pub(crate) fn settle_left(&self) {
        for intent in self.database.intents().unwrap_or_default() {
            let is_left = !self.under_way().contains(&intent.id);
            if is_left {
                // A store or a database that does not answer is asked again.
                drop(self.look(&intent, false));
            }
        }
    }

    /// Settles whatever was begun at a number of a log, whose record is there.
    ///
    /// # Errors
    /// `Io`, `Denied`: then it must not be told to have been done.
    pub(crate) fn settle_at(&self, dataset: &DatasetName, seq: u64) -> Result<()> {
        let intents = self.database.intents()?;
        intents
            .iter()
            .filter(|it| it.seq == seq && it.dataset == *dataset)
            .try_for_each(|it| self.look(it, false))
    }

    /// Looks at the log and settles, unless the record may still be on its way.
    fn look(&self, intent: &Intent, is_over: bool) -> Result<()> {
        let now = self.options.clock.now();
        let settled = match self.store.get(&layout::record(&intent.dataset, intent.seq))? {
            Some(bytes) if B3::of(&bytes) == intent.digest => Settled::Done,
            Some(_) => Settled::NotDone(TAKEN),
            None if is_over || now.timestamp() - intent.begun >= UNDER_WAY_SECONDS => {
                Settled::NotDone(NOT_WRITTEN)
            }
            None => return Ok(()),
        };
        self.settle(intent, settled)
    }

    fn settle(&self, intent: &Intent, settled: Settled) -> Result<()> {
        let hooks: Vec<String> = self.options.hooks.iter().map(|it| it.url().to_owned()).collect();
        self.noted(self.database.settle(intent, self.options.clock.now(), settled, &hooks))
    }
}
