use nodedata_core::{Error, ErrorKind, Locus, Result};

use super::{moov::Moov, sample_table::Table};

/// One entry of `elst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    /// In ticks of the movie.
    pub(super) duration: u64,
    /// First composition time shown, in ticks of the media; -1 shows nothing.
    pub(super) media_time: i64,
    /// Speed as 16.16 fixed point.
    pub(super) rate: i32,
    /// Of the box, for errors.
    pub(super) offset: u64,
}

/// An edit on the media's clock: `start..end` is shown from `shown_at` on.
struct Window {
    start: i64,
    end: i64,
    shown_at: i64,
}

/// Moves times to where the edit list shows them, and returns the shown samples in presentation order.
///
/// A sample is shown when its composition time lies inside an edit, as FFmpeg has it.
pub(super) fn apply(table: &mut Table, moov: &Moov) -> Result<Vec<u32>> {
    let windows = windows(moov)?;
    // Where composition offsets are negative, decode times move ahead instead.
    let ahead = table.samples.iter().map(|it| it.dts - it.pts).max().unwrap_or(0).max(0);
    let first_shift = windows.first().map_or(0, |it| it.shown_at - it.start);
    for sample in &mut table.samples {
        let window = windows.iter().find(|it| (it.start..it.end).contains(&sample.pts));
        let before = || windows.iter().rev().find(|it| it.start <= sample.pts);
        let shift = window.or_else(before).map_or(first_shift, |it| it.shown_at - it.start);
        sample.shown = windows.is_empty() || window.is_some();
        sample.pts = sample.pts.saturating_add(shift);
        sample.dts = sample.dts.saturating_add(shift).saturating_sub(ahead);
    }
    let mut order: Vec<u32> =
        (0..table.samples.len() as u32).filter(|it| table.samples[*it as usize].shown).collect();
    order.sort_by_key(|it| (table.samples[*it as usize].pts, *it));
    let twice =
        order.windows(2).find(|it| table.samples[it[0] as usize].pts == table.samples[it[1] as usize].pts);
    if let Some(pair) = twice {
        let sample = &table.samples[pair[1] as usize];
        let message = format!("samples {} and {} are shown at the same time", pair[0], pair[1]);
        return Err(Error::new(ErrorKind::Corrupt, message).at(Locus::byte(sample.offset)));
    }
    Ok(order)
}

fn windows(moov: &Moov) -> Result<Vec<Window>> {
    let mut windows: Vec<Window> = Vec::new();
    let mut shown_at = 0i64;
    for (idx, edit) in moov.edits.iter().enumerate() {
        let unsupported = |what: &str| {
            let message = format!("edit {idx} of the video {what}");
            Error::new(ErrorKind::Unsupported, message).at(Locus::byte(edit.offset)).with_hint(
                "write the video again without an edit list, for example with `ffmpeg -i IN -c copy OUT`",
            )
        };
        let duration = rescale(edit.duration, moov.movie_timescale, moov.timescale)
            .ok_or_else(|| unsupported("is longer than any video"))?;
        if edit.media_time == -1 {
            shown_at = shown_at.saturating_add(duration);
            continue;
        }
        if edit.rate != 1 << 16 {
            return Err(unsupported("changes the speed"));
        }
        let start = edit.media_time;
        // No duration: to the end, which fragments may still extend.
        let end = if edit.duration == 0 { i64::MAX } else { start.saturating_add(duration) };
        if windows.last().is_some_and(|it| it.end > start) {
            return Err(unsupported("shows a part again or out of order"));
        }
        windows.push(Window { start, end, shown_at });
        shown_at = shown_at.saturating_add(duration);
    }
    Ok(windows)
}

fn rescale(ticks: u64, from: u32, to: u32) -> Option<i64> {
    let (from, to) = (u128::from(from), u128::from(to));
    i64::try_from((u128::from(ticks) * to + from / 2) / from).ok()
}
