use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use nodedata_core::{
    Attachment, Dim, EpisodeFacts, EpisodeInfo, Error, ErrorKind, FindingKind, Formats, InputRange, Locus,
    OpenOptions, Progress, Result, SourcePlan, StreamKind, StreamSchema, Unpacked,
};
use nodedata_dataset::{
    DamageEntry, Dataset, DatasetWriter, InputEntry, Ledger, Manifest, Nulls, QUARANTINE, Report, RunFacts,
    WriterOptions,
};
use nodedata_normalize::{Cut, StepSpec, Unfit, settle_encoders, with_lengths};
use nodedata_schema::{Schema, SchemaCheck, Violation};

use crate::{
    ConvertOptions, Converted, OnError, OpenedSource, Recipe,
    drive::{Drive, State},
    empty::refuse_empty,
    group::with_episodes,
    inputs::InputHashes,
    journal::{Told, UnitState, seen_before, take_over},
    kept::Keeper,
    learned::Learned,
    open::{open_knowing, told},
    plan::Plan,
    splits::Dealt,
    steps::{decode_topics, with_steps},
};

/// One conversion from its plan to its commit.
pub(crate) struct Run {
    /// With the steps and the options of the format that they come to in this source.
    pub(crate) options: ConvertOptions,
    pub(crate) opened: OpenedSource,
    recipe: Recipe,
    check: SchemaCheck,
    dealt: Dealt,
    /// Whether steps are made of messages, so that a field without any value is nobody's but the pipeline's.
    aligns: bool,
    /// Where the definitions of topics are from that their recordings do not define, whatever is made of the topics.
    definitions: BTreeMap<String, String>,
    started: Instant,
}

/// What lies at the output before a run.
pub(crate) enum Present {
    /// Nothing that this run could use.
    Nothing,
    /// The dataset that the same recipe made: nothing is to be done.
    Same(Dataset),
    /// A dataset made otherwise, or of other inputs: its units are used where they fit.
    Other(Dataset),
}

impl Run {
    /// Opens the source of a conversion, and plans it.
    pub(crate) fn open(formats: &Formats, options: ConvertOptions) -> Result<Self> {
        let started = Instant::now();
        let opened = open_for(formats, &options, &Learned::noted(&options.out))?;
        Ok(Self::over(opened, options, started)?)
    }

    /// As [`Self::open`], where a plan says what was learned.
    pub(crate) fn open_planned(formats: &Formats, options: ConvertOptions, plan: &Plan) -> Result<Self> {
        let started = Instant::now();
        let known: Vec<Learned> = plan.learned.iter().cloned().collect();
        let opened = open_for(formats, &options, &known)?;
        Ok(Self::over(opened, options, started)?)
    }

    /// Plans a conversion of a source that is open.
    pub(crate) fn over(
        mut opened: OpenedSource,
        mut options: ConvertOptions,
        started: Instant,
    ) -> Result<Self, Unfit> {
        options.open = opened.options.clone();
        if let Some(by) = &options.grouped {
            opened = with_episodes(opened, by)?;
        }
        if options.steps.is_none() {
            options.steps = options.step_flags.spec(opened.source.plan(), &options.open)?;
        }
        decode_topics(options.steps.as_mut(), &options.open, opened.source.plan())?;
        options.steps.iter_mut().for_each(settle_encoders);
        let aligns = opened.source.plan().streams.iter().any(|it| it.kind == StreamKind::Messages);
        let definitions = definitions(&opened.source.plan().streams);
        opened.source = with_steps(opened.source, options.steps.as_ref(), &options.episodes)?;
        let is_cut = aligns && options.steps.as_ref().is_some_and(|it| it.episodes != Cut::Whole);
        options.episodes = options.episodes.about(opened.source.plan(), is_cut);
        if let Some(declared) = &options.schema {
            opened.source =
                with_lengths(opened.source, |stream, feature| length_of(declared, stream, feature));
        }
        let mut recipe = Recipe::new(&options, opened.format.name());
        // Where the source decides between two plans, the recipe says which it was.
        recipe.shards.splits = options.splits.settled(&opened.source.plan().episodes);
        let dealt = recipe.shards.splits.deal(opened.source.plan())?;
        let streams = &opened.source.plan().streams;
        let check = match &options.schema {
            None => SchemaCheck::undeclared(streams),
            Some(declared) => SchemaCheck::new(declared, streams).map_err(|it| refusal(&it))?,
        };
        Ok(Self { options, opened, recipe, check, dealt, aligns, definitions, started })
    }

