use std::path::Path;

use bytes::Bytes;
use nodedata_core::{Finding, Findings, Locus, Result};
use nodedata_media::sniff_file;
use nodedata_message::{JsonInference, JsonKind, JsonType, Place, is_cbor, whole_beyond_64_bits};

use super::{
    FieldKind, LearnedField,
    arrays::{Opaque, SeenArray, SeenArrays},
};
use crate::{
    group::FIELDS_MAX,
    member::{
        Coding, int_of,
        msgpack::{NoCbor, to_cbor},
        npy::{HEADER_BYTES_MAX, NoArray, Npy},
        npz,
    },
};

/// Bytes that tell what a picture or a clip is.
const MAGIC_BYTES: u64 = 64;

/// Endings of recordings that could be read if they were files.
const RECORDINGS: [&str; 6] = ["mcap", "bag", "db3", "hdf5", "h5", "jsonl"];

/// What was seen of a field.
#[derive(Debug)]
pub(crate) struct SeenField {
    /// Samples that have it.
    n: u64,
    first: Place,
    content: Content,
    /// Why its members stay bytes.
    opaque: Opaque,
}

/// What was seen of its members.
#[derive(Debug)]
enum Content {
    /// Nobody looks into them.
    Unread,
    Text,
    /// The first that is no number.
    Int(Option<Place>),
    Tree(Coding, Box<JsonInference>),
    Array(SeenArray),
    Arrays(SeenArrays),
    /// The first that is one, and the first of those that are none.
    Media {
        some: Option<Place>,
        others: Option<Place>,
        n_others: u64,
    },
}

/// Where the contents of a member are to be had.
pub(crate) trait Contents {
    /// All of them.
    ///
    /// # Errors
    /// `Io`, and what is wrong with them.
    fn all(&self) -> Result<Bytes>;

    /// The first of them, at least so many where there are.
    ///
    /// # Errors
    /// As [`Self::all`].
    fn head(&self, n_bytes: u64) -> Result<Bytes>;
}

impl SeenField {
    /// Of a field that nothing was seen of yet; `is_raw` where its members are to stay bytes.
    pub(crate) fn new(coding: Coding, is_raw: bool, first: Place) -> Self {
        let content = match coding {
            _ if is_raw => Content::Unread,
            Coding::Never => Content::Unread,
            Coding::Text => Content::Text,
            Coding::Int => Content::Int(None),
            Coding::Json => Content::Tree(coding, Box::new(JsonInference::rows())),
            Coding::Cbor | Coding::Msgpack => Content::Tree(coding, Box::new(JsonInference::cbor())),
            Coding::Npy => Content::Array(SeenArray::default()),
            Coding::Npz => Content::Arrays(SeenArrays::default()),
            Coding::Media | Coding::Other => Content::Media { some: None, others: None, n_others: 0 },
        };
        Self { n: 0, first, content, opaque: None }
    }

