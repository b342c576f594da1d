//! Copies of sound datasets with one defect each, as they occur in the wild.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatch, cast::AsArray, types::Float32Type};
use serde_json::json;

use super::{
    folder::Folder,
    parquet_bytes::{row_picked, with_column, without_column},
    repack::{Repack, as_v30},
};
use crate::corpus;

/// A sound dataset of 3 episodes with 11, 12 and 13 steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    /// Version 2.1: files of its own for each episode.
    Apart,
    /// Version 3.0: one data file and one video a camera.
    Joined,
    /// Version 3.0: data files of two and one episodes, a video file an episode, two files a chunk.
    RolledOver,
    /// Version 3.0 with images in Parquet and no video.
    Images,
}

impl Base {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Apart, Self::Joined, Self::RolledOver, Self::Images];

    /// Its files.
    ///
    /// # Panics
    /// When the fixtures are not there.
    pub fn folder(self) -> Folder {
        let fixture = |name: &str| Folder::read(&corpus::fixtures("lerobot").join(name));
        match self {
            Self::Apart => fixture("v21_simple"),
            Self::Joined => fixture("v30_video_h264"),
            Self::Images => fixture("v30_image"),
            Self::RolledOver => {
                as_v30(&fixture("v21_simple"), &Repack { episodes_per_data_file: vec![2, 1], chunks_size: 2 })
            }
        }
    }
}

/// What is wrong with a copy. Episodes are numbered from 0 and have 11, 12 and 13 steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defect {
    /// Episode 2 is said to lie in the data file before its own.
    StaleDataFile,
    /// Episode 2 is said to lie in the video file before its own, of one camera.
    StaleVideoFile,
    /// The window of episode 1 starts and ends 0.3 s late.
    DriftedWindow,
    /// Every window starts and ends 20 µs late for each episode before it, which rounds away.
    RoundedWindow,
    /// The episodes table counts 10 steps of episode 1.
    StaleLength,
    /// Rows of episode 1 in the whole dataset are numbered 5 too low.
    StaleRowRange,
    /// Videos lie in `video/`.
    VideosInOtherFolder,
    /// The folder of the camera has another name than its key.
    CameraInOtherFolder,
    /// Data files lie in `Data/`.
    DataInOtherFolder,
    /// `splits` ends before episode 2.
    SplitsTooShort,
    /// Episode 1 has task 7, which no table knows.
    UnknownTask,
    /// No tasks table.
    NoTasks,
    /// Step 4 of episode 1 is stamped 0.3 s late.
    TimestampOffGrid,
    /// The rows of episode 1's own file say episode 5.
    OtherEpisodeIndex,
    /// Rows and table have one step of episode 1 less than its videos.
    UnusedFrames,
    /// The table counts 10 images of episode 1, and nothing settles who is right.
    LengthUnsettled,
    /// The last two rows of episode 2 are missing.
    RowsMissingAtEnd,
    /// The episodes table does not list episode 1.
    OrphanRows,
    /// Rows 3 and 4 of episode 1 are exchanged.
    RowsExchanged,
    /// A row of episode 0 lies among those of episode 1.
    RowsScattered,
    /// The file of episode 1 also holds a row of episode 2.
    EpisodesMixed,
    /// A video of episode 1 has no bytes.
    EmptyVideo,
    /// A video of episode 1 ends halfway.
    CutVideo,
    /// A video of episode 1 is a text.
    TextForVideo,
    /// A video of episode 1 is not there.
    NoVideo,
    /// A video file that several episodes share is not there.
    NoSharedVideo,
    /// A video of episode 1 has one frame less than the episode has rows.
    ShortVideo,
    /// `video_path` is null.
    NoVideoPath,
    /// The data file of episode 2 is not there.
    NoDataFile,
    /// The data file of episode 2 ends halfway.
    CutDataFile,
    /// The data file of episode 2 has no bytes.
    EmptyDataFile,
    /// Episode 2 is gone from the tables, its frames are not, and the window of episode 1 starts in episode 0.
    OverlappingWindows,
    /// Episode 2 is gone from the tables, its frames are not, and the window of episode 1 starts a frame late.
    WindowNotAtKeyframe,
    /// The episodes table lists episode 1 twice.
    ListedTwice,
    /// The episodes table has no number for episode 1.
    NoEpisodeNumber,
    /// No episodes table.
    NoEpisodes,
    /// `meta/info.json` ends halfway.
    CutInfo,
    /// A feature of 7 values has 6 in one row.
    WrongItems,
    /// Row 3 of episode 1 is there twice, and row 4 is not.
    RowRepeated,
    /// A row of episode 0 lies among those of episode 1, and in its own place as well.
    RowCopiedAway,
    /// The episodes table lists episode 1 twice, in different files.
    ListedInTwoWays,
    /// The episodes table ends halfway.
    CutEpisodes,
    /// The episodes table has no rows.
    EmptyEpisodes,
    /// No episodes table in lines.
    NoEpisodeLines,
    /// The episodes table in lines ends halfway.
    CutEpisodeLines,
    /// A dataset of version 2.1 says that it is of 3.0.
    VersionTooNew,
    /// A dataset of version 3.0 says that it is of 2.1.
    VersionTooOld,
    /// The episodes table names another task for episode 1 than its rows.
    OtherTask,
    /// Neither an episodes table nor a data file.
    NothingThere,
}

