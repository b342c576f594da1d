use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
    sync::Arc,
};

use nodedata_core::{
    EpisodeInfo, EpisodeStream, Error, ErrorKind, Fact, Finding, FindingKind, InputRange, Locus, Numbering,
    OpenOptions, Partition, ReadOptions, Result, Source, SourcePlan, StreamId, TimeRange,
};

use crate::{
    LogFile, PlannedFile, Recording, Route, Routes, Selector, Times,
    inference::observe_messages,
    log_stream::LogRows,
    misfits::Misfits,
    streams::{Joined, LogStream},
};

/// A log of any format: its recordings are episodes, its topics are streams.
pub struct LogSource<F> {
    plan: SourcePlan,
    options: OpenOptions,
    /// By input, as the routes are; `None` where nothing can be read.
    files: Vec<Option<F>>,
    routes: Vec<Arc<Routes>>,
    streams: Arc<[LogStream]>,
    misfits: Misfits,
    /// Input and units of each partition.
    windows: Vec<(usize, Range<usize>)>,
}

impl<F: LogFile> LogSource<F> {
    /// Joins the channels of all recordings into streams. `damage` is what was found besides that of the files.
    ///
    /// # Errors
    /// `Config` for a topic that is not there; `Io`; opened to fail, `Corrupt` for a schema that is missing.
    pub fn new(recordings: Vec<Recording<F>>, mut damage: Vec<Error>, options: &OpenOptions) -> Result<Self> {
        let mut plan = SourcePlan::default();
        let mut files = Vec::new();
        let mut all_facts = Vec::new();
        let mut episode_of = Vec::new();
        for Recording { key, metadata, files: of_recording } in recordings {
            let metadata = metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            let input = plan.inputs.len();
            plan.episodes.push(EpisodeInfo { key, input, task: None, split: None, metadata });
            for PlannedFile { input, log, facts } in of_recording {
                episode_of.push(plan.episodes.len() - 1);
                plan.inputs.push(input);
                files.push(log);
                all_facts.push(facts);
            }
        }
        let paths: Vec<&Path> = plan.inputs.iter().map(|it| it.path.as_path()).collect();
        let joined = Joined::new(&mut all_facts, &paths, options)?;
        let mut warnings = Vec::new();
        let mut windows = Vec::new();
        for (input, facts) in all_facts.into_iter().enumerate() {
            let (routes, episode) = (&joined.routes[input], episode_of[input]);
            for it in facts.damage {
                let loss = it.cost.loss(|channel| routes.stream_id(channel));
                damage.push(it.error.at(Locus::path(paths[input])).with_loss(loss));
            }
            warnings.extend(facts.warnings);
            for mut attachment in facts.attachments {
                (attachment.episode, attachment.content.input) = (episode, input);
                plan.attachments.push(attachment);
            }
            let metadata = facts.metadata.into_iter().map(|(key, value)| (key.into(), Fact::from(value)));
            plan.episodes[episode].metadata.extend(metadata);
            let Some(file) = &files[input] else { continue };
            for units in windows_of(file, options.partition_bytes) {
                let counts =
                    (options.time_range == TimeRange::ALL).then(|| counts(file, &units, routes)).flatten();
                plan.partitions.push(Partition { counts, ..partition(file, episode, input, &units) });
                windows.push((input, units));
            }
        }
        let mut inferences = joined.inferences(options);
        let unreadable = observe_messages(&mut inferences, &files, &joined.routes, options)?;
        let misfits = joined.misfits(&Misfits::known(options), &unreadable);
        let routes = joined.routes.clone();
        plan.unselected = joined.unselected.clone();
        let streams = joined.compile(inferences, &misfits, F::CLOCK, &paths, options, &mut warnings);
        plan.streams = streams.iter().map(|it| it.schema.clone()).collect();
        plan.learned = misfits.to_text();
        if let Some(text) = &plan.learned {
            // Rows made while their stream had no such columns are not those made now.
            plan.partitions.iter_mut().for_each(|it| it.recipe.clone_from(text));
        }
        let name = |it: StreamId| Some(streams.get(it.0 as usize)?.schema.name.to_string());
        let of_kind = |kind, errors: &[Error]| errors.iter().map(|it| Finding::new(kind, it, name)).collect();
        let found: [Vec<Finding>; 2] =
            [of_kind(FindingKind::Damage, &damage), of_kind(FindingKind::Warning, &warnings)];
        plan.findings = found.concat();
        Ok(Self { plan, options: options.clone(), files, routes, streams: streams.into(), misfits, windows })
    }
}

