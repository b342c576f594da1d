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
    tree::{self, GRAIN_BYTES},
};

/// How often blobs whose parts did not add up are sent again.
const ROUNDS_MAX: usize = 3;
/// How long a part is tried again before its error is told: each try waits as long as a silent store may be.
const GIVE_UP: Duration = Duration::from_secs(300);
/// How often a worker that may not send looks again.
const IDLE: Duration = Duration::from_millis(10);

/// Longest blob that is sent with others. A longer one is worth a request of its own.
const SMALL_BYTES_MAX: u64 = GRAIN_BYTES;
/// Most blobs that are sent together, and most bytes of them.
const TOGETHER_MAX: usize = 256;
const TOGETHER_BYTES_MAX: u64 = 4 << 20;

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

/// What one worker does at a time.
enum Task<'a> {
    /// Sends a part of the blob at a position of the list.
    Part { blob: &'a BlobRef, origin: &'a Origin, at: usize, part: u32 },
    /// Ends the upload of a blob whose parts are all there.
    Seal(&'a BlobRef),
    /// Sends small blobs whole.
    Together(Vec<(&'a BlobRef, &'a Origin)>),
}

impl Task<'_> {
    /// Bytes that it sends.
    fn n_bytes(&self) -> u64 {
        match self {
            Self::Part { blob, part, .. } => {
                let range = tree::part_range(blob.bytes, *part);
                range.end - range.start
            }
            Self::Seal(_) => 0,
            Self::Together(blobs) => blobs.iter().map(|(blob, _)| blob.bytes).sum(),
        }
    }
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
    let (mut together, mut n_together) = (Vec::new(), 0);
    for (at, Needed { blob, have }) in need.iter().enumerate() {
        let origin = sources.get(&blob.b3).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("the registry has lost the blob {}", blob.b3))
                .with_hint("`node-data store fsck` says what else is missing; push the whole folder again")
        })?;
        if blob.bytes <= SMALL_BYTES_MAX {
            if together.len() == TOGETHER_MAX || n_together + blob.bytes > TOGETHER_BYTES_MAX {
                tasks.push_back(Task::Together(std::mem::take(&mut together)));
                n_together = 0;
            }
            n_together += blob.bytes;
            together.push((blob, origin));
            left.push(AtomicU64::new(0));
            continue;
        }
        let missing: Vec<u32> = (0..tree::n_parts(blob.bytes)).filter(|it| !have.contains(it)).collect();
        left.push(AtomicU64::new(missing.len() as u64));
        if missing.is_empty() {
            tasks.push_back(Task::Seal(blob));
        }
        tasks.extend(missing.into_iter().map(|part| Task::Part { blob, origin, at, part }));
    }
    if !together.is_empty() {
        tasks.push_back(Task::Together(together));
    }
    progress.planned(tasks.iter().map(Task::n_bytes).sum());
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
        match task {
            Task::Seal(blob) => return self.seal(blob),
            Task::Part { blob, origin, part, .. } => {
                let bytes = read_part(origin, blob, *part)?;
                self.tried(|| self.remote.upload_part(blob, *part, bytes.clone()))
                    .map_err(|err| err.at(place(origin)))?;
            }
            Task::Together(blobs) => {
                let read =
                    |(blob, origin): &(&BlobRef, &Origin)| Ok(((*blob).clone(), read_part(origin, blob, 0)?));
                let whole = blobs.iter().map(read).collect::<Result<Vec<(BlobRef, Bytes)>>>()?;
                self.tried(|| self.remote.upload_blobs(&whole)).map_err(|err| {
                    // One of them may be another than was hashed.
                    let other = whole.iter().position(|(blob, bytes)| B3::of(bytes) != blob.b3);
                    match other.and_then(|it| blobs.get(it)) {
                        Some((_, origin)) => err.at(place(origin)),
                        None => err,
                    }
                })?;
            }
        }
        let n_bytes = task.n_bytes();
        self.pace.sent(n_bytes);
        self.n_bytes.fetch_add(n_bytes, Ordering::Relaxed);
        self.progress.advanced(n_bytes, 0);
        match task {
            // A blob of one part is whole with it.
            Task::Part { blob, at, .. }
                if self.left[*at].fetch_sub(1, Ordering::AcqRel) == 1 && tree::n_parts(blob.bytes) > 1 =>
            {
                self.seal(blob)
            }
            Task::Part { .. } | Task::Seal(_) | Task::Together(_) => Ok(()),
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