    /// Takes one member into account. Damage leaves no trace: reading knows its cost. Tells how many bytes come out of it, as far
    /// as it is looked into.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn observe(&mut self, member: &dyn Contents, place: Place) -> Result<u64> {
        self.n += 1;
        let needed = match &self.content {
            Content::Unread => return Ok(0),
            // What is bytes already is not looked at.
            _ if self.opaque.is_some() => return Ok(0),
            Content::Media { .. } => member.head(MAGIC_BYTES),
            Content::Array(_) => member.head(HEADER_BYTES_MAX),
            _ => member.all(),
        };
        let bytes = match needed {
            Ok(bytes) => bytes,
            Err(err) if err.kind() == nodedata_core::ErrorKind::Io => return Err(err),
            Err(_) => return Ok(0),
        };
        let n_unpacked = match &self.content {
            Content::Arrays(_) => npz::n_unpacked(&bytes),
            _ => bytes.len() as u64,
        };
        self.look(&bytes, place);
        Ok(n_unpacked)
    }

    fn look(&mut self, bytes: &Bytes, place: Place) {
        let opaque = &mut self.opaque;
        let is_text = || str::from_utf8(bytes).is_ok();
        match &mut self.content {
            Content::Unread => {}
            Content::Text if is_text() => {}
            Content::Int(_) | Content::Text if !is_text() => {
                opaque.get_or_insert(("is no UTF-8".to_owned(), place));
            }
            Content::Text => {}
            Content::Int(other) => {
                if int_of(bytes).is_none() {
                    other.get_or_insert(place);
                }
            }
            Content::Tree(Coding::Json, inference) => {
                if whole_beyond_64_bits(bytes).is_none() {
                    // One that is no JSON is damage.
                    let _left_to_reading = inference.observe_whole(bytes, place);
                }
            }
            Content::Tree(coding, inference) => observe_cbor(*coding, bytes, place, inference, opaque),
            Content::Array(seen) => seen.observe(Npy::header(bytes), place, opaque),
            Content::Arrays(seen) => match npz::entries(bytes) {
                Ok(entries) => {
                    let header = |it: &npz::Entry<'_>| {
                        let head = it.head(HEADER_BYTES_MAX);
                        (it.name.clone(), head.and_then(|head| Npy::header(&head)))
                    };
                    seen.observe(entries.iter().map(header).collect(), place, opaque);
                    if FIELDS_MAX < seen.n_arrays() {
                        let message = format!("brings the arrays to more than {FIELDS_MAX}");
                        opaque.get_or_insert((message, place));
                    }
                }
                Err(NoArray::Other(message)) => drop(opaque.get_or_insert((message, place))),
                Err(NoArray::Corrupt(_)) => {}
            },
            Content::Media { some, others, n_others } => {
                if sniff_file(bytes).is_some() {
                    some.get_or_insert(place);
                } else {
                    others.get_or_insert(place);
                    *n_others += 1;
                }
            }
        }
    }

    /// Takes in what was seen in files that follow. Both must be of one field.
    pub(crate) fn merge(&mut self, later: Self) {
        self.n += later.n;
        let place = later.first;
        match (&mut self.content, later.content) {
            (Content::Int(mine), Content::Int(its)) => *mine = mine.or(its),
            (Content::Tree(_, mine), Content::Tree(_, its)) => mine.merge(*its),
            (Content::Array(mine), Content::Array(its)) => mine.merge(its, place, &mut self.opaque),
            (Content::Arrays(mine), Content::Arrays(its)) => mine.merge(its, place, &mut self.opaque),
            (
                Content::Media { some, others, n_others },
                Content::Media { some: its, others: its_others, n_others: its_n },
            ) => {
                *some = some.or(its);
                *others = others.or(its_others);
                *n_others += its_n;
            }
            _ => {}
        }
        self.opaque = self.opaque.take().or(later.opaque);
    }

    /// What there is to say of the field called `name`, of so many samples. What its members are not is told.
    pub(crate) fn finish(
        self,
        name: &str,
        n_samples: u64,
        inputs: &[&Path],
        findings: &mut Findings,
    ) -> LearnedField {
        let is_optional = self.n < n_samples;
        let mut teller = Teller { name, inputs, findings };
        let kind = match self.opaque {
            Some((message, place)) => {
                let message = format!("a member `{name}` {message}: all members `{name}` are kept as bytes");
                teller.warn("kept_as_bytes", message, place);
                FieldKind::Bytes
            }
            None => self.content.kind(self.n, self.first, is_optional, &mut teller),
        };
        LearnedField { name: name.to_owned(), kind, is_optional }
    }
}

/// Who tells of a field.
struct Teller<'a> {
    name: &'a str,
    inputs: &'a [&'a Path],
    findings: &'a mut Findings,
}

impl Teller<'_> {
    fn warn(&mut self, reason: &str, message: String, place: Place) {
        let path = self.inputs[place.input as usize];
        let feature = Some(self.name.to_owned());
        let at = Locus { byte_offset: Some(place.at), feature, ..Locus::path(path) };
        self.findings.push(Finding { reason: reason.to_owned(), ..Finding::warning(message, at) });
    }
}

