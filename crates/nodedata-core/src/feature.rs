use std::{collections::BTreeMap, fmt, ops::RangeInclusive, sync::Arc};

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

/// The element type of a feature, spelled as in `schema.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// `true` or `false`.
    Bool,
    /// Signed, 8 bit.
    Int8,
    /// Signed, 16 bit.
    Int16,
    /// Signed, 32 bit.
    Int32,
    /// Signed, 64 bit.
    Int64,
    /// Unsigned, 8 bit.
    UInt8,
    /// Unsigned, 16 bit.
    UInt16,
    /// Unsigned, 32 bit.
    UInt32,
    /// Unsigned, 64 bit.
    UInt64,
    /// IEEE 754 half precision.
    Float16,
    /// IEEE 754 single precision.
    Float32,
    /// IEEE 754 double precision.
    Float64,
    /// UTF-8 text.
    String,
    /// Bytes of any length.
    Bytes,
}

impl DType {
    /// Every type, in the order of the declaration.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::UInt8,
        Self::UInt16,
        Self::UInt32,
        Self::UInt64,
        Self::Float16,
        Self::Float32,
        Self::Float64,
        Self::String,
        Self::Bytes,
    ];

    /// The name used in `schema.json`: `float32`, `uint8`, `string` …
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::UInt8 => "uint8",
            Self::UInt16 => "uint16",
            Self::UInt32 => "uint32",
            Self::UInt64 => "uint64",
            Self::Float16 => "float16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Bytes => "bytes",
        }
    }

    /// The type called `name` in `schema.json`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Bytes of one value; `None` for text and bytes, and for `Bool`, which Arrow packs into bits.
    pub fn byte_width(self) -> Option<usize> {
        match self {
            Self::Int8 | Self::UInt8 => Some(1),
            Self::Int16 | Self::UInt16 | Self::Float16 => Some(2),
            Self::Int32 | Self::UInt32 | Self::Float32 => Some(4),
            Self::Int64 | Self::UInt64 | Self::Float64 => Some(8),
            Self::Bool | Self::String | Self::Bytes => None,
        }
    }

    /// The integers that are values of this type; `None` where its values are none.
    pub fn integers(self) -> Option<RangeInclusive<i128>> {
        Some(match self {
            Self::Int8 => i8::MIN.into()..=i8::MAX.into(),
            Self::Int16 => i16::MIN.into()..=i16::MAX.into(),
            Self::Int32 => i32::MIN.into()..=i32::MAX.into(),
            Self::Int64 => i64::MIN.into()..=i64::MAX.into(),
            Self::UInt8 => 0..=u8::MAX.into(),
            Self::UInt16 => 0..=u16::MAX.into(),
            Self::UInt32 => 0..=u32::MAX.into(),
            Self::UInt64 => 0..=u64::MAX.into(),
            Self::Bool | Self::Float16 | Self::Float32 | Self::Float64 | Self::String | Self::Bytes => {
                return None;
            }
        })
    }

    /// Whether values of this type have a numeric order, so that min, max and mean mean something.
    pub fn is_numeric(self) -> bool {
        self.byte_width().is_some()
    }

    /// The Arrow type of one value.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::UInt8 => DataType::UInt8,
            Self::UInt16 => DataType::UInt16,
            Self::UInt32 => DataType::UInt32,
            Self::UInt64 => DataType::UInt64,
            Self::Float16 => DataType::Float16,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::String => DataType::Utf8,
            Self::Bytes => DataType::Binary,
        }
    }

    /// The element type of an Arrow leaf; `None` for nested and for types we do not store.
    pub fn from_arrow(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::LargeUtf8 | DataType::Utf8View => Some(Self::String),
            DataType::LargeBinary | DataType::BinaryView => Some(Self::Bytes),
            DataType::Dictionary(_, values) => Self::from_arrow(values),
            other => Self::ALL.into_iter().find(|it| it.arrow() == *other),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One dimension of a feature's value at one step. The time axis is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dim {
    /// The same at every step: a fixed-size list.
    Fixed(u32),
    /// May differ from step to step: a list. `-1` in `schema.json`.
    Variable,
}

impl Dim {
    /// The dimension as `schema.json` writes it: the length, or -1.
    pub fn as_i64(self) -> i64 {
        match self {
            Self::Fixed(n) => i64::from(n),
            Self::Variable => -1,
        }
    }
}

/// How the values of a feature lie in an Arrow column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Storage {
    /// Nested lists around plain values, one level per dimension.
    #[default]
    Plain,
    /// `struct<bytes: binary, path: utf8>`: an encoded image or audio clip, as Hugging Face readers
    /// expect it, or lists of them. The element type is that of the decoded tensor or, before anything was
    /// seen, `Bytes`.
    EncodedMedia,
    /// Plain binary that holds a whole tensor (raw pixels) or a coded video sample, or lists of it.
    RawMedia,
}

