//! What a server keeps outside its database, in the store: where its audit log ends, signed, and what was taken back. So a log
//! that was cut shows, and a backup that is put in learns what must not come back.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_io::{Writing, io_error, write_file};
use nodedata_registry::{
    Created,
    gate::{AuditEvent, AuditHead},
    layout,
    record::{from_bytes, to_canonical},
    trust::{SecretKey, SignedAuditHead},
};
use serde_json::json;

use crate::{
    app::App,
    database::{Database, Revocation, SERVER},
};

/// The key that signs where the audit log ends.
const KEY_FILE: &str = "audit.key";

/// What it takes to keep something apart.
pub(crate) struct Apart {
    /// Name of the database.
    server: String,
    key: SecretKey,
    /// The head that was kept last by this process.
    kept: Mutex<Option<AuditHead>>,
}

impl Apart {
    /// With the key of the folder, which is made when there is none; its public half lies beside it. Nodes over one database
    /// sign with one key.
    pub(crate) fn new(folder: &Path, database: &Database) -> Result<Self> {
        let path = folder.join(KEY_FILE);
        let key = match std::fs::read_to_string(&path) {
            Ok(text) => SecretKey::from_pem(&text).map_err(|err| err.at(Locus::path(&path)))?,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
                expect_key(database, None, &path)?;
                let key = SecretKey::generate()?;
                write_file(&path, key.to_pem()?.as_bytes(), Writing::NewSecret)?;
                key
            }
            Err(err) => return Err(io_error("cannot read the key of the audit log", &path, err)),
        };
        // A key that was copied here, or whose first start was cut off, has none yet, or that of another.
        let (public, pem) = (folder.join(format!("{KEY_FILE}.pub")), key.public().to_pem()?);
        if std::fs::read_to_string(&public).ok().as_ref() != Some(&pem) {
            write_file(&public, pem.as_bytes(), Writing::Replace)?;
        }
        expect_key(database, Some(&pem), &path)?;
        Ok(Self { server: database.server()?, key, kept: Mutex::default() })
    }
}

/// Refuses another key than that of the other nodes, or that there is none. The first one is theirs from then on, as is that of
/// the first node over a backup.
fn expect_key(database: &Database, own: Option<&str>, path: &Path) -> Result<()> {
    if !database.is_shared() {
        return Ok(());
    }
    match (database.audit_key()?, own) {
        (Some(known), Some(own)) if known == own => Ok(()),
        (Some(_), _) if !database.is_restored()? => {
            let message = "the other nodes over this database sign the audit log with another key";
            Err(Error::new(ErrorKind::Conflict, message)
                .at(Locus::path(path))
                .with_hint("copy `audit.key` from the folder of data of one of them"))
        }
        (_, Some(own)) => database.note_audit_key(own),
        (_, None) => Ok(()),
    }
}

impl App {
    /// What must be right before the first request: nothing was cut off the audit log, what was taken back stays so, and what
    /// an earlier process left open is settled.
    ///
    /// # Errors
    /// `Conflict` when the audit log was cut; `Corrupt`, `Io`, `Denied`.
    pub(crate) fn wake(&self) -> Result<()> {
        if let Some(apart) = &self.apart {
            self.hold_against(apart)?;
            self.keep_apart()?;
            self.learn_revocations(apart)?;
            self.database.restored_and_seen()?;
        }
        self.settle_all()?;
        self.anchor()
    }

    /// What no request waits for. What fails is logged, and tried again.
    pub(crate) fn tend(&self) {
        self.settle_left();
        let removed = self.give_up_on_removed_hooks();
        for (what, done) in
            [("removed-hooks", removed), ("keep-apart", self.keep_apart()), ("anchor", self.anchor())]
        {
            if let Err(err) = done {
                let line = json!({
                    "event": what,
                    "at": self.options.clock.stamp(),
                    "kind": format!("{:?}", err.kind()),
                    "error": err.to_string(),
                    "where": err.locus().to_string(),
                });
                self.options.log.write(&line.to_string());
            }
        }
    }

    /// Where the audit log ends, signed; `None` without a key.
    pub(crate) fn signed_head(&self) -> Result<Option<SignedAuditHead>> {
        let Some(apart) = &self.apart else { return Ok(None) };
        let head = self.database.audit_head()?;
        SignedAuditHead::sign(&apart.server, self.options.clock.stamp(), head, &apart.key).map(Some)
    }

