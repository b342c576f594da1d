use std::{collections::BTreeMap, path::Path};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::{shown::shown, template::Template};

/// The layouts that `meta/info.json` can name in `codebase_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V20,
    V21,
    V30,
}

impl Version {
    /// As `codebase_version` spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V20 => "v2.0",
            Self::V21 => "v2.1",
            Self::V30 => "v3.0",
        }
    }

    /// Whether each episode has a file of its own.
    pub(crate) fn has_file_per_episode(self) -> bool {
        match self {
            Self::V20 | Self::V21 => true,
            Self::V30 => false,
        }
    }
}

/// `meta/info.json`, as far as reading needs it.
#[derive(Debug, Clone)]
pub(crate) struct Info {
    pub(crate) version: Version,
    pub(crate) codebase_version: String,
    pub(crate) robot_type: Option<String>,
    pub(crate) fps: f64,
    pub(crate) total_episodes: Option<u64>,
    pub(crate) total_frames: Option<u64>,
    pub(crate) chunks_size: u64,
    pub(crate) splits: BTreeMap<String, String>,
    pub(crate) data_path: Template,
    pub(crate) video_path: Option<Template>,
    pub(crate) features: BTreeMap<String, FeatureInfo>,
    /// The document as it is, for the dataset's metadata.
    pub(crate) text: String,
}

/// What `info.json` says of one feature.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FeatureInfo {
    pub(crate) dtype: String,
    #[serde(default)]
    pub(crate) shape: Vec<i64>,
    #[serde(default)]
    pub(crate) names: Value,
    /// Of cameras; `video_info` in older files.
    #[serde(default, alias = "video_info")]
    pub(crate) info: Value,
}

impl FeatureInfo {
    /// Whether frames of this feature lie in video files.
    pub(crate) fn is_video(&self) -> bool {
        self.dtype == "video"
    }

    /// How many elements its last dimension has.
    pub(crate) fn n_elements(&self) -> Option<usize> {
        self.shape.last().and_then(|it| usize::try_from(*it).ok())
    }

    /// Element names, where there is one list of them: plain, within other lists, the only axis that is named, or
    /// names with their positions.
    pub(crate) fn element_names(&self) -> Option<Vec<String>> {
        let mut names = Vec::new();
        match &self.names {
            Value::Object(axes) if axes.len() == 1 && axes.values().all(Value::is_array) => {
                axes.values().try_for_each(|it| flatten(it, NAMES_DEPTH_MAX, &mut names))?;
            }
            Value::Object(positions) => names = by_position(positions)?,
            other => flatten(other, NAMES_DEPTH_MAX, &mut names)?,
        }
        // One name an axis is another use of the same list.
        Some(names).filter(|it| Some(it.len()) == self.n_elements())
    }

    /// A fact of the camera, under its plain key or with the `video.` that older writers put before it.
    pub(crate) fn camera(&self, key: &str) -> Option<&Value> {
        self.info.get(key).or_else(|| self.info.get(format!("video.{key}")))
    }
}

/// Lists of names within lists that are followed.
const NAMES_DEPTH_MAX: usize = 4;

/// Adds the names of lists within lists, in their order; `None` where anything else is among them.
fn flatten(value: &Value, depth: usize, names: &mut Vec<String>) -> Option<()> {
    match value {
        Value::Array(list) if 0 < depth => list.iter().try_for_each(|it| flatten(it, depth - 1, names)),
        Value::String(name) if depth < NAMES_DEPTH_MAX => {
            names.push(name.clone());
            Some(())
        }
        _ => None,
    }
}

/// Names whose values are their positions, each from 0 on once.
fn by_position(positions: &serde_json::Map<String, Value>) -> Option<Vec<String>> {
    let mut names = vec![None; positions.len()];
    for (name, position) in positions {
        let place = names.get_mut(usize::try_from(position.as_u64()?).ok()?)?;
        if place.replace(name.clone()).is_some() {
            return None;
        }
    }
    names.into_iter().collect()
}

#[derive(Deserialize)]
struct Document {
    codebase_version: String,
    #[serde(default)]
    robot_type: Option<Value>,
    fps: f64,
    total_episodes: Option<u64>,
    total_frames: Option<u64>,
    chunks_size: Option<u64>,
    #[serde(default)]
    splits: Option<BTreeMap<String, String>>,
    data_path: String,
    #[serde(default)]
    video_path: Option<String>,
    features: BTreeMap<String, FeatureInfo>,
    #[serde(default)]
    storage_format: Option<String>,
}

/// Where `codebase_version` v2 files without `chunks_size` put the next folder.
const CHUNKS_SIZE: u64 = 1000;

