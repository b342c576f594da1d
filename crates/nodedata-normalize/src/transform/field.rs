use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FrameCoding, TransformKind, catalog};

/// What becomes of the values of one field, step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum FieldTransform {
    /// The value of another step.
    #[serde(rename = "action/shift@1")]
    Shift {
        /// How many steps later; negative for earlier. Never 0.
        steps: i32,
        /// What becomes of steps for which there is no such step.
        end: End,
    },
    /// One minus the value.
    #[serde(rename = "gripper/invert@1")]
    Invert {
        /// The one element of a vector, from the end where negative; `None` for all.
        item: Option<i32>,
    },
    /// 1 above a threshold, else 0.
    #[serde(rename = "gripper/binarize@1")]
    Binarize {
        /// The greatest value that is 0.
        #[serde(with = "nodedata_core::exact")]
        threshold: f64,
        /// As in `Invert`.
        item: Option<i32>,
    },
    /// The nearest value inside of bounds.
    #[serde(rename = "action/clip@1")]
    Clip {
        /// Least value; `None` for none.
        #[serde(with = "nodedata_core::exact")]
        min: Option<f64>,
        /// Greatest value; `None` for none.
        #[serde(with = "nodedata_core::exact")]
        max: Option<f64>,
        /// As in `Invert`.
        item: Option<i32>,
    },
    /// A multiple of the value.
    #[serde(rename = "scale@1")]
    Scale {
        /// The factor. Never 0 or 1.
        #[serde(with = "nodedata_core::exact")]
        by: f64,
        /// As in `Invert`.
        item: Option<i32>,
    },
    /// The value and a number.
    #[serde(rename = "offset@1")]
    Offset {
        /// The number added. Never 0.
        #[serde(with = "nodedata_core::exact")]
        by: f64,
        /// As in `Invert`.
        item: Option<i32>,
    },
    /// The same quantity counted in another unit.
    #[serde(rename = "unit@1")]
    Unit {
        /// Name of the unit that the values are counted in.
        from: String,
        /// Name of the unit that they become counted in.
        to: String,
        /// As in `Invert`.
        item: Option<i32>,
    },
    /// Some items of a vector.
    #[serde(rename = "slice@1")]
    Slice {
        /// Which, in their new order.
        items: Items,
    },
    /// The value minus another one.
    #[serde(rename = "delta@1")]
    Delta {
        /// What is taken away.
        against: Against,
        /// What becomes of steps for which there is no such step.
        end: DeltaEnd,
    },
    /// The same rotation written in another form.
    #[serde(rename = "rotation@1")]
    Rotation {
        /// The form of the values.
        from: RotationForm,
        /// The form that they get.
        to: RotationForm,
        /// Where in a longer vector the rotation starts; `None` where it is all of the value.
        start: Option<u32>,
        /// What becomes of values that are no rotation.
        degenerate: Degenerate,
    },
    /// Clips of sound as FLAC.
    #[serde(rename = "audio/flac@1")]
    Flac {},
    /// Text of the UTF-8 bytes that whole numbers are, without zeros.
    #[serde(rename = "text/from_codes@1")]
    FromCodes {},
    /// First and third channel change places.
    #[serde(rename = "image/flip_channels@1")]
    FlipChannels {},
    /// Turned by half a turn.
    #[serde(rename = "image/rotate_180@1")]
    Rotate180 {},
    /// Of another size.
    #[serde(rename = "image/resize@1")]
    Resize {
        /// New height in pixels.
        height: u32,
        /// New width in pixels.
        width: u32,
        /// How pixels come of those that are there; `None` for what suits the frame.
        way: Option<ResizeWay>,
    },
    /// A rectangle of the frame.
    #[serde(rename = "image/crop@1")]
    Crop {
        /// Height of the rectangle in pixels.
        height: u32,
        /// Width of the rectangle in pixels.
        width: u32,
        /// Rows above it; `None` for the middle of the frame.
        top: Option<u32>,
        /// Columns left of it; `None` for the middle of the frame.
        left: Option<u32>,
    },
    /// Coded anew.
    #[serde(rename = "encode@1")]
    Encode {
        /// As what.
        coding: FrameCoding,
        /// Quality of JPEG, from 1 to 100; constant rate factor of H.264, from 1 to 51.
        quality: Option<u8>,
        /// Frames of video from one key frame to the next.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<u32>,
        /// Who codes video, name and version; `None` until that is looked up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        encoder: Option<String>,
    },
    /// Distances in a unit, as 32-bit floats.
    #[serde(rename = "depth@1")]
    Depth {
        /// Name of the unit that values are counted in; `None` for that of the field, else millimetres.
        from: Option<String>,
        /// Name of the unit that they become counted in.
        to: String,
        /// What becomes of 0, which is no distance.
        zero: Zero,
    },
    /// Points of a `PointCloud2` message, as 32-bit floats.
    #[serde(rename = "points@1")]
    Points {
        /// Which values of a point, in order.
        fields: Vec<String>,
        /// How many points at most; `None` for all.
        max: Option<u32>,
        /// Whether every step has as many points as `max` says, the last of them NaN where there are fewer.
        fill: bool,
    },
}

