use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};
use reqwest::{Method, header};
use serde::Serialize;
use url::Url;

use crate::{
    digest::B3,
    http::{
        bitmap::parts_in,
        exchange::{Answer, Exchange, Failure, Question, is_encrypted_or_local},
        opened::server_name,
        packed::pack,
        side_by_side::side_by_side,
        token::Token,
        wire::{BLOB_BYTES, CommitAnswer, DatasetList, LogAnswer, PART_CV, PUSH, PushAnswer},
    },
    name::DatasetName,
    purge::Removal,
    record::{BlobRef, CommitRecord},
    remote::{Appended, LogEntry, Needed, Negotiated, PushRequest, Remote},
    tree,
};

/// Datasets of a page of a list: the most that a server gives.
const LIST_DATASETS: usize = 1000;

/// A server, spoken to over HTTP.
pub struct HttpRemote {
    pub(super) exchange: Exchange,
    label: String,
    /// By blob: the push that it is sent for.
    pushes: Mutex<BTreeMap<B3, String>>,
    /// Whether it takes blobs together, as far as is known. Servers of earlier versions do not.
    takes_packed: AtomicBool,
}

impl std::fmt::Debug for HttpRemote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HttpRemote").field(&self.label).finish()
    }
}

impl HttpRemote {
    /// The server at `address`. Nothing is asked of it yet.
    ///
    /// # Errors
    /// `Config` for another scheme than HTTP, for an address with a password in it, and for a token that
    /// would travel in the clear.
    pub fn new(address: &Url, token: Option<Token>) -> Result<Self> {
        let refused = |message: &str, hint: &str| Err(Error::new(ErrorKind::Config, message).with_hint(hint));
        if !matches!(address.scheme(), "http" | "https") {
            return refused("a server is spoken to over HTTP", "write http://HOST:PORT or https://HOST");
        }
        if address.password().is_some() || !address.username().is_empty() {
            return refused(
                "the address holds a password",
                "`node-data login` keeps a token, or put it into NODEDATA_TOKEN",
            );
        }
        if token.is_some() && !is_encrypted_or_local(address) {
            return refused("the token would travel in the clear", "use an https:// address");
        }
        let mut base = address.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let label = server_name(&base);
        Ok(Self {
            exchange: Exchange::new(base, token)?,
            label,
            pushes: Mutex::default(),
            takes_packed: AtomicBool::new(true),
        })
    }

    pub(super) fn get(&self, path: String) -> Result<Answer> {
        Ok(self.exchange.ask(&Question::new(Method::GET, path))?)
    }

    pub(super) fn post(&self, path: String, body: &impl Serialize) -> Result<Answer> {
        Ok(self.exchange.ask(&Question::new(Method::POST, path).json(body)?.work())?)
    }

    pub(super) fn dataset(dataset: &DatasetName, rest: &str) -> String {
        format!("v1/d/{}/{}/{rest}", dataset.owner(), dataset.name())
    }

    fn pushes(&self) -> MutexGuard<'_, BTreeMap<B3, String>> {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With the push that a blob is sent for, where one was announced.
    fn for_push<'a>(&self, mut question: Question<'a>, blob: &BlobRef) -> Question<'a> {
        question.headers.extend(self.pushes().get(&blob.b3).map(|it| (PUSH, it.clone())));
        question
    }

    fn blob(dataset: &DatasetName, b3: &B3, rest: &str) -> String {
        Self::dataset(dataset, &format!("blobs/{}{rest}", b3.hex()))
    }
}

impl Remote for HttpRemote {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn why_hidden(&self) -> Option<String> {
        Some(match self.exchange.has_token() {
            true => "a private one is shown only to a token with a scope for it".to_owned(),
            false => format!(
                "a private one is shown only with a token: `node-data login --store {}` keeps one",
                self.label
            ),
        })
    }

