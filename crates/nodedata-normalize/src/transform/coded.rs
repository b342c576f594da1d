//! Pictures of steps that become coded video, behind everything else that is done to steps: from here on none is left out.

use std::{collections::VecDeque, path::PathBuf, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch, builder::BinaryBuilder, cast::AsArray,
};
use arrow_schema::SchemaRef;
use nodedata_core::{
    Batch, CodedVideo, DType, EpisodeStream, Error, ErrorKind, Feature, Locus, MediaShape, Nested,
    ReadOptions, Result, RowSpan, Source, SourcePlan, Storage, StreamId, StreamKind, meta, placed::Mistake,
};
use nodedata_media::{
    CodedPicture, Decoded, H264_CRF, H264_GROUP, H264Encoder, H264Options, H264Size, VideoCodec,
    h264_encoder, video::DecodeOptions,
};
use serde_json::json;

use super::{
    FieldTransform, FrameCoding,
    images::{ImageOp, Pictures, Workbench, is_struct},
    raw_frame::RowFrames,
    rows::{Placed, STEPS, at_row, loss_of, picked},
    with_fact,
};
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
    let before = plan.streams[0].features.clone();
    let (after, slots) = layout(&before, &fields).into_iter().unzip();
    plan.streams[0].features = after;
    let schema = plan.streams[0].arrow();
    let columns = |it: &CodedField| Columns {
        pictures: before.iter().position(|feature| feature.name == it.name),
        beside: it.beside.iter().filter_map(|name| before.iter().position(|it| it.name == *name)).collect(),
    };
    let columns = fields.iter().map(columns).collect();
    let shared = Shared { plan, schema, before, slots, fields, columns, rate: told };
    Ok(Box::new(CodedSource { inner: source, shared: Arc::new(shared) }))
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

/// Steps with coded video.
struct CodedSource {
    inner: Box<dyn Source>,
    shared: Arc<Shared>,
}

struct Shared {
    plan: SourcePlan,
    schema: SchemaRef,
    /// The features of the steps before.
    before: Vec<Feature>,
    /// Where each column comes from.
    slots: Vec<Slot>,
    fields: Vec<CodedField>,
    /// By field.
    columns: Vec<Columns>,
    rate: String,
}

/// The columns of a field that is coded, among those of the steps before.
struct Columns {
    pictures: Option<usize>,
    beside: Vec<usize>,
}

impl Source for CodedSource {
    fn plan(&self) -> &SourcePlan {
        &self.shared.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let inner = self.inner.read(partition, options)?;
        let shared = Arc::clone(&self.shared);
        let encoders = shared.fields.iter().map(|_| None).collect();
        Ok(Box::new(CodedRows {
            inner,
            partition,
            encoders,
            workbench: Workbench::default(),
            lost: VecDeque::new(),
            held: Vec::new(),
            done: None,
            shared,
        }))
    }
}

/// The rows of one partition. What coding makes of its pictures is known at its end, so until then all of its rows wait; whoever
/// reads it holds them in any case.
struct CodedRows {
    inner: Box<dyn EpisodeStream>,
    shared: Arc<Shared>,
    partition: usize,
    /// By field; `None` before the first picture.
    encoders: Vec<Option<H264Encoder>>,
    workbench: Workbench,
    /// Steps whose pictures cannot be coded, to be told.
    lost: VecDeque<Error>,
    held: Vec<Held>,
    /// What is left to hand out, once all is coded.
    done: Option<VecDeque<Batch>>,
}

/// Rows that wait for their samples.
struct Held {
    n_rows: usize,
    /// By column; `None` where it waits.
    columns: Vec<Option<ArrayRef>>,
    spans: Vec<RowSpan>,
    pixels: Vec<MediaShape>,
}

