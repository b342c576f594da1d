use nodedata_core::{DType, Dim, Error, ErrorKind, Feature, Result, Storage, meta};
use nodedata_steps::name_in_table;

use super::tree::{Kind, Node, Tensor};
use crate::example::ListKind;

/// Where the steps of an episode lie.
const STEPS_KEY: &str = "steps";

/// Lists around a value at most, those of its shape included: as many as an array of numpy has dimensions.
const DIMS_MAX: usize = 32;

/// Values of a feature at most that metadata of an episode is for: what the episode is, and not what was recorded.
pub(crate) const FACTS_MAX: u64 = 16;

/// A feature that has values in a record.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    /// Its key in a record, or what its keys begin with.
    pub(crate) key: String,
    /// Whether it has values for each step, and not for the episode as a whole.
    pub(crate) is_step: bool,
    /// What becomes of it.
    pub(crate) feature: Feature,
    /// Sequences around an item, outermost first, and their lengths where they are always the same.
    pub(crate) levels: Vec<Option<u32>>,
    /// The shape of an item: of a tensor, or of an image that becomes one.
    pub(crate) shape: Vec<Option<u32>>,
    /// How an item lies in a record.
    pub(crate) coding: Coding,
    /// Whether it is the number of a class.
    pub(crate) is_label: bool,
    /// Why it cannot be read, where it cannot.
    pub(crate) unsupported: Option<String>,
}

/// How an item lies in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// A value each, row by row.
    Values,
    /// As one value of bytes, each number from its lowest byte.
    Raw,
    /// The same, deflated.
    Zlib,
    /// An encoded image, which stays as it is.
    Image,
    /// Floats as the four channels of a PNG.
    FloatImage,
}

/// How many values each step has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PerStep {
    /// So many, whatever the record.
    Always(u64),
    /// All steps of a record the same number.
    Even,
    /// One more than another.
    Varies,
}

impl Leaf {
    /// As what its values are stored.
    pub(crate) fn list_kind(&self) -> ListKind {
        match self.coding {
            Coding::Values => ListKind::of(self.feature.dtype),
            Coding::Raw | Coding::Zlib | Coding::Image | Coding::FloatImage => ListKind::Bytes,
        }
    }

    /// Whether it has one value, of the episode or of each step, that is not encoded.
    pub(crate) fn is_scalar(&self) -> bool {
        self.coding == Coding::Values && self.levels.is_empty() && self.shape.is_empty()
    }

    /// Whether a value of it is bytes, which no metadata has.
    pub(crate) fn is_bytes(&self) -> bool {
        self.list_kind() == ListKind::Bytes && self.feature.dtype != DType::String
    }

    /// Whether it is of the whole episode and may be more than metadata is for: such are attached to the episode.
    pub(crate) fn may_be_attached(&self) -> bool {
        let mut sizes = self.levels.iter().chain(&self.shape);
        let n_values = sizes.try_fold(1u64, |all, size| size.map(|size| all.saturating_mul(size.into())));
        let is_much = self.is_bytes() || n_values.is_none_or(|it| it > FACTS_MAX);
        !self.is_step && self.unsupported.is_none() && is_much
    }

    /// How many numbers it has, where they may be those of the bytes of a text.
    pub(crate) fn n_codes(&self) -> Option<u64> {
        let is_list =
            self.coding == Coding::Values && self.levels.is_empty() && self.list_kind() == ListKind::Int;
        match self.shape[..] {
            [Some(n)] if is_list => Some(n.into()),
            _ => None,
        }
    }

    /// How many dimensions of an item are not known.
    pub(crate) fn n_open(&self) -> usize {
        self.shape.iter().filter(|it| it.is_none()).count()
    }

    /// Values of an item in the dimensions that are known.
    pub(crate) fn n_known(&self) -> u64 {
        self.shape.iter().flatten().map(|it| u64::from(*it)).product()
    }
}

/// The leaves of a dataset of episodes, in the order of their keys.
///
/// # Errors
/// `Unsupported` when there are no steps, or two features would have one name.
pub(crate) fn leaves(root: &Node) -> Result<Vec<Leaf>> {
    let refused =
        |message: String, hint: &str| Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint));
    let steps = root.member(STEPS_KEY).map(|it| &it.kind);
    let (Kind::Dict(members), Some(Kind::Sequence { item, .. })) = (&root.kind, steps) else {
        let hint = "only TFDS datasets of episodes (RLDS) are read; others have a row a record";
        return refused("no feature is called `steps` and has features for each step".to_owned(), hint);
    };
    let Kind::Dict(steps) = &item.kind else {
        let hint = "only TFDS datasets of episodes (RLDS) are read, whose steps have features by name";
        return refused("the steps have no features by name".to_owned(), hint);
    };
    let mut found = Vec::new();
    for (name, node) in members.iter().filter(|it| it.0 != STEPS_KEY) {
        let place = Place { key: name.clone(), name: dotted(name), is_step: false, levels: Vec::new() };
        collect(node, &place, &mut found);
    }
    for (name, node) in steps {
        let key = format!("{STEPS_KEY}/{name}");
        collect(node, &Place { key, name: dotted(name), is_step: true, levels: Vec::new() }, &mut found);
    }
    if !found.iter().any(|it| it.is_step && it.unsupported.is_none()) {
        let hint = "nothing else tells how many steps an episode has";
        return refused("no feature of the steps is of a kind that is read".to_owned(), hint);
    }
    let mut names: Vec<&str> = found.iter().map(|it| it.feature.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|it| it[0] == it[1]) {
        let hint = "rename one of them in `features.json` and in the records";
        return refused(format!("two features would be called `{}`", twice[0]), hint);
    }
    Ok(found)
}

