//! Media that records refer to: files beside them, or bytes within their text. Whatever holds the records, what a reference means and
//! what may be read of it is the same.

use std::{
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use nodedata_core::{
    Error, ErrorKind, Files, Locus, OpenOptions, OptionKey, OptionKind, OptionValue, Reference, Result,
    patterns,
};

use super::own_name_of_sample;

/// What becomes of a reference to a file that is not there.
pub const MISSING: OptionKey = OptionKey {
    name: "missing",
    kind: OptionKind::Choice(&["fail", "null"]),
    default: "fail",
    doc: "what becomes of a row that refers to a file that is not there, where files are embedded: it is refused, or has null in its place",
};

/// Bytes that an embedded file may have.
pub const EMBED_BYTES_MAX: OptionKey = OptionKey {
    name: "embed_bytes_max",
    kind: OptionKind::Integer(1, 256 << 20),
    default: "67108864",
    doc: "bytes that a file may have that is embedded",
};

/// How pointers to files of Git LFS begin.
const LFS: &[u8] = b"version https://git-lfs";

/// The fields that refer to media, and where these are.
pub struct References {
    files: Arc<dyn Files>,
    /// Each with the path of its keys, and how it refers.
    fields: Vec<(String, Reference)>,
    bytes_max: u64,
    allows_missing: bool,
}

/// What a text refers to.
enum Target {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// What a reference says of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// One that is there, with its length.
    File(PathBuf, u64),
    /// One that is not there, or may not be read: once it is another, the row is as well.
    Missing(String),
    /// Nothing, or nothing below the root.
    None,
}

impl References {
    /// Those that are asked for, of fields that are selected.
    pub fn new(files: &Arc<dyn Files>, options: &OpenOptions) -> Self {
        let is_selected = |name: &str| {
            options.topics.as_ref().is_none_or(|topics| topics.iter().any(|it| patterns::fits(it, name)))
        };
        let fields = options.embed.iter().filter(|(name, _)| is_selected(name));
        let bytes_max = match options.option(&EMBED_BYTES_MAX) {
            OptionValue::Integer(it) => it.max(0).cast_unsigned(),
            OptionValue::Bool(_) | OptionValue::Text(_) => 0,
        };
        Self {
            files: Arc::clone(files),
            fields: fields.map(|(name, how)| (own_name_of_sample(name).to_owned(), *how)).collect(),
            bytes_max,
            allows_missing: options.option(&MISSING) == OptionValue::Text("null".to_owned()),
        }
    }

    /// Whether no field refers to media.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether a file that is not there becomes null.
    pub fn allows_missing(&self) -> bool {
        self.allows_missing
    }

    /// The paths of the fields' keys.
    pub fn paths(&self) -> Vec<&str> {
        self.fields.iter().map(|it| it.0.as_str()).collect()
    }

    /// What a reference in a file says of others. What is wrong with it, whoever reads it is told.
    ///
    /// # Errors
    /// `Io`; `Unsupported` for a file in a folder whose path is not UTF-8.
    pub fn named(&self, field: usize, from: &Path, text: &str) -> Result<Named> {
        if self.is_within(field, text) {
            return Ok(Named::None);
        }
        let Ok(path) = below(from, text) else { return Ok(Named::None) };
        if path.to_str().is_none() {
            // What is noted of inputs is text.
            let message = "files are embedded by their paths, and that of this folder is not UTF-8";
            let hint = "rename the folder, or leave out `--embed` and `source.embed`";
            let folder = from.parent().unwrap_or(from);
            return Err(Error::new(ErrorKind::Unsupported, message).at(Locus::path(folder)).with_hint(hint));
        }
        if self.files.leads_out(&path) {
            return Ok(Named::Missing(path.display().to_string()));
        }
        match self.files.open(&path) {
            Ok(file) => Ok(Named::File(path, file.n_bytes())),
            Err(err) if err.kind() == ErrorKind::Io && !is_missing(&err) && !is_of_the_name(&err) => {
                Err(err.at(Locus::path(path)))
            }
            Err(_) => Ok(Named::Missing(path.display().to_string())),
        }
    }

    /// Whether a file is there by now that was not.
    pub fn is_there(&self, path: &str) -> bool {
        let path = Path::new(path);
        !self.files.leads_out(path) && self.files.open(path).is_ok()
    }

    /// The medium that a text in a file refers to, with the name that it is kept under; `None` where it is to be null.
    ///
    /// # Errors
    /// `Unsupported` for what is not read; `Corrupt` for what is not there, or is no base64; `Limit` for what is too large; `Io`.
    pub fn load(&self, field: usize, from: &Path, text: &str) -> Result<Option<(Bytes, Option<String>)>> {
        let path = match self.target(field, from, text)? {
            Target::Bytes(bytes) => return Ok(Some((bytes.into(), None))),
            Target::File(path) => path,
        };
        if self.files.leads_out(&path) {
            return Err(leads_out(text));
        }
        let file = match self.files.open(&path) {
            Ok(file) => file,
            Err(err) if (is_missing(&err) || is_no_file(&err)) && self.allows_missing => return Ok(None),
            Err(err) if is_missing(&err) => return Err(not_there(text, &path)),
            Err(err) if is_of_the_name(&err) => {
                let message = format!("`{text}` cannot be opened: {}", err.chain());
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            Err(err) => return Err(err.at(Locus::path(path))),
        };
        if self.bytes_max < file.n_bytes() {
            return Err(self.too_large(text, file.n_bytes()));
        }
        let bytes = file.read_at(0..file.n_bytes()).map_err(|err| err.at(Locus::path(&path)))?;
        if bytes.starts_with(LFS) {
            let message = format!("`{text}` is a pointer of Git LFS, and not the file");
            return Err(Error::new(ErrorKind::Corrupt, message).with_hint("`git lfs pull` fetches the files"));
        }
        Ok(Some((bytes, Some(text.to_owned()))))
    }

    /// Whether the medium lies within the text.
    fn is_within(&self, field: usize, text: &str) -> bool {
        let is_base64 = self.fields.get(field).is_some_and(|it| it.1 == Reference::Base64);
        is_base64 || data_uri(text).is_some()
    }

    fn target(&self, field: usize, from: &Path, text: &str) -> Result<Target> {
        if let Some(encoded) = data_uri(text) {
            return self.decoded(encoded?).map(Target::Bytes);
        }
        match self.fields.get(field).map(|it| it.1) {
            Some(Reference::Base64) => self.decoded(text).map(Target::Bytes),
            Some(Reference::Path) | None => below(from, text).map(Target::File),
        }
    }

    fn decoded(&self, text: &str) -> Result<Vec<u8>> {
        let n_bytes = text.len() as u64 / 4 * 3;
        if self.bytes_max.saturating_add(3) < n_bytes {
            return Err(self.too_large("the base64 text", n_bytes));
        }
        STANDARD
            .decode(text)
            .map_err(|err| Error::new(ErrorKind::Corrupt, format!("the text is no base64: {err}")))
    }

    fn too_large(&self, what: &str, n_bytes: u64) -> Error {
        let what = if what.len() < 200 { what } else { "the medium" };
        let message = format!("`{what}` has {n_bytes} bytes, and at most {} are embedded", self.bytes_max);
        let hint = format!("`--set source.{}=N` lets larger ones in", EMBED_BYTES_MAX.name);
        Error::new(ErrorKind::Limit, message).with_hint(hint)
    }
}

/// The base64 of a `data:` URI; `None` of what is none.
fn data_uri(text: &str) -> Option<Result<&str>> {
    let scheme = text.get(..5).filter(|it| it.eq_ignore_ascii_case("data:"))?;
    let encoded = text[scheme.len()..].split_once(',').filter(|it| it.0.ends_with(";base64"));
    Some(encoded.map(|it| it.1).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "the text is a `data:` URI that is not in base64")
            .with_hint("write it as `data:image/png;base64,…`")
    }))
}

