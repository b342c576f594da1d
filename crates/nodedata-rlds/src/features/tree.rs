use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Locus, Result};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{legacy, modern};

/// Features inside one another at most: what is real has a handful, and every walk of the tree goes as deep.
const DEPTH_MAX: usize = 64;

/// What `features.json` says.
#[derive(Debug)]
pub(crate) struct FeatureTree(Value);

/// A feature.
#[derive(Debug)]
pub(crate) struct Node {
    /// What it is, for people.
    pub(crate) description: String,
    pub(crate) kind: Kind,
}

/// What a feature holds.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Features by name.
    Dict(BTreeMap<String, Node>),
    /// Many of one feature, as many as `length` where that is known: a `Sequence`, a `Dataset`, a video.
    Sequence { item: Box<Node>, length: Option<u32> },
    /// Values of one type.
    Tensor(Tensor),
    /// An encoded image.
    Image { dtype: String, shape: Vec<Option<u32>> },
    /// A text.
    Text,
    /// The number of a class whose name may be in a file.
    Label,
    /// What cannot be read, and why.
    Unreadable(String),
}

/// Values of one type, as many as the shape says. A dimension that is not known may differ from value to value.
#[derive(Debug, Default)]
pub(crate) struct Tensor {
    pub(crate) dtype: String,
    pub(crate) shape: Vec<Option<u32>>,
    /// `none`, `bytes` or `zlib`.
    pub(crate) encoding: String,
    /// Facts of its kind, such as the rate of audio.
    pub(crate) metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for FeatureTree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self)
    }
}

impl FeatureTree {
    /// The feature that a record is.
    ///
    /// # Errors
    /// `Limit` when features lie too deep in one another.
    pub(crate) fn root(&self) -> Result<Node> {
        node(&self.0, &Path::default())
    }
}

/// Where a feature lies.
#[derive(Debug, Clone, Default)]
pub(super) struct Path {
    name: String,
    depth: usize,
}

impl Path {
    /// Of a member.
    pub(super) fn member(&self, name: &str) -> Self {
        let dot = if self.name.is_empty() { "" } else { "." };
        Self { name: format!("{}{dot}{name}", self.name), depth: self.depth + 1 }
    }

    /// Of what a feature holds many of.
    pub(super) fn item(&self) -> Self {
        Self { name: self.name.clone(), depth: self.depth + 1 }
    }
}

/// The feature that a value describes, in whichever form.
///
/// # Errors
/// `Limit` when it lies too deep.
pub(super) fn node(value: &Value, path: &Path) -> Result<Node> {
    if path.depth > DEPTH_MAX {
        let message = format!("features lie more than {DEPTH_MAX} deep in one another");
        return Err(Error::new(ErrorKind::Limit, message).at(Locus::feature(&path.name)).with_hint(
            "no dataset of TFDS does; fetch `features.json` again from where the dataset came from",
        ));
    }
    let is_legacy = value.get("type").is_some_and(Value::is_string) && value.get("content").is_some();
    if is_legacy { legacy::node(value, path) } else { modern::node(value, path) }
}

impl Node {
    /// A feature that nothing is said about.
    pub(super) fn new(kind: Kind) -> Self {
        Self { description: String::new(), kind }
    }

    /// The feature of that name, of those that it holds.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Dict(members) => members.get(name),
            _ => None,
        }
    }
}

impl Kind {
    pub(super) fn unreadable(why: impl Into<String>) -> Self {
        Self::Unreadable(why.into())
    }
}
