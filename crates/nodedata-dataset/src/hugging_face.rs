use nodedata_core::{DType, Dim, Feature, Storage, meta};
use serde_json::{Map, Value, json};

/// What encoded media show as to Hugging Face readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Image,
    Audio,
    Video,
}

impl Shown {
    /// What `datasets` can show media of an encoding as; `None` for those that it cannot.
    pub(crate) fn of_encoding(encoding: &str) -> Option<Self> {
        match encoding {
            "jpeg" | "png" | "webp" | "gif" | "bmp" | "tiff" => Some(Self::Image),
            "flac" | "wav" | "mp3" | "ogg" | "opus" | "m4a" => Some(Self::Audio),
            // Files alone: samples of a stream have no beginning of their own. Matroska may hold sound alone, on which readers of
            // video fail row by row, and its first bytes do not tell.
            "mp4" | "avi" => Some(Self::Video),
            _ => None,
        }
    }
}

/// What `datasets` said of a column that it wrote, see `nodedata-tabular`.
const OF_SOURCE: &str = "huggingface:feature";

/// The `huggingface` key of a shard's footer: the features as `datasets` spells them, so that images show
/// as images, clips of sound and videos as such, and fixed shapes keep their lengths.
pub(crate) fn features_json(features: &[Feature], shown: &[Option<Shown>]) -> String {
    let mut all = Map::new();
    for (feature, shown) in features.iter().zip(shown) {
        all.insert(feature.name.clone(), feature_json(feature, *shown));
    }
    json!({"info": {"features": all}}).to_string()
}

fn feature_json(feature: &Feature, shown: Option<Shown>) -> Value {
    let one = match (feature.storage, shown) {
        (Storage::EncodedMedia, Some(Shown::Image)) => json!({"_type": "Image"}),
        (Storage::EncodedMedia, Some(Shown::Audio)) => audio(feature),
        (Storage::EncodedMedia, Some(Shown::Video)) => json!({"_type": "Video"}),
        (Storage::EncodedMedia, None) => {
            json!({"bytes": value(DType::Bytes), "path": value(DType::String)})
        }
        (Storage::Plain, _) if is_json(feature) => json!({"_type": "Json"}),
        (Storage::Plain | Storage::RawMedia, _) => value(feature.stored_dtype()),
    };
    feature.dims().iter().rev().fold(one, |inner, dim| match dim {
        Dim::Fixed(n) => json!({"_type": "List", "feature": inner, "length": n}),
        Dim::Variable => json!({"_type": "List", "feature": inner}),
    })
}

/// Whether each value of a column is one text of JSON.
pub(crate) fn is_json(feature: &Feature) -> bool {
    let is_text = feature.storage == Storage::Plain && feature.dtype == DType::String;
    is_text
        && feature.dims().is_empty()
        && feature.metadata.get(meta::ENCODING).is_some_and(|it| it == "json")
}

/// Clips at the rate that they have. One that the source asked for, to which readers resample, is asked for here as well.
fn audio(feature: &Feature) -> Value {
    let told = feature.metadata.get(OF_SOURCE).and_then(|it| serde_json::from_str::<Value>(it).ok());
    let told = told.filter(|it| it.get("_type").is_some_and(|it| it == "Audio"));
    match told.and_then(|it| it.get("sampling_rate")?.as_u64()) {
        Some(rate) => json!({"_type": "Audio", "sampling_rate": rate}),
        None => json!({"_type": "Audio"}),
    }
}

fn value(dtype: DType) -> Value {
    let name = match dtype {
        DType::Bytes => "binary",
        other => other.name(),
    };
    json!({"_type": "Value", "dtype": name})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_show_as_what_they_all_are() {
        let mut clip = Feature::new("clip", DType::UInt8, Vec::new());
        clip.storage = Storage::EncodedMedia;
        let asked = r#"{"_type":"Audio","decode":false,"sampling_rate":16000}"#;
        let resampled = Feature { name: "resampled".to_owned(), ..clip.clone() }.with_meta(OF_SOURCE, asked);
        let picture = Feature { name: "picture".to_owned(), ..clip.clone() }
            .with_meta(OF_SOURCE, r#"{"_type":"Image"}"#)
            .in_lists(vec![Dim::Variable]);
        let mixed = Feature { name: "mixed".to_owned(), ..clip.clone() };
        let video = Feature { name: "video".to_owned(), ..clip.clone() };
        let shown = [Some(Shown::Audio), Some(Shown::Audio), Some(Shown::Image), None, Some(Shown::Video)];
        let all = [clip, resampled, picture, mixed, video];
        let found: Value = serde_json::from_str(&features_json(&all, &shown)).unwrap();
        let features = &found["info"]["features"];
        assert_eq!(features["clip"], json!({"_type": "Audio"}));
        assert_eq!(features["resampled"], json!({"_type": "Audio", "sampling_rate": 16000}));
        assert_eq!(features["picture"], json!({"_type": "List", "feature": {"_type": "Image"}}));
        assert_eq!(features["video"], json!({"_type": "Video"}));
        assert_eq!(features["mixed"]["bytes"], json!({"_type": "Value", "dtype": "binary"}));
    }

    #[test]
    fn an_encoding_is_shown_where_readers_have_a_decoder() {
        for (encoding, shown) in [
            ("jpeg", Some(Shown::Image)),
            ("opus", Some(Shown::Audio)),
            ("m4a", Some(Shown::Audio)),
            ("mp4", Some(Shown::Video)),
            ("avi", Some(Shown::Video)),
            ("matroska", None),
            ("h264", None),
            ("unknown", None),
        ] {
            assert_eq!(Shown::of_encoding(encoding), shown, "{encoding}");
        }
    }
}
