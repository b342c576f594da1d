use std::collections::BTreeSet;

use nodedata_core::{
    Columns, DType, Dim, Error, ErrorKind, Feature, Layout, LeafId, Level, Locus, Result, Storage, free_name,
    meta,
};

use serde::{Deserialize, Serialize};

use crate::Fit;

use super::{
    decode::decode,
    describe::{Described, Kind, Scalar, UnknownKeys},
    media::RowMedia,
    node::{FixedNode, ListNode, Member, Node, ObjectNode, ScalarNode},
};

/// Columns one message may become.
pub(crate) const LEAVES_MAX: usize = 4096;

/// What the lists and texts of one row may take in the columns. Text takes about what its message does,
/// but an empty object in a list takes a value of every column below it.
const ROW_BYTES_MAX: usize = 256 << 20;
/// What one list item, or a whole row without lists, may take: fixed shapes cost their size when absent.
const ITEM_BYTES_MAX: usize = 64 << 20;

/// The column of a message that is not an object.
const VALUE: &str = "value";
/// The column of keys that the schema does not name.
const EXTRA: &str = "_extra";

/// What it is for.
const EXTRA_STRICT: &str = "keys that the schema does not name, as JSON text";
/// What it is for where values do not fit, either.
const EXTRA_LOOSE: &str =
    "keys that the schema does not name and values that it does not allow, as JSON text";

/// How the data model of JSON is spelled in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wire {
    Json,
    Cbor,
}

/// JSON or CBOR messages of one schema, compiled to columns.
#[derive(Debug)]
pub(crate) struct JsonPlan {
    pub(crate) root: Node,
    /// Nullable JSON text of the keys the schema does not name; null when there are none.
    pub(crate) extra: Option<LeafId>,
    pub(crate) wire: Wire,
    pub(super) row_bytes_max: usize,
    /// Whether a value that is not what the schema says becomes text in `extra` instead of an error.
    pub(super) loose: bool,
}

impl JsonPlan {
    /// Appends the columns of `described` to `layout`.
    ///
    /// # Errors
    /// `Limit` when it has more than 4096 columns, or fixed shapes of more than 64 MiB together.
    pub(crate) fn compile(layout: &mut Layout, described: &Described, wire: Wire) -> Result<Self> {
        Self::compile_as(layout, described, wire, "", false)
    }

    /// As [`Self::compile`], where all of it is the value of something called `name`.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub(crate) fn compile_below(
        layout: &mut Layout,
        described: &Described,
        wire: Wire,
        name: &str,
    ) -> Result<Self> {
        Self::compile_as(layout, described, wire, name, false)
    }

    /// As [`Self::compile`], for messages that may hold other values than those described: every value may be absent, and
    /// what does not fit is kept in `extra`.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub(crate) fn compile_loose(layout: &mut Layout, mut described: Described, wire: Wire) -> Result<Self> {
        described.loosen();
        Self::compile_as(layout, &described, wire, "", true)
    }

    fn compile_as(
        layout: &mut Layout,
        described: &Described,
        wire: Wire,
        name: &str,
        loose: bool,
    ) -> Result<Self> {
        let n_leaves = described.n_leaves();
        if n_leaves > LEAVES_MAX {
            return Err(too_large(format!(
                "the schema describes {n_leaves} columns, more than {LEAVES_MAX}"
            )));
        }
        let mut compiler = Compiler { layout, names: BTreeSet::new(), keeps_unknown: loose };
        let place = Place { name: name.to_owned(), levels: Vec::new(), nullable: false };
        let root = compiler.node(described, &place)?;
        check_size(&root)?;
        let extra = compiler.keeps_unknown.then(|| {
            let feature = Feature::new(compiler.unique(EXTRA), DType::String, Vec::new())
                .nullable()
                .with_meta(meta::ENCODING, "json")
                .with_meta(meta::DESCRIPTION, if loose { EXTRA_LOOSE } else { EXTRA_STRICT });
            compiler.layout.leaf(feature, &[])
        });
        Ok(Self { root, extra, wire, row_bytes_max: ROW_BYTES_MAX, loose })
    }

    /// Pushes one message with the media that it refers to, and tells whether any value of it stands in `extra` because it
    /// does not fit.
    ///
    /// # Errors
    /// `Corrupt` with the feature when the bytes are not what the schema declares; `Limit` when the
    /// lists, texts and media of the row would take more than 256 MiB.
    pub(crate) fn decode(&self, payload: &[u8], columns: &mut Columns, media: &mut RowMedia) -> Result<Fit> {
        decode(self, payload, columns, media)
    }
}

/// Where a value's columns go.
struct Place {
    name: String,
    levels: Vec<Level>,
    nullable: bool,
}

