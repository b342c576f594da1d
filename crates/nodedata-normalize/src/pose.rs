//! Poses of frames: the tree of transforms of a recording, rebuilt as whoever listens to its topics would.

mod placed;
mod read;
mod tree;

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{ArrayRef, FixedSizeListArray, Float64Array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field as ArrowField};
use nodedata_core::{Error, ErrorKind, Finding, Locus, Result, placed::Mistake, suggest};

pub(crate) use self::read::Trees;
use self::tree::Missing;
use crate::{
    Beyond, StepSpec,
    absent::Missing as Steps,
    flat::retyped,
    mapping::{Field, Pose, Value},
    piece::PieceReader,
    recording::Recording,
    store::Store,
};

/// Frames that are remembered for hints: they come from files.
const REMEMBERED_MAX: usize = 256;
/// Why steps are without a pose, as findings say it.
const NO_TRANSFORM: &str = "no_transform";

/// Frames that no message of their topics names.
///
/// # Errors
/// What reading reports.
pub(crate) fn mistakes(store: &Store, spec: &StepSpec, recordings: &[Recording]) -> Result<Vec<Mistake>> {
    let mut mistakes = Vec::new();
    for (field, mapped) in spec.fields.iter().zip(&store.mapping.fields) {
        let Value::Pose(pose) = &mapped.value else { continue };
        let mut lacking = vec![("of", &pose.of), ("in", &pose.within)];
        let mut met: Vec<String> = Vec::new();
        for (idx, recording) in recordings.iter().enumerate() {
            if lacking.is_empty() {
                break;
            }
            let tree = store.trees.of(store, idx, &recording.survey, &pose.topics)?;
            let names = tree.names();
            lacking.retain(|it| !names.contains(it.1.as_ref()));
            let room = REMEMBERED_MAX.saturating_sub(met.len());
            met.extend(names.into_iter().take(room).map(str::to_owned));
        }
        if recordings.is_empty() {
            continue;
        }
        mistakes.extend(lacking.into_iter().map(|(key, frame)| {
            let place = format!("fields.{}.pose.{key}", field.name);
            let mistake = Mistake::new(place, format!("no transform names the frame `{frame}`"));
            mistake.with_hint(suggest(frame, met.iter().map(String::as_str)))
        }));
    }
    Ok(mistakes)
}

impl PieceReader<'_> {
    /// The column of a field that is a pose.
    ///
    /// # Errors
    /// `Corrupt` for frames that form a loop, and for a step without a pose where the pipeline says `fail`; what reading
    /// reports.
    pub(crate) fn posed(
        &self,
        field: &Field,
        pose: &Pose,
        own: &[i64],
        steps: &mut Steps,
    ) -> Result<ArrayRef> {
        let survey = &self.recording.survey;
        let tree = self.store.trees.of(self.store, self.piece.recording, survey, &pose.topics)?;
        let (mut values, mut valid) = (Vec::with_capacity(own.len() * 7), Vec::with_capacity(own.len()));
        let mut lacking: BTreeMap<Missing, u64> = BTreeMap::new();
        for (step, time) in own.iter().enumerate() {
            if self.skipped(*time).is_some() {
                values.extend([0.0; 7]);
                valid.push(false);
                continue;
            }
            let missing = match tree.pose(&pose.of, &pose.within, *time, pose.reach_ns) {
                Ok(placed) => {
                    values.extend(placed.told());
                    valid.push(true);
                    continue;
                }
                Err(missing) => missing,
            };
            values.extend([0.0; 7]);
            valid.push(false);
            let is_refused = field.beyond == Beyond::Fail && !steps.is_left_out(step);
            if matches!(missing, Missing::Loop(_)) || is_refused {
                let message =
                    format!("field `{}`: {}, at {time} ns", field.feature.name, told(&missing, pose));
                let hint = match missing {
                    Missing::Loop(_) => {
                        "two publishers give one frame two parents: name the topics of one with `from`"
                    }
                    Missing::At(_) | Missing::Apart(..) => {
                        "a wider `tolerance_ms`, or `beyond: null` or `beyond: drop`, lets the run go on"
                    }
                };
                return Err(Error::new(ErrorKind::Corrupt, message)
                    .at(self.of_pose(field, pose, step))
                    .with_hint(hint));
            }
            if field.beyond == Beyond::Drop {
                steps.leave_out(step, "beyond_tolerance");
            }
            *lacking.entry(missing).or_default() += 1;
        }
        let n_lacking: u64 = lacking.values().sum();
        if n_lacking != 0 {
            *steps.beyond.entry(field.feature.name.clone()).or_default() += n_lacking;
        }
        for (missing, n) in lacking {
            let are = if n == 1 { "step is" } else { "steps are" };
            let name = &field.feature.name;
            let message =
                format!("field `{name}`: {n} {are} without a pose, because {}", told(&missing, pose));
            let at = Locus { feature: Some(name.clone()), ..self.of_pose(field, pose, 0) };
            let at = Locus { step_idx: None, ..at };
            steps.warnings.push(Finding { reason: NO_TRANSFORM.to_owned(), ..Finding::warning(message, at) });
        }
        let item = Arc::new(ArrowField::new("item", DataType::Float64, true));
        let valid = valid.contains(&false).then(|| NullBuffer::from(valid));
        let column = FixedSizeListArray::new(item, 7, Arc::new(Float64Array::from(values)), valid);
        Ok(retyped(Arc::new(column), &field.feature.arrow_type()))
    }

    fn of_pose(&self, field: &Field, pose: &Pose, step: usize) -> Locus {
        let topic = pose.topics.first().map(|it| self.store.mapping.streams[it.stream].name.to_string());
        Locus { topic, ..self.locus(field, step) }
    }
}

/// Why there is no pose, by the names of the frames.
fn told(missing: &Missing, pose: &Pose) -> String {
    match missing {
        Missing::At(frame) => {
            let reach = match pose.reach_ns {
                Some(ns) if ns != i64::MAX => format!(" within {} ms of the step", ns as f64 / 1e6),
                Some(_) => " around the step".to_owned(),
                None => " within ten of its periods around the step".to_owned(),
            };
            format!("no transforms of `{frame}` lie{reach}")
        }
        Missing::Apart(one, other) => {
            format!(
                "no transform joins `{}` and `{}`: their trees end in `{one}` and `{other}`",
                pose.of, pose.within
            )
        }
        Missing::Loop(frames) => {
            let first = frames.first().map(String::as_str).unwrap_or_default();
            format!("the frames {} → {first} form a loop", frames.join(" → "))
        }
    }
}
