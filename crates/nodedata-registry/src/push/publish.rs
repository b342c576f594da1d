use std::{cell::Cell, collections::BTreeSet, sync::Arc, time::Duration};

use nodedata_core::{Error, ErrorKind, Progress, Result};
use nodedata_io::in_pool;

use crate::{
    clock::{fresh_id, jitter},
    digest::B3,
    moves::follow,
    push::{
        Outcome, PushOptions, PushReport,
        assemble::{Assembled, assemble},
        build::{Pushed, conflict},
        create::{NewDataset, begin},
        facts::Said,
        upload::{Sent, send},
    },
    record::{CommitRecord, Operation, Visibility},
    remote::{Appended, Needed, PushRequest, Remote},
    revision::Revision,
    state::{DatasetState, LATEST, RevisionEntry},
};

/// How often a push that came second tries again.
const REBASES_MAX: u32 = 20;
/// How often a record is written whose fate the store does not tell.
const APPEND_TRIES_MAX: u32 = 6;

/// Publishes what `options` name, or says that it is published.
///
/// # Errors
/// `Config` for wrong facts and numbers; `SchemaMismatch`, `Corrupt` for the data; `Conflict` when another
/// push changed the same; `Interrupted` when `progress` says to stop, where nothing is published yet and the same push
/// goes on from there; `Denied`, `Io` of the remote.
pub fn push(remote: &Arc<dyn Remote>, options: &PushOptions, progress: &dyn Progress) -> Result<PushReport> {
    let op_id = options.op_id.clone().unwrap_or_else(fresh_id);
    let now = follow(&**remote, &options.dataset)?;
    now.as_ref().map_or(Ok(()), DatasetState::check_not_deleted)?;
    let renamed = now.as_ref().map(|it| it.dataset.clone()).filter(|it| *it != options.dataset);
    if let Some(to) = &renamed {
        progress.warned(&format!("{} is called {to} now", options.dataset));
    }
    let options = &match renamed {
        Some(dataset) => PushOptions { dataset, ..options.clone() },
        None => options.clone(),
    };
    let push = Push { remote, options, progress, op_id, sent: Cell::default() };
    let report = push.run(now);
    match &report {
        // As after a crash, what was sent waits for the next try under its lease.
        Err(err) if err.kind() == ErrorKind::Interrupted => return Err(stopped()),
        // The lease ends by itself; that it cannot be taken away is no reason to fail.
        _ if !options.dry_run => drop(remote.end_push(&push.op_id)),
        _ => {}
    }
    report
}

/// What was removed for good does not come back.
fn refuse_purged(state: &DatasetState, assembled: &Assembled) -> Result<()> {
    let purged: BTreeSet<B3> = state.purged.iter().copied().collect();
    match assembled.blobs.iter().find(|it| purged.contains(&it.b3)) {
        None => Ok(()),
        Some(blob) => {
            let message = format!("{} was purged from {} and is pushed again", blob.b3, state.dataset);
            Err(Error::new(ErrorKind::Config, message).with_hint(
                "leave out what was purged, and write the shards again; `node-data dataset log --all` says why it is gone",
            ))
        }
    }
}

fn stopped() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "the push was stopped before it published anything; what was hashed and sent is kept, and the same command goes on from there",
    )
}

struct Push<'a> {
    remote: &'a Arc<dyn Remote>,
    options: &'a PushOptions,
    progress: &'a dyn Progress,
    op_id: String,
    sent: Cell<Sent>,
}

