//! The columns of the step table: what `info.json` says of each feature, and what the files hold of it.

use nodedata_arrow::{Leaf, wider};
use nodedata_core::{DType, Dim, EPISODE_INDEX, Feature, Locus, OpenOptions, Result, Storage, meta};
use nodedata_steps::{
    check_names, check_undecoded, decoding_of, is_worked_on, name_in_table, select, step_index, timestamp,
};

use crate::{
    decoded::{FrameFormat, lossless},
    info::{FeatureInfo, Info},
};

/// Where the values of a column come from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// The position of the row in its episode.
    StepIndex,
    /// Time of the row from its episode's start, in nanoseconds.
    Timestamp,
    /// Text of the row's task.
    Task,
    /// A column of the data files.
    Data(Leaf),
    /// Coded samples of a camera, by position among the video keys.
    Samples(usize),
    /// Whether decoding can start at the sample.
    Keyframes(usize),
    /// Position of the sample in decode order, from the episode's first.
    DecodeIndex(usize),
    /// Decoded frames of a camera.
    Frames(usize, FrameFormat),
}

/// A column of the step table.
pub(crate) type Column = nodedata_steps::Column<Origin>;

/// A camera whose frames lie in video files, as the features need to know it.
#[derive(Debug, Clone)]
pub(crate) struct Camera {
    pub(crate) key: String,
    /// Codec of its files; `None` where they differ.
    pub(crate) codec: Option<String>,
    /// Whether any file stores frames in another order than they are shown in.
    pub(crate) has_reordering: bool,
}

/// The columns, in order: position and time, the data files' own, the task, then cameras; and the names of
/// features that were not selected.
///
/// # Errors
/// `Config` when `topics` or `decode` name a feature that is not there.
pub(crate) fn columns(
    info: &Info,
    leaves: &[Leaf],
    cameras: &[Camera],
    options: &OpenOptions,
) -> Result<(Vec<Column>, Vec<String>)> {
    let mut all = vec![
        Column { feature: step_index(), origin: Origin::StepIndex },
        Column { feature: timestamp(), origin: Origin::Timestamp },
    ];
    for leaf in leaves.iter().filter(|it| it.root != EPISODE_INDEX) {
        all.push(Column { feature: data_feature(info, leaf), origin: Origin::Data(leaf.clone()) });
    }
    if !leaves.iter().any(|it| it.root == "task") && leaves.iter().any(|it| it.root == "task_index") {
        let about = "text of the task; null where the tasks table does not know it";
        let feature = Feature::new("task", DType::String, Vec::new()).nullable();
        let feature = feature.with_meta(meta::DESCRIPTION, about);
        all.push(Column { feature, origin: Origin::Task });
    }
    let keys: Vec<&str> = cameras.iter().map(|it| it.key.as_str()).collect();
    check_names(&all, &keys, options)?;
    check_undecoded(&[], options)?;
    for (idx, camera) in cameras.iter().enumerate() {
        all.extend(camera_columns(info.features.get(&camera.key), camera, idx, options)?);
    }
    Ok(select(all, options, |it| key_of(it, cameras)))
}

/// The feature of a column of the data files: its own type, in the shape and with the words of `info.json`.
fn data_feature(info: &Info, leaf: &Leaf) -> Feature {
    let mut feature = leaf.feature();
    feature.name = name_in_table(&feature.name);
    let Some(told) = info.features.get(&leaf.root).filter(|_| leaf.members.is_empty()) else {
        return feature;
    };
    if feature.storage == Storage::EncodedMedia {
        // Before the three dimensions of an image, a shape of more tells those of the lists around it.
        if told.shape.len() == feature.lists.len() + 3 {
            fix_lengths(&mut feature.lists, told);
        }
        return with_camera_facts(feature, told);
    }
    if let Some(dtype) = DType::from_name(&told.dtype)
        && let Some(found) = leaf.dtype
        && wider(dtype, found) == Some(dtype)
    {
        feature.dtype = dtype;
    }
    if feature.shape.len() == told.shape.len() {
        fix_lengths(&mut feature.shape, told);
    }
    with_names(feature, told)
}

/// Gives dimensions the lengths that `info.json` tells. What a file stores with a fixed length keeps it.
fn fix_lengths(dims: &mut [Dim], told: &FeatureInfo) {
    for (dim, told) in dims.iter_mut().zip(&told.shape) {
        if let (Dim::Variable, Ok(n)) = (*dim, u32::try_from(*told))
            && n > 0
        {
            *dim = Dim::Fixed(n);
        }
    }
}

fn with_names(feature: Feature, told: &FeatureInfo) -> Feature {
    match told.element_names() {
        Some(names) => feature.with_meta(meta::NAMES, serde_json::Value::from(names).to_string()),
        None => feature,
    }
}

fn with_camera_facts(feature: Feature, told: &FeatureInfo) -> Feature {
    if told.info.is_null() { feature } else { feature.with_meta("lerobot:info", told.info.to_string()) }
}

/// What the frames of one camera become: coded samples with their companions, or decoded frames.
fn camera_columns(
    told: Option<&FeatureInfo>,
    camera: &Camera,
    idx: usize,
    options: &OpenOptions,
) -> Result<Vec<Column>> {
    let mut feature = Feature::new(&camera.key, DType::UInt8, Vec::new());
    if let Some(told) = told {
        feature = with_camera_facts(feature, told);
    }
    let worked_on = is_worked_on(&camera.key, options).then(|| lossless(told));
    if let Some(encoding) = worked_on.or_else(|| decoding_of(&camera.key, options)) {
        let format = FrameFormat::new(told, encoding).map_err(|err| err.at(Locus::feature(&camera.key)))?;
        return Ok(vec![Column { feature: format.feature(feature), origin: Origin::Frames(idx, format) }]);
    }
    feature.storage = Storage::RawMedia;
    let about = "one coded sample a step, in the order frames are shown in; `index/video.parquet` has what a \
                 decoder needs beside them";
    feature = feature.with_meta(meta::DESCRIPTION, about);
    feature = feature.with_meta(meta::ENCODING, camera.codec.as_deref().unwrap_or("mixed"));
    let mut columns = vec![Column { feature, origin: Origin::Samples(idx) }];
    let companion = |suffix: &str, dtype, about: &str| {
        Feature::new(format!("{}.{suffix}", camera.key), dtype, Vec::new())
            .with_meta(meta::DESCRIPTION, about)
    };
    let keyframe = companion("keyframe", DType::Bool, "whether decoding can start here");
    columns.push(Column { feature: keyframe, origin: Origin::Keyframes(idx) });
    if camera.has_reordering {
        let about = "position of the sample in decode order, from the episode's first";
        let feature = companion("decode_index", DType::Int32, about);
        columns.push(Column { feature, origin: Origin::DecodeIndex(idx) });
    }
    Ok(columns)
}

/// What a column is selected by: position and time always are there.
fn key_of(column: &Column, cameras: &[Camera]) -> Option<String> {
    match &column.origin {
        Origin::StepIndex | Origin::Timestamp => None,
        Origin::Task | Origin::Data(_) => Some(column.feature.name.clone()),
        Origin::Samples(idx) | Origin::Keyframes(idx) | Origin::DecodeIndex(idx) | Origin::Frames(idx, _) => {
            Some(cameras[*idx].key.clone())
        }
    }
}