/// What becomes of steps whose value would be that of a step outside of the episode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The field is null.
    #[default]
    Null,
    /// The step is left out, and counted.
    Drop,
}

/// As [`End`], of a difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeltaEnd {
    /// The field is null.
    #[default]
    Null,
    /// The step is left out, and counted.
    Drop,
    /// Nothing has changed: 0.
    Zero,
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// Its own field that many steps later; negative for earlier. Never 0.
    Step(i32),
    /// Another field of the same step, as it is written.
    Field(String),
}

/// Some items of a vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Items {
    /// By position, from the end where negative.
    Places(Vec<i32>),
    /// By the names that the dimension has.
    Names(Vec<String>),
    /// All from one on, up to and without another; from the end where negative.
    Range {
        /// The first.
        start: i32,
        /// The first that is not taken; `None` for none.
        end: Option<i32>,
    },
}

/// How the numbers of a rotation are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationForm {
    /// Quaternion: x, y, z, w.
    QuatXyzw,
    /// Quaternion: w, x, y, z.
    QuatWxyz,
    /// Axis times angle in radians.
    Rotvec,
    /// First column of the matrix, then the second.
    #[serde(rename = "rot6d")]
    SixColumns,
    /// First row of the matrix, then the second.
    #[serde(rename = "rot6d_rows")]
    SixRows,
    /// Matrix, row by row.
    Matrix,
}

impl RotationForm {
    /// As pipelines spell them.
    pub const NAMES: [&'static str; 6] =
        ["quat_xyzw", "quat_wxyz", "rotvec", "rot6d", "rot6d_rows", "matrix"];

    /// As pipelines spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::QuatXyzw => "quat_xyzw",
            Self::QuatWxyz => "quat_wxyz",
            Self::Rotvec => "rotvec",
            Self::SixColumns => "rot6d",
            Self::SixRows => "rot6d_rows",
            Self::Matrix => "matrix",
        }
    }

    /// The form of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        let all =
            [Self::QuatXyzw, Self::QuatWxyz, Self::Rotvec, Self::SixColumns, Self::SixRows, Self::Matrix];
        all.into_iter().find(|it| it.name() == name)
    }
}

/// What becomes of values that are no rotation: a quaternion of length 0, columns along one line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Degenerate {
    /// The run fails with the step's address.
    #[default]
    Fail,
    /// The field is null.
    Null,
}

/// How pixels of another size come from those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeWay {
    /// Weighted means of neighbours.
    Triangle,
    /// One of the pixels as it is.
    Nearest,
}

/// What becomes of a distance of 0, by which sensors say that they saw nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zero {
    /// It stays 0.
    #[default]
    Keep,
    /// It becomes NaN.
    Nan,
}