/// The file below the root that a path in a file means.
///
/// # Errors
/// `Unsupported` when it is no such path.
fn below(from: &Path, text: &str) -> Result<PathBuf> {
    let refused =
        |message: String, hint: &str| Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint));
    if text.is_empty() {
        return refused(
            "the text is empty where it should name a file".to_owned(),
            "write null where there is no file",
        );
    }
    if text.contains("://") {
        let hint = "fetch the files to lie beside the rows, and name them by their paths from there";
        return refused(format!("`{text}` is an address, and only files beside the rows are embedded"), hint);
    }
    let is_windows_drive = text.as_bytes().get(1) == Some(&b':') && text.as_bytes()[0].is_ascii_alphabetic();
    if Path::new(text).is_absolute() || text.starts_with(['/', '\\']) || is_windows_drive {
        let hint = "name files relative to the file that names them";
        return refused(
            format!("`{text}` is an absolute path, and only files beside the rows are embedded"),
            hint,
        );
    }
    let mut path = from.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(leads_out(text)),
        }
    }
    Ok(path)
}

fn leads_out(text: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("`{text}` leads out of the folder that is read"))
        .with_hint("name a folder as SRC that holds the rows and the files, without links to other places")
}

fn not_there(text: &str, path: &Path) -> Error {
    let message = format!("`{text}` is not there: no file {}", path.display());
    Error::new(ErrorKind::Corrupt, message).with_hint(format!(
        "name a folder or prefix as SRC that holds the rows and the files, or let `--set source.{}=null` put null in its place",
        MISSING.name
    ))
}