impl CodedRows {
    /// Codes the pictures of a batch, row by row, and keeps the rest of it. Of a row either all pictures are coded, or none is.
    ///
    /// # Errors
    /// Those of the program: nothing more comes of the partition then.
    fn take(&mut self, batch: &Batch) -> Result<()> {
        let n_rows = batch.rows.num_rows();
        let mut sound = Vec::with_capacity(n_rows);
        for row in 0..n_rows {
            match self.pictures(batch, row) {
                Ok(pictures) => {
                    for (field, picture) in pictures.iter().enumerate() {
                        self.push(field, picture).map_err(|err| self.placed(err, field))?;
                    }
                    sound.push(row as u32);
                }
                Err((field, err)) => {
                    let err = if err.hint().is_some() { err } else { err.with_hint(UNDECODABLE) };
                    let place = Placed { plan: &self.shared.plan, partition: self.partition };
                    let err = at_row(err, batch, row, &self.shared.fields[field].name, place);
                    self.lost.push_back(err.with_loss(loss_of(batch, row)));
                }
            }
        }
        if sound.len() == n_rows {
            self.hold(batch);
        } else if !sound.is_empty() {
            self.hold(&picked(batch, &sound, &self.shared.before));
        }
        Ok(())
    }

    /// The pictures of a row, one of each field.
    ///
    /// # Errors
    /// The first field that has none that can be coded, and why.
    fn pictures(&mut self, batch: &Batch, row: usize) -> Result<Vec<Decoded>, (usize, Error)> {
        let mut pictures = Vec::with_capacity(self.encoders.len());
        for (idx, encoder) in self.encoders.iter().enumerate() {
            let (field, columns) = (&self.shared.fields[idx], &self.shared.columns[idx]);
            let picture = picture(field, columns, batch, row, &mut self.workbench).and_then(|picture| {
                match encoder {
                    Some(encoder) => encoder.check(&picture)?,
                    None => drop(H264Size::of(&picture)?),
                }
                Ok(picture)
            });
            pictures.push(picture.map_err(|err| (idx, err))?);
        }
        Ok(pictures)
    }

    fn push(&mut self, field: usize, picture: &Decoded) -> Result<()> {
        let encoder = match &mut self.encoders[field] {
            Some(encoder) => encoder,
            none => {
                let CodedField { crf, group, .. } = self.shared.fields[field];
                let rate = self.shared.rate.clone();
                let options = H264Options { crf, group, rate, program: program() };
                none.insert(H264Encoder::start(H264Size::of(picture)?, &options)?)
            }
        };
        encoder.push(picture)
    }

    /// An error of the program with the episode and the field that it coded.
    fn placed(&self, err: Error, field: usize) -> Error {
        let plan = &self.shared.plan;
        let partition = &plan.partitions[self.partition];
        err.at(Locus {
            path: partition.reads.first().and_then(|it| plan.input_path(it.input)),
            episode_idx: Some(partition.episode as u64),
            feature: Some(self.shared.fields[field].name.clone()),
            ..Locus::default()
        })
    }

    /// Keeps the columns of a batch that are not coded.
    fn hold(&mut self, batch: &Batch) {
        let Shared { slots, .. } = &*self.shared;
        let column = |slot: &Slot| match slot {
            Slot::Same(column) => Some(Arc::clone(batch.rows.column(*column))),
            Slot::Samples(_) | Slot::Keyframes(_) => None,
        };
        let pixels = batch.pixels.iter().filter_map(|it| {
            let column = slots.iter().position(|slot| *slot == Slot::Same(it.column))?;
            Some(MediaShape { column, ..it.clone() })
        });
        self.held.push(Held {
            n_rows: batch.rows.num_rows(),
            columns: slots.iter().map(column).collect(),
            spans: batch.spans.clone(),
            pixels: pixels.collect(),
        });
    }

