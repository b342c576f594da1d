use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Files, Locus, ReadAt, Result};

use crate::{Input, LocalFiles, Part, Places, braces::expanded, input::open, input::printable};

/// Opens one or several SRC, each as [`open`] does, as one input; one with a list in braces stands for several.
///
/// What lies on disk is named relative to the deepest folder that all of it lies in, so that a glob that the shell has expanded names its files as the glob itself does; what lies below
/// URLs likewise, or by host and path where that is not all.
///
/// # Errors
/// As [`open`]; `Config` for no source, and for a file that two of them name.
pub fn open_all(sources: &[String]) -> Result<Input> {
    let expanded: Vec<Vec<String>> = sources.iter().map(|it| expanded(it)).collect::<Result<_>>()?;
    match expanded.concat().as_slice() {
        [] => Err(Error::new(ErrorKind::Config, "no source is named")
            .with_hint("name a file, a folder, a glob in quotes, or a URL")),
        [one] => open(one),
        several => together(several),
    }
}

/// A source and the full names of its files.
struct Opened<'a> {
    source: &'a str,
    input: Input,
    /// Where its names begin: on disk, or a host and a folder.
    base: PathBuf,
}

fn together(sources: &[String]) -> Result<Input> {
    let opened: Vec<Opened<'_>> = sources.iter().map(|it| open_one(it, sources)).collect::<Result<_>>()?;
    let bases = |is_far: bool| opened.iter().filter(move |it| it.input.address.is_some() == is_far);
    let near = deepest_common(bases(false).map(|it| it.base.as_path()));
    let far = match near {
        Some(_) => Some(PathBuf::new()),
        None => deepest_common(bases(true).map(|it| it.base.as_path())),
    };
    let (near, far) = (near.unwrap_or_default(), far.unwrap_or_default());
    let has_near = opened.iter().any(|it| it.input.address.is_none());
    let mut all = Several { near: LocalFiles::list_of(&near, Vec::new()), has_near, names: BTreeMap::new() };
    let mut parts = Vec::with_capacity(opened.len());
    let mut places = Places::default();
    let mut exact = true;
    for Opened { source, input, base } in &opened {
        let common = if input.address.is_some() { &far } else { &near };
        let within = base.strip_prefix(common).unwrap_or(base);
        let mut names = Vec::new();
        for inner in input.files.list()? {
            let name = within.join(&inner);
            let from = input.address.is_some().then(|| (Arc::clone(&input.files), inner));
            if all.names.insert(name.clone(), from).is_some() {
                return Err(Error::new(ErrorKind::Config, "two of the sources name the same file")
                    .at(Locus::path(&name))
                    .with_hint(format!("leave it out of one of them: `{}` has it, too", printable(source))));
            }
            names.push(name);
        }
        places.extend(&input.places);
        exact &= input.exact;
        parts.push(Part { source: (*source).to_owned(), names });
    }
    let is_near = opened.iter().all(|it| it.input.address.is_none());
    let root = if is_near { near.display().to_string() } else { String::new() };
    Ok(Input { files: Arc::new(all), root, exact, places, address: None, parts })
}

fn open_one<'a>(source: &'a str, all: &[String]) -> Result<Opened<'a>> {
    let input = open(source).map_err(|err| {
        let is_last = all.last().is_some_and(|it| it == source);
        let is_no_place =
            !source.contains("://") && err.kind() == ErrorKind::Io && !Path::new(source).exists();
        // As with `cp`, the last one may be meant as the place to write to.
        if is_last && is_no_place {
            return err.with_hint(format!(
                "all that is named is read; if `{source}` is where the output goes, write `--out {source}`"
            ));
        }
        err
    })?;
    let base = match &input.address {
        Some(address) => address.clone(),
        None => full(Path::new(&input.root))?,
    };
    Ok(Opened { source, input, base })
}

/// A folder as a path from the root, whose parents are its parts.
fn full(folder: &Path) -> Result<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let full = match std::path::absolute(folder) {
        // Behind a link, `..` is not what stands before it.
        Ok(full) if full.components().any(|it| it == Component::ParentDir) => full.canonicalize(),
        other => other,
    };
    full.map_err(|err| crate::io_error("cannot look at", folder, err))
}

