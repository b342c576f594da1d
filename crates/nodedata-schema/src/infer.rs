use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::{
    Batch, DType, Dim, MediaShape, Nested, NestedDim, NestedItems, STEPS, StreamId, StreamSchema,
};
use serde::{Deserialize, Serialize};

use crate::{FieldSchema, Fields, Mode, Schema, compare::MIXED};

/// Learns the schema of a source from its rows while they pass: types come from the stream schemas, the
/// lengths of variable dimensions and the shapes of images from the rows.
///
/// Several builders may each see a part of the rows; merged in any order they give the same schema.
#[derive(Debug, Clone)]
pub struct SchemaBuilder {
    streams: Vec<StreamSchema>,
    /// By position of the stream and of the column.
    seen: Vec<Vec<Seen>>,
}

/// What a [`SchemaBuilder`] has seen, by name of the stream, to be kept and taken in again later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Observations(BTreeMap<String, Vec<Seen>>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// By dimension of the column, see [`nodedata_core::Feature::dims`]; fixed ones stay `Unseen`.
    lengths: Vec<Length>,
    media: MediaSeen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
enum Length {
    #[default]
    Unseen,
    Constant(usize),
    Varies,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct MediaSeen {
    encodings: BTreeSet<String>,
    tensor: Option<Tensor>,
    /// Samples a second of clips: a length like others. Absent from what is kept of pictures.
    #[serde(default, skip_serializing_if = "Length::is_unseen")]
    rate_hz: Length,
}

/// What decoded frames are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Tensor {
    Like(#[serde(with = "dtype_name")] DType, Vec<Length>),
    /// Frames of different types or ranks: no one tensor type holds them.
    Conflict,
}

/// Types are kept by their names.
mod dtype_name {
    use nodedata_core::DType;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
    pub(super) fn serialize<S: Serializer>(dtype: &DType, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(dtype.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DType, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        DType::from_name(&name).ok_or_else(|| D::Error::custom(format!("no type is called `{name}`")))
    }
}

impl Length {
    fn is_unseen(&self) -> bool {
        *self == Self::Unseen
    }

    fn join(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::Unseen, it) | (it, Self::Unseen) => it,
            (Self::Constant(a), Self::Constant(b)) if a == b => Self::Constant(a),
            _ => Self::Varies,
        };
    }

    fn dim(self) -> Dim {
        match self {
            Self::Constant(n) => u32::try_from(n).map_or(Dim::Variable, Dim::Fixed),
            Self::Unseen | Self::Varies => Dim::Variable,
        }
    }
}

impl SchemaBuilder {
    /// Nothing seen yet. `streams` are those of the source, by [`StreamId`].
    pub fn new(streams: &[StreamSchema]) -> Self {
        let of_column =
            |n_dims: usize| Seen { lengths: vec![Length::Unseen; n_dims], media: MediaSeen::default() };
        let seen = streams
            .iter()
            .map(|it| it.features.iter().map(|it| of_column(it.dims().len())).collect())
            .collect();
        Self { streams: streams.to_vec(), seen }
    }

    /// Takes in the rows of a batch of [`nodedata_core::Source`]. Compares list offsets only; values are
    /// not read.
    ///
    /// # Panics
    /// When the batch does not follow the stream schemas given to [`Self::new`].
    pub fn observe(&mut self, batch: &Batch) {
        let StreamId(idx) = batch.stream;
        let stream = &self.streams[idx as usize];
        let seen = &mut self.seen[idx as usize];
        assert_eq!(batch.rows.num_columns(), stream.features.len(), "a batch of stream {}", stream.name);
        for ((feature, seen), column) in stream.features.iter().zip(&mut *seen).zip(batch.rows.columns()) {
            // A column whose lengths all vary, or that has none, can teach nothing more.
            let open = |(dim, length): (&Dim, &Length)| *dim == Dim::Variable && *length != Length::Varies;
            if !feature.dims().iter().zip(&seen.lengths).any(open) {
                continue;
            }
            let nested = Nested::of(column);
            for ((dim, items), length) in nested.dims.iter().zip(&nested.items).zip(&mut seen.lengths) {
                if let (NestedDim::List(_), false) = (dim, *length == Length::Varies) {
                    length.join(observed(dim, items));
                }
            }
        }
        for pixels in &batch.pixels {
            seen[pixels.column].media.observe(pixels);
        }
    }

    /// Takes in what another builder of the same streams has seen.
    ///
    /// # Panics
    /// When the other builder was made for other streams.
    pub fn merge(&mut self, other: Self) {
        assert_eq!(self.seen.len(), other.seen.len(), "builders of one source");
        for (mine, theirs) in self.seen.iter_mut().flatten().zip(other.seen.into_iter().flatten()) {
            mine.merge(theirs);
        }
    }

    /// What was seen of the streams that had rows, to be kept.
    pub fn observations(&self) -> Observations {
        let nothing = |seen: &[Seen]| {
            seen.iter().all(|it| {
                it.media == MediaSeen::default() && it.lengths.iter().all(|it| *it == Length::Unseen)
            })
        };
        let of_streams = self.streams.iter().zip(&self.seen).filter(|(_, seen)| !nothing(seen));
        Observations(of_streams.map(|(stream, seen)| (stream.name.to_string(), seen.clone())).collect())
    }

