use nodedata_core::{DType, Dim, Feature, MediaEncoding, Storage, meta};

use super::{
    Against, DeltaEnd, FieldTransform, FrameCoding,
    clips::FLAC,
    fit::Op,
    images::{ImageOp, PixelOp},
    numbers::{Linear, NumberOp, Which, no_value_inside},
    points::Points,
    raw_frame::RawFrame,
    rotation::Rotate,
    slice::Slice,
    units,
};

/// Why a transform does not take a field.
pub(super) enum Refusal {
    /// By type or shape.
    Kind,
    /// What is wrong, and what the user can do.
    Told(String, String),
}

/// What is done row by row; `None` for what is not. `is_told` says whether columns beside the field say what its values are.
pub(super) fn op_of(
    transform: &FieldTransform,
    feature: &Feature,
    encoding: Option<MediaEncoding>,
    is_told: bool,
) -> Result<Option<Op>, Refusal> {
    let plain = feature.storage == Storage::Plain;
    let number = plain && feature.dtype.is_numeric();
    let takes = |it: bool| if it { Ok(()) } else { Err(Refusal::Kind) };
    let numbers = |op, item: Option<i32>| Ok(Some(Op::Numbers(op, which(feature, item)?)));
    let told = |(message, hint): (String, String)| Refusal::Told(message, hint);
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
                let hint = "give bounds that the type of the field can hold".to_owned();
                return Err(Refusal::Told(message, hint));
            }
            numbers(NumberOp::Clip(*min, *max), *item)
        }
        FieldTransform::Scale { .. } | FieldTransform::Offset { .. } | FieldTransform::Unit { .. } => {
            takes(plain && is_float(feature.dtype))?;
            let (op, item) = linear(transform, feature)?;
            numbers(op, item)
        }
        FieldTransform::Slice { items } => {
            takes(plain && feature.shape.len() == 1)?;
            Ok(Some(Op::Slice(Slice::new(items, feature).map_err(told)?)))
        }
        FieldTransform::Delta { .. } => takes(number && has_differences(feature)).map(|()| None),
        FieldTransform::Rotation { from, to, start, degenerate } => {
            takes(plain && is_float(feature.dtype))?;
            let rotate = Rotate::new((*from, *to), *start, *degenerate, feature);
            Ok(Some(Op::Rotate(rotate.ok_or(Refusal::Kind)?)))
        }
        FieldTransform::FromCodes {} => {
            takes(number && !is_float(feature.dtype) && feature.shape.len() == 1)?;
            Ok(Some(Op::Codes))
        }
        FieldTransform::Flac {} => {
            let coding = feature.metadata.get(meta::ENCODING);
            takes(feature.storage == Storage::EncodedMedia && coding.is_none_or(|it| may_be_clip(it)))?;
            Ok(Some(Op::Flac))
        }
        FieldTransform::Points { fields, max, fill } => {
            takes(plain && is_told && feature.dtype == DType::Bytes)?;
            Ok(Some(Op::Points(Points::new(fields, *max, *fill, feature))))
        }
        FieldTransform::FlipChannels {}
        | FieldTransform::Rotate180 {}
        | FieldTransform::Resize { .. }
        | FieldTransform::Crop { .. }
        | FieldTransform::Encode { .. }
        | FieldTransform::Depth { .. } => {
            takes(!plain)?;
            refuse_video(feature)?;
            refuse_lists(transform, feature)?;
            Ok(Some(Op::Images(image(transform, feature, encoding)?)))
        }
    }
}

fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::Float16 | DType::Float32 | DType::Float64)
}

/// Whether rows of a shape can be subtracted: of one length, or vectors.
pub(super) fn has_differences(feature: &Feature) -> bool {
    feature.shape == [Dim::Variable] || !feature.shape.contains(&Dim::Variable)
}

/// The line that values become points of.
fn linear(transform: &FieldTransform, feature: &Feature) -> Result<(NumberOp, Option<i32>), Refusal> {
    let (linear, item) = match transform {
        FieldTransform::Scale { by, item } => (Linear::Times(*by), *item),
        FieldTransform::Offset { by, item } => (Linear::Plus(*by), *item),
        FieldTransform::Unit { from, to, item } => {
            let known = feature.metadata.get(meta::UNIT).and_then(|it| units::find(it));
            if let Some(known) = known.filter(|it| it.name != from && item.is_none()) {
                let message = format!("the field is in {} already, not in {from}", known.name);
                let hint = format!("say `from: {}`, or correct the `unit` of the field", known.name);
                return Err(Refusal::Told(message, hint));
            }
            (conversion(from, to)?, *item)
        }
        _ => return Err(Refusal::Kind),
    };
    Ok((NumberOp::Linear(linear), item))
}

fn conversion(from: &str, to: &str) -> Result<Linear, Refusal> {
    let units = units::find(from).zip(units::find(to));
    units.and_then(|(from, to)| units::conversion(from, to)).ok_or_else(|| {
        let message = format!("nothing makes {to} of {from}");
        Refusal::Told(message, "name two units of one quantity; `node-data transforms` lists them".to_owned())
    })
}

fn refuse_video(feature: &Feature) -> Result<(), Refusal> {
    let Some(codec) = video_codec(feature) else { return Ok(()) };
    let message =
        format!("the frames are coded as {codec}, each with the help of others, and are not decoded");
    let hint =
        "only sources that decode their video (`node-data formats`) give frames: take one camera as `from`";
    Err(Refusal::Told(message, hint.to_owned()))
}

