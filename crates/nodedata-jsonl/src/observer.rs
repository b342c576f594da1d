use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::observed::{DEPTH_MAX, Met, Observed, Place, Seen};

/// Takes a record into account. One that is no JSON, or names a key twice, may leave traces: they are to be thrown
/// away.
///
/// # Errors
/// When it is no JSON object, or names a key twice.
pub(crate) fn observe(
    observed: &mut Observed,
    n_objects: &mut u64,
    record: &[u8],
    place: Place,
) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(record);
    Observer { observed, n_objects, place, depth: 0 }.deserialize(&mut reader)?;
    reader.end()
}

/// Takes the next value into account.
struct Observer<'a> {
    observed: &'a mut Observed,
    /// Objects met, so that each can tell whether it has met a key before.
    n_objects: &'a mut u64,
    place: Place,
    depth: usize,
}

impl Observer<'_> {
    fn note(self, seen: Seen) {
        self.observed.note(seen, self.place);
    }
}

impl<'de> DeserializeSeed<'de> for Observer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        if self.depth > DEPTH_MAX {
            // Passed over as decoding does, which refuses what nests without end.
            self.observed.note(Seen::Vast, self.place);
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
        self.note(Seen::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.note(Seen::Bool);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.observed.note_whole(i128::from(value), self.place);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.observed.note_whole(i128::from(value), self.place);
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.note(Seen::Float);
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.note(Seen::Text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { observed, n_objects, place, depth } = self;
        observed.note(Seen::List, place);
        let item = observed.items.get_or_insert_default();
        loop {
            let seed = Observer { observed: &mut *item, n_objects: &mut *n_objects, place, depth: depth + 1 };
            if items.next_element_seed(seed)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { observed, n_objects, place, depth } = self;
        observed.note(Seen::Object, place);
        *n_objects += 1;
        let n_object = *n_objects;
        observed.members.n_objects += 1;
        let mut expected = 0;
        let mut is_vast = false;
        loop {
            let key = MemberKey { observed: &mut *observed, n_object, expected: &mut expected, depth };
            match entries.next_key_seed(key)? {
                None => break,
                Some(Met::Again) => return Err(A::Error::custom("a key appears twice")),
                Some(Met::TooMany) => {
                    is_vast = true;
                    let (observed, n_objects) = (&mut Observed::default(), &mut *n_objects);
                    entries.next_value_seed(Observer { observed, n_objects, place, depth: depth + 1 })?;
                }
                Some(Met::Member(value)) => {
                    let n_objects = &mut *n_objects;
                    entries.next_value_seed(Observer {
                        observed: value,
                        n_objects,
                        place,
                        depth: depth + 1,
                    })?;
                }
            }
        }
        if is_vast {
            observed.note(Seen::Vast, place);
        }
        Ok(())
    }
}

/// Looks up a key of the object being read.
struct MemberKey<'a, 'e> {
    observed: &'a mut Observed,
    n_object: u64,
    expected: &'e mut usize,
    depth: usize,
}

impl<'de, 'a> DeserializeSeed<'de> for MemberKey<'a, '_> {
    type Value = Met<'a>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Met<'a>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for MemberKey<'a, '_> {
    type Value = Met<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of text")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Met<'a>, E> {
        Ok(self.observed.members.meet(key, self.n_object, self.expected, self.depth))
    }
}
