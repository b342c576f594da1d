use nodedata_core::{DType, Dim, Feature, STEPS, meta, nearest};

use crate::{FieldSchema, Fields, Rule, Violation, schema::is_media};

/// The coding of media of which some are coded so, and others otherwise.
pub(crate) const MIXED: &str = "mixed";

/// Holds the features of a stream against what is declared, before any row is read. `built_in` says
/// which columns a schema need not name.
pub(crate) fn compare_stream(
    stream: &str,
    declared: &Fields,
    features: &[Feature],
    built_in: impl Fn(usize) -> bool,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (name, field) in declared.iter() {
        match features.iter().find(|it| it.name == name) {
            Some(feature) => violations.extend(compare_feature(stream, field, feature)),
            None => violations.push(missing(stream, name, features)),
        }
    }
    for (idx, feature) in features.iter().enumerate() {
        let name = &feature.name;
        if declared.get(name).is_none() && !built_in(idx) && !is_video_companion(feature, declared) {
            let message = format!("feature `{name}` is there, but the schema does not declare it");
            let hint = format!(
                "add `\"{name}\": {}` to {}",
                FieldSchema::from_feature(feature).to_json(),
                path(stream)
            );
            violations.push(violation(stream, Some(name), Rule::Extra, message, hint));
        }
    }
    violations
}

/// A violation that needs no row.
pub(crate) fn violation(
    stream: &str,
    feature: Option<&str>,
    rule: Rule,
    message: String,
    hint: String,
) -> Violation {
    let feature = feature.map(str::to_owned);
    Violation { stream: stream.to_owned(), feature, rule, message, hint, count: 1, first: Vec::new() }
}

/// Where the features of a stream stand in the document.
pub(crate) fn path(stream: &str) -> String {
    match stream {
        STEPS => "`fields`".to_owned(),
        topic => format!("`streams.{topic}.fields`"),
    }
}

/// Where one key of a feature stands in the document.
pub(crate) fn key_path(stream: &str, feature: &str, key: &str) -> String {
    match stream {
        STEPS => format!("`fields.{feature}.{key}`"),
        topic => format!("`streams.{topic}.fields.{feature}.{key}`"),
    }
}

/// `[7, -1]`.
pub(crate) fn shape_text(shape: &[Dim]) -> String {
    let dims: Vec<String> = shape.iter().map(|it| it.as_i64().to_string()).collect();
    format!("[{}]", dims.join(", "))
}

/// How many lists are around the whole encoded tensors that a column holds; `None` where it holds plain values.
/// Files of others do not mark raw ones, but their schema does.
pub(crate) fn media_lists(field: &FieldSchema, feature: &Feature) -> Option<usize> {
    let n_dims = feature.dims().len();
    let is_marked = feature.dtype == DType::Bytes
        && field.encoding.is_some()
        && (n_dims == 0 || field.lists == Some(n_dims));
    (is_media(feature) || is_marked).then_some(n_dims)
}

/// `X.keyframe` and `X.decode_index` belong to a video `X` and are not declared on their own.
fn is_video_companion(feature: &Feature, declared: &Fields) -> bool {
    let of = |suffix: &str, dtype: DType| {
        let video = feature.name.strip_suffix(suffix).filter(|_| feature.dtype == dtype)?;
        declared.get(video)?.encoding.as_ref()
    };
    of(".keyframe", DType::Bool).or_else(|| of(".decode_index", DType::Int32)).is_some()
}

fn compare_feature(stream: &str, field: &FieldSchema, feature: &Feature) -> Vec<Violation> {
    let name = &feature.name;
    let mut violations = Vec::new();
    if let Some(n_lists) = media_lists(field, feature) {
        // Types and shapes of media are what the pixels say, see `CheckedBatch`.
        let lists = compare_lists(stream, field, feature, n_lists);
        return lists.into_iter().chain(compare_encoding(stream, field, feature)).collect();
    }
    if field.dtype != feature.dtype {
        let message =
            format!("feature `{name}` is {}, but the schema declares {}", feature.dtype, field.dtype);
        let hint = format!("change {} in schema.json", key_path(stream, name, "type"));
        violations.push(violation(stream, Some(name), Rule::Type, message, hint));
    }
    let same_rank = field.shape.len() == feature.shape.len();
    if !same_rank || !may_agree(&field.shape, &feature.shape) {
        let (found, expected) = (shape_text(&feature.shape), shape_text(&field.shape));
        violations.push(shape_violation(stream, name, &found, &expected));
    }
    // Text that holds JSON says so itself, see `meta::ENCODING`.
    let own = feature.metadata.get(meta::ENCODING).map(String::as_str);
    let is_other = |it: &&str| *it != "raw" && Some(*it) != own;
    if let Some(encoding) = field.encoding.as_deref().filter(is_other) {
        let message = format!("feature `{name}` holds plain values, but the schema declares {encoding}");
        let hint = format!("remove {} in schema.json", key_path(stream, name, "encoding"));
        violations.push(violation(stream, Some(name), Rule::Encoding, message, hint));
    }
    if let Some(rate) = field.rate_hz {
        let message = format!(
            "feature `{name}` holds plain values, but the schema declares clips of {rate} samples a second"
        );
        let hint = format!("remove {} in schema.json", key_path(stream, name, "rate_hz"));
        violations.push(violation(stream, Some(name), Rule::Rate, message, hint));
    }
    violations
}