/// Video has one frame a step.
fn refuse_lists(transform: &FieldTransform, feature: &Feature) -> Result<(), Refusal> {
    match transform {
        FieldTransform::Encode { coding: FrameCoding::H264, .. } if !feature.lists.is_empty() => {
            let message = "each step has a list of pictures, and video has one frame a step".to_owned();
            Err(Refusal::Told(message, "store them as pictures: `encode: jpeg:90`".to_owned()))
        }
        _ => Ok(()),
    }
}

/// The codec of a column of coded samples; `None` for pictures that stand alone.
fn video_codec(feature: &Feature) -> Option<&str> {
    let coding = feature.metadata.get(meta::ENCODING).map(String::as_str);
    coding.filter(|it| feature.storage == Storage::RawMedia && *it != MediaEncoding::Raw.name())
}

/// What is done to frames, and how they are stored then.
fn image(
    transform: &FieldTransform,
    feature: &Feature,
    encoding: Option<MediaEncoding>,
) -> Result<ImageOp, Refusal> {
    let (mut encoding, mut quality) = (encoding.unwrap_or(MediaEncoding::Png), None);
    let op = match transform {
        FieldTransform::FlipChannels {} => Some(PixelOp::FlipChannels),
        FieldTransform::Rotate180 {} => Some(PixelOp::Rotate180),
        FieldTransform::Resize { height, width, way } => {
            Some(PixelOp::Resize { height: *height, width: *width, way: *way })
        }
        FieldTransform::Crop { height, width, top, left } => {
            Some(PixelOp::Crop { height: *height, width: *width, top: *top, left: *left })
        }
        FieldTransform::Depth { from, to, zero } => {
            encoding = MediaEncoding::Raw;
            let of_field = feature.metadata.get(meta::UNIT).map(String::as_str);
            let from = from.as_deref().or(of_field).unwrap_or("mm");
            Some(PixelOp::Depth { linear: conversion(from, to)?, unit: to.clone(), zero: *zero })
        }
        FieldTransform::Encode { coding, quality: wanted, .. } => {
            // Video is coded behind everything else, and takes the frames as they are here.
            (encoding, quality) = (coding.of_frames().unwrap_or(MediaEncoding::Raw), *wanted);
            None
        }
        _ => None,
    };
    Ok(ImageOp { ops: op.into_iter().collect(), encoding, quality, frame: RawFrame::of(feature) })
}

/// What the values are afterwards.
pub(super) fn after(transform: &FieldTransform, op: Option<&Op>, mut feature: Feature) -> Feature {
    // What a value was called, or counted in, it is not any more.
    let mut forget = |facts: &[&str]| facts.iter().for_each(|it| drop(feature.metadata.remove(*it)));
    match (transform, op) {
        (_, Some(Op::Slice(slice))) => slice.feature.clone(),
        (_, Some(Op::Rotate(rotate))) => rotate.feature.clone(),
        (_, Some(Op::Points(points))) => points.feature.clone(),
        (_, Some(Op::Images(image))) => image.feature(feature),
        (_, Some(Op::Flac)) => feature.with_meta(meta::ENCODING, FLAC),
        (_, Some(Op::Codes)) => {
            forget(&[meta::NAMES, meta::CONSTANTS, meta::UNIT, meta::SOURCE_TYPE]);
            Feature { dtype: DType::String, shape: Vec::new(), ..feature }
        }
        (_, Some(Op::Minus(minus))) => {
            forget(&[meta::CONSTANTS]);
            feature.nullable |= minus.is_nullable;
            feature
        }
        (FieldTransform::Delta { against: Against::Step(_), end }, _) => {
            forget(&[meta::CONSTANTS]);
            feature.nullable |= *end == DeltaEnd::Null;
            feature
        }
        (FieldTransform::Binarize { .. } | FieldTransform::Scale { .. }, _) => {
            forget(&[meta::CONSTANTS, meta::UNIT]);
            feature
        }
        (FieldTransform::Unit { to, item, .. }, _) => {
            forget(&[meta::CONSTANTS, meta::UNIT]);
            match item {
                // One item of others is not what a unit of all could say.
                Some(_) => feature,
                None => feature.with_meta(meta::UNIT, to),
            }
        }
        (FieldTransform::Invert { .. } | FieldTransform::Offset { .. }, _) => {
            forget(&[meta::CONSTANTS]);
            feature
        }
        _ => feature,
    }
}

/// Whether media of a coding that a source tells may be clips of sound: those that are decoded pictures are none.
fn may_be_clip(coding: &str) -> bool {
    MediaEncoding::from_name(coding).is_none()
}

/// Which values are meant: all, or one item of each vector.
fn which(feature: &Feature, item: Option<i32>) -> Result<Which, Refusal> {
    let Some(item) = item else { return Ok(Which::ALL) };
    let [Dim::Fixed(n)] = feature.shape.as_slice() else { return Err(Refusal::Kind) };
    let at = if item < 0 { i64::from(*n) + i64::from(item) } else { i64::from(item) };
    let first = usize::try_from(at).ok().filter(|it| *it < *n as usize);
    let outside = || {
        let message =
            format!("there is no item {item}: the vector has {n}, counted from 0, or from -1 backwards");
        Refusal::Told(message, "name an item that is there, or leave `item` out for all".to_owned())
    };
    Ok(Which { first: first.ok_or_else(outside)?, step: *n as usize })
}
