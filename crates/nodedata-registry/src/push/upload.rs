use std::{
    collections::{BTreeMap, VecDeque},
    io::{Read, Seek, SeekFrom},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, Progress, Result};

use crate::{
    digest::B3,
    folder::Origin,
    hashing::{open, read_error},
    push::pace::{Pace, TRIES_MAX, WORKERS_MAX},
    record::BlobRef,
    remote::{Needed, Remote},
    tree,
};

/// How often blobs whose parts did not add up are sent again.
const ROUNDS_MAX: usize = 3;
/// How long a part is tried again before its error is told: each try waits as long as a silent store may be.
const GIVE_UP: Duration = Duration::from_secs(300);
/// How often a worker that may not send looks again.
const IDLE: Duration = Duration::from_millis(10);

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
}

/// Sends what is needed: parts of all blobs side by side, each tried several times, each blob sealed when
/// its last part is there.
///
/// # Errors
/// The first that several tries did not cure; `Interrupted` when `progress` says to stop: what was sent until then need
/// not be sent again.
pub(crate) fn send(
    remote: &dyn Remote,
    need: Vec<Needed>,
    sources: &BTreeMap<B3, Origin>,
    again: &dyn Fn() -> Result<Vec<Needed>>,
    progress: &dyn Progress,
) -> Result<Sent> {
    let mut sent = Sent { blobs: need.len() as u64, bytes: 0 };
    let mut need = need;
    for round in 1.. {
        let (bytes, unsealed) = round_of(remote, &need, sources, progress)?;
        sent.bytes += bytes;
        match unsealed {
            None => break,
            Some(err) if round == ROUNDS_MAX => return Err(err),
            // The store has forgotten the parts that were wrong; it tells which are left.
            Some(_) => need = again()?,
        }
    }
    Ok(sent)
}

/// A part to send.
struct Task<'a> {
    blob: &'a BlobRef,
    origin: &'a Origin,
    /// Position of the blob in the list.
    at: usize,
    /// `None` seals a blob whose parts are all there.
    part: Option<u32>,
}

/// Sends each part once. Returns the bytes sent, and why a blob could not be sealed, if one could not.
fn round_of(
    remote: &dyn Remote,
    need: &[Needed],
    sources: &BTreeMap<B3, Origin>,
    progress: &dyn Progress,
) -> Result<(u64, Option<Error>)> {
    let mut tasks = VecDeque::new();
    let mut left = Vec::with_capacity(need.len());
    for (at, Needed { blob, have }) in need.iter().enumerate() {
        let origin = sources.get(&blob.b3).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("the registry has lost the blob {}", blob.b3))
                .with_hint("`node-data store fsck` says what else is missing; push the whole folder again")
        })?;
        let missing: Vec<u32> = (0..tree::n_parts(blob.bytes)).filter(|it| !have.contains(it)).collect();
        left.push(AtomicU64::new(missing.len() as u64));
        if missing.is_empty() {
            tasks.push_back(Task { blob, origin, at, part: None });
        }
        tasks.extend(missing.into_iter().map(|part| Task { blob, origin, at, part: Some(part) }));
    }
    let planned = tasks.iter().filter_map(|it| it.part.map(|part| tree::part_range(it.blob.bytes, part)));
    progress.planned(planned.map(|it| it.end - it.start).sum());
    let workers = tasks.len().clamp(1, WORKERS_MAX);
    let shared = Shared {
        remote,
        progress,
        pace: Pace::new(),
        left,
        n_bytes: AtomicU64::new(0),
        tasks: Mutex::new(tasks),
        unsealed: Mutex::new(None),
        failed: Mutex::new(None),
        stop: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        for idx in 0..workers {
            let shared = &shared;
            scope.spawn(move || shared.work(idx));
        }
    });
    match shared.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(err) => Err(err),
        None => {
            let unsealed = shared.unsealed.into_inner().unwrap_or_else(PoisonError::into_inner);
            Ok((shared.n_bytes.into_inner(), unsealed))
        }
    }
}

