use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Files, HEAD_BYTES, InputFile, Locus, OpenOptions, ReadAt, Result};
use nodedata_log::{
    LogFacts, LogFile, LogSource, LogStorage, PlannedFile, Recording, SALVAGE_HINT, StoredFile,
    whole_file_lost,
};

use crate::{
    confirm::{self, Opened},
    metadata::{self, BagMetadata},
    packed,
    recording::{Bag, BagFile, METADATA, SERIALIZED_METADATA, Storages, bags},
};

type Log = Box<dyn LogFile>;

/// Opens all bags of an input.
///
/// # Errors
/// `Config` where there is none; otherwise what a storage returns, unless opened to salvage and something can be read.
pub(crate) fn open(storages: Storages, files: &dyn Files, options: &OpenOptions) -> Result<LogSource<Log>> {
    let paths: BTreeSet<PathBuf> = files.list()?.into_iter().collect();
    let mut opener = Opener {
        storages,
        files,
        paths: &paths,
        options,
        damage: Vec::new(),
        warnings: Vec::new(),
        beside: Vec::new(),
    };
    let mut described = BTreeMap::new();
    for path in paths.iter().filter(|it| is_description(it)) {
        let read = opener.description(path)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        described.insert(folder, read.map_err(|err| opener.warnings.push(err)).ok());
    }
    let of_bags = bags(opener.bag_files()?, &described);
    // One that describes no bag decides nothing.
    let describes = |path: &&PathBuf| of_bags.iter().any(|it| it.metadata.as_ref() == Some(*path));
    opener.beside.extend(paths.iter().filter(|it| is_description(it) && !describes(it)).cloned());
    if of_bags.is_empty() {
        return Err(Error::new(ErrorKind::Config, "the input has no file of a ROS 2 bag")
            .at(paths.first().map(Locus::path).unwrap_or_default())
            .with_hint("name the folder of a bag, or its `.db3` or `.mcap` file"));
    }
    if let Some([first, second]) = of_bags.iter().find_map(Bag::packed_twice) {
        let message =
            format!("the same file would come out of it as of `{}`, by their names", first.display());
        return Err(Error::new(ErrorKind::Config, message)
            .at(Locus::path(second))
            .with_hint("leave one of the two out, or rename it if it is another recording"));
    }
    let mut recordings = Vec::new();
    for bag in of_bags {
        let folder = bag.metadata.as_deref().and_then(Path::parent);
        let metadata = folder.and_then(|it| described.get(it)).and_then(Option::as_ref);
        recordings.push(opener.recording(bag, metadata)?);
    }
    let mut read = recordings.iter_mut().flat_map(|it| &mut it.files);
    if !opener.damage.is_empty() && read.all(|it| it.log.is_none()) {
        return Err(opener.damage.swap_remove(0));
    }
    if let Some(first) = recordings.iter_mut().flat_map(|it| &mut it.files).next() {
        first.facts.warnings.append(&mut opener.warnings);
    }
    Ok(LogSource::new(recordings, opener.damage, options)?.beside(opener.beside))
}

struct Opener<'a> {
    storages: Storages,
    files: &'a dyn Files,
    paths: &'a BTreeSet<PathBuf>,
    options: &'a OpenOptions,
    /// Files of which nothing can be read.
    damage: Vec<Error>,
    /// What is told of the input before its bags are opened.
    warnings: Vec<Error>,
    /// Files that belong to bags and give no rows.
    beside: Vec<PathBuf>,
}

