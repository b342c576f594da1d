//! Which frames of which video file each episode has, camera by camera: what the pointers say, held against
//! what the files hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, OpenOptions, PrerollSample, Result};
use nodedata_media::{
    mp4::VideoTrack,
    video::{CodedSample, DecodeOptions, check_decodable},
};
use nodedata_steps::{Found, Listing, decoding_of, in_episode, is_worked_on, refusal};
use rayon::prelude::*;

use crate::{
    features::{Camera, Undecodable, is_selected},
    findings::Findings,
    layout::INFO,
    meta::EpisodeRecord,
    placing::{Placed, Placing, place},
    row_audit::{EpisodeRows, values_of},
    shown::shown,
    tables::Tables,
    template::{Template, Values},
    track_check::{Checked, Wanted, check},
    tracks::{self, OpenVideo},
};

/// Frames of a camera up to which its videos are opened once for the plan, and not again to check them: some
/// 30 bytes each.
const FRAMES_KEPT: u64 = 1 << 18;

/// The frames of one episode in one video file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EpisodeFrames {
    /// Position among the camera's files.
    pub(crate) file: usize,
    /// In presentation order.
    pub(crate) first_frame: u64,
    /// Coded bytes of all its frames.
    pub(crate) n_bytes: u64,
    /// At which of them decoding can start.
    pub(crate) keyframes: Vec<u32>,
    /// Samples that decoding them takes beside their own; of what is passed through.
    pub(crate) preroll: Arc<[PrerollSample]>,
}

/// A video file, as far as planning and decoding need it.
#[derive(Debug, Clone)]
pub(crate) struct VideoFile {
    pub(crate) path: PathBuf,
    pub(crate) n_bytes: u64,
    pub(crate) codec: String,
    pub(crate) codec_config: Bytes,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) n_frames: u64,
    is_reordered: bool,
    has_audio: bool,
}

/// A camera with its files, and each episode's frames.
#[derive(Debug)]
pub(crate) struct CameraFrames {
    pub(crate) camera: Camera,
    pub(crate) files: Vec<VideoFile>,
    /// By position in [`Tables::episodes`]; `None` for an episode that is refused.
    pub(crate) episodes: Vec<Option<EpisodeFrames>>,
}

/// Opens the video files of every selected camera and settles each episode's frames. Rows without a frame are taken
/// off the end of `rows`; an episode whose video cannot be used is taken out of it. A camera of which no file was
/// ever stored is left out and named.
pub(crate) fn frames(
    listing: &Listing,
    tables: &Tables,
    rows: &mut [Option<EpisodeRows>],
    options: &OpenOptions,
    findings: &mut Findings,
) -> Vec<CameraFrames> {
    let mut mismatched: Vec<bool> =
        rows.iter().map(|it| it.as_ref().is_some_and(|it| it.n_rows() != it.told_length)).collect();
    let mut confirmed = vec![true; rows.len()];
    let stored: Vec<&str> = tables.info.video_keys().filter(|it| is_stored(it, listing, tables)).collect();
    for key in tables.info.video_keys().filter(|it| !stored.contains(it) && is_selected(it, options)) {
        let message = "meta/info.json declares the camera, but no video of it is there; it is left out";
        let at = Locus { feature: Some(key.to_owned()), ..Locus::path(listing.path(INFO)) };
        findings.repaired("camera-without-video", message, at);
    }
    let (keys, others): (Vec<&str>, Vec<&str>) = stored.into_iter().partition(|it| is_selected(it, options));
    let mut n_witnesses = keys.len();
    if mismatched.contains(&true) {
        // How many frames the cameras have that nobody selected still tells which of two lengths is right.
        for key in others {
            let mut of_camera = rows.to_vec();
            let mut unheard = Findings::default();
            VideoAudit {
                listing,
                tables,
                key,
                rows: &mut of_camera,
                options,
                findings: &mut unheard,
                confirmed: &mut confirmed,
            }
            .camera();
            for (confirmed, rows) in confirmed.iter_mut().zip(&of_camera) {
                *confirmed &= rows.is_some();
            }
            n_witnesses += 1;
        }
    }
    let mut cameras: Vec<CameraFrames> = keys
        .iter()
        .map(|key| {
            let mut audit =
                VideoAudit { listing, tables, key, rows, options, findings, confirmed: &mut confirmed };
            audit.camera()
        })
        .collect();
    for (idx, mismatched) in mismatched.iter_mut().enumerate() {
        if let Some(rows) = rows[idx].as_ref().filter(|_| *mismatched) {
            let record = &tables.episodes[idx];
            let message =
                format!("the episodes table says {} rows, but {} are there", rows.told_length, rows.n_rows());
            let at = in_episode(&record.told_by, record.index);
            if confirmed[idx] && 0 < n_witnesses {
                findings.repaired(
                    "stale-length",
                    format!("{message}, and as many frames of every camera"),
                    at,
                );
            } else {
                findings.lost("length-mismatch", refusal(message, at), 0);
            }
        }
    }
    for camera in &mut cameras {
        for (frames, rows) in camera.episodes.iter_mut().zip(rows.iter()) {
            if rows.is_none() {
                *frames = None;
            }
        }
    }
    cameras
}