    /// Refuses, before anything long begins, an output that no recipe would make this run replace.
    pub(crate) fn refuse_foreign_output(&self) -> Result<()> {
        let out = &self.options.out;
        // Whether a dataset may be replaced depends on what made it, which is looked at later.
        if !out.exists() || out.join("manifest.json").is_file() {
            return Ok(());
        }
        nodedata_dataset::refuse_existing(&self.writer_options())
    }

    /// Keeps episodes out of the splits, by key, each with its reason.
    pub(crate) fn quarantine(&mut self, quarantine: BTreeMap<String, String>) {
        self.recipe.shards.quarantine.extend(quarantine.clone());
        self.options.quarantine.extend(quarantine);
    }

    pub(crate) fn run(self, progress: &dyn Progress) -> Result<Converted> {
        nodedata_dataset::recover(&self.options.out)?;
        let mut state = State::new(self.hashes());
        let mut options = self.writer_options();
        let present = match self.present(&mut state.hashes)? {
            Present::Nothing => None,
            Present::Same(dataset) if !options.overwrite => return unchanged(dataset),
            Present::Same(dataset) => Some(dataset),
            Present::Other(dataset) => {
                options.overwrite |= self.extends(&dataset, &mut state.hashes)?;
                Some(dataset)
            }
        };
        let mut writer = DatasetWriter::create(self.source(), options)?;
        if let Some(learned) = Learned::of(&self.opened, None)? {
            writer.keep_note(learned.to_note()?)?;
        }
        let all: Vec<usize> = (0..writer.units().len()).collect();
        let done = take_over(&mut writer, present.as_ref(), &all, &mut state.hashes)?;
        for (episode, stream, n_rows) in done.iter().flat_map(|it| &it.rows) {
            *state.rows.entry((*episode, *stream)).or_default() += n_rows;
        }
        let todo: Vec<usize> =
            all.into_iter().filter(|unit| done.iter().all(|it| it.unit != *unit)).collect();
        let opened_after = self.started.elapsed().as_secs_f64();
        let n_units = writer.units().len();
        self.make(&mut writer, &todo, &mut state, false, progress)
            .map_err(|err| told_if_stopped(err, done.len() + state.n_kept, n_units, &state.begun))?;
        let rows_after = self.started.elapsed().as_secs_f64();
        progress.finishing();
        let seconds =
            [("open".to_owned(), opened_after), ("rows".to_owned(), rows_after - opened_after)].into();
        let n_records = (!state.taken.is_empty()).then_some(state.n_taken);
        let of_todo = todo.iter().flat_map(|it| &writer.units()[*it].partitions);
        let made = of_todo.filter(|it| !state.taken.contains(it));
        let made_bytes = (!done.is_empty() || n_records.is_some()).then(|| self.bytes_of(made));
        let reused = Reused { n_units: done.len(), n_records, made_bytes };
        self.finish(writer, state.hashes, reused, seconds)
    }