/// A camera of every base with video.
const CAMERA: &str = "observation.images.front";
const EPISODES: &str = "meta/episodes/chunk-000/file-000.parquet";
const DATA: &str = "data/chunk-000/file-000.parquet";
/// Rows of episodes 0 and 1 in a file of all.
const ONE: std::ops::Range<usize> = 11..23;
const N_ROWS: usize = 36;

impl Defect {
    /// All of them.
    pub const ALL: [Self; 49] = [
        Self::StaleDataFile,
        Self::StaleVideoFile,
        Self::DriftedWindow,
        Self::RoundedWindow,
        Self::StaleLength,
        Self::StaleRowRange,
        Self::VideosInOtherFolder,
        Self::CameraInOtherFolder,
        Self::DataInOtherFolder,
        Self::SplitsTooShort,
        Self::UnknownTask,
        Self::NoTasks,
        Self::TimestampOffGrid,
        Self::OtherEpisodeIndex,
        Self::UnusedFrames,
        Self::LengthUnsettled,
        Self::RowsMissingAtEnd,
        Self::OrphanRows,
        Self::RowsExchanged,
        Self::RowsScattered,
        Self::EpisodesMixed,
        Self::EmptyVideo,
        Self::CutVideo,
        Self::TextForVideo,
        Self::NoVideo,
        Self::NoSharedVideo,
        Self::ShortVideo,
        Self::NoVideoPath,
        Self::NoDataFile,
        Self::CutDataFile,
        Self::EmptyDataFile,
        Self::OverlappingWindows,
        Self::WindowNotAtKeyframe,
        Self::ListedTwice,
        Self::NoEpisodeNumber,
        Self::NoEpisodes,
        Self::CutInfo,
        Self::WrongItems,
        Self::RowRepeated,
        Self::RowCopiedAway,
        Self::ListedInTwoWays,
        Self::CutEpisodes,
        Self::EmptyEpisodes,
        Self::NoEpisodeLines,
        Self::CutEpisodeLines,
        Self::VersionTooNew,
        Self::VersionTooOld,
        Self::OtherTask,
        Self::NothingThere,
    ];

