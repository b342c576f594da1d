use bytes::Bytes;
use nodedata_core::{Columns, DType, Error, ErrorKind, Feature, Layout, LeafId, Result, Storage};
use nodedata_io::packed::UNPACK_RATIO_MAX;
use nodedata_message::{MessageDecoder, Pixels, RowMedia, whole_beyond_64_bits};

use super::array_target::ArrayTarget;
use crate::{
    fields::{FieldKind, LearnedField},
    member::{
        Bounds, Coding, int_of,
        msgpack::{NoCbor, to_cbor},
        npy::{NoArray, Npy},
        npz, unpacked,
    },
};

/// The columns of a field.
pub(super) struct Target {
    pub(super) field: String,
    is_packed: bool,
    content: Content,
}

enum Content {
    Bytes(LeafId),
    Text(LeafId),
    Int(LeafId),
    Tree(Coding, Box<MessageDecoder>),
    Array(ArrayTarget),
    Arrays(Vec<(String, ArrayTarget)>),
}

impl Target {
    /// # Errors
    /// `Limit` for more columns than a field may become.
    pub(super) fn compile(field: &LearnedField, layout: &mut Layout) -> Result<Self> {
        let LearnedField { name, kind, is_optional } = field;
        let nullable = |feature: Feature| if *is_optional { feature.nullable() } else { feature };
        let mut leaf = |dtype: DType, storage: Storage| {
            let feature = nullable(Feature::new(name, dtype, Vec::new()));
            layout.leaf(Feature { storage, ..feature }, &[])
        };
        let content = match kind {
            FieldKind::Bytes => Content::Bytes(leaf(DType::Bytes, Storage::Plain)),
            FieldKind::Media => Content::Bytes(leaf(DType::Bytes, Storage::EncodedMedia)),
            FieldKind::Text => Content::Text(leaf(DType::String, Storage::Plain)),
            FieldKind::Int => Content::Int(leaf(DType::Int64, Storage::Plain)),
            FieldKind::Json(types) => {
                Content::Tree(Coding::Json, Box::new(types.compile_below(name, layout)?))
            }
            FieldKind::Cbor(types) => {
                Content::Tree(Coding::Cbor, Box::new(types.compile_cbor_below(name, layout)?))
            }
            FieldKind::Msgpack(types) => {
                Content::Tree(Coding::Msgpack, Box::new(types.compile_cbor_below(name, layout)?))
            }
            FieldKind::Array(types) => {
                Content::Array(ArrayTarget::compile(name, types, *is_optional, layout))
            }
            FieldKind::Arrays(arrays) => {
                let array = |it: &crate::fields::LearnedArray| {
                    let below = format!("{name}.{}", it.name);
                    (it.name.clone(), ArrayTarget::compile(&below, &it.types, it.is_optional, layout))
                };
                Content::Arrays(arrays.iter().map(array).collect())
            }
        };
        // What stays bytes stays all of them.
        let is_packed = *kind != FieldKind::Bytes && Coding::of(name).1;
        Ok(Self { field: name.clone(), is_packed, content })
    }

    /// Of a sample without the field.
    pub(super) fn push_absent(&self, columns: &mut Columns) {
        match &self.content {
            Content::Bytes(id) | Content::Text(id) | Content::Int(id) => columns.push_null(*id),
            Content::Tree(coding, decoder) => {
                let null: &[u8] = if *coding == Coding::Json { b"null" } else { b"\xf6" };
                let pushed = decoder.decode(null, columns, &mut Pixels::default());
                debug_assert!(pushed.is_ok(), "what may be absent may be null");
            }
            Content::Array(array) => array.push_absent(columns),
            Content::Arrays(arrays) => arrays.iter().for_each(|it| it.1.push_absent(columns)),
        }
    }

