use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    clock::{fresh_id, now},
    layout::MARKER,
    record::{from_bytes, to_canonical},
    store::{Created, Store},
};

/// Racing writers of one round.
const WRITERS: usize = 8;

/// What a store was found to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Rounds of the race.
    pub rounds: usize,
    /// Promises it broke; empty for a safe store.
    pub broken: Vec<String>,
}

impl Probe {
    /// Whether revisions may be published to it without a server before it.
    pub fn is_safe(&self) -> bool {
        self.broken.is_empty()
    }
}

/// `nodedata.json` at the root of a store.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    layout: String,
    hash: String,
    probe: String,
}

const LAYOUT: &str = "nd/1";

impl Store {
    /// Whether the store has our layout; `None` when nothing says so.
    ///
    /// # Errors
    /// `Unsupported` for a layout of another version; `Denied` when it was found unsafe; `Io`, `Corrupt`.
    pub fn is_initialised(&self) -> Result<bool> {
        let Some(bytes) = self.get(MARKER)? else { return Ok(false) };
        let marker: Marker = from_bytes("store's nodedata.json", &bytes)?;
        if marker.layout != LAYOUT || marker.hash != "blake3" {
            let message =
                format!("the store has layout {} with {}, not {LAYOUT}", marker.layout, marker.hash);
            return Err(Error::new(ErrorKind::Unsupported, message).with_hint("use a newer node-data"));
        }
        if marker.probe.starts_with("ok@") { Ok(true) } else { Err(self.unsafe_store(&marker.probe)) }
    }

    /// Makes a store of the place, after a probe; does nothing when it is one already.
    ///
    /// # Errors
    /// `Denied` when the place breaks a promise that publishing needs; `Io`.
    pub fn init(&self) -> Result<()> {
        if self.is_initialised()? {
            return Ok(());
        }
        let probe = self.probe(2)?;
        if !probe.is_safe() {
            return Err(self.unsafe_store(&probe.broken.join("; ")));
        }
        let marker = json!({"layout": LAYOUT, "hash": "blake3", "probe": format!("ok@{}", now())});
        self.put_create(MARKER, Bytes::from(to_canonical(&marker)?))?;
        Ok(())
    }

    /// Writes down what a probe found, over what an earlier one said.
    ///
    /// # Errors
    /// `Io`.
    pub fn note_probe(&self, probe: &Probe) -> Result<()> {
        let found = if probe.is_safe() { format!("ok@{}", now()) } else { probe.broken.join("; ") };
        let marker = json!({"layout": LAYOUT, "hash": "blake3", "probe": found});
        self.put(MARKER, Bytes::from(to_canonical(&marker)?))
    }

    fn unsafe_store(&self, broken: &str) -> Error {
        let message = format!("{} is not safe to publish to: {broken}", self.label());
        Error::new(ErrorKind::Denied, message)
            .with_hint("put `node-data serve` before it, or use another store (`node-data store check`)")
    }

    /// Tries what publishing relies on: a create-only write never replaces, has one winner, is seen at once,
    /// and ranges are ranges.
    ///
    /// # Errors
    /// `Io`, `Denied` when the store does not answer at all.
    pub fn probe(&self, rounds: usize) -> Result<Probe> {
        let mut broken = Vec::new();
        let folder = format!("probe/{}", fresh_id());
        let first = format!("{folder}/twice");
        self.put_create(&first, Bytes::from_static(b"first"))?;
        let second = self.put_create(&first, Bytes::from_static(b"second"));
        if !matches!(second, Ok(Created::Exists)) || self.get(&first)?.as_deref() != Some(b"first".as_slice())
        {
            broken.push("a create-only write replaces what is there".to_owned());
        }
        match self.get_range(&first, 1..3) {
            Ok(bytes) if &bytes[..] == b"ir" => {}
            Ok(_) => broken.push("a range has other bytes than it should".to_owned()),
            Err(err) => broken.push(format!("ranges cannot be read ({})", err.chain())),
        }
        let mut used = vec![first];
        for round in 0..rounds {
            let path = format!("{folder}/race-{round}");
            used.push(path.clone());
            if let Some(found) = self.race(&path)? {
                broken.push(found);
                break;
            }
        }
        if self.list(&folder)?.len() != used.len() {
            broken.push("a listing does not show what was written".to_owned());
        }
        for path in used {
            self.delete(&path)?;
        }
        if let Some(root) = self.folder() {
            // Empty folders say nothing; that one stays is no flaw.
            drop(std::fs::remove_dir(root.join(&folder)));
            drop(std::fs::remove_dir(root.join("probe")));
        }
        Ok(Probe { rounds, broken })
    }

    /// What is wrong with the outcome of one race.
    fn race(&self, path: &str) -> Result<Option<String>> {
        let (winners, winner) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let failed = std::sync::Mutex::new(None);
        let start = std::sync::Barrier::new(WRITERS);
        std::thread::scope(|scope| {
            for idx in 0..WRITERS {
                let (winners, winner, failed, start) = (&winners, &winner, &failed, &start);
                scope.spawn(move || {
                    start.wait();
                    match self.put_create(path, Bytes::from(format!("writer {idx}"))) {
                        Ok(Created::New) => {
                            winners.fetch_add(1, Ordering::SeqCst);
                            winner.store(idx, Ordering::SeqCst);
                        }
                        Ok(Created::Exists) => {}
                        Err(err) => {
                            *failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(err);
                        }
                    }
                });
            }
        });
        if let Some(err) = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            return Err(err);
        }
        let n_winners = winners.into_inner();
        if n_winners != 1 {
            return Ok(Some(format!(
                "{n_winners} of {WRITERS} racing writers were told that they came first"
            )));
        }
        let expected = format!("writer {}", winner.into_inner());
        let found = self.get(path)?.unwrap_or_default();
        Ok((found != expected.as_bytes()).then(|| "a race left other bytes than the winner's".to_owned()))
    }
}
