use std::collections::BTreeMap;

use nodedata_core::{Layout, Result};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess as _,
    Visitor,
};

use super::{
    describe::{Described, DescribedMember, Kind, Scalar, UnknownKeys},
    plan::{JsonPlan, LEAVES_MAX, Wire},
};
use crate::{MessageDecoder, cbor::CborReader};

/// Keys of one object. An object with more is a map whose keys are data: it becomes JSON text.
const MEMBERS_MAX: usize = 512;
/// Nesting that becomes columns; deeper values become JSON text.
const DEPTH_MAX: usize = 24;

/// The types of messages without a schema, from a full pass over all of them: no type depends on which
/// message came first, and none changes later.
#[derive(Debug)]
pub struct JsonInference {
    wire: Wire,
    root: Observed,
    n_messages: u64,
    /// Whether any message is not JSON (or CBOR), or names a key twice.
    is_broken: bool,
    /// Objects met, so that each can tell whether it has met a key before.
    n_objects: u64,
}

impl Default for JsonInference {
    /// For JSON messages.
    fn default() -> Self {
        Self { wire: Wire::Json, root: Observed::default(), n_messages: 0, is_broken: false, n_objects: 0 }
    }
}

impl JsonInference {
    /// For CBOR messages.
    pub fn cbor() -> Self {
        Self { wire: Wire::Cbor, ..Self::default() }
    }

    /// Takes one message into account.
    pub fn observe(&mut self, payload: &[u8]) {
        self.n_messages += 1;
        if self.is_broken {
            return;
        }
        let seed = Observer { observed: &mut self.root, n_objects: &mut self.n_objects, depth: 0 };
        let outcome = match self.wire {
            Wire::Json => {
                let mut reader = serde_json::Deserializer::from_slice(payload);
                seed.deserialize(&mut reader).and_then(|()| reader.end()).is_ok()
            }
            Wire::Cbor => {
                let mut reader = CborReader::new(payload);
                seed.deserialize(&mut reader).and_then(|()| reader.end()).is_ok()
            }
        };
        self.is_broken = !outcome;
    }

    /// Appends the columns to `layout`. Messages of which one could not be read, and no messages at all,
    /// become one column of undecoded bytes.
    ///
    /// # Errors
    /// None at present: what cannot become columns becomes JSON text.
    pub fn compile(&self, layout: &mut Layout) -> Result<MessageDecoder> {
        if self.is_broken || self.n_messages == 0 {
            return Ok(MessageDecoder::opaque(layout));
        }
        let mut described = self.root.describe();
        if described.n_leaves() > LEAVES_MAX {
            described = Described::scalar(Scalar::JsonText);
        }
        let n_before = layout.features().len();
        let plan = JsonPlan::compile(layout, &described, self.wire)?;
        Ok(MessageDecoder::from_json(layout, n_before, plan))
    }
}

/// Everything seen at one place of the messages.
#[derive(Debug, Default)]
struct Observed {
    null: bool,
    bool: bool,
    text: bool,
    bytes: bool,
    whole: bool,
    float: bool,
    /// A whole number below 0.
    negative: bool,
    /// A whole number above `i64::MAX`.
    above_i64: bool,
    /// A whole number that float64 does not hold exactly.
    inexact: bool,
    /// Something no column holds: a number beyond 64 bits, a CBOR tag, nesting too deep, a map.
    other: bool,
    list: Option<Box<Self>>,
    object: Option<Box<ObservedObject>>,
}

#[derive(Debug, Default)]
struct ObservedObject {
    n_seen: u64,
    /// In the order they were first met.
    members: Vec<ObservedMember>,
    by_key: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct ObservedMember {
    key: String,
    n_seen: u64,
    /// The last object that had it.
    last_object: u64,
    value: Observed,
}

impl Observed {
    fn whole(&mut self, value: i128) {
        self.whole = true;
        self.negative |= value < 0;
        self.above_i64 |= value > i128::from(i64::MAX);
        self.inexact |= value as f64 as i128 != value;
        self.other |= value < i128::from(i64::MIN) || value > i128::from(u64::MAX);
    }

