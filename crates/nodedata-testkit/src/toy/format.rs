use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Detection, Error, Files, Format, Listing, Locus, OpenOptions, Result, Source};
use nodedata_log::{LogSource, PlannedFile, Recording, corrupt, plan_file};

use super::{MAGIC, file::ToyFile};

/// The format.
pub static TOY: Toy = Toy;

/// See [`super`].
#[derive(Debug, Clone, Copy)]
pub struct Toy;

impl Format for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn about(&self) -> &'static str {
        "a made-up log of three files, for tests"
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let is_named = |it: &Path| it.extension().is_some_and(|it| it == "toy3");
        Detection::by_magic(listing, "toys", is_named, |it| it.starts_with(MAGIC))
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let mut damage = Vec::new();
        let mut planned = Vec::new();
        for path in files.list()? {
            planned.push(plan_file(&*files, path, options, &mut damage, |file, _| ToyFile::plan(file))?);
        }
        if !damage.is_empty() && damage.len() == planned.len() {
            return Err(damage.swap_remove(0));
        }
        let recordings = joined(planned);
        for recording in &recordings {
            match is_whole(recording) {
                Ok(()) => {}
                Err(err) if options.salvage => damage.push(err),
                Err(err) => return Err(err),
            }
        }
        Ok(Box::new(LogSource::new(recordings, damage, options)?))
    }
}

/// Files of one folder that name the same recording, in the order of their numbers.
fn joined(planned: Vec<PlannedFile<ToyFile>>) -> Vec<Recording<ToyFile>> {
    let mut files_of: BTreeMap<PathBuf, Vec<PlannedFile<ToyFile>>> = BTreeMap::new();
    for file in planned {
        let path = &file.input.path;
        let key = file.log.as_ref().map_or_else(|| path.clone(), |it| path.with_file_name(it.recording()));
        files_of.entry(key).or_default().push(file);
    }
    let recording = |(key, mut files): (PathBuf, Vec<PlannedFile<ToyFile>>)| {
        files.sort_by_key(|it| it.log.as_ref().map(ToyFile::number));
        let key = key.to_string_lossy().replace('\\', "/");
        Recording { key, metadata: BTreeMap::new(), files, shared: Vec::new() }
    };
    files_of.into_iter().map(recording).collect()
}

/// Refuses a recording that lacks a file, or has one twice.
fn is_whole(recording: &Recording<ToyFile>) -> Result<(), Error> {
    let logs = recording.files.iter().filter_map(|it| Some((it.log.as_ref()?, &it.input.path)));
    for (idx, (log, path)) in logs.enumerate() {
        if usize::from(log.number()) != idx || usize::from(log.n_files()) != recording.files.len() {
            let message = format!(
                "the file is number {} of {} of its recording, and {} are there",
                log.number(),
                log.n_files(),
                recording.files.len()
            );
            return Err(corrupt(message).at(Locus::path(path)));
        }
    }
    Ok(())
}
