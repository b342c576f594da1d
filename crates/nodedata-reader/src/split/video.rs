//! What decoders of coded video need beside its samples.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_dataset::{Dataset, VideoEntry};
use nodedata_media::VideoCodec;

use super::Split;
use crate::{
    decode::Decoding,
    fetched::Fetched,
    fields::{Field, Fields},
    memory::Rooms,
    preroll_cache::Preroll,
    rows::Data,
    split::Form,
    video_cache::{DecoderKey, VideoCache},
};

/// The video of one episode and feature.
#[derive(Debug, Clone)]
pub(crate) struct VideoFacts {
    pub(crate) decoder: DecoderKey,
    /// Steps at which decoding can start, rising; `None` where the table does not say.
    keyframes: Option<Arc<[u32]>>,
    /// Whether decoding takes samples that no row holds.
    pub(crate) has_preroll: bool,
}

/// Stream, feature, and position of the episode in the dataset.
pub(crate) type VideoId = (Arc<str>, Arc<str>, u64);

/// The table of video.
#[derive(Debug, Default)]
pub(crate) struct Videos(BTreeMap<VideoId, Known>);

/// What is known of a video, or the name of a codec that nobody knows here.
type Known = Result<Arc<VideoFacts>, Arc<str>>;

/// Frames that are decoded together: from a key frame up to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// The step of the key frame; the first step, where that is among the samples that no row holds.
    pub(crate) start: u64,
    /// Whether the step it starts with is a key frame.
    pub(crate) at_key: bool,
    /// The step of the next one, or how many steps there are.
    pub(crate) end: u64,
    /// Steps of it that are wanted, rising.
    pub(crate) wanted: Vec<u64>,
}

impl Videos {
    /// The table of a dataset; nothing where it has none.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub(crate) fn of(dataset: &Dataset) -> Result<Self> {
        let mut videos = Self::default();
        // A hundred thousand episodes have a handful of names and settings.
        let mut texts = BTreeSet::<Arc<str>>::new();
        let mut configs = BTreeSet::<Arc<[u8]>>::new();
        let mut shared = |text: &str| match texts.get(text) {
            Some(it) => Arc::clone(it),
            None => {
                let it: Arc<str> = text.into();
                texts.insert(Arc::clone(&it));
                it
            }
        };
        for entry in dataset.videos()? {
            let VideoEntry {
                episode,
                stream,
                feature,
                codec,
                codec_config,
                width,
                height,
                keyframes,
                n_preroll,
                ..
            } = entry;
            let id = (shared(&stream), shared(&feature), episode);
            let Some(codec) = VideoCodec::from_name(&codec) else {
                videos.0.insert(id, Err(shared(&codec)));
                continue;
            };
            let config = match configs.get(codec_config.as_slice()) {
                Some(it) => Arc::clone(it),
                None => {
                    let it: Arc<[u8]> = codec_config.into();
                    configs.insert(Arc::clone(&it));
                    it
                }
            };
            let facts = VideoFacts {
                decoder: DecoderKey { codec, config, size: [width, height] },
                keyframes: keyframes.map(Into::into),
                has_preroll: n_preroll != 0,
            };
            videos.0.insert(id, Ok(Arc::new(facts)));
        }
        Ok(videos)
    }
}

impl Split {
    /// What is known of the video of an episode.
    ///
    /// # Errors
    /// `Corrupt` when nothing is; what reading the table reports.
    pub(crate) fn video(&self, episode: usize, feature: &Arc<str>) -> Result<Arc<VideoFacts>> {
        let videos = self.reader().videos()?;
        let id = (Arc::clone(self.stream_name()), Arc::clone(feature), self.episode_index(episode)?);
        let err = match videos.0.get(&id) {
            Some(Ok(facts)) => return Ok(Arc::clone(facts)),
            Some(Err(codec)) => Error::new(ErrorKind::Unsupported, format!("no decoder takes `{codec}`"))
                .with_hint("read this feature as coded bytes"),
            None => Error::new(ErrorKind::Corrupt, "index/video.parquet does not know the episode's video"),
        };
        Err(self.placed_feature(err, episode, feature))
    }