impl FieldTransform {
    /// Its entry in the list of transforms.
    pub fn kind(&self) -> &'static TransformKind {
        match self {
            Self::Shift { .. } => &catalog::SHIFT,
            Self::Invert { .. } => &catalog::INVERT,
            Self::Binarize { .. } => &catalog::BINARIZE,
            Self::Clip { .. } => &catalog::CLIP,
            Self::Scale { .. } => &catalog::SCALE,
            Self::Offset { .. } => &catalog::OFFSET,
            Self::Unit { .. } => &catalog::UNIT,
            Self::Slice { .. } => &catalog::SLICE,
            Self::Delta { .. } => &catalog::DELTA,
            Self::Rotation { .. } => &catalog::ROTATION,
            Self::Flac {} => &catalog::FLAC,
            Self::FromCodes {} => &catalog::FROM_CODES,
            Self::FlipChannels {} => &catalog::FLIP_CHANNELS,
            Self::Rotate180 {} => &catalog::ROTATE_180,
            Self::Resize { .. } => &catalog::RESIZE,
            Self::Crop { .. } => &catalog::CROP,
            Self::Encode { .. } => &catalog::ENCODE,
            Self::Depth { .. } => &catalog::DEPTH,
            Self::Points { .. } => &catalog::POINTS,
        }
    }

    /// Whether it needs the pixels of an image.
    pub fn is_of_images(&self) -> bool {
        match self {
            Self::FlipChannels {}
            | Self::Rotate180 {}
            | Self::Resize { .. }
            | Self::Crop { .. }
            | Self::Encode { .. }
            | Self::Depth { .. } => true,
            Self::Shift { .. }
            | Self::Invert { .. }
            | Self::Binarize { .. }
            | Self::Clip { .. }
            | Self::Scale { .. }
            | Self::Offset { .. }
            | Self::Unit { .. }
            | Self::Slice { .. }
            | Self::Delta { .. }
            | Self::Rotation { .. }
            | Self::Flac {}
            | Self::FromCodes {}
            | Self::Points { .. } => false,
        }
    }

    /// Whether it says how frames are stored, so that nothing else can.
    pub fn is_coding(&self) -> bool {
        matches!(self, Self::Encode { .. } | Self::Depth { .. })
    }

    /// The arguments that say something.
    pub(super) fn arguments(&self) -> Vec<(&'static str, Value)> {
        let mut told: Vec<(&'static str, Value)> = Vec::new();
        let mut say = |name, value: Option<Value>| told.extend(value.map(|it| (name, it)));
        match self {
            Self::Shift { steps, end } => {
                say("steps", Some(json!(steps)));
                say("end", Some(json!(end)));
            }
            Self::Invert { item } => say("item", item.map(Value::from)),
            Self::Binarize { threshold, item } => {
                say("threshold", Some(json!(threshold)));
                say("item", item.map(Value::from));
            }
            Self::Clip { min, max, item } => {
                say("min", min.map(|it| json!(it)));
                say("max", max.map(|it| json!(it)));
                say("item", item.map(Value::from));
            }
            Self::Scale { by, item } | Self::Offset { by, item } => {
                say("by", Some(json!(by)));
                say("item", item.map(Value::from));
            }
            Self::Unit { from, to, item } => {
                say("from", Some(json!(from)));
                say("to", Some(json!(to)));
                say("item", item.map(Value::from));
            }
            Self::Slice { items } => match items {
                Items::Places(places) => say("items", Some(json!(places))),
                Items::Names(names) => say("names", Some(json!(names))),
                Items::Range { start, end } => {
                    say("start", Some(json!(start)));
                    say("end", end.map(Value::from));
                }
            },
            Self::Delta { against, end } => match against {
                Against::Step(steps) => {
                    say("steps", Some(json!(steps)));
                    say("end", Some(json!(end)));
                }
                Against::Field(field) => say("against", Some(json!(field))),
            },
            Self::Rotation { from, to, start, degenerate } => {
                say("from", Some(json!(from.name())));
                say("to", Some(json!(to.name())));
                say("start", start.map(Value::from));
                say("degenerate", Some(json!(degenerate)));
            }
            Self::Resize { .. }
            | Self::Crop { .. }
            | Self::Encode { .. }
            | Self::Depth { .. }
            | Self::Points { .. } => self.say_of_frames(&mut say),
            Self::Flac {} | Self::FromCodes {} | Self::FlipChannels {} | Self::Rotate180 {} => {}
        }
        told
    }

    /// The same of what is done to frames and clouds of points.
    fn say_of_frames(&self, say: &mut impl FnMut(&'static str, Option<Value>)) {
        match self {
            Self::Resize { height, width, way } => {
                say("height", Some(json!(height)));
                say("width", Some(json!(width)));
                say("way", way.map(|it| json!(it)));
            }
            Self::Crop { height, width, top, left } => {
                say("height", Some(json!(height)));
                say("width", Some(json!(width)));
                say("top", top.map(Value::from));
                say("left", left.map(Value::from));
            }
            Self::Encode { coding, quality, group, encoder: _ } => {
                let quality = quality.map_or_else(String::new, |it| format!(":{it}"));
                say("as", Some(json!(format!("{}{quality}", coding.name()))));
                say("group", group.map(Value::from));
            }
            Self::Depth { from, to, zero } => {
                say("from", from.as_ref().map(|it| json!(it)));
                say("to", Some(json!(to)));
                say("zero", Some(json!(zero)));
            }
            Self::Points { fields, max, fill } => {
                say("fields", Some(json!(fields)));
                say("max", max.map(Value::from));
                say("fill", fill.then(|| json!("nan")));
            }
            _ => {}
        }
    }
}
