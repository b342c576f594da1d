//! Coded video of a step table, decoded frame by frame to see that every sample is sound.

use std::collections::BTreeMap;

use arrow_array::{Array, RecordBatch, cast::AsArray, types::Int32Type};
use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result, StreamSchema};
use nodedata_media::{
    VideoCodec,
    video::{DecodeOptions, FrameDecoder, decoder},
};
use rayon::prelude::*;

use crate::{entries::VideoEntry, read::Dataset};

/// The cameras of a stream, each with the decoder of the episode being read.
pub(crate) struct VideoWalk {
    dataset: Dataset,
    cameras: Vec<Camera>,
}

/// What decoding an episode's video showed.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) n_frames: u64,
    /// Where, and what is wrong there.
    pub(crate) bad: Vec<(String, String)>,
    /// Where, and why no decoder here can tell whether anything is.
    pub(crate) unchecked: Vec<(String, String)>,
    /// Where, and what the index says otherwise than the rows.
    pub(crate) mismatched: Vec<(String, String)>,
}

struct Camera {
    feature: String,
    column: usize,
    /// Position of the column that tells the order of decoding; without it that of the rows.
    decode_index: Option<usize>,
    /// Position of the column that marks key frames.
    keyframe: Option<usize>,
    /// By episode.
    entries: BTreeMap<u64, VideoEntry>,
    playing: Option<Playing>,
}

struct Playing {
    episode: u64,
    decoder: Result<Box<dyn FrameDecoder>>,
    n_rows: u64,
    /// Of rows; those of samples that no row holds do not count.
    n_frames: u64,
    /// Rows that the index says the episode has.
    told_frames: u64,
    /// Where the frame of the first sample that was fed is shown. What is shown before it ends a group that is not here.
    shown_from: Option<i64>,
    /// Key frames as the index names them, and as the rows mark them; `None` where one of the two does not say.
    keyframes: Option<(Vec<u32>, Vec<u32>)>,
    /// Decode order of the sample that is fed next.
    next: i64,
    /// Samples that are shown before others they are decoded after.
    waiting: BTreeMap<i64, (i64, Bytes)>,
}

impl VideoWalk {
    /// The cameras of `stream` that the video index speaks of.
    ///
    /// # Errors
    /// `Io` or `Corrupt` when the index cannot be read.
    pub(crate) fn new(dataset: &Dataset, stream: &StreamSchema) -> Result<Self> {
        let mut by_feature: BTreeMap<String, BTreeMap<u64, VideoEntry>> = BTreeMap::new();
        for entry in dataset.videos()?.into_iter().filter(|it| *it.stream == *stream.name) {
            by_feature.entry(entry.feature.clone()).or_default().insert(entry.episode, entry);
        }
        let position = |name: &str| stream.features.iter().position(|it| it.name == name);
        let cameras = by_feature.into_iter().filter_map(|(feature, entries)| {
            let column = position(&feature)?;
            let decode_index = position(&format!("{feature}.decode_index"));
            let keyframe = position(&format!("{feature}.keyframe"));
            Some(Camera { feature, column, decode_index, keyframe, entries, playing: None })
        });
        Ok(Self { dataset: dataset.clone(), cameras: cameras.collect() })
    }

    /// Feeds the samples of some rows of one episode, in row order.
    pub(crate) fn rows(&mut self, episode: u64, rows: &RecordBatch) {
        let dataset = &self.dataset;
        self.cameras.par_iter_mut().for_each(|camera| camera.rows(dataset, episode, rows));
    }

    /// Ends the episode that is being read.
    pub(crate) fn end_episode(&mut self) -> Watched {
        let ended: Vec<Watched> = self.cameras.par_iter_mut().filter_map(Camera::end).collect();
        ended.into_iter().fold(Watched::default(), |mut all, it| {
            all.n_frames += it.n_frames;
            all.bad.extend(it.bad);
            all.unchecked.extend(it.unchecked);
            all.mismatched.extend(it.mismatched);
            all
        })
    }
}

impl Camera {
    fn rows(&mut self, dataset: &Dataset, episode: u64, rows: &RecordBatch) {
        let Some(samples) = rows.column(self.column).as_binary_opt::<i32>() else { return };
        let order = self.decode_index.and_then(|it| rows.column(it).as_primitive_opt::<Int32Type>());
        let keyframe = self.keyframe.and_then(|it| rows.column(it).as_boolean_opt());
        let entries = &self.entries;
        let playing =
            self.playing.get_or_insert_with(|| Playing::new(dataset, episode, entries.get(&episode)));
        for row in 0..samples.len() {
            let shown_as = playing.n_rows as i64;
            playing.n_rows += 1;
            playing.mark(shown_as, keyframe.map(|it| it.is_valid(row) && it.value(row)));
            let decode_as = order.map_or(shown_as, |it| i64::from(it.value(row)));
            if samples.is_valid(row) {
                playing.waiting.insert(decode_as, (shown_as, Bytes::copy_from_slice(samples.value(row))));
                playing.feed();
            }
        }
    }

