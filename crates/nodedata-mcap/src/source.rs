use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc};

use nodedata_core::{
    Attachment, Detection, EpisodeInfo, EpisodeStream, Error, ErrorKind, Files, Format, InputFile, Listing,
    Locus, OpenOptions, Partition, ReadAt, ReadOptions, Result, Source, StreamId, StreamSchema,
};

use crate::{
    cursor::MessageCursor,
    inference::observe_messages,
    log_plan::{LogPlan, Unit},
    log_stream::LogRows,
    open::plan_log,
    records::MAGIC,
    routes::{Route, Routes},
    streams::{Joined, LogStream},
};

/// The MCAP format.
pub static MCAP: Mcap = Mcap;

/// Reads MCAP logs; see [`MCAP`].
#[derive(Debug, Clone, Copy)]
pub struct Mcap;

impl Format for Mcap {
    fn name(&self) -> &'static str {
        "mcap"
    }

    fn about(&self) -> &'static str {
        "MCAP logs, one episode a file: chunked or not, indexed or not, whole or damaged"
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let is_named = |it: &Path| it.extension().is_some_and(|it| it.eq_ignore_ascii_case("mcap"));
        // The sixth byte is the version: a later one is ours to refuse with a clear error.
        let begins = |it: &[u8]| it.starts_with(&MAGIC[..5]) && it.get(6..8) == Some(b"\r\n");
        Detection::by_magic(listing, "MCAP logs", is_named, begins)
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(McapSource::open(&*files, options)?))
    }
}

/// The MCAP files of one input.
struct McapSource {
    options: OpenOptions,
    inputs: Vec<InputFile>,
    files: Vec<Arc<dyn ReadAt>>,
    plans: Vec<Arc<LogPlan>>,
    routes: Vec<Arc<Routes>>,
    streams: Arc<[LogStream]>,
    schemas: Vec<StreamSchema>,
    episodes: Vec<EpisodeInfo>,
    partitions: Vec<Partition>,
    /// Units of each partition.
    windows: Vec<Range<usize>>,
    attachments: Vec<Attachment>,
    damage: Vec<Error>,
    warnings: Vec<Error>,
    unselected: Vec<String>,
}

impl McapSource {
    fn open(files: &dyn Files, options: &OpenOptions) -> Result<Self> {
        let paths = files.list()?;
        if paths.is_empty() {
            return Err(Error::new(ErrorKind::Config, "the input has no files").with_hint("name an MCAP log"));
        }
        let mut inputs = Vec::new();
        let mut readers = Vec::new();
        let mut plans = Vec::new();
        let mut damage = Vec::new();
        for path in paths {
            let file = files.open(&path).map_err(|err| err.at(Locus::path(&path)))?;
            let plan = match plan_log(Arc::clone(&file), &path, options) {
                Ok(plan) => plan,
                // A file that is no MCAP at all costs only itself, unless it is all there is.
                Err(err) if options.salvage && err.kind() != ErrorKind::Io => {
                    damage.push(whole_file_lost(err, file.n_bytes()));
                    LogPlan::default()
                }
                Err(err) => return Err(err.at(Locus::path(&path))),
            };
            inputs.push(InputFile { path, n_bytes: file.n_bytes() });
            readers.push(file);
            plans.push(plan);
        }
        if damage.len() == inputs.len() {
            return Err(damage.swap_remove(0));
        }
        Self::join(inputs, readers, plans, damage, options)
    }

    fn join(
        inputs: Vec<InputFile>,
        files: Vec<Arc<dyn ReadAt>>,
        mut plans: Vec<LogPlan>,
        mut damage: Vec<Error>,
        options: &OpenOptions,
    ) -> Result<Self> {
        let paths: Vec<&Path> = inputs.iter().map(|it| it.path.as_path()).collect();
        let joined = Joined::new(&mut plans, &paths, options)?;
        let mut episodes = Vec::new();
        let mut attachments = Vec::new();
        let mut warnings = Vec::new();
        let mut partitions = Vec::new();
        let mut windows = Vec::new();
        for (input, plan) in plans.iter_mut().enumerate() {
            let routes = &joined.routes[input];
            for it in plan.damage.drain(..) {
                let loss = it.cost.loss(|channel| routes.stream_id(channel));
                damage.push(it.error.at(Locus::path(paths[input])).with_loss(loss));
            }
            warnings.append(&mut plan.warnings);
            for mut attachment in plan.attachments.drain(..) {
                attachment.episode = input;
                attachments.push(attachment);
            }
            for units in windows_of(&plan.units, options.partition_bytes) {
                let byte_range =
                    plan.units[units.start].byte_range.start..plan.units[units.end - 1].byte_range.end;
                let decoded_bytes = plan.units[units.clone()].iter().map(|it| it.n_uncompressed).sum();
                partitions.push(Partition {
                    index: partitions.len(),
                    episode: input,
                    input,
                    byte_range,
                    decoded_bytes,
                });
                windows.push(units);
            }
            episodes.push(episode(paths[input], input, std::mem::take(&mut plan.metadata)));
        }
        let plans: Vec<Arc<LogPlan>> = plans.into_iter().map(Arc::new).collect();
        let mut inferences = joined.inferences(options);
        observe_messages(&mut inferences, &files, &plans, &joined.routes, options)?;
        let routes = joined.routes.clone();
        let unselected = joined.unselected.clone();
        let streams = joined.compile(inferences, &paths, options, &mut damage)?;
        Ok(Self {
            options: options.clone(),
            schemas: streams.iter().map(|it| it.schema.clone()).collect(),
            streams: streams.into(),
            routes,
            plans,
            unselected,
            inputs,
            files,
            episodes,
            partitions,
            windows,
            attachments,
            damage,
            warnings,
        })
    }
}

