use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Files, Locus, Result, patterns::is_pattern};

use crate::{LocalFiles, Places};

/// What the user named as SRC.
#[derive(Clone)]
pub struct Input {
    /// Its files.
    pub files: Arc<dyn Files>,
    /// The part of the name that is the same for all files: where relative paths start.
    pub root: String,
    /// Whether SRC named files one by one (a file or a glob), rather than a folder that may hold others.
    pub exact: bool,
    /// What of it lies on disk, and is not to be written over.
    pub places: Places,
    /// Of a URL, the address that its names are relative to: `host/folder`.
    pub address: Option<PathBuf>,
    /// Where there are several sources, which files each of them named.
    pub parts: Vec<Part>,
}

/// One of several sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// As the user named it.
    pub source: String,
    /// Names of its files in the input.
    pub names: Vec<PathBuf>,
}

impl Input {
    fn on_disk(files: LocalFiles, root: String, exact: bool, places: Places) -> Self {
        Self { files: Arc::new(files), root, exact, places, address: None, parts: Vec::new() }
    }
}

/// Opens SRC: a file, a folder, a glob (`runs/**/*.mcap`) or a URL (`s3://bucket/prefix`).
///
/// # Errors
/// `Io` when nothing is there; `Config` when a glob or URL is malformed or matches nothing; `Unsupported` for an address
/// that this build does not speak to.
pub fn open(source: &str) -> Result<Input> {
    if source == "-" {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "standard input is not read: files are read by range",
        )
        .with_hint("write it to a file first, and name that; a file called `-` is `./-`"));
    }
    if let Some(path) = source.strip_prefix("file://") {
        return open_local(path);
    }
    if let Some((scheme, _)) = source.split_once("://")
        && scheme.chars().all(|it| it.is_ascii_alphanumeric() || it == '+')
    {
        return open_url(source, &scheme.to_ascii_lowercase());
    }
    open_local(source)
}

/// A scheme that nothing here speaks to.
fn foreign_scheme(source: &str, scheme: &str) -> Error {
    let built_in = if cfg!(feature = "remote") {
        "this build reads http://, https://, s3://, gs:// and az://, and what lies on disk"
    } else {
        "this build reads what lies on disk alone"
    };
    let hint = match scheme {
        "hf" | "huggingface" => format!("{built_in}: fetch it with `hf download`, and name the folder"),
        _ => format!("{built_in}: copy the data to one of these"),
    };
    Error::new(ErrorKind::Unsupported, format!("`{scheme}://` is no address that is read here"))
        .at(Locus::path(printable(source)))
        .with_hint(hint)
}