    fn end(&mut self) -> Option<Watched> {
        let Playing { episode, decoder, n_rows, mut n_frames, told_frames, keyframes, waiting, .. } =
            self.playing.take()?;
        let ended = decoder.and_then(|mut decoder| {
            decoder.finish()?;
            n_frames += drain(decoder.as_mut(), told_frames)?;
            if let Some(first) = waiting.keys().next() {
                let message = format!("the sample before decode position {first} is not there");
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            if n_frames != n_rows {
                let message = format!("{n_rows} samples decode to {n_frames} frames");
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            Ok(())
        });
        let at = format!("episode {episode}, feature `{}`", self.feature);
        let mut watched = Watched { n_frames, ..Watched::default() };
        if keyframes.is_some_and(|(told, marked)| told != marked) {
            let message = "index/video.parquet names other key frames than the rows";
            watched.mismatched.push((at.clone(), message.to_owned()));
        }
        match ended {
            Ok(()) => {}
            Err(err) if err.kind() == ErrorKind::Unsupported => watched.unchecked.push((at, err.chain())),
            Err(err) => watched.bad.push((at, err.chain())),
        }
        Some(watched)
    }
}

impl Playing {
    fn new(dataset: &Dataset, episode: u64, entry: Option<&VideoEntry>) -> Self {
        let mut decoder = match entry {
            None => {
                let message = "index/video.parquet does not know the episode's video";
                Err(Error::new(ErrorKind::Corrupt, message))
            }
            Some(entry) => match VideoCodec::from_name(&entry.codec) {
                Some(codec) => decoder(codec, &entry.codec_config, &DecodeOptions::default()),
                None => {
                    Err(Error::new(ErrorKind::Unsupported, format!("no decoder takes `{}`", entry.codec)))
                }
            },
        };
        let keyframes = entry.and_then(|it| Some((it.keyframes.clone()?, Vec::new())));
        let (mut next, mut waiting) = (0, BTreeMap::new());
        if let Some(entry) = entry.filter(|it| it.n_preroll != 0) {
            match dataset.preroll(&entry.stream, &entry.feature, episode) {
                Ok(preroll) => {
                    let samples = preroll.into_iter();
                    waiting = samples
                        .map(|it| (i64::from(it.decode_index), (i64::from(it.step), it.sample)))
                        .collect();
                    next = waiting.keys().next().copied().unwrap_or(0).min(0);
                }
                Err(err) => decoder = Err(err),
            }
        }
        let told_frames = entry.map_or(0, |it| it.n_frames);
        let (n_rows, n_frames, shown_from) = (0, 0, None);
        Self { episode, decoder, n_rows, n_frames, told_frames, shown_from, keyframes, next, waiting }
    }

    /// Notes whether a step is a key frame; `None` where the rows do not say.
    fn mark(&mut self, step: i64, is_key: Option<bool>) {
        match (&mut self.keyframes, is_key, u32::try_from(step)) {
            (Some((_, marked)), Some(true), Ok(step)) => marked.push(step),
            (Some(_), Some(false), _) | (None, ..) => {}
            (Some(_), None, _) | (Some(_), Some(true), Err(_)) => self.keyframes = None,
        }
    }

    /// Hands the decoder every sample whose turn it is. After an error nothing more is fed.
    fn feed(&mut self) {
        while let Ok(decoder) = &mut self.decoder {
            let Some((shown_as, sample)) = self.waiting.remove(&self.next) else { return };
            self.next += 1;
            if shown_as < *self.shown_from.get_or_insert(shown_as) {
                continue;
            }
            let told_frames = self.told_frames;
            match decoder.decode(&sample, shown_as).and_then(|()| drain(decoder.as_mut(), told_frames)) {
                Ok(n) => self.n_frames += n,
                Err(err) => self.decoder = Err(err),
            }
        }
        self.waiting.clear();
    }
}

/// Takes out the frames that are ready; the number of those that are of rows.
fn drain(decoder: &mut dyn FrameDecoder, n_rows: u64) -> Result<u64> {
    let mut n = 0;
    while let Some(frame) = decoder.next_frame()? {
        n += u64::from(u64::try_from(frame.order).is_ok_and(|it| it < n_rows));
    }
    Ok(n)
}