    fn describe(&self) -> Described {
        let is_number = self.whole || self.float;
        let kinds = [is_number, self.bool, self.text, self.bytes, self.list.is_some(), self.object.is_some()];
        let n_kinds = kinds.into_iter().filter(|it| *it).count();
        let kind = if self.other || n_kinds != 1 {
            Kind::Scalar(Scalar::JsonText)
        } else if let Some(item) = &self.list {
            Kind::List(Box::new(item.describe()))
        } else if let Some(object) = &self.object {
            object.describe()
        } else {
            Kind::Scalar(self.scalar())
        };
        Described { kind, nullable: self.null, description: None }
    }

    fn scalar(&self) -> Scalar {
        match self {
            Self { bool: true, .. } => Scalar::Bool,
            Self { text: true, .. } => Scalar::String,
            Self { bytes: true, .. } => Scalar::Bytes,
            Self { float: true, inexact: false, .. } => Scalar::Float64,
            Self { float: true, inexact: true, .. } => Scalar::JsonText,
            Self { above_i64: true, negative: true, .. } => Scalar::JsonText,
            Self { above_i64: true, .. } => Scalar::UInt64,
            Self { .. } => Scalar::Int64,
        }
    }
}

impl ObservedObject {
    fn describe(&self) -> Kind {
        if self.members.is_empty() {
            // `{}` everywhere: the text keeps it apart from null.
            return Kind::Scalar(Scalar::JsonText);
        }
        let describe = |member: &ObservedMember| {
            let required = member.n_seen == self.n_seen;
            let mut value = member.value.describe();
            value.nullable |= !required;
            DescribedMember { key: member.key.clone(), required, value }
        };
        let members = self.members.iter().map(describe).collect();
        Kind::Object { members, unknown: UnknownKeys::Refused }
    }

    /// The member `key`, in the object numbered `n_object`; `None` when there are too many.
    fn member<E: Error>(&mut self, key: &str, n_object: u64, expected: usize) -> Result<Option<usize>, E> {
        let is_expected = self.members.get(expected).is_some_and(|it| it.key == key);
        let known = if is_expected { Some(expected) } else { self.by_key.get(key).copied() };
        let idx = match known {
            Some(idx) => idx,
            None if self.members.len() == MEMBERS_MAX => return Ok(None),
            None => {
                let idx = self.members.len();
                self.by_key.insert(key.to_owned(), idx);
                let (key, value) = (key.to_owned(), Observed::default());
                self.members.push(ObservedMember { key, n_seen: 0, last_object: 0, value });
                idx
            }
        };
        let member = &mut self.members[idx];
        if member.last_object == n_object {
            return Err(E::custom("key appears twice"));
        }
        member.last_object = n_object;
        member.n_seen += 1;
        Ok(Some(idx))
    }
}

/// Takes the next value into account.
struct Observer<'a> {
    observed: &'a mut Observed,
    n_objects: &'a mut u64,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Observer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        if self.depth > DEPTH_MAX {
            self.observed.other = true;
            return from.deserialize_any(IgnoredAny).map(|_| ());
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Observer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.observed.null = true;
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.observed.bool = true;
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.observed.whole(i128::from(value));
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.observed.whole(i128::from(value));
        Ok(())
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.observed.other = true;
        Ok(())
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.observed.other = true;
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.observed.float = true;
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.observed.text = true;
        Ok(())
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<(), E> {
        self.observed.bytes = true;
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let item = self.observed.list.get_or_insert_default();
        loop {
            let seed = Observer { observed: item, n_objects: self.n_objects, depth: self.depth + 1 };
            if items.next_element_seed(seed)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        *self.n_objects += 1;
        let n_object = *self.n_objects;
        let object = self.observed.object.get_or_insert_default();
        object.n_seen += 1;
        let mut expected = 0;
        while let Some(key) = entries.next_key_seed(MemberKey { object, n_object, expected })? {
            let Some(idx) = key else {
                self.observed.other = true;
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            expected = idx + 1;
            let observed = &mut object.members[idx].value;
            entries.next_value_seed(Observer {
                observed,
                n_objects: self.n_objects,
                depth: self.depth + 1,
            })?;
        }
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        self.observed.other = true;
        let (_, content) = tagged.variant::<u64>()?;
        content.newtype_variant::<IgnoredAny>().map(|_| ())
    }
}

/// Looks up a key of the object being read.
struct MemberKey<'a> {
    object: &'a mut ObservedObject,
    n_object: u64,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for MemberKey<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<usize>, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for MemberKey<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key of text")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Option<usize>, E> {
        self.object.member(key, self.n_object, self.expected)
    }
}
