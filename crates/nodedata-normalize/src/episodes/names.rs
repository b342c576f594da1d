use std::{borrow::Cow, path::Path};

use nodedata_core::{EpisodeInfo, SourcePlan};

use super::{EpisodeName, spec::TASK};

/// By episode of a plan, its partitions in order.
pub(super) fn partitions_of(plan: &SourcePlan) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new(); plan.episodes.len()];
    for (idx, partition) in plan.partitions.iter().enumerate() {
        if let Some(of_episode) = all.get_mut(partition.episode) {
            of_episode.push(idx);
        }
    }
    all
}

/// What an episode can be named by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) key: &'a str,
    /// Key of the recording that it is cut from; its own where it is not.
    pub(crate) recording: &'a str,
    /// Path of the file that it starts in.
    pub(crate) path: Option<&'a Path>,
}

impl<'a> Named<'a> {
    /// An episode of a plan. `is_cut` says whether keys are those of recordings with a number behind a `#`.
    pub(super) fn of(plan: &'a SourcePlan, episode: &'a EpisodeInfo, is_cut: bool) -> Self {
        let key = episode.key.as_str();
        let recording = match key.rsplit_once('#') {
            Some((recording, _)) if is_cut => recording,
            _ => key,
        };
        let path = plan.inputs.get(episode.input).map(|it| it.path.as_path());
        Self { key, recording, path }
    }

    /// The text that a name of this kind is; `None` where there is none.
    pub(super) fn name(&self, kind: &EpisodeName, info: Option<&'a EpisodeInfo>) -> Option<Cow<'a, str>> {
        let file = |of: fn(&Path) -> Option<&std::ffi::OsStr>| Some(of(self.path?)?.to_string_lossy());
        match kind {
            EpisodeName::Key => Some(Cow::Borrowed(self.key)),
            EpisodeName::Recording => Some(Cow::Borrowed(self.recording)),
            EpisodeName::File => file(Path::file_name),
            EpisodeName::Stem => file(Path::file_stem),
            EpisodeName::Metadata(name) if name == TASK => info?.task.as_deref().map(Cow::Borrowed),
            EpisodeName::Metadata(name) => {
                info?.metadata.get(name.as_str()).map(|it| Cow::Owned(it.to_string()))
            }
        }
    }

    /// The path with `/` on every machine.
    pub(super) fn path_text(&self) -> String {
        let parts = self.path.map(Path::components).into_iter().flatten();
        parts.map(|it| it.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>().join("/")
    }
}