impl Opener<'_> {
    /// What a file that describes a bag says, or what is wrong with it.
    fn description(&self, path: &Path) -> Result<Result<BagMetadata>> {
        let file = self.files.open(path).map_err(|err| err.at(Locus::path(path)))?;
        let told = |err: Error| {
            let message = format!("the description of the bag cannot be used: {}", err.chain());
            let hint = "its files are read without it; `ros2 bag reindex` writes it anew";
            Error::new(ErrorKind::Corrupt, message).at(Locus::path(path)).with_hint(hint)
        };
        let n_bytes = file.n_bytes();
        if metadata::BYTES_MAX < n_bytes {
            let message = format!("it has {n_bytes} bytes, and at most {} are read", metadata::BYTES_MAX);
            return Ok(Err(told(Error::new(ErrorKind::Limit, message))));
        }
        let bytes = file.read_at(0..n_bytes).map_err(|err| err.at(Locus::path(path)))?;
        let text = str::from_utf8(&bytes).map_err(|err| Error::new(ErrorKind::Corrupt, err.to_string()));
        Ok(text.and_then(BagMetadata::parse).map_err(told))
    }

    /// All files of messages: those that are called so, and those that begin so.
    fn bag_files(&mut self) -> Result<Vec<BagFile>> {
        let mut found = Vec::new();
        for path in self.paths {
            if is_description(path) || self.is_beside(path) {
                continue;
            }
            let mut file = BagFile::of_name(self.storages, path);
            if file.is_none() {
                let it = self.files.open(path).map_err(|err| err.at(Locus::path(path)))?;
                let head =
                    it.peek_at(0..it.n_bytes().min(HEAD_BYTES)).map_err(|err| err.at(Locus::path(path)))?;
                file = BagFile::of_content(self.storages, path, &head);
            }
            if let Some(file) = file
                && !self.is_left_empty(&file)?
            {
                found.push(file);
            }
        }
        Ok(found)
    }

    /// Whether a file has no byte, and lies beside the packed file of which it was to be unpacked: that one is read.
    fn is_left_empty(&mut self, file: &BagFile) -> Result<bool> {
        let with = |ending: &str| {
            let mut name = file.path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let mut packed = packed::ENDINGS.iter().map(|it| with(&format!(".{it}")));
        if file.is_packed || !packed.any(|it| self.paths.contains(&it)) {
            return Ok(false);
        }
        let companions = self.storages[file.storage].companions().iter().map(|it| with(it));
        let companions = companions.filter(|it| self.paths.contains(it));
        let all: Vec<PathBuf> = companions.chain([file.path.clone()]).collect();
        for path in &all {
            let it = self.files.open(path).map_err(|err| err.at(Locus::path(path)))?;
            if it.n_bytes() != 0 {
                return Ok(false);
            }
        }
        let message = "the file is empty: the packed one beside it is read in its place";
        let warning = Error::new(ErrorKind::Corrupt, message).at(Locus::path(&file.path));
        self.warnings.push(warning.with_hint("unpacking it may have been interrupted: remove the empty one"));
        self.beside.extend(all);
        Ok(true)
    }

    /// Whether a file lies beside one of messages and belongs to it.
    fn is_beside(&mut self, path: &Path) -> bool {
        let name = path.to_string_lossy();
        let is_of =
            |ending: &&&str| name.strip_suffix(**ending).is_some_and(|it| self.paths.contains(Path::new(it)));
        if self.storages.iter().flat_map(|it| it.leftovers()).any(|it| is_of(&it)) {
            self.beside.push(path.to_owned());
            return true;
        }
        self.storages.iter().flat_map(|it| it.companions()).any(|it| is_of(&it))
    }

    fn recording(&mut self, bag: Bag, described: Option<&BagMetadata>) -> Result<Recording<Log>> {
        let Bag { key, files, metadata: path, twins } = bag;
        let is_lone = files.len() == 1;
        let mut opened: Vec<Opened> = Vec::new();
        for file in files {
            let said = described.and_then(|it| it.file_counts.iter().find(|(name, _)| file.is_named(name)));
            let planned = self.plan(&file, is_lone, said.map_or(0, |it| *it.1))?;
            opened.push((file, planned));
        }
        let first = |it: &Opened| it.1.log.as_deref().and_then(confirm::first_time);
        opened.sort_by_key(|it| (it.0.number, first(it)));
        let mut embedded = None;
        for (_, planned) in &mut opened {
            let text = planned.facts.metadata.get(SERIALIZED_METADATA);
            let text = text.filter(|it| it.len() as u64 <= metadata::BYTES_MAX);
            if let Some(read) = text.and_then(|it| BagMetadata::parse(it).ok()) {
                // What it says is told key by key.
                planned.facts.metadata.remove(SERIALIZED_METADATA);
                embedded = Some(read);
            }
        }
        let mut warnings: Vec<Error> = twins.iter().map(|it| twin(it)).collect();
        if let Some((metadata, path)) = described.zip(path.as_deref()) {
            warnings.extend(confirm::contradictions(metadata, path, &opened));
        }
        if path.is_none() && 1 < opened.len() {
            warnings.push(joined(&opened));
        }
        let metadata = described.or(embedded.as_ref());
        let mut files: Vec<PlannedFile<Log>> = opened.into_iter().map(|it| it.1).collect();
        if let Some(metadata) = metadata {
            files.iter_mut().for_each(|it| complete(&mut it.facts, metadata));
        }
        if let Some(first) = files.first_mut() {
            first.facts.warnings.append(&mut warnings);
        }
        self.beside.extend(twins);
        let metadata = metadata.map(|it| it.facts.clone()).unwrap_or_default();
        // It says in which order the files are, and of which distribution, be it in words that cannot be read.
        let shared = path.map(|it| self.input(it)).transpose()?.into_iter().collect();
        Ok(Recording { key, metadata, files, shared })
    }

    fn input(&self, path: PathBuf) -> Result<InputFile> {
        let n_bytes = self.files.open(&path).map_err(|err| err.at(Locus::path(&path)))?.n_bytes();
        Ok(InputFile { path, n_bytes })
    }

    /// Opens one file, which is said to have some messages.
    fn plan(&mut self, file: &BagFile, is_lone: bool, n_said: u64) -> Result<PlannedFile<Log>> {
        let path = &file.path;
        let open = |path: &Path| self.files.open(path).map_err(|err| err.at(Locus::path(path)));
        let opened = open(path)?;
        let n_bytes = opened.n_bytes();
        let storage = self.storages[file.storage];
        let mut companions = Vec::new();
        for ending in storage.companions().iter().filter(|_| !file.is_packed) {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            let name = PathBuf::from(name);
            let is_there = self.paths.contains(&name);
            companions.push(if is_there { Some((name.clone(), open(&name)?)) } else { None });
        }
        let inputs = companions.iter().flatten();
        let inputs =
            inputs.map(|(path, it)| InputFile { path: path.clone(), n_bytes: it.n_bytes() }).collect();
        let is_empty = n_bytes == 0 && companions.iter().flatten().all(|it| it.1.n_bytes() == 0);
        let planned = if is_empty && !is_lone {
            nothing_in(path, n_said).map(|facts| (None, facts))
        } else {
            let log = self.log(storage, file, opened, &companions);
            log.map(|(log, facts)| (Some(log), facts))
        };
        let (log, facts) = match planned.map_err(|err| err.at(Locus::path(path))) {
            Ok(planned) => planned,
            Err(err) if self.options.salvage && err.kind() != ErrorKind::Io => {
                self.damage.push(whole_file_lost(err, n_bytes));
                (None, LogFacts::default())
            }
            Err(err) => return Err(err),
        };
        Ok(PlannedFile { input: InputFile { path: path.clone(), n_bytes }, companions: inputs, log, facts })
    }

    fn log(
        &self,
        storage: &dyn LogStorage,
        file: &BagFile,
        opened: Arc<dyn ReadAt>,
        companions: &[Option<(PathBuf, Arc<dyn ReadAt>)>],
    ) -> Result<(Log, LogFacts)> {
        if file.is_packed {
            return packed::open(storage, &file.path, opened, self.options);
        }
        let companions =
            companions.iter().map(|it| it.as_ref().map(|(path, it)| (path.as_path(), Arc::clone(it))));
        let stored = StoredFile { path: &file.path, file: opened, companions: companions.collect() };
        storage.open(stored, self.options)
    }
}

