use std::{collections::BTreeMap, path::Path};

use arrow_array::Array;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{cell::Cell, truth::sha256};

/// What the official reader returns for a dataset.
#[derive(Debug, Clone, Deserialize)]
pub struct LeRobotTruth {
    /// Episodes of the dataset.
    pub total_episodes: u64,
    /// Steps over all episodes.
    pub total_frames: u64,
    /// Frames a second.
    pub fps: f64,
    /// By name.
    pub features: BTreeMap<String, FeatureTruth>,
    /// In order.
    pub episodes: Vec<EpisodeTruth>,
}

/// One feature, as `info.json` has it.
#[derive(Debug, Clone, Deserialize)]
pub struct FeatureTruth {
    /// A number's type, or `string`, `image`, `video`.
    pub dtype: String,
    /// Of one value.
    pub shape: Vec<i64>,
    /// Names of elements or axes.
    #[serde(default)]
    pub names: Value,
}

/// One episode.
#[derive(Debug, Clone, Deserialize)]
pub struct EpisodeTruth {
    /// Its number.
    pub episode_index: i64,
    /// Its steps.
    pub length: u64,
    /// First row in the dataset.
    pub from: usize,
    /// One past the last.
    pub to: usize,
    /// Tasks of its steps, each once, in the order they appear in.
    pub tasks_in_order: Vec<String>,
    /// The first step.
    pub first: BTreeMap<String, Value>,
    /// The last step.
    pub last: BTreeMap<String, Value>,
    /// [`array_sha`] of `observation.state` over all steps.
    pub state_sha256: String,
    /// In seconds, to six digits.
    pub timestamps: Vec<f64>,
}

/// One value of the reader that is no text.
#[derive(Debug, Clone, Deserialize)]
pub struct ValueTruth {
    /// As the reader hands it out: `float64` comes as `float32`.
    pub dtype: String,
    /// Of the value; empty for a number.
    pub shape: Vec<u64>,
    /// Absent for frames.
    #[serde(default)]
    pub values: Value,
    /// Of frames: [`array_sha`].
    #[serde(default)]
    pub sha256: String,
    /// Of frames: their first six values.
    #[serde(default)]
    pub corner: Vec<u8>,
    /// Of frames: mean of all values.
    #[serde(default)]
    pub mean: f64,
}

impl LeRobotTruth {
    /// Reads a truth file.
    ///
    /// # Panics
    /// When it cannot be read as one.
    pub fn load(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
        let truth: Self =
            serde_json::from_slice(&bytes).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
        assert_eq!(truth.total_episodes, truth.episodes.len() as u64, "{}", path.display());
        truth
    }

    /// Names of the features whose values are frames.
    pub fn cameras(&self) -> impl Iterator<Item = (&str, &FeatureTruth)> {
        let is_camera = |it: &(&String, &FeatureTruth)| matches!(it.1.dtype.as_str(), "image" | "video");
        self.features.iter().filter(is_camera).map(|(name, it)| (name.as_str(), it))
    }
}

impl ValueTruth {
    /// A value of a truth file; `None` for text.
    ///
    /// # Panics
    /// When it is neither.
    pub fn of(value: &Value) -> Option<Self> {
        if value.is_string() {
            return None;
        }
        Some(serde_json::from_value(value.clone()).unwrap_or_else(|err| panic!("{err}: {value}")))
    }

    /// What row `row` of a column says differently; `None` when it is the same. Numbers are compared after the
    /// reader's own conversion to the type of the truth.
    ///
    /// # Panics
    /// For a column of a type that no feature has.
    pub fn difference(&self, column: &dyn Array, row: usize) -> Option<String> {
        let found = json_of(column, row);
        let shape = shape_of(&found);
        let (mut wanted, mut numbers) = (Vec::new(), Vec::new());
        flatten(&self.values, &mut wanted);
        flatten(&found, &mut numbers);
        let converted: Vec<f64> = match self.dtype.as_str() {
            "float32" => numbers.iter().map(|it| f64::from(*it as f32)).collect(),
            _ => numbers,
        };
        let is_same = shape == self.shape && converted == wanted;
        (!is_same).then(|| format!("{found}, expected {} of shape {:?}", self.values, self.shape))
    }
}

