use std::fmt;

use nodedata_core::{Columns, Result};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess as _, Visitor,
};

use super::{
    beyond::whole_beyond_64_bits,
    describe::UnknownKeys,
    loose::LooseVisitor,
    media::RowMedia,
    node::{FixedNode, ListNode, Node, ObjectNode},
    plan::{JsonPlan, Wire},
    row::{Path, Row},
    scalar::ScalarSeed,
    text::JsonText,
};
use crate::{Fit, cbor::CborReader};

/// Pushes one message along the plan.
pub(super) fn decode(
    plan: &JsonPlan,
    payload: &[u8],
    columns: &mut Columns,
    media: &mut RowMedia,
) -> Result<Fit> {
    let mut row = Row::new(columns, media, plan.row_bytes_max, plan.loose);
    let path = Path::ROOT;
    let seed = NodeSeed { node: &plan.root, path: &path, row: &mut row };
    let outcome = match plan.wire {
        Wire::Json => {
            // Bytes that are text as a whole need no look at each of the texts within.
            let outcome = match simdutf8::basic::from_utf8(payload) {
                Ok(text) => whole(seed, serde_json::Deserializer::from_str(text)),
                Err(_) => whole(seed, serde_json::Deserializer::from_slice(payload)),
            };
            outcome.map_err(|err| err.to_string())
        }
        Wire::Cbor => {
            let mut reader = CborReader::new(payload);
            seed.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|err| err.to_string())
        }
    };
    if plan.wire == Wire::Json
        && (row.may_be_rounded || outcome.is_err())
        && let Some((at, digits)) = whole_beyond_64_bits(payload)
    {
        // Whatever else is wrong, at whatever value.
        (row.failed_at, row.passed_limit) = (None, false);
        return Err(row.error(format!("the whole number {digits} at its byte {at} is beyond 64 bits")));
    }
    outcome.map_err(|message| row.error(message))?;
    if let Some(id) = plan.extra {
        if row.extra.is_empty() {
            row.columns.push_null(id);
        } else {
            row.extra.push(b'}');
            row.columns.push_bytes(id, &row.extra);
            row.columns.push_valid(id);
        }
    }
    Ok(if row.diverted { Fit::Partly } else { Fit::Whole })
}

/// The one value that a reader has.
pub(super) fn whole<'de, S: DeserializeSeed<'de>, R: serde_json::de::Read<'de>>(
    seed: S,
    mut reader: serde_json::Deserializer<R>,
) -> serde_json::Result<S::Value> {
    let value = seed.deserialize(&mut reader)?;
    reader.end().map(|()| value)
}

/// Decodes one value of the tree into its columns.
pub(super) struct NodeSeed<'a, 'c> {
    pub(super) node: &'a Node,
    pub(super) path: &'a Path<'a>,
    pub(super) row: &'a mut Row<'c>,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let Self { node, path, row } = self;
        let outcome = match node {
            _ if row.loose && !node.takes_anything() => {
                from.deserialize_any(LooseVisitor { node, path, row: &mut *row })
            }
            Node::Scalar(it) => {
                let id = it.id;
                let seed = ScalarSeed { id, scalar: it.scalar, nullable: it.nullable, row };
                seed.deserialize(from).map(|is_present| {
                    if is_present {
                        row.columns.push_valid(id);
                    } else {
                        row.columns.push_null(id);
                    }
                })
            }
            Node::Fixed(it) => {
                let visitor = FixedSeed { node: it, dims: &it.dims, path, row };
                visitor.deserialize(from).map(|is_present| {
                    if is_present {
                        row.columns.push_valid(it.id);
                    } else {
                        row.columns.push_null(it.id);
                    }
                })
            }
            Node::List(it) => from.deserialize_any(ListVisitor { node: it, path, row }),
            Node::Object(it) => from.deserialize_any(ObjectVisitor { node: it, path, row }),
        };
        if outcome.is_err() && row.failed_at.is_none() {
            row.failed_at = Some(path.to_string());
        }
        outcome
    }
}

/// One dimension of a fixed tensor. Tells whether the tensor is there.
pub(super) struct FixedSeed<'a, 'c> {
    pub(super) node: &'a FixedNode,
    /// The dimensions from this one inwards.
    pub(super) dims: &'a [u32],
    pub(super) path: &'a Path<'a>,
    pub(super) row: &'a mut Row<'c>,
}