/// A name as a part of a column's. Written by hand it may be a key of several parts.
fn dotted(name: &str) -> String {
    name.replace('/', ".")
}

/// Where a feature lies.
struct Place {
    key: String,
    name: String,
    is_step: bool,
    /// Of [`Leaf`].
    levels: Vec<Option<u32>>,
}

/// The leaves at and below a node, whose depth is bounded.
fn collect(node: &Node, place: &Place, found: &mut Vec<Leaf>) {
    let Place { key, name, is_step, levels } = place;
    match &node.kind {
        Kind::Dict(members) => {
            for (part, child) in members {
                let (key, name) = (format!("{key}/{part}"), format!("{name}.{}", dotted(part)));
                collect(child, &Place { key, name, is_step: *is_step, levels: levels.clone() }, found);
            }
            return;
        }
        Kind::Sequence { item, length } => {
            let levels = [&levels[..], &[*length]].concat();
            let (key, name) = (key.clone(), name.clone());
            let before = found.len();
            collect(item, &Place { key, name, is_step: *is_step, levels }, found);
            if let [leaf] = &mut found[before..] {
                describe(leaf, &node.description);
            }
            return;
        }
        Kind::Tensor(_) | Kind::Image { .. } | Kind::Text | Kind::Label | Kind::Unreadable(_) => {}
    }
    let mut leaf = Leaf {
        key: key.clone(),
        is_step: *is_step,
        feature: Feature::new(
            if *is_step { name_in_table(name) } else { name.clone() },
            DType::Bytes,
            Vec::new(),
        ),
        levels: levels.clone(),
        shape: Vec::new(),
        coding: Coding::Values,
        is_label: false,
        unsupported: None,
    };
    leaf.unsupported = leaf.take(&node.kind).err();
    describe(&mut leaf, &node.description);
    found.push(leaf);
}

/// What the feature itself says goes before what is said of the sequence around it.
fn describe(leaf: &mut Leaf, description: &str) {
    if !description.is_empty() {
        leaf.feature.metadata.entry(meta::DESCRIPTION.to_owned()).or_insert_with(|| description.to_owned());
    }
}

impl Leaf {
    /// Takes in what a feature holds; says why it cannot be read.
    fn take(&mut self, kind: &Kind) -> Result<(), String> {
        match kind {
            Kind::Tensor(tensor) => self.take_tensor(tensor)?,
            Kind::Image { dtype, shape } => self.take_image(dtype, shape)?,
            Kind::Text => self.feature.dtype = DType::String,
            Kind::Label => {
                self.feature.dtype = DType::Int64;
                self.is_label = true;
            }
            Kind::Unreadable(why) => return Err(why.clone()),
            Kind::Dict(_) | Kind::Sequence { .. } => return Err("has no values itself".to_owned()),
        }
        let lists = self.levels.iter().chain(&self.shape);
        let dims = lists.map(|it| match it {
            Some(0) => Err("has a length of 0".to_owned()),
            Some(n) => Ok(Dim::Fixed(*n)),
            None => Ok(Dim::Variable),
        });
        let dims: Vec<Dim> = dims.collect::<Result<_, _>>()?;
        if dims.len() > DIMS_MAX {
            return Err(format!("has more than {DIMS_MAX} dimensions"));
        }
        let sizes = dims.iter().map(|it| u64::try_from(it.as_i64()).unwrap_or(1));
        let n_values = sizes.fold(1, u64::saturating_mul);
        if n_values > i32::MAX as u64 {
            return Err("has too many values".to_owned());
        }
        match self.coding {
            Coding::Image => self.feature.lists = dims,
            Coding::Values | Coding::Raw | Coding::Zlib | Coding::FloatImage => self.feature.shape = dims,
        }
        Ok(())
    }

    fn take_tensor(&mut self, tensor: &Tensor) -> Result<(), String> {
        let Tensor { dtype, shape, encoding, metadata } = tensor;
        self.feature.metadata.extend(metadata.clone());
        let found = match dtype.as_str() {
            // Of old files, and of those that name the types of numpy.
            "str" | "object" => Some(DType::String),
            name => DType::from_name(name),
        };
        let found = found.ok_or_else(|| format!("is a tensor of `{dtype}`"))?;
        self.coding = match encoding.as_str() {
            "" | "none" => Coding::Values,
            "bytes" => Coding::Raw,
            "zlib" => Coding::Zlib,
            other => return Err(format!("is a tensor encoded as `{other}`")),
        };
        if self.coding != Coding::Values && matches!(found, DType::String | DType::Bytes) {
            return Err(format!("is a tensor of `{dtype}` encoded as `{encoding}`"));
        }
        (self.feature.dtype, self.shape) = (found, shape.clone());
        if found == DType::Float64 && self.coding == Coding::Values {
            // TFDS stores every float that is not encoded in 32 bits.
            let told = "float64, stored as float32".to_owned();
            self.feature.metadata.insert(meta::SOURCE_TYPE.to_owned(), told);
        }
        Ok(())
    }

    fn take_image(&mut self, dtype: &str, shape: &[Option<u32>]) -> Result<(), String> {
        self.feature.dtype = match dtype {
            "" | "uint8" => DType::UInt8,
            "uint16" => DType::UInt16,
            "float32" => DType::Float32,
            other => return Err(format!("is an image of {other}")),
        };
        if self.feature.dtype != DType::Float32 {
            self.coding = Coding::Image;
            self.feature.storage = Storage::EncodedMedia;
            return Ok(());
        }
        let [height, width, Some(1)] = shape else {
            return Err("is an image of floats that has more than one channel".to_owned());
        };
        self.coding = Coding::FloatImage;
        self.shape = vec![*height, *width, Some(1)];
        Ok(())
    }
}
