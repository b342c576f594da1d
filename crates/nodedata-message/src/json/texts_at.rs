use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::non_finite::behind_mark;

/// The texts of a JSON record at some dotted paths, each with the position of its path, in the order in which the record has them.
/// Lists on the way are walked through, and keys may have dots themselves. `None` of what is no JSON.
/// Texts that stand for something else, in a record of [`super::with_raw_text`], are none.
pub fn texts_at(record: &[u8], paths: &[&str]) -> Option<Vec<(usize, String)>> {
    let mut found = Vec::new();
    let rests = paths.iter().copied().enumerate().collect();
    let mut reader = serde_json::Deserializer::from_slice(record);
    TextsAt { rests, found: &mut found }.deserialize(&mut reader).and_then(|()| reader.end()).ok()?;
    Some(found)
}

/// Looks into one value.
struct TextsAt<'p, 'f> {
    /// Of each path that leads here, what is left of it.
    rests: Vec<(usize, &'p str)>,
    found: &'f mut Vec<(usize, String)>,
}

impl<'de> DeserializeSeed<'de> for TextsAt<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        match self.rests.is_empty() {
            true => from.deserialize_ignored_any(IgnoredAny).map(drop),
            false => from.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for TextsAt<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        if let Some((path, _)) = self.rests.iter().find(|it| it.1.is_empty())
            && behind_mark(value).is_none()
        {
            self.found.push((*path, value.to_owned()));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { rests, found } = self;
        while items.next_element_seed(TextsAt { rests: rests.clone(), found: &mut *found })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { rests, found } = self;
        while let Some(rests) = entries.next_key_seed(Below(&rests))? {
            entries.next_value_seed(TextsAt { rests, found: &mut *found })?;
        }
        Ok(())
    }
}

/// What is left of paths behind a key.
struct Below<'r, 'p>(&'r [(usize, &'p str)]);

impl<'de, 'p> DeserializeSeed<'de> for Below<'_, 'p> {
    type Value = Vec<(usize, &'p str)>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for Below<'_, 'p> {
    type Value = Vec<(usize, &'p str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of text")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let below = |(path, rest): &(usize, &'p str)| {
            let rest = rest.strip_prefix(key)?;
            let rest =
                if rest.is_empty() { rest } else { rest.strip_prefix('.').filter(|it| !it.is_empty())? };
            Some((*path, rest))
        };
        Ok(self.0.iter().filter(|it| !it.1.is_empty()).filter_map(below).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::with_raw_text;

    #[test]
    fn texts_come_in_the_order_of_the_record() {
        let record = br#"{"images": ["b", null, "c"], "n": 1, "image": "a", "m": [{"c": [{"image": "d"}, {"t": "x"}]}, {"c": []}],
            "image.b": "e", "o": {"image": {"b": "f"}}, "i": {"x": "no"}, "images2": "no"}"#;
        let paths = ["image", "images", "m.c.image", "image.b", "o.image.b", "i", "n"];
        let found = texts_at(record, &paths).unwrap();
        let expected = [(1, "b"), (1, "c"), (0, "a"), (2, "d"), (3, "e"), (4, "f")];
        assert_eq!(found, expected.map(|(path, text)| (path, text.to_owned())));
        assert_eq!(texts_at(b"{\"image\": \"a\"", &paths), None);
        assert_eq!(texts_at(b"[\"a\"]", &paths), Some(Vec::new()));
    }

    #[test]
    fn what_stands_for_a_value_is_no_text() {
        let record = with_raw_text(br#"{"image": 1e400, "images": ["a", "\ud800", NaN]}"#).unwrap();
        assert_eq!(texts_at(&record, &["image", "images"]), Some(vec![(1, "a".to_owned())]));
    }
}
