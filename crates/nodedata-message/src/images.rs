use nodedata_core::{Columns, DType, Feature, Layout, LeafId, Storage, meta};
use nodedata_media::{
    EncodingName, Normalized, RawImage, RawLayout, VideoCodec, image_header, is_keyframe, normalize, sniff,
};

use crate::pixels::{Finding, Pixels};

/// What is done to the pixels of a known image message once its fields are in the columns.
#[derive(Debug)]
pub(crate) enum Images {
    /// The bytes stay; their header tells what they hold.
    Encoded { data: LeafId },
    /// The bytes are brought into one layout, named in a column of its own.
    Raw(RawFields),
    /// The bytes stay; a column tells where decoding can start. `label` says how they are coded.
    Video { data: LeafId, label: Option<LeafId>, keyframe: LeafId },
}

/// The columns of a raw image.
#[derive(Debug)]
pub(crate) struct RawFields {
    data: LeafId,
    encoding: LeafId,
    width: LeafId,
    height: LeafId,
    step: LeafId,
    is_bigendian: Option<LeafId>,
    /// Names the layout of the stored bytes; null where they are as the source wrote them.
    stored_encoding: LeafId,
}

impl Images {
    /// Recognises the image messages of ROS, Foxglove and `ffmpeg_image_transport`, in any encoding, by schema name and columns;
    /// `first` is the message's first column. Changes how `data` is stored and may append a column.
    pub(crate) fn compile(layout: &mut Layout, first: usize, schema_name: &str) -> Option<Self> {
        let kind = Kind::of(schema_name)?;
        let find = |name: &str, fits: fn(&Feature) -> bool| {
            let found = layout.features().enumerate().skip(first).find(|(_, feature)| {
                let own_name = feature.name.strip_prefix("message.").unwrap_or(&feature.name);
                own_name == name && feature.shape.is_empty() && fits(feature)
            });
            found.map(|(idx, _)| LeafId(idx))
        };
        let is_text: fn(&Feature) -> bool = |it| it.dtype == DType::String;
        let is_number: fn(&Feature) -> bool = |it| it.dtype.is_numeric() || it.dtype == DType::Bool;
        let data = find("data", |it| it.dtype == DType::Bytes && it.storage == Storage::Plain)?;
        let images = match kind {
            Kind::Encoded => Self::Encoded { data },
            Kind::Raw => Self::Raw(RawFields {
                data,
                encoding: find("encoding", is_text)?,
                width: find("width", is_number)?,
                height: find("height", is_number)?,
                step: find("step", is_number)?,
                is_bigendian: find("is_bigendian", is_number),
                stored_encoding: LeafId(layout.features().len()),
            }),
            Kind::Video { label } => {
                let keyframe = LeafId(layout.features().len());
                Self::Video { data, label: find(label, is_text), keyframe }
            }
        };
        images.describe(layout);
        Some(images)
    }

    /// Tells the columns what they hold and appends the companion of `data`.
    fn describe(&self, layout: &mut Layout) {
        match self {
            Self::Encoded { data } => layout.feature_mut(*data).storage = Storage::EncodedMedia,
            Self::Raw(fields) => {
                let data = layout.feature_mut(fields.data);
                data.storage = Storage::RawMedia;
                data.metadata.insert(meta::ENCODING.to_owned(), "raw".to_owned());
                let name = format!("{}.encoding", data.name);
                let about = "layout of the stored bytes; null where they are as the source wrote them";
                let companion = Feature::new(name, DType::String, Vec::new())
                    .nullable()
                    .with_meta(meta::DESCRIPTION, about);
                layout.leaf(companion, &[]);
            }
            Self::Video { data, .. } => {
                let data = layout.feature_mut(*data);
                data.storage = Storage::RawMedia;
                let name = format!("{}.keyframe", data.name);
                let about = "whether decoding can start here; null where the codec is not known";
                let companion = Feature::new(name, DType::Bool, Vec::new())
                    .nullable()
                    .with_meta(meta::DESCRIPTION, about);
                layout.leaf(companion, &[]);
            }
        }
    }

    /// Looks at the pixels of the row just decoded. Never fails: what is not understood stays as it is.
    pub(crate) fn finish_row(&self, columns: &mut Columns, pixels: &mut Pixels) {
        match self {
            Self::Encoded { data } => encoded_finding(columns.last_bytes(*data), *data, pixels),
            Self::Raw(fields) => fields.normalize(columns, pixels),
            Self::Video { data, label, keyframe } => {
                let sample = columns.last_bytes(*data);
                let label = label.and_then(|it| std::str::from_utf8(columns.last_bytes(it)).ok());
                let is_key = video_finding(sample, label.unwrap_or_default(), *data, pixels);
                match is_key {
                    Some(is_key) => {
                        columns.push_bool(*keyframe, is_key);
                        columns.push_valid(*keyframe);
                    }
                    None => columns.push_null(*keyframe),
                }
            }
        }
    }
}

/// The kinds of image messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Encoded,
    Raw,
    /// The field that says how it is coded. What else a packet says of itself (`flags`) is not asked: the bytes tell.
    Video {
        label: &'static str,
    },
}

