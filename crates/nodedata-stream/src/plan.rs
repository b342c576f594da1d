mod draws;
mod position;
mod source;
#[cfg(test)]
mod tests;

use nodedata_core::{Error, ErrorKind, Result};

use crate::{Mixture, Share, Stop};

pub use draws::{Draw, Draws};
pub use position::Position;
pub use source::{OrderOptions, PlannedSource, Shuffle, SourceId, SourceRequest};

/// How sources are mixed.
#[derive(Debug, Clone, PartialEq)]
pub struct MixOptions {
    /// The weight of each source.
    pub weights: Vec<f64>,
    /// What the order of sources follows from.
    pub seed: u64,
    /// When a pass is over.
    pub stop: Stop,
}

/// What a stream delivers, place by place: the epochs of one source, or passes over several that are mixed.
#[derive(Debug)]
pub struct Plan {
    sources: Vec<PlannedSource>,
    mix: Option<PlannedMix>,
    n_places: u64,
}

#[derive(Debug)]
struct PlannedMix {
    mixture: Mixture,
    stop: Stop,
}

impl Plan {
    /// The plan for one source.
    ///
    /// # Errors
    /// `Config` with every mistake of the request, `Limit` for more samples than can be counted.
    pub fn of_source(request: &SourceRequest<'_>) -> Result<Self> {
        let source = PlannedSource::new(request).map_err(|mistakes| joined(mistakes, ""))?;
        Ok(Self { n_places: source.samples().len(), sources: vec![source], mix: None })
    }

    /// The plan for sources that are mixed.
    ///
    /// # Errors
    /// As [`Self::of_source`], with the mistakes of all sources, and those of the mixture.
    pub fn of_mixture(requests: &[SourceRequest<'_>], options: &MixOptions) -> Result<Self> {
        let mut mistakes = Vec::new();
        if requests.len() != options.weights.len() {
            let (n_sources, n_weights) = (requests.len(), options.weights.len());
            let message = format!("{n_weights} weights are given for {n_sources} sources");
            let hint = "give one weight with each source";
            mistakes.push(Error::new(ErrorKind::Config, message).with_hint(hint));
        }
        let mixture = Mixture::of_decimals(&options.weights, options.seed);
        let mut sources = Vec::with_capacity(requests.len());
        for (idx, request) in requests.iter().enumerate() {
            match PlannedSource::new(request) {
                Ok(source) => sources.push(source),
                Err(of_source) => mistakes.push(joined(of_source, &format!("source {idx}: "))),
            }
        }
        let mixture = match mixture {
            Ok(mixture) if mistakes.is_empty() => mixture,
            Ok(_) => return Err(joined(mistakes, "")),
            Err(err) => {
                mistakes.push(err);
                return Err(joined(mistakes, ""));
            }
        };
        let n_samples: Vec<u64> = sources.iter().map(|it| it.samples().len()).collect();
        let n_places = mixture.n_places(&n_samples, options.stop)?;
        Ok(Self { sources, mix: Some(PlannedMix { mixture, stop: options.stop }), n_places })
    }

    /// The sources, in the order in which they were given.
    pub fn sources(&self) -> &[PlannedSource] {
        &self.sources
    }

    /// Places of one pass: an epoch of a single source.
    pub fn n_places(&self) -> u64 {
        self.n_places
    }

    /// Whether several sources are mixed, or one as if it were several.
    pub(crate) fn is_mixture(&self) -> bool {
        self.mix.is_some()
    }

    /// Why ranks that share the places in this way fetch some blocks more than once, where they do. The order is the same.
    pub fn fetches_more(&self, share: &Share) -> Option<String> {
        let world = share.world();
        if world == 1 {
            return None;
        }
        if self.is_mixture() {
            return Some(format!("{world} ranks share the blocks of a mixture"));
        }
        let n_lanes = self.sources.first()?.lanes()?.lanes;
        (!n_lanes.is_multiple_of(world)).then(|| {
            let lanes = nodedata_core::human::plural(n_lanes, "lane");
            format!("{world} ranks share the blocks of {lanes}: each has lanes of its own where `lanes` is a multiple of {world}")
        })
    }
}

/// One error for several: the first of them, with its place and its cause, and the others in words.
pub(crate) fn joined(mistakes: Vec<Error>, of: &str) -> Error {
    let mut mistakes = mistakes.into_iter();
    let Some(first) = mistakes.next() else {
        return Error::new(ErrorKind::Config, format!("{of}nothing is known of the mistake"));
    };
    let joined = if of.is_empty() { first } else { first_of(&first, of) };
    joined.with_others(mistakes.map(|it| match it.hint() {
        Some(hint) => format!("{of}{it}: {hint}"),
        None => format!("{of}{it}"),
    }))
}

/// An error that says of what it is. Its causes are told in words.
fn first_of(err: &Error, of: &str) -> Error {
    let first = Error::new(err.kind(), format!("{of}{}", err.chain())).at(err.locus().clone());
    match err.hint() {
        Some(hint) => first.with_hint(hint),
        None => first,
    }
}