    /// Ends the videos, and puts their samples into the rows that wait for them.
    ///
    /// # Errors
    /// Those of the program; `Limit` for samples that no column holds.
    fn finish(&mut self) -> Result<VecDeque<Batch>> {
        let mut coded: Vec<(Option<H264Size>, VecDeque<CodedPicture>)> = Vec::new();
        for field in 0..self.encoders.len() {
            let encoder = self.encoders[field].take();
            let size = encoder.as_ref().map(H264Encoder::size);
            let pictures = encoder.map_or_else(|| Ok(Vec::new()), H264Encoder::finish);
            coded.push((size, pictures.map_err(|err| self.placed(err, field))?.into()));
        }
        let mut batches = VecDeque::with_capacity(self.held.len());
        for mut held in std::mem::take(&mut self.held) {
            for (field, (size, pictures)) in coded.iter_mut().enumerate() {
                let pictures: Vec<CodedPicture> = pictures.drain(..held.n_rows).collect();
                let samples = samples(&pictures).map_err(|err| self.placed(err, field))?;
                let keyframes: BooleanArray = pictures.iter().map(|it| Some(it.keyframe)).collect();
                let slots = &self.shared.slots;
                let place = |slot: Slot| slots.iter().position(|it| *it == slot);
                let (Some(at), Some(H264Size { height, width })) = (place(Slot::Samples(field)), *size)
                else {
                    continue;
                };
                held.columns[at] = Some(Arc::new(samples));
                if let Some(at) = place(Slot::Keyframes(field)) {
                    held.columns[at] = Some(Arc::new(keyframes));
                }
                held.pixels.push(MediaShape {
                    column: at,
                    dtype: DType::UInt8,
                    shape: vec![height, width, 3],
                    encoding: VideoCodec::H264.name().to_owned(),
                    rate_hz: None,
                    n_rows: held.n_rows as u64,
                });
            }
            held.pixels.sort_by_key(|it| it.column);
            let columns = held.columns.into_iter().flatten().collect();
            let rows = RecordBatch::try_new(Arc::clone(&self.shared.schema), columns)
                .expect("every row that is held has a picture of each field");
            batches.push_back(Batch { stream: STEPS, rows, spans: held.spans, pixels: held.pixels });
        }
        Ok(batches)
    }
}

/// What the user can do about a picture that is damaged.
const UNDECODABLE: &str = "only frames that can be decoded are coded: repair the frame, or leave out the transform; `on_error: salvage` \
                           leaves out such steps";

/// The picture of a row, decoded and changed.
fn picture(
    field: &CodedField,
    Columns { pictures, beside }: &Columns,
    batch: &Batch,
    row: usize,
    workbench: &mut Workbench,
) -> Result<Decoded> {
    let column = pictures.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the steps have no such column"))?;
    let array = batch.rows.column(column);
    let values = Nested::of(array.as_ref()).values;
    if array.is_null(row) || values.is_null(row) {
        let message = "the step has no picture, and video has a frame for every step";
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint(
            "`on_error: salvage` leaves out such steps; `encode: jpeg:90` keeps them, without a picture",
        ));
    }
    let rows = RowFrames::of(&batch.rows, beside);
    let found: Vec<&MediaShape> = batch.pixels.iter().filter(|it| it.column == column).collect();
    let pictures = Pictures {
        bytes: values.as_binary::<i32>(),
        is_encoded: is_struct(array.data_type()),
        found: &found,
        rows: rows.as_ref(),
    };
    field.op.changed(&pictures, row, workbench)
}

/// The samples as a column.
fn samples(pictures: &[CodedPicture]) -> Result<BinaryArray> {
    let n_bytes: usize = pictures.iter().map(|it| it.data.len()).sum();
    if i32::try_from(n_bytes).is_err() {
        let message = "the video of one batch takes more than 2 GiB";
        return Err(Error::new(ErrorKind::Limit, message).with_hint("code it coarser: `encode: h264:30`"));
    }
    let mut samples = BinaryBuilder::with_capacity(pictures.len(), n_bytes);
    pictures.iter().for_each(|it| samples.append_value(&it.data));
    Ok(samples.finish())
}

impl EpisodeStream for CodedRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        loop {
            if let Some(err) = self.lost.pop_front() {
                return Err(err);
            }
            if let Some(done) = &mut self.done {
                return Ok(done.pop_front());
            }
            let went_on = match self.inner.next_batch()? {
                Some(batch) if batch.stream == STEPS => self.take(&batch),
                Some(other) => return Ok(Some(other)),
                None => self.finish().map(|batches| self.done = Some(batches)),
            };
            if let Err(err) = went_on {
                // Of a video that broke off nothing is handed out.
                self.encoders.iter_mut().for_each(|it| *it = None);
                self.held.clear();
                self.done = Some(VecDeque::new());
                return Err(err);
            }
        }
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        self.inner.records_read()
    }

    fn below(&self) -> Option<&dyn EpisodeStream> {
        Some(self.inner.as_ref())
    }
}
