use std::{
    fs::File,
    io::Write as _,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, Locus, ReadAt, Result};
use object_store::path::Path as ObjectPath;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderName, RANGE},
};
use tempfile::TempDir;
use url::Url;

use crate::{
    Blocks, Input, LocalFiles, Places, brought::Brought, input::printable, io_error, recent::Recent,
    remote::address_of, runtime::block_on,
};

/// Times that a request for a range is repeated: a conversion of hours outlives a server that is away for minutes.
const RETRIES: u32 = 10;
/// The same for the first request, which may be for an address that does not exist.
const RETRIES_FIRST: u32 = 2;
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// A server that sends nothing for so long is not going to.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Opens the one file that a web address names: by range where the server sends ranges, else fetched whole.
pub(crate) fn open(source: &str) -> Result<Input> {
    let url = address(source)?;
    let path = ObjectPath::from_url_path(url.path()).ok();
    let name = path.as_ref().and_then(ObjectPath::filename).filter(|_| !url.path().ends_with('/'));
    let Some(name) = name.map(PathBuf::from) else {
        return Err(Error::new(ErrorKind::Config, "the address names no file")
            .at(Locus::path(printable(source)))
            .with_hint("web servers list no folders: name each file, one SRC after the other"));
    };
    let address = Some(address_of(&url, true));
    let page = Page { client: client()?, url, told: printable(source) };
    let files = page.files(name)?;
    let (exact, places, parts) = (true, Places::default(), Vec::new());
    Ok(Input { files, root: source.to_owned(), exact, places, address, parts })
}

fn address(source: &str) -> Result<Url> {
    let refused = |message: &str| Error::new(ErrorKind::Config, message).at(Locus::path(printable(source)));
    let url = Url::parse(source).map_err(|err| refused("the address is no URL").with_source(err))?;
    if url.fragment().is_some() {
        return Err(refused("what follows `#` is never sent to a server")
            .with_hint("leave it out; if it is part of a name, write it `%23`"));
    }
    if url.path().contains('*') {
        return Err(refused("`*` is no pattern in a URL")
            .with_hint("name each file, one SRC after the other; if it is part of a name, write it `%2A`"));
    }
    Ok(url)
}