impl Content {
    /// What `n` members become, the first of which lies at a place.
    fn kind(self, n: u64, first: Place, is_optional: bool, teller: &mut Teller<'_>) -> FieldKind {
        let name = teller.name;
        let coding = Coding::of(name).0;
        match self {
            Self::Unread => {
                if coding == Coding::Never {
                    let message = format!("{n} members `{name}` are never opened: they are kept as bytes");
                    teller.warn("never_opened", message, first);
                }
                FieldKind::Bytes
            }
            Self::Text => FieldKind::Text,
            Self::Int(None) => FieldKind::Int,
            Self::Int(Some(place)) => {
                let message =
                    format!("a member `{name}` is no whole number: all members `{name}` are kept as text");
                teller.warn("kept_as_text", message, place);
                FieldKind::Text
            }
            Self::Tree(coding, inference) => {
                let types = tree_type(&inference, first, is_optional, teller);
                match coding {
                    Coding::Json => FieldKind::Json(types),
                    Coding::Msgpack => FieldKind::Msgpack(types),
                    _ => FieldKind::Cbor(types),
                }
            }
            Self::Array(seen) => FieldKind::Array(seen.types(is_optional)),
            Self::Arrays(seen) => FieldKind::Arrays(seen.types(is_optional)),
            Self::Media { some: Some(_), others: None, .. } => FieldKind::Media,
            Self::Media { some: Some(_), others: Some(place), n_others } if coding == Coding::Media => {
                let message = format!("{n_others} members `{name}` are no picture or clip of a known kind");
                teller.warn("unknown_media", message, place);
                FieldKind::Media
            }
            Self::Media { others, .. } => {
                if coding == Coding::Media {
                    let message = format!("no member `{name}` is a picture or clip of a known kind");
                    teller.warn("unknown_media", message, others.unwrap_or(first));
                }
                if RECORDINGS.contains(&name.rsplit('.').next().unwrap_or(name)) {
                    let message = format!(
                        "{n} members `{name}` may be recordings, which are kept as bytes here: `tar -xf` unpacks them \
                         to be converted"
                    );
                    teller.warn("recordings", message, first);
                }
                FieldKind::Bytes
            }
        }
    }
}

/// The type of trees. What no type holds is told.
fn tree_type(
    inference: &JsonInference,
    first: Place,
    is_optional: bool,
    teller: &mut Teller<'_>,
) -> JsonType {
    let (types, conflicts) = inference.types();
    for conflict in conflicts {
        let mut kinds = conflict.kinds;
        kinds.sort_by_key(|it| (it.1.input, it.1.at));
        let words: Vec<&str> = kinds.iter().map(|it| it.0).collect();
        let at = kinds.last().map_or(first, |it| it.1);
        let path = match conflict.field.as_str() {
            "" => teller.name.to_owned(),
            below => format!("{}.{below}", teller.name),
        };
        let message = format!("`{path}` is {}: it is kept as JSON text", words.join(" and "));
        teller.warn("mixed_kinds", message, at);
    }
    let types = if inference.is_empty() { JsonType::from(JsonKind::Json) } else { types };
    // What is absent and what is null are one.
    JsonType { nullable: types.nullable || is_optional, ..types }
}

fn observe_cbor(
    coding: Coding,
    bytes: &Bytes,
    place: Place,
    inference: &mut JsonInference,
    opaque: &mut Opaque,
) {
    let spelled = match coding {
        Coding::Msgpack => to_cbor(bytes).map(Bytes::from),
        _ => Ok(bytes.clone()),
    };
    match spelled {
        Ok(cbor) => {
            let is_observed = inference.observe_whole(&cbor, place).is_ok();
            // Keys that are no text, for one, are sound.
            if !is_observed && is_cbor(&cbor) {
                opaque.get_or_insert(("holds what JSON has no spelling for".to_owned(), place));
            }
        }
        Err(NoCbor::Extension) => {
            opaque.get_or_insert(("holds a type that is its application's own".to_owned(), place));
        }
        Err(NoCbor::Corrupt(..)) => {}
    }
}