fn shape_of(value: &Value) -> Vec<u64> {
    let Value::Array(items) = value else { return Vec::new() };
    let mut shape = vec![items.len() as u64];
    shape.extend(items.first().map(shape_of).unwrap_or_default());
    shape
}

fn flatten(value: &Value, numbers: &mut Vec<f64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|it| flatten(it, numbers)),
        Value::Bool(it) => numbers.push(f64::from(u8::from(*it))),
        Value::Number(it) => numbers.push(it.as_f64().expect("a number")),
        other => panic!("neither numbers nor lists of them: {other}"),
    }
}

/// One value of a column as JSON; bytes are told by their length and SHA-256, floats that are not finite
/// as text.
///
/// # Panics
/// For a column of a type that no feature has.
pub fn json_of(column: &dyn Array, row: usize) -> Value {
    json_of_cell(&Cell::of(column, row))
}

fn json_of_cell(cell: &Cell) -> Value {
    let float = |it: f64| if it.is_finite() { json!(it) } else { json!(it.to_string()) };
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(it) => json!(it),
        Cell::Int(it) => i64::try_from(*it).map_or_else(|_| json!(it.to_string()), |it| json!(it)),
        Cell::Float(it) => float(*it),
        Cell::Float32(it) => float(f64::from(*it)),
        Cell::Text(it) => json!(it),
        Cell::Bytes(it) => json!({"len": it.len(), "sha256": sha256(it)}),
        Cell::List(items) => items.iter().map(json_of_cell).collect(),
    }
}

/// The hash that truth files have of arrays: numpy's name of the type, the shape as Python writes it, and the
/// values in C order, little endian.
pub fn array_sha(dtype: &str, shape: &[u64], values: &[u8]) -> String {
    let shape = match shape {
        [only] => format!("({only},)"),
        shape => format!("({})", shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    };
    let mut all = format!("{dtype}{shape}").into_bytes();
    all.extend(values);
    sha256(&all)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{FixedSizeListArray, Float64Array, Int16Array};
    use arrow_schema::{DataType, Field};

    use super::*;

    fn truth(json: &str) -> ValueTruth {
        ValueTruth::of(&serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn values_are_compared_in_the_readers_type_and_shape() {
        let numbers = Arc::new(Float64Array::from(vec![0.1, 0.2]));
        let item = Arc::new(Field::new("item", DataType::Float64, false));
        let pair = FixedSizeListArray::new(item, 2, numbers, None);
        let same =
            truth(r#"{"dtype":"float32","shape":[2],"values":[0.10000000149011612,0.20000000298023224]}"#);
        assert_eq!(same.difference(&pair, 0), None);
        for other in [
            r#"{"dtype":"float64","shape":[2],"values":[0.10000000149011612,0.20000000298023224]}"#,
            r#"{"dtype":"float32","shape":[2,1],"values":[[0.10000000149011612],[0.20000000298023224]]}"#,
            r#"{"dtype":"float32","shape":[2],"values":[0.10000000149011612,0.3]}"#,
        ] {
            assert!(truth(other).difference(&pair, 0).is_some(), "{other}");
        }
        let count = Int16Array::from(vec![-3]);
        assert_eq!(truth(r#"{"dtype":"int64","shape":[],"values":-3}"#).difference(&count, 0), None);
    }

    #[test]
    fn arrays_are_hashed_as_the_truth_files_do() {
        // `array_sha(np.arange(3, dtype=np.uint8))` and `array_sha(np.zeros((1, 2), np.float32))`.
        assert_eq!(array_sha("|u1", &[3], &[0, 1, 2]), sha256(b"|u1(3,)\x00\x01\x02"));
        assert_eq!(array_sha("<f4", &[1, 2], &[0; 8]), sha256(b"<f4(1, 2)\0\0\0\0\0\0\0\0"));
    }
}
