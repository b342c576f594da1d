use nodedata_core::{DType, Feature, OpenOptions, Result, Storage, StreamSchema, patterns};
use nodedata_steps::decoding_of;

use crate::{Align, Clock, FieldFrom, FieldSpec, StepSpec, mapping::is_video, path::resolve};

/// A field for everything that can be aligned without a word about it: numbers and bools of any shape and images,
/// nearest; the text of topics that hold nothing else, held. Named by topic and field: `joint_states.position`,
/// `camera.wrist` for its image. Coded video is taken where it is the clock, or where `options` ask for its pictures.
pub fn all_fields(streams: &[StreamSchema], clock: &Clock, options: &OpenOptions) -> Vec<FieldSpec> {
    let mut fields = Vec::new();
    for stream in streams {
        let is_clock = matches!(clock, Clock::Topic(topic) if **topic == *stream.name);
        let topic = stream.name.trim_start_matches('/').replace('/', ".");
        let is_image = |it: &Feature| it.storage != Storage::Plain;
        let n_images = stream.features.iter().filter(|it| is_image(it)).count();
        let n_own = stream.features.len().saturating_sub(3);
        for (column, feature) in stream.features.iter().enumerate().skip(3) {
            let path = format!("{}.{}", stream.name, feature.name);
            if is_image(feature) {
                let is_decoded = || decoding_of(&stream.name, options).is_some();
                if !is_video(stream, column) || is_clock || is_decoded() {
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

/// Says of each field of coded video what its pictures are stored as, where `options` ask for them: by the topic, by the path of the
/// field, or by `*`. What a field says itself stays.
///
/// # Errors
/// `Config` where `decode` names no topic of coded video.
pub fn decode_videos(spec: &mut StepSpec, options: &OpenOptions, streams: &[StreamSchema]) -> Result<()> {
    let mut cameras: Vec<String> = Vec::new();
    for stream in streams {
        for (_, feature) in stream.features.iter().enumerate().filter(|it| is_video(stream, it.0)) {
            cameras.extend([stream.name.to_string(), format!("{}.{}", stream.name, feature.name)]);
        }
    }
    let cameras: Vec<&str> = cameras.iter().map(String::as_str).collect();
    let asked: Vec<String> = options.decode.keys().cloned().collect();
    patterns::check_patterns("topic of video", "decode", &asked, &cameras)?;
    for field in spec.fields.iter_mut().filter(|it| it.encoding.is_none()) {
        let FieldFrom::Paths(paths) = &field.from else { continue };
        let [path] = paths.as_slice() else { continue };
        let Ok(found) = resolve(path, streams) else { continue };
        let stream = &streams[found.stream];
        if found.columns.iter().any(|it| is_video(stream, *it)) {
            let names: [&str; 2] = [path, &stream.name];
            // Either name goes before a pattern that fits the other.
            let exact = names.iter().find_map(|it| options.decode.get(*it)).copied();
            field.encoding = exact.or_else(|| names.iter().find_map(|it| decoding_of(it, options)));
        }
    }
    Ok(())
}
