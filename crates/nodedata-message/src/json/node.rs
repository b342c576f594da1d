use nodedata_core::{Columns, LeafId, ListId};

use super::describe::{Scalar, UnknownKeys};

/// The tree a message is decoded along; its leaves are columns.
#[derive(Debug)]
pub(crate) enum Node {
    Scalar(ScalarNode),
    Fixed(FixedNode),
    List(ListNode),
    Object(ObjectNode),
}

#[derive(Debug)]
pub(crate) struct ScalarNode {
    pub(crate) id: LeafId,
    pub(crate) scalar: Scalar,
    pub(crate) nullable: bool,
}

#[derive(Debug)]
pub(crate) struct FixedNode {
    pub(crate) id: LeafId,
    pub(crate) scalar: Scalar,
    pub(crate) dims: Vec<u32>,
    pub(crate) nullable: bool,
}

#[derive(Debug)]
pub(crate) struct ListNode {
    pub(crate) id: ListId,
    pub(crate) nullable: bool,
    pub(crate) item: Box<Node>,
    /// Bytes one item costs at least, whatever its text in the message costs.
    pub(crate) item_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct ObjectNode {
    pub(crate) members: Vec<Member>,
    /// Positions in `members`, ordered by key.
    pub(crate) by_key: Vec<usize>,
    pub(crate) unknown: UnknownKeys,
    pub(crate) nullable: bool,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) required: bool,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn is_nullable(&self) -> bool {
        match self {
            Self::Scalar(it) => it.nullable,
            Self::Fixed(it) => it.nullable,
            Self::List(it) => it.nullable,
            Self::Object(it) => it.nullable,
        }
    }

    /// Whether no value is a wrong one.
    pub(crate) fn takes_anything(&self) -> bool {
        matches!(self, Self::Scalar(it) if it.scalar == Scalar::JsonText)
    }

    /// Pushes an absent value. The node must be nullable; then so is everything below it.
    pub(crate) fn push_absent(&self, columns: &mut Columns) {
        match self {
            Self::Scalar(it) => columns.push_null(it.id),
            Self::Fixed(it) => columns.push_null(it.id),
            Self::List(it) => columns.push_null_list(it.id),
            Self::Object(it) => it.members.iter().for_each(|member| member.node.push_absent(columns)),
        }
    }

    /// Bytes one value costs at least in the columns.
    pub(crate) fn n_bytes_min(&self) -> usize {
        match self {
            Self::Scalar(_) | Self::List(_) => 8,
            Self::Fixed(it) => it.dims.iter().map(|dim| *dim as usize).product::<usize>().saturating_mul(8),
            Self::Object(it) => {
                it.members.iter().map(|member| member.node.n_bytes_min()).fold(8, usize::saturating_add)
            }
        }
    }
}

impl ObjectNode {
    /// The position of `key`, trying `expected` first: writers keep the order of keys.
    #[inline]
    pub(crate) fn position(&self, key: &str, expected: usize) -> Option<usize> {
        if self.members.get(expected).is_some_and(|it| it.key == key) {
            return Some(expected);
        }
        let found = self.by_key.binary_search_by(|it| self.members[*it].key.as_str().cmp(key)).ok()?;
        Some(self.by_key[found])
    }
}
