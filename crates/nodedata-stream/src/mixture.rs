mod weights;

use nodedata_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::order::{Keys, purpose};

/// Places of a period, in which every source has its exact share.
pub const PERIOD: u64 = 1024;
/// Places of a pass, at most, and of all passes before a position: no sum of them overflows.
pub(crate) const PLACES_MAX: u64 = 1 << 62;

/// Which source each place of several that are mixed draws from.
///
/// Places come in periods of [`PERIOD`]. Each source has as many places of every period, in an order that differs from period to
/// period, and hands out its samples in its own order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixture {
    seed: u64,
    /// Places of a period for each source; none has 0, and the sum is [`PERIOD`].
    shares: Vec<u64>,
    /// Slots before those of each source.
    firsts: Vec<u64>,
}

/// When one pass over sources that are mixed is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stop {
    /// Every source has handed out all its samples; the others have begun again.
    #[default]
    Longest,
    /// One source has handed out all its samples.
    Shortest,
    /// After so many samples of all sources together.
    #[serde(untagged)]
    Places(u64),
}

/// The places of one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    number: u64,
    /// For each place its source, and how many places before it in the period have the same.
    draws: Vec<(usize, u64)>,
}

impl Mixture {
    /// Mixes sources by whole weights.
    ///
    /// # Errors
    /// `Config` for no sources, and for one whose weight gives it no place of a period.
    pub fn new(weights: &[u64], seed: u64) -> Result<Self> {
        let weights: Vec<u128> = weights.iter().map(|it| u128::from(*it)).collect();
        Self::of(&weights, seed)
    }

    /// Mixes sources by decimal weights: 0.7 and 0.3 are 7 and 3 exactly. Each is taken for the shortest decimal number that is read
    /// as it.
    ///
    /// # Errors
    /// As [`Self::new`], and for weights that are negative, infinite or no numbers.
    pub fn of_decimals(weights: &[f64], seed: u64) -> Result<Self> {
        Self::of(&weights::whole(weights)?, seed)
    }

    fn of(weights: &[u128], seed: u64) -> Result<Self> {
        let shares = weights::shares(weights, PERIOD)?;
        let firsts = shares.iter().scan(0, |sum, share| {
            let first = *sum;
            *sum += share;
            Some(first)
        });
        Ok(Self { seed, firsts: firsts.collect(), shares })
    }

    /// What the order of sources follows from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Places of a period for each source.
    pub fn shares(&self) -> &[u64] {
        &self.shares
    }

    /// The source of a place.
    pub fn source(&self, place: u64) -> usize {
        self.source_of(self.keys(place / PERIOD).permute(PERIOD, place % PERIOD))
    }

    /// All places of a period.
    pub fn period(&self, number: u64) -> Period {
        let keys = self.keys(number);
        let mut taken = vec![0; self.shares.len()];
        let draws = (0..PERIOD).map(|place| {
            let source = self.source_of(keys.permute(PERIOD, place));
            let nth = taken[source];
            taken[source] += 1;
            (source, nth)
        });
        Period { number, draws: draws.collect() }
    }

    /// How many samples each source hands out before a place.
    pub fn taken(&self, place: u64) -> Vec<u64> {
        let (number, in_period) = (place / PERIOD, place % PERIOD);
        let mut taken: Vec<u64> = self.shares.iter().map(|share| number * share).collect();
        let keys = self.keys(number);
        for place in 0..in_period {
            taken[self.source_of(keys.permute(PERIOD, place))] += 1;
        }
        taken
    }

    /// The source and which of its samples, counted over all its epochs, stands at a place of a period.
    pub fn draw(&self, period: &Period, place: u64) -> Option<(usize, u64)> {
        if place / PERIOD != period.number {
            return None;
        }
        let (source, nth) = *period.draws.get(usize::try_from(place % PERIOD).ok()?)?;
        Some((source, period.number * self.shares.get(source)? + nth))
    }

    /// How many places it takes until each source has handed out as many samples as `n_samples` says, or the first has.
    ///
    /// # Errors
    /// `Config` for a source without samples and for a pass of none, `Limit` for more places than can be counted.
    pub(crate) fn n_places(&self, n_samples: &[u64], stop: Stop) -> Result<u64> {
        if let Some(source) = n_samples.iter().position(|it| *it == 0) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("source {source} of the mixture has no samples"),
            )
            .with_hint("leave it out, or select more of it"));
        }
        if stop == Stop::Places(0) {
            return Err(Error::new(ErrorKind::Config, "`stop` is 0 samples").with_hint("give at least 1"));
        }
        let ends = n_samples.iter().enumerate().map(|(source, n_samples)| self.end_of(source, *n_samples));
        let n_places = match stop {
            Stop::Longest => ends.collect::<Option<Vec<u64>>>().and_then(|it| it.into_iter().max()),
            Stop::Shortest => ends.flatten().min(),
            Stop::Places(n_places) => Some(n_places),
        };
        n_places.filter(|it| *it <= PLACES_MAX).ok_or_else(|| {
            Error::new(ErrorKind::Limit, format!("the mixture has more than {PLACES_MAX} places"))
                .with_hint("say how many samples a pass has with `stop`, or mix by other weights")
        })
    }

    /// How many places it takes until a source has handed out `n_samples`, at least one.
    fn end_of(&self, source: usize, n_samples: u64) -> Option<u64> {
        let last = n_samples.checked_sub(1)?;
        let share = *self.shares.get(source)?;
        let (number, nth) = (last / share, last % share);
        let period = self.period(number);
        let in_period = period.draws.iter().position(|draw| *draw == (source, nth))?;
        number.checked_mul(PERIOD)?.checked_add(in_period as u64 + 1)
    }

    fn keys(&self, period: u64) -> Keys {
        Keys::of(&[self.seed, period, purpose::MIXTURE])
    }

    /// The source that a slot belongs to: slots are sorted by source.
    fn source_of(&self, slot: u64) -> usize {
        self.firsts.partition_point(|first| *first <= slot) - 1
    }
}

impl Period {
    /// Which period it is.
    pub fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests;