fn client() -> Result<Client> {
    // Another part of the process may have installed a provider first: then that one serves.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder()
        .connect_timeout(Duration::from_secs(15))
        .read_timeout(SILENCE_MAX)
        .user_agent(concat!("node-data/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|err| Error::new(ErrorKind::Io, "cannot speak HTTP").with_source(err.without_url()))
}

/// A web address.
struct Page {
    client: Client,
    url: Url,
    /// As it may be printed.
    told: String,
}

/// Why a request came to nothing, and whether to try again.
struct Failure {
    err: Error,
    again: bool,
}

impl Page {
    /// The file, under its name. The first request is for one byte: the answer says whether there will be ranges, and how
    /// long the file is. A server that knows none sends all of it, which is kept.
    fn files(self, name: PathBuf) -> Result<Arc<dyn Files>> {
        enum First {
            Ranges(Whole),
            Fetched(Arc<dyn Files>),
        }
        let first = self.persist(RETRIES_FIRST, || {
            let response = self.ask(0..1)?;
            match response.status() {
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                    match Whole::of(response.headers()) {
                        Some(whole) => Ok(First::Ranges(whole)),
                        None => Err(self.failed("the server does not say how long the file is", false)),
                    }
                }
                StatusCode::OK => self.fetch(response, &name).map(First::Fetched),
                status => Err(self.refused(status)),
            }
        })?;
        Ok(match first {
            First::Fetched(files) => files,
            First::Ranges(whole) => {
                tracing::info!(source = self.told, bytes = whole.n_bytes, "read by range");
                let (recent, brought) = (Recent::default(), Brought::default());
                Arc::new(RangedFile { name, whole, page: Arc::new(self), recent, brought })
            }
        })
    }

    /// Tries until it works, or is not going to.
    fn persist<T>(&self, retries: u32, mut job: impl FnMut() -> Result<T, Failure>) -> Result<T> {
        let mut tries = 0;
        loop {
            let Failure { err, again } = match job() {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if !again || tries == retries {
                return Err(err);
            }
            let pause = PAUSE_MAX.min(Duration::from_millis(200) * 2u32.pow(tries));
            tries += 1;
            tracing::info!(source = self.told, tries, ?pause, why = %err, "try again");
            std::thread::sleep(pause);
        }
    }

    fn ask(&self, range: Range<u64>) -> Result<Response, Failure> {
        let range = format!("bytes={}-{}", range.start, range.end - 1);
        let request = self.client.get(self.url.clone()).header(RANGE, range);
        // Its time-outs are made where it is sent, and belong to a runtime.
        block_on(async { request.send().await }).map_err(|err| self.broken(err))
    }

    /// The bytes of a range, which must be of the file as it was found.
    fn range(&self, range: &Range<u64>, whole: &Whole) -> Result<Bytes, Failure> {
        let mut response = self.ask(range.clone())?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK => return Err(self.failed("the server does not send ranges any more", false)),
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(self.changed()),
            status => return Err(self.refused(status)),
        }
        let now = Whole::of(response.headers());
        if now.is_none_or(|it| it.n_bytes != whole.n_bytes || it.e_tag != whole.e_tag) {
            return Err(self.changed());
        }
        let start = content_range(response.headers()).and_then(|(start, _)| start);
        let mut bytes = Vec::new();
        // No more than was asked for is kept, whatever is sent.
        while bytes.len() as u64 <= range.end - range.start
            && let Some(piece) = block_on(response.chunk()).map_err(|err| self.broken(err))?
        {
            bytes.extend_from_slice(&piece);
        }
        if start != Some(range.start) || bytes.len() as u64 != range.end - range.start {
            return Err(self.failed("the server sent another range than was asked for", true));
        }
        Ok(bytes.into())
    }

    /// Keeps what the server sends in a folder that goes with it.
    fn fetch(&self, mut response: Response, name: &Path) -> Result<Arc<dyn Files>, Failure> {
        let on_disk = |what: &str, path: &Path, err| Failure { err: io_error(what, path, err), again: false };
        tracing::info!(source = self.told, "the server sends no ranges: fetch all of it first");
        let folder = tempfile::Builder::new().prefix("nodedata-").tempdir();
        let folder = folder.map_err(|err| on_disk("cannot make a folder", &std::env::temp_dir(), err))?;
        let path = folder.path().join(name);
        let mut file = File::create_new(&path).map_err(|err| on_disk("cannot keep the file", &path, err))?;
        while let Some(bytes) = block_on(response.chunk()).map_err(|err| self.broken(err))? {
            file.write_all(&bytes).map_err(|err| on_disk("cannot keep the file", &path, err))?;
        }
        Ok(Arc::new(FetchedFile { inner: LocalFiles::file(&path), _folder: folder }))
    }

    fn failed(&self, message: &str, again: bool) -> Failure {
        let err = Error::new(ErrorKind::Io, message).at(Locus::path(&self.told));
        Failure { err: err.with_hint("fetch the file, and name it where it lies on disk"), again }
    }

    fn changed(&self) -> Failure {
        let err = Error::new(ErrorKind::Corrupt, "the file changed on the server while it was read");
        Failure { err: err.at(Locus::path(&self.told)).with_hint("run the command again"), again: false }
    }

    fn broken(&self, err: reqwest::Error) -> Failure {
        let err = Error::new(ErrorKind::Io, "the server cannot be reached, or broke off")
            .with_source(err.without_url())
            .at(Locus::path(&self.told))
            .with_hint("check the address and the network");
        Failure { err, again: true }
    }

    fn refused(&self, status: StatusCode) -> Failure {
        let (kind, hint) = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
                ErrorKind::Denied,
                "give an address that is signed, or `https://user:password@host/…` where the server asks for that",
            ),
            _ => (ErrorKind::Io, "check the address: it must be that of the file itself"),
        };
        let err = Error::new(kind, format!("the server answered `{status}`"));
        let again = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        Failure { err: err.at(Locus::path(&self.told)).with_hint(hint), again }
    }
}