    /// Bytes of the input files that partitions are made of, each counted once.
    fn bytes_of<'a>(&self, partitions: impl Iterator<Item = &'a usize>) -> u64 {
        let source = self.source();
        let reads = partitions.flat_map(|it| &source.partitions[*it].reads);
        let mut ranges: Vec<(usize, u64, u64)> = reads
            .map(|InputRange { input, byte_range }| {
                let n_bytes = source.inputs[*input].n_bytes;
                (*input, byte_range.start.min(n_bytes), byte_range.end.min(n_bytes))
            })
            .collect();
        ranges.sort_unstable();
        let mut counted = (usize::MAX, 0);
        let mut n_bytes = 0;
        for (input, start, end) in ranges {
            let start = if counted.0 == input { start.max(counted.1) } else { start };
            n_bytes += end.saturating_sub(start);
            counted = (input, end.max(start));
        }
        n_bytes
    }

    /// Makes units; fails when rows broke the schema.
    pub(crate) fn make(
        &self,
        writer: &mut DatasetWriter,
        todo: &[usize],
        state: &mut State,
        alone: bool,
        progress: &dyn Progress,
    ) -> Result<()> {
        let source = self.opened.source.as_ref();
        let keeper = Keeper::find(writer, todo, self.options.keep_rows, &mut state.hashes)?;
        state.begun = keeper.records();
        let units = writer.units();
        let to_make: BTreeSet<usize> = todo.iter().copied().collect();
        let others = (0..units.len()).filter(|it| !to_make.contains(it)).flat_map(|it| &units[it].partitions);
        state.hashes.forgo(others.flat_map(|it| &source.plan().partitions[*it].reads));
        let partitions = todo.iter().flat_map(|it| &units[*it].partitions).filter(|it| !keeper.has(**it));
        progress.planned(partitions.map(|it| source.plan().partitions[*it].decoded_bytes).sum());
        let salvage = self.options.on_error == OnError::Salvage;
        let drive = Drive { source, check: &self.check, salvage, alone, keeper: &keeper };
        drive.run(writer, todo, state, progress)?;
        match std::mem::take(&mut state.violations).into_error() {
            Some(err) if alone => {
                let message = format!("{err} (in a worker, rows are counted from the start of their unit)");
                let told = Error::new(err.kind(), message).at(err.locus().clone());
                Err(match err.hint() {
                    Some(hint) => told.with_hint(hint),
                    None => told,
                })
            }
            Some(err) => Err(err),
            None => Ok(()),
        }
    }

    pub(crate) fn hashes(&self) -> InputHashes {
        let source = self.source();
        let mut hashes = InputHashes::watching(&self.opened.watched, &source.inputs);
        hashes.expect(source.partitions.iter().flat_map(|it| &it.reads));
        hashes
    }

    /// The plan of the source.
    pub(crate) fn source(&self) -> &SourcePlan {
        self.opened.source.plan()
    }

    /// What lies at the output. Inputs are read only when a dataset is there, and only those that look other
    /// than they did when it was made.
    pub(crate) fn present(&self, hashes: &mut InputHashes) -> Result<Present> {
        let out = &self.options.out;
        if !out.join("manifest.json").is_file() {
            return Ok(Present::Nothing);
        }
        let there = match Dataset::open(out) {
            Ok(there) => there,
            // Whether it may be replaced is looked at before anything is written.
            Err(_) if self.options.overwrite => return Ok(Present::Nothing),
            Err(err) => return Err(err),
        };
        hashes.trust(&seen_before(&there));
        let recipe = self.recipe(&self.input_entries(&hashes.digests()?));
        Ok(if recipe == there.manifest.recipe { Present::Same(there) } else { Present::Other(there) })
    }

    /// Whether this run makes the same of more inputs, so that nothing is lost when it takes the dataset's
    /// place.
    pub(crate) fn extends(&self, there: &Dataset, hashes: &mut InputHashes) -> Result<bool> {
        let Manifest { inputs, recipe, .. } = &*there.manifest;
        let now = self.input_entries(&hashes.digests()?);
        Ok(self.recipe(inputs) == *recipe && inputs.iter().all(|it| now.contains(it)))
    }

    pub(crate) fn recipe(&self, inputs: &[InputEntry]) -> String {
        nodedata_dataset::recipe_hash(&self.recipe.to_json(), self.options.access, inputs)
    }

    pub(crate) fn input_entries(&self, digests: &[String]) -> Vec<InputEntry> {
        let inputs = self.source().inputs.iter().zip(digests);
        inputs
            .map(|(it, b3)| InputEntry {
                path: it.path.display().to_string(),
                bytes: it.n_bytes,
                b3: b3.clone(),
            })
            .collect()
    }

    /// The splits, and which of them each episode is dealt to. Episodes in quarantine have one of their own.
    fn deal(&self) -> (Vec<String>, Vec<usize>) {
        let quarantine = &self.options.quarantine;
        let episodes = &self.source().episodes;
        let Dealt { mut names, mut split_of_episode } = self.dealt.clone();
        for (split, episode) in split_of_episode.iter_mut().zip(episodes) {
            if quarantine.contains_key(&episode.key) {
                *split = names.len();
            }
        }
        if !quarantine.is_empty() {
            names.push(QUARANTINE.to_owned());
        }
        (names, split_of_episode)
    }

    pub(crate) fn writer_options(&self) -> WriterOptions {
        let (splits, split_of_episode) = self.deal();
        WriterOptions {
            overwrite: self.options.overwrite,
            reads: self.opened.places.clone(),
            // Which rows make a unit the unit knows.
            unit_recipe: self.recipe.rows.to_json(),
            shard_bytes: self.options.shard_bytes,
            access: self.options.access,
            splits,
            split_of_episode,
            ..WriterOptions::new(&self.options.out)
        }
    }

    /// Folds the units into the dataset and commits it.
    pub(crate) fn finish(
        self,
        mut writer: DatasetWriter,
        mut hashes: InputHashes,
        reused: Reused,
        mut seconds: BTreeMap<String, f64>,
    ) -> Result<Converted> {
        let source = self.source();
        let mut all = UnitState::new(source);
        all.told.ledger = source.streams.iter().map(|it| (it.name.to_string(), Default::default())).collect();
        all.told.account_opening(source);
        let input_digests = hashes.digests()?;
        if let Some(learned) = Learned::of(&self.opened, Some(&input_digests))? {
            writer.keep_note(learned.to_note()?)?;
        }
        writer.fold(&mut |_, run| all.join(run))?;
        let UnitState { inferred, videos, told: Told { ledger, damage, facts, warnings } } = all;
        let refused = |nulls: &Nulls| match self.options.steps.as_ref() {
            Some(spec) if self.options.refuse_empty && self.aligns => refuse_empty(spec, nulls),
            Some(_) | None => Ok(()),
        };
        let mut damage: Vec<DamageEntry> = damage.into_vec().iter().map(DamageEntry::from).collect();
        damage.extend(self.quarantined());
        self.refuse_no_rows(&ledger, writer.n_rows(), damage.is_empty())?;
        let met = warnings.into_vec();
        let told = |kind| {
            let met = met.iter().filter(move |it| it.kind == kind);
            source.findings_of(kind).chain(met).map(DamageEntry::from).collect::<Vec<_>>()
        };
        let mut schema = match &self.options.schema {
            Some(declared) => declared.clone(),
            None => inferred.finish(),
        };
        if schema.splits.is_empty() {
            schema.splits = self.dealt.names.clone();
        }
        seconds.insert("total".to_owned(), self.started.elapsed().as_secs_f64());
        let report = Report {
            damage,
            repairs: told(FindingKind::Repair),
            warnings: told(FindingKind::Warning),
            not_selected: source.unselected.clone(),
            definitions: self.definitions.clone(),
            not_read: self.opened.not_read.clone(),
            seconds,
            peak_heap_bytes: self.options.peak_heap.map(|it| it()),
            units_reused: reused.n_units as u64,
            records_reused: reused.n_records,
            made_bytes: reused.made_bytes,
            units: writer.units().len() as u64,
            inputs_seen: hashes.seen()?,
            ..Report::default()
        };
        let episodes = learned(&source.episodes, facts);
        let videos = videos.with_those_of(source);
        let (manifest, report) = writer.finish(RunFacts {
            converter: self.opened.format.name(),
            recipe: &self.recipe.to_json(),
            input_digests: &input_digests,
            schema_json: schema.to_json(),
            ledger,
            report,
            source,
            episodes: &episodes,
            videos: &videos,
            check_nulls: &refused,
            read_input: &|input, range| self.read_input(input, &range),
            content_of: &|it| self.content_of(it),
        })?;
        // Maps of every input and texts of every episode: nobody has to wait until they are gone.
        let opened = self.opened;
        drop(std::thread::Builder::new().spawn(move || drop((opened, hashes))));
        Ok(Converted { manifest, report, unchanged: false })
    }

    /// A dataset without a row, of a source that has records, is not what anybody asked for.
    fn refuse_no_rows(&self, ledger: &Ledger, n_written: u64, is_sound: bool) -> Result<()> {
        let n_read: u64 = ledger.values().map(|it| it.read).sum();
        // What damage or a rule left out is told by the report, and by the exit code.
        let is_told = !is_sound || ledger.values().any(|it| !it.is_complete());
        if n_written != 0 || n_read == 0 || is_told {
            return Ok(());
        }
        let message = format!("{n_read} records were read, and not a row comes of them");
        let hint = match self.options.steps {
            Some(_) => {
                "no step has a message in reach: `node-data inspect` shows when topics have messages; a wider \
                        `tolerance_ms`, or `beyond: null`, keeps steps"
            }
            None => "`node-data inspect` shows what there is",
        };
        Err(Error::new(ErrorKind::Empty, message)
            .at(Locus::path(told(&self.options.sources)))
            .with_hint(hint))
    }

    /// Episodes in quarantine, as the report names them.
    fn quarantined(&self) -> Vec<DamageEntry> {
        let episodes = self.source().episodes.iter().enumerate();
        let quarantined = episodes.filter_map(|(idx, it)| {
            let reason = self.options.quarantine.get(&it.key)?;
            Some(DamageEntry {
                message: format!("the episode is kept out of the splits: {reason}"),
                at: format!("episode {idx} ({})", it.key),
                reason: "quarantined".to_owned(),
                times: 1,
                ..DamageEntry::default()
            })
        });
        quarantined.collect()
    }

    /// What an attachment holds.
    fn content_of(&self, attachment: &Attachment) -> Result<Bytes> {
        let InputRange { input, byte_range } = &attachment.content;
        match &attachment.unpacked {
            Some(Unpacked(content)) => {
                let path = &self.source().inputs[*input].path;
                content.read_at(0..content.n_bytes()).map_err(|err| err.at(place(path, byte_range)))
            }
            None => self.read_input(*input, byte_range),
        }
    }

    /// Some bytes of an input.
    fn read_input(&self, input: usize, range: &Range<u64>) -> Result<Bytes> {
        let path = &self.source().inputs[input].path;
        let bytes = self.opened.files.open(path).and_then(|it| it.read_at(range.clone()));
        bytes.map_err(|err| err.at(place(path, range)))
    }
}