/// Whether what failed is that there is no such file: of a bucket its list tells, of a disk the system.
fn is_missing(err: &Error) -> bool {
    err.kind() == ErrorKind::Io && system_error(err).is_none_or(|it| it.kind() == io::ErrorKind::NotFound)
}

/// Whether there is something of the name that is no file, such as a folder or a pipe.
fn is_no_file(err: &Error) -> bool {
    use io::ErrorKind::{IsADirectory, Unsupported};
    matches!(system_error(err).map(io::Error::kind), Some(IsADirectory | Unsupported))
}

/// Whether it is the name that is wrong, and trying again would not help.
fn is_of_the_name(err: &Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, PermissionDenied};
    let kind = system_error(err).map(io::Error::kind);
    is_no_file(err) || matches!(kind, Some(InvalidInput | InvalidFilename | NotADirectory | PermissionDenied))
}

fn system_error(err: &Error) -> Option<&io::Error> {
    let mut source = std::error::Error::source(err);
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref::<io::Error>() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}

/// Whether a text looks like the path of a medium beside it, or like one itself.
pub fn looks_like(text: &str) -> bool {
    const ENDINGS: [&str; 22] = [
        "png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif", "mp4", "m4v", "mov", "mkv",
        "webm", "avi", "wav", "flac", "mp3", "ogg", "opus", "m4a", "aac",
    ];
    if data_uri(text).is_some_and(|it| it.is_ok()) {
        return true;
    }
    let is_short = text.len() <= 1024 && !text.contains(['\n', '\0']) && !text.contains("://");
    let parts = text.rsplit_once('.').filter(|_| is_short);
    parts.is_some_and(|(stem, ending)| {
        !stem.is_empty() && ENDINGS.iter().any(|it| ending.eq_ignore_ascii_case(it))
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, ops::Range};

    use nodedata_core::ReadAt;

    use super::*;

    /// Files by their paths.
    struct Held(BTreeMap<PathBuf, Bytes>);

    struct HeldFile(Bytes);

    impl Files for Held {
        fn list(&self) -> Result<Vec<PathBuf>> {
            Ok(self.0.keys().cloned().collect())
        }

        fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
            match self.0.get(path) {
                Some(bytes) => Ok(Arc::new(HeldFile(bytes.clone()))),
                None => Err(Error::new(ErrorKind::Io, "no such file")),
            }
        }
    }

    impl ReadAt for HeldFile {
        fn n_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
            Ok(self.0.slice(range.start as usize..range.end as usize))
        }
    }

    fn references(options: &[(&str, &str)]) -> References {
        let files = [
            ("set/images/a.png", b"\x89PNG".to_vec()),
            ("set/b.png", vec![7; 100]),
            ("lfs.png", b"version https://git-lfs.github.com/spec/v1\n".to_vec()),
        ];
        let held = files.into_iter().map(|(path, bytes)| (PathBuf::from(path), Bytes::from(bytes)));
        let files: Arc<dyn Files> = Arc::new(Held(held.collect()));
        let mut open = OpenOptions::default();
        open.embed.insert("image".to_owned(), Reference::Path);
        open.embed.insert("raw".to_owned(), Reference::Base64);
        for (key, value) in options {
            let value =
                value.parse().map_or_else(|_| OptionValue::Text((*value).to_owned()), OptionValue::Integer);
            open.options.insert((*key).to_owned(), value);
        }
        References::new(&files, &open)
    }

    const FROM: &str = "set/images/rows.jsonl";

    #[test]
    fn files_are_found_from_where_they_are_named() {
        let all = references(&[]);
        assert_eq!(all.paths(), ["image", "raw"]);
        let load = |text: &str| all.load(0, Path::new(FROM), text).map(|it| it.map(|it| (it.0.len(), it.1)));
        assert_eq!(load("a.png").unwrap(), Some((4, Some("a.png".to_owned()))));
        assert_eq!(load("./x/../a.png").unwrap().unwrap().0, 4);
        assert_eq!(load("../b.png").unwrap().unwrap().0, 100);
        assert_eq!(load("data:image/png;base64,AAEC").unwrap(), Some((3, None)));
        let encoded = all.load(1, Path::new(FROM), "AAEC").unwrap().unwrap();
        assert_eq!(encoded.0, &[0, 1, 2][..]);
        let named = |text: &str| all.named(0, Path::new(FROM), text).unwrap();
        assert_eq!(named("../b.png"), Named::File("set/b.png".into(), 100));
        assert_eq!(named("c.png"), Named::Missing("set/images/c.png".to_owned()));
        assert_eq!((named("/a.png"), named("data:;base64,AA==")), (Named::None, Named::None));
    }

    #[test]
    fn what_may_not_be_read_is_refused() {
        let all = references(&[("embed_bytes_max", "50")]);
        for (field, text, kind, told) in [
            (0, "../../../etc/passwd", ErrorKind::Unsupported, "leads out"),
            (0, "../../../set/b.png", ErrorKind::Unsupported, "leads out"),
            (0, "/etc/passwd", ErrorKind::Unsupported, "an absolute path"),
            (0, "C:\\a.png", ErrorKind::Unsupported, "an absolute path"),
            (0, "https://host/a.png", ErrorKind::Unsupported, "is an address"),
            (0, "file:///etc/passwd", ErrorKind::Unsupported, "is an address"),
            (0, "", ErrorKind::Unsupported, "is empty"),
            (0, "c.png", ErrorKind::Corrupt, "is not there"),
            (0, "../b.png", ErrorKind::Limit, "has 100 bytes"),
            (0, "../../lfs.png", ErrorKind::Corrupt, "Git LFS"),
            (0, "data:image/png,%89", ErrorKind::Unsupported, "not in base64"),
            (0, "data:image/png;base64,?", ErrorKind::Corrupt, "no base64"),
            (1, "a.png", ErrorKind::Corrupt, "no base64"),
        ] {
            let err = all.load(field, Path::new(FROM), text).unwrap_err();
            assert_eq!(err.kind(), kind, "{text}: {err}");
            assert!(err.to_string().contains(told), "{text}: {err}");
        }
        let long = "A".repeat(1 << 10);
        assert_eq!(all.load(1, Path::new(FROM), &long).unwrap_err().kind(), ErrorKind::Limit);
        let nulls = references(&[("missing", "null")]);
        assert_eq!(nulls.load(0, Path::new(FROM), "c.png").unwrap(), None);
        assert!(nulls.load(0, Path::new(FROM), "/c.png").is_err());
    }

    #[test]
    fn references_are_told_by_how_they_look() {
        for text in ["a.png", "frames/e 0.JPG", "../x.flac", "data:image/png;base64,AA=="] {
            assert!(looks_like(text), "{text}");
        }
        for text in ["pick up the cube.", ".png", "a.txt", "https://host/a.png", "png", ""] {
            assert!(!looks_like(text), "{text}");
        }
    }
}
