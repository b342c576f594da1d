//! Databases through the interface of storages, held against SQLite itself.

mod bad;
mod bags;
mod builder;
mod companions;
mod differential;
mod fuzz;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, Files as _, OpenOptions, ReadAt, Result, TimeRange};
use nodedata_io::MemoryFiles;
use nodedata_log::{LogFacts, LogFile, LogStorage as _, Route, Routes, Selector, StoredFile};

use crate::SQLITE3;

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    topic: u32,
    time: u64,
    data: Vec<u8>,
}

/// A database with what lies beside it.
#[derive(Debug, Clone, Default)]
struct Snapshot {
    database: Bytes,
    wal: Option<Bytes>,
    journal: Option<Bytes>,
}

impl Snapshot {
    /// The files of a database, as they are now.
    fn of(path: &Path) -> Self {
        let beside =
            |ending: &str| std::fs::read(format!("{}{ending}", path.display())).ok().map(Bytes::from);
        Self {
            database: std::fs::read(path).unwrap().into(),
            wal: beside("-wal"),
            journal: beside("-journal"),
        }
    }

    fn open(&self, options: &OpenOptions) -> Result<(Box<dyn LogFile>, LogFacts)> {
        SQLITE3.open(self.stored(), options)
    }

    /// The files as a storage gets them.
    fn stored(&self) -> StoredFile<'static> {
        let mut files = MemoryFiles::default().with("a.db3", self.database.clone());
        for (name, bytes) in [("a.db3-wal", &self.wal), ("a.db3-journal", &self.journal)] {
            if let Some(bytes) = bytes {
                files = files.with(name, bytes.clone());
            }
        }
        let open = |name: &'static str, is_there: bool| -> Option<(&'static Path, Arc<dyn ReadAt>)> {
            is_there.then(|| (Path::new(name), files.open(Path::new(name)).unwrap()))
        };
        let companions =
            vec![open("a.db3-wal", self.wal.is_some()), open("a.db3-journal", self.journal.is_some())];
        let file = files.open(Path::new("a.db3")).unwrap();
        StoredFile { path: Path::new("a.db3"), file, companions }
    }
}

/// What is broken, the messages of each channel that it costs, and whether more may be lost.
type Cost = (Error, Vec<(u32, u64)>, bool);

/// What reading a database to its end gives.
#[derive(Debug, Default)]
struct Outcome {
    messages: Vec<Stored>,
    /// Damage, with the messages of each channel that are lost, and whether more may be.
    damage: Vec<Cost>,
}

impl Outcome {
    fn reasons(&self) -> Vec<String> {
        self.damage.iter().map(|it| it.0.chain()).collect()
    }
}

fn salvage() -> OpenOptions {
    OpenOptions { salvage: true, ..OpenOptions::default() }
}

/// Reads all units, one by one.
fn read(log: &dyn LogFile, facts: &LogFacts, options: &OpenOptions) -> Outcome {
    let mut routes = Routes::default();
    for (idx, channel) in facts.definitions.channels.keys().enumerate() {
        routes.set(*channel, Route::Stream(idx));
    }
    let routes = Arc::new(routes);
    let mut outcome = Outcome::default();
    for unit in 0..log.n_units() {
        let n_before = outcome.messages.len();
        let n_damage = outcome.damage.len();
        let mut cursor =
            log.messages(unit..unit + 1, Selector::new(Arc::clone(&routes), TimeRange::ALL), options);
        loop {
            match cursor.next_message() {
                Ok(Some(message)) => {
                    assert_eq!(message.place.unit, unit);
                    outcome.messages.push(Stored {
                        topic: message.channel,
                        time: message.log_time,
                        data: message.payload.to_vec(),
                    });
                }
                Ok(None) => break,
                Err(damage) => {
                    let cost = damage.cost;
                    let lost = cost.records.into_iter().collect();
                    outcome.damage.push((damage.error, lost, cost.uncounted));
                }
            }
            assert!(outcome.damage.len() < 1 << 20, "no end");
        }
        // A chain of overflow pages is not followed to count.
        if let Some(counts) = log.counts(unit).filter(|_| n_damage == outcome.damage.len()) {
            let n: u64 = counts.iter().map(|it| it.1).sum();
            assert_eq!(n, (outcome.messages.len() - n_before) as u64, "unit {unit} counts otherwise");
        }
    }
    outcome
}
