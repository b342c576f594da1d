//! What decoders need of video that is coded while rows are read: only the rows tell it.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use bytes::Bytes;
use nodedata_core::{Batch, EpisodeVideo, Error, ErrorKind, Locus, Result, SourcePlan};
use serde::{Deserialize, Serialize};

/// The video that was coded of some episodes, by episode and column.
#[derive(Debug, Default)]
pub(crate) struct MadeVideos(BTreeMap<(usize, String), Frames>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Frames {
    height: u32,
    width: u32,
    n_frames: u64,
    /// Steps, rising.
    keyframes: Vec<u32>,
}

/// A video as the record of a unit has it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MadeVideo {
    episode: usize,
    feature: String,
    #[serde(flatten)]
    frames: Frames,
}

impl MadeVideos {
    /// Takes in the rows of an episode that follow those before.
    ///
    /// # Errors
    /// `SchemaMismatch` where the frames of one episode have several sizes.
    pub(crate) fn watch(
        &mut self,
        batch: &Batch,
        (episode, first): (usize, u64),
        plan: &SourcePlan,
    ) -> Result<()> {
        for coded in plan.coded.iter().filter(|it| it.stream == batch.stream) {
            let features = plan.streams.get(batch.stream.0 as usize).map(|it| it.features.as_slice());
            let column = features.and_then(|all| all.iter().position(|it| it.name == coded.feature));
            let size = batch.pixels.iter().find(|it| Some(it.column) == column).map(|it| it.shape.as_slice());
            let marks = batch.rows.column_by_name(&format!("{}.keyframe", coded.feature));
            let (Some(marks), Some(&[height, width, ..])) = (marks.and_then(|it| it.as_boolean_opt()), size)
            else {
                let message = format!("the rows do not say of the video `{}` how large it is", coded.feature);
                return Err(Error::new(ErrorKind::Corrupt, message)
                    .at(place(episode, first, &coded.feature))
                    .with_hint("this is a mistake of the program; please report it"));
            };
            let empty = Frames { height, width, n_frames: 0, keyframes: Vec::new() };
            let frames = self.0.entry((episode, coded.feature.clone())).or_insert(empty);
            if [frames.height, frames.width] != [height, width] {
                let message = format!(
                    "the frames of the episode are {height} × {width} from here on, and were {} × {}: all frames of a video have one size",
                    frames.height, frames.width
                );
                let hint = format!(
                    "put `image/resize` in front of `encode` in `fields.{}.transform`",
                    coded.feature
                );
                return Err(Error::new(ErrorKind::SchemaMismatch, message)
                    .at(place(episode, first, &coded.feature))
                    .with_hint(hint));
            }
            frames.n_frames += batch.rows.num_rows() as u64;
            let keyframes = (first..).zip(marks.iter()).filter(|(_, it)| *it == Some(true));
            frames.keyframes.extend(keyframes.filter_map(|(step, _)| u32::try_from(step).ok()));
        }
        Ok(())
    }

    /// As a record keeps them.
    pub(crate) fn into_record(self) -> Vec<MadeVideo> {
        let made = |((episode, feature), frames)| MadeVideo { episode, feature, frames };
        self.0.into_iter().map(made).collect()
    }

    /// Takes in what the record of the next unit says.
    pub(crate) fn join(&mut self, record: Vec<MadeVideo>) {
        self.0.extend(record.into_iter().map(|it| ((it.episode, it.feature), it.frames)));
    }

    /// All video of a dataset: what passes through, then what was coded.
    pub(crate) fn with_those_of(self, plan: &SourcePlan) -> Vec<EpisodeVideo> {
        let made = self.0.into_iter().filter_map(|((episode, feature), frames)| {
            let coded = plan.coded.iter().find(|it| it.feature == feature)?;
            Some(EpisodeVideo {
                episode,
                stream: coded.stream,
                feature,
                codec: coded.codec.clone(),
                // Each key frame has its parameter sets in front.
                codec_config: Bytes::new(),
                width: frames.width,
                height: frames.height,
                fps: coded.fps,
                n_frames: frames.n_frames,
                input: plan.episodes.get(episode)?.input,
                first_frame: 0,
                keyframes: frames.keyframes.into(),
                preroll: [].into(),
            })
        });
        plan.videos.iter().cloned().chain(made).collect()
    }
}

