use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_io::PerProcess;
use reqwest::{Client, Method, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;
use url::Url;

use crate::{
    clock::jitter,
    http::{
        opened::server_name,
        problem::{CUT_BODY, Problem},
        token::Token,
    },
    record::from_bytes,
};

/// Tries of one request before its error is told.
const TRIES_MAX: u32 = 5;
/// The same where each of them costs the whole time that a server may be silent.
const SILENT_TRIES_MAX: u32 = 2;
/// Longest answer that is no part of a blob, in bytes.
pub(super) const ANSWER_BYTES_MAX: u64 = 128 << 20;
/// Slowest rate at which bytes may come and go.
const SLOWEST_BYTES_PER_SECOND: u64 = 64 << 10;

/// How long a server may be silent or slow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until an answer begins, beside what the bytes of the request take.
    pub(super) answer: Duration,
    /// The same where the server has work to do first: it hashes, and looks whether all of a revision is there.
    pub(super) work: Duration,
    /// Between two pieces of an answer.
    pub(super) idle: Duration,
    /// For a whole answer, beside what its bytes take.
    pub(super) body: Duration,
    /// Longest wait that a server may ask for. One that asks for more is not waited for.
    pub(super) retry_after: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            answer: seconds(60),
            work: seconds(300),
            idle: seconds(30),
            body: seconds(60),
            retry_after: seconds(30),
        }
    }
}

/// Asks one server.
pub(super) struct Exchange {
    /// Its connections belong to the process that made them.
    client: PerProcess<Client>,
    base: Url,
    token: Option<Token>,
    pub(super) patience: Patience,
}

/// One question.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    /// Below the server's address.
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Bytes>,
    /// What the body is.
    pub(super) media_type: &'a str,
    /// Longest answer that is taken.
    pub(super) answer_bytes_max: u64,
    /// Whether the server has work to do before it can answer.
    pub(super) is_work: bool,
}

/// An answer with a status that is no error.
pub(super) struct Answer {
    pub(super) headers: header::HeaderMap,
    pub(super) body: Bytes,
}

/// A refusal, or no answer at all.
pub(super) enum Failure {
    /// The server said what is wrong.
    Told(Box<Problem>),
    /// What a `HEAD` asks for is not there: its answers have no body that could say so.
    Absent(Error),
    /// Nobody knows.
    Unknown(Error),
    /// The server was silent, or so slow that nobody can wait for it.
    Silent(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Told(problem) => problem.to_error(),
            Failure::Absent(err) | Failure::Unknown(err) | Failure::Silent(err) => err,
        }
    }
}

impl Question<'_> {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: None,
            media_type: "application/json",
            answer_bytes_max: ANSWER_BYTES_MAX,
            is_work: false,
        }
    }

    /// For what a server must work for.
    pub(super) fn work(mut self) -> Self {
        self.is_work = true;
        self
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(body).map_err(std::io::Error::from)?;
        self.body = Some(Bytes::from(bytes));
        Ok(self)
    }
}

impl Answer {
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        from_bytes("server's answer", &self.body)
    }
}

impl Exchange {
    pub(super) fn new(base: Url, token: Option<Token>) -> Result<Self> {
        let client = PerProcess::new();
        client.get_or_try(new_client)?;
        Ok(Self { client, base, token, patience: Patience::default() })
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) fn is_encrypted_or_local(&self) -> bool {
        is_encrypted_or_local(&self.base)
    }

