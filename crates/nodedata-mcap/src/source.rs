use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc};

use nodedata_core::{
    Confidence, EpisodeInfo, EpisodeStream, Error, ErrorKind, Files, Finding, FindingKind, Format, InputFile,
    InputRange, Locus, Numbering, OpenOptions, Partition, Probe, ReadAt, ReadOptions, Result, Source,
    SourcePlan, StreamId,
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

    fn detect(&self, probe: &Probe<'_>) -> Confidence {
        // The sixth byte is the version: a later one is ours to refuse with a clear error.
        if probe.head.starts_with(&MAGIC[..5]) && probe.head.get(6..8) == Some(b"\r\n") {
            Confidence::Content
        } else if self.claims(probe.path) {
            Confidence::Name
        } else {
            Confidence::No
        }
    }

    fn claims(&self, path: &Path) -> bool {
        path.extension().is_some_and(|it| it.eq_ignore_ascii_case("mcap"))
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(McapSource::open(&*files, options)?))
    }
}

/// The MCAP files of one input.
struct McapSource {
    plan: SourcePlan,
    options: OpenOptions,
    files: Vec<Arc<dyn ReadAt>>,
    /// By input, as the routes are.
    logs: Vec<Arc<LogPlan>>,
    routes: Vec<Arc<Routes>>,
    streams: Arc<[LogStream]>,
    /// Input and units of each partition.
    windows: Vec<(usize, Range<usize>)>,
}

impl McapSource {
    fn open(files: &dyn Files, options: &OpenOptions) -> Result<Self> {
        let mut paths = files.list()?;
        // One file is read whatever it is called; of a folder only what looks like ours.
        if paths.len() != 1 {
            paths.retain(|it| MCAP.claims(it));
        }
        if paths.is_empty() {
            return Err(Error::new(ErrorKind::Config, "no `.mcap` file was found in the input")
                .with_hint("name the file itself if it is called otherwise"));
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
        mut logs: Vec<LogPlan>,
        mut damage: Vec<Error>,
        options: &OpenOptions,
    ) -> Result<Self> {
        let paths: Vec<&Path> = inputs.iter().map(|it| it.path.as_path()).collect();
        let joined = Joined::new(&mut logs, &paths, options)?;
        let mut plan = SourcePlan { unselected: joined.unselected.clone(), ..SourcePlan::default() };
        let mut warnings = Vec::new();
        let mut windows = Vec::new();
        for (input, log) in logs.iter_mut().enumerate() {
            let routes = &joined.routes[input];
            for it in log.damage.drain(..) {
                let loss = it.cost.loss(|channel| routes.stream_id(channel));
                damage.push(it.error.at(Locus::path(paths[input])).with_loss(loss));
            }
            warnings.append(&mut log.warnings);
            for mut attachment in log.attachments.drain(..) {
                attachment.episode = input;
                attachment.content.input = input;
                plan.attachments.push(attachment);
            }
            for units in windows_of(&log.units, options.partition_bytes) {
                plan.partitions.push(partition(input, &log.units[units.clone()]));
                windows.push((input, units));
            }
            plan.episodes.push(episode(paths[input], input, std::mem::take(&mut log.metadata)));
        }
        let logs: Vec<Arc<LogPlan>> = logs.into_iter().map(Arc::new).collect();
        let mut inferences = joined.inferences(options);
        observe_messages(&mut inferences, &files, &logs, &joined.routes, options)?;
        let routes = joined.routes.clone();
        let streams = joined.compile(inferences, &paths, options, &mut damage)?;
        plan.streams = streams.iter().map(|it| it.schema.clone()).collect();
        let name = |it: StreamId| Some(streams.get(it.0 as usize)?.schema.name.to_string());
        let of_kind = |kind, errors: &[Error]| errors.iter().map(|it| Finding::new(kind, it, name)).collect();
        let found: [Vec<Finding>; 2] =
            [of_kind(FindingKind::Damage, &damage), of_kind(FindingKind::Warning, &warnings)];
        plan.findings = found.concat();
        plan.inputs = inputs;
        Ok(Self { plan, options: options.clone(), files, logs, routes, streams: streams.into(), windows })
    }
}

impl Source for McapSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let Some((input, units)) = self.windows.get(partition).cloned() else {
            let message =
                format!("partition {partition} was asked for, but there are {}", self.windows.len());
            return Err(Error::new(ErrorKind::Config, message));
        };
        let mut routes = Arc::clone(&self.routes[input]);
        if let Some(streams) = &options.streams {
            let wanted = |route: Route| match route {
                Route::Stream(idx) => streams.iter().any(|it| it.0 as usize == idx),
                Route::Unknown | Route::Unselected => false,
            };
            routes = Arc::new(routes.only(wanted));
        }
        let cursor = MessageCursor::new(
            Arc::clone(&self.files[input]),
            Arc::clone(&self.logs[input]),
            Arc::clone(&routes),
            &self.options,
            units,
        );
        Ok(Box::new(LogRows::new(
            cursor,
            (input, self.plan.inputs[input].path.clone()),
            routes,
            Arc::clone(&self.streams),
            options.clone(),
            self.options.record_bytes_max,
        )))
    }
}

/// The partition that consecutive units of one file make.
fn partition(input: usize, units: &[Unit]) -> Partition {
    let start = units.first().map_or(0, |it| it.byte_range.start);
    let end = units.last().map_or(start, |it| it.byte_range.end);
    Partition {
        episode: input,
        reads: vec![InputRange { input, byte_range: start..end }],
        decoded_bytes: units.iter().map(|it| it.n_uncompressed).sum(),
        times: times(units),
        recipe: String::new(),
        numbering: Numbering::Own,
    }
}

/// Earliest and latest log time, where every unit with a message knows its own.
fn times(units: &[Unit]) -> Option<(i64, i64)> {
    let has_none = |it: &&Unit| it.channels.as_ref().is_some_and(|it| it.is_empty());
    let all: Option<Vec<(u64, u64)>> = units.iter().filter(|it| !has_none(it)).map(|it| it.times).collect();
    let first = all.as_ref()?.iter().map(|it| it.0).min()?;
    let last = all?.iter().map(|it| it.1).max()?;
    i64::try_from(first).ok().zip(i64::try_from(last).ok())
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
    let metadata = metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
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
