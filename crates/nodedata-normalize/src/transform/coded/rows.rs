use std::{collections::VecDeque, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch, builder::BinaryBuilder, cast::AsArray,
};
use arrow_schema::SchemaRef;
use nodedata_core::{
    Batch, DType, EpisodeStream, Error, ErrorKind, Feature, Locus, MediaShape, Nested, ReadOptions, Result,
    RowSpan, Source, SourcePlan, StreamId,
};
use nodedata_media::{CodedPicture, Decoded, H264Encoder, H264Options, H264Size, VideoCodec};

use super::{CodedField, Slot, program};
use crate::transform::{
    images::{ImageOp, Pictures, Workbench, is_struct},
    raw_frame::RowFrames,
    rows::{Placed, STEPS, at_row, loss_of, picked},
};

/// Steps with coded video.
pub(super) struct CodedSource {
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

impl CodedSource {
    /// `plan` is that of `inner` with the columns that `slots` say; `rate` is that of the video.
    pub(super) fn new(
        inner: Box<dyn Source>,
        plan: SourcePlan,
        slots: Vec<Slot>,
        fields: Vec<CodedField>,
        rate: String,
    ) -> Self {
        let before = inner.plan().streams[0].features.clone();
        let schema = plan.streams[0].arrow();
        let place = |name: &String| before.iter().position(|it| it.name == *name);
        let columns = |it: &CodedField| Columns {
            pictures: place(&it.name),
            beside: it.beside.iter().filter_map(place).collect(),
        };
        let columns = fields.iter().map(columns).collect();
        Self { inner, shared: Arc::new(Shared { plan, schema, before, slots, fields, columns, rate }) }
    }
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
        let shared = Arc::clone(&self.shared);
        let cameras = shared.columns.iter().map(|it| Camera::of(it, batch)).collect::<Result<Vec<_>>>()?;
        for row in 0..n_rows {
            match self.pictures(&cameras, row) {
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
    fn pictures(&mut self, cameras: &[Camera<'_>], row: usize) -> Result<Vec<Decoded>, (usize, Error)> {
        let mut pictures = Vec::with_capacity(cameras.len());
        for (idx, (camera, encoder)) in cameras.iter().zip(&self.encoders).enumerate() {
            let op = &self.shared.fields[idx].op;
            let picture = camera.picture(op, row, &mut self.workbench).and_then(|picture| {
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

/// The pictures of one field in a batch.
struct Camera<'a> {
    column: &'a ArrayRef,
    /// The bytes of the pictures.
    values: ArrayRef,
    /// What is known of bare frames.
    found: Vec<&'a MediaShape>,
    rows: Option<RowFrames<'a>>,
}

impl<'a> Camera<'a> {
    fn of(columns: &Columns, batch: &'a Batch) -> Result<Self> {
        let place = columns.pictures;
        let place =
            place.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the steps lack a column of pictures"))?;
        let column = batch.rows.column(place);
        Ok(Self {
            column,
            values: Nested::of(column.as_ref()).values,
            found: batch.pixels.iter().filter(|it| it.column == place).collect(),
            rows: RowFrames::of(&batch.rows, &columns.beside),
        })
    }

    /// The picture of a row, decoded and changed.
    fn picture(&self, op: &ImageOp, row: usize, workbench: &mut Workbench) -> Result<Decoded> {
        if self.column.is_null(row) || self.values.is_null(row) {
            let message = "the step has no picture, and video has a frame for every step";
            return Err(Error::new(ErrorKind::Unsupported, message).with_hint(
                "`on_error: salvage` leaves out such steps; `encode: jpeg:90` keeps them, without a picture",
            ));
        }
        let pictures = Pictures {
            bytes: self.values.as_binary::<i32>(),
            is_encoded: is_struct(self.column.data_type()),
            found: &self.found,
            rows: self.rows.as_ref(),
        };
        op.changed(&pictures, row, workbench)
    }
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