    /// Asks, again and again while a later try may succeed: every question may be asked twice.
    pub(super) fn ask(&self, question: &Question<'_>) -> Result<Answer, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (failure, wait) = match self.ask_once(question) {
                Ok(answer) => return Ok(answer),
                Err(it) => it,
            };
            let tries_max = if matches!(failure, Failure::Silent(_)) { SILENT_TRIES_MAX } else { TRIES_MAX };
            let Some(wait) = wait.filter(|_| tries < tries_max) else { return Err(failure) };
            let wait = if wait.is_zero() {
                // Full jitter: tries of many clients spread out.
                Duration::from_millis(50 + jitter(200 << tries))
            } else {
                wait
            };
            let why = match &failure {
                Failure::Told(problem) => format!("status {}", problem.status),
                Failure::Absent(err) | Failure::Unknown(err) | Failure::Silent(err) => err.to_string(),
            };
            tracing::warn!(server = self.name(), method = %question.method, tries, ?wait, why, "try again");
            std::thread::sleep(wait);
        }
    }

    /// Asks a question that must not be asked twice.
    pub(super) fn ask_once_only(&self, question: &Question<'_>) -> Result<Answer, Failure> {
        self.ask_once(question).map_err(|(failure, _)| failure)
    }

    /// As [`Self::ask`], where `None` means that what was asked for is not there.
    pub(super) fn ask_for(&self, question: &Question<'_>) -> Result<Option<Answer>> {
        match self.ask(question) {
            Ok(answer) => Ok(Some(answer)),
            Err(Failure::Told(problem)) if problem.status == 404 => Ok(None),
            Err(Failure::Absent(_)) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The failure, and how long to wait before the next try when one makes sense (0: as we like).
    fn ask_once(&self, question: &Question<'_>) -> Result<Answer, (Failure, Option<Duration>)> {
        let again = Some(Duration::ZERO);
        let url = self.base.join(&question.path).map_err(|err| {
            let err =
                Error::new(ErrorKind::Config, format!("`{}` is no path", question.path)).with_source(err);
            (Failure::Unknown(err), None)
        })?;
        let client = self.client.get_or_try(new_client).map_err(|err| (Failure::Unknown(err), None))?;
        let mut request = client.request(question.method.clone(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.reveal());
        }
        for (name, value) in &question.headers {
            request = request.header(*name, value);
        }
        let n_sent = question.body.as_ref().map_or(0, |it| it.len() as u64);
        if let Some(body) = &question.body {
            request = request.header(header::CONTENT_TYPE, question.media_type).body(body.clone());
        }
        let begin = if question.is_work { self.patience.work } else { self.patience.answer };
        let begin = begin + time_of(n_sent);
        let exchange = async {
            let Ok(response) = timeout(begin, request.send()).await else {
                let message = format!("the server at {} did not answer within {begin:?}", self.name());
                return Err((silent(message), again));
            };
            let response = response.map_err(|err| (self.unanswered(err), again))?;
            let (status, headers) = (response.status(), response.headers().clone());
            // The body of an error is short.
            let limit = if status.is_success() { question.answer_bytes_max } else { ANSWER_BYTES_MAX };
            let body = self.read(response, limit).await?;
            Ok((status, headers, body))
        };
        let (status, headers, body) = nodedata_io::block_on(exchange)?;
        if status.is_success() {
            return Ok(Answer { headers, body });
        }
        let failure = self.refusal(&question.method, status, &body);
        // Something on the way cut it off, and told the server that it was whole.
        let is_cut = matches!(&failure, Failure::Told(it) if it.code == CUT_BODY);
        match retry_after(status, &headers).or_else(|| is_cut.then_some(Duration::ZERO)) {
            Some(wait) if wait > self.patience.retry_after => Err((self.told_to_wait(failure, wait), None)),
            wait => Err((failure, wait)),
        }
    }

    /// A server that wants to be left alone for longer than anybody waits: whoever asked is told so.
    fn told_to_wait(&self, failure: Failure, wait: Duration) -> Failure {
        let why = Error::from(failure);
        let message = format!("the server at {} asks to be left alone for {wait:?}", self.name());
        let err = Error::new(ErrorKind::Limit, message).with_source(why);
        Failure::Unknown(err.with_hint("try again then, or ask the server's operator"))
    }

    fn unanswered(&self, err: reqwest::Error) -> Failure {
        let what = if err.is_connect() { "cannot reach the server" } else { "the server did not answer" };
        let source = std::error::Error::source(&err).map(ToString::to_string);
        let err = Error::new(ErrorKind::Io, format!("{what} at {}", self.name()))
            .with_source(source.unwrap_or_else(|| err.without_url().to_string()));
        Failure::Unknown(err.with_hint("check the address and the network, then try again"))
    }

    async fn read(
        &self,
        mut response: reqwest::Response,
        limit: u64,
    ) -> Result<Bytes, (Failure, Option<Duration>)> {
        let mut body = BytesMut::new();
        let again = Some(Duration::ZERO);
        let since = Instant::now();
        loop {
            let name = self.name();
            let Ok(piece) = timeout(self.patience.idle, response.chunk()).await else {
                let idle = self.patience.idle;
                let message = format!("the server at {name} sent nothing for {idle:?} amid an answer");
                return Err((silent(message), again));
            };
            let Some(piece) = piece.map_err(|err| (self.unanswered(err), again))? else { break };
            let (elapsed, n_bytes) = (since.elapsed(), (body.len() + piece.len()) as u64);
            if elapsed > self.patience.body + time_of(n_bytes) {
                let message =
                    format!("the server at {name} sent {n_bytes} bytes in {elapsed:?}, too slow to wait");
                return Err((silent(message), again));
            }
            if (body.len() + piece.len()) as u64 > limit {
                let err = Error::new(
                    ErrorKind::Limit,
                    format!("the server at {} answers with more than {limit} bytes", self.name()),
                )
                .with_hint("is this the address of a `node-data serve`?");
                return Err((Failure::Unknown(err), None));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// Its address, without what could be a secret.
    fn name(&self) -> String {
        server_name(&self.base)
    }

    fn refusal(&self, method: &Method, status: StatusCode, body: &[u8]) -> Failure {
        if let Ok(mut problem) = serde_json::from_slice::<Problem>(body) {
            problem.status = status.as_u16();
            if status == StatusCode::UNAUTHORIZED && problem.code != "identity-invalid" {
                // The server speaks of headers.
                problem.fix = Some(self.how_to_send_a_token(&problem));
            }
            return Failure::Told(Box::new(problem));
        }
        let kind = match status.as_u16() {
            401 | 403 => ErrorKind::Denied,
            408 | 429 | 500.. => ErrorKind::Io,
            _ => ErrorKind::Unsupported,
        };
        let message = format!("{} answers {status} without saying why", self.name());
        let err = Error::new(kind, message).with_hint("is this the address of a `node-data serve`?");
        if *method == Method::HEAD && status == StatusCode::NOT_FOUND {
            return Failure::Absent(err);
        }
        Failure::Unknown(err)
    }

    fn how_to_send_a_token(&self, problem: &Problem) -> String {
        let login = format!("`node-data login --store {}` keeps a token, or set NODEDATA_TOKEN", self.name());
        match (self.has_token(), problem.code.as_str()) {
            (true, _) => format!("ask the server's operator for a new one; {login}"),
            (false, "attestation-required") => format!("{login}; then `node-data dataset attest`"),
            (false, _) => login,
        }
    }
}

/// A client that follows nobody elsewhere.
pub(super) fn new_client() -> Result<Client> {
    // Another part of the process may have installed a provider first: then that one serves.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder()
        .connect_timeout(Duration::from_secs(15))
        // A redirect could carry the token elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("node-data/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|err| Error::new(ErrorKind::Io, "cannot speak HTTP").with_source(err.without_url()))
}

/// Whether what is sent to an address cannot be read on the way.
pub(super) fn is_encrypted_or_local(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(it)) => it.is_loopback(),
        Some(url::Host::Ipv6(it)) => it.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || is_local
}

const AGAIN: &str = "try again; what was sent already is not sent twice";

/// How long to wait before the next try where one makes sense; 0 as we like.
fn retry_after(status: StatusCode, headers: &header::HeaderMap) -> Option<Duration> {
    if !matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504) {
        return None;
    }
    let asked = headers.get(header::RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
    Some(Duration::from_secs(asked.unwrap_or(0)))
}

/// What bytes may take.
fn time_of(n_bytes: u64) -> Duration {
    Duration::from_secs(n_bytes / SLOWEST_BYTES_PER_SECOND)
}

fn silent(message: String) -> Failure {
    Failure::Silent(Error::new(ErrorKind::Io, message).with_hint(AGAIN))
}

#[cfg(test)]
mod tests;
