use nodedata_core::{DType, Dim, Feature, Storage};
use serde_json::{Map, Value, json};

/// The `huggingface` key of a shard's footer: the features as `datasets` spells them, so that images show
/// as images and fixed shapes keep their lengths.
pub(crate) fn features_json(features: &[Feature], images: &[bool]) -> String {
    let mut all = Map::new();
    for (feature, is_image) in features.iter().zip(images) {
        all.insert(feature.name.clone(), feature_json(feature, *is_image));
    }
    json!({"info": {"features": all}}).to_string()
}

fn feature_json(feature: &Feature, is_image: bool) -> Value {
    let one = match feature.storage {
        Storage::EncodedMedia if is_image => json!({"_type": "Image"}),
        Storage::EncodedMedia => json!({"bytes": value(DType::Bytes), "path": value(DType::String)}),
        Storage::Plain | Storage::RawMedia => value(feature.stored_dtype()),
    };
    feature.dims().iter().rev().fold(one, |inner, dim| match dim {
        Dim::Fixed(n) => json!({"_type": "List", "feature": inner, "length": n}),
        Dim::Variable => json!({"_type": "List", "feature": inner}),
    })
}

fn value(dtype: DType) -> Value {
    let name = match dtype {
        DType::Bytes => "binary",
        other => other.name(),
    };
    json!({"_type": "Value", "dtype": name})
}

/// Whether `datasets` can show frames of this encoding.
pub(crate) fn is_image_encoding(encoding: &str) -> bool {
    matches!(encoding, "jpeg" | "png" | "webp" | "gif" | "bmp" | "tiff")
}
