use nodedata_core::{Feature, Result};
use nodedata_media::{DepthQuantization, DepthUnit};
use serde_json::Value;

/// What a source said of a camera whose video has distances in it.
const CAMERA_FACTS: &str = "lerobot:info";

/// How the values of a video stand for distances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DepthFacts {
    min_m: f64,
    max_m: f64,
    shift_m: f64,
    use_log: bool,
    unit: DepthUnit,
}

impl DepthFacts {
    /// What is said of a feature; `None` where its frames are no distances.
    pub(crate) fn of(feature: &Feature) -> Option<Self> {
        let facts: Value = serde_json::from_str(feature.metadata.get(CAMERA_FACTS)?).ok()?;
        // Older writers put a word before each key.
        let fact = |key: &str| facts.get(key).or_else(|| facts.get(format!("video.{key}")));
        let number = |key: &str, otherwise: f64| fact(key).and_then(Value::as_f64).unwrap_or(otherwise);
        let is_depth = fact("is_depth_map").and_then(Value::as_bool) == Some(true);
        is_depth.then(|| Self {
            min_m: number("depth_min", 0.01),
            max_m: number("depth_max", 10.0),
            shift_m: number("shift", 3.5),
            use_log: fact("use_log").and_then(Value::as_bool).unwrap_or(true),
            unit: fact("depth_unit")
                .and_then(Value::as_str)
                .and_then(DepthUnit::from_name)
                .unwrap_or(DepthUnit::Metre),
        })
    }

    /// What decoded values are counted in.
    pub(crate) fn unit(&self) -> &'static str {
        self.unit.name()
    }

    /// The distance of every value, to look them up in.
    ///
    /// # Errors
    /// `Corrupt` when what is said makes no sense.
    pub(crate) fn table(&self) -> Result<Vec<f32>> {
        let Self { min_m, max_m, shift_m, use_log, unit } = *self;
        Ok(DepthQuantization::new(min_m, max_m, shift_m, use_log, unit)?.table())
    }
}

#[cfg(test)]
mod tests {
    use nodedata_core::DType;

    use super::*;

    #[test]
    fn cameras_of_distances_are_told() {
        let told = |facts: &str| {
            DepthFacts::of(&Feature::new("cam", DType::UInt8, Vec::new()).with_meta(CAMERA_FACTS, facts))
        };
        assert_eq!(told(r#"{"is_depth_map": false}"#), None);
        assert_eq!(told("no document"), None);
        let facts =
            told(r#"{"video.is_depth_map": true, "depth_max": 5.0, "use_log": false, "depth_unit": "mm"}"#);
        let facts = facts.expect("distances");
        let table = facts.table().unwrap();
        assert_eq!((facts.unit(), table.len(), table[0], table[4095]), ("mm", 4096, 10.0, 5000.0));
        let broken = told(r#"{"is_depth_map": true, "depth_min": 5.0, "depth_max": 5.0}"#).unwrap();
        assert!(broken.table().is_err());
    }
}
