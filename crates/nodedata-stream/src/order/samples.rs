use std::ops::Range;

use nodedata_core::{Error, ErrorKind, Result};

use crate::selection::{Selection, Unit};

/// Samples that a numbering holds at most, so that no sum of places can overflow.
const SAMPLES_MAX: u64 = 1 << 62;

/// The samples of a split: which there are, numbered from 0 in the order of the episode table, then step.
///
/// Holds eight bytes an episode, and as much again where episodes are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    unit: Unit,
    /// Steps left out at the start of every episode.
    drop_first: u64,
    /// Rows of the episode table with samples, rising; `None` where these are all rows.
    episodes: Option<Vec<u64>>,
    /// Steps before each episode that has samples, and behind the last one those of all.
    starts: Vec<u64>,
}

/// Where a sample lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Row in the table of episodes.
    pub episode: u64,
    /// Steps of the episode: one, or all that are kept of it.
    pub steps: Range<u64>,
}

impl Samples {
    /// Numbers the samples of episodes with so many steps each.
    ///
    /// An episode of which no step is kept is no sample, whatever the unit.
    ///
    /// # Errors
    /// `Config` for an episode that is not there or named twice, `Limit` for more samples than can be numbered.
    pub fn new(lengths: &[u64], selection: &Selection) -> Result<Self> {
        let chosen = selection.episodes.as_deref().map(|it| chosen(it, lengths.len())).transpose()?;
        let n_dropped = selection.drop_first.saturating_add(selection.drop_last);
        let mut rows: Box<dyn Iterator<Item = usize>> = match &chosen {
            Some(chosen) => Box::new(chosen.iter().copied()),
            None => Box::new(0..lengths.len()),
        };
        let n_rows = chosen.as_ref().map_or(lengths.len(), Vec::len);
        let (mut episodes, mut starts) = (Vec::with_capacity(n_rows), Vec::with_capacity(n_rows + 1));
        let n_steps = rows.try_fold(0_u64, |n_steps, row| {
            let n_kept = lengths[row].saturating_sub(n_dropped);
            if n_kept > 0 {
                episodes.push(row as u64);
                starts.push(n_steps);
            }
            n_steps.checked_add(n_kept).filter(|it| *it <= SAMPLES_MAX)
        });
        let too_many =
            || Error::new(ErrorKind::Limit, format!("the split has more than {SAMPLES_MAX} steps"));
        starts.push(n_steps.ok_or_else(too_many)?);
        // They rise, so that the last one tells whether any is missing.
        let is_all = episodes.last().is_none_or(|last| last + 1 == episodes.len() as u64);
        let episodes = (!is_all).then_some(episodes);
        Ok(Self { unit: selection.unit, drop_first: selection.drop_first, episodes, starts })
    }