impl<'de> DeserializeSeed<'de> for FixedSeed<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        if self.dims.is_empty() {
            let FixedNode { id, scalar, .. } = *self.node;
            return ScalarSeed { id, scalar, nullable: false, row: self.row }.deserialize(from);
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FixedSeed<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", self.dims[0])
    }

    fn visit_unit<E: de::Error>(self) -> Result<bool, E> {
        if self.node.nullable && self.dims.len() == self.node.dims.len() {
            Ok(false)
        } else {
            Err(E::invalid_type(de::Unexpected::Other("null"), &self))
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let n_items = self.dims[0] as usize;
        for idx in 0..=n_items {
            let path = self.path.index(idx);
            let seed = FixedSeed { node: self.node, dims: &self.dims[1..], path: &path, row: self.row };
            match items.next_element_seed(seed)? {
                Some(_) if idx < n_items => {}
                None if idx == n_items => {}
                Some(_) => return Err(de::Error::custom(format_args!("more than {n_items} items"))),
                None => return Err(de::Error::invalid_length(idx, &self)),
            }
        }
        Ok(true)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<bool, A::Error> {
        untagged(tagged, self)
    }
}

pub(super) struct ListVisitor<'a, 'c> {
    pub(super) node: &'a ListNode,
    pub(super) path: &'a Path<'a>,
    pub(super) row: &'a mut Row<'c>,
}

impl<'de> DeserializeSeed<'de> for ListVisitor<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ListVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        if !self.node.nullable {
            return Err(E::invalid_type(de::Unexpected::Other("null"), &self));
        }
        self.row.columns.push_null_list(self.node.id);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut n_items = 0usize;
        loop {
            let path = self.path.index(n_items);
            let seed = NodeSeed { node: &self.node.item, path: &path, row: self.row };
            if items.next_element_seed(seed)?.is_none() {
                break;
            }
            self.row.spend(self.node.item_bytes)?;
            n_items += 1;
        }
        self.row.columns.push_len(self.node.id, n_items);
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        untagged(tagged, self)
    }
}

pub(super) struct ObjectVisitor<'a, 'c> {
    pub(super) node: &'a ObjectNode,
    pub(super) path: &'a Path<'a>,
    pub(super) row: &'a mut Row<'c>,
}

impl ObjectVisitor<'_, '_> {
    /// Adds a member to the text of unknown keys, under its path.
    fn keep_unknown<'de, A: MapAccess<'de>>(&mut self, key: &str, entries: &mut A) -> Result<(), A::Error> {
        self.row.begin_extra(&self.path.key(key))?;
        entries.next_value_seed(JsonText::new(&mut self.row.extra, self.row.bytes_left))
    }

    /// Pushes what the message left out.
    fn fill_absent<E: de::Error>(&mut self, seen: &Seen) -> Result<(), E> {
        for (idx, member) in self.node.members.iter().enumerate() {
            if seen.contains(idx) {
                continue;
            }
            if member.required || !member.node.is_nullable() {
                self.row.failed_at.get_or_insert_with(|| self.path.key(&member.key).to_string());
                return Err(E::custom(format_args!("required key `{}` is missing", member.key)));
            }
            member.node.push_absent(self.row.columns);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for ObjectVisitor<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        if !self.node.nullable {
            return Err(E::invalid_type(de::Unexpected::Other("null"), &self));
        }
        self.node.members.iter().for_each(|it| it.node.push_absent(self.row.columns));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = Seen::new(self.node.members.len());
        let mut expected = 0;
        while let Some(key) = entries.next_key_seed(KeySeed { node: self.node, expected })? {
            match key {
                Key::Member(idx) => {
                    let member = &self.node.members[idx];
                    let path = self.path.key(&member.key);
                    if !seen.insert(idx) {
                        self.row.failed_at.get_or_insert_with(|| path.to_string());
                        return Err(de::Error::custom(format_args!("key `{}` appears twice", member.key)));
                    }
                    expected = idx + 1;
                    entries.next_value_seed(NodeSeed { node: &member.node, path: &path, row: self.row })?;
                }
                Key::Unknown(key) if self.node.unknown == UnknownKeys::Kept => {
                    self.keep_unknown(&key, &mut entries)?;
                }
                Key::Unknown(key) => {
                    self.row.failed_at.get_or_insert_with(|| self.path.key(&key).to_string());
                    return Err(de::Error::custom(format_args!(
                        "key `{key}` is not in the schema, which allows no others"
                    )));
                }
            }
        }
        if seen.n_seen < self.node.members.len() { self.fill_absent(&seen) } else { Ok(()) }
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        untagged(tagged, self)
    }
}

/// A CBOR tag in front of a value whose schema already says what it is.
pub(super) fn untagged<'de, A: EnumAccess<'de>, S: DeserializeSeed<'de>>(
    tagged: A,
    seed: S,
) -> Result<S::Value, A::Error> {
    let (_, content) = tagged.variant::<u64>()?;
    content.newtype_variant_seed(seed)
}

/// Which members of an object were met.
struct Seen {
    first: u64,
    rest: Vec<bool>,
    n_seen: usize,
}

impl Seen {
    fn new(n_members: usize) -> Self {
        Self { first: 0, rest: vec![false; n_members.saturating_sub(64)], n_seen: 0 }
    }

    fn contains(&self, idx: usize) -> bool {
        if idx < 64 { self.first >> idx & 1 == 1 } else { self.rest[idx - 64] }
    }

    /// Whether it is the first time.
    fn insert(&mut self, idx: usize) -> bool {
        let is_new = !self.contains(idx);
        if idx < 64 {
            self.first |= 1 << idx;
        } else {
            self.rest[idx - 64] = true;
        }
        self.n_seen += usize::from(is_new);
        is_new
    }
}

enum Key {
    Member(usize),
    Unknown(String),
}

/// Looks a key up without copying it.
struct KeySeed<'a> {
    node: &'a ObjectNode,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Key, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of text")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Key, E> {
        Ok(match self.node.position(key, self.expected) {
            Some(idx) => Key::Member(idx),
            None => Key::Unknown(key.to_owned()),
        })
    }
}
