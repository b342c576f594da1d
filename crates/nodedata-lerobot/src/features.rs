//! The columns of the step table: what `info.json` says of each feature, and what the files hold of it.

use nodedata_arrow::{Leaf, wider};
use nodedata_core::{
    DType, Dim, EPISODE_INDEX, Error, ErrorKind, Feature, Locus, OpenOptions, Result, Storage, meta, patterns,
};
use nodedata_steps::{
    Listing, check_names, check_undecoded, decoding_of, is_worked_on, name_in_table, select, step_index,
    timestamp,
};

use crate::{
    decoded::{FrameFormat, lossless},
    findings::Findings,
    info::{FeatureInfo, Info},
    layout::INFO,
    tables::Tables,
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
    /// Text of the row's subtask.
    Subtask,
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
    /// Why no decoder here takes its video, where frames are asked for: it passes through as it is coded.
    pub(crate) undecodable: Option<Undecodable>,
}

/// A refusal of every decoder.
#[derive(Debug, Clone)]
pub(crate) struct Undecodable {
    pub(crate) why: String,
    pub(crate) hint: String,
}

/// Whether a feature is selected.
pub(crate) fn is_selected(name: &str, options: &OpenOptions) -> bool {
    options.topics.as_ref().is_none_or(|it| it.iter().any(|it| patterns::fits(it, name)))
}

/// Names the selected features that `info.json` declares and no data file has. Cameras have files of their own.
pub(crate) fn note_missing(
    listing: &Listing,
    info: &Info,
    leaves: &[Leaf],
    options: &OpenOptions,
    findings: &mut Findings,
) {
    // Without any data file the missing files are what is told.
    if leaves.is_empty() {
        return;
    }
    let is_stored = |name: &str| leaves.iter().any(|it| it.root == name);
    for (name, told) in &info.features {
        if !told.is_video() && !is_stored(name) && is_selected(name, options) {
            let message = "meta/info.json declares the feature, but no data file has it; it is left out";
            let at = Locus { feature: Some(name.clone()), ..Locus::path(listing.path(INFO)) };
            findings.repaired("feature-without-values", message, at);
        }
    }
}

/// The columns, in order: position and time, the data files' own, the texts of task and subtask, then cameras; and
/// the names of features that were not selected. `cameras` are those whose videos were looked at.
///
/// # Errors
/// `Config` when `topics` or `decode` name a feature that is not there.
pub(crate) fn columns(
    tables: &Tables,
    leaves: &[Leaf],
    cameras: &[Camera],
    options: &OpenOptions,
) -> Result<(Vec<Column>, Vec<String>)> {
    let info = &tables.info;
    let mut all = vec![
        Column { feature: step_index(), origin: Origin::StepIndex },
        Column { feature: timestamp(), origin: Origin::Timestamp },
    ];
    for leaf in leaves.iter().filter(|it| it.root != EPISODE_INDEX) {
        all.push(Column { feature: data_feature(tables, leaf), origin: Origin::Data(leaf.clone()) });
    }
    let has = |name: &str| leaves.iter().any(|it| it.root == name);
    if !has("task") && has("task_index") {
        all.push(Column { feature: text_feature("task"), origin: Origin::Task });
    }
    if !has("subtask") && has("subtask_index") && !tables.subtasks.is_empty() {
        all.push(Column { feature: text_feature("subtask"), origin: Origin::Subtask });
    }
    let keys: Vec<&str> = info.video_keys().collect();
    check_names(&all, &keys, options)?;
    check_undecoded(&[], options)?;
    for (idx, camera) in cameras.iter().enumerate() {
        all.extend(camera_columns(info.features.get(&camera.key), camera, idx, options)?);
    }
    let (columns, mut not_selected) = select(all, options, |it| key_of(it, cameras));
    let left_out = keys.iter().filter(|it| !is_selected(it, options)).map(|it| (*it).to_owned());
    not_selected.extend(left_out);
    not_selected.sort_unstable();
    not_selected.dedup();
    Ok((columns, not_selected))
}

/// The feature of the texts that indices of the data files stand for.
fn text_feature(kind: &str) -> Feature {
    let about = format!("text of the {kind}; null where the {kind}s table does not know it");
    Feature::new(kind, DType::String, Vec::new()).nullable().with_meta(meta::DESCRIPTION, about)
}

/// The feature of a column of the data files: its own type, in the shape and with the words of `info.json`.
fn data_feature(tables: &Tables, leaf: &Leaf) -> Feature {
    let mut feature = leaf.feature();
    feature.name = name_in_table(&feature.name);
    let Some(told) = tables.info.features.get(&leaf.root).filter(|_| leaf.members.is_empty()) else {
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
    with_slices(with_names(feature, told, tables, &leaf.root), tables, &leaf.root)
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

/// Names of elements are the feature's own, and else those of its slices.
fn with_names(feature: Feature, told: &FeatureInfo, tables: &Tables, name: &str) -> Feature {
    let of_slices = || tables.modality.as_ref()?.names_of(name, told.n_elements()?);
    match told.element_names().or_else(of_slices) {
        Some(names) => feature.with_meta(meta::NAMES, serde_json::Value::from(names).to_string()),
        None => feature,
    }
}

fn with_slices(feature: Feature, tables: &Tables, name: &str) -> Feature {
    match tables.modality.as_ref().and_then(|it| it.slices_of(name)) {
        Some(slices) => feature.with_meta("lerobot:slices", slices),
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
    if let (Some(Undecodable { why, hint }), Some(_)) = (&camera.undecodable, worked_on) {
        let message = format!("the frames of the camera are worked on, and {why}");
        return Err(Error::new(ErrorKind::Unsupported, message)
            .at(Locus::feature(&camera.key))
            .with_hint(hint.clone()));
    }
    let asked = worked_on.or_else(|| decoding_of(&camera.key, options));
    if let Some(encoding) = asked.filter(|_| camera.undecodable.is_none()) {
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
        Origin::Task | Origin::Subtask | Origin::Data(_) => Some(column.feature.name.clone()),
        Origin::Samples(idx) | Origin::Keyframes(idx) | Origin::DecodeIndex(idx) | Origin::Frames(idx, _) => {
            Some(cameras[*idx].key.clone())
        }
    }
}
