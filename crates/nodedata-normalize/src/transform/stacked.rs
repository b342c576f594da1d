use nodedata_core::{Feature, Source, SourcePlan, placed::Mistake};

use super::{
    CodedField, DELTA, DeltaEnd, End, FieldTransform, SHIFTED, StepTransform,
    dropped::DroppedSource,
    fit::{Fitted, Op, coded_fields, fit_all, idle_companions},
    mapped::{Change, MappedSource},
    shifted::{Makes, Shift, ShiftedSource},
    step_mistakes,
};
use crate::{
    FieldSpec, StepSpec, Unfit,
    mapping::{Companions, skew_name},
};

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

/// Steps with the transforms of their fields over them, and the fields whose pictures are to become video once no step is left out any
/// more. `companions` are the columns that say what the values of others are.
///
/// # Errors
/// All mistakes.
pub(crate) fn over_steps(
    mut source: Box<dyn Source>,
    spec: &StepSpec,
    makes_steps: Vec<bool>,
    companions: &Companions,
) -> Result<(Box<dyn Source>, Vec<CodedField>), Unfit> {
    refuse_cut_video(spec, source.plan())?;
    let of_source = &source.plan().streams[0].features;
    let all = fit_all(&spec.fields, of_source, companions).map_err(Unfit::Mistakes)?;
    if all.is_empty() {
        return Ok((source, Vec::new()));
    }
    let coded = coded_fields(&all, of_source, companions);
    let shifts: Vec<Shift> =
        all.iter().flat_map(|it| shifts_of(it, spec, of_source, companions.get(&it.column))).collect();
    if !shifts.is_empty() {
        let plan = planned(source.as_ref(), &all, |it| &it.shifted);
        source = Box::new(ShiftedSource::new(source, plan, makes_steps.clone(), shifts, SHIFTED));
    }
    if all.iter().any(|it| !it.before.is_empty()) {
        let plan = planned(source.as_ref(), &all, |it| &it.between);
        let changes = changes(&all, companions, |it| &it.before);
        source = Box::new(MappedSource::new(source, plan, changes, Vec::new()));
    }
    let deltas: Vec<Shift> = all.iter().filter_map(delta_of).collect();
    if !deltas.is_empty() {
        let plan = planned(source.as_ref(), &all, |it| &it.differed);
        source = Box::new(ShiftedSource::new(source, plan, makes_steps, deltas, DELTA));
    }
    let plan = planned(source.as_ref(), &all, |it| &it.feature);
    let changes = changes(&all, companions, |it| &it.ops);
    let mapped = MappedSource::new(source, plan, changes, idle_companions(&all, companions));
    Ok((Box::new(mapped), coded))
}

/// The plan of a source with other features.
fn planned(source: &dyn Source, all: &[Fitted], feature: impl Fn(&Fitted) -> &Feature) -> SourcePlan {
    let mut plan = source.plan().clone();
    for fitted in all {
        plan.streams[0].features[fitted.column] = feature(fitted).clone();
    }
    plan
}

fn changes(all: &[Fitted], companions: &Companions, ops: impl Fn(&Fitted) -> &Vec<Op>) -> Vec<Change> {
    let change = |it: &Fitted| Change {
        column: it.column,
        ops: ops(it).clone(),
        beside: companions.get(&it.column).cloned().unwrap_or_default(),
    };
    all.iter().filter(|it| !ops(it).is_empty()).map(change).collect()
}

/// The shift of a column, and of those beside it: the one that says how far its messages were away, and those that say what its values
/// are.
fn shifts_of(
    fitted: &Fitted,
    spec: &StepSpec,
    features: &[Feature],
    companions: Option<&Vec<usize>>,
) -> Vec<Shift> {
    let Some((steps, end)) = fitted.shift else { return Vec::new() };
    let column = fitted.column;
    let field = spec.fields.iter().find(|it| it.name == fitted.feature.name);
    let is_wanted = field.and_then(|it| it.skew).unwrap_or(spec.skew);
    // A pose has no such column, whatever is said of all fields: what stands behind it is another field.
    let name = skew_name(&fitted.feature.name);
    let has_skew = is_wanted && features.get(column + 1).is_some_and(|it| it.name == name);
    let columns = std::iter::once(column).chain(has_skew.then_some(column + 1));
    let columns = columns.chain(companions.into_iter().flatten().copied());
    columns.map(|column| Shift { column, steps, end, makes: Makes::Value }).collect()
}

/// The difference of a column to another step.
fn delta_of(fitted: &Fitted) -> Option<Shift> {
    let (steps, end) = fitted.delta?;
    let (end, makes) = match end {
        DeltaEnd::Null => (End::Null, Makes::Difference),
        DeltaEnd::Drop => (End::Drop, Makes::Difference),
        DeltaEnd::Zero => (End::Null, Makes::DifferenceOrZero),
    };
    Some(Shift { column: fitted.column, steps, end, makes })
}

/// Coded video is a chain of samples as long as the episode: no step of it can be left out.
fn refuse_cut_video(spec: &StepSpec, plan: &SourcePlan) -> Result<(), Unfit> {
    let Some(video) = plan.videos.first() else { return Ok(()) };
    let of_field = |field: &FieldSpec| {
        let idx = field.transform.iter().position(|it| match it {
            FieldTransform::Shift { end, .. } => *end == End::Drop,
            FieldTransform::Delta { end, .. } => *end == DeltaEnd::Drop,
            _ => false,
        })?;
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
pub(crate) fn in_parts(plan: &mut SourcePlan, makes_steps: &[bool], why: &str) {
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
