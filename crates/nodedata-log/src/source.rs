use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{
    EpisodeInfo, EpisodeStream, Error, ErrorKind, Fact, Finding, FindingKind, InputRange, Locus, Numbering,
    OpenOptions, Partition, ReadOptions, Result, Source, SourcePlan, StreamId, TimeRange,
};

use crate::{
    ClockColumns, LogFacts, LogFile, PlannedFile, Recording, Route, Routes, Selector, Times,
    inference::observe_messages,
    log_stream::LogRows,
    misfits::Misfits,
    missing::{Distros, distros, distros_of_facts, find_definitions},
    streams::{Joined, LogStream},
};

/// A log of any format: its recordings are episodes, its topics are streams.
pub struct LogSource<F> {
    plan: SourcePlan,
    options: OpenOptions,
    /// As the routes are; `None` where nothing can be read.
    files: Vec<Option<F>>,
    routes: Vec<Arc<Routes>>,
    /// By file, the positions of its inputs: its own, then those of its companions.
    inputs: Vec<Range<usize>>,
    streams: Arc<[LogStream]>,
    misfits: Misfits,
    /// File and units of each partition.
    windows: Vec<(usize, Range<usize>)>,
}

impl<F: LogFile> LogSource<F> {
    /// Joins the channels of all recordings into streams. `damage` is what was found besides that of the files.
    ///
    /// # Errors
    /// `Config` for a topic that is not there; `Io`; opened to fail, `Corrupt` for a schema that is missing.
    pub fn new(recordings: Vec<Recording<F>>, mut damage: Vec<Error>, options: &OpenOptions) -> Result<Self> {
        let mut plan = SourcePlan::default();
        let Taken { files, facts: mut all_facts, episode_of, inputs, shared, distros } =
            Taken::of(recordings, &mut plan);
        let paths: Vec<&Path> = inputs.iter().map(|it| plan.inputs[it.start].path.as_path()).collect();
        let mut joined = Joined::new(&mut all_facts, &paths, options)?;
        let mut warnings = Vec::new();
        let mut windows = Vec::new();
        for (idx, facts) in all_facts.into_iter().enumerate() {
            let (routes, episode) = (&joined.routes[idx], episode_of[idx]);
            for it in facts.damage {
                let loss = it.cost.loss(|channel| routes.stream_id(channel));
                damage.push(it.error.at(Locus::path(paths[idx])).with_loss(loss));
            }
            warnings.extend(facts.warnings);
            for mut attachment in facts.attachments {
                (attachment.episode, attachment.content.input) = (episode, inputs[idx].start);
                plan.attachments.push(attachment);
            }
            let metadata = facts.metadata.into_iter().map(|(key, value)| (key.into(), Fact::from(value)));
            plan.episodes[episode].metadata.extend(metadata);
            let Some(file) = &files[idx] else { continue };
            for units in windows_of(file, options.partition_bytes) {
                let counts =
                    (options.time_range == TimeRange::ALL).then(|| counts(file, &units, routes)).flatten();
                let beside = inputs[idx].clone().skip(1).chain(shared[episode].clone());
                let partition = partition(file, episode, inputs[idx].start, beside, &units);
                plan.partitions.push(Partition { counts, ..partition });
                windows.push((idx, units));
            }
        }
        let known = Misfits::known(options);
        find_definitions(&mut joined, &known, &files, &distros, options, &mut warnings)?;
        let mut inferences = joined.inferences(options);
        let unreadable = observe_messages(&mut inferences, &files, &joined.routes, options)?;
        let misfits = joined.misfits(&known, &unreadable);
        let routes = joined.routes.clone();
        plan.unselected = joined.unselected.clone();
        let clocks: Vec<Option<ClockColumns>> =
            files.iter().map(|it| it.as_ref().map(LogFile::clock)).collect();
        let streams = joined.compile(inferences, &misfits, &clocks, &paths, options, &mut warnings);
        plan.streams = streams.iter().map(|it| it.schema.clone()).collect();
        plan.learned = misfits.to_text();
        if let Some(text) = &plan.learned {
            // Rows made while their stream had no such columns, or another definition, are not those made now.
            plan.partitions.iter_mut().for_each(|it| it.recipe.clone_from(text));
        }
        let name = |it: StreamId| Some(streams.get(it.0 as usize)?.schema.name.to_string());
        let of_kind = |kind, errors: &[Error]| errors.iter().map(|it| Finding::new(kind, it, name)).collect();
        let found: [Vec<Finding>; 2] =
            [of_kind(FindingKind::Damage, &damage), of_kind(FindingKind::Warning, &warnings)];
        plan.findings = found.concat();
        let (options, streams) = (options.clone(), streams.into());
        Ok(Self { plan, options, files, routes, inputs, streams, misfits, windows })
    }