impl Kind {
    /// `sensor_msgs/Image`, `sensor_msgs/msg/Image`, `foxglove.RawImage`, `foxglove_msgs::msg::RawImage` …
    fn of(schema_name: &str) -> Option<Self> {
        let mut parts = schema_name.split(['/', '.', ':']).filter(|it| !it.is_empty() && *it != "msg");
        let (package, name) = (parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        match (package, name) {
            ("sensor_msgs" | "foxglove" | "foxglove_msgs", "CompressedImage") => Some(Self::Encoded),
            ("sensor_msgs", "Image") | ("foxglove" | "foxglove_msgs", "RawImage") => Some(Self::Raw),
            ("foxglove" | "foxglove_msgs", "CompressedVideo") => Some(Self::Video { label: "format" }),
            ("ffmpeg_image_transport_msgs", "FFMPEGPacket") => Some(Self::Video { label: "encoding" }),
            _ => None,
        }
    }
}

/// Records what an encoded image says of itself; the message's `format` label is not asked, it is
/// often wrong. Nothing is recorded where there are no bytes.
fn encoded_finding(bytes: &[u8], column: LeafId, pixels: &mut Pixels) {
    if bytes.is_empty() {
        return;
    }
    let (name, dtype, (dims, n_dims)) = match image_header(bytes) {
        Some(header) => (header.encoding.name(), header.dtype, header.shape()),
        None => (sniff(bytes).map_or("unknown", |it| it.name()), DType::UInt8, ([0; 3], 0)),
    };
    if let Some(encoding) = EncodingName::new(name) {
        pixels.record(Finding { column, dtype, dims, n_dims, encoding });
    }
}

/// Records the codec of a video sample and tells whether decoding can start at it.
fn video_finding(sample: &[u8], label: &str, column: LeafId, pixels: &mut Pixels) -> Option<bool> {
    if sample.is_empty() {
        return None;
    }
    let sniffed = sniff(sample).and_then(|it| VideoCodec::from_label(it.name()));
    let codec = VideoCodec::from_label(label).or(if label.is_empty() { sniffed } else { None });
    let name = codec.map_or_else(|| label.split(';').next().unwrap_or_default(), |it| it.name());
    let unknown = || EncodingName::new("unknown");
    if let Some(encoding) = EncodingName::new(name).filter(|it| !it.as_str().is_empty()).or_else(unknown) {
        pixels.record(Finding { column, dtype: DType::UInt8, dims: [0; 3], n_dims: 0, encoding });
    }
    is_keyframe(codec?, sample)
}

impl RawFields {
    fn normalize(&self, columns: &mut Columns, pixels: &mut Pixels) {
        let normalized = match self.image(columns) {
            Some(image) => {
                let mut outcome = Normalized::AsIs;
                columns.edit_last_bytes(self.data, |bytes| {
                    outcome = normalize(bytes, &image);
                    match outcome {
                        Normalized::Stored(stored) => stored.n_bytes,
                        Normalized::AsIs => bytes.len(),
                    }
                });
                outcome
            }
            None => Normalized::AsIs,
        };
        let raw = EncodingName::new("raw");
        match (normalized, raw) {
            (Normalized::Stored(stored), Some(encoding)) => {
                columns.push_bytes(self.stored_encoding, stored.encoding.as_str().as_bytes());
                columns.push_valid(self.stored_encoding);
                let n_dims = stored.dims().len();
                let (dtype, dims) = (stored.dtype, stored.shape);
                pixels.record(Finding { column: self.data, dtype, dims, n_dims, encoding });
            }
            (_, raw) => {
                columns.push_null(self.stored_encoding);
                if let Some(encoding) = raw.filter(|_| !columns.last_bytes(self.data).is_empty()) {
                    let (column, dtype) = (self.data, DType::UInt8);
                    pixels.record(Finding { column, dtype, dims: [0; 3], n_dims: 0, encoding });
                }
            }
        }
    }

    /// What the row's own fields say; `None` when the encoding is not known or a size is negative.
    fn image(&self, columns: &Columns) -> Option<RawImage> {
        let name = std::str::from_utf8(columns.last_bytes(self.encoding)).ok()?;
        Some(RawImage {
            layout: RawLayout::from_name(name)?,
            width: last_size(columns, self.width)?,
            height: last_size(columns, self.height)?,
            step: last_size(columns, self.step)?,
            // Foxglove's images have no such field and are little endian.
            is_bigendian: match self.is_bigendian {
                Some(id) => last_size(columns, id)? != 0,
                None => false,
            },
        })
    }
}

/// The last whole number of a column, if it is not negative.
fn last_size(columns: &Columns, id: LeafId) -> Option<u64> {
    let dtype = columns.layout().feature(id).dtype;
    let raw = columns.last_le(id);
    let mut wide = [0; 8];
    wide.get_mut(..raw.len())?.copy_from_slice(raw);
    let value = u64::from_le_bytes(wide);
    match dtype {
        DType::Bool | DType::UInt8 | DType::UInt16 | DType::UInt32 | DType::UInt64 => Some(value),
        DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64 => {
            let sign_bit = 1u64 << (raw.len() * 8 - 1);
            (value & sign_bit == 0).then_some(value)
        }
        DType::Float64 => {
            let float = f64::from_bits(value);
            (float >= 0.0 && float.fract() == 0.0 && float < 4_294_967_296.0).then_some(float as u64)
        }
        DType::Float16 | DType::Float32 | DType::String | DType::Bytes => None,
    }
}

#[cfg(test)]
mod tests;
