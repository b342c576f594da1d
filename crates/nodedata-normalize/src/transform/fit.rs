use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::{Feature, meta, placed::Mistake, suggest};

use super::{
    Against, DeltaEnd, End, FieldTransform, FrameCoding,
    coded::{self, CodedField, keyframe_name},
    fit_ops::{Refusal, after, op_of},
    images::ImageOp,
    minus::Minus,
    numbers::{NumberOp, Which},
    points::Points,
    rotation::Rotate,
    slice::Slice,
    with_fact,
};
use crate::{FieldSpec, mapping::Companions};

/// What is done to the values of one column, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    Numbers(NumberOp, Which),
    Slice(Slice),
    Rotate(Rotate),
    /// What another column has at that row is taken away.
    Minus(Minus),
    Codes,
    Images(ImageOp),
    /// Clips of sound become FLAC.
    Flac,
    Points(Points),
}

/// A field whose transforms fit its values. What is done to them comes in this order: they are those of other steps; each is
/// changed by itself; those of other steps are taken away; each is changed by itself.
pub(super) struct Fitted {
    pub(super) column: usize,
    pub(super) shift: Option<(i32, End)>,
    /// What the values are behind the shift.
    pub(super) shifted: Feature,
    /// What is done row by row before a difference of steps.
    pub(super) before: Vec<Op>,
    /// What the values are then.
    pub(super) between: Feature,
    pub(super) delta: Option<(i32, DeltaEnd)>,
    /// What the values are behind the difference.
    pub(super) differed: Feature,
    /// What is done row by row at the end.
    pub(super) ops: Vec<Op>,
    /// What comes of it, but for video.
    pub(super) feature: Feature,
    /// The video that its pictures become, behind everything that is done to steps: they are left as they are until then.
    coded: Option<CodedField>,
}

impl Fitted {
    /// Whether the columns that say what the values are say it no more.
    pub(super) fn uses_companions(&self) -> bool {
        let uses = |it: &Op| matches!(it, Op::Images(_) | Op::Points(_));
        self.before.iter().chain(&self.ops).any(uses)
    }
}

/// The shift of a field.
pub(crate) fn shift_of(field: &FieldSpec) -> Option<(i32, End)> {
    field.transform.iter().find_map(|it| match it {
        FieldTransform::Shift { steps, end } => Some((*steps, *end)),
        _ => None,
    })
}

/// The features of a step once the fields are transformed.
///
/// # Errors
/// All mistakes: a transform that does not take what the field is.
pub(crate) fn fitted(
    fields: &[FieldSpec],
    mut features: Vec<Feature>,
    companions: &Companions,
) -> Result<Vec<Feature>, Vec<Mistake>> {
    let all = fit_all(fields, &features, companions)?;
    let dropped = idle_companions(&all, companions);
    let coded = coded_fields(&all, &features, companions);
    for fitted in all {
        features[fitted.column] = fitted.feature;
    }
    let mut at = 0..;
    features.retain(|_| at.next().is_none_or(|it| !dropped.contains(&it)));
    Ok(coded::features(&features, &coded))
}

/// The fields whose pictures become video, with the columns that say what their frames are.
pub(super) fn coded_fields(all: &[Fitted], features: &[Feature], companions: &Companions) -> Vec<CodedField> {
    let of = |it: &Fitted| {
        let beside = companions.get(&it.column).into_iter().flatten();
        let names = beside.filter_map(|column| Some(features.get(*column)?.name.clone()));
        Some(it.coded.clone()?.told_by(names.collect()))
    };
    all.iter().filter_map(of).collect()
}

/// The columns that say what the values of others were, in order.
pub(super) fn idle_companions(all: &[Fitted], companions: &Companions) -> Vec<usize> {
    let of = |it: &Fitted| companions.get(&it.column).into_iter().flatten().copied();
    let mut idle: Vec<usize> = all.iter().filter(|it| it.uses_companions()).flat_map(of).collect();
    idle.sort_unstable();
    idle
}