impl Storage {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::EncodedMedia => "encoded",
            Self::RawMedia => "raw",
        }
    }
}

/// Name of a list's child: the one the Parquet specification asks for.
pub(crate) const LIST_ITEM: &str = "element";

/// Keys of our own facts in Arrow field metadata.
pub mod meta {
    /// Element type in the spelling of `schema.json`.
    pub const DTYPE: &str = "nodedata:type";
    /// How the values lie in the column, see [`super::Storage`].
    pub const STORAGE: &str = "nodedata:storage";
    /// `false` on a column of encoded media that is never null: its field must say otherwise.
    pub const NULLABLE: &str = "nodedata:nullable";
    /// Codec of a media column, or `raw`.
    pub const ENCODING: &str = "nodedata:encoding";
    /// Type of one element of raw frames, of a table whose rows do not say it: where all frames of the shard have one.
    pub const FRAME_TYPE: &str = "nodedata:frame_type";
    /// Shape of a raw frame, as a JSON list, of a table whose rows do not say it: where all frames of the shard have one.
    pub const FRAME_SHAPE: &str = "nodedata:frame_shape";
    /// Height and width of all bare frames of a field in pixels, as a JSON list.
    pub const FRAME_SIZE: &str = "nodedata:frame_size";
    /// Layout of the pixels of all bare frames of a field, as ROS and Foxglove name it: `rgb8`, `bayer_rggb8`, `yuv422_yuy2`.
    pub const FRAME_FORMAT: &str = "nodedata:frame_format";
    /// How the video of a field was coded here, as JSON: who did it, frames a second, how pixels and colours are written.
    pub const VIDEO: &str = "nodedata:video";
    /// Unit of the values.
    pub const UNIT: &str = "nodedata:unit";
    /// Constants of an enumeration, `NAME=VALUE` joined by commas.
    pub const CONSTANTS: &str = "nodedata:constants";
    /// The type the source declared, such as `uint8[<=16]`.
    pub const SOURCE_TYPE: &str = "nodedata:source_type";
    /// What the values mean beside their type, where the source has a type of its own for it: `timestamp[us, tz=UTC]`,
    /// `decimal(10, 2)`.
    pub const LOGICAL: &str = "nodedata:logical";
    /// Names of the elements of the last dimension, as a JSON list.
    pub const NAMES: &str = "nodedata:names";
    /// What the values are, for people.
    pub const DESCRIPTION: &str = "nodedata:description";
    /// What was done to the values on their way, as a JSON list of transforms by name and version, with their arguments.
    pub const TRANSFORM: &str = "nodedata:transform";
}

/// A named tensor column: the type of one element and the shape of the value at one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Dotted path in the source, such as `header.frame_id`.
    pub name: String,
    /// Type of one element.
    pub dtype: DType,
    /// Shape at one step, outermost first; empty for a scalar. For media it is what metadata says of one of
    /// them before any row is read, usually empty; the pixels have the last word.
    pub shape: Vec<Dim>,
    /// The dimensions of the lists around a media value, outermost first: a stack of four frames is
    /// `[Fixed(4)]`. Empty for one value a step, and always for plain values, whose lists are their shape.
    pub lists: Vec<Dim>,
    /// Whether a value (or an item of the innermost variable list) may be absent.
    pub nullable: bool,
    /// How the values lie in the column.
    pub storage: Storage,
    /// Facts without a place of their own, under the keys of [`meta`] or keys a source brings.
    pub metadata: BTreeMap<String, String>,
}

impl Feature {
    /// A plain feature whose values are always present.
    pub fn new(name: impl Into<String>, dtype: DType, shape: Vec<Dim>) -> Self {
        Self {
            name: name.into(),
            dtype,
            shape,
            lists: Vec::new(),
            nullable: false,
            storage: Storage::Plain,
            metadata: BTreeMap::new(),
        }
    }

    /// The same feature, allowed to be null.
    #[must_use]
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// The same feature with lists around its media.
    #[must_use]
    pub fn in_lists(mut self, lists: Vec<Dim>) -> Self {
        self.lists = lists;
        self
    }