fn place(episode: usize, step: u64, feature: &str) -> Locus {
    Locus {
        episode_idx: Some(episode as u64),
        step_idx: Some(step),
        feature: Some(feature.to_owned()),
        ..Locus::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{BinaryArray, BooleanArray, RecordBatch};
    use nodedata_core::{
        CodedVideo, DType, EpisodeInfo, Feature, MediaShape, Storage, StreamId, StreamKind, StreamSchema,
    };

    use super::*;

    fn plan() -> SourcePlan {
        let stream = StreamSchema {
            id: StreamId(0),
            name: "steps".into(),
            kind: StreamKind::Steps,
            features: vec![
                Feature { storage: Storage::RawMedia, ..Feature::new("front", DType::UInt8, Vec::new()) },
                Feature::new("front.keyframe", DType::Bool, Vec::new()),
            ],
            metadata: Default::default(),
        };
        let (codec, feature) = ("h264".to_owned(), "front".to_owned());
        SourcePlan {
            streams: vec![stream],
            episodes: vec![EpisodeInfo::default(), EpisodeInfo { input: 3, ..EpisodeInfo::default() }],
            coded: vec![CodedVideo { stream: StreamId(0), feature, codec, fps: 30.0 }],
            ..SourcePlan::default()
        }
    }

    fn batch(plan: &SourcePlan, keyframes: &[bool], [height, width]: [u32; 2]) -> Batch {
        let samples = BinaryArray::from_iter_values(keyframes.iter().map(|_| b"sample"));
        let marks = BooleanArray::from(keyframes.to_vec());
        let n_rows = keyframes.len() as u64;
        let shape = vec![height, width, 3];
        let encoding = "h264".to_owned();
        let pixels =
            vec![MediaShape { column: 0, dtype: DType::UInt8, shape, encoding, rate_hz: None, n_rows }];
        let columns = vec![Arc::new(samples) as _, Arc::new(marks) as _];
        let rows = RecordBatch::try_new(plan.streams[0].arrow(), columns).unwrap();
        Batch { stream: StreamId(0), rows, spans: Vec::new(), pixels }
    }

    #[test]
    fn key_frames_are_counted_from_the_episodes_first_step() {
        let plan = plan();
        let mut made = MadeVideos::default();
        made.watch(&batch(&plan, &[true, false, true], [4, 6]), (1, 0), &plan).unwrap();
        made.watch(&batch(&plan, &[true, false], [4, 6]), (1, 3), &plan).unwrap();
        made.watch(&batch(&plan, &[true], [2, 2]), (0, 0), &plan).unwrap();
        let mut back = MadeVideos::default();
        // A record is JSON.
        let record = serde_json::to_value(made.into_record()).unwrap();
        back.join(serde_json::from_value(record).unwrap());
        let videos = back.with_those_of(&plan);
        let told: Vec<_> =
            videos.iter().map(|it| (it.episode, it.input, it.height, it.width, it.n_frames)).collect();
        assert_eq!(told, [(0, 0, 2, 2, 1), (1, 3, 4, 6, 5)]);
        assert_eq!((&*videos[0].keyframes, &*videos[1].keyframes), (&[0][..], &[0, 2, 3][..]));
        assert!(videos[1].codec == "h264" && videos[1].fps == 30.0 && videos[1].codec_config.is_empty());
    }

    #[test]
    fn an_episode_with_frames_of_two_sizes_is_an_error_with_its_step() {
        let plan = plan();
        let mut made = MadeVideos::default();
        made.watch(&batch(&plan, &[true, false], [4, 6]), (1, 0), &plan).unwrap();
        let err = made.watch(&batch(&plan, &[true], [6, 4]), (1, 2), &plan).unwrap_err();
        assert_eq!((err.kind(), err.locus().step_idx), (ErrorKind::SchemaMismatch, Some(2)));
        assert!(err.to_string().contains("6 × 4 from here on, and were 4 × 6"), "{err}");
    }
}
