//! Message definitions that a user names: files, folders, workspaces.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use nodedata_core::{Error, ErrorKind, Locus, MessageText, MessageTexts, Result, suggest};

/// Folders below each other that are looked into.
const DEPTH_MAX: usize = 32;
/// Definitions that are read.
const TEXTS_MAX: usize = 20_000;
/// Bytes of one of them.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// The endings of files, which are called as the folders that rosidl looks for them in. A folder also holds what is made of its
/// files, with the endings in front of its own: `srv/Do_Request.msg`, `action/Go_FeedbackMessage.msg`.
const KINDS: [&str; 3] = ["msg", "srv", "action"];

/// Reads the definitions that `--msg-path` and `source.message_paths` name: `.msg`, `.srv`, `.action` and `.idl` files, and
/// folders with such files anywhere in them. The package of a definition is that of the `package.xml` above it, or else the
/// folder above its `msg`, `srv` or `action`. What lies in a folder and cannot be a definition is passed over.
///
/// # Errors
/// `Config` for a path that is not there or holds no definition, for a file that cannot be one, and for two definitions of one
/// type that differ; `Limit` for more than can be meant; `Io`.
pub fn read_message_paths<P: AsRef<Path>>(paths: &[P]) -> Result<MessageTexts> {
    let mut reader = Reader::default();
    for path in paths.iter().map(AsRef::as_ref) {
        let n_before = reader.n_files;
        if !path.exists() {
            return Err(not_there(path));
        }
        if path.is_dir() {
            reader.folder(path, 0)?;
        } else if !reader.file(path)? {
            return Err(wrong(path, "is no `.msg`, `.srv`, `.action` or `.idl` file", FORMS));
        }
        if reader.n_files == n_before {
            return Err(wrong(path, "holds no message definition", FORMS));
        }
    }
    reader.settle()?;
    Ok(MessageTexts::new(reader.texts.into_values().map(|it| it.text).collect()))
}

const FORMS: &str = "name `.msg`, `.srv`, `.action` or `.idl` files, or a folder with packages as a workspace has them: `PACKAGE/msg/Name.msg`";

#[derive(Default)]
struct Reader {
    /// By type.
    texts: BTreeMap<String, Found>,
    n_files: usize,
    /// Folders by their real paths: links may lead in circles.
    visited: BTreeSet<PathBuf>,
    /// What the `package.xml` of a folder says, where there is one.
    packages: BTreeMap<PathBuf, Option<String>>,
}

struct Found {
    text: MessageText,
    path: PathBuf,
    /// One of the same kind that says otherwise.
    rival: Option<PathBuf>,
}

impl Reader {
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<()> {
        let real = folder.canonicalize().map_err(|err| unreadable(folder, err))?;
        if DEPTH_MAX < depth || !self.visited.insert(real) {
            return Ok(());
        }
        let entries = std::fs::read_dir(folder).map_err(|err| unreadable(folder, err))?;
        let paths = entries.map(|it| Ok(it.map_err(|err| unreadable(folder, err))?.path()));
        let mut paths: Vec<PathBuf> = paths.collect::<Result<_>>()?;
        paths.sort();
        for path in paths {
            let is_hidden = path.file_name().is_some_and(|it| it.to_string_lossy().starts_with('.'));
            if path.is_dir() {
                if !is_hidden {
                    self.folder(&path, depth + 1)?;
                }
            } else if path.is_file() {
                match self.definition(&path) {
                    Ok(Some(text)) => self.add(text, &path)?,
                    Ok(None) => {}
                    Err(err) if err.kind() == ErrorKind::Io => return Err(err),
                    // Workspaces hold other things that are called like definitions.
                    Err(err) => tracing::info!(path = %path.display(), why = %err, "passed over"),
                }
            }
        }
        Ok(())
    }

    /// Takes in a file that a user named; `false` when it is called like no definition.
    fn file(&mut self, path: &Path) -> Result<bool> {
        let Some(text) = self.definition(path)? else { return Ok(false) };
        self.add(text, path)?;
        Ok(true)
    }

    /// What a file defines; `None` when it is called like no definition.
    fn definition(&mut self, path: &Path) -> Result<Option<MessageText>> {
        let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        let is_idl = extension == "idl";
        let of_ending = kind_of(extension);
        let Some(stem) = path.file_stem().and_then(|it| it.to_str()) else { return Ok(None) };
        if !is_idl && of_ending.is_none() {
            return Ok(None);
        }
        let absolute = std::path::absolute(path).map_err(|err| unreadable(path, err))?;
        let Some(package) = self.package_of(&absolute)? else {
            let hint = "put it where a package has it, `PACKAGE/msg/Name.msg`, or name the package's folder";
            return Err(wrong(path, "does not tell its package", hint));
        };
        let of_folder = parent_name(&absolute).and_then(|it| kind_of(&it));
        let kind = of_ending.max(of_folder).and_then(|it| KINDS.get(it)).unwrap_or(&"msg");
        Ok(Some(MessageText { name: format!("{package}/{kind}/{stem}"), is_idl, text: read(path)? }))
    }