    /// The same feature with one more fact under a key of [`meta`].
    #[must_use]
    pub fn with_meta(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// The dimensions that are lists in the column, outermost first: the shape of plain values, and the lists
    /// around media.
    pub fn dims(&self) -> &[Dim] {
        match self.storage {
            Storage::Plain => &self.shape,
            Storage::EncodedMedia | Storage::RawMedia => &self.lists,
        }
    }

    /// The shape of all there is at one step: the lists around media, then what is known of one of them.
    pub fn step_shape(&self) -> Vec<Dim> {
        [&self.lists[..], &self.shape].concat()
    }

    /// Type and shape at one step, for people: `float32[7]`; of media also how they are stored.
    pub fn told(&self) -> String {
        let shape: Vec<String> = self.step_shape().iter().map(|it| it.as_i64().to_string()).collect();
        let shape = if shape.is_empty() { String::new() } else { format!("[{}]", shape.join(", ")) };
        match self.storage {
            Storage::Plain => format!("{}{shape}", self.dtype),
            Storage::EncodedMedia => format!("{}{shape}, encoded", self.dtype),
            Storage::RawMedia => format!("{}{shape}, raw", self.dtype),
        }
    }

    /// The type of one value as it lies in the column: media are bytes whatever they decode to.
    pub fn stored_dtype(&self) -> DType {
        match self.storage {
            Storage::Plain => self.dtype,
            Storage::EncodedMedia | Storage::RawMedia => DType::Bytes,
        }
    }

    /// The Arrow type of the column.
    pub fn arrow_type(&self) -> DataType {
        let mut data_type = match self.storage {
            Storage::EncodedMedia => DataType::Struct(media_fields()),
            Storage::Plain | Storage::RawMedia => self.stored_dtype().arrow(),
        };
        for (idx, dim) in self.dims().iter().enumerate().rev() {
            let item = Arc::new(Field::new(LIST_ITEM, data_type, self.items_nullable(idx)));
            data_type = match dim {
                Dim::Fixed(n) => DataType::FixedSizeList(item, i32::try_from(*n).unwrap_or(i32::MAX)),
                Dim::Variable => DataType::List(item),
            };
        }
        data_type
    }

    /// Whether the Arrow type allows nulls among the items of dimension `idx`.
    pub(crate) fn items_nullable(&self, idx: usize) -> bool {
        // Hugging Face readers show images only where every level around them may be null.
        if self.storage == Storage::EncodedMedia {
            return true;
        }
        // Null one by one: the items of variable lists, and variable lists inside others.
        let dims = &self.dims()[idx..];
        self.nullable && (dims[0] == Dim::Variable || dims.get(1) == Some(&Dim::Variable))
    }

    /// The Arrow field of the column, with our facts under `nodedata:` keys.
    pub fn arrow_field(&self) -> Field {
        let mut metadata: std::collections::HashMap<String, String> =
            self.metadata.clone().into_iter().collect();
        metadata.insert(meta::DTYPE.to_owned(), self.dtype.name().to_owned());
        if self.storage != Storage::Plain {
            metadata.insert(meta::STORAGE.to_owned(), self.storage.name().to_owned());
        }
        let mut nullable = self.nullable;
        if self.storage == Storage::EncodedMedia && !nullable {
            // Hugging Face readers show an image only where the field may be null.
            metadata.insert(meta::NULLABLE.to_owned(), "false".to_owned());
            nullable = true;
        }
        Field::new(&self.name, self.arrow_type(), nullable).with_metadata(metadata)
    }

    /// Reads a feature back from an Arrow field; `None` for a type that no feature has.
    pub fn from_arrow(field: &Field) -> Option<Self> {
        let mut metadata: BTreeMap<String, String> = field.metadata().clone().into_iter().collect();
        let storage = metadata.remove(meta::STORAGE);
        let never_null = metadata.remove(meta::NULLABLE).is_some_and(|it| it == "false");
        let declared = metadata.remove(meta::DTYPE).and_then(|it| DType::from_name(&it));
        let mut dims = Vec::new();
        let mut data_type = field.data_type();
        loop {
            match data_type {
                DataType::List(item) | DataType::LargeList(item) => {
                    dims.push(Dim::Variable);
                    data_type = item.data_type();
                }
                DataType::FixedSizeList(item, n) => {
                    dims.push(Dim::Fixed(u32::try_from(*n).ok()?));
                    data_type = item.data_type();
                }
                _ => break,
            }
        }
        let (dtype, storage) = match (data_type, storage.as_deref()) {
            (DataType::Struct(fields), _) => {
                let names: Vec<&str> = fields.iter().map(|it| it.name().as_str()).collect();
                if names != ["bytes", "path"] {
                    return None;
                }
                (declared.unwrap_or(DType::Bytes), Storage::EncodedMedia)
            }
            (_, Some("raw")) => (declared.unwrap_or(DType::Bytes), Storage::RawMedia),
            (other, _) => (DType::from_arrow(other)?, Storage::Plain),
        };
        let (shape, lists) = match storage {
            Storage::Plain => (dims, Vec::new()),
            Storage::EncodedMedia | Storage::RawMedia => (Vec::new(), dims),
        };
        Some(Self {
            name: field.name().clone(),
            dtype,
            shape,
            lists,
            nullable: field.is_nullable() && !never_null,
            storage,
            metadata,
        })
    }
}

/// The two fields of [`Storage::EncodedMedia`].
pub(crate) fn media_fields() -> arrow_schema::Fields {
    vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)].into()
}