    /// Brings the table of video, where some of these fields are decoded from it: what [`Self::group_starts`] knows then.
    ///
    /// # Errors
    /// What reading the table reports.
    pub fn bring_videos(&self, fields: &Fields) -> Result<()> {
        if fields.iter().any(is_video) { self.reader().videos().map(drop) } else { Ok(()) }
    }

    /// Steps of an episode, rising, from which all video among some fields can be decoded: cut there, nothing is decoded twice.
    /// Nothing is read for it: there are none where no field is video, and where nobody has brought the table, or it does not tell.
    pub fn group_starts(&self, episode: usize, fields: &Fields) -> Vec<u64> {
        let (Some(videos), Ok(index)) = (self.reader().videos_at_hand(), self.episode_index(episode)) else {
            return Vec::new();
        };
        let of_field = |field: &Field| {
            let id = (Arc::clone(self.stream_name()), Arc::clone(&field.info.name), index);
            let facts = videos.0.get(&id)?.as_ref().ok()?;
            facts.keyframes.clone()
        };
        let mut all = fields.iter().filter(|it| is_video(it)).map(|it| of_field(it).unwrap_or_default());
        let Some(first) = all.next() else { return Vec::new() };
        let others: Vec<Arc<[u32]>> = all.collect();
        let is_of_all = |step: &&u32| others.iter().all(|it| it.binary_search(step).is_ok());
        first.iter().filter(is_of_all).map(|it| u64::from(*it)).collect()
    }

    /// The steps of an episode at which decoding can start.
    ///
    /// # Errors
    /// As [`Self::video`]; where the table does not say, what reading the column that does reports.
    pub(crate) fn keyframes(&self, episode: usize, feature: &Arc<str>) -> Result<Arc<[u32]>> {
        let facts = self.video(episode, feature)?;
        if let Some(keyframes) = &facts.keyframes {
            return Ok(Arc::clone(keyframes));
        }
        let n_steps = self.episodes().length(episode).unwrap_or(0);
        let marks = self.companion(&Fetched::default(), episode, feature, "keyframe", 0..n_steps)?;
        let Data::Tensor(marks) = marks else { return Ok(Vec::new().into()) };
        let marked = (0u32..).zip(marks.bytes.iter()).filter(|(_, it)| **it != 0).map(|(step, _)| step);
        Ok(marked.collect::<Vec<u32>>().into())
    }

