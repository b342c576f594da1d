//! The form of TFDS before 4.6, `{"type": class, "content": …}`, in which also classes that TFDS does not know are told.

use nodedata_core::Result;
use serde_json::Value;

use super::{
    modern,
    proto_json::Message,
    tree::{Kind, Node, Path, node as any_node},
};

/// # Errors
/// `Limit` when features lie too deep in one another.
pub(super) fn node(value: &Value, path: &Path) -> Result<Node> {
    let Some(feature) = Message::of(value) else {
        return Ok(Node::new(Kind::unreadable("is described by what is no JSON object")));
    };
    let class = feature.text("type");
    let content = feature.get("content").unwrap_or(&Value::Null);
    let Some(message) = feature.text("proto_cls").rsplit('.').next().filter(|it| !it.is_empty()) else {
        return Ok(Node::new(kind(class, content, path)?));
    };
    // For a time TFDS wrote messages as JSON in a text.
    let parsed: Option<Value> = content.as_str().and_then(|it| serde_json::from_str(it).ok());
    let told = match Message::of(parsed.as_ref().unwrap_or(content)) {
        Some(content) => modern::kind(message, class, content, path)?,
        None => Kind::unreadable(format!("{}, described by what is no JSON object", modern::unknown(class))),
    };
    Ok(Node::new(told))
}

/// What the JSON that a class writes of itself says.
///
/// # Errors
/// As [`node`].
pub(super) fn kind(class: &str, content: &Value, path: &Path) -> Result<Kind> {
    let Some(content) = Message::of(content) else {
        let class = modern::unknown(class);
        return Ok(Kind::unreadable(format!("{class}, described by what is no JSON object")));
    };
    let told = match class.rsplit('.').next().unwrap_or_default() {
        "FeaturesDict" => return Ok(Kind::Dict(modern::dict(content, path)?)),
        "Tensor" | "Scalar" => modern::tensor(content),
        "Image" | "LabeledImage" => modern::image(content),
        "Video" => modern::video(content),
        "Audio" => modern::audio(content),
        "ClassLabel" => Ok(Kind::Label),
        "BBoxFeature" => Ok(modern::bounding_box(content)),
        "Text" => Ok(modern::text(content)),
        "Translation" => modern::translation(content, false),
        "TranslationVariableLanguages" => modern::translation(content, true),
        // `Sequence`, `Dataset`, and classes made of them.
        _ if content.get("feature").is_some() => {
            let item = content.get("feature").unwrap_or(&Value::Null);
            modern::sequence(any_node(item, &path.item())?, content.length("length"))
        }
        // A class of somebody's own that says what its tensors are.
        _ if content.get("encodingFormat").is_some() => modern::image(content),
        _ if content.get("shape").is_some() && content.get("dtype").is_some() => modern::tensor(content),
        _ => Err(modern::unknown(class)),
    };
    Ok(told.unwrap_or_else(Kind::Unreadable))
}
