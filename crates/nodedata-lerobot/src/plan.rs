//! Everything known before a row is read: episodes, columns, and the pieces they are read in.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use nodedata_arrow::bytes_of;
use nodedata_core::{
    EpisodeInfo, EpisodeVideo, Error, Fact, Files, InputRange, Locus, OpenOptions, Partition, Result,
};
use nodedata_steps::{Listing, STEPS, cut, split_for_uncovered};

use crate::{
    features::{self, Camera, Column, Origin},
    findings::Findings,
    groups::cut_at,
    inputs::Inputs,
    layout::{INFO, MARKER},
    meta::EpisodeRecord,
    order::ranges_of,
    row_audit::{DataRows, EpisodeRows, data_rows},
    tables::Tables,
    task_audit::settle_tasks,
    video_audit::{CameraFrames, frames},
};

/// A planned dataset.
pub(crate) struct Plan {
    pub(crate) tables: Tables,
    pub(crate) listing: Listing,
    pub(crate) inputs: Inputs,
    pub(crate) columns: Vec<Column>,
    pub(crate) not_selected: Vec<String>,
    pub(crate) infos: Vec<EpisodeInfo>,
    pub(crate) episodes: Vec<Episode>,
    pub(crate) cameras: Vec<CameraFrames>,
    pub(crate) videos: Vec<EpisodeVideo>,
    pub(crate) data: DataRows,
    pub(crate) partitions: Vec<Partition>,
    /// By partition: its rows in the data file of its episode, or in the order of its episode's.
    pub(crate) pieces: Vec<Range<u64>>,
}

/// An episode that is read.
#[derive(Debug)]
pub(crate) struct Episode {
    /// The source's own number.
    pub(crate) source_index: u64,
    /// Position among the data files.
    pub(crate) data_file: usize,
    /// In that file; where there is an `order`, in that.
    pub(crate) rows: Range<u64>,
    /// Rows of the file by step, where they do not lie in this order.
    pub(crate) order: Option<Arc<[u64]>>,
    /// By camera: position of the file among the camera's, and the first frame in it.
    pub(crate) frames: Vec<(usize, u64)>,
}

impl Episode {
    /// The rows of the file that some steps are.
    pub(crate) fn in_file(&self, steps: &Range<u64>) -> Vec<Range<u64>> {
        let rows = self.rows.start + steps.start..self.rows.start + steps.end;
        match &self.order {
            Some(order) => ranges_of(&order[rows.start as usize..rows.end as usize]),
            None => vec![rows],
        }
    }
}

/// Opens a dataset: reads its metadata, audits its pointers, and plans how it is read. Without `salvage`
/// the first thing that cannot be used is the error.
///
/// # Errors
/// See [`nodedata_core::Format::open`].
pub(crate) fn plan(files: Arc<dyn Files>, options: &OpenOptions, findings: &mut Findings) -> Result<Plan> {
    let listing = Listing::new(files, &MARKER)?;
    let mut tables = Tables::read(&listing, findings)?;
    let mut data = data_rows(&listing, &mut tables, findings)?;
    tables.take_stats();
    settle_tasks(&mut tables, &data.episodes, findings);
    tables.check_totals(&listing, findings);
    let cameras = frames(&listing, &tables, &mut data.episodes, options, findings);
    if data.episodes.iter().all(Option::is_none) {
        findings.nothing_to_salvage();
    }
    if !options.salvage && !findings.damage.is_empty() {
        return Err(first_of(std::mem::take(&mut findings.damage)));
    }
    let of_camera: Vec<Camera> = cameras.iter().map(|it| it.camera.clone()).collect();
    features::note_missing(&listing, &tables.info, &data.leaves, options, findings);
    let (columns, not_selected) = features::columns(&tables, &data.leaves, &of_camera, options)?;
    let inputs = Inputs::new(&listing, &tables, &data, &cameras)?;
    let mut plan = Plan {
        tables,
        listing,
        inputs,
        columns,
        not_selected,
        infos: Vec::new(),
        episodes: Vec::new(),
        cameras,
        videos: Vec::new(),
        data,
        partitions: Vec::new(),
        pieces: Vec::new(),
    };
    plan.add_episodes(options, findings);
    Ok(plan)
}

