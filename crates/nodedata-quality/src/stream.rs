use arrow_array::{Array, RecordBatch, cast::AsArray, types::Int64Type};
use nodedata_core::{Storage, StreamKind, StreamSchema};

use crate::{
    Pace, QualityFinding, Rule, Rules, StreamSummary, episode::EpisodeMeasure, nulls::columns_of,
    numbers::NumbersPlan, pace::time_column,
};

/// The rules at work on one stream. Rows come by episode, in order; one episode is in memory.
#[derive(Debug, Clone)]
pub struct StreamCheck {
    rules: Rules,
    pub(crate) stream: StreamSchema,
    pub(crate) numbers: Vec<NumbersPlan>,
    pub(crate) frames: Vec<usize>,
    /// The columns whose rows without a value are counted.
    pub(crate) nulls: Vec<usize>,
    current: Option<(u64, EpisodeMeasure)>,
    whole: Pace,
    rows: u64,
    findings: Vec<QualityFinding>,
}

impl StreamCheck {
    /// Gets ready for the rows of one stream.
    pub fn new(rules: &Rules, stream: &StreamSchema) -> Self {
        let features = || stream.features.iter().enumerate();
        // What a source of steps says of position and time is judged like any number of it.
        let is_judged = |idx: usize| stream.kind == StreamKind::Steps || !stream.is_built_in(idx);
        let numbers = features()
            .filter(|(idx, _)| is_judged(*idx))
            .filter_map(|(idx, it)| NumbersPlan::new(rules, &stream.name, idx, it))
            .collect();
        let wants_frames = rules.is_on(Rule::DuplicateFrames) || rules.is_on(Rule::RowCount);
        let is_media = |storage| match storage {
            Storage::EncodedMedia | Storage::RawMedia => true,
            Storage::Plain => false,
        };
        let frames = features().filter(|(_, it)| wants_frames && is_media(it.storage));
        Self {
            rules: rules.clone(),
            stream: stream.clone(),
            numbers,
            frames: frames.map(|(idx, _)| idx).collect(),
            nulls: columns_of(rules, stream),
            current: None,
            whole: Pace::default(),
            rows: 0,
            findings: Vec::new(),
        }
    }

    /// Positions of the columns that are looked at; others need not be read.
    pub fn columns(&self) -> Vec<usize> {
        let stamps = [time_column(&self.stream), crate::stamp_column(&self.stream)];
        let names = self.numbers.iter().filter_map(|it| self.names_beside(it.column));
        let mut columns: Vec<usize> = self.numbers.iter().map(|it| it.column).collect();
        columns.extend_from_slice(&self.nulls);
        columns.extend(stamps.into_iter().flatten().chain(self.frames.iter().copied()).chain(names));
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Takes in rows of one episode; columns are those of the stream, in order.
    pub fn observe(&mut self, episode: u64, rows: &RecordBatch) {
        if self.current.as_ref().map(|(it, _)| *it) != Some(episode) {
            self.end_episode();
        }
        let (_, mut measure) = self.current.take().unwrap_or_else(|| (episode, EpisodeMeasure::new(self)));
        for (nulls, column) in measure.nulls.iter_mut().zip(&self.nulls) {
            nulls.observe(rows.column(*column).as_ref(), measure.n_rows);
        }
        self.rows += rows.num_rows() as u64;
        self.whole.observe(&self.stream, rows);
        measure.n_rows += rows.num_rows() as u64;
        measure.pace.observe(&self.stream, rows);
        let times = time_column(&self.stream).and_then(|it| rows.column(it).as_primitive_opt::<Int64Type>());
        let times = times.filter(|it| it.null_count() == 0).map(|it| &it.values()[..]);
        for (numbers, plan) in measure.numbers.iter_mut().zip(&self.numbers) {
            numbers.observe(plan, rows.column(plan.column).as_ref(), times);
        }
        for (frames, column) in measure.frames.iter_mut().zip(&self.frames) {
            frames.observe(rows.column(*column).as_ref());
        }
        if measure.names.is_empty() {
            measure.names = self.names_of(rows);
        }
        self.current = Some((episode, measure));
    }

    /// Ends the last episode and hands out what was found, and what the stream was like.
    pub fn finish(mut self) -> (Vec<QualityFinding>, StreamSummary, Pace) {
        self.end_episode();
        let whole = self.whole;
        let summary = StreamSummary {
            name: self.stream.name.to_string(),
            rows: self.rows,
            first_ns: whole.first_ns,
            last_ns: whole.last_ns,
            rate_hz: whole.rate_hz(),
            jitter_ns: whole.jitter_ns(),
            longest_gap_ns: whole.longest_gap.map(|(gap, _)| gap),
            timeline: Vec::new(),
            intervals: whole.intervals(),
        };
        (self.findings, summary, whole)
    }

    fn end_episode(&mut self) {
        self.whole.end_episode();
        if let Some((episode, measure)) = self.current.take() {
            let mut found = Vec::new();
            measure.judge(&self.rules, self, episode, &mut |finding| found.push(finding));
            self.findings.append(&mut found);
        }
    }

    /// The column of names that stands beside a vector: `name` beside `position`.
    fn names_beside(&self, column: usize) -> Option<usize> {
        let feature = &self.stream.features[column];
        let folder = feature.name.rsplit_once('.').map_or("", |(folder, _)| folder);
        let is_name = |name: &str| match name.rsplit_once('.') {
            Some((at, last)) => at == folder && matches!(last, "name" | "names"),
            None => folder.is_empty() && matches!(name, "name" | "names"),
        };
        self.stream.features.iter().position(|it| is_name(&it.name) && it.shape.len() == 1)
    }

    /// The names that the first row gives to the elements of each vector, by position in the plan.
    fn names_of(&self, rows: &RecordBatch) -> Vec<Vec<String>> {
        let of = |column: usize| -> Option<Vec<String>> {
            let lists = rows.column(self.names_beside(column)?).as_list_opt::<i32>()?;
            let first = (lists.len() > 0 && lists.is_valid(0)).then(|| lists.value(0))?;
            let texts = first.as_string_opt::<i32>()?;
            Some(texts.iter().map(|it| it.unwrap_or_default().to_owned()).collect())
        };
        self.numbers.iter().map(|it| of(it.column).unwrap_or_default()).collect()
    }
}
