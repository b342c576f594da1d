use std::{fmt, io};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess as _, Visitor,
};

use super::{
    non_finite::{marked, name, number},
    raw::raw_of,
};

/// Writes the next value of `from` as compact JSON text behind what `out` holds.
///
/// Keys stay in order, repeated ones too. What JSON has no spelling for becomes text: byte strings as
/// base64, numbers that are not finite as `"NaN"`, `"Infinity"`, `"-Infinity"`, a CBOR tag as
/// `{"@tag":n,"@value":…}`. Fails when `out` would pass `n_bytes_max`.
pub(crate) fn json_text<'de, D: Deserializer<'de>>(
    from: D,
    out: &mut Vec<u8>,
    n_bytes_max: usize,
) -> Result<(), D::Error> {
    JsonText::new(out, n_bytes_max).deserialize(from)
}

/// As [`json_text`], where serde asks for a seed.
pub(crate) struct JsonText<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    n_bytes_max: usize,
    /// Whether numbers that are not finite are told apart from texts, for whoever reads the text again.
    is_marked: bool,
}

impl<'a> JsonText<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, n_bytes_max: usize) -> Self {
        Self { out, n_bytes_max, is_marked: false }
    }

    /// For text that is read again: see [`super::non_finite::unmarked`].
    pub(crate) fn marked(out: &'a mut Vec<u8>, n_bytes_max: usize) -> Self {
        Self { out, n_bytes_max, is_marked: true }
    }

    fn again(&mut self) -> JsonText<'_> {
        JsonText { out: self.out, n_bytes_max: self.n_bytes_max, is_marked: self.is_marked }
    }

    fn text<E: Error>(self, text: &str) -> Result<(), E> {
        write_json(self.out, text)?;
        self.check()
    }

    fn number<E: Error>(self, number: impl fmt::Display) -> Result<(), E> {
        use io::Write as _;
        write!(self.out, "{number}").map_err(E::custom)?;
        self.check()
    }

    fn check<E: Error>(self) -> Result<(), E> {
        if self.out.len() <= self.n_bytes_max {
            Ok(())
        } else {
            Err(E::custom(format_args!("JSON text is longer than {} bytes", self.n_bytes_max)))
        }
    }
}

/// A string with its quotes and escapes, or a finite number in its shortest exact form.
fn write_json<E: Error>(out: &mut Vec<u8>, value: impl serde::Serialize) -> Result<(), E> {
    serde_json::to_writer(out, &value).map_err(E::custom)
}

impl<'de> DeserializeSeed<'de> for JsonText<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonText<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.number("null")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.number(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<(), E> {
        self.number(value)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<(), E> {
        self.number(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if value.is_finite() {
            write_json(self.out, value)?;
            return self.check();
        }
        if self.is_marked { self.text(&marked(value)) } else { self.text(name(value)) }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        match (number(value), raw_of(value)) {
            (Some(number), _) => self.visit_f64(number),
            (None, Some(raw)) if !self.is_marked => {
                self.out.extend_from_slice(raw.as_bytes());
                self.check()
            }
            (None, _) => self.text(value),
        }
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<(), E> {
        self.text(&STANDARD.encode(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.out.push(b'[');
        let mut n_items = 0usize;
        loop {
            let n_before = self.out.len();
            if n_items > 0 {
                self.out.push(b',');
            }
            if items.next_element_seed(self.again())?.is_none() {
                self.out.truncate(n_before);
                break;
            }
            n_items += 1;
        }
        self.out.push(b']');
        self.check()
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        self.out.push(b'{');
        let mut n_entries = 0usize;
        loop {
            let n_before = self.out.len();
            if n_entries > 0 {
                self.out.push(b',');
            }
            if entries.next_key_seed(JsonKey { out: self.out })?.is_none() {
                self.out.truncate(n_before);
                break;
            }
            self.out.push(b':');
            entries.next_value_seed(self.again())?;
            n_entries += 1;
        }
        self.out.push(b'}');
        self.check()
    }

    fn visit_enum<A: EnumAccess<'de>>(mut self, tagged: A) -> Result<(), A::Error> {
        let (tag, content) = tagged.variant::<u64>()?;
        self.out.extend_from_slice(b"{\"@tag\":");
        self.again().number::<A::Error>(tag)?;
        self.out.extend_from_slice(b",\"@value\":");
        content.newtype_variant_seed(self.again())?;
        self.out.push(b'}');
        self.check()
    }
}

/// A key of an object: text, or in CBOR a number, which becomes its digits.
struct JsonKey<'a> {
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for JsonKey<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for JsonKey<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of text or a whole number")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        write_json(self.out, value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        write_json(self.out, value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        write_json(self.out, value.to_string())
    }
}