    /// Takes in what was kept. A stream that is not one of this builder's, or that has other columns there,
    /// teaches nothing; `false` says that there was one.
    pub fn take_in(&mut self, kept: &Observations) -> bool {
        let mut all = true;
        for (name, theirs) in &kept.0 {
            let at = self.streams.iter().position(|it| *it.name == **name);
            let mine = at.map(|it| &mut self.seen[it]).filter(|mine| {
                let shapes = mine.iter().zip(theirs).all(|(a, b)| a.lengths.len() == b.lengths.len());
                shapes && mine.len() == theirs.len()
            });
            match mine {
                Some(mine) => mine.iter_mut().zip(theirs).for_each(|(mine, it)| mine.merge(it.clone())),
                None => all = false,
            }
        }
        all
    }

    /// The schema of everything seen, with no splits yet. A nullable feature that never was null stays
    /// nullable, because its column type says so.
    pub fn finish(self) -> Schema {
        let mut schema = Schema { mode: Some(Mode::Inferred), ..Schema::default() };
        for (stream, seen) in self.streams.iter().zip(self.seen) {
            let fields: Fields = stream
                .features
                .iter()
                .zip(seen)
                .enumerate()
                .filter(|(idx, _)| !stream.is_built_in(*idx))
                .map(|(_, (feature, seen))| {
                    let mut field = FieldSchema::from_feature(feature);
                    seen.refine(feature.dims().len(), &mut field);
                    (feature.name.clone(), field)
                })
                .collect();
            match &*stream.name {
                STEPS => schema.fields = fields,
                topic => {
                    schema.streams.insert(topic.to_owned(), fields);
                }
            }
        }
        schema
    }
}

impl Seen {
    fn merge(&mut self, theirs: Self) {
        for (length, other) in self.lengths.iter_mut().zip(theirs.lengths) {
            length.join(other);
        }
        self.media.encodings.extend(theirs.media.encodings);
        self.media.rate_hz.join(theirs.media.rate_hz);
        if let Some(tensor) = theirs.media.tensor {
            self.media.join(tensor);
        }
    }

    /// Says what was seen. The first `n_dims` dimensions of the field are those of the column.
    fn refine(self, n_dims: usize, field: &mut FieldSchema) {
        for (dim, length) in field.shape.iter_mut().zip(self.lengths) {
            if *dim == Dim::Variable {
                *dim = length.dim();
            }
        }
        match self.media.encodings.len() {
            0 => {}
            1 => field.encoding = self.media.encodings.into_iter().next(),
            _ => field.encoding = Some(MIXED.to_owned()),
        }
        if let Length::Constant(rate) = self.media.rate_hz {
            field.rate_hz = u32::try_from(rate).ok();
        }
        match self.media.tensor {
            None => {}
            Some(Tensor::Like(dtype, shape)) => {
                field.dtype = dtype;
                field.shape.truncate(n_dims);
                field.shape.extend(shape.into_iter().map(Length::dim));
            }
            Some(Tensor::Conflict) => {
                field.dtype = DType::Bytes;
                field.shape.truncate(n_dims);
            }
        }
    }
}

impl MediaSeen {
    fn observe(&mut self, pixels: &MediaShape) {
        if !self.encodings.contains(&pixels.encoding) {
            self.encodings.insert(pixels.encoding.clone());
        }
        if let Some(rate) = pixels.rate_hz {
            self.rate_hz.join(Length::Constant(rate as usize));
        }
        // Frames that do not tell (a video's frames between key frames, a damaged image) contradict nothing.
        if !pixels.shape.is_empty() {
            let shape = pixels.shape.iter().map(|it| Length::Constant(*it as usize)).collect();
            self.join(Tensor::Like(pixels.dtype, shape));
        }
    }

    fn join(&mut self, other: Tensor) {
        match (&mut self.tensor, other) {
            (None, other) => self.tensor = Some(other),
            (Some(Tensor::Like(dtype, shape)), Tensor::Like(other_dtype, other_shape))
                if *dtype == other_dtype && shape.len() == other_shape.len() =>
            {
                for (length, other) in shape.iter_mut().zip(other_shape) {
                    length.join(other);
                }
            }
            (tensor, _) => *tensor = Some(Tensor::Conflict),
        }
    }
}

/// The length of all lists of one level that are there.
fn observed(dim: &NestedDim, items: &NestedItems) -> Length {
    let NestedDim::List(offsets) = dim else { return Length::Unseen };
    let Some(valid) = &items.valid else {
        if items.n_items == 0 {
            return Length::Unseen;
        }
        let first = offsets.range(0).len();
        let all_like_first = offsets.n_lists_of_len(0, first) == items.n_items;
        return if all_like_first { Length::Constant(first) } else { Length::Varies };
    };
    let mut length = Length::Unseen;
    for idx in valid.valid_indices() {
        length.join(Length::Constant(offsets.range(idx).len()));
        if length == Length::Varies {
            break;
        }
    }
    length
}

#[cfg(test)]
mod tests;