/// Where a range of a file begins.
fn place(path: &Path, range: &Range<u64>) -> Locus {
    Locus { byte_offset: Some(range.start), ..Locus::path(path) }
}

/// What a run did not have to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reused {
    pub(crate) n_units: usize,
    /// See [`Report::records_reused`].
    pub(crate) n_records: Option<u64>,
    /// See [`Report::made_bytes`].
    pub(crate) made_bytes: Option<u64>,
}

/// Says what is kept of a run that was stopped: finished units, and by unit the records of those that were begun.
pub(crate) fn told_if_stopped(
    err: Error,
    n_kept: usize,
    n_units: usize,
    begun: &BTreeMap<usize, u64>,
) -> Error {
    if err.kind() != ErrorKind::Interrupted {
        return err;
    }
    let n_records: u64 = begun.values().sum();
    let of_others = match n_records {
        0 => String::new(),
        1 => " and 1 record of the next".to_owned(),
        n => format!(" and {n} records of the next"),
    };
    Error::new(
        ErrorKind::Interrupted,
        match (n_kept, n_records) {
            (0, 0) => format!("none of {n_units} units was finished yet; the same command starts anew"),
            _ => format!(
                "{n_kept} of {n_units} units{of_others} are kept; the same command goes on from there"
            ),
        },
    )
}