    /// The dataset whose copy has the defect.
    pub fn base(self) -> Base {
        match self {
            Self::OtherEpisodeIndex
            | Self::UnusedFrames
            | Self::EpisodesMixed
            | Self::ShortVideo
            | Self::NoEpisodeLines
            | Self::CutEpisodeLines
            | Self::VersionTooNew
            | Self::OtherTask => Base::Apart,
            Self::StaleDataFile
            | Self::StaleVideoFile
            | Self::EmptyVideo
            | Self::CutVideo
            | Self::TextForVideo
            | Self::NoVideo
            | Self::NoDataFile
            | Self::CutDataFile
            | Self::EmptyDataFile
            | Self::DataInOtherFolder => Base::RolledOver,
            Self::LengthUnsettled | Self::WrongItems => Base::Images,
            Self::DriftedWindow
            | Self::RoundedWindow
            | Self::StaleLength
            | Self::StaleRowRange
            | Self::VideosInOtherFolder
            | Self::CameraInOtherFolder
            | Self::SplitsTooShort
            | Self::UnknownTask
            | Self::NoTasks
            | Self::TimestampOffGrid
            | Self::RowsMissingAtEnd
            | Self::OrphanRows
            | Self::RowsExchanged
            | Self::RowsScattered
            | Self::NoSharedVideo
            | Self::NoVideoPath
            | Self::OverlappingWindows
            | Self::WindowNotAtKeyframe
            | Self::ListedTwice
            | Self::NoEpisodeNumber
            | Self::NoEpisodes
            | Self::CutInfo
            | Self::RowRepeated
            | Self::RowCopiedAway
            | Self::ListedInTwoWays
            | Self::CutEpisodes
            | Self::EmptyEpisodes
            | Self::VersionTooOld
            | Self::NothingThere => Base::Joined,
        }
    }

    /// A copy of the base with the defect.
    ///
    /// # Panics
    /// When the fixtures are not as they should be.
    pub fn copy(self) -> Folder {
        let mut copy = self.base().folder();
        self.apply(&mut copy);
        copy
    }

    fn apply(self, copy: &mut Folder) {
        match self {
            Self::StaleDataFile => copy.set_int(EPISODES, "data/file_index", 2, Some(0)),
            Self::StaleVideoFile => {
                copy.set_int(EPISODES, &format!("videos/{CAMERA}/chunk_index"), 2, Some(0));
                copy.set_int(EPISODES, &format!("videos/{CAMERA}/file_index"), 2, Some(1));
            }
            Self::DriftedWindow => move_window(copy, 1, 0.3),
            Self::RoundedWindow => (0..3).for_each(|it| move_window(copy, it, 2e-5 * it as f64)),
            Self::StaleLength | Self::LengthUnsettled => copy.set_int(EPISODES, "length", 1, Some(10)),
            Self::StaleRowRange => {
                copy.set_int(EPISODES, "dataset_from_index", 1, Some(6));
                copy.set_int(EPISODES, "dataset_to_index", 1, Some(18));
            }
            Self::VideosInOtherFolder => copy.rename("videos/", "video/"),
            Self::CameraInOtherFolder => copy.rename(&format!("videos/{CAMERA}/"), "videos/front/"),
            Self::DataInOtherFolder => copy.rename("data/", "Data/"),
            Self::SplitsTooShort => {
                copy.edit_json("meta/info.json", |it| it["splits"] = json!({"train": "0:2"}));
            }
            Self::UnknownTask => copy.edit_table(DATA, |rows| {
                let task = |row: usize| if ONE.contains(&row) { 7 } else { (row / ONE.end) as i64 * 2 };
                with_column(&rows, "task_index", int64((0..N_ROWS).map(task)))
            }),
            Self::NoTasks => drop(copy.take("meta/tasks.parquet")),
            Self::TimestampOffGrid => copy.edit_table(DATA, |rows| {
                let found = rows.column_by_name("timestamp").expect("a built-in column");
                let mut times = found.as_primitive::<Float32Type>().values().to_vec();
                times[ONE.start + 4] += 0.3;
                with_column(&rows, "timestamp", Arc::new(Float32Array::from(times)))
            }),
            Self::RowsMissingAtEnd => copy.edit_table(DATA, |rows| row_picked(&rows, 0..N_ROWS - 2)),
            Self::OrphanRows => copy.edit_table(EPISODES, |rows| row_picked(&rows, [0, 2])),
            Self::CutInfo => cut(copy, "meta/info.json"),
            Self::WrongItems => copy.edit_table(DATA, |rows| one_item_less(&rows)),
            Self::OtherEpisodeIndex
            | Self::UnusedFrames
            | Self::EpisodesMixed
            | Self::NoEpisodeLines
            | Self::CutEpisodeLines
            | Self::OtherTask => self.apply_apart(copy),
            Self::RowsExchanged
            | Self::RowsScattered
            | Self::ListedTwice
            | Self::NoEpisodeNumber
            | Self::NoEpisodes
            | Self::OverlappingWindows
            | Self::WindowNotAtKeyframe
            | Self::RowRepeated
            | Self::RowCopiedAway
            | Self::ListedInTwoWays
            | Self::CutEpisodes
            | Self::EmptyEpisodes
            | Self::NothingThere
            | Self::VersionTooNew
            | Self::VersionTooOld => self.apply_to_tables(copy),
            Self::EmptyVideo
            | Self::CutVideo
            | Self::TextForVideo
            | Self::NoVideo
            | Self::NoSharedVideo
            | Self::ShortVideo
            | Self::NoVideoPath
            | Self::NoDataFile
            | Self::CutDataFile
            | Self::EmptyDataFile => self.apply_to_file(copy),
        }
    }