/// A file without a byte among others: recorders that keep the last moments leave some, unless it is said to have messages.
fn nothing_in(path: &Path, n_said: u64) -> Result<LogFacts> {
    if n_said != 0 {
        let message = format!("file is empty, but is said to have {n_said} messages");
        return Err(Error::new(ErrorKind::Corrupt, message).at(Locus::byte(0)).with_hint(SALVAGE_HINT));
    }
    let message = "the file is empty: nothing was recorded into it";
    let warnings = vec![Error::new(ErrorKind::Corrupt, message).at(Locus::path(path))];
    Ok(LogFacts { warnings, ..LogFacts::default() })
}

/// Whether a file describes a bag.
fn is_description(path: &Path) -> bool {
    path.file_name().is_some_and(|it| it == METADATA)
}

/// That files are one bag because they are called so, which those of several recordings may be as well.
fn joined(files: &[Opened]) -> Error {
    let names: Vec<String> = files.iter().map(|(file, _)| file.path.display().to_string()).collect();
    let listed = confirm::listed(names.iter().map(String::as_str));
    let n = names.len();
    let message =
        format!("{n} files are read as one bag by their names alone, without a `{METADATA}`: {listed}");
    let first = files.first().map(|(file, _)| Locus::path(&file.path)).unwrap_or_default();
    let hint =
        "`ros2 bag reindex` describes a bag; put recordings that are not one into folders of their own";
    Error::new(ErrorKind::Config, message).at(first).with_hint(hint)
}

fn twin(path: &Path) -> Error {
    let message = "the file lies beside what was unpacked of it, which is read in its place";
    Error::new(ErrorKind::Corrupt, message)
        .at(Locus::path(path))
        .with_hint("remove the unpacked one to read this one")
}

/// Adds what the description of a bag knows and a file of it does not.
fn complete(facts: &mut LogFacts, metadata: &BagMetadata) {
    if let Some(distro) = &metadata.ros_distro {
        facts.metadata.entry("ros_distro".to_owned()).or_insert_with(|| distro.clone());
    }
    for channel in facts.definitions.channels.values_mut() {
        let Some(topic) = metadata.topics.get(&channel.topic) else { continue };
        let told = [("offered_qos_profiles", &topic.qos), ("topic_type_hash", &topic.type_hash)];
        for (key, value) in told {
            if let Some(value) = value {
                channel.metadata.entry(key.to_owned()).or_insert_with(|| value.clone());
            }
        }
    }
}