impl<F: LogFile> Source for LogSource<F> {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let planned = self.windows.get(partition).cloned();
        let file = planned.as_ref().and_then(|(input, _)| self.files[*input].as_ref());
        let Some(((input, units), file)) = planned.zip(file) else {
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
        let selector = Selector::new(Arc::clone(&routes), self.options.time_range);
        Ok(Box::new(LogRows::new(
            file.messages(units, selector, &self.options),
            (input, self.plan.inputs[input].path.clone()),
            F::IN_FILE_ORDER,
            routes,
            Arc::clone(&self.streams),
            options.clone(),
            self.options.record_bytes_max,
        )))
    }

    fn learn_misfits(&self, streams: &BTreeSet<StreamId>) -> Option<String> {
        let mut known = self.misfits.clone();
        known.misfits.extend(streams.iter().filter_map(|it| Some(self.plan.stream_name(*it)?.to_string())));
        known.to_text()
    }
}

/// The partition that consecutive units of one file make.
fn partition(file: &impl LogFile, episode: usize, input: usize, units: &Range<usize>) -> Partition {
    let reads = file.reads(units.clone()).into_iter();
    Partition {
        episode,
        reads: reads.map(|byte_range| InputRange { input, byte_range }).collect(),
        decoded_bytes: units.clone().map(|it| file.unit(it).decoded_bytes).sum(),
        times: times(file, units),
        counts: None,
        recipe: String::new(),
        numbering: Numbering::Own,
    }
}

/// The messages of each stream, where the file's index counts those of every unit, and all of them have a stream or are not
/// selected.
fn counts(file: &impl LogFile, units: &Range<usize>, routes: &Routes) -> Option<Vec<(StreamId, u64)>> {
    let mut all: BTreeMap<StreamId, u64> = BTreeMap::new();
    for unit in units.clone() {
        for (channel, n) in file.counts(unit)? {
            match routes.of(*channel) {
                Route::Stream(_) if !routes.is_ever_ambiguous(*channel) => {
                    *all.entry(routes.stream_id(*channel)?).or_default() += n;
                }
                Route::Unselected => {}
                Route::Stream(_) | Route::Unknown => return None,
            }
        }
    }
    Some(all.into_iter().collect())
}

/// Earliest and latest log time, where every unit with a message knows its own.
fn times(file: &impl LogFile, units: &Range<usize>) -> Option<(i64, i64)> {
    let mut within: Option<(u64, u64)> = None;
    for unit in units.clone() {
        match file.unit(unit).times {
            Times::Unknown => return None,
            Times::Nothing => {}
            Times::Within(first, last) => {
                let (earliest, latest) = within.unwrap_or((first, last));
                within = Some((earliest.min(first), latest.max(last)));
            }
        }
    }
    let (first, last) = within?;
    i64::try_from(first).ok().zip(i64::try_from(last).ok())
}

/// Consecutive units of about `n_bytes` each. They depend on the file alone, never on what is selected.
fn windows_of(file: &impl LogFile, n_bytes: u64) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    let mut n_gathered: u64 = 0;
    for idx in 0..file.n_units() {
        n_gathered = n_gathered.saturating_add(file.unit(idx).decoded_bytes);
        if n_bytes <= n_gathered || idx + 1 == file.n_units() {
            windows.push(start..idx + 1);
            start = idx + 1;
            n_gathered = 0;
        }
    }
    windows
}
