use std::collections::BTreeMap;

use nodedata_core::{DType, Dim, Error, ErrorKind, Feature, Result, Storage, meta};
use nodedata_steps::name_in_table;
use serde::{Deserialize, de::IgnoredAny};

use crate::{example::ListKind, metadata::Number};

/// Where the steps of an episode lie.
const STEPS_KEY: &str = "steps";

/// A node of `features.json`, as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Node {
    python_class_name: String,
    description: String,
    features_dict: Option<Dict>,
    sequence: Option<Sequence>,
    tensor: Option<Tensor>,
    image: Option<Image>,
    text: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Dict {
    features: BTreeMap<String, Node>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sequence {
    feature: Box<Node>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tensor {
    dtype: String,
    encoding: String,
    shape: Shape,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Image {
    dtype: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Shape {
    dimensions: Vec<Option<Number>>,
}

/// A feature that has values in a record.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// Its key in a record.
    pub(crate) key: String,
    /// Whether it has values for each step, and not for the episode as a whole.
    pub(crate) is_step: bool,
    /// What becomes of it.
    pub(crate) feature: Feature,
    /// Values of a step, or of the episode.
    pub(crate) n_values: u64,
    /// Why it cannot be read, where it cannot.
    pub(crate) unsupported: Option<String>,
}

impl Leaf {
    /// As what its values are stored.
    pub(crate) fn list_kind(&self) -> ListKind {
        match self.feature.stored_dtype() {
            DType::String | DType::Bytes => ListKind::Bytes,
            DType::Float16 | DType::Float32 | DType::Float64 => ListKind::Float,
            DType::Bool
            | DType::Int8
            | DType::Int16
            | DType::Int32
            | DType::Int64
            | DType::UInt8
            | DType::UInt16
            | DType::UInt32
            | DType::UInt64 => ListKind::Int,
        }
    }
}

/// The leaves of a dataset of episodes, in the order of their keys.
///
/// # Errors
/// `Unsupported` when there are no steps, or two features would have one name.
pub(crate) fn leaves(root: &Node) -> Result<Vec<Leaf>> {
    let refused =
        |message: String, hint: &str| Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint));
    let Some(dict) = &root.features_dict else {
        let hint =
            "TFDS 4.5 and later write the newer form when they load the dataset and save its `info` again";
        return refused("the features are described in a form that is not read yet".to_owned(), hint);
    };
    let steps = dict.features.get(STEPS_KEY).and_then(|it| it.sequence.as_ref());
    let Some(steps) = steps.and_then(|it| it.feature.features_dict.as_ref()) else {
        let hint = "only TFDS datasets of episodes (RLDS) are read; others have a row a record";
        return refused("no feature is called `steps` and has features for each step".to_owned(), hint);
    };
    let mut found = Vec::new();
    for (name, node) in dict.features.iter().filter(|it| it.0 != STEPS_KEY) {
        collect(node, name.clone(), name.clone(), false, &mut found);
    }
    for (name, node) in &steps.features {
        collect(node, format!("{STEPS_KEY}/{name}"), name.clone(), true, &mut found);
    }
    if !found.iter().any(|it| it.is_step && it.unsupported.is_none()) {
        let hint = "nothing else tells how many steps an episode has";
        return refused("no feature of the steps is of a kind that is read yet".to_owned(), hint);
    }
    let mut names: Vec<&str> = found.iter().map(|it| it.feature.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|it| it[0] == it[1]) {
        let hint = "rename one of them in `features.json` and in the records";
        return refused(format!("two features would be called `{}`", twice[0]), hint);
    }
    Ok(found)
}

/// The leaves at and below a node. Depth is bounded by that of the JSON.
fn collect(node: &Node, key: String, name: String, is_step: bool, found: &mut Vec<Leaf>) {
    if let Some(dict) = &node.features_dict {
        for (part, child) in &dict.features {
            collect(child, format!("{key}/{part}"), format!("{name}.{part}"), is_step, found);
        }
        return;
    }
    let name = if is_step { name_in_table(&name) } else { name };
    let mut leaf = Leaf {
        key,
        is_step,
        feature: Feature::new(&name, DType::Bytes, Vec::new()),
        n_values: 1,
        unsupported: None,
    };
    match node.described(&name) {
        Ok((feature, n_values)) => (leaf.feature, leaf.n_values) = (feature, n_values),
        Err(why) => leaf.unsupported = Some(why),
    }
    if !is_step && leaf.unsupported.is_none() && !leaf.is_scalar() {
        leaf.unsupported = Some("is of the whole episode and no scalar".to_owned());
    }
    if !node.description.is_empty() {
        leaf.feature = leaf.feature.with_meta(meta::DESCRIPTION, &node.description);
    }
    found.push(leaf);
}

impl Leaf {
    fn is_scalar(&self) -> bool {
        self.feature.shape.is_empty() && self.feature.storage == Storage::Plain
    }
}

impl Node {
    /// The feature and its values a step, or why it cannot be read.
    fn described(&self, name: &str) -> Result<(Feature, u64), String> {
        if let Some(tensor) = &self.tensor {
            return tensor.described(name);
        }
        if let Some(image) = &self.image {
            let dtype = match image.dtype.as_str() {
                "" | "uint8" => DType::UInt8,
                "uint16" => DType::UInt16,
                other => return Err(format!("is an image of {other}")),
            };
            let feature = Feature::new(name, dtype, Vec::new());
            return Ok((Feature { storage: Storage::EncodedMedia, ..feature }, 1));
        }
        if self.text.is_some() {
            return Ok((Feature::new(name, DType::String, Vec::new()), 1));
        }
        let class = self.python_class_name.rsplit('.').next().filter(|it| !it.is_empty());
        Err(format!("is a `{}`", class.unwrap_or("feature of no known kind")))
    }
}

impl Tensor {
    fn described(&self, name: &str) -> Result<(Feature, u64), String> {
        if !matches!(self.encoding.as_str(), "" | "none") {
            return Err(format!("is a tensor encoded as `{}`", self.encoding));
        }
        let dtype = DType::from_name(&self.dtype).filter(|it| *it != DType::Bytes);
        let dtype = dtype.ok_or_else(|| format!("is a tensor of `{}`", self.dtype))?;
        let mut dims = Vec::new();
        let mut n_values = 1u64;
        for dim in &self.shape.dimensions {
            let told = dim.as_ref().and_then(Number::value);
            let n = told.and_then(|it| i32::try_from(it).ok()).filter(|it| *it > 0);
            let n = n.ok_or("is a tensor without a fixed shape")?;
            dims.push(Dim::Fixed(n.unsigned_abs()));
            let product = n_values.checked_mul(u64::from(n.unsigned_abs()));
            n_values = product.filter(|it| *it <= i32::MAX as u64).ok_or("is a tensor of too many values")?;
        }
        let feature = Feature::new(name, dtype, dims);
        Ok(match dtype {
            // TFDS stores every float in 32 bits.
            DType::Float64 => (feature.with_meta(meta::SOURCE_TYPE, "float64, stored as float32"), n_values),
            _ => (feature, n_values),
        })
    }
}