/// Holds the transforms of all fields against what their values are. One that is compared with another comes behind it.
///
/// # Errors
/// All mistakes.
pub(super) fn fit_all(
    fields: &[FieldSpec],
    features: &[Feature],
    companions: &Companions,
) -> Result<Vec<Fitted>, Vec<Mistake>> {
    let column = |name: &str| features.iter().position(|it| it.name == *name);
    let mut waiting: Vec<(&FieldSpec, usize)> = fields
        .iter()
        .filter(|it| !it.transform.is_empty())
        .filter_map(|it| Some((it, column(&it.name)?)))
        .collect();
    let names: Vec<&str> = fields.iter().map(|it| it.name.as_str()).collect();
    let mut known: BTreeMap<&str, (usize, Feature)> = fields
        .iter()
        .filter(|it| it.transform.is_empty())
        .filter_map(|it| column(&it.name).map(|at| (it.name.as_str(), (at, features[at].clone()))))
        .collect();
    let (mut done, mut mistakes) = (Vec::new(), Vec::new());
    // Fields with a mistake: what is compared with one of them says nothing new.
    let mut failed: BTreeSet<&str> = BTreeSet::new();
    while !waiting.is_empty() {
        let waits = |name: &str| waiting.iter().any(|(it, _)| it.name == name);
        let is_ready = |field: &FieldSpec| {
            field.transform.iter().filter_map(against).all(|it| it == field.name || !waits(it))
        };
        let (ready, others): (Vec<_>, Vec<_>) = waiting.iter().copied().partition(|it| is_ready(it.0));
        if ready.is_empty() {
            mistakes.extend(others.iter().filter_map(|(field, _)| in_circle(field)));
            break;
        }
        for (field, column) in ready {
            let follows = field.transform.iter().filter_map(against).any(|it| failed.contains(it));
            let fit =
                Fit { field, companions: companions.contains_key(&column), known: &known, names: &names };
            match (follows, fit.all(column, &features[column])) {
                (false, Ok(fitted)) => {
                    known.insert(&field.name, (column, fitted.feature.clone()));
                    done.push(fitted);
                }
                (false, Err(mistake)) => {
                    failed.insert(&field.name);
                    mistakes.push(mistake);
                }
                (true, _) => drop(failed.insert(&field.name)),
            }
        }
        waiting = others;
    }
    if mistakes.is_empty() { Ok(done) } else { Err(mistakes) }
}

/// The field that a transform compares with.
fn against(transform: &FieldTransform) -> Option<&str> {
    match transform {
        FieldTransform::Delta { against: Against::Field(field), .. } => Some(field),
        _ => None,
    }
}

fn in_circle(field: &FieldSpec) -> Option<Mistake> {
    let (idx, other) = field.transform.iter().enumerate().find_map(|(idx, it)| Some((idx, against(it)?)))?;
    let message = format!("`{}` is compared with `{other}`, which waits for it in turn", field.name);
    let mistake = Mistake::new(format!("fields.{}.transform[{idx}]", field.name), message);
    Some(
        mistake.with_hint(
            "compare with a field that is not compared itself: the same source under another name",
        ),
    )
}

/// A field and what is around it.
struct Fit<'a> {
    field: &'a FieldSpec,
    /// Whether columns beside it say what its values are.
    companions: bool,
    /// Fields whose values are settled.
    known: &'a BTreeMap<&'a str, (usize, Feature)>,
    names: &'a [&'a str],
}

