use std::collections::BTreeMap;

use nodedata_core::{DType, Dim, Feature, MediaEncoding, Storage, StreamSchema, meta};

use super::field::Field;
use crate::transform::RawFrame;

/// What the columns beside a field of bare frames say that vary, in order: rows, pixels in a row, and layout of the stored bytes.
pub(crate) const FRAME_COLUMNS: [&str; 3] = ["height", "width", "encoding"];

/// What the columns beside the bytes of point clouds are called in their messages.
pub(crate) const POINT_COLUMNS: [&str; 9] = [
    "height",
    "width",
    "point_step",
    "row_step",
    "is_bigendian",
    "fields.name",
    "fields.offset",
    "fields.datatype",
    "fields.count",
];

/// By column of a step, the columns behind it that say what its values are.
pub(crate) type Companions = BTreeMap<usize, Vec<usize>>;

/// A column of a message that a field brings along.
#[derive(Debug, Clone)]
pub(crate) struct Beside {
    pub(crate) feature: Feature,
    /// Position in the stream of the field.
    pub(crate) column: usize,
}

/// What the messages of a field of bare frames say of them.
#[derive(Debug, Clone)]
pub(crate) struct Frames {
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Layout of the stored bytes; null where they are as the source wrote them.
    pub(crate) stored: usize,
    /// What the source calls the layout.
    pub(crate) encoding: usize,
    /// Whether each step says what its frame is.
    pub(crate) vary: bool,
    /// What the first frame of the source is; `None` before anything was looked at, and where there is none.
    pub(crate) first: Option<RawFrame>,
}

impl Frames {
    /// What a stream says of the frames in one of its columns; `None` where they are no bare frames of messages.
    pub(super) fn of(stream: &StreamSchema, column: usize, vary: bool) -> Option<Self> {
        let data = stream.features.get(column)?;
        let coding = data.metadata.get(meta::ENCODING)?;
        if data.storage != Storage::RawMedia || coding != MediaEncoding::Raw.name() {
            return None;
        }
        let prefix = data.name.strip_suffix("data")?;
        let number = |name: &str| {
            let is_it = |it: &Feature| it.shape.is_empty() && it.dtype.is_numeric();
            find(stream, &format!("{prefix}{name}"), is_it)
        };
        let text = |name: String| find(stream, &name, |it| it.shape.is_empty() && it.dtype == DType::String);
        Some(Self {
            height: number("height")?,
            width: number("width")?,
            stored: text(format!("{}.encoding", data.name))?,
            encoding: text(format!("{prefix}encoding"))?,
            vary,
            first: None,
        })
    }

    pub(super) fn columns_mut(&mut self) -> [&mut usize; 4] {
        [&mut self.height, &mut self.width, &mut self.stored, &mut self.encoding]
    }

    pub(crate) fn columns(&self) -> [usize; 4] {
        [self.height, self.width, self.stored, self.encoding]
    }

    /// The columns of steps that say what their frames are.
    pub(crate) fn features(&self, field: &str) -> Vec<Feature> {
        if !self.vary {
            return Vec::new();
        }
        let about = [
            "rows of the frame",
            "pixels in a row of the frame",
            "layout of the frame's bytes; where they are as the source wrote them what it calls that",
        ];
        let of_column = |(name, about): (&str, &str)| {
            let dtype = if name == "encoding" { DType::String } else { DType::UInt32 };
            let feature = Feature::new(format!("{field}.{name}"), dtype, Vec::new()).nullable();
            feature.with_meta(meta::DESCRIPTION, about)
        };
        FRAME_COLUMNS.into_iter().zip(about).map(of_column).collect()
    }
}

fn find(stream: &StreamSchema, name: &str, takes: impl Fn(&Feature) -> bool) -> Option<usize> {
    // A field that shares its name with a built-in column was renamed.
    let is_called = |it: &Feature| it.name == name || it.name.strip_prefix("message.") == Some(name);
    stream.features.iter().position(|it| is_called(it) && takes(it))
}

/// Which column of a stream holds the bytes of point clouds; `None` for other messages.
pub(super) fn cloud_of(stream: &StreamSchema) -> Option<usize> {
    let is_cloud = stream.metadata.get("schema_name").is_some_and(|it| it.ends_with("/PointCloud2"));
    let bytes = |it: &Feature| it.dtype == DType::Bytes && it.shape.is_empty();
    find(stream, "data", bytes).filter(|_| is_cloud)
}

/// What a stream says of the point clouds in one of its columns; `None` where they are none.
pub(super) fn beside_cloud(stream: &StreamSchema, column: usize, field: &str) -> Option<Vec<Beside>> {
    if cloud_of(stream) != Some(column) {
        return None;
    }
    let of_column = |name: &&str| {
        let is_list = name.starts_with("fields.");
        let takes = |it: &Feature| match (is_list, it.shape.as_slice()) {
            (true, [Dim::Variable]) => it.dtype.is_numeric() || it.dtype == DType::String,
            (false, []) => it.dtype.is_numeric() || it.dtype == DType::Bool,
            _ => false,
        };
        let column = find(stream, name, takes)?;
        let feature = Feature { name: format!("{field}.{name}"), ..stream.features[column].clone() };
        Some(Beside { feature: feature.nullable(), column })
    };
    POINT_COLUMNS.iter().map(of_column).collect()
}

/// The features of a step behind the built-in ones, and which of them say what those of others are.
pub(super) fn with_companions(
    fields: &[Field],
    mut features: Vec<Feature>,
    skew: impl Fn(&Field) -> Option<Feature>,
) -> (Vec<Feature>, Companions) {
    let mut companions = Companions::new();
    for field in fields {
        let column = features.len();
        features.push(field.feature.clone());
        features.extend(skew(field));
        let first = features.len();
        features.extend(field.beside.iter().map(|it| it.feature.clone()));
        features.extend(field.frames.iter().flat_map(|it| it.features(&field.feature.name)));
        if first < features.len() {
            companions.insert(column, (first..features.len()).collect());
        }
    }
    (features, companions)
}
