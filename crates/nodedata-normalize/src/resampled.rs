//! Steps that are there already, brought to another clock: a coarser or finer grid, or one in so many rows.

mod grid;
mod meaning;
mod rows;
mod thinned;

use nodedata_core::{Feature, Source, StreamKind, StreamSchema, placed::Mistake};

use self::thinned::ThinnedSource;
pub(crate) use self::{grid::ResampledSource, meaning::without_meaning};
use crate::{Clock, Rate, StepSpec, Unfit, mapping::Mapping, selected};

/// What a clock comes to over rows that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Each row is the step it is.
    Own,
    /// The first of so many rows is a step.
    Nth(u64),
    /// The points of a grid are the steps.
    Grid(Rate),
}

/// What the clock of a specification comes to over a stream of rows. A rate that is the source's own leaves them as they are.
pub(crate) fn beat(spec: &StepSpec, streams: &[StreamSchema]) -> Beat {
    let Some(stream) = streams.first().filter(|it| it.kind == StreamKind::Steps) else { return Beat::Own };
    match spec.clock {
        Clock::Rate(rate) if own_rate(stream).is_some_and(|it| it.is(rate)) => Beat::Own,
        Clock::Rate(rate) => Beat::Grid(rate),
        Clock::Every(n) if 1 < n => Beat::Nth(n),
        Clock::Every(_) | Clock::Topic(_) | Clock::Own => Beat::Own,
    }
}

/// Steps a second, as the source says it.
fn own_rate(stream: &StreamSchema) -> Option<Rate> {
    Rate::parse(stream.metadata.get(FPS)?).ok()
}

/// The fact of a stream of steps that says its rate.
const FPS: &str = "fps";

/// The stream as it is at another rate.
fn at_rate(mut stream: StreamSchema, rate: Option<Rate>) -> StreamSchema {
    if let Some(rate) = rate {
        stream.metadata.insert(FPS.to_owned(), rate.told());
    }
    stream
}

/// The features of a step.
///
/// # Errors
/// All mistakes.
pub(crate) fn features(spec: &StepSpec, streams: &[StreamSchema]) -> Result<Vec<Feature>, Vec<Mistake>> {
    match beat(spec, streams) {
        Beat::Own => selected::features(spec, streams),
        Beat::Nth(_) => {
            thinned::refuse_unnumbered(streams)?;
            selected::features(spec, streams)
        }
        Beat::Grid(_) => Ok(mapping(spec, streams)?.features),
    }
}

/// The rows of a source on the clock of a specification, selected, joined and cast.
///
/// # Errors
/// All mistakes; `Config` for a grid finer than the source; what reading reports.
pub(crate) fn on_clock(inner: Box<dyn Source>, spec: &StepSpec) -> Result<Box<dyn Source>, Unfit> {
    Ok(match beat(spec, &inner.plan().streams) {
        Beat::Own => Box::new(selected::SelectedSource::new(inner, spec)?),
        Beat::Nth(n) => {
            refuse_video(spec, inner.as_ref())?;
            let inner = Box::new(ThinnedSource::new(inner, n)?);
            Box::new(selected::SelectedSource::new(inner, spec)?)
        }
        Beat::Grid(rate) => {
            refuse_video(spec, inner.as_ref())?;
            Box::new(ResampledSource::new(inner, spec, rate)?)
        }
    })
}

/// Checks fields against a stream of rows that are brought to a grid.
fn mapping(spec: &StepSpec, streams: &[StreamSchema]) -> Result<Mapping, Vec<Mistake>> {
    let mut mistakes =
        streams.first().map(|it| without_meaning(spec, it, beat(spec, streams))).unwrap_or_default();
    let time = streams.first().and_then(|it| it.column(nodedata_core::TIMESTAMP_NS));
    let Some(time) = time else {
        let mistake =
            Mistake::new("steps.clock", "the steps of the source have no times, so they have no rate");
        mistakes.push(mistake.with_hint("remove `clock`, or take one in so many rows: `clock: {every: 2}`"));
        return Err(mistakes);
    };
    let spec = selected::of_rows(spec);
    match Mapping::compile_with(&spec, streams, Some(crate::stamp::Stamp::LogTime(time))) {
        Ok(mapping) if mistakes.is_empty() => Ok(mapping),
        Ok(_) => Err(mistakes),
        Err(found) => Err(mistakes.into_iter().chain(found).collect()),
    }
}

/// Coded video is a chain of samples: of no step of it can a frame be taken alone.
fn refuse_video(spec: &StepSpec, source: &dyn Source) -> Result<(), Unfit> {
    let is_coded = |path: &String| source.plan().videos.iter().any(|it| it.feature == *path);
    let coded = spec.fields.iter().filter(|field| match &field.from {
        crate::FieldFrom::Paths(paths) => paths.iter().any(is_coded),
        crate::FieldFrom::Constant(_) | crate::FieldFrom::Pose(_) => false,
    });
    let mistakes: Vec<Mistake> = coded
        .map(|field| {
            let key = format!("fields.{}.from", field.name);
            let message = "coded video is brought to no other clock: its samples need each other";
            let hint =
                format!("decode it, and the nearest frame is taken: `fields.{}.encoding: png`", field.name);
            Mistake::new(key, message).with_hint(hint)
        })
        .collect();
    if mistakes.is_empty() { Ok(()) } else { Err(Unfit::Mistakes(mistakes)) }
}