/// The deepest folder above all of these, or one of them itself.
fn deepest_common<'a>(mut folders: impl Iterator<Item = &'a Path>) -> Option<PathBuf> {
    let first = folders.next()?.to_owned();
    Some(folders.fold(first, |common, folder| {
        let both = common.components().zip(folder.components());
        both.take_while(|(one, other)| one == other).map(|(it, _)| it).collect()
    }))
}

/// Files of several sources under one set of names.
struct Several {
    /// Those on disk.
    near: LocalFiles,
    /// Whether there are any.
    has_near: bool,
    /// Where each of the others comes from.
    names: BTreeMap<PathBuf, Option<Far>>,
}

/// A file of another input, and its name there.
type Far = (Arc<dyn Files>, PathBuf);

impl Files for Several {
    fn list(&self) -> Result<Vec<PathBuf>> {
        Ok(self.names.keys().cloned().collect())
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        match self.names.get(path) {
            Some(Some((files, inner))) => files.open(inner),
            Some(None) => self.near.open(path),
            // One that lies beside those that were named, and is named in them.
            None if self.has_near => self.near.open(path),
            None => Err(Error::new(ErrorKind::Io, "no such file").at(Locus::path(path))),
        }
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        match self.names.get(path) {
            Some(Some((files, inner))) => files.stamp(inner),
            Some(None) => self.near.stamp(path),
            None if self.has_near => self.near.stamp(path),
            None => None,
        }
    }

    fn bring(&self, path: &Path, folder: &Path) -> Result<bool> {
        match self.names.get(path) {
            Some(Some((files, inner))) => files.bring(inner, folder),
            Some(None) | None => Ok(false),
        }
    }

    fn let_go(&self, path: &Path) {
        if let Some(Some((files, inner))) = self.names.get(path) {
            files.let_go(inner);
        }
    }

    fn leads_out(&self, path: &Path) -> bool {
        match self.names.get(path) {
            Some(Some((files, inner))) => files.leads_out(inner),
            Some(None) => self.near.leads_out(path),
            None => self.has_near && self.near.leads_out(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sources: &[String]) -> Result<Vec<String>> {
        let input = open_all(sources)?;
        let names = input.files.list()?;
        for name in &names {
            let file = input.files.open(name)?;
            file.read_at(0..file.n_bytes())?;
        }
        Ok(names.iter().map(|it| it.display().to_string()).collect())
    }

    #[test]
    fn several_sources_are_one_input_with_names_that_tell_them_apart() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.mcap", "b.mcap", "runs/x.mcap", "runs/day/y.mcap", "other/x.mcap"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let at = |names: &[&str]| -> Vec<String> {
            names.iter().map(|it| dir.path().join(it).display().to_string()).collect()
        };
        let listed = |of: &[&str]| names(&at(of)).unwrap();
        assert_eq!(listed(&["a.mcap", "b.mcap"]), ["a.mcap", "b.mcap"]);
        assert_eq!(listed(&["b.mcap", "runs", "a.mcap"]).len(), 4);
        assert_eq!(listed(&["a.mcap", "runs/"]), ["a.mcap", "runs/day/y.mcap", "runs/x.mcap"]);
        assert_eq!(listed(&["runs/x.mcap", "other/../other/x.mcap"]), ["other/x.mcap", "runs/x.mcap"]);
        assert_eq!(listed(&["{b,a}.mcap"]), ["a.mcap", "b.mcap"]);
        // As the glob in quotes names them.
        assert_eq!(listed(&["*.mcap"]), listed(&["a.mcap", "b.mcap"]));
        assert_eq!(listed(&["runs/day/y.mcap", "runs/x.mcap"]), listed(&["runs/**/*.mcap"]));
        for twice in [["a.mcap", "a.mcap"], ["runs", "runs/day"], ["runs", "runs/x.mcap"]] {
            let err = names(&at(&twice)).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Config, "{twice:?}");
        }
        let input = open_all(&at(&["a.mcap", "runs"])).unwrap();
        assert_eq!((input.exact, input.parts[1].names.len()), (false, 2));
        let last = names(&at(&["a.mcap", "out"])).unwrap_err();
        assert!(last.hint().unwrap().contains("--out"), "{last:?}");
        let first = names(&at(&["out", "a.mcap"])).unwrap_err();
        assert!(!first.hint().unwrap().contains("--out"), "{first:?}");
        assert_eq!(names(&[]).unwrap_err().kind(), ErrorKind::Config);
    }
}
