//! The features of a stream: what is stored, and what reading makes of it.

use std::sync::Arc;

use nodedata_core::{DType, Dim, Feature, Storage, meta};
use nodedata_media::{ImageShape, VideoCodec};
use nodedata_schema::FieldSchema;

use super::depth::DepthFacts;

/// What a feature holds beside numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Pictures of colours or of brightness, coded one by one or raw.
    Image,
    /// Pictures of distances: one channel of more than 8 bits, coded one by one or raw, or video of them.
    Depth,
    /// Coded video, a sample a step.
    Video,
    /// Clips of sound.
    Audio,
    /// Text.
    Text,
    /// Values that are no tensor, such as lists of lists of any length or lists of text, as JSON text.
    Json,
    /// Bytes of any kind.
    Bytes,
}

impl MediaKind {
    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Depth => "depth",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Text => "text",
            Self::Json => "json",
            Self::Bytes => "bytes",
        }
    }
}

/// A feature, and what its values are once they are read.
#[derive(Debug, Clone)]
pub struct FeatureInfo {
    /// Its name.
    pub name: Arc<str>,
    /// As it is stored.
    pub feature: Feature,
    /// Type of one element of what is read; `String` for text and JSON, `Bytes` for bytes.
    pub dtype: DType,
    /// Shape of what is read at one step, -1 where that differs from step to step or nothing tells. Pictures are height, width and,
    /// where there is more than one, channels; sound is samples and channels. Empty for scalars, text and bytes.
    pub shape: Vec<i64>,
    /// What it is beside numbers; `None` for these.
    pub media: Option<MediaKind>,
    /// `jpeg`, `h264`, `raw` …, where the dataset says so.
    pub encoding: Option<String>,
    /// Unit of the values.
    pub unit: Option<String>,
    /// Names of the elements of the last dimension, or of all elements.
    pub names: Option<Vec<String>>,
    /// Samples a second of clips of sound, where all have the same.
    pub rate_hz: Option<u32>,
    /// Whether rows may be without a value.
    pub nullable: bool,
    /// Whether it is read as what it decodes to where nobody says how: media of a coding that this build does not decode are bytes.
    pub is_decoded: bool,
    /// Whether it is there to decode another one (`X.keyframe`, `X.decode_index`), or says what the episode is told by: such a feature
    /// is read only where it is named.
    pub is_aside: bool,
    /// How its values become what is read.
    pub(crate) form: Form,
}

/// How the values of a feature become what is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    /// Numbers or truth values of one shape.
    Tensor(Vec<usize>),
    /// Lists of any length of items of one shape.
    Ragged(Vec<usize>),
    /// Text.
    Text,
    /// Lists that have no other form, as JSON.
    Json,
    /// Bytes as they are.
    Bytes,
    /// Coded pictures, in lists of fixed lengths or in one list of any length around such.
    Pictures(Pictures),
    /// Raw tensors of one shape, each in bytes of its own.
    Raw(Vec<usize>),
    /// FLAC: channels, where they are known, and samples where all clips have the same number.
    Sound([Option<usize>; 2]),
    /// Samples of coded video.
    Video(Box<VideoForm>),
}

/// Coded pictures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pictures {
    /// Lists around each of them.
    pub(crate) lists: Vec<Dim>,
    /// What each of them decodes to, where all are alike.
    pub(crate) shape: Option<ImageShape>,
    /// How many dimensions a picture has, where that is known: 2 for one channel, 3 for more.
    pub(crate) rank: Option<usize>,
}

/// Coded video.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VideoForm {
    /// Whether samples lie in another order than they are decoded in, so that `X.decode_index` has to be read.
    pub(crate) has_order: bool,
    /// Where frames are distances.
    pub(crate) depth: Option<DepthFacts>,
}

/// The features of a stream by name, so that each finds those that go with it.
pub(crate) struct Beside<'a> {
    /// Names of all columns.
    pub(crate) columns: &'a [String],
    /// Whether the dataset has a table of video.
    pub(crate) has_video: bool,
}