    /// The values of the column that goes with one of video.
    ///
    /// # Errors
    /// What reading it reports; `Corrupt` when there is none.
    pub(crate) fn companion(
        &self,
        fetched: &Fetched,
        episode: usize,
        feature: &str,
        suffix: &str,
        steps: Range<u64>,
    ) -> Result<Data> {
        let name = format!("{feature}.{suffix}");
        let info = self.features().iter().find(|it| *it.name == *name && it.form == Form::Tensor(Vec::new()));
        let info = info.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("there is no column `{name}` of one value a step"))
        })?;
        let field = Field { info: info.clone(), read_as: crate::As::Decoded, resize: None };
        let n_rows = usize::try_from(steps.end - steps.start).unwrap_or(usize::MAX);
        let frames = VideoCache::new(0);
        let runs = [steps];
        let rooms = Rooms::default();
        let decoding =
            Decoding { split: self, fetched, episode, runs: &runs, frames: &frames, rooms: &rooms };
        Ok(decoding.numbers(n_rows, &field)?.data)
    }

    /// The steps whose rows are read for some steps of a field: of video, from the key frame on.
    ///
    /// # Errors
    /// As [`Self::keyframes`].
    pub(crate) fn steps_read(&self, episode: usize, steps: &Range<u64>, field: &Field) -> Result<Range<u64>> {
        let Form::Video(form) = &field.info.form else { return Ok(steps.clone()) };
        if steps.is_empty() {
            return Ok(steps.clone());
        }
        let starts = self.starts(episode, &field.info.name)?;
        let n_steps = self.episodes().length(episode).unwrap_or(0);
        let first = starts.group_of(n_steps, steps.start);
        let last = starts.group_of(n_steps, steps.end - 1);
        let (Some(first), Some(last)) = (first, last) else { return Err(self.no_key(episode, field)) };
        if starts.has_preroll {
            // Whoever asks which rows are read is going to decode them, and must not wait then.
            self.preroll(episode, &field.info.name)?;
        }
        // In front of the next key frame there may be frames that are made from it.
        let end = if form.has_order { last.range.end.saturating_add(1).min(n_steps) } else { steps.end };
        Ok(first.range.start..end)
    }

    /// The groups that some steps lie in, in order.
    ///
    /// # Errors
    /// As [`Self::keyframes`].
    pub(crate) fn groups(
        &self,
        episode: usize,
        field: &Field,
        steps: impl Iterator<Item = u64>,
    ) -> Result<Vec<Group>> {
        let starts = self.starts(episode, &field.info.name)?;
        let n_steps = self.episodes().length(episode).unwrap_or(0);
        let mut groups: Vec<Group> = Vec::new();
        for step in steps {
            match groups.last_mut() {
                Some(group) if step < group.end => group.wanted.push(step),
                _ => {
                    let found = starts.group_of(n_steps, step);
                    let Found { range, at_key } = found.ok_or_else(|| self.no_key(episode, field))?;
                    groups.push(Group { start: range.start, at_key, end: range.end, wanted: vec![step] });
                }
            }
        }
        Ok(groups)
    }

    /// Where decoding of an episode's video can start.
    fn starts(&self, episode: usize, feature: &Arc<str>) -> Result<Starts> {
        let has_preroll = self.video(episode, feature)?.has_preroll;
        Ok(Starts { keyframes: self.keyframes(episode, feature)?, has_preroll })
    }

    /// The samples that decoding takes and that no row holds, in decode order. Those read last are kept.
    ///
    /// # Errors
    /// What reading the table reports.
    pub(crate) fn preroll(&self, episode: usize, feature: &Arc<str>) -> Result<Preroll> {
        let id = (Arc::clone(self.stream_name()), Arc::clone(feature), self.episode_index(episode)?);
        let preroll = self.reader().preroll(&id);
        preroll.map_err(|err| self.placed_feature(err, episode, feature))
    }

    fn no_key(&self, episode: usize, field: &Field) -> Error {
        let err =
            Error::new(ErrorKind::Corrupt, "no key frame comes before the step, so nothing can be decoded")
                .with_hint("read this feature as coded bytes, or leave the episode out");
        self.placed_feature(err, episode, &field.info.name)
    }
}

/// Whether a field is decoded from coded video.
fn is_video(field: &Field) -> bool {
    matches!(field.info.form, Form::Video(_))
}

/// Where decoding of a video can start.
struct Starts {
    /// Steps, rising.
    keyframes: Arc<[u32]>,
    /// Whether there are samples before the first step to start from.
    has_preroll: bool,
}

/// The group that a step lies in.
#[derive(Debug, PartialEq)]
struct Found {
    range: Range<u64>,
    /// Whether its first step is a key frame.
    at_key: bool,
}

impl Starts {
    fn group_of(&self, n_steps: u64, step: u64) -> Option<Found> {
        let next = self.keyframes.partition_point(|it| u64::from(*it) <= step);
        let end = self.keyframes.get(next).map_or(n_steps, |it| u64::from(*it).min(n_steps));
        match next.checked_sub(1).and_then(|it| self.keyframes.get(it)) {
            Some(key) => Some(Found { range: u64::from(*key)..end, at_key: true }),
            None => self.has_preroll.then_some(Found { range: 0..end, at_key: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_lies_behind_its_key_frame() {
        let found = |keyframes: &[u32], has_preroll, step| {
            let starts = Starts { keyframes: keyframes.into(), has_preroll };
            starts.group_of(12, step).map(|it| (it.range, it.at_key))
        };
        let group = |step| found(&[0, 4, 9], false, step);
        assert_eq!(
            [group(0), group(3), group(4), group(11)],
            [Some((0..4, true)), Some((0..4, true)), Some((4..9, true)), Some((9..12, true))]
        );
        assert_eq!((found(&[2], false, 1), found(&[], false, 1)), (None, None));
        assert_eq!(found(&[2], true, 1), Some((0..2, false)));
        assert_eq!(found(&[2], true, 2), Some((2..12, true)));
        assert_eq!(found(&[], true, 1), Some((0..12, false)));
        assert_eq!(
            found(&[0, 40], false, 3),
            Some((0..12, true)),
            "what a table says of steps that are not there"
        );
    }
}