    /// Defects of what rows and tables say of each other.
    fn apply_to_tables(self, copy: &mut Folder) {
        match self {
            Self::RowsExchanged => copy.edit_table(DATA, |rows| {
                let exchanged = |row: usize| match row {
                    14 => 15,
                    15 => 14,
                    other => other,
                };
                row_picked(&rows, (0..N_ROWS).map(exchanged))
            }),
            Self::RowsScattered => copy.edit_table(DATA, |rows| {
                row_picked(&rows, (0..10).chain(11..13).chain([10]).chain(13..N_ROWS))
            }),
            Self::ListedTwice => copy.edit_table(EPISODES, |rows| row_picked(&rows, [0, 1, 1, 2])),
            Self::NoEpisodeNumber => copy.set_int(EPISODES, "episode_index", 1, None),
            Self::NoEpisodes => drop(copy.take(EPISODES)),
            Self::OverlappingWindows => {
                forget_last(copy);
                move_window(copy, 1, -0.5);
            }
            Self::WindowNotAtKeyframe => {
                forget_last(copy);
                move_window(copy, 1, 0.1);
            }
            Self::RowRepeated => copy.edit_table(DATA, |rows| {
                row_picked(&rows, (0..N_ROWS).map(|row| if row == 15 { 14 } else { row }))
            }),
            Self::RowCopiedAway => {
                copy.edit_table(DATA, |rows| row_picked(&rows, (0..13).chain([10]).chain(13..N_ROWS)));
            }
            Self::ListedInTwoWays => {
                copy.edit_table(EPISODES, |rows| row_picked(&rows, [0, 1, 1, 2]));
                copy.set_int(EPISODES, "data/file_index", 2, Some(9));
            }
            Self::CutEpisodes => cut(copy, EPISODES),
            Self::EmptyEpisodes => copy.edit_table(EPISODES, |rows| row_picked(&rows, [])),
            Self::NothingThere => {
                copy.take(EPISODES);
                copy.take(DATA);
            }
            Self::VersionTooNew => {
                copy.edit_json("meta/info.json", |it| it["codebase_version"] = json!("v3.0"));
            }
            _ => copy.edit_json("meta/info.json", |it| it["codebase_version"] = json!("v2.1")),
        }
    }