impl FeatureInfo {
    /// What is read of a stored feature, of which a schema may say more.
    pub(crate) fn new(feature: Feature, told: Option<&FieldSchema>, beside: &Beside<'_>) -> Self {
        let fact = |key: &str| feature.metadata.get(key).cloned();
        let encoding = told.and_then(|it| it.encoding.clone()).or_else(|| fact(meta::ENCODING));
        let unit = told.and_then(|it| it.unit.clone()).or_else(|| fact(meta::UNIT));
        let names = told.and_then(|it| it.names.clone());
        let names = names.or_else(|| serde_json::from_str(&fact(meta::NAMES)?).ok());
        let read = read_as(&feature, told, encoding.as_deref(), beside);
        let unit = read.unit.map_or(unit, |it| Some(it.to_owned()));
        Self {
            name: feature.name.as_str().into(),
            dtype: read.dtype,
            shape: read.shape,
            media: read.media,
            encoding,
            unit,
            names,
            rate_hz: told.and_then(|it| it.rate_hz),
            nullable: feature.nullable,
            is_decoded: read.is_decoded,
            is_aside: beside.is_aside(&feature.name),
            form: read.form,
            feature,
        }
    }

    /// The same, read as the bytes that are stored; `None` where these are no bytes of one value.
    pub(crate) fn as_bytes(&self) -> Option<Self> {
        let is_one = self.feature.dims().is_empty() && self.feature.stored_dtype() == DType::Bytes;
        is_one.then(|| Self { dtype: DType::Bytes, shape: Vec::new(), form: Form::Bytes, ..self.clone() })
    }

    /// The picture that each of its rows is, where that can be resized; its shape where it is known.
    pub(crate) fn resizable(&self) -> Option<Option<ImageShape>> {
        match &self.form {
            Form::Pictures(Pictures { lists, shape, .. }) if lists.is_empty() => Some(*shape),
            Form::Raw(dims) => Some(Some(image_shape(self.dtype, dims)?)),
            Form::Video(form) if form.depth.is_none() => Some(None),
            _ => None,
        }
    }
}

impl Beside<'_> {
    fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|it| it == name)
    }

    fn is_aside(&self, name: &str) -> bool {
        let of = |suffix: &str| name.strip_suffix(suffix).is_some_and(|it| self.has(it));
        name == nodedata_core::EPISODE_INDEX || (self.has_video && (of(".keyframe") || of(".decode_index")))
    }
}

/// What is read of a feature.
struct ReadAs {
    dtype: DType,
    shape: Vec<i64>,
    media: Option<MediaKind>,
    is_decoded: bool,
    form: Form,
    unit: Option<&'static str>,
}

impl ReadAs {
    fn new(dtype: DType, shape: Vec<i64>, media: Option<MediaKind>, form: Form) -> Self {
        Self { dtype, shape, media, is_decoded: true, form, unit: None }
    }

    /// The bytes themselves, because nothing here decodes them; in lists, JSON of them.
    fn undecoded(feature: &Feature, media: MediaKind) -> Self {
        if !feature.dims().is_empty() {
            return json();
        }
        let is_decoded = feature.storage == Storage::Plain;
        Self { is_decoded, ..Self::new(DType::Bytes, Vec::new(), Some(media), Form::Bytes) }
    }
}

fn read_as(
    feature: &Feature,
    told: Option<&FieldSchema>,
    encoding: Option<&str>,
    beside: &Beside<'_>,
) -> ReadAs {
    match feature.storage {
        Storage::Plain => plain(feature, told),
        Storage::EncodedMedia | Storage::RawMedia => {
            let video =
                encoding.filter(|_| feature.lists.is_empty()).and_then(|it| video(feature, told, it, beside));
            video.unwrap_or_else(|| media(feature, told, encoding))
        }
    }
}