    /// Names files that belong to the dataset and of which no row comes.
    #[must_use]
    pub fn beside(mut self, paths: Vec<PathBuf>) -> Self {
        self.plan.beside = paths;
        self
    }
}

impl<F: LogFile> Source for LogSource<F> {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let planned = self.windows.get(partition).cloned();
        let file = planned.as_ref().and_then(|(idx, _)| self.files[*idx].as_ref());
        let Some(((idx, units), file)) = planned.zip(file) else {
            let message =
                format!("partition {partition} was asked for, but there are {}", self.windows.len());
            return Err(Error::new(ErrorKind::Config, message));
        };
        let mut routes = Arc::clone(&self.routes[idx]);
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
            (self.inputs[idx].start, &self.plan.inputs[self.inputs[idx].clone()]),
            file.in_file_order(),
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

/// The recordings taken apart, by file; their episodes and inputs are planned.
struct Taken<F> {
    files: Vec<Option<F>>,
    facts: Vec<LogFacts>,
    episode_of: Vec<usize>,
    /// The inputs of each file: its own, then those of its companions.
    inputs: Vec<Range<usize>>,
    /// By episode, the inputs that say something of all of its files.
    shared: Vec<Range<usize>>,
    distros: Vec<Distros>,
}

impl<F> Taken<F> {
    fn of(recordings: Vec<Recording<F>>, plan: &mut SourcePlan) -> Self {
        let mut taken = Self {
            files: Vec::new(),
            facts: Vec::new(),
            episode_of: Vec::new(),
            inputs: Vec::new(),
            shared: Vec::new(),
            distros: Vec::new(),
        };
        let mut shared = Vec::new();
        for Recording { key, metadata, files: of_recording, shared: of_all } in recordings {
            let told = distros(metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())));
            let metadata = metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            let input = plan.inputs.len();
            plan.episodes.push(EpisodeInfo { key, input, task: None, split: None, metadata });
            shared.push(of_all);
            for PlannedFile { input, companions, log, facts } in of_recording {
                taken.episode_of.push(plan.episodes.len() - 1);
                taken.inputs.push(plan.inputs.len()..plan.inputs.len() + 1 + companions.len());
                plan.inputs.push(input);
                plan.inputs.extend(companions);
                taken.files.push(log);
                taken.distros.push(told.union(&distros_of_facts(&facts)).cloned().collect());
                taken.facts.push(facts);
            }
        }
        // Behind all others, whose numbers they do not change.
        for of_all in shared {
            taken.shared.push(plan.inputs.len()..plan.inputs.len() + of_all.len());
            plan.inputs.extend(of_all);
        }
        taken
    }
}

/// The partition that consecutive units of one file make; all of the files `beside` decides their rows.
fn partition(
    file: &impl LogFile,
    episode: usize,
    input: usize,
    beside: impl Iterator<Item = usize>,
    units: &Range<usize>,
) -> Partition {
    let own = file.reads(units.clone()).into_iter();
    let own = own.map(|byte_range| InputRange { input, byte_range });
    Partition {
        episode,
        reads: own.chain(beside.map(InputRange::whole)).collect(),
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