/// Whether there is any video that may be a camera's: where `video_path` says, in a folder called otherwise, or in one
/// of the camera's name.
fn is_stored(key: &str, listing: &Listing, tables: &Tables) -> bool {
    let template = tables.info.video_path.as_ref();
    let is_its_own = |name: &str| {
        template.is_some_and(|it| it.read(name, key).is_some())
            || (name.ends_with(".mp4") && name.split('/').any(|it| it == key))
    };
    let lies_elsewhere = |template: &Template, record: &EpisodeRecord| {
        let expected = template.fill(&video_values(tables, key, record));
        found_video(listing, tables, key, record, (template, &expected)).is_some()
    };
    listing.names().any(is_its_own)
        || template.is_some_and(|it| tables.episodes.iter().any(|record| lies_elsewhere(it, record)))
}

/// What `video_path` is filled with for an episode of a camera.
fn video_values<'a>(tables: &Tables, key: &'a str, record: &EpisodeRecord) -> Values<'a> {
    let told = record.videos.get(key).and_then(|it| it.file);
    let (chunk, file) = told.unwrap_or((record.index / tables.info.chunks_size, 0));
    Values { chunk, file, video_key: key, ..values_of(tables, record) }
}

/// The file of an episode's frames: where `video_path` says, or in a folder of another name.
fn found_video(
    listing: &Listing,
    tables: &Tables,
    key: &str,
    record: &EpisodeRecord,
    (template, expected): (&Template, &str),
) -> Option<Found> {
    listing.find_among(expected, |name| !is_of_other_frames(tables, key, template, name, record))
}

/// Whether a name that is nearly the one looked for is that of another camera's or episode's video: folders
/// may be misnamed, but no camera's frames pass for another's.
fn is_of_other_frames(
    tables: &Tables,
    key: &str,
    template: &Template,
    name: &str,
    record: &EpisodeRecord,
) -> bool {
    let has_own_files = tables.info.version.has_file_per_episode();
    tables.info.video_keys().any(|other| {
        let read = template.read(name, other);
        read.is_some_and(|it| other != key || !has_own_files || it.episode != record.index)
    })
}

/// The videos of one camera.
#[derive(Default)]
struct OpenedFiles {
    files: Vec<VideoFile>,
    /// By file, what is kept of its tables.
    tracks: Vec<Option<VideoTrack>>,
    /// By episode.
    pointers: Vec<Option<Pointer>>,
}

struct VideoAudit<'a> {
    listing: &'a Listing,
    tables: &'a Tables,
    key: &'a str,
    rows: &'a mut [Option<EpisodeRows>],
    options: &'a OpenOptions,
    findings: &'a mut Findings,
    /// Whether every camera so far has just as many frames as the episode has rows.
    confirmed: &'a mut [bool],
}

