use std::{collections::BTreeMap, ops::Range};

use arrow_array::{cast::AsArray, types::Int64Type};
use nodedata_core::{ReadOptions, Result, RowSpan, Source, TIMESTAMP_NS};

use crate::{
    AlignedSource, StepTransform,
    align::{Choice, NO_ROW},
    mapping::{Field, Mapping, Value, Way},
    track::Track,
    transform::shift_of,
};

/// One step of an episode, by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepAt {
    /// By the source's own clock, in nanoseconds.
    pub time_ns: i64,
    /// Which of the steps of that time, from 0: two messages of a clock may have one.
    pub nth: usize,
}

/// What one field of a step is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldOrigin {
    /// Its name.
    pub field: String,
    /// Whether it has the same value at every step, which no message gives.
    pub is_constant: bool,
    /// In order of topic and time; none where no message is in reach.
    pub messages: Vec<MessageOrigin>,
}

/// A message that a field takes a value of.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageOrigin {
    /// The stream: its topic.
    pub topic: String,
    /// Columns of the topic that are taken.
    pub columns: Vec<String>,
    /// Its time, by which it was chosen.
    pub time_ns: i64,
    /// How much of it counts, where the field lies between two messages.
    pub weight: Option<f64>,
    /// Position in [`nodedata_core::SourcePlan::inputs`].
    pub input: usize,
    /// The record itself, or the chunk that holds it.
    pub byte_range: Range<u64>,
    /// Which of the topic's records in that range, from 0.
    pub record: u64,
}

/// What a field is made of at the step `idx` among those around a piece.
pub(crate) fn field_origin(
    mapping: &Mapping,
    field: &Field,
    tracks: &[Track],
    chosen: &[BTreeMap<Way, Choice>],
    idx: usize,
) -> FieldOrigin {
    let mut messages: Vec<MessageOrigin> = Vec::new();
    for part in field.value.parts() {
        let stream = &mapping.streams[part.stream];
        let column = stream.schema.field(part.column).name();
        let Some(choice) = chosen[part.stream].get(&field.way) else { continue };
        for (row, weight) in rows_of(choice, idx) {
            let track = &tracks[part.stream];
            let Some(RowSpan { input, byte_range, first_record, .. }) = track.span(row) else { continue };
            let time_ns = track.stamps[row];
            let same = |it: &&mut MessageOrigin| {
                it.topic == *stream.name
                    && (it.input, &it.byte_range, it.record) == (input, &byte_range, first_record)
            };
            match messages.iter_mut().find(same) {
                Some(known) => known.columns.push(column.clone()),
                None => messages.push(MessageOrigin {
                    topic: stream.name.to_string(),
                    columns: vec![column.clone()],
                    time_ns,
                    weight,
                    input,
                    byte_range,
                    record: first_record,
                }),
            }
        }
    }
    let is_constant = matches!(field.value, Value::Constant(_));
    FieldOrigin { field: field.feature.name.clone(), is_constant, messages }
}

/// The rows that give a step its value, each with how much of it counts where there are two.
fn rows_of(choice: &Choice, idx: usize) -> Vec<(usize, Option<f64>)> {
    let row = |it: Option<&u32>| it.filter(|it| **it != NO_ROW).map(|it| *it as usize);
    let (before, after) = (row(choice.rows.get(idx)), row(choice.after.get(idx)));
    let weight = choice.weights.get(idx).copied().unwrap_or(0.0);
    match (before, after) {
        (Some(before), Some(after)) if before != after && weight > 0.0 => {
            vec![(before, Some(1.0 - weight)), (after, Some(weight))]
        }
        (Some(before), _) => vec![(before, None)],
        (None, _) => Vec::new(),
    }
}

impl AlignedSource {
    /// Of which messages each field of a step is made, those of another step where the field is shifted; `None` where the episode has no such step. `episode` is its position
    /// in the plan.
    ///
    /// # Errors
    /// What reading reports.
    pub fn made_of(&self, episode: usize, step: StepAt) -> Result<Option<Vec<FieldOrigin>>> {
        let Some(mut found) = self.aligned_of(episode, step)? else { return Ok(None) };
        let fields = &self.shared().spec.fields;
        for (field, shift) in fields.iter().filter_map(|it| Some((it, shift_of(it)?.0))) {
            let Some(origin) = found.iter_mut().find(|it| it.field == field.name) else { continue };
            let beside = match self.beside(episode, step, shift)? {
                Some(step) => self.aligned_of(episode, step)?,
                None => None,
            };
            let beside = beside.and_then(|all| all.into_iter().find(|it| it.field == field.name));
            origin.messages = beside.map(|it| it.messages).unwrap_or_default();
        }
        Ok(Some(found))
    }

    /// The step that many later, or earlier, as shifts count them; `None` outside of the episode.
    fn beside(&self, episode: usize, step: StepAt, shift: i32) -> Result<Option<StepAt>> {
        let times = self.times_of(episode)?;
        let at = times.iter().enumerate().filter(|it| *it.1 == step.time_ns).nth(step.nth);
        let beside = at.and_then(|(at, _)| at.checked_add_signed(isize::try_from(shift).ok()?));
        let found = beside.and_then(|it| Some((it, *times.get(it)?)));
        Ok(found.map(|(at, time_ns)| StepAt {
            time_ns,
            nth: times[..at].iter().filter(|it| **it == time_ns).count(),
        }))
    }

    /// The times of all steps of an episode that transforms of whole steps leave.
    fn times_of(&self, episode: usize) -> Result<Vec<i64>> {
        let mut times: Vec<i64> = Vec::new();
        let mut is_padding = false;
        let mut flags = self.shared().spec.transform.iter().map(|it| match it {
            StepTransform::DropLastPadding { field } => field.as_str(),
        });
        let flag = flags.next_back();
        let makes_steps = self.makes_steps();
        for (idx, partition) in self.plan().partitions.iter().enumerate() {
            if partition.episode != episode || !makes_steps[idx] {
                continue;
            }
            let mut rows = self.read(idx, &ReadOptions::default())?;
            loop {
                let batch = match rows.next_batch() {
                    Ok(Some(batch)) => batch.rows,
                    Ok(None) => break,
                    Err(err) if err.loss().is_some() => continue,
                    Err(err) => return Err(err),
                };
                let of_batch =
                    batch.column_by_name(TIMESTAMP_NS).and_then(|it| it.as_primitive_opt::<Int64Type>());
                times.extend(of_batch.into_iter().flat_map(|it| it.values().iter().copied()));
                let flags = flag.and_then(|it| batch.column_by_name(it)?.as_boolean_opt());
                is_padding = flags.is_some_and(|it| it.iter().last() == Some(Some(true)));
            }
        }
        if is_padding {
            times.pop();
        }
        Ok(times)
    }

    /// As [`Self::made_of`], before anything is shifted.
    fn aligned_of(&self, episode: usize, step: StepAt) -> Result<Option<Vec<FieldOrigin>>> {
        let partitions = self.plan().partitions.iter().enumerate().filter(|it| it.1.episode == episode);
        for (idx, partition) in partitions {
            if let Some(found) = self.shared().made_of(idx, partition, step)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
