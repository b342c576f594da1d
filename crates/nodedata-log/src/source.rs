use std::{ops::Range, path::Path, sync::Arc};

use nodedata_core::{
    Attachment, EpisodeInfo, EpisodeStream, Error, ErrorKind, InputFile, Locus, OpenOptions, Partition,
    ReadOptions, Result, Source, StreamId, StreamSchema,
};

use crate::{
    LogFile, PlannedFile, Recording, Route, Routes, Selector, Times,
    inference::observe_messages,
    log_stream::LogRows,
    streams::{Joined, LogStream},
};

/// A log of any format: its recordings are episodes, its topics are streams.
pub struct LogSource<F> {
    options: OpenOptions,
    inputs: Vec<InputFile>,
    /// By input; `None` where nothing can be read.
    files: Vec<Option<F>>,
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

impl<F: LogFile> LogSource<F> {
    /// Joins the channels of all recordings into streams. `damage` is what was found besides that of the files.
    ///
    /// # Errors
    /// `Config` for a topic that is not there; `Io`; opened to fail, `Corrupt` or `Unsupported` for a schema that is
    /// missing or cannot be read.
    pub fn new(recordings: Vec<Recording<F>>, mut damage: Vec<Error>, options: &OpenOptions) -> Result<Self> {
        let mut episodes = Vec::new();
        let mut inputs = Vec::new();
        let mut files = Vec::new();
        let mut all_facts = Vec::new();
        let mut episode_of = Vec::new();
        for Recording { key, metadata, files: of_recording } in recordings {
            let metadata = metadata.into_iter().map(|(key, value)| (key.into(), value)).collect();
            episodes.push(EpisodeInfo { key, input: inputs.len(), task: None, split: None, metadata });
            for PlannedFile { input, log, facts } in of_recording {
                episode_of.push(episodes.len() - 1);
                inputs.push(input);
                files.push(log);
                all_facts.push(facts);
            }
        }
        let paths: Vec<&Path> = inputs.iter().map(|it| it.path.as_path()).collect();
        let joined = Joined::new(&mut all_facts, &paths, options)?;
        let mut attachments = Vec::new();
        let mut warnings = Vec::new();
        let mut partitions = Vec::new();
        let mut windows = Vec::new();
        for (input, facts) in all_facts.into_iter().enumerate() {
            let (routes, episode) = (&joined.routes[input], episode_of[input]);
            for it in facts.damage {
                let loss = it.cost.loss(|channel| routes.stream_id(channel));
                damage.push(it.error.at(Locus::path(paths[input])).with_loss(loss));
            }
            warnings.extend(facts.warnings);
            attachments.extend(facts.attachments.into_iter().map(|it| Attachment { episode, ..it }));
            let metadata = facts.metadata.into_iter().map(|(key, value)| (key.into(), value));
            episodes[episode].metadata.extend(metadata);
            let Some(file) = &files[input] else { continue };
            for units in windows_of(file, options.partition_bytes) {
                let (first, last) = (file.unit(units.start), file.unit(units.end - 1));
                partitions.push(Partition {
                    index: partitions.len(),
                    episode,
                    input,
                    byte_range: first.byte_range.start..last.byte_range.end,
                    decoded_bytes: units.clone().map(|it| file.unit(it).decoded_bytes).sum(),
                });
                windows.push(units);
            }
        }
        let mut inferences = joined.inferences(options);
        observe_messages(&mut inferences, &files, &joined.routes, options)?;
        let routes = joined.routes.clone();
        let unselected = joined.unselected.clone();
        let streams = joined.compile(inferences, F::CLOCK, &paths, options, &mut damage)?;
        Ok(Self {
            options: options.clone(),
            schemas: streams.iter().map(|it| it.schema.clone()).collect(),
            streams: streams.into(),
            routes,
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

    /// The rows of a partition, of those streams that the routes chosen lead to.
    fn rows(
        &self,
        partition: &Partition,
        options: &ReadOptions,
        choose: impl FnOnce(&Arc<Routes>) -> Arc<Routes>,
    ) -> Result<Box<dyn EpisodeStream>> {
        let planned = self.windows.get(partition.index).zip(self.partitions.get(partition.index));
        let file = planned.and_then(|(_, it)| self.files[it.input].as_ref());
        let Some(((units, planned), file)) = planned.zip(file) else {
            return Err(Error::new(
                ErrorKind::Config,
                format!("partition {} was asked for, but there are {}", partition.index, self.windows.len()),
            ));
        };
        let routes = choose(&self.routes[planned.input]);
        let selector = Selector::new(Arc::clone(&routes), self.options.time_range);
        Ok(Box::new(LogRows::new(
            file.messages(units.clone(), selector, &self.options),
            self.inputs[planned.input].path.clone(),
            routes,
            Arc::clone(&self.streams),
            options.clone(),
            self.options.record_bytes_max,
        )))
    }
}

impl<F: LogFile> Source for LogSource<F> {
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
        let file = self.files.get(partition.input)?.as_ref()?;
        let mut within: Option<(u64, u64)> = None;
        for unit in self.windows.get(partition.index)?.clone() {
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
