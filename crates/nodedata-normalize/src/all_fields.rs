use nodedata_core::{DType, Feature, Storage, StreamSchema};

use crate::{Align, Clock, FieldSpec};

/// A field for everything that can be aligned without a word about it: numbers and bools of any shape and images,
/// nearest; the text of topics that hold nothing else, held. Named by topic and field: `joint_states.position`,
/// `camera.wrist` for its image. Video is left out unless it is the clock: its samples need each other.
pub fn all_fields(streams: &[StreamSchema], clock: &Clock) -> Vec<FieldSpec> {
    let mut fields = Vec::new();
    for stream in streams {
        let is_clock = matches!(clock, Clock::Topic(topic) if **topic == *stream.name);
        let is_video = stream.metadata.get("schema_name").is_some_and(|it| it.ends_with("CompressedVideo"));
        let topic = stream.name.trim_start_matches('/').replace('/', ".");
        let is_image = |it: &Feature| it.storage != Storage::Plain;
        let n_images = stream.features.iter().filter(|it| is_image(it)).count();
        let n_own = stream.features.len().saturating_sub(3);
        for feature in stream.features.iter().skip(3) {
            let path = format!("{}.{}", stream.name, feature.name);
            if is_image(feature) {
                if !is_video || is_clock {
                    let name =
                        if n_images == 1 { topic.clone() } else { format!("{topic}.{}", feature.name) };
                    fields.push(FieldSpec::new(name, path));
                }
                continue;
            }
            // What describes an image is in its pixels.
            let is_number = (feature.dtype.is_numeric() || feature.dtype == DType::Bool) && n_images == 0;
            let is_stamp = feature.name.rsplit('.').next() == Some("stamp");
            let name = format!("{topic}.{}", feature.name);
            if is_number && !is_stamp {
                fields.push(FieldSpec::new(name, path));
            } else if feature.dtype == DType::String && feature.shape.is_empty() && n_own == 1 {
                fields.push(FieldSpec { align: Some(Align::Hold), ..FieldSpec::new(topic.clone(), path) });
            }
        }
    }
    fields
}