    /// Defects of files that hold one episode.
    fn apply_apart(self, copy: &mut Folder) {
        const OWN: &str = "data/chunk-000/episode_000001.parquet";
        match self {
            Self::OtherEpisodeIndex => {
                copy.edit_table(OWN, |rows| with_column(&rows, "episode_index", int64([5; 12])));
            }
            Self::UnusedFrames => {
                copy.edit_table(OWN, |rows| row_picked(&rows, 0..11));
                copy.edit_lines("meta/episodes.jsonl", |it| it[1]["length"] = 11.into());
                copy.edit_json("meta/info.json", |it| it["total_frames"] = 35.into());
            }
            Self::NoEpisodeLines => drop(copy.take("meta/episodes.jsonl")),
            Self::CutEpisodeLines => cut(copy, "meta/episodes.jsonl"),
            Self::OtherTask => {
                copy.edit_lines("meta/episodes.jsonl", |it| it[1]["tasks"] = json!(["open the drawer"]));
            }
            _ => {
                let numbers = int64((0..12).map(|it| if it == 11 { 2 } else { 1 }));
                copy.edit_table(OWN, |rows| with_column(&rows, "episode_index", numbers));
            }
        }
    }

    /// Defects of a whole file.
    fn apply_to_file(self, copy: &mut Folder) {
        let video = format!("videos/{CAMERA}/chunk-000/file-001.mp4");
        const LAST_DATA: &str = "data/chunk-000/file-001.parquet";
        match self {
            Self::EmptyVideo => copy.put(&video, []),
            Self::CutVideo => cut(copy, &video),
            Self::TextForVideo => copy.put(&video, "version https://git-lfs.github.com/spec/v1\n"),
            Self::NoVideo => drop(copy.take(&video)),
            Self::NoSharedVideo => drop(copy.take(&format!("videos/{CAMERA}/chunk-000/file-000.mp4"))),
            Self::ShortVideo => {
                let shorter = copy.bytes(&format!("videos/chunk-000/{CAMERA}/episode_000000.mp4")).to_vec();
                copy.put(&format!("videos/chunk-000/{CAMERA}/episode_000001.mp4"), shorter);
            }
            Self::NoVideoPath => copy.edit_json("meta/info.json", |it| it["video_path"] = json!(null)),
            Self::NoDataFile => drop(copy.take(LAST_DATA)),
            Self::CutDataFile => cut(copy, LAST_DATA),
            _ => copy.put(LAST_DATA, []),
        }
    }
}

fn int64(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn cut(copy: &mut Folder, name: &str) {
    let bytes = copy.bytes(name);
    let half = bytes[..bytes.len() / 2].to_vec();
    copy.put(name, half);
}

/// Moves the window of an episode, of one camera.
fn move_window(copy: &mut Folder, episode: usize, seconds: f64) {
    for fact in ["from_timestamp", "to_timestamp"] {
        copy.add_float(EPISODES, &format!("videos/{CAMERA}/{fact}"), episode, seconds);
    }
}

/// Takes the last episode out of rows and tables, and leaves its frames in the videos.
fn forget_last(copy: &mut Folder) {
    copy.edit_table(EPISODES, |rows| row_picked(&rows, 0..2));
    copy.edit_table(DATA, |rows| row_picked(&rows, 0..ONE.end));
    copy.edit_json("meta/info.json", |it| {
        it["total_episodes"] = 2.into();
        it["total_frames"] = ONE.end.into();
        it["splits"] = json!({"train": "0:2"});
    });
}

/// `action` as lists, the one of row 13 without its last value.
fn one_item_less(rows: &RecordBatch) -> RecordBatch {
    let action = rows.column_by_name("action").expect("a feature");
    let lists = (0..rows.num_rows()).map(|row| {
        let values = action.as_fixed_size_list().value(row);
        let values = values.as_primitive::<Float32Type>().values().to_vec();
        let n = if row == 13 { 6 } else { 7 };
        Some(values.into_iter().take(n).map(Some).collect::<Vec<_>>())
    });
    let lists = arrow_array::ListArray::from_iter_primitive::<Float32Type, _, _>(lists);
    with_column(&without_column(rows, "action"), "action", Arc::new(lists))
}