fn plain(feature: &Feature, told: Option<&FieldSchema>) -> ReadAs {
    let dims = known_dims(&feature.shape, told.map(|it| it.shape.as_slice()));
    let document: Vec<i64> = dims.iter().map(|it| it.as_i64()).collect();
    match (feature.dtype, dims.as_slice()) {
        (DType::String, []) => ReadAs::new(DType::String, Vec::new(), Some(MediaKind::Text), Form::Text),
        (DType::Bytes, []) => ReadAs::undecoded(feature, MediaKind::Bytes),
        (DType::String | DType::Bytes, _) => json(),
        (dtype, dims) => match (fixed(dims), dims.split_first()) {
            (Some(shape), _) => ReadAs::new(dtype, document, None, Form::Tensor(shape)),
            (None, Some((Dim::Variable, rest))) => match fixed(rest) {
                Some(item) => ReadAs::new(dtype, document, None, Form::Ragged(item)),
                None => json(),
            },
            (None, _) => json(),
        },
    }
}

fn json() -> ReadAs {
    ReadAs::new(DType::String, Vec::new(), Some(MediaKind::Json), Form::Json)
}

fn media(feature: &Feature, told: Option<&FieldSchema>, encoding: Option<&str>) -> ReadAs {
    // The dimensions of the lists come first, then those of one of the decoded tensors.
    let dims = told.and_then(|it| it.shape.get(feature.lists.len()..)).unwrap_or_default();
    let lists = known_dims(&feature.lists, told.map(|it| it.shape.as_slice()));
    let dtype = told.map_or(feature.dtype, |it| it.dtype);
    let is_sound = matches!(encoding, Some("flac" | "wav" | "mp3" | "ogg" | "opus"));
    match encoding {
        Some("raw") if lists.is_empty() => raw(feature, dtype, dims),
        Some("flac") if lists.is_empty() && dtype.is_numeric() => {
            let size = |idx: usize| match dims.get(idx) {
                Some(Dim::Fixed(n)) => Some(*n as usize),
                Some(Dim::Variable) | None => None,
            };
            let form = Form::Sound([size(0), size(1)]);
            let told = |it: Option<usize>| it.and_then(|it| i64::try_from(it).ok()).unwrap_or(-1);
            ReadAs::new(dtype, vec![told(size(0)), told(size(1))], Some(MediaKind::Audio), form)
        }
        _ if is_sound => ReadAs::undecoded(feature, MediaKind::Audio),
        None | Some("jpeg" | "png" | "mixed") => pictures(feature, lists, dtype, dims, encoding),
        Some(_) => ReadAs::undecoded(feature, MediaKind::Bytes),
    }
}

fn pictures(
    feature: &Feature,
    lists: Vec<Dim>,
    dtype: DType,
    dims: &[Dim],
    encoding: Option<&str>,
) -> ReadAs {
    // Plain bytes of which nobody says that they are pictures may be anything.
    let may_be = feature.storage == Storage::EncodedMedia || encoding.is_some_and(|it| it != "mixed");
    let is_one_type = matches!(dtype, DType::UInt8 | DType::UInt16);
    let has_form = fixed(lists.get(1..).unwrap_or_default()).is_some();
    if !may_be || !has_form || !(is_one_type || (dtype == DType::Bytes && dims.is_empty())) {
        return ReadAs::undecoded(feature, MediaKind::Bytes);
    }
    let shape = fixed(dims).filter(|it| !it.is_empty()).and_then(|it| image_shape(dtype, &it));
    let rank = (!dims.is_empty()).then_some(dims.len());
    let document: Vec<i64> = lists.iter().chain(dims).map(|it| it.as_i64()).collect();
    let kind = if dtype == DType::UInt16 && rank != Some(3) { MediaKind::Depth } else { MediaKind::Image };
    let dtype = if dtype == DType::Bytes { DType::UInt8 } else { dtype };
    ReadAs::new(dtype, document, Some(kind), Form::Pictures(Pictures { lists, shape, rank }))
}