/// SRC, or another address, as it may be printed: of a URL not the user, and of one that is sent as it is, neither the query,
/// which may hold a signature.
pub fn printable(source: &str) -> String {
    let Some((scheme, rest)) = source.split_once("://") else { return source.to_owned() };
    // In the name of an object, what looks like a query is a slip that the user has to see.
    let is_sent = matches!(scheme, "http" | "https");
    let rest = if is_sent { rest.split(['?', '#']).next().unwrap_or_default() } else { rest };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// A text as it may be printed, such as what a library says: each address in it as [`printable`], each path without its
/// query.
pub fn printable_text(text: &str) -> String {
    text.split_inclusive(char::is_whitespace).map(printable_word).collect()
}

fn printable_word(word: &str) -> String {
    let (word, space) = word.split_at(word.trim_end().len());
    match word.split_once('?').filter(|(_, query)| query.contains('=')) {
        Some((before, _)) => format!("{}?***{space}", printable(before)),
        None => format!("{}{space}", printable(word)),
    }
}

#[cfg(feature = "remote")]
fn open_url(source: &str, scheme: &str) -> Result<Input> {
    match scheme {
        "http" | "https" => crate::web::open(source),
        "s3" | "s3a" | "gs" | "az" | "azure" | "adl" | "abfs" | "abfss" => crate::remote::open(source),
        _ => Err(foreign_scheme(source, scheme)),
    }
}

#[cfg(not(feature = "remote"))]
fn open_url(source: &str, scheme: &str) -> Result<Input> {
    match scheme {
        "http" | "https" | "s3" | "s3a" | "gs" | "az" | "azure" | "adl" | "abfs" | "abfss" => {
            let message = format!("this build was made without `{scheme}://` addresses");
            Err(Error::new(ErrorKind::Unsupported, message).at(Locus::path(printable(source))).with_hint(
                "build it with the feature `remote`, which is on by default, or copy the data to disk",
            ))
        }
        _ => Err(foreign_scheme(source, scheme)),
    }
}

fn open_local(source: &str) -> Result<Input> {
    let path = Path::new(source);
    if path.is_dir() {
        let files = LocalFiles::folder(path)?;
        return Ok(Input::on_disk(files, source.to_owned(), false, Places::new([path])));
    }
    if path.exists() {
        let root = path.parent().map_or_else(String::new, |it| it.display().to_string());
        return Ok(Input::on_disk(LocalFiles::file(path), root, true, Places::new([path])));
    }
    if is_pattern(source) {
        return open_glob(source);
    }
    Err(Error::new(ErrorKind::Io, "there is no such file or folder")
        .at(Locus::path(source))
        .with_hint("SRC is a file, a folder, a glob in quotes, or a URL such as s3://bucket/prefix"))
}

fn open_glob(pattern: &str) -> Result<Input> {
    let malformed = |err: glob::PatternError| {
        Error::new(ErrorKind::Config, format!("`{pattern}` is not a pattern")).with_source(err)
    };
    let root = glob_root(pattern);
    let mut names = Vec::new();
    // As in a folder, what is hidden is not meant unless the pattern says so.
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    for found in glob::glob_with(pattern, options).map_err(malformed)? {
        let path = found.map_err(std::io::Error::from)?;
        if path.is_file() {
            let name = path.strip_prefix(&root).map_or_else(|_| path.clone(), Path::to_owned);
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(Error::new(ErrorKind::Config, format!("no file matches `{pattern}`"))
            .with_hint("quote the glob so that the shell does not expand it first"));
    }
    let places = Places::new(names.iter().map(|it| root.join(it)));
    Ok(Input::on_disk(LocalFiles::list_of(&root, names), root.display().to_string(), true, places))
}

/// The leading folders of a glob that hold no pattern characters.
fn glob_root(pattern: &str) -> PathBuf {
    let parts: Vec<_> = Path::new(pattern).components().collect();
    let mut root = PathBuf::new();
    for part in parts.iter().take(parts.len().saturating_sub(1)) {
        if is_pattern(&part.as_os_str().to_string_lossy()) {
            break;
        }
        root.push(part);
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a scratch folder");
        for (name, text) in [
            ("b.mcap", "b"),
            ("a/1.mcap", "one"),
            ("a/2.txt", "two"),
            (".hidden/x.mcap", "x"),
            ("e.mcap", ""),
        ] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("has a parent")).expect("can make folders");
            std::fs::write(path, text).expect("can write");
        }
        dir
    }

    fn names(input: &Input) -> Vec<String> {
        input.files.list().expect("lists").iter().map(|it| it.display().to_string()).collect()
    }

    #[test]
    fn folders_files_and_globs_are_listed_in_order() {
        let dir = tree();
        let root = dir.path().display().to_string();
        assert_eq!(names(&open(&root).unwrap()), ["a/1.mcap", "a/2.txt", "b.mcap", "e.mcap"]);
        assert_eq!(names(&open(&format!("{root}/b.mcap")).unwrap()), ["b.mcap"]);
        assert_eq!(names(&open(&format!("{root}/**/*.mcap")).unwrap())[..2], ["a/1.mcap", "b.mcap"]);
        let nothing = open(&format!("{root}/*.bag")).err().expect("no match is an error");
        assert_eq!(nothing.kind(), ErrorKind::Config);
    }

    #[test]
    fn an_address_is_printed_without_what_is_secret() {
        for (source, printed) in [
            ("https://me:secret@host/a/b.mcap?X-Amz-Signature=secret", "https://host/a/b.mcap"),
            ("https://me:se@cret@host?a#b", "https://host"),
            ("s3://bucket/a", "s3://bucket/a"),
            ("s3://bucket/a?b#c", "s3://bucket/a?b#c"),
            ("runs/what?.mcap", "runs/what?.mcap"),
        ] {
            assert_eq!(printable(source), printed);
        }
        for (text, printed) in [
            ("HEAD http://me:pw@host/a in 1 ms\n", "HEAD http://host/a in 1 ms\n"),
            ("url=\"https://me:pw@host/a?sig=x&b=c\" ok\n", "url=\"https://host/a?*** ok\n"),
            ("GET /a/b?X-Amz-Signature=abc then", "GET /a/b?*** then"),
            ("what? no", "what? no"),
        ] {
            assert_eq!(printable_text(text), printed);
        }
    }

    #[test]
    fn what_is_not_read_says_so_and_what_is() {
        for (source, part, hint) in [
            ("-", "standard input", "write it to a file"),
            ("ftp://host/a.mcap", "`ftp://`", "this build reads"),
            ("hf://datasets/a/b", "`hf://`", "hf download"),
            ("HDFS://host/a", "`hdfs://`", "this build reads"),
        ] {
            let err = open(source).err().expect("refused");
            assert_eq!(err.kind(), ErrorKind::Unsupported);
            assert!(err.to_string().contains(part), "{source}: {err}");
            assert!(err.hint().is_some_and(|it| it.contains(hint)), "{source}: {:?}", err.hint());
        }
    }

    #[test]
    fn ranges_are_checked_and_shared() {
        let dir = tree();
        let input = open(&dir.path().display().to_string()).unwrap();
        let file = input.files.open(Path::new("a/1.mcap")).unwrap();
        assert_eq!(&file.read_at(1..3).unwrap()[..], b"ne");
        assert_eq!(file.read_at(2..9).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(input.files.open(Path::new("e.mcap")).unwrap().n_bytes(), 0);
        assert_eq!(input.files.open(Path::new("zz")).err().unwrap().kind(), ErrorKind::Io);
    }
}
