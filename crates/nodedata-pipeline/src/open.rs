use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{
    Confidence, Error, ErrorKind, Files, Format, Formats, Locus, OpenOptions, Probe, ReadAt, Result, Source,
};

/// How much of a file a format may look at.
const HEAD_BYTES: u64 = 4096;

/// An opened source and how it was found.
pub struct OpenedSource {
    /// The source.
    pub source: Box<dyn Source>,
    /// Its format.
    pub format: &'static dyn Format,
    /// Its files.
    pub files: Arc<dyn Files>,
    /// Files of a folder that the format does not claim.
    pub ignored: Vec<PathBuf>,
}

/// Opens SRC with the format named, or with the one its content shows.
///
/// # Errors
/// `Config` when there is no such format, `Unsupported` when none recognises the input, and what the
/// format's own opening reports.
pub fn open_source(
    formats: &Formats,
    source: &str,
    from: Option<&str>,
    options: &OpenOptions,
) -> Result<OpenedSource> {
    let input = nodedata_io::open(source)?;
    let names = input.files.list()?;
    let format = match from {
        Some(name) => named(formats, name)?,
        None => detect(formats, input.files.as_ref(), &names, source)?,
    };
    if !options.decode.is_empty() && !format.decodes_video() {
        let message =
            format!("the video of {} sources is not decoded here; samples pass through", format.name());
        return Err(Error::new(ErrorKind::Unsupported, message)
            .at(Locus::path(source))
            .with_hint("leave out `--decode`, `source.decode` and `encoding`"));
    }
    let (claimed, ignored): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|it| input.exact || format.claims(it));
    if claimed.is_empty() {
        let message = format!("no file here is named as {} files are", format.name());
        return Err(Error::new(ErrorKind::Unsupported, message)
            .at(Locus::path(source))
            .with_hint("name the files themselves, or choose another format with `--from`"));
    }
    let (source, why) =
        (nodedata_io::printable(source), if from.is_some() { "it was named" } else { "detected" });
    tracing::info!(
        source,
        format = format.name(),
        why,
        files = claimed.len(),
        ignored = ignored.len(),
        "open"
    );
    let files: Arc<dyn Files> = Arc::new(Chosen { inner: input.files, names: claimed });
    let opened = format.open(Arc::clone(&files), options)?;
    Ok(OpenedSource { source: opened, format, files, ignored })
}

fn named(formats: &Formats, name: &str) -> Result<&'static dyn Format> {
    formats.by_name(name).ok_or_else(|| {
        let all: Vec<&str> = formats.iter().map(|it| it.name()).collect();
        Error::new(ErrorKind::Config, format!("there is no format `{name}`"))
            .with_hint(format!("`--from` takes one of: {}", all.join(", ")))
    })
}

/// The first file whose content a format recognises decides; without one, the best of the names.
fn detect(
    formats: &Formats,
    files: &dyn Files,
    names: &[PathBuf],
    source: &str,
) -> Result<&'static dyn Format> {
    let mut by_name: Option<&'static dyn Format> = None;
    let mut refused = None;
    for path in names {
        let file = files.open(path)?;
        let head = file.read_at(0..file.n_bytes().min(HEAD_BYTES))?;
        let probe = Probe { path, head: &head };
        match formats.detect(&probe) {
            Ok(format) if format.detect(&probe) == Confidence::Content => return Ok(format),
            Ok(format) => by_name = by_name.or(Some(format)),
            Err(err) => refused = refused.or(Some(err)),
        }
    }
    let empty = || {
        Error::new(ErrorKind::Unsupported, "the folder holds no files")
            .at(Locus::path(source))
            .with_hint("name a folder with recordings in it, or a recording itself")
    };
    by_name.ok_or_else(|| refused.unwrap_or_else(empty))
}

/// Some of the files of an input.
struct Chosen {
    inner: Arc<dyn Files>,
    names: Vec<PathBuf>,
}

impl Files for Chosen {
    fn list(&self) -> Result<Vec<PathBuf>> {
        Ok(self.names.clone())
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        self.inner.open(path)
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        self.inner.stamp(path)
    }
}
