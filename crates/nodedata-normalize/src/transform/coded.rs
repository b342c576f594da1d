//! Pictures of steps that become coded video, behind everything else that is done to steps: from here on none is left out.

mod rows;

use std::path::PathBuf;

use nodedata_core::{
    CodedVideo, DType, Feature, Result, Source, SourcePlan, Storage, StreamKind, meta, placed::Mistake,
};
use nodedata_media::{H264_CRF, H264_GROUP, VideoCodec, h264_encoder, video::DecodeOptions};
use serde_json::json;

use self::rows::CodedSource;
use super::{FieldTransform, FrameCoding, images::ImageOp, rows::STEPS, with_fact};
use crate::{Clock, FieldSpec, Rate, StepSpec, Unfit};

/// Frames a second where steps have no rate: video has one in any case.
const RATE: u64 = 30;

/// A field whose pictures become video.
#[derive(Debug, Clone)]
pub(crate) struct CodedField {
    name: String,
    /// Where the pipeline says so.
    key: String,
    /// What is done to the pictures before.
    op: ImageOp,
    crf: u8,
    group: u32,
    /// Who has to code it, where the recipe says that.
    encoder: Option<String>,
    /// What comes of it.
    feature: Feature,
    /// Columns that say what bare frames are; nobody needs them behind this.
    beside: Vec<String>,
}

impl CodedField {
    /// A field with such a transform; `None` for other transforms. `now` is what it is up to there.
    pub(super) fn of(
        transform: &FieldTransform,
        (field, key): (&FieldSpec, &str),
        op: &ImageOp,
        now: &Feature,
    ) -> Option<Self> {
        let FieldTransform::Encode { coding: FrameCoding::H264, quality, group, encoder } = transform else {
            return None;
        };
        let mut feature = Feature {
            dtype: DType::UInt8,
            shape: Vec::new(),
            nullable: false,
            storage: Storage::RawMedia,
            ..now.clone()
        };
        // What bare frames were they are not any more.
        for fact in [meta::FRAME_TYPE, meta::FRAME_SHAPE, meta::FRAME_SIZE, meta::FRAME_FORMAT] {
            feature.metadata.remove(fact);
        }
        Some(Self {
            name: field.name.clone(),
            key: key.to_owned(),
            op: op.clone(),
            crf: quality.unwrap_or(H264_CRF),
            group: group.unwrap_or(H264_GROUP),
            encoder: encoder.clone(),
            feature: with_fact(feature.with_meta(meta::ENCODING, FrameCoding::H264.name()), &field.transform),
            beside: Vec::new(),
        })
    }

    /// What comes of it.
    pub(super) fn feature(&self) -> &Feature {
        &self.feature
    }

    /// The same where columns of these names say what its frames are.
    pub(super) fn told_by(self, beside: Vec<String>) -> Self {
        Self { beside, ..self }
    }
}

/// The name of the column that marks the key frames of another.
pub(super) fn keyframe_name(name: &str) -> String {
    format!("{name}.keyframe")
}

/// Where a column of the coded steps comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// From a column of the steps before.
    Same(usize),
    /// The samples of a field that is coded.
    Samples(usize),
    /// Which of them are key frames.
    Keyframes(usize),
}

/// The columns of steps once some are coded.
fn layout(features: &[Feature], fields: &[CodedField]) -> Vec<(Feature, Slot)> {
    let mut all = Vec::new();
    for (column, feature) in features.iter().enumerate() {
        if fields.iter().any(|it| it.beside.contains(&feature.name)) {
            continue;
        }
        let Some(idx) = fields.iter().position(|it| it.name == feature.name) else {
            all.push((feature.clone(), Slot::Same(column)));
            continue;
        };
        let keyframe = Feature::new(keyframe_name(&feature.name), DType::Bool, Vec::new())
            .with_meta(meta::DESCRIPTION, "whether decoding can start here");
        all.push((fields[idx].feature.clone(), Slot::Samples(idx)));
        all.push((keyframe, Slot::Keyframes(idx)));
    }
    all
}

