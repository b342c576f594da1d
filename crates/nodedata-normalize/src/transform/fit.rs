use nodedata_core::{DType, Dim, Feature, MediaEncoding, Storage, meta, placed::Mistake};

use super::{
    End, FieldTransform,
    clips::FLAC,
    images::{ImageOp, PixelOp},
    numbers::{NumberOp, Which, no_value_inside},
    with_fact,
};
use crate::FieldSpec;

/// What is done to the values of one column, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    Numbers(NumberOp, Which),
    Codes,
    Images(ImageOp),
    /// Clips of sound become FLAC.
    Flac,
}

/// A field whose transforms fit its values.
pub(super) struct Fitted {
    /// What comes of it.
    pub(super) feature: Feature,
    /// What is done row by row.
    pub(super) ops: Vec<Op>,
    /// What the values are between a shift, which comes first, and what is done row by row.
    pub(super) shifted: Feature,
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
pub(crate) fn fitted(fields: &[FieldSpec], mut features: Vec<Feature>) -> Result<Vec<Feature>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    for field in fields.iter().filter(|it| !it.transform.is_empty()) {
        let Some(feature) = features.iter_mut().find(|it| it.name == field.name) else { continue };
        match fit(field, feature) {
            Ok(fitted) => *feature = fitted.feature,
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(features) } else { Err(mistakes) }
}

/// Holds the transforms of a field against what its values are.
///
/// # Errors
/// The first transform that does not take them.
pub(super) fn fit(field: &FieldSpec, feature: &Feature) -> Result<Fitted, Mistake> {
    let mut now = feature.clone();
    let mut shifted = feature.clone();
    let mut shift: Option<usize> = None;
    let mut ops: Vec<Op> = Vec::new();
    for (idx, transform) in field.transform.iter().enumerate() {
        let key = format!("fields.{}.transform[{idx}]", field.name);
        match transform {
            FieldTransform::Shift { .. } if shift.is_some() => {
                let message = format!("`{}` stands twice at `{}`", transform.kind().full_name, field.name);
                return Err(Mistake::new(key, message).with_hint("say both in one number of `steps`"));
            }
            FieldTransform::Shift { .. } => shift = Some(idx),
            _ => {}
        }
        let op =
            op_of(transform, &now, field.encoding).map_err(|it| refused(key, transform, field, &now, it))?;
        match (op, ops.last_mut()) {
            (None, _) => {}
            // One decoding for all that is done to a frame.
            (Some(Op::Images(op)), Some(Op::Images(all))) => all.ops.extend(op.ops),
            (Some(op), _) => ops.push(op),
        }
        now = after(transform, now, field.encoding);
        if let FieldTransform::Shift { .. } = transform {
            // What is done row by row to a null leaves it null: it does not matter what comes first.
            shifted = after(transform, shifted, field.encoding);
        }
    }
    Ok(Fitted { feature: with_fact(now, &field.transform), ops, shifted })
}

/// What is done row by row; `None` for what is not.
fn op_of(
    transform: &FieldTransform,
    feature: &Feature,
    encoding: Option<MediaEncoding>,
) -> Result<Option<Op>, Refusal> {
    let plain = feature.storage == Storage::Plain;
    let number = plain && feature.dtype.is_numeric();
    let is_float = matches!(feature.dtype, DType::Float16 | DType::Float32 | DType::Float64);
    let takes = |it: bool| if it { Ok(()) } else { Err(Refusal::Kind) };
    let numbers = |op, item: Option<i32>| Ok(Some(Op::Numbers(op, which(feature, item)?)));
    match transform {
        FieldTransform::Shift { .. } => takes(plain).map(|()| None),
        FieldTransform::Invert { item } => {
            takes(number || plain && feature.dtype == DType::Bool)?;
            numbers(NumberOp::Invert, *item)
        }
        FieldTransform::Binarize { threshold, item } => {
            takes(number)?;
            numbers(NumberOp::Binarize(*threshold), *item)
        }
        FieldTransform::Clip { min, max, item } => {
            takes(number)?;
            if let Some(message) = no_value_inside(feature.dtype, *min, *max) {
                return Err(Refusal::Told(message, "give bounds that the type of the field can hold"));
            }
            numbers(NumberOp::Clip(*min, *max), *item)
        }
        FieldTransform::FromCodes {} => {
            takes(number && !is_float && feature.shape.len() == 1)?;
            Ok(Some(Op::Codes))
        }
        FieldTransform::Flac {} => {
            let coding = feature.metadata.get(meta::ENCODING);
            takes(feature.storage == Storage::EncodedMedia && coding.is_none_or(|it| may_be_clip(it)))?;
            Ok(Some(Op::Flac))
        }
        FieldTransform::FlipChannels {} | FieldTransform::Rotate180 {} => {
            takes(!plain)?;
            if let Some(codec) = video_codec(feature) {
                let message = format!(
                    "the frames are coded as {codec}, each with the help of others, and are not decoded"
                );
                return Err(Refusal::Told(
                    message,
                    "only sources that decode their video (`node-data formats`) give frames: \
                     take one camera as `from`",
                ));
            }
            let op = if matches!(transform, FieldTransform::Rotate180 {}) {
                PixelOp::Rotate180
            } else {
                PixelOp::FlipChannels
            };
            Ok(Some(Op::Images(image(vec![op], encoding))))
        }
    }
}

/// What the values are afterwards.
fn after(transform: &FieldTransform, mut feature: Feature, encoding: Option<MediaEncoding>) -> Feature {
    match transform {
        FieldTransform::Shift { end: End::Null, .. } => feature.nullable(),
        FieldTransform::Shift { end: End::Drop, .. } | FieldTransform::Clip { .. } => feature,
        // What a value was called, or counted in, it is not any more.
        FieldTransform::Invert { .. } => {
            feature.metadata.remove(meta::CONSTANTS);
            feature
        }
        FieldTransform::Binarize { .. } => {
            feature.metadata.remove(meta::CONSTANTS);
            feature.metadata.remove(meta::UNIT);
            feature
        }
        FieldTransform::FromCodes {} => {
            for fact in [meta::NAMES, meta::CONSTANTS, meta::UNIT, meta::SOURCE_TYPE] {
                feature.metadata.remove(fact);
            }
            Feature { dtype: DType::String, shape: Vec::new(), ..feature }
        }
        FieldTransform::Flac {} => feature.with_meta(meta::ENCODING, FLAC),
        FieldTransform::FlipChannels {} | FieldTransform::Rotate180 {} => {
            image(Vec::new(), encoding).feature(feature)
        }
    }
}

/// Whether media of a coding that a source tells may be clips of sound: those that are decoded pictures are none.
fn may_be_clip(coding: &str) -> bool {
    MediaEncoding::from_name(coding).is_none()
}

fn image(ops: Vec<PixelOp>, encoding: Option<MediaEncoding>) -> ImageOp {
    ImageOp { ops, encoding: encoding.unwrap_or(MediaEncoding::Png) }
}

/// The codec of a column of coded samples; `None` for pictures that stand alone.
fn video_codec(feature: &Feature) -> Option<&str> {
    let coding = feature.metadata.get(meta::ENCODING).map(String::as_str);
    coding.filter(|it| feature.storage == Storage::RawMedia && *it != MediaEncoding::Raw.name())
}

/// Why a transform does not take a field.
enum Refusal {
    /// By type or shape.
    Kind,
    Told(String, &'static str),
}

fn which(feature: &Feature, item: Option<i32>) -> Result<Which, Refusal> {
    let Some(item) = item else { return Ok(Which::ALL) };
    let [Dim::Fixed(n)] = feature.shape.as_slice() else { return Err(Refusal::Kind) };
    let at = if item < 0 { i64::from(*n) + i64::from(item) } else { i64::from(item) };
    let first = usize::try_from(at).ok().filter(|it| *it < *n as usize);
    let outside = || {
        let message =
            format!("there is no item {item}: the vector has {n}, counted from 0, or from -1 backwards");
        Refusal::Told(message, "name an item that is there, or leave `item` out for all")
    };
    Ok(Which { first: first.ok_or_else(outside)?, step: *n as usize })
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
