use nodedata_core::{Error, ErrorKind, Locus, Moment, Result, SourcePlan, told_time};

use crate::{Cut, EpisodeRange, StepSpec, recording::Recording};

/// Refuses ranges of time that no episode came of: a slip in a number, and nobody would miss what is not there.
///
/// # Errors
/// `Empty` with the first of them, and with the times that there are.
pub(crate) fn refuse(spec: &StepSpec, recordings: &[Recording], source: &SourcePlan) -> Result<()> {
    let Cut::Ranges(ranges) = &spec.episodes else { return Ok(()) };
    let cuts = || recordings.iter().flat_map(|it| &it.cuts);
    let is_idle = |it: &&EpisodeRange| cuts().all(|cut| *cut != (it.start_ns, it.end_ns));
    let Some(idle) = ranges.iter().find(is_idle) else { return Ok(()) };
    let of_range = |episode: usize| {
        idle.recording
            .as_ref()
            .is_none_or(|it| source.episodes.get(episode).is_some_and(|info| info.key == *it))
    };
    let times = source.partitions.iter().filter(|it| of_range(it.episode)).filter_map(|it| it.times);
    let span = times.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    let there = span.map_or_else(String::new, |(first, last)| {
        format!(": the recordings are from {} to {}", told_time(first), told_time(last))
    });
    let message = format!(
        "no message lies in the range from {} to {}{there}",
        told_time(idle.start_ns),
        told_time(idle.end_ns)
    );
    let bare = [Moment::Bare(idle.start_ns), Moment::Bare(idle.end_ns)];
    let forgotten =
        span.and_then(|(first, last)| bare.into_iter().find_map(|it| it.forgotten_unit(first, last)));
    let hint = "change `episodes.ranges`; `node-data inspect` shows when there are messages";
    let path = source.inputs.first().map(|it| it.path.clone());
    Err(Error::new(ErrorKind::Empty, message)
        .at(Locus { path, ..Locus::default() })
        .with_hint(forgotten.unwrap_or_else(|| hint.to_owned())))
}