    fn datasets(&self) -> Result<Vec<DatasetName>> {
        let mut names: Vec<DatasetName> = Vec::new();
        let mut path = format!("v1/datasets?limit={LIST_DATASETS}");
        loop {
            let list: DatasetList = self.get(path)?.parse()?;
            let n_before = names.len();
            names.extend(list.datasets.into_iter().map(|it| it.name));
            // A server that sends no more is at the end, whatever it says of a next page.
            let Some(next) = list.next.filter(|_| names.len() > n_before) else { return Ok(names) };
            let after: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            path = format!("v1/datasets?limit={LIST_DATASETS}&after={after}");
        }
    }

    fn negotiate(&self, request: &PushRequest) -> Result<Negotiated> {
        let answer: PushAnswer = self.post(Self::dataset(&request.dataset, "pushes"), request)?.parse()?;
        let need = answer.need.into_iter().map(|it| {
            self.pushes().insert(it.blob.b3, request.push.clone());
            let have = parts_in(&it.parts, tree::n_parts(it.blob.bytes))?;
            Ok(Needed { blob: it.blob, have })
        });
        Ok(Negotiated { need: need.collect::<Result<_>>()? })
    }

    fn upload_part(&self, blob: &BlobRef, part: u32, bytes: Bytes) -> Result<()> {
        let mut question = Question::new(Method::PUT, format!("v1/blobs/{}/parts/{part}", blob.b3.hex()));
        question.media_type = "application/octet-stream";
        question.headers.push((BLOB_BYTES, blob.bytes.to_string()));
        // Over TLS nothing is damaged on the way, and a blob of one part is checked by its digest.
        if !self.exchange.is_encrypted_or_local() && tree::n_parts(blob.bytes) > 1 {
            let cvs = tree::grain_cvs(tree::part_range(blob.bytes, part).start, &bytes);
            if !cvs.is_empty() {
                question.headers.push((PART_CV, B3(tree::fold(&cvs)).hex()));
            }
        }
        question.body = Some(bytes);
        self.exchange.ask(&self.for_push(question, blob))?;
        Ok(())
    }

