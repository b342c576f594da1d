use nodedata_core::{Error, ErrorKind, Result};

use super::{STEPS_MAX, Window};

/// How far seconds may be from a multiple of a step, unless somebody says otherwise.
pub const TOLERANCE_S: f64 = 1e-4;

/// Distances beyond this are not exact in a float.
const STEPS_EXACT: f64 = 9_007_199_254_740_992.0;

/// How seconds become steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    fps: f64,
    tolerance_s: f64,
}

impl Clock {
    /// The clock of steps at so many a second.
    ///
    /// # Errors
    /// `Config` for a rate that is not positive or a tolerance that is negative.
    pub fn new(fps: f64, tolerance_s: f64) -> Result<Self> {
        let mistake = |message: String, hint: &str| {
            Err(Error::new(ErrorKind::Config, message).with_hint(hint.to_owned()))
        };
        if !fps.is_finite() || fps <= 0.0 {
            let message = format!("{fps} steps a second have no length");
            return mistake(message, "windows of this dataset can be told in steps only");
        }
        if !tolerance_s.is_finite() || tolerance_s < 0.0 {
            return mistake(format!("`tolerance_s` is {tolerance_s}"), "give 0 or more seconds");
        }
        Ok(Self { fps, tolerance_s })
    }

    /// The window of steps at distances in seconds.
    ///
    /// # Errors
    /// `Config` with each distance that is no multiple of a step, and the one nearest to it; those of [`Window::of_steps`].
    pub fn window(&self, seconds: &[f64]) -> Result<Window> {
        let (mut offsets, mut mistakes) = (Vec::new(), Vec::new());
        // More than a window can have are counted by it.
        for seconds in seconds.iter().take(STEPS_MAX + 1) {
            match self.steps(*seconds) {
                Ok(offset) => offsets.push(offset),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        self.told(mistakes)?;
        Window::of_steps(offsets)
    }

    /// The window that text such as `0:0.5s` names: from the first time on, before the second.
    ///
    /// # Errors
    /// `Config` for other text, and for times that are no multiples of a step.
    pub fn range(&self, text: &str) -> Result<Window> {
        let times = text.strip_suffix('s').and_then(|it| it.split_once(':'));
        let times = times.and_then(|(from, to)| Some((from.trim().parse().ok()?, to.trim().parse().ok()?)));
        let Some((from, to)) = times else {
            return Err(Error::new(ErrorKind::Config, format!("`{text}` is no range of seconds"))
                .with_hint("write `0:0.5s`; steps are numbers, such as [-1, 0]"));
        };
        let (from, to) = match (self.steps(from), self.steps(to)) {
            (Ok(from), Ok(to)) => (from, to),
            (from, to) => {
                self.told(from.err().into_iter().chain(to.err()).collect())?;
                return Err(Error::new(ErrorKind::Config, format!("`{text}` is no range of steps")));
            }
        };
        if from >= to {
            return Err(Error::new(ErrorKind::Config, format!("`{text}` ends before it begins"))
                .with_hint("the end is not part of the range: `0:0.1s` at 10 steps a second is one step"));
        }
        Window::of_steps(from..to)
    }

    /// The distance in steps, or what is wrong with it.
    fn steps(&self, seconds: f64) -> Result<i64, String> {
        let exact = seconds * self.fps;
        if !exact.is_finite() || exact.abs() > STEPS_EXACT {
            return Err(format!("{seconds} s are no number of steps"));
        }
        let nearest = exact.round_ties_even();
        if (exact - nearest).abs() / self.fps > self.tolerance_s {
            return Err(format!(
                "{seconds} s lie between two steps; the nearest is at {} s (offset {nearest})",
                nearest / self.fps
            ));
        }
        Ok(nearest as i64)
    }

    fn told(&self, mistakes: Vec<String>) -> Result<()> {
        let mut mistakes = mistakes.into_iter();
        let Some(first) = mistakes.next() else { return Ok(()) };
        let hint = format!("there are {} steps a second: give multiples of one, or steps", self.fps);
        Err(Error::new(ErrorKind::Config, first).with_others(mistakes).with_hint(hint))
    }
}
