use std::collections::BTreeMap;

use nodedata_core::{DType, Dim, Feature, STEPS, Storage, meta};

/// The content of a `schema.json`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schema {
    /// Who wrote it; `None` where the document does not say.
    pub mode: Option<Mode>,
    /// Names of the splits, in the order of the document. Empty where it names none.
    pub splits: Vec<String>,
    /// Features of the step table, without its built-in columns. Empty when there is no step table.
    pub fields: Fields,
    /// Features of topic tables by stream name, without their built-in columns.
    pub streams: BTreeMap<String, Fields>,
    /// The clock of the step table.
    pub time: Option<TimeSchema>,
}

/// Who wrote a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A person: rows must follow it.
    Declared,
    /// A conversion: it follows the rows.
    Inferred,
}

impl Mode {
    /// As `schema.json` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Inferred => "inferred",
        }
    }
}

/// The features of one stream by name, in the order of the document or of the columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(Vec<(String, FieldSchema)>);

impl Fields {
    /// The feature called `name`.
    pub fn get(&self, name: &str) -> Option<&FieldSchema> {
        self.0.iter().find(|(it, _)| it == name).map(|(_, field)| field)
    }

    /// Adds a feature at the end, or replaces the one of that name in its place.
    pub fn insert(&mut self, name: impl Into<String>, field: FieldSchema) {
        let name = name.into();
        match self.0.iter_mut().find(|(it, _)| *it == name) {
            Some((_, old)) => *old = field,
            None => self.0.push((name, field)),
        }
    }

    /// Names and features, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &FieldSchema)> {
        self.0.iter().map(|(name, field)| (name.as_str(), field))
    }

    /// How many features.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, FieldSchema)> for Fields {
    fn from_iter<T: IntoIterator<Item = (String, FieldSchema)>>(fields: T) -> Self {
        let mut all = Self::default();
        for (name, field) in fields {
            all.insert(name, field);
        }
        all
    }
}

/// One feature as `schema.json` describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldSchema {
    /// Type of one element; of encoded media, of the decoded tensor.
    pub dtype: DType,
    /// Shape at one step, without the time axis that the document writes first. Of media in lists, the
    /// dimensions of the lists and then those of one of the decoded tensors.
    pub shape: Vec<Dim>,
    /// How many dimensions of the shape, from the first on, are lists of media that are coded one by one;
    /// `None` where the document leaves it to the data.
    pub lists: Option<usize>,
    /// `raw`, `jpeg`, `png`, `h264`, … or `mixed`; `None` where nothing is said.
    pub encoding: Option<String>,
    /// Samples a second of clips of sound, where all have the same; `None` where nothing is said.
    pub rate_hz: Option<u32>,
    /// Unit of the values.
    pub unit: Option<String>,
    /// What a stored value is multiplied by to get `unit`.
    pub scale: Option<f64>,
    /// Names of the elements of the last dimension, or of all elements.
    pub names: Option<Vec<String>>,
    /// Least value allowed. NaN is not compared, see `finite`.
    pub min: Option<Bound>,
    /// Greatest value allowed.
    pub max: Option<Bound>,
    /// Whether NaN and infinities are refused. `None` allows them.
    pub finite: Option<bool>,
    /// Whether a value may be absent. `None` allows it.
    pub nullable: Option<bool>,
    /// What the feature is for, such as `observation.image`.
    pub role: Option<String>,
    /// What the values are, for people.
    pub description: Option<String>,
    /// What personal data the values may show, such as `face`.
    pub sensitive: Vec<String>,
}

impl FieldSchema {
    /// A feature of which only type and shape (at one step) are said.
    pub fn new(dtype: DType, shape: Vec<Dim>) -> Self {
        Self {
            dtype,
            shape,
            lists: None,
            encoding: None,
            rate_hz: None,
            unit: None,
            scale: None,
            names: None,
            min: None,
            max: None,
            finite: None,
            nullable: None,
            role: None,
            description: None,
            sensitive: Vec::new(),
        }
    }

    /// What a feature of a source says before any row is read.
    pub fn from_feature(feature: &Feature) -> Self {
        let fact = |key: &str| feature.metadata.get(key).cloned();
        Self {
            encoding: fact(meta::ENCODING),
            unit: fact(meta::UNIT),
            description: fact(meta::DESCRIPTION),
            names: fact(meta::NAMES).and_then(|it| serde_json::from_str(&it).ok()),
            nullable: feature.nullable.then_some(true),
            lists: Some(feature.lists.len()).filter(|it| *it > 0),
            ..Self::new(feature.dtype, feature.step_shape())
        }
    }

    /// The shape as the document writes it: the time axis first, -1 for a variable dimension.
    pub fn document_shape(&self) -> Vec<i64> {
        std::iter::once(-1).chain(self.shape.iter().map(|it| it.as_i64())).collect()
    }
}

/// A limit of a feature's values, exact for every element type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Written without a fraction.
    Integer(i128),
    /// Written with a fraction or an exponent.
    Float(f64),
}

impl Bound {
    /// The nearest `f64`.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Integer(it) => it as f64,
            Self::Float(it) => it,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(it) => write!(f, "{it}"),
            // `{:?}` keeps the fraction, so that the kind survives a round trip.
            Self::Float(it) => write!(f, "{it:?}"),
        }
    }
}

/// The clock of the step table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TimeSchema {
    /// The feature that holds it.
    pub field: Option<String>,
    /// `ns`, `us`, `ms` or `s`.
    pub unit: Option<String>,
    /// Whether it never runs backwards inside an episode.
    pub monotonic: Option<bool>,
    /// Steps per second, where constant.
    pub fps: Option<f64>,
    /// How far a step may lie from its nominal time, in nanoseconds.
    pub tolerance_ns: Option<u64>,
}

impl Schema {
    /// The features of stream `name`: `fields` for the step table. `None` when the schema says nothing
    /// about the stream.
    pub fn stream(&self, name: &str) -> Option<&Fields> {
        match (name, self.fields.is_empty()) {
            (STEPS, false) => Some(&self.fields),
            _ => self.streams.get(name),
        }
    }
}

/// Whether the values lie in the column as whole encoded tensors, whose shape only the pixels tell.
pub(crate) fn is_media(feature: &Feature) -> bool {
    match feature.storage {
        Storage::EncodedMedia | Storage::RawMedia => true,
        Storage::Plain => false,
    }
}