/// The episodes of a plan with what reading told of them.
fn learned(episodes: &[EpisodeInfo], facts: BTreeMap<usize, EpisodeFacts>) -> Vec<EpisodeInfo> {
    let mut episodes = episodes.to_vec();
    for (episode, EpisodeFacts { task, metadata }) in facts {
        let Some(info) = episodes.get_mut(episode) else { continue };
        info.task = task.or(info.task.take());
        info.metadata.extend(metadata.into_iter().map(|(name, fact)| (name.into(), fact)));
    }
    episodes
}

/// The length that a schema declares for a vector.
fn length_of(declared: &Schema, stream: &str, feature: &str) -> Option<u32> {
    match declared.stream(stream)?.get(feature)?.shape.as_slice() {
        [Dim::Fixed(n)] => Some(*n),
        _ => None,
    }
}

/// Opens the source of a conversion, as far as its rows.
pub(crate) fn open_for(
    formats: &Formats,
    options: &ConvertOptions,
    known: &[Learned],
) -> Result<OpenedSource> {
    // A rate that is none is told before anything is read.
    options.step_flags.clock()?;
    let open = OpenOptions {
        salvage: options.on_error == OnError::Salvage,
        // Where samples belong to episodes, these are dealt.
        deal: options.splits.rows().filter(|_| options.grouped.is_none()),
        // Where the output is to be, there is room for what is as large.
        scratch: std::path::absolute(&options.out)
            .ok()
            .and_then(|out| out.ancestors().skip(1).find(|it| it.is_dir()).map(std::path::Path::to_owned)),
        frames: options.steps.as_ref().map(StepSpec::frames).unwrap_or_default(),
        episode_facts: options.splits.needs_facts(&options.episodes) || options.episodes.needs_facts(),
        ..options.open.clone()
    };
    open_knowing(formats, &options.sources, options.from.as_deref(), &open, known)
}

/// The dataset is there already. What a killed run may have left beside it is of no use any more.
pub(crate) fn unchanged(dataset: Dataset) -> Result<Converted> {
    dataset.root().map_or(Ok(()), nodedata_dataset::tidy_up)?;
    let report = dataset.report()?;
    Ok(Converted { manifest: Arc::unwrap_or_clone(dataset.manifest), report, unchanged: true })
}

/// A schema that cannot hold, whatever the rows are: the first reason, and all of them in the message.
fn refusal(found: &[Violation]) -> Error {
    let Some(first) = found.first().map(Violation::to_error) else {
        return Error::new(ErrorKind::SchemaMismatch, "the schema does not fit the source");
    };
    first.with_others(found.iter().skip(1).map(|it| format!("also: {it}")))
}

/// Where the definitions of streams are from that their recordings do not define.
fn definitions(streams: &[StreamSchema]) -> BTreeMap<String, String> {
    let of_stream = |it: &StreamSchema| {
        let told = it.metadata.get("definition").filter(|it| *it != "embedded")?;
        Some((it.name.to_string(), told.clone()))
    };
    streams.iter().filter_map(of_stream).collect()
}
