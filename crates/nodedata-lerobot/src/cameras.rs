use std::{ops::Range, sync::Arc};

use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Int32Array, builder::BinaryBuilder};
use arrow_buffer::{Buffer, OffsetBuffer};
use nodedata_core::{DType, Error, ErrorKind, Locus, MediaShape, Result};
use nodedata_media::mp4::Sample;

use crate::{features::Origin, source::Opened, tracks::OpenVideo};

/// The frames of one episode, by camera; cameras without a column are not opened.
pub(crate) struct CameraRows(Vec<Option<EpisodeVideo>>);

/// The video that an episode's frames lie in.
pub(crate) struct EpisodeVideo {
    pub(crate) video: Arc<OpenVideo>,
    /// Position of the episode's first frame, in presentation order.
    pub(crate) first_frame: u64,
    pub(crate) n_frames: u64,
}

impl CameraRows {
    /// Opens the videos of an episode.
    ///
    /// # Errors
    /// `Io` or `Corrupt` when a video that the plan has seen cannot be read any more.
    pub(crate) fn open(source: &Opened, episode: usize) -> Result<Self> {
        let plan = &source.plan;
        let is_read = |camera: usize| {
            plan.columns.iter().any(|it| match it.origin {
                Origin::Samples(it)
                | Origin::Keyframes(it)
                | Origin::DecodeIndex(it)
                | Origin::Frames(it, _) => it == camera,
                _ => false,
            })
        };
        let episode = &plan.episodes[episode];
        let open = |camera: usize| {
            if !is_read(camera) {
                return Ok(None);
            }
            let (file, first_frame) = episode.frames[camera];
            let path = &plan.cameras[camera].files[file].path;
            let video = source.videos.get(plan.listing.files().as_ref(), path)?;
            let n_frames = episode.rows.end - episode.rows.start;
            if video.track.n_frames() < first_frame + n_frames {
                let message = "the video has fewer frames than when the dataset was planned";
                return Err(Error::new(ErrorKind::Corrupt, message)
                    .at(Locus::path(path))
                    .with_hint("convert a dataset that nobody writes to"));
            }
            Ok(Some(EpisodeVideo { video, first_frame, n_frames }))
        };
        Ok(Self((0..plan.cameras.len()).map(open).collect::<Result<_>>()?))
    }

    /// The video of a camera that has a column.
    pub(crate) fn episode(&self, camera: usize) -> &EpisodeVideo {
        self.0[camera].as_ref().expect("every camera with a column is opened")
    }

    /// The coded samples of some steps, as they lie in the file. Where they follow each other there, which is
    /// nearly always, the column is a view of it.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn samples(&self, camera: usize, steps: &Range<u64>) -> Result<ArrayRef> {
        let episode = self.episode(camera);
        let file = &episode.video.file;
        let lengths = || episode.each(steps).map(|it| it.n_bytes as usize);
        let n_bytes: usize = lengths().sum();
        if let Some(start) = episode.start_of_neighbours(steps)
            && i32::try_from(n_bytes).is_ok()
        {
            let bytes = Buffer::from(file.read_at(start..start + n_bytes as u64)?);
            return Ok(Arc::new(BinaryArray::new(OffsetBuffer::from_lengths(lengths()), bytes, None)));
        }
        let mut samples = BinaryBuilder::with_capacity((steps.end - steps.start) as usize, n_bytes);
        for sample in episode.each(steps) {
            samples.append_value(file.read_at(sample.byte_range())?);
        }
        let samples: BinaryArray = samples.finish();
        Ok(Arc::new(samples))
    }

    /// Whether decoding can start at the samples of some steps.
    pub(crate) fn keyframes(&self, camera: usize, steps: &Range<u64>) -> ArrayRef {
        let keyframes: BooleanArray = self.episode(camera).each(steps).map(|it| Some(it.keyframe)).collect();
        Arc::new(keyframes)
    }

    /// Where the samples of some steps come in decode order, from the first of the episode.
    pub(crate) fn decode_index(&self, camera: usize, steps: &Range<u64>) -> ArrayRef {
        let episode = self.episode(camera);
        let presentation = &episode.video.track.presentation;
        let of_episode =
            &presentation[episode.first_frame as usize..(episode.first_frame + episode.n_frames) as usize];
        let first = of_episode.iter().min().copied().unwrap_or(0);
        let indices = of_episode[steps.start as usize..steps.end as usize].iter();
        Arc::new(Int32Array::from_iter_values(indices.map(|it| (it - first) as i32)))
    }

    /// What the tables of the video say of `n_rows` coded samples.
    pub(crate) fn sample_pixels(&self, camera: usize, column: usize, n_rows: u64) -> MediaShape {
        let track = &self.episode(camera).video.track;
        MediaShape {
            column,
            dtype: DType::UInt8,
            shape: vec![track.height, track.width, 3],
            encoding: track.codec.name().to_owned(),
            rate_hz: None,
            n_rows,
        }
    }
}

impl EpisodeVideo {
    /// The samples of some steps of the episode, in the order they are shown.
    pub(crate) fn each(&self, steps: &Range<u64>) -> impl Iterator<Item = &Sample> {
        let track = &self.video.track;
        let frames = (self.first_frame + steps.start) as usize..(self.first_frame + steps.end) as usize;
        track.presentation[frames].iter().map(|it| &track.samples[*it as usize])
    }

    /// Where the samples of some steps start in the file, if nothing lies between them.
    fn start_of_neighbours(&self, steps: &Range<u64>) -> Option<u64> {
        let mut ranges = self.each(steps).map(Sample::byte_range);
        let first = ranges.next()?;
        let end = ranges.try_fold(first.end, |end, it| (it.start == end).then_some(it.end));
        end.map(|_| first.start)
    }
}