impl McapSource {
    /// The rows of a partition, of those streams that the routes chosen lead to.
    fn rows(
        &self,
        partition: &Partition,
        options: &ReadOptions,
        choose: impl FnOnce(&Arc<Routes>) -> Arc<Routes>,
    ) -> Result<Box<dyn EpisodeStream>> {
        let Some(units) = self.windows.get(partition.index) else {
            return Err(Error::new(
                ErrorKind::Config,
                format!("partition {} was asked for, but there are {}", partition.index, self.windows.len()),
            ));
        };
        let input = self.partitions[partition.index].input;
        let routes = choose(&self.routes[input]);
        let cursor = MessageCursor::new(
            Arc::clone(&self.files[input]),
            Arc::clone(&self.plans[input]),
            Arc::clone(&routes),
            &self.options,
            units.clone(),
        );
        Ok(Box::new(LogRows::new(
            cursor,
            self.inputs[input].path.clone(),
            routes,
            Arc::clone(&self.streams),
            options.clone(),
            self.options.record_bytes_max,
        )))
    }
}

impl Source for McapSource {
    fn streams(&self) -> &[StreamSchema] {
        &self.schemas
    }

    fn inputs(&self) -> &[InputFile] {
        &self.inputs
    }

    fn episodes(&self) -> &[EpisodeInfo] {
        &self.episodes
    }

    fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    fn read(&self, partition: &Partition, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        self.rows(partition, options, Arc::clone)
    }

    fn read_only(
        &self,
        partition: &Partition,
        options: &ReadOptions,
        streams: &[StreamId],
    ) -> Result<Box<dyn EpisodeStream>> {
        let wanted = |route: Route| match route {
            Route::Stream(idx) => streams.iter().any(|it| it.0 as usize == idx),
            Route::Unknown | Route::Unselected => false,
        };
        self.rows(partition, options, |routes| Arc::new(routes.only(wanted)))
    }

    fn times(&self, partition: &Partition) -> Option<(i64, i64)> {
        let plan = &self.plans[partition.input];
        let units = &plan.units[self.windows.get(partition.index)?.clone()];
        let has_none = |it: &&Unit| it.channels.as_ref().is_some_and(|it| it.is_empty());
        let all: Option<Vec<(u64, u64)>> =
            units.iter().filter(|it| !has_none(it)).map(|it| it.times).collect();
        let first = all.as_ref()?.iter().map(|it| it.0).min()?;
        let last = all?.iter().map(|it| it.1).max()?;
        i64::try_from(first).ok().zip(i64::try_from(last).ok())
    }

    fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    fn damage(&self) -> &[Error] {
        &self.damage
    }

    fn warnings(&self) -> &[Error] {
        &self.warnings
    }

    fn unselected(&self) -> &[String] {
        &self.unselected
    }
}

/// Consecutive units of about `n_bytes` each. They depend on the file alone, never on what is selected.
fn windows_of(units: &[Unit], n_bytes: u64) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    let mut n_gathered: u64 = 0;
    for (idx, unit) in units.iter().enumerate() {
        n_gathered = n_gathered.saturating_add(unit.n_uncompressed);
        if n_bytes <= n_gathered || idx + 1 == units.len() {
            windows.push(start..idx + 1);
            start = idx + 1;
            n_gathered = 0;
        }
    }
    windows
}

fn episode(path: &Path, input: usize, metadata: BTreeMap<String, String>) -> EpisodeInfo {
    // The key is stable across machines: `/` whatever this one uses.
    let parts: Vec<_> = path.components().map(|it| it.as_os_str().to_string_lossy()).collect();
    let metadata = metadata.into_iter().map(|(key, value)| (key.into(), value)).collect();
    EpisodeInfo { key: parts.join("/"), input, task: None, split: None, metadata }
}

fn whole_file_lost(err: Error, n_bytes: u64) -> Error {
    err.with_loss(nodedata_core::Loss {
        byte_range: Some(0..n_bytes),
        records: Vec::new(),
        uncounted: true,
        reason: "unreadable_file",
    })
}
