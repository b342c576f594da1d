use std::{collections::BTreeSet, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess as _,
    Visitor,
};

use super::{
    non_finite::number,
    observed::{DEPTH_MAX, Limits, Met, Observed, Place, Seen},
    raw::raw_of,
};

/// Takes the next value into account. One that is not readable, or names a key twice, may leave traces.
pub(super) struct Observer<'a> {
    pub(super) observed: &'a mut Observed,
    /// Objects met, so that each can tell whether it has met a key before.
    pub(super) n_objects: &'a mut u64,
    pub(super) limits: Limits,
    pub(super) place: Place,
    pub(super) depth: usize,
}

impl Observer<'_> {
    fn note<E>(self, seen: Seen) -> Result<(), E> {
        self.observed.note(seen, self.place);
        Ok(())
    }

    fn note_whole<E>(self, value: i128) -> Result<(), E> {
        self.observed.note_whole(value, self.place);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Observer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        if self.depth > DEPTH_MAX {
            // Passed over as decoding does, which refuses what nests without end.
            self.observed.note(Seen::Other, self.place);
            return from.deserialize_any(Observer { observed: &mut Observed::default(), ..self });
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Observer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.note(Seen::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.note(Seen::Bool)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.note_whole(i128::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.note_whole(i128::from(value))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.note(Seen::Other)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.note(Seen::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.note(Seen::Float)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.note(match (number(value), raw_of(value)) {
            (Some(_), _) => Seen::Float,
            (None, Some(_)) => Seen::Other,
            (None, None) => Seen::Text,
        })
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<(), E> {
        self.note(Seen::Bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { observed, n_objects, limits, place, depth } = self;
        observed.note(Seen::List, place);
        let item = observed.items.get_or_insert_default();
        loop {
            let (observed, n_objects) = (&mut **item, &mut *n_objects);
            let seed = Observer { observed, n_objects, limits, place, depth: depth + 1 };
            if items.next_element_seed(seed)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { observed, n_objects, limits, place, depth } = self;
        observed.note(Seen::Object, place);
        *n_objects += 1;
        let n_object = *n_objects;
        observed.members.n_objects += 1;
        let members_max = limits.members_max(depth);
        let mut expected = 0;
        // Keys that are not kept. Whether one comes twice must not depend on how many were met before.
        let mut beyond = BTreeSet::new();
        loop {
            let key = MemberKey { observed: &mut *observed, n_object, expected: &mut expected, members_max };
            let mut passed_over;
            let observed = match entries.next_key_seed(key)? {
                None => break,
                Some(Met::Again) => return Err(A::Error::custom("a key appears twice")),
                Some(Met::TooMany(key)) => {
                    if !beyond.insert(key) {
                        return Err(A::Error::custom("a key appears twice"));
                    }
                    passed_over = Observed::default();
                    &mut passed_over
                }
                Some(Met::Member(value)) => value,
            };
            let n_objects = &mut *n_objects;
            entries.next_value_seed(Observer { observed, n_objects, limits, place, depth: depth + 1 })?;
        }
        if !beyond.is_empty() {
            observed.note(Seen::Other, place);
        }
        Ok(())
    }

    /// A CBOR tag.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        self.observed.note(Seen::Other, self.place);
        let (_, content) = tagged.variant::<u64>()?;
        content.newtype_variant::<IgnoredAny>().map(|_| ())
    }
}

/// Looks up a key of the object being read.
struct MemberKey<'a, 'e> {
    observed: &'a mut Observed,
    n_object: u64,
    expected: &'e mut usize,
    members_max: usize,
}

impl<'de, 'a> DeserializeSeed<'de> for MemberKey<'a, '_> {
    type Value = Met<'a>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Met<'a>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'a> Visitor<'_> for MemberKey<'a, '_> {
    type Value = Met<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of text")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Met<'a>, E> {
        Ok(self.observed.members.meet(key, self.n_object, self.expected, self.members_max))
    }
}