impl Fit<'_> {
    /// Holds the transforms of the field against what its values are.
    ///
    /// # Errors
    /// The first transform that does not take them.
    fn all(&self, column: usize, feature: &Feature) -> Result<Fitted, Mistake> {
        let field = self.field;
        let shift = shift_of(field);
        // What is done row by row to a null leaves it null: it does not matter what comes first.
        let shifted = match shift {
            Some((_, End::Null)) => feature.clone().nullable(),
            Some((_, End::Drop)) | None => feature.clone(),
        };
        let mut fitted = Fitted {
            column,
            shift,
            shifted: shifted.clone(),
            before: Vec::new(),
            between: shifted.clone(),
            delta: None,
            differed: shifted.clone(),
            ops: Vec::new(),
            feature: shifted.clone(),
            coded: None,
        };
        let mut now = shifted;
        for (idx, transform) in field.transform.iter().enumerate() {
            let key = format!("fields.{}.transform[{idx}]", field.name);
            let refuse = |why| refused(key.clone(), transform, field, &now, why);
            self.in_order(idx, transform).map_err(&refuse)?;
            let minus = self.minus(transform, column, &now).map_err(&refuse)?;
            let op = match minus {
                Some(minus) => Some(Op::Minus(minus)),
                None => op_of(transform, &now, field.encoding, self.companions).map_err(&refuse)?,
            };
            if let FieldTransform::Encode { coding: FrameCoding::H264, .. } = transform {
                let frames = self.frames(op, fitted.ops.pop()).map_err(&refuse)?;
                fitted.coded = CodedField::of(transform, (field, &key), &frames, &now);
                now = fitted.coded.as_ref().map_or(now, |it| it.feature().clone());
                continue;
            }
            let after = after(transform, op.as_ref(), now.clone());
            if let FieldTransform::Delta { against: Against::Step(steps), end } = transform {
                fitted.delta = Some((*steps, *end));
                fitted.before = std::mem::take(&mut fitted.ops);
                (fitted.between, fitted.differed) = (now, after.clone());
            }
            match (op, fitted.ops.last_mut()) {
                (None, _) => {}
                // One decoding for all that is done to a frame.
                (Some(Op::Images(op)), Some(Op::Images(all))) => all.append(op),
                (Some(op), _) => fitted.ops.push(op),
            }
            now = after;
        }
        if fitted.delta.is_none() {
            // All is done at the end, to what the shift leaves.
            (fitted.between, fitted.differed) = (fitted.shifted.clone(), fitted.shifted.clone());
        }
        fitted.feature = match &fitted.coded {
            Some(_) => feature.clone(),
            None => with_fact(now, &field.transform),
        };
        Ok(fitted)
    }

    /// What is done to frames before they are coded as video.
    fn frames(&self, op: Option<Op>, before: Option<Op>) -> Result<ImageOp, Refusal> {
        let keyframes = keyframe_name(&self.field.name);
        if self.names.contains(&keyframes.as_str()) {
            let told = format!("it adds the column `{keyframes}`, and there is a field of that name");
            return Err(Refusal::Told(told, format!("call the field `{keyframes}` otherwise")));
        }
        match (op, before) {
            (Some(Op::Images(op)), None) => Ok(op),
            (Some(Op::Images(op)), Some(Op::Images(mut all))) => {
                all.append(op);
                Ok(all)
            }
            _ => Err(Refusal::Kind),
        }
    }

    /// What a list of transforms does not say twice, or too late.
    fn in_order(&self, idx: usize, transform: &FieldTransform) -> Result<(), Refusal> {
        let earlier = &self.field.transform[..idx];
        let is_twice = match transform {
            FieldTransform::Shift { .. } => {
                earlier.iter().any(|it| matches!(it, FieldTransform::Shift { .. }))
            }
            FieldTransform::Delta { .. } => {
                earlier.iter().any(|it| matches!(it, FieldTransform::Delta { .. }))
            }
            _ => false,
        };
        if is_twice {
            let hint = match transform {
                FieldTransform::Shift { .. } => "say both in one number of `steps`",
                _ => "take a field that is such a difference already under another name",
            };
            return Err(Refusal::Told("it stands twice".to_owned(), hint.to_owned()));
        }
        if let Some(coding) = earlier.iter().find(|it| it.is_coding()).filter(|_| transform.is_of_images()) {
            let coding = coding.kind().full_name;
            let told = format!("`{coding}` before it says how frames are stored");
            return Err(Refusal::Told(told, "write it in front of that".to_owned()));
        }
        Ok(())
    }

    /// What is taken away of the same step; `None` for other transforms.
    fn minus(
        &self,
        transform: &FieldTransform,
        column: usize,
        now: &Feature,
    ) -> Result<Option<Minus>, Refusal> {
        let Some(name) = against(transform) else { return Ok(None) };
        let Some((other, feature)) = self.known.get(name).filter(|it| it.0 != column) else {
            let others = self.names.iter().copied().filter(|it| *it != self.field.name);
            let told = match name == self.field.name {
                true => "a field minus itself is nothing".to_owned(),
                false => format!("there is no other field `{name}`"),
            };
            return Err(Refusal::Told(told, suggest(name, others)));
        };
        Minus::new(*other, now, feature).map(Some)
    }
}

fn refused(
    key: String,
    transform: &FieldTransform,
    field: &FieldSpec,
    feature: &Feature,
    why: Refusal,
) -> Mistake {
    let kind = transform.kind();
    match why {
        Refusal::Kind => {
            let message = format!(
                "`{}` takes {}, but `{}` is {}",
                kind.full_name,
                kind.takes,
                field.name,
                feature.told()
            );
            let hint = match feature.metadata.contains_key(meta::TRANSFORM) || field.transform.len() > 1 {
                true => {
                    "transforms follow each other in the order of the list: each takes what the one before makes"
                }
                false => {
                    "remove it, or give it a field that it takes; `node-data transforms` says what they do"
                }
            };
            Mistake::new(key, message).with_hint(hint)
        }
        Refusal::Told(message, hint) => {
            Mistake::new(key, format!("`{}` at `{}`: {message}", kind.full_name, field.name)).with_hint(hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use nodedata_core::{DType, Dim, MediaEncoding, Storage};

    use super::*;

    /// What several transforms do to a frame is one change, with one decoding and one coding.
    #[test]
    fn frames_are_decoded_once_for_all_that_is_done_to_them() {
        let feature = Feature {
            storage: Storage::EncodedMedia,
            ..Feature::new("wrist", DType::UInt8, vec![Dim::Variable, Dim::Variable, Dim::Fixed(3)])
        };
        let transform = vec![
            FieldTransform::Crop { height: 200, width: 200, top: None, left: None },
            FieldTransform::Resize { height: 64, width: 64, way: None },
            FieldTransform::Encode {
                coding: FrameCoding::Jpeg,
                quality: Some(90),
                group: None,
                encoder: None,
            },
        ];
        let fields = [FieldSpec { transform, ..FieldSpec::new("wrist", "/wrist") }];
        let all = fit_all(&fields, &[feature], &Companions::new()).unwrap();
        let [Fitted { before, ops, .. }] = all.as_slice() else { panic!("one field") };
        assert!(before.is_empty());
        let [Op::Images(op)] = ops.as_slice() else { panic!("{ops:?}") };
        assert_eq!((op.ops.len(), op.encoding, op.quality), (2, MediaEncoding::Jpeg, Some(90)));
    }
}
