use nodedata_core::{Error, ErrorKind, Result};

use crate::{
    Clock, Rate, StepSpec,
    recording::Recording,
    store::{Held, Store},
};

/// A grid counts as finer than a stream when it has so many times its messages: clocks drift, and frames get lost.
const SLACK: f64 = 1.1;
/// Messages looked up of a stream whose samples do not tell its pace.
const LOOKED_UP: usize = 5;

/// Messages a second by their stamps, which are in order: as most neighbours have it, or on average, whichever is more.
/// `None` where there are no two times.
pub(crate) fn pace_hz(stamps: &[i64]) -> Option<f64> {
    let mut gaps: Vec<i64> =
        stamps.windows(2).map(|it| it[1].saturating_sub(it[0])).filter(|it| 0 < *it).collect();
    gaps.sort_unstable();
    let median = *gaps.get(gaps.len() / 2)? as f64;
    let spanned: f64 = gaps.iter().map(|it| *it as f64).sum();
    Some(1e9 / median.min(spanned / gaps.len() as f64))
}

/// Whether a grid would only repeat rows that come so many times a second.
pub(crate) fn is_finer(hz: f64, rate: Rate) -> bool {
    hz * SLACK < rate.hz()
}

/// Refuses a grid that is finer than every stream it reads, in every recording: it would only repeat messages.
///
/// # Errors
/// `Config` when it is, unless that is asked for; what reading reports.
pub(crate) fn refuse_finer(store: &Store, spec: &StepSpec, recordings: &[Recording]) -> Result<()> {
    let Clock::Rate(rate) = spec.clock else { return Ok(()) };
    if spec.upsample {
        return Ok(());
    }
    let mut fastest: Option<(f64, usize)> = None;
    let faster = |fastest: &mut Option<(f64, usize)>, hz: f64, stream: usize| {
        if fastest.is_none_or(|it| it.0 < hz) {
            *fastest = Some((hz, stream));
        }
    };
    let read: Vec<usize> =
        (0..store.mapping.streams.len()).filter(|it| !store.mapping.streams[*it].ways.is_empty()).collect();
    for survey in recordings.iter().map(|it| &it.survey) {
        for stream in &read {
            if let Some(hz) = survey.paces_hz[*stream] {
                faster(&mut fastest, hz, *stream);
            }
        }
    }
    let is_finer = |fastest: Option<(f64, usize)>| fastest.is_none_or(|it| is_finer(it.0, rate));
    if !is_finer(fastest) {
        return Ok(());
    }
    for recording in recordings {
        for stream in read.iter().filter(|it| recording.survey.paces_hz[**it].is_none()) {
            if let Some(hz) = pace_hz(&first_stamps(store, recording, *stream)?) {
                faster(&mut fastest, hz, *stream);
            }
        }
    }
    // Without two messages of one topic there is nothing that a grid could repeat often.
    let Some((hz, stream)) = fastest.filter(|it| is_finer(Some(*it))) else { return Ok(()) };
    let message = format!(
        "a grid of {rate} is finer than every topic that it reads: the fastest, `{}`, has {hz:.1} messages a second",
        store.mapping.streams[stream].name
    );
    Err(Error::new(ErrorKind::Config, message).with_hint(
        "lower the rate, or have messages repeated: `--upsample`, in a pipeline `steps: {upsample: true}`",
    ))
}

/// The first stamps of a stream that is too rare for samples to hold two.
fn first_stamps(store: &Store, recording: &Recording, stream: usize) -> Result<Vec<i64>> {
    let held = Held::new();
    let mut stamps = Vec::new();
    let mut after = i64::MIN;
    while stamps.len() < LOOKED_UP {
        let Some(found) = recording.survey.lookups[stream].after(store, &held, after)? else { break };
        after = found.place.stamp;
        stamps.push(after);
    }
    Ok(stamps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_most_neighbours_or_the_average() {
        let hz = |stamps: &[i64]| pace_hz(stamps).map(|it| it.round() as i64);
        assert_eq!(hz(&[]), None);
        assert_eq!(hz(&[5, 5]), None);
        let ms = |it: i64| it * 1_000_000;
        // A pause does not make a stream slow,
        assert_eq!(hz(&[0, ms(10), ms(20), ms(30), ms(5000)]), Some(100));
        // nor do messages that come in pairs make it slow or endlessly fast.
        assert_eq!(hz(&[0, ms(1), ms(20), ms(21), ms(40), ms(41), ms(60)]), Some(100));
    }
}