    /// # Errors
    /// `Corrupt` when the member is not what those of its field are; `Limit`.
    pub(super) fn push(&self, columns: &mut Columns, contents: Bytes, bounds: Bounds) -> Result<()> {
        let contents = match self.is_packed {
            true => unpacked(contents, bounds).map_err(with_ratio_hint)?,
            false => contents,
        };
        match &self.content {
            Content::Bytes(id) => {
                columns.push_bytes(*id, &contents);
                columns.push_valid(*id);
            }
            Content::Text(id) => {
                if let Err(err) = str::from_utf8(&contents) {
                    return Err(corrupt("it is no UTF-8").with_source(err));
                }
                columns.push_bytes(*id, &contents);
                columns.push_valid(*id);
            }
            Content::Int(id) => {
                let value = int_of(&contents).ok_or_else(|| corrupt("it is no whole number"))?;
                columns.push_le(*id, &value.to_le_bytes());
                columns.push_valid(*id);
            }
            Content::Tree(coding, decoder) => push_tree(*coding, decoder, columns, &contents)?,
            Content::Array(array) => array.push(columns, &contents)?,
            Content::Arrays(arrays) => push_arrays(arrays, columns, &contents, bounds)?,
        }
        Ok(())
    }
}

fn push_tree(coding: Coding, decoder: &MessageDecoder, columns: &mut Columns, contents: &[u8]) -> Result<()> {
    let respelled;
    let message = match coding {
        Coding::Json => {
            if let Some((at, digits)) = whole_beyond_64_bits(contents) {
                let message = format!("the whole number {digits} at its byte {at} is beyond 64 bits");
                return Err(corrupt(message));
            }
            // Names of numbers that are not finite begin so.
            let may_be_loose = contents.iter().any(|it| matches!(it, b'N' | b'I'));
            respelled = if may_be_loose { decoder.respelled(contents) } else { None };
            respelled.as_deref().unwrap_or(contents)
        }
        Coding::Msgpack => {
            let spelled = to_cbor(contents).map_err(|err| match err {
                NoCbor::Corrupt(message, at) => corrupt(format!("{message}, at its byte {at}")),
                NoCbor::Extension => corrupt("it holds a type that is its application's own"),
            })?;
            respelled = Some(spelled);
            respelled.as_deref().unwrap_or_default()
        }
        _ => contents,
    };
    let decoded = decoder.decode_with(message, columns, &mut Pixels::default(), &mut RowMedia::default());
    // Its hint speaks of topics.
    decoded.map(drop).map_err(|err| Error::new(err.kind(), err.chain()).at(err.locus().clone()))
}

fn push_arrays(
    arrays: &[(String, ArrayTarget)],
    columns: &mut Columns,
    contents: &[u8],
    bounds: Bounds,
) -> Result<()> {
    let entries = npz::entries(contents).map_err(no_array)?;
    if let Some(other) = entries.iter().find(|it| !arrays.iter().any(|array| array.0 == it.name)) {
        return Err(corrupt(format!("no other has the array `{}`", other.name)));
    }
    // What all arrays of one member may have together.
    let mut left = bounds.of(contents.len() as u64);
    for (name, array) in arrays {
        match entries.iter().find(|it| it.name == *name) {
            None if array.is_optional() => array.push_absent(columns),
            None => return Err(corrupt(format!("it is without the array `{name}`"))),
            Some(entry) => {
                let bounds = Bounds { bytes_max: left, ..bounds };
                let values = entry.read(bounds).map_err(with_ratio_hint)?;
                left = left.saturating_sub(values.len() as u64);
                array.push(columns, &values)?;
            }
        }
    }
    Ok(())
}

pub(super) fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

pub(super) fn no_array(why: NoArray) -> Error {
    match why {
        NoArray::Corrupt(message) => corrupt(message),
        NoArray::Other(message) => corrupt(format!("it {message}")),
    }
}

/// The array that begins so.
pub(super) fn header(contents: &[u8]) -> Result<Npy> {
    Npy::header(contents).map_err(no_array)
}

fn with_ratio_hint(err: Error) -> Error {
    match err.kind() {
        ErrorKind::Limit => {
            let name = UNPACK_RATIO_MAX.name;
            err.with_hint(format!("`--set source.{name}=N` lets more come out"))
        }
        _ => err,
    }
}