    fn add(&mut self, text: MessageText, path: &Path) -> Result<()> {
        if TEXTS_MAX <= self.n_files {
            let message = format!("there are more than {TEXTS_MAX} message definitions");
            return Err(Error::new(ErrorKind::Limit, message).at(Locus::path(path)).with_hint(FORMS));
        }
        self.n_files += 1;
        let path = path.to_owned();
        let Some(known) = self.texts.get_mut(&text.name) else {
            self.texts.insert(text.name.clone(), Found { text, path, rival: None });
            return Ok(());
        };
        match (known.text.is_idl, text.is_idl) {
            // What rosidl makes of a `.msg` says the same.
            (false, true) => {}
            // It says more than all of those.
            (true, false) => *known = Found { text, path, rival: None },
            _ if known.text.text == text.text || known.rival.is_some() => {}
            _ => known.rival = Some(path),
        }
        Ok(())
    }

    /// Refuses what is defined in several ways, now that all of them are known.
    fn settle(&self) -> Result<()> {
        for (name, Found { path, rival, .. }) in &self.texts {
            if let Some(rival) = rival {
                let what = format!("defines `{name}` otherwise than {} does", path.display());
                return Err(wrong(rival, &what, "name only those that the recording was made with"));
            }
        }
        Ok(())
    }

    /// The package that a definition is of: `package.xml` says so, or else the folder above `msg`, `srv` or `action`.
    fn package_of(&mut self, absolute: &Path) -> Result<Option<String>> {
        let Some(folder) = absolute.parent() else { return Ok(None) };
        let is_kind = parent_name(absolute).is_some_and(|it| kind_of(&it).is_some());
        let package = if is_kind { folder.parent() } else { Some(folder) };
        let Some(package) = package else { return Ok(None) };
        let told = match self.packages.get(package) {
            Some(told) => told.clone(),
            None => {
                let told = package_told_in(package)?;
                self.packages.insert(package.to_owned(), told.clone());
                told
            }
        };
        if told.is_some() || !is_kind {
            return Ok(told);
        }
        Ok(package.file_name().and_then(|it| it.to_str()).map(str::to_owned))
    }
}

/// The name in the `package.xml` of a folder.
fn package_told_in(folder: &Path) -> Result<Option<String>> {
    let manifest = folder.join("package.xml");
    if !manifest.is_file() {
        return Ok(None);
    }
    // Names of packages are ASCII, those of authors need not be UTF-8.
    Ok(package_name(&String::from_utf8_lossy(&read_bytes(&manifest)?)))
}

/// Position among [`KINDS`] of an ending, or of a folder's name.
fn kind_of(name: &str) -> Option<usize> {
    KINDS.iter().position(|it| *it == name)
}

fn parent_name(path: &Path) -> Option<String> {
    Some(path.parent()?.file_name()?.to_str()?.to_owned())
}

/// What stands in the `<name>` of a `package.xml`.
fn package_name(manifest: &str) -> Option<String> {
    let (_, rest) = manifest.split_once("<name>")?;
    let (name, _) = rest.split_once("</name>")?;
    let name = name.trim();
    let is_name = !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
    is_name.then(|| name.to_owned())
}

fn read(path: &Path) -> Result<String> {
    String::from_utf8(read_bytes(path)?).map_err(|err| {
        Error::new(ErrorKind::Config, "the definition is not UTF-8 text")
            .with_source(err)
            .at(Locus::path(path))
    })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let n_bytes = std::fs::metadata(path).map_err(|err| unreadable(path, err))?.len();
    if TEXT_BYTES_MAX < n_bytes {
        let message = format!("{n_bytes} bytes are more than a definition has, at most {TEXT_BYTES_MAX}");
        return Err(Error::new(ErrorKind::Limit, message).at(Locus::path(path)));
    }
    std::fs::read(path).map_err(|err| unreadable(path, err))
}

fn not_there(path: &Path) -> Error {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|it| it.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let wanted = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    let hint = match folder.is_dir() {
        true => suggest(&wanted, names.iter().map(String::as_str)),
        false => format!("the folder {} is not there either", folder.display()),
    };
    wrong(path, "is not there", &hint)
}

fn wrong(path: &Path, what: &str, hint: &str) -> Error {
    let message = format!("the message definition {} {what}", path.display());
    Error::new(ErrorKind::Config, message).at(Locus::path(path)).with_hint(hint)
}

fn unreadable(path: &Path, err: std::io::Error) -> Error {
    nodedata_io::io_error("cannot read message definitions", path, err)
}

#[cfg(test)]
mod tests;
