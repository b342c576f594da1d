use nodedata_core::{Source, SourcePlan, placed::Mistake};

use super::{
    End, StepTransform,
    dropped::DroppedSource,
    fit::{Op, fit, shift_of},
    mapped::MappedSource,
    shifted::{Shift, ShiftedSource},
    step_mistakes,
};
use crate::{FieldSpec, StepSpec, Unfit};

/// A source of steps with the transforms of whole steps over it: below the selection of its fields, which need not keep what
/// they go by. `makes_steps` says of which partitions steps come.
///
/// # Errors
/// All mistakes.
pub(crate) fn under_selection(
    mut source: Box<dyn Source>,
    transforms: &[StepTransform],
    makes_steps: &[bool],
) -> Result<Box<dyn Source>, Unfit> {
    let mistakes = step_mistakes(transforms, &source.plan().streams);
    if !mistakes.is_empty() {
        return Err(Unfit::Mistakes(mistakes));
    }
    for transform in transforms {
        source = match transform {
            StepTransform::DropLastPadding { field } => {
                Box::new(DroppedSource::new(source, makes_steps.to_vec(), field))
            }
        };
    }
    Ok(source)
}

/// Steps with the transforms of their fields over them.
///
/// # Errors
/// All mistakes.
pub(crate) fn over_steps(
    source: Box<dyn Source>,
    spec: &StepSpec,
    makes_steps: Vec<bool>,
) -> Result<Box<dyn Source>, Unfit> {
    refuse_cut_video(spec, source.plan())?;
    let mut mistakes = Vec::new();
    let mut plan = source.plan().clone();
    let (mut shifts, mut columns): (Vec<Shift>, Vec<(usize, Vec<Op>)>) = Default::default();
    let mut shifted = plan.clone();
    for field in spec.fields.iter().filter(|it| !it.transform.is_empty()) {
        let Some(column) = plan.streams[0].column(&field.name) else { continue };
        let features = &mut plan.streams[0].features;
        match fit(field, &features[column]) {
            Ok(fitted) => {
                features[column] = fitted.feature;
                shifted.streams[0].features[column] = fitted.shifted;
                shifts.extend(shifts_of(field, spec, column));
                if !fitted.ops.is_empty() {
                    columns.push((column, fitted.ops));
                }
            }
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if !mistakes.is_empty() {
        return Err(Unfit::Mistakes(mistakes));
    }
    let mut source = source;
    if !shifts.is_empty() {
        source = Box::new(ShiftedSource::new(source, shifted, makes_steps, shifts));
        // Parts and numbering as the shift leaves them.
        plan.partitions.clone_from(&source.plan().partitions);
    }
    if spec.fields.iter().any(|it| !it.transform.is_empty()) {
        source = Box::new(MappedSource::new(source, plan, columns));
    }
    Ok(source)
}

/// The shift of a column, and of the one beside it that says how far its messages were away.
fn shifts_of(field: &FieldSpec, spec: &StepSpec, column: usize) -> Vec<Shift> {
    let Some((steps, end)) = shift_of(field) else { return Vec::new() };
    let has_skew = field.skew.unwrap_or(spec.skew);
    let columns = std::iter::once(column).chain(has_skew.then_some(column + 1));
    columns.map(|column| Shift { column, steps, end }).collect()
}

/// Coded video is a chain of samples as long as the episode: no step of it can be left out.
fn refuse_cut_video(spec: &StepSpec, plan: &SourcePlan) -> Result<(), Unfit> {
    let Some(video) = plan.videos.first() else { return Ok(()) };
    let of_field = |field: &FieldSpec| {
        let idx = field
            .transform
            .iter()
            .position(|it| matches!(it, super::FieldTransform::Shift { end: End::Drop, .. }))?;
        Some(format!("fields.{}.transform[{idx}]", field.name))
    };
    let of_steps = spec.transform.iter().enumerate().map(|(idx, it)| match it {
        StepTransform::DropLastPadding { .. } => format!("steps.transform[{idx}]"),
    });
    let mistakes: Vec<Mistake> = of_steps
        .chain(spec.fields.iter().filter_map(of_field))
        .map(|key| {
            let message = format!(
                "steps are left out, but `{}` is coded video, which needs all of them",
                video.feature
            );
            let hint = format!("decode it: `fields.{}.encoding: png`", video.feature);
            Mistake::new(key, message).with_hint(hint)
        })
        .collect();
    if mistakes.is_empty() { Ok(()) } else { Err(Unfit::Mistakes(mistakes)) }
}

/// Names in each partition that steps come of which part of its episode it is: what lies beside it decides rows of it.
pub(super) fn in_parts(plan: &mut SourcePlan, makes_steps: &[bool], why: &str) {
    let episodes: Vec<usize> = plan.partitions.iter().map(|it| it.episode).collect();
    let makes = |idx: &usize| makes_steps.get(*idx).copied().unwrap_or(true);
    let mut start = 0;
    while start < episodes.len() {
        let end =
            (start..episodes.len()).find(|it| episodes[*it] != episodes[start]).unwrap_or(episodes.len());
        let parts: Vec<usize> = (start..end).filter(makes).collect();
        for (number, idx) in parts.iter().enumerate() {
            let recipe = &mut plan.partitions[*idx].recipe;
            recipe.push_str(&format!("; {why}: part {} of {}", number + 1, parts.len()));
        }
        start = end;
    }
}
