//! Fields whose messages are coded video, each with the help of those before it.

use nodedata_core::{Feature, MediaEncoding, Storage, StreamSchema, meta};

use super::{Compiler, Part};
use crate::{FieldSpec, FieldTransform};

/// What is known of a field whose coded messages become pictures.
#[derive(Debug, Clone)]
pub(crate) struct Video {
    /// The column in which messages say how they are coded; `None` where they do not.
    pub(crate) format: Option<usize>,
    /// What pictures are stored as.
    pub(crate) stored: MediaEncoding,
    /// The field where no decoder takes the video, and its messages pass through as they are coded; `None` where that cannot
    /// be: a step needs every message for it.
    pub(crate) coded: Option<Box<Feature>>,
}

/// Messages of coded video, and the field in which they say how they are coded.
const MESSAGES: [(&str, &str); 2] = [("CompressedVideo", "format"), ("FFMPEGPacket", "encoding")];

/// The field in which messages of a stream say how their video is coded; `None` where they are no video.
fn label_of(stream: &StreamSchema) -> Option<&'static str> {
    let schema_name = stream.metadata.get("schema_name")?;
    MESSAGES.iter().find(|(name, _)| schema_name.ends_with(name)).map(|(_, label)| *label)
}

/// Whether a column of a stream holds the coded pictures of messages of video.
pub(crate) fn is_video(stream: &StreamSchema, column: usize) -> bool {
    label_of(stream).is_some() && stream.features.get(column).is_some_and(|it| it.storage != Storage::Plain)
}

impl Compiler<'_> {
    /// How the coded messages of a field become pictures; `None` for other fields, and for one whose every message is a step and
    /// that nobody asks to decode: its messages pass through.
    pub(super) fn video(&self, field: &FieldSpec, part: &Part, feature: &Feature) -> Option<Video> {
        let stream = &self.streams[part.stream];
        let is_clock = self.clock == Some(part.stream);
        let is_worked_on = field.transform.iter().any(FieldTransform::is_of_images);
        if !is_video(stream, part.column) || (is_clock && !is_worked_on && field.encoding.is_none()) {
            return None;
        }
        let is_text = |it: &Feature| it.dtype == nodedata_core::DType::String && it.shape.is_empty();
        let label = label_of(stream)?;
        let is_label = |it: &Feature| it.name.strip_prefix("message.").unwrap_or(&it.name) == label;
        let format = stream.features.iter().position(|it| is_text(it) && is_label(it));
        // What is done to pictures says what they are stored as in the end.
        let stored = match (is_worked_on, field.encoding) {
            (true, _) => MediaEncoding::Raw,
            (false, asked) => asked.unwrap_or(MediaEncoding::Png),
        };
        let coded = (is_clock && !is_worked_on).then(|| Box::new(feature.clone()));
        Some(Video { format, stored, coded })
    }
}

impl Video {
    /// The field once its messages are pictures.
    pub(super) fn feature(&self, mut feature: Feature) -> Feature {
        feature.storage = match self.stored {
            MediaEncoding::Jpeg | MediaEncoding::Png => Storage::EncodedMedia,
            MediaEncoding::Raw => Storage::RawMedia,
        };
        feature.with_meta(meta::ENCODING, self.stored.name())
    }
}
