//! Values of other steps beside those of a sample: which steps a window takes, and what stands where it leaves the episode.

mod seconds;
#[cfg(test)]
mod tests;

use std::{ops::Range, str::FromStr};

use nodedata_core::{DType, Error, ErrorKind, Feature, Locus, Result};

use crate::{Selection, named::named};

pub use seconds::{Clock, TOLERANCE_S};

/// Steps of a window, at most.
const STEPS_MAX: usize = 65_536;

/// Steps around a sample's own, told as distances from it. They may come in any order, and twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    offsets: Vec<i64>,
}

/// What stands in a window where it leaves the episode. No window goes on in another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pad {
    /// The first or last step of the episode once more.
    #[default]
    Edge,
    /// Zeros.
    Zero,
    /// NaN, which only floats have.
    Nan,
    /// Nothing: steps whose window leaves the episode are no samples.
    Drop,
}

/// What one place of a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// A step of the episode.
    Step(u64),
    /// The step nearest to one that is not there.
    Edge(u64),
    /// Zeros.
    Zero,
    /// NaN.
    Nan,
}

impl FromStr for Pad {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let values = [("edge", Self::Edge), ("zero", Self::Zero), ("nan", Self::Nan), ("drop", Self::Drop)];
        named("pad", text, &values)
    }
}

impl Pad {
    /// Whether windows of a feature can be padded so.
    ///
    /// # Errors
    /// `Config` for NaN where values are no floats.
    pub fn check(self, feature: &Feature) -> Result<()> {
        let has_nan = matches!(feature.dtype, DType::Float16 | DType::Float32 | DType::Float64);
        if self != Self::Nan || has_nan {
            return Ok(());
        }
        let message = format!("`pad` is \"nan\", and values are {}", feature.dtype.name());
        Err(Error::new(ErrorKind::Config, message)
            .with_hint("pad with \"edge\", \"zero\" or \"drop\"")
            .at(Locus::feature(&feature.name)))
    }
}

impl Slot {
    /// Whether the window leaves the episode here.
    pub fn is_pad(self) -> bool {
        match self {
            Self::Step(_) => false,
            Self::Edge(_) | Self::Zero | Self::Nan => true,
        }
    }

    /// The step whose values stand here.
    pub fn step(self) -> Option<u64> {
        match self {
            Self::Step(step) | Self::Edge(step) => Some(step),
            Self::Zero | Self::Nan => None,
        }
    }
}

impl Window {
    /// The window of steps at these distances: `[-1, 0]` is the step before and the sample's own.
    ///
    /// # Errors
    /// `Config` for a window without steps, `Limit` for one with more than 65,536.
    pub fn of_steps(offsets: impl IntoIterator<Item = i64>) -> Result<Self> {
        // One more tells that there are too many.
        let offsets: Vec<i64> = offsets.into_iter().take(STEPS_MAX + 1).collect();
        match offsets.len() {
            0 => Err(Error::new(ErrorKind::Config, "the window has no steps")
                .with_hint("give at least one, such as [0]")),
            n if n > STEPS_MAX => Err(Error::new(ErrorKind::Limit, "the window has more than 65,536 steps")
                .with_hint("read whole episodes, with `unit` \"episode\"")),
            _ => Ok(Self { offsets }),
        }
    }

    /// The distances.
    pub fn offsets(&self) -> &[i64] {
        &self.offsets
    }

    /// What stands in the window of a step of an episode with so many steps. `None` where the step is none of the episode, and where
    /// the window leaves the episode and `pad` is to drop it.
    pub fn slots(&self, length: u64, step: u64, pad: Pad) -> Option<impl Iterator<Item = Slot>> {
        if step >= length || (pad == Pad::Drop && !self.fits(length, step)) {
            return None;
        }
        let slot = move |offset: &i64| match inside(length, step, *offset) {
            Ok(step) => Slot::Step(step),
            Err(edge) => match pad {
                // Nothing is padded where all of the window fits.
                Pad::Edge | Pad::Drop => Slot::Edge(edge),
                Pad::Zero => Slot::Zero,
                Pad::Nan => Slot::Nan,
            },
        };
        Some(self.offsets.iter().map(slot))
    }

    /// Whether all of the window lies in the episode.
    pub fn fits(&self, length: u64, step: u64) -> bool {
        self.offsets.iter().all(|it| inside(length, step, *it).is_ok())
    }

    /// The steps from the first to the last that is read for a step of the episode; `None` where none is.
    pub fn reads(&self, length: u64, step: u64, pad: Pad) -> Option<Range<u64>> {
        let steps = || self.slots(length, step, pad).into_iter().flatten().filter_map(Slot::step);
        Some(steps().min()?..steps().max()? + 1)
    }

    /// A selection without the steps whose window leaves the episode, where those are to be dropped. Windows may reach steps that are
    /// left out: these are no samples, but steps of the episode all the same.
    #[must_use]
    pub fn narrowed(&self, selection: &Selection, pad: Pad) -> Selection {
        let mut selection = selection.clone();
        if pad == Pad::Drop {
            let before = self.offsets.iter().map(|it| it.min(&0).unsigned_abs()).max().unwrap_or(0);
            let behind = self.offsets.iter().map(|it| it.max(&0).unsigned_abs()).max().unwrap_or(0);
            selection.drop_first = selection.drop_first.max(before);
            selection.drop_last = selection.drop_last.max(behind);
        }
        selection
    }
}

/// The step at a distance, or the nearest one of the episode.
fn inside(length: u64, step: u64, offset: i64) -> Result<u64, u64> {
    let last = length.saturating_sub(1);
    match step.checked_add_signed(offset) {
        Some(step) if step <= last => Ok(step),
        None if offset < 0 => Err(0),
        Some(_) | None => Err(last),
    }
}