/// Whether rows may have both shapes, as far as both go. Where one is open, rows tell.
fn may_agree(declared: &[Dim], found: &[Dim]) -> bool {
    declared.iter().zip(found).all(|pair| match pair {
        (Dim::Fixed(declared), Dim::Fixed(found)) => declared == found,
        (Dim::Variable, _) | (_, Dim::Variable) => true,
    })
}

/// The lists around media. What comes after them in the declared shape is for the pixels to tell.
fn compare_lists(stream: &str, field: &FieldSchema, feature: &Feature, n_lists: usize) -> Option<Violation> {
    let name = &feature.name;
    if let Some(declared) = field.lists.filter(|it| *it != n_lists) {
        let message = format!(
            "feature `{name}` holds media in {n_lists} lists, but the schema declares {declared} around them"
        );
        let hint = format!("change {} in schema.json", key_path(stream, name, "lists"));
        return Some(violation(stream, Some(name), Rule::Shape, message, hint));
    }
    let too_few = field.shape.len() < n_lists;
    (too_few || !may_agree(&field.shape, feature.dims())).then(|| {
        let expected = shape_text(&field.shape[..n_lists.min(field.shape.len())]);
        let found = format!("{} around its media", shape_text(feature.dims()));
        shape_violation(stream, name, &found, &expected)
    })
}

pub(crate) fn shape_violation(stream: &str, name: &str, found: &str, expected: &str) -> Violation {
    let message = format!("feature `{name}` has shape {found}, but the schema declares {expected}");
    let hint = format!("change {} in schema.json", key_path(stream, name, "shape"));
    violation(stream, Some(name), Rule::Shape, message, hint)
}

pub(crate) fn encoding_violation(stream: &str, name: &str, found: &str, expected: &str) -> Violation {
    let message = format!("feature `{name}` is coded as {found}, but the schema declares {expected}");
    let hint = format!("change {} in schema.json", key_path(stream, name, "encoding"));
    violation(stream, Some(name), Rule::Encoding, message, hint)
}

pub(crate) fn rate_violation(stream: &str, name: &str, found: u32, expected: u32) -> Violation {
    let message =
        format!("feature `{name}` has {found} samples a second, but the schema declares {expected}");
    let hint = format!("change {} in schema.json", key_path(stream, name, "rate_hz"));
    violation(stream, Some(name), Rule::Rate, message, hint)
}

/// Pictures where the schema declares clips.
pub(crate) fn picture_violation(stream: &str, name: &str, found: &str, declared: u32) -> Violation {
    let message = format!(
        "feature `{name}` holds pictures coded as {found}, but the schema declares clips of {declared} samples a second"
    );
    let hint = format!("remove {} in schema.json", key_path(stream, name, "rate_hz"));
    violation(stream, Some(name), Rule::Rate, message, hint)
}

/// Whether media coded so are pictures or video, of which nothing is so many samples a second.
pub(crate) fn is_of_pictures(encoding: &str) -> bool {
    matches!(
        encoding,
        "raw"
            | "jpeg"
            | "png"
            | "webp"
            | "gif"
            | "tiff"
            | "bmp"
            | "avif"
            | "j2k"
            | "h264"
            | "h265"
            | "av1"
            | "vp9"
            | "compressed_depth_png"
            | "compressed_depth_rvl"
    )
}

/// Whether media coded as `found` are what `declared` asks for.
pub(crate) fn same_encoding(declared: &str, found: &str) -> bool {
    declared == found || declared == MIXED
}

fn compare_encoding(stream: &str, field: &FieldSchema, feature: &Feature) -> Option<Violation> {
    let declared = field.encoding.as_deref()?;
    let found = feature.metadata.get(meta::ENCODING)?;
    (!same_encoding(declared, found)).then(|| encoding_violation(stream, &feature.name, found, declared))
}

fn missing(stream: &str, name: &str, features: &[Feature]) -> Violation {
    let message = format!("feature `{name}` is missing, but the schema declares it");
    let names = features.iter().map(|it| it.name.as_str());
    let hint = match nearest(name, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("remove it from {} in schema.json", path(stream)),
    };
    violation(stream, Some(name), Rule::Missing, message, hint)
}