struct Compiler<'a> {
    layout: &'a mut Layout,
    names: BTreeSet<String>,
    keeps_unknown: bool,
}

impl Compiler<'_> {
    fn node(&mut self, described: &Described, place: &Place) -> Result<Node> {
        let nullable = place.nullable || described.nullable;
        Ok(match &described.kind {
            Kind::Scalar(scalar) => {
                let id = self.leaf(described, *scalar, place, &place.levels);
                Node::Scalar(ScalarNode { id, scalar: *scalar, nullable })
            }
            Kind::Fixed { scalar, dims } => {
                let mut levels = place.levels.clone();
                levels.extend(dims.iter().map(|dim| Level::Fixed(*dim)));
                let id = self.leaf(described, *scalar, place, &levels);
                Node::Fixed(FixedNode { id, scalar: *scalar, dims: dims.clone(), nullable })
            }
            Kind::List(item) => {
                let id = self.layout.list(&place.levels, nullable);
                let levels = [place.levels.as_slice(), &[Level::List(id)]].concat();
                let below = Place { name: place.name.clone(), levels, nullable };
                let item = self.node(item, &below)?;
                let item_bytes = check_size(&item)?;
                Node::List(ListNode { id, nullable, item: Box::new(item), item_bytes })
            }
            Kind::Object { members, unknown } => {
                let mut compiled = Vec::with_capacity(members.len());
                for member in members {
                    let name = match place.name.as_str() {
                        "" => member.key.clone(),
                        above => format!("{above}.{}", member.key),
                    };
                    let below = Place { name, levels: place.levels.clone(), nullable };
                    let node = self.node(&member.value, &below)?;
                    compiled.push(Member { key: member.key.clone(), required: member.required, node });
                }
                self.keeps_unknown |= *unknown == UnknownKeys::Kept;
                Node::Object(ObjectNode {
                    by_key: order_keys(&compiled)?,
                    members: compiled,
                    unknown: *unknown,
                    nullable,
                })
            }
        })
    }

    fn leaf(&mut self, described: &Described, scalar: Scalar, place: &Place, levels: &[Level]) -> LeafId {
        let dtype = match scalar {
            Scalar::Bool => DType::Bool,
            Scalar::Int64 | Scalar::Nanos => DType::Int64,
            Scalar::UInt64 => DType::UInt64,
            Scalar::Float64 => DType::Float64,
            Scalar::String | Scalar::JsonText => DType::String,
            Scalar::Bytes | Scalar::Media => DType::Bytes,
        };
        let name = self.unique(if place.name.is_empty() { VALUE } else { &place.name });
        let shape: Vec<Dim> = Layout::shape(levels);
        let mut feature = Feature::new(name, dtype, shape);
        feature.nullable = place.nullable || described.nullable;
        if let Some(description) = &described.description {
            feature = feature.with_meta(meta::DESCRIPTION, description);
        }
        match scalar {
            Scalar::JsonText => feature = feature.with_meta(meta::ENCODING, "json"),
            Scalar::Nanos => feature = feature.with_meta(meta::UNIT, "ns"),
            Scalar::Media => {
                feature.storage = Storage::EncodedMedia;
                feature.lists = std::mem::take(&mut feature.shape);
            }
            _ => {}
        }
        self.layout.leaf(feature, levels)
    }

    /// `{"a.b":1,"a":{"b":2}}` gives two columns one name: the later gets a number.
    fn unique(&mut self, name: &str) -> String {
        let unique = free_name(name, |it| self.names.contains(it));
        self.names.insert(unique.clone());
        unique
    }
}

/// Bytes one value costs at least.
fn check_size(node: &Node) -> Result<usize> {
    match node.n_bytes_min() {
        n_bytes @ ..=ITEM_BYTES_MAX => Ok(n_bytes),
        n_bytes => Err(too_large(format!(
            "one value of the schema takes {n_bytes} bytes, more than {ITEM_BYTES_MAX}"
        ))),
    }
}

fn too_large(message: String) -> Error {
    Error::new(ErrorKind::Limit, message)
        .with_hint("`--undecoded TOPIC` keeps the messages of this topic as bytes")
}

fn order_keys(members: &[Member]) -> Result<Vec<usize>> {
    let mut by_key: Vec<usize> = (0..members.len()).collect();
    by_key.sort_by(|a, b| members[*a].key.cmp(&members[*b].key));
    for pair in by_key.windows(2) {
        if members[pair[0]].key == members[pair[1]].key {
            let key = &members[pair[0]].key;
            return Err(Error::new(ErrorKind::Corrupt, format!("key `{key}` is described twice"))
                .at(Locus::feature(key)));
        }
    }
    Ok(by_key)
}
