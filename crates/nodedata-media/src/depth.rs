use nodedata_core::{Error, ErrorKind, Result};

/// What a depth video's values are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepthUnit {
    /// Metres.
    Metre,
    /// Millimetres.
    Millimetre,
}

impl DepthUnit {
    /// The unit written `m` or `mm`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "m" => Some(Self::Metre),
            "mm" => Some(Self::Millimetre),
            _ => None,
        }
    }

    /// As schemas spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metre => "m",
            Self::Millimetre => "mm",
        }
    }
}

/// How a depth video's 12-bit codes stand for distances: code 0 is the nearest, 4095 the farthest, evenly
/// spaced or evenly spaced in the logarithm of the distance plus a shift.
///
/// A distance outside the range was clipped when it was written; the "no return" of a sensor, 0, is code 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthQuantization {
    min_m: f64,
    max_m: f64,
    shift_m: f64,
    use_log: bool,
    unit: DepthUnit,
}

/// The largest of the 12-bit codes.
const CODE_MAX: f64 = 4095.0;

impl DepthQuantization {
    /// A range and a shift in metres; `unit` is that of decoded values.
    ///
    /// # Errors
    /// `Corrupt` when the range is empty or not finite, or its logarithm does not exist.
    pub fn new(min_m: f64, max_m: f64, shift_m: f64, use_log: bool, unit: DepthUnit) -> Result<Self> {
        let is_range = min_m.is_finite() && max_m.is_finite() && min_m < max_m;
        if !is_range || (use_log && !(shift_m.is_finite() && min_m + shift_m > 0.0)) {
            let message = format!("depth from {min_m} to {max_m} m with shift {shift_m} cannot be decoded");
            return Err(Error::new(ErrorKind::Corrupt, message)
                .with_hint("correct the depth range in the dataset's `meta/info.json`"));
        }
        Ok(Self { min_m, max_m, shift_m, use_log, unit })
    }

    /// The distance that `code` stands for. Codes above 4095 are taken for it.
    pub fn decode(&self, code: u16) -> f32 {
        let part = (f64::from(code) / CODE_MAX).min(1.0);
        let metres = if self.use_log {
            let (near, far) = ((self.min_m + self.shift_m).ln(), (self.max_m + self.shift_m).ln());
            (near + part * (far - near)).exp() - self.shift_m
        } else {
            self.min_m + part * (self.max_m - self.min_m)
        };
        match self.unit {
            DepthUnit::Metre => metres as f32,
            DepthUnit::Millimetre => (metres * 1000.0) as f32,
        }
    }

    /// The distance of every code, to look them up in.
    pub fn table(&self) -> Vec<f32> {
        (0..=CODE_MAX as u16).map(|code| self.decode(code)).collect()
    }

    /// What decoded values are counted in.
    pub fn unit(&self) -> DepthUnit {
        self.unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The writer's formula, as the format defines it.
    fn encode(metres: f64, quantization: &DepthQuantization) -> u16 {
        let DepthQuantization { min_m, max_m, shift_m, use_log, .. } = *quantization;
        let part = if use_log {
            ((metres + shift_m).ln() - (min_m + shift_m).ln())
                / ((max_m + shift_m).ln() - (min_m + shift_m).ln())
        } else {
            (metres - min_m) / (max_m - min_m)
        };
        (CODE_MAX * part).round_ties_even().clamp(0.0, CODE_MAX) as u16
    }

    fn default_range(use_log: bool, unit: DepthUnit) -> DepthQuantization {
        DepthQuantization::new(0.01, 10.0, 3.5, use_log, unit).unwrap()
    }

    #[test]
    fn known_codes_have_known_distances() {
        let log = default_range(true, DepthUnit::Metre);
        // exp(ln 3.51 + q/4095 · (ln 13.5 - ln 3.51)) - 3.5, worked out with 50 digits.
        for (code, metres) in [(0, 0.01), (4095, 10.0), (2048, 3.384_808_5), (1000, 1.377_202_3)] {
            assert!((log.decode(code) - metres).abs() < 2e-6, "{code}: {}", log.decode(code));
        }
        let linear = default_range(false, DepthUnit::Millimetre);
        assert_eq!((linear.decode(0), linear.decode(4095)), (10.0, 10_000.0));
        assert!((linear.decode(819) - 2008.0).abs() < 1e-3);
        assert_eq!(log.decode(u16::MAX), log.decode(4095));
    }

    #[test]
    fn encoding_a_decoded_code_gives_the_code() {
        for use_log in [true, false] {
            let quantization = default_range(use_log, DepthUnit::Metre);
            for code in 0..=4095 {
                assert_eq!(encode(f64::from(quantization.decode(code)), &quantization), code);
            }
            assert_eq!(encode(0.0, &quantization), 0, "no return is the nearest code");
            assert_eq!(quantization.table().len(), 4096);
        }
    }

    #[test]
    fn a_range_that_cannot_be_decoded_is_refused() {
        for (min, max, shift) in [(1.0, 1.0, 3.5), (f64::NAN, 1.0, 0.0), (0.0, 1.0, 0.0), (0.1, 1.0, -0.2)] {
            let err = DepthQuantization::new(min, max, shift, true, DepthUnit::Metre).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Corrupt);
        }
        assert!(DepthQuantization::new(0.0, 1.0, 0.0, false, DepthUnit::Metre).is_ok());
    }
}