impl VideoAudit<'_> {
    fn camera(&mut self) -> CameraFrames {
        let OpenedFiles { files, tracks, pointers } = self.open_files();
        let asks_for_frames =
            decoding_of(self.key, self.options).is_some() || is_worked_on(self.key, self.options);
        let undecodable = if asks_for_frames { self.undecodable(&files) } else { None };
        let decodes = asks_for_frames && undecodable.is_none();
        let placing = Placing {
            n_frames: files.iter().map(|it| it.n_frames).collect(),
            fps: self.tables.info.fps,
            lengths: self.rows.iter().map(|it| it.as_ref().map(EpisodeRows::n_rows)).collect(),
            pointers,
            own_files: self.tables.info.version.has_file_per_episode(),
        };
        let placed = place(&placing);
        let mut episodes: Vec<Option<EpisodeFrames>> = Vec::with_capacity(placed.len());
        for (idx, placed) in placed.into_iter().enumerate() {
            episodes.push(self.settle(idx, placed, &files));
        }
        self.check_tracks(&files, &tracks, decodes, &mut episodes);
        self.note_rest(&files, &episodes);
        let codecs: std::collections::BTreeSet<&str> = files.iter().map(|it| it.codec.as_str()).collect();
        let camera = Camera {
            key: self.key.to_owned(),
            codec: codecs.first().filter(|_| codecs.len() == 1).map(|it| (*it).to_owned()),
            has_reordering: files.iter().any(|it| it.is_reordered),
            undecodable,
        };
        CameraFrames { camera, files, episodes }
    }

    /// Why no decoder here takes some of the videos, which is told: the camera then passes through as it is coded. Files
    /// that are coded alike are tried once.
    fn undecodable(&mut self, files: &[VideoFile]) -> Option<Undecodable> {
        let mut tried = BTreeSet::new();
        for file in files {
            if !tried.insert((file.codec.as_str(), &file.codec_config)) {
                continue;
            }
            let Some(err) = refusal_of_decoders(self.listing, file) else { continue };
            let at = Locus { feature: Some(self.key.to_owned()), ..Locus::path(&file.path) };
            let undecodable = Undecodable {
                why: format!("no decoder here takes its {} video: {}", file.codec, err.chain()),
                hint: err.hint().unwrap_or("keep the video as it is coded").to_owned(),
            };
            let message = format!("{}; the camera passes through as it is coded", undecodable.why);
            self.findings.not_done("camera-not-decoded", message, at, undecodable.hint.clone());
            return Some(undecodable);
        }
        None
    }

    /// Opens every video of the camera, and says which file each episode points at. Episodes whose file
    /// cannot be used are taken out.
    fn open_files(&mut self) -> OpenedFiles {
        let Some(template) = &self.tables.info.video_path else {
            for idx in 0..self.rows.len() {
                self.refuse(
                    idx,
                    "no-video-path",
                    |at| refusal("meta/info.json has no `video_path`", at),
                    self.listing.path(INFO),
                );
            }
            return OpenedFiles { pointers: vec![None; self.rows.len()], ..OpenedFiles::default() };
        };
        let mut names: BTreeMap<String, ()> = BTreeMap::new();
        for name in self.listing.names().filter(|it| template.read(it, self.key).is_some()) {
            names.insert(name.to_owned(), ());
        }
        let expected: Vec<String> = self
            .tables
            .episodes
            .iter()
            .map(|it| template.fill(&video_values(self.tables, self.key, it)))
            .collect();
        let mut found: Vec<Option<String>> = Vec::with_capacity(expected.len());
        for (record, expected) in self.tables.episodes.iter().zip(&expected) {
            found.push(
                match found_video(self.listing, self.tables, self.key, record, (template, expected)) {
                    Some(Found::AsTold(name)) => Some(name),
                    Some(Found::Elsewhere(name)) => {
                        if names.insert(name.clone(), ()).is_none() {
                            let message =
                                format!("the video lies here, not at `{expected}` as `video_path` says");
                            let at = in_episode(self.listing.path(&name), record.index);
                            self.findings.repaired("wrong-folder", message, at);
                        }
                        Some(name)
                    }
                    None => None,
                },
            );
        }
        let (mut files, mut tracks) = (Vec::new(), Vec::new());
        let mut opened: BTreeMap<String, Result<usize, Error>> = BTreeMap::new();
        let (listing, n_frames_kept) = (self.listing, AtomicU64::new(0));
        let open = |(name, ()): (String, ())| (open(listing, &name, &n_frames_kept), name);
        let all: Vec<_> = names.into_par_iter().map(open).collect();
        for (file, name) in all {
            let file = file.map(|(file, track)| {
                files.push(file);
                tracks.push(track);
                files.len() - 1
            });
            opened.insert(name, file);
        }
        let pointers =
            (0..expected.len()).map(|idx| self.pointer(idx, &expected[idx], found[idx].as_deref(), &opened));
        let pointers = pointers.collect();
        OpenedFiles { files, tracks, pointers }
    }

    fn pointer(
        &mut self,
        idx: usize,
        expected: &str,
        found: Option<&str>,
        opened: &BTreeMap<String, Result<usize, Error>>,
    ) -> Option<Pointer> {
        let record = &self.tables.episodes[idx];
        let told = record.videos.get(self.key).copied().unwrap_or_default();
        // Of a file that several episodes share, a row that is lost cannot have told the name.
        let is_told = !record.is_rebuilt || self.tables.info.version.has_file_per_episode();
        let pointer = |file| Pointer { file, from_seconds: told.from_seconds, to_seconds: told.to_seconds };
        match found.and_then(|it| opened.get(it)) {
            Some(Ok(file)) => Some(pointer(is_told.then_some(*file))),
            Some(Err(err)) => {
                self.refuse_unreadable(idx, err, self.listing.path(found.unwrap_or(expected)));
                None
            }
            // The pointer may be stale: where other files are there, their frames can still tell.
            None if !opened.is_empty() && opened.values().all(Result::is_ok) => Some(pointer(None)),
            None => {
                self.refuse(
                    idx,
                    "missing-video",
                    |at| refusal("the video of the episode is not there", at),
                    self.listing.path(expected),
                );
                None
            }
        }
    }

    fn refuse_unreadable(&mut self, idx: usize, err: &Error, path: PathBuf) {
        let (kind, message) = (err.kind(), format!("the video cannot be used: {}", err.chain()));
        let place = err.locus().clone();
        let hint = err.hint().unwrap_or("restore the video file").to_owned();
        let refused = |at| Error::new(kind, message).at(place).at(at).with_hint(hint);
        self.refuse(idx, "unreadable-video", refused, path);
    }

    fn refuse(&mut self, idx: usize, code: &'static str, err: impl FnOnce(Locus) -> Error, path: PathBuf) {
        if let Some(rows) = self.rows[idx].take() {
            let at = in_episode(path, self.tables.episodes[idx].index);
            let at = Locus { feature: Some(self.key.to_owned()), ..at };
            self.findings.lost(code, err(at), rows.n_rows());
        }
    }

    /// Tells what was found about one episode's frames, and takes rows without frames off.
    fn settle(&mut self, idx: usize, placed: Placed, files: &[VideoFile]) -> Option<EpisodeFrames> {
        let record = &self.tables.episodes[idx];
        let n_rows = self.rows[idx].as_ref()?.n_rows();
        let name = |file: usize| files[file].path.clone();
        let at = |file: usize| Locus {
            feature: Some(self.key.to_owned()),
            ..in_episode(name(file), record.index)
        };
        for (code, message) in placed.repairs.into_iter().filter(|_| !record.is_rebuilt) {
            // A row of the table that is rebuilt says nothing that could be wrong.
            self.findings.repaired(code, message, at(placed.file.unwrap_or(0)));
        }
        let Some(file) = placed.file else {
            let (code, message) =
                placed.refused.unwrap_or(("missing-video", "no video holds the episode".to_owned()));
            let expected = self
                .tables
                .info
                .video_path
                .as_ref()
                .map(|it| it.fill(&video_values(self.tables, self.key, record)));
            let path = self.listing.path(expected.as_deref().unwrap_or_default());
            self.refuse(idx, code, |at| refusal(message, at), path);
            return None;
        };
        if let Some((code, message)) = placed.refused {
            // The frames that are there are sound: in salvage only the rows without one are left out.
            let kept = placed.n_frames.min(n_rows);
            let place = at(file);
            self.findings.lost(code, refusal(message, place), n_rows - kept);
            self.confirmed[idx] = false;
            let rows = self.rows[idx].as_mut()?;
            rows.rows.end = rows.rows.start + kept;
            if kept == 0 {
                self.rows[idx] = None;
                return None;
            }
        }
        self.confirmed[idx] &= placed.is_exact;
        let (first_frame, preroll) = (placed.first_frame, Arc::default());
        Some(EpisodeFrames { file, first_frame, n_bytes: 0, keyframes: Vec::new(), preroll })
    }

    /// Checks that every episode can be cut out of its file.
    fn check_tracks(
        &mut self,
        files: &[VideoFile],
        tracks: &[Option<VideoTrack>],
        decodes: bool,
        episodes: &mut [Option<EpisodeFrames>],
    ) {
        let mut by_file: BTreeMap<usize, Vec<Wanted>> = BTreeMap::new();
        for (idx, (frames, rows)) in episodes.iter().zip(self.rows.iter()).enumerate() {
            if let (Some(frames), Some(rows)) = (frames, rows) {
                let wanted = Wanted { idx, first_frame: frames.first_frame, n_frames: rows.n_rows() };
                by_file.entry(frames.file).or_default().push(wanted);
            }
        }
        let (listing, fps) = (self.listing, self.tables.info.fps);
        let check = |(file, wanted): (usize, Vec<Wanted>)| {
            let all = |track: &VideoTrack| wanted.iter().map(|it| check(track, it, fps, decodes)).collect();
            let checked: Result<Vec<Checked>> = match &tracks[file] {
                Some(track) => Ok(all(track)),
                None => tracks::open(listing.files().as_ref(), &files[file].path).map(|it| all(&it.track)),
            };
            (file, wanted, checked)
        };
        let checked: Vec<_> = by_file.into_par_iter().map(check).collect();
        for (file, wanted, checked) in checked {
            let path = &files[file].path;
            let checked = match checked {
                Ok(checked) => checked,
                Err(err) => {
                    wanted.iter().for_each(|it| self.refuse_unreadable(it.idx, &err, path.clone()));
                    continue;
                }
            };
            for (Wanted { idx, .. }, checked) in wanted.into_iter().zip(checked) {
                let Checked { n_bytes, preroll, keyframes, off_grid } = checked;
                match (n_bytes, &mut episodes[idx]) {
                    (Ok(n_bytes), Some(frames)) => {
                        (frames.n_bytes, frames.keyframes, frames.preroll) = (n_bytes, keyframes, preroll);
                    }
                    (Ok(_), None) => {}
                    (Err(message), _) => {
                        let hint = format!("decode the camera instead: `--decode {}=png`", self.key);
                        let refused = |at| refusal(message, at).with_hint(hint);
                        self.refuse(idx, "not-at-keyframe", refused, path.clone());
                        continue;
                    }
                }
                if let Some((frame, seconds)) = off_grid {
                    let message = format!(
                        "frame {frame} of the episode is shown {} s after its first, more than half a frame \
                         from its step; frames are paired by position",
                        shown(seconds)
                    );
                    let at = in_episode(path, self.tables.episodes[idx].index);
                    self.findings.repaired("frames-off-grid", message, at);
                }
            }
        }
    }

    /// Frames that no episode has, and sound that the table has no column for.
    fn note_rest(&mut self, files: &[VideoFile], episodes: &[Option<EpisodeFrames>]) {
        let mut used = vec![0u64; files.len()];
        for (frames, rows) in episodes.iter().zip(self.rows.iter()) {
            if let (Some(frames), Some(rows)) = (frames, rows) {
                used[frames.file] += rows.n_rows();
            }
        }
        for (file, used) in files.iter().zip(&used) {
            let at = || Locus { feature: Some(self.key.to_owned()), ..Locus::path(&file.path) };
            if *used < file.n_frames {
                let message = format!(
                    "{} of {} frames belong to no step and are left out",
                    file.n_frames - used,
                    file.n_frames
                );
                self.findings.repaired("unused-frames", message, at());
            }
            if file.has_audio {
                self.findings.repaired("audio-left-out", "the audio track is not carried", at());
            }
        }
    }
}