impl Info {
    /// Reads `meta/info.json`.
    ///
    /// # Errors
    /// `Corrupt` when the document is malformed, `Unsupported` for other versions and storage formats.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let at = || Locus::path(path);
        let document: Document = serde_json::from_slice(bytes).map_err(|err| {
            let place = Locus { line_column: Some((err.line() as u32, err.column() as u32)), ..at() };
            Error::new(ErrorKind::Corrupt, "meta/info.json does not describe a LeRobot dataset")
                .with_source(err)
                .at(place)
                .with_hint("restore the file; every LeRobot dataset of version 2 or 3 has one")
        })?;
        let version = match document.codebase_version.as_str() {
            "v2.0" => Version::V20,
            "v2.1" => Version::V21,
            "v3.0" => Version::V30,
            other => {
                let message = format!("LeRobot version `{other}` is not read; v2.0, v2.1 and v3.0 are");
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .at(at())
                    .with_hint("bring the dataset to v3.0 with LeRobot's own converter first"));
            }
        };
        if let Some(storage) = document.storage_format.filter(|it| it != "parquet") {
            let message = format!("the dataset is stored as `{storage}`; Parquet and mp4 files are read");
            return Err(Error::new(ErrorKind::Unsupported, message)
                .at(at())
                .with_hint("export it to the plain LeRobot layout first"));
        }
        if !(document.fps.is_finite() && document.fps > 0.0) {
            return Err(Error::new(ErrorKind::Corrupt, format!("fps is {}", shown(document.fps))).at(at()));
        }
        let template = |text: &str| Template::parse(text).map_err(|err| err.at(at()));
        Ok(Self {
            version,
            codebase_version: document.codebase_version,
            robot_type: document.robot_type.and_then(|it| it.as_str().map(str::to_owned)),
            fps: document.fps,
            total_episodes: document.total_episodes,
            total_frames: document.total_frames,
            chunks_size: document.chunks_size.filter(|it| *it > 0).unwrap_or(CHUNKS_SIZE),
            splits: document.splits.unwrap_or_default(),
            data_path: template(&document.data_path)?,
            video_path: document.video_path.as_deref().map(template).transpose()?,
            features: document.features,
            text: String::from_utf8_lossy(bytes).into_owned(),
        })
    }

    /// The features whose frames lie in video files, by name.
    pub(crate) fn video_keys(&self) -> impl Iterator<Item = &str> {
        self.features.iter().filter(|(_, it)| it.is_video()).map(|(name, _)| name.as_str())
    }

    /// The split of each source episode index, as far as `splits` covers them: `"from:to"`, half open.
    pub(crate) fn split_of(&self, episode: u64) -> Option<&str> {
        let covers = |range: &str| {
            let (from, to) = range.split_once(':')?;
            let number = |text: &str, otherwise| match text.trim() {
                "" => Some(otherwise),
                text => text.parse::<u64>().ok(),
            };
            Some((number(from, 0)?..number(to, u64::MAX)?).contains(&episode))
        };
        let found = self.splits.iter().find(|(_, range)| covers(range) == Some(true));
        found.map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(version: &str, more: &str) -> Result<Info> {
        let text = format!(
            r#"{{"codebase_version":"{version}","fps":10,"data_path":"data/{{chunk_index:03d}}.parquet","features":{{}}{more}}}"#
        );
        Info::parse(text.as_bytes(), Path::new("meta/info.json"))
    }

    #[test]
    fn versions_are_told_apart_and_others_refused() {
        assert_eq!(parse("v2.1", "").unwrap().version, Version::V21);
        let err = parse("v1.6", "").unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Unsupported);
        assert!(err.hint().is_some());
        assert_eq!(parse("v3.0", r#","storage_format":"lance""#).unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(parse("v3.0", r#","fps":0"#).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn splits_are_half_open_ranges_of_episodes() {
        let info = parse("v3.0", r#","splits":{"train":"0:37","val":"37:40"}"#).unwrap();
        assert_eq!(info.split_of(36), Some("train"));
        assert_eq!(info.split_of(37), Some("val"));
        assert_eq!(info.split_of(40), None);
    }

    #[test]
    fn element_names_come_plain_or_under_one_axis() {
        let names = |json: &str| {
            let text = format!(r#"{{"dtype":"float32","shape":[2],"names":{json}}}"#);
            serde_json::from_str::<FeatureInfo>(&text).unwrap().element_names()
        };
        assert_eq!(names(r#"["a","b"]"#), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(names(r#"{"motors":["a","b"]}"#), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(names(r#"["height","width","channels"]"#), None);
        assert_eq!(names("null"), None);
        assert_eq!(names(r#"[["a","b"]]"#), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(names(r#"{"motors":[["a"],["b"]]}"#), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(names(r#"{"z":0,"a":1}"#), Some(vec!["z".to_owned(), "a".to_owned()]));
        assert_eq!(names(r#"{"z":0,"a":0}"#), None);
        assert_eq!(names(r#"[["a",1]]"#), None);
        assert_eq!(names(r#""a""#), None);
        assert_eq!(names(r#"{"x":["a"],"y":["b"]}"#), None);
    }
}
