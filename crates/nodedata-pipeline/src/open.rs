use std::{
    collections::HashSet,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{
    Error, ErrorKind, Files, Format, Formats, Listing, Locus, MessageTexts, OpenOptions, ReadAt, Result,
    Source, StreamKind,
};
use nodedata_dataset::NotRead;
use nodedata_io::{Input, Part, Places, printable};
use nodedata_normalize::Grouped;

use crate::{
    detect::{Choice, Named, guessed, named},
    inputs::WatchedFiles,
    learned::Learned,
    time_range::Asked,
};

/// An opened source and how it was found.
pub struct OpenedSource {
    /// The source.
    pub source: Box<dyn Source>,
    /// Its format.
    pub format: &'static dyn Format,
    /// How the format was found, as a sentence without a full stop.
    pub why: String,
    /// Its files.
    pub files: Arc<dyn Files>,
    /// The same, which note what is read of them.
    pub(crate) watched: Arc<WatchedFiles>,
    /// What it was opened with, options of the format settled.
    pub options: OpenOptions,
    /// What earlier runs learned of the episodes that its samples belong to.
    pub(crate) known_episodes: Option<String>,
    /// Files of the input that no row comes from.
    pub not_read: NotRead,
    /// What of it lies on disk, and is not to be written over.
    pub places: Places,
}

/// Sources as one text for people.
pub(crate) fn told(sources: &[String]) -> String {
    sources.iter().map(|it| printable(it)).collect::<Vec<_>>().join(", ")
}

/// Opens SRC, one or several that are read as one, with the format named, or with the one its content shows.
///
/// # Errors
/// `Config` when there is no such format, `Unsupported` when none recognises the input, and what the
/// format's own opening reports.
pub fn open_source(
    formats: &Formats,
    sources: &[String],
    from: Option<&str>,
    options: &OpenOptions,
) -> Result<OpenedSource> {
    open_knowing(formats, sources, from, options, &[])
}

/// As [`open_source`], where earlier runs may have learned what only reading all of the input tells.
pub(crate) fn open_knowing(
    formats: &Formats,
    sources: &[String],
    from: Option<&str>,
    options: &OpenOptions,
    known: &[Learned],
) -> Result<OpenedSource> {
    open_input(formats, &told(sources), nodedata_io::open_all(sources)?, from, options, known)
}

/// Opens an input whose sources errors may say as `shown`.
fn open_input(
    formats: &Formats,
    shown: &str,
    input: Input,
    from: Option<&str>,
    options: &OpenOptions,
    known: &[Learned],
) -> Result<OpenedSource> {
    let listing = Listing::new(input.files.as_ref())?;
    let root = printable(&input.root);
    let src = Named { source: shown, root: &root };
    let choice = match from {
        Some(name) => named(formats, &listing, src, name, input.exact)?,
        None => guessed(formats, &listing, src)?,
    };
    let format = choice.format;
    refuse_other_formats(&input.parts, &choice)?;
    if !options.decode.is_empty() && !format.decodes_video() && !format.decodes_in_steps() {
        let message =
            format!("the video of {} sources is not decoded here; samples pass through", format.name());
        return Err(Error::new(ErrorKind::Unsupported, message)
            .at(Locus::path(shown))
            .with_hint("leave out `--decode`, `source.decode` and `encoding`"));
    }
    if let Some(field) = options.embed.keys().next()
        && !format.embeds()
    {
        let message =
            format!("nothing is put in the place of `{field}`: {} sources do not embed files", format.name());
        return Err(Error::new(ErrorKind::Unsupported, message)
            .at(Locus::path(shown))
            .with_hint("leave out `--embed` and `source.embed`"));
    }
    let mut options = options.clone();
    options.settle(format).map_err(|err| err.at(Locus::path(shown)))?;
    let Choice { claimed, why, others, .. } = choice;
    tracing::info!(source = shown, format = format.name(), why, files = claimed.len(), "open");
    let chosen = Chosen { inner: Arc::clone(&input.files), names: claimed };
    let watched = Arc::new(WatchedFiles::over(Arc::new(chosen)));
    let files = Arc::clone(&watched) as Arc<dyn Files>;
    let asked = Asked { format, files: &files, source: shown };
    asked.settle(&mut options)?;
    for known in known {
        if options.learned.is_none() {
            options.learned = known.recall(format.name(), &options, files.as_ref(), &files.list()?)?;
        }
    }
    let known_episodes = options.learned.take_if(|it| Grouped::is_learned(it));
    if let Some(known) = &known_episodes {
        options.learned = Grouped::below(known);
    }
    let opened = format.open(Arc::clone(&files), &options)?;
    asked.selects(opened.as_ref(), &options)?;
    refuse_definitions_of_none(shown, format, opened.as_ref(), &options)?;
    let beside = opened.plan().beside.iter().map(|it| it.as_os_str());
    let read = opened.plan().inputs.iter().map(|it| it.path.as_os_str()).chain(beside);
    // Files of what was not selected are no news: the selection names it.
    let selected_away = if opened.plan().unselected.is_empty() { Vec::new() } else { files.list()? };
    let read: HashSet<&OsStr> = read.chain(selected_away.iter().map(|it| it.as_os_str())).collect();
    let not_read = listing.paths().filter(|it| !read.contains(it.as_os_str()));
    let not_read: Vec<_> = not_read.map(|it| (it, others.get(it).copied())).collect();
    let not_read = NotRead::new(&not_read);
    let source = opened;
    let places = input.places;
    Ok(OpenedSource { source, format, why, files, watched, options, known_episodes, not_read, places })
}

/// Refuses message definitions for a source whose rows are no messages: whoever gave them meant them to decide rows.
fn refuse_definitions_of_none(
    shown: &str,
    format: &dyn Format,
    source: &dyn Source,
    options: &OpenOptions,
) -> Result<()> {
    let are_messages = source.plan().streams.iter().all(|it| it.kind == StreamKind::Messages);
    if are_messages || options.message_paths == MessageTexts::default() {
        return Ok(());
    }
    let message =
        format!("no message definition is looked for: rows of {} sources are no messages", format.name());
    Err(Error::new(ErrorKind::Config, message).at(Locus::path(shown)).with_hint(
        "leave out `--msg-path` and `source.message_paths`: only topics of logs are defined by them",
    ))
}

/// Refuses one of several sources that gives no file to read: whoever named it meant it to be.
fn refuse_other_formats(parts: &[Part], choice: &Choice) -> Result<()> {
    let claimed: HashSet<&OsStr> = choice.claimed.iter().map(|it| it.as_os_str()).collect();
    let is_idle = |it: &&Part| !it.names.iter().any(|name| claimed.contains(name.as_os_str()));
    let Some(idle) = parts.iter().find(is_idle) else { return Ok(()) };
    let format = choice.format.name();
    let other = idle.names.iter().find_map(|it| choice.others.get(it));
    let message = match other {
        Some(other) => format!("this source is {other}, and the others are {format}"),
        None => format!("nothing in this source is {format}, as the others are"),
    };
    Err(Error::new(ErrorKind::Config, message)
        .at(Locus::path(printable(&idle.source)))
        .with_hint("all sources of one command are of one format: convert this one alone"))
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

    fn leads_out(&self, path: &Path) -> bool {
        self.inner.leads_out(path)
    }

    fn bring(&self, path: &Path, folder: &Path) -> Result<bool> {
        self.inner.bring(path, folder)
    }

    fn let_go(&self, path: &Path) {
        self.inner.let_go(path);
    }
}

#[cfg(test)]
mod tests {
    use nodedata_io::MemoryFiles;

    use super::*;

    /// Errors end up in logs and issues: whoever reads them does not learn what stands before the host.
    #[test]
    fn errors_do_not_tell_the_user_of_an_address() {
        let source = "s3://me:secret@bucket/runs";
        let input = Input {
            files: Arc::new(MemoryFiles::default().with("a.xyz", "?")),
            root: source.to_owned(),
            exact: false,
            places: Places::default(),
            address: None,
            parts: Vec::new(),
        };
        let shown = told(&[source.to_owned()]);
        let opened = open_input(&Formats::default(), &shown, input, None, &OpenOptions::default(), &[]);
        let err = opened.map(|_| ()).unwrap_err();
        assert_eq!(err.locus().to_string(), "s3://bucket/runs");
        assert!(!format!("{} {:?}", err.chain(), err.hint()).contains("secret"));
    }
}