impl Push<'_> {
    /// On top of what there is, if there is anything.
    fn run(&self, mut state: Option<DatasetState>) -> Result<PushReport> {
        let (remote, options) = (&**self.remote, self.options);
        if let Some(done) = state.as_ref().and_then(|it| self.done_before(it)) {
            return self.found(done, 0);
        }
        let base_entry = state.as_ref().and_then(|it| it.head().cloned());
        let base = self.revision(base_entry.as_ref())?;
        let progress = self.progress;
        let pushed = in_pool(|| {
            let pushed = Pushed::read(options, base.as_ref(), progress)?;
            if options.deep {
                pushed.check_rows(options, progress)?;
            }
            Ok::<_, Error>(pushed)
        })?;
        let mut warned: Vec<String> = Vec::new();
        for n_rebased in 0..REBASES_MAX {
            self.progress.go_on()?;
            let entry = state.as_ref().and_then(|it| it.head().cloned());
            let head = self.revision(entry.as_ref())?;
            let said = Said::of(remote, options, state.as_ref(), head.as_ref())?;
            let draft = pushed.draft(options, &said, base.as_ref(), head.as_ref())?;
            let assembled = assemble(draft, options, &said, state.as_ref(), head.as_ref())?;
            if let (true, Some(entry)) = (assembled.is_unchanged, &entry) {
                return self.found(entry, n_rebased);
            }
            // Of tries after others' pushes, only what is new is told.
            for warning in assembled.warnings.iter().filter(|it| !warned.contains(it)) {
                self.progress.warned(warning);
            }
            warned.clone_from(&assembled.warnings);
            if options.dry_run {
                return self.plan(&assembled);
            }
            let mut current = match state.take() {
                Some(state) => state,
                None => {
                    let created = self.created()?;
                    if created.head().is_some() || !created.facts.is_empty() || created.readme.is_some() {
                        // Others created it first, and have said or published something that was not known here.
                        state = Some(created);
                        continue;
                    }
                    created
                }
            };
            refuse_purged(&current, &assembled)?;
            self.upload(&assembled)?;
            // The last time that it is asked: a record is written to its end, or nobody knows whether it was.
            self.progress.go_on()?;
            let record = current.next_record(self.operation(&assembled), &self.op_id, &options.author);
            match self.append(&record)? {
                Appended::Done { .. } => {
                    let dataset = options.dataset.to_string();
                    tracing::info!(dataset, seq = record.seq, store = remote.label(), "commit");
                    // A hint that is not left costs the next reader some requests.
                    drop(current.leave_hint(remote, &record));
                    return Ok(self.published(&assembled, &record, n_rebased));
                }
                Appended::Taken(_) => {
                    current.catch_up(remote)?;
                    if let Some(done) = self.done_before(&current) {
                        return self.found(done, n_rebased);
                    }
                    current.check_goes_on()?;
                    state = Some(current);
                    std::thread::sleep(Duration::from_millis(jitter(10 << n_rebased.min(7)) + 1));
                }
            }
        }
        Err(conflict("revision-exists", &format!("{REBASES_MAX} other pushes came first")))
    }

    /// Adds the record. When nobody knows whether that worked, the same record is added again, which does
    /// nothing when it had: never another one.
    fn append(&self, record: &CommitRecord) -> Result<Appended> {
        let mut n_tries = 0;
        loop {
            match self.remote.append(&self.options.dataset, record) {
                Err(err) if err.kind() == ErrorKind::Io && n_tries < APPEND_TRIES_MAX => {
                    n_tries += 1;
                    tracing::warn!(tries = n_tries, why = %err, "add the record again");
                    std::thread::sleep(Duration::from_millis(jitter(50 << n_tries) + 1));
                }
                other => return other,
            }
        }
    }

    /// The revision that an earlier try of this operation published.
    fn done_before<'s>(&self, state: &'s DatasetState) -> Option<&'s RevisionEntry> {
        state.revisions.iter().find(|it| it.op_id == self.op_id)
    }

    fn revision(&self, entry: Option<&RevisionEntry>) -> Result<Option<Revision>> {
        entry.map(|it| Revision::open(self.remote, &self.options.dataset, it)).transpose()
    }

    fn created(&self) -> Result<DatasetState> {
        let PushOptions { dataset, visibility, sensitivity, author, .. } = self.options;
        let new = NewDataset {
            visibility: visibility.unwrap_or(Visibility::Private),
            sensitivity: sensitivity.clone().unwrap_or_default(),
            ..NewDataset::new(dataset.clone(), author)
        };
        begin(&**self.remote, &new, None, &format!("{}-create", self.op_id))?;
        DatasetState::open(&**self.remote, dataset)
    }

    fn operation(&self, assembled: &Assembled) -> Operation {
        Operation::Publish {
            revision: assembled.manifest.revision.clone(),
            bump: assembled.bump.clone(),
            manifest: assembled.blob.b3,
            tags: vec![LATEST.to_owned()],
        }
    }

    fn negotiate(&self, assembled: &Assembled) -> Result<Vec<Needed>> {
        let request = PushRequest {
            push: self.op_id.clone(),
            dataset: self.options.dataset.clone(),
            blobs: assembled.blobs.clone(),
        };
        Ok(self.remote.negotiate(&request)?.need)
    }

    /// Sends what is missing, then asks once more: before the record is written, every blob is there.
    fn upload(&self, assembled: &Assembled) -> Result<()> {
        let need = self.negotiate(assembled)?;
        if need.is_empty() {
            return Ok(());
        }
        let again = || self.negotiate(assembled);
        let sent = send(&**self.remote, need, &assembled.sources, &again, self.progress)?;
        let before = self.sent.get();
        self.sent.set(Sent { blobs: before.blobs + sent.blobs, bytes: before.bytes + sent.bytes });
        match self.negotiate(assembled)?.first() {
            None => Ok(()),
            Some(missing) => {
                let message = format!("{} was sent, but {} has it not", missing.blob.b3, self.remote.label());
                Err(Error::new(ErrorKind::Io, message).with_hint("push again; see `node-data store check`"))
            }
        }
    }

    fn plan(&self, assembled: &Assembled) -> Result<PushReport> {
        let dataset = &self.options.dataset;
        let mut sent = Sent::default();
        for blob in &assembled.blobs {
            if self.remote.blob_bytes(dataset, &blob.b3)? != Some(blob.bytes) {
                sent.blobs += 1;
                sent.bytes += blob.bytes;
            }
        }
        Ok(self.report(assembled, Outcome::Planned, None, 0, sent))
    }

    fn published(&self, assembled: &Assembled, record: &CommitRecord, n_rebased: u32) -> PushReport {
        self.report(assembled, Outcome::Published, Some(record.seq), n_rebased, self.sent.get())
    }

    fn report(
        &self,
        assembled: &Assembled,
        outcome: Outcome,
        seq: Option<u64>,
        rebased: u32,
        sent: Sent,
    ) -> PushReport {
        let manifest = &assembled.manifest;
        PushReport {
            outcome,
            dataset: manifest.dataset.clone(),
            revision: manifest.revision.clone(),
            seq,
            manifest: assembled.blob.b3,
            bump: assembled.bump.clone(),
            shards: manifest.n_shards,
            bytes: manifest.shard_bytes,
            sent_blobs: sent.blobs,
            sent_bytes: sent.bytes,
            rebased,
            warnings: assembled.warnings.clone(),
        }
    }

    /// It is published already.
    fn found(&self, entry: &RevisionEntry, rebased: u32) -> Result<PushReport> {
        let revision = Revision::open(self.remote, &self.options.dataset, entry)?;
        let manifest = revision.manifest();
        Ok(PushReport {
            outcome: Outcome::Unchanged,
            dataset: manifest.dataset.clone(),
            revision: entry.revision.clone(),
            seq: Some(entry.seq),
            manifest: entry.manifest,
            bump: entry.bump.clone(),
            shards: manifest.n_shards,
            bytes: manifest.shard_bytes,
            sent_blobs: self.sent.get().blobs,
            sent_bytes: self.sent.get().bytes,
            rebased,
            warnings: Vec::new(),
        })
    }
}
