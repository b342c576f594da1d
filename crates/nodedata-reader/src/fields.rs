//! Which features are read, and as what.

use std::{collections::BTreeSet, sync::Arc};

use nodedata_core::{DType, Dim, Error, ErrorKind, Locus, Result, suggest};
use serde_json::json;

use crate::{
    rows::item_bytes,
    split::{FeatureInfo, Form, MediaKind, image_shape},
};

/// Which features are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldsRequest {
    /// Names, each with as what it is read, in the order in which columns come. `None`: all features but those that are there for
    /// others ([`FeatureInfo::is_aside`]), each decoded where this build decodes it.
    pub fields: Option<Vec<(String, As)>>,
    /// Height and width that pictures are resized to, by feature.
    pub resize: Vec<(String, [u32; 2])>,
}

/// As what a feature is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum As {
    /// What it decodes to.
    #[default]
    Decoded,
    /// The bytes that are stored.
    Bytes,
}

/// Features of one stream that were found, and how each is read. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fields(Arc<[Field]>);

/// One of them.
#[derive(Debug, Clone)]
pub struct Field {
    /// What is read: shape and type are those after resizing.
    pub info: FeatureInfo,
    /// As what.
    pub read_as: As,
    /// Height and width that pictures are resized to.
    pub resize: Option<[u32; 2]>,
}

impl FieldsRequest {
    /// These features, decoded.
    pub fn named<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        let fields = names.into_iter().map(|it| (it.into(), As::Decoded)).collect();
        Self { fields: Some(fields), resize: Vec::new() }
    }

    /// Finds the features.
    ///
    /// # Errors
    /// `Config` with every mistake: names that are none, or that come twice, features that have no bytes of their own, or that are no
    /// pictures and are to be resized.
    pub(crate) fn find(&self, features: &[FeatureInfo]) -> Result<Fields> {
        let mut mistakes = Mistakes::default();
        let mut found = match &self.fields {
            None => features.iter().filter(|it| !it.is_aside).map(Field::by_default).collect(),
            Some(fields) => named(fields, features, &mut mistakes),
        };
        let mut seen = BTreeSet::new();
        for (name, size) in &self.resize {
            if !seen.insert(name) {
                mistakes.add(name, format!("`{name}` is resized twice"), "name it once");
                continue;
            }
            match found.iter_mut().find(|it| *it.info.name == **name) {
                Some(field) => field.resize_to(*size, &mut mistakes),
                None if features.iter().any(|it| *it.name == **name) => {
                    let hint = "name it among the fields, or do not resize it";
                    mistakes.add(name, format!("`{name}` is resized and not read"), hint);
                }
                None => mistakes.unknown(name, features),
            }
        }
        mistakes.finish()?;
        Ok(Fields(found.into()))
    }
}

fn named(fields: &[(String, As)], features: &[FeatureInfo], mistakes: &mut Mistakes) -> Vec<Field> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::with_capacity(fields.len());
    for (name, read_as) in fields {
        let Some(info) = features.iter().find(|it| *it.name == **name) else {
            mistakes.unknown(name, features);
            continue;
        };
        if !seen.insert(name) {
            mistakes.add(name, format!("`{name}` is named twice"), "name each field once");
            continue;
        }
        match read_as {
            As::Decoded if info.is_decoded => found.push(Field::by_default(info)),
            As::Decoded => {
                let coding = info.encoding.as_deref().unwrap_or("an unknown coding");
                let message = format!("`{name}` is {coding}, which this build does not decode");
                mistakes.add(name, message, "read it as coded bytes");
            }
            As::Bytes => match info.as_bytes() {
                Some(info) => found.push(Field { info, read_as: As::Bytes, resize: None }),
                None => {
                    let message = format!("`{name}` is {}, and has no bytes of its own", info.feature.told());
                    mistakes.add(name, message, "read it as what it is");
                }
            },
        }
    }
    found
}

impl Fields {
    /// The features, in the order in which columns come.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Field> {
        self.0.iter()
    }

    /// The same, to be dealt to threads.
    pub(crate) fn as_slice(&self) -> &[Field] {
        &self.0
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one called `name`.
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.iter().find(|it| *it.info.name == *name)
    }

    /// Those of them that are wanted, in the same order.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&Field) -> bool) -> Self {
        Self(self.iter().filter(|it| wanted(it)).cloned().collect())
    }

    /// Bytes that one row has in memory, as far as shapes tell: text, bytes and lists of any length count nothing.
    pub fn row_bytes(&self) -> u64 {
        self.iter().map(|it| it.row_bytes().unwrap_or(0)).fold(0, u64::saturating_add)
    }

    /// All that decides what is read, as text that is another one where that is another.
    pub fn canonical(&self) -> String {
        let field = |it: &Field| {
            let read_as = match it.read_as {
                As::Decoded => it.info.dtype.name(),
                As::Bytes => "coded",
            };
            json!([&*it.info.name, read_as, it.resize])
        };
        serde_json::Value::Array(self.iter().map(field).collect()).to_string()
    }
}