    fn upload_blobs(&self, blobs: &[(BlobRef, Bytes)]) -> Result<()> {
        let one_by_one =
            || blobs.iter().try_for_each(|(blob, bytes)| self.upload_part(blob, 0, bytes.clone()));
        if blobs.len() < 2 || !self.takes_packed.load(Ordering::Relaxed) {
            return one_by_one();
        }
        let mut question = Question::new(Method::PUT, "v1/blobs").work();
        question.media_type = "application/octet-stream";
        question.body = Some(pack(blobs));
        match self.exchange.ask(&question) {
            Ok(_) => Ok(()),
            // One of an earlier version, or one that takes shorter bodies.
            Err(Failure::Told(problem)) if matches!(problem.status, 404 | 405 | 413) => {
                self.takes_packed.store(false, Ordering::Relaxed);
                one_by_one()
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn seal(&self, blob: &BlobRef) -> Result<()> {
        let question = Question::new(Method::POST, format!("v1/blobs/{}:seal", blob.b3.hex())).json(blob)?;
        self.exchange.ask(&self.for_push(question.work(), blob))?;
        Ok(())
    }

    fn end_push(&self, push: &str) -> Result<()> {
        self.exchange.ask_for(&Question::new(Method::DELETE, format!("v1/pushes/{push}")))?;
        self.pushes().retain(|_, it| it != push);
        Ok(())
    }

    fn append(&self, dataset: &DatasetName, record: &CommitRecord) -> Result<Appended> {
        // Asked twice, the server finds its own record by `op_id`.
        // The date is the server's to write, whatever our clock says.
        let record = &CommitRecord { at: String::new(), ..record.clone() };
        let question = Question::new(Method::POST, Self::dataset(dataset, "commits")).json(record)?.work();
        match self.exchange.ask(&question) {
            Ok(answer) => Ok(Appended::Done { digest: answer.parse::<CommitAnswer>()?.digest }),
            Err(Failure::Told(problem)) => match problem.entry {
                Some(entry) => Ok(Appended::Taken((*entry).into())),
                None => Err(problem.to_error()),
            },
            Err(Failure::Absent(err) | Failure::Unknown(err) | Failure::Silent(err)) => Err(err),
        }
    }

    fn log(&self, dataset: &DatasetName, from_seq: u64) -> Result<Vec<LogEntry>> {
        let mut entries: Vec<LogEntry> = Vec::new();
        loop {
            let from = from_seq + entries.len() as u64;
            let question = Question::new(Method::GET, Self::dataset(dataset, &format!("log?from={from}")));
            let Some(answer) = self.exchange.ask_for(&question)? else { return Ok(entries) };
            let page: LogAnswer = answer.parse()?;
            let is_last = !page.more || page.entries.is_empty();
            for entry in page.entries.into_iter().map(LogEntry::from) {
                check_entry(&entry, entries.last(), from_seq + entries.len() as u64)?;
                entries.push(entry);
            }
            if is_last {
                return Ok(entries);
            }
        }
    }

    fn blob_bytes(&self, dataset: &DatasetName, b3: &B3) -> Result<Option<u64>> {
        let question = Question::new(Method::HEAD, Self::blob(dataset, b3, ""));
        let answer = match self.exchange.ask_for(&question) {
            // The refusal of a `HEAD` has no words; that of a byte has.
            Err(err) if err.kind() == ErrorKind::Denied => {
                self.read_blob(dataset, b3, 0..1)?;
                return Err(err);
            }
            answer => answer?,
        };
        let Some(answer) = answer else { return Ok(None) };
        let length = answer.headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
        length.map(Some).ok_or_else(|| {
            Error::new(ErrorKind::Io, format!("the server does not say how long {b3} is"))
                .with_hint("does a proxy change its answers?")
        })
    }

    fn read_blob(&self, dataset: &DatasetName, b3: &B3, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let n_bytes = range.end - range.start;
        let mut question = Question::new(Method::GET, Self::blob(dataset, b3, ""));
        question.headers.push(("range", format!("bytes={}-{}", range.start, range.end - 1)));
        question.answer_bytes_max = n_bytes;
        let answer = self.exchange.ask(&question)?;
        if answer.body.len() as u64 != n_bytes {
            let message = format!("the server sent {} bytes where {n_bytes} were asked", answer.body.len());
            return Err(Error::new(ErrorKind::Io, message));
        }
        Ok(answer.body)
    }

    fn read_ranges(&self, dataset: &DatasetName, b3: &B3, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        side_by_side(ranges, |range| self.read_blob(dataset, b3, range))
    }

    fn read_tree(&self, dataset: &DatasetName, b3: &B3) -> Result<Option<Bytes>> {
        let question = Question::new(Method::GET, Self::blob(dataset, b3, "/tree"));
        Ok(self.exchange.ask_for(&question)?.map(|it| it.body))
    }

    fn remove_purged(&self, dataset: &DatasetName) -> Result<Removal> {
        let question = Question::new(Method::POST, Self::dataset(dataset, "purge")).work();
        self.exchange.ask(&question)?.parse()
    }

    fn read_hint(&self, dataset: &DatasetName) -> Result<Option<Bytes>> {
        let question = Question::new(Method::GET, Self::dataset(dataset, "head"));
        Ok(self.exchange.ask_for(&question)?.map(|it| it.body))
    }

    /// The server leaves its own.
    fn write_hint(&self, _: &DatasetName, _: Bytes) -> Result<()> {
        Ok(())
    }
}

/// The server is no more trusted with the chain of records than a store is.
fn check_entry(entry: &LogEntry, before: Option<&LogEntry>, seq: u64) -> Result<()> {
    let is_next = entry.record.seq == seq
        && before.is_none_or(|it| entry.record.prev == Some(it.digest))
        && B3::of(&entry.record.to_bytes()?) == entry.digest;
    if is_next {
        return Ok(());
    }
    let message = format!("record {seq} is not what follows the one before it");
    Err(Error::new(ErrorKind::Corrupt, message).with_hint("`node-data store fsck` on the server says more"))
}