fn raw(feature: &Feature, dtype: DType, dims: &[Dim]) -> ReadAs {
    let fact = |key: &str| feature.metadata.get(key);
    // What a table says of all of its frames goes for those that no schema has seen.
    let dtype = Some(dtype).filter(|it| it.is_numeric() && !dims.is_empty());
    let dtype = dtype.or_else(|| DType::from_name(fact(meta::FRAME_TYPE)?));
    let shape = fixed(dims).filter(|it| !it.is_empty());
    let shape = shape.or_else(|| serde_json::from_str::<Vec<usize>>(fact(meta::FRAME_SHAPE)?).ok());
    let (Some(dtype), Some(shape)) = (dtype.filter(|it| it.is_numeric()), shape) else {
        return ReadAs::undecoded(feature, MediaKind::Bytes);
    };
    let is_depth = shape.len() == 2 && dtype != DType::UInt8;
    let kind = if is_depth { MediaKind::Depth } else { MediaKind::Image };
    let document = shape.iter().map(|it| i64::try_from(*it).unwrap_or(-1)).collect();
    ReadAs::new(dtype, document, Some(kind), Form::Raw(shape))
}

fn video(
    feature: &Feature,
    told: Option<&FieldSchema>,
    encoding: &str,
    beside: &Beside<'_>,
) -> Option<ReadAs> {
    let is_video = VideoCodec::from_name(encoding).is_some() || encoding == "mixed";
    let has_keyframes = beside.has_video && beside.has(&format!("{}.keyframe", feature.name));
    if !is_video || feature.storage != Storage::RawMedia {
        return None;
    }
    // Without its table nothing tells what a decoder needs, nor where it can start.
    if !has_keyframes || !cfg!(feature = "video-decode") {
        return (encoding != "mixed" || has_keyframes).then(|| ReadAs::undecoded(feature, MediaKind::Video));
    }
    let depth = DepthFacts::of(feature);
    let has_order = beside.has(&format!("{}.decode_index", feature.name));
    let dims = told.map(|it| it.shape.as_slice()).unwrap_or_default();
    let mut shape: Vec<i64> = dims.iter().map(|it| it.as_i64()).collect();
    let (dtype, kind, unit) = match &depth {
        Some(depth) => {
            shape.truncate(2);
            (DType::Float32, MediaKind::Depth, Some(depth.unit()))
        }
        None => (DType::UInt8, MediaKind::Video, None),
    };
    let form = Form::Video(Box::new(VideoForm { has_order, depth }));
    Some(ReadAs { unit, ..ReadAs::new(dtype, shape, Some(kind), form) })
}

/// The dimensions of the column, each fixed where the column or the schema says so.
fn known_dims(column: &[Dim], told: Option<&[Dim]>) -> Vec<Dim> {
    let told = told.filter(|it| column.len() <= it.len()).unwrap_or_default();
    let told = told.iter().copied().map(Some).chain(std::iter::repeat(None));
    let known = |(dim, told): (&Dim, Option<Dim>)| match (dim, told) {
        (Dim::Variable, Some(told)) => told,
        _ => *dim,
    };
    column.iter().zip(told).map(known).collect()
}

/// The lengths of dimensions that are all fixed.
fn fixed(dims: &[Dim]) -> Option<Vec<usize>> {
    let length = |dim: &Dim| match dim {
        Dim::Fixed(n) => Some(*n as usize),
        Dim::Variable => None,
    };
    dims.iter().map(length).collect()
}

/// Pixels of two or three dimensions.
pub(crate) fn image_shape(dtype: DType, dims: &[usize]) -> Option<ImageShape> {
    let side = |it: usize| u32::try_from(it).ok();
    let shape = match *dims {
        [height, width] => ImageShape { height: side(height)?, width: side(width)?, channels: 1, dtype },
        [height, width, channels] => {
            ImageShape { height: side(height)?, width: side(width)?, channels: side(channels)?, dtype }
        }
        _ => return None,
    };
    shape.n_bytes().map(|_| shape)
}

/// The dimensions of a picture as it is read: one channel is no dimension, unless the schema says that it is.
pub(crate) fn dims_of(shape: &ImageShape, rank: Option<usize>) -> Vec<usize> {
    let [height, width, channels] = [shape.height, shape.width, shape.channels].map(|it| it as usize);
    if channels == 1 && rank != Some(3) { vec![height, width] } else { vec![height, width, channels] }
}