/// Where the tables say the frames of an episode lie.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pointer {
    /// Position among the camera's files; `None` where the file told of is not there.
    pub(crate) file: Option<usize>,
    pub(crate) from_seconds: Option<f64>,
    pub(crate) to_seconds: Option<f64>,
}

/// Why no decoder takes a video, by its first frame; `None` where one does, or where something else is wrong, which is told of
/// the rows that it costs.
fn refusal_of_decoders(listing: &Listing, file: &VideoFile) -> Option<Error> {
    let OpenVideo { track, file } = tracks::open(listing.files().as_ref(), &file.path).ok()?;
    let samples = track.samples_for(0..track.n_frames().min(1)).ok()?.map(|idx| {
        let sample = &track.samples[idx];
        Ok(CodedSample { order: sample.pts, data: file.read_at(sample.byte_range())? })
    });
    let options = DecodeOptions::default();
    let err = check_decodable(track.codec, &track.codec_config, samples, &options).err()?;
    (err.kind() == ErrorKind::Unsupported).then_some(err)
}

/// Opens a video for the plan, and keeps its tables while there are few.
fn open(listing: &Listing, name: &str, n_frames_kept: &AtomicU64) -> Result<(VideoFile, Option<VideoTrack>)> {
    let path = listing.path(name);
    let OpenVideo { track, file } = tracks::open(listing.files().as_ref(), &path)?;
    let n_frames = track.n_frames();
    let file = VideoFile {
        path,
        n_bytes: file.n_bytes(),
        codec: track.codec.name().to_owned(),
        codec_config: track.codec_config.clone(),
        width: track.width,
        height: track.height,
        n_frames,
        is_reordered: track.is_reordered(),
        has_audio: track.ignored_tracks.iter().any(|it| it == "soun"),
    };
    let is_kept = n_frames_kept.fetch_add(n_frames, Ordering::Relaxed) + n_frames <= FRAMES_KEPT;
    Ok((file, is_kept.then_some(track)))
}