    /// Keeps apart what was taken back since. What was not kept so is not told to have been done.
    ///
    /// # Errors
    /// `Corrupt` when another database keeps things under the same name; `Io`, `Denied`.
    pub(crate) fn keep_apart(&self) -> Result<()> {
        let Some(apart) = &self.apart else { return Ok(()) };
        for revocation in self.database.not_apart()? {
            let path = layout::revocation(&apart.server, revocation.epoch);
            let bytes = Bytes::from(to_canonical(&revocation)?);
            let is_there = self.store.put_create(&path, bytes.clone())? == Created::Exists;
            if is_there && self.store.get(&path)?.is_none_or(|it| it != bytes) {
                let message = "another database of the same name has taken back something else";
                return Err(Error::new(ErrorKind::Corrupt, message)
                    .at(Locus::path(path))
                    .with_hint("one backup serves one server: was it put in twice?"));
            }
            self.database.is_apart(revocation.epoch)?;
        }
        Ok(())
    }

    /// Takes back again what was taken back after this database was backed up.
    fn learn_revocations(&self, apart: &Apart) -> Result<()> {
        loop {
            let path = layout::revocation(&apart.server, self.database.epoch()?);
            let Some(bytes) = self.store.get(&path)? else { return Ok(()) };
            let revocation: Revocation =
                from_bytes("revocation", &bytes).map_err(|err| err.at(Locus::path(&path)))?;
            let taken = self.database.take_back_again(&revocation, self.options.clock.now());
            taken.map_err(|err| err.at(Locus::path(&path)))?;
        }
    }

    /// Holds the audit log against the head that was kept apart last.
    fn hold_against(&self, apart: &Apart) -> Result<()> {
        let path = layout::audit_head(&apart.server);
        let Some(bytes) = self.store.get(&path)? else { return Ok(()) };
        let kept = SignedAuditHead::parse(&bytes).map(|it| it.verify(Some(&apart.key.public())));
        let (sound, told) = match &kept {
            Ok(Ok(kept)) => {
                let n_lines = kept.head.next_seq;
                (self.database.goes_through(&kept.head)?, format!("it had {n_lines} lines at {}", kept.at))
            }
            Ok(Err(_)) => (false, "its head was signed with another key".to_owned()),
            Err(_) => (false, "its head cannot be read".to_owned()),
        };
        if sound {
            return Ok(());
        }
        let found = self.database.audit_head()?;
        if !self.database.is_restored()? {
            let message =
                format!("the audit log was cut or replaced: {told}, and has {} now", found.next_seq);
            return Err(Error::new(ErrorKind::Conflict, message).at(Locus::path(path)).with_hint(
                "find the database that belongs here; a backup is put in with `node-data serve restore`",
            ));
        }
        self.note(AuditEvent {
            who: SERVER.to_owned(),
            action: "restore".to_owned(),
            subject: Some(format!("{told}; {} are in the backup", found.next_seq)),
            ..AuditEvent::default()
        })
    }

    /// Keeps where the audit log ends, if it has moved.
    fn anchor(&self) -> Result<()> {
        let Some(apart) = &self.apart else { return Ok(()) };
        let head = self.database.audit_head()?;
        let mut kept = apart.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref() == Some(&head) {
            return Ok(());
        }
        if self.database.is_shared()
            && let Some(before) = kept.as_ref()
        {
            // Where Postgres was put back, or another machine of it took over, under a node that runs.
            let is_cut = !self.database.goes_through(before)?;
            self.note_cut(is_cut);
            if is_cut {
                let message = format!(
                    "the audit log was cut or replaced while the server ran: it had {} lines, and has {}",
                    before.next_seq, head.next_seq
                );
                let hint = "stop all nodes, and mark the database with `node-data serve restore --database`";
                return Err(Error::new(ErrorKind::Conflict, message).with_hint(hint));
            }
        }
        let signed =
            SignedAuditHead::sign(&apart.server, self.options.clock.stamp(), head.clone(), &apart.key)?;
        self.store.put(&layout::audit_head(&apart.server), Bytes::from(signed.to_bytes()?))?;
        *kept = Some(head);
        Ok(())
    }
}