    /// How many samples there are.
    pub fn len(&self) -> u64 {
        match self.unit {
            Unit::Step => self.n_steps(),
            Unit::Episode => self.n_episodes() as u64,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What one sample is.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Where a sample lies; `None` for a number that no sample has. Takes the logarithm of the number of episodes.
    pub fn locate(&self, sample: u64) -> Option<Located> {
        let idx = self.idx_of(sample)?;
        let (start, end) = (*self.starts.get(idx)?, *self.starts.get(idx + 1)?);
        let episode = match &self.episodes {
            Some(episodes) => *episodes.get(idx)?,
            None => idx as u64,
        };
        let first = match self.unit {
            Unit::Step => sample - start,
            Unit::Episode => 0,
        };
        let n_steps = match self.unit {
            Unit::Step => 1,
            Unit::Episode => end - start,
        };
        let first = self.drop_first + first;
        Some(Located { episode, steps: first..first + n_steps })
    }

    /// Which of the episodes that have samples a sample is of. A number behind the last sample may be of one that is not there.
    pub(crate) fn idx_of(&self, sample: u64) -> Option<usize> {
        match self.unit {
            Unit::Step => self.starts.partition_point(|it| *it <= sample).checked_sub(1),
            Unit::Episode => usize::try_from(sample).ok(),
        }
    }

    /// Episodes that have samples.
    pub(crate) fn n_episodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// The kept steps of all episodes.
    fn n_steps(&self) -> u64 {
        self.starts.last().copied().unwrap_or_default()
    }

    /// How many steps are kept of each episode that has samples.
    pub(crate) fn kept_lengths(&self) -> impl Iterator<Item = u64> {
        self.starts.windows(2).map(|it| it[1] - it[0])
    }

    /// Kept steps before an episode that has samples, or behind the last one those of all.
    pub(crate) fn start_of(&self, idx: usize) -> Option<u64> {
        self.starts.get(idx).copied()
    }
}

/// The rows of episodes that were asked for, in the order of the table.
fn chosen(episodes: &[u64], n_episodes: usize) -> Result<Vec<usize>> {
    let mistake = |message: String| Error::new(ErrorKind::Config, message);
    let mut chosen = Vec::with_capacity(episodes.len());
    for episode in episodes {
        match usize::try_from(*episode) {
            Ok(row) if row < n_episodes => chosen.push(row),
            _ => {
                let hint = match n_episodes {
                    0 => "the split has no episodes".to_owned(),
                    _ => format!("the split has episodes 0 to {}", n_episodes - 1),
                };
                let message = format!("`episodes` names episode {episode}, which is not there");
                return Err(mistake(message).with_hint(hint));
            }
        }
    }
    chosen.sort_unstable();
    match chosen.windows(2).find(|it| it[0] == it[1]) {
        Some(twice) => Err(mistake(format!("`episodes` names episode {} twice", twice[0]))
            .with_hint("each episode is read once an epoch; give sources of a mixture weights")),
        None => Ok(chosen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(lengths: &[u64], selection: &Selection) -> Samples {
        Samples::new(lengths, selection).unwrap()
    }

    /// All samples as (episode, first step, steps).
    fn all(samples: &Samples) -> Vec<(u64, u64, u64)> {
        let located = (0..samples.len()).map(|it| samples.locate(it).unwrap());
        located.map(|it| (it.episode, it.steps.start, it.steps.end - it.steps.start)).collect()
    }

    #[test]
    fn steps_are_numbered_by_episode_then_step() {
        let samples = samples(&[2, 0, 3], &Selection::default());
        assert_eq!(all(&samples), [(0, 0, 1), (0, 1, 1), (2, 0, 1), (2, 1, 1), (2, 2, 1)]);
        assert_eq!(samples.locate(5), None);
        assert_eq!(samples.locate(u64::MAX), None);
    }

    #[test]
    fn what_is_left_out_has_no_number() {
        let selection =
            Selection { drop_first: 1, drop_last: 2, episodes: Some(vec![4, 1, 3]), ..Selection::default() };
        assert_eq!(all(&samples(&[9, 5, 9, 3, 4], &selection)), [(1, 1, 1), (1, 2, 1), (4, 1, 1)]);
        let whole = Selection { unit: Unit::Episode, ..selection };
        assert_eq!(all(&samples(&[9, 5, 9, 3, 4], &whole)), [(1, 1, 2), (4, 1, 1)]);
        let nothing = Selection { drop_first: u64::MAX, drop_last: 1, ..Selection::default() };
        assert!(samples(&[9, u64::MAX], &nothing).is_empty());
        assert_eq!(samples(&[], &Selection::default()).locate(0), None);
    }

    #[test]
    fn mistakes_are_named() {
        let told = |lengths: &[u64], episodes: &[u64]| {
            let selection = Selection { episodes: Some(episodes.to_vec()), ..Selection::default() };
            let err = Samples::new(lengths, &selection).unwrap_err();
            (err.to_string(), err.hint().unwrap_or_default().to_owned())
        };
        let (message, hint) = told(&[1, 1], &[0, 2]);
        assert_eq!(message, "`episodes` names episode 2, which is not there");
        assert_eq!(hint, "the split has episodes 0 to 1");
        assert_eq!(told(&[], &[7]).1, "the split has no episodes");
        assert_eq!(told(&[1, 1], &[1, 0, 1]).0, "`episodes` names episode 1 twice");
        let err = Samples::new(&[u64::MAX, 1], &Selection::default()).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Limit);
    }
}