/// What a server says of a file as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Whole {
    n_bytes: u64,
    /// Of this very sequence of bytes; a weak one would do for others as well.
    e_tag: Option<String>,
}

impl Whole {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let (_, n_bytes) = content_range(headers)?;
        let e_tag = text(headers, &ETAG).filter(|it| it.starts_with('"')).map(str::to_owned);
        Some(Self { n_bytes, e_tag })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// First byte and length of the file: `bytes 0-0/123`, or `bytes */0` of a file that has none.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, u64)> {
    let (range, n_bytes) = text(headers, &CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
    Some((start, n_bytes.trim().parse().ok()?))
}

/// A file of a server that sends ranges.
struct RangedFile {
    name: PathBuf,
    whole: Whole,
    page: Arc<Page>,
    /// What one reader fetched serves the next.
    recent: Recent,
    brought: Brought,
}

impl RangedFile {
    /// The file, each of whose reads is a request.
    ///
    /// # Errors
    /// `Io` when it has another name.
    fn far(&self, path: &Path) -> Result<Ranges> {
        if path != self.name {
            return Err(Error::new(ErrorKind::Io, "no such file at the address").at(Locus::path(path)));
        }
        Ok(Ranges { page: Arc::clone(&self.page), whole: self.whole.clone() })
    }
}

impl Files for RangedFile {
    fn list(&self) -> Result<Vec<PathBuf>> {
        Ok(vec![self.name.clone()])
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        if let Some(near) = self.brought.get(path) {
            return Ok(near);
        }
        self.recent.get(path, || Ok(Arc::new(Blocks::over(self.far(path)?))))
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        let e_tag = self.whole.e_tag.as_ref().filter(|_| path == self.name)?;
        Some(format!("{e_tag}:{}", self.whole.n_bytes))
    }

    fn bring(&self, path: &Path, folder: &Path) -> Result<bool> {
        self.brought.bring(path, &self.far(path)?, folder)
    }

    fn let_go(&self, path: &Path) {
        self.brought.let_go(path);
    }
}

/// Behind [`Blocks`], which ask for what is there only.
struct Ranges {
    page: Arc<Page>,
    whole: Whole,
}

impl ReadAt for Ranges {
    fn n_bytes(&self) -> u64 {
        self.whole.n_bytes
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.page.persist(RETRIES, || self.page.range(&range, &self.whole))
    }
}

/// A file that was fetched whole.
struct FetchedFile {
    inner: LocalFiles,
    /// Gone with the last reader.
    _folder: TempDir,
}

impl Files for FetchedFile {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.inner.list()
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        self.inner.open(path)
    }
    // No stamp: that of a copy says nothing of what the server has by now.
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn answers_say_how_long_a_file_is() {
        let said = |range: &'static str, e_tag: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, HeaderValue::from_static(range));
            headers.insert(ETAG, HeaderValue::from_static(e_tag));
            (content_range(&headers), Whole::of(&headers).and_then(|it| it.e_tag))
        };
        assert_eq!(said("bytes 0-0/123", "\"a\""), (Some((Some(0), 123)), Some("\"a\"".to_owned())));
        assert_eq!(said("bytes */0", "W/\"a\""), (Some((None, 0)), None));
        for odd in ["bytes 0-0/*", "lines 0-0/1", "bytes 0-0", "bytes 0-0/-1"] {
            assert_eq!(said(odd, "\"a\""), (None, None), "{odd}");
        }
    }

    #[test]
    fn addresses_that_name_no_file_are_refused() {
        for source in ["http://localhost:1/", "http://localhost:1", "http://localhost:1/runs/"] {
            let err = open(source).err().expect("refused");
            assert_eq!(
                (err.kind(), err.to_string().as_str()),
                (ErrorKind::Config, "the address names no file")
            );
        }
        for source in ["https://localhost:1/a#b", "https://localhost:1/*.mcap", "https://"] {
            assert_eq!(open(source).err().expect("refused").kind(), ErrorKind::Config, "{source}");
        }
    }
}