struct Shared<'a> {
    remote: &'a dyn Remote,
    progress: &'a dyn Progress,
    pace: Pace,
    /// Parts of each blob that are still to be sent.
    left: Vec<AtomicU64>,
    n_bytes: AtomicU64,
    tasks: Mutex<VecDeque<Task<'a>>>,
    unsealed: Mutex<Option<Error>>,
    failed: Mutex<Option<Error>>,
    stop: AtomicBool,
}

impl<'a> Shared<'a> {
    fn work(&self, idx: usize) {
        while !self.stop.load(Ordering::Relaxed) {
            if !self.pace.lets(idx) {
                if self.tasks.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                    return;
                }
                std::thread::sleep(IDLE);
                continue;
            }
            let task = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(task) = task else { return };
            if let Err(err) = self.one(&task) {
                self.stop.store(true, Ordering::Relaxed);
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(err);
            }
        }
    }

    fn one(&self, task: &Task<'a>) -> Result<()> {
        self.progress.go_on()?;
        let Some(part) = task.part else { return self.seal(task.blob) };
        let bytes = read_part(task.origin, task.blob, part)?;
        let n_bytes = bytes.len() as u64;
        self.tried(|| self.remote.upload_part(task.blob, part, bytes.clone()))
            .map_err(|err| err.at(place(task.origin)))?;
        self.pace.sent(n_bytes);
        self.n_bytes.fetch_add(n_bytes, Ordering::Relaxed);
        self.progress.advanced(n_bytes, 0);
        match self.left[task.at].fetch_sub(1, Ordering::AcqRel) {
            1 => self.seal(task.blob),
            _ => Ok(()),
        }
    }

    fn seal(&self, blob: &BlobRef) -> Result<()> {
        match self.tried(|| self.remote.seal(blob)) {
            Err(err) if err.kind() == ErrorKind::Corrupt => {
                *self.unsealed.lock().unwrap_or_else(PoisonError::into_inner) = Some(err);
                Ok(())
            }
            other => other,
        }
    }

    /// Tries again what a later try may cure.
    fn tried(&self, call: impl Fn() -> Result<()>) -> Result<()> {
        let (mut n_tries, since) = (0, Instant::now());
        loop {
            match call() {
                Err(err)
                    if err.kind() == ErrorKind::Io
                        && n_tries + 1 < TRIES_MAX
                        && since.elapsed() < GIVE_UP =>
                {
                    self.progress.go_on()?;
                    n_tries += 1;
                    tracing::warn!(tries = n_tries, why = %err, "try again");
                    std::thread::sleep(self.pace.failed(n_tries));
                }
                other => return other,
            }
        }
    }
}

fn place(origin: &Origin) -> Locus {
    match origin {
        Origin::File(file) => Locus::path(file),
        Origin::Memory(_) => Locus::default(),
    }
}

fn read_part(origin: &Origin, blob: &BlobRef, part: u32) -> Result<Bytes> {
    let range = tree::part_range(blob.bytes, part);
    match origin {
        // Both ends lie inside what is in memory.
        Origin::Memory(bytes) => Ok(bytes.slice(range.start as usize..range.end as usize)),
        Origin::File(path) => read_range(path, range),
    }
}

fn read_range(path: &Path, range: std::ops::Range<u64>) -> Result<Bytes> {
    let mut file = open(path)?;
    let n_bytes = range.end - range.start;
    let mut bytes = Vec::with_capacity(n_bytes as usize);
    file.seek(SeekFrom::Start(range.start))
        .and_then(|_| file.take(n_bytes).read_to_end(&mut bytes))
        .map_err(|err| read_error(path, err))?;
    if bytes.len() as u64 != n_bytes {
        return Err(Error::new(ErrorKind::Conflict, "the file became shorter while it was sent")
            .at(Locus::path(path))
            .with_hint("push again when nobody writes to it"));
    }
    Ok(Bytes::from(bytes))
}
