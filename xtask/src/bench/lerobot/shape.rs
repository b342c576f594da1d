//! Which episodes a set has, and which of its files each lies in.

use super::mp4::{HEIGHT, WIDTH};

/// The two layouts that are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// A data file and a video file of its own for each episode.
    V21,
    /// Files that many episodes share.
    V30,
}

/// The cameras of every set.
pub(super) const CAMERAS: [&str; 2] = ["observation.images.front", "observation.images.wrist"];
/// Steps and frames a second.
pub(super) const RATE_HZ: u32 = 30;
/// What the robot is told to do, one task an episode in turns.
pub(super) const TASKS: [&str; 3] = ["pick up the red cube", "put the cube into the bowl", "open the drawer"];

/// The plan of a set.
pub(super) struct Shape {
    pub(super) layout: Layout,
    /// As `info.json` names it.
    pub(super) codec: &'static str,
    /// Height and width of every frame.
    pub(super) size: [u16; 2],
    pub(super) episodes: Vec<Episode>,
}

/// One episode, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Episode {
    pub(super) idx: u64,
    pub(super) n_steps: u64,
    /// Over the whole set.
    pub(super) first_step: u64,
    pub(super) data_file: u64,
    pub(super) video_file: u64,
    /// In the video file.
    pub(super) first_frame: u64,
}

impl Shape {
    /// Episodes of the lengths given, so many of which share a data file and a video file.
    pub(super) fn new(
        layout: Layout,
        codec: &'static str,
        lengths: impl IntoIterator<Item = u64>,
        n_per_data_file: u64,
        n_per_video_file: u64,
    ) -> Self {
        let mut episodes: Vec<Episode> = Vec::new();
        for (idx, n_steps) in (0..).zip(lengths) {
            let video_file = idx / n_per_video_file;
            let last = episodes.last();
            episodes.push(Episode {
                idx,
                n_steps,
                first_step: last.map_or(0, |it| it.first_step + it.n_steps),
                data_file: idx / n_per_data_file,
                video_file,
                first_frame: last
                    .filter(|it| it.video_file == video_file)
                    .map_or(0, |it| it.first_frame + it.n_steps),
            });
        }
        Self { layout, codec, size: [HEIGHT, WIDTH], episodes }
    }

    /// The same with frames of another size.
    pub(super) fn with_size(self, size: [u16; 2]) -> Self {
        Self { size, ..self }
    }

    /// Steps of all episodes.
    pub(super) fn n_steps(&self) -> u64 {
        self.episodes.iter().map(|it| it.n_steps).sum()
    }

    /// Where a data file lies in the set.
    pub(super) fn data_path(&self, file: u64) -> String {
        match self.layout {
            Layout::V21 => format!("data/chunk-000/episode_{file:06}.parquet"),
            Layout::V30 => format!("data/chunk-000/file-{file:03}.parquet"),
        }
    }

    /// Where a camera's video file lies in the set.
    pub(super) fn video_path(&self, camera: &str, file: u64) -> String {
        match self.layout {
            Layout::V21 => format!("videos/chunk-000/{camera}/episode_{file:06}.mp4"),
            Layout::V30 => format!("videos/{camera}/chunk-000/file-{file:03}.mp4"),
        }
    }
}

impl Episode {
    /// Position of its task.
    pub(super) fn task(&self) -> usize {
        (self.idx % TASKS.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_and_video_files_roll_over_independently() {
        let shape = Shape::new(Layout::V30, "h264", [5, 6, 7, 8], 3, 2);
        let places: Vec<_> = shape
            .episodes
            .iter()
            .map(|it| (it.first_step, it.data_file, it.video_file, it.first_frame))
            .collect();
        assert_eq!(places, [(0, 0, 0, 0), (5, 0, 0, 5), (11, 0, 1, 0), (18, 1, 1, 7)]);
        assert_eq!(shape.n_steps(), 26);
    }
}