/// The first finding, with the number of others.
fn first_of(damage: Vec<Error>) -> Error {
    let n_more = damage.len() - 1;
    let first = damage.into_iter().next().expect("there is one");
    if n_more == 0 {
        return first;
    }
    let message = format!("{} (and {n_more} more findings: `inspect` lists them)", first.chain());
    let told = Error::new(first.kind(), message).at(first.locus().clone());
    match first.hint() {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

impl Plan {
    fn add_episodes(&mut self, options: &OpenOptions, findings: &mut Findings) {
        let mut uncovered = Vec::new();
        for idx in 0..self.tables.episodes.len() {
            let Some(rows) = self.data.episodes[idx].clone() else { continue };
            let frames: Option<Vec<_>> = self
                .cameras
                .iter()
                .map(|it| it.episodes[idx].as_ref().map(|it| (it.file, it.first_frame)))
                .collect();
            let Some(frames) = frames else { continue };
            let metadata = std::mem::take(&mut self.tables.episodes[idx].metadata);
            let record = &self.tables.episodes[idx];
            let input = self.inputs.data[rows.file];
            let source_index = record.index;
            let mut info = self.info(record, metadata, input);
            if info.split.is_none() && !self.tables.info.splits.is_empty() {
                uncovered.push(source_index);
                info.split = Some(self.split_for_uncovered());
            }
            let videos = self.videos_of(idx, self.infos.len(), rows.n_rows());
            let bytes_per_row = self.bytes_per_row(idx, rows.file, rows.n_rows());
            let video_inputs =
                frames.iter().zip(&self.inputs.videos).map(|((file, _), inputs)| inputs[*file]);
            // The footer behind the rows, the video beside them, and the tables that point at both decide rows.
            let whole = std::iter::once(input).chain(video_inputs).chain(self.inputs.tables.iter().copied());
            let whole: Vec<InputRange> = whole.map(InputRange::whole).collect();
            // Where frames lie, the lengths of other episodes may have told, whose files are not among those read.
            let mut recipe = if record.is_rebuilt { format!("frames {frames:?}") } else { String::new() };
            // Whether a program that decodes is there decides what the rows of a camera are.
            for it in self.cameras.iter().filter(|it| it.camera.undecodable.is_some()) {
                recipe.push_str(&format!(" {} not decoded", it.camera.key));
            }
            let (data_file, EpisodeRows { rows, order, .. }) = (rows.file, rows);
            let episode = Episode { source_index, data_file, rows, order, frames };
            self.cut(idx, input, &episode, bytes_per_row, &Cut { whole, recipe }, options);
            self.episodes.push(episode);
            self.infos.push(info);
            self.videos.extend(videos);
        }
        if let Some(first) = uncovered.first() {
            let message = format!(
                "`splits` do not cover {} episodes, the first of them {first}; they are put into `{}`",
                uncovered.len(),
                self.split_for_uncovered()
            );
            findings.repaired("uncovered-by-splits", message, Locus::path(self.listing.path(INFO)));
        }
    }

    fn split_for_uncovered(&self) -> String {
        split_for_uncovered(self.tables.info.splits.keys().map(String::as_str))
    }

    fn info(
        &self,
        record: &EpisodeRecord,
        mut metadata: BTreeMap<Arc<str>, Fact>,
        input: usize,
    ) -> EpisodeInfo {
        metadata.insert("source_episode_index".into(), Fact::Int(record.index as i64));
        if !record.tasks.is_empty() {
            metadata.insert("tasks".into(), serde_json::Value::from(record.tasks.clone()).to_string().into());
        }
        EpisodeInfo {
            key: format!("episode_{:06}", record.index),
            input,
            task: record.tasks.first().filter(|_| record.tasks.len() == 1).cloned(),
            split: self.tables.info.split_of(record.index).map(str::to_owned),
            metadata,
        }
    }

    /// The entries of `index/video.parquet` for the cameras that pass through.
    fn videos_of(&self, idx: usize, episode: usize, n_frames: u64) -> Vec<EpisodeVideo> {
        let passed = self.columns.iter().filter_map(|it| match it.origin {
            Origin::Samples(camera) => Some((camera, it.feature.name.clone())),
            _ => None,
        });
        let of_camera = passed.filter_map(|(camera, feature)| {
            let frames = self.cameras[camera].episodes[idx].as_ref()?;
            let file = &self.cameras[camera].files[frames.file];
            Some(EpisodeVideo {
                episode,
                stream: STEPS,
                feature,
                codec: file.codec.clone(),
                codec_config: file.codec_config.clone(),
                width: file.width,
                height: file.height,
                fps: self.tables.info.fps,
                n_frames,
                input: self.inputs.videos[camera][frames.file],
                first_frame: frames.first_frame,
                // Another camera may have fewer frames, and take rows off the end.
                keyframes: frames.keyframes.iter().copied().filter(|it| u64::from(*it) < n_frames).collect(),
                preroll: Arc::clone(&frames.preroll),
            })
        });
        of_camera.collect()
    }

    /// What a row takes in memory, as the footers and the video tables tell.
    fn bytes_per_row(&self, idx: usize, data_file: usize, n_rows: u64) -> u64 {
        let groups = &self.data.files[data_file].row_groups;
        let (n_bytes, n) = groups.iter().fold((0, 0), |sum, it| (sum.0 + it.n_decoded, sum.1 + it.n_rows));
        let mut total = n_bytes / n.max(1);
        for column in &self.columns {
            total += match column.origin {
                Origin::Samples(camera) => {
                    self.cameras[camera].episodes[idx].as_ref().map_or(0, |it| it.n_bytes / n_rows.max(1))
                }
                Origin::Frames(camera, _) => {
                    let file = self.cameras[camera].episodes[idx]
                        .as_ref()
                        .map(|it| &self.cameras[camera].files[it.file]);
                    file.map_or(0, |it| u64::from(it.width) * u64::from(it.height) * 3)
                }
                _ => 0,
            };
        }
        total.max(1)
    }

    /// The steps of an episode at which decoding of every camera that is decoded can start; `None` where none is.
    fn starts(&self, idx: usize, n_rows: u64) -> Option<Vec<u64>> {
        let decoded = self.columns.iter().filter_map(|it| match it.origin {
            Origin::Frames(camera, _) => self.cameras[camera].episodes[idx].as_ref(),
            _ => None,
        });
        let mut n_cameras = 0;
        let mut found: BTreeMap<u64, usize> = BTreeMap::new();
        for frames in decoded {
            n_cameras += 1;
            for step in frames.keyframes.iter().map(|it| u64::from(*it)).filter(|it| *it < n_rows) {
                *found.entry(step).or_default() += 1;
            }
        }
        let in_all = found.into_iter().filter(|(_, n)| *n == n_cameras).map(|it| it.0);
        (n_cameras > 0).then(|| in_all.collect())
    }

    /// Cuts an episode into pieces of about `partition_bytes`; where frames are decoded, see [`cut_at`].
    fn cut(
        &mut self,
        idx: usize,
        input: usize,
        episode: &Episode,
        bytes_per_row: u64,
        shared: &Cut,
        options: &OpenOptions,
    ) {
        let first = episode.rows.start;
        let n_rows = episode.rows.end - first;
        let pieces: Vec<Range<u64>> = match self.starts(idx, n_rows) {
            Some(starts) => cut_at(&starts, n_rows, bytes_per_row, options.partition_bytes)
                .into_iter()
                .map(|it| first + it.start..first + it.end)
                .collect(),
            None => cut(episode.rows.clone(), bytes_per_row, options.partition_bytes).collect(),
        };
        for piece in pieces {
            let in_file = episode.in_file(&(piece.start - first..piece.end - first));
            let start = in_file.iter().map(|it| it.start).min().unwrap_or(0);
            let end = in_file.iter().map(|it| it.end).max().unwrap_or(start);
            let byte_range = bytes_of(&self.data.files[episode.data_file].row_groups, &(start..end));
            let own = InputRange { input, byte_range };
            self.partitions.push(Partition {
                episode: self.infos.len(),
                reads: std::iter::once(own).chain(shared.whole.iter().cloned()).collect(),
                decoded_bytes: bytes_per_row * (piece.end - piece.start),
                recipe: shared.recipe.clone(),
                ..Partition::default()
            });
            self.pieces.push(piece);
        }
    }
}

/// What all pieces of an episode have in common.
struct Cut {
    /// The files that decide all of their rows.
    whole: Vec<InputRange>,
    /// As [`Partition::recipe`].
    recipe: String,
}
