//! The form of TFDS 4.6 and later: the message `tensorflow_datasets.Feature` as JSON.

use std::collections::BTreeMap;

use nodedata_core::Result;
use serde_json::Value;

use super::{
    legacy,
    proto_json::Message,
    tree::{Kind, Node, Path, Tensor, node as any_node},
};

/// The members of which a feature has one, by the name of the message in it.
const KINDS: [(&str, &str); 11] = [
    ("jsonFeature", "JsonFeature"),
    ("featuresDict", "FeaturesDict"),
    ("tensor", "TensorFeature"),
    ("classLabel", "ClassLabel"),
    ("image", "ImageFeature"),
    ("video", "VideoFeature"),
    ("audio", "AudioFeature"),
    ("boundingBox", "BoundingBoxFeature"),
    ("text", "TextFeature"),
    ("translation", "TranslationFeature"),
    ("sequence", "Sequence"),
];

/// # Errors
/// `Limit` when features lie too deep in one another.
pub(super) fn node(value: &Value, path: &Path) -> Result<Node> {
    let Some(feature) = Message::of(value) else {
        return Ok(Node::new(Kind::unreadable("is described by what is no JSON object")));
    };
    let class = feature.text("pythonClassName");
    let found = KINDS.iter().find_map(|(member, message)| Some((*message, feature.message(member)?)));
    let kind = match found {
        Some((message, content)) => kind(message, class, content, path)?,
        None => Kind::unreadable(unknown(class)),
    };
    Ok(Node { description: feature.text("description").to_owned(), kind })
}

/// What a message of a kind says.
///
/// # Errors
/// As [`node`].
pub(super) fn kind(message: &str, class: &str, content: Message<'_>, path: &Path) -> Result<Kind> {
    let told = match message {
        "FeaturesDict" => {
            let members = content.message("features").map(|it| dict(it, path)).transpose()?;
            return Ok(Kind::Dict(members.unwrap_or_default()));
        }
        "Sequence" => {
            let Some(item) = content.get("feature") else {
                return Ok(Kind::unreadable("is a sequence of nothing"));
            };
            sequence(any_node(item, &path.item())?, content.length("length"))
        }
        "JsonFeature" => match serde_json::from_str(content.text("json")) {
            Ok(json) => return legacy::kind(class, &json, path),
            Err(_) => Err(format!("{}, described by what is no JSON", unknown(class))),
        },
        "TensorFeature" => tensor(content),
        "ClassLabel" => Ok(Kind::Label),
        "ImageFeature" => image(content),
        "VideoFeature" => video(content),
        "AudioFeature" => audio(content),
        "BoundingBoxFeature" => Ok(bounding_box(content)),
        "TextFeature" => Ok(text(content)),
        "TranslationFeature" => translation(content, content.is_set("variableLanguagesPerExample")),
        other => Err(format!("is described by a `{other}`")),
    };
    Ok(told.unwrap_or_else(Kind::Unreadable))
}

/// Features by name.
pub(super) fn dict(members: Message<'_>, path: &Path) -> Result<BTreeMap<String, Node>> {
    let members = members.members();
    members.map(|(name, value)| Ok((name.clone(), any_node(value, &path.member(name))?))).collect()
}

pub(super) fn sequence(item: Node, length: Result<Option<u32>, String>) -> Result<Kind, String> {
    Ok(Kind::Sequence { item: Box::new(item), length: length? })
}

pub(super) fn tensor(content: Message<'_>) -> Result<Kind, String> {
    Ok(Kind::Tensor(Tensor {
        dtype: content.text("dtype").to_owned(),
        shape: content.shape()?,
        // Audio has it in capitals.
        encoding: content.text("encoding").to_ascii_lowercase(),
        metadata: BTreeMap::new(),
    }))
}

pub(super) fn image(content: Message<'_>) -> Result<Kind, String> {
    Ok(Kind::Image { dtype: content.text("dtype").to_owned(), shape: content.shape()? })
}

/// Frames that are an image each.
pub(super) fn video(content: Message<'_>) -> Result<Kind, String> {
    let shape = content.shape()?;
    let length = shape.first().copied().flatten();
    let shape = shape.get(1..).unwrap_or_default().to_vec();
    let image = Kind::Image { dtype: content.text("dtype").to_owned(), shape };
    sequence(Node::new(image), Ok(length))
}

/// A waveform, or the bytes of a file where it is decoded late.
pub(super) fn audio(content: Message<'_>) -> Result<Kind, String> {
    let Kind::Tensor(mut tensor) = tensor(content)? else { return Err("is no audio".to_owned()) };
    let rate = content.get("sampleRate").map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned));
    let rate = rate.filter(|it| it != "0").map(|it| ("tfds:sample_rate".to_owned(), it));
    let format = Some(content.text("fileFormat")).filter(|it| !it.is_empty());
    let format = format.map(|it| ("tfds:file_format".to_owned(), it.to_owned()));
    tensor.metadata = rate.into_iter().chain(format).collect();
    if content.is_set("lazyDecode") {
        (tensor.dtype, tensor.shape) = ("bytes".to_owned(), Vec::new());
        tensor.encoding.clear();
    }
    Ok(Kind::Tensor(tensor))
}

pub(super) fn bounding_box(content: Message<'_>) -> Kind {
    // As TFDS has always written them where it does not say otherwise.
    let format = Some(content.text("bboxFormat")).filter(|it| !it.is_empty()).unwrap_or("REL_YXYX");
    Kind::Tensor(Tensor {
        dtype: "float32".to_owned(),
        shape: vec![Some(4)],
        metadata: BTreeMap::from([("tfds:bbox_format".to_owned(), format.to_owned())]),
        ..Tensor::default()
    })
}

pub(super) fn text(content: Message<'_>) -> Kind {
    if content.is_set("useEncoder") {
        return Kind::unreadable("is text in the codes of an encoder that TFDS has given up");
    }
    Kind::Text
}

/// A text for each language, or lists of languages and texts.
pub(super) fn translation(content: Message<'_>, is_variable: bool) -> Result<Kind, String> {
    let text = || Node::new(Kind::Text);
    if is_variable {
        let members = ["language", "translation"].map(|it| (it.to_owned(), text()));
        return sequence(Node::new(Kind::Dict(members.into())), Ok(None));
    }
    let languages = content.get("languages").and_then(Value::as_array);
    let languages = languages.ok_or("is a translation without languages")?;
    let names = languages.iter().map(|it| it.as_str().map(str::to_owned));
    let names: Option<Vec<String>> = names.collect();
    let names = names.ok_or("is a translation into what is no language")?;
    Ok(Kind::Dict(names.into_iter().map(|it| (it, text())).collect()))
}

/// What is said of a class that is read by none of its kinds.
pub(super) fn unknown(class: &str) -> String {
    let class = class.rsplit('.').next().filter(|it| !it.is_empty());
    format!("is a `{}`", class.unwrap_or("feature of no known kind"))
}