impl Field {
    fn by_default(info: &FeatureInfo) -> Self {
        let read_as = if info.is_decoded { As::Decoded } else { As::Bytes };
        Self { info: info.clone(), read_as, resize: None }
    }

    /// Whether its rows are pictures that are decoded one by one, or frames of video, so that most of the time goes there.
    pub fn is_costly(&self) -> bool {
        matches!(self.info.form, Form::Pictures(_) | Form::Video(_) | Form::Sound(_))
    }

    /// Whether its rows are pictures or frames of one size, which are decoded to where they are wanted: [`crate::Rooms`].
    pub fn has_room(&self) -> bool {
        match &self.info.form {
            Form::Pictures(form) => form.lists.first() != Some(&Dim::Variable),
            Form::Raw(_) | Form::Video(_) => true,
            Form::Tensor(_) | Form::Ragged(_) | Form::Text | Form::Json | Form::Bytes | Form::Sound(_) => {
                false
            }
        }
    }

    /// Bytes of one row, where its shape tells.
    pub fn row_bytes(&self) -> Option<u64> {
        // Of pictures that nobody tells the size of there is no shape, and they are no scalars.
        let is_told = match &self.info.form {
            Form::Pictures(pictures) => pictures.rank.is_some(),
            Form::Video(_) => !self.info.shape.is_empty(),
            _ => true,
        };
        if !is_told {
            return None;
        }
        let length = |it: &i64| usize::try_from(*it).ok();
        let shape: Vec<usize> = self.info.shape.iter().map(length).collect::<Option<_>>()?;
        item_bytes(self.info.dtype, &shape).map(|it| it as u64)
    }

    fn resize_to(&mut self, size: [u32; 2], mistakes: &mut Mistakes) {
        let name = Arc::clone(&self.info.name);
        let is_decoded = self.read_as == As::Decoded;
        let shape = self.info.resizable().filter(|_| is_decoded);
        let is_pixels = matches!(self.info.dtype, DType::UInt8 | DType::UInt16);
        match shape {
            _ if size.contains(&0) => {
                let message = format!("`{name}` is resized to {} × {}", size[0], size[1]);
                mistakes.add(&name, message, "give a height and a width of 1 at least");
            }
            Some(_) if is_pixels => {
                self.info.shape = resized(&self.info.shape, size);
                self.resize = Some(size);
            }
            _ => {
                let what = match self.read_as {
                    As::Bytes => "read as bytes".to_owned(),
                    As::Decoded => self.info.media.map_or_else(
                        || self.info.feature.told(),
                        |it: MediaKind| format!("{} of {}", it.name(), self.info.dtype),
                    ),
                };
                let message = format!("`{name}` is {what}, and is no picture that can be resized");
                mistakes.add(&name, message, "resize pictures of uint8 and uint16, decoded");
            }
        }
    }
}

/// A shape with another height and width.
fn resized(shape: &[i64], [height, width]: [u32; 2]) -> Vec<i64> {
    let rest = match shape {
        [_, _, rest @ ..] => rest,
        // Nothing tells whether they have colours.
        _ => &[-1],
    };
    [i64::from(height), i64::from(width)].iter().chain(rest).copied().collect()
}

/// All that is wrong with a request.
#[derive(Default)]
struct Mistakes(Vec<Error>);

impl Mistakes {
    fn add(&mut self, feature: &str, message: String, hint: &str) {
        let err = Error::new(ErrorKind::Config, message).at(Locus::feature(feature)).with_hint(hint);
        self.0.push(err);
    }

    fn unknown(&mut self, name: &str, features: &[FeatureInfo]) {
        let hint = suggest(name, features.iter().map(|it| &*it.name));
        self.add(name, format!("there is no feature `{name}`"), &hint);
    }

    fn finish(self) -> Result<()> {
        let mut errors = self.0.into_iter();
        let Some(first) = errors.next() else { return Ok(()) };
        let other = |it: Error| match it.hint() {
            Some(hint) => format!("{it} ({hint})"),
            None => it.to_string(),
        };
        Err(first.with_others(errors.map(other)))
    }
}

impl Field {
    /// The picture that each row is before it is resized, where all are alike.
    pub(crate) fn picture(&self) -> Option<nodedata_media::ImageShape> {
        match &self.info.form {
            Form::Pictures(it) => it.shape,
            Form::Raw(dims) => image_shape(self.info.dtype, dims),
            _ => None,
        }
    }
}