/// The features of steps once some are coded.
pub(super) fn features(features: &[Feature], fields: &[CodedField]) -> Vec<Feature> {
    layout(features, fields).into_iter().map(|it| it.0).collect()
}

/// Writes down who codes the video of a recipe, where nobody has yet. A program that is not there, or cannot, is told when the
/// steps are planned.
pub fn settle_encoders(spec: &mut StepSpec) {
    for transform in spec.fields.iter_mut().flat_map(|it| &mut it.transform) {
        if let FieldTransform::Encode { coding: FrameCoding::H264, encoder: encoder @ None, .. } = transform {
            *encoder = h264_encoder(&program()).ok();
        }
    }
}

/// The program that codes is the one that decodes.
fn program() -> PathBuf {
    DecodeOptions::default().ffmpeg
}

/// Steps some of whose pictures become video, where there are any.
///
/// # Errors
/// All mistakes: no program that codes, or another one than a recipe says; rows that are no steps.
pub(crate) fn over(
    source: Box<dyn Source>,
    mut fields: Vec<CodedField>,
    spec: &StepSpec,
) -> Result<Box<dyn Source>, Unfit> {
    if fields.is_empty() {
        return Ok(source);
    }
    let mut plan = source.plan().clone();
    let kind = plan.streams.first().map(|it| it.kind);
    let encoder = h264_encoder(&program());
    let mistakes: Vec<Mistake> = fields.iter().filter_map(|it| mistake(it, kind, &encoder)).collect();
    let encoder = match encoder {
        Ok(encoder) if mistakes.is_empty() => encoder,
        Ok(_) | Err(_) => return Err(Unfit::Mistakes(mistakes)),
    };
    let rate = rate(&plan, spec);
    let told = rate.map_or_else(|| RATE.to_string(), Rate::told);
    for field in &mut fields {
        let facts = json!({
            "encoder": encoder, "crf": field.crf, "group": field.group, "fps": told,
            "pixel_format": "yuv420p", "matrix": "bt601", "range": "limited",
        });
        field.feature.metadata.insert(meta::VIDEO.to_owned(), facts.to_string());
        plan.coded.push(CodedVideo {
            stream: STEPS,
            feature: field.name.clone(),
            codec: VideoCodec::H264.name().to_owned(),
            fps: rate.map_or(RATE as f64, Rate::hz),
        });
    }
    let (after, slots) = layout(&source.plan().streams[0].features, &fields).into_iter().unzip();
    plan.streams[0].features = after;
    Ok(Box::new(CodedSource::new(source, plan, slots, fields, told)))
}

/// Why a field cannot be coded.
fn mistake(field: &CodedField, kind: Option<StreamKind>, encoder: &Result<String>) -> Option<Mistake> {
    let (message, hint) = match (kind, encoder, &field.encoder) {
        (Some(StreamKind::Samples), _, _) => (
            format!("`{}` is of samples, which follow no clock, so that no video comes of them", field.name),
            "store pictures: `encode: jpeg:90`; or say which episode each sample belongs to (`episodes`)"
                .to_owned(),
        ),
        (_, Err(err), _) => (err.chain(), err.hint().unwrap_or_default().to_owned()),
        (_, Ok(there), Some(told)) if there != told => (
            format!(
                "the recipe has `{}` coded by {told}, and here is {there}: its bytes would be others",
                field.name
            ),
            "name an `ffmpeg` of that version in NODEDATA_FFMPEG, or convert anew by the pipeline file"
                .to_owned(),
        ),
        (_, Ok(_), _) => return None,
    };
    Some(Mistake::new(&field.key, message).with_hint(hint))
}

/// Steps a second, where they have a rate.
fn rate(plan: &SourcePlan, spec: &StepSpec) -> Option<Rate> {
    let of_stream = plan.streams.first().and_then(|it| it.metadata.get("fps"));
    let of_stream = of_stream.and_then(|it| Rate::parse(it).ok());
    of_stream.or_else(|| match spec.clock {
        Clock::Rate(rate) => Some(rate),
        Clock::Own => Rate::parse(&plan.facts.fps?.to_string()).ok(),
        Clock::Every(_) | Clock::Topic(_) => None,
    })
}
